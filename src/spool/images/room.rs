//! Making room: the plan of `retention`, carried out by walking the index.

use tracing::warn;

use super::{Images, used};
use crate::spool::Loss;
use crate::spool::db::{ClassTotals, End};
use crate::spool::retention::{self, Shelf, Source, Stock};

impl Images {
    /// Evicts until `need` bytes fit; whether they do.
    pub(super) fn make_room(&mut self, need: u64) -> bool {
        if need > self.max_bytes {
            return false;
        }
        let Some(totals) = self.with_db(|db| db.totals()) else {
            return self.used.saturating_add(need) <= self.max_bytes;
        };
        self.used = used(&totals);
        if self.used.saturating_add(need) <= self.max_bytes {
            return true;
        }
        let plan = retention::plan(&self.stock(&totals), self.max_bytes, need);
        let mut ends = Vec::new();
        for evict in plan {
            match self.oldest_from(evict) {
                Some(seqs) => ends.extend(seqs.into_iter().map(|s| (s, End::Lost(Loss::Quota)))),
                None => return false,
            }
        }
        if ends.is_empty() || !self.evict(&ends) {
            return false;
        }
        let Some(totals) = self.with_db(|db| db.totals()) else { return false };
        self.used = used(&totals);
        self.used.saturating_add(need) <= self.max_bytes
    }

    fn stock(&self, totals: &[ClassTotals; 4]) -> Stock {
        let mut stock = Stock { used: used(totals), ..Stock::default() };
        for (shelf, t) in stock.queue.iter_mut().zip(totals) {
            *shelf = Shelf { items: t.queued, bytes: t.queued_bytes };
            stock.quarantine.items += t.quarantined;
            stock.quarantine.bytes += t.quarantined_bytes;
        }
        for (class, bytes) in self.loans.lent() {
            let shelf = &mut stock.queue[class as usize];
            shelf.items = shelf.items.saturating_sub(1);
            shelf.bytes = shelf.bytes.saturating_sub(bytes);
        }
        stock
    }

    /// The oldest pictures of one source that make up so many bytes.
    fn oldest_from(&mut self, evict: retention::Evict) -> Option<Vec<u64>> {
        let (mut found, mut bytes, mut above) = (Vec::new(), 0, 0);
        while bytes < evict.bytes {
            let page = self.with_db(|db| match evict.from {
                Source::Quarantine => db.oldest_quarantined(above),
                Source::Queue(class) => db.oldest_of(class, above),
            })?;
            above = page.last()?.seq;
            for item in page {
                if bytes < evict.bytes && !self.loans.is_lent(item.seq) {
                    bytes += item.bytes;
                    found.push(item.seq);
                }
            }
        }
        Some(found)
    }

    fn evict(&mut self, ends: &[(u64, End)]) -> bool {
        let (forget, now) = (self.forget.clone(), self.boots.wall_now());
        let Some(settled) = self.with_db(|db| db.settle(ends, &forget, now)) else { return false };
        let gone = settled.gone;
        self.followed.mail |= settled.put;
        warn!(pictures = gone.len(), "The spool is full; its least worth pictures are given up.");
        self.forgot();
        self.remove_files(gone);
        self.recount_waiting();
        true
    }
}
