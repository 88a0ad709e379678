//! The reserve: a file that holds room for the index while there is room, so that a disk that is full to the
//! last byte still lets go of pictures in order.
//!
//! Removing a picture begins with a commit, and a commit needs room in the index's log. On a full disk that would be
//! a circle; giving the reserve's blocks back breaks it. They are taken again before anything else is written: first
//! the reserve regrows, then pictures come. Its blocks are written and not just asked for, because not every file
//! system keeps its word about room that was never written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Bytes held back: the log of a transaction that lets go of [`super::images::EVICT_ITEMS`] pictures takes less than a
/// quarter.
pub(super) const RESERVE: u64 = 1 << 20;

/// The reserve file.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    whole: bool,
}

impl Reserve {
    /// Looks at what an earlier run left; takes nothing yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let whole = path.metadata().is_ok_and(|m| m.len() == RESERVE);
        Self { path, whole }
    }

    /// Takes the blocks again, unless they are held.
    pub(super) fn regrow(&mut self) -> io::Result<()> {
        if self.whole {
            return Ok(());
        }
        let filled = fill(&self.path);
        if filled.is_err() {
            // Half a reserve is none, and holds room that a picture's removal may need.
            std::fs::remove_file(&self.path).ok(); // there may be none
        }
        self.whole = filled.is_ok();
        filled
    }

    /// Gives the blocks back; whether there were any.
    pub(super) fn release(&mut self) -> bool {
        if !self.whole {
            return false;
        }
        self.whole = false;
        // The blocks of a file that is cut are free when the cut is durable.
        let cut = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            file.set_len(0)?;
            file.sync_all()
        });
        cut.is_ok()
    }
}

fn fill(path: &PathBuf) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // Not zeroes: a file system that compresses would keep nothing.
    let mut block = vec![0; 64 << 10];
    fastrand::Rng::with_seed(RESERVE).fill(&mut block);
    for _ in 0..RESERVE / block.len() as u64 {
        file.write_all(&block)?;
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_back_once_and_taken_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        let mut reserve = Reserve::new(path.clone());
        assert!(!reserve.whole && !reserve.release(), "there is none yet");
        reserve.regrow().unwrap();
        assert_eq!(path.metadata().unwrap().len(), RESERVE);
        assert!(Reserve::new(path.clone()).whole, "the next run finds it");
        assert!(reserve.release() && !reserve.release());
        assert_eq!(path.metadata().unwrap().len(), 0);
        assert!(!Reserve::new(path.clone()).whole);
        reserve.regrow().unwrap();
        assert!(reserve.whole);
    }

    #[test]
    fn what_cannot_be_taken_whole_is_not_held_in_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        std::fs::create_dir(&path).unwrap();
        let mut reserve = Reserve::new(path);
        assert!(reserve.regrow().is_err() && !reserve.whole && !reserve.release());
    }
}
