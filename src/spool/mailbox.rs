//! What waits for the spool's thread: pictures, calls, and claims that came back.
//!
//! Four lanes behind one lock, because each has its own bound and its own manners. Pictures are never
//! waited for: when their lane is full they are refused. Events' ends go beside them, and come out behind
//! the last picture that was handed over before. Calls take a permit first, so an async caller
//! waits for its turn without blocking its thread. Claims coming back are bounded by the claims that
//! went out, and so can always be put down, even from a destructor.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::claim::Claim;
use super::follow::{Acceptance, Conclusion, DueEvent, Message, NewCommand, Queued};
use super::images::Told;
use super::images::group_len;
use super::{Order, Snapshot, browse};
use crate::account::Refusal;
use crate::contract::command;
use crate::still::{EventEnd, Shot};

/// Pictures that may wait; the budget in hand ends far sooner, but for the tiniest of pictures.
pub(super) const SHOTS: usize = 256;
/// Events' ends that may wait; there are fewer than pictures.
const ENDS: usize = 256;
/// Calls that may wait.
pub(super) const CALLS: usize = 64;

/// Something asked of the spool's thread, and where the answer goes.
#[derive(Debug)]
pub(super) enum Call {
    Claim(Vec<Order>, oneshot::Sender<Vec<Claim>>),
    Finish(Told, oneshot::Sender<()>),
    Conclude(String, Conclusion, oneshot::Sender<()>),
    Accept(NewCommand, oneshot::Sender<Option<Acceptance>>),
    /// Concludes commands that nobody is at work on; how many.
    InterruptCommands(oneshot::Sender<u64>),
    /// What was told last of a command.
    Told(String, oneshot::Sender<Option<Option<command::Told>>>),
    Post(Vec<Message>, oneshot::Sender<bool>),
    Outbox(u64, usize, oneshot::Sender<Option<Vec<Queued>>>),
    Arrived(Vec<u64>, oneshot::Sender<bool>),
    GiveUp(Vec<u64>, oneshot::Sender<bool>),
    DueEvents(oneshot::Sender<Option<Vec<DueEvent>>>),
    Snapshot(oneshot::Sender<Option<Snapshot>>),
    SetOffset(i64, String, oneshot::Sender<std::io::Result<()>>),
    GiveUpWaiting(oneshot::Sender<std::io::Result<()>>),
    SetPrivate(bool, oneshot::Sender<std::io::Result<()>>),
    Ask(browse::Ask, oneshot::Sender<Option<browse::Told>>),
    /// Answered when every picture handed over before it has its answer.
    Flush(oneshot::Sender<()>),
}

/// One turn's work.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) calls: Vec<(Call, OwnedSemaphorePermit)>,
    pub(super) returned: Vec<(u64, u64)>,
    /// One group.
    pub(super) shots: Vec<Shot>,
    /// Events that are over with it.
    pub(super) ends: Vec<EventEnd>,
    /// Pictures handed over and pictures taken, this turn's included.
    pub(super) shots_in: u64,
    pub(super) shots_out: u64,
    /// Nothing more will come, and nothing is left.
    pub(super) over: bool,
}

#[derive(Debug, Default)]
struct Lanes {
    shots: VecDeque<Shot>,
    /// Each with how many pictures were handed over before it.
    ends: VecDeque<(u64, EventEnd)>,
    calls: VecDeque<(Call, OwnedSemaphorePermit)>,
    returned: Vec<(u64, u64)>,
    shots_in: u64,
    shots_out: u64,
    closed: bool,
}

/// The spool thread's mailbox.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    lanes: Mutex<Lanes>,
    ready: Condvar,
}

impl Mailbox {
    /// Hands over a picture, or refuses it at once.
    pub(super) fn put_shot(&self, shot: Shot) {
        let mut lanes = self.lock();
        if lanes.closed {
            shot.token.refused(Refusal::Stopping);
        } else if lanes.shots.len() >= SHOTS {
            shot.token.refused(Refusal::Busy);
        } else {
            lanes.shots_in += 1;
            lanes.shots.push_back(shot);
            self.ready.notify_one();
        }
    }

    /// Hands over an event's end; whether it was taken.
    pub(super) fn put_end(&self, end: EventEnd) -> bool {
        let mut lanes = self.lock();
        let taken = !lanes.closed && lanes.ends.len() < ENDS;
        if taken {
            let before = lanes.shots_in;
            lanes.ends.push_back((before, end));
            self.ready.notify_one();
        }
        taken
    }

    /// Hands over a call; it is dropped, and its answer with it, where nobody will take it.
    pub(super) fn put_call(&self, call: Call, permit: OwnedSemaphorePermit) {
        let mut lanes = self.lock();
        if !lanes.closed {
            lanes.calls.push_back((call, permit));
            self.ready.notify_one();
        }
    }

    /// A claim was dropped.
    pub(super) fn give_back(&self, seq: u64, ticket: u64) {
        let mut lanes = self.lock();
        if !lanes.closed {
            lanes.returned.push((seq, ticket));
            self.ready.notify_one();
        }
    }

    /// Takes nothing more; what is in is still worked on.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    /// The thread is gone: nobody is to wait for an answer that will not come.
    pub(super) fn abandon(&self) {
        let left = {
            let mut lanes = self.lock();
            let (shots_in, shots_out) = (lanes.shots_in, lanes.shots_out);
            std::mem::replace(
                &mut *lanes,
                Lanes { closed: true, shots_in, shots_out, ..Lanes::default() },
            )
        };
        drop(left); // outside the lock: pictures tell the account
    }

    /// Waits for work, or until `due`.
    pub(super) fn take(&self, due: Option<Instant>, max_bytes: u64) -> Work {
        let mut lanes = self.lock();
        while lanes.is_idle() {
            lanes = match due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.ready.wait(lanes).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(pause) => {
                    self.ready.wait_timeout(lanes, pause).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let sizes = lanes.shots.iter().map(|shot| (shot.facts.seq, shot.bytes.len() as u64));
        let group = group_len(sizes, max_bytes);
        lanes.shots_out += group as u64;
        let out = lanes.shots_out;
        let over = lanes.ends.partition_point(|(before, _)| *before <= out);
        Work {
            over: lanes.closed && lanes.shots.is_empty() && lanes.calls.is_empty(),
            ends: lanes.ends.drain(..over).map(|(_, end)| end).collect(),
            calls: lanes.calls.drain(..).collect(),
            returned: lanes.returned.drain(..).collect(),
            shots: lanes.shots.drain(..group).collect(),
            shots_in: lanes.shots_in,
            shots_out: lanes.shots_out,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    fn is_idle(&self) -> bool {
        let empty = self.shots.is_empty() && self.ends.is_empty() && self.calls.is_empty();
        empty && self.returned.is_empty() && !self.closed
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::account::Account;
    use crate::clock::BootTime;
    use crate::contract::Facts;
    use crate::spool::trailer::tests::facts;

    #[test]
    fn an_events_end_comes_out_with_the_last_picture_that_was_handed_over_before_it() {
        let (mailbox, account) = (Mailbox::default(), Account::new(10_000));
        let shot = |seq| {
            let token = account.choose(10).unwrap();
            Shot { bytes: Bytes::new(), facts: Facts { seq, ..facts(b"") }, token }
        };
        let end = |event: &str| EventEnd {
            camera: "front".into(),
            event: event.into(),
            began: BootTime(1),
            duration: Duration::ZERO,
            why: "quiet".into(),
            chosen: 33,
        };
        (1..=33).for_each(|seq| mailbox.put_shot(shot(seq)));
        assert!(mailbox.put_end(end("a")));
        mailbox.put_shot(shot(34));
        assert!(mailbox.put_end(end("b")));
        let events = |work: &Work| work.ends.iter().map(|e| e.event.clone()).collect::<Vec<_>>();
        let first = mailbox.take(None, u64::MAX);
        assert_eq!((first.shots.len(), events(&first)), (32, vec![]));
        let second = mailbox.take(None, u64::MAX);
        assert_eq!(events(&second), ["a", "b"], "in order, with the group that holds the rest");
        assert!(mailbox.put_end(end("c")));
        assert_eq!(events(&mailbox.take(None, u64::MAX)), ["c"], "nothing is before it");
        assert!((0..ENDS).all(|_| mailbox.put_end(end("many"))) && !mailbox.put_end(end("more")));
        mailbox.close();
        assert!(!mailbox.put_end(end("late")));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_is_gone() {
        let (mailbox, permits) = (Mailbox::default(), Arc::new(Semaphore::new(2)));
        let account = Account::new(100);
        let permit = || Arc::clone(&permits).try_acquire_owned().unwrap();
        let shot = || {
            let token = account.choose(10).unwrap();
            Shot { bytes: Bytes::new(), facts: facts(b""), token }
        };
        let (before, mut early) = oneshot::channel();
        mailbox.put_call(Call::Flush(before), permit());
        mailbox.put_shot(shot());
        mailbox.abandon();
        let (after, mut late) = oneshot::channel();
        mailbox.put_call(Call::Flush(after), permit());
        mailbox.put_shot(shot());
        assert!(early.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        assert!(late.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        assert_eq!(permits.available_permits(), 2);
        let sums = account.sums();
        assert_eq!((sums.refused[Refusal::Stopping as usize], sums.in_hand), (2, 0));
    }
}
