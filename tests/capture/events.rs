//! What the still thread hears of events.

use vedette::contract::Trigger;
use vedette::firstpass::trigger::Keep;
use vedette::still::EventEnd;

use super::*;

/// Every frame of an event is kept, and nothing else.
fn plan() -> Plan {
    let motion = Some(EventSettings { keep: Keep::All, ..EventSettings::default() });
    Plan { limit: 1 << 26, motion, interval: None, size: (160, 120), ..Plan::default() }
}

pub(super) fn bright(numbers: std::ops::Range<u64>) -> Vec<Act> {
    numbers.map(Act::Bright).collect()
}

/// Grey frames until the first pass knows the scene, then something that moves.
pub(super) fn moving() -> Vec<Act> {
    [frames(0..30), bright(30..33)].concat()
}

/// What was picked, in order: the event of a picture, or an event's end.
fn told(picks: Vec<Pick>) -> Vec<Result<String, EventEnd>> {
    let one = |pick| match pick {
        Pick::One(candidate, _) => Ok(candidate.event.unwrap_or_default().0),
        Pick::EventEnded(end) => Err(*end),
        other => panic!("{other:?}"),
    };
    picks.into_iter().map(one).collect()
}

fn ends(told: &[Result<String, EventEnd>]) -> Vec<&EventEnd> {
    told.iter().filter_map(|one| one.as_ref().err()).collect()
}

#[test]
fn the_end_of_an_event_comes_after_all_its_pictures_and_tells_all_of_it() {
    let rig = Rig::new(plan(), [Ok([moving(), frames(33..60)].concat())]);
    rig.over();
    let told = told(rig.stop().1);
    let (last, pictures) = told.split_last().unwrap();
    let end = last.as_ref().unwrap_err();
    assert!(
        pictures.len() >= 3 && pictures.iter().all(|p| p.as_ref() == Ok(&end.event)),
        "{told:?}"
    );
    assert_eq!((end.camera.as_str(), end.why.as_str()), ("front", "quiet"));
    assert_eq!(end.chosen, pictures.len() as u64);
    assert_eq!(end.event, format!("0f3c9a52-{:x}", end.began.millis()));
    assert!((31..34).contains(&(end.began.0 / SECOND)), "{end:?}");
    assert!(end.duration >= Duration::from_secs(1), "{end:?}");
}

#[test]
fn an_event_ends_with_its_camera_and_with_the_agent() {
    let script = [Ok([moving(), vec![Act::Lost("unplugged")]].concat()), Ok(moving())];
    let rig = Rig::new(plan(), script);
    rig.over();
    let told = told(rig.stop().1);
    let ends = ends(&told);
    assert_eq!(ends.iter().map(|end| end.why.as_str()).collect::<Vec<_>>(), ["stopped"; 2]);
    assert_ne!(ends[0].event, ends[1].event);
    assert!(told.last().unwrap().is_err(), "the last thing told");
    let source_ends = Rig::new(plan(), [Ok([moving(), vec![Act::Ended]].concat())]);
    source_ends.ended.recv_timeout(PLENTY).unwrap();
    assert!(matches!(source_ends.picks.iter().last(), Some(Pick::EventEnded(_))));
}

#[test]
fn an_event_began_when_its_first_picture_was_captured_also_after_a_clock_went_back() {
    let script = [vec![Act::Frame(0), Act::Clock(9000), Act::Frame(1), Act::Clock(2)], moving()];
    let rig = Rig::new(plan(), [Ok(script.concat())]);
    rig.over();
    let picks = rig.stop().1;
    let Some(Pick::One(first, _)) = picks.first() else { panic!("{picks:?}") };
    let captured = first.captured;
    let told = told(picks);
    assert_eq!(ends(&told)[0].began, captured);
    assert!(captured.0 < 100 * SECOND);
}

#[test]
fn pictures_that_are_refused_count_as_chosen() {
    let rig = Rig::new(Plan { limit: 0, ..plan() }, [Ok([moving(), frames(33..60)].concat())]);
    rig.over();
    let (sums, picks) = rig.stop();
    let told = told(picks);
    assert_eq!(told.len(), 1);
    let end = told[0].as_ref().unwrap_err();
    assert!(end.chosen >= 3 && end.chosen == sums.refused_total(), "{end:?}");
}

#[test]
fn pictures_of_no_event_do_not_count_for_the_one_that_is_on() {
    let motion = Some(EventSettings { keep: Keep::First, ..EventSettings::default() });
    let plan = Plan { motion, interval: Some(Duration::from_nanos(1)), ..plan() };
    let rig = Rig::new(plan, [Ok([moving(), frames(33..60)].concat())]);
    rig.over();
    let picks = rig.stop().1;
    let motion = |p: &&Pick| matches!(p, Pick::One(c, _) if c.trigger == Trigger::Motion);
    assert_eq!(picks.iter().filter(motion).count(), 1);
    assert!(picks.len() > 50);
    assert_eq!(ends(&told(picks))[0].chosen, 1);
}

#[test]
fn an_end_that_finds_no_room_is_told_with_the_next_frame() {
    let plan = Plan { picks: 1, ..plan() };
    let script = [moving(), frames(33..60), vec![Act::Wait], frames(60..62)].concat();
    let rig = Rig::new(plan, [Ok(script)]);
    rig.over();
    let first = rig.picks.recv_timeout(PLENTY).unwrap();
    assert!(matches!(first, Pick::One(..)));
    assert!(rig.picks.try_recv().is_err(), "there was no room for the end");
    rig.gate.send(()).unwrap();
    rig.over();
    assert!(matches!(rig.picks.try_recv().unwrap(), Pick::EventEnded(_)));
    assert!(rig.stop().1.is_empty(), "told once");
}

#[test]
fn of_ends_that_nobody_takes_the_last_sixteen_are_kept() {
    let plan = Plan { picks: 1, ..plan() };
    let mut script = moving();
    for n in 1..=19 {
        script.extend(frames(n * 100..n * 100 + 30));
        script.extend(bright(n * 100 + 30..n * 100 + 33));
    }
    script.extend(frames(5000..5030));
    script.push(Act::Wait);
    for n in 6000..6020 {
        script.extend([Act::Frame(n), Act::Wait]);
    }
    let rig = Rig::new(plan, [Ok(script)]);
    rig.over();
    let events = rig.running.counters.events.load(Ordering::Relaxed);
    assert_eq!(events, 20);
    let mut picks = vec![rig.picks.try_recv().unwrap()];
    for _ in 0..20 {
        rig.gate.send(()).unwrap();
        rig.over();
        picks.extend(rig.picks.try_recv());
    }
    rig.stop();
    let told = told(picks);
    let began: Vec<_> = ends(&told).iter().map(|end| end.began).collect();
    assert_eq!((began.len(), began.is_sorted()), (16, true));
    assert!(began[15].0 > 19 * 33 * SECOND, "the newest are kept");
}
