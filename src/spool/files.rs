//! The spool's directory: names, the lock, `spool.json`, and the few ways a file is made or read.
//!
//! ```text
//! lock                              held by the one agent; its content is the holder's pid
//! reserve                           room for the index on a disk that is full
//! numbers                           below which number any may have been used; where pictures are held in memory
//! private                           there while somebody wants no camera to be open
//! spool.json                        format, uuid, ledger generation, lowest sequence number to go on with
//! images/{seq>>10:08x}/{seq:016x}   object bytes and trailer; never renamed, quarantined ones stay
//! boots/{boot id}                   boot records
//! index.db (-wal, -shm)             the index; index.db.broken-N where one was set aside
//! ```
//!
//! Called by the spool's thread alone and by `open` before that thread exists. Every error is handed
//! up; nothing here decides.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracing::warn;

use super::retention::Space;
use super::trailer::{self, FOOTER_LEN, Footer, TrailerError};
use crate::contract::Facts;

/// Sequence numbers a directory holds, as a shift.
pub(super) const DIR_SHIFT: u32 = 10;
/// One above the highest sequence number: eight hex digits of directory.
pub(super) const SEQ_END: u64 = 1 << (32 + DIR_SHIFT);
/// Longest image file that is read into memory.
const MAX_FILE: u64 = 256 << 20;

/// `spool.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Version of the directory's layout.
    pub(super) format: u32,
    /// This spool, for ever.
    pub(super) uuid: String,
    /// The ledger's generation: moved on before a lost index is rebuilt.
    pub(super) generation: u64,
    /// Numbers below this may have been used by a ledger that was lost.
    pub(super) seq_floor: u64,
}

/// Why a file of the spool gives no picture.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImageError {
    /// It is not there.
    #[error("the file is not there")]
    Missing,
    /// Its bytes are not a whole picture, or not this one.
    #[error(transparent)]
    Broken(#[from] TrailerError),
    /// It could not be read.
    #[error("the file cannot be read: {0}")]
    Io(io::Error),
}

impl From<io::Error> for ImageError {
    fn from(e: io::Error) -> Self {
        if e.kind() == ErrorKind::NotFound { Self::Missing } else { Self::Io(e) }
    }
}

/// The spool's directory.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The same, whether it is there or not.
    pub(super) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// Makes the directories that are missing.
    pub(super) fn create(root: &Path) -> io::Result<Self> {
        let layout = Self { root: root.to_owned() };
        for dir in [root.to_owned(), layout.images(), layout.boots()] {
            make_dir(&dir)?;
        }
        layout.sync()?;
        Ok(layout)
    }

    /// Makes the directories durable: the last process may have been killed between making one and
    /// syncing its name.
    fn sync(&self) -> io::Result<()> {
        let parent = self.root.parent().filter(|p| !p.as_os_str().is_empty());
        sync_dir(parent.unwrap_or(Path::new(".")))?;
        sync_dir(&self.root)?;
        sync_dir(&self.images())
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.db")
    }

    pub(super) fn identity(&self) -> PathBuf {
        self.root.join("spool.json")
    }

    pub(super) fn reserve(&self) -> PathBuf {
        self.root.join("reserve")
    }

    /// The file system, and what an agent without privileges may still take of it.
    pub(super) fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.root)?;
        Ok(Space {
            bytes: found.f_blocks.saturating_mul(found.f_frsize),
            free_bytes: found.f_bavail.saturating_mul(found.f_frsize),
            files: found.f_files,
            free_files: found.f_favail,
        })
    }

    /// There while somebody wants no camera to be open.
    fn private(&self) -> PathBuf {
        self.root.join("private")
    }

    /// Does somebody want no camera to be open? Also where that cannot be told.
    pub(super) fn is_private(&self) -> bool {
        self.private().symlink_metadata().err().is_none_or(|e| e.kind() != ErrorKind::NotFound)
    }

    /// Remembers, durably, that no camera is to be open, or forgets it.
    pub(super) fn set_private(&self, private: bool) -> io::Result<()> {
        if private {
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .open(self.private())?;
        } else if let Err(e) = fs::remove_file(self.private())
            && e.kind() != ErrorKind::NotFound
        {
            return Err(e);
        }
        sync_dir(&self.root)
    }

    pub(super) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    pub(super) fn numbers(&self) -> PathBuf {
        self.root.join("numbers")
    }

    pub(super) fn boots(&self) -> PathBuf {
        self.root.join("boots")
    }

    pub(super) fn dir(&self, number: u64) -> PathBuf {
        self.images().join(format!("{number:08x}"))
    }

    pub(super) fn image(&self, seq: u64) -> PathBuf {
        self.dir(seq >> DIR_SHIFT).join(format!("{seq:016x}"))
    }

    /// Takes the spool's lock. `Err(Some(pid))` where another process holds it.
    pub(super) fn lock(&self) -> io::Result<Result<File, Option<u32>>> {
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .write(true)
            .truncate(false)
            .mode(0o600)
            .open(self.root.join("lock"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                file.take(32).read_to_string(&mut text)?;
                return Ok(Err(text.trim().parse().ok()));
            }
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Who holds it is told as a courtesy: a full disk must not keep the holder from starting.
        let told = file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0)));
        if let Err(error) = told.and_then(|_| writeln!(file, "{}", std::process::id())) {
            warn!(%error, "The spool's lock cannot tell who holds it.");
        }
        Ok(Ok(file))
    }

    /// Numbers of the image directories, ascending.
    pub(super) fn dirs(&self) -> io::Result<Vec<u64>> {
        numbered(&self.images(), 8)
    }

    /// Sequence numbers of the files in an image directory, ascending; none where it does not exist.
    pub(super) fn seqs(&self, dir: u64) -> io::Result<Vec<u64>> {
        match numbered(&self.dir(dir), 16) {
            Ok(mut seqs) => {
                seqs.retain(|seq| seq >> DIR_SHIFT == dir);
                Ok(seqs)
            }
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(Vec::new())
            }
            Err(e) => Err(e),
        }
    }

    /// Makes an image directory durable, if it is new.
    pub(super) fn make_image_dir(&self, dir: u64) -> io::Result<()> {
        if !make_dir(&self.dir(dir))? {
            return Ok(());
        }
        let synced = sync_dir(&self.images());
        if synced.is_err() {
            // It must be new to the next try, or that would not sync it.
            fs::remove_dir(self.dir(dir))?;
        }
        synced
    }

    /// Removes an image directory and whatever lies in it: its range has no rows.
    pub(super) fn remove_image_dir(&self, dir: u64) -> io::Result<()> {
        match fs::remove_dir_all(self.dir(dir)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Removes an image; one that is gone already counts as removed.
    pub(super) fn remove_image(&self, seq: u64) -> io::Result<()> {
        match fs::remove_file(self.image(seq)) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Writes a new image file under its final name and asks the kernel to begin writing it out. It is not
/// durable yet.
pub(super) fn write_image(path: &Path, body: &[u8], trailer: &[u8]) -> io::Result<File> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    if let Err(e) = file.write_all(body).and_then(|()| file.write_all(trailer)) {
        fs::remove_file(path).ok(); // the error that matters is the write's
        return Err(e);
    }
    crate::sys::start_writeback(file.as_fd(), (body.len() + trailer.len()) as u64);
    Ok(file)
}

/// Reads an image's trailer only: its facts, and the file's length.
pub(super) fn read_facts(path: &Path) -> Result<(Facts, u64), ImageError> {
    let file = File::open(path)?;
    let file_len = file.metadata()?.len();
    let at = file_len.checked_sub(FOOTER_LEN as u64).ok_or(TrailerError::NoTrailer)?;
    let mut last = [0; FOOTER_LEN];
    file.read_exact_at(&mut last, at)?;
    let footer = Footer::parse(&last, file_len)?;
    let mut trailer = vec![0; footer.len()];
    file.read_exact_at(&mut trailer, file_len - footer.len() as u64)?;
    Ok((footer.facts(&trailer, file_len)?, file_len))
}

/// Reads a whole image and checks its trailer and its SHA-256.
pub(super) fn read_image(path: &Path) -> Result<(Facts, Vec<u8>), ImageError> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > MAX_FILE {
        return Err(TrailerError::Length.into());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let (facts, object_len) = trailer::decode(&bytes)?;
    bytes.truncate(object_len);
    trailer::verify_body(&facts, &bytes)?;
    Ok((facts, bytes))
}

/// The object's bytes of an image file, checked; for whoever copies pictures.
///
/// # Errors
/// The file cannot be read, or is not this picture (`InvalidData`).
pub fn load_image(path: &Path, seq: u64) -> io::Result<Vec<u8>> {
    match read_image(path) {
        Ok((facts, body)) if facts.seq == seq => Ok(body),
        Ok(_) => Err(io::Error::new(ErrorKind::InvalidData, "it is another picture")),
        Err(ImageError::Missing) => Err(ErrorKind::NotFound.into()),
        Err(ImageError::Broken(error)) => Err(io::Error::new(ErrorKind::InvalidData, error)),
        Err(ImageError::Io(error)) => Err(error),
    }
}

/// Makes a file that already exists durable.
pub(super) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_data()
}

/// Makes the names in a directory durable.
pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Makes everything on the spool's file system durable.
pub(super) fn sync_all(root: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(root)?)?)
}

/// Replaces a small JSON file so that a power cut leaves the old one or the new one.
pub(super) fn replace_json(path: &Path, value: &impl Serialize) -> io::Result<()> {
    let parent = path.parent().unwrap_or_else(|| Path::new("."));
    let temporary = path.with_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    let mut json = serde_json::to_vec(value)?;
    json.push(b'\n');
    file.write_all(&json)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    sync_dir(parent)
}

/// Reads a small JSON file; `None` where there is none.
pub(super) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match fs::read(path) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(value) => Ok(Some(value)),
            Err(e) => Err(io::Error::new(ErrorKind::InvalidData, e)),
        },
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Is the disk full, or the user's share of it?
pub(super) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

/// Makes a directory; whether it is new.
fn make_dir(path: &Path) -> io::Result<bool> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(false),
        Err(e) if e.kind() == ErrorKind::NotFound => {
            DirBuilder::new().mode(0o700).recursive(true).create(path).map(|()| true)
        }
        Err(e) => Err(e),
    }
}

/// Names of exactly `digits` lower-case hex digits as numbers, ascending; other names are not ours.
fn numbered(path: &Path, digits: usize) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let number = name.to_str().filter(|n| n.len() == digits);
        let lower = |n: &&str| n.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if let Some(number) = number.filter(lower).and_then(|n| u64::from_str_radix(n, 16).ok()) {
            found.push(number);
        }
    }
    found.sort_unstable();
    Ok(found)
}
