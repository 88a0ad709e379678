//! Events and their manifests: when one is due, what it will say, and when nothing is left to follow.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[allow(dead_code, reason = "shared with the other tests of the spool")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::fs;
use std::time::Duration;

use fixture::{BOOT, Fixture, SECOND_BOOT, body, facts, moment};
use vedette::clock::BootTime;
use vedette::contract::manifest::{Counts, State};
use vedette::contract::{Class, Facts, Trigger};
use vedette::spool::{DueEvent, Loss, Moment, Order, Outcome, Quarantine, Receipt};
use vedette::still::EventEnd;

const TEN_MINUTES: u64 = 600_000_000_000;

/// One of an event's pictures, not known to be the last.
fn of(event: &str) -> impl FnOnce(&mut Facts) {
    let event = Some(event.to_owned());
    |facts| facts.event = event
}

fn last_of(event: &str) -> impl FnOnce(&mut Facts) {
    let of = of(event);
    |facts| {
        of(facts);
        facts.event_final = true;
    }
}

fn manifest_of(event: &str) -> impl FnOnce(&mut Facts) {
    let of = of(event);
    |facts| {
        of(facts);
        (facts.trigger, facts.class) = (Trigger::Manifest, Class::Manifest);
    }
}

fn end_of(event: &str, chosen: u64) -> EventEnd {
    EventEnd {
        camera: "front".to_owned(),
        event: event.to_owned(),
        began: BootTime(77),
        duration: Duration::from_millis(1500),
        why: "quiet".to_owned(),
        chosen,
    }
}

fn receipt(seq: u64) -> Receipt {
    let (key, sha256) = (format!("key/{seq}"), "cd".repeat(32));
    Receipt { key, size: 300, sha256, captured: None, told: None }
}

async fn end(f: &Fixture, event: &str, chosen: u64) {
    f.spool.event_ended(end_of(event, chosen));
    f.spool.flush().await.unwrap();
}

async fn due(f: &Fixture) -> Vec<DueEvent> {
    f.spool.due_events().await.unwrap()
}

async fn nothing_due(f: &Fixture) {
    assert_eq!(due(f).await, []);
}

fn followed(f: &Fixture) -> (u64, u64) {
    (f.count("events"), f.count("members"))
}

/// [`BOOT`], so long after the fixture opens it otherwise.
fn later(nanos: u64) -> Moment {
    Moment { at: BootTime(1 + nanos), ..moment(BOOT) }
}

#[tokio::test]
async fn the_ordinary_event_of_one_picture_costs_no_row_and_its_end_no_transaction() {
    let mut f = Fixture::new();
    let other = f.connect();
    let version = || other.query_row("PRAGMA data_version", [], |r| r.get::<_, i64>(0)).unwrap();
    let seq = f.keep_as(last_of("e")).await;
    let before = version();
    end(&f, "e", 1).await;
    assert_eq!((version(), followed(&f)), (before, (0, 0)));
    nothing_due(&f).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    assert_ne!(version(), before, "the measure measures");
    assert_eq!(followed(&f), (0, 0));
}

#[tokio::test]
async fn an_event_is_due_when_all_its_pictures_have_ended() {
    let mut f = Fixture::new();
    let seqs = [f.keep_as(of("e")).await, f.keep_as(of("e")).await, f.keep_as(of("e")).await];
    f.spool.stored(seqs[0], receipt(seqs[0])).await.unwrap();
    let quarantined = Outcome::Quarantined(Quarantine::Rejected("no".into()));
    for (seq, outcome) in [(seqs[1], quarantined), (seqs[2], Outcome::Lost(Loss::Purged))] {
        nothing_due(&f).await;
        let _claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
        f.spool.finish(seq, outcome, None).await.unwrap();
    }
    nothing_due(&f).await;
    end(&f, "e", 5).await;
    let event = due(&f).await.remove(0);
    assert_eq!(
        (event.camera.as_str(), event.event.as_str(), event.boot.as_str()),
        ("front", "e", BOOT)
    );
    assert_eq!((event.began, event.duration_ms, event.why.as_str()), (77, Some(1500), "quiet"));
    let counts = Counts {
        chosen: Some(5),
        refused: Some(2),
        stored: 1,
        pending: 0,
        quarantined: 1,
        lost: 1,
    };
    assert_eq!(event.counts, counts);
    let states = [State::Stored, State::Quarantined, State::Lost];
    assert_eq!(event.pictures.iter().map(|p| p.state).collect::<Vec<_>>(), states);
    assert_eq!(event.pictures.iter().map(|p| p.seq).collect::<Vec<_>>(), seqs);
    assert_eq!(event.pictures[0].key.as_deref(), Some("key/1"));
    assert_eq!(event.pictures[1].reason.as_deref(), Some("rejected: no"));
    assert_eq!(event.pictures[2].reason.as_deref(), Some("purged"));
    assert_eq!(due(&f).await, [event], "again, until its manifest is durable");
}

#[tokio::test]
async fn after_ten_minutes_a_manifest_is_due_with_what_is_still_on_its_way() {
    let mut f = Fixture::new();
    let timed = f.keep_as(of("e")).await;
    let untimed = f
        .keep_as(|facts| {
            of("e")(facts);
            facts.wall = None;
        })
        .await;
    end(&f, "e", 2).await;
    f.reopen_at(later(TEN_MINUTES / 2)).await;
    nothing_due(&f).await;
    f.reopen_at(later(2 * TEN_MINUTES)).await;
    let event = due(&f).await.remove(0);
    assert_eq!((event.counts.pending, event.why.as_str()), (2, "quiet"));
    let claim = f.spool.claim(Order::Oldest).await.unwrap().unwrap();
    let loaded = claim.load().unwrap();
    let [known, open] = &event.pictures[..] else { panic!("{event:?}") };
    assert_eq!((known.seq, known.key.as_ref()), (timed, Some(&loaded.key)));
    assert_eq!((known.size, known.sha256.as_ref()), (Some(300), Some(&loaded.facts.sha256)));
    assert!(known.captured.as_ref().unwrap().starts_with("2023-07-22T04:26:40"));
    assert_eq!((open.seq, open.key.as_ref(), open.captured.as_ref()), (untimed, None, None));
    assert_eq!(open.size, Some(300));

    f.spool.set_offset(1_700_000_000_000_000_000, "store").await.unwrap();
    let decided = due(&f).await.remove(0).pictures.remove(1);
    assert!(decided.key.unwrap().contains("/2023/11/14/"), "decided since");
    f.spool.stored(timed, receipt(timed)).await.unwrap();
    assert_eq!(due(&f).await[0].counts.stored, 1);
}

#[tokio::test]
async fn an_event_of_which_nothing_was_kept_is_due_at_once() {
    let f = Fixture::new();
    end(&f, "e", 3).await;
    let event = due(&f).await.remove(0);
    assert_eq!((event.counts.chosen, event.counts.refused), (Some(3), Some(3)));
    assert_eq!((event.pictures.len(), event.boot.as_str()), (0, BOOT));
}

#[tokio::test]
async fn a_last_picture_ends_what_is_followed() {
    let mut f = Fixture::new();
    f.keep_as(of("e")).await;
    f.keep_as(of("other")).await;
    assert_eq!(followed(&f), (2, 2));
    f.keep_as(last_of("e")).await;
    assert_eq!(followed(&f), (1, 1));
    f.keep_as(of("e")).await;
    end(&f, "e", 3).await;
    assert_eq!(followed(&f), (1, 1), "even where the order was wrong");
    nothing_due(&f).await;
}

#[tokio::test]
async fn a_last_picture_that_was_refused_ends_nothing() {
    let mut f = Fixture::with_quota(10_000);
    let bytes = body(1, 20_000);
    let mut facts = facts(1, Class::Best, &bytes);
    last_of("e")(&mut facts);
    let account = f.hand_over_with(facts, bytes);
    end(&f, "e", 1).await;
    assert_eq!(account.sums().kept, 0);
    assert_eq!(due(&f).await[0].counts.refused, Some(1));
}

#[tokio::test]
async fn the_manifest_of_an_event_ends_it_in_its_own_transaction_or_when_it_is_adopted() {
    let mut f = Fixture::new();
    let seq = f.keep_as(of("e")).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    end(&f, "e", 1).await;
    f.keep_as(of("other")).await;
    let mut crashed = f.copy().open(BOOT).0;
    let manifest = f.keep_as(manifest_of("e")).await;
    assert_eq!(followed(&f), (1, 1));
    nothing_due(&f).await;
    let s = f.balanced().await;
    assert_eq!(s.classes[3].queued, 1);
    let claim = f.spool.claim(Order::Newest).await.unwrap().unwrap();
    assert!(claim.load().unwrap().key.contains("-manifest-"));
    assert_eq!(claim.seq, manifest);

    assert_eq!(due(&crashed).await[0].event, "e");
    crashed.spool.stop().await;
    crashed.lay_down_as(manifest, manifest_of("e"));
    assert_eq!(crashed.reopen(BOOT).await.adopted, 1);
    assert!(due(&crashed).await.iter().all(|event| event.event != "e"));
}

#[tokio::test]
async fn an_end_takes_effect_behind_the_pictures_handed_over_before_it() {
    let mut f = Fixture::new();
    // More than one group.
    let offers: Vec<_> = (0..100)
        .map(|_| {
            let bytes = body(f.next_seq, 300);
            let mut facts = facts(f.next_seq, Class::Event, &bytes);
            of("e")(&mut facts);
            f.hand_over_with(facts, bytes)
        })
        .collect();
    f.spool.event_ended(end_of("e", 100));
    f.spool.flush().await.unwrap();
    assert!(offers.iter().all(|account| account.sums().kept == 1));
    assert_eq!(f.count("events WHERE ended_ns IS NOT NULL"), 1);
    nothing_due(&f).await;
    f.reopen_at(later(2 * TEN_MINUTES)).await;
    let counts = due(&f).await[0].counts;
    assert_eq!((counts.pending, counts.refused), (100, Some(0)));
}

#[tokio::test]
async fn what_a_restart_cut_off_is_interrupted() {
    let mut f = Fixture::new();
    let seq = f.keep_as(of("e")).await;
    f.kill(BOOT).await;
    nothing_due(&f).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    let event = due(&f).await.remove(0);
    assert_eq!((event.why.as_str(), event.duration_ms), ("interrupted", None));
    assert_eq!((event.counts.chosen, event.counts.refused, event.counts.stored), (None, None, 1));
    assert_eq!(event.began, 1_000_000_000, "of its first picture");
}

#[tokio::test]
async fn an_event_that_ended_in_an_earlier_boot_waits_again_as_it_did_and_keeps_its_end() {
    let mut f = Fixture::new();
    let seq = f.keep_as(of("e")).await;
    end(&f, "e", 1).await;
    f.reopen_at(Moment { at: BootTime(1 + 2 * TEN_MINUTES), ..moment(SECOND_BOOT) }).await;
    nothing_due(&f).await;
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    let event = due(&f).await.remove(0);
    assert_eq!((event.why.as_str(), event.boot.as_str()), ("quiet", BOOT));
}

#[tokio::test]
async fn a_lost_index_finds_its_events_again() {
    let mut f = Fixture::new();
    let (one, other) = (f.keep_as(of("e")).await, f.keep_as(of("e")).await);
    f.keep_as(last_of("single")).await;
    f.keep_as(of("told")).await;
    f.keep_as(manifest_of("told")).await;
    f.spool.stop().await;
    fs::remove_file(f.path().join("index.db")).unwrap();
    assert!(f.reopen(BOOT).await.rebuilt);
    assert_eq!(followed(&f), (1, 2));
    f.spool.stored(one, receipt(one)).await.unwrap();
    nothing_due(&f).await;
    f.spool.stored(other, receipt(other)).await.unwrap();
    assert_eq!(due(&f).await[0].counts.stored, 2);
}

#[tokio::test]
async fn an_end_waits_for_an_index_that_fails() {
    let mut f = Fixture::new();
    f.break_index();
    let seq = f.keep_as(of("e")).await;
    end(&f, "e", 1).await;
    assert_eq!(f.count("events WHERE ended_ns IS NOT NULL"), 0);
    f.mend_index();
    let mut mail = f.spool.outbox_changed();
    while f.count("events WHERE ended_ns IS NOT NULL") == 0 {
        mail.changed().await.unwrap(); // told whenever the index is open again
    }
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    assert_eq!(due(&f).await[0].why, "quiet");
    assert_eq!(f.balanced().await.generation, 1);
}

#[tokio::test]
async fn due_events_come_four_at_a_time_the_oldest_first() {
    let f = Fixture::new();
    for n in 0..6 {
        end(&f, &format!("e{n}"), 0).await;
    }
    let events: Vec<_> = due(&f).await.into_iter().map(|event| event.event).collect();
    assert_eq!(events, ["e0", "e1", "e2", "e3"]);
}

#[tokio::test]
async fn a_full_disk_grows_no_more_than_a_thousand_events() {
    let mut f = Fixture::new();
    f.keep_as(of("first")).await;
    f.keep_as(of("second")).await;
    f.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998)
         INSERT INTO events (camera, event, boot, began_ns) SELECT 'x', 'e' || i, '', 0 FROM n",
    );
    f.keep_as(of("new")).await;
    assert_eq!(f.count("events"), 1000);
    assert_eq!(f.count("events WHERE event = 'first'"), 0);
    assert_eq!(f.count("members"), 2, "its pictures' rows went with it");
    assert_eq!(f.count("flags WHERE name = 'events-dropped' AND value = 1"), 1);
}

#[tokio::test]
async fn a_picture_may_belong_to_a_command_and_an_event() {
    let mut f = Fixture::new();
    let seq = f
        .keep_as(|facts| {
            of("e")(facts);
            facts.command = Some("c".to_owned());
        })
        .await;
    end(&f, "e", 1).await;
    assert_eq!(followed(&f), (1, 2));
    f.spool.stored(seq, receipt(seq)).await.unwrap();
    assert_eq!((followed(&f), f.count("outbox")), ((1, 1), 1));
    assert_eq!(due(&f).await[0].counts.stored, 1);
}
