//! Privacy masks: polygons made unreadable in the pixels before anything is stored or shown.
//!
//! The still thread paints the planes of every picture whose profile has masks, whose camera's JPEG was
//! decoded for that; black masks of a plain JPEG go without decoding (see `blocks`). None of the camera's
//! APPn (which may hold a thumbnail of the unmasked picture) lives on. Pure.
//!
//! Every pixel that a polygon touches is covered, and one more all around; so is every chroma sample that
//! has a part in such a pixel. Where polygons cross themselves, all that any reading calls inside is
//! covered. A point that is no number covers the whole picture. When in doubt, it is covered.
//!
//! `mosaic` and `blur` keep of what they cover nothing but the means of cells as large as a face is wide (see
//! [`super::veil`]). Black goes first and last: nothing of it runs into those means.

use turbojpeg::{Colorspace, Decompressor};

use super::encode::Planes;
use super::transform::Area;
use super::veil;
use crate::firstpass::Polygon;
use crate::frame::Geometry;

/// An area that no picture shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    /// In 0..1 of the camera's frame.
    pub area: Polygon,
    /// What is shown in its place.
    pub style: Style,
}

impl From<Polygon> for Mask {
    fn from(area: Polygon) -> Self {
        Self { area, style: Style::Black }
    }
}

/// What is shown in the place of what a mask covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// Nothing.
    #[default]
    Black,
    /// The means of large cells, run into each other.
    Blur,
    /// The means of large cells.
    Mosaic,
}

/// Why a JPEG could not be decoded, for masking or scaling. The caller gives the picture up: an unmasked one must
/// never be stored in its place.
#[derive(Debug, thiserror::Error)]
pub enum MaskError {
    /// Larger than the camera promised by far, or than any camera's.
    #[error(
        "a picture of {width}x{height} is too large to be masked or scaled: at most {most} pixels"
    )]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
        /// Most pixels.
        most: usize,
    },
    /// Neither YCbCr nor grey.
    #[error("cannot mask or scale a jpeg in colour space {0:?}; set the camera to yuv or mjpeg")]
    Colours(Colorspace),
    /// The decoder refused.
    #[error("cannot decode the picture to mask or scale it: {0}")]
    Decode(#[from] turbojpeg::Error),
}

/// Pictures up to this size are decoded whatever the camera promised: 16 megapixels are 48 MB of planes
/// at most.
const ALWAYS_PIXELS: usize = 16 << 20;

/// Most bytes of planes, whatever the camera promised: the promise may be as hostile as the picture.
const MOST_PLANES: usize = 256 << 20;

/// More scans than any encoder makes cost minutes of decoding in a few bytes.
pub(super) const MAX_SCANS: u32 = 100;

/// Decodes camera JPEGs into planes. Nothing is allocated before the first one.
#[derive(Debug, Default)]
pub struct Decoder(Option<Decompressor>);

impl Decoder {
    /// Decodes `jpeg` into `planes` without changing its chroma subsampling.
    ///
    /// # Errors
    /// It is broken, of another colour space, or far larger than the camera promised.
    pub fn decode(
        &mut self,
        jpeg: &[u8],
        promised: Geometry,
        planes: &mut Planes,
    ) -> Result<(), MaskError> {
        let mut decompressor = match self.0.take() {
            Some(decompressor) => decompressor,
            None => Decompressor::new()?,
        };
        decode_with(&mut decompressor, jpeg, promised, planes)?;
        // Not kept after a failure: libjpeg-turbo 3.1 does not reset its state when a header is
        // broken, and then fails on the next, sound picture.
        self.0 = Some(decompressor);
        Ok(())
    }
}

fn decode_with(
    decompressor: &mut Decompressor,
    jpeg: &[u8],
    promised: Geometry,
    planes: &mut Planes,
) -> Result<(), MaskError> {
    decompressor.set_scan_limit(MAX_SCANS)?;
    let header = decompressor.read_header(jpeg)?;
    let (width, height) = (header.width, header.height);
    within(width, height, promised)?;
    if !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) {
        return Err(MaskError::Colours(header.colorspace));
    }
    planes.reset(width, height, header.subsamp)?;
    match decompressor.decompress_to_yuv(jpeg, planes.as_image_mut()) {
        // Some UVC cameras pad between scan and EOI; the picture is whole all the same.
        Err(turbojpeg::Error::TurboJpegError(words)) if words.contains("extraneous bytes") => {
            Ok(())
        }
        other => Ok(other?),
    }
}

/// Whether a JPEG that says to be this large may be taken into memory.
///
/// # Errors
/// It is far larger than the camera promised.
pub(super) fn within(width: usize, height: usize, promised: Geometry) -> Result<(), MaskError> {
    let promised = (promised.width as usize).saturating_mul(promised.height as usize);
    let most = promised.saturating_mul(4).max(ALWAYS_PIXELS);
    let most = most.min(MOST_PLANES / 3); // three bytes a pixel, where chroma is not subsampled
    if width.saturating_mul(height) > most {
        return Err(MaskError::TooLarge { width, height, most });
    }
    Ok(())
}

/// A picture as a part of the frame that masks are given in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// Pixels of the camera's frame.
    pub(super) frame: (usize, usize),
    /// What of it the picture shows.
    pub(super) area: Area,
    /// Pixels of the picture.
    pub(super) size: (usize, usize),
}

impl Window {
    pub(super) fn whole(size: (usize, usize)) -> Self {
        Self { frame: size, area: [0, 0, size.0, size.1], size }
    }

    /// A point of the frame as one of the picture, in pixels.
    fn point(&self, (x, y): (f32, f32)) -> (f64, f64) {
        let along = |v: f32, frame: usize, from: usize, side: usize, size: usize| {
            let at = f64::from(v.clamp(-1.0, 2.0)) * frame as f64 - from as f64;
            if side == size { at } else { at * size as f64 / side.max(1) as f64 }
        };
        let [left, top, width, height] = self.area;
        (
            along(x, self.frame.0, left, width, self.size.0),
            along(y, self.frame.1, top, height, self.size.1),
        )
    }
}

/// Covers all masks in the planes of a whole frame.
pub fn paint(planes: &mut Planes, masks: &[Mask]) {
    let window = Window::whole((planes.width(), planes.height()));
    blacken(planes, masks, &window);
    if masks.iter().any(|mask| mask.style != Style::Black) {
        veil::draw(planes, masks, &window);
        blacken(planes, masks, &window);
    }
}

/// Blackens the black masks in the planes of a part of the frame.
pub(super) fn blacken(planes: &mut Planes, masks: &[Mask], window: &Window) {
    for mask in masks.iter().filter(|mask| mask.style == Style::Black) {
        cover(&mask.area, window, &mut |y, from, to| planes.blacken(y, from, to));
    }
}

/// Calls `span(y, from, to)` for runs of the picture's pixels that together are all that the polygon touches,
/// and one pixel more. Runs may overlap.
pub(super) fn cover(
    polygon: &Polygon,
    window: &Window,
    span: &mut impl FnMut(usize, usize, usize),
) {
    let (width, height) = window.size;
    if polygon.0.iter().any(|(x, y)| !x.is_finite() || !y.is_finite()) {
        (0..height).for_each(|y| span(y, 0, width));
        return;
    }
    let points: Vec<(f64, f64)> = polygon.0.iter().map(|&point| window.point(point)).collect();
    let ends = points.iter().cycle().skip(1);
    let edges: Vec<Edge> = points.iter().zip(ends).map(|(&a, &b)| Edge { a, b }).collect();
    for y in 0..height {
        let row = y as f64;
        for edge in &edges {
            if let Some((low, high)) = edge.within(row - 1.0, row + 2.0) {
                let (from, to) = (low.floor() - 1.0, high.floor() + 2.0);
                span(y, column(from, width), column(to, width));
            }
        }
        inside(&edges, row + 0.5, &mut |low, high| {
            span(y, column(low.floor(), width), column(high.ceil(), width));
        });
    }
}

/// Calls `run(from, to)` for what lies inside on the horizontal line at `y`, by winding number.
fn inside(edges: &[Edge], y: f64, run: &mut impl FnMut(f64, f64)) {
    let mut crossings: Vec<(f64, i32)> = edges.iter().filter_map(|edge| edge.crossing(y)).collect();
    crossings.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut winding = 0;
    for pair in crossings.windows(2) {
        winding += pair[0].1;
        if winding != 0 {
            run(pair[0].0, pair[1].0);
        }
    }
}

/// A side of a polygon, in pixels.
struct Edge {
    a: (f64, f64),
    b: (f64, f64),
}

impl Edge {
    fn x_at(&self, y: f64) -> f64 {
        let share = (y - self.a.1) / (self.b.1 - self.a.1);
        self.a.0 + share.clamp(0.0, 1.0) * (self.b.0 - self.a.0)
    }

    /// The columns it spans between two heights.
    fn within(&self, top: f64, bottom: f64) -> Option<(f64, f64)> {
        let (high, low) = (self.a.1.min(self.b.1), self.a.1.max(self.b.1));
        if low < top || high > bottom {
            return None;
        }
        let (p, q) = if low > high {
            (self.x_at(high.max(top)), self.x_at(low.min(bottom)))
        } else {
            (self.a.0, self.b.0)
        };
        Some((p.min(q), p.max(q)))
    }

    /// Where it crosses the line at `y`, and in which direction.
    fn crossing(&self, y: f64) -> Option<(f64, i32)> {
        let direction = match (self.a.1 <= y, self.b.1 <= y) {
            (true, false) => 1,
            (false, true) => -1,
            _ => return None,
        };
        Some((self.x_at(y), direction))
    }
}

/// A column from a coordinate: float to integer casts saturate.
fn column(x: f64, width: usize) -> usize {
    (x as usize).min(width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode::Encoder;
    use super::super::encode::tests::{jpeg, picture, yuyv};
    use super::*;

    const MJPEG: Geometry =
        Geometry { format: crate::frame::PixelFormat::Mjpeg, width: 640, height: 480, stride: 0 };

    fn covered(polygon: &Polygon, width: usize, height: usize) -> Vec<Vec<bool>> {
        let mut map = vec![vec![false; width]; height];
        let window = Window::whole((width, height));
        cover(polygon, &window, &mut |y, from, to| map[y][from..to].fill(true));
        map
    }

    /// Even-odd rule, in fractions of the frame.
    fn contains(polygon: &Polygon, x: f64, y: f64) -> bool {
        let ends = polygon.0.iter().cycle().skip(1);
        let crossings = polygon.0.iter().zip(ends).filter(|&(&a, &b)| {
            let (ax, ay, bx, by) = (f64::from(a.0), f64::from(a.1), f64::from(b.0), f64::from(b.1));
            (ay <= y) != (by <= y) && x < ax + (y - ay) / (by - ay) * (bx - ax)
        });
        crossings.count() % 2 == 1
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut frame = vec![0xFF, 0xD8];
            frame.extend_from_slice(&bytes);
            let (mut decoder, mut planes) = (Decoder::default(), Planes::default());
            prop_assert!(decoder.decode(&bytes, MJPEG, &mut planes).is_err());
            drop(decoder.decode(&frame, MJPEG, &mut planes));
        }

        #[test]
        fn damaged_frames_never_panic(
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut frame = jpeg(32, 32);
            for (at, value) in hits {
                let at = at.index(frame.len());
                frame[at] = value;
            }
            let mut planes = Planes::default();
            let small = Geometry { width: 32, height: 32, ..MJPEG };
            if Decoder::default().decode(&frame, small, &mut planes).is_ok() {
                paint(&mut planes, &[Polygon(vec![(0.1, 0.1), (0.9, 0.1), (0.5, 0.9)]).into()]);
                Encoder::default().encode(&planes, 80).unwrap();
            }
        }
    }

    proptest! {
        #[test]
        fn every_pixel_that_a_polygon_touches_is_covered(
            points in prop::collection::vec((-0.2f32..1.2, -0.2f32..1.2), 3..7),
            width in 1usize..40, height in 1usize..40,
        ) {
            let polygon = Polygon(points);
            let map = covered(&polygon, width, height);
            let part = |at: usize, i: usize, side: usize| {
                (at as f64 + (i as f64 + 0.5) / 8.0) / side as f64
            };
            for (y, row) in map.iter().enumerate() {
                for (x, &black) in row.iter().enumerate() {
                    let touched = (0..64).any(|i| {
                        contains(&polygon, part(x, i % 8, width), part(y, i / 8, height))
                    });
                    prop_assert!(black || !touched, "pixel {} {}", x, y);
                }
            }
        }

        #[test]
        fn any_points_at_all_never_panic(
            points in prop::collection::vec((any::<f32>(), any::<f32>()), 0..8),
        ) {
            let mut planes = Planes::default();
            planes.take(&picture(17, 9), yuyv(17, 9, 0)).unwrap();
            let styles = [Style::Black, Style::Blur, Style::Mosaic];
            let masks = styles.map(|style| Mask { area: Polygon(points.clone()), style });
            paint(&mut planes, &masks);
        }
    }

    #[test]
    fn a_mask_covers_its_pixels_and_one_more_around() {
        // Pixels 2..6 by 3..5 of a 10 by 10 frame.
        let map = covered(&Polygon(vec![(0.2, 0.3), (0.6, 0.3), (0.6, 0.5), (0.2, 0.5)]), 10, 10);
        for (y, row) in map.iter().enumerate() {
            for (x, &black) in row.iter().enumerate() {
                let near = (1..=7).contains(&x) && (2..=6).contains(&y);
                let inside = (1..=6).contains(&x) && (2..=5).contains(&y);
                assert!(black <= near && inside <= black, "pixel {x} {y}");
            }
        }
    }

    #[test]
    fn a_point_that_is_no_number_covers_everything() {
        let map = covered(&Polygon(vec![(f32::NAN, 0.0), (0.1, 0.1), (0.2, 0.0)]), 4, 4);
        assert!(map.iter().flatten().all(|&black| black));
    }

    #[test]
    fn chroma_is_grey_under_the_mask_and_beyond_the_edge_of_odd_sizes() {
        let mut planes = Planes::default();
        planes.take(&picture(33, 17), yuyv(33, 17, 0)).unwrap();
        let all = Polygon(vec![(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]);
        paint(&mut planes, &[all.into()]);
        let image = planes.as_image_mut();
        let (luma, chroma) = image.pixels.split_at(34 * 18);
        assert!(luma.iter().all(|&y| y == 0) && chroma.iter().all(|&c| c == 128));
    }

    #[test]
    fn decoding_and_encoding_again_keeps_the_picture() {
        let frame = jpeg(63, 47);
        let mut planes = Planes::default();
        Decoder::default().decode(&frame, MJPEG, &mut planes).unwrap();
        let again = Encoder::default().encode(&planes, 95).unwrap();
        let grey = |jpeg: &[u8]| turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY).unwrap();
        let (a, b) = (grey(&frame), grey(&again));
        assert_eq!((a.width, a.height), (b.width, b.height));
        assert!(a.pixels.iter().zip(&b.pixels).all(|(a, b)| a.abs_diff(*b) < 12));
    }

    #[test]
    fn padding_before_the_end_marker_does_no_harm_and_a_cut_scan_is_refused() {
        let whole = jpeg(64, 48);
        let mut decoder = Decoder::default();
        let mut planes = Planes::default();
        let mut padded = whole.clone();
        let end = whole.len() - 2;
        padded.splice(end..end, [0; 5]);
        decoder.decode(&padded, MJPEG, &mut planes).unwrap();
        let mut cut = whole.clone();
        cut.truncate(whole.len() / 2 + 200);
        assert!(matches!(decoder.decode(&cut, MJPEG, &mut planes), Err(MaskError::Decode(_))));
        decoder.decode(&whole, MJPEG, &mut planes).unwrap();
    }

    #[test]
    fn a_sound_picture_after_a_broken_header_is_decoded() {
        let whole = jpeg(64, 48);
        let mut decoder = Decoder::default();
        let mut planes = Planes::default();
        for length in 1..whole.len() {
            decoder.decode(&whole[..length], MJPEG, &mut planes).unwrap_err();
            decoder.decode(&whole, MJPEG, &mut planes).unwrap();
        }
    }

    #[test]
    fn a_header_that_claims_a_huge_picture_is_refused_before_memory_is_taken() {
        let mut frame = jpeg(64, 48);
        let sof = frame.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
        frame[sof + 5..sof + 9].fill(0xF0);
        let mut planes = Planes::default();
        let error = Decoder::default().decode(&frame, MJPEG, &mut planes).unwrap_err();
        assert!(matches!(error, MaskError::TooLarge { .. }), "{error}");
        // 100 megapixels, as promised.
        frame[sof + 5..sof + 9].copy_from_slice(&[0x27, 0x10, 0x27, 0x10]);
        let promised = Geometry { width: 10_000, height: 10_000, ..MJPEG };
        let error = Decoder::default().decode(&frame, promised, &mut planes).unwrap_err();
        assert!(matches!(error, MaskError::TooLarge { .. }), "{error}");
    }
}
