//! Which picture next, whether at all, and what an attempt's end means for the picture.
//!
//! Called by the worker. Pure: time and randomness are passed in. Retry times belong to the destination
//! (one breaker: after a failure nothing goes, then one probe, then everything); a picture that fails
//! while others are stored waits by itself besides, so that it cannot hold up the others.
//!
//! Invariants: only [`Verdict::Stored`] makes a picture stored; nothing is set aside for a reason that
//! could be the destination's: a refusal of unknown reason sets a picture aside only after
//! [`REFUSALS`] answered attempts *and* when another picture was stored since the first of them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::classify::{Parked, Verdict};
use super::{Standing, UploadState};
use crate::backoff::{Backoff, Breaker, Gate};
use crate::clock::BootTime;
use crate::spool::{Order, Outcome, Quarantine};

/// Answered refusals of unknown reason before a picture is given up.
pub const REFUSALS: u32 = 10;
/// Pictures whose troubles are remembered; the oldest are forgotten first and start anew.
const REMEMBERED: usize = 256;

/// What the worker tells the spool about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What became of it.
    pub outcome: Outcome,
    /// Not to be claimed again before this has passed.
    pub wait: Option<Duration>,
}

/// One picture's troubles in this run.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    failures: u32,
    until: BootTime,
    /// Pictures stored when this one was first refused.
    stored_before: Option<u64>,
}

/// What is known of the destination in this run.
#[derive(Debug)]
pub struct Destination {
    backoff: Backoff,
    breaker: Breaker,
    standing: Standing,
    claims: u64,
    stored: u64,
    last_stored: Option<BootTime>,
    last_error: Option<String>,
    troubles: BTreeMap<u64, Trouble>,
}

impl Destination {
    /// A destination of which nothing bad is known.
    #[must_use]
    pub fn new(backoff: Backoff) -> Self {
        Self {
            backoff,
            breaker: Breaker::new(backoff),
            standing: Standing::Working,
            claims: 0,
            stored: 0,
            last_stored: None,
            last_error: None,
            troubles: BTreeMap::new(),
        }
    }

    /// Asks to start one attempt. A yes must be answered by [`Self::settle`] or [`Self::abandoned`].
    pub fn admit(&mut self, now: BootTime) -> bool {
        self.breaker.admit(now)
    }

    /// The attempt did not take place or said nothing about the destination.
    pub fn abandoned(&mut self) {
        self.breaker.abandoned();
    }

    /// Which end of the queue to claim from: four fresh pictures to one of the backlog.
    pub fn next_order(&mut self) -> Order {
        self.claims = self.claims.wrapping_add(1);
        if self.claims.is_multiple_of(5) { Order::Oldest } else { Order::Newest }
    }

    /// When to look again although nothing happens: the breaker's time, or the first picture's.
    #[must_use]
    pub fn next_wake(&self, now: BootTime) -> Option<BootTime> {
        match self.breaker.gate(now) {
            Gate::Open(until) => Some(until),
            Gate::HalfOpen | Gate::Probing => None,
            Gate::Closed => self.troubles.values().map(|t| t.until).filter(|t| *t > now).min(),
        }
    }

    /// What an attempt's end means for the picture, and for the destination. `attempts` are the answered
    /// refusals written down before this one; `random` is uniform in 0..1.
    pub fn settle(
        &mut self,
        seq: u64,
        attempts: u32,
        verdict: Verdict,
        now: BootTime,
        random: f64,
    ) -> Settled {
        match verdict {
            Verdict::Stored => self.stored(seq, now),
            Verdict::Quarantine { why } => self.set_aside(seq, why),
            Verdict::Refused { why } => self.refused(seq, attempts, why, now, random),
            Verdict::Retry { after, why } => {
                self.failed(seq, Standing::Retrying(why), after, now, random)
            }
            Verdict::FixClock { why, .. } | Verdict::CheckOwnFile { why } => {
                self.failed(seq, Standing::Retrying(why), None, now, random)
            }
            Verdict::FixCredentials { why } => {
                self.failed(seq, Standing::Parked(Parked::Credentials(why)), None, now, random)
            }
            Verdict::Park(parked) => self.failed(seq, Standing::Parked(parked), None, now, random),
        }
    }

    /// What status and alarms show.
    #[must_use]
    pub fn state(&self, in_flight: usize, now: BootTime) -> UploadState {
        UploadState {
            standing: self.standing.clone(),
            failures: self.breaker.failures(),
            until: match self.breaker.gate(now) {
                Gate::Open(until) => Some(until),
                _ => None,
            },
            in_flight,
            stored: self.stored,
            last_stored: self.last_stored,
            last_error: self.last_error.clone(),
        }
    }

    fn stored(&mut self, seq: u64, now: BootTime) -> Settled {
        self.breaker.succeeded();
        self.standing = Standing::Working;
        self.stored += 1;
        self.last_stored = Some(now);
        self.troubles.remove(&seq);
        Settled { outcome: Outcome::Stored, wait: None }
    }

    fn set_aside(&mut self, seq: u64, why: String) -> Settled {
        self.breaker.abandoned();
        self.troubles.remove(&seq);
        self.last_error = Some(why.clone());
        Settled { outcome: Outcome::Quarantined(Quarantine::Rejected(why)), wait: None }
    }

    fn refused(&mut self, seq: u64, attempts: u32, why: String, now: BootTime, r: f64) -> Settled {
        let stored = self.stored;
        let before = *self.trouble(seq, now).stored_before.get_or_insert(stored);
        let enough = attempts.saturating_add(1) >= REFUSALS;
        if enough && stored > before {
            return self.set_aside(seq, why);
        }
        let standing = match enough {
            true => Standing::Parked(Parked::Refuses(why)),
            false => Standing::Retrying(why),
        };
        Settled { outcome: Outcome::Refused, ..self.failed(seq, standing, None, now, r) }
    }

    fn failed(
        &mut self,
        seq: u64,
        standing: Standing,
        after: Option<Duration>,
        now: BootTime,
        random: f64,
    ) -> Settled {
        self.breaker.failed(now, after, random);
        self.last_error = standing.words();
        // A parked destination stays parked until something is stored: a probe that times out does
        // not mend a missing bucket.
        if !matches!((&self.standing, &standing), (Standing::Parked(_), Standing::Retrying(_))) {
            self.standing = standing;
        }
        let backoff = self.backoff;
        let trouble = self.trouble(seq, now);
        trouble.failures = trouble.failures.saturating_add(1);
        let wait = backoff.wait(trouble.failures, random);
        trouble.until = now + wait;
        Settled { outcome: Outcome::Released, wait: Some(wait) }
    }

    fn trouble(&mut self, seq: u64, now: BootTime) -> &mut Trouble {
        if self.troubles.len() >= REMEMBERED && !self.troubles.contains_key(&seq) {
            self.troubles.pop_first();
        }
        let new = Trouble { failures: 0, until: now, stored_before: None };
        self.troubles.entry(seq).or_insert(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn destination() -> Destination {
        Destination::new(Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300) })
    }

    fn refused() -> Verdict {
        Verdict::Refused { why: "400 InvalidArgument".into() }
    }

    #[test]
    fn four_fresh_pictures_go_to_one_of_the_backlog() {
        let mut d = destination();
        let oldest = (0..100).filter(|_| d.next_order() == Order::Oldest).count();
        assert_eq!(oldest, 20);
    }

    #[test]
    fn an_unknown_refusal_sets_aside_only_when_others_are_stored_in_between() {
        let mut d = destination();
        for attempt in 0..9 {
            let s = d.settle(7, attempt, refused(), BootTime(0), 1.0);
            assert_eq!(s.outcome, Outcome::Refused);
            assert!(matches!(d.standing, Standing::Retrying(_)));
        }
        let s = d.settle(7, 9, refused(), BootTime(0), 1.0);
        assert_eq!(s.outcome, Outcome::Refused);
        assert!(matches!(d.standing, Standing::Parked(Parked::Refuses(_))));
        d.settle(8, 0, Verdict::Stored, BootTime(0), 1.0);
        let s = d.settle(7, 10, refused(), BootTime(0), 1.0);
        assert!(matches!(s.outcome, Outcome::Quarantined(_)));
    }

    #[test]
    fn what_was_stored_before_the_first_refusal_does_not_count() {
        let mut d = destination();
        d.settle(1, 0, Verdict::Stored, BootTime(0), 1.0);
        // Nine attempts were written down by an earlier run.
        let s = d.settle(7, 9, refused(), BootTime(0), 1.0);
        assert_eq!(s.outcome, Outcome::Refused);
        d.settle(2, 0, Verdict::Stored, BootTime(0), 1.0);
        assert!(matches!(
            d.settle(7, 10, refused(), BootTime(0), 1.0).outcome,
            Outcome::Quarantined(_)
        ));
    }

    #[test]
    fn a_parked_destination_keeps_everything_and_lets_one_probe_through() {
        let mut d = destination();
        assert!(d.admit(BootTime(0)));
        let parked = Verdict::Park(Parked::NoBucket("404".into()));
        let s = d.settle(1, 0, parked, BootTime(0), 1.0);
        assert_eq!(s.outcome, Outcome::Released);
        assert!(!d.admit(BootTime(S / 2)));
        assert_eq!(d.next_wake(BootTime(S / 2)), Some(BootTime(S)));
        assert!(d.admit(BootTime(S)) && !d.admit(BootTime(S)));
        d.settle(2, 0, Verdict::Retry { after: None, why: "silence".into() }, BootTime(S), 1.0);
        assert!(matches!(d.state(0, BootTime(S)).standing, Standing::Parked(Parked::NoBucket(_))));
        assert!(d.admit(BootTime(9 * S)));
        d.settle(3, 0, Verdict::Stored, BootTime(9 * S), 1.0);
        assert_eq!(d.state(0, BootTime(9 * S)).standing, Standing::Working);
    }

    #[test]
    fn a_picture_that_fails_alone_waits_longer_each_time() {
        let mut d = destination();
        let mut waits = Vec::new();
        for n in 0..4 {
            let (now, probe) = (BootTime(n * 100 * S), BootTime((n * 100 + 1) * S));
            let retry = Verdict::Retry { after: None, why: "500".into() };
            waits.push(d.settle(7, 0, retry, now, 1.0).wait.unwrap().as_secs());
            assert!(d.admit(probe), "it holds up the others for a second only");
            d.settle(8, 0, Verdict::Stored, probe, 1.0);
        }
        assert_eq!(waits, [1, 2, 4, 8]);
        assert_eq!(d.next_wake(BootTime(301 * S)), Some(BootTime(308 * S)));
    }

    #[test]
    fn memory_of_troubles_is_bounded() {
        let mut d = destination();
        for seq in 0..10_000 {
            d.settle(seq, 0, refused(), BootTime(0), 0.5);
        }
        assert_eq!(d.troubles.len(), REMEMBERED);
    }
}
