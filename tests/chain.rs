//! The whole chain, every part of it real: pedestrians as a UVC camera sends them, the agent, an object
//! store, the store's own notification, a function that makes something of each picture; and a broker,
//! over which somebody asks for one more. Only the event broker between store and function is played
//! by the test, so that it delivers as badly as event brokers may.

#![cfg(test)]
#![allow(clippy::duplicate_mod, reason = "each server of a test brings its own child process")]

#[path = "support/device.rs"]
mod device;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "support/footage.rs"]
mod footage;
#[path = "support/functions.rs"]
mod functions;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[allow(dead_code, reason = "shared with tests that need more of it")]
#[path = "support/scripted_http.rs"]
mod scripted_http;
#[path = "support/seaweed.rs"]
mod seaweed;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use device::Device;
use functions::{Function, Notice, Relay};
use mosquitto::{Mosquitto, Setup};
use seaweed::process::Process;
use seaweed::{BUCKET, DEVICE_KEYS, REGION, Seaweed};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use vedette::status::Status;

const TOPICS: &str = "vedette/v1/cam1";
const PLENTY: Duration = Duration::from_secs(60);

/// 795 frames in 16 s, and a picture of each second in which somebody walks.
const CAMERA: &str = "pace = \"50fps\"\n[camera.street.motion]\nevery = \"1s\"\n";

/// A device, its store and function. What uses another is dropped before it.
struct World {
    device: Device,
    relay: Relay,
    function: Function,
    store: Seaweed,
}

impl World {
    /// All but the agent runs. `more` goes into its configuration.
    fn new(more: &str) -> Self {
        let relay = Relay::start();
        let store = Seaweed::start_telling("cam1", &relay.url());
        let function = Function::start(&store);
        let device = Device::new();
        let keys = device.path("credentials");
        let (id, secret) = DEVICE_KEYS;
        let said =
            format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&keys, said).unwrap();
        device.configure(&format!(
            "[camera.street.files]\npath = \"{}\"\n{CAMERA}\
             [destination.s3]\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\nregion = \"{REGION}\"\n\
             provider = \"seaweedfs\"\ncredentials_file = \"{}\"\n\
             [clock]\ntrust = \"always\"\n{more}",
            footage::vtest().display(),
            store.endpoint(),
            keys.display(),
        ));
        Self { device, relay, function, store }
    }

    /// Waits until the recording was shown to its end and all that came of it is stored, with the
    /// manifest of each event.
    fn wait_for_the_end(&mut self) -> Status {
        self.device.wait("the recording's end", device::all_stored);
        let owed = self.events_without_an_end();
        assert!(!owed.is_empty(), "an event of several pictures has a manifest");
        let store = &self.store;
        self.device.wait("the manifests", |status| {
            let keys = store.list("v1/").into_keys();
            let written = keys.filter(|key| key.contains("-manifest-")).count();
            device::all_stored(status) && status.commands.open == 0 && written == owed.len()
        })
    }

    /// Events none of whose pictures says that it is the last one: these have a manifest.
    fn events_without_an_end(&self) -> BTreeSet<String> {
        let mut events: BTreeMap<_, bool> = BTreeMap::new();
        for key in self.store.list("v1/").into_keys() {
            let object = self.store.get(&key);
            if let Some(event) = object.header("x-amz-meta-event") {
                let last = object.header("x-amz-meta-event-final") == Some("true");
                *events.entry(event.to_owned()).or_default() |= last;
            }
        }
        events.into_iter().filter_map(|(event, last)| (!last).then_some(event)).collect()
    }

    /// One line for each of these objects, one thumbnail for each picture among them, and nothing else.
    fn each_has_its_result(&self, objects: &BTreeSet<String>) {
        let (mut lines, mut expected) = (BTreeMap::new(), BTreeSet::new());
        for key in objects {
            expected.insert(line_of(key));
            lines.insert(key.clone(), self.line(key));
            if key.ends_with(".jpg") {
                expected.insert(thumbnail_of(key));
            }
        }
        let there: BTreeSet<_> = self.store.list("results/").into_keys().collect();
        assert_eq!(there, expected, "{}", self.function.output());
        for (key, line) in lines {
            let object = self.store.get(&key).body;
            assert_eq!((&line["bucket"], &line["key"]), (&BUCKET.into(), &key.clone().into()));
            assert_eq!(line["sha256"], hex(&Sha256::digest(&object)), "{key}");
            assert_eq!(line["size"], object.len(), "{key}");
            if key.ends_with(".jpg") {
                let thumbnail = self.store.get(&thumbnail_of(&key)).body;
                let header = turbojpeg::read_header(&thumbnail).unwrap();
                assert_eq!((header.width, header.height), (320, 240), "{key}");
            }
        }
    }

    /// What the function said of an object.
    fn line(&self, key: &str) -> Value {
        let found = self.store.get(&line_of(key));
        assert_eq!(found.status, 200, "{key} has no result: {}", self.function.output());
        assert_eq!(found.body.iter().filter(|b| **b == b'\n').count(), 1, "{key}");
        serde_json::from_slice(&found.body).unwrap()
    }

    fn objects(&self) -> BTreeSet<String> {
        self.store.list("v1/").into_keys().collect()
    }
}

fn line_of(key: &str) -> String {
    format!("results/{BUCKET}/{key}.json")
}

fn thumbnail_of(key: &str) -> String {
    format!("results/{BUCKET}/{key}.thumb.jpg")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// An operator at a terminal: `mosquitto_sub` listens, `mosquitto_pub` asks.
struct Operator {
    heard: Process,
    port: u16,
}

impl Operator {
    fn at(broker: &Mosquitto, device: &Device) -> Self {
        let mut command = Command::new("mosquitto_sub");
        command.args(["-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-v"]);
        command.args(["-t", &format!("{TOPICS}/#")]);
        let heard = Process::spawn(&mut command, &device.path(""), "mosquitto_sub");
        Self { heard, port: broker.port }
    }

    fn publish(&self, topic: &str, payload: &str) {
        let mut command = Command::new("mosquitto_pub");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-q", "1"]);
        let done = command.args(["-t", topic, "-m", payload]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// What was heard on a topic, once one of it `is` what is waited for.
    fn wait(&mut self, topic: &str, is: impl Fn(&Value) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + PLENTY;
        loop {
            let output = self.heard.output();
            // The last line may be half written.
            let whole = output.rfind('\n').map_or("", |end| &output[..end]);
            let lines = whole.lines().filter_map(|l| l.split_once(' '));
            let told = lines.filter(|(t, _)| *t == topic).map(|(_, p)| p);
            let told: Vec<Value> = told.map(|p| serde_json::from_str(p).unwrap()).collect();
            if told.iter().any(&is) {
                return told;
            }
            let ended = self.heard.wait(Duration::from_millis(20));
            if ended.is_some() || Instant::now() > deadline {
                panic!("waited on {topic} ({ended:?}):\n{output}");
            }
        }
    }
}

#[test]
fn footage_and_a_commanded_picture_each_come_to_one_result() {
    let broker = Mosquitto::start(&Setup::default());
    let mqtt = format!("[mqtt]\nbroker = \"mqtt://127.0.0.1:{}\"\n", broker.port);
    let mut world = World::new(&mqtt);
    world.relay.pass_on(&world.function);
    let mut operator = Operator::at(&broker, &world.device);
    world.device.start(None);
    operator.wait(&format!("{TOPICS}/online"), |told| told["online"] == true);
    world.device.wait("a frame", |s| s.cameras["street"].state == "streaming");

    let order = r#"{"id":"one","op":"snapshot","args":{"camera":"street"}}"#;
    operator.publish(&format!("{TOPICS}/cmd/one"), order);
    let told = operator.wait(&format!("{TOPICS}/cmd/one/status"), |told| {
        !["accepted", "in-progress"].contains(&told["status"].as_str().unwrap())
    });
    let statuses: Vec<_> = told.iter().map(|told| told["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "in-progress", "succeeded"], "{told:?}");
    let commanded = told[2]["result"]["key"].as_str().unwrap().to_owned();

    let status = world.wait_for_the_end();
    let objects = world.objects();
    let (heard, delivered, outcomes, failed) = world.relay.wait("all to be delivered", |book| {
        let heard: BTreeSet<_> = book.objects().into_iter().filter_map(|n| n.key).collect();
        let done = book.outcomes.get("done").copied().unwrap_or(0);
        (book.idle() && heard.is_superset(&objects) && done >= objects.len() as u64)
            .then(|| (heard, book.delivered, book.outcomes.clone(), book.failed.clone()))
    });
    println!("{} objects, {delivered} deliveries, {outcomes:?}", objects.len());
    assert_eq!(heard, objects, "the store tells of what the device stored and of nothing else");
    assert_eq!((outcomes["done"], failed.as_slice()), (objects.len() as u64, &[][..]));
    assert_eq!(outcomes.keys().collect::<Vec<_>>(), ["already", "done"]);
    world.each_has_its_result(&objects);
    the_account_adds_up(&status, &objects);

    let line = world.line(&commanded);
    assert_eq!(line["facts"]["trigger"], "command", "{line}");
    assert_eq!(objects.iter().filter(|key| key.contains("-command-")).count(), 1, "{objects:?}");
    let everything: BTreeSet<_> = world.store.list("").into_keys().collect();
    assert!(
        everything.iter().all(|k| k.starts_with("v1/") || k.starts_with("results/pictures/v1/"))
    );
    world.device.stop();
}

/// Both sums, and what the device says it stored is what the bucket has.
fn the_account_adds_up(status: &Status, objects: &BTreeSet<String>) {
    let (run, ledger) = (&status.run, &status.ledger);
    assert!(run.holds && ledger.holds, "{run:?} {ledger:?}");
    assert!(run.refused.is_empty() && ledger.lost.is_empty(), "{run:?} {ledger:?}");
    assert_eq!((run.chosen, run.in_hand), (run.kept, 0));
    assert_eq!((ledger.kept, ledger.kept), (run.kept, ledger.stored));
    assert_eq!((ledger.queued, ledger.quarantined), (0, 0));
    assert_eq!(ledger.stored, objects.len() as u64);
    assert!(objects.len() > 10, "too few to prove anything: {objects:?}");
}

/// The answer to every third delivery is lost, and so of 31 deliveries ten are of what was sent before:
/// 21 begin it.
#[test]
fn thirty_one_deliveries_of_twelve_pictures_give_twelve_results() {
    const OBJECTS: usize = 12;
    const BEGUN: usize = 21;
    let mut world = World::new("");
    world.device.start(None);
    let held: Vec<Notice> = world.relay.wait("twelve objects", |book| {
        let objects = book.objects();
        (objects.len() >= OBJECTS).then(|| objects[..OBJECTS].to_vec())
    });
    world.device.stop();
    assert!(world.store.list("results/").is_empty(), "all was held back");

    let mut random = fastrand::Rng::with_seed(31);
    let mut notices = held.clone();
    notices.extend((OBJECTS..BEGUN).map(|_| random.choice(&held).unwrap().clone()));
    random.shuffle(&mut notices);
    world.relay.deliver(&world.function, notices);
    let (delivered, outcomes, failed) = world.relay.wait("all to be delivered", |book| {
        book.idle().then(|| (book.delivered, book.outcomes.clone(), book.failed.clone()))
    });

    assert_eq!((delivered, failed.as_slice()), (31, &[][..]));
    let expected = [("already".to_owned(), 19), ("done".to_owned(), 12)];
    assert_eq!(outcomes, BTreeMap::from(expected), "{}", world.function.output());
    world.each_has_its_result(&held.into_iter().filter_map(|notice| notice.key).collect());
}
