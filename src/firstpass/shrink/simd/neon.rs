//! NEON, which every aarch64 has: loads that take bytes apart, and sums across a vector.

#![allow(unsafe_code)]

use std::arch::aarch64::{
    uint8x8_t, uint8x16_t, vabdq_u8, vadd_u16, vaddlvq_u16, vaddlvq_u32, vaddq_u16, vdup_n_u8,
    vdupq_n_u32, vget_high_u8, vget_low_u8, vget_low_u16, vld1_u16, vld1q_u8, vld1q_u16, vld3_u8,
    vmlal_u8, vmull_u8, vpadalq_u16, vpaddlq_u8, vpaddq_u16, vreinterpretq_u16_u8, vst1_u16,
    vst1q_u16, vuzp1q_u8, vuzp2q_u8,
};

use super::super::layout::Weights;

/// Eight bytes a block.
pub(in super::super) fn add_plane(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 16 bytes long, what `vld1q_u8` reads.
    add_bytes::<16>(row, sums, |bytes| unsafe { vld1q_u8(bytes.as_ptr()) })
}

/// The even bytes of 16 a block.
pub(in super::super) fn add_even(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 32 bytes long: 16 are loaded at 0 and at 16.
    add_bytes::<32>(row, sums, |bytes| unsafe {
        vuzp1q_u8(vld1q_u8(bytes.as_ptr()), vld1q_u8(bytes.as_ptr().add(16)))
    })
}

/// The odd bytes of 16 a block.
pub(in super::super) fn add_odd(row: &[u8], sums: &mut [u16]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 32 bytes long: 16 are loaded at 0 and at 16.
    add_bytes::<32>(row, sums, |bytes| unsafe {
        vuzp2q_u8(vld1q_u8(bytes.as_ptr()), vld1q_u8(bytes.as_ptr().add(16)))
    })
}

/// Two blocks of `N` bytes together at a time, eight blocks a turn and four after that; `luma` gives the
/// 16 bytes of them that are luma. Neighbours are added three times, then a vector holds eight blocks.
fn add_bytes<const N: usize>(
    row: &[u8],
    sums: &mut [u16],
    luma: impl Fn(&[u8; N]) -> uint8x16_t,
) -> usize {
    // SAFETY: NEON is part of aarch64.
    let pairs_of = |bytes: &[u8; N]| unsafe { vpaddlq_u8(luma(bytes)) };
    let pairs = row.as_chunks::<N>().0;
    let pairs = pairs.get(..sums.len() / 2).unwrap_or(pairs);
    let (turns, rest) = pairs.as_chunks::<4>();
    let (eights, fours) = sums.as_chunks_mut::<8>();
    for ([a, b, c, d], sums) in turns.iter().zip(eights) {
        // SAFETY: NEON is part of aarch64; one 16-byte load and store of eight u16.
        unsafe {
            let ab = vpaddq_u16(pairs_of(a), pairs_of(b));
            let cd = vpaddq_u16(pairs_of(c), pairs_of(d));
            let eight = vaddq_u16(vpaddq_u16(ab, cd), vld1q_u16(sums.as_ptr()));
            vst1q_u16(sums.as_mut_ptr(), eight);
        }
    }
    let done = turns.len() * 8;
    let (Some([a, b]), Some(sums)) = (rest.first_chunk(), fours.first_chunk_mut::<4>()) else {
        return done;
    };
    // SAFETY: NEON is part of aarch64; one 8-byte load and store of four u16.
    unsafe {
        let ab = vpaddq_u16(pairs_of(a), pairs_of(b));
        let four = vadd_u16(vget_low_u16(vpaddq_u16(ab, ab)), vld1_u16(sums.as_ptr()));
        vst1_u16(sums.as_mut_ptr(), four);
    }
    done + 4
}

/// Eight 16-bit words a block; aarch64 is little-endian, as they are.
pub(in super::super) fn add_words(row: &[u8], sums: &mut [u32]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 16 bytes long, what `vld1q_u8` reads.
    add_blocks::<16>(row, sums, |bytes| unsafe {
        vaddlvq_u16(vreinterpretq_u16_u8(vld1q_u8(bytes.as_ptr())))
    })
}

/// Three weighted bytes a pixel. The weights sum to 256, so a pixel fits 16 bits.
pub(in super::super) fn add_colours(row: &[u8], weights: Weights, sums: &mut [u32]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 24 bytes long, what `vld3_u8` reads.
    add_blocks::<24>(row, sums, |bytes| unsafe {
        let [a, b, c]: [uint8x8_t; 3] = weights.map(|weight| vdup_n_u8(weight));
        let colours = vld3_u8(bytes.as_ptr());
        let sum = vmlal_u8(vmull_u8(colours.0, a), colours.1, b);
        vaddlvq_u16(vmlal_u8(sum, colours.2, c))
    })
}

/// A block of `N` bytes at a time; `sum` gives its sum.
fn add_blocks<const N: usize>(
    row: &[u8],
    sums: &mut [u32],
    sum: impl Fn(&[u8; N]) -> u32,
) -> usize {
    let (blocks, _) = row.as_chunks::<N>();
    for (total, block) in sums.iter_mut().zip(blocks) {
        *total += sum(block);
    }
    blocks.len().min(sums.len())
}

/// Vectors of which every lane's squares fit 32 bits: 4 × 255² each.
const TURN: usize = 1 << 14;

/// The sum of levels and that of their squares.
pub(in crate::firstpass) fn add_levels(levels: &[u8]) -> (usize, u64, u64) {
    let vectors = levels.as_chunks::<16>().0;
    let (mut sum, mut squares) = (0, 0);
    for turn in vectors.chunks(TURN) {
        // SAFETY: NEON is part of aarch64; one load of each vector's 16 bytes.
        unsafe {
            let (mut sums, mut lanes) = (vdupq_n_u32(0), vdupq_n_u32(0));
            for vector in turn {
                let levels = vld1q_u8(vector.as_ptr());
                let (lower, upper) = (vget_low_u8(levels), vget_high_u8(levels));
                sums = vpadalq_u16(sums, vpaddlq_u8(levels));
                lanes = vpadalq_u16(lanes, vmull_u8(lower, lower));
                lanes = vpadalq_u16(lanes, vmull_u8(upper, upper));
            }
            sum += vaddlvq_u32(sums);
            squares += vaddlvq_u32(lanes);
        }
    }
    (vectors.len() * 16, sum, squares)
}

/// The sum of absolute differences of levels.
pub(in crate::firstpass) fn add_differences(levels: &[u8], others: &[u8]) -> (usize, u64) {
    let (vectors, others) = (levels.as_chunks::<16>().0, others.as_chunks::<16>().0);
    let mut sum = 0;
    for (turn, others) in vectors.chunks(TURN).zip(others.chunks(TURN)) {
        // SAFETY: NEON is part of aarch64; one load of each vector's 16 bytes.
        unsafe {
            let mut sums = vdupq_n_u32(0);
            for (a, b) in turn.iter().zip(others) {
                let apart = vabdq_u8(vld1q_u8(a.as_ptr()), vld1q_u8(b.as_ptr()));
                sums = vpadalq_u16(sums, vpaddlq_u8(apart));
            }
            sum += vaddlvq_u32(sums);
        }
    }
    (vectors.len().min(others.len()) * 16, sum)
}
