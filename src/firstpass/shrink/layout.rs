//! Where a row's luma lies, and its sums by plain arithmetic.

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

    /// Adds one row's luma to the sums of its blocks. A sum of 64 samples of 16 bits fits 32 bits.
    pub(super) fn add_row(self, row: &[u8], width: usize, sums: &mut [u32]) {
        // A row may hold whole bytes for pixels that the picture does not have.
        let whole = &mut sums[..width / 8];
        let done = match self {
            Self::Plane => simd::add_plane(row, whole),
            Self::Even => simd::add_even(row, whole),
            Self::Odd => simd::add_odd(row, whole),
            Self::Words(_) => simd::add_words(row, whole),
            Self::Colours(weights) => simd::add_colours(row, weights, whole),
            Self::FourInFive | Self::TwoInThree => 0,
        };
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

    pub(super) fn add_row_scalar(self, row: &[u8], width: usize, sums: &mut [u32]) {
        let byte = |block: &[u8], at: usize| u32::from(block[at]);
        match self {
            Self::Plane => add::<8>(row, width, sums, byte),
            Self::Even => add::<16>(row, width, sums, |block, i| byte(block, 2 * i)),
            Self::Odd => add::<16>(row, width, sums, |block, i| byte(block, 2 * i + 1)),
            Self::Words(_) => add::<16>(row, width, sums, |block, i| {
                byte(block, 2 * i) + (byte(block, 2 * i + 1) << 8)
            }),
            Self::Colours([a, b, c]) => {
                let weights = [u32::from(a), u32::from(b), u32::from(c)];
                add::<24>(row, width, sums, |block, i| {
                    (0..3).map(|k| byte(block, 3 * i + k) * weights[k]).sum()
                });
            }
            Self::FourInFive => {
                add::<10>(row, width, sums, |block, i| byte(block, i / 4 * 5 + i % 4))
            }
            Self::TwoInThree => {
                add::<12>(row, width, sums, |block, i| byte(block, i / 2 * 3 + i % 2))
            }
        }
    }
}

/// Adds the samples of blocks of `N` bytes; `sample` gives a pixel's of the block it is in.
fn add<const N: usize>(
    row: &[u8],
    width: usize,
    sums: &mut [u32],
    sample: impl Fn(&[u8], usize) -> u32,
) {
    let (whole, rest) = row.as_chunks::<N>();
    // The last block may be whole in bytes and not in pixels.
    let whole = whole.get(..width / 8).unwrap_or(whole);
    for (sum, block) in sums.iter_mut().zip(whole) {
        *sum += (0..8).map(|i| sample(block, i)).sum::<u32>();
    }
    if let (Some(sum), false) = (sums.get_mut(width / 8), width.is_multiple_of(8)) {
        let ragged = row.get(whole.len() * N..).unwrap_or(rest);
        *sum += (0..width % 8).map(|i| sample(ragged, i)).sum::<u32>();
    }
}
