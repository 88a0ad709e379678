//! Does a picture show anything that an earlier one does not? Pure.
//!
//! Both small planes are brought to means of 4×4 samples (32×32 pixels), in which a camera's noise is a
//! small part of a grey level. The earlier one is brought to the light of the later one by one gain and
//! one offset, fitted by least squares, then again without what does not fit, and what is cut off at black
//! or white is left out of the fit. What is then left in the *worst* block is the difference: one small
//! thing anywhere makes pictures differ, however alike the rest is. So when in doubt, they differ.
//!
//! Called by the watcher (`capture`) for pictures that are due and would be kept.

use crate::frame::Luma;

/// Samples of the small plane to a side of a block.
const BLOCK: usize = 4;
/// Levels nearer than this to black or white may be cut off.
const MARGIN: f32 = 4.0;
/// Light changes by at most this factor, else the pictures differ.
const GAIN: std::ops::RangeInclusive<f32> = 0.5..=2.0;

/// How alike pictures must be to count as the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Nothing that one would see differs.
    Same,
    /// What differs is small and faint: shadows, swaying leaves.
    Alike,
}

impl Likeness {
    /// Greatest difference of a block, in grey levels.
    fn most(self) -> f32 {
        match self {
            Self::Same => 4.0,
            Self::Alike => 12.0,
        }
    }

    /// Is the picture of `new` one that `old` makes needless?
    #[must_use]
    pub fn holds(self, old: &Signature, new: &Signature) -> bool {
        new.difference(old).is_some_and(|d| d <= self.most())
    }
}

/// What is remembered of a picture to compare others with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    shape: (usize, usize),
    means: Vec<f32>,
}

impl Signature {
    /// Of a small plane.
    #[must_use]
    pub fn of(luma: &Luma) -> Self {
        let (across, down) = (luma.width.div_ceil(BLOCK), luma.height.div_ceil(BLOCK));
        let mut sums = vec![(0_u32, 0_u32); across * down];
        for (y, row) in luma.data.chunks_exact(luma.width.max(1)).take(luma.height).enumerate() {
            for (part, block) in row.chunks(BLOCK).zip(&mut sums[y / BLOCK * across..]) {
                block.0 += part.iter().map(|&v| u32::from(v)).sum::<u32>();
                block.1 += part.len() as u32;
            }
        }
        let means = sums.iter().map(|&(sum, n)| sum as f32 / n.max(1) as f32).collect();
        Self { shape: (luma.width, luma.height), means }
    }

    /// Greatest difference of a block from `old` in this picture's light, in grey levels; `None` where
    /// they cannot be compared: another size, nothing to see, or a light too different.
    #[must_use]
    pub fn difference(&self, old: &Self) -> Option<f32> {
        if self.shape != old.shape || self.means.is_empty() {
            return None;
        }
        let fit = self.fit(old, |_| true)?;
        let residual = |fit: Fit, at: usize| (self.means[at] - fit.apply(old.means[at])).abs();
        let total: f32 = (0..self.means.len()).map(|at| residual(fit, at)).sum();
        // Twice: a thing that is new pulls the first fit towards itself.
        let usual = 2.0 * total / self.means.len() as f32 + 1.0;
        let fit = self.fit(old, |at| residual(fit, at) <= usual)?;
        Some((0..self.means.len()).map(|at| residual(fit, at)).fold(0.0, f32::max))
    }

    /// Least squares of this picture's blocks over the old one's, of those that may be used.
    fn fit(&self, old: &Self, used: impl Fn(usize) -> bool) -> Option<Fit> {
        let clear = |v: f32| (MARGIN..=255.0 - MARGIN).contains(&v);
        let pairs = || {
            let all = self.means.iter().zip(&old.means).enumerate();
            all.filter(|(at, (new, old))| clear(**new) && clear(**old) && used(*at))
                .map(|(_, (&new, &old))| (f64::from(old), f64::from(new)))
        };
        let (n, x, y) = pairs().fold((0.0, 0.0, 0.0), |(n, x, y), p| (n + 1.0, x + p.0, y + p.1));
        if n < 1.0 {
            // All black, or all white.
            return Some(Fit { gain: 1.0, offset: 0.0 });
        }
        let (x, y) = (x / n, y / n);
        let (xx, xy) = pairs().fold((0.0, 0.0), |(xx, xy), p| {
            (xx + (p.0 - x) * (p.0 - x), xy + (p.0 - x) * (p.1 - y))
        });
        // A picture without contrast has no gain to speak of.
        let gain = if xx < n { 1.0 } else { (xy / xx) as f32 };
        GAIN.contains(&gain).then_some(Fit { gain, offset: y as f32 - gain * x as f32 })
    }
}

/// How light changed from one picture to another.
#[derive(Clone, Copy, Debug)]
struct Fit {
    gain: f32,
    offset: f32,
}

impl Fit {
    fn apply(self, level: f32) -> f32 {
        (self.gain * level + self.offset).clamp(0.0, 255.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small plane of a 1280x720 picture: something at every level, with noise as a DC reader sees it.
    fn scene(seed: u64, noise: f32, light: impl Fn(f32) -> f32) -> Luma {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut luma = Luma::default();
        luma.reset(160, 90);
        for (i, v) in luma.data.iter_mut().enumerate() {
            let (x, y) = ((i % 160) as f32, (i / 160) as f32);
            let level = 110.0 + 60.0 * (x / 13.0).sin() * (y / 9.0).cos() + 20.0 * (x / 2.3).sin();
            let noise = noise * (rng.f32() + rng.f32() + rng.f32() - 1.5) * 2.0;
            *v = (light(level) + noise).round().clamp(0.0, 255.0) as u8;
        }
        luma
    }

    fn square(luma: &mut Luma, side: usize, by: i16) {
        for y in 40..40 + side {
            for v in &mut luma.data[y * 160 + 70..][..side] {
                *v = (i16::from(*v) + by).clamp(0, 255) as u8;
            }
        }
    }

    fn difference(a: &Luma, b: &Luma) -> Option<f32> {
        Signature::of(b).difference(&Signature::of(a))
    }

    #[test]
    fn noise_and_light_make_no_other_picture() {
        let first = scene(1, 1.5, |v| v);
        assert_eq!(difference(&first, &first), Some(0.0));
        let (same, alike) = (Likeness::Same.most(), Likeness::Alike.most());
        for (what, light, most) in [
            ("the same", (|v| v) as fn(f32) -> f32, same),
            ("brighter", |v| v + 25.0, same),
            ("darker", |v| v * 0.7, same),
            ("less contrast", |v| v * 0.6 + 60.0, same),
            // Blocks that are cut off in part fit no light.
            ("cut off at white", |v| v * 1.5 + 20.0, alike),
            ("cut off at black", |v| v * 1.2 - 60.0, alike),
        ] {
            let other = scene(2, 1.5, light);
            let found = difference(&first, &other).unwrap();
            assert!(found <= most, "{what}: {found}");
        }
    }

    #[test]
    fn one_small_thing_makes_another_picture_in_any_light() {
        let first = scene(1, 3.0, |v| v);
        for by in [-40, 30, 60] {
            for light in [(|v| v) as fn(f32) -> f32, |v| v * 0.7 + 10.0] {
                let mut other = scene(2, 3.0, light);
                square(&mut other, 4, by);
                let found = difference(&first, &other).unwrap();
                assert!(found > Likeness::Same.most(), "{by}: {found}");
            }
        }
        let mut large = scene(2, 3.0, |v| v);
        square(&mut large, 45, 70);
        assert!(difference(&first, &large).unwrap() > Likeness::Alike.most());
    }

    #[test]
    fn faint_and_small_changes_are_alike_but_not_the_same() {
        let first = scene(1, 2.0, |v| v);
        let mut other = scene(2, 2.0, |v| v);
        square(&mut other, 6, 9);
        let (old, new) = (Signature::of(&first), Signature::of(&other));
        assert!(Likeness::Alike.holds(&old, &new) && !Likeness::Same.holds(&old, &new));
    }

    #[test]
    fn another_size_another_light_and_nothing_are_not_the_same() {
        let first = scene(1, 0.0, |v| v);
        assert_eq!(difference(&first, &Luma::default()), None);
        assert_eq!(difference(&Luma::default(), &Luma::default()), None);
        assert_eq!(difference(&first, &scene(1, 0.0, |v| 255.0 - v)), None, "a negative");
        assert_eq!(difference(&first, &scene(1, 0.0, |_| 110.0)), None, "fog");
        let black = scene(1, 0.0, |_| 0.0);
        assert_eq!(difference(&black, &black), Some(0.0), "two dark nights");
        assert!(difference(&black, &first).is_none_or(|d| d > 12.0), "and a day");
    }
}
