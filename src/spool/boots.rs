//! Boot records: what wall time pictures get that were taken before the clock was trusted.
//!
//! A record says of one boot at which offset its wall clock stood when it was first trusted, and up to
//! which sequence number pictures were sent without a time because trust did not come. It is written
//! before anything is claimed that depends on it and neither part is ever taken back: the offset is set
//! once, `unsynced_before` only moves forward and only while there is no offset. So a picture's wall
//! time, and with it its key, is the same on every claim, over restarts and power cuts.
//!
//! No record is an empty one: a boot that was never trusted and gave nothing up writes nothing. Only the
//! current boot's record is ever written; an earlier boot without an offset stays without one.
//!
//! A record also holds the newest wall time that was trusted in its boot, written when trust comes and
//! then once a day. The newest of all boots is the floor at which certificates are checked after a cold
//! start; its record is kept when nothing else of that boot is left. A plain-http store's word dates
//! pictures but makes no floor: a wrong year from a stranger would outlast every restart and make every
//! certificate look expired.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use serde::{Deserialize, Serialize};
use tracing::{error, warn};

use super::files;
use crate::clock::{BootId, BootTime, TrustSource, WallTime, build_time};
use crate::contract::Facts;

/// Records of earlier boots held in memory.
const CACHE: usize = 256;

/// How far the newest trusted time moves before it is written again: certificates live for weeks, and
/// each writing costs flash.
const FLOOR_STEP: Duration = Duration::from_secs(24 * 3600);

/// One boot, as in `boots/{boot id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Version of this file.
    format: u32,
    boot: BootId,
    /// Wall time minus CLOCK_BOOTTIME in nanoseconds, once trusted.
    offset_ns: Option<i64>,
    /// Who vouched for the offset.
    source: Option<String>,
    /// Pictures below this number were given up as unsynced.
    unsynced_before: u64,
    /// The newest wall time that was trusted in this boot, by more than a plain-http store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    newest_wall: Option<WallTime>,
}

impl Record {
    fn new(boot: BootId) -> Self {
        Self {
            format: 1,
            boot,
            offset_ns: None,
            source: None,
            unsynced_before: 0,
            newest_wall: None,
        }
    }

    /// The offset that gives this picture its wall time.
    pub(super) fn offset_of(&self, seq: u64) -> Option<i64> {
        self.offset_ns.filter(|_| seq >= self.unsynced_before)
    }

    /// Must a picture of this boot without a wall time of its own wait, while the boot lasts?
    pub(super) fn waits(&self, seq: u64) -> bool {
        self.waits_from().is_some_and(|from| seq >= from)
    }

    /// From which number on pictures of this boot wait; `None` when the offset is known.
    pub(super) fn waits_from(&self) -> Option<u64> {
        if self.offset_ns.is_some() { None } else { Some(self.unsynced_before) }
    }
}

/// The wall time of a picture: its own, else by the offset of its boot.
pub(super) fn wall_of(facts: &Facts, offset_ns: Option<i64>) -> Option<WallTime> {
    facts.wall.or_else(|| wall_at(facts.captured, offset_ns?))
}

/// CLOCK_BOOTTIME, which goes on while the machine is suspended.
fn read_boottime() -> BootTime {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(t.tv_sec).unwrap_or(0);
    let nanos = u64::try_from(t.tv_nsec).unwrap_or(0);
    BootTime(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}

fn wall_at(captured: BootTime, offset_ns: i64) -> Option<WallTime> {
    let captured = i64::try_from(captured.0).ok()?;
    Some(WallTime(captured.checked_add(offset_ns)?.div_euclid(1_000_000)))
}

/// All boot records.
#[derive(Debug)]
pub(super) struct Boots {
    dir: PathBuf,
    current: Record,
    earlier: HashMap<BootId, Record>,
    /// The newest trusted time of an earlier boot, and which.
    floor: Option<(WallTime, BootId)>,
    /// When this was opened, as told and as read here: tests tell a boot of their own.
    opened: (BootTime, BootTime),
}

impl Boots {
    /// Reads the current boot's record. A broken one is set to give no times to what was taken so far:
    /// a guess could send one picture under two keys.
    pub(super) fn open(
        dir: PathBuf,
        boot: BootId,
        now: BootTime,
        next_seq: u64,
    ) -> io::Result<Self> {
        let mut boots = Self {
            dir,
            current: Record::new(boot),
            earlier: HashMap::new(),
            floor: None,
            opened: (now, read_boottime()),
        };
        boots.floor = boots.earlier_floor()?;
        match boots.read(&boots.current.boot) {
            Ok(Some(record)) => boots.current = record,
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                error!(%error, "This boot's record is broken; its pictures so far get no time.");
                boots.write(Record { unsynced_before: next_seq, ..boots.current.clone() })?;
            }
            Err(error) => return Err(error),
        }
        Ok(boots)
    }

    pub(super) fn current(&self) -> &Record {
        &self.current
    }

    /// The offset for a picture of any boot.
    pub(super) fn offset_of(&mut self, boot: &BootId, seq: u64) -> Option<i64> {
        if *boot == self.current.boot {
            return self.current.offset_of(seq);
        }
        if !self.earlier.contains_key(boot) {
            let record = self.read(boot).unwrap_or_else(|error| {
                warn!(%error, %boot, "A boot record cannot be read; its pictures have no time.");
                None
            });
            if self.earlier.len() >= CACHE {
                self.earlier.clear();
            }
            self.earlier.insert(boot.clone(), record.unwrap_or_else(|| Record::new(boot.clone())));
        }
        self.earlier.get(boot).and_then(|record| record.offset_of(seq))
    }

    /// The clock is trusted: writes the offset down, unless this boot has one, and from time to time the
    /// newest trusted time. Whether the offset was news.
    pub(super) fn set_offset(&mut self, offset_ns: i64, source: &str) -> io::Result<bool> {
        let newest_wall = self.current.newest_wall.max(self.floor_by(offset_ns, source));
        if self.current.offset_ns.is_some() {
            let moved = match (newest_wall, self.current.newest_wall) {
                (Some(new), Some(old)) => new.distance(old) >= FLOOR_STEP,
                (new, old) => new != old,
            };
            if moved {
                self.write(Record { newest_wall, ..self.current.clone() })?;
            }
            return Ok(false);
        }
        let (offset_ns, source) = (Some(offset_ns), Some(source.to_owned()));
        self.write(Record { offset_ns, source, newest_wall, ..self.current.clone() })?;
        Ok(true)
    }

    /// Time since this boot began.
    pub(super) fn now(&self) -> BootTime {
        let (told, read) = self.opened;
        told + read_boottime().since(read)
    }

    /// The wall time, where it is trusted.
    pub(super) fn wall_now(&self) -> Option<WallTime> {
        wall_at(self.now(), self.current.offset_ns?)
    }

    /// Is a picture's wall time, and with it its key, decided?
    pub(super) fn is_decided(&self, facts: &Facts) -> bool {
        let open = facts.boot == self.current.boot && self.current.waits(facts.seq);
        facts.wall.is_some() || !open
    }

    /// The newest wall time that any boot trusted, as far as it was written down.
    pub(super) fn newest_wall(&self) -> Option<WallTime> {
        self.floor.as_ref().map(|(wall, _)| *wall).max(self.current.newest_wall)
    }

    fn floor_by(&self, offset_ns: i64, source: &str) -> Option<WallTime> {
        let wall = wall_at(self.now(), offset_ns)?;
        (source != TrustSource::Store.name() && wall >= build_time()).then_some(wall)
    }

    fn earlier_floor(&self) -> io::Result<Option<(WallTime, BootId)>> {
        let mut floor = None;
        for entry in fs::read_dir(&self.dir)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            // A record that cannot be read is told of when a picture needs it.
            if let Ok(Some(Record { newest_wall: Some(wall), boot, .. })) = self.read(&BootId(name))
            {
                floor = floor.max(Some((wall, boot)));
            }
        }
        Ok(floor)
    }

    /// Pictures below `next_seq` wait no longer. Whether that was news.
    pub(super) fn give_up(&mut self, next_seq: u64) -> io::Result<bool> {
        if self.current.offset_ns.is_some() || next_seq <= self.current.unsynced_before {
            return Ok(false);
        }
        self.write(Record { unsynced_before: next_seq, ..self.current.clone() })?;
        Ok(true)
    }

    /// Removes the records of boots of which nothing is left, but for the one with the newest trusted
    /// time.
    pub(super) fn forget_all_but(&self, needed: &[BootId]) -> io::Result<()> {
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let floor = self.floor.as_ref().filter(|(w, _)| Some(*w) > self.current.newest_wall);
            let kept = floor.map(|(_, boot)| boot).into_iter().chain([&self.current.boot]);
            if !kept.chain(needed).any(|boot| boot.0 == name) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        files::replace_json(&self.path(&record.boot)?, &record)?;
        self.current = record;
        Ok(())
    }

    fn read(&self, boot: &BootId) -> io::Result<Option<Record>> {
        let record: Option<Record> = files::read_json(&self.path(boot)?)?;
        match record {
            Some(r) if r.format != 1 || r.boot != *boot => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "not this boot's record"))
            }
            other => Ok(other),
        }
    }

    /// Boot ids come out of trailers too, and must not lead out of the directory.
    fn path(&self, boot: &BootId) -> io::Result<PathBuf> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        if boot.0.is_empty() || boot.0.len() > 64 || !boot.0.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a boot id"));
        }
        Ok(self.dir.join(&boot.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(n: u8) -> BootId {
        BootId(format!("{n:08x}-0000-4000-8000-000000000000"))
    }

    /// Opened in boot `n`, one second after it began.
    fn at(dir: &std::path::Path, n: u8, next_seq: u64) -> Boots {
        Boots::open(dir.to_owned(), boot(n), BootTime(1_000_000_000), next_seq).unwrap()
    }

    #[test]
    fn the_newest_trusted_time_outlives_its_boot_and_everything_of_it() {
        const DAY: i64 = 86_400_000_000_000;
        let offset = (build_time().0 + 1) * 1_000_000 + 40 * DAY;
        let dir = tempfile::tempdir().unwrap();
        let mut boots = at(dir.path(), 1, 1);
        boots.set_offset(offset, "kernel").unwrap();
        let first = boots.newest_wall().unwrap();
        assert!(first >= WallTime(offset / 1_000_000 + 1_000), "{first:?}");
        boots.set_offset(offset + DAY / 2, "kernel").unwrap();
        assert_eq!(boots.newest_wall(), Some(first), "half a day is not worth a write");
        boots.set_offset(offset + 2 * DAY, "kernel").unwrap();
        let newest = boots.newest_wall().unwrap();
        assert!(newest.0 >= first.0 + 2 * DAY / 1_000_000);
        assert_eq!(boots.offset_of(&boot(1), 1), Some(offset), "the offset stays the first");

        let mut second = at(dir.path(), 2, 1);
        second.forget_all_but(&[]).unwrap();
        second.set_offset(offset + 400 * DAY, "store").unwrap();
        assert_eq!(second.newest_wall(), Some(newest), "a store over http makes no floor");
        let third = at(dir.path(), 3, 1);
        third.forget_all_but(&[]).unwrap();
        assert_eq!(at(dir.path(), 4, 1).newest_wall(), Some(newest));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "the others are gone");
    }

    #[test]
    fn the_first_offset_of_a_boot_stays_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let open = || at(dir.path(), 1, 1);
        let mut boots = open();
        assert!(boots.current().waits(1));
        assert!(boots.set_offset(1_000, "kernel").unwrap());
        let mut again = open();
        assert!(!again.set_offset(2_000, "store").unwrap());
        assert_eq!(again.offset_of(&boot(1), 1), Some(1_000));
        assert!(!again.current().waits(1));
    }

    #[test]
    fn what_was_given_up_gets_no_time_even_when_trust_comes() {
        let dir = tempfile::tempdir().unwrap();
        let mut boots = at(dir.path(), 1, 1);
        assert!(boots.give_up(5).unwrap());
        assert!(!boots.give_up(5).unwrap());
        assert!(!boots.current().waits(4) && boots.current().waits(5));
        assert!(boots.set_offset(7, "store").unwrap());
        assert!(!boots.give_up(9).unwrap(), "with an offset nothing is given up");
        let mut again = at(dir.path(), 1, 1);
        assert_eq!((again.offset_of(&boot(1), 4), again.offset_of(&boot(1), 5)), (None, Some(7)));
    }

    #[test]
    fn an_earlier_boot_keeps_what_it_had() {
        let dir = tempfile::tempdir().unwrap();
        at(dir.path(), 1, 1).set_offset(7, "store").unwrap();
        let mut later = at(dir.path(), 3, 1);
        assert_eq!(later.offset_of(&boot(1), 4), Some(7));
        assert_eq!(later.offset_of(&boot(2), 4), None);
        assert_eq!(later.offset_of(&BootId("../spool.json".into()), 4), None);
        later.forget_all_but(&[]).unwrap();
        assert!(!dir.path().join(&boot(1).0).exists());
    }

    #[test]
    fn a_broken_record_gives_no_times_to_what_was_taken_so_far() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(&boot(1).0), b"{").unwrap();
        let boots = at(dir.path(), 1, 8);
        assert!(!boots.current().waits(7) && boots.current().waits(8));
    }

    #[test]
    fn wall_time_is_captured_plus_offset_and_never_overflows() {
        let second = BootTime(1_500_000_000);
        assert_eq!(wall_at(second, 2_000_000_000), Some(WallTime(3_500)));
        assert_eq!(wall_at(BootTime(u64::MAX), 1), None);
        assert_eq!(wall_at(second, i64::MAX), None);
        assert_eq!(wall_at(BootTime(0), -1), Some(WallTime(-1)));
    }
}
