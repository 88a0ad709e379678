//! What the index tells of its pictures: pages of them, sums, and boots.

use super::words::{BootSpan, ClassTotals, Item, State};
use super::{Db, LostOf, PAGE, Result, class_of, signed, unsigned};
use crate::clock::{BootId, BootTime};
use crate::contract::Class;
use crate::spool::Loss;
use crate::spool::retention::{Shelf, Source, Stock};

impl Db {
    /// Up to [`PAGE`] ready pictures below `below`, newest first.
    pub(in crate::spool) fn newest(&self, below: u64) -> Result<Vec<Item>> {
        self.page("state = 1 AND seq < ?1 ORDER BY seq DESC", [signed(below)])
    }

    /// Up to [`PAGE`] ready pictures above `above`, oldest first.
    pub(in crate::spool) fn oldest(&self, above: u64) -> Result<Vec<Item>> {
        self.oldest_in(State::Ready, above)
    }

    /// Up to [`PAGE`] pictures in this state above `above`, oldest first.
    pub(in crate::spool) fn oldest_in(&self, state: State, above: u64) -> Result<Vec<Item>> {
        let filter = match state {
            State::Waiting => "state = 0 AND seq > ?1 ORDER BY seq",
            State::Ready => "state = 1 AND seq > ?1 ORDER BY seq",
            State::Quarantined => "state = 2 AND seq > ?1 ORDER BY seq",
            State::Done => "state = 3 AND seq > ?1 ORDER BY seq",
        };
        self.page(filter, [signed(above)])
    }

    /// Up to [`PAGE`] of one camera's pictures of one source above `above`, oldest first.
    pub(in crate::spool) fn oldest_of(
        &self,
        camera: i64,
        from: Source,
        above: u64,
    ) -> Result<Vec<Item>> {
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
    pub(in crate::spool) fn stock(&self) -> Result<Vec<(String, Stock)>> {
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
    pub(in crate::spool) fn totals(&self) -> Result<[ClassTotals; 4]> {
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
    pub(in crate::spool) fn lost_of(&self) -> Result<Vec<LostOf>> {
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
    pub(in crate::spool) fn losses(&self) -> Result<[u64; Loss::ALL.len()]> {
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
    pub(in crate::spool) fn waiting(&self) -> Result<u64> {
        let mut statement =
            self.conn.prepare_cached("SELECT count(*) FROM items WHERE state = 0")?;
        Ok(statement.query_row([], |r| unsigned(r, 0))?)
    }

    /// Sequence numbers of done rows.
    pub(in crate::spool) fn done(&self) -> Result<Vec<u64>> {
        let mut statement = self.conn.prepare_cached("SELECT seq FROM items WHERE state = 3")?;
        let rows = statement.query_map([], |r| unsigned(r, 0))?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Is there any row with `from <= seq < end`?
    pub(in crate::spool) fn any_between(&self, from: u64, end: u64) -> Result<bool> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM items WHERE seq >= ? AND seq < ?)")?;
        Ok(statement.query_row([signed(from), signed(end)], |r| r.get(0))?)
    }

    /// Boots of which something is left, in their order, and how long they lasted.
    pub(in crate::spool) fn boot_spans(&self) -> Result<Vec<BootSpan>> {
        let mut statement =
            self.conn.prepare_cached("SELECT boot, last_ns FROM boots ORDER BY id")?;
        let rows = statement.query_map([], |r| {
            Ok(BootSpan { boot: BootId(r.get(0)?), last: BootTime(unsigned(r, 1)?) })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
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
