//! What the spool remembers of pictures in flight: who is lent out, who rests until its retry, and the
//! newest bodies, kept warm so that a fresh upload reads no file.
//!
//! Memory only, never in rows: after a restart everything is simply queued again. All three are
//! bounded: loans by the claims that are alive, rests by [`MAX_RESTING`], bodies by [`WARM_BYTES`].

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use crate::contract::{Class, Facts};

/// Most pictures that rest; beyond it the one nearest its time is woken early.
const MAX_RESTING: usize = 1024;
/// Most bytes of warm bodies and their facts.
const WARM_BYTES: usize = 4 << 20;
/// Camera of a loan whose picture has no row.
pub(super) const NO_ROW: i64 = -1;
/// What a picture's facts are counted as.
const FACTS_BYTES: usize = 1024;

#[derive(Clone, Copy, Debug)]
struct Loan {
    ticket: u64,
    camera: i64,
    class: Class,
    bytes: u64,
}

/// Pictures that are not to be claimed now.
#[derive(Debug, Default)]
pub(super) struct Loans {
    lent: HashMap<u64, Loan>,
    resting: HashMap<u64, Instant>,
    tickets: u64,
}

impl Loans {
    /// Lends a picture; the ticket tells this loan from later ones of the same picture.
    pub(super) fn lend(&mut self, seq: u64, camera: i64, class: Class, bytes: u64) -> u64 {
        self.tickets += 1;
        self.lent.insert(seq, Loan { ticket: self.tickets, camera, class, bytes });
        self.tickets
    }

    /// A picture that was lent before it had a row has one now, of this camera.
    pub(super) fn place(&mut self, seq: u64, camera: i64) {
        if let Some(loan) = self.lent.get_mut(&seq) {
            loan.camera = camera;
        }
    }

    pub(super) fn is_lent(&self, seq: u64) -> bool {
        self.lent.contains_key(&seq)
    }

    /// May this picture be claimed?
    pub(super) fn is_free(&self, seq: u64, now: Instant) -> bool {
        !self.is_lent(seq) && self.resting.get(&seq).is_none_or(|until| *until <= now)
    }

    /// A claim was dropped; whether its loan was still open.
    pub(super) fn give_back(&mut self, seq: u64, ticket: u64) -> bool {
        let open = self.lent.get(&seq).is_some_and(|loan| loan.ticket == ticket);
        if open {
            self.lent.remove(&seq);
        }
        open
    }

    /// Ends a loan, resting until then.
    pub(super) fn end(&mut self, seq: u64, until: Option<Instant>) {
        self.lent.remove(&seq);
        match until {
            None => drop(self.resting.remove(&seq)),
            Some(until) => {
                self.resting.insert(seq, until);
                if self.resting.len() > MAX_RESTING {
                    let first = self.resting.iter().min_by_key(|(_, until)| **until);
                    if let Some(seq) = first.map(|(seq, _)| *seq) {
                        self.resting.remove(&seq);
                    }
                }
            }
        }
    }

    /// Wakes whoever has rested enough; whether there was anyone.
    pub(super) fn wake(&mut self, now: Instant) -> bool {
        let before = self.resting.len();
        self.resting.retain(|_, until| *until > now);
        self.resting.len() < before
    }

    /// When the next picture has rested enough.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.resting.values().min().copied()
    }

    /// Pictures lent out and pictures resting.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.lent.len() as u64, self.resting.len() as u64)
    }

    /// Camera, class and file size of each picture lent out.
    pub(super) fn lent(&self) -> impl Iterator<Item = (i64, Class, u64)> + '_ {
        self.lent.values().map(|loan| (loan.camera, loan.class, loan.bytes))
    }
}

/// The newest bodies.
#[derive(Debug, Default)]
pub(super) struct Warm {
    bodies: VecDeque<(u64, Facts, Bytes)>,
    bytes: usize,
}

impl Warm {
    pub(super) fn keep(&mut self, facts: Facts, body: Bytes) {
        self.bytes += body.len() + FACTS_BYTES;
        self.bodies.push_back((facts.seq, facts, body));
        while self.bytes > WARM_BYTES {
            let Some((_, _, body)) = self.bodies.pop_front() else { break };
            self.bytes -= body.len() + FACTS_BYTES;
        }
    }

    pub(super) fn get(&self, seq: u64) -> Option<(Facts, Bytes)> {
        let (_, facts, body) = self.bodies.get(self.position(seq)?)?;
        Some((facts.clone(), body.clone()))
    }

    pub(super) fn forget(&mut self, seq: u64) {
        if let Some((_, _, body)) = self.position(seq).and_then(|at| self.bodies.remove(at)) {
            self.bytes -= body.len() + FACTS_BYTES;
        }
    }

    /// Numbers come in ascending order.
    fn position(&self, seq: u64) -> Option<usize> {
        self.bodies.binary_search_by_key(&seq, |(seq, _, _)| *seq).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_late_return_does_not_end_the_next_loan() {
        let mut loans = Loans::default();
        let first = loans.lend(7, 1, Class::Event, 10);
        loans.end(7, None);
        let second = loans.lend(7, 1, Class::Event, 10);
        assert!(!loans.give_back(7, first));
        assert!(loans.is_lent(7));
        assert!(loans.give_back(7, second));
        assert!(!loans.is_lent(7));
    }

    #[test]
    fn a_resting_picture_is_free_again_at_its_time() {
        let (mut loans, now) = (Loans::default(), Instant::now());
        let later = now + Duration::from_secs(60);
        loans.lend(7, 1, Class::Event, 10);
        loans.end(7, Some(later));
        assert!(!loans.is_free(7, now) && loans.is_free(7, later));
        assert_eq!(loans.next_due(), Some(later));
        assert!(!loans.wake(now) && loans.wake(later));
        assert_eq!(loans.next_due(), None);
    }

    #[test]
    fn rests_are_bounded() {
        let (mut loans, now) = (Loans::default(), Instant::now());
        for seq in 0..5000 {
            loans.end(seq, Some(now + Duration::from_secs(seq + 1)));
        }
        assert_eq!(loans.counts(), (0, MAX_RESTING as u64));
        assert!(loans.is_free(0, now) && !loans.is_free(4999, now));
    }
}
