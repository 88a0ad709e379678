//! A burst limit: at most so many pictures in any span of so much time. Pure.
//!
//! Called by the event machine for each picture that it would take. It remembers when the last pictures
//! were taken, so the limit holds for every span, not only from minute to minute; memory is one time a
//! picture of the limit.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::BootTime;

/// At most so many pictures in any span of so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BurstLimit {
    /// Most pictures, at least 1.
    pub pictures: usize,
    /// Within so much time.
    pub per: Duration,
}

/// A limit and the pictures that count against it.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    limit: BurstLimit,
    taken: VecDeque<BootTime>,
}

impl Burst {
    pub(super) fn new(limit: BurstLimit) -> Self {
        Self { limit, taken: VecDeque::new() }
    }

    /// Takes a picture now, or says how long none may be taken.
    pub(super) fn take(&mut self, now: BootTime) -> Result<(), Duration> {
        let per = self.limit.per;
        while self.taken.front().is_some_and(|&first| now.since(first) >= per) {
            self.taken.pop_front();
        }
        match self.taken.front() {
            Some(&first) if self.taken.len() >= self.limit.pictures.max(1) => {
                Err(per.saturating_sub(now.since(first)))
            }
            _ => {
                self.taken.push_back(now);
                Ok(())
            }
        }
    }

    /// The picture taken last was none after all.
    pub(super) fn give_back(&mut self) {
        self.taken.pop_back();
    }
}
