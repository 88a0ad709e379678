//! Pictures turned and mirrored: of coefficients where nothing is lost, else of planes.
//!
//! Used by the still thread. A JPEG's blocks can be turned and reordered without decoding a pixel, but only
//! where the sides that end up mirrored are whole MCUs (8 or 16 pixels): 1920x1080 in 4:2:2 always, in 4:2:0
//! (1080 is 67.5 times 16) not upside down. libjpeg would cut the rest off or leave it standing the wrong way;
//! here such a picture is decoded, turned and encoded anew, so none ever loses a pixel. Pure.

use turbojpeg::{OwnedBuf, Subsamp, Transform, TransformCrop, TransformOp, Transformer};

use super::encode::Planes;
use crate::firstpass::Direction;

/// How a picture is turned, clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotate {
    /// As the camera gives it.
    #[default]
    None,
    /// A quarter to the right.
    Right,
    /// Upside down.
    Half,
    /// A quarter to the left.
    Left,
}

/// How a picture is mirrored, after it was turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flip {
    /// Left and right change places.
    Horizontal,
    /// Top and bottom change places.
    Vertical,
}

/// A turn and a mirroring as one of the eight ways to lay a rectangle: first transposed, then mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    transposed: bool,
    /// Left and right change places.
    across: bool,
    /// Top and bottom change places.
    down: bool,
}

/// Left edge, top edge, width and height.
pub(super) type Area = [usize; 4];

impl Turn {
    /// Turned first, then mirrored.
    #[must_use]
    pub fn new(rotate: Rotate, flip: Option<Flip>) -> Self {
        let (transposed, across, down) = match rotate {
            Rotate::None => (false, false, false),
            Rotate::Right => (true, true, false),
            Rotate::Half => (false, true, true),
            Rotate::Left => (true, false, true),
        };
        Self {
            transposed,
            across: across ^ (flip == Some(Flip::Horizontal)),
            down: down ^ (flip == Some(Flip::Vertical)),
        }
    }

    /// Whether it leaves pictures as they are.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Width and height behind the turn; the same function leads back.
    #[must_use]
    pub fn size<T>(self, (width, height): (T, T)) -> (T, T) {
        if self.transposed { (height, width) } else { (width, height) }
    }

    /// Where an area of a picture of this size lies behind the turn.
    pub(super) fn area(self, [x, y, w, h]: Area, size: (usize, usize)) -> Area {
        let (width, height) = self.size(size);
        let [x, y, w, h] = if self.transposed { [y, x, h, w] } else { [x, y, w, h] };
        let x = if self.across { width.saturating_sub(x + w) } else { x };
        let y = if self.down { height.saturating_sub(y + h) } else { y };
        [x, y, w, h]
    }

    /// The same for an area in 0..1 of width and height.
    pub(super) fn share(self, [x, y, w, h]: [f32; 4]) -> [f32; 4] {
        let [x, y, w, h] = if self.transposed { [y, x, h, w] } else { [x, y, w, h] };
        let x = if self.across { 1.0 - (x + w) } else { x };
        let y = if self.down { 1.0 - (y + h) } else { y };
        [x, y, w, h]
    }

    /// Where something goes behind the turn.
    pub(super) fn direction(self, direction: Direction) -> Direction {
        direction.turned(self.transposed, self.across, self.down)
    }

    fn op(self) -> TransformOp {
        match (self.transposed, self.across, self.down) {
            (false, false, false) => TransformOp::None,
            (false, true, false) => TransformOp::Hflip,
            (false, false, true) => TransformOp::Vflip,
            (false, true, true) => TransformOp::Rot180,
            (true, false, false) => TransformOp::Transpose,
            (true, true, false) => TransformOp::Rot90,
            (true, false, true) => TransformOp::Rot270,
            (true, true, true) => TransformOp::Transverse,
        }
    }

    fn subsamp(self, subsamp: Subsamp) -> Subsamp {
        match subsamp {
            Subsamp::Sub2x1 if self.transposed => Subsamp::Sub1x2,
            Subsamp::Sub1x2 if self.transposed => Subsamp::Sub2x1,
            Subsamp::Sub4x1 if self.transposed => Subsamp::Sub1x4,
            Subsamp::Sub1x4 if self.transposed => Subsamp::Sub4x1,
            same => same,
        }
    }
}

/// Turns a JPEG without decoding it; `None` where that would lose pixels, or libjpeg refuses it. All of the
/// camera's own segments are left out.
pub(super) fn lossless(jpeg: &[u8], turn: Turn) -> Option<OwnedBuf> {
    let mut transform = Transform::op(turn.op());
    (transform.perfect, transform.copy_none) = (true, true);
    Transformer::new().ok()?.transform_to_owned(&transform, jpeg).ok()
}

/// Cuts an area out of a JPEG without decoding it; its left and top edge must be whole MCUs. `None` where
/// libjpeg refuses. All of the camera's own segments are left out.
pub(super) fn cut(jpeg: &[u8], [x, y, w, h]: Area) -> Option<OwnedBuf> {
    let mut transform = Transform::op(TransformOp::None);
    transform.crop = Some(TransformCrop { x, y, width: Some(w), height: Some(h) });
    transform.copy_none = true;
    Transformer::new().ok()?.transform_to_owned(&transform, jpeg).ok()
}

/// The same picture turned.
///
/// # Errors
/// Only for sizes that no picture has.
pub(super) fn turned(planes: &Planes, turn: Turn) -> Result<Planes, turbojpeg::Error> {
    let mut out = Planes::default();
    let (width, height) = turn.size((planes.width(), planes.height()));
    out.reset(width, height, turn.subsamp(planes.subsamp()))?;
    for (from, to) in planes.each().zip(out.each_mut()) {
        // Luma may be filled up to whole chroma samples; the filling is not to be turned into the picture.
        let used = (from.share.0.ceil() as usize, from.share.1.ceil() as usize);
        let (across, down) = turn.size(used);
        let at = |x: usize, y: usize| {
            let x = if turn.across { across - 1 - x } else { x };
            let y = if turn.down { down - 1 - y } else { y };
            let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
            from.samples.get(y * from.width + x).copied().unwrap_or_default()
        };
        for top in (0..down).step_by(TILE) {
            for left in (0..across).step_by(TILE) {
                let right = (left + TILE).min(across);
                for y in top..(top + TILE).min(down) {
                    let row = to.samples.get_mut(y * to.width + left..y * to.width + right);
                    let places = row.into_iter().flatten().zip(left..);
                    places.for_each(|(sample, x)| *sample = at(x, y));
                }
            }
        }
    }
    out.repeat_edge();
    Ok(out)
}

/// Samples a side of what is turned at once: rows and columns of it stay in the nearest cache.
const TILE: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::encode::tests::{picture, yuyv};
    use super::super::encode::{Encoder, tests::jpeg};
    use super::*;

    fn all() -> impl Iterator<Item = Turn> {
        let rotations = [Rotate::None, Rotate::Right, Rotate::Half, Rotate::Left];
        let flips = [None, Some(Flip::Horizontal), Some(Flip::Vertical)];
        rotations.into_iter().flat_map(move |r| flips.map(|f| Turn::new(r, f)))
    }

    fn luma(planes: &Planes) -> Vec<u8> {
        let luma = planes.each().next().unwrap();
        let rows = luma.samples.chunks_exact(luma.width).take(planes.height());
        rows.flat_map(|row| row[..planes.width()].to_vec()).collect()
    }

    #[test]
    fn a_quarter_to_the_right_puts_the_top_row_at_the_right_and_flips_come_after() {
        // 3 by 2: 1 2 3 / 4 5 6
        let source = [1, 2, 3, 4, 5, 6];
        for (rotate, flip, expected) in [
            (Rotate::Right, None, [4, 1, 5, 2, 6, 3]),
            (Rotate::Left, None, [3, 6, 2, 5, 1, 4]),
            (Rotate::Half, None, [6, 5, 4, 3, 2, 1]),
            (Rotate::None, Some(Flip::Horizontal), [3, 2, 1, 6, 5, 4]),
            (Rotate::None, Some(Flip::Vertical), [4, 5, 6, 1, 2, 3]),
            (Rotate::Right, Some(Flip::Horizontal), [1, 4, 2, 5, 3, 6]),
            (Rotate::Right, Some(Flip::Vertical), [6, 3, 5, 2, 4, 1]),
        ] {
            let mut planes = Planes::default();
            planes.reset(3, 2, Subsamp::Gray).unwrap();
            planes.each_mut().next().unwrap().samples.copy_from_slice(&source);
            let turn = Turn::new(rotate, flip);
            assert_eq!(luma(&turned(&planes, turn).unwrap()), expected, "{rotate:?} {flip:?}");
            // Areas go where their pixels go.
            for (at, value) in source.into_iter().enumerate() {
                let [x, y, w, h] = turn.area([at % 3, at / 3, 1, 1], (3, 2));
                assert_eq!((expected[y * turn.size((3, 2)).0 + x], w, h), (value, 1, 1));
            }
        }
    }

    #[test]
    fn a_lossless_turn_shows_the_pixels_of_the_turned_planes() {
        let frame = jpeg(160, 96);
        for turn in all().filter(|turn| !turn.is_none()) {
            let lossless = lossless(&frame, turn).unwrap();
            let grey = |jpeg: &[u8]| turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY);
            let mut planes = Planes::default();
            planes.reset(160, 96, Subsamp::Gray).unwrap();
            let source = grey(&frame).unwrap().pixels;
            planes.each_mut().next().unwrap().samples.copy_from_slice(&source);
            let expected = luma(&turned(&planes, turn).unwrap());
            let made = grey(&lossless).unwrap().pixels;
            // The inverse transform's rounding is not the same along rows and columns.
            assert!(made.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{turn:?}");
        }
    }

    #[test]
    fn where_an_edge_would_be_lost_there_is_no_lossless_turn() {
        let frame = jpeg(160, 90);
        assert!(lossless(&frame, Turn::new(Rotate::None, Some(Flip::Horizontal))).is_some());
        assert!(lossless(&frame, Turn::new(Rotate::Left, None)).is_some());
        assert!(lossless(&frame, Turn::new(Rotate::Half, None)).is_none());
        assert!(lossless(&frame, Turn::new(Rotate::Right, None)).is_none());
    }

    #[test]
    fn planes_of_any_subsampling_and_odd_sides_are_turned_there_and_back() {
        let back = |turn: Turn| {
            all().find(|b| {
                let there = turn.area([1, 2, 3, 4], (20, 30));
                let size = turn.size((20, 30));
                b.area(there, size) == [1, 2, 3, 4] && b.size(size) == (20, 30)
            })
        };
        for (width, height) in [(161, 91), (40, 33), (1, 1), (34, 2)] {
            let mut planes = Planes::default();
            planes.take(&picture(width, height), yuyv(width, height, 0)).unwrap();
            for turn in all() {
                let there = turned(&planes, turn).unwrap();
                assert_eq!(
                    (there.width(), there.height()),
                    turn.size((width as usize, height as usize))
                );
                Encoder::default().encode(&there, 80).unwrap();
                let again = turned(&there, back(turn).unwrap()).unwrap();
                assert_eq!(luma(&again), luma(&planes), "{turn:?}");
                assert!(
                    again.each().zip(planes.each()).skip(1).all(|(a, b)| a.samples == b.samples)
                );
            }
        }
    }
}
