//! Frames held back in case an event begins soon, under a byte budget of their own. Pure.
//!
//! Kept by the camera thread, one for a camera that has `pre_event`; `vedette analyze` keeps one of frame
//! numbers to say the same. Held frames are in no account: they were never chosen, and the oldest go
//! when there is no room or they are older than asked. Times are the camera's own line, which never goes
//! back.

use std::collections::VecDeque;

use crate::clock::BootTime;
use crate::firstpass::trigger::PreEvent;

/// The newest frames.
#[derive(Debug)]
pub struct Ring<T> {
    settings: PreEvent,
    bytes: u64,
    held: VecDeque<Held<T>>,
}

#[derive(Debug)]
struct Held<T> {
    at: BootTime,
    bytes: u64,
    what: T,
}

impl<T> Ring<T> {
    /// One that holds nothing yet.
    #[must_use]
    pub fn new(settings: PreEvent) -> Self {
        Self { settings, bytes: 0, held: VecDeque::new() }
    }

    /// Holds a frame of `bytes`, made by `make`, in the place of as many of the oldest as it takes; one
    /// that is larger than the whole budget is not held.
    pub fn push(&mut self, at: BootTime, bytes: u64, make: impl FnOnce() -> T) {
        self.forget_before(at);
        if bytes > self.settings.bytes {
            return;
        }
        while self.bytes + bytes > self.settings.bytes {
            self.drop_oldest();
        }
        self.bytes += bytes;
        self.held.push_back(Held { at, bytes, what: make() });
    }

    /// Gives up all that is held: of what is not too old for an event that began at `at`, oldest first.
    pub fn take(&mut self, at: BootTime) -> Vec<T> {
        self.forget_before(at);
        self.bytes = 0;
        self.held.drain(..).map(|held| held.what).collect()
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn forget_before(&mut self, at: BootTime) {
        let within = self.settings.within;
        while self.held.front().is_some_and(|oldest| at.since(oldest.at) > within) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        self.bytes -= self.held.pop_front().map_or(self.bytes, |held| held.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn ring(bytes: u64) -> Ring<u64> {
        Ring::new(PreEvent { within: Duration::from_nanos(100), fps: 1.0, bytes })
    }

    #[test]
    fn the_newest_are_held_by_age_and_by_bytes() {
        let mut ring = ring(50);
        for n in 0..8 {
            ring.push(BootTime(n * 20), 10, || n);
        }
        assert_eq!((ring.bytes(), ring.take(BootTime(140))), (50, vec![3, 4, 5, 6, 7]));
        assert_eq!((ring.bytes(), ring.take(BootTime(140))), (0, vec![]));
        ring.push(BootTime(200), 10, || 8);
        ring.push(BootTime(240), 51, || 9);
        ring.push(BootTime(250), 45, || 10);
        assert_eq!(ring.take(BootTime(250)), [10]);
        ring.push(BootTime(300), 10, || 11);
        assert!(ring.take(BootTime(401)).is_empty(), "too old");
    }

    proptest! {
        #[test]
        fn no_more_bytes_are_held_than_may_be(
            limit in 0u64..100,
            frames in prop::collection::vec((0u64..60, 0u64..120), 0..60),
        ) {
            let (mut ring, mut now) = (ring(limit), 0);
            for (gap, bytes) in frames {
                now += gap;
                ring.push(BootTime(now), bytes, || bytes);
                prop_assert!(ring.bytes() <= limit);
                prop_assert_eq!(ring.bytes(), ring.held.iter().map(|h| h.what).sum::<u64>());
                prop_assert!(ring.held.iter().all(|h| now - h.at.0 <= 100));
            }
        }
    }
}
