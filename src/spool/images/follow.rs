//! Commands and messages beside the pictures: what is asked of their rows while the index is there, and
//! what waits for it while it is not.
//!
//! Accepting and posting fail with the index, as nothing was done; a conclusion or an event's end must
//! not get lost, and waits in memory, bounded by [`MAX_HELD`]. One that finds no room there is told by
//! the next start, which concludes what is still open.

use std::cell::Cell;
use std::collections::VecDeque;

use tracing::{error, info, warn};

use super::Images;
use crate::contract::command::Told;
use crate::spool::db::DbError;
use crate::spool::follow::{Acceptance, Conclusion, Message, NewCommand, Queued, RowEffect};
use crate::still::EventEnd;

/// Most conclusions, and most events' ends, that wait for the index.
pub(super) const MAX_HELD: usize = 256;

/// What is followed, as far as it is memory.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// Nothing is lent out. The row is the truth.
    pub(super) paused: bool,
    /// Generation of the ledger that said so; 0 before there was one.
    generation: u64,
    /// Something was put into the outbox.
    pub(super) mail: bool,
    /// Commands whose acceptance failed, and may have become durable all the same.
    unsure: VecDeque<String>,
    /// Conclusions that could not be committed yet.
    conclusions: Vec<(String, Conclusion)>,
    /// Messages of pictures that were stored and never written, until they are in the outbox.
    messages: Vec<Message>,
    /// Events' ends that could not be committed yet.
    pub(super) ends: Vec<EventEnd>,
    /// Cameras and events of which a picture was kept that says it is the last.
    pub(super) finals: VecDeque<(String, String)>,
}

impl Followed {
    /// Does anything wait for the index?
    pub(super) fn holds(&self) -> bool {
        !self.conclusions.is_empty() || !self.ends.is_empty() || !self.messages.is_empty()
    }
}

impl Images {
    /// Was something put into the outbox since the last call?
    pub(in crate::spool) fn take_mail(&mut self) -> bool {
        std::mem::take(&mut self.followed.mail)
    }

    /// Writes a command down; `None` where that cannot be done now.
    pub(in crate::spool) fn accept(&mut self, command: &NewCommand) -> Option<Acceptance> {
        if matches!(command.effect, Some(RowEffect::Purge(_))) {
            // It is of whatever has a row by then.
            self.write_held();
        }
        // A commit that failed may have been one all the same: found then, it is still new.
        let unsure = self.followed.unsure.iter().position(|id| *id == command.id);
        let (now, is_new) = (self.boots.wall_now(), Cell::new(unsure.is_some()));
        let acceptance = self.with_db(|db| {
            let known = db.told(&command.id)?.is_some();
            is_new.set(is_new.get() || !known);
            let acceptance = db.accept(command, now)?;
            Ok(if is_new.get() { Acceptance::New } else { acceptance })
        });
        match (unsure, &acceptance) {
            (Some(at), Some(_)) => drop(self.followed.unsure.remove(at)),
            (None, None) => {
                self.followed.unsure.push_back(command.id.clone());
                self.followed.unsure.truncate(MAX_HELD);
            }
            _ => {}
        }
        let acceptance = acceptance?;
        if let (Acceptance::New, Some(RowEffect::Purge(wanted))) = (&acceptance, &command.effect) {
            info!(id = command.id, ?wanted, "Pictures are purged by command.");
            self.begin_purge();
        }
        if let (Acceptance::New, Some(RowEffect::PauseUploads(paused))) =
            (&acceptance, &command.effect)
        {
            let paused = *paused;
            info!(id = command.id, paused, "Uploads are paused or resumed by command.");
            self.news |= self.followed.paused && !paused;
            self.followed.paused = paused;
            self.followed.mail = true;
            if paused {
                self.write_held();
            }
        }
        Some(acceptance)
    }

    /// What was told last of a command; `None` while the index is down.
    pub(in crate::spool) fn told(&mut self, id: &str) -> Option<Option<Told>> {
        self.with_db(|db| db.told(id))
    }

    /// Takes conclusions, durably, or holds them until they can be.
    pub(in crate::spool) fn conclude(&mut self, conclusions: Vec<(String, Conclusion)>) {
        let room = MAX_HELD.saturating_sub(self.followed.conclusions.len());
        for (id, conclusion) in conclusions.iter().skip(room) {
            error!(id, ?conclusion, "Too much waits for the index; a command stays open.");
        }
        self.followed.conclusions.extend(conclusions.into_iter().take(room));
        self.do_conclusions();
    }

    /// Puts messages into the outbox; whether that could be done.
    pub(in crate::spool) fn post(&mut self, messages: &[Message]) -> bool {
        let done = messages.is_empty() || self.with_db(|db| db.post(messages)).is_some();
        self.followed.mail |= done && !messages.is_empty();
        done
    }

    /// Messages of the outbox, in order.
    pub(in crate::spool) fn outbox(&mut self, above: u64, most: usize) -> Option<Vec<Queued>> {
        self.with_db(|db| db.outbox(above, most))
    }

    /// Takes messages off the outbox; whether that could be done.
    pub(in crate::spool) fn arrived(&mut self, ids: &[u64]) -> bool {
        ids.is_empty() || self.with_db(|db| db.arrived(ids)).is_some()
    }

    /// Drops messages of the outbox; whether that could be done.
    pub(in crate::spool) fn give_up(&mut self, ids: &[u64]) -> bool {
        ids.is_empty() || self.with_db(|db| db.give_up(ids)).is_some()
    }

    /// Does what waited for the index.
    pub(super) fn do_held(&mut self) {
        self.do_conclusions();
        self.do_event_ends();
        self.do_messages();
    }

    /// A message that goes into the outbox as soon as it can.
    pub(super) fn hold_message(&mut self, message: Message) {
        if self.followed.messages.len() < MAX_HELD {
            self.followed.messages.push(message);
        } else {
            error!("Too much waits for the index; a stored picture is not told of.");
        }
    }

    pub(super) fn do_messages(&mut self) {
        let held = std::mem::take(&mut self.followed.messages);
        if !self.post(&held) {
            self.followed.messages = held;
        }
    }

    /// Concludes what the run before left open; how many commands that were. Where the index cannot do
    /// it now, the next start does: capture does not wait for it.
    pub(super) fn interrupt(&mut self) -> u64 {
        let (at, boot) = (self.boots.now(), self.cx.now.boot.clone());
        if self.with_db(|db| db.interrupt_events(&boot, at, None)).is_none() {
            error!("Events that the last run left open stay so until the next start.");
        }
        self.interrupt_commands()
    }

    /// Concludes commands that nobody is at work on any more; how many.
    pub(in crate::spool) fn interrupt_commands(&mut self) -> u64 {
        let now = self.boots.wall_now();
        let interrupted = self.with_db(|db| db.interrupt_commands(now));
        if interrupted.is_none() {
            error!("Commands that were left open stay so until the next start.");
        }
        self.followed.mail = true;
        interrupted.unwrap_or(0)
    }

    /// Takes over what an index says that was just opened.
    pub(super) fn take_over_followed(&mut self, rebuilt: bool) -> Result<(), DbError> {
        let Some(db) = &mut self.index else { return Ok(()) };
        let purges = db.next_purge()?.is_some();
        // Messages that were put by a commit which seemed to fail.
        self.followed.mail = true;
        // Told by its number, and not by who rebuilt it: the step after that may have failed.
        let generation = db.ledger()?.generation;
        let before = std::mem::replace(&mut self.followed.generation, generation);
        if (rebuilt || (before != 0 && before != generation)) && self.followed.paused {
            warn!("The index that held the pause is lost; uploads stay paused.");
            db.pause()?;
        }
        self.followed.paused = db.paused()?;
        if purges {
            self.begin_purge();
        }
        Ok(())
    }

    fn do_conclusions(&mut self) {
        if self.followed.conclusions.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.followed.conclusions);
        let now = self.boots.wall_now();
        match self.with_db(|db| db.conclude(&held, now)) {
            Some(()) => self.followed.mail = true,
            None => self.followed.conclusions = held,
        }
    }
}
