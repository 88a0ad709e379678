//! The thread that owns every file and every row.
//!
//! Each turn takes what came: claims given back, calls, and one group of pictures. Outcomes of one turn
//! are committed together. It is idle while it waits and busy otherwise, within [`DEADLINE`] a turn. It
//! ends when the mailbox is closed and empty, after everything it was given is durable.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::claim::Claim;
use super::images::Images;
use super::mailbox::{Call, Mailbox};
use crate::health::Beat;

/// How long a turn may take: a slow card can spend a minute in one fsync.
pub(super) const DEADLINE: Duration = Duration::from_secs(120);

/// What the thread is given.
pub(super) struct Worker {
    pub(super) images: Images,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) max_bytes: u64,
    pub(super) changed: watch::Sender<u64>,
    pub(super) beat: Beat,
    /// Held for as long as the thread lives.
    pub(super) lock: File,
    /// Told when everything is closed, the lock included.
    pub(super) stopped: watch::Sender<bool>,
}

/// Tells the mailbox when the thread ends, also by a panic.
struct Gone(Arc<Mailbox>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

impl Worker {
    pub(super) fn run(mut self) {
        let _gone = Gone(Arc::clone(&self.mailbox));
        let mut flushes: Vec<(u64, oneshot::Sender<()>)> = Vec::new();
        loop {
            self.beat.idle();
            let work = self.mailbox.take(self.images.next_due(), self.max_bytes);
            self.beat.busy();
            self.images.tick();
            for (seq, ticket) in work.returned {
                self.images.give_back(seq, ticket);
            }
            // The permits go when the calls are answered.
            let (calls, permits): (Vec<_>, Vec<_>) = work.calls.into_iter().unzip();
            self.answer(calls, work.shots_in, &mut flushes);
            drop(permits);
            self.images.write(work.shots);
            let out = work.shots_out;
            for (_, reply) in flushes.extract_if(.., |(target, _)| *target <= out) {
                reply.send(()).ok(); // whoever asked may have gone
            }
            if self.images.take_news() {
                self.changed.send_modify(|n| *n = n.wrapping_add(1));
            }
            if work.over {
                break;
            }
        }
        let Self { images, lock, stopped, beat, .. } = self;
        images.close();
        drop(lock);
        beat.idle();
        stopped.send_replace(true);
    }

    /// Claims first: they need no disk, and uploads go on while outcomes are made durable, together.
    /// Answers that nobody waits for any more are dropped; a claim in one puts itself back.
    fn answer(
        &mut self,
        calls: Vec<Call>,
        shots_in: u64,
        flushes: &mut Vec<(u64, oneshot::Sender<()>)>,
    ) {
        let (mut outcomes, mut told, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for call in calls {
            match call {
                Call::Claim(orders, reply) => {
                    let claims = orders.into_iter().map_while(|order| self.images.claim(order));
                    let claims = claims.map(|c| Claim::new(c, Arc::clone(&self.mailbox))).collect();
                    reply.send(claims).ok();
                }
                Call::Finish(seq, outcome, retry_after, reply) => {
                    outcomes.push((seq, outcome, retry_after));
                    told.push(reply);
                }
                other => others.push(other),
            }
        }
        self.images.finish(outcomes);
        for reply in told {
            reply.send(()).ok();
        }
        for call in others {
            match call {
                Call::Snapshot(reply) => drop(reply.send(self.images.snapshot())),
                Call::SetOffset(offset_ns, source, reply) => {
                    reply.send(self.images.set_offset(offset_ns, &source)).ok();
                }
                Call::GiveUpWaiting(reply) => drop(reply.send(self.images.give_up_waiting())),
                Call::Flush(reply) => flushes.push((shots_in, reply)),
                Call::Claim(..) | Call::Finish(..) => {} // answered above
            }
        }
    }
}
