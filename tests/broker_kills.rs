//! The broker dies again and again in mid-traffic, as by a power cut, with and without what it keeps on
//! disk. An operator commands on, and repeats what was not answered, as operators do.
//!
//! What must hold: every command ends, and is told to have; no effect comes twice; what was put into the
//! outbox arrives; cameras never stop. `VEDETTE_BROKER_KILLS=50` kills more often than the ten of an
//! ordinary run.

#![cfg(test)]

#[path = "support/mosquitto.rs"]
mod mosquitto;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mosquitto::mqtt_client::{Client, Message};
use mosquitto::{Mosquitto, Setup};
use serde_json::{Value, json};
use tempfile::TempDir;
use vedette::agent::{Agent, Deps};
use vedette::backoff::Backoff;
use vedette::camera;
use vedette::clock::SystemClock;
use vedette::config;
use vedette::control::{command::RateLimit, request::Request, socket};
use vedette::mqtt::Tuning;
use vedette::status::{ConfigStatus, Status};

const PREFIX: &str = "vedette/v1/cam1";

/// Snapshots that are commanded around each death, besides one pause and one resumption.
const SNAPSHOTS: usize = 4;

/// A lost connection is made again at once, and is nobody's duel.
fn quick() -> Tuning {
    let ms = Duration::from_millis;
    Tuning {
        backoff: Backoff { base: ms(20), cap: ms(200) },
        stable: ms(1),
        duel_window: Duration::ZERO,
        ..Tuning::default()
    }
}

fn config(dir: &Path, port: u16) -> config::Config {
    let at = |name: &str| dir.join(name).display().to_string();
    fs::create_dir(dir.join("store")).unwrap();
    let text = format!(
        "[device]\nid = \"cam1\"\n[camera.front]\nmotion.enabled = false\n\
         scene = {{ size = \"160x120\", fps = 20.0, seed = 5 }}\n[destination.dir]\npath = \"{}\"\n\
         [spool]\npath = \"{}\"\n[control]\nsocket = \"{}\"\n[clock]\ntrust = \"always\"\n\
         [mqtt]\nbroker = \"mqtt://127.0.0.1:{port}\"\n",
        at("store"),
        at("spool"),
        at("control.sock"),
    );
    let file = dir.join("vedette.toml");
    fs::write(&file, text).unwrap();
    let context = config::Context::from_env(Some(dir.join("state")));
    config::check(&file, &context).unwrap_or_else(|e| panic!("{}", e.render(false)))
}

/// Runs the agent while `operate` works in a thread of its own; gives the last status.
async fn run<T: Send + 'static>(
    config: config::Config,
    operate: impl FnOnce() -> T + Send + 'static,
) -> (T, Status) {
    let deps = Deps {
        clock: Arc::new(SystemClock::new()),
        config: ConfigStatus::default(),
        alarms: Vec::new(),
        open_camera: Arc::new(camera::open),
        mqtt: quick(),
        rate: RateLimit::one_each(Duration::from_millis(1)),
    };
    let mut agent = Agent::start(config, deps).await.unwrap();
    let mut operator = tokio::task::spawn_blocking(operate);
    let done = loop {
        let turn = tokio::select! {
            done = &mut operator => break done.unwrap(),
            turn = agent.turn() => turn,
        };
        agent.handle(turn).await.unwrap();
    };
    (done, agent.stop().await)
}

/// Whoever commands, over a broker that comes and goes.
struct Operator {
    broker: Mosquitto,
    socket: PathBuf,
    client: Option<Client>,
    clients: u32,
    random: fastrand::Rng,
    /// Every command ever sent, and what it asks for.
    sent: BTreeMap<String, Value>,
    /// Ends that were heard of, all of each command.
    ends: BTreeMap<String, Vec<Value>>,
}

impl Operator {
    fn status(&self) -> Status {
        let body = socket::call(&self.socket, &Request::Status {}).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Asks until it is so; the agent answers at its own pace.
    fn wait(&self, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        for _ in 0..100_000 {
            let status = self.status();
            if is(&status) {
                return status;
            }
        }
        panic!("waited for {what}: {:?}", self.status());
    }

    /// Does something over a connection, a new one where the last broke; an error is a broken one.
    fn over<T>(&mut self, f: impl FnOnce(&mut Client) -> io::Result<T>) -> io::Result<T> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => {
                self.clients += 1;
                let mut client = self.broker.admin(&format!("operator-{}", self.clients));
                client.subscribe(&format!("{PREFIX}/cmd/+/status"));
                client
            }
        };
        let done = f(&mut client)?;
        self.client = Some(client);
        Ok(done)
    }

    /// Sends a command, for the first time or again.
    fn send(&mut self, id: &str) -> io::Result<()> {
        let message = Message::new(&format!("{PREFIX}/cmd/{id}"), self.sent[id].to_string());
        self.over(|client| client.try_publish(&message).map(drop))
    }

    /// Hears one thing; gives the id of a command that was not taken now, and may be sent again.
    fn hear(&mut self) -> io::Result<Option<String>> {
        let told = self.over(Client::try_next)?.json();
        let id = told["id"].as_str().unwrap().to_owned();
        match told["status"].as_str().unwrap() {
            "accepted" | "in-progress" => {}
            "rejected" if told["reason"]["code"] == "busy" => return Ok(Some(id)),
            _ => self.ends.entry(id).or_default().push(told),
        }
        Ok(None)
    }

    /// Commands, and kills the broker somewhere in between; lets it live again when cameras went on.
    fn round(&mut self, round: usize) {
        let mut ids = Vec::new();
        for n in 0..SNAPSHOTS {
            let id = format!("r{round}-s{n}");
            let order = json!({ "id": id, "op": "snapshot", "args": { "camera": "front" } });
            self.sent.insert(id.clone(), order);
            ids.push(id);
        }
        for op in ["pause", "resume"] {
            let id = format!("r{round}-{op}");
            self.sent.insert(id.clone(), json!({ "id": id, "op": format!("upload.{op}") }));
            ids.push(id);
        }
        for id in &ids {
            self.send(id).ok(); // repeated later
        }
        let heard = self.random.usize(0..12);
        for _ in 0..heard {
            if self.hear().is_err() {
                break;
            }
        }
        self.broker.kill();
        self.client = None;
        let before = self.wait("the loss", |s| !s.mqtt.as_ref().unwrap().connected);
        let frames = before.cameras["front"].frames;
        self.wait("frames without a broker", |s| s.cameras["front"].frames > frames + 2);
        self.broker.restart();
        self.wait("the broker", |s| s.mqtt.as_ref().unwrap().connected);
    }

    /// Repeats what has no end yet, one after the other, until everything has.
    fn finish(&mut self) {
        while let Some(id) = self.sent.keys().find(|id| !self.ends.contains_key(*id)).cloned() {
            self.send(&id).unwrap();
            while !self.ends.contains_key(&id) {
                if self.hear().unwrap().as_ref() == Some(&id) {
                    self.send(&id).unwrap();
                }
            }
        }
    }
}

fn kills() -> usize {
    std::env::var("VEDETTE_BROKER_KILLS").map_or(10, |n| n.parse().unwrap())
}

async fn survive(persistent: bool) {
    let dir = TempDir::new().unwrap();
    let broker = Mosquitto::start(&Setup { persistent, ..Setup::default() });
    let config = config(dir.path(), broker.port);
    let mut operator = Operator {
        broker,
        socket: config.control_socket.clone(),
        client: None,
        clients: 0,
        random: fastrand::Rng::with_seed(7),
        sent: BTreeMap::new(),
        ends: BTreeMap::new(),
    };
    let operate = move || {
        operator.wait("the broker", |s| s.mqtt.as_ref().unwrap().connected);
        (0..kills()).for_each(|round| operator.round(round));
        operator.finish();
        let last = operator.wait("the outbox to be empty", |s| {
            s.mqtt.as_ref().unwrap().outbox.values().all(|kind| kind.queued == 0)
        });
        (operator, last)
    };
    let ((operator, last), end) = run(config, operate).await;
    assert!(end.run.holds && end.ledger.holds, "{end:?}");
    check(&operator, &last, dir.path());
}

fn check(operator: &Operator, last: &Status, dir: &Path) {
    let commands = operator.sent.len() as u64;
    assert_eq!(operator.ends.len() as u64, commands, "every command's end was heard of");
    // Ends may be told twice, but never two different ones.
    for (id, ends) in &operator.ends {
        let same =
            |end: &Value| end["status"] == ends[0]["status"] && end["result"] == ends[0]["result"];
        assert!(ends.iter().all(same), "{id}: {ends:?}");
        assert_eq!(ends[0]["status"], "succeeded", "{id}: {ends:?}");
    }
    // Each command was written down once, and put its one outcome into the outbox once.
    let outbox = &last.mqtt.as_ref().unwrap().outbox["outcome"];
    assert_eq!(last.commands.accepted, commands, "{:?}", last.commands);
    assert!(last.commands.holds && last.commands.open == 0, "{:?}", last.commands);
    assert_eq!((outbox.put, outbox.dropped), (commands, 0), "{outbox:?}");
    assert!(outbox.holds && outbox.queued == 0 && outbox.arrived == outbox.put, "{outbox:?}");
    // Each snapshot has one picture of its own, and nothing else was taken.
    let snapshots: Vec<_> = operator.ends.iter().filter(|(id, _)| id.contains("-s")).collect();
    let keys: BTreeSet<_> =
        snapshots.iter().map(|(_, e)| e[0]["result"]["key"].as_str().unwrap()).collect();
    assert_eq!(keys.len(), snapshots.len());
    assert!(keys.iter().all(|key| dir.join("store").join(key).exists()));
    assert_eq!((last.run.chosen, last.ledger.stored), (keys.len() as u64, keys.len() as u64));
    // The camera did not notice.
    let front = &last.cameras["front"];
    assert_eq!((front.gaps, front.reopened, front.skipped), (0, 0, 0), "{front:?}");
    assert!(last.run.holds && last.ledger.holds);
}

#[tokio::test]
async fn a_broker_that_dies_again_and_again_and_remembers_loses_no_outcome() {
    survive(true).await;
}

#[tokio::test]
async fn a_broker_that_dies_again_and_again_and_forgets_loses_no_outcome() {
    survive(false).await;
}
