//! Motion on the small luma plane: when the model may be believed, and what it says.
//!
//! Called by [`super::FirstPass`] with each frame's plane. Three phases: *warming* (the first frames,
//! and after a change of size), *settling* (after a change of light) and *watching*. Only watching
//! tells of motion, so neither a start nor a lamp is an event.

use std::time::Duration;

use super::background::Background;
use super::blobs::Finder;
use super::light::{self, Light};
use super::{MotionSettings, Observation, zones};
use crate::clock::BootTime;
use crate::frame::Luma;

/// The scene is learnt in so many frames and at least this time.
const WARM_FRAMES: u32 = 10;
const WARM_TIME: Duration = Duration::from_secs(1);
/// Lamps take a moment to come up and exposure to follow.
const SETTLE_FRAMES: u32 = 4;
const SETTLE_TIME: Duration = Duration::from_millis(1200);
/// Weight of each new frame while settling.
const SETTLE_WEIGHT: f32 = 0.4;
/// Longest time between two frames that is believed: after a stalled camera one frame must not teach
/// the model a minute's worth.
const LONGEST_STEP: Duration = Duration::from_secs(2);
/// Blobs from this share of the plane on are asked whether they are light; smaller ones have too little
/// texture below them to tell.
const LARGE: f32 = 0.004;
/// From this share of the plane on, light on a part of the scene is a change of light for all of it:
/// what it throws about (lit window frames, edges of its cone) is not motion either.
const BRIGHT: f32 = 0.05;
/// The light counts as unsteady for so long after it was last seen to change. While it is, small blobs
/// too may be light: a lit window pales at dawn, which no gain and offset of the whole scene explain.
const UNSTEADY: Duration = Duration::from_secs(4);
/// Such light changes by less than this many levels from a frame to one at least [`STEP`] later. The
/// edges of what moves change by its contrast.
const GRADUAL: u8 = 8;
const STEP: Duration = Duration::from_millis(190);
/// Samples that a moving thing has at least, whatever the settings say.
const FEWEST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Warming { since: BootTime, frames: u32 },
    Settling { since: BootTime, frames: u32 },
    Watching,
}

/// The motion detector of one camera.
#[derive(Debug)]
pub(super) struct Motion {
    settings: MotionSettings,
    /// Size of the small plane; nothing before the first frame.
    shape: (usize, usize),
    zone: Vec<u8>,
    /// Samples in the zone.
    watched: usize,
    background: Background,
    changed: Vec<u8>,
    finder: Finder,
    phase: Phase,
    last: BootTime,
    unsteady: Option<BootTime>,
    earlier: Earlier,
}

/// A plane of a moment ago, and one of a moment before that: the older one is at least [`STEP`] old.
#[derive(Debug, Default)]
struct Earlier {
    old: Vec<u8>,
    new: Vec<u8>,
    taken: BootTime,
}

impl Earlier {
    fn keep(&mut self, luma: &[u8], at: BootTime) {
        if self.new.len() == luma.len() && at.since(self.taken) < STEP {
            return;
        }
        std::mem::swap(&mut self.old, &mut self.new);
        self.new.clear();
        self.new.extend_from_slice(luma);
        self.taken = at;
    }

    /// The newest plane that is at least [`STEP`] old.
    fn plane(&self, at: BootTime) -> &[u8] {
        if at.since(self.taken) < STEP { &self.old } else { &self.new }
    }
}

impl Motion {
    pub(super) fn new(settings: MotionSettings) -> Self {
        Self {
            settings,
            shape: (0, 0),
            zone: Vec::new(),
            watched: 0,
            background: Background::default(),
            changed: Vec::new(),
            finder: Finder::default(),
            phase: Phase::Watching,
            last: BootTime(0),
            unsteady: None,
            earlier: Earlier { taken: BootTime(0), ..Earlier::default() },
        }
    }

    /// Looks at one plane of a frame of `size` pixels, taken `at`.
    pub(super) fn watch(&mut self, luma: &Luma, size: (u32, u32), at: BootTime) -> Observation {
        let elapsed = at.since(self.last).min(LONGEST_STEP);
        self.last = at;
        let seen = self.step(luma, size, at, elapsed);
        self.earlier.keep(&luma.data, at);
        seen
    }

    fn step(
        &mut self,
        luma: &Luma,
        size: (u32, u32),
        at: BootTime,
        elapsed: Duration,
    ) -> Observation {
        if self.shape != (luma.width, luma.height) {
            self.begin(luma, at);
            return Observation::default();
        }
        match self.phase {
            Phase::Warming { since, frames } => {
                self.background.learn(&luma.data, 1.0 / (frames + 1) as f32);
                let warm = frames + 1 >= WARM_FRAMES && at.since(since) >= WARM_TIME;
                let frames = frames.saturating_add(1);
                self.phase = if warm { Phase::Watching } else { Phase::Warming { since, frames } };
                Observation::default()
            }
            Phase::Settling { since, frames } => {
                self.background.learn(&luma.data, SETTLE_WEIGHT);
                let settled = frames >= SETTLE_FRAMES && at.since(since) >= SETTLE_TIME;
                let frames = frames.saturating_add(1);
                self.phase =
                    if settled { Phase::Watching } else { Phase::Settling { since, frames } };
                light_change()
            }
            Phase::Watching => self.compare(luma, size, at, elapsed),
        }
    }

    fn begin(&mut self, luma: &Luma, at: BootTime) {
        self.shape = (luma.width, luma.height);
        self.zone = zones::rasterise(&self.settings, luma.width, luma.height);
        self.watched = self.zone.iter().map(|&z| usize::from(z)).sum();
        self.changed.clear();
        self.changed.resize(luma.data.len(), 0);
        self.background.begin(&luma.data);
        self.phase = Phase::Warming { since: at, frames: 1 };
    }

    fn compare(
        &mut self,
        luma: &Luma,
        size: (u32, u32),
        at: BootTime,
        elapsed: Duration,
    ) -> Observation {
        let threshold = self.settings.threshold;
        let mut counts = self.background.compare(&luma.data, threshold, &mut self.changed);
        match light::judge(&luma.data, self.background.mean(), counts, threshold) {
            Light::Same => {}
            Light::Drift(to) => {
                self.unsteady = Some(at);
                self.background.relight(&luma.data, to);
                counts = self.background.compare(&luma.data, threshold, &mut self.changed);
            }
            Light::Changed(to) => {
                self.background.relight(&luma.data, to);
                return self.settle(at);
            }
            Light::Everything => {
                self.background.begin(&luma.data);
                return self.settle(at);
            }
        }
        self.background.follow(&luma.data, &self.changed, elapsed);
        if counts.changed < FEWEST {
            return Observation::default();
        }
        let lit = self.find(luma, at);
        if lit.large as f32 >= BRIGHT * luma.data.len() as f32 {
            return self.settle(at);
        }
        let moving = self.finder.blobs().iter().map(|b| b.area).sum::<usize>();
        Observation {
            motion: moving > 0,
            score: moving as f32 / self.watched.max(1) as f32,
            boxes: self.finder.boxes(size),
            light_change: lit.large + lit.gradual > 0 && moving == 0,
            ..Observation::default()
        }
    }

    fn settle(&mut self, at: BootTime) -> Observation {
        self.unsteady = Some(at);
        self.phase = Phase::Settling { since: at, frames: 0 };
        light_change()
    }

    /// Finds the moving things of the changed samples in the zone. Those that are only light (a lamp's
    /// cone, a window that pales) go into the model at once.
    fn find(&mut self, luma: &Luma, at: BootTime) -> Lit {
        for (changed, &zone) in self.changed.iter_mut().zip(&self.zone) {
            *changed &= zone;
        }
        let smallest = (self.settings.min_area * self.watched as f32).ceil() as usize;
        self.finder.find(&self.changed, luma.width, smallest.max(FEWEST));
        let large = (LARGE * luma.data.len() as f32) as usize;
        let unsteady = self.unsteady.is_some_and(|since| at.since(since) < UNSTEADY);
        let earlier = unsteady.then(|| self.earlier.plane(at));
        let (background, data) = (&mut self.background, &luma.data);
        let mut lit = Lit::default();
        self.finder.drop_if(|blob, runs| {
            if blob.area >= large && light::shines_through(data, background.mean(), runs.clone()) {
                lit.large += blob.area;
            } else if earlier.is_some_and(|e| light::is_gradual(data, e, GRADUAL, runs.clone())) {
                lit.gradual += blob.area;
            } else {
                return false;
            }
            runs.for_each(|run| background.adopt(data, run));
            true
        });
        lit
    }
}

/// Samples of blobs that were only light.
#[derive(Clone, Copy, Debug, Default)]
struct Lit {
    /// Of large blobs through which the scene shone.
    large: usize,
    /// Of blobs that changed little by little.
    gradual: usize,
}

fn light_change() -> Observation {
    Observation { light_change: true, ..Observation::default() }
}
