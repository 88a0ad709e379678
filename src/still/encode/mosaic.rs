//! A sensor's mosaic into planes, by bilinear interpolation.
//!
//! Each colour that a place lacks is the mean of its two or four nearest neighbours that have it; beyond the
//! edge the picture is mirrored, which keeps the mosaic's order. The picture is as the sensor saw it: no
//! black level, white balance or gamma is applied, for only the sensor's tuning knows them.
//!
//! Written here because `yuv` has no mosaics, and the crates that have (`bayer`, `demosaic`) want whole
//! frames of their own layout and depth; this goes strip by strip, so that beside the planes there are a few
//! rows of RGB and no second frame, and takes V4L2's packed layouts as they come.

use turbojpeg::Subsamp;

use super::convert::{self, rgb};
use super::{EncodeError, Planes};
use crate::frame::{Depth, Layer, Mosaic};

/// Rows of RGB at a time; even, and few enough to stay in a cache.
const STRIP: usize = 16;

/// Takes over a mosaic as 4:2:0.
pub(super) fn take(
    planes: &mut Planes,
    layer: &Layer<'_>,
    (width, height): (usize, usize),
    mosaic: Mosaic,
    depth: Depth,
) -> Result<(), EncodeError> {
    planes.reset(width, height, Subsamp::Sub2x2)?;
    let mut window = Window::new(layer, width, depth);
    let mut strip = Vec::with_capacity(STRIP * width * 3);
    // An odd height's last row has a pair below the picture, which mirrors the row above it.
    let rows = height.next_multiple_of(2);
    for top in (0..rows).step_by(STRIP) {
        strip.clear();
        let count = STRIP.min(rows - top);
        for y in top..top + count {
            window.go_to(y);
            let kind = RowKind::of(mosaic, y);
            window.colours(kind, &mut strip);
        }
        convert::strip(planes, top, &strip, width * 3, count, rgb(yuv::rgb_to_yuv420))?;
    }
    planes.repeat_edge();
    Ok(())
}

/// What a row holds beside green.
#[derive(Clone, Copy, Debug)]
struct RowKind {
    /// Red, else blue.
    red: bool,
    /// Its first sample is green.
    green_first: bool,
}

impl RowKind {
    fn of(mosaic: Mosaic, y: usize) -> Self {
        let (red, green_first) = match mosaic {
            Mosaic::Rggb => (true, false),
            Mosaic::Grbg => (true, true),
            Mosaic::Gbrg => (false, true),
            Mosaic::Bggr => (false, false),
        };
        // The next row has the other colour, at the places where this one has green.
        if y.is_multiple_of(2) {
            Self { red, green_first }
        } else {
            Self { red: !red, green_first: !green_first }
        }
    }
}

/// Three rows of samples of 8 bits, each with one more at both ends.
struct Window<'a> {
    layer: &'a Layer<'a>,
    depth: Depth,
    above: Vec<u8>,
    here: Vec<u8>,
    below: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(layer: &'a Layer<'a>, width: usize, depth: Depth) -> Self {
        let row = || vec![0; width + 2];
        Self { layer, depth, above: row(), here: row(), below: row() }
    }

    /// Makes row `y` the middle one.
    fn go_to(&mut self, y: usize) {
        if y == 0 {
            self.load_into(0, |window| &mut window.here);
            self.load_into(1, |window| &mut window.above);
        } else {
            std::mem::swap(&mut self.above, &mut self.here);
            std::mem::swap(&mut self.here, &mut self.below);
        }
        self.load_into(y + 1, |window| &mut window.below);
    }

    fn load_into(&mut self, y: usize, which: impl Fn(&mut Self) -> &mut Vec<u8>) {
        let (layer, depth) = (self.layer, self.depth);
        let row = which(self);
        let width = row.len() - 2;
        unpack(layer.row(mirrored(y, layer.height())), depth, &mut row[1..=width]);
        row[0] = row[1 + mirrored(1, width)];
        row[width + 1] = row[1 + mirrored(width, width)];
    }

    /// Appends the middle row as RGB.
    fn colours(&self, kind: RowKind, to: &mut Vec<u8>) {
        let triples = self.above.windows(3).zip(self.here.windows(3)).zip(self.below.windows(3));
        let mut green = kind.green_first;
        for ((a, h), b) in triples {
            let sum = |x: u8, y: u8| u16::from(x) + u16::from(y);
            let half = |sum: u16| sum.div_ceil(2) as u8;
            let quarter = |sum: u16| ((sum + 2) / 4) as u8;
            let across = half(sum(h[0], h[2]));
            let down = half(sum(a[1], b[1]));
            // The row's own colour, green, and the other one.
            let (own, g, other) = if green {
                (across, h[1], down)
            } else {
                let beside = quarter(sum(h[0], h[2]) + sum(a[1], b[1]));
                (h[1], beside, quarter(sum(a[0], a[2]) + sum(b[0], b[2])))
            };
            to.extend_from_slice(&if kind.red { [own, g, other] } else { [other, g, own] });
            green = !green;
        }
    }
}

/// The place inside of `len` that mirrors one at most `len` away from 0; the edge itself is not repeated.
fn mirrored(at: usize, len: usize) -> usize {
    if at < len { at } else { (2 * (len - 1)).saturating_sub(at).min(len - 1) }
}

/// The upper 8 bits of a row's samples. A camera may set bits that its format does not have: then it is
/// white.
fn unpack(row: &[u8], depth: Depth, to: &mut [u8]) {
    let mut words = |bits: u32| {
        for (to, word) in to.iter_mut().zip(row.as_chunks::<2>().0) {
            *to = (u16::from_le_bytes(*word) >> (bits - 8)).min(255) as u8;
        }
    };
    match depth {
        Depth::Eight => to.copy_from_slice(&row[..to.len()]),
        Depth::Ten => words(10),
        Depth::Twelve => words(12),
        Depth::Sixteen => words(16),
        Depth::TenPacked => upper::<4, 5>(row, to),
        Depth::TwelvePacked => upper::<2, 3>(row, to),
    }
}

/// The first `N` of each `M` bytes.
fn upper<const N: usize, const M: usize>(row: &[u8], to: &mut [u8]) {
    for (to, group) in to.chunks_mut(N).zip(row.as_chunks::<M>().0) {
        to.copy_from_slice(&group[..to.len()]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_beyond_the_edge_are_mirrored() {
        assert_eq!([0, 3, 4, 5].map(|at| mirrored(at, 4)), [0, 3, 2, 1]);
        assert_eq!([0, 1, 2].map(|at| mirrored(at, 1)), [0, 0, 0]);
        assert_eq!([0, 1, 2, 3].map(|at| mirrored(at, 2)), [0, 1, 0, 0]);
    }
}
