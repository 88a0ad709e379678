//! Kills a process that holds pictures in memory, delivers some, and spills some, at arbitrary moments.
//!
//! The process is this test binary again, told by a variable of its environment to be the victim. It writes one line
//! before each number is used, one for each picture that counts as kept, and one before the spool is told of a store;
//! what is written to a pipe outlives the writer. What a kill may take is what was in memory: never what was kept, and
//! never a number.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test may fail by panic, its helpers too"
)]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use fixture::{BOOT, body, facts, moment};
use vedette::account::Account;
use vedette::contract::Class;
use vedette::spool::retention::Limits;
use vedette::spool::{Durability, Order, Outcome, Settings, Spill, Spool};
use vedette::still::Shot;

const VICTIM: &str = "VEDETTE_TEST_SPILLING_VICTIM";
const ROUNDS: u64 = 20;
const IMAGES: u64 = 300;
const LEN: usize = 6_000;

fn settings(path: &Path) -> Settings {
    let spill = Spill { max_bytes: 64 << 10, after: Duration::from_millis(5) };
    let durability = Durability::Spill(spill);
    Settings { path: path.to_owned(), limits: Limits::bytes(1 << 30), durability }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

/// Pictures handed over, by number, whose answer was not told yet.
struct Open(BTreeMap<u64, Account>);

impl Open {
    fn hand_over(&mut self, spool: &Spool, seq: u64) {
        let bytes = body(seq, LEN);
        let mut facts = facts(seq, Class::Event, &bytes);
        if fastrand::u32(..20) == 0 {
            facts.command = Some("c1".into());
        }
        let own = Account::new(u64::MAX / 2);
        let token = own.choose(facts.len).unwrap();
        say(&format!("used {seq}"));
        spool.store(Shot { bytes, facts, token });
        self.0.insert(seq, own);
    }

    fn tell(&mut self) {
        for (seq, own) in &self.0 {
            if own.sums().kept == 1 {
                say(&format!("kept {seq}"));
            }
        }
        self.0.retain(|_, own| own.sums().in_hand == 1);
    }
}

/// Does nothing unless it is the victim of the test below.
#[tokio::test]
async fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let (spool, opened) = Spool::open(&settings(Path::new(&path)), moment(BOOT)).unwrap();
    say("open");
    let mut open = Open(BTreeMap::new());
    for seq in opened.next_seq..opened.next_seq + IMAGES {
        open.hand_over(&spool, seq);
        if fastrand::u32(..3) > 0 {
            let order = if fastrand::bool() { Order::Newest } else { Order::Oldest };
            let Some(claim) = spool.claim(order).await.unwrap() else { continue };
            assert_eq!(claim.load().unwrap().body, body(claim.seq, LEN));
            let outcome = match fastrand::u32(..12) {
                0 => Outcome::Released,
                _ => Outcome::Stored,
            };
            if outcome == Outcome::Stored {
                say(&format!("stored {}", claim.seq));
            }
            spool.finish(claim.seq, outcome, None).await.unwrap();
        }
        open.tell();
    }
    say("end");
}

/// What the victims said over all rounds.
#[derive(Default)]
struct Said {
    used: u64,
    kept: BTreeSet<u64>,
    stored: BTreeSet<u64>,
    /// Numbers that the round before may have used.
    used_before: u64,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let (word, seq) = line.split_once(' ').unwrap_or((line, ""));
        let seq = || seq.parse::<u64>().unwrap();
        match word {
            "used" => {
                assert!(seq() > self.used_before, "{line}: given twice");
                self.used = self.used.max(seq());
            }
            "kept" => drop(self.kept.insert(seq())),
            "stored" => drop(self.stored.insert(seq())),
            _ => {}
        }
    }
}

/// Runs a victim on `path` and kills it after it has said `lines` lines.
fn run_victim(path: &Path, lines: u64, said: &mut Said) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture", "--test-threads=1"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap();
    let mut heard = 0;
    for line in BufReader::new(victim.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        said.hear(&line);
        heard += 1;
        if heard == lines {
            victim.kill().unwrap();
        }
    }
    victim.wait().unwrap();
}

#[tokio::test]
async fn a_kill_takes_only_what_was_in_memory_and_no_number_is_given_twice() {
    if std::env::var_os(VICTIM).is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut said, mut delivered) = (Said::default(), BTreeSet::new());
    let mut rng = fastrand::Rng::with_seed(7);
    for round in 0..ROUNDS {
        said.used_before = said.used;
        run_victim(dir.path(), rng.u64(10..600), &mut said);
        let (spool, opened) = Spool::open(&settings(dir.path()), moment(BOOT)).unwrap();
        assert!(opened.next_seq > said.used, "round {round}: {} > {}", opened.next_seq, said.used);
        let snapshot = spool.snapshot().await.unwrap();
        assert!(snapshot.holds() && snapshot.at_risk.pictures == 0, "round {round}: {snapshot:?}");
        // Everything that can be claimed is whole; all of it is delivered, but for some that stay for the next round.
        let mut queued = BTreeSet::new();
        let mut claims = Vec::new();
        while let Some(claim) = spool.claim(Order::Oldest).await.unwrap() {
            assert_eq!(claim.load().unwrap().body, body(claim.seq, LEN), "round {round}");
            queued.insert(claim.seq);
            claims.push(claim);
        }
        assert_eq!(queued.len() as u64, snapshot.queued, "round {round}");
        for seq in &said.kept {
            let there =
                queued.contains(seq) || said.stored.contains(seq) || delivered.contains(seq);
            assert!(there, "round {round}: {seq} was kept and is gone");
        }
        for claim in claims {
            if rng.bool() {
                delivered.insert(claim.seq);
                spool.finish(claim.seq, Outcome::Stored, None).await.unwrap();
            }
        }
        assert!(spool.snapshot().await.unwrap().holds());
        spool.stop().await;
        // The stop may have given numbers back, but none that was used.
        said.used_before = said.used;
    }
    eprintln!("{} used, {} kept, {} stored", said.used, said.kept.len(), said.stored.len());
    assert!(said.stored.len() > 100 && said.kept.len() > 100);
}
