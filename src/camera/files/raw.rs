//! A file of raw frames without any header, as `v4l2-ctl --stream-to` writes it.

use std::io::{self, Read, Seek};

use super::Step;

/// The file and one frame's buffer.
#[derive(Debug)]
pub(super) struct Raw<R> {
    file: R,
    frame: Vec<u8>,
    frame_len: usize,
}

impl<R: Read + Seek> Raw<R> {
    /// A file of frames of `frame_len` bytes each.
    pub(super) fn open(file: R, frame_len: usize) -> Self {
        Self { file, frame: Vec::with_capacity(frame_len), frame_len }
    }

    /// The frame that the last [`Step::Frame`] announced.
    pub(super) fn frame(&self) -> &[u8] {
        &self.frame
    }

    /// Back to the first frame.
    pub(super) fn rewind(&mut self) -> io::Result<()> {
        self.file.rewind()
    }

    /// Reads the next frame.
    pub(super) fn advance(&mut self) -> io::Result<Step> {
        self.frame.clear();
        let got = (&mut self.file).take(self.frame_len as u64).read_to_end(&mut self.frame)?;
        Ok(match got {
            0 => Step::End,
            n if n < self.frame_len => Step::Bad("the file ends within this frame"),
            _ => Step::Frame,
        })
    }
}
