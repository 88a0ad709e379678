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
mod error;
mod events;
mod follow;
mod outbox;
mod purges;
mod read;
mod rebuild;
mod rows;
mod unwritten;
mod words;

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row, Transaction, TransactionBehavior, params};

pub(super) use self::browse::Page;
#[cfg(test)]
pub(super) use self::counting::steps;
pub(super) use self::error::DbError;
pub(super) use self::purges::{Going, Purge, PurgePage};
use self::rows::{Filler, drop_rows, settle_one};
pub(super) use self::words::{
    BootSpan, ClassTotals, End, Follow, Item, Ledger, NewItem, Part, Settled, State,
};
pub use self::words::{LostOf, Moment};
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
