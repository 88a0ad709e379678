//! How many new commands are taken: one a second, and a few at once.

use std::time::Duration;

use super::{Code, Rejection};
use crate::clock::BootTime;

/// Commands that may come at once.
pub const BURST: u32 = 10;

/// One more each, unless a test is in a hurry.
const EVERY: Duration = Duration::from_secs(1);

/// A token bucket on the time since boot, kept as the moment at which it will be full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    full_at: BootTime,
    every: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::one_each(EVERY)
    }
}

impl RateLimit {
    /// [`BURST`] at once, and then one more each `every`.
    #[must_use]
    pub fn one_each(every: Duration) -> Self {
        Self { full_at: BootTime(0), every }
    }

    /// Takes one token.
    pub(super) fn take(&mut self, at: BootTime) -> Result<(), Rejection> {
        let wait = self.full_at.since(at).saturating_sub(self.every * (BURST - 1));
        if wait.is_zero() {
            self.full_at = self.full_at.max(at) + self.every;
            return Ok(());
        }
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let text = format!(
            "more than {BURST} at once or one each {:?}; send it again in {seconds} s",
            self.every
        );
        let after = Some(Duration::from_secs(seconds));
        Err(Rejection { after, ..Rejection::new(Code::RateLimited, text) })
    }

    /// Puts the last token back: the command was not new.
    pub fn give_back(&mut self) {
        let every = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        self.full_at = BootTime(self.full_at.0.saturating_sub(every));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn ten_at_once_then_one_a_second() {
        let mut rate = RateLimit::default();
        let now = BootTime(500 * S);
        assert!((0..BURST).all(|_| rate.take(now).is_ok()));
        let why = rate.take(now).unwrap_err();
        assert_eq!((why.code, why.after), (Code::RateLimited, Some(Duration::from_secs(1))));
        assert!(why.text.ends_with("in 1 s"), "{}", why.text);
        assert!(rate.take(BootTime(501 * S - 1)).is_err());
        assert!(rate.take(BootTime(501 * S)).is_ok());
        assert!(rate.take(BootTime(501 * S)).is_err());
        assert!((0..BURST).all(|_| rate.take(BootTime(600 * S)).is_ok()), "a pause fills it");
    }

    #[test]
    fn the_first_second_after_boot_has_the_whole_burst() {
        let mut rate = RateLimit::default();
        assert!((0..BURST).all(|_| rate.take(BootTime(0)).is_ok()));
        assert!(rate.take(BootTime(0)).is_err());
    }

    #[test]
    fn what_was_not_new_costs_nothing() {
        let mut rate = RateLimit::default();
        for _ in 0..100 {
            assert!(rate.take(BootTime(S)).is_ok());
            rate.give_back();
        }
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_takes_more_than_its_share(
            steps in proptest::collection::vec(0..3 * S, 1..200),
        ) {
            let (mut rate, mut now) = (RateLimit::default(), 7 * S);
            let mut taken = Vec::new();
            for step in steps {
                now += step;
                if rate.take(BootTime(now)).is_ok() {
                    taken.push(now);
                }
            }
            for (n, from) in taken.iter().enumerate() {
                for (m, to) in taken.iter().enumerate().skip(n) {
                    prop_assert!((m - n) as u64 <= u64::from(BURST) + (to - from) / S);
                }
            }
        }

        #[test]
        fn any_times_do(times in proptest::collection::vec(any::<u64>(), 1..50)) {
            let mut rate = RateLimit::default();
            for at in times {
                drop(rate.take(BootTime(at)));
            }
        }
    }
}
