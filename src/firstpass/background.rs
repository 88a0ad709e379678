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
//! time without a line written for them; products are kept as their upper half, which both have. Three things
//! see to it that compilers find that: whole chunks have a length that is known, a product's halves are taken
//! apart ([`part`]), and what all samples are multiplied with lies in a row as long as a chunk ([`Row`]). A
//! single number would be widened to 32 bits before the loop, and with it every product in the loop. Where
//! vectors are wider, [`widest`] finds them.

mod changed;
mod compare;
mod follow;

use std::ops::Range;
use std::time::Duration;

pub(super) use self::changed::Changed;
use self::compare::{Compare, Limit, noise};
use self::follow::{Follow, Rates};
use super::light::Relight;
use super::shrink::widest;

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

/// The upper half of a product.
#[inline(always)]
fn upper(a: i16, b: i16) -> i16 {
    ((i32::from(a) * i32::from(b)) >> 16) as i16
}

/// `by` of `value`, rounded; `by` has 16 fraction bits. The halves of the product one by one: rounding it
/// whole would take 32 bits a sample.
#[inline(always)]
fn part(value: i16, by: i16) -> i16 {
    upper(value, by) + ((value.wrapping_mul(by) as u16) >> 15) as i16
}

/// One number for each sample of a chunk.
type Row = [i16; CHUNK];

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

    /// Marks changed samples in `changed`, which has the plane's size, and counts.
    pub(super) fn compare(&self, luma: &[u8], threshold: u8, changed: &mut Changed) -> Counts {
        let limit = Limit::new(threshold);
        widest(Compare { luma, model: (&self.mean, &self.deviation), limit, changed })
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
    pub(super) fn follow(&mut self, luma: &[u8], changed: &Changed, elapsed: Duration) {
        widest(Follow { background: self, luma, changed, elapsed, rates: &Rates::after(elapsed) });
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

#[cfg(test)]
mod tests;
