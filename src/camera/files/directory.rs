//! The JPEG files of one directory, in the order of their names.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::super::mjpeg::MAX_FRAME;
use super::Step;

/// More files than this are refused: their names alone would take a small device's memory.
pub(super) const MAX_FILES: usize = 1_000_000;

/// A directory, listed once when it is opened.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    names: Vec<OsString>,
    next: usize,
    frame: Vec<u8>,
}

impl Directory {
    /// Lists the files that end in `.jpg` or `.jpeg`; `None` when there are too many of them.
    pub(super) fn open(path: &Path) -> io::Result<Option<Self>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let name = entry?.file_name();
            if is_picture(Path::new(&name)) {
                if names.len() == MAX_FILES {
                    return Ok(None);
                }
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(Some(Self { path: path.to_owned(), names, next: 0, frame: Vec::new() }))
    }

    /// The frame that the last [`Step::Frame`] announced.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Back to the first file.
    pub(super) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Reads the next file. One that cannot be read is a bad frame, not the end.
    pub(super) fn advance(&mut self) -> Step {
        let Some(name) = self.names.get(self.next) else { return Step::End };
        self.next += 1;
        match read(&self.path.join(name), &mut self.frame) {
            Ok(()) if self.frame.len() > MAX_FRAME => Step::Bad("larger than any frame"),
            Ok(()) if self.frame.starts_with(&[0xFF, 0xD8]) => Step::Frame,
            Ok(()) => Step::Bad("not a JPEG image"),
            Err(error) => {
                tracing::debug!(%error, ?name, "Picture cannot be read; skipped.");
                Step::Bad("the file cannot be read")
            }
        }
    }
}

fn is_picture(name: &Path) -> bool {
    name.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("jpg") || e.eq_ignore_ascii_case("jpeg"))
}

/// Reads at most one byte more than a frame may have.
fn read(path: &Path, frame: &mut Vec<u8>) -> io::Result<()> {
    frame.clear();
    // Opening a pipe would wait for its writer, for ever.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    File::open(path)?.take(MAX_FRAME as u64 + 1).read_to_end(frame).map(drop)
}
