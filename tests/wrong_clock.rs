//! The real agent under a wrong clock, as `clock.trust = "store"` is meant for: in 1970, a day behind and
//! a day ahead, against a store that answers presigned URLs as AWS does. What can be sent is refused
//! once, corrected once, and stored; what needs a date gets the store's; nothing gets a wrong one.
//!
//! The wall clock is libfaketime's (`tools/setup test` installs it). It must not touch the monotonic
//! clock, and cannot touch CLOCK_BOOTTIME, which the agent reads past the C library.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic, its helpers too")]

#[path = "support/device.rs"]
mod device;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use device::{Device, all_stored, camera};
use jiff::Timestamp;
use scripted_http::{Seen, Server, Step};
use vedette::status::Status;

/// What the device believes: seconds after 1970, a day ago, a day ahead.
const CLOCKS: [&str; 3] = ["@1970-01-01 00:00:10", "-1d", "+1d"];
/// What AWS says of a signature that is too old and of one that is too young.
const BODIES: [(&str, &str); 2] =
    [("aws-expired", "aws-not-yet-valid"), ("aws-time-too-skewed", "aws-time-too-skewed")];
/// Pictures of each camera.
const FRAMES: usize = 4;

/// What the store says to `OPTIONS`.
#[derive(Clone, Copy)]
enum Options {
    /// Its time, with a refusal.
    Date,
    /// A refusal without `Date`.
    Nothing,
}

/// A recorded answer of AWS, told now.
fn recorded(name: &str) -> Step {
    let path = format!("{}/tests/fixtures/answers/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let now = Timestamp::now();
    let text = fs::read_to_string(path)
        .unwrap()
        .replace("Sun, 22 Nov 2026 10:00:00 GMT", &httpdate::fmt_http_date(SystemTime::now()))
        .replace("2026-11-22T10:00:00Z", &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let (head, body) = text.split_once("\n\n").unwrap();
    Step::Answer(head.into(), body.into())
}

/// A store that goes by its own clock, which is right. While `down` it takes nothing.
fn store(options: Options, bodies: (&'static str, &'static str), down: &Arc<AtomicBool>) -> Server {
    let down = Arc::clone(down);
    Server::start(move |seen| match seen.method.as_str() {
        "OPTIONS" => match options {
            Options::Date => recorded("aws-access-denied"),
            Options::Nothing => Step::Answer("405 Method Not Allowed".into(), String::new()),
        },
        _ if down.load(Ordering::Relaxed) => recorded("aws-slow-down"),
        _ => match validity(seen) {
            Validity::Valid => recorded("aws-ok"),
            Validity::TooOld => recorded(bodies.0),
            Validity::TooYoung => recorded(bodies.1),
        },
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Validity {
    Valid,
    TooOld,
    TooYoung,
}

/// Does the time window of a presigned URL contain the store's time?
fn validity(seen: &Seen) -> Validity {
    let signed: jiff::civil::DateTime =
        jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", seen.query("X-Amz-Date").unwrap())
            .unwrap()
            .to_datetime()
            .unwrap();
    let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second();
    let valid: i64 = seen.query("X-Amz-Expires").unwrap().parse().unwrap();
    match Timestamp::now().as_second() - signed {
        ago if ago < 0 => Validity::TooYoung,
        ago if ago > valid => Validity::TooOld,
        _ => Validity::Valid,
    }
}

fn configure(device: &Device, server: &Server, wait: &str, trust: &str, cameras: &[&str]) {
    fs::write(
        device.path("keys"),
        "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n",
    )
    .unwrap();
    let cameras: String =
        cameras.iter().map(|name| camera(name, u32::try_from(FRAMES).unwrap())).collect();
    device.configure(&format!(
        "[clock]\ntrust = \"{trust}\"\n[destination]\nconcurrency = 1\nwait_for_clock = \"{wait}\"\n\
         [destination.s3]\nendpoint = \"http://{}\"\nbucket = \"pictures\"\nprovider = \"aws\"\n\
         style = \"path\"\nregion = \"us-east-1\"\ncredentials_file = \"{}\"\n{cameras}",
        server.addr,
        device.path("keys").display(),
    ));
}

/// What happened at the store, held against what the agent says of itself.
struct AtStore {
    stored: Vec<Seen>,
}

/// Exactly `refused` PUTs were refused for their time and all others stored, one a key; whatever has a
/// date has the store's, between `began` and now.
fn hold(server: &Server, status: &Status, began: Timestamp, refused: usize) -> AtStore {
    let puts: Vec<Seen> = server.seen().into_iter().filter(|s| s.method == "PUT").collect();
    let stored: Vec<Seen> =
        puts.iter().filter(|put| validity(put) == Validity::Valid).cloned().collect();
    assert_eq!(puts.len() - stored.len(), refused, "one correction, and no more");
    let ledger = &status.ledger;
    assert_eq!((ledger.kept, ledger.stored), (stored.len() as u64, stored.len() as u64));
    assert_eq!((ledger.quarantined, ledger.lost.len()), (0, 0));
    let keys: BTreeSet<&str> = stored.iter().map(Seen::path).collect();
    assert_eq!(keys.len(), stored.len(), "one PUT a picture");
    if let Some(first) = puts.iter().find(|put| validity(put) != Validity::Valid) {
        assert!(keys.contains(first.path()), "the same key again: {}", first.path());
    }
    stored.iter().for_each(|put| holds_its_time(put, began));
    AtStore { stored }
}

/// Key, metadata and EXIF tell one time, which is the store's, or none of them does.
fn holds_its_time(put: &Seen, began: Timestamp) {
    let exif = exif_date(&put.body);
    let (clock, path) = (put.header("x-amz-meta-clock").unwrap(), put.path());
    let Some(captured) = put.header("x-amz-meta-captured") else {
        assert_eq!((clock, exif), ("unsynced", None), "{path}");
        assert!(path.contains("/unsynced/"), "{path}");
        return;
    };
    let time: Timestamp = captured.parse().unwrap();
    let slack = Duration::from_secs(5);
    assert!(time >= began - slack && time <= Timestamp::now() + slack, "{path}: {captured}");
    let in_key = time.strftime("/%Y/%m/%d/%H%M%S.%3fZ-interval-").to_string();
    assert!(path.contains(&in_key), "{path} for {captured}");
    match clock {
        "trusted" => {
            let date = time.strftime("%Y:%m:%d %H:%M:%S.%3f").to_string();
            assert_eq!(exif, Some(date), "{path}");
        }
        "boot" => assert_eq!(exif, None, "it was not known at capture: {path}"),
        other => panic!("{other}: {path}"),
    }
}

fn exif_date(jpeg: &[u8]) -> Option<String> {
    use exif::{In, Tag};
    let all = exif::Reader::new().read_from_container(&mut std::io::Cursor::new(jpeg)).unwrap();
    let text = |tag| match &all.get_field(tag, In::PRIMARY)?.value {
        exif::Value::Ascii(text) => Some(String::from_utf8(text.concat()).unwrap()),
        other => panic!("{other:?}"),
    };
    Some(format!("{}.{}", text(Tag::DateTimeOriginal)?, text(Tag::SubSecTimeOriginal)?))
}

/// Pictures of a camera that is added while the agent runs and knows the time.
fn add_a_camera_and_wait(device: &mut Device, name: &str) -> Status {
    device.reload();
    device.wait("the pictures of a new camera", |s| {
        s.cameras.get(name).is_some_and(|c| c.chosen == FRAMES as u64) && all_stored(s)
    })
}

fn of_camera<'a>(seen: &'a AtStore, name: &str) -> Vec<&'a Seen> {
    let is = |put: &&Seen| put.header("x-amz-meta-camera") == Some(name);
    seen.stored.iter().filter(is).collect()
}

fn clocks(puts: &[&Seen]) -> Vec<String> {
    puts.iter().map(|put| put.header("x-amz-meta-clock").unwrap().to_owned()).collect()
}

/// Runs one case under each clock, and with each kind of refusal, all at once: they mostly wait.
fn under_each_clock(case: fn(&str, (&'static str, &'static str))) {
    std::thread::scope(|scope| {
        for clock in CLOCKS {
            for bodies in BODIES {
                scope.spawn(move || case(clock, bodies));
            }
        }
    });
}

#[test]
fn pictures_that_wait_get_the_stores_time_before_any_put_is_refused() {
    under_each_clock(waiting);
}

fn waiting(clock: &str, bodies: (&'static str, &'static str)) {
    let began = Timestamp::now();
    let server = store(Options::Date, bodies, &Arc::default());
    let mut device = Device::new();
    configure(&device, &server, "10m", "store", &["early"]);
    device.start(Some(clock));
    let status = device.wait("everything stored", all_stored);
    assert_eq!((status.clock.trusted, status.clock.source.as_deref()), (true, Some("store")));
    configure(&device, &server, "10m", "store", &["early", "late"]);
    let status = add_a_camera_and_wait(&mut device, "late");
    device.stop();
    let seen = hold(&server, &status, began, 0);
    assert_eq!(server.count("OPTIONS"), 1, "asked once and told, {clock}");
    assert!(clocks(&of_camera(&seen, "early")).iter().all(|c| c != "unsynced"), "{clock}");
    assert_eq!(clocks(&of_camera(&seen, "late")), ["trusted"; FRAMES], "{clock}");
}

#[test]
fn a_store_that_hides_its_time_is_put_to_once_too_often_and_then_dates_what_follows() {
    under_each_clock(hidden_time);
}

fn hidden_time(clock: &str, bodies: (&'static str, &'static str)) {
    let began = Timestamp::now();
    let server = store(Options::Nothing, bodies, &Arc::default());
    let mut device = Device::new();
    configure(&device, &server, "200ms", "store", &["early"]);
    device.start(Some(clock));
    device.wait("everything stored", |s| all_stored(s) && s.clock.trusted);
    configure(&device, &server, "200ms", "store", &["early", "late"]);
    let status = add_a_camera_and_wait(&mut device, "late");
    device.stop();
    let seen = hold(&server, &status, began, 1);
    let early = clocks(&of_camera(&seen, "early"));
    assert!(early.iter().any(|c| c == "unsynced"), "{clock}: {early:?}");
    assert_eq!(clocks(&of_camera(&seen, "late")), ["trusted"; FRAMES], "{clock}");
}

#[test]
fn a_backlog_with_dates_keeps_them_and_is_stored_after_one_correction() {
    under_each_clock(backlog);
}

fn backlog(clock: &str, bodies: (&'static str, &'static str)) {
    let began = Timestamp::now();
    let down = Arc::new(AtomicBool::new(true));
    let server = store(Options::Nothing, bodies, &down);
    let mut device = Device::new();
    configure(&device, &server, "10m", "always", &["early"]);
    device.start(None);
    device.wait("a backlog", |s| {
        s.cameras["early"].state == "ended" && s.ledger.queued == FRAMES as u64
    });
    device.stop();
    down.store(false, Ordering::Relaxed);
    let before = server.count("PUT");

    configure(&device, &server, "10m", "store", &["late"]);
    device.start(Some(clock));
    let status = device.wait("everything stored", all_stored);
    device.stop();
    assert_eq!(server.count("OPTIONS"), 0, "this boot's offset is known: nothing waits");
    assert_eq!(status.ledger.stored, 2 * FRAMES as u64);
    let after = server.count("PUT") - before;
    assert_eq!(after, 2 * FRAMES + 1, "one correction, {clock}, {bodies:?}");
    let puts: Vec<Seen> = server.seen().split_off(server.seen().len() - after);
    let stored: Vec<&Seen> = puts.iter().filter(|put| validity(put) == Validity::Valid).collect();
    let keys: BTreeSet<&str> = stored.iter().map(|put| put.path()).collect();
    assert_eq!((stored.len(), keys.len()), (2 * FRAMES, 2 * FRAMES));
    for put in stored {
        holds_its_time(put, began);
        assert!(!put.path().contains("/unsynced/"), "{}", put.path());
    }
}
