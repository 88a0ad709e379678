//! The first pass: what is seen in a frame, and whether that is worth a picture.
//!
//! Pure: no I/O, no clock, no tokio. The camera thread calls [`FirstPass::look`] with a frame in the
//! driver's buffer; [`trigger`] turns what was seen into picks.
//!
//! ```text
//!  JPEG ─▶ jpeg_dc ─┐                    ┌─▶ quality
//!                   ├─▶ luma at 1/8 ─────┼─▶ background ─▶ light ─▶ blobs ─▶ boxes, score
//!  raw ──▶ shrink ──┘                    └   (zones say where)
//! ```
//!
//! Beside this [`sharpness`] says how sharp a subject is, for an event's best picture, and [`similarity`]
//! whether a picture shows anything that the last one did not.
//!
//! Invariants: once the largest frame was met, a frame allocates nothing but the list of boxes, and
//! that only when something moves; nothing in a frame's bytes can make it panic. An unusable frame is an
//! error and leaves the model as it was.

mod background;
mod blobs;
pub mod jpeg_dc;
mod light;
mod motion;
mod quality;
pub mod sharpness;
pub mod shrink;
pub mod similarity;
pub mod trigger;
mod zones;

use crate::frame::{Frame, Luma, PixelBox, PixelFormat, ShapeError};
use jpeg_dc::{DcReader, JpegError};
use motion::Motion;
use shrink::Shrinker;

/// How the first pass looks for motion.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionSettings {
    /// Smallest share of the watched area that a moving thing must cover, 0 to 1.
    pub min_area: f32,
    /// How far a sample of the small luma plane must leave its background to count, in grey levels,
    /// on top of the noise the model has learnt. Where it is dark down to half of it is enough, for
    /// contrast falls with the light.
    pub threshold: u8,
    /// Where to look; empty means everywhere. Polygons in 0..1 of the frame.
    pub include: Vec<Polygon>,
    /// Where not to look; wins over `include`.
    pub exclude: Vec<Polygon>,
}

impl Default for MotionSettings {
    fn default() -> Self {
        Self { min_area: 0.001, threshold: 10, include: Vec::new(), exclude: Vec::new() }
    }
}

/// A polygon in fractions of the frame's width and height, at least three points.
#[derive(Clone, Debug, PartialEq)]
pub struct Polygon(pub Vec<(f32, f32)>);

/// What was seen in one frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observation {
    /// Motion in this frame.
    pub motion: bool,
    /// Share of the watched area that moves, 0 to 1.
    pub score: f32,
    /// Moving things, largest first, in pixels of the full frame.
    pub boxes: Vec<PixelBox>,
    /// The whole picture changed at once (lamp, cloud, exposure): never motion.
    pub light_change: bool,
    /// How the picture is.
    pub quality: Quality,
}

/// How a picture is, as numbers; whether that is good or bad is decided elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Quality {
    /// Mean grey level, 0 to 255.
    pub brightness: f32,
    /// Standard deviation of the grey levels.
    pub contrast: f32,
    /// Detail: for MJPEG mean coded bits per luma block times the mean AC quantiser step (0 when
    /// unknown), for raw formats mean absolute difference of neighbours in the small plane.
    pub detail: f32,
}

/// Why a frame could not be looked at: count it and take the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookError {
    /// The JPEG is damaged, cut, or of a kind that is not read.
    #[error(transparent)]
    Jpeg(#[from] JpegError),
    /// The raw frame is not as large as promised.
    #[error(transparent)]
    Raw(#[from] ShapeError),
}

/// Looks at a camera's frames one after the other. One per camera.
#[derive(Debug)]
pub struct FirstPass {
    reader: DcReader,
    shrinker: Shrinker,
    raw: Luma,
    motion: Motion,
    /// The frame last read was a JPEG.
    jpeg: bool,
}

impl FirstPass {
    /// A first pass that has seen nothing; it learns the scene from its first frames.
    #[must_use]
    pub fn new(settings: MotionSettings) -> Self {
        Self {
            reader: DcReader::new(),
            shrinker: Shrinker::default(),
            raw: Luma::default(),
            motion: Motion::new(settings),
            jpeg: false,
        }
    }

    /// Reads a frame's small plane and nothing more: it is neither compared with the scene nor learnt.
    ///
    /// # Errors
    /// See [`LookError`].
    pub fn read(&mut self, frame: &Frame<'_>) -> Result<&Luma, LookError> {
        self.jpeg = frame.geometry.format == PixelFormat::Mjpeg;
        if self.jpeg {
            self.reader.read(frame.data)?;
        } else {
            self.shrinker.shrink(frame.data, frame.geometry, &mut self.raw)?;
        }
        Ok(self.luma())
    }

    /// The small plane of the frame that was last looked at or read.
    #[must_use]
    pub fn luma(&self) -> &Luma {
        if self.jpeg { self.reader.luma() } else { &self.raw }
    }

    /// What `frame`, the one that was last looked at, is worth as a picture of what was seen in it: its
    /// largest moving thing, else all of it. To be compared with other frames of this camera only.
    #[must_use]
    pub fn worth(&self, frame: &Frame<'_>, seen: &Observation) -> f32 {
        let geometry = frame.geometry;
        let promised = (geometry.width, geometry.height);
        let size = if self.jpeg { self.reader.size() } else { promised };
        let all = PixelBox { x: 0, y: 0, w: size.0, h: size.1 };
        let subject = seen.boxes.first().copied().unwrap_or(all);
        let sharp = if self.jpeg {
            let across = self.reader.luma().width;
            sharpness::of_blocks(self.reader.block_bits(), across, self.reader.ac_step(), subject)
        } else {
            sharpness::of_raw(frame, subject)
        };
        sharpness::worth(sharp, subject, size)
    }

    /// Looks at one frame. A change of size (for MJPEG that of the JPEG itself) begins anew.
    ///
    /// # Errors
    /// See [`LookError`]; what was learnt stays.
    pub fn look(&mut self, frame: &Frame<'_>) -> Result<Observation, LookError> {
        let geometry = frame.geometry;
        self.jpeg = geometry.format == PixelFormat::Mjpeg;
        let (luma, size, quality) = match geometry.format {
            PixelFormat::Mjpeg => {
                self.reader.read(frame.data)?;
                (self.reader.luma(), self.reader.size(), quality::of_jpeg(&self.reader))
            }
            _ => {
                self.shrinker.shrink(frame.data, geometry, &mut self.raw)?;
                (&self.raw, (geometry.width, geometry.height), quality::of_raw(&self.raw))
            }
        };
        Ok(Observation { quality, ..self.motion.watch(luma, size, frame.captured) })
    }
}

#[cfg(test)]
mod tests;
