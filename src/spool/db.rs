//! The index: all SQL of the spool, one connection, write-ahead log.
//!
//! Rows say what is to become of each image file, and the totals change in the same transaction as the
//! row, so that `kept = stored + queued + quarantined + lost` holds in every snapshot; the schema checks
//! it. Insertions are committed with `synchronous = NORMAL`: a power cut may take a suffix of them back,
//! and recovery adopts those files again. Whatever lets go of a file is committed with FULL first.
//!
//! Owned by the spool's thread. Every error is handed up; [`DbError::Corrupt`] asks for a rebuild,
//! anything else for a reopening.

mod browse;
mod commands;
#[cfg(test)]
mod counting;
mod events;
mod follow;
mod outbox;
mod purges;
mod rebuild;
mod rows;
mod unwritten;
mod words;

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, Transaction, TransactionBehavior, params};

pub(super) use self::browse::Page;
#[cfg(test)]
pub(super) use self::counting::steps;
pub(super) use self::purges::{Going, Purge, PurgePage};
use self::rows::{Filler, drop_rows, settle_one};
pub(super) use self::words::{
    BootSpan, ClassTotals, End, Follow, Item, Ledger, NewItem, Part, Settled, State,
};
pub use self::words::{LostOf, Moment};
use super::Loss;
use super::retention::{Shelf, Source, Stock};
use super::unwritten::Batch;
use crate::clock::{BootId, BootTime, WallTime};
use crate::contract::Class;

/// Version of the schema, in `PRAGMA user_version`; each migration makes the next one of it.
/// What a version's file says is frozen.
const MIGRATIONS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
    include_str!("schema-4.sql"),
];
/// Bytes of a page of a new index. Keeping a picture changes one row in each of six places, and each of their pages is
/// written to the log whole: with SQLite's own 4096 that was a quarter of a picture's bytes (`docs/benchmarks.md`).
const PAGE_BYTES: i64 = 1024;
/// Bytes of the log at which it is moved into the database.
const LOG_BYTES: i64 = 4_096_000;
/// Rows handed out at a time.
pub(super) const PAGE: usize = 64;

/// Why the index failed, by what to do next.
#[derive(Debug, thiserror::Error)]
pub(super) enum DbError {
    /// Set it aside and rebuild it from the files.
    #[error("the index is damaged: {0}")]
    Corrupt(String),
    /// The index was made by a later version: leave it alone.
    #[error("the index has format {found}, this agent knows {known}")]
    TooNew {
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// The disk is full. The transaction is undone, and the index works on.
    #[error("the disk is full: {0}")]
    Full(rusqlite::Error),
    /// Close it and open it again.
    #[error("the index failed: {0}")]
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for DbError {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match (&e, e.sqlite_error_code()) {
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                Self::Corrupt(e.to_string())
            }
            (_, Some(ErrorCode::DiskFull)) => Self::Full(e),
            // A table or column that should be there is not, or a sum does not balance.
            (_, Some(ErrorCode::ConstraintViolation | ErrorCode::Unknown))
            | (
                E::InvalidColumnType(..) | E::QueryReturnedNoRows | E::IntegralValueOutOfRange(..),
                _,
            ) => Self::Corrupt(e.to_string()),
            _ => Self::Failed(e),
        }
    }
}

type Result<T> = std::result::Result<T, DbError>;

/// The index.
#[derive(Debug)]
pub(super) struct Db {
    conn: Connection,
    /// What the next transaction that changes something takes along.
    carried: Option<Batch>,
}

impl Db {
    /// Makes a new index with an empty ledger, durable when it returns. Of the files of `unread` it knows
    /// nothing yet.
    pub(super) fn create(path: &Path, ledger: &Ledger, unread: &Range<u64>) -> Result<()> {
        let mut conn = Connection::open(path)?;
        conn.pragma_update(None, "page_size", PAGE_BYTES)?;
        conn.execute_batch("PRAGMA synchronous = FULL")?;
        let tx = conn.transaction()?;
        migrate(&tx)?;
        tx.execute(
            "INSERT INTO ledger VALUES (1, ?, ?, ?, ?, ?, ?)",
            params![
                ledger.spool,
                signed(ledger.generation),
                ledger.began.boot.0,
                signed(ledger.began.at.0),
                ledger.began.wall.map(|w| w.0),
                signed(ledger.high_seq)
            ],
        )?;
        // Acknowledgements may yet come for messages of the ledger before: their numbers stay theirs.
        tx.execute(
            "INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)",
            [signed(ledger.generation.saturating_sub(1) << 32)],
        )?;
        rebuild::begin(&tx, unread)?;
        tx.commit()?;
        conn.close().map_err(|(_, e)| e.into())
    }

    /// Opens an index that is there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags)?;
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA cache_size = -1024; PRAGMA temp_store = MEMORY;
             PRAGMA journal_size_limit = 8388608;",
        )?;
        let page: i64 = conn.pragma_query_value(None, "page_size", |r| r.get(0))?;
        conn.pragma_update(None, "wal_autocheckpoint", LOG_BYTES / page.max(1))?;
        #[cfg(test)]
        counting::watch(&mut conn)?;
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        migrate(&tx)?;
        tx.commit()?;
        let db = Self { conn, carried: None };
        db.ledger()?;
        Ok(db)
    }

    pub(super) fn ledger(&self) -> Result<Ledger> {
        let mut statement = self.conn.prepare_cached(
            "SELECT spool, generation, began_boot, began_ns, began_wall_ms, high_seq FROM ledger",
        )?;
        Ok(statement.query_row([], |r| {
            Ok(Ledger {
                spool: r.get(0)?,
                generation: unsigned(r, 1)?,
                began: Moment {
                    boot: BootId(r.get(2)?),
                    at: BootTime(unsigned(r, 3)?),
                    wall: r.get::<_, Option<i64>>(4)?.map(WallTime),
                },
                high_seq: unsigned(r, 5)?,
            })
        })?)
    }

    /// Puts kept pictures in. `forget` are done rows whose files are gone.
    pub(super) fn insert(&mut self, items: &[NewItem], forget: &[u64]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            drop_rows(tx, forget)?;
            let mut filler = Filler { tx };
            items.iter().try_for_each(|item| filler.put(item))
        })
    }

    /// Puts in a picture that lies below `high_seq`, durably: no start would look for it again.
    pub(super) fn insert_durably(&mut self, item: &NewItem) -> Result<()> {
        self.transact(Sync::Full, |tx| Filler { tx }.put(item))
    }

    /// Ends pictures' time in the queue, durably, and what follows them; those that are not in it any
    /// more are left alone. `now` dates what is told of it.
    pub(super) fn settle(
        &mut self,
        ends: &[(u64, End)],
        forget: &[u64],
        now: Option<WallTime>,
    ) -> Result<Settled> {
        self.transact(Sync::Full, |tx| {
            drop_rows(tx, forget)?;
            let mut settled = Settled::default();
            for (seq, end) in ends {
                let Some(waited) = settle_one(tx, *seq, end)? else { continue };
                settled.waited += u64::from(waited);
                settled.put |= follow::end(tx, *seq, end, now)?;
                if !matches!(end, End::Quarantined(_)) {
                    settled.gone.push(*seq);
                }
            }
            Ok(settled)
        })
    }

    /// Writes down one more attempt for each.
    pub(super) fn count_attempts(&mut self, seqs: &[u64], forget: &[u64]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            drop_rows(tx, forget)?;
            let mut statement =
                tx.prepare_cached("UPDATE items SET attempts = attempts + 1 WHERE seq = ?")?;
            for seq in seqs {
                statement.execute([signed(*seq)])?;
            }
            Ok(())
        })
    }

    /// Deletes done rows whose files are gone.
    pub(super) fn forget(&mut self, seqs: &[u64]) -> Result<()> {
        self.transact(Sync::Normal, |tx| drop_rows(tx, seqs))
    }

    /// Makes waiting pictures ready: those of other boots than `boot`, and those below `before`.
    pub(super) fn release(&mut self, boot: &BootId, before: u64) -> Result<usize> {
        self.transact(Sync::Normal, |tx| {
            Ok(tx.execute(
                "UPDATE items SET state = 1 WHERE state = 0
                   AND (seq < ?1 OR boot NOT IN (SELECT id FROM boots WHERE boot = ?2))",
                params![signed(before), boot.0],
            )?)
        })
    }

    /// Up to [`PAGE`] ready pictures below `below`, newest first.
    pub(super) fn newest(&self, below: u64) -> Result<Vec<Item>> {
        self.page("state = 1 AND seq < ?1 ORDER BY seq DESC", [signed(below)])
    }

    /// Up to [`PAGE`] ready pictures above `above`, oldest first.
    pub(super) fn oldest(&self, above: u64) -> Result<Vec<Item>> {
        self.oldest_in(State::Ready, above)
    }

    /// Up to [`PAGE`] pictures in this state above `above`, oldest first.
    pub(super) fn oldest_in(&self, state: State, above: u64) -> Result<Vec<Item>> {
        let filter = match state {
            State::Waiting => "state = 0 AND seq > ?1 ORDER BY seq",
            State::Ready => "state = 1 AND seq > ?1 ORDER BY seq",
            State::Quarantined => "state = 2 AND seq > ?1 ORDER BY seq",
            State::Done => "state = 3 AND seq > ?1 ORDER BY seq",
        };
        self.page(filter, [signed(above)])
    }

    /// Up to [`PAGE`] of one camera's pictures of one source above `above`, oldest first.
    pub(super) fn oldest_of(&self, camera: i64, from: Source, above: u64) -> Result<Vec<Item>> {
        // The state is written out, or the partial index would not be used.
        let filter = match from {
            Source::Quarantine => "state = 2 AND camera = ?2 AND seq > ?1 ORDER BY seq",
            Source::Queue(Class::Interval) => {
                "class = 0 AND state < 2 AND camera = ?2 AND seq > ?1 ORDER BY seq"
            }
            Source::Queue(Class::Event) => {
                "class = 1 AND state < 2 AND camera = ?2 AND seq > ?1 ORDER BY seq"
            }
            Source::Queue(Class::Best) => {
                "class = 2 AND state < 2 AND camera = ?2 AND seq > ?1 ORDER BY seq"
            }
            Source::Queue(Class::Manifest) => {
                "class = 3 AND state < 2 AND camera = ?2 AND seq > ?1 ORDER BY seq"
            }
        };
        self.page(filter, [signed(above), camera])
    }

    /// What each camera has: its name, and its shelves with what is in flight.
    pub(super) fn stock(&self) -> Result<Vec<(String, Stock)>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT c.id, c.name, t.class, t.queued, t.queued_bytes, t.quarantined, t.quarantined_bytes
             FROM totals t JOIN cameras c ON c.id = t.camera ORDER BY c.id",
        )?;
        let mut rows = statement.query([])?;
        let mut found: Vec<(String, Stock)> = Vec::new();
        while let Some(r) = rows.next()? {
            let camera = r.get(0)?;
            if found.last().is_none_or(|(_, stock)| stock.camera != camera) {
                found.push((r.get(1)?, Stock { camera, ..Stock::default() }));
            }
            let Some((_, stock)) = found.last_mut() else { continue };
            let shelf = Shelf { items: unsigned(r, 3)?, bytes: unsigned(r, 4)? };
            let aside = Shelf { items: unsigned(r, 5)?, bytes: unsigned(r, 6)? };
            stock.queue[class_of(r.get(2)?) as usize] = shelf;
            stock.quarantine.items += aside.items;
            stock.quarantine.bytes += aside.bytes;
            stock.used += shelf.bytes + aside.bytes;
        }
        Ok(found)
    }

    /// The account by class.
    pub(super) fn totals(&self) -> Result<[ClassTotals; 4]> {
        let mut totals = [ClassTotals::default(); 4];
        let mut statement = self.conn.prepare_cached(
            "SELECT class, sum(kept), sum(stored), sum(queued), sum(quarantined), sum(lost),
                    sum(queued_bytes), sum(quarantined_bytes) FROM totals GROUP BY class",
        )?;
        let mut rows = statement.query([])?;
        while let Some(r) = rows.next()? {
            totals[class_of(r.get(0)?) as usize] = ClassTotals {
                kept: unsigned(r, 1)?,
                stored: unsigned(r, 2)?,
                queued: unsigned(r, 3)?,
                quarantined: unsigned(r, 4)?,
                lost: unsigned(r, 5)?,
                queued_bytes: unsigned(r, 6)?,
                quarantined_bytes: unsigned(r, 7)?,
            };
        }
        Ok(totals)
    }

    /// Lost pictures by camera, class and reason; those without any are left out.
    pub(super) fn lost_of(&self) -> Result<Vec<LostOf>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT c.name, l.class, l.reason, l.items FROM losses l JOIN cameras c ON c.id = l.camera
             WHERE l.items > 0 ORDER BY c.name, l.class, l.reason",
        )?;
        let rows = statement.query_map([], |r| {
            Ok(LostOf {
                camera: r.get(0)?,
                class: class_of(r.get(1)?),
                reason: r.get(2)?,
                items: unsigned(r, 3)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Lost pictures by reason, in the order of [`Loss::ALL`].
    pub(super) fn losses(&self) -> Result<[u64; Loss::ALL.len()]> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT coalesce(sum(items), 0) FROM losses WHERE reason = ?")?;
        let mut losses = [0; Loss::ALL.len()];
        for (loss, count) in Loss::ALL.iter().zip(&mut losses) {
            *count = statement.query_row([loss.name()], |r| unsigned(r, 0))?;
        }
        Ok(losses)
    }

    /// Pictures that wait for a clock.
    pub(super) fn waiting(&self) -> Result<u64> {
        let mut statement =
            self.conn.prepare_cached("SELECT count(*) FROM items WHERE state = 0")?;
        Ok(statement.query_row([], |r| unsigned(r, 0))?)
    }

    /// Sequence numbers of done rows.
    pub(super) fn done(&self) -> Result<Vec<u64>> {
        let mut statement = self.conn.prepare_cached("SELECT seq FROM items WHERE state = 3")?;
        let rows = statement.query_map([], |r| unsigned(r, 0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Is there any row with `from <= seq < end`?
    pub(super) fn any_between(&self, from: u64, end: u64) -> Result<bool> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM items WHERE seq >= ? AND seq < ?)")?;
        Ok(statement.query_row([signed(from), signed(end)], |r| r.get(0))?)
    }

    /// Boots of which something is left; the others are forgotten.
    pub(super) fn boots_in_use(&mut self) -> Result<Vec<BootId>> {
        self.transact(Sync::Normal, |tx| {
            tx.execute("DELETE FROM boots WHERE items = 0", [])?;
            let mut statement =
                tx.prepare_cached("SELECT boot FROM boots UNION SELECT boot FROM events")?;
            let rows = statement.query_map([], |r| r.get(0).map(BootId))?;
            Ok(rows.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Boots of which something is left, in their order, and how long they lasted.
    pub(super) fn boot_spans(&self) -> Result<Vec<BootSpan>> {
        let mut statement =
            self.conn.prepare_cached("SELECT boot, last_ns FROM boots ORDER BY id")?;
        let rows = statement.query_map([], |r| {
            Ok(BootSpan { boot: BootId(r.get(0)?), last: BootTime(unsigned(r, 1)?) })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Moves the log into the database and makes both durable.
    pub(super) fn checkpoint(&self) -> Result<()> {
        self.conn.execute_batch("PRAGMA synchronous = FULL")?;
        Ok(self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    /// Keeps the log as short as it is from now on: what it holds goes into the database after every few pages, and its
    /// blocks are written over. Costs writes, and is for a disk that has no room.
    pub(super) fn stint(&self) -> Result<()> {
        self.conn.execute_batch("PRAGMA wal_autocheckpoint = 32")?;
        Ok(self.conn.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?)
    }

    fn transact<T>(
        &mut self,
        sync: Sync,
        f: impl FnOnce(&Transaction<'_>) -> Result<T>,
    ) -> Result<T> {
        self.conn.execute_batch(match sync {
            Sync::Normal => "PRAGMA synchronous = NORMAL",
            Sync::Full => "PRAGMA synchronous = FULL",
        })?;
        let tx = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let before = unwritten::changes(&tx)?;
        let done = f(&tx)?;
        // One that only reads is to write nothing.
        let taken = match &self.carried {
            Some(batch) if unwritten::changes(&tx)? > before => {
                unwritten::enter(&tx, batch)?;
                true
            }
            _ => false,
        };
        tx.commit()?;
        if taken {
            self.carried = None;
        }
        Ok(done)
    }

    fn page(&self, filter: &'static str, params: impl rusqlite::Params) -> Result<Vec<Item>> {
        let mut statement = self.conn.prepare_cached(&format!(
            "SELECT seq, class, bytes, attempts, (SELECT b.boot FROM boots b WHERE b.id = i.boot), camera
             FROM items i WHERE {filter} LIMIT {PAGE}"
        ))?;
        let rows = statement.query_map(params, |r| {
            Ok(Item {
                seq: unsigned(r, 0)?,
                class: class_of(r.get(1)?),
                bytes: unsigned(r, 2)?,
                attempts: r.get(3)?,
                boot: BootId(r.get(4)?),
                camera: r.get(5)?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}

#[derive(Clone, Copy)]
enum Sync {
    Normal,
    Full,
}

fn migrate(tx: &Transaction<'_>) -> Result<()> {
    let found: usize = tx
        .query_row("PRAGMA user_version", [], |r| unsigned(r, 0))?
        .try_into()
        .unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(found..) else {
        return Err(DbError::TooNew { found, known: MIGRATIONS.len() });
    };
    if missing.is_empty() {
        return Ok(());
    }
    for step in missing {
        tx.execute_batch(step)?;
    }
    tx.execute_batch(&format!("PRAGMA user_version = {}", MIGRATIONS.len()))?;
    Ok(())
}

/// SQLite's integers are signed. Sequence numbers end at 2^42, sizes and clocks far below 2^63.
fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(r: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let n: i64 = r.get(column)?;
    u64::try_from(n).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, n))
}

/// Numbers of classes in the index; an unknown one can only be of a later version, and worth most.
fn class_of(n: i64) -> Class {
    match n {
        0 => Class::Interval,
        1 => Class::Event,
        2 => Class::Best,
        _ => Class::Manifest,
    }
}
