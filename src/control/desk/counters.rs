//! What became of everything that was delivered to the desk: an account whose sum holds.
//!
//! A delivery is counted by a [`Ticket`], which leaves by exactly one of its ways or is dropped, and then
//! counts as dropped. So the sum holds by construction, whoever forgets a delivery.

use std::sync::{Arc, Mutex, PoisonError};

use crate::control::command::Code;

/// The desk's counters of this run; shared with status.
#[derive(Debug, Default)]
pub struct DeskCounters {
    sums: Mutex<DeskSums>,
}

/// One consistent reading:
/// `received = accepted + known + rejected(code) + ignored + dropped + in_hand`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeskSums {
    /// Everything that was delivered.
    pub received: u64,
    /// Commands written down.
    pub accepted: u64,
    /// Commands that had been written down before.
    pub known: u64,
    /// Commands rejected, by code, in the order of [`Code::ALL`].
    pub rejected: [u64; Code::ALL.len()],
    /// What asked for nothing.
    pub ignored: u64,
    /// Not acknowledged: the desk or the spool stopped. The broker sends them again.
    pub dropped: u64,
    /// Not decided: the index is asked, or away.
    pub in_hand: u64,
}

impl DeskSums {
    /// Rejected commands over all codes.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// Does the sum hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        let ended =
            self.accepted + self.known + self.rejected_total() + self.ignored + self.dropped;
        self.received == ended + self.in_hand
    }
}

impl DeskCounters {
    /// One consistent reading.
    #[must_use]
    pub fn sums(&self) -> DeskSums {
        *self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with(&self, f: impl FnOnce(&mut DeskSums)) {
        f(&mut self.sums.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// One delivery in the account.
#[derive(Debug)]
pub(super) struct Ticket {
    counters: Arc<DeskCounters>,
    open: bool,
}

impl Ticket {
    /// Something was delivered.
    pub(super) fn new(counters: &Arc<DeskCounters>) -> Self {
        counters.with(|s| {
            s.received += 1;
            s.in_hand += 1;
        });
        Self { counters: Arc::clone(counters), open: true }
    }

    pub(super) fn accepted(self) {
        self.leave(|s| s.accepted += 1);
    }

    pub(super) fn known(self) {
        self.leave(|s| s.known += 1);
    }

    pub(super) fn ignored(self) {
        self.leave(|s| s.ignored += 1);
    }

    pub(super) fn rejected(self, code: Code) {
        self.leave(|s| s.rejected[code as usize] += 1);
    }

    fn leave(mut self, by: impl FnOnce(&mut DeskSums)) {
        self.open = false;
        self.counters.with(|s| {
            s.in_hand -= 1;
            by(s);
        });
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.counters.with(|s| {
                s.in_hand -= 1;
                s.dropped += 1;
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_leaves_by_one_way_and_a_forgotten_one_counts_as_dropped() {
        let counters = Arc::new(DeskCounters::default());
        let mut tickets: Vec<_> = (0..18).map(|_| Ticket::new(&counters)).collect();
        assert_eq!(counters.sums().in_hand, 18);
        let mut next = || tickets.pop().unwrap();
        next().accepted();
        next().known();
        next().ignored();
        Code::ALL.into_iter().for_each(|code| next().rejected(code));
        drop(next());
        let sums = counters.sums();
        assert!(sums.holds(), "{sums:?}");
        assert_eq!((sums.accepted, sums.known, sums.ignored, sums.dropped), (1, 1, 1, 1));
        assert_eq!((sums.rejected, sums.in_hand), ([1; Code::ALL.len()], 1));
    }
}
