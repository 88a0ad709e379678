//! Pictures in memory only: who is held, lent out from there, counted when it is stored, and written when it is not.
//!
//! Held is what needs no row: a picture whose time is decided, that nobody waits for, of no command, and of no event or
//! an event of which it is the only one. Whatever follows a picture (a command, an event's manifest) is rows, and ends
//! in the transaction in which the picture does, so those are always written. Limits of the spool count what is on
//! disk: a held picture is held against them when it is written, as any other that comes.
//!
//! What is held is written when it was held for the set time; when an upload of it ends in any way but stored, so that
//! what may or may not be in the store is never known to the memory alone for longer than its first attempt; when the
//! memory is full; when uploads are paused; before a picture that has to be written; before people's questions are
//! answered; and at the stop. While uploads fail nothing is held.

use std::time::Instant;

use tracing::{debug, error, warn};

use super::group::Prepared;
use super::{Images, LOOK_AGAIN, Told, claim};
use crate::account::Refusal;
use crate::contract::Trigger;
use crate::spool::db::{Db, DbError};
use crate::spool::loans::NO_ROW;
use crate::spool::{Order, Outcome, Receipt};

impl Images {
    // ---- in ----

    /// Takes pictures that were just handed over: writes those that have to be, with all before them, and holds the
    /// rest.
    pub(super) fn take(&mut self, mut new: Vec<Prepared>) {
        let to_write = new.iter().rposition(|p| !self.may_be_held(p)).map_or(0, |last| last + 1);
        let to_hold = new.split_off(to_write);
        if !new.is_empty() {
            self.write_out(u64::MAX, new);
        }
        for p in to_hold {
            // Asked again: what was written just now may be of its event.
            if self.held.fits(p.bytes()) && self.may_be_held(&p) && self.reserve(&p) {
                self.hold(p);
            } else {
                self.write_out(u64::MAX, vec![p]);
            }
        }
    }

    fn may_be_held(&mut self, p: &Prepared) -> bool {
        let facts = &p.shot.facts;
        if !self.held.wants(p.bytes()) || self.followed.paused {
            return false;
        }
        let waits = facts.wall.is_none() && self.boots.current().waits(facts.seq);
        let alone = match &facts.event {
            None => true,
            Some(_) if !facts.event_final || facts.trigger == Trigger::Manifest => false,
            // Its earlier pictures have rows, which end with this one.
            Some(event) => {
                let follows = self.with_db(|db| db.follows_event(&facts.camera, event));
                follows == Some(false)
            }
        };
        let needs_row = facts.command.is_some() || p.shot.token.is_watched() || !alone;
        !waits && !needs_row
    }

    fn reserve(&mut self, p: &Prepared) -> bool {
        let reserved = self.numbers.reserve(p.shot.facts.seq);
        if let Err(error) = &reserved {
            warn!(%error, "No numbers can be reserved; a picture is written instead of held.");
        }
        reserved.is_ok()
    }

    fn hold(&mut self, mut p: Prepared) {
        self.note_final(&p.shot.facts);
        // Its bytes count as held from now on.
        p.shot.token.resize(0);
        let (seq, bytes, now) = (p.shot.facts.seq, p.bytes(), Instant::now());
        self.held.put(seq, bytes, now, Prepared { held: Some(now), ..p });
        self.news = true;
    }

    // ---- lent out ----

    pub(super) fn claim_held(&mut self, order: Order) -> Option<claim::Parts> {
        let now = Instant::now();
        let free = |seq| self.loans.is_free(seq, now);
        let seq = match order {
            Order::Newest => self.held.newest(free),
            Order::Oldest => self.held.oldest(free),
        }?;
        let p = self.held.get(seq)?;
        let (facts, body) = (&p.shot.facts, p.shot.bytes.clone());
        let offset_ns = self.boots.offset_of(&facts.boot, seq);
        let ticket = self.loans.lend(seq, NO_ROW, facts.class, p.bytes());
        let source = claim::Source::Warm(Box::new(facts.clone()), body);
        Some(claim::Parts { seq, attempts: 0, source, offset_ns, ticket })
    }

    /// Takes the outcome of a held picture; gives back one that is for the index to take, because the picture is not
    /// held, or not any more.
    pub(super) fn finish_held(&mut self, told: Told) -> Option<Told> {
        if told.outcome != Outcome::Stored && !self.loans.is_lent(told.seq) {
            return Some(told);
        }
        match &told.outcome {
            Outcome::Stored => self.held.uploads_succeed(),
            Outcome::Refused | Outcome::Released => self.held.uploads_fail(),
            // These speak of one picture only.
            Outcome::Quarantined(_) | Outcome::Lost(_) => {}
        }
        if !self.held.has(told.seq) {
            return Some(told);
        }
        if told.outcome == Outcome::Stored {
            self.stored_unwritten(told.seq, told.receipt);
            return None;
        }
        self.write_out(told.seq, Vec::new());
        if !self.held.has(told.seq) {
            return Some(told);
        }
        self.rest(told.seq, told.retry_after.or(Some(LOOK_AGAIN)));
        None
    }

    fn stored_unwritten(&mut self, seq: u64, receipt: Option<Box<Receipt>>) {
        let Some(p) = self.held.take(seq) else { return };
        self.loans.end(seq, None);
        self.unwritten.add(&p.shot.facts.camera, p.shot.facts.class);
        p.shot.token.kept();
        if let Some(message) = receipt.and_then(|receipt| receipt.told) {
            self.hold_message(message);
        }
    }

    /// A claim of it was dropped: nobody knows what came of it.
    pub(super) fn write_returned(&mut self, seq: u64) {
        if self.held.has(seq) {
            self.held.uploads_fail();
            self.write_out(seq, Vec::new());
        }
    }

    // ---- out ----

    /// Writes everything that is held.
    pub(in crate::spool) fn write_held(&mut self) {
        self.write_out(u64::MAX, Vec::new());
    }

    /// Writes what was held for too long.
    pub(super) fn write_due(&mut self, now: Instant) {
        if let Some(seq) = self.held.due(now) {
            debug!(seq, "Pictures were not stored in time; they are written.");
            self.held.uploads_fail();
            self.write_out(seq, Vec::new());
        }
    }

    /// Writes what is held up to this number, and `new` behind it.
    fn write_out(&mut self, upto: u64, new: Vec<Prepared>) {
        let mut all: Vec<Prepared> = self
            .held
            .take_to_write(upto)
            .into_iter()
            .map(|(since, p)| Prepared { held: Some(since), ..p })
            .collect();
        all.extend(new);
        self.writing = all.first().map(|p| p.shot.facts.seq);
        while !all.is_empty() {
            let group = super::group_len(all.iter().map(Prepared::seq_and_len), self.max_bytes());
            let rest = all.split_off(group);
            self.write_group(all);
            all = rest;
        }
        self.writing = None;
    }

    /// A picture cannot be written: a new one is refused, a held one stays where it is.
    pub(super) fn not_written(&mut self, p: Prepared, why: Refusal) {
        match p.held {
            None => p.shot.token.refused(why),
            Some(since) => {
                self.held.put(p.shot.facts.seq, p.bytes(), since, p);
                self.held.try_later(Instant::now());
            }
        }
    }

    /// Pictures that were lent out of memory have rows now.
    pub(super) fn place_loans(&mut self, written: &[(u64, String)]) {
        if !written.iter().any(|(seq, _)| self.loans.is_lent(*seq)) {
            return;
        }
        let Some(stock) = self.with_db(|db| db.stock()) else { return };
        for (seq, camera) in written {
            if let Some((_, stock)) = stock.iter().find(|(name, _)| name == camera) {
                self.loans.place(*seq, stock.camera);
            }
        }
    }

    /// Refuses what reached the longest retention without having been written or stored: the disk does not take it.
    pub(super) fn expire_held(&mut self, before: Option<Instant>) {
        let Some(before) = before else { return };
        for p in self.held.take_old(before, |seq| !self.loans.is_lent(seq)) {
            warn!(seq = p.shot.facts.seq, "A picture in memory has reached its longest retention.");
            p.shot.token.refused(Refusal::Storage);
        }
    }

    /// Writes what is held, and refuses what cannot be written; enters what was never written; gives back numbers.
    pub(super) fn close_held(&mut self) {
        self.write_held();
        let all = |_| true;
        while let Some(p) = self.held.newest(all).and_then(|seq| self.held.take(seq)) {
            error!(seq = p.shot.facts.seq, "A picture could not be written before the stop.");
            p.shot.token.refused(Refusal::Storage);
        }
        // What was tried without an answer, and what came since.
        for _ in 0..2 {
            if self.unwritten.batch().is_some() {
                self.with_db(Db::enter);
            }
        }
        if self.unwritten.pictures() > 0 {
            let pictures = self.unwritten.pictures();
            error!(pictures, "Stored pictures could not be entered in the ledger.");
        }
        if let Err(error) = self.numbers.give_back(self.high) {
            warn!(%error, "Reserved numbers cannot be given back; they are left out.");
        }
    }

    // ---- the ledger ----

    /// Asks the index, once; what was never written goes along with what changes it.
    pub(super) fn on_index<T>(
        &mut self,
        f: impl FnOnce(&mut Db) -> Result<T, DbError>,
    ) -> Option<Result<T, DbError>> {
        let db = self.index.as_mut()?;
        let batch = self.unwritten.batch();
        let carries = batch.is_some();
        db.carry(batch);
        let done = f(db);
        let left = db.put_down().is_some();
        match &done {
            Ok(_) if carries && !left => self.unwritten.entered(),
            Ok(_) => {}
            Err(_) => self.unwritten.unsure(),
        }
        Some(done)
    }

    /// The highest number that files and rows may have, as recovery is to know it: what is held is yet to come, and so
    /// is what is being written.
    pub(super) fn high_on_disk(&self) -> u64 {
        let to_come = self.writing.into_iter().chain(self.held.lowest_to_write()).min();
        to_come.map_or(self.high, |seq| seq - 1)
    }
}
