//! Pictures from before an event.

use vedette::firstpass::trigger::{BurstLimit, Keep, PreEvent};
use vedette::still::Candidate;

use super::events::moving;
use super::*;

/// Five seconds of a frame a second, and of the event its first picture.
fn plan(bytes: u64) -> Plan {
    let within = Duration::from_secs(5);
    let pre_event = Some(PreEvent { within, fps: 1.0, bytes });
    let motion = EventSettings { keep: Keep::First, pre_event, ..EventSettings::default() };
    Plan {
        limit: 1 << 26,
        motion: Some(motion),
        interval: None,
        size: (160, 120),
        format: PixelFormat::Mjpeg,
        jpeg: true,
        ..Plan::default()
    }
}

fn script() -> Vec<Act> {
    [moving(), frames(33..60)].concat()
}

/// What was picked, without the event's end, which has to be the last.
fn pictures(picks: Vec<Pick>) -> (Vec<Candidate>, u64) {
    let (mut pictures, mut end) = (Vec::new(), None);
    for pick in picks {
        match pick {
            Pick::One(candidate, _) => pictures.push(*candidate),
            Pick::EventEnded(ended) => end = Some(ended.chosen),
            other => panic!("{other:?}"),
        }
    }
    (pictures, end.unwrap())
}

const BEFORE: [(&str, &str); 1] = [("pre-event", "true")];

fn marks(candidate: &Candidate) -> Vec<(&str, &str)> {
    candidate.marks.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

#[test]
fn frames_from_before_an_event_come_first_with_their_own_times_and_a_mark() {
    let rig = Rig::new(plan(1 << 20), [Ok(script())]);
    rig.over();
    assert_eq!(rig.running.counters.pre_event.load(Ordering::Relaxed), 5);
    let (sums, picks) = rig.stop();
    let (pictures, chosen) = pictures(picks);
    assert_eq!((sums.chosen, chosen, pictures.len()), (6, 6, 6));
    let (first, before) = pictures.split_last().unwrap();
    assert_eq!((marks(first), first.event.as_ref().unwrap().1), (vec![], false));
    let times: Vec<_> = before.iter().map(|c| (first.captured.0 - c.captured.0) / SECOND).collect();
    assert_eq!(times, [5, 4, 3, 2, 1]);
    for candidate in before {
        assert_eq!(marks(candidate), BEFORE);
        assert_eq!(candidate.event, first.event, "the event's id, and not its last picture");
        assert_eq!(candidate.class, vedette::contract::Class::Event);
        assert_eq!(candidate.trigger, vedette::contract::Trigger::Motion);
    }
}

#[test]
fn the_ring_has_a_byte_budget_and_what_waits_in_it_is_in_no_account() {
    let frame = jpeg(&[100, 128].repeat(160 * 120), (160, 120)).len() as u64;
    let rig =
        Rig::new(plan(3 * frame - 1), [Ok([frames(0..20), vec![Act::Wait], script()].concat())]);
    rig.over();
    assert_eq!(rig.running.counters.ring_bytes.load(Ordering::Relaxed), 2 * frame);
    assert_eq!(rig.account.sums(), Sums::default());
    rig.gate.send(()).unwrap();
    rig.over();
    let (pictures, _) = pictures(rig.stop().1);
    assert_eq!(pictures.iter().filter(|c| marks(c) == BEFORE).count(), 2);
}

#[test]
fn a_camera_that_was_lost_has_nothing_from_before() {
    let script = [Ok([frames(0..20), vec![Act::Lost("unplugged")]].concat()), Ok(script())];
    let plan = plan(1 << 20);
    let within = Duration::from_secs(3600);
    let pre_event = plan.motion.as_ref().and_then(|motion| motion.pre_event);
    let pre_event = pre_event.map(|before| PreEvent { within, ..before });
    let motion = plan.motion.clone().map(|motion| EventSettings { pre_event, ..motion });
    let rig = Rig::new(Plan { motion, ..plan }, script);
    rig.over();
    let held = rig.running.counters.pre_event.load(Ordering::Relaxed);
    assert!((30..34).contains(&held), "{held}: those of the second opening, not the twenty before");
    rig.stop();
}

#[test]
fn the_burst_limit_counts_pictures_from_before_and_keeps_the_newest() {
    let plan = plan(1 << 20);
    let burst = Some(BurstLimit { pictures: 3, per: Duration::from_secs(3600) });
    let motion = plan.motion.clone().map(|motion| EventSettings { burst, ..motion });
    let rig = Rig::new(Plan { motion, ..plan }, [Ok(script())]);
    rig.over();
    let (pictures, chosen) = pictures(rig.stop().1);
    let times: Vec<_> =
        pictures.iter().map(|c| (pictures[2].captured.0 - c.captured.0) / SECOND).collect();
    assert_eq!((chosen, times), (3, vec![2, 1, 0]));
}

#[test]
fn raw_frames_are_not_held_back() {
    let plan = Plan { format: PixelFormat::Yuyv, jpeg: false, ..plan(1 << 20) };
    let rig = Rig::new(plan, [Ok(script())]);
    rig.over();
    let c = &rig.running.counters;
    assert_eq!((c.pre_event.load(Ordering::Relaxed), c.ring_bytes.load(Ordering::Relaxed)), (0, 0));
    assert_eq!(pictures(rig.stop().1).0.len(), 1);
}
