//! SSE2, which every x86-64 has: `psadbw` against zero adds eight bytes.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi16, _mm_add_epi32, _mm_add_epi64, _mm_and_si128, _mm_castpd_si128,
    _mm_castps_si128, _mm_castsi128_pd, _mm_castsi128_ps, _mm_loadl_epi64, _mm_loadu_si128,
    _mm_madd_epi16, _mm_or_si128, _mm_packs_epi32, _mm_packus_epi16, _mm_sad_epu8, _mm_set1_epi16,
    _mm_set1_epi32, _mm_set1_epi64x, _mm_setzero_si128, _mm_shuffle_pd, _mm_shuffle_ps,
    _mm_slli_epi32, _mm_srli_epi16, _mm_storel_epi64, _mm_storeu_si128, _mm_unpackhi_epi8,
    _mm_unpacklo_epi8,
};

use super::super::layout::Weights;
use super::Loops;

/// Eight bytes a block.
pub(in super::super) fn add_plane(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: SSE2 is part of x86_64. What is given is 16 bytes long, one unaligned load.
    add_bytes::<16>(row, sums, |bytes| unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

/// The even bytes of 16 a block: the odd ones are masked away.
pub(in super::super) fn add_even(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: SSE2 is part of x86_64. What is given is 32 bytes long, two unaligned loads at 0 and 16.
    add_bytes::<32>(row, sums, |bytes| unsafe {
        let at = bytes.as_ptr().cast::<__m128i>();
        let even = |i| _mm_and_si128(_mm_loadu_si128(at.add(i)), _mm_set1_epi16(0x00ff));
        _mm_packus_epi16(even(0), even(1))
    })
}

/// The odd bytes of 16 a block: they are shifted down over the even ones.
pub(in super::super) fn add_odd(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: SSE2 is part of x86_64. What is given is 32 bytes long, two unaligned loads at 0 and 16.
    add_bytes::<32>(row, sums, |bytes| unsafe {
        let at = bytes.as_ptr().cast::<__m128i>();
        let odd = |i| _mm_srli_epi16::<8>(_mm_loadu_si128(at.add(i)));
        _mm_packus_epi16(odd(0), odd(1))
    })
}

/// Two blocks of `N` bytes together at a time, eight blocks a turn and four after that; `luma` gives the
/// 16 bytes of them that are luma.
fn add_bytes<const N: usize>(
    row: &[u8],
    sums: &mut [u16],
    luma: impl Fn(&[u8; N]) -> __m128i,
) -> usize {
    // A block's sum in the lower 16 bits of each half.
    // SAFETY: SSE2 is part of x86_64.
    let two = |bytes: &[u8; N]| unsafe { _mm_sad_epu8(luma(bytes), _mm_setzero_si128()) };
    let pairs = row.as_chunks::<N>().0;
    let pairs = pairs.get(..sums.len() / 2).unwrap_or(pairs);
    let (turns, rest) = pairs.as_chunks::<4>();
    let (eights, fours) = sums.as_chunks_mut::<8>();
    for ([a, b, c, d], sums) in turns.iter().zip(eights) {
        // SAFETY: SSE2 is part of x86_64; one unaligned 16-byte load and store of eight u16. Sums are below
        // 2^15, which packing with signs leaves as they are.
        unsafe {
            let (ab, cd) = (_mm_packs_epi32(two(a), two(b)), _mm_packs_epi32(two(c), two(d)));
            let to = sums.as_mut_ptr().cast::<__m128i>();
            _mm_storeu_si128(to, _mm_add_epi16(_mm_packs_epi32(ab, cd), _mm_loadu_si128(to)));
        }
    }
    let done = turns.len() * 8;
    let (Some([a, b]), Some(sums)) = (rest.first_chunk(), fours.first_chunk_mut::<4>()) else {
        return done;
    };
    // SAFETY: SSE2 is part of x86_64; one 8-byte load and store of four u16.
    unsafe {
        let ab = _mm_packs_epi32(two(a), two(b));
        let to = sums.as_mut_ptr().cast::<__m128i>();
        _mm_storel_epi64(to, _mm_add_epi16(_mm_packs_epi32(ab, ab), _mm_loadl_epi64(to)));
    }
    done + 4
}

/// Eight 16-bit words a block: lower and upper bytes are added apart.
pub(in super::super) fn add_words(row: &[u8], sums: &mut [u32]) -> usize {
    // SAFETY: SSE2 is part of x86_64.
    add_blocks_of_16(row, sums, |words| unsafe {
        let zero = _mm_setzero_si128();
        let lower = _mm_sad_epu8(_mm_and_si128(words, _mm_set1_epi16(0x00ff)), zero);
        let upper = _mm_sad_epu8(_mm_srli_epi16::<8>(words), zero);
        _mm_add_epi32(lower, _mm_slli_epi32::<8>(upper))
    })
}

/// Three weighted bytes a pixel.
pub(in super::super) fn add_colours(row: &[u8], weights: Weights, sums: &mut [u32]) -> usize {
    let mut done = 0;
    for (bytes, sums) in row.chunks_exact(96).zip(sums.chunks_exact_mut(4)) {
        // SAFETY: SSE2 is part of x86_64. `bytes` is 96 bytes long: `two_blocks` loads 48 from 0 and from 48
        // on. `sums` is four u32, as `add_four` needs.
        unsafe {
            let at = bytes.as_ptr();
            let (ab, cd) = (two_blocks(at, weights), two_blocks(at.add(48), weights));
            add_four(low_halves(ab, cd), sums);
        }
        done += 4;
    }
    done
}

/// The weighted sums of two blocks of 24 bytes, in the lower 32 bits of both halves.
///
/// Byte `j` of a block's word `w` of eight bytes has colour `(8 w + j) % 3`. So in its three words a colour
/// takes places 0, 3, 6 once, 1, 4, 7 once and 2, 5 once: masked, they fit into one word beside each other,
/// and are added at once.
///
/// # Safety
/// 48 bytes can be read at `at`.
unsafe fn two_blocks(at: *const u8, weights: Weights) -> __m128i {
    // SAFETY: SSE2 is part of x86_64. Three unaligned 16-byte loads, at 0, 16 and 32, lie within the 48 bytes.
    unsafe {
        let at = at.cast::<__m128i>();
        let load = |i| _mm_castsi128_pd(_mm_loadu_si128(at.add(i)));
        let (a, b, c) = (load(0), load(1), load(2));
        // Of six words 0 and 3, 1 and 4, 2 and 5: one of each block.
        let words = [
            _mm_castpd_si128(_mm_shuffle_pd::<0b10>(a, b)),
            _mm_castpd_si128(_mm_shuffle_pd::<0b01>(a, c)),
            _mm_castpd_si128(_mm_shuffle_pd::<0b10>(b, c)),
        ];
        let places = [
            _mm_set1_epi64x(0x00ff_0000_ff00_00ff), // 0, 3, 6
            _mm_set1_epi64x(0xff00_00ff_0000_ff00_u64.cast_signed()), // 1, 4, 7
            _mm_set1_epi64x(0x0000_ff00_00ff_0000), // 2, 5
        ];
        let colour = |k: usize| {
            // j = k - 8 w = k + w, modulo 3.
            let part = |w: usize| _mm_and_si128(words[w], places[(k + w) % 3]);
            let bytes = _mm_or_si128(_mm_or_si128(part(0), part(1)), part(2));
            // At most 8 × 255, which is a positive 16-bit word; the word above it is zero.
            let sum = _mm_sad_epu8(bytes, _mm_setzero_si128());
            _mm_madd_epi16(sum, _mm_set1_epi32(i32::from(weights[k])))
        };
        _mm_add_epi32(_mm_add_epi32(colour(0), colour(1)), colour(2))
    }
}

/// Four blocks of 16 bytes at a time; `add` gives the sums of a block's halves in the lower 32 bits of the
/// vector's halves.
fn add_blocks_of_16(row: &[u8], sums: &mut [u32], add: impl Fn(__m128i) -> __m128i) -> usize {
    let mut done = 0;
    for (bytes, sums) in row.chunks_exact(64).zip(sums.chunks_exact_mut(4)) {
        // SAFETY: SSE2 is part of x86_64. `bytes` is 64 bytes long, so that four unaligned 16-byte loads at 0,
        // 16, 32 and 48 lie within it; `sums` is four u32, as `add_four` needs.
        unsafe {
            let at = bytes.as_ptr().cast::<__m128i>();
            let block = |i| add(_mm_loadu_si128(at.add(i)));
            let (ab, cd) = (low_halves(block(0), block(1)), low_halves(block(2), block(3)));
            let (p, q) = (_mm_castsi128_ps(ab), _mm_castsi128_ps(cd));
            let even = _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(p, q));
            let odd = _mm_castps_si128(_mm_shuffle_ps::<0b11_01_11_01>(p, q));
            add_four(_mm_add_epi32(even, odd), sums);
        }
        done += 4;
    }
    done
}

/// The lower 32 bits of each half of `a` and `b`.
fn low_halves(a: __m128i, b: __m128i) -> __m128i {
    // SAFETY: SSE2 is part of x86_64.
    unsafe {
        let (a, b) = (_mm_castsi128_ps(a), _mm_castsi128_ps(b));
        _mm_castps_si128(_mm_shuffle_ps::<0b10_00_10_00>(a, b))
    }
}

/// Adds four numbers to four sums.
///
/// # Safety
/// `sums` has four.
unsafe fn add_four(numbers: __m128i, sums: &mut [u32]) {
    // SAFETY: SSE2 is part of x86_64; one unaligned 16-byte load and store of four u32.
    unsafe {
        let to = sums.as_mut_ptr().cast::<__m128i>();
        _mm_storeu_si128(to, _mm_add_epi32(numbers, _mm_loadu_si128(to)));
    }
}

/// The sum of levels and that of their squares, of which 4 × 255² a turn fit 32 bits 2^14 times.
pub(in crate::firstpass) fn add_levels(levels: &[u8]) -> (usize, u64, u64) {
    let vectors = levels.as_chunks::<16>().0;
    // SAFETY: SSE2 is part of x86_64; one unaligned load of each vector's 16 bytes.
    unsafe {
        let zero = _mm_setzero_si128();
        let (mut sums, mut squares) = (zero, 0);
        for part in vectors.chunks(1 << 14) {
            let mut lanes = zero;
            for vector in part {
                let levels = _mm_loadu_si128(vector.as_ptr().cast());
                sums = _mm_add_epi64(sums, _mm_sad_epu8(levels, zero));
                let lower = _mm_unpacklo_epi8(levels, zero);
                let upper = _mm_unpackhi_epi8(levels, zero);
                lanes = _mm_add_epi32(lanes, _mm_madd_epi16(lower, lower));
                lanes = _mm_add_epi32(lanes, _mm_madd_epi16(upper, upper));
            }
            squares += stored(lanes).into_iter().map(u64::from).sum::<u64>();
        }
        (vectors.len() * 16, stored_halves(sums), squares)
    }
}

/// The sum of absolute differences of levels.
pub(in crate::firstpass) fn add_differences(levels: &[u8], others: &[u8]) -> (usize, u64) {
    let (vectors, others) = (levels.as_chunks::<16>().0, others.as_chunks::<16>().0);
    // SAFETY: SSE2 is part of x86_64; one unaligned load of each vector's 16 bytes.
    unsafe {
        let mut sums = _mm_setzero_si128();
        for (a, b) in vectors.iter().zip(others) {
            let (a, b) = (_mm_loadu_si128(a.as_ptr().cast()), _mm_loadu_si128(b.as_ptr().cast()));
            sums = _mm_add_epi64(sums, _mm_sad_epu8(a, b));
        }
        (vectors.len().min(others.len()) * 16, stored_halves(sums))
    }
}

fn stored(lanes: __m128i) -> [u32; 4] {
    let mut out = [0; 4];
    // SAFETY: SSE2 is part of x86_64; one unaligned 16-byte store to four u32.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), lanes) };
    out
}

/// The sum of both halves.
fn stored_halves(halves: __m128i) -> u64 {
    let mut out = [0_u64; 2];
    // SAFETY: SSE2 is part of x86_64; one unaligned 16-byte store to two u64.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), halves) };
    out[0] + out[1]
}

/// Runs loops with vectors of AVX2 where the processor has them, else with those of SSE2.
pub(in crate::firstpass) fn widest<L: Loops>(loops: L) -> L::Out {
    #[target_feature(enable = "avx2")]
    fn with_avx2<L: Loops>(loops: L) -> L::Out {
        loops.run()
    }
    match std::arch::is_x86_feature_detected!("avx2") {
        // SAFETY: the processor has AVX2, as it was just asked.
        true => unsafe { with_avx2(loops) },
        false => loops.run(),
    }
}
