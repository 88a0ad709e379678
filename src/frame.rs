//! Frames as cameras lend them, and the small luma plane the first pass works on.
//!
//! Pure: no I/O, no clock. A [`Frame`] borrows the driver's (or the file's) buffer; whoever wants to
//! keep a picture copies it once. What its bytes mean is said in `format`, where they lie in
//! `geometry`: the one place where a frame's size is held against its bytes.

mod format;
mod geometry;

pub use self::format::{Depth, Mosaic, PixelFormat};
pub use self::geometry::{Geometry, Layer, ShapeError};
use crate::clock::BootTime;

/// Who stamped the capture time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stamp {
    /// The driver, at exposure or start of frame.
    Driver,
    /// This process, when the bytes arrived.
    Arrival,
}

/// One frame, lent out of a camera's buffer until the camera is asked for the next one.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Shape of the frame. For MJPEG the size the driver promised; the JPEG header decides.
    pub geometry: Geometry,
    /// The bytes, cut to what the driver filled.
    pub data: &'a [u8],
    /// The camera's own frame counter; gaps are frames dropped before us.
    pub sequence: u64,
    /// Capture time on CLOCK_BOOTTIME.
    pub captured: BootTime,
    /// Who stamped `captured`.
    pub stamp: Stamp,
}

/// A grey plane, row by row without padding: `data.len() == width * height`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Luma {
    /// Width in samples.
    pub width: usize,
    /// Height in samples.
    pub height: usize,
    /// Samples, 0 black to 255 white.
    pub data: Vec<u8>,
}

impl Luma {
    /// Sets the size and clears the plane, keeping its allocation.
    pub fn reset(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        self.data.clear();
        self.data.resize(width * height, 0);
    }
}

/// An axis-aligned box in pixels of the full frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PixelBox {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}
