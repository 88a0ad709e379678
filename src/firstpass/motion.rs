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
        }
    }

    /// Looks at one plane of a frame of `size` pixels, taken `at`.
    pub(super) fn watch(&mut self, luma: &Luma, size: (u32, u32), at: BootTime) -> Observation {
        let elapsed = at.since(self.last).min(LONGEST_STEP);
        self.last = at;
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
        let threshold = f32::from(self.settings.threshold);
        let mut count = self.background.compare(&luma.data, threshold, &mut self.changed);
        match light::judge(&luma.data, self.background.mean(), count, threshold) {
            Light::Same => {}
            Light::Drift(to) => {
                self.background.relight(&luma.data, to);
                count = self.background.compare(&luma.data, threshold, &mut self.changed);
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
        if count < FEWEST {
            return Observation::default();
        }
        let lit = self.find(luma);
        if lit as f32 >= BRIGHT * luma.data.len() as f32 {
            return self.settle(at);
        }
        let moving = self.finder.blobs().iter().map(|b| b.area).sum::<usize>();
        Observation {
            motion: moving > 0,
            score: moving as f32 / self.watched.max(1) as f32,
            boxes: self.finder.boxes(size),
            light_change: lit > 0 && moving == 0,
            ..Observation::default()
        }
    }

    fn settle(&mut self, at: BootTime) -> Observation {
        self.phase = Phase::Settling { since: at, frames: 0 };
        light_change()
    }

    /// Finds the moving things of the changed samples in the zone. Large ones that are only light (a
    /// lamp's cone) go into the model at once; tells how many samples they cover.
    fn find(&mut self, luma: &Luma) -> usize {
        for (changed, &zone) in self.changed.iter_mut().zip(&self.zone) {
            *changed &= zone;
        }
        let smallest = (self.settings.min_area * self.watched as f32).ceil() as usize;
        self.finder.find(&self.changed, luma.width, smallest.max(FEWEST));
        let large = (LARGE * luma.data.len() as f32) as usize;
        let (background, data) = (&mut self.background, &luma.data);
        let mut lit = 0;
        self.finder.drop_if(|blob, runs| {
            let is_light =
                blob.area >= large && light::shines_through(data, background.mean(), runs.clone());
            if is_light {
                runs.for_each(|run| background.adopt(data, run));
                lit += blob.area;
            }
            is_light
        });
        lit
    }
}

fn light_change() -> Observation {
    Observation { light_change: true, ..Observation::default() }
}
