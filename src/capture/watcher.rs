//! What to do with a frame: look at it or not, keep it or not, and why. Pure.
//!
//! The camera thread and `vedette analyze` both decide by this one type, so what people tune with is
//! what runs.
//!
//! While a condition is raised that pictures are not worth taking in ([`crate::firstpass::TamperSettings`]),
//! nothing moves here and no interval is due; what somebody asks for by a command is not decided here.
//!
//! Frames are looked at as often as [`pace`] says, and besides when one is to be kept: a picture by interval or
//! [`super::timetable`], or one that somebody asked for ([`Watcher::look_at_next`]), says what was seen in it.
//! A picture that came due with a frame which motion takes, or which cannot be read, is taken of the next one.
//! Outside motion's hours the scene is still learnt, but nothing that moves makes an event.
//!
//! Capture times come from drivers and are not believed to go forward: everything here goes by a
//! [`Line`] that does, so that a stamp from next year cannot silence a camera until then.

mod pace;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::pace::{Pace, between, next_after};
use super::timetable::Now;
use crate::clock::{BootId, BootTime};
use crate::contract::{Class, Trigger};
use crate::firstpass::similarity::{Likeness, Signature};
use crate::firstpass::trigger::{
    Comparison, EventMachine, EventSettings, PreEvent, Reason, Step, Transition,
};
use crate::firstpass::{FirstPass, LookError, MotionSettings, Observation};
use crate::frame::Frame;

pub use pace::AnalyseFps;

/// What a camera's frames are watched for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WatchSettings {
    /// Motion detection and the events made of it; `None` turns it off.
    pub motion: Option<(MotionSettings, EventSettings)>,
    /// How often frames are looked at; `None` looks at every frame.
    pub analyse_fps: Option<AnalyseFps>,
    /// A picture every so often.
    pub interval: Option<Duration>,
    /// Pictures that show what the last one showed are dropped; `None` keeps them.
    pub drop_similar: Option<Likeness>,
}

/// Why a frame is to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What asked for it.
    pub trigger: Trigger,
    /// Its worth.
    pub class: Class,
    /// Event, and whether this is known to be its last picture.
    pub event: Option<(String, bool)>,
    /// Plain words for people.
    pub reason: String,
}

/// A frame that may be its event's best picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The event.
    pub event: Arc<str>,
    /// Whether its picture is known to be its last.
    pub last: bool,
    /// How well it shows the subject, to be compared with other frames of the event.
    pub worth: f32,
}

/// What became of one frame.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its capture time on the camera's own line, which never goes back.
    pub at: BootTime,
    /// What the first pass saw; `None` when it did not look.
    pub observation: Option<Observation>,
    /// Why it could not be looked at.
    pub unusable: Option<LookError>,
    /// What the event machine made of it.
    pub step: Option<Step>,
    /// Why it is to be kept, if it is.
    pub choice: Option<Choice>,
    /// It is to be compared with others of its event.
    pub offer: Option<Offer>,
    /// It was due, but shows what the last picture showed.
    pub similar: bool,
    /// It is to be held back, in case an event begins soon.
    pub remember: bool,
}

impl Seen {
    /// Did an event begin with this frame?
    #[must_use]
    pub fn began(&self) -> bool {
        matches!(self.step, Some(Step { change: Some(Transition::Began), .. }))
    }

    /// Is it time to decide which candidate is the event's picture? An event that ended decides too.
    #[must_use]
    pub fn decides(&self) -> bool {
        self.step.as_ref().is_some_and(|step| {
            step.comparison == Some(Comparison::Over)
                || matches!(step.change, Some(Transition::Ended { .. }))
        })
    }
}

/// Why it is kept or not, in plain words; nothing where nobody looked and nothing was due.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(choice) = &self.choice {
            return f.write_str(&choice.reason);
        }
        if self.similar {
            return f.write_str("shows what the last picture showed");
        }
        match &self.step {
            Some(step) => write!(f, "{step}")?,
            None => return Ok(()),
        }
        match &self.offer {
            Some(offer) => write!(f, ", worth {:.3}", offer.worth),
            None => Ok(()),
        }
    }
}

/// A picture that is due by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    None,
    /// The next frame is looked at for it.
    Came,
    /// That frame was another picture: the first that is none is this one's.
    Waits,
}

/// One camera's eye and memory. It outlives a reopening of the camera, so that a camera that comes and
/// goes takes no more interval pictures than one that stays, and no event id twice.
#[derive(Debug)]
pub struct Watcher {
    settings: WatchSettings,
    eye: FirstPass,
    machine: Option<EventMachine>,
    /// The frame that was last watched, on [`Line`].
    last: BootTime,
    line: Line,
    pace: Pace,
    /// Somebody wants a picture of the next frame.
    asked: bool,
    /// Motion makes events now.
    motion_holds: bool,
    /// Of the zones that have hours, which are on.
    zones_on: Vec<bool>,
    /// A moment came whose picture is still to be taken.
    moment: Moment,
    next_interval: Option<BootTime>,
    next_memory: BootTime,
    /// The last picture, as long as it may make others needless.
    shown: Option<Signature>,
}

impl Watcher {
    /// A watcher that knows nothing yet.
    #[must_use]
    pub fn new(settings: WatchSettings, boot: &BootId) -> Self {
        let machine = settings.motion.clone().map(|(_, events)| EventMachine::new(events, boot));
        Self {
            eye: eye(&settings),
            pace: Pace::new(settings.analyse_fps),
            settings,
            machine,
            last: BootTime(0),
            line: Line::default(),
            asked: false,
            motion_holds: true,
            zones_on: Vec::new(),
            moment: Moment::None,
            next_interval: None,
            next_memory: BootTime(0),
            shown: None,
        }
    }

    /// Hears what the clock asks for from now on.
    pub fn obey(&mut self, now: &Now) {
        self.motion_holds = now.motion;
        if self.zones_on != now.zones {
            self.zones_on.clone_from(&now.zones);
            self.eye.set_active(&self.zones_on);
        }
        if now.due {
            self.moment = Moment::Came;
        }
    }

    /// Somebody wants a picture of the next frame: what is seen in it is to be told with it.
    pub fn look_at_next(&mut self) {
        self.asked = true;
    }

    /// Decides about one frame.
    pub fn watch(&mut self, frame: &Frame<'_>) -> Seen {
        let at = self.line.at(frame.captured);
        let gap = at.since(std::mem::replace(&mut self.last, at));
        let mut seen = Seen { at, ..Seen::default() };
        let interval = self.interval_is_due(at);
        let wanted = std::mem::take(&mut self.asked) || interval || self.moment == Moment::Came;
        if self.machine.is_some() && (wanted || self.pace.is_due(at, gap)) {
            self.look(&Frame { captured: at, ..*frame }, &mut seen);
            let happens = self.eye.is_learning()
                || self.machine.as_ref().is_some_and(EventMachine::is_stirred);
            self.pace.looked(at, gap, happens);
        }
        if seen.unusable.is_some() {
            return seen;
        }
        self.take_by_clock(interval, &mut seen);
        self.compare(frame, &mut seen);
        seen.remember = self.remembers(&seen);
        seen
    }

    /// A picture by the timetable or by interval, if one is due and this frame is none yet.
    fn take_by_clock(&mut self, interval: bool, seen: &mut Seen) {
        if interval {
            self.interval_was_taken(seen.at);
        }
        let due = match self.moment {
            Moment::None if interval => Trigger::Interval,
            Moment::None => return,
            Moment::Came | Moment::Waits => Trigger::Schedule,
        };
        if self.eye.skips() {
            self.moment = Moment::None;
            return;
        }
        if seen.choice.is_some() {
            self.moment = if due == Trigger::Schedule { Moment::Waits } else { Moment::None };
            return;
        }
        self.moment = Moment::None;
        seen.choice = Some(Choice {
            trigger: due,
            class: Class::Interval,
            event: None,
            reason: due.name().to_owned(),
        });
    }

    /// No frame came for so long. Is it time to decide which candidate is an event's picture?
    pub fn waited(&mut self, silent: Duration) -> bool {
        let now = self.last + silent;
        self.machine.as_mut().is_some_and(|machine| machine.waited(now))
    }

    /// Of `count` pictures from before the event that just began, how many may be kept; they count.
    pub fn admit(&mut self, count: usize) -> usize {
        let now = self.last;
        self.machine.as_mut().map_or(count, |machine| machine.admit(now, count))
    }

    /// The last picture was refused: it makes no other one needless.
    pub fn refused(&mut self) {
        self.shown = None;
    }

    /// The camera stopped or was lost: ends the event that is on, and forgets the scene, which may be
    /// another one when it comes back.
    pub fn finish(&mut self) -> Option<Transition> {
        self.eye = eye(&self.settings);
        self.eye.set_active(&self.zones_on);
        self.shown = None;
        self.machine.as_mut()?.finish()
    }

    fn look(&mut self, frame: &Frame<'_>, seen: &mut Seen) {
        let Some(machine) = &mut self.machine else { return };
        let observation = match self.eye.look(frame) {
            Ok(observation) => observation,
            Err(error) => {
                seen.unusable = Some(error);
                return;
            }
        };
        let counts = self.motion_holds && !self.eye.skips();
        let step = machine.step(frame.captured, observation.motion && counts);
        seen.choice = step.take.map(|take| Choice {
            trigger: Trigger::Motion,
            class: take.class,
            event: step.event.as_deref().map(|id| (id.to_owned(), take.last)),
            reason: step.to_string(),
        });
        if let (Some(Comparison::Candidate { last }), Some(event)) = (step.comparison, &step.event)
        {
            let worth = self.eye.worth(frame, &observation);
            seen.offer = Some(Offer { event: Arc::clone(event), last, worth });
        }
        seen.observation = Some(observation);
        seen.step = Some(step);
    }

    /// Drops a choice that shows what the last picture showed: one by interval, or a further one of an
    /// event, never an event's first, nor one that is due at a moment somebody chose.
    fn compare(&mut self, frame: &Frame<'_>, seen: &mut Seen) {
        let Some(likeness) = self.settings.drop_similar else { return };
        if seen.offer.is_some() {
            // Which of them is kept is not known here, and so not what the last picture shows.
            self.shown = None;
        }
        let Some(choice) = &seen.choice else { return };
        let looked =
            if seen.observation.is_some() { Ok(self.eye.luma()) } else { self.eye.read(frame) };
        let Ok(luma) = looked else {
            self.shown = None; // whoever makes the picture finds it broken, and says so
            return;
        };
        let now = Signature::of(luma);
        let first = seen.step.as_ref().is_some_and(|step| step.reason == Reason::First);
        let alike = self.shown.as_ref().is_some_and(|last| likeness.holds(last, &now));
        let needed = first && choice.trigger == Trigger::Motion;
        if !alike || needed || choice.trigger == Trigger::Schedule {
            self.shown = Some(now);
            return;
        }
        if let Some(machine) = &mut self.machine
            && choice.trigger == Trigger::Motion
        {
            machine.forgo();
        }
        seen.choice = None;
        seen.similar = true;
    }

    /// Is the frame to be held back for an event that may begin? While one is on, its own pictures tell.
    fn remembers(&mut self, seen: &Seen) -> bool {
        let Some(PreEvent { fps, .. }) = self.machine.as_ref().and_then(|m| m.settings().pre_event)
        else {
            return false;
        };
        let on = self.machine.as_ref().is_some_and(EventMachine::is_on);
        if on || !self.motion_holds || seen.choice.is_some() || seen.at < self.next_memory {
            return false;
        }
        self.next_memory = next_after(self.next_memory, between(fps), seen.at);
        true
    }

    /// Is a picture by interval due? The first frame's is.
    fn interval_is_due(&self, at: BootTime) -> bool {
        self.settings.interval.is_some() && self.next_interval.is_none_or(|next| at >= next)
    }

    /// It was, by whatever picture this frame became.
    fn interval_was_taken(&mut self, at: BootTime) {
        let Some(interval) = self.settings.interval else { return };
        self.next_interval = Some(next_after(self.next_interval.unwrap_or(at), interval, at));
    }
}

fn eye(settings: &WatchSettings) -> FirstPass {
    FirstPass::new(settings.motion.as_ref().map(|(motion, _)| motion.clone()).unwrap_or_default())
}

/// Capture times made to go forward: it begins with the first one and then goes on by the time from
/// each frame to the next, which is none where a stamp lies before the last one.
#[derive(Debug, Default)]
struct Line {
    last: Option<BootTime>,
    now: BootTime,
}

impl Line {
    fn at(&mut self, captured: BootTime) -> BootTime {
        self.now = match self.last.replace(captured) {
            None => captured,
            Some(last) => self.now + captured.since(last),
        };
        self.now
    }
}

#[cfg(test)]
mod tests;
