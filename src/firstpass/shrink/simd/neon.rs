//! NEON, which every aarch64 has: loads that take bytes apart, and sums across a vector.

#![allow(unsafe_code)]

use std::arch::aarch64::{
    uint8x8_t, vaddlv_u8, vaddlvq_u16, vaddq_u32, vdup_n_u8, vld1q_u8, vld1q_u32, vld2_u8, vld3_u8,
    vmlal_u8, vmull_u8, vpaddlq_u8, vpaddlq_u16, vpaddq_u16, vreinterpretq_u16_u8, vst1q_u32,
};

use super::super::layout::Weights;

/// Eight bytes a block: neighbours are added three times, four blocks at once.
pub(in super::super) fn add_plane(row: &[u8], sums: &mut [u32]) -> usize {
    let mut done = 0;
    for (bytes, sums) in row.chunks_exact(32).zip(sums.chunks_exact_mut(4)) {
        // SAFETY: NEON is part of aarch64. `bytes` is 32 bytes long: 16 are loaded at 0 and at 16. `sums` is
        // four u32, one 16-byte load and store.
        unsafe {
            let a = vpaddlq_u8(vld1q_u8(bytes.as_ptr()));
            let b = vpaddlq_u8(vld1q_u8(bytes.as_ptr().add(16)));
            let four = vpaddlq_u16(vpaddq_u16(a, b));
            vst1q_u32(sums.as_mut_ptr(), vaddq_u32(four, vld1q_u32(sums.as_ptr())));
        }
        done += 4;
    }
    done
}

/// The even bytes of 16 a block.
pub(in super::super) fn add_even(row: &[u8], sums: &mut [u32]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 16 bytes long, what `vld2_u8` reads.
    add_blocks::<16>(row, sums, |bytes| unsafe { u32::from(vaddlv_u8(vld2_u8(bytes.as_ptr()).0)) })
}

/// The odd bytes of 16 a block.
pub(in super::super) fn add_odd(row: &[u8], sums: &mut [u32]) -> usize {
    // SAFETY: NEON is part of aarch64. What is given is 16 bytes long, what `vld2_u8` reads.
    add_blocks::<16>(row, sums, |bytes| unsafe { u32::from(vaddlv_u8(vld2_u8(bytes.as_ptr()).1)) })
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
