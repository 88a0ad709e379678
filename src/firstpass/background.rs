//! What the scene looks like when nothing moves, learnt sample by sample.
//!
//! Called by [`super::motion`]. Each sample of the small plane has a running mean and a running mean
//! deviation; a sample is *changed* when it leaves its mean by more than the threshold and [`NOISE`]
//! deviations. Noise, compression and swaying leaves end up in the deviation. All rates are by time,
//! so that 5 and 30 frames a second learn alike:
//! unchanged samples follow with [`FOLLOW`]; changed ones hardly at all ([`MOVING`]), unless they stand
//! still, when the thing that stopped (or the hole that one left) is absorbed with [`ABSORB`].

use std::ops::Range;
use std::time::Duration;

use super::light::Relight;

/// Deviations above the threshold that count as noise. A mean absolute deviation is 0.8 standard
/// deviations of normal noise.
const NOISE: f32 = 4.0;
/// Time constants in seconds.
const FOLLOW: f32 = 3.0;
const ABSORB: f32 = 8.0;
const MOVING: f32 = 180.0;
/// Of the deviation: at unchanged samples, and at changed ones (a swaying branch).
const DEVIATION: f32 = 12.0;
const UNREST: f32 = 40.0;
/// Of the short memory that tells standing still from moving.
const RECENT: f32 = 1.5;
/// A changed sample adds no more than this to the deviation's learning.
const MOST_DEVIATION: f32 = 24.0;
/// Levels from the short memory that still count as standing still.
const STILL: f32 = 6.0;

/// The learnt scene. All planes have the small plane's size.
#[derive(Debug, Default)]
pub(super) struct Background {
    mean: Vec<f32>,
    deviation: Vec<f32>,
    recent: Vec<f32>,
}

impl Background {
    /// Forgets everything and takes `luma` as the scene.
    pub(super) fn begin(&mut self, luma: &[u8]) {
        for plane in [&mut self.mean, &mut self.recent] {
            plane.clear();
            plane.extend(luma.iter().map(|&x| f32::from(x)));
        }
        self.deviation.clear();
        self.deviation.resize(luma.len(), 1.0);
    }

    /// The learnt means.
    pub(super) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// Marks changed samples with 1 in `changed`, which has the plane's size, and counts them.
    pub(super) fn compare(&self, luma: &[u8], threshold: f32, changed: &mut [u8]) -> usize {
        let model = self.mean.iter().zip(&self.deviation);
        for ((out, &x), (&mean, &deviation)) in changed.iter_mut().zip(luma).zip(model) {
            let limit = threshold + NOISE * deviation;
            *out = u8::from((f32::from(x) - mean).abs() > limit);
        }
        changed.chunks(128).map(|c| usize::from(c.iter().sum::<u8>())).sum()
    }

    /// Learns from a frame of which `changed` is known, `elapsed` after the last one.
    pub(super) fn follow(&mut self, luma: &[u8], changed: &[u8], elapsed: Duration) {
        let dt = elapsed.as_secs_f32();
        let rate = |tau: f32| 1.0 - (-dt / tau).exp();
        let (follow, absorb, moving) = (rate(FOLLOW), rate(ABSORB), rate(MOVING));
        let (calm, unrest, recent_rate) = (rate(DEVIATION), rate(UNREST), rate(RECENT));
        let model = self.mean.iter_mut().zip(&mut self.deviation).zip(&mut self.recent);
        for (((mean, deviation), recent), (&x, &changed)) in model.zip(luma.iter().zip(changed)) {
            let x = f32::from(x);
            let (off, since) = (x - *mean, x - *recent);
            let learn = if since.abs() < STILL { absorb } else { moving };
            let (learn, spread) = if changed == 0 { (follow, calm) } else { (learn, unrest) };
            *mean += learn * off;
            *deviation += spread * (off.abs().min(MOST_DEVIATION) - *deviation);
            *recent += recent_rate * since;
        }
    }

    /// Learns from a frame of which it is known that nothing should be taken for motion: `weight` of
    /// it, the rest from before.
    pub(super) fn learn(&mut self, luma: &[u8], weight: f32) {
        let model = self.mean.iter_mut().zip(&mut self.deviation).zip(&mut self.recent);
        for (((mean, deviation), recent), &x) in model.zip(luma) {
            let x = f32::from(x);
            let off = x - *mean;
            *mean += weight * off;
            *deviation += weight * (off.abs().min(MOST_DEVIATION) * 0.5 - *deviation);
            *recent = x;
        }
    }

    /// Moves the scene to another light: a mean takes its new value where that is nearer to `luma`.
    /// What shines by itself (a lit window at dusk) keeps its own.
    pub(super) fn relight(&mut self, luma: &[u8], to: Relight) {
        let model = self.mean.iter_mut().zip(&mut self.recent);
        for ((mean, recent), &x) in model.zip(luma) {
            let (x, lit) = (f32::from(x), to.of(*mean));
            if (x - lit).abs() < (x - *mean).abs() {
                *mean = lit;
                *recent = to.of(*recent);
            }
        }
    }

    /// Takes a part of `luma` for the scene.
    pub(super) fn adopt(&mut self, luma: &[u8], part: Range<usize>) {
        let Some(luma) = luma.get(part.clone()) else { return };
        for plane in [&mut self.mean, &mut self.recent] {
            for (level, &x) in plane.get_mut(part.clone()).into_iter().flatten().zip(luma) {
                *level = f32::from(x);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(200);

    fn count(b: &Background, luma: &[u8]) -> usize {
        b.compare(luma, 10.0, &mut vec![0; luma.len()])
    }

    fn follow(b: &mut Background, frames: usize, mut luma: impl FnMut(usize) -> Vec<u8>) {
        for i in 0..frames {
            let luma = luma(i);
            let mut changed = vec![0; luma.len()];
            b.compare(&luma, 10.0, &mut changed);
            b.follow(&luma, &changed, FRAME);
        }
    }

    #[test]
    fn what_stands_still_is_absorbed_within_half_a_minute_but_not_within_two_seconds() {
        let mut b = Background::default();
        b.begin(&[100; 300]);
        follow(&mut b, 10, |_| vec![160; 300]);
        assert_eq!(count(&b, &[160; 300]), 300);
        follow(&mut b, 140, |_| vec![160; 300]);
        assert_eq!(count(&b, &[160; 300]), 0);
    }

    #[test]
    fn what_passes_leaves_no_trace() {
        let mut b = Background::default();
        b.begin(&[100; 8]);
        follow(&mut b, 50, |_| vec![100; 8]);
        follow(&mut b, 6, |_| vec![180; 8]);
        assert_eq!(count(&b, &[100; 8]), 0);
    }

    #[test]
    fn noise_is_learnt() {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut noisy = |_| (0..1000).map(|_| 100 + rng.u8(0..40)).collect::<Vec<_>>();
        let mut b = Background::default();
        b.begin(&noisy(0));
        assert!(count(&b, &noisy(0)) > 200);
        follow(&mut b, 300, &mut noisy);
        assert!(count(&b, &noisy(0)) < 5);
    }

    #[test]
    fn relighting_moves_the_means_but_not_of_what_shines_by_itself() {
        let mut b = Background::default();
        b.begin(&[40, 100, 200, 90]);
        b.relight(&[72, 158, 250, 91], Relight { gain: 1.5, offset: 10.0 });
        assert_eq!(b.mean(), [70.0, 160.0, 255.0, 90.0]);
    }
}
