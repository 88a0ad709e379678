//! When a lost camera is tried again. Pure.
//!
//! ```text
//!  lost ──▶ waits by its backoff ── time ─────────────────────▶ try
//!                │
//!                └─ something is plugged in ─▶ try, and some times more after short waits: a node is
//!                                             there before its permissions are, and links come last
//! ```
//! Invariant: tries that a plugging brings are bounded by [`QUICK`] until a whole wait has passed or the
//! camera is steady, so that a port with a loose contact, or a program that keeps changing permissions,
//! costs no processor. A try out of turn does not make the backoff longer.

use std::time::Duration;

use crate::backoff::Backoff;

/// Tries out of turn.
const QUICK: u32 = 12;

/// The wait after a plugging whose camera could not be opened yet.
const SETTLE: Duration = Duration::from_millis(250);

/// Such waits after one plugging.
const SETTLES: u32 = 4;

/// The reopening of one camera.
#[derive(Debug)]
pub(super) struct Reopening {
    backoff: Backoff,
    /// Losses since the camera was last steady.
    failures: u32,
    /// Tries out of turn that are left.
    quick: u32,
    /// Short waits that are left of this plugging.
    settle: u32,
    /// The wait now is a short one.
    short: bool,
}

impl Reopening {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0, quick: QUICK, settle: 0, short: false }
    }

    /// It was lost, or could not be opened. How long to wait; `jitter` is in 0..1.
    pub(super) fn lost(&mut self, jitter: f64) -> Duration {
        self.short = self.settle > 0;
        if self.short {
            self.settle -= 1;
            return SETTLE;
        }
        self.failures = self.failures.saturating_add(1);
        self.backoff.wait(self.failures, jitter)
    }

    /// Is it worth hearing of what is plugged in?
    pub(super) fn listens(&self) -> bool {
        self.quick > 0
    }

    /// Something was plugged in that may be it.
    pub(super) fn arrived(&mut self) {
        self.quick = self.quick.saturating_sub(1);
        self.settle = SETTLES.min(self.quick);
    }

    /// A wait is over without that.
    pub(super) fn waited(&mut self) {
        if !self.short {
            self.quick = QUICK;
        }
    }

    /// It streams well.
    pub(super) fn steady(&mut self) {
        *self = Self::new(self.backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn reopening() -> Reopening {
        Reopening::new(Backoff { base: Duration::from_secs(1), cap: LONG })
    }

    #[test]
    fn a_camera_that_stays_away_is_tried_by_its_backoff() {
        let mut r = reopening();
        let waits: Vec<_> = (0..7).map(|_| r.lost(1.0).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
        r.steady();
        assert_eq!(r.lost(1.0).as_secs(), 1);
    }

    #[test]
    fn a_plugging_brings_some_tries_at_short_waits_which_do_not_lengthen_the_backoff() {
        let mut r = reopening();
        assert_eq!(r.lost(1.0), Duration::from_secs(1));
        r.arrived();
        for _ in 0..SETTLES {
            assert_eq!(r.lost(1.0), SETTLE, "no permission yet");
            r.waited();
        }
        assert_eq!(r.lost(1.0), Duration::from_secs(2), "it was another device");
    }

    #[test]
    fn a_loose_contact_costs_a_bounded_number_of_tries_until_a_whole_wait_has_passed() {
        let mut r = reopening();
        let mut tries = 0;
        r.lost(1.0);
        while r.listens() {
            r.arrived();
            r.lost(1.0);
            tries += 1;
        }
        assert_eq!(tries, QUICK);
        while r.lost(1.0) == SETTLE {
            r.waited();
        }
        assert!(!r.listens(), "short waits give nothing back");
        r.waited();
        assert!(r.listens());
    }
}
