//! Messages that must arrive: put in, handed out, taken off when the broker has them.
//!
//! Bounded by number and bytes. Each change moves the sums in the same transaction; the schema checks
//! that `put = arrived + queued + dropped`.

use rusqlite::{OptionalExtension, Transaction, params};
use tracing::warn;

use super::{Db, Result, Sync, signed, unsigned};
use crate::spool::follow::{Kind, Message, OutboxSum, OutboxSums, Queued};

/// Most messages.
const MAX_MESSAGES: u64 = 1000;
/// Most bytes of messages.
const MAX_BYTES: u64 = 4 << 20;
/// A longer message would push out everything else, and no broker takes it.
const MAX_MESSAGE: u64 = 1 << 20;
/// Who goes first when there is no room.
const WORTH: [Kind; 3] = [Kind::Stored, Kind::Alarm, Kind::Outcome];

impl Db {
    /// Puts messages in, durably.
    pub(in crate::spool) fn post(&mut self, messages: &[Message]) -> Result<()> {
        self.transact(Sync::Full, |tx| messages.iter().try_for_each(|message| put(tx, message)))
    }

    /// Up to `most` messages above `above`, in order.
    pub(in crate::spool) fn outbox(&self, above: u64, most: usize) -> Result<Vec<Queued>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id, kind, topic, payload, correlation FROM outbox WHERE id > ? ORDER BY id LIMIT ?",
        )?;
        let rows = statement.query_map([signed(above), signed(most as u64)], |r| {
            let message = Message {
                kind: kind_of(r.get(1)?),
                topic: r.get(2)?,
                payload: r.get(3)?,
                correlation: r.get(4)?,
            };
            Ok(Queued { id: unsigned(r, 0)?, message })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Takes messages off that arrived; those that are not there any more are left alone.
    pub(in crate::spool) fn arrived(&mut self, ids: &[u64]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            for id in ids {
                take_off(tx, *id, "arrived = arrived + 1")?;
            }
            Ok(())
        })
    }

    /// Drops messages that will never arrive; those that are not there any more are left alone.
    pub(in crate::spool) fn give_up(&mut self, ids: &[u64]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            ids.iter().try_for_each(|id| take_off(tx, *id, "dropped = dropped + 1"))
        })
    }

    /// The outbox's ledger.
    pub(in crate::spool) fn outbox_sums(&self) -> Result<OutboxSums> {
        let mut sums = OutboxSums::default();
        let mut statement = self
            .conn
            .prepare_cached("SELECT kind, put, arrived, queued, dropped FROM outbox_sums")?;
        let mut rows = statement.query([])?;
        while let Some(r) = rows.next()? {
            sums.kinds[kind_of(r.get(0)?) as usize] = OutboxSum {
                put: unsigned(r, 1)?,
                arrived: unsigned(r, 2)?,
                queued: unsigned(r, 3)?,
                dropped: unsigned(r, 4)?,
            };
        }
        Ok(sums)
    }
}

/// Puts a message in, and drops what there is no room for: perhaps this one.
pub(super) fn put(tx: &Transaction<'_>, message: &Message) -> Result<()> {
    let (kind, bytes) = (message.kind as i64, length(message));
    if bytes > MAX_MESSAGE {
        warn!(kind = message.kind.name(), bytes, "A message is too long; it is dropped.");
        tx.prepare_cached(
            "UPDATE outbox_sums SET put = put + 1, dropped = dropped + 1 WHERE kind = ?",
        )?
        .execute([kind])?;
        return Ok(());
    }
    tx.prepare_cached(
        "INSERT INTO outbox (kind, topic, payload, correlation) VALUES (?, ?, ?, ?)",
    )?
    .execute(params![kind, message.topic, message.payload, message.correlation])?;
    tx.prepare_cached(
        "UPDATE outbox_sums SET put = put + 1, queued = queued + 1, bytes = bytes + ?2
         WHERE kind = ?1",
    )?
    .execute([kind, signed(bytes)])?;
    make_room(tx)
}

fn make_room(tx: &Transaction<'_>) -> Result<()> {
    let mut sum = tx.prepare_cached(
        "SELECT coalesce(sum(queued), 0), coalesce(sum(bytes), 0) FROM outbox_sums",
    )?;
    loop {
        let (queued, bytes) = sum.query_row([], |r| Ok((unsigned(r, 0)?, unsigned(r, 1)?)))?;
        if queued <= MAX_MESSAGES && bytes <= MAX_BYTES {
            return Ok(());
        }
        if !drop_oldest(tx)? {
            return Ok(());
        }
    }
}

/// Drops the oldest message of the kind that is worth least; whether there was any.
fn drop_oldest(tx: &Transaction<'_>) -> Result<bool> {
    for kind in WORTH {
        let oldest: Option<u64> = tx
            .prepare_cached(
                "SELECT id FROM outbox WHERE kind = ?1
                   AND (SELECT queued FROM outbox_sums WHERE kind = ?1) > 0 ORDER BY id LIMIT 1",
            )?
            .query_row([kind as i64], |r| unsigned(r, 0))
            .optional()?;
        if let Some(id) = oldest {
            warn!(
                id,
                kind = kind.name(),
                "The outbox is full; its least worth message is dropped."
            );
            take_off(tx, id, "dropped = dropped + 1")?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes a message, if it is there, and counts it as `counted` says.
fn take_off(tx: &Transaction<'_>, id: u64, counted: &'static str) -> Result<()> {
    let gone = tx
        .prepare_cached(
            "DELETE FROM outbox WHERE id = ? RETURNING kind,
               length(CAST(topic AS BLOB)) + length(payload) + coalesce(length(correlation), 0)",
        )?
        .query_row([signed(id)], |r| Ok([r.get::<_, i64>(0)?, r.get(1)?]))
        .optional()?;
    if let Some(gone) = gone {
        tx.prepare_cached(&format!(
            "UPDATE outbox_sums SET {counted}, queued = queued - 1, bytes = bytes - ?2 WHERE kind = ?1"
        ))?
        .execute(gone)?;
    }
    Ok(())
}

fn length(message: &Message) -> u64 {
    let correlation = message.correlation.as_ref().map_or(0, Vec::len);
    (message.topic.len() + message.payload.len() + correlation) as u64
}

/// Numbers of kinds in the index; an unknown one can only be of a later version, and worth least.
fn kind_of(n: i64) -> Kind {
    match n {
        0 => Kind::Outcome,
        1 => Kind::Alarm,
        _ => Kind::Stored,
    }
}
