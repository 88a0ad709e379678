//! Who has to go when there is no room: by worth, by camera, by age, and on a disk that others have filled.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[path = "spool/small_disk.rs"]
mod small_disk;

use std::fs;
use std::time::Duration;

use fixture::{BOOT, Closed, Fixture, OTHER_BOOT, SECOND_BOOT, moment};
use small_disk::SmallDisk;
use tokio::time::timeout;
use vedette::account::{Account, Refusal};
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::Class;
use vedette::spool::retention::Limits;
use vedette::spool::{
    Durability, Loss, Moment, Order, Outcome, Quarantine, Settings, Snapshot, Spool, SpoolError,
};
use vedette::still::Shot;

/// Far more than a spool takes that looks for room every few seconds: only for a test that fails.
const LIMIT: Duration = Duration::from_secs(120);
const HOUR: u64 = 3600 * 1_000_000_000;

fn lost(s: &Snapshot, why: Loss) -> u64 {
    s.lost[Loss::ALL.iter().position(|l| *l == why).unwrap()]
}

/// Which of these are there still?
fn left(f: &Fixture, seqs: &[u64]) -> Vec<u64> {
    seqs.iter().copied().filter(|seq| f.image(*seq).exists()).collect()
}

#[tokio::test]
async fn a_long_time_offline_is_kept_as_a_sparser_history() {
    let mut f = Fixture::with_quota(200_000);
    let mut seqs = Vec::new();
    for _ in 0..20 {
        seqs.push(f.keep(Class::Interval, 9_000).await);
    }
    for _ in 0..8 {
        seqs.push(f.keep(Class::Interval, 9_000).await);
    }
    // There is room for 21; of these every second one made room for what came after.
    let expected: Vec<u64> = seqs.iter().copied().filter(|s| s % 2 == 0 || *s > 13).collect();
    assert_eq!(left(&f, &seqs), expected);
    assert_eq!(lost(&f.balanced().await, Loss::Quota), 7);
}

#[tokio::test]
async fn a_picture_displaces_none_that_is_worth_more_and_is_refused_instead() {
    let mut f = Fixture::with_quota(40_000);
    let kept = [f.keep(Class::Best, 12_000).await, f.keep(Class::Event, 12_000).await];
    let interval = f.keep(Class::Interval, 12_000).await;
    f.keep(Class::Interval, 12_000).await;
    assert!(left(&f, &[interval]).is_empty(), "it made room for its like");
    assert_eq!(f.offer(Class::Interval, 20_000).await, Err(Refusal::DiskFull));
    assert_eq!(left(&f, &kept), kept);
    f.keep(Class::Event, 20_000).await;
    assert_eq!(left(&f, &kept), kept[..1]);
}

#[tokio::test]
async fn of_a_group_the_least_is_refused_first() {
    let mut f = Fixture::with_quota(30_000);
    f.keep(Class::Event, 25_000).await;
    // Handed over together, they are one group.
    let (interval, best) = (f.hand_over(Class::Interval, 9_000), f.hand_over(Class::Best, 9_000));
    f.spool.flush().await.unwrap();
    assert_eq!(interval.sums().refused[Refusal::DiskFull as usize], 1);
    assert_eq!(best.sums().kept, 1);
}

#[tokio::test]
async fn a_busy_camera_does_not_cost_a_quiet_one_its_pictures() {
    let mut f = Fixture::with_quota(100_000);
    let mut quiet = Vec::new();
    for _ in 0..3 {
        quiet.push(f.offer_as(9_000, |facts| facts.camera = "quiet".into()).await.unwrap());
    }
    for _ in 0..50 {
        f.keep(Class::Event, 9_000).await;
    }
    assert_eq!(left(&f, &quiet), quiet);
    let s = f.balanced().await;
    let of: Vec<_> = s.lost_of.iter().map(|l| (l.camera.as_str(), l.reason.as_str())).collect();
    assert_eq!(of, [("front", "quota")]);
    assert_eq!((s.lost_of[0].class, s.lost_of[0].items), (Class::Event, lost(&s, Loss::Quota)));
}

#[tokio::test]
async fn a_camera_with_a_limit_of_its_own_displaces_only_its_own() {
    let limits =
        Limits { cameras: [("front".to_owned(), 30_000)].into(), ..Limits::bytes(1 << 30) };
    let mut f = Fixture::with_limits(limits);
    let other = f.offer_as(40_000, |facts| facts.camera = "back".into()).await.unwrap();
    let first = f.keep(Class::Event, 12_000).await;
    f.keep(Class::Event, 12_000).await;
    f.keep(Class::Event, 12_000).await;
    assert_eq!(left(&f, &[other, first]), [other]);
    assert_eq!(f.offer(Class::Event, 31_000).await, Err(Refusal::DiskFull));
    assert_eq!(lost(&f.balanced().await, Loss::Quota), 1);
}

fn hours(n: u64) -> Limits {
    Limits { max_age: Some(Duration::from_secs(n * 3600)), ..Limits::bytes(1 << 30) }
}

fn later(boot: &str, hour: u64) -> Moment {
    Moment { boot: BootId(boot.into()), at: BootTime(hour * HOUR), wall: None }
}

#[tokio::test]
async fn the_longest_retention_is_kept_for_whatever_was_not_sent() {
    let mut f = Fixture::with_limits(hours(24));
    let at = |hour: u64| {
        move |facts: &mut vedette::contract::Facts| {
            (facts.captured, facts.wall) = (BootTime(hour * HOUR), None);
        }
    };
    let waiting = f.keep_as(at(1)).await;
    f.spool.give_up_waiting().await.unwrap();
    let ready = f.keep_as(at(2)).await;
    let poison = f.keep_as(at(3)).await;
    f.spool.give_up_waiting().await.unwrap();
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert_eq!(claim.seq, poison);
    f.spool.finish(poison, Outcome::Quarantined(Quarantine::Corrupt), None).await.unwrap();
    let young = f.keep_as(at(20)).await;
    let all = [waiting, ready, poison, young];
    f.reopen_at(later(BOOT, 25)).await;
    f.balanced().await;
    assert_eq!(left(&f, &all), [ready, poison, young]);
    f.reopen_at(later(BOOT, 43)).await;
    let s = f.balanced().await;
    assert_eq!((left(&f, &all), lost(&s, Loss::Age)), (vec![young], 3));
}

#[tokio::test]
async fn a_picture_whose_clock_nobody_trusted_ages_while_the_device_has_power() {
    let mut f = Fixture::with_limits(hours(24));
    let at = |hour: u64, boot: &'static str| {
        move |facts: &mut vedette::contract::Facts| {
            (facts.captured, facts.wall) = (BootTime(hour * HOUR), None);
            facts.boot = BootId(boot.into());
        }
    };
    let old = f.keep_as(at(1, BOOT)).await;
    let last = f.keep_as(at(10, BOOT)).await;
    f.reopen_at(later(SECOND_BOOT, 0)).await;
    let second = f.keep_as(at(8, SECOND_BOOT)).await;
    let all = [old, last, second];
    // 9 hours of the first boot, 8 of the second, 6 of the third.
    f.reopen_at(later(OTHER_BOOT, 6)).await;
    f.balanced().await;
    assert_eq!(left(&f, &all), all);
    f.reopen_at(later(OTHER_BOOT, 8)).await;
    f.balanced().await;
    assert_eq!(left(&f, &all), [last, second]);
}

#[tokio::test]
async fn trusted_clocks_tell_the_age_and_a_picture_on_its_way_is_let_go_of_when_it_comes_back() {
    let mut f = Fixture::with_limits(hours(24));
    let wall = |hour: i64| WallTime(1_790_000_000_000 + hour * 3_600_000);
    let old = f.keep_as(|facts| facts.wall = Some(wall(0))).await;
    let young = f.keep_as(|facts| facts.wall = Some(wall(20))).await;
    // A boot of which CLOCK_BOOTTIME says nothing, and a clock that is not trusted yet.
    f.reopen_at(moment(SECOND_BOOT)).await;
    f.balanced().await;
    assert_eq!(left(&f, &[old, young]), [old, young]);
    let offset = wall(30).0 * 1_000_000;
    f.spool.set_offset(offset, "kernel").await.unwrap();
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    f.reopen_at(moment(SECOND_BOOT)).await;
    drop(claim);
    f.balanced().await;
    assert_eq!(left(&f, &[old, young]), [young]);
}

#[tokio::test]
async fn a_damaged_file_that_cannot_tell_its_age_goes_with_its_neighbours() {
    let mut f = Fixture::with_limits(hours(24));
    let at = |facts: &mut vedette::contract::Facts| {
        (facts.captured, facts.wall) = (BootTime(HOUR), None);
    };
    let (damaged, whole) = (f.keep_as(at).await, f.keep_as(at).await);
    fs::write(f.image(damaged), b"nothing").unwrap();
    f.reopen_at(later(BOOT, 26)).await;
    assert_eq!(lost(&f.balanced().await, Loss::Age), 2);
    assert!(left(&f, &[damaged, whole]).is_empty());
}

/// Rows 8 and 10 of the fault matrix.
#[tokio::test]
async fn on_a_disk_that_others_filled_capture_goes_on_and_nothing_is_corrupt() {
    let disk = SmallDisk::ext4(16);
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(1 << 30) };
    let (mut f, _) = Closed::at(&disk.path().join("spool"), limits).open(BOOT);
    let first = f.keep(Class::Best, 50_000).await;
    for _ in 0..40 {
        f.keep(Class::Interval, 50_000).await;
    }
    disk.fill();
    let s = f.balanced().await;
    assert!(s.room < s.bytes + 2000, "others took what was left: {s:?}");
    for _ in 0..60 {
        f.keep(Class::Interval, 50_000).await;
    }
    let s = f.balanced().await;
    // One makes room for one; a few more made it for the index.
    assert!((60..80).contains(&lost(&s, Loss::DiskFull)), "{s:?}");
    assert!(f.image(first).exists(), "the best shot is worth more than all of them");
    // What is stored frees its place, on the full disk too, and the sums hold over a restart.
    for _ in 0..10 {
        let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
        claim.load().unwrap();
        f.spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
    }
    disk.fill();
    let before = f.balanced().await;
    let opened = f.reopen(BOOT).await;
    assert!(!opened.rebuilt && opened.torn == 0, "{opened:?}");
    let after = f.balanced().await;
    assert_eq!((after.kept, after.stored), (before.kept, before.stored));
    f.keep(Class::Interval, 50_000).await;
    while let Some(claim) = f.spool.claim(Order::Oldest).await.unwrap() {
        assert_eq!(claim.load().unwrap().body, fixture::body(claim.seq, 50_000));
        f.spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
    }
    f.balanced().await;
    f.spool.stop().await;
}

/// Row 10: nothing is free, the reserve is gone, and nothing may be given up.
#[tokio::test]
async fn without_any_room_pictures_are_refused_and_the_spool_lives_on_when_there_is_room_again() {
    let disk = SmallDisk::ext4(16);
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(1 << 30) };
    let (mut f, _) = Closed::at(&disk.path().join("spool"), limits).open(BOOT);
    let only = f.keep(Class::Best, 5_000).await;
    disk.fill();
    assert_eq!(f.offer(Class::Interval, 50_000).await, Err(Refusal::DiskFull));
    assert_eq!(left(&f, &[only]), [only]);
    disk.free();
    f.keep(Class::Interval, 50_000).await;
    let s = f.balanced().await;
    assert!(s.queued == 2 && s.room > 1 << 20, "{s:?}");
    assert_eq!(fs::metadata(f.path().join("reserve")).unwrap().len(), 1 << 20);
    f.spool.stop().await;
}

/// Row 9 of the fault matrix.
#[tokio::test]
async fn where_inodes_run_out_pictures_make_room_for_pictures() {
    let disk = SmallDisk::with_inodes(16, 128);
    let (mut f, _) = Closed::at(&disk.path().join("spool"), Limits::bytes(1 << 30)).open(BOOT);
    let (mut seqs, mut most) = (Vec::new(), 0);
    for _ in 0..200 {
        seqs.push(f.keep(Class::Interval, 1_000).await);
        // One makes room for one.
        let queued = f.balanced().await.queued;
        assert!(queued >= most, "{queued} of {most}");
        most = queued;
    }
    let s = f.balanced().await;
    let there = left(&f, &seqs).len() as u64;
    assert!(there > 60 && there < 128, "{there} files");
    assert_eq!((s.queued, lost(&s, Loss::DiskFull)), (there, 200 - there));
    // A twentieth is left to others.
    let inodes = rustix::fs::statvfs(disk.path()).unwrap();
    assert!(inodes.f_favail >= inodes.f_files / 20, "{} of {}", inodes.f_favail, inodes.f_files);
    f.spool.stop().await;
}

#[tokio::test]
async fn what_was_stored_meanwhile_does_not_count_as_room_twice() {
    let disk = SmallDisk::ext4(16);
    let keep_free = 4 << 20;
    let limits = Limits { keep_free: Some(keep_free), ..Limits::bytes(1 << 30) };
    let (mut f, _) = Closed::at(&disk.path().join("spool"), limits).open(BOOT);
    for _ in 0..40 {
        f.keep(Class::Best, 50_000).await;
    }
    while let Some(claim) = f.spool.claim(Order::Oldest).await.unwrap() {
        f.spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
    }
    // Others take the place that was freed: there is nothing to give up, and nothing to be taken.
    disk.fill_but(keep_free);
    assert_eq!(f.offer(Class::Best, 50_000).await, Err(Refusal::DiskFull));
    f.balanced().await;
    f.spool.stop().await;
}

/// Row 10 of the fault matrix: there is no reserve yet, and not even an index.
#[tokio::test]
async fn a_first_start_on_a_full_disk_refuses_pictures_and_opens_when_there_is_room() {
    let disk = SmallDisk::ext4(16);
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(1 << 30) };
    let durability = Durability::Always;
    let settings = Settings { path: disk.path().join("spool"), limits, durability };
    disk.fill();
    assert!(Spool::open(&settings, moment(BOOT)).is_err(), "it cannot be opened");
    let (spool, opened) = Spool::open_or_wait(&settings, moment(BOOT)).unwrap();
    let error = spool.snapshot().await.unwrap_err();
    assert!(matches!(error, SpoolError::NoRoom) && error.to_string().contains("disk is full"));
    let mut next = opened.next_seq;
    assert_eq!(offer(&spool, &mut next).await, Err(Refusal::DiskFull));
    assert!(spool.claim(Order::Newest).await.unwrap().is_none());
    let mut changed = spool.changed();
    disk.free();
    timeout(LIMIT, changed.changed()).await.expect("the spool opens").unwrap();
    let kept = offer(&spool, &mut next).await.unwrap();
    let s = spool.snapshot().await.unwrap();
    assert!(s.holds() && s.kept == 1, "{s:?}");
    let claim = spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!((claim.seq, claim.load().unwrap().body), (kept, fixture::body(kept, 5_000)));
    drop(claim);
    spool.stop().await;
}

/// A spool with pictures whose reserve somebody deleted: whichever way it begins, nothing is lost and no number comes
/// twice.
#[tokio::test]
async fn a_later_start_on_a_full_disk_without_a_reserve_loses_nothing() {
    let disk = SmallDisk::ext4(16);
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(1 << 30) };
    let durability = Durability::Always;
    let settings = Settings { path: disk.path().join("spool"), limits, durability };
    let (spool, opened) = Spool::open_or_wait(&settings, moment(BOOT)).unwrap();
    let mut next = opened.next_seq;
    let mut kept = Vec::new();
    for _ in 0..3 {
        kept.push(offer(&spool, &mut next).await.unwrap());
    }
    spool.stop().await;
    fs::remove_file(settings.path.join("reserve")).unwrap();
    disk.fill();
    let (spool, opened) = Spool::open_or_wait(&settings, moment(BOOT)).unwrap();
    assert!(opened.next_seq >= next, "{opened:?}");
    let mut changed = spool.changed();
    let waits = matches!(spool.snapshot().await, Err(SpoolError::NoRoom));
    disk.free();
    if waits {
        timeout(LIMIT, changed.changed()).await.expect("the spool opens").unwrap();
    }
    next = opened.next_seq;
    kept.push(offer(&spool, &mut next).await.unwrap());
    let claims = spool.claim_each(vec![Order::Oldest; 9]).await.unwrap();
    assert_eq!(claims.iter().map(|claim| claim.seq).collect::<Vec<_>>(), kept);
    drop(claims);
    spool.stop().await;
}

#[tokio::test]
async fn with_nothing_to_give_up_a_smaller_reserve_will_do_and_pictures_are_taken() {
    let disk = SmallDisk::ext4(16);
    let limits = Limits { keep_free: Some(0), ..Limits::bytes(1 << 30) };
    disk.fill_but(800 << 10);
    let (mut f, _) = Closed::at(&disk.path().join("spool"), limits).open(BOOT);
    let first = f.keep(Class::Best, 20_000).await;
    f.keep(Class::Interval, 20_000).await;
    assert_eq!(fs::metadata(f.path().join("reserve")).unwrap().len(), 256 << 10);
    // To the last block: what is held is enough to let go of pictures.
    disk.fill();
    f.keep(Class::Interval, 20_000).await;
    let s = f.balanced().await;
    assert!(lost(&s, Loss::DiskFull) > 0 && f.image(first).exists(), "{s:?}");
    disk.free();
    f.keep(Class::Interval, 20_000).await;
    assert_eq!(fs::metadata(f.path().join("reserve")).unwrap().len(), 1 << 20);
    f.balanced().await;
    f.spool.stop().await;
}

async fn offer(spool: &Spool, next: &mut u64) -> Result<u64, Refusal> {
    let (seq, account) = (*next, Account::new(u64::MAX / 2));
    *next += 1;
    let bytes = fixture::body(seq, 5_000);
    let facts = fixture::facts(seq, Class::Event, &bytes);
    spool.store(Shot { token: account.choose(facts.len).unwrap(), bytes, facts });
    spool.flush().await.unwrap();
    let sums = account.sums();
    match Refusal::ALL.into_iter().find(|why| sums.refused[*why as usize] > 0) {
        Some(why) => Err(why),
        None => Ok(seq),
    }
}
