//! Reading files as root, some of which another user may have made.
//!
//! Nothing waits for a writer and nothing but a regular file is read, so a pipe cannot hold the archive up.
//! In the agent's own directory, whose owner is not root, links are not followed either and another owner's
//! file is refused: `last-good.toml` must not be a name for what only root may read.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

/// The beginning of a file, at most `most` bytes.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub(super) fn beginning(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    read(&open(path, OFlags::NONBLOCK)?, most)
}

/// The same of the file `name` in the agent's own directory.
///
/// # Errors
/// Also where it is a link, or not its directory's owner's.
pub(super) fn own(dir: &Path, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let file = open(&dir.join(name), OFlags::NONBLOCK | OFlags::NOFOLLOW)?;
    if file.metadata()?.uid() != fs::metadata(dir)?.uid() {
        return Err(refused("it is not its directory's owner's"));
    }
    read(&file, most)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    fs::OpenOptions::new().read(true).custom_flags(flags).open(path)
}

fn read(file: &File, most: u64) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(refused("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode};

    #[test]
    fn neither_links_nor_pipes_nor_other_peoples_files_are_read_from_the_agents_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("plain"), "well").unwrap();
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        rustix::fs::mkfifoat(CWD, at("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        assert_eq!(own(dir.path(), "plain", 3).unwrap(), b"wel");
        for name in ["link", "pipe", ".", "none"] {
            assert!(own(dir.path(), name, 9).is_err(), "{name}");
        }
        assert_eq!(beginning(&at("link"), 9).unwrap(), b"well", "elsewhere a link is as good");
        assert!(beginning(&at("pipe"), 9).is_err());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(at("plain"), Some(65534), None).unwrap();
            assert!(own(dir.path(), "plain", 9).is_err(), "a hard link to another's file");
        } else {
            println!("SKIPPED: only root can give a file away");
        }
    }
}
