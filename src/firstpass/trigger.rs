//! The event state machine: what motion in single frames means over time, and which frames to keep.
//!
//! ```text
//!            motion               lasts min_duration
//!   Idle ─────────────▶ Rising ──────────────────────▶ Active ◀──┐ motion
//!    ▲  two frames without │                             │ └─────┘
//!    ├─────────────────────┘                             │ no motion
//!    │        post_event without motion                  ▼
//!    └────────────────────────────────────────────── (ending) ── motion ──▶ Active
//! ```
//!
//! Called by the camera thread (`capture`) and by `analyze` with every analysed frame. Pure: times are
//! the frames' own. Invariants: begin and end alternate; an event has one id and no two events of a
//! boot share one; at most one transition a step; pictures of `every` are never closer than asked; in
//! no span of a burst limit more pictures are taken than it allows.
//! Times that stand still or go backwards (a broken driver) count as no time passed.
//!
//! `Keep::Best` looks ahead: from its first frame on (or the first that the burst limit allows) frames
//! with motion are [`Comparison::Candidate`]s, until so much time went by ([`Comparison::Over`]) or the
//! event is over. Who holds the candidates decides then; so the event's picture is never later than
//! that. While no frame comes, [`EventMachine::waited`] ends it.

mod burst;
mod finalists;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootId, BootTime};
use crate::contract::Class;
use burst::Burst;

pub use burst::BurstLimit;
pub use finalists::{Finalists, MOST, Seat};
pub use settings::{BEST_WITHIN, EventSettings, Keep, PreEvent};

/// Motion in two frames this close is one motion, however short `post_event` is.
const FRAME_GAP: Duration = Duration::from_secs(1);

/// Why an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// No motion for `post_event`.
    Quiet,
    /// It reached `max_duration`.
    TooLong,
    /// The camera stopped.
    Stopped,
}

impl EndReason {
    /// The word used in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Quiet => "quiet",
            Self::TooLong => "too long",
            Self::Stopped => "stopped",
        }
    }
}

/// An event's begin or end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The event of this step's frame begins with it.
    Began,
    /// An event ended before this step's frame.
    Ended {
        /// The event that ended.
        event: Arc<str>,
        /// From its first frame to its last frame with motion.
        duration: Duration,
        /// Why it ended.
        why: EndReason,
    },
}

/// A frame to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Take {
    /// What the picture is worth.
    pub class: Class,
    /// It is known to be the event's last picture.
    pub last: bool,
}

/// What looking for an event's best picture makes of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// It may be the best one. `last`: this picture is known to be the event's last.
    Candidate {
        /// As in [`Take`].
        last: bool,
    },
    /// Time is up: the best one so far is the event's picture, and this frame is none.
    Over,
}

/// Why a frame is kept or not, for people; [`Step`]'s `Display` words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing moves.
    NoMotion,
    /// Motion, but not yet for `min_duration`.
    TooShort,
    /// Motion, but so soon after an event that the next one begins only after this time.
    CoolDown(Duration),
    /// It may be the event's best picture.
    Candidate,
    /// Nothing moves in this frame of an event whose best picture is being looked for.
    Quiet,
    /// Enough was seen of the event: its best picture so far is kept.
    Decided,
    /// It would be kept, but so many pictures were taken lately that the next may be only after this time.
    Burst(Duration),
    /// The first picture of the event.
    First,
    /// So much time went by since the event's last picture.
    Every(Duration),
    /// Every frame of the event is kept.
    All,
    /// The event's one picture was taken before.
    Taken,
    /// The event's next picture is not due yet.
    NotDue(Duration),
}

/// What one analysed frame means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The event this frame belongs to, the quiet time after the motion included.
    pub event: Option<Arc<str>>,
    /// Keep this frame.
    pub take: Option<Take>,
    /// Compare this frame, or decide.
    pub comparison: Option<Comparison>,
    /// What began or ended.
    pub change: Option<Transition>,
    /// Why it is kept or not.
    pub reason: Reason,
}

/// Why this frame is kept or not, in plain words.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event.as_deref().unwrap_or("none");
        match self.reason {
            Reason::NoMotion => f.write_str("no motion"),
            Reason::TooShort => f.write_str("motion too short so far"),
            Reason::CoolDown(wait) => write!(f, "cool-down: no event for another {wait:?}"),
            Reason::Candidate => write!(f, "may be the best of event {event}"),
            Reason::Quiet => write!(f, "nothing moves now in event {event}"),
            Reason::Decided => write!(f, "the best of event {event} so far is kept"),
            Reason::Burst(wait) => {
                write!(f, "burst limit: no picture of event {event} for another {wait:?}")
            }
            Reason::First => write!(f, "first picture of event {event}"),
            Reason::Every(every) => write!(f, "every {every:?} of event {event}"),
            Reason::All => write!(f, "all of event {event}"),
            Reason::Taken => write!(f, "event {event} has its picture"),
            Reason::NotDue(wait) => write!(f, "next picture of event {event} in {wait:?}"),
        }
    }
}

#[derive(Clone, Debug)]
struct Active {
    id: Arc<str>,
    began: BootTime,
    last_motion: BootTime,
    /// When its last picture was taken; for `Best`, when looking for it began.
    last_taken: Option<BootTime>,
    /// It has the one picture that is kept of it.
    done: bool,
}

#[derive(Clone, Debug)]
enum State {
    Idle,
    /// Motion since `since`; `gap` when the last frame had none.
    Rising {
        since: BootTime,
        gap: bool,
    },
    /// An event, with motion or in the quiet time after it.
    Active(Active),
}

/// Turns motion in frames into events and picks. One per camera.
#[derive(Clone, Debug)]
pub struct EventMachine {
    settings: EventSettings,
    boot: String,
    last_id: Option<u64>,
    last_end: Option<BootTime>,
    burst: Option<Burst>,
    state: State,
}

impl EventMachine {
    /// A machine at rest.
    #[must_use]
    pub fn new(settings: EventSettings, boot: &BootId) -> Self {
        let burst = settings.burst.map(Burst::new);
        let boot = boot.short().to_owned();
        Self { settings, boot, last_id: None, last_end: None, burst, state: State::Idle }
    }

    /// The settings it goes by.
    #[must_use]
    pub fn settings(&self) -> &EventSettings {
        &self.settings
    }

    /// Is an event on?
    #[must_use]
    pub fn is_on(&self) -> bool {
        matches!(self.state, State::Active(_))
    }

    /// Does something move, or is an event on?
    #[must_use]
    pub fn is_stirred(&self) -> bool {
        !matches!(self.state, State::Idle)
    }

    /// Takes one analysed frame's time and whether something moved in it.
    pub fn step(&mut self, at: BootTime, motion: bool) -> Step {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Idle => self.rise(at, motion, None),
            State::Rising { since, gap } => self.rising(at, motion, since, gap),
            State::Active(active) => match self.ended(&active, at, motion) {
                None => self.active(at, motion, active),
                Some(why) => self.end(at, motion, &active, why),
            },
        }
    }

    /// No frame came until now. Is it time to decide which of an event's candidates is kept?
    pub fn waited(&mut self, now: BootTime) -> bool {
        let Keep::Best(within) = self.settings.keep else { return false };
        match &mut self.state {
            State::Active(Active { last_taken: Some(began), done, .. })
                if !*done && now.since(*began) >= within =>
            {
                *done = true;
                true
            }
            _ => false,
        }
    }

    /// Of `count` further pictures of an event taken now, how many may be; they count as taken.
    pub fn admit(&mut self, now: BootTime, count: usize) -> usize {
        let Some(burst) = &mut self.burst else { return count };
        (0..count).take_while(|_| burst.take(now).is_ok()).count()
    }

    /// The picture of the last step is not taken after all.
    pub fn forgo(&mut self) {
        if let Some(burst) = &mut self.burst {
            burst.give_back();
        }
    }

    /// The camera stopped: ends the event that is on.
    pub fn finish(&mut self) -> Option<Transition> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Active(active) => {
                self.last_end = Some(active.last_motion);
                Some(active.end(EndReason::Stopped))
            }
            State::Idle | State::Rising { .. } => None,
        }
    }

    fn rise(&mut self, at: BootTime, motion: bool, change: Option<Transition>) -> Step {
        if motion && let Some(wait) = self.cooling(at) {
            return without_event(Reason::CoolDown(wait), change);
        }
        // After an end the next event waits for the next frame, so that a step has one transition.
        if motion && change.is_none() && self.settings.min_duration.is_zero() {
            return self.begin(at);
        }
        if motion {
            self.state = State::Rising { since: at, gap: false };
        }
        without_event(if motion { Reason::TooShort } else { Reason::NoMotion }, change)
    }

    /// How long the next event must still wait for the last one.
    fn cooling(&self, at: BootTime) -> Option<Duration> {
        let left = self.settings.cool_down.saturating_sub(at.since(self.last_end?));
        (!left.is_zero()).then_some(left)
    }

    fn rising(&mut self, at: BootTime, motion: bool, since: BootTime, gap: bool) -> Step {
        if motion && at.since(since) >= self.settings.min_duration {
            return self.begin(at);
        }
        // One frame without motion is forgiven: thin objects flicker at the threshold.
        if motion || !gap {
            self.state = State::Rising { since, gap: !motion };
        }
        without_event(if motion { Reason::TooShort } else { Reason::NoMotion }, None)
    }

    fn begin(&mut self, at: BootTime) -> Step {
        let after_last = self.last_id.map_or(0, |last| last.saturating_add(1));
        let ms = at.millis().max(after_last);
        self.last_id = Some(ms);
        let id: Arc<str> = format!("{}-{ms:x}", self.boot).into();
        let active = Active { id, began: at, last_motion: at, last_taken: None, done: false };
        Step { change: Some(Transition::Began), ..self.active(at, true, active) }
    }

    fn ended(&self, active: &Active, at: BootTime, motion: bool) -> Option<EndReason> {
        let quiet = at.since(active.last_motion);
        // With frames far apart (a stalled camera) the quiet time is over although this frame moves.
        let over = if motion {
            quiet > self.settings.post_event + FRAME_GAP
        } else {
            quiet >= self.settings.post_event
        };
        if over {
            Some(EndReason::Quiet)
        } else if at.since(active.began) >= self.settings.max_duration {
            Some(EndReason::TooLong)
        } else {
            None
        }
    }

    fn end(&mut self, at: BootTime, motion: bool, active: &Active, why: EndReason) -> Step {
        self.last_end = Some(at);
        self.rise(at, motion, Some(active.end(why)))
    }

    fn active(&mut self, at: BootTime, motion: bool, mut active: Active) -> Step {
        if motion {
            active.last_motion = active.last_motion.max(at);
        }
        let (take, comparison, reason) = match self.wish(at, motion, &active) {
            Wish::Nothing(reason) => (None, None, reason),
            Wish::Decide => {
                active.done = true;
                (None, Some(Comparison::Over), Reason::Decided)
            }
            Wish::Picture(reason) => match self.burst.as_mut().map_or(Ok(()), |b| b.take(at)) {
                Ok(()) => self.picture(at, reason, &mut active),
                Err(wait) => (None, None, Reason::Burst(wait)),
            },
            Wish::Compare => (None, Some(self.candidate()), Reason::Candidate),
        };
        let event = Some(Arc::clone(&active.id));
        self.state = State::Active(active);
        Step { event, take, comparison, change: None, reason }
    }

    /// What is wanted of a frame of an event, whatever the burst limit says.
    fn wish(&self, at: BootTime, motion: bool, active: &Active) -> Wish {
        let Some(last) = active.last_taken else {
            // An event's first picture shows what moves.
            return if motion {
                Wish::Picture(Reason::First)
            } else {
                Wish::Nothing(Reason::Quiet)
            };
        };
        let since = at.since(last);
        match self.settings.keep {
            Keep::First | Keep::Best(_) if active.done => Wish::Nothing(Reason::Taken),
            Keep::Best(within) if since >= within => Wish::Decide,
            Keep::Best(_) if motion => Wish::Compare,
            Keep::First | Keep::Best(_) => Wish::Nothing(Reason::Quiet),
            Keep::All => Wish::Picture(Reason::All),
            Keep::Every(every) if since >= every => Wish::Picture(Reason::Every(every)),
            Keep::Every(every) => Wish::Nothing(Reason::NotDue(every - since)),
        }
    }

    /// The burst limit allows a picture: of this frame, or of the best one from it on.
    fn picture(
        &self,
        at: BootTime,
        reason: Reason,
        active: &mut Active,
    ) -> (Option<Take>, Option<Comparison>, Reason) {
        active.last_taken = Some(at);
        match self.settings.keep {
            Keep::Best(within) if !within.is_zero() => {
                (None, Some(self.candidate()), Reason::Candidate)
            }
            Keep::First | Keep::Best(_) => {
                active.done = true;
                (Some(Take { class: Class::Best, last: self.alone() }), None, reason)
            }
            Keep::Every(_) | Keep::All => {
                (Some(Take { class: Class::Event, last: false }), None, reason)
            }
        }
    }

    fn candidate(&self) -> Comparison {
        Comparison::Candidate { last: self.alone() }
    }

    /// Is the one picture of an event all that is kept of it? With others from before it, only a manifest
    /// tells when all have come.
    fn alone(&self) -> bool {
        self.settings.pre_event.is_none()
    }
}

/// What is wanted of a frame.
enum Wish {
    Nothing(Reason),
    Picture(Reason),
    Compare,
    Decide,
}

fn without_event(reason: Reason, change: Option<Transition>) -> Step {
    Step { event: None, take: None, comparison: None, change, reason }
}

impl Active {
    fn end(&self, why: EndReason) -> Transition {
        let duration = self.last_motion.since(self.began);
        Transition::Ended { event: Arc::clone(&self.id), duration, why }
    }
}

#[cfg(test)]
mod tests;
