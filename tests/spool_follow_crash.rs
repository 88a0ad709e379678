//! Kills a process that takes commands through their life, at arbitrary moments, and looks at what is
//! left; and looks at its system calls for the flushes that SIGKILL cannot show missing.
//!
//! The process is this test binary again, told by a variable of its environment to be the victim. It
//! tells by a line of each thing that the spool answered.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use fixture::{BOOT, body, facts, moment};
use vedette::account::Account;
use vedette::contract::Class;
use vedette::contract::command::{Status, Told};
use vedette::spool::retention::Limits;
use vedette::spool::{
    Acceptance, Address, Conclusion, Durability, Kind, Message, NewCommand, Opened, Outcome,
    Settings, Spool,
};
use vedette::still::Shot;

const VICTIM: &str = "VEDETTE_TEST_VICTIM";
const ROUNDS: usize = 12;
const COMMANDS: u64 = 40;

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).unwrap();
}

fn open(path: &Path) -> (Spool, Opened) {
    let settings = Settings {
        path: path.to_owned(),
        limits: Limits::bytes(1 << 30),
        durability: Durability::Always,
    };
    Spool::open(&settings, moment(BOOT)).unwrap()
}

fn command(id: &str) -> NewCommand {
    let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
    NewCommand { id: id.to_owned(), op: "snapshot".into(), tell, effect: None, pictures: 1 }
}

async fn live(spool: &Spool, seq: u64) {
    // A number is given again where its picture never was written; an id is not.
    let id = format!("c{seq}-{:08x}", fastrand::u32(..));
    assert_eq!(spool.accept(command(&id)).await.unwrap(), Acceptance::New);
    say(&format!("accepted {id}"));
    let bytes = body(seq, 400);
    let facts =
        vedette::contract::Facts { command: Some(id.clone()), ..facts(seq, Class::Best, &bytes) };
    let token = Account::new(u64::MAX / 2).choose(facts.len).unwrap();
    spool.store(Shot { bytes, facts, token });
    spool.flush().await.unwrap();
    if fastrand::bool() {
        spool.finish(seq, Outcome::Stored, None).await.unwrap();
    }
    spool.conclude(&id, Conclusion::Taken { kept: 1, fault: None }).await.unwrap();
    say(&format!("concluded {id}"));
    if fastrand::bool() {
        spool.finish(seq, Outcome::Stored, None).await.unwrap();
    }
    let payload = id.clone().into_bytes();
    let message = Message { kind: Kind::Alarm, topic: "alarm".into(), payload, correlation: None };
    spool.post(vec![message]).await.unwrap();
    say(&format!("posted {id}"));
}

/// Does nothing unless it is the victim of the tests below.
#[tokio::test]
async fn victim() {
    let Some(path) = std::env::var_os(VICTIM) else { return };
    let (spool, opened) = open(Path::new(&path));
    say("open");
    for seq in opened.next_seq..opened.next_seq + COMMANDS {
        live(&spool, seq).await;
    }
    spool.stop().await;
}

/// Runs a victim, kills it after so many lines and a little more, and notes what it said.
fn run_and_kill(path: &Path, lines: usize, said: &mut BTreeMap<String, BTreeSet<String>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    for (n, line) in out.lines().enumerate() {
        if n == lines {
            // Somewhere in the next piece of work, not only just after a line.
            (0..fastrand::u32(..300_000)).for_each(|n| assert_eq!(std::hint::black_box(n), n));
            child.kill().unwrap();
        }
        if let Some((what, id)) = line.unwrap().split_once(' ') {
            said.entry(what.to_owned()).or_default().insert(id.to_owned());
        }
    }
    child.kill().ok(); // it may have ended
    let status = child.wait().unwrap();
    assert!(status.code().is_none_or(|code| code == 0), "the victim failed by itself: {status}");
}

#[tokio::test]
async fn a_killed_process_forgets_no_command_and_ends_none_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut said = BTreeMap::new();
    for _ in 0..ROUNDS {
        run_and_kill(dir.path(), fastrand::usize(..120), &mut said);
        let (spool, opened) = open(dir.path());
        let s = spool.snapshot().await.unwrap();
        assert!(s.holds() && s.outbox.holds() && !opened.rebuilt, "{s:?}");
        let (mut told, mut posted) = (BTreeMap::new(), BTreeSet::new());
        for queued in spool.outbox(0, usize::MAX).await.unwrap() {
            match serde_json::from_slice::<Told>(&queued.message.payload) {
                Ok(t) => assert!(told.insert(t.id.clone(), t.status).is_none(), "twice: {t:?}"),
                Err(_) => drop(posted.insert(String::from_utf8(queued.message.payload).unwrap())),
            }
        }
        for id in said.get("accepted").into_iter().flatten() {
            let known = spool.accept(command(id)).await.unwrap();
            let Acceptance::Known(known) = known else { panic!("{id} is forgotten") };
            assert_eq!(told.get(id), known.status.is_final().then_some(&known.status), "{id}");
            let concluded = said.get("concluded").is_some_and(|ids| ids.contains(id));
            assert!(!concluded || known.status != Status::Failed, "{id}: {known:?}");
        }
        assert!(said.get("posted").into_iter().flatten().all(|id| posted.contains(id)));
        assert_eq!(s.open_commands, s.queued, "a command waits for its picture and nothing else");
        spool.stop().await;
    }
    assert!(said["accepted"].len() > 20, "the victims did something");
}

#[test]
fn what_is_accepted_concluded_or_posted_is_flushed_before_it_is_answered() {
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
    let (mut flushed, mut answers) = (false, 0);
    for line in std::fs::read_to_string(trace).unwrap().lines() {
        flushed |= line.contains("sync(") && line.contains("index.db-wal");
        let told = ["\"accepted ", "\"concluded ", "\"posted "].iter().any(|w| line.contains(w));
        if told && line.contains("write(1<") {
            assert!(std::mem::take(&mut flushed), "answered before it was flushed: {line}");
            answers += 1;
        }
    }
    assert_eq!(answers, 3 * COMMANDS);
}
