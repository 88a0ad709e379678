//! Backoff: full jitter and the breaker.
//!
//! Called by whoever talks to something that may be away: the uploader, the cameras' reopening, MQTT.
//! Pure: the random number and the time are passed in. Full jitter is `random(0, min(cap, base * 2^n))`
//! (AWS Architecture Blog, "Exponential Backoff And Jitter"): a fleet that lost its store together does
//! not come back together.

use std::time::Duration;

use crate::clock::BootTime;

/// How long to wait after the n-th failure in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Longest wait after the first failure.
    pub base: Duration,
    /// Longest wait ever.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `failures` failures in a row (counted from 1); `random` is uniform in 0..1 and is
    /// clamped to it.
    #[must_use]
    pub fn wait(self, failures: u32, random: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let ceiling = self.base.saturating_mul(1 << doublings).min(self.cap);
        ceiling.mul_f64(if random.is_finite() { random.clamp(0.0, 1.0) } else { 1.0 })
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// Everything may go.
    Closed,
    /// Nothing may go before this moment.
    Open(BootTime),
    /// One probe may go; it is not out yet.
    HalfOpen,
    /// The probe is out; everything else waits for it.
    Probing,
}

/// A breaker: opens on failure, lets one probe through after the wait, and closes on success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    backoff: Backoff,
    failures: u32,
    gate: Gate,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self { backoff, failures: 0, gate: Gate::Closed }
    }

    /// Failures in a row.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Where it stands at `now`: an open gate whose time has come is half open.
    #[must_use]
    pub fn gate(&self, now: BootTime) -> Gate {
        match self.gate {
            Gate::Open(until) if now >= until => Gate::HalfOpen,
            gate => gate,
        }
    }

    /// Asks to start one piece of work; a yes in the half-open state is the probe. Every yes must be
    /// answered by [`Self::succeeded`], [`Self::failed`] or [`Self::abandoned`].
    pub fn admit(&mut self, now: BootTime) -> bool {
        match self.gate(now) {
            Gate::Closed => true,
            Gate::HalfOpen => {
                self.gate = Gate::Probing;
                true
            }
            Gate::Open(_) | Gate::Probing => false,
        }
    }

    /// A piece of work went well: all is well. While the gate is open that is work which began before the
    /// failure; it takes back nothing that the other side asked for, and the probe closes the gate.
    pub fn succeeded(&mut self) {
        if !matches!(self.gate, Gate::Open(_)) {
            *self = Self::new(self.backoff);
        }
    }

    /// A piece of work failed. `at_least` is what the other side asked for. Failures that come in while
    /// the gate is already open are those of the same outage: they count once, but may lengthen it.
    /// Returns until when nothing goes.
    pub fn failed(&mut self, now: BootTime, at_least: Option<Duration>, random: f64) -> BootTime {
        let asked = at_least.map_or(now, |d| now + d);
        let until = if let Gate::Open(until) = self.gate {
            until.max(asked)
        } else {
            self.failures = self.failures.saturating_add(1);
            (now + self.backoff.wait(self.failures, random)).max(asked)
        };
        self.gate = Gate::Open(until);
        until
    }

    /// A piece of work ended without saying anything about the other side: a probe is given back.
    pub fn abandoned(&mut self) {
        if self.gate == Gate::Probing {
            self.gate = Gate::HalfOpen;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const BACKOFF: Backoff = Backoff { base: SECOND, cap: Duration::from_secs(60) };

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_is_full() {
        let ceilings: Vec<u64> =
            [1, 2, 3, 6, 7, 40, u32::MAX].map(|n| BACKOFF.wait(n, 1.0).as_secs()).to_vec();
        assert_eq!(ceilings, [1, 2, 4, 32, 60, 60, 60]);
        assert_eq!(BACKOFF.wait(5, 0.0), Duration::ZERO);
        assert_eq!(BACKOFF.wait(2, 0.25), Duration::from_millis(500));
        assert_eq!(BACKOFF.wait(1, f64::NAN), SECOND);
    }

    #[test]
    fn one_probe_goes_through_after_the_wait_and_closes_on_success() {
        let at = |s: u64| BootTime(s * 1_000_000_000);
        let mut b = Breaker::new(BACKOFF);
        assert!(b.admit(at(0)) && b.admit(at(0)));
        assert_eq!(b.failed(at(10), None, 1.0), at(11));
        assert_eq!(b.failed(at(10), None, 1.0), at(11), "the same outage counts once");
        assert!(!b.admit(at(10)));
        assert!(b.admit(at(11)));
        assert!(!b.admit(at(11)), "only one probe");
        assert_eq!(b.failed(at(12), None, 1.0), at(14));
        assert_eq!(b.failures(), 2);
        assert!(b.admit(at(14)));
        b.abandoned();
        assert!(b.admit(at(14)), "a probe that said nothing is given back");
        b.succeeded();
        assert_eq!((b.failures(), b.gate(at(14))), (0, Gate::Closed));
    }

    #[test]
    fn work_that_began_before_a_failure_does_not_close_the_gate_by_ending_well() {
        let at = |s: u64| BootTime(s * 1_000_000_000);
        let mut b = Breaker::new(BACKOFF);
        assert!(b.admit(at(0)) && b.admit(at(0)));
        b.failed(at(1), Some(Duration::from_secs(9)), 0.5);
        b.succeeded();
        assert!(!b.admit(at(9)), "the other side asked for nine seconds");
        assert!(b.admit(at(10)));
        b.succeeded();
        assert_eq!((b.failures(), b.gate(at(10))), (0, Gate::Closed));
    }

    #[test]
    fn what_the_other_side_asked_for_is_obeyed() {
        let mut b = Breaker::new(BACKOFF);
        let until = b.failed(BootTime(0), Some(Duration::from_secs(90)), 0.5);
        assert_eq!(until, BootTime(90_000_000_000));
    }
}
