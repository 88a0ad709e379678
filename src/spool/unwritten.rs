//! Pictures that were stored and never written: their part of the ledger, until it is on disk.
//!
//! Each counts as kept and as stored at once, so any sum of them balances. They enter the index with the next
//! transaction that changes something anyway, or at the stop; a crash before that drops both sides. A transaction that
//! failed may have been committed all the same, so what was tried is a *batch* with a number: it changes no more until
//! it is known whether it entered, and the index remembers the number of the last one. Pure.

use std::collections::BTreeMap;

use crate::contract::Class;

/// Pictures stored, by camera and class (its number in the index).
pub(super) type Sums = BTreeMap<(String, i64), u64>;

/// What enters the index in one transaction, once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    /// Higher than that of each batch before.
    pub(super) number: u64,
    pub(super) stored: Sums,
}

/// What has not entered yet.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    batch: Batch,
    /// The batch was tried, and what came of it is not known.
    tried: bool,
    /// What came since.
    later: Sums,
}

impl Unwritten {
    /// One more picture was stored and never written.
    pub(super) fn add(&mut self, camera: &str, class: Class) {
        let sums = if self.tried { &mut self.later } else { &mut self.batch.stored };
        *sums.entry((camera.to_owned(), class as i64)).or_default() += 1;
    }

    /// Pictures that have not entered.
    pub(super) fn pictures(&self) -> u64 {
        self.batch.stored.values().chain(self.later.values()).sum()
    }

    /// What to enter, where there is anything.
    pub(super) fn batch(&self) -> Option<Batch> {
        (!self.batch.stored.is_empty()).then(|| self.batch.clone())
    }

    /// The batch was tried, and may have entered or not.
    pub(super) fn unsure(&mut self) {
        self.tried |= !self.batch.stored.is_empty();
    }

    /// The batch is in the index.
    pub(super) fn entered(&mut self) {
        let stored = std::mem::take(&mut self.later);
        self.batch = Batch { number: self.batch.number + 1, stored };
        self.tried = false;
    }

    /// An index was opened that remembers `last`: what was not known is known now.
    pub(super) fn opened(&mut self, last: u64) {
        if self.tried && last >= self.batch.number {
            self.entered();
        }
        for (of, pictures) in std::mem::take(&mut self.later) {
            *self.batch.stored.entry(of).or_default() += pictures;
        }
        self.tried = false;
        self.batch.number = self.batch.number.max(last + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unwritten(pictures: usize) -> Unwritten {
        let mut unwritten = Unwritten::default();
        unwritten.opened(4);
        (0..pictures).for_each(|_| unwritten.add("front", Class::Event));
        unwritten
    }

    fn count(batch: Option<Batch>) -> Option<(u64, u64)> {
        batch.map(|batch| (batch.number, batch.stored.values().sum()))
    }

    #[test]
    fn a_batch_that_entered_makes_room_for_the_next() {
        let mut unwritten = unwritten(2);
        assert_eq!(count(unwritten.batch()), Some((5, 2)));
        unwritten.entered();
        assert_eq!((unwritten.batch(), unwritten.pictures()), (None, 0));
        unwritten.add("front", Class::Event);
        assert_eq!(count(unwritten.batch()), Some((6, 1)));
    }

    #[test]
    fn a_batch_of_which_nobody_knows_changes_no_more() {
        let mut unwritten = unwritten(2);
        unwritten.unsure();
        unwritten.add("front", Class::Event);
        assert_eq!((count(unwritten.batch()), unwritten.pictures()), (Some((5, 2)), 3));
        unwritten.entered();
        assert_eq!(count(unwritten.batch()), Some((6, 1)), "the third one waited");
    }

    #[test]
    fn an_index_that_was_opened_again_knows_whether_it_entered() {
        let mut undone = unwritten(2);
        undone.unsure();
        undone.add("front", Class::Event);
        undone.opened(4);
        assert_eq!(count(undone.batch()), Some((5, 3)), "it had not");
        let mut committed = unwritten(2);
        committed.unsure();
        committed.add("front", Class::Event);
        committed.opened(5);
        assert_eq!(count(committed.batch()), Some((6, 1)), "it had");
        let mut rebuilt = unwritten(2);
        rebuilt.opened(0);
        assert_eq!(count(rebuilt.batch()), Some((5, 2)), "numbers never go back");
    }
}
