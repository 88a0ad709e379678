//! Sums by vector instructions: SSE2 on x86-64, NEON on aarch64, none elsewhere.
//!
//! Each function but the last two adds the luma of as many whole blocks of eight pixels as vectors take to
//! `sums`, from the left, and gives their number; the scalar twin does the others. Sums of bytes are of 16
//! bits, so that one vector holds those of eight blocks. No bounds are left to the caller: slices
//! are cut by `chunks_exact` and its kin, and what is loaded or stored lies within one chunk.
//!
//! [`widest`] is for loops that compilers make vectors of by themselves: on x86-64 they are compiled twice, and
//! run with AVX2 where the processor has it. The sums above are not: reading memory is what they cost, and
//! with wider loads that was measured to take longer.
//!
//! The last two are of `quality`, which has their scalar twins: they give the number of levels that they
//! took, from the left, and their sums.

#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "x86_64")]
mod sse2;

#[cfg(target_arch = "aarch64")]
pub(super) use neon::{add_colours, add_even, add_odd, add_plane, add_words};
#[cfg(target_arch = "aarch64")]
pub(in crate::firstpass) use neon::{add_differences, add_levels};
#[cfg(target_arch = "x86_64")]
pub(super) use sse2::{add_colours, add_even, add_odd, add_plane, add_words};
#[cfg(target_arch = "x86_64")]
pub(in crate::firstpass) use sse2::{add_differences, add_levels, widest};

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) use none::{add_colours, add_even, add_odd, add_plane, add_words};
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(in crate::firstpass) use none::{add_differences, add_levels};

/// Loops that the compiler makes vectors of by itself.
pub(in crate::firstpass) trait Loops {
    /// What they give.
    type Out;

    /// Runs them. To be inlined always, with all that loops in it: it takes on the vectors of its caller.
    fn run(self) -> Self::Out;
}

/// Runs loops with the vectors that every machine of its kind has.
#[cfg(not(target_arch = "x86_64"))]
pub(in crate::firstpass) fn widest<L: Loops>(loops: L) -> L::Out {
    loops.run()
}

/// Machines without vectors that every one of them has.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod none {
    use super::super::layout::Weights;

    pub(in super::super) fn add_plane(_row: &[u8], _sums: &mut [u16]) -> usize {
        0
    }

    pub(in super::super) fn add_even(_row: &[u8], _sums: &mut [u16]) -> usize {
        0
    }

    pub(in super::super) fn add_odd(_row: &[u8], _sums: &mut [u16]) -> usize {
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
    pub(in crate::firstpass) fn add_levels(_levels: &[u8]) -> (usize, u64, u64) {
        (0, 0, 0)
    }

    pub(in crate::firstpass) fn add_differences(_levels: &[u8], _others: &[u8]) -> (usize, u64) {
        (0, 0)
    }
}
