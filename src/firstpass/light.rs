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
/// Mean level up to which it is dark somewhere.
const DARK: f32 = 64.0;
/// An outline is in the one picture when it is so many times as strong there as in the other.
const OUTLINE: f32 = 2.0;
/// Share of samples that show what is beside them, and share of their differences that one shift explains.
const SHIFTED: f32 = 0.7;
const ONE_SHIFT: f32 = 0.4;
/// Levels by which a shifted sample may lie beyond its neighbours.
const BETWEEN: f32 = 3.0;
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
    let mut texture = Texture::default();
    for run in runs {
        let (xs, ms) = (luma.get(run.clone()), mean.get(run));
        texture.add(xs.unwrap_or_default(), ms.unwrap_or_default());
    }
    texture.below > TEXTURE * TEXTURE * texture.count && texture.is_same(SAME_TEXTURE)
}

/// Does this blob, given by its runs of samples, hide the scene below? It does where its texture is another.
/// Without any texture, in it and below, it does unless it is brighter where it was dark: there light
/// that comes on is seen.
pub(super) fn hides(luma: &[u8], mean: &[i16], runs: impl Iterator<Item = Range<usize>>) -> bool {
    let (mut texture, mut count, mut brighter, mut behind) = (Texture::default(), 0, 0, 0.0);
    for run in runs {
        let (xs, ms) = (luma.get(run.clone()), mean.get(run));
        let (xs, ms) = (xs.unwrap_or_default(), ms.unwrap_or_default());
        texture.add(xs, ms);
        for (&x, &m) in xs.iter().zip(ms) {
            count += 1;
            brighter += usize::from(f32::from(x) > level(m));
            behind += level(m);
        }
    }
    let shone_on = brighter * 10 >= count * 9 && behind < DARK * count as f32;
    !shone_on && !texture.is_same(SAME_TEXTURE)
}

/// Is this blob the place that a thing left, which had been taken for the scene? The outline of what is there
/// is seen in the frame, that of what is gone in the learnt scene.
pub(super) fn is_left(
    luma: &[u8],
    mean: &[i16],
    width: usize,
    runs: impl Iterator<Item = Range<usize>>,
) -> bool {
    let (mut seen, mut learnt) = (0.0, 0.0);
    let mut across = |inside: usize, outside: usize| {
        let (Some(&x), Some(&y)) = (luma.get(inside), luma.get(outside)) else { return };
        let (Some(&m), Some(&n)) = (mean.get(inside), mean.get(outside)) else { return };
        seen += f32::from(x.abs_diff(y));
        learnt += (level(m) - level(n)).abs();
    };
    for run in runs {
        let column = run.start % width.max(1);
        // A sample on the outline is half of each.
        if column >= 2 {
            across((run.start + 1).min(run.end - 1), run.start - 2);
        }
        if column + run.len() + 2 <= width {
            across(run.end.saturating_sub(2).max(run.start), run.end + 1);
        }
    }
    learnt > OUTLINE * seen
}

/// Does this blob show the scene itself, shifted by less than a sample? Its samples show what is seen beside
/// them, or something between, and one shift explains most of how they differ from the learnt scene. A
/// branch that sways and a mast that trembles do that.
pub(super) fn is_shifted(
    luma: &[u8],
    mean: &[i16],
    width: usize,
    runs: impl Iterator<Item = Range<usize>>,
) -> bool {
    let (mut between, mut count, mut flow) = (0, 0, Flow::default());
    for i in runs.flatten() {
        count += 1;
        let (Some(&x), Some(y)) = (luma.get(i), i.checked_sub(width)) else { continue };
        let row = |i: usize| mean.get(i.saturating_sub(1)..i + 2);
        let (Some(above), Some(here), Some(below)) = (row(y), row(i), row(i + width)) else {
            continue;
        };
        let near = [above, here, below].into_iter().flatten();
        let (least, most) = near.fold((i16::MAX, i16::MIN), |(a, b), &m| (a.min(m), b.max(m)));
        let x = f32::from(x);
        between += usize::from(x >= level(least) - BETWEEN && x <= level(most) + BETWEEN);
        let slope = |from: i16, to: i16| (level(to) - level(from)) / 2.0;
        flow.add(slope(here[0], here[2]), slope(above[1], below[1]), x - level(here[1]));
    }
    between as f32 > SHIFTED * count as f32 && flow.explained() > ONE_SHIFT
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

/// Sums for the shift that explains differences from the learnt scene by its slopes.
#[derive(Clone, Copy, Debug, Default)]
struct Flow {
    xx: f32,
    xy: f32,
    yy: f32,
    xd: f32,
    yd: f32,
    dd: f32,
}

impl Flow {
    fn add(&mut self, x: f32, y: f32, d: f32) {
        self.xx += x * x;
        self.xy += x * y;
        self.yy += y * y;
        self.xd += x * d;
        self.yd += y * d;
        self.dd += d * d;
    }

    /// Share of the squared differences that the best shift explains: least squares.
    fn explained(self) -> f32 {
        let det = self.xx * self.yy - self.xy * self.xy;
        if det <= f32::EPSILON * self.xx * self.yy || self.dd <= 0.0 {
            let (slope, both) =
                if self.xx > self.yy { (self.xx, self.xd) } else { (self.yy, self.yd) };
            return both * both / (slope * self.dd).max(f32::MIN_POSITIVE);
        }
        let (u, v) = (self.yy * self.xd - self.xy * self.yd, self.xx * self.yd - self.xy * self.xd);
        (u * self.xd + v * self.yd) / (det * self.dd)
    }
}

/// Sums of squared differences of neighbours, in a frame and in the scene below.
#[derive(Clone, Copy, Debug, Default)]
struct Texture {
    seen: f64,
    below: f64,
    both: f64,
    count: f64,
}

impl Texture {
    fn add(&mut self, luma: &[u8], mean: &[i16]) {
        for (x, m) in luma.windows(2).zip(mean.windows(2)) {
            let dx = f64::from(x[1]) - f64::from(x[0]);
            let dm = f64::from(level(m[1]) - level(m[0]));
            self.seen += dx * dx;
            self.below += dm * dm;
            self.both += dx * dm;
            self.count += 1.0;
        }
    }

    /// Are the two correlated by more than this?
    fn is_same(&self, correlation: f64) -> bool {
        self.both > correlation * (self.seen * self.below).sqrt()
    }
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

    const WIDTH: usize = 20;

    /// Two rows of a thing at columns 8 to 12, in a plane of three rows.
    fn rows() -> impl Iterator<Item = Range<usize>> {
        [8..12, 28..32].into_iter()
    }

    fn middle() -> impl Iterator<Item = Range<usize>> {
        std::iter::once(24..36)
    }

    fn plane(f: impl Fn(usize) -> f32) -> (Vec<u8>, Vec<i16>) {
        let levels = (0..3 * WIDTH).map(|i| f(i % WIDTH));
        levels.map(|l| (l.round() as u8, from_level(l))).unzip()
    }

    #[test]
    fn a_scene_shifted_by_part_of_a_sample_is_told_from_a_thing() {
        let (_, mean) = plane(|x| 100.0 + 6.0 * x as f32);
        let (swayed, _) = plane(|x| 103.0 + 6.0 * x as f32);
        let (thing, _) = plane(|_| 230.0);
        assert!(is_shifted(&swayed, &mean, WIDTH, middle()));
        assert!(!is_shifted(&thing, &mean, WIDTH, middle()));
        let (flat, _) = plane(|_| 157.0);
        let (_, waves) = plane(|x| 157.0 + if x % 2 == 0 { 30.0 } else { -30.0 });
        assert!(!is_shifted(&flat, &waves, WIDTH, middle()), "between, but not by a shift");
        assert!(!is_shifted(&thing, &mean, WIDTH, std::iter::once(58..70)), "beyond the plane");
    }

    #[test]
    fn the_place_that_a_thing_left_has_its_outline_in_the_learnt_scene_alone() {
        let (bare, bare_mean) = plane(|x| 100.0 + x as f32);
        let (thing, thing_mean) =
            plane(|x| if (8..12).contains(&x) { 30.0 } else { 100.0 + x as f32 });
        assert!(is_left(&bare, &thing_mean, WIDTH, rows()));
        assert!(!is_left(&thing, &bare_mean, WIDTH, rows()));
        assert!(!is_left(&bare, &thing_mean, WIDTH, std::iter::once(58..70)), "beyond the plane");
    }

    #[test]
    fn a_thing_hides_what_is_behind_it_and_light_does_not() {
        let (_, wall) = plane(|x| 120.0 + 30.0 * (x as f32 * 1.7).sin());
        let (lit, _) = plane(|x| 60.0 + 15.0 * (x as f32 * 1.7).sin());
        let (person, _) = plane(|x| 90.0 - 30.0 * (x % 2) as f32);
        assert!(hides(&person, &wall, rows()));
        assert!(!hides(&lit, &wall, rows()), "a shadow");
        let (dark, by_night) = plane(|_| 20.0);
        let (pane, _) = plane(|_| 120.0);
        assert!(!hides(&pane, &by_night, rows()), "a window");
        let (_, by_day) = plane(|_| 120.0);
        assert!(hides(&dark, &by_day, rows()), "a parcel");
    }
}
