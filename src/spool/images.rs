//! The images: writing them in groups, lending them out, removing them; files, rows and totals in the
//! one order that loses nothing.
//!
//! ```text
//! write   create O_EXCL ▸ write ▸ start write-back ▸ fdatasync each ▸ fsync directory ▸ acknowledge ▸ rows
//! remove  row → done(outcome) and totals, committed with sync ▸ unlink ▸ row deleted with the next transaction
//! ```
//!
//! Runs on the spool's thread alone. A picture whose file cannot be made durable is refused and the
//! next one is tried; a failing index is closed and opened again through recovery, with growing pauses.
//! Meanwhile pictures are still written and acknowledged (the next recovery adopts them), nothing is
//! lent out, and outcomes wait in memory, bounded by what was in flight. With [`Durability::Spill`] a
//! picture may be held in memory instead, and be stored without ever having been written: see `held`.

mod age;
#[cfg(test)]
mod backlog_tests;
mod browse;
mod events;
mod follow;
mod group;
mod held;
mod index;
mod lend;
mod purge;
mod rebuild;
mod remove;
mod room;

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use self::follow::Followed;
use self::group::Prepared;
pub(super) use self::group::group_len;
use self::index::REOPEN;
use self::room::Cursors;
use super::boots::Boots;
use super::db::{ClassTotals, Db, End};
use super::files::SEQ_END;
use super::held::{Durability, Held};
use super::loans::{Loans, Warm};
use super::numbers::Numbers;
use super::recover::{self, Context, Rebuild};
use super::reserve::Reserve;
use super::retention::Limits;
use super::unwritten::Unwritten;
use super::{ClassStock, Loss, Opened, Outcome, Quarantine, Receipt, Snapshot, claim};

/// Most pictures that are let go of in one transaction.
pub(super) const EVICT_ITEMS: usize = 64;
/// How long a picture rests that could not be found while it should be there.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// The images and their index.
#[derive(Debug)]
pub(super) struct Images {
    cx: Context,
    limits: Limits,
    reserve: Reserve,
    cursors: Cursors,
    /// When to look for pictures that are too old.
    expire_at: Option<Instant>,
    /// When to work at a purge; `None` where there is none.
    purge_at: Option<Instant>,
    index: Option<Db>,
    reopen_at: Instant,
    reopen_pause: Duration,
    /// A rebuild of the index that goes on, and when to go on with it.
    rebuild: Option<Rebuild>,
    rebuild_at: Instant,
    boots: Boots,
    /// Highest sequence number seen, refused ones included.
    high: u64,
    current_dir: u64,
    loans: Loans,
    warm: Warm,
    held: Held<Prepared>,
    /// The lowest number of those that are being written.
    writing: Option<u64>,
    numbers: Numbers,
    unwritten: Unwritten,
    /// Done rows whose files are gone.
    forget: Vec<u64>,
    /// Outcomes that could not be committed yet; their loans stay open.
    unsettled: Vec<(u64, End)>,
    /// Bytes of all image files, as last known.
    used: u64,
    waiting: u64,
    waiting_since: Option<Instant>,
    adopted: u64,
    /// Something became claimable.
    news: bool,
    followed: Followed,
}

/// What became of a claimed picture, as told.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) seq: u64,
    pub(super) outcome: Outcome,
    pub(super) retry_after: Option<Duration>,
    /// What is known of a stored one.
    pub(super) receipt: Option<Box<Receipt>>,
}

impl Images {
    /// Recovers the spool.
    pub(super) fn open(
        cx: Context,
        limits: Limits,
        durability: Durability,
    ) -> Result<(Self, Opened), recover::RecoverError> {
        let mut reserve = Reserve::new(cx.layout.reserve());
        let found = match recover::recover(&cx, None) {
            Err(error) if error.is_full() && reserve.release() => {
                warn!(%error, "The disk is full; the spool opens with its reserve.");
                recover::recover(&cx, None)?
            }
            done => done?,
        };
        let io = |path| |source| recover::RecoverError::Io { path, source };
        let (numbers, high) =
            Numbers::open(cx.layout.numbers(), found.high).map_err(io(cx.layout.numbers()))?;
        let boots = Boots::open(cx.layout.boots(), cx.now.boot.clone(), cx.now.at, high + 1)
            .map_err(io(cx.layout.boots()))?;
        let ledger = found.db.ledger()?;
        let mut opened = Opened {
            private: cx.layout.is_private(),
            next_seq: high + 1,
            adopted: found.adopted,
            torn: found.torn,
            finished: found.finished,
            rebuilt: found.rebuilt,
            generation: ledger.generation,
            newest_wall: boots.newest_wall(),
            interrupted: 0,
        };
        let now = Instant::now();
        let mut images = Self {
            cx,
            expire_at: limits.max_age.map(|_| now),
            limits,
            purge_at: None,
            reserve,
            cursors: Cursors::default(),
            index: None,
            reopen_at: now,
            reopen_pause: REOPEN.0,
            rebuild: None,
            rebuild_at: now,
            boots,
            high,
            current_dir: 0,
            loans: Loans::default(),
            warm: Warm::default(),
            held: Held::new(durability),
            writing: None,
            numbers,
            unwritten: Unwritten::default(),
            forget: Vec::new(),
            unsettled: Vec::new(),
            used: 0,
            waiting: 0,
            waiting_since: None,
            adopted: found.adopted,
            // Whoever waits for a spool that could not be opened hears of it.
            news: true,
            followed: Followed::default(),
        };
        images.take_over(found)?;
        opened.interrupted = images.interrupt();
        if let Err(error) = images.reserve.regrow() {
            warn!(%error, "There is no room for the spool's reserve yet.");
        }
        Ok((images, opened))
    }

    /// Most bytes of image files.
    pub(super) fn max_bytes(&self) -> u64 {
        self.limits.max_bytes
    }

    /// Did something become claimable since the last call?
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// When there is something to do without being asked.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let stuck = self.is_stuck().then_some(self.reopen_at);
        let rebuild = self.rebuild.as_ref().map(|_| self.rebuild_at);
        let held = self.held.next_due();
        [self.loans.next_due(), stuck, self.expire_at, held, rebuild, self.purge_at]
            .into_iter()
            .flatten()
            .min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        self.news |= self.loans.wake(now);
        if now >= self.reopen_at && self.is_stuck() {
            self.settle(Vec::new());
            self.do_held();
        }
        self.write_due(now);
        self.expire(now);
        self.rebuild_on(now);
        self.purge_some(now);
    }

    /// Is there something to do for which the index has to be open again?
    fn is_stuck(&self) -> bool {
        self.index.is_none() || !self.unsettled.is_empty() || self.followed.holds()
    }

    /// Takes outcomes: ends first, in one durable transaction; then attempts and rests.
    pub(super) fn finish(&mut self, outcomes: Vec<Told>) {
        let (mut ends, mut refused) = (Vec::new(), Vec::new());
        for told in outcomes {
            let Some(told) = self.finish_held(told) else { continue };
            let Told { seq, outcome, retry_after, receipt } = told;
            if !self.loans.is_lent(seq) && outcome != Outcome::Stored {
                debug!(seq, ?outcome, "An outcome came for a picture that is not lent out.");
                continue;
            }
            match outcome {
                Outcome::Stored => ends.push((seq, End::Stored(receipt))),
                Outcome::Lost(loss) if loss != Loss::Missing || self.is_missing(seq) => {
                    warn!(seq, reason = loss.name(), "A kept picture is lost.");
                    ends.push((seq, End::Lost(loss)));
                }
                Outcome::Quarantined(why) => {
                    let why = reason(&why);
                    warn!(seq, why, "A picture is set aside.");
                    ends.push((seq, End::Quarantined(why)));
                }
                Outcome::Refused => {
                    refused.push(seq);
                    self.rest(seq, retry_after);
                }
                // Not missing, or the whole spool is (a card pulled out): asked for again at once, it
                // would only be found missing again.
                Outcome::Lost(_) => self.rest(seq, retry_after.or(Some(LOOK_AGAIN))),
                Outcome::Released => self.rest(seq, retry_after),
            }
        }
        if !ends.is_empty() {
            self.settle(ends);
        }
        if !refused.is_empty() {
            let forget = self.forget.clone();
            if self.with_db(|db| db.count_attempts(&refused, &forget)).is_some() {
                self.forgot();
            }
        }
        self.do_messages();
    }

    /// The clock is trusted: this boot's pictures have their time.
    pub(super) fn set_offset(&mut self, offset_ns: i64, source: &str) -> io::Result<()> {
        if self.boots.set_offset(offset_ns, source)? {
            info!(source, "The clock is trusted; pictures of this boot have their time.");
            self.release();
        }
        Ok(())
    }

    /// What waits for a trusted clock waits no longer.
    pub(super) fn give_up_waiting(&mut self) -> io::Result<()> {
        if self.waiting > 0 && self.boots.give_up(self.high + 1)? {
            warn!(pictures = self.waiting, "The clock is not trusted; pictures go without a time.");
            self.release();
        }
        Ok(())
    }

    /// Whether somebody wants no camera to be open.
    pub(super) fn set_private(&mut self, private: bool) -> io::Result<()> {
        self.cx.layout.set_private(private)
    }

    /// One consistent reading; `None` while the index is down.
    pub(super) fn snapshot(&mut self) -> Option<Snapshot> {
        let (ledger, totals, lost, lost_of, outbox, open_commands) = self.with_db(|db| {
            let (outbox, open_commands) = (db.outbox_sums()?, db.open_commands()?);
            let (lost, lost_of) = (db.losses()?, db.lost_of()?);
            Ok((db.ledger()?, db.totals()?, lost, lost_of, outbox, open_commands))
        })?;
        let (in_flight, resting) = self.loans.counts();
        let (bytes, space) = (used(&totals), self.space());
        let sum = |f: fn(&ClassTotals) -> u64| totals.iter().map(f).sum::<u64>();
        Some(Snapshot {
            kept: sum(|t| t.kept) + self.unwritten.pictures(),
            stored: sum(|t| t.stored) + self.unwritten.pictures(),
            queued: sum(|t| t.queued),
            quarantined: sum(|t| t.quarantined),
            lost,
            lost_of,
            classes: totals.map(|t| ClassStock { queued: t.queued, bytes: t.queued_bytes }),
            waiting: self.waiting,
            waiting_for: self.waiting_since.map(|since| since.elapsed()),
            in_flight,
            resting,
            bytes,
            at_risk: self.held.at_risk(),
            max_bytes: self.limits.max_bytes,
            room: self.limits.room(bytes, &space).bytes,
            adopted: self.adopted,
            rebuilding: self.rebuild.as_ref().map(Rebuild::progress),
            high_seq: ledger.high_seq,
            generation: ledger.generation,
            began: ledger.began,
            paused: self.followed.paused,
            outbox,
            open_commands,
        })
    }

    /// Leaves everything so that the next start has nothing to do.
    pub(super) fn close(mut self) {
        self.close_held();
        if !self.unsettled.is_empty() {
            self.settle(Vec::new());
        }
        self.do_held();
        let forget = self.forget.clone();
        if self.with_db(|db| db.forget(&forget)).is_some() {
            self.forgot();
        }
        if self.with_db(|db| db.checkpoint()).is_none() {
            error!("The index could not be closed in order; the next start recovers it.");
        }
    }

    // ---- outcomes ----

    /// Commits ends, those that could not be committed before included, and removes the files.
    fn settle(&mut self, ends: Vec<(u64, End)>) {
        // Nothing was lent out while outcomes waited: whoever sleeps until something can be claimed is to ask again.
        let waited = !self.unsettled.is_empty();
        self.unsettled.extend(ends);
        let ends = std::mem::take(&mut self.unsettled);
        let (forget, now) = (self.forget.clone(), self.boots.wall_now());
        let Some(settled) = self.with_db(|db| db.settle(&ends, &forget, now)) else {
            self.unsettled = ends;
            return;
        };
        self.followed.mail |= settled.put;
        self.set_waiting(self.waiting.saturating_sub(settled.waited));
        self.news |= waited;
        self.forgot();
        for (seq, _) in &ends {
            self.loans.end(*seq, None);
            self.warm.forget(*seq);
        }
        self.remove_files(settled.gone);
    }

    fn rest(&mut self, seq: u64, retry_after: Option<Duration>) {
        let until = retry_after.and_then(|pause| Instant::now().checked_add(pause));
        self.loans.end(seq, until);
        self.news |= until.is_none();
    }

    /// Is this file gone, and not the whole spool with it?
    fn is_missing(&self, seq: u64) -> bool {
        let gone = |e: &io::Error| e.kind() == io::ErrorKind::NotFound;
        let missing = fs::symlink_metadata(self.cx.layout.image(seq)).is_err_and(|e| gone(&e));
        missing && self.cx.layout.identity().exists()
    }

    // ---- waiting for a clock ----

    /// Makes ready what the boot record lets go. The record is the truth and durable already; rows that
    /// lag are released by the next recovery.
    fn release(&mut self) {
        let (boot, before) = (self.cx.now.boot.clone(), self.waits_from());
        if self.with_db(|db| db.release(&boot, before)).is_some() {
            self.recount_waiting();
            self.news = true;
        }
    }

    /// Pictures of this boot without a time wait from this number on.
    fn waits_from(&self) -> u64 {
        self.boots.current().waits_from().unwrap_or(SEQ_END)
    }

    fn add_waiting(&mut self, more: u64) {
        self.waiting += more;
        if more > 0 {
            self.waiting_since.get_or_insert_with(Instant::now);
        }
    }

    /// Asks the index again how many wait: that costs one index entry each, so only where it changed.
    fn recount_waiting(&mut self) {
        if let Some(waiting) = self.with_db(|db| db.waiting()) {
            self.set_waiting(waiting);
        }
    }

    /// When nobody waits, nobody has waited for long: the next one begins anew.
    fn set_waiting(&mut self, waiting: u64) {
        self.waiting = 0;
        if waiting == 0 {
            self.waiting_since = None;
        }
        self.add_waiting(waiting);
    }
}

fn used(totals: &[ClassTotals; 4]) -> u64 {
    totals.iter().map(|t| t.queued_bytes + t.quarantined_bytes).sum()
}

fn reason(why: &Quarantine) -> String {
    match why {
        Quarantine::Corrupt => "corrupt".to_owned(),
        Quarantine::Rejected(words) => {
            format!("rejected: {}", words.chars().take(400).collect::<String>())
        }
    }
}
