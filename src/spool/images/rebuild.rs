//! A rebuild of the index, as the spool's thread goes on with it: one slice a turn.

use std::time::Instant;

use tracing::{info, warn};

use super::index::REOPEN;
use super::{Images, used};
use crate::spool::db::State;
use crate::spool::recover::Rebuild;

impl Images {
    /// Reads a few more files of a rebuild that goes on.
    pub(super) fn rebuild_on(&mut self, now: Instant) {
        let Some(rebuild) = self.rebuild.as_mut().filter(|_| now >= self.rebuild_at) else {
            return;
        };
        let mut slice = rebuild.read_on(&self.cx);
        for item in &mut slice.items {
            if item.state == State::Waiting && !self.boots.current().waits(item.seq) {
                item.state = State::Ready;
            }
        }
        let taken = self.with_db(|db| {
            let taken = db.take_in(&slice.items, &slice.read)?;
            Ok(taken.then_some(db.totals()?))
        });
        let Some(Some(totals)) = taken else {
            // Nothing of it is in the index, or the index is another one by now: on from where that one is.
            self.rebuild_at = now + REOPEN.0;
            self.find_rebuild();
            return;
        };
        let waits = slice.items.iter().filter(|item| item.state == State::Waiting).count() as u64;
        self.used = used(&totals);
        self.add_waiting(waits);
        self.news |= waits < slice.items.len() as u64;
        if self.rebuild.as_ref().is_some_and(Rebuild::is_over) {
            self.end_rebuild();
        }
    }

    /// Is a rebuild held up? Then whoever waits for it waits in vain.
    pub(super) fn is_rebuild_stuck(&self) -> bool {
        self.rebuild.is_some() && (self.index.is_none() || Instant::now() < self.rebuild_at)
    }

    fn find_rebuild(&mut self) {
        let layout = self.cx.layout.clone();
        if let Some(rebuild) = self.with_db(|db| Rebuild::of(db, &layout)) {
            let over = rebuild.is_none();
            self.rebuild = rebuild;
            if over {
                self.end_rebuild();
            }
        }
    }

    /// Every file has its row: what had to wait for that is done. A start does the same where none goes on.
    fn end_rebuild(&mut self) {
        let files = self.rebuild.take().map_or(0, |rebuild| rebuild.progress().files);
        info!(files, "The index is rebuilt.");
        let (at, boot, began) = (self.boots.now(), self.cx.now.boot.clone(), self.cx.now.at);
        let boots = self.with_db(|db| {
            db.interrupt_events(&boot, at, Some(began))?;
            db.boots_in_use()
        });
        if let Some(Err(error)) = boots.map(|boots| self.boots.forget_all_but(&boots)) {
            warn!(%error, "Old boot records cannot be removed.");
        }
        self.recount_waiting();
    }
}
