//! Where a row's luma lies, and its sums by plain arithmetic.

use std::ops::AddAssign;

use super::simd;
use crate::frame::{Depth, PixelFormat};

/// Where the luma of a row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::firstpass) enum Layout {
    /// Each byte.
    Plane,
    /// Every second byte, from the first on.
    Even,
    /// Every second byte, from the second on.
    Odd,
    /// 16-bit words, little-endian, of so many bits.
    Words(u32),
    /// Three bytes a pixel, whose 256ths these are.
    Colours(Weights),
    /// Four samples' upper bits, then a byte of lower ones.
    FourInFive,
    /// Two samples' upper bits, then a byte of lower ones.
    TwoInThree,
}

/// What a pixel's three bytes count, of 256.
pub(in crate::firstpass) type Weights = [u8; 3];

/// BT.601, rounded so that white stays white.
const RGB: Weights = [77, 150, 29];
const BGR: Weights = [29, 150, 77];

impl Layout {
    /// `None` for compressed formats.
    pub(in crate::firstpass) fn of(format: PixelFormat) -> Option<Self> {
        use PixelFormat as F;
        Some(match format {
            F::Mjpeg => return None,
            F::Yuyv | F::Yvyu => Self::Even,
            F::Uyvy | F::Vyuy => Self::Odd,
            F::Nv12 | F::Nv21 | F::Nv16 | F::Nv61 | F::I420 | F::Yv12 | F::I422 => Self::Plane,
            F::Grey | F::Bayer(_, Depth::Eight) => Self::Plane,
            F::Y10 | F::Bayer(_, Depth::Ten) => Self::Words(10),
            F::Y12 | F::Bayer(_, Depth::Twelve) => Self::Words(12),
            F::Y16 | F::Bayer(_, Depth::Sixteen) => Self::Words(16),
            F::Rgb24 => Self::Colours(RGB),
            F::Bgr24 => Self::Colours(BGR),
            F::Bayer(_, Depth::TenPacked) => Self::FourInFive,
            F::Bayer(_, Depth::TwelvePacked) => Self::TwoInThree,
        })
    }

    /// Grey level of one pixel of a row; 0 beyond its end.
    pub(in crate::firstpass) fn sample(self, row: &[u8], x: usize) -> u8 {
        let byte = |at: usize| row.get(at).copied().unwrap_or_default();
        match self {
            Self::Plane => byte(x),
            Self::Even => byte(2 * x),
            Self::Odd => byte(2 * x + 1),
            Self::Words(bits) => {
                let word = u16::from_le_bytes([byte(2 * x), byte(2 * x + 1)]);
                (word >> (bits - 8)).min(255) as u8
            }
            Self::Colours(weights) => {
                let part = |k: usize| u32::from(byte(3 * x + k)) * u32::from(weights[k]);
                ((part(0) + part(1) + part(2)) >> 8) as u8
            }
            Self::FourInFive => byte(x / 4 * 5 + x % 4),
            Self::TwoInThree => byte(x / 2 * 3 + x % 2),
        }
    }

    /// Bits of a sum's samples beyond 8.
    pub(super) fn extra_bits(self) -> u32 {
        match self {
            Self::Words(bits) => bits - 8,
            Self::Colours(_) => 8,
            _ => 0,
        }
    }

    /// Are its samples bytes? Then the sum of a block's 64 fits 16 bits; of any other's it fits 32.
    pub(super) fn is_bytes(self) -> bool {
        !matches!(self, Self::Words(_) | Self::Colours(_))
    }

    /// Adds one row's luma to the sums of its blocks.
    pub(super) fn add_row<S: Sum>(self, row: &[u8], width: usize, sums: &mut [S]) {
        // A row may hold whole bytes for pixels that the picture does not have.
        let done = S::add_blocks(self, row, &mut sums[..width / 8]);
        let (row, sums) = (row.get(done * self.block_bytes()..), sums.get_mut(done..));
        if let (Some(row), Some(sums)) = (row, sums) {
            self.add_row_scalar(row, width.saturating_sub(done * 8), sums);
        }
    }

    /// Bytes of eight pixels.
    fn block_bytes(self) -> usize {
        match self {
            Self::Plane => 8,
            Self::Even | Self::Odd | Self::Words(_) => 16,
            Self::Colours(_) => 24,
            Self::FourInFive => 10,
            Self::TwoInThree => 12,
        }
    }

    pub(super) fn add_row_scalar<S: Sum>(self, row: &[u8], width: usize, sums: &mut [S]) {
        let byte = |block: &[u8], at: usize| u16::from(block[at]);
        match self {
            Self::Plane => add::<8, S>(row, width, sums, byte),
            Self::Even => add::<16, S>(row, width, sums, |block, i| byte(block, 2 * i)),
            Self::Odd => add::<16, S>(row, width, sums, |block, i| byte(block, 2 * i + 1)),
            Self::Words(_) => add::<16, S>(row, width, sums, |block, i| {
                byte(block, 2 * i) + (byte(block, 2 * i + 1) << 8)
            }),
            // They sum to 256.
            Self::Colours(weights) => add::<24, S>(row, width, sums, |block, i| {
                (0..3).map(|k| byte(block, 3 * i + k) * u16::from(weights[k])).sum()
            }),
            Self::FourInFive => {
                add::<10, S>(row, width, sums, |block, i| byte(block, i / 4 * 5 + i % 4))
            }
            Self::TwoInThree => {
                add::<12, S>(row, width, sums, |block, i| byte(block, i / 2 * 3 + i % 2))
            }
        }
    }
}

/// The sum of a block's luma.
pub(super) trait Sum: Copy + Default + AddAssign + From<u16> + Into<u32> {
    /// Adds as many whole blocks as vectors take, and gives their number.
    fn add_blocks(layout: Layout, row: &[u8], sums: &mut [Self]) -> usize;

    /// Rounded mean of a block of 64 whose samples have so many bits beyond 8, which are dropped.
    fn mean(self, extra: u32) -> u8;
}

/// Of layouts of bytes.
impl Sum for u16 {
    fn add_blocks(layout: Layout, row: &[u8], sums: &mut [Self]) -> usize {
        match layout {
            Layout::Plane => simd::add_plane(row, sums),
            Layout::Even => simd::add_even(row, sums),
            Layout::Odd => simd::add_odd(row, sums),
            _ => 0,
        }
    }

    fn mean(self, _: u32) -> u8 {
        ((self + 32) >> 6) as u8
    }
}

/// Of any layout.
impl Sum for u32 {
    fn add_blocks(layout: Layout, row: &[u8], sums: &mut [Self]) -> usize {
        match layout {
            Layout::Words(_) => simd::add_words(row, sums),
            Layout::Colours(weights) => simd::add_colours(row, weights, sums),
            _ => 0,
        }
    }

    fn mean(self, extra: u32) -> u8 {
        (((self + 32) >> 6) >> extra).min(255) as u8
    }
}

/// Adds the samples of blocks of `N` bytes; `sample` gives a pixel's of the block it is in.
fn add<const N: usize, S: Sum>(
    row: &[u8],
    width: usize,
    sums: &mut [S],
    sample: impl Fn(&[u8], usize) -> u16,
) {
    let (whole, rest) = row.as_chunks::<N>();
    // The last block may be whole in bytes and not in pixels.
    let whole = whole.get(..width / 8).unwrap_or(whole);
    for (sum, block) in sums.iter_mut().zip(whole) {
        (0..8).for_each(|i| *sum += S::from(sample(block, i)));
    }
    if let (Some(sum), false) = (sums.get_mut(width / 8), width.is_multiple_of(8)) {
        let ragged = row.get(whole.len() * N..).unwrap_or(rest);
        (0..width % 8).for_each(|i| *sum += S::from(sample(ragged, i)));
    }
}
