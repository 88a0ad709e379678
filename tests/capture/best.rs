//! The candidates for an event's best picture, from the camera thread to the still thread.

use vedette::firstpass::trigger::{BurstLimit, Keep};
use vedette::still::{Candidate, EventEnd};

use super::events::{bright, moving};
use super::*;

const LARGE: u64 = 160 * 120 * 2;

fn plan(within: u64) -> Plan {
    let keep = Keep::Best(Duration::from_secs(within));
    let motion = Some(EventSettings { keep, ..EventSettings::default() });
    Plan { limit: 1 << 26, motion, interval: None, size: (160, 120), ..Plan::default() }
}

/// The only choice and the end of its event, in this order.
fn told(picks: Vec<Pick>) -> (Vec<Candidate>, EventEnd) {
    match <[Pick; 2]>::try_from(picks) {
        Ok([Pick::BestOf(candidates, token), Pick::EventEnded(end)]) => {
            drop(token);
            (candidates, *end)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_candidates_of_an_event_are_one_choice_and_its_end_comes_after() {
    let script = [moving(), bright(33..40), frames(40..60)].concat();
    let rig = Rig::new(plan(4), [Ok(script)]);
    rig.over();
    assert_eq!(counted(&rig)[3], 1, "one picture is chosen");
    let sums = rig.account.sums();
    assert_eq!((sums.chosen, sums.in_hand, sums.bytes), (1, 1, 3 * LARGE));
    let (candidates, end) = told(rig.stop().1);
    assert_eq!(end.chosen, 1);
    assert_eq!(candidates.len(), 3);
    for candidate in &candidates {
        assert_eq!(candidate.event.as_ref(), Some(&(end.event.clone(), true)));
        assert_eq!(candidate.marks, [("best-of", "4".to_owned())], "four seconds at one a second");
        assert_eq!(candidate.data.len() as u64, LARGE);
        assert!((0..4).contains(&((candidate.captured.0 - end.began.0) / SECOND)));
        assert!(candidate.seen.as_ref().unwrap().motion);
    }
}

#[test]
fn an_event_that_is_lost_or_stopped_hands_on_what_there_is() {
    let script = [moving(), vec![Act::Lost("unplugged")]].concat();
    let lost = Rig::new(plan(60), [Ok(script), Ok(vec![])]);
    lost.over();
    let (candidates, end) = told(lost.stop().1);
    assert_eq!((candidates.len(), end.chosen, end.why.as_str()), (2, 1, "stopped"));
    let stopped = Rig::new(plan(60), [Ok(moving())]);
    stopped.over();
    assert_eq!(stopped.account.sums().chosen, 0, "nothing is decided yet");
    let (sums, picks) = stopped.stop();
    assert_eq!((sums.chosen, sums.in_hand), (1, 1));
    assert_eq!(told(picks).1.chosen, 1);
    let ended = Rig::new(plan(60), [Ok([moving(), vec![Act::Ended]].concat())]);
    ended.ended.recv_timeout(PLENTY).unwrap();
    assert_eq!(told(ended.picks.iter().collect()).0.len(), 2);
}

#[test]
fn a_camera_that_gives_no_frame_does_not_make_the_picture_late() {
    let early = vec![Act::Timeout(Duration::from_millis(900)), Act::Wait];
    let late = vec![Act::Timeout(Duration::from_millis(100)), Act::Wait];
    let rig = Rig::new(plan(2), [Ok([moving(), early, late, frames(33..60)].concat())]);
    rig.over();
    assert!(rig.picks.try_recv().is_err(), "1.9 s after the first frame");
    rig.gate.send(()).unwrap();
    rig.over();
    let Ok(Pick::BestOf(candidates, _)) = rig.picks.try_recv() else { panic!("no choice") };
    assert_eq!(candidates.len(), 2);
    rig.gate.send(()).unwrap();
    rig.over();
    let (sums, picks) = rig.stop();
    assert!(matches!(picks[..], [Pick::EventEnded(_)]) && sums.chosen == 1, "{picks:?}");
}

#[test]
fn candidates_share_the_byte_budget_and_without_room_for_one_the_picture_is_refused() {
    for (limit, held, refused) in [(LARGE, 1, 0), (2 * LARGE + 1, 2, 0), (LARGE - 1, 0, 1)] {
        let script = [moving(), bright(33..40), frames(40..60)].concat();
        let rig = Rig::new(Plan { limit, ..plan(4) }, [Ok(script)]);
        rig.over();
        let (sums, picks) = rig.stop();
        assert!(sums.holds() && sums.bytes <= limit);
        assert_eq!((sums.chosen, sums.refused[Refusal::Busy as usize]), (1, refused), "{limit}");
        let candidates = picks.iter().find_map(|pick| match pick {
            Pick::BestOf(candidates, _) => Some(candidates.len()),
            _ => None,
        });
        assert_eq!(candidates.unwrap_or(0), held);
        let Some(Pick::EventEnded(end)) = picks.last() else { panic!("{picks:?}") };
        assert_eq!(end.chosen, 1, "refused or not");
    }
}

#[test]
fn a_full_way_to_the_still_thread_refuses_the_choice() {
    let script = [moving(), frames(33..60)].concat();
    let rig = Rig::new(Plan { picks: 0, ..plan(2) }, [Ok(script)]);
    rig.over();
    let sums = rig.account.sums();
    assert_eq!((sums.chosen, sums.refused_total(), sums.bytes), (1, 1, 0));
    drop(rig.stop());
}

#[test]
fn a_burst_limit_and_a_cool_down_are_counted() {
    let motion = Some(EventSettings {
        keep: Keep::All,
        burst: Some(BurstLimit { pictures: 2, per: Duration::from_secs(3600) }),
        cool_down: Duration::from_secs(3600),
        ..EventSettings::default()
    });
    let again = [frames(60..90), bright(90..93)].concat();
    let script = [moving(), frames(33..60), again].concat();
    let rig = Rig::new(Plan { motion, ..plan(0) }, [Ok(script)]);
    rig.over();
    let c = &rig.running.counters;
    let [burst, cool_down, events] =
        [&c.burst, &c.cool_down, &c.events].map(|n| n.load(Ordering::Relaxed));
    assert_eq!((counted(&rig)[3], events), (2, 1));
    assert!(burst >= 1 && cool_down >= 1, "{burst} {cool_down}");
    rig.stop();
}
