//! What to give up when there is no room: limits, and a pure plan from the totals by camera and class.
//!
//! A picture that comes may displace pictures that are worth as much or less, never more. Order: quarantined
//! pictures first (no store will take them), then interval pictures, then events, each event's best, and
//! manifests last. Within a class the camera that holds most gives first, down to the level of the others, so
//! that a busy camera does not cost a quiet one its pictures. Of a camera's pictures of a class every second
//! one is taken, from the oldest on and round again, so that a long time offline is kept as a sparser history
//! and not as its end alone; quarantined pictures and manifests go oldest first. Pictures in flight are not in
//! the totals given here and so are never chosen.
//!
//! The plan costs the number of cameras and classes, never the number of pictures; the caller walks an index.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::contract::Class;

/// How much the spool may hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of image files, quarantine included.
    pub max_bytes: u64,
    /// Bytes of the file system that are left to others; `None`: the lesser of 256 MiB and a twentieth of it.
    pub keep_free: Option<u64>,
    /// After this long a picture is removed, sent or not.
    pub max_age: Option<Duration>,
    /// Most bytes of one camera's image files, by its name.
    pub cameras: BTreeMap<String, u64>,
}

impl Limits {
    /// So many bytes at most, whatever is free and however old.
    #[must_use]
    pub fn bytes(max_bytes: u64) -> Self {
        Self { max_bytes, keep_free: None, max_age: None, cameras: BTreeMap::new() }
    }

    /// How much the spool may hold now, of which `used` bytes are there: it never takes the file system's
    /// last part. Where others took that already the spool no longer grows, but gives up nothing either: they would
    /// take that too.
    #[must_use]
    pub fn room(&self, used: u64, space: &Space) -> Room {
        let keep = self.keep_free.unwrap_or((space.bytes / 20).min(KEEP_FREE));
        let more = space.free_bytes.saturating_sub(keep);
        let bytes = self.max_bytes.min(used.saturating_add(more));
        // File systems that make inodes as they need them tell of none.
        let files = match space.files {
            0 => u64::MAX,
            all => space.free_files.saturating_sub((all / 20).min(KEEP_FILES)),
        };
        Room { bytes, files }
    }
}

/// Left to others where the configuration says nothing.
const KEEP_FREE: u64 = 256 << 20;
/// Inodes left to others: for the index's files, for directories, and for who else writes there.
const KEEP_FILES: u64 = 1000;

/// A file system's size and what an unprivileged writer may still take of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes of the file system.
    pub bytes: u64,
    /// Bytes that are free.
    pub free_bytes: u64,
    /// Inodes of the file system; 0 where they are made as they are needed.
    pub files: u64,
    /// Inodes that are free.
    pub free_files: u64,
}

/// How much the spool may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes of image files, those that are there included.
    pub bytes: u64,
    /// Files that may yet be made.
    pub files: u64,
}

/// Pictures that may be given up, of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shelf {
    /// How many.
    pub items: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Shelf {
    fn of(&self, unit: Unit) -> u64 {
        match unit {
            Unit::Bytes => self.bytes,
            Unit::Items => self.items,
        }
    }
}

/// What is missing, and counted while it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Pictures, each of which is a file.
    Items,
}

/// Where to take pictures from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Set aside, kept for a person to look at.
    Quarantine,
    /// Waiting to be sent.
    Queue(Class),
}

impl Source {
    /// Is every second one taken, rather than the oldest?
    #[must_use]
    pub fn is_thinned(self) -> bool {
        matches!(self, Self::Queue(Class::Interval | Class::Event | Class::Best))
    }
}

/// What one camera has on its shelves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// The camera's number in the index.
    pub camera: i64,
    /// Bytes of all its image files, those in flight and set aside included.
    pub used: u64,
    /// Set aside.
    pub quarantine: Shelf,
    /// Queued and not in flight, in the order of [`Class`].
    pub queue: [Shelf; 4],
}

impl Stock {
    fn shelf(&self, from: Source) -> Shelf {
        match from {
            Source::Quarantine => self.quarantine,
            Source::Queue(class) => self.queue[class as usize],
        }
    }
}

/// Take pictures of one camera and source until at least so much is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evict {
    /// The camera's number in the index.
    pub camera: i64,
    /// Where from.
    pub from: Source,
    /// How much at least, never more than the source holds.
    pub amount: u64,
    /// Of what.
    pub unit: Unit,
}

/// Sources, the least worth first.
const ORDER: [Source; 5] = [
    Source::Quarantine,
    Source::Queue(Class::Interval),
    Source::Queue(Class::Event),
    Source::Queue(Class::Best),
    Source::Queue(Class::Manifest),
];

/// What to give up so that `missing` is free for pictures of the class `worth`. Where even everything that
/// is worth no more would not do, nothing is given up for nothing: `None`.
#[must_use]
pub fn plan(stock: &[Stock], missing: u64, unit: Unit, worth: Class) -> Option<Vec<Evict>> {
    let (mut left, mut plan) = (missing, Vec::new());
    for from in ORDER {
        if matches!(from, Source::Queue(class) if class as usize > worth as usize) {
            break;
        }
        let held: Vec<u64> = stock.iter().map(|s| s.shelf(from).of(unit)).collect();
        for (s, amount) in stock.iter().zip(level(&held, left)) {
            if amount > 0 {
                plan.push(Evict { camera: s.camera, from, amount, unit });
                left -= amount;
            }
        }
    }
    (left == 0).then_some(plan)
}

/// What each gives so that together they give `wanted` (or all they hold), the fullest first, down to one level.
fn level(held: &[u64], wanted: u64) -> Vec<u64> {
    let all = held.iter().fold(0_u64, |sum, h| sum.saturating_add(*h));
    let mut left = wanted.min(all);
    let mut given = vec![0; held.len()];
    let mut order: Vec<usize> = (0..held.len()).collect();
    order.sort_by_key(|i| std::cmp::Reverse(held[*i]));
    // After the k fullest came down to the level of the next, all k give alike.
    for k in 1..=order.len() {
        let next = order.get(k).map_or(0, |i| held[*i]);
        let step = held[order[k - 1]] - next;
        let Ok(sharing) = u64::try_from(k) else { break };
        let share = step.min(left / sharing);
        for i in &order[..k] {
            given[*i] += share;
        }
        left -= share * sharing;
        if share < step {
            for i in &order[..k] {
                let one = left.min(1);
                given[*i] += one;
                left -= one;
            }
            break;
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shelf(bytes: u64) -> Shelf {
        Shelf { items: bytes / 10, bytes }
    }

    fn stock(camera: i64, quarantine: u64, queue: [u64; 4], in_flight: u64) -> Stock {
        let used = quarantine + queue.iter().sum::<u64>() + in_flight;
        Stock { camera, used, quarantine: shelf(quarantine), queue: queue.map(shelf) }
    }

    fn bytes(camera: i64, from: Source, amount: u64) -> Evict {
        Evict { camera, from, amount, unit: Unit::Bytes }
    }

    const GIB: u64 = 1 << 30;

    #[test]
    fn the_last_part_of_the_file_system_is_left_to_others() {
        let limits = Limits::bytes(10 * GIB);
        let space = |free| Space { bytes: 4 * GIB, free_bytes: free, files: 0, free_files: 0 };
        // A twentieth of 4 GiB is less than 256 MiB.
        assert_eq!(limits.room(GIB, &space(GIB)).bytes, 2 * GIB - 4 * GIB / 20);
        assert_eq!(limits.room(GIB, &space(1)).bytes, GIB, "no more, but no less");
        let large = Space { bytes: 400 * GIB, ..space(2 * GIB) };
        assert_eq!(limits.room(0, &large).bytes, 2 * GIB - KEEP_FREE);
        assert_eq!(limits.room(9 * GIB, &large).bytes, 10 * GIB, "the quota is the lesser");
        let own = Limits { keep_free: Some(GIB), ..limits };
        assert_eq!(own.room(5, &large).bytes, 5 + GIB);
    }

    #[test]
    fn some_inodes_are_left_to_others_where_there_is_a_number_of_them() {
        let limits = Limits::bytes(GIB);
        let space = |files, free| Space { bytes: GIB, free_bytes: GIB, files, free_files: free };
        assert_eq!(limits.room(0, &space(0, 0)).files, u64::MAX);
        assert_eq!(limits.room(0, &space(200, 15)).files, 5);
        assert_eq!(limits.room(0, &space(1_000_000, 1500)).files, 500);
        assert_eq!(limits.room(0, &space(200, 3)).files, 0);
    }

    #[test]
    fn quarantine_goes_first_then_interval_then_event_then_best() {
        let one = [stock(7, 10, [20, 30, 40, 50], 0)];
        let plan = |missing, worth| plan(&one, missing, Unit::Bytes, worth);
        assert_eq!(plan(10, Class::Interval), Some(vec![bytes(7, Source::Quarantine, 10)]));
        assert_eq!(
            plan(90, Class::Best),
            Some(vec![
                bytes(7, Source::Quarantine, 10),
                bytes(7, Source::Queue(Class::Interval), 20),
                bytes(7, Source::Queue(Class::Event), 30),
                bytes(7, Source::Queue(Class::Best), 30),
            ])
        );
    }

    #[test]
    fn nothing_displaces_what_is_worth_more() {
        let one = [stock(7, 10, [20, 30, 40, 50], 0)];
        assert_eq!(plan(&one, 31, Unit::Bytes, Class::Interval), None);
        assert!(plan(&one, 31, Unit::Bytes, Class::Event).is_some());
        assert_eq!(plan(&one, 101, Unit::Bytes, Class::Best), None, "manifests stay");
        assert!(plan(&one, 150, Unit::Bytes, Class::Manifest).is_some());
    }

    #[test]
    fn the_camera_that_holds_most_gives_first() {
        let two = [stock(1, 0, [100, 0, 0, 0], 0), stock(2, 0, [30, 0, 0, 0], 0)];
        let interval = Source::Queue(Class::Interval);
        let plan = |missing| plan(&two, missing, Unit::Bytes, Class::Best);
        assert_eq!(plan(60), Some(vec![bytes(1, interval, 60)]));
        assert_eq!(plan(90), Some(vec![bytes(1, interval, 80), bytes(2, interval, 10)]));
        assert_eq!(plan(130), Some(vec![bytes(1, interval, 100), bytes(2, interval, 30)]));
        assert_eq!(plan(131), None);
    }

    #[test]
    fn files_are_counted_where_inodes_are_missing() {
        let one = [stock(7, 0, [200, 0, 0, 0], 0)];
        let from = Source::Queue(Class::Interval);
        let evict = Evict { camera: 7, from, amount: 3, unit: Unit::Items };
        assert_eq!(plan(&one, 3, Unit::Items, Class::Interval), Some(vec![evict]));
        assert_eq!(plan(&one, 21, Unit::Items, Class::Interval), None);
    }

    /// Small numbers, any number, and the two ends.
    fn edge() -> impl Strategy<Value = u64> {
        prop_oneof![0u64..2000, any::<u64>(), Just(0), Just(u64::MAX)]
    }

    proptest! {
        #[test]
        fn a_plan_frees_exactly_what_is_missing_and_takes_no_more_than_there_is(
            shelves in proptest::collection::vec(proptest::array::uniform5(0u64..1000), 1..5),
            missing in 0u64..6000, worth in 0usize..4,
        ) {
            let worth = [Class::Interval, Class::Event, Class::Best, Class::Manifest][worth];
            let stock: Vec<Stock> = (0..).zip(&shelves)
                .map(|(n, [q, a, b, c, d])| stock(n, *q, [*a, *b, *c, *d], 5)).collect();
            let most: u64 = shelves.iter().flat_map(|s| &s[..worth as usize + 2]).sum();
            let Some(plan) = plan(&stock, missing, Unit::Bytes, worth) else {
                prop_assert!(missing > most);
                return Ok(());
            };
            prop_assert_eq!(plan.iter().map(|e| e.amount).sum::<u64>(), missing);
            for evict in &plan {
                let shelf = stock[evict.camera as usize].shelf(evict.from);
                prop_assert!(evict.amount <= shelf.bytes);
            }
        }

        /// A spool whose limits an operator changes again and again, to anything that a number can hold, on a disk
        /// that others fill and free.
        #[test]
        fn whatever_the_limits_room_and_plan_end_and_neither_wraps_around(
            steps in proptest::collection::vec((
                proptest::array::uniform3(edge()), proptest::option::of(edge()), proptest::array::uniform4(edge()),
                0usize..3, 0usize..4,
            ), 1..30),
        ) {
            let mut stock: Vec<Stock> = (0..3).map(|camera| Stock { camera, ..Stock::default() }).collect();
            for ([max_bytes, most, bytes], keep_free, [all, free_bytes, files, free_files], camera, class) in steps {
                let cameras = [("0".to_owned(), most)].into();
                let limits = Limits { max_bytes, keep_free, max_age: None, cameras };
                let used: u64 = stock.iter().fold(0, |sum, s| sum.saturating_add(s.used));
                let room = limits.room(used, &Space { bytes: all, free_bytes, files, free_files });
                prop_assert!(room.bytes <= max_bytes && (room.files <= free_files || files == 0));
                let worth = [Class::Interval, Class::Event, Class::Best, Class::Manifest][class];
                let missing = used.saturating_add(bytes).saturating_sub(room.bytes);
                for (missing, unit) in [(missing, Unit::Bytes), (bytes, Unit::Items)] {
                    let Some(plan) = plan(&stock, missing, unit, worth) else { continue };
                    prop_assert!(plan.len() <= stock.len() * ORDER.len());
                    for Evict { camera, from, amount, .. } in plan {
                        let s = &mut stock[camera as usize];
                        prop_assert!(amount > 0 && amount <= s.shelf(from).of(unit));
                        if unit == Unit::Bytes {
                            s.used = s.used.saturating_sub(amount); // it may stand at the most that there is
                            match from {
                                Source::Quarantine => s.quarantine.bytes -= amount,
                                Source::Queue(class) => s.queue[class as usize].bytes -= amount,
                            }
                        }
                    }
                }
                // What an index may say of a shelf, however the limits stand.
                let s = &mut stock[camera];
                s.used = s.used.saturating_add(bytes);
                s.queue[class].bytes = s.queue[class].bytes.saturating_add(bytes);
                s.queue[class].items = s.queue[class].items.saturating_add(1);
            }
        }

        #[test]
        fn who_gives_less_holds_no_more_afterwards(
            held in proptest::collection::vec(0u64..100, 1..6), wanted in 0u64..700,
        ) {
            let given = level(&held, wanted);
            prop_assert_eq!(given.iter().sum::<u64>(), wanted.min(held.iter().sum()));
            let left: Vec<u64> = held.iter().zip(&given).map(|(h, g)| h - g).collect();
            let highest = left.iter().max().copied().unwrap_or(0);
            for (left, given) in left.iter().zip(&given) {
                prop_assert!(*given == 0 || left + 1 >= highest);
            }
        }
    }
}
