//! The reserve: a file that holds room for the index while there is room, so that a disk that is full to the
//! last byte still lets go of pictures in order.
//!
//! Removing a picture begins with a commit, and a commit needs room in the index's log. On a full disk that would be
//! a circle; giving the reserve's blocks back breaks it. They are taken again before anything else is written: first
//! the reserve regrows, then pictures come. Its blocks are written and not just asked for, because not every file
//! system keeps its word about room that was never written.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Bytes held back where there is room for them.
pub(super) const RESERVE: u64 = 1 << 20;
/// Bytes that will do: the log of a transaction that lets go of [`super::images::EVICT_ITEMS`] pictures takes less. With
/// no more than this to be had, and nothing to give up for the rest, pictures are taken all the same.
pub(super) const LEAST: u64 = RESERVE / 4;

/// The reserve file.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    /// Bytes of it: none, or between [`LEAST`] and [`RESERVE`].
    held: u64,
}

impl Reserve {
    /// Looks at what an earlier run left; takes nothing yet.
    pub(super) fn new(path: PathBuf) -> Self {
        let len = path.metadata().ok().filter(|m| m.is_file()).map_or(0, |m| m.len());
        Self { path, held: if len < LEAST { 0 } else { len.min(RESERVE) } }
    }

    /// Is enough held for the index to work on?
    pub(super) fn will_do(&self) -> bool {
        self.held >= LEAST
    }

    /// Takes the blocks again, unless they are held: all of them, or else as few as will do. The error says that it is
    /// not all of them.
    pub(super) fn regrow(&mut self) -> io::Result<()> {
        if self.held == RESERVE {
            return Ok(());
        }
        let all = self.grow_to(RESERVE);
        if all.is_err() && !self.will_do() {
            self.grow_to(LEAST).ok(); // the error that matters is the first
        }
        all
    }

    fn grow_to(&mut self, len: u64) -> io::Result<()> {
        let grown = extend(&self.path, self.held, len);
        match &grown {
            Ok(()) => self.held = len,
            // Part of a step is none, and holds room that a picture's removal may need.
            Err(_) if self.held == 0 => drop(std::fs::remove_file(&self.path)), // there may be none
            Err(_) => self.cut_to(self.held)?,
        }
        grown
    }

    /// Gives the blocks back; whether there were any.
    pub(super) fn release(&mut self) -> bool {
        if self.held == 0 {
            return false;
        }
        self.held = 0;
        self.cut_to(0).is_ok()
    }

    /// The blocks of a file that is cut are free when the cut is durable.
    fn cut_to(&self, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&self.path)?;
        file.set_len(len)?;
        file.sync_all()
    }
}

/// Makes the file longer, with blocks of its own.
fn extend(path: &Path, from: u64, to: u64) -> io::Result<()> {
    let mut file: File =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_len(from)?;
    file.seek(SeekFrom::Start(from))?;
    // Not zeroes: a file system that compresses would keep nothing.
    let mut block = vec![0; 64 << 10];
    fastrand::Rng::with_seed(RESERVE).fill(&mut block);
    for _ in 0..to.saturating_sub(from) / block.len() as u64 {
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
        assert!(!reserve.will_do() && !reserve.release(), "there is none yet");
        reserve.regrow().unwrap();
        assert_eq!(path.metadata().unwrap().len(), RESERVE);
        assert_eq!(Reserve::new(path.clone()).held, RESERVE, "the next run finds it");
        assert!(reserve.release() && !reserve.release());
        assert_eq!(path.metadata().unwrap().len(), 0);
        assert!(!Reserve::new(path.clone()).will_do());
        reserve.regrow().unwrap();
        assert_eq!(reserve.held, RESERVE);
    }

    #[test]
    fn what_an_earlier_run_held_in_part_is_kept_and_grows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        std::fs::write(&path, vec![1; LEAST as usize]).unwrap();
        let mut reserve = Reserve::new(path.clone());
        assert_eq!(reserve.held, LEAST);
        reserve.regrow().unwrap();
        assert_eq!((reserve.held, path.metadata().unwrap().len()), (RESERVE, RESERVE));
        std::fs::write(&path, vec![1; LEAST as usize - 1]).unwrap();
        assert!(!Reserve::new(path).will_do(), "too little is none");
    }

    #[test]
    fn what_cannot_be_taken_whole_is_not_held_in_part() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("reserve");
        std::fs::create_dir(&path).unwrap();
        let mut reserve = Reserve::new(path);
        assert!(reserve.regrow().is_err() && !reserve.will_do() && !reserve.release());
    }
}
