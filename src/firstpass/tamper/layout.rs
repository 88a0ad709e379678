//! Where a scene has edges, and whether it still has them there.
//!
//! Once a second the scene that the motion model has learnt, free of noise and of what moves, is held
//! against one that follows it slowly, in tiles. Light changes how strong the differences of neighbours are,
//! and hardly their pattern: so of each tile that had texture it is asked whether there still is some, and
//! whether it correlates with what was there. The sun's shadows wander more slowly than this learns.

use std::time::Duration;

use super::Verdict;
use super::tiles::{ACROSS, Sums, Tiles};
use crate::clock::BootTime;
use crate::firstpass::shrink::{Loops, widest};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// Looks before anything is said.
const WARM: u32 = 30;
/// The share of each look that is learnt: a time constant of five minutes.
const RATE: f32 = 1.0 / 300.0;
/// A view that has been another for so long is the scene.
pub(super) const ACCEPT: Duration = Duration::from_secs(3600);
/// Rows of tiles.
const DOWN: usize = 6;
/// Fewest tiles with texture that can say anything.
const FEWEST: usize = 6;
/// Root mean square of the differences of neighbours, in grey levels: of a tile with texture, and of one
/// that has lost it for certain.
const TEXTURE: f32 = 2.5;
const NOTHING: f32 = 0.6;
/// A tile has lost its texture when so little of it is left, in the same light.
const LEFT: f32 = 0.2;
/// Correlation of a tile's differences then and now: the same, and another.
const SAME: f32 = 0.5;
const OTHER: f32 = 0.3;
/// Grey levels are kept with so many fractions.
const LEVEL: f32 = 128.0;

/// One camera's layout.
#[derive(Debug, Default)]
pub(super) struct Layout {
    learnt: Vec<f32>,
    brightness: f32,
    looks: u32,
    looked: Option<BootTime>,
    /// Since when the view is another.
    other_since: Option<BootTime>,
    covered: Verdict,
    moved: Verdict,
    tiles: Tiles,
}

/// How many tiles had texture, and of them, how many have lost it, show the same, and show another.
#[derive(Clone, Copy, Debug, Default)]
struct Votes {
    textured: usize,
    lost: usize,
    same: usize,
    other: usize,
}

impl Layout {
    pub(super) fn covered(&self) -> Verdict {
        self.covered
    }

    pub(super) fn moved(&self) -> Verdict {
        self.moved
    }

    /// Looks at a scene `width` samples wide, if it is time.
    pub(super) fn look(&mut self, scene: &[i16], width: usize, brightness: f32, at: BootTime) {
        if self.learnt.len() != scene.len() {
            *self =
                Self { learnt: scene.iter().map(|&m| f32::from(m)).collect(), ..Self::default() };
            self.brightness = brightness;
        }
        if self.looked.is_some_and(|looked| at.since(looked) < EVERY) || width < ACROSS * 2 {
            return;
        }
        self.looked = Some(at);
        self.looks = self.looks.saturating_add(1);
        let votes = self.vote(scene, width, brightness);
        if self.looks >= WARM {
            self.judge(votes);
        }
        let wrong = self.covered == Verdict::Bad || self.moved == Verdict::Bad;
        let since = *self.other_since.get_or_insert(at);
        match wrong {
            true if at.since(since) >= ACCEPT => *self = Self::default(),
            true => {}
            false => {
                self.other_since = None;
                let rate = f32::max(RATE, 1.0 / self.looks as f32);
                widest(Learn { learnt: &mut self.learnt, scene, rate });
                self.brightness += (brightness - self.brightness) * rate;
            }
        }
    }

    fn judge(&mut self, Votes { textured, lost, same, other }: Votes) {
        (self.covered, self.moved) = (Verdict::Unsure, Verdict::Unsure);
        if textured < FEWEST {
            return;
        }
        let seen = textured - lost;
        self.covered = Verdict::of(lost * 5 >= textured * 4, lost * 5 <= textured * 2);
        if seen * 3 >= textured {
            self.moved = Verdict::of(other * 5 >= seen * 3, same * 2 >= seen);
        }
    }

    fn vote(&mut self, scene: &[i16], width: usize, brightness: f32) -> Votes {
        let rows = scene.len() / width;
        let light = (brightness / self.brightness.max(1.0)).min(1.0);
        let span = |n: usize, of: usize, all: usize| n * all / of..(n + 1) * all / of;
        // The last row and column have no neighbours.
        let columns = std::array::from_fn(|i| span(i, ACROSS, width - 1));
        let mut votes = Votes::default();
        for j in 0..DOWN {
            let ys = span(j, DOWN, rows.saturating_sub(1));
            let with_below = ys.start * width..(ys.end + 1).min(rows) * width;
            let (then, now) = (&self.learnt[with_below.clone()], &scene[with_below]);
            let sums = self.tiles.sums((then, now), width, &columns);
            for (sums, xs) in sums.into_iter().zip(&columns) {
                votes.add(sums, (2 * xs.len() * ys.len()) as f32, light);
            }
        }
        votes
    }
}

/// Takes `rate` of a scene into the learnt one.
struct Learn<'a> {
    learnt: &'a mut [f32],
    scene: &'a [i16],
    rate: f32,
}

impl Loops for Learn<'_> {
    type Out = ();

    #[inline(always)]
    fn run(self) {
        for (learnt, &m) in self.learnt.iter_mut().zip(self.scene) {
            *learnt += (f32::from(m) - *learnt) * self.rate;
        }
    }
}

impl Votes {
    /// One more tile, and how many differences are in its sums.
    fn add(&mut self, Sums { then, now, both }: Sums, count: f32, light: f32) {
        let rms = |squares: f32| (squares / f32::max(count, 1.0)).sqrt() / LEVEL;
        if rms(then) < TEXTURE {
            return;
        }
        self.textured += 1;
        let correlation = both / (then * now).sqrt().max(1.0);
        if rms(now) < f32::max(NOTHING, LEFT * light * rms(then)) {
            self.lost += 1;
        } else if correlation > SAME {
            self.same += 1;
        } else if correlation < OTHER {
            self.other += 1;
        }
    }
}
