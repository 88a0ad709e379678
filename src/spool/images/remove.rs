//! Removing files whose rows say that they are done with, and the rows after them.

use std::collections::BTreeSet;
use std::io;

use tracing::warn;

use super::Images;
use crate::spool::files::{self, DIR_SHIFT};
use crate::spool::recover;

impl Images {
    pub(super) fn remove_files(&mut self, seqs: Vec<u64>) {
        for seq in seqs {
            self.warm.forget(seq);
            self.loans.end(seq, None); // what is gone rests no more
            if self.remove_file(seq) {
                self.forget.push(seq);
            }
        }
        // The reserve first, before a picture takes what is free now. Where it does not fit, the next picture sees to it.
        self.reserve.regrow().ok();
    }

    /// As [`Images::remove_files`], and no power cut brings one back: their rows are not deleted before their names are
    /// gone durably. For whatever somebody was promised to be gone; what is stored, or gave way, may come back as a file
    /// without a row on a file system that flushes no name along with another file's bytes.
    pub(super) fn remove_for_good(&mut self, seqs: Vec<u64>) {
        let dirs: BTreeSet<u64> = seqs.iter().map(|seq| seq >> DIR_SHIFT).collect();
        self.remove_files(seqs);
        for dir in dirs {
            match files::sync_dir(&self.cx.layout.dir(dir)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    warn!(%error, dir, "Removed images may be back after a power cut; the next start removes them again.");
                    self.forget.retain(|seq| seq >> DIR_SHIFT != dir);
                }
                _ => {}
            }
        }
    }

    pub(super) fn remove_file(&self, seq: u64) -> bool {
        let removed = self.cx.layout.remove_image(seq);
        if let Err(error) = &removed {
            warn!(%error, seq, "An image file cannot be removed; the next start tries again.");
        }
        removed.is_ok()
    }

    /// The rows in `forget` are deleted: directories may be empty now.
    pub(super) fn forgot(&mut self) {
        let dirs: BTreeSet<u64> = self.forget.drain(..).map(|seq| seq >> DIR_SHIFT).collect();
        if let Some(db) = &self.index {
            recover::tidy(db, &self.cx.layout, &dirs, self.current_dir);
        }
    }
}
