//! Kills a process that stores and delivers pictures, at arbitrary moments, and looks at what is left.
//!
//! The process is this test binary again, told by a variable of its environment to be the victim. It
//! writes one line for every picture that was acknowledged, and one before it tells the spool that a
//! picture is stored; what is written to a pipe outlives the writer. Some rounds kill it inside the
//! recovery of the round before.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too"
)]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use fixture::{BOOT, body, facts, moment};
use vedette::account::Account;
use vedette::contract::Class;
use vedette::spool::retention::Limits;
use vedette::spool::{Durability, Order, Outcome, Settings, Spool};
use vedette::still::Shot;

const VICTIM: &str = "VEDETTE_TEST_VICTIM";
const ROUNDS: u64 = 20;
const IMAGES: u64 = 200;
const LEN: usize = 6_000;

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Hands over a burst of pictures without waiting, and tells of each that was kept.
async fn store_burst(spool: &Spool, seqs: std::ops::Range<u64>) {
    let account = Account::new(u64::MAX / 2);
    let before: Vec<_> = seqs
        .map(|seq| {
            let bytes = body(seq, LEN);
            let facts = facts(seq, Class::Event, &bytes);
            let own = Account::new(u64::MAX / 2);
            let token = own.choose(facts.len).unwrap();
            drop(account.choose(0));
            spool.store(Shot { bytes, facts, token });
            (seq, own)
        })
        .collect();
    spool.flush().await.unwrap();
    for (seq, own) in before {
        assert_eq!(own.sums().kept, 1, "{seq}: {:?}", own.sums());
        say(&format!("kept {seq}"));
    }
}

/// Does nothing unless it is the victim of the test below.
#[tokio::test]
async fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let settings = Settings {
        path: path.into(),
        limits: Limits::bytes(1 << 30),
        durability: Durability::Always,
    };
    let (spool, opened) = Spool::open(&settings, moment(BOOT)).unwrap();
    say("open");
    let mut seq = opened.next_seq;
    let end = seq + IMAGES;
    while seq < end {
        let next = (seq + 1 + fastrand::u64(..12)).min(end);
        store_burst(&spool, seq..next).await;
        seq = next;
        for _ in 0..fastrand::u32(..8) {
            let order = if fastrand::bool() { Order::Newest } else { Order::Oldest };
            let Some(claim) = spool.claim(order).await.unwrap() else { break };
            assert_eq!(claim.load().unwrap().body, body(claim.seq, LEN));
            say(&format!("stored {}", claim.seq));
            spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
        }
    }
    spool.stop().await;
    say("end");
}

/// Runs a victim, kills it after so many lines and a little more, and notes what it said.
fn run_and_kill(path: &Path, lines: usize, kept: &mut BTreeSet<u64>, stored: &mut BTreeSet<u64>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    for (n, line) in out.lines().enumerate() {
        let line = line.unwrap();
        if n == lines {
            // Somewhere in the next piece of work, not only just after a line.
            (0..fastrand::u32(..200_000)).for_each(|n| assert_eq!(std::hint::black_box(n), n));
            child.kill().unwrap();
        }
        match line.split_once(' ') {
            Some(("kept", seq)) => assert!(kept.insert(seq.parse().unwrap()), "twice: {line}"),
            Some(("stored", seq)) => drop(stored.insert(seq.parse().unwrap())),
            _ => {}
        }
    }
    child.kill().ok(); // it may have ended
    let status = child.wait().unwrap();
    assert!(status.code().is_none_or(|code| code == 0), "the victim failed by itself: {status}");
}

#[tokio::test]
async fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut kept, mut stored) = (BTreeSet::new(), BTreeSet::new());
    let seed = fastrand::u64(..);
    fastrand::seed(seed);
    eprintln!("seed {seed}");
    for round in 0..ROUNDS {
        let lines = fastrand::usize(..400);
        run_and_kill(dir.path(), lines, &mut kept, &mut stored);
        if round % 3 == 2 {
            continue; // the next victim recovers, and may be killed at that
        }
        let settings = Settings {
            path: dir.path().to_owned(),
            limits: Limits::bytes(1 << 30),
            durability: Durability::Always,
        };
        let (spool, opened) = Spool::open(&settings, moment(BOOT)).unwrap();
        let snapshot = spool.snapshot().await.unwrap();
        assert!(snapshot.holds(), "{snapshot:?}");
        assert!(!opened.rebuilt && opened.generation == 1);
        let mut queued = BTreeSet::new();
        let mut claims = Vec::new();
        while let Some(claim) = spool.claim(Order::Oldest).await.unwrap() {
            assert_eq!(claim.load().unwrap().body, body(claim.seq, LEN), "{}", claim.seq);
            queued.insert(claim.seq);
            claims.push(claim);
        }
        let lost: Vec<_> =
            kept.iter().filter(|s| !queued.contains(s) && !stored.contains(s)).collect();
        assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
        assert_eq!(snapshot.queued, queued.len() as u64);
        assert!(snapshot.kept >= kept.len() as u64, "{snapshot:?} {}", kept.len());
        drop(claims);
        spool.stop().await;
    }
    assert!(kept.len() > 100 && !stored.is_empty(), "the victims did something");
}

/// SIGKILL cannot show a missing flush, since the kernel goes on without the process. The order of the
/// system calls can: file, then directory, then the acknowledgement.
#[test]
fn every_picture_and_its_directory_are_flushed_before_it_is_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-s", "64", "-e", "trace=write,fsync,fdatasync", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, dir.path().join("spool"))
        .stdout(Stdio::null())
        .status()
        .expect("strace runs: tools/setup test installs it");
    assert!(status.success(), "{status}");
    let trace = std::fs::read_to_string(trace).unwrap();
    let (mut files, mut named, mut kept) = (BTreeSet::new(), BTreeSet::<u64>::new(), 0);
    for line in trace.lines() {
        if line.contains("sync(") {
            let path = line.split(['<', '>']).nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            match (name.len(), u64::from_str_radix(name, 16)) {
                (16, Ok(seq)) => drop(files.insert(seq)),
                (8, Ok(upper)) => named.extend(files.iter().filter(|seq| *seq >> 10 == upper)),
                _ => {}
            }
        }
        if let Some((_, seq)) = line.split_once("\"kept ").filter(|_| line.contains("write(1<")) {
            let seq: u64 = seq.split('\\').next().unwrap().parse().unwrap();
            kept += 1;
            assert!(files.contains(&seq), "{seq} was acknowledged before its file was flushed");
            assert!(named.contains(&seq), "{seq} was acknowledged before its name was flushed");
        }
    }
    assert_eq!(kept, IMAGES);
}
