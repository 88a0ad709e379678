//! What the scene looks like when nothing moves, learnt sample by sample.
//!
//! Called by [`super::motion`]. Each sample of the small plane has a running mean and a running mean
//! deviation; a sample is *changed* when it leaves its mean by more than the threshold and [`NOISE`]
//! deviations. Noise, compression and swaying leaves end up in the deviation. All rates are by time,
//! so that 5 and 30 frames a second learn alike:
//! unchanged samples follow with [`FOLLOW`]; changed ones hardly at all ([`MOVING`]), unless they stand
//! still, when the thing that stopped (or the hole that one left) is absorbed with [`ABSORB`].
//!
//! The loops are over 16-bit integers and free of branches, so that SSE2 and NEON take eight samples at a
//! time without a line written for them; products are kept as their upper half, which both have.

use std::ops::Range;
use std::time::Duration;

use super::light::Relight;

/// Deviations above the threshold that count as noise. A mean absolute deviation is 0.8 standard
/// deviations of normal noise.
const NOISE: i16 = 4;
/// The rim of a thing fills its samples in part: it needs no more than this part of the threshold.
const RIM: i16 = 4;
/// Below this mean the threshold falls with the light, for what things reflect does too; a fifth of it
/// remains.
const DARK: f32 = 120.0;
const REMAINS: i16 = 5;
/// Time constants in seconds.
const FOLLOW: f32 = 3.0;
const ABSORB: f32 = 8.0;
const MOVING: f32 = 180.0;
/// Of the deviation: at unchanged samples, and at those that change again and again (a swaying branch).
/// What passes once teaches nothing, or a lane would go blind by its own traffic.
const DEVIATION: f32 = 12.0;
const UNREST: f32 = 12.0;
/// A sample that changed so often of late, in [`ONSET`]s, changes again and again; they fade with this
/// time constant.
const OFTEN: u8 = 4 * ONSET;
const ONSET: u8 = 32;
const FADE: f32 = 8.0;
/// They fade by steps, which whole numbers can hold.
const FADE_STEP: Duration = Duration::from_millis(500);
/// Of the short memory that tells standing still from moving.
const RECENT: f32 = 1.5;
/// A changed sample adds no more than this to the deviation's learning.
const MOST_DEVIATION: i16 = 24 << LEVEL;
const MOST_NOISE: i16 = 4 << LEVEL;
/// Levels from the short memory that still count as standing still.
const STILL: u16 = 6 << LEVEL;
/// Levels from the mean that count as a shift.
const SHIFT: i16 = 3 << (LEVEL - 1);

/// Fraction bits of means, and [`FINER`] more of deviations. Integers of 16 bits halve the memory of
/// the model and double the samples in a vector; 7 bits are the most that leave a sign to differences.
const LEVEL: u32 = 7;
const FINER: u32 = 3;
/// Samples that are compared or followed together; counts of them fit a byte.
const CHUNK: usize = 128;

/// A mean as the model keeps it, in grey levels.
pub(super) fn level(mean: i16) -> f32 {
    f32::from(mean) / (1 << LEVEL) as f32
}

/// The nearest mean to a grey level; out of range is cut off.
pub(super) fn from_level(level: f32) -> i16 {
    (level.clamp(0.0, 255.0) * (1 << LEVEL) as f32).round() as i16
}

/// `by` of `value`, rounded; `by` has 16 fraction bits. The halves of the product one by one: rounding it
/// whole would take 32 bits a sample.
#[inline(always)]
fn part(value: i16, by: i16) -> i16 {
    let product = i32::from(value) * i32::from(by);
    (product >> 16) as i16 + ((product as u16) >> 15) as i16
}

#[inline(always)]
fn sample(x: u8) -> i16 {
    i16::from(x) << LEVEL
}

/// A share with 16 fraction bits; a half is the most.
fn share(of_one: f32) -> i16 {
    (of_one * 65536.0).round().min(32767.0) as i16
}

/// The learnt scene. All planes have the small plane's size.
#[derive(Debug, Default)]
pub(super) struct Background {
    /// Below 255 levels each, so that differences fit 16 bits.
    mean: Vec<i16>,
    deviation: Vec<i16>,
    /// The short memory, of chunks that are `restless`; elsewhere the mean itself stands for it.
    recent: Vec<i16>,
    /// How often a sample began to be changed, of late; the lowest bit: it is changed.
    onsets: Vec<u8>,
    /// By chunk: did something change there in the last frame?
    restless: Vec<bool>,
    /// By chunk: how long ago its onsets were let fade.
    unfaded: Vec<Duration>,
    /// The means before the light changed last.
    before: Vec<i16>,
}

/// How many samples of a frame are not as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// They left the background.
    pub(super) changed: usize,
    /// They are brighter than their mean by 1.5 levels or more.
    pub(super) above: usize,
    /// Likewise darker.
    pub(super) below: usize,
}

/// How fast a frame is learnt, from the time since the last.
struct Rates {
    follow: i16,
    absorb: i16,
    moving: i16,
    calm: i16,
    unrest: i16,
    recent: i16,
}

impl Rates {
    fn after(elapsed: Duration) -> Self {
        let dt = elapsed.as_secs_f32();
        let rate = |tau: f32| share(1.0 - (-dt / tau).exp());
        Self {
            follow: rate(FOLLOW),
            absorb: rate(ABSORB),
            moving: rate(MOVING),
            calm: rate(DEVIATION),
            unrest: rate(UNREST),
            recent: rate(RECENT),
        }
    }
}

/// Thresholds from here on are alike: nothing reaches them.
const MOST_THRESHOLD: u8 = 250;
/// Eight times this fits 16 bits.
const SMALL: i16 = i16::MAX >> 3;

/// By how much a sample may leave its mean.
#[derive(Clone, Copy)]
struct Limit {
    most: i16,
    least: i16,
    slope: i16,
}

impl Limit {
    fn new(threshold: u8) -> Self {
        let most = sample(threshold.min(MOST_THRESHOLD));
        // 13 fraction bits, so that it fits whatever the threshold.
        let slope = (f32::from(threshold) / DARK * 8192.0) as i16;
        Self { most, least: most / REMAINS, slope }
    }

    #[inline(always)]
    fn at(self, mean: i16, deviation: i16) -> i16 {
        let eighth = ((i32::from(mean) * i32::from(self.slope)) >> 16) as i16;
        let limit = (eighth.min(SMALL) << 3).min(self.most).max(self.least);
        limit.saturating_add(noise(deviation))
    }
}

/// As far as noise goes.
#[inline(always)]
fn noise(deviation: i16) -> i16 {
    deviation / ((1 << FINER) / NOISE)
}

impl Background {
    /// Forgets everything and takes `luma` as the scene.
    pub(super) fn begin(&mut self, luma: &[u8]) {
        for plane in [&mut self.mean, &mut self.recent] {
            plane.clear();
            plane.extend(luma.iter().map(|&x| sample(x)));
        }
        self.deviation.clear();
        self.deviation.resize(luma.len(), 1 << (LEVEL + FINER));
        self.onsets.clear();
        self.onsets.resize(luma.len(), 0);
        let chunks = luma.len().div_ceil(CHUNK);
        self.restless.clear();
        self.restless.resize(chunks, false);
        self.unfaded.clear();
        self.unfaded.resize(chunks, Duration::ZERO);
    }

    /// Takes `luma` as the scene, and keeps what is known of the noise.
    pub(super) fn take(&mut self, luma: &[u8]) {
        for (mean, &x) in self.mean.iter_mut().zip(luma) {
            *mean = sample(x);
        }
        self.restless.fill(false);
    }

    /// Takes `weight` of `luma` into the scene, and learns the noise of this light from what is left; more
    /// than [`MOST_NOISE`] is something else.
    pub(super) fn average(&mut self, luma: &[u8], weight: f32) {
        let (weight, quick) = (share(weight), share(0.25));
        for ((mean, deviation), &x) in self.mean.iter_mut().zip(&mut self.deviation).zip(luma) {
            let off = sample(x) - *mean;
            *mean += part(off, weight);
            let spread = off.abs().min(MOST_NOISE) << FINER;
            *deviation += part(spread - *deviation, quick);
        }
    }

    /// Keeps the scene as it was before the light changed.
    pub(super) fn remember(&mut self) {
        self.before.clone_from(&self.mean);
    }

    /// Goes back to the remembered scene if `luma` shows it: all but `most` of its samples.
    pub(super) fn go_back(&mut self, luma: &[u8], threshold: u8, most: f32) -> bool {
        if self.before.len() != luma.len() {
            return false;
        }
        let limit = Limit::new(threshold);
        let model = self.before.iter().zip(&self.deviation);
        let off = |(&x, (&mean, &deviation)): (&u8, (&i16, &i16))| {
            (sample(x) - mean).abs() > limit.at(mean, deviation)
        };
        let left = luma.iter().zip(model).map(off).filter(|&left| left).count();
        let same = left as f32 <= most * luma.len() as f32;
        if same {
            std::mem::swap(&mut self.mean, &mut self.before);
            self.before.clear();
            self.restless.fill(false);
        }
        same
    }

    /// The learnt means; [`level`] reads them.
    pub(super) fn mean(&self) -> &[i16] {
        &self.mean
    }

    /// Marks changed samples with 1 in `changed`, which has the plane's size, and counts.
    pub(super) fn compare(&self, luma: &[u8], threshold: u8, changed: &mut [u8]) -> Counts {
        let limit = Limit::new(threshold);
        let model = self.mean.chunks(CHUNK).zip(self.deviation.chunks(CHUNK));
        let frame = luma.chunks(CHUNK).zip(changed.chunks_mut(CHUNK));
        let mut counts = Counts::default();
        for ((luma, changed), (mean, deviation)) in frame.zip(model) {
            let (mut all, mut above, mut below) = (0i16, 0i16, 0i16);
            for ((out, &x), (&mean, &deviation)) in
                changed.iter_mut().zip(luma).zip(mean.iter().zip(deviation))
            {
                let off = sample(x) - mean;
                let left = i16::from(off.abs() > limit.at(mean, deviation));
                *out = left as u8;
                all += left;
                above += i16::from(off >= SHIFT);
                below += i16::from(off <= -SHIFT);
            }
            // Each is at most the chunk's length.
            counts.changed += all as usize;
            counts.above += above as usize;
            counts.below += below as usize;
        }
        counts
    }

    /// Whether a sample left its mean as far as the rim of a thing does: by [`RIM`] of what
    /// [`Self::compare`] asks for beyond the noise, and by half of the noise.
    pub(super) fn rim(&self, luma: &[u8], threshold: u8) -> impl Fn(usize) -> bool {
        let limit = Limit::new(threshold);
        move |i| {
            let (Some(&x), Some(&mean), Some(&deviation)) =
                (luma.get(i), self.mean.get(i), self.deviation.get(i))
            else {
                return false;
            };
            let most = limit.at(mean, 0) / RIM;
            (sample(x) - mean).abs() > most.saturating_add(noise(deviation) / 2)
        }
    }

    /// Learns from a frame of which `changed` is known, `elapsed` after the last one.
    pub(super) fn follow(&mut self, luma: &[u8], changed: &[u8], elapsed: Duration) {
        let rates = Rates::after(elapsed);
        let frame = luma.chunks(CHUNK).zip(changed.chunks(CHUNK));
        let means = self.mean.chunks_mut(CHUNK).zip(self.deviation.chunks_mut(CHUNK));
        let short = self.recent.chunks_mut(CHUNK).zip(self.onsets.chunks_mut(CHUNK));
        let state = self.restless.iter_mut().zip(&mut self.unfaded);
        for ((luma, changed), ((mean, deviation), ((recent, onsets), (restless, unfaded)))) in
            frame.zip(means.zip(short.zip(state)))
        {
            *unfaded = unfaded.saturating_add(elapsed);
            let calm = changed.iter().fold(0, |any, c| any | c) == 0;
            if calm {
                follow_calm(luma, mean, deviation, &rates);
            } else {
                if !*restless {
                    recent.copy_from_slice(mean);
                }
                if *unfaded >= FADE_STEP {
                    fade(onsets, std::mem::take(unfaded));
                }
                count_onsets(onsets, changed);
                let short = Short { recent, onsets };
                follow_changed(luma, changed, mean, deviation, short, &rates);
            }
            *restless = !calm;
        }
    }

    /// Learns from a frame of which it is known that nothing should be taken for motion: `weight` of
    /// it, the rest from before.
    pub(super) fn learn(&mut self, luma: &[u8], weight: f32) {
        let weight = share(weight);
        self.restless.fill(false);
        for ((mean, deviation), &x) in self.mean.iter_mut().zip(&mut self.deviation).zip(luma) {
            let off = sample(x) - *mean;
            *mean += part(off, weight);
            let spread = off.abs().min(MOST_DEVIATION) << (FINER - 1);
            *deviation += part(spread - *deviation, weight);
        }
    }

    /// Moves the scene to another light: a mean takes its new value where that is nearer to `luma`.
    /// What shines by itself (a lit window at dusk) keeps its own.
    pub(super) fn relight(&mut self, luma: &[u8], to: Relight) {
        let model = self.mean.iter_mut().zip(&mut self.recent);
        for ((mean, recent), &x) in model.zip(luma) {
            let lit = from_level(to.of(level(*mean)));
            if (sample(x) - lit).abs() < (sample(x) - *mean).abs() {
                *mean = lit;
                *recent = from_level(to.of(level(*recent)));
            }
        }
    }

    /// How many of these samples change again and again: a branch that sways, glittering water.
    pub(super) fn restless(&self, parts: impl Iterator<Item = Range<usize>>) -> usize {
        let onsets = parts.filter_map(|part| self.onsets.get(part)).flatten();
        onsets.filter(|&&onsets| onsets >= OFTEN).count()
    }

    /// Takes a part of `luma` for the scene.
    pub(super) fn adopt(&mut self, luma: &[u8], part: Range<usize>) {
        let Some(luma) = luma.get(part.clone()) else { return };
        for plane in [&mut self.mean, &mut self.recent] {
            for (level, &x) in plane.get_mut(part.clone()).into_iter().flatten().zip(luma) {
                *level = sample(x);
            }
        }
    }
}

/// A chunk without a changed sample, which nearly all are.
fn follow_calm(luma: &[u8], mean: &mut [i16], deviation: &mut [i16], rates: &Rates) {
    for ((mean, deviation), &x) in mean.iter_mut().zip(deviation).zip(luma) {
        let off = sample(x) - *mean;
        *mean += part(off, rates.follow);
        let spread = off.abs().min(MOST_DEVIATION) << FINER;
        *deviation += part(spread - *deviation, rates.calm);
    }
}

/// Lets counts fade that were not since `elapsed`.
fn fade(onsets: &mut [u8], elapsed: Duration) {
    let left = (256.0 * (-elapsed.as_secs_f32() / FADE).exp()) as u16;
    for onset in onsets {
        *onset = ((u16::from(*onset) * left) >> 8) as u8 & !1 | *onset & 1;
    }
}

/// Counts which samples begin to be changed.
fn count_onsets(onsets: &mut [u8], changed: &[u8]) {
    for (onset, &changed) in onsets.iter_mut().zip(changed) {
        let began = changed & !*onset & 1;
        *onset = (*onset & !1).saturating_add(began * ONSET) & !1 | changed;
    }
}

/// What is remembered for a short time.
struct Short<'a> {
    recent: &'a mut [i16],
    onsets: &'a [u8],
}

fn follow_changed(
    luma: &[u8],
    changed: &[u8],
    mean: &mut [i16],
    deviation: &mut [i16],
    short: Short<'_>,
    rates: &Rates,
) {
    let short = short.recent.iter_mut().zip(short.onsets);
    let model = mean.iter_mut().zip(deviation).zip(short);
    for (((mean, deviation), (recent, &onsets)), (&x, &changed)) in
        model.zip(luma.iter().zip(changed))
    {
        let (off, since) = (sample(x) - *mean, sample(x) - *recent);
        let stands = since.unsigned_abs() < STILL;
        let learn = if stands { rates.absorb } else { rates.moving };
        let unrest = if onsets >= OFTEN { rates.unrest } else { 0 };
        let (learn, spread) =
            if changed == 0 { (rates.follow, rates.calm) } else { (learn, unrest) };
        *mean += part(off, learn);
        let far = off.abs().min(MOST_DEVIATION) << FINER;
        *deviation += part(far - *deviation, spread);
        *recent += part(since, rates.recent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(200);

    fn count(b: &Background, luma: &[u8]) -> usize {
        b.compare(luma, 10, &mut vec![0; luma.len()]).changed
    }

    fn follow(b: &mut Background, frames: usize, mut luma: impl FnMut(usize) -> Vec<u8>) {
        for i in 0..frames {
            let luma = luma(i);
            let mut changed = vec![0; luma.len()];
            b.compare(&luma, 10, &mut changed);
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
    fn a_rim_takes_a_part_of_what_a_thing_takes_and_more_than_noise() {
        let mut b = Background::default();
        b.begin(&[150; 300]);
        follow(&mut b, 300, |_| vec![150; 300]);
        let rims = |b: &Background, level: u8| b.rim(&[level; 300], 20)(7);
        assert_eq!([rims(&b, 155), rims(&b, 157), rims(&b, 143)], [false, true, true]);
        assert_eq!(count(&b, &[157; 300]), 0);
        let mut rng = fastrand::Rng::with_seed(4);
        follow(&mut b, 300, |_| (0..300).map(|_| 140 + rng.u8(0..21)).collect());
        assert!(!rims(&b, 157), "noise");
        assert!(!b.rim(&[200; 300], 20)(300), "outside of the plane");
    }

    #[test]
    fn relighting_moves_the_means_but_not_of_what_shines_by_itself() {
        let mut b = Background::default();
        b.begin(&[40, 100, 200, 90]);
        b.relight(&[72, 158, 250, 91], Relight { gain: 1.5, offset: 10.0 });
        let means: Vec<f32> = b.mean().iter().map(|&m| level(m)).collect();
        assert_eq!(means, [70.0, 160.0, 255.0, 90.0]);
    }
}
