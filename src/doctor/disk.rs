//! Disks: is there room for what the configuration promises, and may the agent write there.
//!
//! Writing is tried, with a file that has no name and is gone when it is closed, so that a directory is
//! left as it was, whatever happens.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, StatVfs, StatVfsMountFlags};

use super::report::{Check, Finding};

/// Flash that needs longer for one small flush loses pictures in a burst.
const SLOW: Duration = Duration::from_secs(1);
/// File systems reserve some; a log or two wants to be written too.
const INODES: u64 = 1000;

/// Room of a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Room {
    free: u64,
    inodes: u64,
    /// Some file systems make inodes as they need them, and count none.
    counts_inodes: bool,
    read_only: bool,
}

impl From<StatVfs> for Room {
    fn from(s: StatVfs) -> Self {
        Self {
            free: s.f_bavail.saturating_mul(s.f_frsize),
            inodes: s.f_favail,
            counts_inodes: s.f_files > 0,
            read_only: s.f_flag.contains(StatVfsMountFlags::RDONLY),
        }
    }
}

/// The spool at `path`, which may grow to `max_bytes` and holds `used`.
pub(super) fn spool(path: &Path, max_bytes: u64, used: u64, who: &str) -> Vec<Finding> {
    let dir = existing(path);
    let of = |f: Finding| f.of(path.display().to_string());
    let room = match rustix::fs::statvfs(&dir) {
        Ok(stat) => Room::from(stat),
        Err(error) => return vec![of(refused(&dir, &error.into(), who))],
    };
    let took = match try_write(&dir) {
        Ok(took) => took,
        Err(error) => return vec![of(refused(&dir, &error, who))],
    };
    judge(room, max_bytes.saturating_sub(used), took).into_iter().map(of).collect()
}

/// A directory that takes objects.
pub(super) fn directory(path: &Path, who: &str) -> Finding {
    if !path.is_dir() {
        let text = format!("{} is not there", path.display());
        return Finding::wrong(
            Check::Store,
            text,
            "Mount the disk, or make the directory: it is never made by itself, an empty mount point is no store.",
        );
    }
    match try_write(path) {
        Ok(_) => Finding::ok(Check::Store, format!("directory {} can be written", path.display())),
        Err(error) => Finding { check: Check::Store, ..refused(path, &error, who) },
    }
}

/// The nearest directory that is there: the agent makes the rest.
fn existing(path: &Path) -> PathBuf {
    let is_there = |p: &&Path| p.is_dir();
    path.ancestors().find(is_there).unwrap_or(Path::new("/")).to_owned()
}

/// Writes and flushes 4 KiB; how long that took.
fn try_write(dir: &Path) -> io::Result<Duration> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let mut file = match rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR) {
        Ok(fd) => File::from(fd),
        // vfat, NFS and some overlays know no file without a name.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR | rustix::io::Errno::INVAL) => {
            named(dir)?
        }
        Err(error) => return Err(error.into()),
    };
    let began = Instant::now();
    file.write_all(&[0; 4096])?;
    file.sync_all()?;
    Ok(began.elapsed())
}

fn named(dir: &Path) -> io::Result<File> {
    let path = dir.join(format!(".vedette-doctor-{}", std::process::id()));
    let file = File::options().write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

fn refused(dir: &Path, error: &io::Error, who: &str) -> Finding {
    let d = dir.display();
    let (text, help) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            format!("{who} may not write into {d}"),
            format!("`chown {who} {d}`; the directories above must let {who} enter."),
        ),
        io::ErrorKind::ReadOnlyFilesystem => (
            format!("{d} is read-only"),
            "A disk with errors is mounted read-only: `dmesg` says so; `mount -o remount,rw`, or another disk.".into(),
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (
            format!("the disk of {d} is full"),
            "Make room (`du -x / | sort -n | tail`), or lower `spool.max_bytes`.".into(),
        ),
        _ => (format!("{d} cannot be written: {error}"), "See the kernel's log: `dmesg`.".into()),
    };
    Finding::wrong(Check::Disk, text, help)
}

fn judge(room: Room, wanted: u64, took: Duration) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut warn = |text: String, help: &str| found.push(Finding::warning(Check::Disk, text, help));
    if room.read_only {
        warn(
            "mounted read-only".into(),
            "`mount -o remount,rw`; `dmesg` says whether the disk has errors.",
        );
    }
    if room.free < wanted {
        let text = format!(
            "{} are free, and pictures may take {} more: the disk is full before the quota is",
            bytes(room.free),
            bytes(wanted)
        );
        warn(text, "Lower `spool.max_bytes`, or give it a larger disk (`spool.path`).");
    }
    if room.counts_inodes && room.inodes < INODES {
        let text = format!("room for only {} more files", room.inodes);
        warn(text, "Remove files: each picture needs one (an inode).");
    }
    if took > SLOW {
        let text =
            format!("one flush took {:.1} s: pictures come faster than that", took.as_secs_f64());
        warn(
            text,
            "A worn or slow card, or much else that writes; a better one, or fewer pictures.",
        );
    }
    if found.is_empty() {
        let text =
            format!("writable, {} free, a flush takes {} ms", bytes(room.free), took.as_millis());
        found.push(Finding::ok(Check::Disk, text));
    }
    found
}

/// Bytes as people say them.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1024 => format!("{n} B"),
        1024..1_048_576 => format!("{} KiB", n >> 10),
        1_048_576..1_073_741_824 => format!("{} MiB", n >> 20),
        _ => format!("{:.1} GiB", n as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    const GIB: u64 = 1 << 30;

    fn room() -> Room {
        Room { free: 10 * GIB, inodes: 1 << 20, counts_inodes: true, read_only: false }
    }

    fn said(room: Room, wanted: u64, took: Duration) -> (State, String) {
        let first = judge(room, wanted, took).remove(0);
        (first.state, first.text)
    }

    #[test]
    fn room_is_held_against_what_the_quota_may_still_take() {
        let quick = Duration::from_millis(3);
        assert_eq!(said(room(), 2 * GIB, quick).0, State::Ok);
        let (state, text) = said(Room { free: GIB, ..room() }, 2 * GIB, quick);
        assert!(state == State::Warning && text.contains("1.0 GiB are free"), "{text}");
        assert!(said(Room { inodes: 7, ..room() }, 0, quick).1.contains("7 more files"));
        let unlimited = Room { inodes: 0, counts_inodes: false, ..room() };
        assert_eq!(said(unlimited, 0, quick).0, State::Ok);
        assert!(said(room(), 0, Duration::from_secs(2)).1.contains("2.0 s"));
        assert!(said(Room { read_only: true, ..room() }, 0, quick).1.contains("read-only"));
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_judged_by_what_is_above_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(existing(&dir.path().join("a/b/c")), dir.path());
        let found = spool(&dir.path().join("a/b"), 1, 0, "vedette");
        assert_eq!(found[0].state, State::Ok, "{found:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
        named(dir.path()).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nor by name");
    }

    #[test]
    fn each_refusal_has_its_remedy() {
        for (errno, part) in
            [(13, "chown vedette"), (30, "remount"), (28, "max_bytes"), (5, "dmesg")]
        {
            let found = refused(Path::new("/d"), &io::Error::from_raw_os_error(errno), "vedette");
            assert!(found.help.unwrap().contains(part), "{errno}");
        }
    }
}
