//! The files that make one configuration: the file itself and its drop-ins.
//!
//! Beside `vedette.toml` the directory `vedette.d` may hold drop-ins, `*.toml`, read in byte order of
//! their names. Each file is parsed and checked in its own place; `merge` makes one tree of them. So that
//! the rest needs to know nothing of several files, a place is a byte of all texts laid end to end
//! ([`Sources::whole`]), and [`Sources::locate`] tells which file that is.
//!
//! - Hidden files and what editors and package managers leave behind (`x.toml~`, `x.toml.dpkg-dist`) are
//!   passed over in silence, every other name with a note: a drop-in that is not read must not be a riddle.
//! - Whatever cannot be read is an error, never a part left out: half a configuration may send pictures to
//!   the wrong place.
//! - Bounded: at most [`MAX_DROP_INS`], 1 MiB in all; only regular files are opened for reading, so a pipe
//!   or a device cannot hold up a start.

use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::ConfigErrors;

/// Largest configuration, all files together.
const MAX_BYTES: u64 = 1 << 20;

/// Most drop-ins.
const MAX_DROP_INS: usize = 64;

/// Longest list of files that are passed over.
const MAX_NOTES: usize = 8;

/// Ends of names that editors and package managers leave behind.
const LEFTOVERS: [&str; 10] =
    ["~", ".bak", ".orig", ".old", ".swp", ".tmp", ".dpkg-dist", ".dpkg-old", ".dpkg-new", "#"];

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    pub(crate) text: String,
    /// Where its text begins in the whole.
    pub(crate) start: usize,
}

/// All files of a configuration, the main one first, the others in the order in which they are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sources {
    files: Vec<Source>,
    whole: String,
    /// What lies in the drop-in directory and is not read.
    pub(crate) notes: Vec<String>,
}

impl Sources {
    /// One file with this text.
    pub(crate) fn single(path: &Path, text: &str) -> Self {
        Self::new(vec![(path.to_owned(), text.to_owned())], Vec::new())
    }

    /// These files, the main one first; there is at least one.
    pub(crate) fn new(files: Vec<(PathBuf, String)>, notes: Vec<String>) -> Self {
        let mut all = Self { files: Vec::new(), whole: String::new(), notes };
        for (path, text) in files {
            let start = all.whole.len();
            // The line feed keeps one file's last byte apart from the next one's first.
            all.whole.push_str(&text);
            all.whole.push('\n');
            all.files.push(Source { path, text, start });
        }
        all
    }

    pub(crate) fn files(&self) -> &[Source] {
        &self.files
    }

    /// The main file.
    pub(crate) fn main(&self) -> &Path {
        self.files.first().map_or(Path::new(""), |f| &f.path)
    }

    /// All texts, end to end.
    pub(crate) fn whole(&self) -> &str {
        &self.whole
    }

    /// The end of what the main file says: what a configuration lacks is missing there.
    pub(crate) fn end_of_main(&self) -> usize {
        self.files.first().map_or(0, |f| f.text.trim_end().len())
    }

    /// Which file a place is in.
    pub(crate) fn locate(&self, at: usize) -> &Path {
        self.file_at(at).map_or(Path::new(""), |f| &f.path)
    }

    /// File and line, from 1, of a place.
    pub(crate) fn line(&self, at: usize) -> (&Path, usize) {
        let Some(file) = self.file_at(at) else { return (Path::new(""), 0) };
        let before = self.whole.get(file.start..at).unwrap_or_default();
        (&file.path, before.matches('\n').count() + 1)
    }

    fn file_at(&self, at: usize) -> Option<&Source> {
        self.files.get(self.files.partition_point(|f| f.start <= at).saturating_sub(1))
    }
}

/// A place in the text of the file that begins at `start`, as a place in the whole.
pub(crate) fn shifted(span: &Range<usize>, start: usize) -> Range<usize> {
    span.start + start..span.end + start
}

/// Where the drop-ins of a file are: `vedette.d` beside `vedette.toml`.
pub(crate) fn drop_in_dir(path: &Path) -> PathBuf {
    path.with_extension("d")
}

/// Reads the file at `path` and its drop-ins.
///
/// # Errors
/// Every file that cannot be read, and why.
pub(crate) fn read(path: &Path) -> Result<Sources, ConfigErrors> {
    let mut errors = ConfigErrors::new(&Sources::single(path, ""));
    let mut room = MAX_BYTES;
    let mut files = Vec::new();
    let mut add = |path: PathBuf, errors: &mut ConfigErrors| match text(&path, &mut room) {
        Ok(text) => files.push((path, text)),
        Err((what, help)) => errors.push_file(&path, what, help),
    };
    add(path.to_owned(), &mut errors);
    let (names, notes) = drop_ins(&drop_in_dir(path), &mut errors);
    names.into_iter().for_each(|path| add(path, &mut errors));
    if errors.is_empty() { Ok(Sources::new(files, notes)) } else { Err(errors) }
}

/// The drop-ins to read, in order, and notes on what is passed over.
fn drop_ins(dir: &Path, errors: &mut ConfigErrors) -> (Vec<PathBuf>, Vec<String>) {
    let entries = match fs::read_dir(dir).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Default::default(),
        Err(error) => {
            let help = "make it a directory that vedette may read, or remove it";
            errors.push_file(dir, format!("cannot read the directory of drop-ins: {error}"), help);
            return Default::default();
        }
    };
    let (mut names, mut notes) = (Vec::new(), Vec::new());
    for entry in entries {
        let name = entry.file_name();
        match judge(name.to_str()) {
            Judged::Read => names.push(name),
            Judged::PassedOver => {}
            Judged::Noted => notes.push(format!(
                "{} is not read: a drop-in's name ends with `.toml`",
                entry.path().display()
            )),
            Judged::Wrong => {
                let help = "rename it: use `A-Z`, `a-z`, `0-9`, `_`, `-` and `.`";
                errors.push_file(&entry.path(), "a drop-in's name holds odd characters", help);
            }
        }
    }
    // `OsString` compares by bytes.
    names.sort();
    notes.sort();
    notes.truncate(MAX_NOTES);
    if names.len() > MAX_DROP_INS {
        let what = format!("{} drop-ins are too many", names.len());
        errors.push_file(dir, what, format!("join some: at most {MAX_DROP_INS} are read"));
        names.clear();
    }
    (names.iter().map(|name| dir.join(name)).collect(), notes)
}

#[derive(Debug, PartialEq, Eq)]
enum Judged {
    Read,
    PassedOver,
    Noted,
    Wrong,
}

/// What to do with a file of this name; `None` is one that is not UTF-8.
fn judge(name: Option<&str>) -> Judged {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    match name {
        Some(name) if name.starts_with(['.', '#']) => Judged::PassedOver,
        Some(name) if LEFTOVERS.iter().any(|end| name.ends_with(end)) => Judged::PassedOver,
        Some(name) if !name.ends_with(".toml") => Judged::Noted,
        Some(name) if name.bytes().all(plain) => Judged::Read,
        _ => Judged::Wrong,
    }
}

/// The text of one file, and what is left of the room for all.
fn text(path: &Path, room: &mut u64) -> Result<String, (String, String)> {
    let unreadable = |error: io::Error| {
        let help = match error.kind() {
            io::ErrorKind::NotFound => {
                "give its path with `--config`, or write one: config/examples has short ones"
            }
            io::ErrorKind::PermissionDenied => {
                "let vedette read it: `chgrp vedette FILE` and `chmod 640 FILE`"
            }
            _ => "give a regular file that vedette may read",
        };
        (format!("cannot read the configuration: {error}"), help.to_owned())
    };
    let bytes = bytes(path, *room).map_err(unreadable)?;
    let Some(bytes) = bytes else {
        let what = "the configuration is larger than 1 MiB, its drop-ins included".to_owned();
        return Err((what, "is this the right file?".into()));
    };
    *room -= bytes.len() as u64;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (format!("the configuration is not UTF-8 (byte {at})"), "save it as UTF-8".into())
    })
}

/// The bytes of a regular file, or `None` if it holds more than `most`. Never waits for a writer, as
/// opening a pipe would.
///
/// # Errors
/// It cannot be read, or is no regular file.
pub(crate) fn bytes(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = fs::OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backups_are_passed_over_and_other_names_are_told() {
        for name in
            [".10-a.toml", "10-a.toml~", "#10-a.toml#", ".10-a.toml.swp", "a.toml.dpkg-dist"]
        {
            assert_eq!(judge(Some(name)), Judged::PassedOver, "{name}");
        }
        assert_eq!(judge(Some("10-store.conf")), Judged::Noted);
        assert_eq!(judge(Some("10-store_b.v2.toml")), Judged::Read);
        assert_eq!(judge(Some("ten store.toml")), Judged::Wrong);
        assert_eq!(judge(None), Judged::Wrong);
    }

    #[test]
    fn a_place_tells_its_file() {
        let files = [("a", "x = 1"), ("b", ""), ("c", "y = 2\n")];
        let files = files.map(|(path, text)| (PathBuf::from(path), text.to_owned()));
        let sources = Sources::new(files.to_vec(), Vec::new());
        assert_eq!(sources.whole(), "x = 1\n\ny = 2\n\n");
        for (at, path) in [(0, "a"), (5, "a"), (6, "b"), (7, "c"), (99, "c")] {
            assert_eq!(sources.locate(at), Path::new(path), "{at}");
        }
    }
}
