//! Commands and messages that must arrive: what the spool follows beyond a picture's own life.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[path = "spool/command_model.rs"]
mod command_model;
#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;
#[path = "spool/follow_model.rs"]
mod model;

use std::fs;

use fixture::{BOOT, Fixture, SECOND_BOOT};
use serde_json::json;
use vedette::contract::Class;
use vedette::contract::command::{Reason, Status, Told};
use vedette::spool::{
    Acceptance, Address, Conclusion, Kind, Loss, Message, NewCommand, Order, Outcome, Quarantine,
    Receipt, RowEffect,
};

fn command(id: &str, pictures: u32) -> NewCommand {
    let tell = vec![
        Address { topic: format!("cmd/{id}/status"), correlation: None },
        Address { topic: "reply".to_owned(), correlation: Some(vec![0, 255]) },
    ];
    NewCommand { id: id.to_owned(), op: "snapshot".to_owned(), tell, effect: None, pictures }
}

fn pausing(id: &str, paused: bool) -> NewCommand {
    NewCommand { effect: Some(RowEffect::PauseUploads(paused)), ..command(id, 0) }
}

fn taken(kept: u32) -> Conclusion {
    Conclusion::Taken { kept, fault: None }
}

fn faulty(kept: u32, status: Status, code: &str) -> Conclusion {
    Conclusion::Taken { kept, fault: Some((status, Reason::new(code, "so it was"))) }
}

fn ended(status: Status) -> Conclusion {
    Conclusion::Ended { status, reason: None, result: Some(json!({ "done": 1 })) }
}

fn receipt(seq: u64) -> Receipt {
    Receipt {
        key: format!("key/{seq}"),
        size: 300,
        sha256: "ab".repeat(32),
        captured: Some("2026-11-22T10:15:30.123Z".to_owned()),
        told: None,
    }
}

fn message(kind: Kind, payload: Vec<u8>) -> Message {
    Message { kind, topic: "t".to_owned(), payload, correlation: None }
}

async fn accept(f: &Fixture, command: NewCommand) {
    assert_eq!(f.spool.accept(command).await.unwrap(), Acceptance::New);
}

async fn keep_for(f: &mut Fixture, id: &str) -> u64 {
    f.keep_as(|facts| facts.command = Some(id.to_owned())).await
}

/// What was told of commands' ends, at their own topics.
async fn told(f: &Fixture) -> Vec<Told> {
    let queued = f.spool.outbox(0, 1000).await.unwrap();
    let own = queued.iter().filter(|q| q.message.topic.starts_with("cmd/"));
    own.map(|q| serde_json::from_slice(&q.message.payload).unwrap()).collect()
}

async fn only(f: &Fixture) -> Told {
    let mut told = told(f).await;
    assert_eq!(told.len(), 1, "{told:?}");
    told.remove(0)
}

async fn nothing_told(f: &Fixture) {
    assert_eq!(told(f).await, []);
}

fn code(told: &Told) -> &str {
    told.reason.as_ref().map_or("", |reason| &reason.code)
}

// ---- accepting ----

#[tokio::test]
async fn a_command_is_new_once_and_then_known_by_what_was_told_last() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    let known =
        |status| move |a: &Acceptance| matches!(a, Acceptance::Known(t) if t.status == status);
    let again = f.spool.accept(command("a", 1)).await.unwrap();
    assert!(known(Status::Accepted)(&again), "{again:?}");
    keep_for(&mut f, "a").await;
    f.spool.conclude("a", taken(1)).await.unwrap();
    let again = f.spool.accept(command("a", 1)).await.unwrap();
    assert!(known(Status::InProgress)(&again), "{again:?}");
    f.spool.conclude("a", ended(Status::TimedOut)).await.unwrap();
    f.reopen(BOOT).await;
    let again = f.spool.accept(command("a", 1)).await.unwrap();
    assert_eq!(again, Acceptance::Known(Box::new(only(&f).await)));
    assert!(known(Status::TimedOut)(&again), "{again:?}");
}

#[tokio::test]
async fn an_accepted_command_outlives_a_kill() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    let opened = f.kill(BOOT).await;
    assert_eq!(opened.interrupted, 1);
    assert!(matches!(f.spool.accept(command("a", 1)).await.unwrap(), Acceptance::Known(_)));
}

#[tokio::test]
async fn old_ended_commands_are_forgotten_and_open_ones_never() {
    let f = Fixture::new();
    accept(&f, command("open", 1)).await;
    f.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4200)
         INSERT INTO commands (id, op, state, wanted, tell, told)
           SELECT 'old-' || i, '', 2, 0, '[]', '{}' FROM n",
    );
    accept(&f, pausing("new", true)).await;
    assert_eq!(f.count("commands WHERE state = 2"), 4096);
    assert_eq!(f.count("commands WHERE id IN ('open', 'new', 'old-4200')"), 3);
    assert_eq!(f.count("commands WHERE id = 'old-1'"), 0);
}

// ---- pausing ----

#[tokio::test]
async fn a_pause_lends_nothing_outlives_a_kill_and_its_end_is_news() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    accept(&f, pausing("p", true)).await;
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none());
    assert_eq!(only(&f).await.status, Status::Succeeded);
    f.kill(BOOT).await;
    assert_eq!(only(&f).await.result, Some(json!({ "paused": true })), "told until it arrives");
    assert!(f.balanced().await.paused);
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none());
    assert!(f.keep(Class::Event, 100).await > seq, "capture goes on");
    let mut changed = f.spool.changed();
    changed.mark_unchanged();
    accept(&f, pausing("r", false)).await;
    changed.changed().await.unwrap();
    assert_eq!(f.spool.claim(Order::Oldest).await.unwrap().unwrap().seq, seq);
    assert!(!f.balanced().await.paused);
}

#[tokio::test]
async fn pause_end_and_message_are_one_transaction() {
    let mut f = Fixture::new();
    f.sql("CREATE TRIGGER no BEFORE INSERT ON outbox BEGIN SELECT zeroblob(1 << 31); END");
    assert!(f.spool.accept(pausing("p", true)).await.is_err(), "its message cannot be put");
    f.sql("DROP TRIGGER no");
    f.kill(BOOT).await;
    assert_eq!((f.count("commands"), f.count("flags"), f.balanced().await.paused), (0, 0, false));
    accept(&f, pausing("p", true)).await;
}

#[tokio::test]
async fn a_pause_outlives_the_index_while_the_agent_runs() {
    let mut f = Fixture::new();
    accept(&f, pausing("p", true)).await;
    f.sql("DROP TABLE items");
    f.keep(Class::Event, 100).await;
    let s = f.balanced().await;
    assert_eq!((s.generation, s.paused), (2, true));
    assert!(f.spool.claim(Order::Oldest).await.unwrap().is_none());
}

// ---- ends by pictures ----

#[tokio::test]
async fn a_command_ends_when_its_last_picture_is_stored() {
    let mut f = Fixture::new();
    f.spool.set_offset(1_700_000_000_000_000_000, "kernel").await.unwrap();
    accept(&f, command("a", 2)).await;
    let (one, other) = (keep_for(&mut f, "a").await, keep_for(&mut f, "a").await);
    f.spool.conclude("a", taken(2)).await.unwrap();
    f.spool.stored(one, receipt(one)).await.unwrap();
    nothing_told(&f).await;
    assert_eq!(f.balanced().await.open_commands, 1);
    f.reopen(SECOND_BOOT).await;
    let mut mail = f.spool.outbox_changed();
    mail.mark_unchanged();
    f.spool.stored(other, receipt(other)).await.unwrap();
    mail.changed().await.unwrap();
    let told = only(&f).await;
    assert_eq!((told.id.as_str(), told.seq, told.status), ("a", 3, Status::Succeeded));
    assert_eq!((told.ts, told.clock.as_str()), (None, "unsynced"), "of a boot without trust");
    let result = told.result.unwrap();
    assert_eq!(result["key"], format!("key/{one}"));
    assert_eq!(result["pictures"][1]["key"], format!("key/{other}"));
    assert_eq!(result["pictures"][1]["size"], 300);
    assert_eq!((f.count("members"), f.balanced().await.open_commands), (0, 0));
    let queued = f.spool.outbox(0, 10).await.unwrap();
    assert_eq!(queued.len(), 2);
    assert_eq!(queued[1].message.topic, "reply");
    assert_eq!(queued[1].message.correlation, Some(vec![0, 255]));
    assert_eq!(queued[0].message.payload, queued[1].message.payload);
}

#[tokio::test]
async fn what_is_told_has_the_trusted_time() {
    let f = Fixture::new();
    f.spool.set_offset(1_700_000_000_000_000_000, "kernel").await.unwrap();
    accept(&f, pausing("p", true)).await;
    let told = only(&f).await;
    assert_eq!(told.clock, "trusted");
    assert!(told.ts.unwrap().starts_with("2023-11-14T22:13:2"));
}

#[tokio::test]
async fn pictures_that_ended_before_the_conclusion_end_it_at_once() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    let seq = keep_for(&mut f, "a").await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    nothing_told(&f).await;
    f.spool.conclude("a", taken(1)).await.unwrap();
    assert_eq!(only(&f).await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_picture_that_will_not_be_stored_fails_its_command() {
    let mut f = Fixture::new();
    for (id, outcome, why) in [
        ("q", Outcome::Quarantined(Quarantine::Rejected("no".into())), "quarantined"),
        ("l", Outcome::Lost(Loss::Purged), "lost"),
    ] {
        accept(&f, command(id, 1)).await;
        let seq = keep_for(&mut f, id).await;
        f.spool.conclude(id, taken(1)).await.unwrap();
        let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
        assert_eq!(claim.seq, seq);
        f.spool.finish(seq, outcome, None).await.unwrap();
        let told = told(&f).await.pop().unwrap();
        assert_eq!((told.id.as_str(), told.status, code(&told)), (id, Status::Failed, why));
    }
}

#[tokio::test]
async fn a_picture_evicted_for_room_fails_its_command() {
    let mut f = Fixture::with_quota(20_000);
    accept(&f, command("a", 1)).await;
    keep_for(&mut f, "a").await;
    f.spool.conclude("a", taken(1)).await.unwrap();
    f.keep(Class::Best, 19_300).await;
    let told = only(&f).await;
    assert_eq!((told.status, code(&told)), (Status::Failed, "lost"));
    assert_eq!(told.result.unwrap()["pictures"][0]["reason"], "quota");
}

#[tokio::test]
async fn a_missing_file_fails_its_command() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    let seq = keep_for(&mut f, "a").await;
    f.spool.conclude("a", taken(1)).await.unwrap();
    let _claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    fs::remove_file(f.image(seq)).unwrap();
    f.spool.finish(seq, Outcome::Lost(Loss::Missing), None).await.unwrap();
    assert_eq!(only(&f).await.result.unwrap()["pictures"][0]["reason"], "missing");
}

#[tokio::test]
async fn fewer_pictures_than_were_told_are_no_success() {
    let mut f = Fixture::new();
    accept(&f, command("a", 2)).await;
    let seq = keep_for(&mut f, "a").await;
    f.spool.conclude("a", taken(2)).await.unwrap();
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    let told = only(&f).await;
    assert_eq!((told.status, code(&told)), (Status::Failed, "lost"));
}

// ---- other ends ----

#[tokio::test]
async fn none_kept_is_an_end_with_its_fault_or_a_reason() {
    let f = Fixture::new();
    accept(&f, command("a", 1)).await;
    f.spool.conclude("a", taken(0)).await.unwrap();
    accept(&f, command("b", 1)).await;
    f.spool.conclude("b", faulty(0, Status::TimedOut, "timed-out")).await.unwrap();
    let told = told(&f).await;
    assert_eq!((told[0].status, code(&told[0])), (Status::Failed, "no-picture"));
    assert_eq!((told[1].status, code(&told[1])), (Status::TimedOut, "timed-out"));
}

#[tokio::test]
async fn a_fault_waits_for_the_pictures_that_were_kept() {
    let mut f = Fixture::new();
    accept(&f, command("a", 3)).await;
    let seq = keep_for(&mut f, "a").await;
    f.spool.conclude("a", faulty(1, Status::Failed, "camera-lost")).await.unwrap();
    nothing_told(&f).await;
    f.kill(BOOT).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    let told = only(&f).await;
    assert_eq!((told.status, code(&told)), (Status::Failed, "camera-lost"));
    assert_eq!(told.result.unwrap()["key"], format!("key/{seq}"));
}

#[tokio::test]
async fn an_end_comes_once() {
    let f = Fixture::new();
    accept(&f, command("a", 0)).await;
    f.spool.conclude("a", ended(Status::Succeeded)).await.unwrap();
    f.spool.conclude("a", ended(Status::Failed)).await.unwrap();
    f.spool.conclude("a", taken(0)).await.unwrap();
    let told = only(&f).await;
    assert_eq!((told.status, told.result), (Status::Succeeded, Some(json!({ "done": 1 }))));
    assert_eq!(f.count("commands"), 1);
}

#[tokio::test]
async fn an_index_that_lost_a_command_while_the_agent_runs_takes_its_end() {
    let mut f = Fixture::new();
    accept(&f, command("a", 0)).await;
    f.sql("DROP TABLE items");
    f.keep(Class::Event, 100).await;
    assert_eq!((f.balanced().await.generation, f.count("commands")), (2, 0));
    f.spool.conclude("a", ended(Status::Failed)).await.unwrap();
    assert_eq!(only(&f).await.status, Status::Failed);
    f.spool.conclude("a", ended(Status::Failed)).await.unwrap();
    assert_eq!(told(&f).await.len(), 1);
}

#[tokio::test]
async fn commands_that_nobody_is_at_work_on_end_when_that_is_told() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    accept(&f, command("b", 1)).await;
    let seq = keep_for(&mut f, "b").await;
    assert_eq!(f.spool.interrupt_commands().await.unwrap(), 2);
    let first = only(&f).await;
    assert_eq!((first.id.as_str(), code(&first)), ("a", "interrupted"));
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    let both = told(&f).await;
    assert_eq!((both[1].id.as_str(), both[1].status), ("b", Status::Succeeded));
    assert_eq!(f.spool.interrupt_commands().await.unwrap(), 0);
}

#[tokio::test]
async fn a_picture_that_comes_after_the_end_follows_nobody() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    f.spool.conclude("a", faulty(0, Status::TimedOut, "timed-out")).await.unwrap();
    let seq = keep_for(&mut f, "a").await;
    assert_eq!(f.count("members"), 0);
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    assert_eq!(only(&f).await.status, Status::TimedOut);
}

// ---- restarts ----

#[tokio::test]
async fn a_restart_interrupts_what_has_no_picture_and_goes_on_with_what_has_all() {
    let mut f = Fixture::new();
    for (id, pictures) in [("none", 1), ("all", 1), ("some", 2), ("row", 0)] {
        accept(&f, command(id, pictures)).await;
    }
    let (all, some) = (keep_for(&mut f, "all").await, keep_for(&mut f, "some").await);
    let opened = f.kill(BOOT).await;
    assert_eq!(opened.interrupted, 4);
    let first = told(&f).await;
    assert_eq!(first.iter().map(|t| t.id.as_str()).collect::<Vec<_>>(), ["none", "row"]);
    assert!(first.iter().all(|t| t.status == Status::Failed && code(t) == "interrupted"));
    f.spool.stored(all, receipt(all)).await.unwrap();
    f.spool.stored(some, receipt(some)).await.unwrap();
    let told = told(&f).await;
    assert_eq!((told[2].id.as_str(), told[2].status), ("all", Status::Succeeded));
    assert_eq!((told[3].status, code(&told[3])), (Status::Failed, "interrupted"));
    assert_eq!(f.reopen(BOOT).await.interrupted, 0);
}

#[tokio::test]
async fn adopting_a_picture_completes_its_command() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    f.spool.stop().await;
    let seq = f.next_seq;
    f.lay_down_as(seq, |facts| facts.command = Some("a".to_owned()));
    let opened = f.reopen(BOOT).await;
    assert_eq!((opened.adopted, opened.interrupted), (1, 1));
    nothing_told(&f).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    assert_eq!(only(&f).await.status, Status::Succeeded);
}

#[tokio::test]
async fn a_lost_index_is_told_by_the_pictures_whom_they_were_for() {
    let mut f = Fixture::new();
    accept(&f, command("a", 2)).await;
    let (one, other) = (keep_for(&mut f, "a").await, keep_for(&mut f, "a").await);
    f.spool.stop().await;
    fs::remove_file(f.path().join("index.db")).unwrap();
    let opened = f.reopen(BOOT).await;
    assert_eq!((opened.rebuilt, opened.interrupted), (true, 0));
    assert_eq!(f.balanced().await.open_commands, 1);
    assert!(matches!(f.spool.accept(command("a", 2)).await.unwrap(), Acceptance::Known(_)));
    f.spool.stored(one, receipt(one)).await.unwrap();
    nothing_told(&f).await;
    f.spool.stored(other, receipt(other)).await.unwrap();
    assert_eq!(only(&f).await.status, Status::Succeeded);
    let queued = f.spool.outbox(0, 10).await.unwrap();
    assert_eq!(queued[0].message.topic, "cmd/a/status");
    assert!(queued[0].id > 1 << 32, "no number of the lost outbox is used again");
}

#[tokio::test]
async fn an_index_damaged_inside_is_set_aside_whichever_table_it_is() {
    for table in ["flags", "commands", "members", "events", "outbox", "outbox_sums"] {
        let mut f = Fixture::new();
        f.keep(Class::Event, 100).await;
        f.spool.stop().await;
        f.sql(&format!("DROP TABLE {table}"));
        assert!(f.reopen(BOOT).await.rebuilt, "{table}");
        assert_eq!(f.balanced().await.queued, 1, "{table}");
    }
}

#[tokio::test]
async fn a_conclusion_waits_for_an_index_that_fails() {
    let mut f = Fixture::new();
    accept(&f, command("a", 1)).await;
    let seq = keep_for(&mut f, "a").await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    f.break_index();
    f.spool.conclude("a", taken(1)).await.unwrap();
    assert!(f.spool.accept(command("b", 1)).await.is_err(), "nothing was done");
    assert!(f.spool.post(vec![message(Kind::Alarm, vec![1])]).await.is_err());
    f.mend_index();
    let mut mail = f.spool.outbox_changed();
    while f.spool.outbox(0, 1).await.map_or(0, |queued| queued.len()) == 0 {
        mail.changed().await.unwrap();
    }
    assert_eq!(only(&f).await.status, Status::Succeeded);
    let s = f.balanced().await;
    assert_eq!((s.generation, s.open_commands, s.outbox.kinds[1].put), (1, 0, 0));
    accept(&f, command("b", 1)).await;
}

// ---- the outbox ----

#[tokio::test]
async fn a_message_stays_until_it_arrived_and_its_number_is_never_used_again() {
    let mut f = Fixture::new();
    let mut mail = f.spool.outbox_changed();
    mail.mark_unchanged();
    f.spool
        .post(vec![message(Kind::Alarm, vec![1]), message(Kind::Stored, vec![2])])
        .await
        .unwrap();
    mail.changed().await.unwrap();
    f.kill(BOOT).await;
    let queued = f.spool.outbox(0, 10).await.unwrap();
    assert_eq!(queued.iter().map(|q| q.message.payload[0]).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(f.spool.outbox(queued[0].id, 10).await.unwrap(), queued[1..]);
    assert_eq!(f.spool.outbox(0, 1).await.unwrap(), queued[..1]);
    f.spool.arrived(queued.iter().map(|q| q.id).collect()).await.unwrap();
    f.spool.arrived(queued.iter().map(|q| q.id).collect()).await.unwrap();
    assert_eq!(f.spool.outbox(0, 10).await.unwrap(), []);
    f.reopen(BOOT).await;
    f.spool.post(vec![message(Kind::Alarm, vec![3])]).await.unwrap();
    assert!(f.spool.outbox(0, 10).await.unwrap()[0].id > queued[1].id);
    let [_, alarm, stored] = f.balanced().await.outbox.kinds;
    assert_eq!((alarm.put, alarm.arrived, alarm.queued, alarm.dropped), (2, 1, 1, 0));
    assert_eq!((stored.put, stored.arrived, stored.queued, stored.dropped), (1, 1, 0, 0));
}

#[tokio::test]
async fn a_stored_event_is_put_in_the_stores_own_transaction_and_once() {
    let mut f = Fixture::new();
    let seq = f.keep(Class::Event, 100).await;
    let told = Some(message(Kind::Stored, b"stored".to_vec()));
    let receipt = Receipt { told, ..receipt(seq) };
    // The put fails, so the store is not written down either; after the rebuild both are.
    f.sql("CREATE TRIGGER no BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END");
    f.spool.stored(seq, receipt.clone()).await.unwrap();
    f.spool.stored(seq, receipt).await.unwrap();
    let s = f.balanced().await;
    assert_eq!((s.stored, s.generation, s.outbox.kinds[2].put), (1, 2, 1));
}

#[tokio::test]
async fn a_full_outbox_drops_stored_then_alarms_then_outcomes_the_oldest_first() {
    let f = Fixture::new();
    let many = |kind, n: usize| vec![message(kind, vec![0]); n];
    f.spool.post(many(Kind::Stored, 2)).await.unwrap();
    f.spool.post(many(Kind::Alarm, 2)).await.unwrap();
    f.spool.post(many(Kind::Outcome, 996)).await.unwrap();
    let dropped = || async { f.balanced().await.outbox.kinds.map(|kind| kind.dropped) };
    assert_eq!(dropped().await, [0, 0, 0]);
    f.spool.post(many(Kind::Outcome, 1)).await.unwrap();
    assert_eq!((dropped().await, f.spool.outbox(0, 1).await.unwrap()[0].id), ([0, 0, 1], 2));
    f.spool.post(many(Kind::Outcome, 2)).await.unwrap();
    assert_eq!((dropped().await, f.spool.outbox(0, 1).await.unwrap()[0].id), ([0, 1, 2], 4));
    f.spool.post(many(Kind::Stored, 1)).await.unwrap();
    assert_eq!(dropped().await, [0, 1, 3], "a new one may be the least worth");
    f.spool.post(many(Kind::Outcome, 2)).await.unwrap();
    assert_eq!(dropped().await, [1, 2, 3]);
    assert_eq!(f.count("outbox"), 1000);
}

#[tokio::test]
async fn the_outbox_is_bounded_in_bytes_too() {
    let f = Fixture::new();
    for _ in 0..9 {
        f.spool.post(vec![message(Kind::Outcome, vec![0; 500_000])]).await.unwrap();
    }
    let outcome = f.balanced().await.outbox.kinds[0];
    assert_eq!((outcome.queued, outcome.dropped), (8, 1));
    f.spool.post(vec![message(Kind::Outcome, vec![0; 2 << 20])]).await.unwrap();
    let outcome = f.balanced().await.outbox.kinds[0];
    assert_eq!((outcome.queued, outcome.dropped), (8, 2), "an absurd one pushes nobody out");
}
