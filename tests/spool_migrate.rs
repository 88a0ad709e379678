//! An index of an earlier version is brought up to this one, and nothing in it is lost.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::fs;

use fixture::{BOOT, Closed, body, facts, file};
use rusqlite::Connection;
use vedette::contract::{Class, Facts};
use vedette::spool::{Kind, Message, Order, Outcome};

/// A spool as an agent of version 1 of the index left it.
fn version_1() -> Closed {
    let closed = Closed::new();
    fs::create_dir_all(closed.path().join("images/00000000")).unwrap();
    let uuid = "1e17827c-b005-4c7b-9fd5-759ac396c97c";
    let json = format!(r#"{{"format":1,"uuid":"{uuid}","generation":1,"seq_floor":1}}"#);
    fs::write(closed.path().join("spool.json"), json).unwrap();
    let index = Connection::open(closed.path().join("index.db")).unwrap();
    index.execute_batch(include_str!("spool/index-v1.sql")).unwrap();
    for (seq, class, len, timed) in [
        (2, Class::Best, 2000, true),
        (4, Class::Event, 500, true),
        (5, Class::Event, 700, true),
        (6, Class::Event, 900, false),
    ] {
        let body = body(seq, len);
        let facts = facts(seq, class, &body);
        let wall = facts.wall.filter(|_| timed);
        let bytes = file(&Facts { wall, ..facts }, &body);
        fs::write(closed.image(seq), bytes).unwrap();
    }
    closed
}

#[tokio::test]
async fn an_index_of_version_1_is_migrated_and_everything_in_it_survives() {
    let (mut f, opened) = version_1().open(BOOT);
    assert_eq!((opened.next_seq, opened.generation, opened.rebuilt), (7, 1, false));
    assert_eq!((opened.adopted, opened.torn, opened.finished), (0, 0, 0));
    assert!(!f.path().join("index.db.broken-1").exists());
    let s = f.balanced().await;
    assert_eq!((s.kept, s.stored, s.queued, s.quarantined), (6, 1, 3, 1));
    assert_eq!((s.lost, s.waiting, s.high_seq, s.bytes), ([1, 0, 0, 0, 0], 1, 6, 5911));
    assert_eq!((s.paused, s.open_commands), (false, 0));
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    assert_eq!((claim.seq, claim.attempts), (4, 1));
    assert_eq!(claim.load().unwrap().body, body(4, 500));
    f.spool.finish(4, Outcome::Stored, None).await.unwrap();
    f.keep(Class::Best, 100).await;
    let message = Message {
        kind: Kind::Alarm,
        topic: "alarm".into(),
        payload: b"x".to_vec(),
        correlation: None,
    };
    f.spool.post(vec![message]).await.unwrap();
    let again = f.reopen(BOOT).await;
    assert_eq!((again.next_seq, again.generation), (8, 1));
    let s = f.balanced().await;
    assert_eq!((s.kept, s.stored, s.queued, s.outbox.kinds[1].queued), (7, 2, 3, 1));
}
