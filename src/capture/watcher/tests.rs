use super::*;
use crate::firstpass::trigger::Keep;
use crate::firstpass::{Condition, TamperSettings};
use crate::frame::{Geometry, PixelFormat, Stamp};

const S: u64 = 1_000_000_000;
const YEAR: u64 = 365 * 86_400 * S;

fn watcher(motion: bool, analyse_fps: Option<f64>, interval: Option<u64>) -> Watcher {
    let events = EventSettings { keep: Keep::First, ..EventSettings::default() };
    let motion = motion.then(|| (MotionSettings::default(), events));
    let interval = interval.map(Duration::from_secs);
    let analyse_fps = analyse_fps.map(|fps| AnalyseFps { quiet: fps, active: fps });
    watcher_of(WatchSettings { motion, analyse_fps, interval, drop_similar: None })
}

/// One that keeps an event's first picture and looks at frames as often as this.
fn adaptive(quiet: f64, active: f64) -> Watcher {
    let events = EventSettings { keep: Keep::First, ..EventSettings::default() };
    watcher_of(WatchSettings {
        motion: Some((MotionSettings::default(), events)),
        analyse_fps: Some(AnalyseFps { quiet, active }),
        ..WatchSettings::default()
    })
}

fn due() -> Now {
    Now { due: true, ..Now::default() }
}

fn watcher_of(settings: WatchSettings) -> Watcher {
    Watcher::new(settings, &BootId("0f3c9a52".into()))
}

/// A plain grey YUYV frame, with a bright square where there is to be motion: it goes to the right by four
/// pixels in a tenth of a second, again and again.
fn watch(watcher: &mut Watcher, at: u64, square: bool) -> Seen {
    let x = 20 + (at / (S / 10) % 20) as usize * 4;
    look(watcher, at, square.then_some(x))
}

/// The same with the square's left edge in a place of its own.
fn look(watcher: &mut Watcher, at: u64, square: Option<usize>) -> Seen {
    let mut data = [100, 128].repeat(160 * 120);
    if let Some(x) = square {
        for y in 40..80 {
            data[(y * 160 + x) * 2..(y * 160 + x + 40) * 2].fill(220);
        }
    }
    show(watcher, at, &data)
}

/// A frame of these bytes.
fn show(watcher: &mut Watcher, at: u64, data: &[u8]) -> Seen {
    let geometry = Geometry { format: PixelFormat::Yuyv, width: 160, height: 120, stride: 320 };
    let (captured, stamp) = (BootTime(at), Stamp::Driver);
    watcher.watch(&Frame { geometry, data, sequence: 0, captured, stamp })
}

/// Which of the frames at these times are kept by the interval.
fn kept(watcher: &mut Watcher, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
    times.into_iter().filter(|&at| watch(watcher, at, false).choice.is_some()).collect()
}

#[test]
fn interval_pictures_keep_to_their_grid() {
    let mut watcher = watcher(false, None, Some(10));
    let times = [5, 6, 14, 16, 24, 26, 70, 74, 80].map(|s| s * S);
    assert_eq!(kept(&mut watcher, times), [5, 16, 26, 70, 80].map(|s| s * S));
}

#[test]
fn one_frame_is_kept_once_whatever_it_is_due_for() {
    let mut watcher = watcher(true, None, Some(1));
    let mut triggers = Vec::new();
    for n in 0..200 {
        let seen = watch(&mut watcher, n * S / 10, n >= 100);
        triggers.extend(seen.choice.map(|c| (n, c.trigger)));
    }
    let motion: Vec<_> = triggers.iter().filter(|(_, t)| *t == Trigger::Motion).collect();
    assert_eq!(motion.len(), 1, "{triggers:?}");
    let mut frames: Vec<_> = triggers.iter().map(|(n, _)| n).collect();
    frames.dedup();
    assert_eq!(frames.len(), triggers.len());
}

#[test]
fn frames_are_analysed_at_the_pace_that_is_set_by_capture_time() {
    let mut watcher = watcher(true, Some(2.0), None);
    let looked = (0..100)
        .filter(|n| watch(&mut watcher, S + n * S / 10, false).observation.is_some())
        .count();
    assert_eq!(looked, 20);
}

/// The times of looks, and of events' beginnings, in milliseconds, of a camera with this many frames a second:
/// something moves from the tenth second to the fifteenth.
fn paced(mut watcher: Watcher, fps: u64) -> (Vec<u64>, Vec<u64>) {
    let (mut looks, mut begins) = (Vec::new(), Vec::new());
    for n in 0..30 * fps {
        let ms = n * 1000 / fps;
        let seen = watch(&mut watcher, ms * 1_000_000, (10_000..15_000).contains(&ms));
        looks.extend(seen.observation.is_some().then_some(ms));
        begins.extend(seen.began().then_some(ms));
    }
    (looks, begins)
}

#[test]
fn frames_are_looked_at_faster_while_the_scene_is_learnt_and_from_motion_to_its_events_end() {
    let (looks, begins) = paced(adaptive(5.0, 10.0), 30);
    let among = |from: u64, to: u64| looks.iter().filter(|ms| (from..to).contains(*ms)).count();
    assert_eq!(among(0, 1000), 10, "the scene is learnt");
    assert_eq!(among(2000, 10_000), 40);
    assert!(begins.len() == 1 && begins[0] < 10_900, "{begins:?}");
    assert_eq!(among(11_000, 19_000), 80, "the event, with the quiet time after it");
    assert_eq!(among(22_000, 30_000), 40);
}

#[test]
fn an_event_begins_hardly_later_than_when_every_frame_is_looked_at() {
    for fps in [5, 10, 15, 25, 30] {
        let every = watcher(true, None, None);
        let begins = [paced(every, fps).1, paced(adaptive(5.0, 10.0), fps).1];
        let [at, paced] = begins.map(|begins| begins[0]);
        assert!(paced <= at + 270, "at {fps} frames a second: {paced} ms instead of {at}");
    }
}

#[test]
fn a_picture_says_what_was_seen_in_it_however_seldom_frames_are_looked_at() {
    let mut watcher = watcher(true, Some(0.1), Some(3));
    let looked = |watcher: &mut Watcher, n: u64| {
        let seen = watch(watcher, n * S / 10, false);
        (seen.observation.is_some(), seen.choice.map(|c| c.trigger))
    };
    for n in 0..=60 {
        let expected = if n % 30 == 0 { (true, Some(Trigger::Interval)) } else { (false, None) };
        assert_eq!(looked(&mut watcher, n), expected, "{n}");
    }
    watcher.look_at_next();
    assert_eq!(looked(&mut watcher, 61), (true, None));
    assert_eq!(looked(&mut watcher, 62), (false, None), "the next one only");
    watcher.obey(&due());
    assert_eq!(looked(&mut watcher, 63), (true, Some(Trigger::Schedule)));
}

#[test]
fn outside_its_hours_motion_makes_no_event_and_the_scene_is_learnt() {
    let pre_event = Some(PreEvent { within: Duration::from_secs(5), fps: 2.0, bytes: 1 << 20 });
    let events = EventSettings { keep: Keep::First, pre_event, ..EventSettings::default() };
    let motion = Some((MotionSettings::default(), events));
    let mut watcher = watcher_of(WatchSettings { motion, ..WatchSettings::default() });
    watcher.obey(&Now { motion: false, ..Now::default() });
    let (mut moved, mut began) = (0, Vec::new());
    for n in 0..300 {
        if n == 200 {
            watcher.obey(&Now::default());
        }
        let seen = watch(&mut watcher, n * S / 10, (100..250).contains(&n));
        assert!(n >= 200 || (seen.choice.is_none() && !seen.remember), "{n}");
        moved += u32::from(n < 200 && seen.observation.as_ref().is_some_and(|o| o.motion));
        began.extend(seen.began().then_some(n));
    }
    assert!(moved > 50, "{moved}: it is looked at all the same");
    assert!(matches!(began[..], [200..=205]), "{began:?}: at once, for the scene is known");
}

#[test]
fn zones_are_on_as_the_clock_says_also_after_a_reopening() {
    let left = vec![(0.0, 0.0), (0.9, 0.0), (0.9, 1.0), (0.0, 1.0)];
    let polygon = crate::firstpass::Polygon(left);
    let zone = crate::firstpass::Zone { polygon, active: Some(0) };
    let events = EventSettings { keep: Keep::First, ..EventSettings::default() };
    let settings = MotionSettings { exclude: vec![zone], ..MotionSettings::default() };
    let motion = Some((settings, events));
    let mut watcher = watcher_of(WatchSettings { motion, ..WatchSettings::default() });
    let moved = |watcher: &mut Watcher, from: u64| {
        let frames = (0..140).map(|n| watch(watcher, from + n * S / 10, n >= 100));
        frames.filter(|seen| seen.observation.as_ref().is_some_and(|o| o.motion)).count()
    };
    let on = |on| Now { zones: vec![on], ..Now::default() };
    watcher.obey(&on(true));
    assert_eq!(moved(&mut watcher, 0), 0);
    watcher.finish();
    assert_eq!(moved(&mut watcher, 100 * S), 0, "still excluded");
    watcher.obey(&on(false));
    watcher.finish();
    assert!(moved(&mut watcher, 200 * S) > 20);
}

#[test]
fn a_picture_at_a_moment_is_taken_once_of_the_first_frame_that_can_be_one() {
    let mut watcher = watcher_of(interval_of_a_second(Some(Likeness::Alike)));
    assert_eq!(watch(&mut watcher, 0, false).choice.unwrap().trigger, Trigger::Interval);
    watcher.obey(&due());
    watcher.obey(&Now::default());
    // It shows what the last one showed, and the interval is not due.
    let choice = watch(&mut watcher, S / 2, false).choice.unwrap();
    assert_eq!(
        (choice.trigger, choice.class, &*choice.reason),
        (Trigger::Schedule, Class::Interval, "schedule")
    );
    assert!(watch(&mut watcher, 6 * S / 10, false).choice.is_none(), "once");
    // Due together they are one picture.
    watcher.obey(&due());
    assert_eq!(watch(&mut watcher, S, false).choice.unwrap().trigger, Trigger::Schedule);
    assert!(watch(&mut watcher, 11 * S / 10, false).choice.is_none());
}

#[test]
fn a_moment_waits_for_a_frame_that_can_be_read_and_is_no_picture_of_an_event() {
    let triggers = |due_at: u64| {
        let mut watcher = adaptive(5.0, 10.0);
        let mut taken = Vec::new();
        for n in 0..150 {
            watcher.obey(&if n == due_at { due() } else { Now::default() });
            let seen = watch(&mut watcher, n * S / 10, n >= 100);
            taken.extend(seen.choice.map(|choice| (n, choice.trigger)));
        }
        taken
    };
    let [(event, Trigger::Motion)] = triggers(1000)[..] else { panic!("no event") };
    let both = [(event, Trigger::Motion), (event + 1, Trigger::Schedule)];
    assert_eq!(triggers(event), both);

    let mut watcher = adaptive(5.0, 10.0);
    watcher.obey(&due());
    assert!(show(&mut watcher, 0, &[0; 100]).unusable.is_some());
    assert_eq!(watch(&mut watcher, S, false).choice.unwrap().trigger, Trigger::Schedule);
}

#[test]
fn a_moment_brings_no_picture_while_pictures_are_not_worth_taking() {
    let skip = [Condition::Dark].into_iter().collect();
    let tamper = TamperSettings { after: Duration::from_secs(1), skip };
    let motion = MotionSettings { tamper: Some(tamper), ..MotionSettings::default() };
    let mut watcher = watcher_of(WatchSettings {
        motion: Some((motion, EventSettings::default())),
        ..WatchSettings::default()
    });
    let dark = [0, 128].repeat(160 * 120);
    (0..30).for_each(|n| assert!(show(&mut watcher, n * S / 10, &dark).choice.is_none()));
    watcher.obey(&due());
    assert!(show(&mut watcher, 3 * S, &dark).choice.is_none());
    let later = (31..80).map(|n| watch(&mut watcher, n * S / 10, false));
    assert!(later.filter(|seen| seen.choice.is_some()).count() == 0, "nothing is made up for");
}

#[test]
fn a_stamp_from_next_year_does_not_silence_a_camera_until_then() {
    let mut watcher = watcher(true, Some(5.0), Some(10));
    let before = (0..50).map(|n| 100 * S + n * S / 5);
    let after = (51..300).map(|n| 100 * S + n * S / 5);
    let times = before.chain([YEAR]).chain(after);
    let (mut kept, mut looked, mut light) = (0, 0, 0);
    for at in times {
        let seen = watch(&mut watcher, at, false);
        kept += u32::from(seen.choice.is_some());
        looked += u32::from(seen.observation.is_some());
        light += u32::from(seen.observation.is_some_and(|o| o.light_change.is_some()));
    }
    assert_eq!((kept, light), (6, 0), "one each 10 s, that of the year among them");
    assert!(looked >= 298, "{looked}");
}

#[test]
fn a_clock_that_went_back_delays_nothing() {
    let mut watcher = watcher(true, Some(5.0), Some(10));
    assert_eq!(kept(&mut watcher, [YEAR]), [YEAR]);
    let times: Vec<_> = (0..=100).map(|n| S + n * S / 5).collect();
    assert_eq!(kept(&mut watcher, times), [11 * S, 21 * S]);
}

#[test]
fn motion_is_seen_and_its_event_ends_after_a_stamp_from_next_year() {
    let mut watcher = watcher(true, None, None);
    let mut changes = Vec::new();
    let mut at = 0;
    for n in 0..600 {
        at += S / 10;
        let stamp = if n == 120 { YEAR } else { at };
        let seen = watch(&mut watcher, stamp, (115..130).contains(&n) || (300..320).contains(&n));
        changes.extend(seen.step.and_then(|s| s.change));
    }
    assert!(changes.iter().filter(|c| **c == Transition::Began).count() >= 2, "{changes:?}");
    assert!(matches!(changes.last(), Some(Transition::Ended { .. })), "{changes:?}");
}

#[test]
fn a_reopened_camera_goes_on_with_its_interval_and_ends_its_event() {
    let mut watcher = watcher(true, None, Some(60));
    let mut kept = 0;
    let mut began = None;
    for n in 0..150 {
        let seen = watch(&mut watcher, n * S / 10, n >= 100);
        kept += u32::from(seen.choice.as_ref().is_some_and(|c| c.trigger == Trigger::Interval));
        if seen.began() {
            began = seen.step.and_then(|s| s.event);
        }
    }
    let ended = watcher.finish();
    assert!(
        matches!(&ended, Some(Transition::Ended { event, .. }) if Some(event) == began.as_ref())
    );
    assert_eq!(watcher.finish(), None);
    for n in 150..300 {
        let seen = watch(&mut watcher, n * S / 10, false);
        kept += u32::from(seen.choice.is_some());
    }
    assert_eq!(kept, 1);
}

fn interval_of_a_second(drop_similar: Option<Likeness>) -> WatchSettings {
    WatchSettings {
        interval: Some(Duration::from_secs(1)),
        drop_similar,
        ..WatchSettings::default()
    }
}

#[test]
fn pictures_by_interval_that_show_nothing_new_are_dropped_until_something_is() {
    let story = |likeness| {
        let mut watcher = watcher_of(interval_of_a_second(likeness));
        let square = |n| (4..7).contains(&n).then_some(60);
        let frames = (0..9).map(|n| look(&mut watcher, n * S, square(n)));
        frames.map(|seen| (seen.choice.is_some(), seen.similar)).collect::<Vec<_>>()
    };
    let kept = |story: &[(bool, bool)]| story.iter().map(|s| u8::from(s.0)).collect::<Vec<_>>();
    let dropping = story(Some(Likeness::Same));
    assert_eq!(kept(&dropping), [1, 0, 0, 0, 1, 0, 0, 1, 0]);
    assert!(dropping.iter().all(|(kept, similar)| kept != similar), "each is one or the other");
    assert_eq!(kept(&story(None)), [1; 9]);
}

#[test]
fn a_picture_that_was_refused_makes_no_other_one_needless() {
    let mut watcher = watcher_of(interval_of_a_second(Some(Likeness::Same)));
    assert!(watch(&mut watcher, 0, false).choice.is_some());
    watcher.refused();
    let seen = watch(&mut watcher, S, false);
    assert!(seen.choice.is_some() && !seen.similar);
    let seen = watch(&mut watcher, 2 * S, false);
    assert_eq!(
        (seen.similar, seen.to_string().as_str()),
        (true, "shows what the last picture showed")
    );
}

/// Ten frames a second, a square from the tenth second on that comes from the left, and stands after a second.
fn film(settings: EventSettings, drop_similar: Option<Likeness>) -> Vec<Seen> {
    let motion = Some((MotionSettings::default(), settings));
    let mut watcher =
        watcher_of(WatchSettings { motion, drop_similar, ..WatchSettings::default() });
    let x = |n: u64| n.checked_sub(100).map(|n| 22 + n.min(10) as usize * 4);
    (0..250).map(|n| look(&mut watcher, n * S / 10, x(n))).collect()
}

#[test]
fn an_events_first_picture_is_never_too_similar_and_further_ones_may_be() {
    let keep = |keep, likeness| {
        let seen = film(EventSettings { keep, ..EventSettings::default() }, likeness);
        let kept = seen.iter().filter(|s| s.choice.is_some()).count();
        (kept, seen.iter().filter(|s| s.similar).count())
    };
    let (all, none) = keep(Keep::All, None);
    assert!(all > 50 && none == 0);
    let (kept, similar) = keep(Keep::All, Some(Likeness::Same));
    assert!((2..10).contains(&kept), "{kept}: the square stands still after a second");
    assert_eq!(similar, all - kept);
    assert_eq!(keep(Keep::First, Some(Likeness::Alike)), (1, 0));
}

#[test]
fn an_events_first_picture_is_kept_although_an_interval_showed_the_same() {
    let events = EventSettings { keep: Keep::First, ..EventSettings::default() };
    let mut watcher = watcher_of(WatchSettings {
        motion: Some((MotionSettings::default(), events)),
        interval: Some(Duration::from_millis(1)),
        drop_similar: Some(Likeness::Same),
        ..WatchSettings::default()
    });
    let x = |n: u64| n.checked_sub(100).map(|n| 20 + n.min(1) as usize * 8);
    let seen = (0..150).map(|n| look(&mut watcher, n * S / 10, x(n)));
    let kept: Vec<_> =
        seen.enumerate().filter_map(|(n, seen)| seen.choice.map(|c| (n, c.trigger))).collect();
    assert!(
        matches!(kept[..], [.., (stands, Trigger::Interval), (_, Trigger::Motion)] if stands > 100),
        "{kept:?}"
    );
}

#[test]
fn what_is_dropped_as_similar_uses_up_no_burst() {
    let burst =
        Some(crate::firstpass::trigger::BurstLimit { pictures: 10, per: Duration::from_secs(60) });
    let settings = EventSettings { keep: Keep::All, burst, ..EventSettings::default() };
    let over = |likeness| {
        let seen = film(settings.clone(), likeness);
        let burst =
            |s: &&Seen| s.step.as_ref().is_some_and(|s| matches!(s.reason, Reason::Burst(_)));
        seen.iter().filter(burst).count()
    };
    assert!(over(None) > 50);
    assert_eq!(over(Some(Likeness::Same)), 0);
}

#[test]
fn candidates_are_offered_with_their_worth_and_the_time_to_decide_is_told() {
    let keep = Keep::Best(Duration::from_secs(1));
    let seen = film(EventSettings { keep, ..EventSettings::default() }, Some(Likeness::Same));
    let offers: Vec<_> = seen.iter().filter_map(|s| s.offer.as_ref()).collect();
    assert!(seen.iter().all(|s| s.choice.is_none() && !s.similar));
    assert_eq!(offers.len(), 10, "a second of them");
    assert!(offers.iter().all(|o| o.worth > 0.0 && o.last && o.event == offers[0].event));
    let first = seen.iter().position(|s| s.offer.is_some()).unwrap();
    assert!(seen[first].began() && !seen[first].decides());
    assert!(seen[first].to_string().contains("may be the best of event 0f3c9a52-"));
    let decided = seen.iter().position(Seen::decides).unwrap();
    assert_eq!(decided, first + 10);
    assert!(seen[decided + 1].to_string().ends_with("has its picture"));
}

#[test]
fn a_decision_is_due_while_no_frame_comes() {
    let keep = Keep::Best(Duration::from_secs(1));
    let settings = EventSettings { keep, ..EventSettings::default() };
    let motion = Some((MotionSettings::default(), settings));
    let mut watcher = watcher_of(WatchSettings { motion, ..WatchSettings::default() });
    let mut n = 0;
    while !watch(&mut watcher, n * S / 10, n >= 100).began() {
        n += 1;
    }
    assert!(!watcher.waited(Duration::from_millis(900)));
    assert!(watcher.waited(Duration::from_millis(1000)));
    assert!(!watcher.waited(Duration::from_millis(2000)), "once");
}

#[test]
fn frames_are_held_back_at_their_own_pace_and_only_while_no_event_is_on() {
    let pre_event = Some(PreEvent { within: Duration::from_secs(5), fps: 2.0, bytes: 1 << 20 });
    let seen =
        film(EventSettings { keep: Keep::First, pre_event, ..EventSettings::default() }, None);
    let held: Vec<_> = (0..250).filter(|&n| seen[n].remember).collect();
    let before: Vec<_> = held.iter().copied().filter(|&n| n < 100).collect();
    assert_eq!(before, (0..20).map(|n| n * 5).collect::<Vec<_>>());
    let of_event = |n: &usize| seen[*n].step.as_ref().is_some_and(|s| s.event.is_some());
    assert!(!held.iter().any(of_event));
    assert!(film(EventSettings::default(), None).iter().all(|s| !s.remember), "nobody wants them");
}
