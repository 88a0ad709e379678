//! The first pass: what is seen in a frame, and whether that is worth a picture.
//!
//! Pure: no I/O, no clock, no tokio. The camera thread calls [`FirstPass::look`] with a frame in the
//! driver's buffer; [`trigger`] turns what was seen into picks.

pub mod jpeg_dc;
mod quality;
pub mod shrink;
pub mod trigger;
mod zones;

use crate::frame::PixelBox;

/// How the first pass looks for motion.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionSettings {
    /// Smallest share of the watched area that must change, 0 to 1.
    pub min_area: f32,
    /// How far a sample of the small luma plane must leave its background to count, in grey levels,
    /// on top of the noise the model has learnt.
    pub threshold: u8,
    /// Where to look; empty means everywhere. Polygons in 0..1 of the frame.
    pub include: Vec<Polygon>,
    /// Where not to look; wins over `include`.
    pub exclude: Vec<Polygon>,
}

impl Default for MotionSettings {
    fn default() -> Self {
        Self { min_area: 0.002, threshold: 12, include: Vec::new(), exclude: Vec::new() }
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
