//! What to do with a frame: look at it or not, keep it or not, and why. Pure.
//!
//! The camera thread and `vedette analyze` both decide by this one type, so what people tune with is
//! what runs.

use std::time::Duration;

use crate::clock::{BootId, BootTime};
use crate::contract::{Class, Trigger};
use crate::firstpass::trigger::{EventMachine, EventSettings, Step, Transition};
use crate::firstpass::{FirstPass, LookError, MotionSettings, Observation};
use crate::frame::Frame;

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

/// What became of one frame.
#[derive(Debug, Default)]
pub struct Seen {
    /// What the first pass saw; `None` when it did not look.
    pub observation: Option<Observation>,
    /// Why it could not be looked at.
    pub unusable: Option<LookError>,
    /// What the event machine made of it.
    pub step: Option<Step>,
    /// Why it is to be kept, if it is.
    pub choice: Option<Choice>,
}

impl Seen {
    /// Did an event begin with this frame?
    #[must_use]
    pub fn began(&self) -> bool {
        matches!(self.step, Some(Step { change: Some(Transition::Began), .. }))
    }
}

/// One camera's eye and memory, from open to close.
#[derive(Debug)]
pub struct Watcher {
    motion: Option<(FirstPass, EventMachine)>,
    between_looks: Duration,
    interval: Option<Duration>,
    next_look: BootTime,
    next_interval: Option<BootTime>,
}

impl Watcher {
    /// A watcher that knows nothing yet.
    #[must_use]
    pub fn new(
        motion: Option<(MotionSettings, EventSettings)>,
        analyse_fps: Option<f64>,
        interval: Option<Duration>,
        boot: &BootId,
    ) -> Self {
        Self {
            motion: motion
                .map(|(motion, event)| (FirstPass::new(motion), EventMachine::new(event, boot))),
            between_looks: analyse_fps
                .map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps.max(0.001))),
            interval,
            next_look: BootTime(0),
            next_interval: None,
        }
    }

    /// Decides about one frame.
    pub fn watch(&mut self, frame: &Frame<'_>) -> Seen {
        let mut seen = Seen::default();
        let at = frame.captured;
        if let Some((eye, machine)) = &mut self.motion
            && at >= self.next_look
        {
            self.next_look = next_after(self.next_look, self.between_looks, at);
            match eye.look(frame) {
                Ok(observation) => {
                    let step = machine.step(at, observation.motion);
                    seen.choice = step.take.map(|take| Choice {
                        trigger: Trigger::Motion,
                        class: take.class,
                        event: step.event.as_deref().map(|id| (id.to_owned(), take.last)),
                        reason: step.to_string(),
                    });
                    seen.observation = Some(observation);
                    seen.step = Some(step);
                }
                Err(error) => seen.unusable = Some(error),
            }
        }
        if seen.unusable.is_none() && self.interval_is_due(at) && seen.choice.is_none() {
            seen.choice = Some(Choice {
                trigger: Trigger::Interval,
                class: Class::Interval,
                event: None,
                reason: "interval".to_owned(),
            });
        }
        seen
    }

    /// True once an interval; the first frame is due. A picture kept for another reason counts too.
    fn interval_is_due(&mut self, at: BootTime) -> bool {
        let Some(interval) = self.interval else { return false };
        let due = self.next_interval.is_none_or(|next| at >= next);
        if due {
            self.next_interval = Some(next_after(self.next_interval.unwrap_or(at), interval, at));
        }
        due
    }
}

/// The next due time on the grid that `last` began, skipping what was missed.
fn next_after(last: BootTime, step: Duration, now: BootTime) -> BootTime {
    let next = last + step;
    if next > now { next } else { now + step }
}
