//! The thread that owns every file and every row.
//!
//! Each turn takes what came: claims given back, calls, one group of pictures, and the ends of events all
//! of whose pictures are written. Outcomes of one turn are committed together, and so are conclusions. It is
//! idle while it waits and busy otherwise, within [`DEADLINE`] a turn. It ends when the mailbox is closed and
//! empty, after everything it was given is durable.

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
    pub(super) changed: watch::Sender<u64>,
    /// Told when something was put into the outbox.
    pub(super) mail: watch::Sender<u64>,
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
            // Before it waits: an opening is news too, and nothing else may be due.
            self.tell_news();
            self.beat.idle();
            let work = self.mailbox.take(self.images.next_due(), self.images.max_bytes());
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
            self.images.end_events(work.ends);
            let out = work.shots_out;
            let flushed: Vec<_> = flushes.extract_if(.., |(target, _)| *target <= out).collect();
            if !flushed.is_empty() {
                self.images.write_held();
            }
            for (_, reply) in flushed {
                reply.send(()).ok(); // whoever asked may have gone
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

    fn tell_news(&mut self) {
        if self.images.take_news() {
            self.changed.send_modify(|n| *n = n.wrapping_add(1));
        }
        if self.images.take_mail() {
            self.mail.send_modify(|n| *n = n.wrapping_add(1));
        }
    }

    /// Claims first: they need no disk, and uploads go on while outcomes are made durable, together.
    /// Answers that nobody waits for any more are dropped; a claim in one puts itself back.
    fn answer(
        &mut self,
        calls: Vec<Call>,
        shots_in: u64,
        flushes: &mut Vec<(u64, oneshot::Sender<()>)>,
    ) {
        let (mut outcomes, mut conclusions) = (Vec::new(), Vec::new());
        let (mut told, mut others) = (Vec::new(), Vec::new());
        for call in calls {
            match call {
                Call::Claim(orders, reply) => {
                    let claims = orders.into_iter().map_while(|order| self.images.claim(order));
                    let claims = claims.map(|c| Claim::new(c, Arc::clone(&self.mailbox))).collect();
                    reply.send(claims).ok();
                }
                Call::Finish(outcome, reply) => {
                    outcomes.push(outcome);
                    told.push(reply);
                }
                Call::Conclude(id, conclusion, reply) => {
                    conclusions.push((id, conclusion));
                    told.push(reply);
                }
                other => others.push(other),
            }
        }
        self.images.finish(outcomes);
        if !conclusions.is_empty() {
            self.images.conclude(conclusions);
        }
        for reply in told {
            reply.send(()).ok();
        }
        for call in others {
            match call {
                Call::Flush(reply) => flushes.push((shots_in, reply)),
                other => self.answer_one(other),
            }
        }
    }

    fn answer_one(&mut self, call: Call) {
        let images = &mut self.images;
        match call {
            Call::Accept(command, reply) => drop(reply.send(images.accept(&command))),
            Call::InterruptCommands(reply) => drop(reply.send(images.interrupt_commands())),
            Call::Told(id, reply) => drop(reply.send(images.told(&id))),
            Call::Post(messages, reply) => drop(reply.send(images.post(&messages))),
            Call::Outbox(above, most, reply) => drop(reply.send(images.outbox(above, most))),
            Call::Arrived(ids, reply) => drop(reply.send(images.arrived(&ids))),
            Call::GiveUp(ids, reply) => drop(reply.send(images.give_up(&ids))),
            Call::DueEvents(reply) => drop(reply.send(images.due_events())),
            Call::Snapshot(reply) => drop(reply.send(images.snapshot())),
            Call::SetOffset(offset_ns, source, reply) => {
                reply.send(images.set_offset(offset_ns, &source)).ok();
            }
            Call::GiveUpWaiting(reply) => drop(reply.send(images.give_up_waiting())),
            Call::Ask(ask, reply) => drop(reply.send(images.ask(&ask))),
            Call::SetPrivate(private, reply) => drop(reply.send(images.set_private(private))),
            // Answered together, above.
            Call::Claim(..) | Call::Finish(..) | Call::Conclude(..) | Call::Flush(_) => {}
        }
    }
}
