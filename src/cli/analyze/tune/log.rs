//! What was seen in a clip, frame by frame, and the events in it. Pure.
//!
//! Made of what `story` tells; read by all that draws and suggests. Bounded: at most [`MOST_FRAMES`] frames
//! and [`MOST_BOXES`] boxes a frame; what is left out is counted.

use serde::Serialize;

use super::visits::{self, Visit};
use crate::capture::Seen;
use crate::firstpass::trigger::{Reason, Transition};
use crate::firstpass::{Conditions, LightChange};
use crate::frame::PixelBox;

/// Most frames that are remembered: an hour at 14 frames a second.
pub(super) const MOST_FRAMES: usize = 50_000;
/// Most boxes of a frame, the largest ones.
const MOST_BOXES: usize = 12;
/// Motion that pauses for longer is another run of it: one frame is forgiven.
const FORGIVEN: usize = 1;

/// One frame.
#[derive(Clone, Debug, Default)]
pub(super) struct Moment {
    /// Its number.
    pub(super) n: u64,
    /// Seconds from the clip's first frame.
    pub(super) t: f64,
    /// Share of the watched area that moves, 0 to 1.
    pub(super) score: f32,
    /// Moving things, largest first.
    pub(super) boxes: Vec<PixelBox>,
    /// What it is worth as its event's best picture, where it was compared.
    pub(super) worth: Option<f32>,
    /// Place of its event in [`Log::events`].
    pub(super) event: Option<usize>,
    pub(super) kept: bool,
    /// The event that it is kept for, which may begin later.
    pub(super) of: Option<String>,
    /// It was due, but shows what the last picture showed.
    pub(super) similar: bool,
    /// Why it is kept or not, in words.
    pub(super) why: String,
    pub(super) light: Option<LightChange>,
    pub(super) conditions: Conditions,
}

impl Moment {
    /// Did something move?
    pub(super) fn moves(&self) -> bool {
        !self.boxes.is_empty()
    }
}

/// One event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Event {
    /// What it is called everywhere else.
    pub(super) id: String,
    /// Seconds from the clip's first frame: when its motion began, before `min_duration` was over.
    pub(super) since: f64,
    /// When it was an event.
    pub(super) began: f64,
    /// The last motion in it.
    pub(super) last: f64,
    /// Its frames' places in [`Log::moments`], the quiet time after the motion included.
    pub(super) frames: (usize, usize),
    /// Highest score.
    pub(super) peak: f32,
    /// Longest motion without a pause, in seconds.
    pub(super) run: f64,
    /// Something in it went somewhere, and did not stay where it came.
    pub(super) goes: bool,
    /// Pictures that were kept of it: places in [`Log::moments`].
    pub(super) kept: Vec<usize>,
}

/// What a way of looking at a clip comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Figures {
    /// Events.
    pub(super) events: usize,
    /// Of these, events in which something went somewhere.
    pub(super) going: usize,
    /// Pictures kept.
    pub(super) pictures: usize,
    /// Pictures dropped because they showed what the last one showed.
    pub(super) similar: usize,
}

impl Figures {
    /// Events in which nothing left its place.
    pub(super) fn staying(self) -> usize {
        self.events - self.going
    }
}

/// All of a clip.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// Width and height of the frames.
    pub(super) size: (u32, u32),
    pub(super) moments: Vec<Moment>,
    pub(super) events: Vec<Event>,
    pub(super) visits: Vec<Visit>,
    /// Frames behind the last one that is remembered.
    pub(super) left_out: u64,
    /// The event that is on.
    pub(super) on: Option<usize>,
}

impl Log {
    pub(super) fn new(size: (u32, u32)) -> Self {
        Self { size: (size.0.max(1), size.1.max(1)), ..Self::default() }
    }

    /// Takes frame `n`, `t` seconds after the first; frames come in order.
    pub(super) fn add(&mut self, n: u64, t: f64, seen: &Seen) {
        if self.moments.len() >= MOST_FRAMES {
            self.left_out += 1;
            return;
        }
        let moment = moment(n, t, seen);
        let id = seen.step.as_ref().and_then(|step| step.event.as_deref());
        let change = seen.step.as_ref().and_then(|step| step.change.as_ref());
        if matches!(change, Some(Transition::Ended { .. })) || id.is_none() {
            self.on = None;
        }
        let at = self.moments.len();
        if let Some(id) = id {
            self.on = Some(match self.on {
                Some(on) if self.events[on].id == id => on,
                _ => self.begin(id, at, t),
            });
        }
        self.moments.push(Moment { event: self.on, ..moment });
    }

    /// An event begins with the moment that comes next.
    fn begin(&mut self, id: &str, at: usize, t: f64) -> usize {
        self.events.push(Event {
            id: id.to_owned(),
            since: t,
            began: t,
            last: t,
            frames: (at, at),
            ..Event::default()
        });
        self.events.len() - 1
    }

    /// The clip is over: sums up its events.
    pub(super) fn finish(mut self) -> Self {
        self.visits = visits::find(&self.moments, self.size);
        let mut events = std::mem::take(&mut self.events);
        for (number, event) in events.iter_mut().enumerate() {
            self.sum_up(number, event);
        }
        self.events = events;
        self.number();
        self
    }

    /// In words, people count events; what they are called elsewhere tells them nothing.
    fn number(&mut self) {
        for (number, event) in self.events.iter().enumerate() {
            let (from, to) = event.frames;
            let name = (number + 1).to_string();
            for at in (from..to).chain(event.kept.iter().copied()) {
                let why = &mut self.moments[at].why;
                *why = why.replace(event.id.as_str(), &name);
            }
        }
    }

    fn sum_up(&self, number: usize, event: &mut Event) {
        let first = event.frames.0;
        let end =
            first + self.moments[first..].iter().take_while(|m| m.event == Some(number)).count();
        event.frames = (first, end);
        let rising = self.moments[..first].iter().rev();
        let rise = rising.take_while(|m| m.event.is_none()).scan(0, |pause, m| {
            *pause = if m.moves() { 0 } else { *pause + 1 };
            (*pause <= FORGIVEN).then_some(m)
        });
        let rise = rise.filter(|m| m.moves()).last();
        event.since = rise.map_or(event.began, |m| m.t);
        for m in &self.moments[first..end] {
            event.peak = event.peak.max(m.score);
            event.last = if m.moves() { m.t } else { event.last };
        }
        event.run = self.longest_run(event);
        event.goes = self.visits.iter().any(|v| v.goes && v.overlaps(event.since, event.last));
        // Pictures from before an event were taken before it began.
        let mine = |m: &Moment| m.of.as_deref() == Some(event.id.as_str());
        let kept = self.moments.iter().enumerate().filter(|(_, m)| m.kept && mine(m));
        event.kept = kept.map(|(at, _)| at).collect();
    }

    fn longest_run(&self, event: &Event) -> f64 {
        let (mut longest, mut began, mut pause) = (0.0_f64, None, 0);
        let frames = self.moments[..event.frames.1].iter().skip_while(|m| m.t < event.since);
        for m in frames {
            pause = if m.moves() { 0 } else { pause + 1 };
            if pause > FORGIVEN {
                began = None;
            } else if m.moves() {
                longest = longest.max(m.t - *began.get_or_insert(m.t));
            }
        }
        longest
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            events: self.events.len(),
            going: self.events.iter().filter(|e| e.goes).count(),
            pictures: self.moments.iter().filter(|m| m.kept).count(),
            similar: self.moments.iter().filter(|m| m.similar).count(),
        }
    }

    /// Seconds from the first frame to the last.
    pub(super) fn length(&self) -> f64 {
        self.moments.last().map_or(0.0, |m| m.t)
    }

    /// Frames that are worth showing beside what was kept of an event: the best of the others.
    pub(super) fn best_left(&self, event: &Event, most: usize) -> Vec<usize> {
        let range = event.frames.0..event.frames.1;
        let left = range.filter(|&at| !self.moments[at].kept && self.moments[at].moves());
        self.best_apart(left.collect(), most)
    }

    /// Motion that was no event, the clearest first.
    pub(super) fn almost(&self, most: usize) -> Vec<usize> {
        let all = self.moments.iter().enumerate();
        let left = all.filter(|(_, m)| m.event.is_none() && !m.kept && m.moves());
        self.best_apart(left.map(|(at, _)| at).collect(), most)
    }

    /// The best of these, no two within a second.
    fn best_apart(&self, mut of: Vec<usize>, most: usize) -> Vec<usize> {
        let worth = |at: usize| (self.moments[at].worth.unwrap_or(0.0), self.moments[at].score);
        of.sort_by(|&a, &b| {
            let (a, b) = (worth(a), worth(b));
            b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1))
        });
        let mut chosen: Vec<usize> = Vec::new();
        for at in of {
            let t = self.moments[at].t;
            if chosen.len() >= most {
                break;
            }
            if chosen.iter().all(|&other| (self.moments[other].t - t).abs() >= 1.0) {
                chosen.push(at);
            }
        }
        chosen
    }
}

fn moment(n: u64, t: f64, seen: &Seen) -> Moment {
    let observation = seen.observation.as_ref();
    Moment {
        n,
        t,
        score: observation.map_or(0.0, |o| o.score),
        boxes: observation
            .map(|o| o.boxes.iter().take(MOST_BOXES).copied().collect())
            .unwrap_or_default(),
        worth: seen.offer.as_ref().map(|offer| offer.worth),
        event: None,
        kept: seen.choice.is_some(),
        of: seen.choice.as_ref().and_then(|c| c.event.as_ref()).map(|(id, _)| id.clone()),
        similar: seen.similar,
        why: why(seen),
        light: observation.and_then(|o| o.light_change),
        conditions: observation.map(|o| o.conditions).unwrap_or_default(),
    }
}

/// Why it is kept or not. Nothing moving is said by every second frame and is left to the reader.
fn why(seen: &Seen) -> String {
    match &seen.step {
        Some(step) if step.reason == Reason::NoMotion && seen.choice.is_none() && !seen.similar => {
            String::new()
        }
        // Without its worth, which the still thread's ranking of what is kept counts in another way.
        Some(step) if seen.choice.is_none() && !seen.similar => step.to_string(),
        _ => seen.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::capture::Choice;
    use crate::contract::{Class, Trigger};
    use crate::firstpass::Observation;
    use crate::firstpass::trigger::{EndReason, Step};

    const ID: &str = "71d4-5d4e";

    fn seen(moves: bool, event: bool, change: Option<Transition>) -> Seen {
        let b = PixelBox { x: 10, y: 10, w: 20, h: 20 };
        let observation = Observation {
            motion: moves,
            score: if moves { 0.02 } else { 0.0 },
            boxes: if moves { vec![b] } else { Vec::new() },
            ..Observation::default()
        };
        let step = Step {
            event: event.then(|| Arc::from(ID)),
            take: None,
            comparison: None,
            change,
            reason: if moves { Reason::Taken } else { Reason::NoMotion },
        };
        Seen { observation: Some(observation), step: Some(step), ..Seen::default() }
    }

    /// Ten frames a second: nothing, motion from frame 3 on, an event from 5 to 14 with a pause, its end in 15.
    fn log() -> Log {
        let mut log = Log::new((640, 360));
        for n in 0..20 {
            let moves = (3..12).contains(&n) && n != 4 && n != 8 && n != 9;
            let change = match n {
                5 => Some(Transition::Began),
                15 => {
                    let (event, why) = (Arc::from(ID), EndReason::Quiet);
                    Some(Transition::Ended { event, duration: Duration::ZERO, why })
                }
                _ => None,
            };
            let mut seen = seen(moves, (5..15).contains(&n), change);
            if n == 2 || n == 6 {
                let (trigger, class) = (Trigger::Motion, Class::Best);
                let (event, reason) =
                    (Some((ID.to_owned(), false)), format!("kept for event {ID}"));
                seen.choice = Some(Choice { trigger, class, event, reason });
            }
            log.add(n, n as f64 / 10.0, &seen);
        }
        log.finish()
    }

    #[test]
    fn an_event_has_its_motion_before_it_its_longest_run_and_its_pictures() {
        let log = log();
        assert_eq!(log.events.len(), 1);
        let event = &log.events[0];
        // One frame without motion (4) is forgiven, two (8, 9) are a pause.
        assert_eq!((event.since, event.began, event.last), (0.3, 0.5, 1.1));
        assert!((event.run - 0.4).abs() < 1e-9, "{}", event.run);
        assert_eq!((event.frames, event.goes), ((5, 15), false));
        assert_eq!(event.kept, [2, 6], "also one from before it");
        let figures = Figures { events: 1, going: 0, pictures: 2, similar: 0 };
        assert_eq!((log.figures(), log.figures().staying()), (figures, 1));
        assert_eq!(log.moments[2].why, "kept for event 1");
        assert!(log.moments[5..15].iter().all(|m| m.event == Some(0)));
        assert!(log.moments[15..].iter().chain(&log.moments[..5]).all(|m| m.event.is_none()));
        assert_eq!(log.moments[0].why, "", "that nothing moves goes without saying");
    }

    #[test]
    fn the_best_of_what_was_left_are_a_second_apart() {
        let mut log = log();
        log.moments.iter_mut().for_each(|m| m.t *= 5.0);
        let left = log.best_left(&log.events[0], 4);
        assert!(left.iter().all(|at| (5..15).contains(at) && *at != 6), "{left:?}");
        let apart = |a: usize, b: usize| (log.moments[a].t - log.moments[b].t).abs() >= 1.0;
        assert!(left.len() > 1 && left.windows(2).all(|w| apart(w[0], w[1])), "{left:?}");
        assert_eq!(log.almost(4), [3], "motion before the event was no event");
    }

    #[test]
    fn frames_beyond_the_bound_are_counted_and_nothing_more() {
        let mut log = Log { moments: vec![Moment::default(); MOST_FRAMES], ..Log::default() };
        log.add(1, 1.0, &seen(true, true, Some(Transition::Began)));
        assert_eq!((log.moments.len(), log.events.len(), log.left_out), (MOST_FRAMES, 0, 1));
    }
}
