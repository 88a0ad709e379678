//! What to do with a frame: look at it or not, keep it or not, and why. Pure.
//!
//! The camera thread and `vedette analyze` both decide by this one type, so what people tune with is
//! what runs.
//!
//! While a condition is raised that pictures are not worth taking in ([`crate::firstpass::TamperSettings`]),
//! nothing moves here and no interval is due; what somebody asks for by a command is not decided here.
//!
//! Capture times come from drivers and are not believed to go forward: everything here goes by a
//! [`Line`] that does, so that a stamp from next year cannot silence a camera until then.

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

/// One camera's eye and memory. It outlives a reopening of the camera, so that a camera that comes and
/// goes takes no more interval pictures than one that stays, and no event id twice.
#[derive(Debug)]
pub struct Watcher {
    motion: Option<(MotionSettings, FirstPass, EventMachine)>,
    between_looks: Duration,
    interval: Option<Duration>,
    line: Line,
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
            motion: motion.map(|(motion, event)| {
                (motion.clone(), FirstPass::new(motion), EventMachine::new(event, boot))
            }),
            between_looks: analyse_fps
                .map_or(Duration::ZERO, |fps| Duration::from_secs_f64(1.0 / fps.max(0.001))),
            interval,
            line: Line::default(),
            next_look: BootTime(0),
            next_interval: None,
        }
    }

    /// Decides about one frame.
    pub fn watch(&mut self, frame: &Frame<'_>) -> Seen {
        let mut seen = Seen::default();
        let at = self.line.at(frame.captured);
        if let Some((_, eye, machine)) = &mut self.motion
            && at >= self.next_look
        {
            self.next_look = next_after(self.next_look, self.between_looks, at);
            match eye.look(&Frame { captured: at, ..*frame }) {
                Ok(observation) => {
                    let step = machine.step(at, observation.motion && !eye.skips());
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
        let skips = self.motion.as_ref().is_some_and(|(_, eye, _)| eye.skips());
        let due = seen.unusable.is_none() && self.interval_is_due(at) && !skips;
        if due && seen.choice.is_none() {
            seen.choice = Some(Choice {
                trigger: Trigger::Interval,
                class: Class::Interval,
                event: None,
                reason: "interval".to_owned(),
            });
        }
        seen
    }

    /// The camera stopped or was lost: ends the event that is on, and forgets the scene, which may be
    /// another one when it comes back.
    pub fn finish(&mut self) -> Option<Transition> {
        let (settings, eye, machine) = self.motion.as_mut()?;
        *eye = FirstPass::new(settings.clone());
        machine.finish()
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

/// The next due time on the grid that `last` began, skipping what was missed.
fn next_after(last: BootTime, step: Duration, now: BootTime) -> BootTime {
    let next = last + step;
    if next > now { next } else { now + step }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Geometry, PixelFormat, Stamp};

    const S: u64 = 1_000_000_000;
    const YEAR: u64 = 365 * 86_400 * S;

    fn watcher(motion: bool, analyse_fps: Option<f64>, interval: Option<u64>) -> Watcher {
        let motion = motion.then(|| (MotionSettings::default(), EventSettings::default()));
        let boot = BootId("0f3c9a52".into());
        Watcher::new(motion, analyse_fps, interval.map(Duration::from_secs), &boot)
    }

    /// A plain grey YUYV frame, with a bright square where there is to be motion.
    fn watch(watcher: &mut Watcher, at: u64, square: bool) -> Seen {
        let mut data = [100, 128].repeat(160 * 120);
        if square {
            for y in 40..80 {
                data[(y * 160 + 60) * 2..(y * 160 + 100) * 2].fill(220);
            }
        }
        let geometry = Geometry { format: PixelFormat::Yuyv, width: 160, height: 120, stride: 320 };
        let (captured, stamp) = (BootTime(at), Stamp::Driver);
        watcher.watch(&Frame { geometry, data: &data, sequence: 0, captured, stamp })
    }

    /// Which of the frames at these times are kept by the interval.
    fn kept(watcher: &mut Watcher, times: impl IntoIterator<Item = u64>) -> Vec<u64> {
        times.into_iter().filter(|&at| watch(watcher, at, false).choice.is_some()).collect()
    }

    #[test]
    fn interval_pictures_keep_to_their_grid() {
        let mut watcher = watcher(false, None, Some(10));
        let times = [5, 6, 14, 16, 24, 26, 70, 74, 80].map(|s| s * S);
        assert_eq!(kept(&mut watcher, times), [5, 16, 26, 70, 80].map(|s| s * S));
    }

    #[test]
    fn one_frame_is_kept_once_whatever_it_is_due_for() {
        let mut watcher = watcher(true, None, Some(1));
        let mut triggers = Vec::new();
        for n in 0..200 {
            let seen = watch(&mut watcher, n * S / 10, n >= 100);
            triggers.extend(seen.choice.map(|c| (n, c.trigger)));
        }
        let motion: Vec<_> = triggers.iter().filter(|(_, t)| *t == Trigger::Motion).collect();
        assert_eq!(motion.len(), 1, "{triggers:?}");
        let mut frames: Vec<_> = triggers.iter().map(|(n, _)| n).collect();
        frames.dedup();
        assert_eq!(frames.len(), triggers.len());
    }

    #[test]
    fn frames_are_analysed_at_the_pace_that_is_set_by_capture_time() {
        let mut watcher = watcher(true, Some(2.0), None);
        let looked = (0..100)
            .filter(|n| watch(&mut watcher, S + n * S / 10, false).observation.is_some())
            .count();
        assert_eq!(looked, 20);
    }

    #[test]
    fn a_stamp_from_next_year_does_not_silence_a_camera_until_then() {
        let mut watcher = watcher(true, Some(5.0), Some(10));
        let before = (0..50).map(|n| 100 * S + n * S / 5);
        let after = (51..300).map(|n| 100 * S + n * S / 5);
        let times = before.chain([YEAR]).chain(after);
        let (mut kept, mut looked, mut light) = (0, 0, 0);
        for at in times {
            let seen = watch(&mut watcher, at, false);
            kept += u32::from(seen.choice.is_some());
            looked += u32::from(seen.observation.is_some());
            light += u32::from(seen.observation.is_some_and(|o| o.light_change.is_some()));
        }
        assert_eq!((kept, light), (6, 0), "one each 10 s, that of the year among them");
        assert!(looked >= 298, "{looked}");
    }

    #[test]
    fn a_clock_that_went_back_delays_nothing() {
        let mut watcher = watcher(true, Some(5.0), Some(10));
        assert_eq!(kept(&mut watcher, [YEAR]), [YEAR]);
        let times: Vec<_> = (0..=100).map(|n| S + n * S / 5).collect();
        assert_eq!(kept(&mut watcher, times), [11 * S, 21 * S]);
    }

    #[test]
    fn motion_is_seen_and_its_event_ends_after_a_stamp_from_next_year() {
        let mut watcher = watcher(true, None, None);
        let mut changes = Vec::new();
        let mut at = 0;
        for n in 0..600 {
            at += S / 10;
            let stamp = if n == 120 { YEAR } else { at };
            let seen =
                watch(&mut watcher, stamp, (115..130).contains(&n) || (300..320).contains(&n));
            changes.extend(seen.step.and_then(|s| s.change));
        }
        assert!(changes.iter().filter(|c| **c == Transition::Began).count() >= 2, "{changes:?}");
        assert!(matches!(changes.last(), Some(Transition::Ended { .. })), "{changes:?}");
    }

    #[test]
    fn a_reopened_camera_goes_on_with_its_interval_and_ends_its_event() {
        let mut watcher = watcher(true, None, Some(60));
        let mut kept = 0;
        let mut began = None;
        for n in 0..150 {
            let seen = watch(&mut watcher, n * S / 10, n >= 100);
            kept += u32::from(seen.choice.as_ref().is_some_and(|c| c.trigger == Trigger::Interval));
            if seen.began() {
                began = seen.step.and_then(|s| s.event);
            }
        }
        let ended = watcher.finish();
        assert!(
            matches!(&ended, Some(Transition::Ended { event, .. }) if Some(event) == began.as_ref())
        );
        assert_eq!(watcher.finish(), None);
        for n in 150..300 {
            let seen = watch(&mut watcher, n * S / 10, false);
            kept += u32::from(seen.choice.is_some());
        }
        assert_eq!(kept, 1);
    }
}
