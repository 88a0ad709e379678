//! Motion on the small luma plane: when the model may be believed, and what it says.
//!
//! Called by [`super::FirstPass`] with each frame's plane. Three phases: *warming* (the first frames,
//! and after a change of size), *settling* (after a change of light) and *watching*. Only watching
//! tells of motion, so neither a start nor a lamp is an event.
//!
//! ```text
//!             10 frames and 1 s            light changed at once
//!  warming ──────────────────▶ watching ───────────────────────▶ settling ──┐ light not steady:
//!                                 ▲  ▲   steady twice, or 3 s        │  ▲   │ begins anew
//!                                 │  └───────────────────────────────┤  └───┘
//!                                 └──────────────────────────────────┘
//!                                    as before within 2 s: a flash
//! ```
//!
//! While it watches, each group of changed samples is asked what it is, cheapest question first:
//!
//! | seen in it | it is | what becomes of it |
//! |---|---|---|
//! | the learnt texture, brighter or darker | light | learnt at once |
//! | no outline of its own, where the scene has one | the place that a thing left | learnt at once |
//! | samples that come and go again and again | a branch | left to the noise |
//! | the scene, shifted by part of a sample | a branch, a trembling mast | no proof that it moves |
//! | it was elsewhere before | a thing | motion, as long as it is there |
//! | much of the picture, at once | a thing | motion |
//! | what hides the scene, between frames far apart | a thing that came and stands | motion |
//! | none of this, for a second | light | learnt at once |

use std::time::Duration;

use super::background::{Background, Changed};
use super::blobs::{Finder, Least};
use super::light::{self, Light};
use super::track::{How, Told, Tracks};
use super::{LightChange, MotionSettings, Observation, zones};
use crate::clock::BootTime;
use crate::frame::Luma;

/// The scene is learnt in so many frames and at least this time.
const WARM_FRAMES: u32 = 10;
const WARM_TIME: Duration = Duration::from_secs(1);
/// The light has settled when it was steady so often, each over [`STEP`], and after this time at least:
/// lamps take a moment to come up and exposure to follow.
const STEADY: u32 = 2;
const SETTLE_TIME: Duration = Duration::from_millis(400);
/// A crowd may keep the picture from ever being steady.
const SETTLE_LONGEST: Duration = Duration::from_secs(3);
/// The scene that is back within this time was away for a flash; it is back when no more than this share of
/// its samples differ.
const FLASH: Duration = Duration::from_secs(2);
const BACK: f32 = 0.05;
/// Longest time between two frames that is believed: after a stalled camera one frame must not teach
/// the model a minute's worth.
const LONGEST_STEP: Duration = Duration::from_secs(2);
/// Blobs from this share of the plane on are asked whether they are light; smaller ones have too little
/// texture below them to tell, and so have those of fewer samples than [`TELLING`].
const LARGE: f32 = 0.004;
const TELLING: usize = 24;
/// From this share of the plane on, light on a part of the scene is a change of light for all of it:
/// what it throws about (lit window frames, edges of its cone) is not motion either.
const BRIGHT: f32 = 0.05;
/// The light counts as unsteady for so long after it was last seen to change. While it is, small blobs
/// too may be light: a lit window pales at dawn, which no gain and offset of the whole scene explain.
const UNSTEADY: Duration = Duration::from_secs(4);
/// Changes from frame to frame are judged over at least this time.
const STEP: Duration = Duration::from_millis(190);
/// Between frames so far apart somebody may come and stand, who is then never seen to move.
const SPARSE: Duration = Duration::from_millis(400);
/// From this share of the plane on a thing that came at once is motion at once; a smaller one must be seen to
/// move ([`super::track`]), for a rain drop, a flake or a window that lights up comes at once too.
const OBVIOUS: f32 = 0.01;
/// Samples that come at once in a thing that moves, even if they are few of it.
const MOVES: usize = 4;
/// Samples that a moving thing has at least, whatever the settings say.
const FEWEST: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Warming { since: BootTime, frames: u32 },
    Settling(Settling),
    Watching,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settling {
    since: BootTime,
    /// When it was last compared with a frame before.
    judged: BootTime,
    /// How often in a row it was steady.
    steady: u32,
}

/// The motion detector of one camera.
#[derive(Debug)]
pub(super) struct Motion {
    settings: MotionSettings,
    /// Zones that are on, by number.
    on: Vec<bool>,
    /// Size of the small plane; nothing before the first frame.
    shape: (usize, usize),
    zone: Vec<u8>,
    /// Samples in the zone.
    watched: usize,
    background: Background,
    changed: Changed,
    finder: Finder,
    tracks: Tracks,
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
            on: Vec::new(),
            shape: (0, 0),
            zone: Vec::new(),
            watched: 0,
            background: Background::default(),
            changed: Changed::default(),
            finder: Finder::default(),
            tracks: Tracks::default(),
            phase: Phase::Watching,
            last: BootTime(0),
            unsteady: None,
            earlier: Earlier { taken: BootTime(0), ..Earlier::default() },
        }
    }

    /// Which zones are on, by number.
    pub(super) fn set_active(&mut self, on: &[bool]) {
        if self.on != on {
            self.on = on.to_vec();
            self.draw_zones();
        }
    }

    /// The learnt scene; `None` while it is being learnt.
    pub(super) fn scene(&self) -> Option<&[i16]> {
        (self.phase == Phase::Watching).then(|| self.background.mean())
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
            Phase::Settling(settling) => self.settle_on(luma, at, settling),
            Phase::Watching => self.compare(luma, size, at, elapsed),
        }
    }

    fn begin(&mut self, luma: &Luma, at: BootTime) {
        self.shape = (luma.width, luma.height);
        self.draw_zones();
        self.changed.begin(luma.data.len());
        self.background.begin(&luma.data);
        self.tracks.clear(at);
        self.phase = Phase::Warming { since: at, frames: 1 };
    }

    fn draw_zones(&mut self) {
        let (width, height) = self.shape;
        self.zone = zones::rasterise(&self.settings, &self.on, width, height);
        self.watched = self.zone.iter().map(|&z| usize::from(z)).sum();
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
        let mut change = None;
        match light::judge(&luma.data, self.background.mean(), counts, threshold) {
            Light::Same => {}
            Light::Drift(to) => {
                self.unsteady = Some(at);
                change = Some(LightChange::Drift);
                self.background.relight(&luma.data, to);
                counts = self.background.compare(&luma.data, threshold, &mut self.changed);
            }
            Light::Changed(to) => {
                self.background.remember();
                self.background.relight(&luma.data, to);
                return self.settle(at);
            }
            Light::Everything => {
                self.background.remember();
                self.background.take(&luma.data);
                return self.settle(at);
            }
        }
        self.background.follow(&luma.data, &self.changed, elapsed);
        if counts.changed < FEWEST {
            return Observation { light_change: change, ..Observation::default() };
        }
        let found = self.find(luma, at, elapsed);
        if found.lit as f32 >= BRIGHT * luma.data.len() as f32 {
            return self.settle(at);
        }
        let moving = self.finder.blobs().iter().map(|b| b.area).sum::<usize>();
        if found.lit + found.gradual > 0 && moving == 0 {
            change = change.or(Some(LightChange::Drift));
        }
        Observation {
            motion: moving > 0,
            score: moving as f32 / self.watched.max(1) as f32,
            boxes: self.finder.boxes(size),
            direction: found.largest.and_then(|l| l.direction),
            dwell: found.largest.map_or(Duration::ZERO, |l| l.dwell),
            light_change: change,
            ..Observation::default()
        }
    }

    fn settle(&mut self, at: BootTime) -> Observation {
        self.unsteady = Some(at);
        self.phase = Phase::Settling(Settling { since: at, judged: at, steady: 0 });
        light_change(LightChange::Step)
    }

    /// The light changed a moment ago: learns the scene anew until it is steady.
    fn settle_on(&mut self, luma: &Luma, at: BootTime, settling: Settling) -> Observation {
        let Settling { since, judged, mut steady } = settling;
        self.unsteady = Some(at);
        let lasted = at.since(since);
        if lasted <= FLASH && self.background.go_back(&luma.data, self.settings.threshold, BACK) {
            self.phase = Phase::Watching;
            return light_change(LightChange::Flash);
        }
        let due = at.since(judged) >= STEP;
        let is_steady = due && light::is_steady(&luma.data, self.earlier.plane(at));
        match is_steady {
            true if steady > 0 => self.background.average(&luma.data, 0.5),
            _ if due => self.background.take(&luma.data),
            _ => {}
        }
        steady = if due { u32::from(is_steady) * (steady + 1) } else { steady };
        let settled = steady >= STEADY && lasted >= SETTLE_TIME || lasted >= SETTLE_LONGEST;
        let judged = if due { at } else { judged };
        self.phase = match settled {
            true => Phase::Watching,
            false => Phase::Settling(Settling { since, judged, steady }),
        };
        light_change(LightChange::Step)
    }

    /// Finds the moving things of the changed samples in the zone. Those that are only light (a lamp's
    /// cone, a window that pales) go into the model at once.
    fn find(&mut self, luma: &Luma, at: BootTime, elapsed: Duration) -> Found {
        self.changed.keep(&self.zone);
        let MotionSettings { min_area, min_width, min_height, .. } = self.settings;
        let smallest = (min_area * self.watched as f32).ceil() as usize;
        let side = |share: f32, of: usize| (share * of as f32).round() as usize;
        let size = (side(min_width, luma.width), side(min_height, luma.height));
        let least = Least { seed: FEWEST, area: smallest.max(FEWEST), size };
        {
            let rim = self.background.rim(&luma.data, self.settings.threshold);
            let is_rim = |i: usize| self.zone.get(i) == Some(&1) && rim(i);
            let changed = (self.changed.samples(), self.changed.span());
            self.finder.find(changed, luma.width, least, is_rim);
        }
        let share = |of: f32| (of * luma.data.len() as f32) as usize;
        let (large, obvious) = (share(LARGE).max(TELLING), share(OBVIOUS));
        let unsteady = self.unsteady.is_some_and(|since| at.since(since) < UNSTEADY);
        let sparse = elapsed >= SPARSE;
        let earlier = self.earlier.plane(at);
        let (background, data, tracks) = (&mut self.background, &luma.data, &mut self.tracks);
        let mut found = Found::default();
        tracks.begin(at, elapsed);
        self.finder.drop_if(|blob, runs| {
            let mean = background.mean();
            if blob.area >= large && light::shines_through(data, mean, runs.clone()) {
                if found.lit == 0 {
                    background.remember();
                }
                found.lit += blob.area;
                runs.for_each(|run| background.adopt(data, run));
                return true;
            }
            let sudden = light::sudden(data, earlier, mean, runs.clone());
            let gradual = sudden * 8 <= blob.area;
            if gradual && light::is_left(data, mean, luma.width, runs.clone()) {
                runs.for_each(|run| background.adopt(data, run));
                return true;
            }
            let sways = background.restless(runs.clone()) * 2 > blob.area;
            let shifted = light::is_shifted(data, mean, luma.width, runs.clone());
            let how = match !gradual || sudden >= MOVES {
                _ if sways => How::Sways,
                _ if shifted => How::Shifts,
                true => How::Moves,
                _ if sparse && light::hides(data, mean, runs.clone()) => How::Hides,
                false => How::Stands,
            };
            let track = (!(gradual && unsteady)).then(|| tracks.follow(blob.core, how));
            let at_once = !gradual && !sways && !shifted && blob.area >= obvious;
            match track {
                Some(track) if track.moves || at_once => {
                    found.largest.get_or_insert(track);
                    false
                }
                Some(track) if !track.still || sways => true,
                // It came little by little, or stood there at once: light, and not a thing that moves.
                _ => {
                    found.gradual += blob.area;
                    runs.for_each(|run| background.adopt(data, run));
                    true
                }
            }
        });
        found
    }
}

/// What became of the changed samples.
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    /// Samples of large blobs through which the scene shone.
    lit: usize,
    /// Samples of blobs that changed little by little.
    gradual: usize,
    /// The largest thing that moves.
    largest: Option<Told>,
}

fn light_change(kind: LightChange) -> Observation {
    Observation { light_change: Some(kind), ..Observation::default() }
}
