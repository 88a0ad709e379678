//! YUYV to luma at 1/8 scale: the mean of each 8×8 block, rounded to nearest.
//!
//! Called by [`super::FirstPass`] in the driver's buffer. The frame is read once, row by row, and the
//! sums of eight rows are kept beside; reading memory is what it costs. The compiler's own
//! vectorisation of this was measured between 1 and 4 times that cost, depending on the target, so
//! SSE2 and NEON (both baseline on their architectures) are written out; the scalar twin serves the
//! ragged edge and other machines, and tests hold them equal. A short buffer is an error.

use crate::frame::Luma;

/// Why a raw frame cannot be shrunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// Width or height is zero.
    #[error("raw frame without pixels")]
    Empty,
    /// The stride is shorter than a row.
    #[error("stride shorter than a row")]
    Stride,
    /// The buffer ends before the last row does.
    #[error("raw frame is cut short")]
    Short,
}

/// Shrinks YUYV frames; keeps its row sums between frames.
#[derive(Debug, Default)]
pub struct Shrinker {
    sums: Vec<u32>,
}

impl Shrinker {
    /// Writes the ⌈w/8⌉ × ⌈h/8⌉ means of `data` to `out`. A `stride` of 0 means rows without padding.
    /// Blocks at the right and lower edge are means of the pixels they have.
    ///
    /// # Errors
    /// See [`ShrinkError`]; `out` is then unchanged.
    pub fn yuyv(
        &mut self,
        data: &[u8],
        width: u32,
        height: u32,
        stride: u32,
        out: &mut Luma,
    ) -> Result<(), ShrinkError> {
        let (width, height) = (width as usize, height as usize);
        if width == 0 || height == 0 {
            return Err(ShrinkError::Empty);
        }
        let row = width * 2;
        let stride = if stride == 0 { row } else { stride as usize };
        if stride < row {
            return Err(ShrinkError::Stride);
        }
        let need = stride.checked_mul(height - 1).and_then(|n| n.checked_add(row));
        if need.is_none_or(|need| data.len() < need) {
            return Err(ShrinkError::Short);
        }
        out.reset(width.div_ceil(8), height.div_ceil(8));
        self.sums.clear();
        self.sums.resize(out.width, 0);
        let mut rows = data.chunks(stride).filter_map(|r| r.get(..row));
        for (y, means) in out.data.chunks_exact_mut(self.sums.len()).enumerate() {
            let count = (height - y * 8).min(8);
            self.sums.fill(0);
            for row in rows.by_ref().take(count) {
                add_row(row, &mut self.sums);
            }
            write_means(&self.sums, means, width, count);
        }
        Ok(())
    }
}

fn write_means(sums: &[u32], means: &mut [u8], width: usize, rows: usize) {
    let whole = if rows == 8 { width / 8 } else { 0 };
    for (mean, sum) in means.iter_mut().zip(sums).take(whole) {
        *mean = ((sum + 32) >> 6) as u8;
    }
    for (x, (mean, sum)) in means.iter_mut().zip(sums).enumerate().skip(whole) {
        let count = ((width - x * 8).min(8) * rows) as u32;
        *mean = ((sum + count / 2) / count) as u8;
    }
}

/// Adds one row's luma to the sums of its blocks.
fn add_row(row: &[u8], sums: &mut [u32]) {
    let done = simd::add_row(row, sums);
    let (row, sums) = (row.get(done * 16..), sums.get_mut(done..));
    if let (Some(row), Some(sums)) = (row, sums) {
        add_row_scalar(row, sums);
    }
}

fn add_row_scalar(row: &[u8], sums: &mut [u32]) {
    for (sum, block) in sums.iter_mut().zip(row.chunks(16)) {
        *sum += block.iter().step_by(2).map(|&y| u32::from(y)).sum::<u32>();
    }
}

/// Whole blocks by vector instructions; each function gives the number of blocks done.
#[allow(unsafe_code)]
mod simd {
    /// SSE2: the chroma bytes are masked away, and `psadbw` against zero adds what is left.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn add_row(row: &[u8], sums: &mut [u32]) -> usize {
        use std::arch::x86_64::{
            __m128i, _mm_add_epi32, _mm_and_si128, _mm_castps_si128, _mm_castsi128_ps,
            _mm_loadu_si128, _mm_sad_epu8, _mm_set1_epi16, _mm_setzero_si128, _mm_shuffle_ps,
            _mm_storeu_si128,
        };
        let mut done = 0;
        for (bytes, sums) in row.chunks_exact(64).zip(sums.chunks_exact_mut(4)) {
            // SAFETY: SSE2 is part of x86_64. `bytes` is 64 bytes long, so that four unaligned 16-byte
            // loads at 0, 16, 32 and 48 lie within it; `sums` is four u32, one 16-byte load and store.
            unsafe {
                let luma = _mm_set1_epi16(0x00ff);
                let zero = _mm_setzero_si128();
                let at = bytes.as_ptr().cast::<__m128i>();
                let block = |i| _mm_sad_epu8(_mm_and_si128(_mm_loadu_si128(at.add(i)), luma), zero);
                // Each block is two 64-bit lanes of at most 4 × 255; take the low halves together.
                let halves = |a: __m128i, b: __m128i| {
                    let (a, b) = (_mm_castsi128_ps(a), _mm_castsi128_ps(b));
                    _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b))
                };
                let (ab, cd) = (halves(block(0), block(1)), halves(block(2), block(3)));
                let (p, q) = (_mm_castsi128_ps(ab), _mm_castsi128_ps(cd));
                let even = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(p, q));
                let odd = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(p, q));
                let to = sums.as_mut_ptr().cast::<__m128i>();
                let sum = _mm_add_epi32(_mm_add_epi32(even, odd), _mm_loadu_si128(to));
                _mm_storeu_si128(to, sum);
            }
            done += 4;
        }
        done
    }

    /// NEON: the even bytes are taken apart by the load and added across.
    #[cfg(target_arch = "aarch64")]
    pub(super) fn add_row(row: &[u8], sums: &mut [u32]) -> usize {
        use std::arch::aarch64::{vaddlv_u8, vld2_u8};
        let mut done = 0;
        for (bytes, sum) in row.chunks_exact(16).zip(sums.iter_mut()) {
            // SAFETY: NEON is part of aarch64. `bytes` is 16 bytes long, what `vld2_u8` reads.
            *sum += u32::from(unsafe { vaddlv_u8(vld2_u8(bytes.as_ptr()).0) });
            done += 1;
        }
        done
    }

    /// Elsewhere the scalar twin does all blocks.
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    pub(super) fn add_row(_row: &[u8], _sums: &mut [u32]) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Block means by the definition.
    fn by_definition(data: &[u8], width: usize, height: usize, stride: usize) -> Luma {
        let mut out = Luma::default();
        out.reset(width.div_ceil(8), height.div_ceil(8));
        for by in 0..out.height {
            for bx in 0..out.width {
                let (mut sum, mut count) = (0usize, 0usize);
                for y in by * 8..height.min(by * 8 + 8) {
                    for x in bx * 8..width.min(bx * 8 + 8) {
                        sum += usize::from(data[y * stride + x * 2]);
                        count += 1;
                    }
                }
                out.data[by * out.width + bx] = ((sum + count / 2) / count) as u8;
            }
        }
        out
    }

    #[test]
    fn vector_and_scalar_sums_agree_and_chroma_has_no_part() {
        let mut rng = fastrand::Rng::with_seed(3);
        for blocks in [1, 3, 4, 7, 8, 65] {
            let row: Vec<u8> = (0..blocks * 16).map(|_| rng.u8(..)).collect();
            let (mut fast, mut slow) = (vec![5; blocks], vec![5; blocks]);
            add_row(&row, &mut fast);
            add_row_scalar(&row, &mut slow);
            assert_eq!(fast, slow, "{blocks}");
        }
        let white_luma: Vec<u8> = [255, 0].repeat(8 * 4);
        let mut sums = vec![0; 4];
        add_row(&white_luma, &mut sums);
        assert_eq!(sums, [255 * 8; 4]);
    }

    #[test]
    fn unusable_buffers_are_errors() {
        let (mut s, mut out) = (Shrinker::default(), Luma::default());
        assert_eq!(s.yuyv(&[], 0, 4, 0, &mut out), Err(ShrinkError::Empty));
        assert_eq!(s.yuyv(&[0; 64], 8, 4, 15, &mut out), Err(ShrinkError::Stride));
        assert_eq!(s.yuyv(&[0; 63], 8, 4, 16, &mut out), Err(ShrinkError::Short));
        assert_eq!(s.yuyv(&[0; 64], u32::MAX, u32::MAX, 0, &mut out), Err(ShrinkError::Short));
        assert_eq!(s.yuyv(&[0; 64], 8, 4, 16, &mut out), Ok(()));
    }

    proptest! {
        #[test]
        fn any_size_and_stride_gives_the_means(
            width in 1usize..150, height in 1usize..40, pad in 0usize..40, seed: u64,
        ) {
            let stride = width * 2 + pad;
            let mut rng = fastrand::Rng::with_seed(seed);
            // The last row need not be padded.
            let len = stride * (height - 1) + width * 2;
            let data: Vec<u8> = (0..len).map(|_| rng.u8(..)).collect();
            let mut out = Luma::default();
            let (w, h) = (width as u32, height as u32);
            Shrinker::default().yuyv(&data, w, h, stride as u32, &mut out).unwrap();
            prop_assert_eq!(out, by_definition(&data, width, height, stride));
        }

        #[test]
        fn arbitrary_shapes_never_panic(
            data in prop::collection::vec(any::<u8>(), 0..400),
            w: u32, h: u32, small_w in 0u32..40, small_h in 0u32..20, stride: u32,
        ) {
            let (mut s, mut out) = (Shrinker::default(), Luma::default());
            s.yuyv(&data, w, h, stride, &mut out).ok();
            s.yuyv(&data, small_w, small_h, stride % 90, &mut out).ok();
        }
    }
}
