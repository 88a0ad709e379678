//! Lending pictures out, and taking them back.

use std::time::Instant;

use super::Images;
use crate::spool::db::{Item, PAGE};
use crate::spool::files::SEQ_END;
use crate::spool::{Order, claim};

impl Images {
    /// Lends out the newest or oldest picture that may be claimed.
    pub(in crate::spool) fn claim(&mut self, order: Order) -> Option<claim::Parts> {
        // What is held has higher numbers than nearly all that is written.
        match order {
            _ if self.followed.paused || self.purge_at.is_some() => None,
            Order::Newest => self.claim_held(order).or_else(|| self.claim_written(order)),
            Order::Oldest => self.claim_written(order).or_else(|| self.claim_held(order)),
        }
    }

    fn claim_written(&mut self, order: Order) -> Option<claim::Parts> {
        if !self.unsettled.is_empty() {
            return None;
        }
        let item = self.next_free(order)?;
        let offset_ns = self.boots.offset_of(&item.boot, item.seq);
        let ticket = self.loans.lend(item.seq, item.camera, item.class, item.bytes);
        let source = match self.warm.get(item.seq) {
            Some((facts, body)) => claim::Source::Warm(Box::new(facts), body),
            None => claim::Source::File(self.cx.layout.image(item.seq)),
        };
        Some(claim::Parts { seq: item.seq, attempts: item.attempts, source, offset_ns, ticket })
    }

    /// A claim was dropped without an outcome.
    pub(in crate::spool) fn give_back(&mut self, seq: u64, ticket: u64) {
        let settled = !self.unsettled.iter().any(|(s, _)| *s == seq);
        if settled && self.loans.give_back(seq, ticket) {
            self.news = true;
            self.write_returned(seq);
        }
    }

    fn next_free(&mut self, order: Order) -> Option<Item> {
        let now = Instant::now();
        let mut from = match order {
            Order::Newest => SEQ_END,
            Order::Oldest => 0,
        };
        loop {
            let page = self.with_db(|db| match order {
                Order::Newest => db.newest(from),
                Order::Oldest => db.oldest(from),
            })?;
            let full = page.len() == PAGE;
            from = page.last()?.seq;
            if let Some(item) = page.into_iter().find(|item| self.loans.is_free(item.seq, now)) {
                return Some(item);
            }
            if !full {
                return None;
            }
        }
    }
}
