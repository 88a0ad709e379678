//! A file of JPEG images one after the other, as `curl` or `ffmpeg -f mjpeg` write it.

use std::io::{self, Read, Seek};
use std::ops::Range;

use super::super::mjpeg::Splitter;
use super::Step;

/// The file, its splitter, and the frame that was found last.
#[derive(Debug)]
pub(super) struct Stream<R> {
    file: R,
    splitter: Splitter,
    frame: Range<usize>,
}

impl<R: Read + Seek> Stream<R> {
    /// Begins at the file's beginning.
    pub(super) fn open(file: R) -> Self {
        Self { file, splitter: Splitter::default(), frame: 0..0 }
    }

    /// The frame that the last [`Step::Frame`] announced.
    pub(super) fn frame(&self) -> &[u8] {
        self.splitter.bytes(self.frame.clone())
    }

    /// Bytes that belonged to no image since the beginning or the last rewind.
    pub(super) fn skipped(&self) -> u64 {
        self.splitter.skipped()
    }

    /// Back to the first frame.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.splitter.restart();
        self.file.rewind()
    }

    /// Reads on to the next image.
    pub(super) fn advance(&mut self) -> io::Result<Step> {
        let mut at_end = false;
        loop {
            if let Some(range) = self.splitter.split() {
                self.frame = range;
                return Ok(Step::Frame);
            }
            if at_end {
                return Ok(Step::End);
            }
            match self.file.read(self.splitter.space()) {
                Ok(0) => {
                    self.splitter.end();
                    at_end = true;
                }
                Ok(n) => self.splitter.filled(n),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
