//! A backlog of 20,000 pictures: what a start and a claim touch of it, and how a lost index comes back while the spool
//! is in use. Counted in files opened (inotify), never in time. `make backlog` does it with a million.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[path = "support/backlog.rs"]
mod backlog;
#[allow(dead_code, reason = "it serves the other tests of the spool, too")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;

use backlog::Backlog;
use fixture::{BOOT, Closed, Fixture, body};
use rustix::fs::inotify;
use tempfile::TempDir;
use vedette::contract::Class;
use vedette::spool::browse::{Ask, Filter, Told};
use vedette::spool::retention::Limits;
use vedette::spool::{Order, Outcome, Snapshot};

/// Pictures of a backlog with its index, and of one that lost it, far more than an opening reads.
const PICTURES: u64 = 20_000;
const LOST: u64 = 5_000;
/// Numbers before the first picture.
const REMOVED: u64 = 5_000;

fn laid(index: bool) -> (TempDir, Closed) {
    let dir = TempDir::new().unwrap();
    let pictures = if index { PICTURES } else { LOST };
    let backlog = Backlog { pictures, removed: REMOVED, bytes: 100, jpeg: None, index };
    backlog.lay(dir.path());
    let closed = Closed::at(dir.path(), Limits::bytes(1 << 30));
    (dir, closed)
}

/// Counts how often files in the spool's image directories are opened.
struct Opens(OwnedFd);

impl Opens {
    fn of(root: &Path) -> Self {
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        for dir in fs::read_dir(root.join("images")).unwrap() {
            inotify::add_watch(&watch, dir.unwrap().path(), inotify::WatchFlags::OPEN).unwrap();
        }
        Self(watch)
    }

    /// Files opened since it was asked last; directories are not counted.
    fn count(&self) -> usize {
        let mut room = [MaybeUninit::uninit(); 1 << 16];
        let mut events = inotify::Reader::new(&self.0, &mut room);
        let mut opened = 0;
        while let Ok(event) = events.next() {
            assert!(!event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW));
            opened += usize::from(!event.events().contains(inotify::ReadFlags::ISDIR));
        }
        opened
    }
}

/// Waits for a rebuild's end, and does something now and then.
async fn rebuilt(f: &Fixture, mut meanwhile: impl FnMut()) -> Snapshot {
    let mut before = 0;
    loop {
        meanwhile();
        let s = f.spool.snapshot().await.unwrap();
        assert!(s.holds(), "{s:?}");
        let Some(rebuilding) = s.rebuilding else { return s };
        assert!(rebuilding.files >= before && rebuilding.dirs_left <= rebuilding.dirs, "{s:?}");
        before = rebuilding.files;
    }
}

#[tokio::test]
async fn a_start_opens_none_of_20000_files_and_a_claim_one() {
    let (dir, closed) = laid(true);
    let opens = Opens::of(dir.path());
    let (f, opened) = closed.open(BOOT);
    assert_eq!((opened.next_seq, opened.rebuilt), (PICTURES + REMOVED + 1, false));
    assert_eq!(opens.count(), 0);
    let s = f.balanced().await;
    assert_eq!((s.kept, s.stored, s.queued), (PICTURES + REMOVED, REMOVED, PICTURES));
    assert_eq!(s.rebuilding, None);
    for (order, seq) in [(Order::Oldest, REMOVED + 1), (Order::Newest, PICTURES + REMOVED)] {
        let claim = f.spool.claim(order).await.unwrap().unwrap();
        assert_eq!(claim.seq, seq);
        assert_eq!(opens.count(), 0, "claiming opens nothing");
        assert_eq!(claim.load().unwrap().facts.class, backlog::class(seq));
        assert_eq!(opens.count(), 1);
        f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
        assert_eq!(opens.count(), 0, "removing neither");
    }
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_while_the_spool_is_in_use() {
    let (dir, closed) = laid(false);
    let opens = Opens::of(dir.path());
    let (mut f, opened) = closed.open(BOOT);
    assert!(opened.rebuilt && opened.generation == 2, "{opened:?}");
    let mut seen = opens.count() as u64;
    assert!(seen < LOST / 2, "{seen} files were opened before the spool was");
    let s = f.spool.snapshot().await.unwrap();
    assert!(s.holds() && s.rebuilding.is_some(), "{s:?}");

    // Pictures are kept, and what is found is sent, meanwhile.
    let fresh = f.keep(Class::Event, 100).await;
    assert_eq!(fresh, opened.next_seq);
    let newest = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!((newest.seq, newest.load().unwrap().body), (fresh, body(fresh, 100)));
    f.spool.finish(fresh, Outcome::Stored, None).await.unwrap();
    let oldest = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!(oldest.seq, REMOVED + 1);
    oldest.load().unwrap();
    f.spool.finish(oldest.seq, Outcome::Stored, None).await.unwrap();

    let s = rebuilt(&f, || seen += opens.count() as u64).await;
    assert_eq!((s.kept, s.stored, s.queued, s.generation), (LOST + 1, 2, LOST - 1, 2));
    f.balanced().await;
    let again = f.reopen(BOOT).await;
    assert!(!again.rebuilt && again.next_seq > fresh, "{again:?}");
    seen += opens.count() as u64;
    assert_eq!(seen, LOST + 1, "each file is read once, and one is sent");
}

#[tokio::test]
async fn a_rebuild_that_is_cut_off_goes_on_where_it_was() {
    let (_dir, closed) = laid(false);
    let (mut f, _) = closed.open(BOOT);
    let mut turns = 0;
    loop {
        let s = f.spool.snapshot().await.unwrap();
        if s.rebuilding.is_none() {
            break;
        }
        let opened = f.reopen(BOOT).await;
        let after = f.spool.snapshot().await.unwrap();
        assert!(after.holds() && after.kept > s.kept && after.generation == 2, "{s:?} {after:?}");
        assert!(!opened.rebuilt && opened.adopted == 0, "{opened:?}");
        turns += 1;
    }
    assert!(turns > 1, "it was over before it was cut off");
    let s = f.balanced().await;
    assert_eq!((s.kept, s.queued), (LOST, LOST));
}

#[tokio::test]
async fn a_purge_of_all_waits_until_all_is_found() {
    let (_dir, closed) = laid(false);
    let (f, _) = closed.open(BOOT);
    let (mut above, mut removed, mut empty) = (0, 0, 0);
    loop {
        let ask = Ask::Purge { filter: Filter::default(), above };
        let Told::Done(done) = f.spool.ask(ask).await.unwrap() else { panic!() };
        removed += done.sum().0;
        empty += u64::from(done.sum().0 == 0);
        match done.next {
            Some(next) => above = next,
            None => break,
        }
    }
    assert!(empty > 1, "nothing was unread any more");
    let s = f.balanced().await;
    assert_eq!((removed, s.kept, s.queued), (LOST, LOST, 0));
}

/// A key is a function of the trailer and of the boot record: that must not be taken for one that nobody needs.
#[tokio::test]
async fn boot_records_outlive_a_rebuild() {
    let dir = TempDir::new().unwrap();
    let backlog = Backlog { pictures: 2000, removed: 0, bytes: 100, jpeg: None, index: false };
    backlog.lay(dir.path());
    let (mut f, _) = Closed::at(dir.path(), Limits::bytes(1 << 30)).open(fixture::SECOND_BOOT);
    rebuilt(&f, || {}).await;
    let waits = f
        .keep_as(|facts| {
            facts.wall = None;
            facts.boot = vedette::clock::BootId(fixture::SECOND_BOOT.into());
        })
        .await;
    f.spool.set_offset(1_700_000_000_000_000_000, "store").await.unwrap();
    let key = f.spool.claim(Order::Newest).await.unwrap().unwrap().load().unwrap().key;
    f.spool.stop().await;
    for file in ["index.db", "index.db-wal", "index.db-shm"] {
        fs::remove_file(f.path().join(file)).ok();
    }
    let opened = f.reopen(BOOT).await;
    assert!(opened.rebuilt);
    rebuilt(&f, || {}).await;
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!((claim.seq, claim.load().unwrap().key), (waits, key));
}
