//! Light: telling a lamp, a cloud or the camera's own exposure from things that move.
//!
//! Called by [`super::motion`] with the plane, the learnt means and the changed samples. New light
//! multiplies and shifts what is there; a thing covers it. So a gain and an offset are fitted robustly
//! to the whole plane; if they explain most of what changed, it was light. For light on a part of the
//! scene (a lamp's cone, a shadow) the same is asked of each moving blob: it is light when the texture
//! below is still there.

use std::ops::Range;

use super::background::{Counts, level};

/// Above this share of changed samples no fit is needed: nothing that moves fills the picture at once.
const EVERYTHING: f32 = 0.6;
/// From this share on a change is worth a fit, and may be called a change of light.
const MUCH: f32 = 0.10;
/// A median shift below this many levels is noise.
const DRIFT: f32 = 1.5;
/// Every n-th sample is looked at; prime, so that columns do not repeat.
const STRIDE: usize = 5;
/// Texture below a blob, as root mean square of the differences of neighbours, needed to say that it
/// shines through.
const TEXTURE: f64 = 3.0;
/// Correlation with the texture below from which on a blob is light. A thing's own texture has none
/// with what it covers.
const SAME_TEXTURE: f64 = 0.7;
/// Light that comes little by little changes by less than this many levels from a frame to one some
/// 200 ms later. The edges of what moves change by its contrast.
const GRADUAL: f32 = 8.0;
/// Smaller changes than this are noise.
const NOISE: f32 = 3.0;
/// Levels at which a sensor clips; clipped samples tell nothing about gain.
const CLIPPED: Range<u8> = 4..251;

/// `x = gain · mean + offset`
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Relight {
    pub(super) gain: f32,
    pub(super) offset: f32,
}

impl Relight {
    /// A mean in the new light.
    pub(super) fn of(self, mean: f32) -> f32 {
        (self.gain * mean + self.offset).clamp(0.0, 255.0)
    }
}

/// What became of the light between the learnt scene and a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Light {
    /// Nothing worth speaking of.
    Same,
    /// It drifts (a cloud, exposure): move the model, look again.
    Drift(Relight),
    /// It changed at once and explains what changed: move the model.
    Changed(Relight),
    /// All is different and no light explains it: begin anew.
    Everything,
}

/// Judges a frame of which `changed` samples left the background.
pub(super) fn judge(luma: &[u8], mean: &[i16], counts: Counts, threshold: u8) -> Light {
    let share = counts.changed as f32 / luma.len().max(1) as f32;
    // The median is worth finding only when more than half of the samples went one way; hardly ever.
    if share < MUCH && counts.above.max(counts.below) * 2 < luma.len() {
        return Light::Same;
    }
    let shift = median_shift(luma, mean);
    if share < MUCH && shift.abs() < DRIFT {
        return Light::Same;
    }
    let fit = fit(luma, mean, shift);
    let left = unexplained(luma, mean, fit, f32::from(threshold));
    if share >= MUCH && left < share * 0.35 {
        Light::Changed(fit)
    } else if share >= EVERYTHING {
        Light::Everything
    } else if shift.abs() >= DRIFT {
        Light::Drift(fit)
    } else {
        Light::Same
    }
}

fn sampled<'a>(luma: &'a [u8], mean: &'a [i16]) -> impl Iterator<Item = (u8, f32)> + 'a {
    luma.iter().zip(mean).step_by(STRIDE).map(|(&x, &m)| (x, level(m)))
}

/// Median of how far samples are from their means, in whole levels.
fn median_shift(luma: &[u8], mean: &[i16]) -> f32 {
    let mut histogram = [0u32; 512];
    let mut total = 0;
    for (x, m) in sampled(luma, mean) {
        // Means are 0..=255, so that the difference and a half lies in 0..512 around 256.
        let bin = (f32::from(x) - m + 256.5) as usize & 511;
        histogram[bin] += 1;
        total += 1;
    }
    let mut below = 0;
    let middle = histogram.iter().position(|&n| {
        below += n;
        below * 2 > total
    });
    middle.map_or(0.0, |bin| bin as f32 - 256.0)
}

/// Least squares from the median shift on, three times without the samples that fit worst.
fn fit(luma: &[u8], mean: &[i16], shift: f32) -> Relight {
    let mut fit = Relight { gain: 1.0, offset: shift };
    for _ in 0..3 {
        let error = |&(x, m): &(u8, f32)| (f32::from(x) - fit.of(m)).abs();
        let (sum, count) =
            sampled(luma, mean).fold((0.0, 0.0), |(s, n), p| (s + error(&p), n + 1.0));
        let tolerance = (2.0 * sum / f32::max(count, 1.0)).max(6.0);
        let mut line = Moments::default();
        for pair in sampled(luma, mean) {
            if CLIPPED.contains(&pair.0) && error(&pair) < tolerance {
                line.add(pair.1, f32::from(pair.0));
            }
        }
        match line.regression() {
            Some(better) => fit = better,
            None => break,
        }
    }
    fit
}

/// Share of samples that the fit leaves changed.
fn unexplained(luma: &[u8], mean: &[i16], fit: Relight, threshold: f32) -> f32 {
    let (mut left, mut count) = (0u32, 0u32);
    for (x, m) in sampled(luma, mean) {
        left += u32::from((f32::from(x) - fit.of(m)).abs() > threshold);
        count += 1;
    }
    left as f32 / count.max(1) as f32
}

/// Is this blob, given by its runs of samples, the scene below in another light? Light need not be even
/// over a blob (a lamp's cone fades), so it is differences of neighbours that are correlated.
pub(super) fn shines_through(
    luma: &[u8],
    mean: &[i16],
    runs: impl Iterator<Item = Range<usize>>,
) -> bool {
    let (mut seen, mut below, mut both, mut count) = (0.0, 0.0, 0.0, 0.0);
    for run in runs {
        let (xs, ms) = (luma.get(run.clone()), mean.get(run));
        let (xs, ms) = (xs.unwrap_or_default(), ms.unwrap_or_default());
        for (x, m) in xs.windows(2).zip(ms.windows(2)) {
            let dx = f64::from(x[1]) - f64::from(x[0]);
            let dm = f64::from(level(m[1]) - level(m[0]));
            seen += dx * dx;
            below += dm * dm;
            both += dx * dm;
            count += 1.0;
        }
    }
    let textured = below > TEXTURE * TEXTURE * count;
    textured && both > SAME_TEXTURE * (seen * below).sqrt()
}

/// How many samples of this blob came at once, since the `earlier` plane: half of what sets them off
/// their mean is new. [`GRADUAL`] is enough, and less than [`NOISE`] is nothing.
pub(super) fn sudden(
    luma: &[u8],
    earlier: &[u8],
    mean: &[i16],
    runs: impl Iterator<Item = Range<usize>>,
) -> usize {
    let mut sudden = 0;
    for run in runs {
        let (xs, es, ms) = (luma.get(run.clone()), earlier.get(run.clone()), mean.get(run));
        let planes = xs.unwrap_or_default().iter().zip(es.unwrap_or_default());
        for ((&x, e), &m) in planes.zip(ms.unwrap_or_default()) {
            let off = (f32::from(x) - level(m)).abs();
            let limit = (off / 2.0).clamp(NOISE, GRADUAL);
            sudden += usize::from(f32::from(x.abs_diff(*e)) >= limit);
        }
    }
    sudden
}

/// Is the light the same as in the `earlier` plane, or does it drift so slowly that the model can follow?
/// Things may move meanwhile, in a part of the picture.
pub(super) fn is_steady(luma: &[u8], earlier: &[u8]) -> bool {
    let (mut moved, mut sum) = (0usize, 0i64);
    for (&x, &e) in luma.iter().zip(earlier) {
        moved += usize::from(x.abs_diff(e) >= 8);
        sum += i64::from(x) - i64::from(e);
    }
    let count = luma.len().min(earlier.len());
    moved * 7 <= count && sum.unsigned_abs() as usize <= 3 * count
}

/// Sums for a line through points.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    n: f64,
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
}

impl Moments {
    fn add(&mut self, a: f32, b: f32) {
        let (a, b) = (f64::from(a), f64::from(b));
        self.n += 1.0;
        self.a += a;
        self.b += b;
        self.aa += a * a;
        self.ab += a * b;
    }

    /// `None` with too few or too uniform points for a slope.
    fn regression(&self) -> Option<Relight> {
        // Variance and covariance, times n².
        let variance = self.n * self.aa - self.a * self.a;
        let covariance = self.n * self.ab - self.a * self.b;
        if self.n < 16.0 || variance < self.n * self.n {
            return None;
        }
        let gain = (covariance / variance).clamp(0.1, 10.0);
        let offset = (self.b - gain * self.a) / self.n;
        Some(Relight { gain: gain as f32, offset: offset as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::background::from_level;
    use super::*;

    fn scene() -> Vec<i16> {
        let mut rng = fastrand::Rng::with_seed(5);
        (0..4000).map(|i| from_level(40.0 + (i % 80) as f32 + 30.0 * rng.f32())).collect()
    }

    fn seen(mean: &[i16], f: impl Fn(usize, f32) -> f32) -> Vec<u8> {
        let lit = |(i, &m)| f(i, level(m)).clamp(0.0, 255.0).round() as u8;
        mean.iter().enumerate().map(lit).collect()
    }

    fn judged(f: impl Fn(usize, f32) -> f32) -> Light {
        let mean = scene();
        let luma = seen(&mean, f);
        let off: Vec<f32> =
            luma.iter().zip(&mean).map(|(&x, &m)| f32::from(x) - level(m)).collect();
        let count = |f: fn(f32) -> bool| off.iter().filter(|&&o| f(o)).count();
        let counts = Counts {
            changed: count(|o| o.abs() > 12.0),
            above: count(|o| o >= 1.5),
            below: count(|o| o <= -1.5),
        };
        judge(&luma, &mean, counts, 12)
    }

    #[test]
    fn a_lamp_is_light_with_its_gain_and_offset() {
        let Light::Changed(fit) = judged(|_, m| 1.4 * m + 20.0) else { panic!("not light") };
        assert!((fit.gain - 1.4).abs() < 0.02 && (fit.offset - 20.0).abs() < 2.0, "{fit:?}");
        assert!(matches!(judged(|_, m| 0.3 * m), Light::Changed(_)));
    }

    #[test]
    fn a_cloud_is_drift_and_a_large_thing_is_neither() {
        assert!(matches!(judged(|_, m| m * 0.95), Light::Drift(_)));
        assert_eq!(judged(|i, m| if i % 4000 < 1400 { 230.0 } else { m }), Light::Same);
        assert_eq!(judged(|_, m| m), Light::Same);
    }

    #[test]
    fn another_scene_is_everything() {
        assert_eq!(judged(|i, _| if i / 20 % 2 == 0 { 250.0 } else { 0.0 }), Light::Everything);
    }

    #[test]
    fn a_lit_texture_shines_through_and_a_thing_does_not() {
        let mean = scene();
        let lit = seen(&mean, |i, m| (1.2 + (i % 80) as f32 / 80.0) * m);
        let person = seen(&mean, |i, _| 90.0 + (i / 7 % 5) as f32 * 20.0);
        let runs = || [100..180, 300..370].into_iter();
        assert!(shines_through(&lit, &mean, runs()));
        assert!(!shines_through(&person, &mean, runs()));
        assert!(
            !shines_through(&lit, &[from_level(80.0); 4000], runs()),
            "nothing below to shine through"
        );
    }
}
