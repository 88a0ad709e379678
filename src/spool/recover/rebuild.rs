//! Rebuilding a lost index from the trailers, a slice at a time.
//!
//! The new index begins empty, and says of itself which numbers it has not read ([`Db::unread`]). A first few slices
//! are read where the spool is opened, so that a small backlog is whole at once; the others by the spool's thread, one
//! a turn, while pictures come and go. So the first frame waits for no backlog, and a rebuild that is cut off goes on
//! where it was. Slices go by ascending numbers, and hold no more than [`BATCH`] files.
//!
//! Until it has come to a directory, nothing may be concluded from that directory's having no rows.

use std::collections::VecDeque;
use std::ops::Range;

use tracing::warn;

use super::{BATCH, Context, found};
use crate::spool::Rebuilding;
use crate::spool::db::{Db, DbError, NewItem};
use crate::spool::files::{self, DIR_SHIFT, Layout};

/// Slices that are read before a spool is open.
const AT_OPEN: usize = 2;

/// A rebuild that goes on.
#[derive(Debug)]
pub(in crate::spool) struct Rebuild {
    unread: Range<u64>,
    /// Directories not read, ascending.
    dirs: VecDeque<u64>,
    /// Files not read of the directory before those.
    seqs: VecDeque<u64>,
    progress: Rebuilding,
}

/// What a few files tell.
#[derive(Debug)]
pub(in crate::spool) struct Slice {
    pub(in crate::spool) items: Vec<NewItem>,
    /// The numbers that were looked at.
    pub(in crate::spool) read: Range<u64>,
}

impl Rebuild {
    /// The rebuild that an index is in.
    pub(in crate::spool) fn of(db: &Db, layout: &Layout) -> Result<Option<Self>, DbError> {
        let Some(unread) = db.unread()? else { return Ok(None) };
        let all = layout.dirs().unwrap_or_else(|error| {
            warn!(%error, "The image directories cannot be listed.");
            Vec::new()
        });
        let dirs: VecDeque<u64> = all.into_iter().filter(|dir| holds(&unread, *dir)).collect();
        let progress = Rebuilding { dirs: dirs.len() as u64, ..Rebuilding::default() };
        Ok(Some(Self { unread, dirs, seqs: VecDeque::new(), progress }))
    }

    /// Reads the next few files.
    pub(in crate::spool) fn read_on(&mut self, cx: &Context) -> Slice {
        if self.seqs.is_empty() {
            self.list_next(&cx.layout);
        }
        let count = self.seqs.len().min(BATCH);
        let mut items = Vec::with_capacity(count);
        for seq in self.seqs.drain(..count) {
            cx.beat.busy();
            let facts = files::read_facts(&cx.layout.image(seq));
            items.extend(found(cx, seq, facts, false));
        }
        self.progress.files += count as u64;
        let end = match (self.seqs.front(), self.dirs.front()) {
            (Some(seq), _) => *seq,
            (None, Some(dir)) => dir << DIR_SHIFT,
            (None, None) => self.unread.end,
        };
        let start = std::mem::replace(&mut self.unread.start, end);
        self.progress.dirs_left = self.dirs.len() as u64 + u64::from(!self.seqs.is_empty());
        Slice { items, read: start..end }
    }

    pub(in crate::spool) fn is_over(&self) -> bool {
        self.unread.is_empty()
    }

    pub(in crate::spool) fn progress(&self) -> Rebuilding {
        self.progress
    }

    fn list_next(&mut self, layout: &Layout) {
        let Some(dir) = self.dirs.pop_front() else { return };
        match layout.seqs(dir) {
            Ok(seqs) => {
                self.seqs = seqs.into_iter().filter(|seq| self.unread.contains(seq)).collect();
            }
            Err(error) => {
                warn!(%error, dir, "An image directory cannot be read; `spool check` finds its pictures later.");
            }
        }
    }
}

/// Reads the first slices of a rebuild; what is left of it.
pub(super) fn begin(cx: &Context, db: &mut Db) -> Result<Option<Rebuild>, DbError> {
    let Some(mut rebuild) = Rebuild::of(db, &cx.layout)? else { return Ok(None) };
    for _ in 0..AT_OPEN {
        let slice = rebuild.read_on(cx);
        db.take_in(&slice.items, &slice.read)?;
        if rebuild.is_over() {
            return Ok(None);
        }
    }
    Ok(Some(rebuild))
}

/// May any number of this directory be among the unread ones?
pub(super) fn holds(unread: &Range<u64>, dir: u64) -> bool {
    (dir + 1) << DIR_SHIFT > unread.start && dir << DIR_SHIFT < unread.end
}
