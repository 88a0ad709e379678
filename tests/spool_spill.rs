//! Pictures that are held in memory: what is never written, when it is, and what a crash may take.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too"
)]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/small_disk.rs"]
mod small_disk;

use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use fixture::{BOOT, Closed, Fixture, SECOND_BOOT, body, facts};
use small_disk::SmallDisk;
use vedette::account::{Account, Refusal, Teller};
use vedette::contract::{Class, Facts, Trigger};
use vedette::spool::browse::{Ask, Filter, Told};
use vedette::spool::retention::Limits;
use vedette::spool::{
    Address, Claim, Kind, Message, NewCommand, Order, Outcome, Receipt, RowEffect, Snapshot, Spill,
};
use vedette::still::Shot;

const LEN: usize = 6_000;
/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(3600);
const MIB: Spill = Spill { max_bytes: 1 << 20, after: NEVER };

/// A spool whose store has just taken a picture, so that pictures are held.
async fn holding(closed: Closed, spill: Spill) -> Fixture {
    let (mut fx, _) = closed.spilling(spill).open(BOOT);
    let seq = fx.keep(Class::Event, LEN).await;
    assert_eq!(at_risk(&fx).await, 0, "nothing is known of the store yet");
    store(&fx, seq, Order::Newest).await;
    fx
}

async fn spilling() -> Fixture {
    holding(Closed::new(), MIB).await
}

async fn at_risk(fx: &Fixture) -> u64 {
    fx.spool.snapshot().await.unwrap().at_risk.pictures
}

/// What a broken spool would never do ends the test.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it never comes")
}

/// Waits until so many pictures are in memory only; each reading is a turn of the thread.
async fn until_at_risk(fx: &Fixture, pictures: u64) -> Snapshot {
    soon(async {
        loop {
            let snapshot = fx.balanced().await;
            if snapshot.at_risk.pictures == pictures {
                return snapshot;
            }
        }
    })
    .await
}

/// Hands over pictures and waits until they are held; their account.
async fn hold(fx: &mut Fixture, pictures: u64) -> Account {
    let before = at_risk(fx).await;
    let account = Account::new(u64::MAX / 2);
    for _ in 0..pictures {
        let (seq, bytes) = (fx.next_seq, body(fx.next_seq, LEN));
        fx.next_seq += 1;
        let facts = facts(seq, Class::Event, &bytes);
        let token = account.choose(facts.len).unwrap();
        fx.spool.store(Shot { bytes, facts, token });
    }
    until_at_risk(fx, before + pictures).await;
    let sums = account.sums();
    assert_eq!((sums.in_hand, sums.kept, sums.bytes), (pictures, 0, 0), "{sums:?}");
    account
}

async fn claim(fx: &Fixture, order: Order) -> Claim {
    let claim = fx.spool.claim(order).await.unwrap().unwrap();
    assert_eq!(claim.load().unwrap().body, body(claim.seq, LEN));
    claim
}

async fn store(fx: &Fixture, seq: u64, order: Order) {
    let claim = claim(fx, order).await;
    assert_eq!(claim.seq, seq);
    fx.spool.finish(seq, Outcome::Stored, None).await.unwrap();
}

fn is_written(fx: &Fixture, seqs: impl IntoIterator<Item = u64>) -> bool {
    seqs.into_iter().all(|seq| fx.image(seq).exists())
}

/// Kept, stored and queued.
fn sums(s: &Snapshot) -> (u64, u64, u64) {
    (s.kept, s.stored, s.queued)
}

#[tokio::test]
async fn a_picture_that_is_stored_in_time_is_never_written_and_counts_once() {
    let mut fx = spilling().await;
    let account = hold(&mut fx, 3).await;
    let snapshot = fx.balanced().await;
    assert_eq!(sums(&snapshot), (1, 1, 0), "what is held is not kept yet");
    assert!(snapshot.at_risk.bytes > 3 * LEN as u64 && snapshot.at_risk.max_bytes() == 1 << 20);
    for (seq, kept) in [(4, 1), (3, 2), (2, 3)] {
        store(&fx, seq, Order::Newest).await;
        assert_eq!((account.sums().kept, account.sums().in_hand), (kept, 3 - kept));
        assert_eq!(sums(&fx.balanced().await), (1 + kept, 1 + kept, 0));
        assert!(!fx.image(seq).exists());
    }
    assert!(fx.spool.claim(Order::Newest).await.unwrap().is_none());
    assert_eq!(fx.connect().query_row("SELECT sum(kept) FROM totals", [], |r| r.get(0)), Ok(1));
    let opened = fx.reopen(SECOND_BOOT).await;
    assert_eq!((opened.next_seq, opened.adopted), (5, 0), "no number is left out");
    assert_eq!(sums(&fx.balanced().await), (4, 4, 0), "entered at the stop");
}

#[tokio::test]
async fn what_was_never_written_enters_the_ledger_with_the_next_transaction_and_once() {
    let mut fx = spilling().await;
    hold(&mut fx, 2).await;
    store(&fx, 3, Order::Newest).await;
    store(&fx, 2, Order::Newest).await;
    let in_index = |fx: &Fixture| -> i64 {
        fx.connect().query_row("SELECT sum(stored) FROM totals", [], |r| r.get(0)).unwrap()
    };
    // One that only reads writes nothing.
    assert!(fx.spool.due_events().await.unwrap().is_empty());
    assert_eq!(in_index(&fx), 1);
    // A transaction that fails, in the part that is taken along.
    fx.sql("CREATE TRIGGER no BEFORE INSERT ON flags BEGIN SELECT zeroblob(1 << 31); END");
    fx.keep_as(|facts| facts.command = Some("c1".into())).await;
    assert_eq!((in_index(&fx), sums(&fx.balanced().await)), (1, (4, 3, 1)));
    fx.sql("DROP TRIGGER no");
    fx.keep_as(|facts| facts.command = Some("c1".into())).await;
    assert_eq!((in_index(&fx), sums(&fx.balanced().await)), (3, (5, 3, 2)));
    fx.reopen(SECOND_BOOT).await;
    assert_eq!((in_index(&fx), sums(&fx.balanced().await)), (3, (5, 3, 2)));
}

#[tokio::test]
async fn a_failed_upload_writes_the_picture_with_all_before_it_and_those_that_come() {
    let mut fx = spilling().await;
    let account = hold(&mut fx, 3).await;
    let [newest, oldest] = [claim(&fx, Order::Newest).await, claim(&fx, Order::Oldest).await];
    assert_eq!([newest.seq, oldest.seq], [4, 2]);
    // Its reply may have been lost: it must not be known to the memory alone.
    fx.spool.finish(3, Outcome::Released, None).await.unwrap();
    assert_eq!(at_risk(&fx).await, 3, "it is not even lent out");
    fx.spool.finish(2, Outcome::Released, None).await.unwrap();
    assert!(is_written(&fx, [2]) && !fx.image(3).exists());
    fx.spool.finish(4, Outcome::Refused, None).await.unwrap();
    let snapshot = fx.balanced().await;
    assert_eq!((sums(&snapshot), snapshot.at_risk.pictures), ((4, 1, 3), 0));
    assert!(is_written(&fx, 2..=4));
    assert_eq!((account.sums().kept, account.sums().in_hand), (3, 0));
    drop([newest, oldest]);
    let seq = fx.keep(Class::Event, LEN).await;
    assert!(is_written(&fx, [seq]), "uploads fail");
    let again = claim(&fx, Order::Newest).await;
    assert_eq!((again.seq, again.attempts), (5, 0));
    let refused = fx.spool.claim_each(vec![Order::Newest]).await.unwrap();
    assert_eq!((refused[0].seq, refused[0].attempts), (4, 1), "the attempt is written down");
    fx.spool.finish(5, Outcome::Stored, None).await.unwrap();
    hold(&mut fx, 1).await;
}

#[tokio::test]
async fn a_claim_that_is_dropped_writes_the_picture() {
    let mut fx = spilling().await;
    hold(&mut fx, 2).await;
    drop(claim(&fx, Order::Oldest).await);
    assert_eq!(until_at_risk(&fx, 1).await.queued, 1);
    assert!(is_written(&fx, [2]) && !fx.image(3).exists());
}

#[tokio::test]
async fn with_the_store_away_everything_is_on_disk_within_the_bound_and_survives_a_kill() {
    let brief = Spill { max_bytes: 1 << 20, after: Duration::from_millis(200) };
    let mut fx = holding(Closed::new(), brief).await;
    let account = Account::new(u64::MAX / 2);
    for seq in 2..=6 {
        let bytes = body(seq, LEN);
        let facts = facts(seq, Class::Event, &bytes);
        let token = account.choose(facts.len).unwrap();
        fx.spool.store(Shot { bytes, facts, token });
    }
    fx.next_seq = 7;
    // Lent out and never heard of again, as by a store that does not answer.
    let mut changed = fx.spool.changed();
    let mut lent = Vec::new();
    while account.sums().kept < 5 {
        changed.borrow_and_update();
        lent.extend(fx.spool.claim(Order::Newest).await.unwrap());
        if account.sums().kept < 5 {
            soon(changed.changed()).await.unwrap();
        }
    }
    assert!(is_written(&fx, 2..=6));
    assert_eq!(at_risk(&fx).await, 0);
    let opened = fx.kill(BOOT).await;
    assert_eq!(opened.torn, 0);
    assert_eq!(sums(&fx.balanced().await), (6, 1, 5));
    for seq in 2..=6 {
        store(&fx, seq, Order::Oldest).await;
    }
}

#[tokio::test]
async fn an_orderly_stop_writes_what_is_in_memory() {
    let mut fx = spilling().await;
    let account = hold(&mut fx, 5).await;
    let lent = claim(&fx, Order::Newest).await;
    let opened = fx.reopen(SECOND_BOOT).await;
    drop(lent);
    assert_eq!((account.sums().kept, account.sums().in_hand), (5, 0));
    assert_eq!((opened.next_seq, opened.adopted, opened.torn), (7, 0, 0));
    assert_eq!(sums(&fx.balanced().await), (6, 1, 5));
    assert_eq!(claim(&fx, Order::Oldest).await.seq, 2);
}

#[tokio::test]
async fn a_kill_takes_what_is_in_memory_both_sides_of_the_sum_and_no_number_twice() {
    let mut fx = spilling().await;
    hold(&mut fx, 5).await;
    store(&fx, 6, Order::Newest).await;
    assert_eq!(sums(&fx.balanced().await), (2, 2, 0));
    let opened = fx.kill(BOOT).await;
    assert_eq!((opened.adopted, opened.torn), (0, 0), "nothing is half there");
    assert_eq!(sums(&fx.balanced().await), (1, 1, 0));
    assert!(opened.next_seq > 6, "{} was used", opened.next_seq);
    // Killed again before anything came, and with an index that is lost.
    let again = fx.kill(SECOND_BOOT).await;
    assert_eq!(again.next_seq, opened.next_seq);
    let closed = fx.copy();
    fs::remove_file(closed.path().join("index.db")).unwrap();
    let (_, rebuilt) = closed.open(SECOND_BOOT);
    assert!(rebuilt.rebuilt && rebuilt.next_seq >= opened.next_seq);
}

#[tokio::test]
async fn memory_is_bounded_and_what_does_not_fit_is_written_in_order() {
    let spill = Spill { max_bytes: 64 << 10, after: NEVER };
    let mut fx = holding(Closed::new(), spill).await;
    let mut accounts = Vec::new();
    for _ in 0..40 {
        accounts.push(fx.hand_over(Class::Event, LEN));
        let snapshot = fx.balanced().await;
        assert!(snapshot.at_risk.bytes <= 64 << 10, "{:?}", snapshot.at_risk);
    }
    // A picture larger than all the memory.
    accounts.push(fx.hand_over(Class::Event, 70_000));
    until_at_risk(&fx, 0).await;
    while fx.balanced().await.kept < 42 {}
    assert!(accounts.iter().all(|a| a.sums().kept == 1), "everything before it went along");
    assert!(is_written(&fx, 2..=42));
}

#[tokio::test]
async fn what_needs_rows_is_written_at_once() {
    let mut fx = spilling().await;
    let event = |facts: &mut Facts| facts.event = Some("e1".into());
    let last = |facts: &mut Facts| facts.event_final = true;
    type Change<'a> = &'a dyn Fn(&mut Facts);
    let written: [(&str, Change<'_>); 5] = [
        ("of a command", &|f| f.command = Some("c1".into())),
        ("one of an event's", &|f| event(f)),
        ("the last of an event that has rows", &|f| {
            event(f);
            last(f);
        }),
        ("waits for a clock", &|f| f.wall = None),
        ("a manifest", &|f| {
            f.event = Some("e2".into());
            f.trigger = Trigger::Manifest;
            last(f);
        }),
    ];
    let offer = |fx: &mut Fixture, change: Change<'_>| {
        let (seq, bytes) = (fx.next_seq, body(fx.next_seq, LEN));
        let mut facts = facts(seq, Class::Event, &bytes);
        change(&mut facts);
        (seq, fx.hand_over_with(facts, bytes))
    };
    for (what, change) in written {
        let (seq, account) = offer(&mut fx, change);
        while account.sums().in_hand > 0 && at_risk(&fx).await == 0 {}
        assert!(is_written(&fx, [seq]) && account.sums().kept == 1, "{what}");
    }
    // Somebody waits to hear that it is kept.
    let bytes = body(fx.next_seq, LEN);
    let watched = Account::new(u64::MAX / 2);
    let mut token = watched.choose(1).unwrap();
    token.watch(Teller::new(|_| ()));
    let shot = Shot { facts: facts(fx.next_seq, Class::Event, &bytes), bytes, token };
    fx.next_seq += 1;
    fx.spool.store(shot);
    while watched.sums().in_hand > 0 && at_risk(&fx).await == 0 {}
    assert_eq!(watched.sums().kept, 1);
    // The only picture of its event needs none, and no manifest either.
    let (seq, _account) = offer(&mut fx, &|f| {
        f.event = Some("e3".into());
        last(f);
    });
    until_at_risk(&fx, 1).await;
    fx.spool.event_ended(vedette::still::EventEnd {
        camera: "front".into(),
        event: "e3".into(),
        began: vedette::clock::BootTime(1),
        duration: Duration::ZERO,
        why: "quiet".into(),
        chosen: 1,
    });
    fx.balanced().await;
    fx.balanced().await;
    assert_eq!(fx.count("events"), 0);
    assert!(!fx.image(seq).exists());
}

#[tokio::test]
async fn a_pause_writes_what_is_in_memory_and_holds_nothing() {
    let mut fx = spilling().await;
    hold(&mut fx, 2).await;
    let pause = |id: &str, paused| NewCommand {
        id: id.to_owned(),
        op: "upload.pause".to_owned(),
        tell: vec![Address { topic: "cmd/x/status".to_owned(), correlation: None }],
        effect: Some(RowEffect::PauseUploads(paused)),
        pictures: 0,
    };
    fx.spool.accept(pause("c1", true)).await.unwrap();
    assert!(is_written(&fx, [2, 3]));
    let account = fx.hand_over(Class::Event, LEN);
    while account.sums().in_hand > 0 && at_risk(&fx).await == 0 {}
    assert_eq!(account.sums().kept, 1);
    fx.spool.accept(pause("c2", false)).await.unwrap();
    hold(&mut fx, 1).await;
}

#[tokio::test]
async fn people_who_ask_are_told_of_pictures_in_memory_too_and_may_purge_them() {
    let mut fx = spilling().await;
    hold(&mut fx, 2).await;
    let ask = Ask::List { filter: Filter::default(), above: 0 };
    let Told::List(page, _) = fx.spool.ask(ask).await.unwrap() else { panic!() };
    assert_eq!(page.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 3]);
    let account = hold(&mut fx, 1).await;
    let purge = Ask::Purge { filter: Filter::default(), above: 0 };
    let Told::Done(done) = fx.spool.ask(purge).await.unwrap() else { panic!() };
    assert_eq!((done.parts[0].pictures, account.sums().kept), (3, 1));
    assert_eq!(fx.balanced().await.lost_total(), 3);
}

#[tokio::test]
async fn a_message_that_must_arrive_goes_to_the_outbox_though_the_picture_is_never_written() {
    let mut fx = spilling().await;
    hold(&mut fx, 1).await;
    let lent = claim(&fx, Order::Newest).await;
    let told = Message {
        kind: Kind::Stored,
        topic: "stored".into(),
        payload: b"x".to_vec(),
        correlation: None,
    };
    let receipt = Receipt {
        key: "k".into(),
        size: 1,
        sha256: String::new(),
        captured: None,
        told: Some(told.clone()),
    };
    fx.break_index();
    fx.spool.stored(lent.seq, receipt).await.unwrap();
    assert!(!fx.image(lent.seq).exists());
    assert_eq!(fx.count("outbox"), 0, "the index would not take it");
    fx.mend_index();
    let queued = soon(async {
        loop {
            let queued = fx.spool.outbox(0, 10).await.unwrap_or_default();
            if !queued.is_empty() {
                return queued;
            }
        }
    })
    .await;
    assert_eq!((queued.len(), &queued[0].message), (1, &told));
    assert_eq!(sums(&fx.balanced().await), (2, 2, 0));
}

#[tokio::test]
async fn a_picture_that_is_written_while_it_is_sent_is_stored_like_any_other() {
    let mut fx = spilling().await;
    hold(&mut fx, 1).await;
    let lent = claim(&fx, Order::Newest).await;
    fx.spool.flush().await.unwrap();
    assert!(is_written(&fx, [2]));
    assert!(fx.spool.claim(Order::Newest).await.unwrap().is_none(), "it is lent out still");
    fx.spool.finish(lent.seq, Outcome::Stored, None).await.unwrap();
    assert_eq!(sums(&fx.balanced().await), (2, 2, 0));
    assert!(!fx.image(2).exists());
}

#[tokio::test]
async fn quotas_count_a_picture_when_it_is_written_and_spare_those_in_flight() {
    let file = LEN as u64 + 2_000;
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(2 * file) };
    let dir = tempfile::tempdir().unwrap();
    let mut fx = holding(Closed::at(dir.path(), limits), MIB).await;
    hold(&mut fx, 4).await;
    let snapshot = fx.balanced().await;
    assert_eq!((snapshot.bytes, snapshot.at_risk.pictures), (0, 4), "more than the quota");
    let lent = claim(&fx, Order::Oldest).await;
    fx.spool.flush().await.unwrap();
    let snapshot = fx.balanced().await;
    assert!(snapshot.bytes <= 2 * file, "{}", snapshot.bytes);
    assert_eq!(snapshot.queued + snapshot.lost_total() + snapshot.at_risk.pictures, 4);
    assert!(is_written(&fx, [lent.seq]), "nobody gives up what is being sent");
    // Its loan is known by its camera now: of the two, the other one makes room.
    fx.keep_as(|facts| {
        (facts.command, facts.class) = (Some("c1".into()), Class::Best);
    })
    .await;
    assert!(is_written(&fx, [lent.seq]));
    assert_eq!(fx.balanced().await.lost_total(), 2);
}

#[tokio::test]
async fn what_was_lent_out_of_memory_is_known_to_be_in_flight_when_it_is_written() {
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(2 * (LEN as u64 + 2_000)) };
    let dir = tempfile::tempdir().unwrap();
    let mut fx = holding(Closed::at(dir.path(), limits), MIB).await;
    let _least = fx.hand_over(Class::Interval, LEN);
    until_at_risk(&fx, 1).await;
    let lent = claim(&fx, Order::Newest).await;
    let _event = fx.hand_over(Class::Event, LEN);
    fx.spool.flush().await.unwrap();
    assert!(is_written(&fx, [2, 3]));
    // The least would make room first, but it is being sent.
    fx.keep(Class::Best, LEN).await;
    assert!(is_written(&fx, [lent.seq, 4]) && !fx.image(3).exists());
}

#[tokio::test]
async fn a_disk_that_takes_nothing_leaves_pictures_in_memory_where_they_can_be_stored() {
    let mut fx = spilling().await;
    let account = hold(&mut fx, 3).await;
    let (images, away) = (fx.path().join("images"), fx.path().join("away"));
    fs::rename(&images, &away).unwrap();
    File::create(&images).unwrap();
    fx.spool.flush().await.unwrap();
    assert_eq!(until_at_risk(&fx, 3).await.kept, 1);
    store(&fx, 4, Order::Newest).await;
    // A new one that has to be written is refused, as ever.
    let refused = fx.offer_as(300, |facts| facts.command = Some("c1".into())).await;
    assert_eq!(refused, Err(Refusal::Storage));
    fs::remove_file(&images).unwrap();
    fs::rename(&away, &images).unwrap();
    fx.spool.flush().await.unwrap();
    assert!(is_written(&fx, [2, 3]));
    assert_eq!((account.sums().kept, account.sums().in_hand), (3, 0));
    let lost = hold(&mut fx, 1).await;
    fs::rename(&images, &away).unwrap();
    File::create(&images).unwrap();
    fx.spool.stop().await;
    assert_eq!(lost.sums().refused[Refusal::Storage as usize], 1, "said, and not kept");
    fs::remove_file(&images).unwrap();
    fs::rename(&away, &images).unwrap();
    fx.reopen(BOOT).await;
    assert_eq!(sums(&fx.balanced().await), (4, 2, 2));
}

#[tokio::test]
async fn a_picture_that_alone_could_not_be_written_is_never_written_behind_later_ones() {
    let mut fx = spilling().await;
    let account = hold(&mut fx, 2).await;
    // A directory in the place of its file.
    fs::create_dir_all(fx.image(2)).unwrap();
    fx.spool.flush().await.unwrap();
    let snapshot = until_at_risk(&fx, 1).await;
    assert_eq!(sums(&snapshot), (2, 1, 1));
    fs::remove_dir(fx.image(2)).unwrap();
    fx.spool.flush().await.unwrap();
    assert!(!fx.image(2).exists(), "recovery would not take it for new");
    store(&fx, 2, Order::Newest).await;
    store(&fx, 3, Order::Newest).await;
    assert_eq!((account.sums().kept, sums(&fx.balanced().await)), (2, (3, 3, 0)));
}

#[tokio::test]
async fn an_index_that_is_rebuilt_meanwhile_does_not_take_what_is_in_memory_for_written() {
    let mut fx = spilling().await;
    hold(&mut fx, 2).await;
    fx.sql("DROP TABLE items");
    let claimed = claim(&fx, Order::Oldest).await; // reads the index first
    assert_eq!(fx.balanced().await.generation, 2);
    let high: i64 =
        fx.connect().query_row("SELECT high_seq FROM ledger", [], |r| r.get(0)).unwrap();
    assert!(high < 2, "{high}: a file written now would never be adopted");
    fx.spool.finish(claimed.seq, Outcome::Stored, None).await.unwrap();
    fx.spool.flush().await.unwrap();
    assert_eq!(sums(&fx.balanced().await), (2, 1, 1));
}

/// Bytes that reached the disk below this directory.
fn device_bytes(path: &Path) -> u64 {
    rustix::fs::syncfs(File::open(path).unwrap()).unwrap();
    let device = fs::metadata(path).map(|m| std::os::unix::fs::MetadataExt::dev(&m)).unwrap();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let stat = fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/stat")).unwrap();
    stat.split_whitespace().nth(6).unwrap().parse::<u64>().unwrap() * 512
}

#[tokio::test]
async fn while_uploads_succeed_nothing_at_all_reaches_the_disk() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: mounting a loop device needs root");
        return;
    }
    let disk = SmallDisk::ext4(64);
    let place = disk.path().join("spool");
    let mut fx = holding(Closed::at(&place, Limits::bytes(1 << 30)), MIB).await;
    // The first one reserves numbers.
    hold(&mut fx, 1).await;
    store(&fx, 2, Order::Newest).await;
    fx.spool.snapshot().await.unwrap();
    let before = device_bytes(&place);
    for seq in 3..503 {
        let account = fx.hand_over(Class::Event, LEN);
        let order = if seq % 5 == 0 { Order::Oldest } else { Order::Newest };
        let mut changed = fx.spool.changed();
        let claim = loop {
            changed.borrow_and_update();
            match fx.spool.claim(order).await.unwrap() {
                Some(claim) => break claim,
                None => changed.changed().await.unwrap(),
            }
        };
        fx.spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
        assert_eq!(account.sums().kept, 1);
        // What the agent asks all the time.
        assert!(fx.spool.due_events().await.unwrap().is_empty());
        assert!(fx.spool.snapshot().await.unwrap().holds());
    }
    assert_eq!(device_bytes(&place) - before, 0, "of {} uploaded", 500 * LEN);
    fx.spool.stop().await;
    let (fx, _) = Closed::at(&place, Limits::bytes(1 << 30)).open(BOOT);
    assert_eq!(sums(&fx.balanced().await), (502, 502, 0));
    fx.spool.stop().await;
    drop(fx);
    drop(disk);
}
