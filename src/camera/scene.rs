//! A synthetic street as a camera: for trying Vedette without one, and for tests that must know what
//! was there to be seen.
//!
//! Opened by [`super::open`] for `demo` and the agent, and directly by tests, which read
//! [`SceneCamera::truth`]. What stands still is drawn once (`street`); a frame is a copy of that, the
//! trees (`tree`) and whoever passes (`traffic`, `car`, `people`), put into the light of the
//! moment (`light`), with sensor noise (`noise`) on top. All of it stays in planar YUV 4:2:2.
//!
//! Invariants: seed, size, rate and frame number decide every byte on one machine; capture times are
//! the time of opening plus media time (see [`super::pacer`]).
//!
//! Failure: only opening can fail, by senseless settings; should the encoder fail, that frame is
//! [`CameraError::Skip`].

mod canvas;
mod car;
mod house;
pub mod light;
mod noise;
mod people;
mod street;
pub mod traffic;
mod tree;

use std::sync::Arc;
use std::time::Duration;

use turbojpeg::{Compressor, Subsamp, YuvPlanesImage, compressed_buf_len};

use self::canvas::{Paint, Pen, Planes, Point, Scratch, rgb};
use self::light::{Light, LightEvent, Lighting, Sky};
use self::noise::Noise;
use self::street::Street;
use self::traffic::{Actor, Kind, Traffic};
use self::tree::Crown;
use super::pacer::{Pacer, wait_until_due};
use super::{Camera, CameraError, OpenError, SceneSettings};
use crate::clock::Clock;
use crate::frame::{Frame, Geometry, PixelBox, PixelFormat, Stamp};

/// The street is designed this high; its width follows from the picture's shape.
const DESIGN_HEIGHT: f32 = 720.0;

/// Quality of the JPEG frames, as a good webcam's.
const QUALITY: i32 = 80;

/// Sizes that can be drawn.
const SIDES: std::ops::RangeInclusive<u32> = 64..=4096;

/// What really was to be seen in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Everything that moves and is at least partly in the picture, far to near.
    pub objects: Vec<TruthBox>,
    /// What the light did.
    pub light: LightEvent,
}

/// One moving thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TruthBox {
    /// The same from its first frame to its last; never used again.
    pub id: u64,
    /// What it is.
    pub kind: Kind,
    /// Where it is, without its shadow, cut to the picture.
    pub place: PixelBox,
}

/// The synthetic street.
pub struct SceneCamera {
    clock: Arc<dyn Clock>,
    pacer: Pacer,
    geometry: Geometry,
    frames: Option<u64>,
    next: u64,
    painter: Painter,
    truth: Truth,
    output: Output,
}

/// How frames leave.
enum Output {
    Yuyv(Vec<u8>),
    Jpeg { compressor: Box<Compressor>, buffer: Vec<u8>, len: usize },
}

/// Draws the frames.
struct Painter {
    unit: f32,
    still: Planes,
    crowns: Vec<Crown>,
    traffic: Traffic,
    sky: Sky,
    lighting: Lighting,
    noise: Noise,
    planes: Planes,
    scratch: Scratch,
    before: Light,
}

/// Builds the street; takes a moment.
///
/// # Errors
/// [`OpenError::Unsupported`] for sizes or rates that cannot be drawn.
pub fn open(settings: &SceneSettings, clock: Arc<dyn Clock>) -> Result<SceneCamera, OpenError> {
    let (width, height) = settings.size;
    if !SIDES.contains(&width) || !SIDES.contains(&height) || width % 2 != 0 {
        return Err(OpenError::settings(
            &format!("the scene cannot be drawn at {width}x{height}"),
            &format!(
                "choose sides from {} to {} and an even width, such as 1280x720",
                SIDES.start(),
                SIDES.end()
            ),
        ));
    }
    let size = (width as usize, height as usize);
    let output = Output::new(settings.format, size)?;
    let pacer = Pacer::new(settings.pace, settings.fps, clock.boottime())?;
    let stride = if settings.format == PixelFormat::Yuyv { width * 2 } else { 0 };
    Ok(SceneCamera {
        clock,
        pacer,
        geometry: Geometry { format: settings.format, width, height, stride },
        frames: settings.frames,
        next: 0,
        painter: Painter::new(settings.seed, size),
        truth: Truth { objects: Vec::new(), light: LightEvent::Steady },
        output,
    })
}

impl SceneCamera {
    /// What was to be seen in the frame that was lent last.
    #[must_use]
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// Frames a second of scene time.
    #[must_use]
    pub fn fps(&self) -> f64 {
        self.pacer.fps()
    }
}

impl Camera for SceneCamera {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        if self.frames.is_some_and(|frames| self.next >= frames) {
            return Err(CameraError::Ended);
        }
        wait_until_due(&self.pacer, self.next, self.clock.as_ref(), timeout)?;
        let index = self.next;
        self.next += 1;
        let t = self.pacer.media_time(index).as_secs_f64();
        self.truth = self.painter.paint(index, t);
        self.output.take(&self.painter.planes)?;
        Ok(Frame {
            geometry: self.geometry,
            data: self.output.bytes(),
            sequence: index,
            captured: self.pacer.captured(index),
            stamp: Stamp::Arrival,
        })
    }
}

impl Output {
    fn new(format: PixelFormat, (width, height): (usize, usize)) -> Result<Self, OpenError> {
        if format == PixelFormat::Yuyv {
            return Ok(Self::Yuyv(vec![0; width * height * 2]));
        }
        let encoder = || {
            let mut compressor = Compressor::new()?;
            compressor.set_quality(QUALITY)?;
            let buffer = vec![0; compressed_buf_len(width, height, Subsamp::Sub2x1)?];
            Ok(Self::Jpeg { compressor: Box::new(compressor), buffer, len: 0 })
        };
        encoder().map_err(|error: turbojpeg::Error| {
            OpenError::settings(
                &format!("no JPEG encoder for {width}x{height}: {error}"),
                "choose the format yuyv",
            )
        })
    }

    /// Packs or encodes a picture.
    fn take(&mut self, planes: &Planes) -> Result<(), CameraError> {
        match self {
            Self::Yuyv(out) => {
                let pairs = planes.y.as_chunks::<2>().0.iter();
                let chroma = planes.u.iter().zip(&planes.v);
                let packed = out.as_chunks_mut::<4>().0;
                for (packed, (&[y0, y1], (&u, &v))) in packed.iter_mut().zip(pairs.zip(chroma)) {
                    *packed = [y0, u, y1, v];
                }
            }
            Self::Jpeg { compressor, buffer, len } => {
                *len = compressor
                    .compress_yuv_planes_to_slice(&image(planes), buffer)
                    .map_err(|_| CameraError::Skip("the scene could not be encoded"))?;
            }
        }
        Ok(())
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Yuyv(packed) => packed,
            Self::Jpeg { buffer, len, .. } => &buffer[..*len],
        }
    }
}

fn image(planes: &Planes) -> YuvPlanesImage<&[u8]> {
    YuvPlanesImage {
        y_plane: &planes.y,
        u_plane: &planes.u,
        v_plane: &planes.v,
        width: planes.width,
        height: planes.height,
        y_stride: planes.width,
        u_stride: planes.width / 2,
        v_stride: planes.width / 2,
        subsamp: Subsamp::Sub2x1,
    }
}

impl Painter {
    fn new(seed: u64, size: (usize, usize)) -> Self {
        let unit = size.1 as f32 / DESIGN_HEIGHT;
        let Street { still, crowns, lamps } = street::build(seed, size, unit);
        let sky = Sky::new(seed);
        Self {
            unit,
            planes: still.clone(),
            still,
            crowns,
            traffic: Traffic::new(seed, size.0 as f32 / unit),
            before: sky.at(0.0),
            sky,
            lighting: Lighting::new(lamps),
            noise: Noise::new(seed, size.0),
            scratch: Scratch::default(),
        }
    }

    /// Paints the frame `index` of the scene time `t`, and tells what is in it.
    fn paint(&mut self, index: u64, t: f64) -> Truth {
        let light = self.sky.at(t);
        self.planes.copy_from(&self.still);
        for crown in &self.crowns {
            crown.draw(&mut self.planes, t);
        }
        let width = self.planes.width as f32 / self.unit;
        let mut objects = Vec::new();
        let actors = self.traffic.at(t);
        for actor in actors {
            let foot = actor.place(t, width);
            let at = (foot.0 * self.unit, foot.1 * self.unit);
            draw_actor(&mut self.planes, &mut self.scratch, actor, at, self.unit, t, light.day);
            objects.extend(truth(&self.planes, actor, at, self.unit));
        }
        self.lighting.apply(&mut self.planes, light);
        for actor in actors.iter().filter(|a| a.kind == Kind::Car && light.day < 0.7) {
            let foot = actor.place(t, width);
            let at = (foot.0 * self.unit, foot.1 * self.unit);
            shine(&mut self.planes, &mut self.scratch, actor, at, self.unit, 1.0 - light.day);
        }
        self.add_noise(index, light.day);
        let event = light::event(self.before, light);
        self.before = light;
        Truth { objects, light: event }
    }

    fn add_noise(&mut self, index: u64, day: f32) {
        // The sensor's gain goes up in the dark.
        let sigma = 1.5 + 1.5 * (1.0 - day);
        let Planes { width, y, u, v, .. } = &mut self.planes;
        self.noise.add(y, *width, index, 0, sigma);
        self.noise.add(u, *width / 2, index, 1, sigma / 2.0);
        self.noise.add(v, *width / 2, index, 2, sigma / 2.0);
    }
}

/// Draws somebody or something and its shadow, its middle on the ground `at` these pixels.
fn draw_actor(
    planes: &mut Planes,
    scratch: &mut Scratch,
    actor: &Actor,
    at: Point,
    unit: f32,
    t: f64,
    day: f32,
) {
    let scale = actor.scale() * unit;
    let mut pen = Pen::new(planes, scratch, at, (scale * actor.direction, scale));
    let (half, _) = actor.extent();
    let depth = if actor.kind == Kind::Car { 0.26 } else { 0.09 };
    // The sun stands on the left, whichever way somebody goes.
    let lean = 0.12 * day * actor.direction;
    let black = rgb(10, 10, 16);
    pen.blot((lean, -0.02), half * 1.22, depth * 1.3, black, 0.5 + 0.35 * day);
    match actor.kind {
        Kind::Pedestrian => people::walk(&mut pen, actor.style, actor.gone(t)),
        Kind::Cyclist => people::cycle(&mut pen, actor.style, actor.gone(t)),
        Kind::Car => car::draw(&mut pen, actor.style, actor.gone(t)),
    }
}

/// The lamps of a car in the dark: their glare, and what they light in front of it.
fn shine(
    planes: &mut Planes,
    scratch: &mut Scratch,
    actor: &Actor,
    at: Point,
    unit: f32,
    night: f32,
) {
    let scale = actor.scale() * unit;
    let mut pen = Pen::new(planes, scratch, at, (scale * actor.direction, scale));
    let (front, height) = car::headlamp(actor.style);
    let (white, red) = (rgb(255, 244, 214), rgb(255, 40, 30));
    pen.blot((front + 1.9, -0.05), 2.3, 0.42, white, 0.46 * night);
    pen.blot((front, -height), 0.5, 0.4, white, 0.6 * night);
    pen.ellipse((front, -height), 0.13, 0.08, Paint::solid(white).alpha(night));
    let rear = -actor.extent().0 + 0.08;
    pen.blot((rear, -0.76), 0.34, 0.3, red, 0.5 * night);
    pen.rect(rear - 0.04, -0.84, 0.1, 0.18, Paint::solid(red).alpha(night));
}

/// Where somebody or something is in the picture, if it is.
fn truth(planes: &Planes, actor: &Actor, at: Point, unit: f32) -> Option<TruthBox> {
    let scale = actor.scale() * unit;
    let (half, height) = actor.extent();
    let cut = |v: f32, limit: usize| v.round().clamp(0.0, limit as f32) as u32;
    let (left, right) =
        (cut(at.0 - half * scale, planes.width), cut(at.0 + half * scale, planes.width));
    let (top, bottom) = (cut(at.1 - height * scale, planes.height), cut(at.1, planes.height));
    let place = PixelBox { x: left, y: top, w: right - left, h: bottom - top };
    (place.w > 0 && place.h > 0).then_some(TruthBox { id: actor.id, kind: actor.kind, place })
}

#[cfg(test)]
#[path = "scene/tests.rs"]
mod tests;
