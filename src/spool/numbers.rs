//! Sequence numbers that are used before anything on disk tells of them.
//!
//! A picture that is held in memory may be sent under its number, and a crash forgets it. So that its number is never
//! given twice, a block of numbers is reserved durably before the first of them is held (`numbers` in the spool's
//! directory), and the next start goes on behind the block. An orderly stop gives back what was not used. A spool that
//! never held a picture has no such file.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tracing::error;

use super::files::{self, SEQ_END};

/// Numbers reserved in one durable step: a day at one picture a second and a half.
pub(super) const BLOCK: u64 = 1 << 16;
/// How far to skip where the record is broken: as a rebuilt ledger does.
const SKIP: u64 = 1 << 20;

/// `numbers`.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// Version of this file.
    format: u32,
    /// Numbers below this one may have been used.
    below: u64,
}

/// The reservation.
#[derive(Debug)]
pub(super) struct Numbers {
    path: PathBuf,
    /// As it stands on disk; 0 where nothing was reserved.
    below: u64,
}

impl Numbers {
    /// Reads the reservation; with the highest number that may have been used, given that of the files and rows.
    pub(super) fn open(path: PathBuf, high: u64) -> io::Result<(Self, u64)> {
        let read = match files::read_json::<Record>(&path) {
            Ok(Some(Record { format, .. })) if format != 1 => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has format {format}")))
            }
            read => read,
        };
        let (below, high) = match read {
            Ok(record) => {
                let below = record.map_or(0, |record| record.below.min(SEQ_END));
                (below, high.max(below.saturating_sub(1)))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                error!(%error, "The record of reserved numbers is broken; a million of them are left out.");
                (0, high.saturating_add(SKIP).min(SEQ_END - 1))
            }
            Err(error) => return Err(error),
        };
        Ok((Self { path, below }, high))
    }

    /// Makes sure that this number will not be given again, whatever happens. Writes once in [`BLOCK`] numbers.
    pub(super) fn reserve(&mut self, seq: u64) -> io::Result<()> {
        if seq < self.below {
            return Ok(());
        }
        self.write(seq.saturating_add(BLOCK).min(SEQ_END))
    }

    /// Nothing is in memory any more and `high` is the highest number used: gives back the rest of the block.
    pub(super) fn give_back(&mut self, high: u64) -> io::Result<()> {
        if self.below <= high.saturating_add(1) {
            return Ok(());
        }
        self.write(high + 1)
    }

    fn write(&mut self, below: u64) -> io::Result<()> {
        files::replace_json(&self.path, &Record { format: 1, below })?;
        self.below = below;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(dir: &tempfile::TempDir, high: u64) -> (Numbers, u64) {
        Numbers::open(dir.path().join("numbers"), high).unwrap()
    }

    #[test]
    fn a_start_goes_on_behind_the_block_and_an_orderly_stop_gives_the_rest_back() {
        let dir = tempfile::tempdir().unwrap();
        let (mut numbers, high) = at(&dir, 7);
        assert_eq!(high, 7, "nothing was reserved");
        numbers.reserve(8).unwrap();
        assert_eq!(at(&dir, 7).1, 7 + BLOCK, "killed");
        assert_eq!(at(&dir, 9 + BLOCK).1, 9 + BLOCK, "files tell of more");
        numbers.give_back(20).unwrap();
        assert_eq!(at(&dir, 7).1, 20);
        numbers.give_back(30).unwrap();
        assert_eq!(at(&dir, 7).1, 20, "there is nothing to give back");
    }

    #[test]
    fn one_write_reserves_many_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let (mut numbers, _) = at(&dir, 0);
        numbers.reserve(1).unwrap();
        std::fs::remove_file(dir.path().join("numbers")).unwrap();
        numbers.reserve(BLOCK).unwrap();
        assert!(!dir.path().join("numbers").exists(), "it was written again for nothing");
        numbers.reserve(BLOCK + 1).unwrap();
        assert_eq!(at(&dir, 0).1, 2 * BLOCK);
    }

    #[test]
    fn a_broken_record_skips_far_and_reserves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("numbers"), b"{").unwrap();
        let (mut numbers, high) = at(&dir, 7);
        assert_eq!(high, 7 + SKIP);
        numbers.reserve(high + 1).unwrap();
        assert_eq!(at(&dir, 7).1, high + BLOCK, "whole again");
    }
}
