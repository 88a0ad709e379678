//! What to give up when the spool is full: a pure plan from totals by class.
//!
//! Order: quarantined pictures first (no store will take them, so none may displace a picture that can
//! still be sent), then interval pictures, then events, each event's best, and manifests last; the oldest first
//! within each. Pictures in flight are not in the totals given here and so are never chosen. The plan
//! costs the number of classes, never the number of pictures; the caller walks an index.

use crate::contract::Class;

/// Pictures that may be given up, of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// How many.
    pub items: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// Where to take pictures from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Set aside, kept for a person to look at.
    Quarantine,
    /// Waiting to be sent.
    Queue(Class),
}

/// All that the plan needs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Bytes of all image files, those in flight and set aside included.
    pub used: u64,
    /// Set aside.
    pub quarantine: Shelf,
    /// Queued and not in flight, in the order of [`Class`].
    pub queue: [Shelf; 4],
}

/// Take the oldest pictures of one source until at least `bytes` are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evict {
    /// Where from.
    pub from: Source,
    /// How many bytes at least, never more than the source holds.
    pub bytes: u64,
}

/// What to give up so that `need` further bytes fit under `max_bytes`. Where even everything would not
/// do, everything is not given up for nothing: the plan is empty.
#[must_use]
pub fn plan(stock: &Stock, max_bytes: u64, need: u64) -> Vec<Evict> {
    let mut missing = stock.used.saturating_add(need).saturating_sub(max_bytes);
    let [interval, event, best, manifest] = stock.queue;
    let shelves = [
        (Source::Quarantine, stock.quarantine),
        (Source::Queue(Class::Interval), interval),
        (Source::Queue(Class::Event), event),
        (Source::Queue(Class::Best), best),
        (Source::Queue(Class::Manifest), manifest),
    ];
    let mut plan = Vec::new();
    for (from, shelf) in shelves {
        let bytes = missing.min(shelf.bytes);
        if bytes > 0 {
            plan.push(Evict { from, bytes });
            missing -= bytes;
        }
    }
    if missing > 0 {
        plan.clear();
    }
    plan
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shelf(bytes: u64) -> Shelf {
        Shelf { items: bytes / 10, bytes }
    }

    fn stock(quarantine: u64, queue: [u64; 3], in_flight: u64) -> Stock {
        let queue = [queue[0], queue[1], queue[2], 0];
        let used = quarantine + queue.iter().sum::<u64>() + in_flight;
        Stock { used, quarantine: shelf(quarantine), queue: queue.map(shelf) }
    }

    #[test]
    fn nothing_is_given_up_while_there_is_room() {
        assert_eq!(plan(&stock(10, [10, 10, 10], 10), 100, 50), []);
    }

    #[test]
    fn quarantine_goes_first_then_interval_then_event_then_best() {
        let from = |source, bytes| Evict { from: source, bytes };
        let stock = stock(10, [20, 30, 40], 0);
        assert_eq!(plan(&stock, 100, 10), [from(Source::Quarantine, 10)]);
        assert_eq!(
            plan(&stock, 100, 90),
            [
                from(Source::Quarantine, 10),
                from(Source::Queue(Class::Interval), 20),
                from(Source::Queue(Class::Event), 30),
                from(Source::Queue(Class::Best), 30),
            ]
        );
    }

    #[test]
    fn nothing_is_given_up_for_what_will_not_fit_anyway() {
        assert_eq!(plan(&stock(0, [50, 0, 0], 40), 100, 70), []);
    }

    proptest! {
        #[test]
        fn a_plan_frees_exactly_what_is_missing_and_takes_no_more_than_there_is(
            quarantine in 0u64..1000, queue in [0u64..1000, 0u64..1000, 0u64..1000],
            in_flight in 0u64..1000, max in 0u64..6000, need in 0u64..3000,
        ) {
            let stock = stock(quarantine, queue, in_flight);
            let plan = plan(&stock, max, need);
            let freed: u64 = plan.iter().map(|e| e.bytes).sum();
            if plan.is_empty() {
                let evictable = stock.used - in_flight;
                let missing = (stock.used + need).saturating_sub(max);
                prop_assert!(missing == 0 || missing > evictable);
            } else {
                prop_assert_eq!(stock.used + need - freed, max);
            }
        }
    }
}
