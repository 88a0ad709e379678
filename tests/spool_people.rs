//! What people ask of the spool: by the command, with an agent that runs and without one.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[path = "support/process.rs"]
mod process;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use fixture::{BOOT, Closed, Fixture, body};
use process::Process;
use rustix::process::Signal;
use serde_json::Value;
use vedette::contract::Class;
use vedette::control::{request::Request, socket};
use vedette::spool::browse::{Ask, Checked, Filter, Held, PAGE, Told, Verdict};
use vedette::spool::retention::Limits;
use vedette::spool::{Order, Outcome, Quarantine};
use vedette::status::Status;

const SOON: Duration = Duration::from_secs(60);

fn list(told: Told) -> (Vec<u64>, Option<u64>) {
    let Told::List(entries, next) = told else { panic!("{told:?}") };
    (entries.iter().map(|entry| entry.seq).collect(), next)
}

async fn listed(f: &Fixture, filter: Filter) -> Vec<u64> {
    list(f.spool.ask(Ask::List { filter, above: 0 }).await.unwrap()).0
}

async fn check(f: &Fixture, repair: bool) -> Vec<(u64, Verdict)> {
    let (mut all, mut above) = (Vec::new(), 0);
    loop {
        let told = f.spool.ask(Ask::Check { repair, above }).await.unwrap();
        let Told::Checked(Checked { found, next }) = told else { panic!("{told:?}") };
        all.extend(found);
        match next {
            Some(next) => above = next,
            None => return all,
        }
    }
}

#[tokio::test]
async fn pictures_are_listed_by_camera_class_state_and_number_in_pages() {
    let mut f = Fixture::new();
    let best = f.keep(Class::Best, 100).await;
    let other = f.offer_as(100, |facts| facts.camera = "back".into()).await.unwrap();
    let waiting = f.keep_untimed(100).await;
    let filter = Filter::default;
    assert_eq!(listed(&f, filter()).await, [best, other, waiting]);
    assert_eq!(listed(&f, Filter { class: Some(Class::Best), ..filter() }).await, [best]);
    assert_eq!(listed(&f, Filter { camera: Some("back".into()), ..filter() }).await, [other]);
    assert_eq!(listed(&f, Filter { held: Some(Held::Waiting), ..filter() }).await, [waiting]);
    assert_eq!(listed(&f, Filter { from: Some(other), ..filter() }).await, [other, waiting]);
    assert_eq!(listed(&f, Filter { to: Some(other), ..filter() }).await, [best, other]);
    for _ in 0..PAGE {
        f.hand_over(Class::Interval, 10);
    }
    f.spool.flush().await.unwrap();
    let (first, next) = list(f.spool.ask(Ask::List { filter: filter(), above: 0 }).await.unwrap());
    let above = next.unwrap();
    assert_eq!((first.len(), first.last()), (PAGE, Some(&above)));
    let (rest, end) = list(f.spool.ask(Ask::List { filter: filter(), above }).await.unwrap());
    assert_eq!((rest.len(), end), (3, None));
}

#[tokio::test]
async fn what_was_set_aside_or_rests_is_sent_again() {
    let mut f = Fixture::new();
    let (poison, tired) = (f.keep(Class::Event, 500).await, f.keep(Class::Event, 500).await);
    for _ in 0..2 {
        let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
        let (outcome, rest) = match claim.seq == poison {
            true => (Outcome::Quarantined(Quarantine::Rejected("no".into())), None),
            false => (Outcome::Refused, Some(Duration::from_secs(3600))),
        };
        f.spool.finish(claim.seq, outcome, rest).await.unwrap();
    }
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none());
    let told = f.spool.ask(Ask::Retry { filter: Filter::default(), above: 0 }).await.unwrap();
    let Told::Done(done) = told else { panic!("{told:?}") };
    assert_eq!((done.sum().0, done.seqs, done.left), (2, Some((poison, tired)), 0));
    let s = f.balanced().await;
    assert_eq!((s.queued, s.quarantined), (2, 0));
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!((claim.seq, claim.attempts), (poison, 0));
    assert_eq!(claim.load().unwrap().body, body(poison, 500));
}

#[tokio::test]
async fn a_purge_counts_what_it_removed_and_leaves_what_is_being_sent() {
    let mut f = Fixture::new();
    let lent = f.keep(Class::Event, 100).await;
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    let (event, best) = (f.keep(Class::Event, 100).await, f.keep(Class::Best, 100).await);
    let filter = Filter { class: Some(Class::Event), ..Filter::default() };
    let told = f.spool.ask(Ask::Purge { filter, above: 0 }).await.unwrap();
    let Told::Done(done) = told else { panic!("{told:?}") };
    assert_eq!((done.sum().0, done.seqs, done.left), (1, Some((event, event)), 1));
    assert_eq!(listed(&f, Filter::default()).await, [lent, best]);
    assert!(!f.image(event).exists() && f.image(lent).exists());
    let s = f.balanced().await;
    assert_eq!((s.lost_total(), s.lost_of[0].reason.as_str()), (1, "purged"));
    drop(claim);
}

#[tokio::test]
async fn a_check_finds_each_kind_of_wrong_and_puts_it_right() {
    let mut f = Fixture::new();
    let mut seqs = Vec::new();
    for _ in 0..100 {
        seqs.push(f.keep(Class::Event, 300).await);
    }
    f.reopen(BOOT).await; // nothing is warm
    let (missing, corrupt, stray, litter) = (seqs[3], seqs[70], seqs[80], seqs[90]);
    // Two rows go and leave their files.
    f.sql(&format!(
        "DELETE FROM items WHERE seq IN ({stray}, {litter});
         UPDATE totals SET kept = kept - 2, queued = queued - 2, queued_bytes = queued_bytes -
           (SELECT 2 * bytes FROM items LIMIT 1);
         UPDATE boots SET items = items - 2"
    ));
    fs::remove_file(f.image(missing)).unwrap();
    fs::write(f.image(corrupt), b"rotten").unwrap();
    fs::write(f.image(litter), b"dust").unwrap();
    let wrong = [
        (missing, Verdict::Missing),
        (corrupt, Verdict::Corrupt),
        (stray, Verdict::Stray),
        (litter, Verdict::Litter),
    ];
    for repair in [false, true] {
        let found = check(&f, repair).await;
        assert_eq!(found.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), seqs, "each once");
        let not_well: Vec<_> = found.into_iter().filter(|(_, v)| !v.is_well()).collect();
        assert_eq!(not_well, wrong, "looking changes nothing");
    }
    let found = check(&f, false).await;
    assert!(found.iter().all(|(_, verdict)| verdict.is_well()));
    let s = f.balanced().await;
    assert_eq!((s.queued, s.quarantined, s.lost[0]), (97, 1, 1));
    assert!(!f.image(litter).exists());
    let shown = f.spool.ask(Ask::Show { seq: corrupt }).await.unwrap();
    let Told::Show(Some(shown)) = shown else { panic!("{shown:?}") };
    assert!(shown.problem.is_some() && shown.entry.held == Held::Quarantined, "{shown:?}");
}

fn vedette(dir: &Path, args: &[&str]) -> Output {
    let mut vedette = Command::new(env!("CARGO_BIN_EXE_vedette"));
    vedette.args(args).arg("--config").arg(dir.join("vedette.toml"));
    vedette.arg("--state-dir").arg(dir.join("state")).output().unwrap()
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

fn config(dir: &Path) {
    let d = dir.display();
    let text = format!(
        "[device]\nid = \"cam1\"\n[camera.street]\ninterval = \"100ms\"\n[camera.street.scene]\nsize = \"320x180\"\n\
         [clock]\ntrust = \"always\"\n[spool]\npath = \"{d}/spool\"\n[control]\nsocket = \"{d}/control.sock\"\n"
    );
    fs::write(dir.join("vedette.toml"), text).unwrap();
}

#[tokio::test]
async fn without_an_agent_the_command_opens_the_spool_by_itself() {
    let dir = tempfile::TempDir::new().unwrap();
    config(dir.path());
    let (code, text) = said(&vedette(dir.path(), &["spool", "ls"]));
    assert!(code == Some(1) && text.contains("there is no spool at"), "{text}");
    let (mut f, _) = Closed::at(&dir.path().join("spool"), Limits::bytes(1 << 30)).open(BOOT);
    let (first, second) = (f.keep(Class::Best, 700).await, f.keep(Class::Event, 900).await);
    let (code, text) = said(&vedette(dir.path(), &["spool", "ls"]));
    assert!(code == Some(1) && text.contains("in use by process"), "{text}");
    f.spool.stop().await;

    let (code, text) = said(&vedette(dir.path(), &["spool", "ls"]));
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.lines().nth(1).unwrap().contains("best"), "{text}");
    let (_, text) = said(&vedette(dir.path(), &["spool", "show", "1", "--json"]));
    let shown: Value = serde_json::from_str(&text).unwrap();
    let key = shown["key"].as_str().unwrap().to_owned();
    assert!(key.starts_with("v1/cam/front/2023/"), "{text}");

    let copies = dir.path().join("copies");
    let (_, text) = said(&vedette(dir.path(), &["spool", "export", copies.to_str().unwrap()]));
    assert!(text.starts_with("2 pictures"), "{text}");
    assert_eq!(fs::read(copies.join(&key)).unwrap(), body(first, 700));
    assert!(copies.join(key + ".json").exists());

    let (code, text) = said(&vedette(dir.path(), &["spool", "purge"]));
    assert!(code == Some(1) && text.contains("say which pictures"), "{text}");
    let (_, text) = said(&vedette(dir.path(), &["spool", "purge", "--class", "event"]));
    assert!(text.contains("1 picture") && text.contains("--yes"), "{text}");
    let args = ["spool", "purge", "--class", "event", "--yes", "--json"];
    let (_, text) = said(&vedette(dir.path(), &args));
    let receipt: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&receipt["pictures"], &receipt["removed"]), (&1.into(), &true.into()), "{text}");
    assert_eq!(receipt["seqs"], serde_json::json!([second, second]));

    fs::write(dir.path().join("spool/images/00000000/0000000000000001"), b"rotten").unwrap();
    let (code, text) = said(&vedette(dir.path(), &["spool", "check"]));
    assert!(code == Some(1) && text.contains("1: its file is not what it should be"), "{text}");
    let (code, text) = said(&vedette(dir.path(), &["spool", "check", "--repair"]));
    assert!(code == Some(0) && text.contains("set aside"), "{text}");
    let (code, text) = said(&vedette(dir.path(), &["spool", "show", "2"]));
    assert!(code == Some(1) && text.contains("there is no picture 2 here"), "{text}");
}

#[test]
fn beside_a_running_agent_the_command_asks_it() {
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path();
    config(path);
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.arg("run").arg("--config").arg(path.join("vedette.toml"));
    command.arg("--state-dir").arg(path.join("state"));
    let mut agent = Process::spawn(&mut command, path, "vedette");
    let deadline = Instant::now() + SOON;
    loop {
        let status = socket::call(&path.join("control.sock"), &Request::Status {}).ok();
        let status = status.map(|body| serde_json::from_slice::<Status>(&body).unwrap());
        if status.is_some_and(|s| s.ledger.queued >= 5) {
            break;
        }
        let ended = agent.wait(Duration::from_millis(20));
        assert!(ended.is_none() && Instant::now() < deadline, "{}", agent.output());
    }
    let (code, text) = said(&vedette(path, &["spool", "ls", "--limit", "2"]));
    assert!(code == Some(0) && text.contains("more: --from 3"), "{text}");
    let (_, text) = said(&vedette(path, &["spool", "purge", "--to", "3", "--yes"]));
    assert!(text.contains("3 pictures") && text.contains("numbers 1 to 3"), "{text}");
    let (code, text) = said(&vedette(path, &["spool", "check"]));
    assert!(code == Some(0) && text.contains("Nothing is wrong"), "{text}");
    agent.signal(Signal::TERM);
    assert!(agent.wait(SOON).expect("it stops").success(), "{}", agent.output());
}
