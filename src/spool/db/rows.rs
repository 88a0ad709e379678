//! What is done to one picture's row, and to the totals with it, within a transaction.

use rusqlite::{CachedStatement, OptionalExtension, Transaction, params};

use super::{End, NewItem, Result, State, follow, signed};

/// Puts pictures into the index, within a transaction.
pub(super) struct Filler<'a> {
    pub(super) tx: &'a Transaction<'a>,
}

impl Filler<'_> {
    /// Inserts one picture and counts it kept.
    pub(super) fn put(&mut self, item: &NewItem) -> Result<()> {
        let tx = self.tx;
        let camera = camera_id(tx, &item.camera)?;
        let boot = id_of(
            tx.prepare_cached("SELECT id FROM boots WHERE boot = ?")?,
            tx.prepare_cached("INSERT INTO boots (boot, items) VALUES (?, 0) RETURNING id")?,
            &item.boot.0,
        )?;
        let (class, bytes) = (item.class as i64, signed(item.bytes));
        let set_aside = i64::from(item.state == State::Quarantined);
        tx.prepare_cached(
            "UPDATE boots SET items = items + 1, last_ns = max(last_ns, ?2) WHERE id = ?1",
        )?
        .execute([boot, signed(item.captured.0)])?;
        tx.prepare_cached(
            "INSERT INTO items (seq, state, camera, class, boot, bytes, outcome)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(params![
            signed(item.seq),
            item.state as i64,
            camera,
            class,
            boot,
            bytes,
            item.outcome
        ])?;
        tx.prepare_cached("INSERT OR IGNORE INTO totals (camera, class) VALUES (?, ?)")?
            .execute([camera, class])?;
        tx.prepare_cached(
            "UPDATE totals SET kept = kept + 1,
               queued = queued + 1 - ?3, queued_bytes = queued_bytes + ?4 * (1 - ?3),
               quarantined = quarantined + ?3, quarantined_bytes = quarantined_bytes + ?4 * ?3
             WHERE camera = ?1 AND class = ?2",
        )?
        .execute([camera, class, set_aside, bytes])?;
        tx.prepare_cached("UPDATE ledger SET high_seq = max(high_seq, ?)")?
            .execute([signed(item.seq)])?;
        follow::begin(tx, item)
    }
}

/// A camera's number; made where it has none.
pub(super) fn camera_id(tx: &Transaction<'_>, name: &str) -> Result<i64> {
    id_of(
        tx.prepare_cached("SELECT id FROM cameras WHERE name = ?")?,
        tx.prepare_cached("INSERT INTO cameras (name) VALUES (?) RETURNING id")?,
        name,
    )
}

fn id_of(mut find: CachedStatement<'_>, mut add: CachedStatement<'_>, name: &str) -> Result<i64> {
    if let Some(id) = find.query_row([name], |r| r.get(0)).optional()? {
        return Ok(id);
    }
    Ok(add.query_row([name], |r| r.get(0))?)
}

/// Ends one picture's time in the queue (or in quarantine). `None` where it was not there, else whether it waited for a
/// clock.
pub(super) fn settle_one(tx: &Transaction<'_>, seq: u64, end: &End) -> Result<Option<bool>> {
    let row = tx
        .prepare_cached("SELECT state, camera, class, boot, bytes FROM items WHERE seq = ?")?
        .query_row([signed(seq)], |r| {
            Ok((
                r.get::<_, i64>(0)?,
                [r.get(1)?, r.get(2)?],
                r.get::<_, i64>(3)?,
                r.get::<_, i64>(4)?,
            ))
        })
        .optional()?;
    let Some((state, [camera, class], boot, bytes)) = row.filter(|r| r.0 != State::Done as i64)
    else {
        return Ok(None);
    };
    let was_aside = i64::from(state == State::Quarantined as i64);
    let (to, outcome) = match end {
        End::Stored(_) => (State::Done, "stored".to_owned()),
        End::Lost(why) => (State::Done, format!("lost: {}", why.name())),
        End::Quarantined(why) => (State::Quarantined, why.clone()),
    };
    tx.prepare_cached("UPDATE items SET state = ?, outcome = ? WHERE seq = ?")?
        .execute(params![to as i64, outcome, signed(seq)])?;
    tx.prepare_cached(
        "UPDATE totals SET
           queued = queued - 1 + ?3, queued_bytes = queued_bytes - ?4 * (1 - ?3),
           quarantined = quarantined - ?3 + ?5,
           quarantined_bytes = quarantined_bytes - ?4 * ?3 + ?4 * ?5,
           stored = stored + ?6, lost = lost + ?7
         WHERE camera = ?1 AND class = ?2",
    )?
    .execute([
        camera,
        class,
        was_aside,
        bytes,
        i64::from(to == State::Quarantined),
        i64::from(matches!(end, End::Stored(_))),
        i64::from(matches!(end, End::Lost(_))),
    ])?;
    if let End::Lost(why) = end {
        tx.prepare_cached(
            "INSERT INTO losses VALUES (?, ?, ?, 1)
             ON CONFLICT DO UPDATE SET items = items + 1",
        )?
        .execute(params![camera, class, why.name()])?;
    }
    if to == State::Done {
        tx.prepare_cached("UPDATE boots SET items = items - 1 WHERE id = ?")?.execute([boot])?;
    }
    Ok(Some(state == State::Waiting as i64))
}

pub(super) fn drop_rows(tx: &Transaction<'_>, seqs: &[u64]) -> Result<()> {
    let mut statement = tx.prepare_cached("DELETE FROM items WHERE seq = ? AND state = 3")?;
    for seq in seqs {
        statement.execute([signed(*seq)])?;
    }
    Ok(())
}
