//! Which samples of a frame left the background, by chunks.
//!
//! Written by [`super::Background::compare`], read by [`crate::firstpass::motion`].

use std::ops::Range;

use super::CHUNK;

/// Which samples of a frame left the background. Most chunks have none and had none before: they are not
/// written, nor read by who asks for them here, for memory costs more than the numbers in it.
#[derive(Debug, Default)]
pub(in crate::firstpass) struct Changed {
    /// 1 where a sample did, else 0.
    pub(super) samples: Vec<u8>,
    /// By chunk: did one?
    pub(super) chunks: Vec<bool>,
}

impl Changed {
    /// None did, in a plane of so many samples.
    pub(in crate::firstpass) fn begin(&mut self, len: usize) {
        self.samples.clear();
        self.samples.resize(len, 0);
        self.chunks.clear();
        self.chunks.resize(len.div_ceil(CHUNK), false);
    }

    /// 1 for each that did, 0 for the others.
    pub(in crate::firstpass) fn samples(&self) -> &[u8] {
        &self.samples
    }

    /// All of those that did lie in here.
    pub(in crate::firstpass) fn span(&self) -> Range<usize> {
        let Some(first) = self.chunks.iter().position(|&any| any) else { return 0..0 };
        let last = self.chunks.iter().rposition(|&any| any).unwrap_or(first);
        first * CHUNK..((last + 1) * CHUNK).min(self.samples.len())
    }

    /// Forgets those that are 0 in `zone`.
    pub(in crate::firstpass) fn keep(&mut self, zone: &[u8]) {
        let chunks = self.samples.chunks_mut(CHUNK).zip(zone.chunks(CHUNK)).zip(&self.chunks);
        for ((samples, zone), _) in chunks.filter(|(_, any)| **any) {
            samples.iter_mut().zip(zone).for_each(|(sample, &inside)| *sample &= inside);
        }
    }
}

/// Writes one chunk of it.
#[inline(always)]
pub(super) fn mark((samples, any): (&mut [u8], &mut bool), marks: &[u8], holds_any: bool) {
    if holds_any {
        samples.copy_from_slice(marks);
    } else if *any {
        samples.fill(0);
    }
    *any = holds_any;
}
