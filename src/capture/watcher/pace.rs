//! Which frames are looked at: few while nothing happens, more while something does. Pure.
//!
//! A frame that is not looked at goes back unread. Times are the camera's own line, which never goes back. Of
//! the frames around a due time the nearest is taken, so that a camera whose frames tremble a little is not
//! looked at half as often as was asked.

use std::time::Duration;

use crate::clock::BootTime;

/// How often frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnalyseFps {
    /// Frames a second while nothing happens.
    pub quiet: f64,
    /// Frames a second while something moves, an event is on, or the scene is being learnt; at least `quiet`.
    pub active: f64,
}

/// When the next frame is due to be looked at.
#[derive(Debug)]
pub(super) struct Pace {
    /// `None`: every frame.
    settings: Option<AnalyseFps>,
    next: BootTime,
}

impl Pace {
    pub(super) fn new(settings: Option<AnalyseFps>) -> Self {
        Self { settings, next: BootTime(0) }
    }

    /// Is the frame of this time, which came `gap` after the one before it, to be looked at?
    pub(super) fn is_due(&self, at: BootTime, gap: Duration) -> bool {
        self.settings.is_none() || at + gap / 2 >= self.next
    }

    /// The frame of this time was looked at; `active`: something happens.
    pub(super) fn looked(&mut self, at: BootTime, gap: Duration, active: bool) {
        let Some(fps) = self.settings else { return };
        let was_due = self.is_due(at, gap);
        let step = between(if active { fps.active } else { fps.quiet });
        self.next =
            if was_due { next_after(self.next, step, at) } else { self.next.min(at + step) };
    }
}

/// Time from one frame to the next.
pub(super) fn between(fps: f64) -> Duration {
    Duration::from_secs_f64(1.0 / fps.max(0.001))
}

/// The next due time on the grid that `last` began, skipping what was missed.
pub(super) fn next_after(last: BootTime, step: Duration, now: BootTime) -> BootTime {
    let next = last + step;
    if next > now { next } else { now + step }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    /// Which of the frames at these milliseconds are looked at.
    fn looked(
        settings: Option<AnalyseFps>,
        times: impl IntoIterator<Item = u64>,
        active: impl Fn(u64) -> bool,
    ) -> Vec<u64> {
        let (mut pace, mut last) = (Pace::new(settings), BootTime(0));
        let mut look = |&ms: &u64| {
            let at = BootTime(ms * MS);
            let gap = at.since(std::mem::replace(&mut last, at));
            let due = pace.is_due(at, gap);
            if due {
                pace.looked(at, gap, active(ms));
            }
            due
        };
        times.into_iter().filter(|ms| look(ms)).collect()
    }

    fn fps(quiet: f64, active: f64) -> Option<AnalyseFps> {
        Some(AnalyseFps { quiet, active })
    }

    #[test]
    fn the_pace_goes_up_with_the_first_frame_that_shows_something_and_down_after() {
        let times = (0..40).map(|n| 1000 + n * 50);
        let seen = looked(fps(5.0, 10.0), times, |ms| (1600..2200).contains(&ms));
        let expected: Vec<u64> = (1000..1600)
            .step_by(200)
            .chain((1600..2200).step_by(100))
            .chain((2200..3000).step_by(200))
            .collect();
        assert_eq!(seen, expected);
    }

    #[test]
    fn every_frame_is_looked_at_where_no_pace_is_set_or_the_camera_is_slower() {
        let times: Vec<u64> = (0..20).map(|n| 1000 + n * 250).collect();
        assert_eq!(looked(None, times.clone(), |_| false), times);
        assert_eq!(looked(fps(5.0, 10.0), times.clone(), |_| false), times);
    }

    #[test]
    fn a_camera_whose_frames_tremble_is_looked_at_as_often_as_asked() {
        let times = (0..1000).map(|n| 1000 + n * 100 + [9, 0, 2, 7, 1][n as usize % 5]);
        assert!(looked(fps(10.0, 10.0), times.clone(), |_| false).len() >= 995);
        let half = looked(fps(5.0, 10.0), times, |_| false).len();
        assert!((495..=505).contains(&half), "{half}");
    }

    #[test]
    fn a_look_out_of_turn_puts_none_off() {
        let mut pace = Pace::new(fps(5.0, 10.0));
        let (at, gap) = (|ms: u64| BootTime(ms * MS), Duration::from_millis(50));
        pace.looked(at(1000), gap, false);
        pace.looked(at(1100), gap, false);
        assert!(!pace.is_due(at(1150), gap) && pace.is_due(at(1200), gap));
    }

    proptest! {
        #[test]
        fn no_more_frames_are_looked_at_than_asked_and_none_is_waited_for_in_vain(
            gaps in prop::collection::vec(1u64..150, 200),
            quiet in 1.0f64..30.0,
            more in 1.0f64..4.0,
        ) {
            let mut at = 1000;
            let times: Vec<u64> = gaps.iter().map(|gap| { at += gap; at }).collect();
            let lasted = (at - 1000) as f64 / 1000.0;
            let most = lasted * quiet * more + 2.0;
            let seen = looked(fps(quiet, quiet * more), times, |ms| ms % 1000 < 500);
            prop_assert!(seen.len() as f64 <= most, "{} in {lasted} s at {}", seen.len(), quiet * more);
            // One step, and a frame that was a little too early, and the one after it.
            let longest = 1000.0 / quiet + 300.0;
            prop_assert!(seen.windows(2).all(|two| (two[1] - two[0]) as f64 <= longest));
        }
    }
}
