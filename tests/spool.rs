//! The spool as a whole: real files, a real index, its own thread.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[path = "spool/model.rs"]
mod model;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use fixture::{BOOT, Fixture, OTHER_BOOT, SECOND_BOOT, body};
use vedette::account::Refusal;
use vedette::clock::{BootId, BootTime, Clock, Timekeeper, TrustPolicy, WallTime, build_time};
use vedette::contract::Class;
use vedette::spool::{Loss, OpenError, Order, Outcome, Quarantine, ReadError};

#[tokio::test]
async fn a_picture_is_kept_claimed_loaded_stored_and_gone() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 5000).await;
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert!(claim.is_warm());
    let loaded = claim.load().unwrap();
    assert_eq!((claim.seq, loaded.facts.seq, claim.attempts), (seq, seq, 0));
    assert_eq!(loaded.body, body(seq, 5000));
    assert!(f.spool.claim(Order::Newest).await.unwrap().is_none(), "it is lent out");
    assert!(f.image(seq).exists());
    f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
    drop(claim);
    assert!(!f.image(seq).exists());
    let s = f.balanced().await;
    assert_eq!((s.kept, s.stored, s.queued, s.bytes), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_cold_claim_reads_its_file_and_has_the_same_key_as_ever() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Best, 3000).await;
    let warm = f.spool.claim(Order::Oldest).await.unwrap().unwrap().load().unwrap();
    f.reopen(BOOT).await;
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert!(!claim.is_warm());
    assert_eq!(claim.load().unwrap(), warm);
    assert_eq!(claim.seq, seq);
}

#[tokio::test]
async fn a_second_agent_is_told_who_holds_the_spool() {
    let f = Fixture::new();
    match f.open_again() {
        Err(OpenError::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    let error = f.open_again().unwrap_err().to_string();
    assert!(error.contains(&std::process::id().to_string()), "{error}");
    f.spool.stop().await;
    assert!(f.open_again().is_ok(), "stopping gives up the lock");
}

#[tokio::test]
async fn newest_and_oldest_come_from_their_ends() {
    let mut f = Fixture::new();
    for _ in 0..4 {
        f.keep(Class::Event, 100).await;
    }
    let newest = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    let oldest = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    let next = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!((newest.seq, oldest.seq, next.seq), (4, 1, 2));
}

#[tokio::test]
async fn a_dropped_claim_is_put_back_and_said_so() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    let mut changed = f.spool.changed();
    changed.mark_unchanged();
    drop(claim);
    changed.changed().await.unwrap();
    assert_eq!(f.spool.claim(Order::Newest).await.unwrap().unwrap().seq, seq);
}

#[tokio::test]
async fn a_refused_picture_rests_and_its_attempt_outlives_the_process() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let hour = Some(Duration::from_secs(3600));
    drop(f.spool.claim(Order::Newest).await.unwrap().unwrap());
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    f.spool.finish(seq, Outcome::Refused, hour).await.unwrap();
    drop(claim);
    assert!(f.spool.claim(Order::Newest).await.unwrap().is_none());
    assert_eq!(f.balanced().await.resting, 1);
    f.reopen(BOOT).await;
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!(claim.attempts, 1, "retry times are memory, attempts are rows");
    f.spool.finish(seq, Outcome::Released, None).await.unwrap();
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!(claim.attempts, 1, "a release is no attempt");
}

#[tokio::test]
async fn a_rest_ends_by_itself() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let _claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    let mut changed = f.spool.changed();
    changed.mark_unchanged();
    f.spool.finish(seq, Outcome::Refused, Some(Duration::from_millis(1))).await.unwrap();
    changed.changed().await.unwrap();
    assert_eq!(f.spool.claim(Order::Newest).await.unwrap().unwrap().seq, seq);
}

#[tokio::test]
async fn a_missing_file_is_lost_and_a_broken_one_set_aside() {
    let mut f = Fixture::new();
    let (gone, broken) = (f.keep(Class::Event, 100).await, f.keep(Class::Event, 100).await);
    f.reopen(BOOT).await;
    fs::remove_file(f.image(gone)).unwrap();
    let mut bytes = fs::read(f.image(broken)).unwrap();
    bytes[7] ^= 1;
    fs::write(f.image(broken), bytes).unwrap();

    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert!(matches!(claim.load(), Err(ReadError::Missing)));
    f.spool.finish(gone, Outcome::Lost(Loss::Missing), None).await.unwrap();
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert!(matches!(claim.load(), Err(ReadError::Corrupt(_))));
    let corrupt = Outcome::Quarantined(Quarantine::Corrupt);
    f.spool.finish(broken, corrupt, None).await.unwrap();

    let s = f.balanced().await;
    assert_eq!((s.queued, s.quarantined, s.lost), (0, 1, [1, 0, 0, 0, 0]));
    assert!(f.image(broken).exists(), "a quarantined file stays where it is");
    assert!(s.bytes > 0, "and counts under the quota");
    f.reopen(BOOT).await;
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none());
}

#[tokio::test]
async fn missing_is_looked_into() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let _claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    f.spool.finish(seq, Outcome::Lost(Loss::Missing), None).await.unwrap();
    assert_eq!(f.balanced().await.queued, 1, "the file is there, so nothing is lost");
}

#[tokio::test]
async fn whole_files_without_rows_are_adopted_and_torn_ones_deleted() {
    let mut f = Fixture::new();
    let first = f.keep(Class::Event, 100).await;
    f.spool.stop().await;
    let whole = f.lay_down(first + 1, 700);
    let torn = f.lay_down(first + 2, 700);
    let bytes = fs::read(f.image(torn)).unwrap();
    fs::write(f.image(torn), &bytes[..bytes.len() - 1]).unwrap();
    let rotten = f.lay_down(first + 3, 700);
    let mut bytes = fs::read(f.image(rotten)).unwrap();
    bytes[0] ^= 1;
    fs::write(f.image(rotten), bytes).unwrap();

    let opened = f.reopen(BOOT).await;
    assert_eq!((opened.adopted, opened.torn, opened.next_seq), (1, 2, whole + 1));
    assert!(!f.image(torn).exists() && !f.image(rotten).exists());
    let s = f.balanced().await;
    assert_eq!((s.kept, s.queued, s.adopted, s.generation), (2, 2, 1, 1));
}

#[tokio::test]
async fn a_removal_that_was_cut_off_is_finished() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let image = fs::read(f.image(seq)).unwrap();
    let _claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
    let crashed = f.copy();
    fs::write(crashed.image(seq), image).unwrap();
    let (crashed, opened) = crashed.open(BOOT);
    assert_eq!((opened.finished, opened.adopted), (1, 0));
    assert!(!crashed.image(seq).exists());
    let s = crashed.balanced().await;
    assert_eq!((s.kept, s.stored), (1, 1));
}

#[tokio::test]
async fn a_lost_index_is_rebuilt_as_a_new_generation() {
    let mut f = Fixture::new();
    let (a, b) = (f.keep(Class::Event, 100).await, f.keep(Class::Best, 100).await);
    f.spool.stop().await;
    fs::remove_file(f.path().join("index.db")).unwrap();
    let opened = f.reopen(BOOT).await;
    assert!(opened.rebuilt);
    assert_eq!(opened.generation, 2);
    assert!(opened.next_seq > b + (1 << 20), "no number is ever used twice");
    let s = f.balanced().await;
    assert_eq!((s.kept, s.queued, s.generation), (2, 2, 2));
    let again = f.reopen(BOOT).await;
    assert_eq!(again.next_seq, opened.next_seq, "the leap outlives a restart without a picture");
    for seq in [a, b] {
        let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
        assert_eq!(claim.load().unwrap().body, body(seq, 100));
        f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
    }
    f.spool.stop().await;
    fs::remove_file(f.path().join("index.db")).unwrap();
    let third = f.reopen(BOOT).await;
    assert!(third.next_seq > opened.next_seq, "not even where no image is left");
    assert_eq!(third.generation, 3);
}

#[tokio::test]
async fn a_damaged_index_is_set_aside() {
    let mut f = Fixture::new();
    f.keep(Class::Event, 100).await;
    for n in 1..3 {
        f.spool.stop().await;
        fs::write(f.path().join("index.db"), vec![0x5a; 8192]).unwrap();
        assert!(f.reopen(BOOT).await.rebuilt);
        assert!(f.path().join(format!("index.db.broken-{n}")).exists());
        assert_eq!(f.balanced().await.queued, 1);
    }
}

#[tokio::test]
async fn an_index_damaged_inside_is_set_aside_too() {
    for table in ["items", "boots", "totals", "losses"] {
        let mut f = Fixture::new();
        f.keep(Class::Event, 100).await;
        f.spool.stop().await;
        f.sql(&format!("DROP TABLE {table}"));
        f.reopen(BOOT).await;
        assert_eq!(f.balanced().await.queued, 1, "{table}");
    }
}

#[tokio::test]
async fn more_pictures_than_the_disk_can_take_are_refused_and_each_is_answered() {
    let mut f = Fixture::new();
    let offers: Vec<_> = (0..2000).map(|_| f.hand_over(Class::Event, 10)).collect();
    f.spool.flush().await.unwrap();
    let kept: u64 = offers.iter().map(|a| a.sums().kept).sum();
    let busy: u64 = offers.iter().map(|a| a.sums().refused[Refusal::Busy as usize]).sum();
    assert_eq!(kept + busy, 2000);
    assert_eq!(f.balanced().await.kept, kept);
}

#[tokio::test]
async fn an_index_that_fails_while_running_is_rebuilt_and_nothing_kept_is_lost() {
    let mut f = Fixture::new();
    let before = f.keep(Class::Event, 100).await;
    f.sql("DROP TABLE items");
    let after = f.keep(Class::Event, 100).await;
    let s = f.balanced().await;
    assert_eq!((s.queued, s.generation, s.high_seq), (2, 2, after));
    assert_eq!(f.spool.claim(Order::Oldest).await.unwrap().unwrap().seq, before);
    let third = f.keep(Class::Event, 100).await;
    assert_eq!(third, after + 1, "numbers go on");
    assert_eq!(f.balanced().await.queued, 3);
}

#[tokio::test]
async fn no_file_goes_before_the_commit_that_lets_go_of_it() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let _claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    // The commit fails, the index is rebuilt from the files, and the outcome is committed there: that
    // sums only if the file was still there when the first commit failed.
    f.sql("CREATE TRIGGER no BEFORE UPDATE ON totals BEGIN SELECT RAISE(ABORT, 'no'); END");
    f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
    let s = f.balanced().await;
    assert_eq!((s.kept, s.stored, s.queued, s.generation), (1, 1, 0, 2));
    assert!(!f.image(seq).exists());
}

#[tokio::test]
async fn pictures_wait_for_the_clock_and_get_its_time() {
    let mut f = Fixture::new();
    let timed = f.keep(Class::Event, 100).await;
    let waiting = f.keep_untimed(100).await;
    let s = f.balanced().await;
    assert_eq!((s.queued, s.waiting, s.waiting_for.is_some()), (2, 1, true));
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!(claim.seq, timed, "the other one waits");
    f.reopen(BOOT).await;
    assert_eq!(f.balanced().await.waiting, 1, "the same boot goes on waiting");

    f.spool.set_offset(1_700_000_000_000_000_000, "store").await.unwrap();
    f.spool.set_offset(5, "kernel").await.unwrap();
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    let loaded = claim.load().unwrap();
    assert_eq!(claim.seq, waiting);
    let wall = WallTime(1_700_000_000_000 + i64::try_from(waiting).unwrap() * 1000);
    assert_eq!(loaded.wall, Some(wall), "the first trusted offset stays");
    assert_eq!(f.balanced().await.waiting_for, None);
    drop(claim);
    f.reopen(SECOND_BOOT).await;
    let later = f.spool.claim(Order::Newest).await.unwrap().unwrap().load().unwrap();
    assert_eq!(later, loaded, "and a later boot knows it");
}

#[tokio::test]
async fn what_was_given_up_stays_unsynced_when_trust_comes_late() {
    let mut f = Fixture::new();
    let given_up = f.keep_untimed(100).await;
    f.spool.give_up_waiting().await.unwrap();
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    let loaded = claim.load().unwrap();
    assert_eq!((claim.seq, loaded.wall), (given_up, None));
    assert!(loaded.key.contains("/unsynced/"), "{}", loaded.key);
    drop(claim);
    let later = f.keep_untimed(100).await;
    assert_eq!(f.balanced().await.waiting, 1, "later ones wait again");
    f.spool.set_offset(1_000_000_000, "store").await.unwrap();
    f.reopen(BOOT).await;
    let again = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!(again.load().unwrap(), loaded, "one image, one key, for ever");
    let newest = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!((newest.seq, newest.load().unwrap().wall.is_some()), (later, true));
}

#[tokio::test]
async fn pictures_of_a_boot_that_never_had_trust_go_unsynced_in_the_next() {
    let mut f = Fixture::new();
    let old = f.keep_untimed(100).await;
    f.reopen(SECOND_BOOT).await;
    f.spool.set_offset(1_000_000_000, "kernel").await.unwrap();
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!((claim.seq, claim.load().unwrap().wall), (old, None));
    f.spool.finish(old, Outcome::Stored, None).await.unwrap();
    assert!(f.path().join("boots").join(SECOND_BOOT).exists());
    f.reopen(OTHER_BOOT).await;
    assert!(!f.path().join("boots").join(SECOND_BOOT).exists(), "nothing of that boot is left");
}

#[tokio::test]
async fn a_boot_in_1970_checks_certificates_no_earlier_than_the_last_trusted_boot() {
    struct Cold;
    impl Clock for Cold {
        fn boottime(&self) -> BootTime {
            BootTime(20_000_000_000)
        }
        fn wall(&self) -> WallTime {
            WallTime(10_000)
        }
        fn kernel_synchronised(&self) -> bool {
            false
        }
        fn set_by_rtc(&self) -> bool {
            false
        }
        fn boot_id(&self) -> BootId {
            BootId(OTHER_BOOT.into())
        }
    }
    let trusted = WallTime(build_time().0 + 100 * 86_400_000);
    let mut f = Fixture::new();
    f.spool.set_offset(trusted.0 * 1_000_000, "kernel").await.unwrap();
    f.reopen(SECOND_BOOT).await;
    let opened = f.reopen(OTHER_BOOT).await;
    let keeper = Timekeeper::new(Arc::new(Cold), TrustPolicy::Auto);
    keeper.remember(opened.newest_wall.unwrap());
    assert!(keeper.certificate_time() >= trusted, "{opened:?}");
    assert_eq!(keeper.offset(), None, "a floor is not trust");
}

#[tokio::test]
async fn the_quota_takes_the_least_worth_first_and_never_what_is_in_flight() {
    let mut f = Fixture::with_quota(52_000);
    let lent = f.keep(Class::Interval, 9_000).await;
    let _claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    let best = f.keep(Class::Best, 9_000).await;
    let event = f.keep(Class::Event, 9_000).await;
    let interval = [f.keep(Class::Interval, 9_000).await, f.keep(Class::Interval, 9_000).await];
    let mut gone = Vec::new();
    for _ in 0..4 {
        f.keep(Class::Best, 9_000).await;
        gone.extend(
            [lent, best, event, interval[0], interval[1]]
                .into_iter()
                .filter(|seq| !f.image(*seq).exists()),
        );
        gone.dedup();
        let s = f.balanced().await;
        assert!(s.bytes <= s.max_bytes, "{s:?}");
    }
    let mut order = Vec::new();
    gone.into_iter().for_each(|seq| {
        if !order.contains(&seq) {
            order.push(seq)
        }
    });
    assert_eq!(
        order,
        [interval[0], interval[1], event, best]
            .into_iter()
            .filter(|s| order.contains(s))
            .collect::<Vec<_>>()
    );
    assert!(order.len() >= 3 && f.image(lent).exists());
    assert_eq!(f.balanced().await.lost[1], 4);
}

#[tokio::test]
async fn quarantine_is_given_up_before_anything_that_can_be_sent() {
    let mut f = Fixture::with_quota(30_000);
    let first = f.keep(Class::Interval, 9_000).await;
    let poison = f.keep(Class::Best, 9_000).await;
    let _claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    let rejected = Outcome::Quarantined(Quarantine::Rejected("no such name".into()));
    f.spool.finish(poison, rejected, None).await.unwrap();
    f.keep(Class::Interval, 9_000).await;
    f.keep(Class::Interval, 9_000).await;
    assert!(f.image(first).exists() && !f.image(poison).exists());
    let s = f.balanced().await;
    assert_eq!((s.quarantined, s.lost[1], s.queued), (0, 1, 3));
}

#[tokio::test]
async fn a_picture_larger_than_the_quota_is_refused_and_costs_nothing() {
    let mut f = Fixture::with_quota(20_000);
    f.keep(Class::Interval, 9_000).await;
    assert_eq!(f.offer(Class::Best, 30_000).await, Err(Refusal::DiskFull));
    assert_eq!(f.balanced().await.queued, 1);
}

#[tokio::test]
async fn a_number_out_of_order_or_a_name_in_use_is_refused_and_harms_nothing() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    f.next_seq = seq;
    assert_eq!(f.offer(Class::Event, 100).await, Err(Refusal::Storage));
    fs::write(f.image(seq + 1), b"squatter").unwrap();
    assert_eq!(f.offer(Class::Event, 100).await, Err(Refusal::Storage));
    assert_eq!(fs::read(f.image(seq + 1)).unwrap(), b"squatter");
    assert!(f.offer(Class::Event, 100).await.is_ok());
    assert_eq!(f.balanced().await.queued, 2);
}

#[tokio::test]
async fn a_directory_that_cannot_be_made_refuses_its_pictures_and_the_thread_lives_on() {
    let mut f = Fixture::new();
    let in_the_way = f.path().join("images/00000000");
    fs::write(&in_the_way, b"").unwrap();
    assert_eq!(f.offer(Class::Event, 100).await, Err(Refusal::Storage));
    fs::remove_file(&in_the_way).unwrap();
    assert!(f.offer(Class::Event, 100).await.is_ok());
    assert_eq!(f.balanced().await.queued, 1);
}

#[tokio::test]
async fn emptied_directories_go_and_the_current_one_stays() {
    let mut f = Fixture::new();
    f.next_seq = 1022;
    for _ in 0..4 {
        f.keep(Class::Event, 10).await;
    }
    for _ in 0..4 {
        let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
        f.spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
    }
    f.spool.stop().await;
    assert!(!f.path().join("images/00000000").exists());
    assert!(f.path().join("images/00000001").exists());
    assert_eq!(f.reopen(BOOT).await.next_seq, 1026);
}

#[tokio::test]
async fn stopping_answers_everything_that_was_handed_over() {
    let mut f = Fixture::new();
    let offers: Vec<_> = (0..100).map(|_| f.hand_over(Class::Event, 2000)).collect();
    f.spool.stop().await;
    assert!(offers.iter().all(|account| account.sums().kept == 1));
    let late = f.hand_over(Class::Event, 10);
    assert_eq!(late.sums().refused[Refusal::Stopping as usize], 1);
    assert!(f.spool.claim(Order::Newest).await.is_err());
    let opened = f.reopen(BOOT).await;
    assert_eq!((opened.adopted, opened.torn, opened.finished), (0, 0, 0), "nothing was left to do");
    assert_eq!(f.balanced().await.queued, 100);
}

#[tokio::test]
async fn claims_are_found_by_the_index_whatever_the_backlog() {
    let mut f = Fixture::new();
    f.keep(Class::Event, 10).await;
    for (sql, index) in [
        (
            "SELECT seq FROM items WHERE state = 1 AND seq < 9 ORDER BY seq DESC LIMIT 64",
            "items_by_state",
        ),
        (
            "SELECT seq FROM items WHERE state = 1 AND seq > 9 ORDER BY seq LIMIT 64",
            "items_by_state",
        ),
        (
            "SELECT seq FROM items WHERE class = 1 AND state < 2 AND camera = 1 AND seq > 9
             ORDER BY seq LIMIT 64",
            "items_by_camera",
        ),
    ] {
        let plan = f.explain(sql);
        assert!(
            plan.contains(index) && plan.contains("rowid") && !plan.contains("B-TREE"),
            "{plan}"
        );
    }
}

#[tokio::test]
async fn a_picture_missed_because_the_whole_spool_is_gone_rests_and_is_not_counted_lost() {
    let mut f = Fixture::new();
    f.keep(Class::Event, 100).await;
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    // As when a card is pulled out: asked for again at once it would be missed again, for ever.
    let (identity, aside) = (f.path().join("spool.json"), f.path().join("aside"));
    fs::rename(&identity, &aside).unwrap();
    let image = f.image(claim.seq);
    fs::rename(&image, image.with_extension("aside")).unwrap();
    f.spool.finish(claim.seq, Outcome::Lost(Loss::Missing), None).await.unwrap();
    drop(claim);
    assert!(f.spool.claim(Order::Newest).await.unwrap().is_none());
    let snapshot = f.spool.snapshot().await.unwrap();
    assert_eq!((snapshot.queued, snapshot.resting, snapshot.lost_total()), (1, 1, 0));
    assert!(snapshot.holds());
    fs::rename(aside, identity).unwrap();
}
