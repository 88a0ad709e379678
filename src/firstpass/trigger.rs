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
//! boot share one; at most one transition a step; pictures of `every` are never closer than asked.
//! Times that stand still or go backwards (a broken driver) count as no time passed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootId, BootTime};
use crate::contract::Class;

/// Motion in two frames this close is one motion, however short `post_event` is.
const FRAME_GAP: Duration = Duration::from_secs(1);

/// What to keep of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The first picture only.
    First,
    /// One picture every so often, beginning with the first.
    Every(Duration),
    /// Every analysed frame.
    All,
}

/// When an event begins and ends, and what of it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct EventSettings {
    /// Motion must last so long before an event begins.
    pub min_duration: Duration,
    /// The event ends when there was no motion for so long.
    pub post_event: Duration,
    /// An event is ended after so long; motion that goes on begins the next one.
    pub max_duration: Duration,
    /// What is kept.
    pub keep: Keep,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            min_duration: Duration::from_millis(200),
            post_event: Duration::from_secs(5),
            max_duration: Duration::from_secs(60),
            keep: Keep::First,
        }
    }
}

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

/// Why a frame is kept or not, for people; [`Step`]'s `Display` words it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing moves.
    NoMotion,
    /// Motion, but not yet for `min_duration`.
    TooShort,
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
    last_taken: BootTime,
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
    state: State,
}

impl EventMachine {
    /// A machine at rest.
    #[must_use]
    pub fn new(settings: EventSettings, boot: &BootId) -> Self {
        Self { settings, boot: boot.short().to_owned(), last_id: None, state: State::Idle }
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

    /// The camera stopped: ends the event that is on.
    pub fn finish(&mut self) -> Option<Transition> {
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Active(active) => Some(active.end(EndReason::Stopped)),
            State::Idle | State::Rising { .. } => None,
        }
    }

    fn rise(&mut self, at: BootTime, motion: bool, change: Option<Transition>) -> Step {
        // After an end the next event waits for the next frame, so that a step has one transition.
        if motion && change.is_none() && self.settings.min_duration.is_zero() {
            return self.begin(at);
        }
        if motion {
            self.state = State::Rising { since: at, gap: false };
        }
        let reason = if motion { Reason::TooShort } else { Reason::NoMotion };
        Step { event: None, take: None, change, reason }
    }

    fn rising(&mut self, at: BootTime, motion: bool, since: BootTime, gap: bool) -> Step {
        if motion && at.since(since) >= self.settings.min_duration {
            return self.begin(at);
        }
        // One frame without motion is forgiven: thin objects flicker at the threshold.
        if motion || !gap {
            self.state = State::Rising { since, gap: !motion };
        }
        let reason = if motion { Reason::TooShort } else { Reason::NoMotion };
        Step { event: None, take: None, change: None, reason }
    }

    fn begin(&mut self, at: BootTime) -> Step {
        let after_last = self.last_id.map_or(0, |last| last.saturating_add(1));
        let ms = at.millis().max(after_last);
        self.last_id = Some(ms);
        let id: Arc<str> = format!("{}-{ms:x}", self.boot).into();
        let only = self.settings.keep == Keep::First;
        let class = if only { Class::Best } else { Class::Event };
        self.state = State::Active(Active {
            id: Arc::clone(&id),
            began: at,
            last_motion: at,
            last_taken: at,
        });
        Step {
            event: Some(id),
            take: Some(Take { class, last: only }),
            change: Some(Transition::Began),
            reason: Reason::First,
        }
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
        self.rise(at, motion, Some(active.end(why)))
    }

    fn active(&mut self, at: BootTime, motion: bool, mut active: Active) -> Step {
        if motion {
            active.last_motion = active.last_motion.max(at);
        }
        let since = at.since(active.last_taken);
        let (taken, reason) = match self.settings.keep {
            Keep::First => (false, Reason::Taken),
            Keep::All => (true, Reason::All),
            Keep::Every(every) if since >= every => (true, Reason::Every(every)),
            Keep::Every(every) => (false, Reason::NotDue(every - since)),
        };
        if taken {
            active.last_taken = at;
        }
        let event = Some(Arc::clone(&active.id));
        self.state = State::Active(active);
        let take = taken.then_some(Take { class: Class::Event, last: false });
        Step { event, take, change: None, reason }
    }
}

impl Active {
    fn end(&self, why: EndReason) -> Transition {
        let duration = self.last_motion.since(self.began);
        Transition::Ended { event: Arc::clone(&self.id), duration, why }
    }
}

#[cfg(test)]
mod tests;
