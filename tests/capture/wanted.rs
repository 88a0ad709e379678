//! Pictures that somebody wants of the next frames.

use std::sync::mpsc::RecvTimeoutError;

use vedette::account::{Fate, Teller};
use vedette::capture::{Leave, Wanted};
use vedette::contract::{Class, Trigger};
use vedette::still::{Candidate, Order, Said};

use super::*;

/// Hears each fate of what one asker wants, and the end of it.
struct Heard {
    fates: Receiver<Fate>,
    leave: Arc<Leave>,
}

fn wanted(count: u32) -> (Wanted, Heard) {
    let (tell, fates) = sync_channel(64);
    let leave = Arc::new(Leave::default());
    let wanted = Wanted {
        trigger: Trigger::Command,
        command: Some(format!("c-{count}")),
        count,
        order: Order::default(),
        said: None,
        teller: Teller::new(move |fate| {
            tell.send(fate).ok();
        }),
        leave: leave.clone(),
    };
    (wanted, Heard { fates, leave })
}

/// Nothing is kept but what somebody wants.
fn plan() -> Plan {
    Plan { interval: None, ..Plan::default() }
}

fn candidates(picks: Vec<Pick>) -> Vec<Candidate> {
    let one = |pick| match pick {
        Pick::One(candidate, token) => {
            token.kept();
            *candidate
        }
        other => panic!("{other:?}"),
    };
    picks.into_iter().map(one).collect()
}

/// Command and capture second of each picture.
fn taken(picks: Vec<Pick>) -> Vec<(String, u64)> {
    let told = |c: Candidate| (c.command.unwrap_or_default(), c.captured.0 / SECOND);
    candidates(picks).into_iter().map(told).collect()
}

fn told(taken: &[(&str, u64)]) -> Vec<(String, u64)> {
    taken.iter().map(|(command, at)| ((*command).to_owned(), *at)).collect()
}

/// A camera that waits to be asked, then does this.
fn waiting(acts: impl IntoIterator<Item = Act>) -> [Opening; 1] {
    [Ok([Act::Frame(0), Act::Wait].into_iter().chain(acts).collect())]
}

#[test]
fn each_of_the_next_frames_is_taken_until_the_count_is_used_up() {
    let rig = Rig::new(plan(), waiting(frames(1..6)));
    rig.over();
    let (mut three, heard) = wanted(3);
    three.trigger = Trigger::External;
    three.order = Order { size: Some((640, 480)), quality: Some(50) };
    three.said = Some(Said { label: Some("person".into()), ..Said::default() });
    rig.asks.send(Ask::Keep(three.clone())).unwrap();
    drop(three.teller);
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(counted(&rig), [6, 0, 0, 3, 0]);
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, sums.in_hand, sums.bytes), (3, 3, 3 * FRAME));
    assert!(heard.fates.try_recv().is_err(), "they are still in hand");
    let taken = candidates(picks);
    assert_eq!(
        heard.fates.iter().collect::<Vec<_>>(),
        [Fate::Kept; 3],
        "and nobody is left to tell"
    );
    for (candidate, at) in taken.iter().zip(2..) {
        assert_eq!(candidate.captured, BootTime(at * SECOND), "not the frame before the ask");
        assert_eq!((candidate.trigger, candidate.class), (Trigger::External, Class::Best));
        assert_eq!((&candidate.command, &candidate.event), (&Some("c-3".into()), &None));
        assert_eq!((&candidate.order, &candidate.said), (&three.order, &three.said));
        assert_eq!(candidate.seen, None, "the first pass did not look");
    }
}

#[test]
fn a_frame_serves_everyone_and_what_else_it_is_due_for() {
    let rig = Rig::new(Plan::default(), waiting(frames(1..4)));
    rig.over();
    for count in [1, 2] {
        rig.asks.send(Ask::Keep(wanted(count).0)).unwrap();
    }
    rig.asks.send(Ask::Look(Asker::new(|_| {}))).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let (sums, mut picks) = rig.stop();
    assert_eq!(sums.chosen, 7, "four by the interval, three asked for");
    let shown = picks.iter().position(|pick| matches!(pick, Pick::Show(..))).unwrap();
    drop(picks.remove(shown));
    let expected = [("", 1), ("c-1", 2), ("c-2", 2), ("", 2), ("c-2", 3), ("", 3), ("", 4)];
    assert_eq!(taken(picks), told(&expected));
}

#[test]
fn four_are_served_at_once_and_a_fifth_waits_its_turn() {
    let rig = Rig::new(plan(), waiting(frames(1..6)));
    rig.over();
    for count in [2, 2, 2, 2, 1] {
        rig.asks.send(Ask::Keep(wanted(count).0)).unwrap();
    }
    rig.gate.send(()).unwrap();
    rig.over();
    let expected = [[("c-2", 2); 4], [("c-2", 3); 4]].concat();
    assert_eq!(taken(rig.stop().1), told(&[&expected[..], &[("c-1", 4)]].concat()));
}

#[test]
fn what_is_withdrawn_is_forgotten_at_once_and_makes_room() {
    let rig = Rig::new(plan(), waiting([frames(1..2), vec![Act::Wait], frames(2..4)].concat()));
    rig.over();
    let (mut all, mut heard) = (Vec::new(), Vec::new());
    for (wanted, ears) in (0..4).map(|_| wanted(9)) {
        all.push(wanted);
        heard.push(ears);
    }
    heard[3].leave.withdraw();
    for wanted in all {
        rig.asks.send(Ask::Keep(wanted)).unwrap();
    }
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(
        heard[3].fates.recv_timeout(PLENTY),
        Err(RecvTimeoutError::Disconnected),
        "never taken, and its teller is gone"
    );
    heard.iter().for_each(|ears| {
        ears.leave.withdraw();
    });
    rig.asks.send(Ask::Keep(wanted(1).0)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let picks = taken(rig.stop().1);
    assert_eq!(picks, told(&[("c-9", 2), ("c-9", 2), ("c-9", 2), ("c-1", 3)]));
    for ears in heard.iter().take(3) {
        assert_eq!(ears.fates.iter().collect::<Vec<_>>(), [Fate::Kept]);
    }
}

#[test]
fn who_wants_none_gets_none() {
    let rig = Rig::new(plan(), waiting(frames(1..3)));
    rig.over();
    let (none, heard) = wanted(0);
    rig.asks.send(Ask::Keep(none)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(heard.fates.recv_timeout(PLENTY), Err(RecvTimeoutError::Disconnected));
    assert_eq!(rig.stop().0.chosen, 0);
}

#[test]
fn a_used_up_byte_budget_is_told_and_counted_once_a_picture() {
    let rig = Rig::new(Plan { limit: FRAME, ..plan() }, waiting(frames(1..6)));
    rig.over();
    let (three, heard) = wanted(3);
    rig.asks.send(Ask::Keep(three)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(counted(&rig), [6, 0, 0, 3, 0]);
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, sums.in_hand, sums.refused[Refusal::Busy as usize]), (3, 1, 2));
    assert_eq!(taken(picks), told(&[("c-3", 2)]));
    let busy = Fate::Refused(Refusal::Busy);
    assert_eq!(heard.fates.iter().collect::<Vec<_>>(), [busy, busy, Fate::Kept]);
}

#[test]
fn a_full_way_to_the_still_thread_is_told() {
    let rig = Rig::new(Plan { picks: 1, ..plan() }, waiting(frames(1..6)));
    rig.over();
    let (two, heard) = wanted(2);
    rig.asks.send(Ask::Keep(two)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let (sums, picks) = rig.stop();
    assert!(sums.holds());
    drop(picks);
    let fates: Vec<_> = heard.fates.iter().collect();
    assert_eq!(fates, [Refusal::Busy, Refusal::Stopping].map(Fate::Refused));
}

#[test]
fn a_lost_camera_drops_everyone_who_wants_something_and_says_so_to_who_looks() {
    let script = [Act::Frame(1), Act::Wait, Act::Lost("unplugged")];
    let [first] = waiting(script);
    let rig = Rig::new(plan(), [first, Ok(frames(0..3))]);
    rig.over();
    let (pending, heard) = wanted(9);
    rig.asks.send(Ask::Keep(pending)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let (unheard, silence) = wanted(8);
    rig.asks.send(Ask::Keep(unheard)).unwrap();
    let (reply, answer) = sync_channel(1);
    rig.asks.send(Ask::Look(Asker::new(move |picture| reply.send(picture).unwrap()))).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(answer.recv_timeout(PLENTY).unwrap().unwrap_err(), "the camera is not streaming");
    assert_eq!(
        silence.fates.recv_timeout(PLENTY),
        Err(RecvTimeoutError::Disconnected),
        "nobody tells"
    );
    assert_eq!(taken(rig.stop().1), told(&[("c-9", 2)]), "nothing of what came back");
    assert_eq!(heard.fates.iter().collect::<Vec<_>>(), [Fate::Kept]);
}

#[test]
fn a_source_that_ends_drops_everyone() {
    let rig = Rig::new(plan(), waiting([Act::Frame(1), Act::Ended]));
    rig.over();
    let (pending, heard) = wanted(9);
    rig.asks.send(Ask::Keep(pending)).unwrap();
    rig.gate.send(()).unwrap();
    rig.ended.recv_timeout(PLENTY).unwrap();
    assert_eq!(taken(rig.picks.iter().collect()), told(&[("c-9", 2)]));
    assert_eq!(heard.fates.iter().collect::<Vec<_>>(), [Fate::Kept]);
}

#[test]
fn what_the_first_pass_cannot_read_is_not_taken_and_the_ask_stays() {
    // Not one of them is a JPEG.
    let plan =
        Plan { motion: Some(EventSettings::default()), format: PixelFormat::Mjpeg, ..plan() };
    let rig = Rig::new(plan, waiting([frames(1..5), vec![Act::Wait]].concat()));
    rig.over();
    let (one, heard) = wanted(1);
    rig.asks.send(Ask::Keep(one)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    assert_eq!(counted(&rig), [5, 5, 0, 0, 0]);
    assert_eq!(heard.fates.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty), "it waits");
    rig.stop();
    assert_eq!(heard.fates.recv_timeout(PLENTY), Err(RecvTimeoutError::Disconnected));
}

#[test]
fn what_the_first_pass_saw_goes_with_the_picture() {
    let plan = Plan { motion: Some(EventSettings::default()), ..plan() };
    let rig = Rig::new(plan, waiting(frames(1..3)));
    rig.over();
    rig.asks.send(Ask::Keep(wanted(2).0)).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let taken = candidates(rig.stop().1);
    assert_eq!(taken.len(), 2);
    assert!(taken.iter().all(|candidate| candidate.seen.as_ref().is_some_and(|seen| !seen.motion)));
}
