//! Sums of whole blocks by vector instructions: SSE2 on x86-64, NEON on aarch64, none elsewhere.
//!
//! Each function adds the luma of as many whole blocks of eight pixels as vectors take to `sums`, from the
//! left, and gives their number; the scalar twin does the others. No bounds are left to the caller: slices
//! are cut by `chunks_exact`, and what is loaded or stored lies within one chunk.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::{add_colours, add_even, add_odd, add_plane, add_words};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{add_colours, add_even, add_odd, add_plane, add_words};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use none::{add_colours, add_even, add_odd, add_plane, add_words};

/// Machines without vectors that every one of them has.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod none {
    use super::super::layout::Weights;

    pub(in super::super) fn add_plane(_row: &[u8], _sums: &mut [u32]) -> usize {
        0
    }

    pub(in super::super) fn add_even(_row: &[u8], _sums: &mut [u32]) -> usize {
        0
    }

    pub(in super::super) fn add_odd(_row: &[u8], _sums: &mut [u32]) -> usize {
        0
    }

    pub(in super::super) fn add_words(_row: &[u8], _sums: &mut [u32]) -> usize {
        0
    }

    pub(in super::super) fn add_colours(
        _row: &[u8],
        _weights: Weights,
        _sums: &mut [u32],
    ) -> usize {
        0
    }
}
