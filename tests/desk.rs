//! The desk on a real spool: commands from delivery to outcome, in and out of order, known, late, too
//! many, broken, and cut off in the middle.

#![cfg(test)]

#[path = "desk/bench.rs"]
mod bench;
#[allow(dead_code, reason = "shared with the spool's own tests")]
#[path = "spool/fixture.rs"]
mod fixture;

use std::collections::BTreeMap;
use std::time::Duration;

use bench::{Bench, delivery, open, outbox, outcome, payload};
use fixture::{BOOT, Fixture};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use vedette::clock::BootTime;
use vedette::contract::command::{Reason, Status};
use vedette::control::command::{
    BURST, Code, Incoming, MAX_PAYLOAD, Op, RateLimit, Verdict, judge,
};
use vedette::control::desk::{AT_WORK, HELD};
use vedette::control::{Job, Reply, Taken};

fn failed(code: &str) -> Reply {
    Reply::failed(code, "why")
}

fn why(code: &str) -> Option<String> {
    Some(code.to_owned())
}

#[tokio::test]
async fn a_command_is_written_down_acknowledged_told_and_done_in_this_order() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let args = json!({"camera": "front", "size": "640x480", "quality": 70, "count": 2});
    let acked = bench.command("a", "snapshot", args).await;
    bench.is_told("a", Status::Accepted).await;
    assert!(acked.yes());
    assert_eq!(open(&f).await, 1);
    let (job, reply) = bench.asked().await;
    let Job::Take(take) = job else { panic!("{job:?}") };
    assert_eq!((take.camera.as_deref(), take.count, take.said), (Some("front"), 2, None));
    assert_eq!((take.command.as_deref(), take.within), (Some("a"), Duration::from_secs(10)));
    assert_eq!((take.order.size, take.order.quality), (Some((640, 480)), Some(70)));
    reply.send(failed("camera-lost")).unwrap();
    assert_eq!(outcome(&f.spool, "a").await, (Status::Failed, why("camera-lost")));
    let sums = bench.sums();
    assert_eq!((sums.received, sums.accepted, sums.in_hand), (1, 1, 0));
}

#[tokio::test]
async fn pictures_on_their_way_are_told_before_the_end() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let args = json!({"camera": "front", "label": "person", "boxes": [[0, 0, 1, 1]]});
    bench.command("a", "trigger", args).await;
    bench.is_told("a", Status::Accepted).await;
    let (job, reply) = bench.asked().await;
    let Job::Take(take) = job else { panic!("{job:?}") };
    let said = take.said.unwrap();
    assert_eq!((take.count, said.label.as_deref(), said.boxes.len()), (1, Some("person"), 1));
    reply.send(Reply::Taken(Taken { camera: "front".into(), kept: 1, fault: None })).unwrap();
    let told = bench.told("a").await;
    assert_eq!(told.status, Status::InProgress);
    assert_eq!(told.result, Some(json!({"camera": "front", "kept": 1})));
    assert!(told.seq > 1 && told.clock == "trusted" && told.ts.is_some());
}

#[tokio::test]
async fn nothing_taken_in_time_is_timed_out() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("a", "snapshot", json!({})).await;
    let (_, reply) = bench.asked().await;
    let fault = Some(Reason::new("timed-out", "no frame came"));
    reply.send(Reply::Taken(Taken { camera: "front".into(), kept: 0, fault })).unwrap();
    assert_eq!(outcome(&f.spool, "a").await, (Status::TimedOut, why("timed-out")));
    bench.is_told("a", Status::Accepted).await;
    assert!(bench.published.try_recv().is_err(), "nothing is in progress");
}

#[tokio::test]
async fn what_is_left_of_its_life_is_all_that_a_camera_is_waited_for() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let short = json!({"id": "a", "op": "snapshot", "ttl_s": 3}).to_string();
    bench.deliver(delivery("a", short).0).await;
    let (job, _reply) = bench.asked().await;
    assert!(matches!(job, Job::Take(take) if take.within == Duration::from_secs(3)));
    // The test's clock says 2030-01-01T00:00:02 when this one is delivered.
    let old = json!({"id": "b", "op": "snapshot", "ttl_s": 5, "issued_at": "2029-12-31T23:59:59Z"});
    bench.deliver(delivery("b", old.to_string()).0).await;
    let (job, _reply) = bench.asked().await;
    assert!(matches!(job, Job::Take(take) if take.within == Duration::from_secs(2)));
}

#[tokio::test]
async fn the_same_id_five_times_has_one_effect() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let mut acked = Vec::new();
    for _ in 0..5 {
        acked.push(bench.command("a", "snapshot", json!({})).await);
    }
    for _ in 0..5 {
        bench.is_told("a", Status::Accepted).await;
    }
    let (_, reply) = bench.asked().await;
    assert!(bench.asks.try_recv().is_err());
    reply.send(failed("camera-lost")).unwrap();
    assert_eq!(outcome(&f.spool, "a").await, (Status::Failed, why("camera-lost")));
    // Known after its end too: the end is told again, and nothing is done.
    acked.push(bench.command("a", "snapshot", json!({})).await);
    bench.is_told("a", Status::Failed).await;
    assert!(bench.asks.try_recv().is_err() && acked.iter().all(bench::Acked::yes));
    assert_eq!((bench.sums().accepted, bench.sums().known), (1, 5));
}

#[tokio::test]
async fn a_pause_is_a_row_and_outlives_the_desk_and_the_spool() {
    let mut f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("p", "upload.pause", json!({})).await;
    assert_eq!(outcome(&f.spool, "p").await, (Status::Succeeded, None));
    assert!(bench.published.try_recv().is_err(), "only the outbox tells");
    assert!(f.spool.snapshot().await.unwrap().paused);
    bench.stop().await;
    f.reopen(BOOT).await;
    assert!(f.spool.snapshot().await.unwrap().paused);
    let mut bench = Bench::new(&f.spool);
    bench.command("p", "upload.pause", json!({})).await;
    bench.is_told("p", Status::Succeeded).await;
    bench.command("r", "upload.resume", json!({})).await;
    outbox(&f.spool, 2).await;
    assert!(!f.spool.snapshot().await.unwrap().paused);
    // The pause comes again, late: it is known, and does not pause again.
    bench.command("p", "upload.pause", json!({})).await;
    bench.is_told("p", Status::Succeeded).await;
    assert!(!f.spool.snapshot().await.unwrap().paused);
    assert!(bench.asks.try_recv().is_err());
}

#[tokio::test]
async fn what_was_accepted_and_cut_off_is_told_as_interrupted() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("a", "snapshot", json!({})).await;
    bench.is_told("a", Status::Accepted).await;
    let (_, _reply) = bench.asked().await;
    // What a kill now would leave.
    let (killed, _) = f.copy().open(BOOT);
    assert_eq!(outcome(&killed.spool, "a").await, (Status::Failed, why("interrupted")));
    let mut again = Bench::new(&killed.spool);
    again.command("a", "snapshot", json!({})).await;
    again.is_told("a", Status::Failed).await;
    assert!(again.asks.try_recv().is_err(), "its effect never begins again");
}

#[tokio::test]
async fn a_stop_leaves_what_is_at_work_open_and_it_ends_as_interrupted() {
    let mut f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("a", "snapshot", json!({})).await;
    let (_, _reply) = bench.asked().await;
    bench.stop().await;
    assert_eq!(open(&f).await, 1);
    f.reopen(BOOT).await;
    assert_eq!(outcome(&f.spool, "a").await, (Status::Failed, why("interrupted")));
}

#[tokio::test]
async fn a_stop_gives_what_is_at_work_its_last_second() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("a", "snapshot", json!({})).await;
    let (_, reply) = bench.asked().await;
    bench.begin_stop();
    // The desk has heard it when it lets go of what is delivered.
    bench.closed().await;
    reply.send(failed("camera-lost")).unwrap();
    bench.ended().await;
    assert_eq!(outcome(&f.spool, "a").await, (Status::Failed, why("camera-lost")));
}

#[tokio::test]
async fn an_agent_that_lets_a_command_go_leaves_it_open() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.command("a", "snapshot", json!({})).await;
    let (_, reply) = bench.asked().await;
    drop(reply);
    bench.stop().await;
    assert_eq!((open(&f).await, f.spool.outbox(0, 9).await.unwrap().len()), (1, 0));
}

#[tokio::test]
async fn more_than_can_be_at_work_are_busy_and_not_written_down() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let mut replies = Vec::new();
    for n in 0..AT_WORK {
        let id = format!("a{n}");
        bench.command(&id, "status", json!({})).await;
        bench.is_told(&id, Status::Accepted).await;
        replies.push(bench.asked().await.1);
    }
    let acked = bench.command("b", "snapshot", json!({})).await;
    assert_eq!(bench.rejection("b").await, "busy");
    assert!(acked.yes());
    assert_eq!(open(&f).await, AT_WORK as u64);
    bench.command("a0", "status", json!({})).await;
    bench.is_told("a0", Status::Accepted).await;
    bench.command("p", "upload.pause", json!({})).await;
    outbox(&f.spool, 1).await;
    replies.pop().unwrap().send(failed("x")).unwrap();
    outbox(&f.spool, 2).await;
    // It was rejected, and so is not known: sent again, it is new.
    loop {
        bench.command("b", "snapshot", json!({})).await;
        let told = bench.told("b").await;
        if told.status == Status::Accepted {
            break;
        }
        assert_eq!(told.reason.unwrap().code, "busy", "the one that ended has not left yet");
    }
}

#[tokio::test]
async fn a_burst_is_taken_and_the_rest_told_when_to_come_again() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    // One that is known costs nothing.
    for status in [None, Some(Status::Succeeded), Some(Status::Succeeded)] {
        bench.at_once("p0", "upload.pause").await;
        if let Some(status) = status {
            bench.is_told("p0", status).await;
        }
    }
    for n in 1..=BURST {
        bench.at_once(&format!("p{n}"), "upload.pause").await;
    }
    let told = bench.told("p10").await;
    assert_eq!(told.reason.unwrap().code, "rate-limited");
    assert_eq!(told.result, Some(json!({"after_s": 1})));
    // And one that is known is never told that it was too many.
    bench.at_once("p0", "upload.pause").await;
    bench.is_told("p0", Status::Succeeded).await;
    bench.command("p10", "upload.pause", json!({})).await;
    outbox(&f.spool, 11).await;
    bench.come_so_far().await;
    let sums = bench.sums();
    assert_eq!((sums.accepted, sums.known, sums.rejected_total()), (11, 3, 2));
}

#[tokio::test]
async fn an_accepted_command_that_comes_again_late_is_not_told_rejected() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let issued = json!({"id": "a", "op": "upload.pause", "issued_at": "2030-01-01T00:00:00Z"});
    bench.deliver(delivery("a", issued.to_string()).0).await;
    assert_eq!(outcome(&f.spool, "a").await, (Status::Succeeded, None));
    bench.pass(Duration::from_secs(3600));
    bench.deliver(delivery("a", issued.to_string()).0).await;
    bench.is_told("a", Status::Succeeded).await;
    let (mut retained, _) = delivery("a", issued.to_string());
    retained.retain = true;
    bench.deliver(retained).await;
    bench.is_told("a", Status::Succeeded).await;
    let never = json!({"id": "b", "op": "upload.pause", "issued_at": "2030-01-01T00:00:00Z"});
    bench.deliver(delivery("b", never.to_string()).0).await;
    assert_eq!(bench.rejection("b").await, "expired");
    assert_eq!((bench.sums().known, bench.sums().rejected_total()), (2, 1));
}

#[tokio::test]
async fn a_response_topic_hears_all_that_the_status_topic_hears() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let with_response = |id: &str, topic: &str| {
        let (mut delivery, _) = delivery(id, payload(id, "status", json!({})));
        delivery.response_topic = Some(topic.to_owned());
        delivery.correlation = Some(vec![1, 2, 3]);
        delivery
    };
    bench.deliver(with_response("a", "vedette/v1/cam/reply/me")).await;
    for (topic, correlation) in [("cmd/a/status", None), ("reply/me", Some(vec![1, 2, 3]))] {
        let publication = bench.published.recv().await.unwrap();
        assert_eq!((&*publication.topic, publication.correlation), (topic, correlation));
    }
    let (job, reply) = bench.asked().await;
    assert_eq!(job, Job::Status);
    reply.send(Reply::Done).unwrap();
    outbox(&f.spool, 2).await;
    let ends = f.spool.outbox(0, 9).await.unwrap();
    let ends: Vec<_> = ends.into_iter().map(|q| (q.message.topic, q.message.correlation)).collect();
    let told = [("cmd/a/status".into(), None), ("reply/me".into(), Some(vec![1, 2, 3]))];
    assert_eq!(ends, told);
    // Not where it would be a command, or foreign.
    for (id, topic) in [("b", "vedette/v1/cam/cmd/b"), ("c", "vedette/v1/other/reply")] {
        bench.deliver(with_response(id, topic)).await;
        bench.is_told(id, Status::Accepted).await;
        bench.asked().await.1.send(Reply::Done).unwrap();
    }
    let all: Vec<_> = outbox(&f.spool, 4).await.into_iter().map(|(topic, _)| topic).collect();
    assert_eq!(all, ["cmd/a/status", "reply/me", "cmd/b/status", "cmd/c/status"]);
    assert!(bench.published.try_recv().is_err());
}

#[tokio::test]
async fn the_desk_closes_with_the_broker_or_the_spool_and_acknowledges_nothing_more() {
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    f.spool.stop().await;
    let acked = bench.command("a", "status", json!({})).await;
    bench.ended().await;
    assert!(!acked.yes());
    assert_eq!((bench.sums().received, bench.sums().dropped), (1, 1));
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    bench.hang_up();
    bench.ended().await;
}

/// The index fails, and cannot be rebuilt until [`bring_back`].
fn take_away(f: &Fixture) {
    std::fs::rename(f.path().join("images"), f.path().join("away")).unwrap();
    f.sql("DROP TABLE commands");
}

fn bring_back(f: &Fixture) {
    std::fs::rename(f.path().join("away"), f.path().join("images")).unwrap();
}

/// Commands that are held while the index fails.
async fn held(bench: &mut Bench, ids: &[(&str, &str)]) -> Vec<bench::Acked> {
    let mut acked = Vec::new();
    for (id, op) in ids {
        acked.push(bench.command(id, op, json!({})).await);
    }
    bench.come_so_far().await;
    assert!(!acked.iter().any(bench::Acked::yes));
    assert_eq!((bench.sums().in_hand, bench.sums().accepted), (ids.len() as u64, 0));
    acked
}

#[tokio::test]
async fn while_the_index_is_away_commands_are_held_and_then_done_in_their_order() {
    let f = Fixture::new();
    take_away(&f);
    let mut bench = Bench::new(&f.spool);
    let ids = [("p", "upload.pause"), ("a", "snapshot"), ("r", "upload.resume")];
    let acked = held(&mut bench, &ids).await;
    bring_back(&f);
    bench.is_told("a", Status::Accepted).await;
    bench.asked().await.1.send(failed("camera-lost")).unwrap();
    let ends = outbox(&f.spool, 3).await;
    let of = |id: &str| ends.iter().position(|(_, told)| told.id == id).unwrap();
    bench.come_so_far().await;
    assert!(of("p") < of("r") && acked.iter().all(bench::Acked::yes));
    assert!(!f.spool.snapshot().await.unwrap().paused);
    assert_eq!((bench.sums().accepted, bench.sums().in_hand), (3, 0));
}

#[tokio::test]
async fn what_cannot_be_written_down_in_its_time_is_rejected_and_nothing_is_done() {
    let f = Fixture::new();
    take_away(&f);
    let mut bench = Bench::new(&f.spool);
    let acked = held(&mut bench, &[("a", "snapshot"), ("b", "upload.pause")]).await;
    bench.pass(Duration::from_secs(3600));
    assert_eq!(bench.rejection("a").await, "unavailable");
    assert_eq!(bench.rejection("b").await, "unavailable");
    assert!(acked.iter().all(bench::Acked::yes) && bench.asks.try_recv().is_err());
    assert_eq!((bench.sums().rejected_total(), bench.sums().in_hand), (3, 0));
}

#[tokio::test]
async fn no_more_are_held_than_there_is_room_for() {
    let f = Fixture::new();
    take_away(&f);
    let mut bench = Bench::new(&f.spool);
    let ids: Vec<_> = (0..=HELD).map(|n| format!("p{n}")).collect();
    for id in &ids {
        bench.command(id, "upload.pause", json!({})).await;
    }
    assert_eq!(bench.rejection(&ids[HELD]).await, "unavailable");
    assert_eq!(bench.sums().in_hand, HELD as u64);
    bench.stop().await;
    assert_eq!(bench.sums().dropped, HELD as u64, "the broker sends them again");
}

/// A delivery: on a topic, with a payload, retained or not.
type Sent = (String, Vec<u8>, bool);

/// Right commands, right ones with a few bytes or fields changed, and noise.
fn sent() -> impl Strategy<Value = Sent> {
    let id = || "[A-Za-z0-9_-]{1,8}";
    let right = || {
        let op = prop_oneof![
            Just(json!({"op": "status"})),
            Just(json!({"op": "upload.pause", "args": {}})),
            Just(json!({"op": "upload.resume", "ttl_s": 5})),
            (1..16, 1..100).prop_map(|(count, quality)| {
                json!({"op": "snapshot", "args": {"count": count, "quality": quality}})
            }),
            "[a-z]{1,9}".prop_map(|label| json!({"op": "trigger", "args": {"label": label}})),
        ];
        (id(), op).prop_map(|(id, mut payload)| {
            payload["id"] = id.clone().into();
            (id, payload)
        })
    };
    let topic = |id: &str| format!("{}/cmd/{id}", bench::PREFIX);
    let field = prop_oneof![Just("args"), Just("op"), Just("id"), Just("ttl_s"), Just("x")];
    let value = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!([])),
        Just(json!({"count": 0})),
    ];
    let bytes = || proptest::collection::vec(any::<u8>(), 0..5);
    prop_oneof![
        1 => right().prop_map(move |(id, payload)| (topic(&id), payload.to_string(), false))
            .prop_map(|(topic, payload, retain)| (topic, payload.into_bytes(), retain)),
        4 => (right(), field, value).prop_map(move |((id, mut payload), field, value)| {
            payload[field] = value;
            (topic(&id), payload.to_string().into_bytes(), false)
        }),
        4 => (right(), any::<prop::sample::Index>(), bytes()).prop_map(
            move |((id, payload), at, with)| {
                let mut bytes = payload.to_string().into_bytes();
                let at = at.index(bytes.len());
                bytes.splice(at..=at, with);
                (topic(&id), bytes, false)
            }
        ),
        1 => (any::<String>(), bytes(), any::<bool>()),
        1 => (id(), proptest::collection::vec(any::<u8>(), 0..200), any::<bool>())
            .prop_map(move |(id, payload, retain)| (topic(&id), payload, retain)),
        1 => id().prop_map(move |id| (topic(&id), vec![b'{'; MAX_PAYLOAD + 1], false)),
    ]
}

/// What becomes of deliveries, by the judge alone; and how many of them are answered.
fn judged(all: &[Sent]) -> (BTreeMap<String, u64>, u64) {
    let (mut by_code, mut nobody) = (BTreeMap::new(), 0);
    for (topic, payload, retain) in all {
        let incoming = Incoming { topic, payload, retain: *retain };
        let verdict = judge(&incoming, bench::PREFIX, None, &mut RateLimit::default(), BootTime(1));
        let word = match verdict {
            Verdict::Take(_) => "taken",
            Verdict::Ignore(_) => "ignored",
            Verdict::Reject { id, why } => {
                nobody += u64::from(id.is_none());
                why.code.name()
            }
        };
        *by_code.entry(word.to_owned()).or_default() += 1;
    }
    (by_code, nobody)
}

#[tokio::test]
async fn of_ten_thousand_deliveries_each_is_acknowledged_and_counted_and_answered_if_it_can_be() {
    const COUNT: usize = 10_000;
    let mut runner = TestRunner::new(Config::default());
    let all: Vec<Sent> =
        (0..COUNT).map(|_| sent().new_tree(&mut runner).unwrap().current()).collect();
    let (by_code, nobody) = judged(&all);
    let f = Fixture::new();
    let mut bench = Bench::new(&f.spool);
    let busy = bench.served_by(|| failed("camera-lost"));
    let mut acked = Vec::new();
    for (topic, payload, retain) in all {
        let (mut delivery, one) = delivery("x", payload);
        (delivery.topic, delivery.retain) = (topic, retain);
        bench.deliver(delivery).await;
        acked.push(one);
    }
    bench.hang_up();
    bench.ended().await;
    let (answered, asked) = busy.await.unwrap();
    assert!(acked.iter().all(bench::Acked::yes));
    let sums = bench.sums();
    assert_eq!((sums.received, sums.dropped, sums.in_hand), (COUNT as u64, 0, 0));
    assert_eq!(sums.ignored, by_code["ignored"]);
    for (code, count) in Code::ALL.into_iter().zip(sums.rejected) {
        // Some of those that are taken are busy, and some of those that are retained are known.
        if !code.is_of_the_moment() {
            assert_eq!(count, by_code.get(code.name()).copied().unwrap_or(0), "{}", code.name());
        }
    }
    assert!(sums.accepted > 100 && by_code.len() > 9, "{sums:?} {by_code:?}");
    let rows = sums.accepted - asked;
    assert_eq!(answered, COUNT as u64 - sums.ignored - nobody - rows, "{sums:?} {by_code:?}");
    let s = f.spool.snapshot().await.unwrap();
    assert_eq!((s.open_commands, s.outbox.kinds[0].put), (0, sums.accepted), "each has its end");
}

/// What operators read, as it stands in the repository.
const DOC: &str = include_str!("../docs/mqtt.md");

#[test]
fn every_command_that_the_documentation_shows_is_taken_and_every_code_is_explained() {
    let shown: Vec<_> = DOC.lines().filter_map(|line| line.split_once(" -m '")).collect();
    assert!(shown.len() > 6, "{shown:?}");
    for (_, rest) in shown {
        let payload = rest.strip_suffix('\'').unwrap();
        let payload =
            payload.replace("'$id'", "a-1").replace("'$(date -u +%FT%TZ)'", "2026-11-22T10:15:30Z");
        let topic = format!("{}/cmd/a-1", bench::PREFIX);
        let incoming = Incoming { topic: &topic, payload: payload.as_bytes(), retain: false };
        let verdict = judge(&incoming, bench::PREFIX, None, &mut RateLimit::default(), BootTime(1));
        assert!(matches!(verdict, Verdict::Take(_)), "{payload}: {verdict:?}");
    }
    for code in Code::ALL {
        assert!(DOC.contains(&format!("\n| `{}` |", code.name())), "{} is missing", code.name());
    }
    for op in Op::NAMES {
        assert!(DOC.contains(&format!("\n| `{op}` |")), "{op} is missing");
    }
}
