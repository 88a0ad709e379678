//! The first pass: what is seen in a frame, and whether that is worth a picture.
//!
//! Pure: no I/O, no clock, no tokio. The camera thread calls [`FirstPass::look`] with a frame in the
//! driver's buffer; [`trigger`] turns what was seen into picks.
//!
//! ```text
//!  JPEG ─▶ jpeg_dc ─┐                    ┌─▶ quality, vision ─▶ tamper ─▶ conditions
//!                   ├─▶ luma at 1/8 ─────┼─▶ background ─▶ light ─▶ blobs ─▶ track ─▶ boxes, direction, dwell
//!  raw ──▶ shrink ──┘                    └   (zones say where)
//! ```
//!
//! Zones may be switched while it runs ([`FirstPass::set_active`]): whoever knows the time of day says
//! which are on, and only a change costs anything.
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
mod tamper;
mod track;
pub mod trigger;
mod vision;
mod zones;

use std::time::Duration;

use crate::frame::{Frame, Luma, PixelBox, PixelFormat, ShapeError};
use jpeg_dc::{DcReader, JpegError};
use motion::Motion;
use shrink::Shrinker;
pub use tamper::{Condition, Conditions, TamperSettings};
use tamper::{Look, Tamper};
pub use track::Direction;
use vision::Sight;

/// How the first pass looks.
#[derive(Clone, Debug, PartialEq)]
pub struct MotionSettings {
    /// Smallest share of the watched area that a moving thing must cover, 0 to 1.
    pub min_area: f32,
    /// Smallest width of a moving thing, in 0..1 of the frame's.
    pub min_width: f32,
    /// Smallest height of a moving thing, in 0..1 of the frame's.
    pub min_height: f32,
    /// How far a sample of the small luma plane must leave its background to count, in grey levels,
    /// on top of the noise the model has learnt. Where it is dark down to a quarter of it is enough, for
    /// contrast falls with the light.
    pub threshold: u8,
    /// Where to look; empty means everywhere.
    pub include: Vec<Zone>,
    /// Where not to look; wins over `include`.
    pub exclude: Vec<Zone>,
    /// How tampering and a picture that is no good are told; `None` turns it off.
    pub tamper: Option<TamperSettings>,
}

impl Default for MotionSettings {
    fn default() -> Self {
        let (threshold, min_area) = Sensitivity::default().thresholds();
        Self {
            min_area,
            min_width: 0.0,
            min_height: 0.0,
            threshold,
            include: Vec::new(),
            exclude: Vec::new(),
            tamper: Some(TamperSettings::default()),
        }
    }
}

/// Thresholds in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sensitivity {
    /// Near and clear things.
    Low,
    /// People across a street.
    #[default]
    Medium,
    /// Small and faint things; a restless scene will give false events.
    High,
}

impl Sensitivity {
    /// [`MotionSettings::threshold`] and [`MotionSettings::min_area`].
    #[must_use]
    pub fn thresholds(self) -> (u8, f32) {
        match self {
            Self::Low => (14, 0.004),
            Self::Medium => (7, 0.001),
            Self::High => (4, 0.0005),
        }
    }
}

/// An area of the picture that is looked at, or not.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its corners.
    pub polygon: Polygon,
    /// Its place in the list of [`FirstPass::set_active`]; `None` is always on.
    pub active: Option<usize>,
}

impl From<Polygon> for Zone {
    /// A zone that is always on.
    fn from(polygon: Polygon) -> Self {
        Self { polygon, active: None }
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
    /// Where the largest of them is going, once it has gone somewhere.
    pub direction: Option<Direction>,
    /// For how long the largest of them has been seen in the watched area; zero in its first frame.
    pub dwell: Duration,
    /// The light changed: never motion. With a drift things that move are told beside it.
    pub light_change: Option<LightChange>,
    /// Whether the picture has colour, where that can be known.
    pub vision: Option<Vision>,
    /// What is wrong with the picture, and has been for a while.
    pub conditions: Conditions,
    /// How the picture is.
    pub quality: Quality,
}

/// How the light of the whole picture changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LightChange {
    /// At once: a lamp, a curtain, the camera's exposure in one go; until it is steady again.
    Step,
    /// Little by little: a cloud, dawn, the camera's exposure.
    Drift,
    /// At once, and back within two seconds: lightning, a passing headlight. Told when it is back.
    Flash,
    /// At once, and colour came or went: the infrared cut filter. Told only where [`Vision`] is known.
    Infrared,
}

/// Whether a camera sees colour. Cameras with an infrared cut filter do by day, and do not at night.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vision {
    /// There is colour in the picture: day mode.
    Colour,
    /// There is none: night mode, or a scene without colour.
    Grey,
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
    sight: Sight,
    tamper: Option<Tamper>,
}

impl FirstPass {
    /// A first pass that has seen nothing; it learns the scene from its first frames.
    #[must_use]
    pub fn new(settings: MotionSettings) -> Self {
        Self {
            reader: DcReader::new(),
            shrinker: Shrinker::default(),
            raw: Luma::default(),
            tamper: settings.tamper.map(Tamper::new),
            motion: Motion::new(settings),
            jpeg: false,
            sight: Sight::default(),
        }
    }

    /// Says which of the zones that have a number are on: [`Zone::active`] is the place in `on`, and what
    /// is not in it is on. Cheap while nothing changes. With `include` zones none of which is on,
    /// nothing is watched.
    pub fn set_active(&mut self, on: &[bool]) {
        self.motion.set_active(on);
    }

    /// Is the scene still being learnt: after the start, or a change of light?
    #[must_use]
    pub fn is_learning(&self) -> bool {
        self.motion.scene().is_none()
    }

    /// What is wrong with the picture, as of the last frame.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        self.tamper.as_ref().map(Tamper::conditions).unwrap_or_default()
    }

    /// Is nothing worth a picture now, by [`TamperSettings::skip`]?
    #[must_use]
    pub fn skips(&self) -> bool {
        self.tamper.as_ref().is_some_and(Tamper::skips)
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
        let at = frame.captured;
        let mut seen = Observation { quality, ..self.motion.watch(luma, size, at) };
        let jumped = seen.light_change == Some(LightChange::Step);
        let bits = self.reader.block_bits();
        seen.vision = self.sight.look(at, jumped, || vision::of_frame(frame, bits));
        if jumped && self.sight.flipped(at) {
            seen.light_change = Some(LightChange::Infrared);
        }
        if let Some(tamper) = &mut self.tamper {
            let scene = self.motion.scene();
            tamper.look(&Look { luma, scene, quality, bytes: frame.data.len(), at });
        }
        seen.conditions = self.conditions();
        Ok(seen)
    }
}

#[cfg(test)]
mod tests;
