//! What people ask, answered on the spool's thread: so nothing is half written while it is looked at.

use std::collections::BTreeSet;
use std::time::Instant;

use tracing::{info, warn};

use super::Images;
use crate::contract::Facts;
use crate::contract::key::key;
use crate::spool::Loss;
use crate::spool::boots::wall_of;
use crate::spool::browse::{Ask, Checked, Done, Entry, Filter, Held, SWEEP, Shown, Told, Verdict};
use crate::spool::db::{End, Page, State};
use crate::spool::files::{self, DIR_SHIFT, ImageError};
use crate::spool::recover;
use crate::spool::trailer::TrailerError;

impl Images {
    /// `None` while the index is down. What is held in memory is written first, so that every picture has a row.
    pub(in crate::spool) fn ask(&mut self, ask: &Ask) -> Option<Told> {
        if self.rebuild.is_some()
            && let Some(told) = not_yet(ask)
        {
            return (!self.is_rebuild_stuck()).then_some(told);
        }
        self.write_held();
        match ask {
            Ask::List { filter, above } => {
                let page = self.entries(filter, *above)?;
                Some(Told::List(page.entries, page.next))
            }
            Ask::Show { seq } => self.show(*seq).map(|shown| Told::Show(shown.map(Box::new))),
            Ask::Retry { filter, above } => self.retry(filter, *above).map(Told::Done),
            Ask::Purge { filter, above } => self.purge(filter, *above).map(Told::Done),
            Ask::Check { repair, above } => self.check(*repair, *above).map(Told::Checked),
        }
    }

    pub(super) fn entries(&mut self, filter: &Filter, above: u64) -> Option<Page> {
        let mut page = self.with_db(|db| db.entries(filter, above))?;
        page.entries.iter_mut().for_each(|entry| self.mark(entry));
        Some(page)
    }

    fn mark(&self, entry: &mut Entry) {
        entry.in_flight = self.loans.is_lent(entry.seq);
        entry.resting = !entry.in_flight && !self.loans.is_free(entry.seq, Instant::now());
    }

    fn show(&mut self, seq: u64) -> Option<Option<Shown>> {
        let Some((mut entry, removing)) = self.with_db(|db| db.entry(seq))? else {
            return Some(None);
        };
        if removing {
            return Some(None);
        }
        self.mark(&mut entry);
        let path = self.cx.layout.image(seq);
        let (facts, problem) = match files::read_image(&path) {
            Ok((facts, _)) if facts.seq == seq => (Some(facts), None),
            Ok((facts, _)) => (None, Some(format!("it is picture {}", facts.seq))),
            Err(error) => (None, Some(error.to_string())),
        };
        let decided = facts.as_ref().filter(|facts| self.boots.is_decided(facts)).cloned();
        let key = decided.map(|facts| {
            let wall = wall_of(&facts, self.boots.offset_of(&facts.boot, facts.seq));
            key(&facts, wall)
        });
        Some(Some(Shown { entry, file: path.display().to_string(), key, facts, problem }))
    }

    fn retry(&mut self, filter: &Filter, above: u64) -> Option<Done> {
        let page = self.entries(filter, above)?;
        let mut done = Done { next: page.next, ..Done::default() };
        let mut again = Vec::new();
        for entry in &page.entries {
            match entry.held {
                Held::Quarantined => {
                    self.cx.beat.busy();
                    // A file that tells nothing would only be set aside again.
                    let Ok((facts, _)) = files::read_facts(&self.cx.layout.image(entry.seq)) else {
                        done.left += 1;
                        continue;
                    };
                    again.push((entry.seq, self.state_of(&facts)));
                    done.add(entry);
                }
                _ if entry.resting => {
                    self.loans.end(entry.seq, None);
                    done.add(entry);
                }
                _ => {}
            }
        }
        self.with_db(|db| db.requeue(&again))?;
        self.recount_waiting();
        self.news = true;
        Some(done)
    }

    fn state_of(&self, facts: &Facts) -> State {
        let state = recover::row_of(facts, 0, &self.cx.now).state;
        let waits = state == State::Waiting && self.boots.current().waits(facts.seq);
        if waits { State::Waiting } else { State::Ready }
    }

    fn purge(&mut self, filter: &Filter, above: u64) -> Option<Done> {
        let page = self.entries(filter, above)?;
        let mut done = Done { next: page.next, ..Done::default() };
        let mut ends = Vec::new();
        for entry in &page.entries {
            if entry.in_flight {
                done.left += 1;
            } else {
                ends.push((entry.seq, End::Lost(Loss::Purged)));
                done.add(entry);
            }
        }
        if !ends.is_empty() && !self.evict(&ends) {
            return None;
        }
        Some(done)
    }

    // ---- the check ----

    fn check(&mut self, repair: bool, above: u64) -> Option<Checked> {
        let (seqs, next) = self.above(above)?;
        let mut checked = Checked { next, ..Checked::default() };
        for seq in seqs {
            self.cx.beat.busy();
            if let Some(verdict) = self.verify(seq, repair)? {
                if !verdict.is_well() {
                    warn!(seq, ?verdict, repair, "A check found something.");
                }
                checked.found.push((seq, verdict));
            }
        }
        Some(checked)
    }

    /// The next numbers that have a row or a file, and where there may be more.
    fn above(&mut self, above: u64) -> Option<(Vec<u64>, Option<u64>)> {
        let rows = self.with_db(|db| db.entries(&Filter::default(), above))?;
        let mut seqs: BTreeSet<u64> = rows.entries.iter().map(|entry| entry.seq).collect();
        let rows_end = rows.next;
        let dirs = self.cx.layout.dirs().unwrap_or_else(|error| {
            warn!(%error, "The image directories cannot be listed.");
            Vec::new()
        });
        let mut files = 0;
        for dir in dirs.into_iter().filter(|dir| *dir >= above >> DIR_SHIFT) {
            let found = self.cx.layout.seqs(dir).unwrap_or_default();
            let before = seqs.len();
            seqs.extend(found.into_iter().filter(|seq| *seq > above));
            files += seqs.len() - before;
            // What lies in later directories has higher numbers than all of these.
            if files > SWEEP || seqs.range(..(dir + 1) << DIR_SHIFT).count() > SWEEP {
                break;
            }
        }
        // Beyond the page's last row there may be rows that were not read.
        let mut seqs: Vec<u64> =
            seqs.into_iter().filter(|seq| rows_end.is_none_or(|end| *seq <= end)).collect();
        let more = seqs.len() > SWEEP;
        seqs.truncate(SWEEP);
        let next = if more { seqs.last().copied() } else { rows_end };
        Some((seqs, next))
    }

    /// `Some(None)`: there is neither row nor file any more.
    fn verify(&mut self, seq: u64, repair: bool) -> Option<Option<Verdict>> {
        if self.loans.is_lent(seq) {
            return Some(Some(Verdict::Busy));
        }
        let row = self.with_db(|db| db.entry(seq))?;
        let path = self.cx.layout.image(seq);
        let read = files::read_image(&path).and_then(|(facts, body)| match facts.seq == seq {
            true => Ok((facts, body.len())),
            false => Err(ImageError::Broken(TrailerError::Body)),
        });
        let aside = row.as_ref().is_some_and(|(e, _)| e.held == Held::Quarantined);
        let verdict = match (&row, &read) {
            (Some((_, true)), _) => Verdict::Busy,
            (Some(_), Ok(_) | Err(ImageError::Broken(_))) if aside => Verdict::Aside,
            (Some(_), Ok(_)) => Verdict::Whole,
            (Some(_), Err(ImageError::Missing)) => Verdict::Missing,
            (Some(_), Err(ImageError::Broken(_))) => Verdict::Corrupt,
            (_, Err(ImageError::Io(_))) => Verdict::Unreadable,
            (None, Ok(_)) => Verdict::Stray,
            (None, Err(ImageError::Broken(_))) => Verdict::Litter,
            (None, Err(ImageError::Missing)) => return Some(None),
        };
        if repair {
            match verdict {
                Verdict::Missing if self.is_missing(seq) => {
                    self.settle(vec![(seq, End::Lost(Loss::Missing))]);
                }
                Verdict::Corrupt => {
                    self.settle(vec![(seq, End::Quarantined("corrupt".to_owned()))]);
                }
                Verdict::Litter => self.remove_files(vec![seq]),
                // A higher number than any is adopted by the next start, which goes on behind it.
                Verdict::Stray if seq <= self.high => self.take_in(seq, &read.ok()?.0)?,
                _ => {}
            }
        }
        Some(Some(verdict))
    }

    /// Gives a whole file without a row its row.
    fn take_in(&mut self, seq: u64, facts: &Facts) -> Option<()> {
        let path = self.cx.layout.image(seq);
        let len = std::fs::metadata(&path).ok()?.len();
        let durable = files::sync_file(&path)
            .and_then(|()| files::sync_dir(&self.cx.layout.dir(seq >> DIR_SHIFT)));
        if let Err(error) = durable {
            warn!(%error, seq, "A picture without a row cannot be made durable; it is left alone.");
            return Some(());
        }
        let mut row = recover::row_of(facts, len, &self.cx.now);
        row.state = self.state_of(facts);
        self.with_db(|db| db.insert_durably(&row))?;
        self.used += len;
        self.recount_waiting();
        self.news = true;
        info!(seq, "A picture without a row is queued.");
        Some(())
    }
}

/// While the index is rebuilt, whoever means all pictures comes again: nothing is removed or said to be strange before
/// every file is known.
fn not_yet(ask: &Ask) -> Option<Told> {
    match ask {
        Ask::Purge { above, .. } => {
            Some(Told::Done(Done { next: Some(*above), ..Done::default() }))
        }
        Ask::Check { above, .. } => {
            Some(Told::Checked(Checked { next: Some(*above), ..Checked::default() }))
        }
        Ask::List { .. } | Ask::Show { .. } | Ask::Retry { .. } => None,
    }
}
