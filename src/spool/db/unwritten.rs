//! Pictures that were stored and never written, in the index: sums only, entered with a transaction that writes anyway.

use rusqlite::{OptionalExtension, Transaction, params};

use super::rows::camera_id;
use super::{Db, Result, Sync, signed, unsigned};
use crate::spool::unwritten::Batch;

/// Number of the last batch that entered, in `flags`.
const LAST: &str = "unwritten";

impl Db {
    /// Has the next transaction that changes something take this along.
    pub(in crate::spool) fn carry(&mut self, batch: Option<Batch>) {
        self.carried = batch;
    }

    /// Takes back what no transaction took along; `None` where it is in the index.
    pub(in crate::spool) fn put_down(&mut self) -> Option<Batch> {
        self.carried.take()
    }

    /// Enters what is carried, now.
    pub(in crate::spool) fn enter(&mut self) -> Result<()> {
        let Some(batch) = self.carried.take() else { return Ok(()) };
        self.transact(Sync::Normal, |tx| enter(tx, &batch))
    }

    /// Number of the last batch that entered; 0 before the first.
    pub(in crate::spool) fn last_entered(&self) -> Result<u64> {
        let mut statement = self.conn.prepare_cached("SELECT value FROM flags WHERE name = ?")?;
        Ok(statement.query_row([LAST], |r| unsigned(r, 0)).optional()?.unwrap_or(0))
    }
}

/// Changes of this connection so far.
pub(super) fn changes(tx: &Transaction<'_>) -> Result<i64> {
    Ok(tx.prepare_cached("SELECT total_changes()")?.query_row([], |r| r.get(0))?)
}

/// Counts the batch's pictures kept and stored, unless it entered before.
pub(super) fn enter(tx: &Transaction<'_>, batch: &Batch) -> Result<()> {
    let new = tx
        .prepare_cached(
            "INSERT INTO flags VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET value = ?2 WHERE value < ?2",
        )?
        .execute(params![LAST, signed(batch.number)])?;
    if new == 0 {
        return Ok(());
    }
    for ((camera, class), pictures) in &batch.stored {
        let camera = camera_id(tx, camera)?;
        tx.prepare_cached("INSERT OR IGNORE INTO totals (camera, class) VALUES (?, ?)")?
            .execute([camera, *class])?;
        tx.prepare_cached(
            "UPDATE totals SET kept = kept + ?3, stored = stored + ?3
             WHERE camera = ?1 AND class = ?2",
        )?
        .execute([camera, *class, signed(*pictures)])?;
    }
    Ok(())
}
