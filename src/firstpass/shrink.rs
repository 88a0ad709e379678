//! Raw frames to luma at 1/8 scale: the mean of each 8×8 block.
//!
//! Called by [`super::FirstPass`] in the driver's buffer. Only the bytes that hold luma are read, once, row
//! by row, and the sums of eight rows are kept beside; reading memory is what it costs. The compiler's own
//! vectorisation of this was measured between 1 and 4 times that cost, depending on the target, so
//! SSE2 and NEON (both baseline on their architectures) are written out in `simd` for the layouts below
//! but the packed mosaics; the scalar twins in `layout` serve the ragged edge and other machines, and tests
//! hold them equal.
//!
//! | format | read | luma |
//! |---|---|---|
//! | packed 4:2:2 | all | every second byte |
//! | NV12, I420 and kin, grey | the first plane | each byte |
//! | Y10, Y12, Y16 | all | each 16-bit word's upper 8 of so many bits |
//! | RGB, BGR | all | (77 R + 150 G + 29 B) / 256: BT.601, as in JFIF |
//! | mosaics | all | the mean of all samples, (R + 2 G + B) / 4 |
//! | packed mosaics | all | the same, of each sample's upper 8 bits |
//!
//! A mosaic's tile has two greens, so its plain mean is a luma that gives green a half, red and blue a
//! quarter each: near BT.601's 0.59, 0.30 and 0.11, and no sample needs to be told from another. Motion
//! and quality only compare it with itself.
//!
//! Failure: a frame that is shorter than its shape is a [`ShapeError`].

mod layout;
mod simd;

pub(super) use self::layout::Layout;
use self::layout::Sum;
pub(super) use self::simd::{Loops, add_differences, add_levels, widest};
use crate::frame::{Geometry, Layer, Luma, ShapeError};

/// Shrinks raw frames; keeps its row sums between frames.
#[derive(Debug, Default)]
pub struct Shrinker {
    of_bytes: Vec<u16>,
    of_more: Vec<u32>,
}

impl Shrinker {
    /// Writes the ⌈w/8⌉ × ⌈h/8⌉ means of `data` to `out`. Blocks at the right and lower edge are means of
    /// the pixels they have.
    ///
    /// # Errors
    /// See [`ShapeError`]; `out` is then unchanged.
    pub fn shrink(
        &mut self,
        data: &[u8],
        geometry: Geometry,
        out: &mut Luma,
    ) -> Result<(), ShapeError> {
        let [luma, ..] = geometry.layers(data)?;
        let layout = Layout::of(geometry.format).ok_or(ShapeError::Empty)?;
        let (width, height) = (geometry.width as usize, geometry.height as usize);
        let size = (width.div_ceil(8), height.div_ceil(8));
        // All of it is written: to clear it would only cost.
        if (out.width, out.height, out.data.len()) != (size.0, size.1, size.0 * size.1) {
            out.reset(size.0, size.1);
        }
        match layout.is_bytes() {
            true => shrink(&mut self.of_bytes, layout, luma, (width, height), out),
            false => shrink(&mut self.of_more, layout, luma, (width, height), out),
        }
        Ok(())
    }
}

/// The first layer's luma, whose size in pixels is given, as means; all of `out` is written.
fn shrink<S: Sum>(
    sums: &mut Vec<S>,
    layout: Layout,
    luma: Layer<'_>,
    (width, height): (usize, usize),
    out: &mut Luma,
) {
    sums.clear();
    sums.resize(out.width, S::default());
    let mut rows = luma.rows();
    for (y, means) in out.data.chunks_exact_mut(sums.len()).enumerate() {
        let count = (height - y * 8).min(8);
        sums.fill(S::default());
        for row in rows.by_ref().take(count) {
            layout.add_row(row, width, sums);
        }
        write_means(sums, means, width, count, layout.extra_bits());
    }
}

/// Means out of the sums of `rows` rows, of which the lowest bits beyond 8 are dropped. A camera may set
/// bits that its format does not have: then it is white.
fn write_means<S: Sum>(sums: &[S], means: &mut [u8], width: usize, rows: usize, extra: u32) {
    let whole = if rows == 8 { width / 8 } else { 0 };
    for (mean, sum) in means.iter_mut().zip(sums).take(whole) {
        *mean = sum.mean(extra);
    }
    for (x, (mean, &sum)) in means.iter_mut().zip(sums).enumerate().skip(whole) {
        let count = ((width - x * 8).min(8) * rows) as u32;
        let rounded = (sum.into() + count / 2) / count;
        *mean = (rounded >> extra).min(255) as u8;
    }
}

#[cfg(test)]
mod tests;
