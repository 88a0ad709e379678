//! Rows 5 to 17 of the fault matrix (`docs/reliability.md`) that the spool meets alone: each test has its
//! row in its name. Rows 1, 2, 4 and 15 are in `tests/crash`.
//!
//! Faults of single calls come from `tests/crash/shim.c`, which has to be there before the process begins;
//! full disks are real ones, which only root may mount. So such a test runs itself again, in a process that
//! has the shim, or the disk.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too"
)]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[allow(dead_code, reason = "shared with the crash tests")]
#[path = "crash/shim.rs"]
mod shim;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use fixture::{BOOT, Closed, Fixture, SECOND_BOOT, body, facts, moment};
use vedette::account::{Account, Refusal};
use vedette::clock::{BootId, BootTime, WallTime};
use vedette::contract::Class;
use vedette::spool::{Loss, Moment, Order, Outcome, Quarantine, ReadError, Snapshot};
use vedette::still::Shot;

const AGAIN: &str = "VEDETTE_TEST_FAULT";
/// Whatever takes longer does not come.
const PLENTY: Duration = Duration::from_secs(60);

/// Runs this test's body in a process whose calls go through the shim; the trigger of its rules, where
/// this is that process. Rules name the trigger `T`.
fn with_shim(test: &str, rules: &str) -> Option<Trigger> {
    if let Some(trigger) = std::env::var_os(AGAIN) {
        return Some(Trigger(trigger.into()));
    }
    let (tools, spool) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trigger = tools.path().join("trigger");
    let rules = rules.replace(":T", &format!(":{}", trigger.display()));
    let rules = rules.replace(":~T", &format!(":~{}", trigger.display()));
    let shim = shim::Shim::build(tools.path());
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.envs(shim.on(spool.path(), &[("RULES", rules)]));
    run_again(again, test, &trigger, spool.path());
    None
}

/// Runs this test's body in a process that has a file system of its own for its spools; that file
/// system's directory, where this is that process.
fn with_disk(test: &str, mount: &str) -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(AGAIN) {
        return Some(dir.into());
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("{test}: SKIPPED: only root may mount a disk that is full");
        return None;
    }
    let (tools, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut again = Command::new("unshare");
    again.args(["--mount", "--propagation", "private", "sh", "-ec"]);
    again.arg(format!("{mount}; shift 2; exec \"$0\" \"$@\""));
    again.arg(std::env::current_exe().unwrap()).arg(tools.path().join("image")).arg(disk.path());
    run_again(again, test, disk.path(), disk.path());
    None
}

fn run_again(mut again: Command, test: &str, told: &Path, spools: &Path) {
    again.args(["--exact", test, "--nocapture"]).env(AGAIN, told).env("TMPDIR", spools);
    let out = again.output().unwrap();
    let text = [out.stdout, out.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(out.status.success() && text[0].contains("1 passed"), "{}\n{}", text[0], text[1]);
}

/// The fault is there while this file is.
struct Trigger(PathBuf);

impl Trigger {
    fn on(&self) {
        fs::write(&self.0, "").unwrap();
    }

    fn off(&self) {
        fs::remove_file(&self.0).unwrap();
    }

    fn was_used(&self) -> bool {
        !self.0.exists()
    }
}

/// Waits until the account is what it should be: the spool tells of each change.
async fn until(f: &Fixture, is: impl Fn(&Snapshot) -> bool) -> Snapshot {
    let mut changed = f.spool.changed();
    let wait = async {
        loop {
            changed.mark_unchanged();
            match f.spool.snapshot().await {
                Ok(snapshot) if is(&snapshot) => return snapshot,
                _ => changed.changed().await.unwrap(),
            }
        }
    };
    tokio::time::timeout(PLENTY, wait).await.expect("the account becomes what it should be")
}

async fn stored(f: &Fixture, seq: u64) {
    f.spool.finish(seq, Outcome::Stored, None).await.unwrap();
}

async fn claim(f: &Fixture) -> vedette::spool::Claim {
    f.spool.claim(Order::Oldest).await.unwrap().unwrap()
}

#[tokio::test]
async fn row_05_a_file_whose_fsync_fails_once_is_written_anew_and_kept() {
    let test = "row_05_a_file_whose_fsync_fails_once_is_written_anew_and_kept";
    let Some(once) = with_shim(test, "sync:images:5:~T") else { return };
    let mut f = Fixture::new();
    once.on();
    let seq = f.keep(Class::Event, 5_000).await;
    assert!(once.was_used());
    f.reopen(BOOT).await;
    assert_eq!(claim(&f).await.load().unwrap().body, body(seq, 5_000));
}

#[tokio::test]
async fn row_05_a_file_that_cannot_be_flushed_is_refused_and_leaves_nothing() {
    let test = "row_05_a_file_that_cannot_be_flushed_is_refused_and_leaves_nothing";
    let Some(fault) = with_shim(test, "sync:images:5:T") else { return };
    let mut f = Fixture::new();
    let before = f.keep(Class::Event, 100).await;
    fault.on();
    let seq = f.next_seq;
    assert_eq!(f.offer(Class::Event, 5_000).await, Err(Refusal::Storage));
    assert!(!f.image(seq).exists() && f.image(before).exists());
    fault.off();
    f.keep(Class::Event, 100).await;
    let opened = f.reopen(BOOT).await;
    assert_eq!((opened.adopted, opened.torn), (0, 0));
    assert_eq!(f.balanced().await.queued, 2);
}

#[tokio::test]
async fn row_05_a_directory_that_cannot_be_flushed_refuses_its_group_and_is_recovered() {
    let test = "row_05_a_directory_that_cannot_be_flushed_refuses_its_group_and_is_recovered";
    let Some(fault) = with_shim(test, "sync:dirs:5:T") else { return };
    let mut f = Fixture::new();
    let before = f.keep(Class::Event, 100).await;
    fault.on();
    let seq = f.next_seq;
    assert_eq!(f.offer(Class::Event, 5_000).await, Err(Refusal::Storage));
    assert!(!f.image(seq).exists());
    fault.off();
    let after = f.keep(Class::Event, 100).await;
    let s = until(&f, |s| s.queued == 2).await;
    assert!(s.holds() && s.kept == 2, "{s:?}");
    f.reopen(BOOT).await;
    let claims = f.spool.claim_each(vec![Order::Oldest; 3]).await.unwrap();
    assert_eq!(claims.iter().map(|c| c.seq).collect::<Vec<_>>(), [before, after]);
}

#[tokio::test]
async fn row_05_an_outcome_whose_commit_cannot_be_flushed_waits_and_its_file_stays() {
    let test = "row_05_an_outcome_whose_commit_cannot_be_flushed_waits_and_its_file_stays";
    let Some(fault) = with_shim(test, "sync:wal:5:T;sync:index:5:T") else { return };
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let held = claim(&f).await;
    fault.on();
    stored(&f, seq).await;
    assert!(f.image(seq).exists(), "nothing is removed before its removal is durable");
    let kept = f.keep(Class::Event, 100).await; // pictures are kept without an index meanwhile
    fault.off();
    drop(held);
    let s = until(&f, |s| s.stored == 1 && s.queued == 1).await;
    assert!(s.holds() && !f.image(seq).exists() && f.image(kept).exists(), "{s:?}");
}

#[tokio::test]
async fn row_06_a_picture_that_cannot_be_read_now_is_not_lost() {
    let test = "row_06_a_picture_that_cannot_be_read_now_is_not_lost";
    let Some(fault) = with_shim(test, "read:images:5:T") else { return };
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 3_000).await;
    f.reopen(BOOT).await;
    fault.on();
    let unread = claim(&f).await;
    assert!(matches!(unread.load(), Err(ReadError::Io(_))));
    f.spool.finish(seq, Outcome::Released, None).await.unwrap();
    fault.off();
    assert_eq!(claim(&f).await.load().unwrap().body, body(seq, 3_000));
    assert_eq!(f.balanced().await.queued, 1);
}

#[tokio::test]
async fn row_06_a_picture_that_recovery_cannot_read_is_set_aside_and_its_file_stays() {
    let test = "row_06_a_picture_that_recovery_cannot_read_is_set_aside_and_its_file_stays";
    let Some(fault) = with_shim(test, "read:images:5:T") else { return };
    let mut f = Fixture::new();
    f.keep(Class::Event, 100).await;
    let seq = f.lay_down(f.next_seq, 3_000);
    fault.on();
    f.reopen(BOOT).await;
    fault.off();
    let s = f.balanced().await;
    assert_eq!((s.queued, s.quarantined, s.lost_total()), (1, 1, 0));
    assert!(f.image(seq).exists() && f.next_seq == seq + 1);
}

#[tokio::test]
async fn row_07_a_disk_that_becomes_read_only_refuses_pictures_and_the_spool_lives_on() {
    let test = "row_07_a_disk_that_becomes_read_only_refuses_pictures_and_the_spool_lives_on";
    let rules = "make:any:30:T;write:any:30:T;sync:any:30:T;remove:any:30:T"; // EROFS
    let Some(fault) = with_shim(test, rules) else { return };
    let mut f = Fixture::new();
    let (first, second) = (f.keep(Class::Event, 100).await, f.keep(Class::Event, 100).await);
    f.reopen(BOOT).await;
    fault.on();
    assert_eq!(f.offer(Class::Event, 100).await, Err(Refusal::Storage));
    let claims = f.spool.claim_each(vec![Order::Oldest; 2]).await.unwrap();
    for claim in &claims {
        assert_eq!(claim.load().unwrap().body, body(claim.seq, 100), "uploads go on");
    }
    stored(&f, first).await;
    stored(&f, second).await;
    assert_eq!(f.offer(Class::Event, 100).await, Err(Refusal::Storage));
    assert!(f.image(first).exists() && f.image(second).exists());
    fault.off();
    let s = until(&f, |s| s.stored == 2).await;
    assert!(s.holds() && s.queued == 0, "{s:?}");
    f.keep(Class::Event, 100).await;
    assert_eq!(f.balanced().await.kept, 3);
}

/// The shell's part of a full disk: `$1` is for an image, `$2` is where it is mounted.
const SMALL_EXT4: &str =
    "truncate -s 16M \"$1\"; mkfs.ext4 -q -F -m 0 \"$1\"; mount -o loop \"$1\" \"$2\"";

/// Fills a file system to its last byte, as others do.
fn fill(path: &Path) -> PathBuf {
    let path = path.join("others");
    let file = fs::File::create(&path).unwrap();
    let mut at = 0;
    for len in [1 << 20, 1 << 16, 1 << 10] {
        // Synced each time, or the file system would promise blocks that it does not have.
        while file.write_all_at(&vec![7; len], at).and_then(|()| file.sync_data()).is_ok() {
            at += len as u64;
        }
    }
    path
}

#[tokio::test]
async fn rows_08_10_a_disk_filled_by_others_refuses_counts_and_recovers_when_it_is_freed() {
    let test = "rows_08_10_a_disk_filled_by_others_refuses_counts_and_recovers_when_it_is_freed";
    let Some(disk) = with_disk(test, SMALL_EXT4) else { return };
    let mut f = Fixture::new();
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(f.keep(Class::Event, 100_000).await);
    }
    let others = fill(&disk);
    let mut refused = 0;
    for _ in 0..30 {
        match f.offer(Class::Event, 100_000).await {
            Ok(seq) => kept.push(seq),
            Err(why) => {
                assert_eq!(why, Refusal::DiskFull);
                refused += 1;
            }
        }
    }
    let lost = f.spool.snapshot().await.map_or(0, |s| s.lost_total());
    assert!(refused + lost > 0, "room was made, or there was none");
    fs::remove_file(others).unwrap();
    kept.push(f.keep(Class::Event, 100_000).await);
    let s = until(&f, |s| s.queued == s.kept - s.lost_total()).await;
    assert!(s.holds(), "{s:?}");
    f.reopen(BOOT).await;
    let s = f.balanced().await;
    assert_eq!((s.generation, s.quarantined), (1, 0), "nothing is corrupt");
    assert_eq!(s.kept, kept.len() as u64);
    let mut found = 0;
    let mut claims = Vec::new();
    while let Some(claim) = f.spool.claim(Order::Oldest).await.unwrap() {
        assert_eq!(claim.load().unwrap().body, body(claim.seq, 100_000));
        found += 1;
        claims.push(claim);
    }
    assert_eq!(found + s.lost_total(), s.kept);
}

#[tokio::test]
async fn row_10_outcomes_on_a_full_disk_are_written_or_wait_and_none_is_forgotten() {
    let test = "row_10_outcomes_on_a_full_disk_are_written_or_wait_and_none_is_forgotten";
    let Some(disk) = with_disk(test, SMALL_EXT4) else { return };
    let mut f = Fixture::new();
    for _ in 0..40 {
        f.keep(Class::Event, 100_000).await;
    }
    let others = fill(&disk);
    let claims = f.spool.claim_each(vec![Order::Oldest; 20]).await.unwrap();
    for claim in &claims {
        stored(&f, claim.seq).await;
    }
    fs::remove_file(others).unwrap();
    let stored = claims.len() as u64;
    drop(claims);
    let s = until(&f, |s| s.stored == stored).await;
    assert!(s.holds() && s.queued == 40 - stored, "{s:?}");
    f.keep(Class::Event, 100_000).await;
    f.reopen(BOOT).await;
    assert_eq!(f.balanced().await.stored, stored);
}

/// The reserve is what saves the test above: here somebody has taken its room too.
#[tokio::test]
async fn row_10_without_a_reserve_outcomes_wait_in_memory_until_there_is_room() {
    let test = "row_10_without_a_reserve_outcomes_wait_in_memory_until_there_is_room";
    let Some(disk) = with_disk(test, SMALL_EXT4) else { return };
    let mut f = Fixture::new();
    for _ in 0..30 {
        f.keep(Class::Event, 100_000).await;
    }
    let claims = f.spool.claim_each(vec![Order::Oldest; 10]).await.unwrap();
    fs::remove_file(f.path().join("reserve")).unwrap();
    let others = fill(&disk);
    for claim in &claims {
        stored(&f, claim.seq).await;
        assert!(f.image(claim.seq).exists(), "nothing is removed before its removal is durable");
    }
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none(), "uploads pause");
    fs::remove_file(others).unwrap();
    drop(claims);
    let s = until(&f, |s| s.stored == 10).await;
    assert!(s.holds() && s.queued == 20, "{s:?}");
    f.reopen(BOOT).await;
    assert_eq!(f.balanced().await.stored, 10);
}

#[tokio::test]
async fn row_09_without_inodes_pictures_are_refused_and_taken_again_when_there_are_some() {
    let test = "row_09_without_inodes_pictures_are_refused_and_taken_again_when_there_are_some";
    let Some(disk) = with_disk(test, "mount -t tmpfs -o nr_inodes=60 small \"$2\"") else { return };
    let mut f = Fixture::new();
    let first = f.keep(Class::Event, 1_000).await;
    let mut others = Vec::new();
    while fs::File::create(disk.join(format!("o{}", others.len()))).is_ok() {
        others.push(disk.join(format!("o{}", others.len())));
    }
    // A picture makes room for a picture, or is refused where there is none to make.
    let (mut kept, mut refused) = (1, 0);
    for _ in 0..5 {
        match f.offer(Class::Event, 1_000).await {
            Ok(_) => kept += 1,
            Err(why) => {
                assert_eq!(why, Refusal::DiskFull);
                refused += 1;
            }
        }
    }
    let lost = f.balanced().await.lost_total();
    assert!(refused + lost >= 5 && (lost > 0) != f.image(first).exists(), "{refused} {lost}");
    others.into_iter().for_each(|other| fs::remove_file(other).unwrap());
    f.keep(Class::Event, 1_000).await;
    let s = f.balanced().await;
    assert_eq!((s.kept, s.queued, s.generation), (kept + 1, kept + 1 - lost, 1));
}

#[tokio::test]
async fn row_11_whichever_page_of_the_index_is_overwritten_every_picture_is_there() {
    let mut f = Fixture::new();
    for _ in 0..30 {
        f.keep(Class::Event, 700).await;
    }
    f.spool.stop().await;
    let pages = fs::metadata(f.path().join("index.db")).unwrap().len() / 1024;
    assert!(pages > 8, "{pages}");
    let mut rebuilt = 0;
    for page in 0..pages {
        let copy = f.copy();
        let index = fs::OpenOptions::new().write(true).open(copy.path().join("index.db")).unwrap();
        index.write_all_at(&body(page, 1024), page * 1024).unwrap();
        let (g, opened) = copy.open(BOOT);
        let mut claims = Vec::new();
        while let Some(claim) = g.spool.claim(Order::Oldest).await.unwrap() {
            assert_eq!(claim.load().unwrap().body, body(claim.seq, 700));
            claims.push(claim);
        }
        let s = g.spool.snapshot().await.unwrap();
        assert!(s.holds(), "page {page}: {s:?}");
        assert_eq!(claims.len(), 30, "page {page}: {s:?}");
        rebuilt += u64::from(opened.rebuilt || s.generation > 1);
        drop(claims);
        g.spool.stop().await;
    }
    assert!(rebuilt > 0, "some page matters");
}

#[tokio::test]
async fn row_12_a_flipped_bit_anywhere_in_a_file_is_found_before_it_is_sent() {
    let mut f = Fixture::new();
    let whole = f.keep(Class::Event, 2_000).await;
    let len = fs::metadata(f.image(whole)).unwrap().len();
    let places: Vec<u64> = (0..len).step_by(97).chain([len - 1, len - 9, len - 13]).collect();
    for at in &places {
        let seq = f.keep(Class::Event, 2_000).await;
        let file = fs::OpenOptions::new().read(true).write(true).open(f.image(seq)).unwrap();
        let mut byte = [0];
        let at = (*at).min(file.metadata().unwrap().len() - 1);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
    }
    f.reopen(BOOT).await;
    let mut good = Vec::new();
    while let Some(claim) = f.spool.claim(Order::Oldest).await.unwrap() {
        match claim.load() {
            Ok(loaded) => good.push((claim.seq, loaded.body == body(claim.seq, 2_000))),
            Err(ReadError::Corrupt(_)) => {
                let aside = Outcome::Quarantined(Quarantine::Corrupt);
                f.spool.finish(claim.seq, aside, None).await.unwrap();
                continue;
            }
            Err(e) => panic!("{e}"),
        }
        stored(&f, claim.seq).await;
    }
    assert_eq!(good, [(whole, true)]);
    let s = f.balanced().await;
    assert_eq!((s.stored, s.quarantined, s.lost_total()), (1, places.len() as u64, 0));
}

#[tokio::test]
async fn row_13_a_directory_that_vanishes_is_made_again_and_what_was_in_it_is_counted() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 500).await;
    f.reopen(BOOT).await;
    fs::remove_dir_all(f.path().join("images")).unwrap();
    let next = f.keep(Class::Event, 500).await;
    let gone = claim(&f).await;
    assert_eq!(gone.seq, seq);
    assert!(matches!(gone.load(), Err(ReadError::Missing)));
    f.spool.finish(seq, Outcome::Lost(Loss::Missing), None).await.unwrap();
    let s = f.balanced().await;
    assert_eq!((s.lost[Loss::Missing as usize], s.queued), (1, 1));
    assert_eq!(claim(&f).await.seq, next);
}

#[tokio::test]
async fn row_13_another_spools_index_is_not_believed() {
    let (mut ours, mut other) = (Fixture::new(), Fixture::new());
    for _ in 0..3 {
        ours.keep(Class::Event, 500).await;
    }
    stored(&other, other.next_seq).await; // nobody's: of no consequence
    other.keep(Class::Event, 900).await;
    other.spool.stop().await;
    ours.spool.stop().await;
    fs::copy(other.path().join("index.db"), ours.path().join("index.db")).unwrap();
    let opened = ours.reopen(BOOT).await;
    assert!(opened.rebuilt && opened.generation == 2, "{opened:?}");
    assert_eq!(ours.balanced().await.queued, 3);
    let claims = ours.spool.claim_each(vec![Order::Oldest; 4]).await.unwrap();
    let whole = |c: &vedette::spool::Claim| c.load().unwrap().body == body(c.seq, 500);
    assert!(claims.len() == 3 && claims.iter().all(whole));
}

#[tokio::test]
async fn row_14_a_disk_that_takes_for_ever_to_flush_holds_up_nobody_and_what_does_not_fit_is_counted()
 {
    let test = "row_14_a_disk_that_takes_for_ever_to_flush_holds_up_nobody_and_what_does_not_fit_is_counted";
    let Some(slow) = with_shim(test, "sync:images:hold:T") else { return };
    let f = Fixture::new();
    slow.on();
    // Room for ten in hand; capture chooses a hundred, and none of it waits for the disk.
    let account = Account::new(10_000);
    for seq in f.next_seq..f.next_seq + 100 {
        let bytes = body(seq, 1_000);
        if let Some(token) = account.choose(bytes.len() as u64) {
            f.spool.store(Shot { facts: facts(seq, Class::Event, &bytes), bytes, token });
        }
    }
    let sums = account.sums();
    assert_eq!((sums.chosen, sums.kept, sums.refused[Refusal::Busy as usize]), (100, 0, 90));
    assert!(sums.holds());
    slow.off();
    f.spool.flush().await.unwrap();
    let sums = account.sums();
    assert_eq!((sums.kept, sums.in_hand), (10, 0));
    assert_eq!(f.balanced().await.queued, 10);
}

#[tokio::test]
async fn row_16_a_clock_in_1970_evicts_nothing_and_dates_nothing() {
    let mut f = Fixture::new();
    let dated = f.keep(Class::Event, 400).await;
    let at_boot =
        Moment { boot: BootId(SECOND_BOOT.into()), at: BootTime(1), wall: Some(WallTime(10_000)) };
    let opened = f.reopen_at(at_boot).await;
    assert_eq!((opened.adopted, opened.torn), (0, 0));
    let undated = f.keep_as(|facts| {
        facts.boot = BootId(SECOND_BOOT.into());
        facts.wall = None;
    });
    let undated = undated.await;
    let s = f.balanced().await;
    assert_eq!((s.queued, s.waiting, s.lost_total()), (2, 1, 0));
    assert_eq!(claim(&f).await.seq, dated, "it has its time");
    f.spool.give_up_waiting().await.unwrap();
    let claims = f.spool.claim_each(vec![Order::Newest]).await.unwrap();
    let loaded = claims[0].load().unwrap();
    assert_eq!((claims[0].seq, loaded.wall), (undated, None));
    assert!(loaded.key.contains("/unsynced/"), "{}", loaded.key);
}

#[tokio::test]
async fn row_17_a_clock_that_jumps_changes_no_key_and_loses_nothing() {
    const DAY_NS: i64 = 86_400_000_000_000;
    const OFFSET_NS: i64 = 1_790_000_000_000_000_000;
    let mut f = Fixture::new();
    let mut keys = Vec::new();
    f.keep_untimed(300).await;
    for jump in [0, DAY_NS, -DAY_NS, 2 * DAY_NS] {
        f.spool.set_offset(OFFSET_NS + jump, "kernel").await.unwrap();
        f.keep_untimed(300).await;
        let claims = f.spool.claim_each(vec![Order::Oldest; 9]).await.unwrap();
        let now: Vec<_> = claims.iter().map(|c| c.load().unwrap().key).collect();
        assert!(now.starts_with(&keys), "{keys:?} became {now:?}");
        keys = now;
        drop(claims);
        f.reopen_at(Moment { wall: Some(WallTime(jump / 1_000_000)), ..moment(BOOT) }).await;
    }
    assert_eq!(keys.len(), 5);
    let s = f.balanced().await;
    assert_eq!((s.kept, s.queued, s.lost_total(), s.generation), (5, 5, 0, 1));
}

/// Not a fault by itself, but what all of them end with: an empty place is a spool.
#[tokio::test]
async fn row_13_an_empty_directory_is_a_new_spool() {
    let (mut f, opened) = Closed::new().open(BOOT);
    assert!(!opened.rebuilt && opened.generation == 1 && opened.next_seq == 1);
    f.keep(Class::Event, 10).await;
}
