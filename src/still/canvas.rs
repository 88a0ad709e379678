//! A picture to draw on: a frame as colours, with lines, areas and words over it, given out as a JPEG.
//!
//! Used where people look at what the first pass saw (`vedette analyze --tune`), never for pictures that are
//! kept. Pure. Privacy masks are painted before anything can be drawn or shown, as on every picture. What
//! lies outside of the canvas is left out; nothing that is drawn can panic. Letters are the burnt-in text's.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use turbojpeg::{Decompressor, Image, PixelFormat as Samples, ScalingFactor, Subsamp};

use super::encode::{EncodeError, Encoder, Planes};
use super::privacy::{self, Decoder, Mask, MaskError};
use super::scale::ScaleError;
use super::text;
use crate::frame::{Geometry, PixelFormat};

pub use super::text::Letters;

/// Red, green, blue.
pub type Ink = [u8; 3];

/// Quality of the step between planes and colours: nobody sees it.
const BETWEEN: u8 = 95;

/// Why a frame cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CanvasError {
    /// It cannot be decoded.
    #[error(transparent)]
    Decode(#[from] MaskError),
    /// It cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// It cannot be scaled.
    #[error(transparent)]
    Scale(#[from] ScaleError),
    /// The JPEG library refused.
    #[error("cannot show the picture: {0}")]
    Jpeg(#[from] turbojpeg::Error),
}

/// Pixels, red, green and blue, row by row without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// A place and a size in pixels: left, top, width, height. It may leave the canvas.
pub type Place = [i64; 4];

impl Canvas {
    /// An empty one.
    #[must_use]
    pub fn new(width: usize, height: usize, paper: Ink) -> Self {
        Self { width, height, rgb: paper.repeat(width.saturating_mul(height)) }
    }

    /// A frame with its masks painted, fitted into `most` pixels, width and height; never enlarged.
    ///
    /// # Errors
    /// It is broken, or far larger than its geometry says.
    pub fn of_frame(
        data: &[u8],
        geometry: Geometry,
        masks: &[Mask],
        most: (usize, usize),
    ) -> Result<Self, CanvasError> {
        if geometry.format == PixelFormat::Mjpeg && masks.is_empty() {
            return of_jpeg(data, geometry, most);
        }
        let mut planes = Planes::default();
        if geometry.format == PixelFormat::Mjpeg {
            Decoder::default().decode(data, geometry, &mut planes)?;
        } else {
            planes.take(data, geometry)?;
        }
        privacy::paint(&mut planes, masks);
        let jpeg = Encoder::default().encode(&planes, BETWEEN)?;
        of_jpeg(&jpeg, geometry, most)
    }

    /// Of samples, red, green and blue, row by row; `None` where they are not as many as the size says.
    #[must_use]
    pub fn of_samples(width: usize, height: usize, rgb: Vec<u8>) -> Option<Self> {
        (width.checked_mul(height)?.checked_mul(3)? == rgb.len()).then_some(Self {
            width,
            height,
            rgb,
        })
    }

    /// Width and height in pixels.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Red, green and blue of all pixels, row by row.
    #[must_use]
    pub fn samples(&self) -> &[u8] {
        &self.rgb
    }

    /// Fitted into `most` pixels, width and height; never enlarged.
    ///
    /// # Errors
    /// Only for sizes that no picture has.
    pub fn fitted(&self, most: (usize, usize)) -> Result<Self, ScaleError> {
        let to = fit((self.width, self.height), most);
        if to == (self.width, self.height) {
            return Ok(self.clone());
        }
        let side = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
        let from =
            TypedImageRef::<U8x3>::from_buffer(side(self.width), side(self.height), &self.rgb)?;
        let mut rgb = vec![0; to.0 * to.1 * 3];
        let mut scaled = TypedImage::<U8x3>::from_buffer(side(to.0), side(to.1), &mut rgb)?;
        let how = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom));
        Resizer::new().resize_typed(&from, &mut scaled, &how)?;
        Ok(Self { width: to.0, height: to.1, rgb })
    }

    /// Brings one pixel so far towards a colour, 0 to 1.
    pub fn dot(&mut self, x: i64, y: i64, ink: Ink, share: f32) {
        let inside = |v: i64, side: usize| usize::try_from(v).ok().filter(|v| *v < side);
        let (Some(x), Some(y)) = (inside(x, self.width), inside(y, self.height)) else { return };
        let at = (y * self.width + x) * 3;
        for (sample, ink) in self.rgb[at..at + 3].iter_mut().zip(ink) {
            let mixed = f32::from(*sample) + (f32::from(ink) - f32::from(*sample)) * share;
            *sample = mixed.round().clamp(0.0, 255.0) as u8;
        }
    }

    /// Brings an area so far towards a colour, 0 to 1.
    pub fn fill(&mut self, [x, y, w, h]: Place, ink: Ink, share: f32) {
        let within = |from: i64, length: i64, side: usize| {
            let end = i64::try_from(side).unwrap_or(i64::MAX);
            from.max(0)..from.saturating_add(length).min(end)
        };
        for row in within(y, h, self.height) {
            within(x, w, self.width).for_each(|column| self.dot(column, row, ink, share));
        }
    }

    /// The edge of an area, drawn inside of it.
    pub fn edge(&mut self, [x, y, w, h]: Place, thick: i64, ink: Ink) {
        let thick = thick.min(w).min(h);
        self.fill([x, y, w, thick], ink, 1.0);
        self.fill([x, y.saturating_add(h - thick), w, thick], ink, 1.0);
        self.fill([x, y, thick, h], ink, 1.0);
        self.fill([x.saturating_add(w - thick), y, thick, h], ink, 1.0);
    }

    /// Puts another canvas onto this one.
    pub fn put(&mut self, x: usize, y: usize, other: &Self) {
        let wide = other.width.min(self.width.saturating_sub(x)) * 3;
        let rows = other.rgb.chunks_exact(other.width.max(1) * 3);
        for (row, from) in rows.enumerate().take(self.height.saturating_sub(y)) {
            let at = ((y + row) * self.width + x) * 3;
            if let Some(to) = self.rgb.get_mut(at..at + wide) {
                to.copy_from_slice(&from[..wide]);
            }
        }
    }

    /// One line of words; what does not fit is cut off.
    pub fn write(&mut self, x: i64, y: i64, letters: Letters, ink: Ink, words: &str) {
        for (dx, dy) in text::ink(words, letters) {
            let along = |from: i64, by: usize| from.saturating_add(by as i64);
            self.dot(along(x, dx), along(y, dy), ink, 1.0);
        }
    }

    /// As a JPEG without chroma subsampling, which would smear letters.
    ///
    /// # Errors
    /// It has a size that no JPEG has.
    pub fn to_jpeg(&self, quality: u8) -> Result<Vec<u8>, CanvasError> {
        Ok(turbojpeg::compress(self.image(), i32::from(quality), Subsamp::None)?.to_vec())
    }

    /// As a JPEG with chroma at half scale, which every player of Motion JPEG reads.
    ///
    /// # Errors
    /// It has a size that no JPEG has.
    pub fn to_frame(&self, quality: u8) -> Result<Vec<u8>, CanvasError> {
        Ok(turbojpeg::compress(self.image(), i32::from(quality), Subsamp::Sub2x2)?.to_vec())
    }

    fn image(&self) -> Image<&[u8]> {
        Image {
            pixels: &self.rgb,
            width: self.width,
            pitch: self.width * 3,
            height: self.height,
            format: Samples::RGB,
        }
    }
}

/// The size of a picture within `most`, of the same shape.
fn fit((width, height): (usize, usize), most: (usize, usize)) -> (usize, usize) {
    if width <= most.0 && height <= most.1 {
        return (width, height);
    }
    let (w, h) = (width.max(1) as u64, height.max(1) as u64);
    let (across, down) = (most.0 as u64, most.1 as u64);
    let wide = w * down > h * across;
    let (w, h) =
        if wide { (across, (h * across + w / 2) / w) } else { ((w * down + h / 2) / h, down) };
    (w.max(1) as usize, h.max(1) as usize)
}

/// Decoded at the smallest scale that is large enough.
fn of_jpeg(jpeg: &[u8], promised: Geometry, most: (usize, usize)) -> Result<Canvas, CanvasError> {
    let mut reader = Decompressor::new()?;
    reader.set_scan_limit(privacy::MAX_SCANS)?;
    let header = reader.read_header(jpeg)?;
    privacy::within(header.width, header.height, promised)?;
    let wanted = fit((header.width, header.height), most);
    let parts = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF];
    let holds =
        |s: &ScalingFactor| s.scale(header.width) >= wanted.0 && s.scale(header.height) >= wanted.1;
    let scale = parts.into_iter().find(holds).unwrap_or(ScalingFactor::ONE);
    reader.set_scaling_factor(scale)?;
    let mut canvas = Canvas::new(scale.scale(header.width), scale.scale(header.height), [0; 3]);
    let image = Image {
        pixels: canvas.rgb.as_mut_slice(),
        width: canvas.width,
        pitch: canvas.width * 3,
        height: canvas.height,
        format: Samples::RGB,
    };
    match reader.decompress(jpeg, image) {
        // As in `privacy`: what stands between scan and EOI does no harm.
        Err(turbojpeg::Error::TurboJpegError(words)) if words.contains("extraneous bytes") => {}
        other => other?,
    }
    Ok(canvas.fitted(wanted)?)
}

#[cfg(test)]
mod tests {
    use super::super::encode::tests::{jpeg, yuyv};
    use super::*;
    use crate::firstpass::Polygon;

    const RED: Ink = [255, 0, 0];

    fn geometry(format: PixelFormat, width: u32, height: u32) -> Geometry {
        let stride = if format == PixelFormat::Yuyv { width * 2 } else { 0 };
        Geometry { format, width, height, stride }
    }

    fn at(canvas: &Canvas, x: usize, y: usize) -> &[u8] {
        &canvas.rgb[(y * canvas.width + x) * 3..][..3]
    }

    #[test]
    fn a_frame_fits_and_its_masks_cover_it_whatever_its_format() {
        let left = Polygon(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
        let masks = [Mask::from(left)];
        let raw = crate::still::encode::tests::picture(640, 360);
        let coded = jpeg(640, 360);
        for (data, format) in [(&raw, PixelFormat::Yuyv), (&coded, PixelFormat::Mjpeg)] {
            let geometry = geometry(format, 640, 360);
            let open = Canvas::of_frame(data, geometry, &[], (320, 320)).unwrap();
            assert_eq!(open.size(), (320, 180), "{format:?}");
            let masked = Canvas::of_frame(data, geometry, &masks, (320, 320)).unwrap();
            for y in [0, 90, 179] {
                assert!(at(&masked, 100, y).iter().all(|v| *v < 24), "{format:?} {y}");
            }
            assert_ne!(masked, open);
        }
        let whole = geometry(PixelFormat::Mjpeg, 640, 360);
        let same = Canvas::of_frame(&coded, whole, &[], (4000, 4000)).unwrap();
        assert_eq!(same.size(), (640, 360), "never enlarged");
        assert!(Canvas::of_frame(&coded[..40], whole, &[], (320, 320)).is_err());
        let lies = yuyv(1280, 720, 0);
        assert!(Canvas::of_frame(&raw, lies, &[], (320, 320)).is_err());
    }

    #[test]
    fn nothing_is_drawn_outside_and_nothing_panics() {
        let mut canvas = Canvas::new(20, 10, [0; 3]);
        let far = i64::MAX;
        canvas.fill([-5, -5, 7, 7], RED, 1.0);
        canvas.fill([far, far, far, far], RED, 1.0);
        canvas.edge([-far, 0, far, 3], 9, RED);
        canvas.edge([16, 6, 100, 100], 1, RED);
        canvas.write(far, 3, Letters::Small, RED, "far away");
        canvas.write(18, 8, Letters::Huge, RED, "cut off");
        canvas.put(15, 8, &Canvas::new(10, 10, [0, 0, 9]));
        canvas.put(100, 100, &Canvas::new(10, 10, RED));
        assert_eq!((at(&canvas, 1, 1), at(&canvas, 2, 1)), (&RED[..], &[0; 3][..]));
        assert_eq!((at(&canvas, 16, 7), at(&canvas, 17, 7)), (&RED[..], &[0; 3][..]));
        assert_eq!(at(&canvas, 19, 9), [0, 0, 9]);
    }

    #[test]
    fn words_are_as_high_as_their_letters() {
        for letters in Letters::ALL {
            let mut canvas = Canvas::new(400, 40, [0; 3]);
            canvas.write(0, 0, letters, RED, "Öy kept");
            let red = |y: usize| (0..400).any(|x| at(&canvas, x, y) == RED);
            let last = (0..40).rev().find(|y| red(*y)).unwrap();
            assert!(last < letters.height() && last > letters.height() / 2, "{letters:?}");
            let right = (0..400).rev().find(|&x| (0..40).any(|y| at(&canvas, x, y) == RED));
            assert!(right.unwrap() < letters.width() * 7);
        }
    }

    #[test]
    fn a_canvas_is_a_jpeg_of_its_size() {
        let canvas = Canvas::new(70, 33, RED);
        for jpeg in [canvas.to_jpeg(90).unwrap(), canvas.to_frame(80).unwrap()] {
            let header = turbojpeg::read_header(&jpeg).unwrap();
            assert_eq!((header.width, header.height), (70, 33));
        }
        assert!(Canvas::of_samples(2, 2, vec![0; 11]).is_none());
        assert!(Canvas::new(0, 0, RED).to_jpeg(90).is_err());
    }
}
