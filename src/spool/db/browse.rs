//! Rows as people look at them, and the way back out of quarantine.

use rusqlite::{OptionalExtension, Row, params};

use super::{Db, Result, Sync, class_of, signed, unsigned};
use crate::spool::browse::{Entry, Filter, Held, PAGE};
use crate::spool::db::State;

/// Rows looked at for one page: a filter that little passes must not keep the spool's thread from its work.
const LOOKED_AT: usize = 4096;

/// Some of the rows that pass a filter.
#[derive(Debug)]
pub(in crate::spool) struct Page {
    pub(in crate::spool) entries: Vec<Entry>,
    /// Where the next page begins.
    pub(in crate::spool) next: Option<u64>,
}

const COLUMNS: &str =
    "SELECT i.seq, i.state, c.name, i.class, b.boot, i.bytes, i.attempts, i.outcome
     FROM items i JOIN cameras c ON c.id = i.camera JOIN boots b ON b.id = i.boot";

impl Db {
    /// Up to [`PAGE`] pictures above `above`, by number, of the next [`LOOKED_AT`], and where the next page begins.
    pub(in crate::spool) fn entries(&self, filter: &Filter, above: u64) -> Result<Page> {
        let above = filter.from.map_or(above, |from| above.max(from.saturating_sub(1)));
        let most = filter.to.unwrap_or(u64::MAX);
        let window = self
            .conn
            .prepare_cached(&format!(
                "SELECT seq FROM items WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET {}",
                LOOKED_AT - 1
            ))?
            .query_row([signed(above)], |r| unsigned(r, 0))
            .optional()?;
        let mut statement = self.conn.prepare_cached(&format!(
            "{COLUMNS} WHERE i.seq > ?1 AND i.seq <= ?2 AND i.state < 3 AND (?3 IS NULL OR c.name = ?3)
               AND (?4 IS NULL OR i.class = ?4) AND (?5 IS NULL OR i.state = ?5)
             ORDER BY i.seq LIMIT {PAGE}"
        ))?;
        let held = filter.held.map(|held| match held {
            Held::Waiting => State::Waiting as i64,
            Held::Queued => State::Ready as i64,
            Held::Quarantined => State::Quarantined as i64,
        });
        let rows = statement.query_map(
            params![
                signed(above),
                signed(window.map_or(most, |end| end.min(most))),
                filter.camera,
                filter.class.map(|class| class as i64),
                held
            ],
            entry,
        )?;
        let entries: Vec<Entry> = rows.collect::<rusqlite::Result<_>>()?;
        let next = match entries.last() {
            Some(last) if entries.len() == PAGE => Some(last.seq),
            _ => window.filter(|end| *end < most),
        };
        Ok(Page { entries, next })
    }

    /// One picture; whether it is only being removed besides.
    pub(in crate::spool) fn entry(&self, seq: u64) -> Result<Option<(Entry, bool)>> {
        let mut statement = self.conn.prepare_cached(&format!("{COLUMNS} WHERE i.seq = ?"))?;
        let row = statement.query_row([signed(seq)], |r| {
            Ok((entry(r)?, r.get::<_, i64>(1)? == State::Done as i64))
        });
        Ok(row.optional()?)
    }

    /// Queues pictures again that were set aside, with no attempts counted.
    pub(in crate::spool) fn requeue(&mut self, seqs: &[(u64, State)]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            for (seq, state) in seqs {
                let row = tx
                    .prepare_cached(
                        "UPDATE items SET state = ?2, attempts = 0, outcome = NULL
                         WHERE seq = ?1 AND state = 2 RETURNING camera, class, bytes",
                    )?
                    .query_row(params![signed(*seq), *state as i64], |r| {
                        Ok([r.get::<_, i64>(0)?, r.get(1)?, r.get(2)?])
                    })
                    .optional()?;
                let Some([camera, class, bytes]) = row else { continue };
                tx.prepare_cached(
                    "UPDATE totals SET queued = queued + 1, queued_bytes = queued_bytes + ?3,
                       quarantined = quarantined - 1, quarantined_bytes = quarantined_bytes - ?3
                     WHERE camera = ?1 AND class = ?2",
                )?
                .execute([camera, class, bytes])?;
            }
            Ok(())
        })
    }
}

fn entry(r: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: unsigned(r, 0)?,
        held: match r.get(1)? {
            0 => Held::Waiting,
            1 => Held::Queued,
            _ => Held::Quarantined,
        },
        camera: r.get(2)?,
        class: class_of(r.get(3)?),
        boot: r.get(4)?,
        bytes: unsigned(r, 5)?,
        attempts: r.get(6)?,
        why: r.get(7)?,
        in_flight: false,
        resting: false,
    })
}
