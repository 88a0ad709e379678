//! A device of a test: the MQTT part alone, in a thread and a runtime of its own, which can be stopped in
//! order or killed.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::json;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use vedette::backoff::Backoff;
use vedette::clock::{BootId, BootTime, SystemClock, Timekeeper, TrustPolicy};
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::contract::stored::StoredNotice;
use vedette::contract::{Class, Facts, Trigger};
use vedette::frame::Stamp;
use vedette::mqtt::{self, Delivery, Deps, MqttState, Publication, Publisher, Settings, Tuning};
use vedette::spool::{self, Moment, Spool};

use crate::mosquitto::mqtt_client::PLENTY;

/// The device's id in all tests.
pub(crate) const ID: &str = "cam-7";

/// A topic of the device's.
pub(crate) fn topic(below: &str) -> String {
    format!("vedette/v1/{ID}/{below}")
}

/// Settings for a broker without TLS.
pub(crate) fn settings(port: u16) -> Settings {
    Settings {
        broker: format!("mqtt://127.0.0.1:{port}").parse().unwrap(),
        device: ID.into(),
        username: None,
        password_file: None,
        ca_file: None,
        client_certificate: None,
        keep_alive: Duration::from_secs(60),
        session_expiry: Duration::from_secs(3600),
        reliable: false,
    }
}

/// Waits hardly at all.
pub(crate) fn tuning() -> Tuning {
    let (short, longer) = (Duration::from_millis(1), Duration::from_millis(50));
    Tuning {
        backoff: Backoff { base: short, cap: longer },
        refused: Backoff { base: short, cap: longer },
        // A broker that is killed and back before the next try looks like a duel; only one test wants that.
        duel_window: Duration::ZERO,
        ..Tuning::default()
    }
}

/// A picture that was stored.
pub(crate) fn notice(seq: u64) -> StoredNotice {
    let facts = Facts {
        boot: BootId("0a1b2c3d-0000-0000-0000-000000000000".into()),
        seq,
        captured: BootTime(seq),
        stamp: Stamp::Driver,
        wall: None,
        device: ID.into(),
        camera: "door".into(),
        trigger: Trigger::Motion,
        event: None,
        event_final: false,
        command: None,
        class: Class::Best,
        content_type: "image/jpeg".into(),
        len: 1000,
        sha256: "00".repeat(32),
        meta: BTreeMap::new(),
        key_template: DEFAULT_TEMPLATE.into(),
    };
    StoredNotice { key: format!("v1/{ID}/door/{seq}.jpg"), facts, wall: None }
}

/// What outlives the process: the spool.
pub(crate) struct Disk {
    pub(crate) spool: Spool,
    pub(crate) keeper: Timekeeper,
    _dir: tempfile::TempDir,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let keeper = Timekeeper::new(Arc::new(SystemClock::new()), TrustPolicy::Always);
        let settings = spool::Settings {
            path: dir.path().join("spool"),
            limits: spool::retention::Limits::bytes(1 << 30),
            durability: spool::Durability::Always,
        };
        let now = Moment {
            boot: keeper.boot_id(),
            at: keeper.boottime(),
            wall: keeper.wall_at(keeper.boottime()),
        };
        let (spool, _) = Spool::open(&settings, now).unwrap();
        Self { spool, keeper, _dir: dir }
    }
}

/// A running device.
pub(crate) struct Device {
    pub(crate) deliveries: mpsc::Receiver<Delivery>,
    pub(crate) state: watch::Receiver<MqttState>,
    pub(crate) notices: broadcast::Sender<StoredNotice>,
    publisher: Publisher,
    stop: Option<oneshot::Sender<()>>,
    kill: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    /// Starts one, which waits hardly at all after failures.
    pub(crate) fn start(settings: Settings, disk: &Disk) -> Self {
        Self::with(settings, disk, tuning(), 16)
    }

    /// Starts one, with room for so many deliveries.
    pub(crate) fn with(settings: Settings, disk: &Disk, tuning: Tuning, room: usize) -> Self {
        let (to_desk, deliveries) = mpsc::channel(room);
        let (publisher, publications) = Publisher::new();
        let (state_to, state) = watch::channel(MqttState::default());
        let (notices, ring) = broadcast::channel(4);
        let (stop, stopped) = oneshot::channel::<()>();
        let (kill, killed) = oneshot::channel::<()>();
        let deps = Deps {
            settings,
            boot: disk.keeper.boot_id(),
            run: "1a2b3c4d".to_owned(),
            version: "0.0.0-test".into(),
            spool: disk.spool.clone(),
            timekeeper: disk.keeper.clone(),
            caps: json!({ "ops": ["snapshot"] }),
            notices: Some(ring),
            publications,
            deliveries: to_desk,
            state: state_to,
            tuning,
        };
        let thread = std::thread::spawn(move || {
            let runtime = runtime();
            runtime.block_on(async {
                tokio::select! {
                    () = mqtt::run(deps, async { _ = stopped.await }) => {}
                    _ = killed => {}
                }
            });
            // Dropped with whatever runs in it: sockets are closed, nothing is said.
        });
        Self {
            deliveries,
            state,
            notices,
            publisher,
            stop: Some(stop),
            kill: Some(kill),
            thread: Some(thread),
        }
    }

    /// Publishes at best effort.
    pub(crate) fn publish(&self, below: &str, payload: &str) {
        let (topic, payload) = (below.to_owned(), payload.as_bytes().to_vec());
        self.publisher.publish(Publication { topic, payload, correlation: None });
    }

    /// The next delivery.
    pub(crate) fn delivery(&mut self) -> Delivery {
        soon(self.deliveries.recv()).unwrap()
    }

    /// Waits for a state.
    pub(crate) fn wait_for(&mut self, enough: impl FnMut(&MqttState) -> bool) -> MqttState {
        let found = runtime().block_on(async {
            let found = tokio::time::timeout(PLENTY, self.state.wait_for(enough)).await;
            found.map(|state| state.unwrap().clone())
        });
        found.unwrap_or_else(|_| panic!("it did not come to it: {:?}", *self.state.borrow()))
    }

    /// Stops it in order.
    pub(crate) fn stop(mut self) {
        self.stop.take().unwrap().send(()).unwrap();
        self.thread.take().unwrap().join().unwrap();
    }

    /// Ends it as SIGKILL would: nothing is said to anyone.
    pub(crate) fn kill(mut self) {
        drop(self.kill.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Waits for something that must come.
pub(crate) fn soon<T>(what: impl Future<Output = T>) -> T {
    let limited = async { tokio::time::timeout(PLENTY, what).await };
    runtime().block_on(limited).expect("it did not come")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
