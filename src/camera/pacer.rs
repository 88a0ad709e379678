//! When a recorded or synthetic frame is due, and which capture time it carries.
//!
//! Used by `files` and `scene`. The deciding part, [`Pacer::due`], is pure; `wait_until_due` is the
//! thin part that sleeps.
//!
//! Invariants: capture time = time of opening + media time, at every pace, so it never depends on how
//! fast frames are taken. Due times are counted from the opening, not from the last frame, so lateness
//! does not add up: whoever is behind is served at once until it has caught up.

use std::time::Duration;

use super::{CameraError, OpenError, Pace};
use crate::clock::{BootTime, Clock};

/// Rates outside of this are refused: slower is a mistake, faster is not a camera.
const RATES: std::ops::RangeInclusive<f64> = 0.001..=1000.0;

/// What [`Pacer::due`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Lend it now; it is late by so much.
    Now {
        /// Zero when in time, and always at [`Pace::Fast`].
        late: Duration,
    },
    /// Not before so long.
    In(Duration),
}

/// The media clock of one opened source.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    opened: BootTime,
    fps: f64,
    wait: bool,
}

impl Pacer {
    /// A media clock that starts at `opened`, for a source recorded at `own_fps`.
    ///
    /// # Errors
    /// [`OpenError::Unsupported`] for a rate that is no number of frames a second.
    pub fn new(pace: Pace, own_fps: f64, opened: BootTime) -> Result<Self, OpenError> {
        let (fps, wait) = match pace {
            Pace::Own => (own_fps, true),
            Pace::Rate(fps) => (fps, true),
            Pace::Fast => (own_fps, false),
        };
        if !RATES.contains(&fps) {
            return Err(OpenError::settings(
                &format!("a rate of {fps} frames a second is out of range"),
                &format!("choose one from {} to {}", RATES.start(), RATES.end()),
            ));
        }
        Ok(Self { opened, fps, wait })
    }

    /// Frames a second of media time.
    #[must_use]
    pub fn fps(&self) -> f64 {
        self.fps
    }

    /// Media time of the frame `index`, which counts from 0.
    #[must_use]
    pub fn media_time(&self, index: u64) -> Duration {
        // Exact to the nanosecond for 2^53 ns, 104 days of media; after that the error is below a
        // microsecond for a thousand years. A cast from float saturates.
        Duration::from_nanos((index as f64 * 1e9 / self.fps) as u64)
    }

    /// Capture time of the frame `index`.
    #[must_use]
    pub fn captured(&self, index: u64) -> BootTime {
        self.opened + self.media_time(index)
    }

    /// Is the frame `index` due at `now`?
    #[must_use]
    pub fn due(&self, index: u64, now: BootTime) -> Due {
        let due = self.captured(index);
        if !self.wait {
            Due::Now { late: Duration::ZERO }
        } else if due > now {
            Due::In(due.since(now))
        } else {
            Due::Now { late: now.since(due) }
        }
    }
}

/// Waits until the frame `index` is due, but never longer than `timeout`.
///
/// # Errors
/// [`CameraError::Timeout`], after the time-out, if the frame is due later than that.
pub(super) fn wait_until_due(
    pacer: &Pacer,
    index: u64,
    clock: &dyn Clock,
    timeout: Duration,
) -> Result<(), CameraError> {
    match pacer.due(index, clock.boottime()) {
        Due::Now { .. } => Ok(()),
        Due::In(wait) if wait > timeout => {
            sleep(timeout);
            Err(CameraError::Timeout(timeout))
        }
        Due::In(wait) => {
            sleep(wait);
            Ok(())
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "a recording has no event to wait for; its pace is time itself, bounded by the time-out"
)]
fn sleep(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENED: BootTime = BootTime(5_000_000_000);

    fn at(ms: u64) -> BootTime {
        OPENED + Duration::from_millis(ms)
    }

    #[test]
    fn capture_times_are_opening_plus_media_time_at_every_pace() {
        for (pace, third) in [(Pace::Own, 750), (Pace::Rate(10.0), 300), (Pace::Fast, 750)] {
            let pacer = Pacer::new(pace, 4.0, OPENED).unwrap();
            assert_eq!(pacer.captured(0), OPENED);
            assert_eq!(pacer.captured(3), at(third), "{pace:?}");
        }
    }

    #[test]
    fn an_early_frame_waits_and_a_late_one_is_lent_at_once() {
        let pacer = Pacer::new(Pace::Own, 4.0, OPENED).unwrap();
        assert_eq!(pacer.due(2, at(0)), Due::In(Duration::from_millis(500)));
        assert_eq!(pacer.due(2, at(500)), Due::Now { late: Duration::ZERO });
        assert_eq!(pacer.due(2, at(60_500)), Due::Now { late: Duration::from_secs(60) });
        let fast = Pacer::new(Pace::Fast, 4.0, OPENED).unwrap();
        assert_eq!(fast.due(1_000_000, at(0)), Due::Now { late: Duration::ZERO });
    }

    #[test]
    fn lateness_does_not_add_up() {
        // Frames taken 10 % too slowly, then in time: the schedule has not moved.
        let pacer = Pacer::new(Pace::Own, 10.0, OPENED).unwrap();
        assert_eq!(pacer.due(100, at(11_000)), Due::Now { late: Duration::from_secs(1) });
        assert_eq!(pacer.due(120, at(11_000)), Due::In(Duration::from_secs(1)));
    }

    #[test]
    fn senseless_rates_are_refused() {
        for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert!(Pacer::new(Pace::Rate(fps), 25.0, OPENED).is_err(), "{fps}");
            assert!(Pacer::new(Pace::Own, fps, OPENED).is_err(), "{fps}");
        }
    }
}
