//! Purges by command: what is meant goes, once, over restarts too, and the receipt tells exactly what went.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use fixture::{BOOT, Fixture};
use serde_json::Value;
use vedette::clock::WallTime;
use vedette::contract::Class;
use vedette::contract::command::{Status, Told};
use vedette::contract::purge::Selection;
use vedette::spool::{Acceptance, Address, Loss, NewCommand, Order, Outcome, RowEffect, Snapshot};

const HOUR_MS: i64 = 3_600_000;
const WALL_MS: i64 = 1_790_000_000_000;

fn purge(id: &str, wanted: Selection) -> NewCommand {
    let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
    let effect = Some(RowEffect::Purge(wanted));
    NewCommand { id: id.to_owned(), op: "purge".to_owned(), tell, effect, pictures: 0 }
}

/// The only message that is told: the command's end.
async fn end(f: &Fixture) -> Told {
    let mut mail = f.spool.outbox_changed();
    loop {
        mail.mark_unchanged();
        let told = f.spool.outbox(0, 10).await.unwrap();
        if let [only] = told.as_slice() {
            return serde_json::from_slice(&only.message.payload).unwrap();
        }
        assert!(told.is_empty(), "{told:?}");
        mail.changed().await.unwrap();
    }
}

async fn receipt(f: &Fixture) -> Value {
    let told = end(f).await;
    assert_eq!(told.status, Status::Succeeded);
    told.result.unwrap()
}

fn purged(s: &Snapshot) -> u64 {
    s.lost[Loss::ALL.iter().position(|l| *l == Loss::Purged).unwrap()]
}

fn at(hour: i64) -> Option<WallTime> {
    Some(WallTime(WALL_MS + hour * HOUR_MS))
}

#[tokio::test]
async fn what_is_meant_goes_and_the_command_ends_with_the_receipt_and_once() {
    let mut f = Fixture::new();
    let first = f.keep_as(|facts| facts.wall = at(0)).await;
    let best = f.keep_as(|facts| (facts.wall, facts.class) = (at(5), Class::Best)).await;
    let other = f.keep_as(|facts| facts.camera = "back".into()).await;
    let bytes = [first, best].map(|seq| f.image(seq).metadata().unwrap().len());
    let wanted = Selection { camera: Some("front".into()), ..Selection::default() };
    assert_eq!(f.spool.accept(purge("p", wanted.clone())).await.unwrap(), Acceptance::New);
    let told = receipt(&f).await;
    assert_eq!(
        (told["pictures"].as_u64(), told["bytes"].as_u64()),
        (Some(2), Some(bytes.iter().sum()))
    );
    let part = &told["parts"][1];
    assert_eq!(
        (&part["camera"], &part["class"], &part["pictures"]),
        (&"front".into(), &"best".into(), &1.into())
    );
    assert_eq!(told["oldest"], "2026-09-21T14:13:20.000Z");
    assert_eq!(told["newest"], "2026-09-21T19:13:20.000Z");
    assert_eq!((&told["undated"], &told["in_flight_count"]), (&0.into(), &0.into()));
    assert!(!f.image(first).exists() && !f.image(best).exists() && f.image(other).exists());
    let s = f.balanced().await;
    assert_eq!((s.queued, purged(&s), s.open_commands), (1, 2, 0));
    // The same order again is known, and removes nothing of what came since.
    let since = f.keep(Class::Event, 100).await;
    let again = f.spool.accept(purge("p", wanted)).await.unwrap();
    assert!(matches!(again, Acceptance::Known(told) if told.status == Status::Succeeded));
    f.reopen(BOOT).await;
    assert!(f.image(since).exists());
    assert_eq!(purged(&f.balanced().await), 2);
}

#[tokio::test]
async fn a_picture_that_is_being_sent_is_left_alone_and_named() {
    let mut f = Fixture::new();
    let (sent, gone) = (f.keep(Class::Event, 100).await, f.keep(Class::Event, 100).await);
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!(claim.seq, sent);
    f.spool.accept(purge("p", Selection::default())).await.unwrap();
    let told = receipt(&f).await;
    assert_eq!((&told["pictures"], &told["in_flight"]), (&1.into(), &serde_json::json!([sent])));
    assert!(f.image(sent).exists() && !f.image(gone).exists());
    f.spool.finish(sent, Outcome::Stored, None).await.unwrap();
    let s = f.balanced().await;
    assert_eq!((s.stored, purged(&s), s.queued), (1, 1, 0));
}

#[tokio::test]
async fn an_event_or_an_age_is_told_by_the_pictures_themselves() {
    let mut f = Fixture::new();
    let mut seqs = Vec::new();
    for (hour, event) in [(0, "a"), (10, "b"), (20, "a"), (30, "a")] {
        seqs.push(
            f.keep_as(|facts| (facts.wall, facts.event) = (at(hour), Some(event.into()))).await,
        );
    }
    let offset = (WALL_MS + 30 * HOUR_MS) * 1_000_000;
    f.spool.set_offset(offset, "kernel").await.unwrap();
    std::fs::write(f.image(seqs[2]), b"damaged").unwrap();
    let wanted =
        Selection { event: Some("a".into()), older_than_s: Some(9 * 3600), ..Selection::default() };
    f.spool.accept(purge("p", wanted)).await.unwrap();
    let told = receipt(&f).await;
    assert_eq!((&told["pictures"], &told["unreadable"]), (&1.into(), &1.into()), "{told}");
    let left: Vec<bool> = seqs.iter().map(|seq| f.image(*seq).exists()).collect();
    assert_eq!(left, [false, true, true, true]);
}

/// Rows as a power cut leaves them between two pages.
#[tokio::test]
async fn one_that_was_cut_off_goes_on_where_it_was_and_takes_nothing_that_came_later() {
    let mut f = Fixture::new();
    for _ in 0..6 {
        f.keep(Class::Event, 100).await;
    }
    f.spool.stop().await;
    f.sql(
        "INSERT INTO commands (number, id, op, state, wanted, tell, told)
           VALUES (7, 'p', 'purge', 1, 0, '[{\"topic\":\"cmd/p/status\"}]', '{}');
         INSERT INTO purges VALUES (7, '{}', 4, 2, '{\"pictures\":5,\"bytes\":9,\"parts\":[],
           \"oldest\":null,\"newest\":null,\"undated\":5,\"in_flight\":[],\"in_flight_count\":0,\"unreadable\":0}');",
    );
    f.reopen(BOOT).await;
    let told = receipt(&f).await;
    assert_eq!(told["pictures"], 7);
    let left: Vec<bool> = (1..7).map(|seq| f.image(seq).exists()).collect();
    assert_eq!(left, [true, true, false, false, true, true]);
    assert_eq!((f.count("purges"), purged(&f.balanced().await)), (0, 2));
}

#[tokio::test]
async fn more_than_a_page_goes_while_pictures_still_come_and_nothing_is_sent_meanwhile() {
    let mut f = Fixture::new();
    for _ in 0..150 {
        f.keep(Class::Interval, 50).await;
    }
    f.spool.accept(purge("p", Selection::default())).await.unwrap();
    let claimed = f.spool.claim(Order::Oldest).await.unwrap().map(|claim| claim.seq);
    assert_eq!(claimed, None, "what is to go is not sent after all");
    let since = f.keep(Class::Event, 100).await;
    assert_eq!(receipt(&f).await["pictures"], 150);
    let s = f.balanced().await;
    assert_eq!((s.queued, purged(&s), s.in_flight), (1, 150, 0));
    let mut changed = f.spool.changed();
    let claim = loop {
        match f.spool.claim(Order::Oldest).await.unwrap() {
            Some(claim) => break claim,
            None => changed.changed().await.unwrap(),
        }
    };
    assert_eq!(claim.seq, since);
}
