//! The uploader against a scripted HTTP server and a real spool: for each way a store can answer, the
//! exact number of requests, the picture's end state, and both sums of the account.

#![allow(clippy::unwrap_used)] // clippy knows only test functions themselves as tests

#[path = "support/scripted_http.rs"]
mod scripted_http;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use scripted_http::{Seen, Server, Step};
use sha2::{Digest as _, Sha256};
use tokio::sync::{broadcast, oneshot, watch};
use vedette::account::Account;
use vedette::backoff::Backoff;
use vedette::clock::{BootId, BootTime, Clock, Timekeeper, TrustPolicy, TrustSource, WallTime};
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::contract::stored::StoredNotice;
use vedette::contract::{Class, Facts, Trigger};
use vedette::frame::Stamp;
use vedette::grant::{AddressStyle, Provider, S3Settings, Secret};
use vedette::spool::{self, Moment, Snapshot, Spool};
use vedette::still::Shot;
use vedette::upload::classify::Parked;
use vedette::upload::http::Limits;
use vedette::upload::worker::{self, Deps, Tuning};
use vedette::upload::{DestinationSettings, DirSettings, Settings, Standing, UploadState};

/// The store's time in every test: 2030-01-01T00:00:00Z, after any build of this version.
const NOW: i64 = 1_893_456_000_000;
const HTTP_NOW: &str = "Tue, 01 Jan 2030 00:00:00 GMT";
const DAY: i64 = 86_400_000;
const SECRET: &str = "s3cr3t-of-the-tests";
const TOKEN: &str = "t0k3n-of-the-tests";
const HOUR: Duration = Duration::from_secs(3600);

struct TestClock {
    start: Instant,
    wall: i64,
}

impl Clock for TestClock {
    fn boottime(&self) -> BootTime {
        BootTime(100_000_000_000) + self.start.elapsed()
    }
    fn wall(&self) -> WallTime {
        WallTime(self.wall + i64::try_from(self.start.elapsed().as_millis()).unwrap())
    }
    fn kernel_synchronised(&self) -> bool {
        false
    }
    fn set_by_rtc(&self) -> bool {
        false
    }
    fn boot_id(&self) -> BootId {
        BootId("0a1b2c3d-1111-2222-3333-444455556666".into())
    }
}

/// A device: clock, account, spool, and where it uploads to.
struct World {
    dir: tempfile::TempDir,
    account: Account,
    keeper: Timekeeper,
    spool: Spool,
    settings: Settings,
    tuning: Tuning,
    seq: u64,
}

fn s3(server: &Server) -> DestinationSettings {
    DestinationSettings::S3(Box::new(S3Settings {
        endpoint: format!("http://{}", server.addr).parse().unwrap(),
        bucket: "pictures".into(),
        region: "us-east-1".into(),
        style: AddressStyle::Path,
        provider: Provider::Aws,
        access_key: "AKIDEXAMPLE".into(),
        secret_key: Secret(SECRET.into()),
        session_token: Some(Secret(TOKEN.into())),
        ca_file: None,
    }))
}

impl World {
    /// A device whose clock is right and believed, that waits hardly at all after a failure.
    fn new(destination: DestinationSettings) -> Self {
        Self::with_clock(destination, NOW, TrustPolicy::Always)
    }

    fn with_clock(destination: DestinationSettings, wall: i64, policy: TrustPolicy) -> Self {
        logs();
        let dir = tempfile::tempdir().unwrap();
        let keeper = Timekeeper::new(Arc::new(TestClock { start: Instant::now(), wall }), policy);
        let millis = Duration::from_millis;
        Self {
            account: Account::new(64 << 20),
            spool: open(dir.path(), &keeper),
            settings: Settings {
                destination,
                concurrency: 1,
                wait_for_clock: HOUR,
                reliable_notices: false,
            },
            tuning: Tuning {
                backoff: Backoff { base: millis(1), cap: millis(5) },
                ask_time: Backoff { base: millis(1), cap: millis(5) },
                limits: Limits { connect: Duration::from_secs(5), stall: Duration::from_secs(5) },
                grace: Duration::from_secs(5),
            },
            dir,
            keeper,
            seq: 0,
        }
    }

    /// After the first failure nothing goes again within the test.
    fn frozen(mut self) -> Self {
        self.tuning.backoff = Backoff { base: 1000 * HOUR, cap: 1000 * HOUR };
        self
    }

    async fn take(&mut self, body: &[u8], label: Option<&str>) {
        self.seq += 1;
        let captured = self.keeper.boottime();
        let sha: String = Sha256::digest(body).iter().map(|b| format!("{b:02x}")).collect();
        let mut meta = BTreeMap::new();
        meta.extend(label.map(|l| (format!("label-{l}"), "yes".to_owned())));
        let facts = Facts {
            boot: self.keeper.boot_id(),
            seq: self.seq,
            captured,
            stamp: Stamp::Driver,
            wall: self.keeper.wall_at(captured),
            device: "cam-7".into(),
            camera: "door".into(),
            trigger: Trigger::Motion,
            event: None,
            event_final: false,
            command: None,
            class: Class::Best,
            content_type: "image/jpeg".into(),
            len: body.len() as u64,
            sha256: sha,
            meta,
            key_template: DEFAULT_TEMPLATE.replace("{device}", "cam-7"),
        };
        let token = self.account.choose(body.len() as u64).unwrap();
        self.spool.store(Shot { bytes: body.to_vec().into(), facts, token });
        self.spool.flush().await.unwrap();
    }

    /// Runs the uploader until `enough`, and returns the last state and all notices.
    async fn run_until(
        &self,
        enough: impl Fn(&Snapshot, &UploadState) -> bool,
    ) -> (Snapshot, UploadState, Vec<StoredNotice>) {
        let (state, mut watched) = watch::channel(UploadState::default());
        let (notices, mut noticed) = broadcast::channel(64);
        let (stop, stopped) = oneshot::channel::<()>();
        let deps = Deps {
            spool: self.spool.clone(),
            timekeeper: self.keeper.clone(),
            settings: self.settings.clone(),
            notices,
            state,
            tuning: self.tuning,
        };
        let wait = async {
            loop {
                let seen = watched.borrow_and_update().clone();
                if enough(&self.spool.snapshot().await.unwrap(), &seen) {
                    break;
                }
                watched.changed().await.unwrap();
            }
            stop.send(()).unwrap();
        };
        let run = worker::run(deps, async { stopped.await.unwrap() });
        let both = async { tokio::join!(run, wait) };
        tokio::time::timeout(Duration::from_secs(30), both).await.expect("not enough in 30 s");
        let snapshot = self.spool.snapshot().await.unwrap();
        assert!(snapshot.holds() && self.account.sums().holds(), "{snapshot:?}");
        let mut all = Vec::new();
        while let Ok(notice) = noticed.try_recv() {
            all.push(notice);
        }
        let state = watched.borrow().clone();
        (snapshot, state, all)
    }
}

fn open(dir: &std::path::Path, keeper: &Timekeeper) -> Spool {
    let settings = spool::Settings {
        path: dir.join("spool"),
        limits: spool::retention::Limits::bytes(1 << 30),
        durability: spool::Durability::Always,
    };
    let now = Moment {
        boot: keeper.boot_id(),
        at: keeper.boottime(),
        wall: keeper.wall_at(keeper.boottime()),
    };
    Spool::open(&settings, now).unwrap().0
}

/// A recorded answer, told at the tests' time.
fn recorded(name: &str) -> Step {
    let path = format!("{}/tests/fixtures/answers/{name}.http", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path)
        .unwrap()
        .replace("Sun, 22 Nov 2026 10:00:00 GMT", HTTP_NOW)
        .replace("Sun, 22 Nov 2026 10:01:30 GMT", "Tue, 01 Jan 2030 00:01:30 GMT")
        .replace("2026-11-22T10:00:00", "2030-01-01T00:00:00");
    let (head, body) = text.split_once("\n\n").unwrap();
    Step::Answer(head.into(), body.into())
}

/// Everything that any test in this process logs, at the finest level, dependencies included.
fn logs() -> Arc<Mutex<Vec<u8>>> {
    #[derive(Clone)]
    struct Sink(Arc<Mutex<Vec<u8>>>);
    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    static LOGS: OnceLock<Arc<Mutex<Vec<u8>>>> = OnceLock::new();
    Arc::clone(LOGS.get_or_init(|| {
        let all = Arc::new(Mutex::new(Vec::new()));
        let sink = Sink(Arc::clone(&all));
        tracing_subscriber::fmt()
            .with_max_level(tracing::level_filters::LevelFilter::TRACE)
            .with_writer(move || sink.clone())
            .with_ansi(false)
            .init();
        all
    }))
}

fn stored(snapshot: &Snapshot, _: &UploadState) -> bool {
    snapshot.queued == 0
}

fn settled(snapshot: &Snapshot, state: &UploadState) -> bool {
    snapshot.queued == 0 || (state.in_flight == 0 && state.failures > 0)
}

#[tokio::test]
async fn a_picture_is_put_once_signed_whole_and_create_only() {
    let server = Server::start(|_| recorded("aws-ok"));
    let mut world = World::new(s3(&server));
    world.take(b"picture", None).await;
    let (snapshot, state, notices) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, state.stored, notices.len()), (1, 1, 1));
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    let put = &seen[0];
    assert_eq!(put.body, b"picture");
    assert_eq!(put.path(), format!("/pictures/{}", notices[0].key));
    assert!(notices[0].key.starts_with("v1/cam-7/door/2030/01/01/0000"), "{}", notices[0].key);
    for (name, value) in [
        ("content-length", "7"),
        ("content-type", "image/jpeg"),
        ("if-none-match", "*"),
        ("x-amz-meta-device", "cam-7"),
    ] {
        assert_eq!(put.header(name), Some(value), "{name}");
    }
    assert_eq!(put.header("transfer-encoding"), None);
    assert_eq!(put.query("X-Amz-Date").unwrap(), "20291231T235000Z");
    assert_eq!(put.query("X-Amz-Expires").unwrap(), "1800");
}

/// Each answer once, with a store that gets no second chance in this test.
#[tokio::test]
async fn one_answer_is_one_request_and_decides_the_pictures_state() {
    let parked = |s: &Standing| matches!(s, Standing::Parked(_));
    let retrying = |s: &Standing| matches!(s, Standing::Retrying(_));
    let working = |s: &Standing| *s == Standing::Working;
    type Is = fn(&Standing) -> bool;
    let table: [(&str, [u64; 3], Is); 22] = [
        ("portal-ok", [0, 1, 0], retrying),
        ("portal-plain-ok", [0, 1, 0], retrying),
        ("portal-redirect", [0, 1, 0], retrying),
        ("aws-moved", [0, 1, 0], parked),
        ("aws-temporary-redirect", [0, 1, 0], parked),
        ("aws-access-denied", [0, 1, 0], parked),
        ("aws-signature", [0, 1, 0], parked),
        ("aws-no-bucket", [0, 1, 0], parked),
        ("aws-conflict", [0, 1, 0], retrying),
        ("cos-exists", [1, 0, 0], working),
        ("oss-exists", [1, 0, 0], working),
        ("aws-precondition", [1, 0, 0], working),
        ("minio-old-exists", [1, 0, 0], working),
        ("proxy-exists", [0, 1, 0], retrying),
        ("proxy-many-requests", [0, 1, 0], retrying),
        ("aws-internal", [0, 1, 0], retrying),
        ("aws-slow-down", [0, 1, 0], retrying),
        ("proxy-bad-gateway", [0, 1, 0], retrying),
        ("gateway-full", [0, 1, 0], parked),
        ("aws-bad-digest", [0, 1, 0], retrying),
        ("aws-key-too-long", [0, 0, 1], working),
        ("aws-unknown-argument", [0, 1, 0], retrying),
    ];
    for (name, [in_store, queued, aside], standing) in table {
        let server = Server::start(move |_| recorded(name));
        let mut world = World::new(s3(&server)).frozen();
        world.take(b"picture", None).await;
        let (s, state, notices) = world.run_until(settled).await;
        assert_eq!([s.stored, s.queued, s.quarantined], [in_store, queued, aside], "{name}");
        assert_eq!((s.kept, s.lost_total()), (1, 0), "{name}");
        let run = world.account.sums();
        assert_eq!((run.chosen, run.kept, run.in_hand), (1, 1, 0), "{name}");
        assert_eq!(state.failures, u32::from(queued == 1), "{name}");
        assert_eq!(notices.len() as u64, in_store, "{name}");
        assert!(standing(&state.standing), "{name}: {:?}", state.standing);
        assert_eq!(server.seen().len(), 1, "{name}");
    }
}

#[tokio::test]
async fn what_may_pass_is_put_again_under_the_same_key_with_the_same_bytes() {
    let recorded_steps = [
        "portal-ok",
        "aws-moved",
        "aws-access-denied",
        "aws-no-bucket",
        "aws-conflict",
        "aws-internal",
        "aws-request-timeout",
        "aws-bad-digest",
        "aws-unknown-argument",
        "minio-full",
    ];
    let asked = |status: &str| Step::Answer(format!("{status}\nRetry-After: 1"), String::new());
    let others = [
        Step::Reset,
        Step::Silence,
        Step::Cut,
        Step::Answer("404 Not Found".into(), String::new()),
        asked("429 Too Many Requests"),
        asked("503 Slow Down"),
    ];
    for step in recorded_steps.map(recorded).into_iter().chain(others) {
        let (mut first, what) = (Some(step.clone()), format!("{step:?}"));
        let server = Server::start(move |_| first.take().unwrap_or_else(|| recorded("aws-ok")));
        let mut world = World::new(s3(&server));
        world.tuning.limits.stall = Duration::from_millis(200);
        world.take(b"picture", None).await;
        let (snapshot, state, _) = world.run_until(stored).await;
        let seen = server.seen();
        assert_eq!((snapshot.kept, snapshot.stored, seen.len()), (1, 1, 2), "{what}");
        assert_eq!(seen[0].path(), seen[1].path());
        assert_eq!(seen[0].body, seen[1].body);
        assert_eq!(state.standing, Standing::Working);
    }
}

#[tokio::test]
async fn transport_errors_keep_the_picture_and_are_not_counted_as_refusals() {
    for step in [Step::Reset, Step::Silence, Step::Cut] {
        let what = format!("{step:?}");
        let server = Server::start(move |_| step.clone());
        let mut world = World::new(s3(&server)).frozen();
        world.tuning.limits.stall = Duration::from_millis(200);
        world.take(b"picture", None).await;
        let (snapshot, state, _) = world.run_until(settled).await;
        assert_eq!((snapshot.kept, snapshot.queued, snapshot.stored), (1, 1, 0), "{what}");
        assert_eq!((server.seen().len(), state.failures), (1, 1), "{what}");
    }
}

#[tokio::test]
async fn retry_after_is_obeyed_in_seconds_and_as_a_date() {
    for (name, seconds) in [("aws-slow-down", 7), ("proxy-many-requests", 90)] {
        let server = Server::start(move |_| recorded(name));
        let mut world = World::new(s3(&server));
        world.take(b"picture", None).await;
        let before = world.keeper.boottime();
        let (snapshot, state, _) = world.run_until(settled).await;
        assert_eq!((snapshot.kept, snapshot.queued, snapshot.in_flight), (1, 1, 0), "{name}");
        let until = state.until.unwrap();
        assert!(until >= before + Duration::from_secs(seconds), "{name}");
        assert!(until <= world.keeper.boottime() + Duration::from_secs(seconds), "{name}");
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn a_function_that_asks_for_a_pause_gets_it() {
    let function = Server::start(|_| {
        Step::Answer("429 Too Many Requests\nRetry-After: 900".into(), String::new())
    });
    let root = tempfile::tempdir().unwrap();
    let announce = Some(format!("http://{}/", function.addr).parse().unwrap());
    let mut world =
        World::new(DestinationSettings::Dir(DirSettings { path: root.path().into(), announce }));
    let before = world.keeper.boottime();
    world.take(b"picture", None).await;
    let (snapshot, state, _) = world.run_until(settled).await;
    assert_eq!((snapshot.queued, function.seen().len()), (1, 1));
    assert!(state.until.unwrap() >= before + Duration::from_secs(900));
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_is_out_is_an_answer() {
    let server = Server::start(|_| match recorded("aws-no-bucket") {
        Step::Answer(head, body) => Step::Early(head, body),
        other => other,
    });
    let mut world = World::new(s3(&server)).frozen();
    world.take(&vec![7; 16 << 20], Some("early")).await;
    let (snapshot, state, _) = world.run_until(settled).await;
    assert_eq!((snapshot.queued, server.seen().len()), (1, 1));
    assert!(matches!(state.standing, Standing::Parked(Parked::NoBucket(_))), "{state:?}");
}

/// AWS with a presigned URL and a wrong clock: what it answers depends on its own time.
fn strict_about_time(seen: &Seen, too_old: &str, too_new: &str) -> Step {
    let signed: jiff::civil::DateTime =
        jiff::fmt::strtime::parse("%Y%m%dT%H%M%SZ", seen.query("X-Amz-Date").unwrap())
            .unwrap()
            .to_datetime()
            .unwrap();
    let signed = signed.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_millisecond();
    let valid: i64 = seen.query("X-Amz-Expires").unwrap().parse().unwrap();
    match NOW - signed {
        ago if ago > valid * 1000 => recorded(too_old),
        ago if ago < -15 * 60 * 1000 => recorded(too_new),
        _ => recorded("aws-ok"),
    }
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once_and_signed_again_at_once() {
    for wall in [10_000, NOW - DAY, NOW + DAY] {
        for bodies in [
            ("aws-expired", "aws-not-yet-valid"),
            ("aws-time-too-skewed", "aws-time-too-skewed"),
            ("rgw-access-denied", "rgw-access-denied"),
        ] {
            let server = Server::start(move |seen| strict_about_time(seen, bodies.0, bodies.1));
            let destination = s3(&server);
            let mut world = World::with_clock(destination, wall, TrustPolicy::Always).frozen();
            world.take(b"one", None).await;
            world.take(b"two", None).await;
            let (snapshot, state, _) = world.run_until(stored).await;
            assert_eq!((snapshot.stored, state.failures, state.last_error), (2, 0, None));
            let seen = server.seen();
            assert_eq!(seen.len(), 3, "one correction for both pictures: {bodies:?} at {wall}");
            assert_eq!(seen[0].path(), seen[1].path());
            assert!(seen[1].query("X-Amz-Date").unwrap().starts_with("20291231T2350"));
        }
    }
}

#[tokio::test]
async fn a_store_that_insists_on_another_time_is_not_asked_in_a_loop() {
    let server = Server::start(|_| match recorded("aws-expired") {
        Step::Answer(head, body) => {
            Step::Answer(head, body.replace("2030-01-01T00:00:00", "2031-01-01T00:00:00"))
        }
        other => other,
    });
    let mut world = World::with_clock(s3(&server), 0, TrustPolicy::Always).frozen();
    world.take(b"picture", None).await;
    let (snapshot, _, _) = world.run_until(settled).await;
    assert_eq!((snapshot.queued, server.seen().len()), (1, 2));
}

#[tokio::test]
async fn pictures_that_wait_for_a_clock_get_the_stores_time() {
    for wall in [10_000, NOW - DAY, NOW + DAY] {
        let server = Server::start(|seen| match seen.method.as_str() {
            "OPTIONS" => recorded("aws-access-denied"),
            _ => strict_about_time(seen, "aws-expired", "aws-not-yet-valid"),
        });
        let mut world = World::with_clock(s3(&server), wall, TrustPolicy::Store).frozen();
        world.take(b"picture", None).await;
        let (snapshot, _, notices) = world.run_until(|s, u| u.stored == 1 && stored(s, u)).await;
        assert_eq!(snapshot.stored, 1);
        assert_eq!((server.count("OPTIONS"), server.count("PUT")), (1, 1));
        let asked = &server.seen()[0];
        assert_eq!(asked.target, "/", "no credentials, no key");
        assert_eq!(asked.header("authorization"), None);
        let key = &notices[0].key;
        assert!(
            key.starts_with("v1/cam-7/door/2030/01/01/0000")
                || key.starts_with("v1/cam-7/door/2029/12/31/2359"),
            "{key}"
        );
        let off = notices[0].wall.unwrap().distance(WallTime(NOW));
        assert!(off < Duration::from_secs(60), "{off:?}");
    }
}

#[tokio::test]
async fn without_any_clock_pictures_go_unsynced_after_the_set_time() {
    let server = Server::start(|seen| match seen.method.as_str() {
        "OPTIONS" => Step::Answer("405 Method Not Allowed".into(), String::new()),
        _ => recorded("aws-ok"),
    });
    let mut world = World::with_clock(s3(&server), 0, TrustPolicy::Store);
    world.settings.wait_for_clock = Duration::from_millis(50);
    world.take(b"picture", None).await;
    let (_, _, notices) = world.run_until(|s, u| u.stored == 1 && stored(s, u)).await;
    assert!(notices[0].key.starts_with("v1/cam-7/door/unsynced/0a1b2c3d/"), "{}", notices[0].key);
    assert!(server.count("OPTIONS") >= 1);
}

#[tokio::test]
async fn a_boot_record_that_cannot_be_written_does_not_stop_uploads() {
    let server = Server::start(|_| recorded("aws-ok"));
    let mut world = World::new(s3(&server));
    let boots = world.dir.path().join("spool/boots");
    std::fs::remove_dir(&boots).unwrap();
    std::fs::write(&boots, b"a full disk fails like this").unwrap();
    world.take(b"picture", None).await;
    let (snapshot, _, _) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, server.seen().len()), (1, 1));
}

#[tokio::test]
async fn one_poisoned_picture_is_set_aside_after_ten_answers_because_others_are_stored() {
    let server = Server::start(|seen| match seen.header("x-amz-meta-label-poison") {
        Some(_) => recorded("aws-unknown-argument"),
        None => recorded("aws-ok"),
    });
    let mut world = World::new(s3(&server));
    world.take(b"good", None).await;
    world.take(b"poison", Some("poison")).await;
    let (snapshot, _, _) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, snapshot.quarantined), (1, 1));
    assert_eq!(server.seen().len(), 11);
}

#[tokio::test]
async fn a_store_that_refuses_everything_is_parked_and_everything_is_kept() {
    let server = Server::start(|_| recorded("aws-unknown-argument"));
    let mut world = World::new(s3(&server));
    world.take(b"only", None).await;
    let parked = |_: &Snapshot, u: &UploadState| matches!(u.standing, Standing::Parked(_));
    let (snapshot, state, _) = world.run_until(parked).await;
    assert!(matches!(state.standing, Standing::Parked(Parked::Refuses(_))));
    assert_eq!((snapshot.queued, snapshot.quarantined), (1, 0));
    assert!(server.seen().len() >= 10);
}

#[tokio::test]
async fn a_kept_alive_connection_that_died_idle_is_replaced_at_once_and_uncounted() {
    let server = Server::start(|seen| match seen.reused {
        true => Step::Reset,
        false => recorded("aws-ok"),
    });
    let mut world = World::new(s3(&server)).frozen();
    for body in [b"one", b"two", b"six"] {
        world.take(body, None).await;
    }
    let (snapshot, state, _) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, state.last_error), (3, None));
    assert_eq!(server.seen().len(), 5, "two of three found a dead connection");
}

#[tokio::test]
async fn stopping_cuts_what_does_not_end_and_the_next_run_stores_it() {
    let silent = Server::start(|_| Step::Silence);
    let mut world = World::new(s3(&silent));
    world.tuning.limits.stall = HOUR;
    world.tuning.grace = Duration::from_millis(50);
    world.take(b"picture", None).await;
    let (snapshot, state, _) = world.run_until(|_, u| u.in_flight == 1).await;
    assert_eq!((snapshot.queued, state.in_flight), (1, 0));
    world.spool.stop().await;

    let server = Server::start(|_| recorded("aws-ok"));
    world.spool = open(world.dir.path(), &world.keeper);
    world.settings.destination = s3(&server);
    let (snapshot, _, _) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, server.seen().len()), (1, 1));
}

#[tokio::test]
async fn many_at_once_are_all_stored_exactly_once() {
    let mut n = 0;
    let server = Server::start(move |_| {
        n += 1;
        if n % 7 == 0 { recorded("aws-internal") } else { recorded("aws-ok") }
    });
    let mut world = World::new(s3(&server));
    world.settings.concurrency = 4;
    for i in 0..40u8 {
        world.take(&[i; 100], None).await;
    }
    let (snapshot, state, notices) = world.run_until(stored).await;
    assert_eq!((snapshot.stored, state.stored), (40, 40));
    let keys: std::collections::BTreeSet<_> = notices.iter().map(|n| &n.key).collect();
    assert_eq!((keys.len(), notices.len()), (40, 40));
}

#[tokio::test]
async fn a_directory_holds_the_object_and_its_metadata_and_is_announced_until_heard() {
    let mut n = 0;
    let function = Server::start(move |_| {
        n += 1;
        let status = if n == 1 { "503 Service Unavailable" } else { "204 No Content" };
        Step::Answer(status.into(), String::new())
    });
    let root = tempfile::tempdir().unwrap();
    let announce = Some(format!("http://{}/hook", function.addr).parse().unwrap());
    let settings = DirSettings { path: root.path().into(), announce };
    let mut world = World::new(DestinationSettings::Dir(settings));
    world.take(b"picture", None).await;
    let (snapshot, _, notices) = world.run_until(stored).await;
    assert_eq!(snapshot.stored, 1);
    let key = &notices[0].key;
    assert_eq!(std::fs::read(root.path().join(key)).unwrap(), b"picture");
    let sidecar = std::fs::read_to_string(root.path().join(format!("{key}.json"))).unwrap();
    let sidecar: serde_json::Value = serde_json::from_str(&sidecar).unwrap();
    assert_eq!(sidecar["metadata"]["device"], "cam-7");
    let dir = root.path().join(key);
    let names = std::fs::read_dir(dir.parent().unwrap()).unwrap().count();
    assert_eq!(names, 2, "no temporary file is left");
    let seen = function.seen();
    assert_eq!(seen.len(), 2);
    for event in &seen {
        assert_eq!((event.method.as_str(), event.path()), ("POST", "/hook"));
        assert_eq!(event.header("ce-type"), Some("com.amazonaws.s3.ObjectCreated:Put"));
        assert_eq!(event.header("ce-subject"), Some(key.as_str()));
        let data: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!(data["s3"]["object"]["key"], key.as_str());
        assert_eq!(data["s3"]["object"]["eTag"], "5456fc54c74a297ce994998c2873b370");
        assert_eq!(data["s3"]["object"]["userMetadata"]["X-Amz-Meta-Device"], "cam-7");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_mounted_is_parked_and_not_made() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("usb-stick");
    let settings = DirSettings { path: path.clone(), announce: None };
    let mut world = World::new(DestinationSettings::Dir(settings));
    world.take(b"picture", None).await;
    let parked = |_: &Snapshot, u: &UploadState| matches!(u.standing, Standing::Parked(_));
    let (snapshot, state, _) = world.run_until(parked).await;
    assert!(
        matches!(&state.standing, Standing::Parked(Parked::Directory(w)) if w.contains("mounted"))
    );
    assert_eq!((snapshot.queued, path.exists()), (1, false));
    std::fs::create_dir(&path).unwrap();
    assert_eq!(world.run_until(stored).await.0.stored, 1);
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_an_alarm_and_not_an_end() {
    let destination = DestinationSettings::S3(Box::new(S3Settings {
        endpoint: "https://store.invalid".parse().unwrap(),
        ca_file: Some("/nonexistent/ca.pem".into()),
        ..match s3(&Server::start(|_| Step::Reset)) {
            DestinationSettings::S3(s3) => *s3,
            other => panic!("no bucket: {other}"),
        }
    }));
    let mut world = World::new(destination);
    world.take(b"picture", None).await;
    let parked = |_: &Snapshot, u: &UploadState| matches!(u.standing, Standing::Parked(_));
    let (snapshot, state, _) = world.run_until(parked).await;
    assert_eq!(snapshot.queued, 1);
    assert!(state.last_error.unwrap().contains("/nonexistent/ca.pem"));
}

#[tokio::test]
async fn no_log_at_any_level_shows_a_secret_or_a_presigned_url() {
    let mut steps = vec![
        Step::Reset,
        Step::Silence,
        Step::Cut,
        recorded("aws-signature"),
        recorded("aws-temporary-redirect"),
        recorded("portal-redirect"),
        recorded("aws-key-too-long"),
    ];
    let server = Server::start(move |_| steps.pop().unwrap_or_else(|| recorded("aws-ok")));
    let mut world = World::new(s3(&server));
    world.tuning.limits.stall = Duration::from_millis(200);
    world.take(b"picture", None).await;
    world.take(b"another", None).await;
    let (_, state, _) = world.run_until(stored).await;
    let logs = String::from_utf8_lossy(&logs().lock().unwrap()).into_owned();
    assert!(logs.contains("hyper") && logs.contains("Uploads fail"), "the net is cast wide");
    let signature = server.seen()[0].query("X-Amz-Signature").unwrap();
    let shown = format!("{logs}{state:?}");
    for secret in [SECRET, TOKEN, "X-Amz-Signature", "X-Amz-Credential", signature.as_str()] {
        let at = shown.find(secret).map(|at| shown[at.saturating_sub(200)..at + 50].to_owned());
        assert_eq!(at, None, "{secret}");
    }
}

/// A store behind TLS, with the test CA's certificate for 127.0.0.1 (made with openssl, valid from 2020
/// for a hundred years): answers each connection's first request.
fn tls_store() -> std::net::SocketAddr {
    use std::io::{BufRead as _, Read as _};
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certs = CertificateDer::pem_file_iter(fixture("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("server.key")).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certs.map(Result::unwrap).collect(), key)
        .unwrap();
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let tls = rustls::StreamOwned::new(connection, stream);
            let mut reader = std::io::BufReader::new(tls);
            let (mut line, mut len) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                let lower = line.to_ascii_lowercase();
                let length = lower.strip_prefix("content-length:").map(|v| v.trim().parse());
                len = length.map_or(len, Result::unwrap);
                line.clear();
            }
            if reader.read_exact(&mut vec![0; len]).is_ok() {
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nDate: {HTTP_NOW}\r\nETag: \"1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                reader.get_mut().write_all(answer.as_bytes()).ok();
                reader.get_mut().conn.send_close_notify();
                reader.get_mut().flush().ok();
            }
        }
    });
    addr
}

fn fixture(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tls").join(name)
}

fn https(addr: std::net::SocketAddr, ca: &str) -> DestinationSettings {
    DestinationSettings::S3(Box::new(S3Settings {
        endpoint: format!("https://{addr}").parse().unwrap(),
        bucket: "pictures".into(),
        region: "us-east-1".into(),
        style: AddressStyle::Path,
        provider: Provider::Aws,
        access_key: "AKIDEXAMPLE".into(),
        secret_key: Secret(SECRET.into()),
        session_token: None,
        ca_file: Some(fixture(ca)),
    }))
}

#[tokio::test]
async fn a_camera_in_1970_learns_the_time_over_verified_tls() {
    let mut world = World::with_clock(https(tls_store(), "ca.pem"), 10_000, TrustPolicy::Auto);
    world.take(b"picture", None).await;
    let (_, _, notices) = world.run_until(|s, u| u.stored == 1 && stored(s, u)).await;
    assert_eq!(world.keeper.offset().unwrap().source, TrustSource::Tls);
    assert!(notices[0].wall.unwrap().distance(WallTime(NOW)) < Duration::from_secs(60));
}

#[tokio::test]
async fn a_store_with_a_strangers_certificate_gets_nothing() {
    let mut world = World::new(https(tls_store(), "other-ca.pem")).frozen();
    world.take(b"picture", None).await;
    let (snapshot, state, _) = world.run_until(settled).await;
    assert_eq!(snapshot.queued, 1);
    assert!(state.last_error.unwrap().starts_with("tls: invalid peer certificate"));
}
