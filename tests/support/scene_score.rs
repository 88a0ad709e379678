//! How well the first pass sees what the synthetic street truly shows. Used by `tests/firstpass_scene.rs`
//! and, at length, by `benches/accuracy.rs`.
//!
//! An object counts when all of it could be seen: at least [`LARGE`] of the picture, and clear of its
//! sides. It is *found* when its centre lies in a box, or a box's centre in it. A box is *stray* when it
//! meets no object, each grown by its shadow and, for cars, by what their lamps light. An event is
//! *false* when no object was in the picture within a second of its beginning, so that its first picture
//! shows nothing.

// Each of its two users reads a part of it.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use vedette::camera::scene::light::LightEvent;
use vedette::camera::scene::traffic::Kind;
use vedette::camera::scene::{self, SceneCamera, Truth, TruthBox};
use vedette::camera::{Camera, Pace, SceneSettings};
use vedette::clock::{BootId, BootTime, Clock, WallTime};
use vedette::firstpass::trigger::{EventMachine, EventSettings, Transition};
use vedette::firstpass::{FirstPass, MotionSettings, Observation};
use vedette::frame::{PixelBox, PixelFormat};

/// Share of the picture that an object must cover to count; everybody on foot does.
const LARGE: f64 = 0.002;
/// A change of light is over after so long.
const AFTER_LIGHT: f64 = 3.0;

/// What the light was doing in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Day,
    Dusk,
    Night,
    Dawn,
    Lamp,
}

impl Condition {
    pub(crate) const ALL: [Self; 5] = [Self::Day, Self::Dusk, Self::Night, Self::Dawn, Self::Lamp];
}

/// Sums over the frames of one condition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) frames: u64,
    pub(crate) objects: u64,
    pub(crate) found: u64,
    pub(crate) stray: u64,
    pub(crate) light: u64,
    pub(crate) events: u64,
    pub(crate) false_events: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.objects += other.objects;
        self.found += other.found;
        self.stray += other.stray;
        self.light += other.light;
        self.events += other.events;
        self.false_events += other.false_events;
    }

    /// Share of the objects found.
    pub(crate) fn recall(&self) -> f64 {
        self.found as f64 / self.objects.max(1) as f64
    }
}

/// An event as it was told, in seconds of scene time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Event {
    pub(crate) began: f64,
    pub(crate) last_motion: f64,
    pub(crate) condition: Condition,
    pub(crate) is_false: bool,
}

/// What came of one street.
#[derive(Clone, Debug, Default)]
pub(crate) struct Score {
    /// By condition, in the order of [`Condition::ALL`].
    pub(crate) tallies: [Tally; 5],
    pub(crate) events: Vec<Event>,
    /// When and in what light each stray box was told.
    pub(crate) strays: Vec<(f64, Condition, PixelBox)>,
}

impl Score {
    pub(crate) fn total(&self) -> Tally {
        self.tallies.iter().fold(Tally::default(), |mut sum, &t| {
            sum.add(t);
            sum
        })
    }
}

/// Which street, and how it is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) seed: u64,
    pub(crate) size: (u32, u32),
    pub(crate) fps: f64,
    pub(crate) seconds: f64,
    pub(crate) format: PixelFormat,
}

/// Watches a street at the default settings.
pub(crate) fn score(run: Run) -> Score {
    let mut camera = street(run);
    let mut pass = FirstPass::new(MotionSettings::default());
    let mut machine = EventMachine::new(EventSettings::default(), &Zero.boot_id());
    let mut score = Score::default();
    let mut sky = Sky { condition: Condition::Day, changed: f64::NEG_INFINITY };
    let (mut occupied, mut last_motion) = (Vec::new(), 0.0);
    for index in 0..(run.seconds * run.fps) as u64 {
        let at = index as f64 / run.fps;
        let frame = camera.next_frame(Duration::ZERO).expect("the street never ends");
        let captured = frame.captured;
        let seen = pass.look(&frame).expect("our own frame");
        let truth = camera.truth();
        let condition = sky.follow(truth.light, at);
        occupied.push(!truth.objects.is_empty());
        count(&mut score, condition, truth, &seen, run.size, at);
        let step = machine.step(captured, seen.motion);
        if let Some(Transition::Ended { .. }) = step.change {
            end(&mut score, last_motion);
        }
        if step.change == Some(Transition::Began) {
            score.events.push(Event { began: at, last_motion: at, condition, is_false: false });
        }
        if seen.motion {
            last_motion = at;
        }
    }
    if machine.finish().is_some() {
        end(&mut score, last_motion);
    }
    judge(&mut score, &occupied, run.fps);
    score
}

/// A street that is drawn as fast as it is asked for.
fn street(run: Run) -> SceneCamera {
    let Run { seed, size, fps, format, .. } = run;
    let settings = SceneSettings { seed, size, fps, format, pace: Pace::Fast, frames: None };
    scene::open(&settings, Arc::new(Zero)).expect("a size that can be drawn")
}

/// Does this box meet no object?
fn is_stray(seen: PixelBox, objects: &[TruthBox], size: (u32, u32)) -> bool {
    let meets = |o: &TruthBox| {
        // Its shadow, and the coarseness of the boxes; a car's lamps light the road far ahead.
        let pad = size.1 / 24;
        let (dx, dy) = (pad + if o.kind == Kind::Car { o.place.w } else { 0 }, pad);
        let p = o.place;
        seen.x < p.x + p.w + dx
            && p.x < seen.x + seen.w + dx
            && seen.y < p.y + p.h + dy
            && p.y < seen.y + seen.h + dy
    };
    // What just left at a side, or is about to come in, still throws its shadow and light.
    let at_side = seen.x == 0 || seen.x + seen.w >= size.0;
    !at_side && !objects.iter().any(meets)
}

fn count(
    score: &mut Score,
    condition: Condition,
    truth: &Truth,
    seen: &Observation,
    size: (u32, u32),
    at: f64,
) {
    let tally = &mut score.tallies[condition as usize];
    tally.frames += 1;
    tally.light += u64::from(seen.light_change.is_some());
    let area = f64::from(size.0) * f64::from(size.1);
    let large = |o: &&TruthBox| {
        let p = o.place;
        f64::from(p.w) * f64::from(p.h) >= LARGE * area && p.x > 0 && p.x + p.w < size.0
    };
    // The first two seconds are for learning.
    for object in truth.objects.iter().filter(large).filter(|_| at >= 2.5) {
        tally.objects += 1;
        let found = |b: &PixelBox| holds(*b, object.place) || holds(object.place, *b);
        tally.found += u64::from(seen.boxes.iter().any(found));
    }
    for &stray in seen.boxes.iter().filter(|b| is_stray(**b, &truth.objects, size)) {
        tally.stray += 1;
        score.strays.push((at, condition, stray));
    }
}

/// Does `outer` hold the centre of `inner`?
fn holds(outer: PixelBox, inner: PixelBox) -> bool {
    let (x, y) = (inner.x + inner.w / 2, inner.y + inner.h / 2);
    (outer.x..outer.x + outer.w).contains(&x) && (outer.y..outer.y + outer.h).contains(&y)
}

fn end(score: &mut Score, last_motion: f64) {
    if let Some(event) = score.events.last_mut() {
        event.last_motion = last_motion;
    }
}

fn judge(score: &mut Score, occupied: &[bool], fps: f64) {
    for event in &mut score.events {
        let from = ((event.began - 1.0).max(0.0) * fps) as usize;
        let to = (((event.began + 1.0) * fps) as usize).min(occupied.len() - 1);
        event.is_false = !occupied[from..=to].contains(&true);
        let tally = &mut score.tallies[event.condition as usize];
        tally.events += 1;
        tally.false_events += u64::from(event.is_false);
    }
}

/// Follows what the light does.
struct Sky {
    condition: Condition,
    changed: f64,
}

impl Sky {
    fn follow(&mut self, light: LightEvent, at: f64) -> Condition {
        match light {
            LightEvent::LampOn | LightEvent::LampOff => self.changed = at,
            LightEvent::Dusk => self.condition = Condition::Dusk,
            LightEvent::Dawn => self.condition = Condition::Dawn,
            LightEvent::Steady if self.condition == Condition::Dusk => {
                self.condition = Condition::Night;
            }
            LightEvent::Steady if self.condition == Condition::Dawn => {
                self.condition = Condition::Day;
            }
            LightEvent::Steady => {}
        }
        let lamp = at - self.changed < AFTER_LIGHT;
        if lamp { Condition::Lamp } else { self.condition }
    }
}

struct Zero;

impl Clock for Zero {
    fn boottime(&self) -> BootTime {
        BootTime(0)
    }
    fn wall(&self) -> WallTime {
        WallTime(0)
    }
    fn kernel_synchronised(&self) -> bool {
        false
    }
    fn set_by_rtc(&self) -> bool {
        false
    }
    fn boot_id(&self) -> BootId {
        BootId("00000000-0000-0000-0000-000000000000".into())
    }
}
