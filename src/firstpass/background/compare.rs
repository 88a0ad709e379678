//! Which samples leave the scene.

use super::changed::mark;
use super::{CHUNK, Changed, Counts, DARK, FINER, NOISE, REMAINS, Row, SHIFT, sample, upper};
use crate::firstpass::shrink::Loops;

/// Thresholds from here on are alike: nothing reaches them.
const MOST_THRESHOLD: u8 = 250;
/// Eight times this fits 16 bits.
const SMALL: i16 = i16::MAX >> 3;

/// By how much a sample may leave its mean.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    most: i16,
    least: i16,
    slope: i16,
}

impl Limit {
    pub(super) fn new(threshold: u8) -> Self {
        let most = sample(threshold.min(MOST_THRESHOLD));
        // 13 fraction bits, so that it fits whatever the threshold.
        let slope = (f32::from(threshold) / DARK * 8192.0) as i16;
        Self { most, least: most / REMAINS, slope }
    }

    pub(super) fn at(self, mean: i16, deviation: i16) -> i16 {
        self.along(self.slope, mean, deviation)
    }

    /// The same, with the slope given once more: out of a [`Row`].
    #[inline(always)]
    fn along(self, slope: i16, mean: i16, deviation: i16) -> i16 {
        let limit = (upper(mean, slope).min(SMALL) << 3).min(self.most).max(self.least);
        limit.saturating_add(noise(deviation))
    }

    /// [`Compare`] of a chunk, or of a part of one.
    #[inline(always)]
    fn compare(
        self,
        slopes: &Row,
        luma: &[u8],
        (mean, deviation): (&[i16], &[i16]),
        changed: &mut [u8],
    ) -> Counts {
        let (mut all, mut above, mut below) = (0i16, 0i16, 0i16);
        let model = mean.iter().zip(deviation).zip(slopes);
        for ((out, &x), ((&mean, &deviation), &slope)) in changed.iter_mut().zip(luma).zip(model) {
            let off = sample(x) - mean;
            let left = i16::from(off.abs() > self.along(slope, mean, deviation));
            *out = left as u8;
            all += left;
            above += i16::from(off >= SHIFT);
            below += i16::from(off <= -SHIFT);
        }
        // Each is at most the chunk's length.
        Counts { changed: all as usize, above: above as usize, below: below as usize }
    }
}

/// As far as noise goes. Deviations are never negative, for what pulls at them is not.
#[inline(always)]
pub(super) fn noise(deviation: i16) -> i16 {
    (deviation as u16 / ((1 << FINER) / NOISE as u16)) as i16
}

/// Of a whole plane.
pub(super) struct Compare<'a> {
    pub(super) luma: &'a [u8],
    /// Means and deviations.
    pub(super) model: (&'a [i16], &'a [i16]),
    pub(super) limit: Limit,
    pub(super) changed: &'a mut Changed,
}

impl Loops for Compare<'_> {
    type Out = Counts;

    #[inline(always)]
    fn run(self) -> Counts {
        let Self { luma, model: (mean, deviation), limit, changed } = self;
        let slopes = [limit.slope; CHUNK];
        let (lumas, luma) = luma.as_chunks::<CHUNK>();
        let (means, mean) = mean.as_chunks::<CHUNK>();
        let (deviations, deviation) = deviation.as_chunks::<CHUNK>();
        let mut out = changed.samples.chunks_mut(CHUNK).zip(&mut changed.chunks);
        let (mut all, mut marks) = (Counts::default(), [0; CHUNK]);
        let mut add = |counts: Counts| {
            all.changed += counts.changed;
            all.above += counts.above;
            all.below += counts.below;
            counts.changed > 0
        };
        let model = means.iter().zip(deviations);
        for ((luma, (mean, deviation)), out) in lumas.iter().zip(model).zip(out.by_ref()) {
            let any = add(limit.compare(&slopes, luma, (mean, deviation), &mut marks));
            mark(out, &marks, any);
        }
        if let (Some(out), Some(marks)) = (out.next(), marks.get_mut(..luma.len())) {
            let any = add(limit.compare(&slopes, luma, (mean, deviation), marks));
            mark(out, marks, any);
        }
        all
    }
}
