use super::*;
use proptest::prelude::*;

const MS: u64 = 1_000_000;

fn machine(keep: Keep) -> EventMachine {
    let settings = EventSettings {
        min_duration: Duration::from_millis(200),
        post_event: Duration::from_secs(2),
        max_duration: Duration::from_secs(5),
        keep,
        ..EventSettings::default()
    };
    machine_of(settings)
}

fn machine_of(settings: EventSettings) -> EventMachine {
    EventMachine::new(settings, &BootId("0a1b2c3d-0000-4000-8000-000000000000".to_owned()))
}

fn best() -> Keep {
    Keep::Best(Duration::from_millis(500))
}

/// Steps through `(ms, motion)` and writes what happened: `.` nothing, `r` rising, `i` in an event,
/// `T` taken, `B` began (and taken), `Q`/`X` ended (quiet / too long); `C` began and is a candidate, `c` is
/// one, `D` decided; `b` would be taken but for the burst limit, `w` waits for the cool-down.
fn run(machine: &mut EventMachine, frames: &[(u64, bool)]) -> String {
    frames.iter().map(|&(ms, motion)| letter(&machine.step(BootTime(ms * MS), motion))).collect()
}

fn letter(step: &Step) -> char {
    match (step.comparison, step.reason) {
        (Some(Comparison::Candidate { .. }), Reason::Candidate) => {
            assert!(step.take.is_none() && step.event.is_some());
            return if step.change == Some(Transition::Began) { 'C' } else { 'c' };
        }
        (Some(Comparison::Over), Reason::Decided) => return 'D',
        (None, Reason::Burst(_)) => return 'b',
        (None, Reason::CoolDown(_)) if step.change.is_none() => return 'w',
        (None, _) => {}
        other => panic!("impossible step {other:?}"),
    }
    match (&step.change, step.take, &step.event, step.reason) {
        (Some(Transition::Began), Some(_), Some(_), Reason::First) => 'B',
        (Some(Transition::Ended { why: EndReason::Quiet, .. }), None, None, _) => 'Q',
        (Some(Transition::Ended { why: EndReason::TooLong, .. }), None, None, _) => 'X',
        (None, Some(_), Some(_), _) => 'T',
        (None, None, Some(_), _) => 'i',
        (None, None, None, Reason::TooShort) => 'r',
        (None, None, None, Reason::NoMotion) => '.',
        other => panic!("impossible step {other:?}"),
    }
}

/// Frames 100 ms apart, `#` with motion.
fn film(pattern: &str) -> Vec<(u64, bool)> {
    pattern.chars().enumerate().map(|(i, c)| (i as u64 * 100, c == '#')).collect()
}

#[test]
fn motion_must_last_before_an_event_begins_and_one_missed_frame_is_forgiven() {
    for (pattern, expected) in [
        ("...", "..."),
        ("#..", "r.."),
        ("##..##..", "rr..rr.."),
        ("###", "rrB"),
        ("#.#", "r.B"),
        ("#..#.#", "r..r.B"),
        ("##.#", "rr.B"),
    ] {
        assert_eq!(run(&mut machine(Keep::First), &film(pattern)), expected, "{pattern}");
    }
}

#[test]
fn no_minimum_begins_with_the_first_frame() {
    let mut machine = machine(Keep::First);
    machine.settings.min_duration = Duration::ZERO;
    assert_eq!(run(&mut machine, &film(".##")), ".Bi");
}

#[test]
fn an_event_ends_after_its_quiet_time_and_motion_within_it_goes_on() {
    let mut m = machine(Keep::First);
    assert_eq!(run(&mut m, &[(0, true), (200, true), (2100, false), (2199, false)]), "rBii");
    assert_eq!(run(&mut m, &[(2150, true), (4149, false), (4150, false), (4200, false)]), "iiQ.");
}

#[test]
fn the_end_tells_the_event_its_duration_and_why() {
    let mut m = machine(Keep::First);
    let first = film("###").into_iter().map(|(t, a)| m.step(BootTime(t * MS), a)).last().unwrap();
    let event = first.event.clone().unwrap();
    assert_eq!(&*event, "0a1b2c3d-c8");
    assert_eq!(first.take, Some(Take { class: Class::Best, last: true }));
    assert_eq!(first.to_string(), "first picture of event 0a1b2c3d-c8");
    m.step(BootTime(900 * MS), true);
    let end = m.step(BootTime(2900 * MS), false);
    let duration = Duration::from_millis(700);
    assert_eq!(end.change, Some(Transition::Ended { event, duration, why: EndReason::Quiet }));
    assert_eq!(end.event, None);
}

#[test]
fn a_long_event_ends_and_motion_that_goes_on_begins_the_next() {
    let frames: Vec<_> = (0..60).map(|i| (i * 100, true)).collect();
    let story = run(&mut machine(Keep::First), &frames);
    // Begins at 200 ms, ends at 5200 ms, rises again in that very frame.
    assert_eq!(story.find('X'), Some(52));
    assert_eq!(&story[50..], "iiXrBiiiii");
}

#[test]
fn motion_after_a_silence_of_the_camera_is_another_event() {
    let mut m = machine(Keep::First);
    assert_eq!(run(&mut m, &[(0, true), (200, true), (3100, true)]), "rBi");
    assert_eq!(run(&mut m, &[(60_000, true), (60_100, true), (60_200, true)]), "QrB");
}

#[test]
fn every_and_all_keep_the_quiet_time_too_and_first_keeps_one() {
    let pattern = "#####.............................";
    for (keep, expected) in [
        (Keep::First, "rrBiiiiiiiiiiiiiiiiiiiiiQ........."),
        (Keep::All, "rrBTTTTTTTTTTTTTTTTTTTTTQ........."),
        (Keep::Every(Duration::from_millis(500)), "rrBiiiiTiiiiTiiiiTiiiiTiQ........."),
    ] {
        assert_eq!(run(&mut machine(keep), &film(pattern)), expected, "{keep:?}");
    }
}

#[test]
fn stopping_ends_the_event_that_is_on_and_nothing_else() {
    let mut m = machine(Keep::All);
    assert_eq!(m.finish(), None);
    run(&mut m, &film("#"));
    assert_eq!(m.finish(), None);
    run(&mut m, &film("####"));
    assert!(matches!(m.finish(), Some(Transition::Ended { why: EndReason::Stopped, .. })));
    assert_eq!(m.finish(), None);
}

#[test]
fn times_that_stand_still_or_go_back_do_not_repeat_an_id() {
    let mut m = machine(Keep::First);
    m.settings.min_duration = Duration::ZERO;
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        ids.insert(m.step(BootTime(5 * MS), true).event.unwrap());
        m.finish();
    }
    ids.insert(m.step(BootTime(MS), true).event.unwrap());
    assert_eq!(ids.len(), 4);
}

#[test]
fn looking_for_the_best_ends_in_time_or_with_the_event_and_only_motion_is_compared() {
    for (pattern, expected) in
        [("#########", "rrCccccDi"), ("###.##..#", "rrCicciDi"), ("###......", "rrCiiiiDi")]
    {
        assert_eq!(run(&mut machine(best()), &film(pattern)), expected, "{pattern}");
    }
    let mut long = machine(Keep::Best(Duration::from_secs(60)));
    assert_eq!(run(&mut long, &film("####....................")), "rrCciiiiiiiiiiiiiiiiiiiQ");
    assert_eq!(run(&mut machine(Keep::Best(Duration::ZERO)), &film("####")), "rrBi");
}

#[test]
fn looking_for_the_best_ends_while_no_frame_comes_and_once() {
    let mut m = machine(best());
    assert!(!m.waited(BootTime(0)));
    run(&mut m, &film("###"));
    assert!(!m.waited(BootTime(699 * MS)));
    assert!(m.waited(BootTime(700 * MS)));
    assert!(!m.waited(BootTime(900 * MS)), "decided once");
    assert_eq!(run(&mut m, &[(1000, true), (1100, false)]), "ii");
    let mut first = machine(Keep::First);
    run(&mut first, &film("###"));
    assert!(!first.waited(BootTime(9_000 * MS)));
}

#[test]
fn a_best_picture_is_the_last_of_its_event_unless_there_are_some_from_before_it() {
    let pre_event = PreEvent { within: Duration::from_secs(3), fps: 2.0, bytes: 1 << 20 };
    for (pre_event, last) in [(None, true), (Some(pre_event), false)] {
        for keep in [best(), Keep::First] {
            let settings = EventSettings { keep, pre_event, ..machine(keep).settings };
            let mut m = machine_of(settings);
            let steps = film("###").into_iter().map(|(t, motion)| m.step(BootTime(t * MS), motion));
            let step = steps.last().unwrap();
            let told = match step.comparison {
                Some(Comparison::Candidate { last }) => last,
                _ => step.take.unwrap().last,
            };
            assert_eq!(told, last, "{keep:?}");
        }
    }
}

#[test]
fn after_an_event_the_next_one_waits_for_the_cool_down() {
    let cool_down = Duration::from_millis(1000);
    let settings = EventSettings { cool_down, ..machine(Keep::First).settings };
    let mut m = machine_of(settings.clone());
    run(&mut m, &film("###"));
    let after =
        [(2200, false), (2300, true), (3100, true), (3199, true), (3200, true), (3400, true)];
    assert_eq!(run(&mut m, &after), "QwwwrB");
    assert_eq!(m.step(BootTime(3500 * MS), true).to_string(), "event 0a1b2c3d-d48 has its picture");
    // One that is ended for its length, while motion goes on.
    let frames: Vec<_> = (0..70).map(|i| (i * 100, true)).collect();
    let mut m = machine_of(settings);
    let story: Vec<_> = frames.iter().map(|&(t, a)| m.step(BootTime(t * MS), a)).collect();
    let Some(Transition::Ended { .. }) = story[52].change else { panic!("{:?}", story[52]) };
    assert!(matches!(story[52].reason, Reason::CoolDown(_)));
    assert_eq!(story[55].to_string(), "cool-down: no event for another 700ms");
    let began: Vec<_> = (0..70).filter(|&n| story[n].change == Some(Transition::Began)).collect();
    assert_eq!(began, [2, 64]);
}

#[test]
fn a_burst_limit_holds_in_every_span_and_an_event_gets_its_picture_when_it_may() {
    let burst = Some(BurstLimit { pictures: 3, per: Duration::from_millis(1000) });
    let limited = |keep| machine_of(EventSettings { burst, ..machine(keep).settings });
    assert_eq!(run(&mut limited(Keep::All), &film("###############")), "rrBTTbbbbbbbTTT");
    let mut m = limited(Keep::First);
    assert_eq!(m.admit(BootTime(0), 5), 3);
    assert_eq!(run(&mut m, &film("############")), "rrbbbbbbbbTi");
    let mut m = limited(best());
    m.admit(BootTime(0), 3);
    assert_eq!(run(&mut m, &film("#################")), "rrbbbbbbbbcccccDi");
    let mut m = limited(Keep::All);
    run(&mut m, &film("#####"));
    m.forgo();
    assert_eq!(run(&mut m, &[(500, true), (600, true)]), "Tb", "the third was none after all");
    assert_eq!(machine(Keep::All).admit(BootTime(0), 5), 5, "without a limit");
}

fn any_settings() -> impl Strategy<Value = EventSettings> {
    let keep = prop_oneof![
        Just(Keep::First),
        Just(Keep::All),
        (0u64..3000).prop_map(|ms| Keep::Best(Duration::from_millis(ms))),
        (1u64..2000).prop_map(|ms| Keep::Every(Duration::from_millis(ms))),
    ];
    let burst = prop::option::of(
        (1usize..6, 1u64..3000)
            .prop_map(|(pictures, ms)| BurstLimit { pictures, per: Duration::from_millis(ms) }),
    );
    let times = (0u64..1000, 0u64..3000, 0u64..5000, 0u64..2000);
    (times, keep, burst).prop_map(|((min, post, max, cool), keep, burst)| EventSettings {
        min_duration: Duration::from_millis(min),
        post_event: Duration::from_millis(post),
        max_duration: Duration::from_millis(max),
        cool_down: Duration::from_millis(cool),
        keep,
        pre_event: None,
        burst,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn events_alternate_have_one_id_and_keep_their_spacing(
        settings in any_settings(),
        frames in prop::collection::vec((0u64..700, prop::bool::weighted(0.6)), 1..200),
    ) {
        let mut m = EventMachine::new(settings.clone(), &BootId("ab".to_owned()));
        let (mut now, mut open, mut seen, mut last_take) = (0, None, Vec::new(), None);
        let (mut ended, mut pictures, mut looking) = (None, Vec::new(), None);
        for (gap, motion) in frames {
            now += gap;
            let step = m.step(BootTime(now * MS), motion);
            match &step.change {
                Some(Transition::Began) => {
                    prop_assert!(open.is_none() && motion);
                    prop_assert!(!seen.contains(&step.event));
                    seen.push(step.event.clone());
                    open.clone_from(&step.event);
                    last_take = None;
                    looking = None;
                    let since = ended.map_or(u64::MAX, |end| now - end);
                    prop_assert!(Duration::from_millis(since) >= settings.cool_down);
                }
                Some(Transition::Ended { event, duration, .. }) => {
                    prop_assert_eq!(open.take(), Some(event.clone()));
                    ended = Some(now);
                    prop_assert!(*duration <= settings.max_duration + Duration::from_millis(1));
                }
                None => {}
            }
            prop_assert_eq!(&step.event, &open);
            if let Some(take) = step.take {
                prop_assert!(step.event.is_some());
                let one = matches!(settings.keep, Keep::First | Keep::Best(_));
                prop_assert_eq!(take.last, one);
                if let (Keep::Every(every), Some(last)) = (settings.keep, last_take) {
                    prop_assert!(Duration::from_millis(now - last) >= every);
                }
                prop_assert!(!one || last_take.is_none());
                last_take = Some(now);
            }
            let mut begins = false; // to look for the best: what the burst limit counts
            if let Keep::Best(within) = settings.keep {
                // Nobody is a candidate after the time is up, and it is up once.
                let late = looking.is_some_and(|t| Duration::from_millis(now - t) >= within);
                match step.comparison {
                    Some(Comparison::Candidate { .. }) => {
                        prop_assert!(motion && !late && last_take.is_none());
                        begins = looking.is_none();
                        looking.get_or_insert(now);
                    }
                    Some(Comparison::Over) => {
                        prop_assert!(late && last_take.is_none());
                        last_take = Some(now);
                    }
                    None => {}
                }
            }
            if step.take.is_some() || begins {
                pictures.push(now);
            }
            if let Some(burst) = settings.burst {
                let lately = pictures.iter().filter(|&&t| Duration::from_millis(now - t) < burst.per);
                prop_assert!(lately.count() <= burst.pictures);
            }
        }
    }
}
