//! Pictures that are held in memory only: which durability was asked for, and what is held by it.
//!
//! With [`Durability::Spill`] a picture waits in the spool's memory while uploads succeed, and most leave it stored
//! and never written. It is not *kept* meanwhile: it stays in hand in the run's account, and becomes kept when it is
//! durable or stored, whichever comes first. What is held is at risk in a power cut, and bounded.
//!
//! ```text
//!            a picture is stored ─────────▶
//!   ┌──────┐                               ┌────────┐
//!   │ Disk │                               │ Memory │   new pictures are held
//!   └──────┘ ◀───────────────────────────  └────────┘
//!            an upload failed, is unsure, or took too long
//! ```
//!
//! So a run begins on disk: nothing is known of the store before it took a picture.
//!
//! *Numbers stay in order.* A picture is written only with all that are held and have lower numbers, because recovery
//! takes a file for new by its number being the highest. One whose turn to be written failed while a later one was
//! written stays in memory for good: it can be stored, and is refused at the end of the run.
//!
//! Pure: time is passed in, and the pictures are opaque. `images/held` is the effect.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Most pictures that are held, however small they are.
pub(super) const MAX_HELD: usize = 1024;
/// How long until a disk that took nothing is asked again.
const RETRY: Duration = Duration::from_secs(5);

/// When a picture is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// At once: it is kept when it is durable.
    #[default]
    Always,
    /// When it is not stored in time.
    Spill(Spill),
}

/// How much may be held, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spill {
    /// Most bytes held, trailers included: the most that a power cut can take.
    pub max_bytes: u64,
    /// A picture that was held for so long is written.
    pub after: Duration,
}

impl Durability {
    /// The word used in the configuration and in status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Spill(_) => "spill",
        }
    }
}

/// What a power cut would take now, and at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AtRisk {
    /// What was asked for.
    pub durability: Durability,
    /// Pictures that are in memory only.
    pub pictures: u64,
    /// Bytes of them.
    pub bytes: u64,
}

impl AtRisk {
    /// Most bytes that can be in memory only.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        match self.durability {
            Durability::Always => 0,
            Durability::Spill(spill) => spill.max_bytes,
        }
    }
}

/// Where new pictures go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Disk,
    Memory,
}

/// One held picture.
#[derive(Debug)]
struct One<P> {
    seq: u64,
    bytes: u64,
    since: Instant,
    picture: P,
}

/// The pictures that are held, by number.
#[derive(Debug)]
pub(super) struct Held<P> {
    durability: Durability,
    way: Way,
    shelf: VecDeque<One<P>>,
    bytes: u64,
    /// Numbers up to this one are never written any more.
    written: u64,
    /// When the disk is asked again, after it took nothing.
    retry_at: Option<Instant>,
}

impl<P> Held<P> {
    pub(super) fn new(durability: Durability) -> Self {
        let (way, shelf) = (Way::Disk, VecDeque::new());
        Self { durability, way, shelf, bytes: 0, written: 0, retry_at: None }
    }

    pub(super) fn at_risk(&self) -> AtRisk {
        let (durability, bytes) = (self.durability, self.bytes);
        AtRisk { durability, pictures: self.shelf.len() as u64, bytes }
    }

    /// Is a picture of so many bytes to be held? Whether there is room beside the others is another question.
    pub(super) fn wants(&self, bytes: u64) -> bool {
        match self.durability {
            Durability::Spill(spill) => self.way == Way::Memory && bytes <= spill.max_bytes,
            Durability::Always => false,
        }
    }

    /// Is there room beside those that are held?
    pub(super) fn fits(&self, bytes: u64) -> bool {
        let max_bytes = self.at_risk().max_bytes();
        self.shelf.len() < MAX_HELD && self.bytes.saturating_add(bytes) <= max_bytes
    }

    /// A store took a picture: new ones are held.
    pub(super) fn uploads_succeed(&mut self) {
        self.way = Way::Memory;
    }

    /// They fail, or nobody knows: new pictures are written.
    pub(super) fn uploads_fail(&mut self) {
        self.way = Way::Disk;
    }

    /// Everything up to this number has been written, or never will be.
    pub(super) fn wrote(&mut self, seq: u64) {
        self.written = self.written.max(seq);
        self.retry_at = None;
    }

    /// Holds a picture; also one whose writing failed, in its old place.
    pub(super) fn put(&mut self, seq: u64, bytes: u64, since: Instant, picture: P) {
        let at = self.shelf.partition_point(|one| one.seq < seq);
        self.bytes = self.bytes.saturating_add(bytes);
        self.shelf.insert(at, One { seq, bytes, since, picture });
    }

    /// The disk took nothing.
    pub(super) fn try_later(&mut self, now: Instant) {
        self.retry_at = now.checked_add(RETRY);
    }

    pub(super) fn has(&self, seq: u64) -> bool {
        self.get(seq).is_some()
    }

    pub(super) fn get(&self, seq: u64) -> Option<&P> {
        self.shelf.get(self.position(seq)?).map(|one| &one.picture)
    }

    /// The newest of which this holds.
    pub(super) fn newest(&self, free: impl Fn(u64) -> bool) -> Option<u64> {
        self.shelf.iter().rev().map(|one| one.seq).find(|seq| free(*seq))
    }

    /// The oldest of which this holds.
    pub(super) fn oldest(&self, free: impl Fn(u64) -> bool) -> Option<u64> {
        self.shelf.iter().map(|one| one.seq).find(|seq| free(*seq))
    }

    /// The lowest number that may yet be written.
    pub(super) fn lowest_to_write(&self) -> Option<u64> {
        self.oldest(|seq| seq > self.written)
    }

    pub(super) fn take(&mut self, seq: u64) -> Option<P> {
        let one = self.shelf.remove(self.position(seq)?)?;
        self.bytes = self.bytes.saturating_sub(one.bytes);
        Some(one.picture)
    }

    /// Takes what may be written up to this number, in order, each with since when it was held.
    pub(super) fn take_to_write(&mut self, upto: u64) -> Vec<(Instant, P)> {
        let from = self.shelf.partition_point(|one| one.seq <= self.written);
        let to = self.shelf.partition_point(|one| one.seq <= upto).max(from);
        let taken: Vec<_> = self.shelf.drain(from..to).collect();
        self.bytes = taken.iter().fold(self.bytes, |sum, one| sum.saturating_sub(one.bytes));
        taken.into_iter().map(|one| (one.since, one.picture)).collect()
    }

    /// Takes what has been held since before `before`, as far as `free` says.
    pub(super) fn take_old(&mut self, before: Instant, free: impl Fn(u64) -> bool) -> Vec<P> {
        let old = |one: &&One<P>| one.since <= before && free(one.seq);
        let seqs: Vec<u64> = self.shelf.iter().filter(old).map(|one| one.seq).collect();
        seqs.into_iter().filter_map(|seq| self.take(seq)).collect()
    }

    /// The highest number that is to be written now, because it was held for too long.
    pub(super) fn due(&self, now: Instant) -> Option<u64> {
        if self.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        let due = |one: &&One<P>| self.due_at(one).is_some_and(|at| at <= now);
        self.shelf.iter().rev().find(due).map(|one| one.seq)
    }

    /// When something will be due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let first = self.shelf.iter().filter_map(|one| self.due_at(one)).min()?;
        Some(self.retry_at.map_or(first, |at| at.max(first)))
    }

    fn due_at(&self, one: &One<P>) -> Option<Instant> {
        match self.durability {
            Durability::Spill(spill) if one.seq > self.written => {
                one.since.checked_add(spill.after)
            }
            _ => None,
        }
    }

    fn position(&self, seq: u64) -> Option<usize> {
        self.shelf.binary_search_by_key(&seq, |one| one.seq).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AFTER: Duration = Duration::from_secs(10);

    fn held() -> Held<u64> {
        let mut held = Held::new(Durability::Spill(Spill { max_bytes: 100, after: AFTER }));
        held.uploads_succeed();
        held
    }

    fn seqs(taken: Vec<(Instant, u64)>) -> Vec<u64> {
        taken.into_iter().map(|(_, seq)| seq).collect()
    }

    #[test]
    fn a_run_begins_on_disk_and_pictures_are_held_only_while_uploads_succeed() {
        let spill = Spill { max_bytes: 100, after: AFTER };
        let mut held = Held::<u64>::new(Durability::Spill(spill));
        assert!(!held.wants(10), "nothing is known of the store");
        held.uploads_succeed();
        assert!(held.wants(100) && !held.wants(101), "larger than all the memory");
        held.uploads_fail();
        assert!(!held.wants(10));
        let mut always = Held::<u64>::new(Durability::Always);
        always.uploads_succeed();
        assert!(!always.wants(1));
    }

    #[test]
    fn bytes_and_pictures_are_bounded() {
        let (mut held, now) = (held(), Instant::now());
        held.put(1, 60, now, 1);
        assert!(held.fits(40) && !held.fits(41));
        assert_eq!((held.at_risk().pictures, held.at_risk().bytes), (1, 60));
        assert_eq!(held.take(1), Some(1));
        assert_eq!((held.at_risk().pictures, held.at_risk().bytes), (0, 0));
        (1..=MAX_HELD as u64).for_each(|seq| held.put(seq, 0, now, seq));
        assert!(!held.fits(0));
    }

    #[test]
    fn what_is_written_takes_all_before_it_along_and_never_what_comes_before_a_written_one() {
        let (mut held, now) = (held(), Instant::now());
        (1..=5).for_each(|seq| held.put(seq, 10, now, seq));
        assert_eq!(seqs(held.take_to_write(2)), [1, 2]);
        // The first could not be written, the second could.
        held.put(1, 10, now, 1);
        held.wrote(2);
        assert_eq!(held.lowest_to_write(), Some(3));
        assert_eq!(seqs(held.take_to_write(u64::MAX)), [3, 4, 5]);
        assert_eq!((held.oldest(|_| true), held.at_risk().bytes), (Some(1), 10));
        assert_eq!(held.next_due(), None, "it has missed its turn");
    }

    #[test]
    fn a_picture_is_due_after_the_set_time_and_a_disk_that_took_nothing_is_asked_later() {
        let (mut held, now) = (held(), Instant::now());
        held.put(1, 10, now, 1);
        held.put(2, 10, now + AFTER, 2);
        assert_eq!((held.due(now), held.next_due()), (None, Some(now + AFTER)));
        assert_eq!(held.due(now + AFTER), Some(1));
        assert_eq!(held.due(now + AFTER * 2), Some(2));
        held.try_later(now + AFTER);
        assert_eq!(held.due(now + AFTER), None);
        assert_eq!(held.next_due(), Some(now + AFTER + RETRY));
        assert_eq!(held.due(now + AFTER + RETRY), Some(1));
    }

    #[test]
    fn the_ends_of_the_queue_are_found_among_those_that_are_free() {
        let (mut held, now) = (held(), Instant::now());
        (1..=4).for_each(|seq| held.put(seq, 10, now, seq));
        let free = |seq| seq != 1 && seq != 4;
        assert_eq!((held.newest(free), held.oldest(free)), (Some(3), Some(2)));
        assert_eq!(held.take_old(now, free), [2, 3]);
        assert!(held.has(1) && !held.has(2) && held.get(4) == Some(&4));
    }
}
