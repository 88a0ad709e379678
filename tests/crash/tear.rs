//! Torn files, for file systems that have them.
//!
//! ext4 writes a file's data before the metadata that gives it its length, so none of its states holds a
//! file of the right length with a hole in it. Others do (ext2, FAT, f2fs and ext4 without barriers). Such
//! holes are cut here into files that nobody was told are durable: above the index's highest number, and
//! not acknowledged.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use crate::drive::Said;

const PAGE: u64 = 4096;

/// Cuts holes; how many.
pub(crate) fn tear(spool: &Path, work: &Path, said: &Said, rng: &mut fastrand::Rng) -> u64 {
    let Some(high) = high_seq(spool, work) else { return 0 };
    let mut torn = 0;
    for dir in fs::read_dir(spool.join("images")).into_iter().flatten() {
        for file in fs::read_dir(dir.unwrap().path()).unwrap() {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            let seq = u64::from_str_radix(&name, 16).unwrap();
            let len = file.metadata().unwrap().len();
            if seq <= high || said.kept.contains(&seq) || len == 0 {
                continue;
            }
            let at = rng.u64(..len) / PAGE * PAGE;
            let hole = vec![0; usize::try_from(PAGE.min(len - at)).unwrap()];
            let file = fs::OpenOptions::new().write(true).open(file.path()).unwrap();
            file.write_all_at(&hole, at).unwrap();
            torn += 1;
        }
    }
    torn
}

/// The highest number of the index as recovery will see it, read from a copy.
fn high_seq(spool: &Path, work: &Path) -> Option<u64> {
    let copy = work.join("copy");
    fs::create_dir(&copy).unwrap();
    for name in ["index.db", "index.db-wal"] {
        fs::copy(spool.join(name), copy.join(name)).ok(); // it may not be there
    }
    let path = copy.join("index.db");
    let high = path.exists().then(|| Connection::open(&path).unwrap()).and_then(|conn| {
        conn.query_row("SELECT high_seq FROM ledger", [], |r| r.get::<_, i64>(0)).ok()
    });
    fs::remove_dir_all(&copy).unwrap();
    high.and_then(|high| u64::try_from(high).ok())
}
