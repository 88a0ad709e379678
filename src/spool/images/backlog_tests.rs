//! No step of the daily work may cost more because much waits: counted in steps of SQLite's virtual machine, which are
//! the same on every machine and at every hour.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::recover::{Context, Rebuild};
use super::*;
use crate::clock::{BootId, BootTime};
use crate::contract::Class;
use crate::health::Beat;
use crate::spool::browse::{Ask, Filter};
use crate::spool::db::{NewItem, State, steps};
use crate::spool::files::{DIR_SHIFT, Layout};
use crate::spool::retention::Unit;
use crate::spool::{Moment, Order, browse};

const FEW: u64 = 1000;
const MANY: u64 = 20_000;
const CAMERAS: [&str; 2] = ["front", "yard"];

fn cx(path: &Path) -> Context {
    Context {
        layout: Layout::create(path).unwrap(),
        now: Moment {
            boot: BootId("11111111-0000-4000-8000-000000000000".into()),
            at: BootTime(1),
            wall: None,
        },
        beat: Beat::new("spool", Duration::from_secs(120)),
    }
}

fn item(seq: u64, state: State) -> NewItem {
    NewItem {
        seq,
        state,
        camera: CAMERAS[(seq % 2) as usize].into(),
        class: if seq.is_multiple_of(8) { Class::Best } else { Class::Event },
        boot: BootId("11111111-0000-4000-8000-000000000000".into()),
        captured: BootTime(seq),
        bytes: 1000,
        outcome: None,
        follow: None,
    }
}

/// A spool with so many rows in this state; files are not asked for.
fn backlog(pictures: u64, state: State) -> (TempDir, Images) {
    let dir = tempfile::tempdir().unwrap();
    let (mut images, _) =
        Images::open(cx(dir.path()), Limits::bytes(1 << 30), Durability::Always).unwrap();
    let rows: Vec<NewItem> = (1..=pictures).map(|seq| item(seq, state)).collect();
    images.with_db(|db| db.insert(&rows, &[])).unwrap();
    images.recount_waiting();
    images.high = pictures;
    (dir, images)
}

/// Steps that some work takes with few and with many waiting.
fn both(state: State, work: impl Fn(&mut Images)) -> [u64; 2] {
    [FEW, MANY].map(|pictures| {
        let (_dir, mut images) = backlog(pictures, state);
        steps(|| work(&mut images))
    })
}

#[test]
fn a_claim_takes_the_same_steps_from_20000_pictures_as_from_1000() {
    for order in [Order::Newest, Order::Oldest] {
        let [few, many] = both(State::Ready, |images| assert!(images.claim(order).is_some()));
        assert_eq!(few, many, "{order:?}");
        assert!(few > 0);
        // Most of what can be in the way: eight under way, and as many at rest as are remembered.
        let [few, many] = both(State::Ready, |images| {
            let (first, last) = match order {
                Order::Oldest => (1, 600),
                Order::Newest => (images.high - 599, images.high),
            };
            let later = Instant::now() + Duration::from_secs(3600);
            (first..=last).for_each(|seq| images.loans.end(seq, Some(later)));
            assert!((0..8).all(|_| images.claim(order).is_some()));
        });
        assert_eq!(few, many, "{order:?}, some at rest");
    }
}

#[test]
fn a_claim_takes_the_same_steps_after_10000_removals() {
    let claim = |images: &mut Images| assert!(images.claim(Order::Oldest).is_some());
    let (_dir, mut images) = backlog(MANY, State::Ready);
    let before = steps(|| claim(&mut images));
    for first in (2..MANY / 2).step_by(64) {
        let ends: Vec<_> = (first..first + 64).map(|seq| (seq, End::Stored(None))).collect();
        images.settle(ends);
    }
    let after = steps(|| claim(&mut images));
    assert!(0 < after && after <= before, "{before}, {after}");
}

#[test]
fn keeping_removing_and_giving_up_take_the_same_steps() {
    for state in [State::Ready, State::Waiting] {
        let [few, many] = both(state, |images| {
            let row = [item(images.high + 1, state)];
            images.with_db(|db| db.insert(&row, &[])).unwrap();
            images.settle(vec![(5, End::Stored(None))]);
            assert!(images.displace(None, 5000, Unit::Bytes, Class::Best, Loss::Quota));
            images.snapshot().unwrap();
        });
        assert_eq!(few, many, "{state:?}");
    }
}

#[test]
fn what_is_given_up_waits_no_longer() {
    let (_dir, mut images) = backlog(100, State::Waiting);
    assert!(images.displace(None, 5000, Unit::Bytes, Class::Best, Loss::Quota));
    let counted = images.with_db(|db| db.waiting()).unwrap();
    assert_eq!((images.waiting, counted), (95, 95));
}

#[test]
fn opening_takes_the_same_steps() {
    let [few, many] = [FEW, MANY].map(|pictures| {
        let (dir, images) = backlog(pictures, State::Ready);
        images.close();
        steps(|| {
            drop(Images::open(cx(dir.path()), Limits::bytes(1 << 30), Durability::Always).unwrap())
        })
    });
    assert_eq!(few, many);
}

#[test]
fn a_page_of_a_filter_that_nothing_passes_is_bounded_and_the_pages_come_to_an_end() {
    let (_dir, mut images) = backlog(MANY, State::Ready);
    let filter = Filter { held: Some(browse::Held::Quarantined), ..Filter::default() };
    let (mut above, mut pages) = (0, 0);
    loop {
        let mut told = None;
        let ask = Ask::List { filter: filter.clone(), above };
        let taken = steps(|| told = images.ask(&ask));
        assert!(taken < 200_000, "{taken} steps for a page");
        let Some(browse::Told::List(entries, next)) = told else { panic!("{told:?}") };
        assert!(entries.is_empty());
        pages += 1;
        match next {
            Some(next) => above = next,
            None => break,
        }
    }
    assert_eq!(pages, MANY / 4096 + 1);
}

/// A picture of an unread directory must not be taken for nothing, whatever lies beside it.
#[test]
fn a_directory_that_a_rebuild_has_not_come_to_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::create(dir.path()).unwrap();
    for number in 0..3 {
        layout.make_image_dir(number).unwrap();
        std::fs::write(layout.image(number << DIR_SHIFT | 7), b"a picture").unwrap();
    }
    let now = cx(dir.path()).now;
    let ledger =
        crate::spool::db::Ledger { spool: "a".into(), generation: 2, began: now, high_seq: 9999 };
    Db::create(&layout.index(), &ledger, &(1500..4000)).unwrap();
    let mut db = Db::open(&layout.index()).unwrap();
    recover::tidy(&db, &layout, &BTreeSet::from([0, 1, 2]), 9);
    assert_eq!(layout.dirs().unwrap(), [1, 2], "numbers from 1500 on are unread");
    assert!(!db.take_in(&[item(7, State::Ready)], &(1400..2000)).unwrap(), "it begins elsewhere");
    assert!(db.entry(7).unwrap().is_none());
    assert!(db.take_in(&[item(1600, State::Ready)], &(1500..2048)).unwrap());
    assert_eq!(db.unread().unwrap(), Some(2048..4000));
    assert!(db.take_in(&[item(1600, State::Ready)], &(2048..4000)).unwrap(), "it has its row");
    assert!(db.unread().unwrap().is_none() && Rebuild::of(&db, &layout).unwrap().is_none());
    assert_eq!(db.totals().unwrap().iter().map(|t| t.kept).sum::<u64>(), 1);
}
