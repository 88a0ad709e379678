//! Purges by command, worked off a page a turn: pictures are still written between two pages, and nothing is lent out
//! until the purge is done, so that what is to go is not sent after all.
//!
//! A picture that is being sent is left alone and named in the receipt. Which event a picture belongs to and how old
//! it is stand in its file; by the age that is told here none is older than it truly is (`age`).

use std::time::{Duration, Instant};

use super::{EVICT_ITEMS, Images, used};
use crate::contract::command::rfc3339;
use crate::spool::boots::wall_of;
use crate::spool::browse::{Entry, Filter};
use crate::spool::db::{BootSpan, Going, Purge, PurgePage};
use crate::spool::files;

/// Pause after an index that did not take a page.
const AGAIN: Duration = Duration::from_secs(1);

impl Images {
    /// A purge may be there: it is worked off from now on.
    pub(super) fn begin_purge(&mut self) {
        self.purge_at = Some(Instant::now());
    }

    /// Works off a page of the oldest purge, if its time has come.
    pub(super) fn purge_some(&mut self, now: Instant) {
        if self.purge_at.is_none_or(|at| now < at) {
            return;
        }
        self.purge_at = now.checked_add(AGAIN);
        let wall = self.boots.wall_now();
        let Some(found) = self.with_db(|db| db.next_purge()) else { return };
        let Some(purge) = found else {
            self.purge_at = None;
            self.news = true;
            return;
        };
        if self.rebuild.is_some() {
            // Pictures that have no row yet are meant as well.
            return;
        }
        let Some(page) = self.purge_page(&purge) else { return };
        let Some(page) = page else {
            if self.with_db(|db| db.end_purge(&purge, wall)).is_some() {
                self.followed.mail = true;
                self.purge_at = Some(now);
            }
            return;
        };
        let forget = self.forget.clone();
        let Some(settled) = self.with_db(|db| db.purge_page(&purge, &page, &forget, wall)) else {
            return;
        };
        self.followed.mail |= settled.put;
        self.forgot();
        self.remove_for_good(settled.gone);
        self.set_waiting(self.waiting.saturating_sub(settled.waited));
        if let Some(totals) = self.with_db(|db| db.totals()) {
            self.used = used(&totals);
        }
        self.purge_at = Some(now);
    }

    /// What the next page comes to; `Some(None)` after the last one.
    fn purge_page(&mut self, purge: &Purge) -> Option<Option<PurgePage>> {
        let filter = Filter {
            camera: purge.wanted.camera.clone(),
            class: purge.wanted.class,
            to: Some(purge.upto),
            ..Filter::default()
        };
        let found = self.entries(&filter, purge.above)?;
        let (mut entries, mut next) = (found.entries, found.next);
        // A few at a time: on a full disk the commit has only the reserve to write to.
        if entries.len() > EVICT_ITEMS {
            entries.truncate(EVICT_ITEMS);
            next = None;
        }
        let Some(above) = next.or(entries.last().map(|entry| entry.seq)) else {
            return Some(None);
        };
        let spans = self.with_db(|db| db.boot_spans())?;
        let mut page = PurgePage { above, ..PurgePage::default() };
        for entry in entries {
            self.cx.beat.busy();
            self.look_at(entry, purge, &spans, &mut page);
        }
        Some(Some(page))
    }

    fn look_at(&mut self, entry: Entry, purge: &Purge, spans: &[BootSpan], page: &mut PurgePage) {
        let wanted = &purge.wanted;
        let facts =
            files::read_facts(&self.cx.layout.image(entry.seq)).ok().map(|(facts, _)| facts);
        let mut taken = None;
        match &facts {
            Some(facts) => {
                let older = wanted.older_than_s.map(Duration::from_secs);
                let meant = wanted.event.as_ref().is_none_or(|e| facts.event.as_ref() == Some(e))
                    && older.is_none_or(|older| self.age(facts, spans) >= older);
                if !meant {
                    return;
                }
                let offset = self.boots.offset_of(&facts.boot, facts.seq);
                taken = wall_of(facts, offset).and_then(rfc3339);
            }
            None if wanted.event.is_some() || wanted.older_than_s.is_some() => {
                page.unreadable += 1;
                return;
            }
            None => {}
        }
        if entry.in_flight {
            return page.in_flight.push(entry.seq);
        }
        let Entry { seq, camera, class, bytes, .. } = entry;
        page.going.push(Going { seq, camera, class, bytes, taken });
    }
}
