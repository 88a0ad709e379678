//! The whole agent, commanded over a real broker: what is asked, what is told, what is done, and what
//! becomes of both when the agent dies in between.

#![cfg(test)]
#![allow(clippy::duplicate_mod, reason = "broker and device both run processes")]

#[path = "support/device.rs"]
mod device;
#[path = "support/mosquitto.rs"]
mod mosquitto;

use std::fs;

use device::Device;
use mosquitto::mqtt_client::{Client, Message};
use mosquitto::{Mosquitto, Setup};
use rustix::process::Signal;
use serde_json::{Value, json};

const PREFIX: &str = "vedette/v1/cam1";

/// A camera whose frames come often.
const QUICK: &str =
    "scene = { size = \"320x240\", fps = 20.0, seed = 3 }\nmotion.enabled = false\n";

/// A camera whose frames come so rarely that whatever is asked for is waited for.
const SLOW: &str = "scene = { size = \"320x240\", fps = 0.1, seed = 3 }\nmotion.enabled = false\nframe_timeout = \"60s\"\n";

/// A device, its broker, and an operator who hears all that the device says.
struct World {
    broker: Mosquitto,
    device: Device,
    operator: Client,
}

impl World {
    fn new(camera: &str) -> Self {
        // Queues without bound: what the device does not take at once is not to be thrown away.
        // Nor is the broker to wait for more to say before it says something.
        let more = "max_queued_messages 0\nset_tcp_nodelay true".to_owned();
        let broker = Mosquitto::start(&Setup { more, ..Setup::default() });
        let device = Device::new();
        fs::create_dir(device.path("store")).unwrap();
        device.configure(&config(&device, &broker, camera, "60s"));
        let mut operator = broker.admin("operator");
        operator.subscribe(&format!("{PREFIX}/#"));
        let mut world = Self { broker, device, operator };
        world.start();
        world
    }

    /// Starts the agent and waits until it may be commanded.
    fn start(&mut self) {
        self.device.start(None);
        self.device.wait("the broker and the cameras", |s| {
            s.mqtt.as_ref().is_some_and(|m| m.connected)
                && s.cameras.values().all(|c| c.state == "streaming")
        });
    }

    fn command(&mut self, id: &str, op: &str, args: &Value) {
        let payload = json!({ "id": id, "op": op, "args": args }).to_string();
        self.operator.publish(&Message::new(&format!("{PREFIX}/cmd/{id}"), payload));
    }

    /// What is told of a command, up to and with the status that is waited for.
    fn told(&mut self, id: &str, until: &[&str]) -> Vec<Value> {
        let topic = format!("{PREFIX}/cmd/{id}/status");
        let mut told = Vec::new();
        loop {
            let message = self.operator.wait_for(|m| m.topic == topic);
            told.push(message.json());
            let status = told.last().unwrap()["status"].as_str().unwrap();
            if until.contains(&status) {
                return told;
            }
        }
    }

    fn ended(&mut self, id: &str) -> Value {
        let ends = ["succeeded", "failed", "rejected", "timed-out"];
        self.told(id, &ends).pop().unwrap()
    }

    /// Kills the agent as a power cut would.
    fn kill(&mut self) {
        self.device.kill(Signal::KILL);
    }
}

fn config(device: &Device, broker: &Mosquitto, camera: &str, keep_alive: &str) -> String {
    format!(
        "[camera.front]\n{camera}\n[camera.back]\n{camera}\n[destination.dir]\npath = \"{}\"\n\
         [mqtt]\nbroker = \"mqtt://127.0.0.1:{}\"\nkeep_alive = \"{keep_alive}\"\n\
         [clock]\ntrust = \"always\"\n",
        device.path("store").display(),
        broker.port
    )
}

fn statuses(told: &[Value]) -> Vec<&str> {
    told.iter().map(|t| t["status"].as_str().unwrap()).collect()
}

#[test]
fn a_snapshot_is_accepted_taken_stored_and_its_key_is_told() {
    let mut world = World::new(QUICK);
    world.command("a1", "snapshot", &json!({ "camera": "front", "count": 2 }));
    let told = world.told("a1", &["succeeded", "failed"]);
    assert_eq!(statuses(&told), ["accepted", "in-progress", "succeeded"], "{told:?}");
    let seqs: Vec<_> = told.iter().map(|t| t["seq"].as_u64().unwrap()).collect();
    assert!(seqs.is_sorted(), "{seqs:?}");
    let result = &told[2]["result"];
    let pictures = result["pictures"].as_array().unwrap();
    assert_eq!(pictures.len(), 2);
    assert_eq!(result["key"], pictures[0]["key"]);
    for picture in pictures {
        let key = picture["key"].as_str().unwrap();
        assert!(key.contains("-command-"), "{key}");
        let stored = fs::read(world.device.path("store").join(key)).unwrap();
        assert_eq!(stored.len() as u64, picture["size"].as_u64().unwrap());
    }
    assert!(told.iter().all(|t| t["clock"] == "trusted" && t["ts"].is_string()), "{told:?}");
    world.device.stop();
}

#[test]
fn a_lost_camera_is_told_with_its_reason_and_told_again_when_it_is_back() {
    // A camera that is there for as long as a file is.
    let dir = tempfile::TempDir::new().unwrap();
    let (plug, frame) = (dir.path().join("plugged"), dir.path().join("frame.jpg"));
    let grey = turbojpeg::Image {
        pixels: vec![90_u8; 64 * 48],
        width: 64,
        pitch: 64,
        height: 48,
        format: turbojpeg::PixelFormat::GRAY,
    };
    let grey = turbojpeg::compress(grey.as_deref(), 80, turbojpeg::Subsamp::Gray).unwrap();
    fs::write(&frame, &grey).unwrap();
    fs::write(&plug, "").unwrap();
    let script = format!(
        "while [ -e {} ]; do cat {}; sleep 0.1; done; echo pulled out >&2; exit 1",
        plug.display(),
        frame.display()
    );
    let camera = format!("exec.command = [\"sh\", \"-c\", \"{script}\"]\nmotion.enabled = false\n");
    let mut world = World::new(&camera);
    let topic = format!("{PREFIX}/alarm/camera");
    let mut alarm = |raised: bool| {
        let is = |m: &Message| m.json()["subject"] == "front" && m.json()["raised"] == raised;
        world.operator.wait_for(|m| m.topic == topic && is(m)).json()
    };
    fs::remove_file(&plug).unwrap();
    let lost = alarm(true);
    let text = lost["text"].as_str().unwrap();
    assert!(text.starts_with("front is lost: ") && text.contains("pulled out"), "{text}");
    fs::write(&plug, "").unwrap();
    let back = alarm(false);
    assert_eq!(back["name"], "camera");
    assert!(back["text"].as_str().unwrap().starts_with("front is lost: "), "{back}");
    world.device.wait("both cameras", |s| s.cameras.values().all(|c| c.state == "streaming"));
    world.device.stop();
}

#[test]
fn what_a_detector_says_is_carried_by_the_picture() {
    let mut world = World::new(QUICK);
    let said = json!({ "camera": "back", "label": "person", "boxes": [[0.25, 0.5, 0.5, 0.25]],
                       "meta": { "model": "hog-1" } });
    world.command("t1", "trigger", &said);
    let end = world.ended("t1");
    assert_eq!(end["status"], "succeeded", "{end}");
    let key = end["result"]["key"].as_str().unwrap().to_owned();
    assert!(key.contains("/back/") && key.contains("-external-"), "{key}");
    let jpeg = fs::read(world.device.path("store").join(key)).unwrap();
    let text = String::from_utf8_lossy(&jpeg);
    for part in [
        "\"trigger-label\":\"person\"",
        "\"trigger-boxes\":\"80-120-160-60\"",
        "\"meta-model\":\"hog-1\"",
    ] {
        assert!(text.contains(part), "{part}");
    }
    world.device.stop();
}

#[test]
fn a_snapshot_in_another_size_and_quality_is_made_so() {
    let mut world = World::new(QUICK);
    world.command(
        "s1",
        "snapshot",
        &json!({ "camera": "front", "size": "160x160", "quality": 40 }),
    );
    let end = world.ended("s1");
    assert_eq!(end["status"], "succeeded", "{end}");
    let key = end["result"]["key"].as_str().unwrap();
    let jpeg = fs::read(world.device.path("store").join(key)).unwrap();
    let header = turbojpeg::read_header(&jpeg).unwrap();
    assert_eq!((header.width, header.height), (160, 120));
    world.device.stop();
}

#[test]
fn wrong_commands_are_rejected_with_what_would_be_right() {
    let mut world = World::new(QUICK);
    let table = [
        ("w1", "reboot", json!({}), "unknown-op"),
        ("w2", "snapshot", json!({ "camera": "front", "zoom": 3 }), "unknown-field"),
        ("w3", "snapshot", json!({ "camera": "front", "count": 900 }), "bad-value"),
    ];
    for (id, op, args, code) in table {
        world.command(id, op, &args);
        let told = world.told(id, &["rejected", "accepted"]);
        assert_eq!(told[0]["status"], "rejected", "{told:?}");
        assert_eq!(told[0]["reason"]["code"], code, "{told:?}");
    }
    world.command("w4", "snapshot", &json!({ "camera": "attic" }));
    let end = world.ended("w4");
    assert_eq!(
        (&end["status"], &end["reason"]["code"]),
        (&json!("failed"), &json!("unknown-camera"))
    );
    assert!(end["reason"]["text"].as_str().unwrap().contains("back, front"), "{end}");
    world.device.stop();
}

#[test]
fn killed_between_accepted_and_its_effect_a_command_ends_as_interrupted_and_is_not_done_again() {
    let mut world = World::new(SLOW);
    world.command("k1", "snapshot", &json!({ "camera": "front" }));
    world.told("k1", &["accepted"]);
    world.kill();
    world.start();
    let end = world.ended("k1");
    assert_eq!((&end["status"], &end["reason"]["code"]), (&json!("failed"), &json!("interrupted")));
    // The same id again, as a broker or an operator may send it: told again, not done.
    world.command("k1", "snapshot", &json!({ "camera": "front" }));
    let again = world.ended("k1");
    assert_eq!(
        (&again["status"], &again["reason"]["code"]),
        (&json!("failed"), &json!("interrupted"))
    );
    let status = world.device.wait("the known one", |s| s.commands.known == 1);
    assert_eq!((status.commands.accepted, status.run.chosen), (0, 0));
    world.device.stop();
}

#[test]
fn another_broker_in_the_configuration_ends_commands_at_work_and_takes_new_ones() {
    let mut world = World::new(SLOW);
    world.command("b1", "snapshot", &json!({ "camera": "front" }));
    world.told("b1", &["accepted"]);
    world.device.configure(&config(&world.device, &world.broker, SLOW, "50s"));
    world.device.reload();
    let end = world.ended("b1");
    assert_eq!((&end["status"], &end["reason"]["code"]), (&json!("failed"), &json!("interrupted")));
    world.command("b2", "status", &json!({}));
    assert_eq!(world.ended("b2")["status"], "succeeded");
    world.device.stop();
}

#[test]
fn without_a_frame_in_time_a_snapshot_is_timed_out_and_withdrawn() {
    let mut world = World::new(SLOW);
    let payload =
        json!({ "id": "l1", "op": "snapshot", "args": { "camera": "front" }, "ttl_s": 1 });
    world.operator.publish(&Message::new(&format!("{PREFIX}/cmd/l1"), payload.to_string()));
    let end = world.ended("l1");
    assert_eq!(
        (&end["status"], &end["reason"]["code"]),
        (&json!("timed-out"), &json!("timed-out"))
    );
    let before = world.device.wait("a frame", |_| true).cameras["front"].frames;
    let status = world.device.wait("the next frame", |s| s.cameras["front"].frames > before);
    assert_eq!(status.run.chosen, 0, "it was withdrawn");
    world.device.stop();
}

#[test]
fn paused_uploads_stay_paused_over_a_restart_and_everything_is_kept_meanwhile() {
    let mut world = World::new(QUICK);
    world.command("p1", "upload.pause", &json!({}));
    assert_eq!(world.ended("p1")["status"], "succeeded");
    world.command("p2", "snapshot", &json!({ "camera": "front" }));
    let told = world.told("p2", &["in-progress", "failed", "succeeded"]);
    assert_eq!(told.last().unwrap()["status"], "in-progress");
    world.kill();
    world.start();
    let status = world.device.wait("the status", |_| true);
    assert!(status.upload.paused);
    assert_eq!((status.ledger.queued, status.ledger.stored), (1, 0));
    world.command("p3", "upload.resume", &json!({}));
    let end = world.ended("p2");
    assert_eq!(end["status"], "succeeded", "{end}");
    assert!(end["result"]["key"].is_string());
    world.device.wait("the sums", |s| !s.upload.paused && s.ledger.stored == 1);
    world.device.stop();
}

#[test]
fn privacy_mode_by_command_refuses_pictures_over_a_power_cut_until_it_is_ended() {
    let mut world = World::new(QUICK);
    world.command("v1", "privacy.on", &json!({}));
    assert_eq!(world.ended("v1")["status"], "succeeded");
    world.command("v2", "snapshot", &json!({ "camera": "front" }));
    let end = world.ended("v2");
    assert_eq!((&end["status"], &end["reason"]["code"]), (&json!("failed"), &json!("privacy")));
    world.kill();
    world.device.start(None);
    world.device.wait("privacy mode", |s| {
        s.privacy.is_some()
            && s.mqtt.as_ref().is_some_and(|m| m.connected)
            && s.cameras.values().all(|c| c.state == "private")
    });
    world.command("v3", "privacy.off", &json!({}));
    assert_eq!(world.ended("v3")["status"], "succeeded");
    world.device.wait("the cameras", |s| s.cameras.values().all(|c| c.state == "streaming"));
    world.command("v4", "snapshot", &json!({ "camera": "front" }));
    assert_eq!(world.ended("v4")["status"], "succeeded");
    world.device.stop();
}

#[test]
fn another_start_of_the_agent_is_told_from_a_mere_reconnection() {
    let mut world = World::new(QUICK);
    let online = |world: &mut World, wanted: bool| {
        let is =
            |m: &Message| m.topic == format!("{PREFIX}/online") && m.json()["online"] == wanted;
        world.operator.wait_for(is).json()
    };
    let first = online(&mut world, true);
    world.kill();
    assert_eq!(online(&mut world, false)["boot"], first["boot"]);
    world.start();
    let second = online(&mut world, true);
    assert_eq!(second["boot"], first["boot"]);
    assert!(first["run"].is_string() && second["run"] != first["run"], "{first} {second}");
    world.device.stop();
}

#[test]
fn commands_sent_while_the_agent_was_away_are_done_when_it_is_back() {
    let mut world = World::new(QUICK);
    world.device.stop();
    let offline = world
        .operator
        .wait_for(|m| m.topic == format!("{PREFIX}/online") && m.json()["online"] == json!(false));
    assert!(offline.json()["boot"].is_string());
    for n in 0..3 {
        world.command(&format!("o{n}"), "snapshot", &json!({ "camera": "front" }));
    }
    world.start();
    // They are done side by side, and end in any order.
    let mut ended = std::collections::BTreeMap::new();
    while ended.len() < 3 {
        let told = world.operator.wait_for(|m| m.topic.ends_with("/status")).json();
        if !["accepted", "in-progress"].contains(&told["status"].as_str().unwrap()) {
            ended.insert(told["id"].to_string(), told);
        }
    }
    assert!(ended.values().all(|told| told["status"] == "succeeded"), "{ended:?}");
    world.device.stop();
}

#[test]
fn status_is_told_and_an_answer_goes_where_the_requester_wants_it() {
    let mut world = World::new(QUICK);
    let answer = format!("{PREFIX}/answers/desk-7");
    let mut message = Message::new(
        &format!("{PREFIX}/cmd/q1"),
        json!({ "id": "q1", "op": "status" }).to_string(),
    );
    message.response_topic = Some(answer.clone());
    message.correlation = Some(b"\x00seven".to_vec());
    world.operator.publish(&message);
    let told = world.operator.wait_for(|m| m.topic == answer && m.json()["status"] == "succeeded");
    assert_eq!(told.correlation.as_deref(), Some(&b"\x00seven"[..]));
    assert_eq!(told.json()["result"]["device"], "cam1");
    world.device.stop();
}

#[test]
fn an_event_of_several_pictures_has_its_manifest_stored() {
    let camera = "scene = { size = \"640x360\", fps = 10.0, seed = 1, frames = 400, pace = \"fast\" }\n\
                  motion.every = \"1s\"\n";
    let mut world = World::new(camera.trim_end());
    let manifest = format!("{PREFIX}/event/front/stored");
    let told =
        world.operator.wait_for(|m| m.topic == manifest && m.json()["trigger"] == "manifest");
    let key = told.json()["key"].as_str().unwrap().to_owned();
    assert!(key.ends_with(".json"), "{key}");
    let body = fs::read(world.device.path("store").join(&key)).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let pictures = body["pictures"].as_array().unwrap();
    assert!(pictures.len() > 1, "{body}");
    for picture in pictures {
        assert_eq!(picture["state"], "stored", "{body}");
        assert!(world.device.path("store").join(picture["key"].as_str().unwrap()).exists());
    }
    assert_eq!(body["counts"]["stored"], pictures.len());
    world.device.stop();
}

/// One of many payloads: right, almost right, or nothing of the kind.
fn payload(random: &mut fastrand::Rng, id: &str) -> Vec<u8> {
    let camera = random.choice(["front", "back", "attic", "\u{0}", ""]).unwrap();
    let right = [
        json!({ "id": id, "op": "status" }),
        json!({ "id": id, "op": "snapshot", "args": { "camera": camera } }),
        json!({ "id": id, "op": "trigger", "args": { "camera": camera, "label": "person" } }),
        json!({ "id": id, "op": "upload.resume", "ttl_s": random.i64(-5..100_000) }),
        json!({ "id": id, "op": "snapshot", "args": { "count": random.i64(-1..20), "size": "9x9" } }),
    ];
    let mut bytes = random.choice(&right).unwrap().to_string().into_bytes();
    match random.u8(0..4) {
        0 => {}
        1 => bytes.truncate(random.usize(0..bytes.len())),
        2 => {
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..bytes.len());
                bytes[at] = random.u8(..);
            }
        }
        _ => bytes = (0..random.usize(0..40_000)).map(|_| random.u8(..)).collect(),
    }
    bytes
}

#[test]
fn a_flood_of_commands_is_answered_or_counted_and_takes_no_memory() {
    const FLOOD: u64 = 10_000;
    let mut world = World::new(QUICK);
    let mut random = fastrand::Rng::with_seed(11);
    let mut message = |n: u64| {
        let id = format!("f{n}");
        Message::new(&format!("{PREFIX}/cmd/{id}"), payload(&mut random, &id))
    };
    world.operator.publish_each((0..FLOOD / 10).map(&mut message));
    let settled = world.device.memory();
    let began = std::time::Instant::now();
    world.operator.publish_each((FLOOD / 10..FLOOD).map(&mut message));
    let rate = (FLOOD * 9 / 10) as f64 / began.elapsed().as_secs_f64();
    let status = world.device.wait("all of the flood", |s| {
        s.commands.received >= FLOOD && s.commands.in_hand == 0 && s.commands.open == 0
    });
    let memory = world.device.memory();
    let commands = &status.commands;
    println!("{rate:.0} commands a second; {settled} then {memory} bytes; {commands:?}");
    assert!(commands.holds, "{commands:?}");
    assert!(memory < settled + (4 << 20), "from {settled} to {memory} bytes");
    // What was not accepted was rejected, and each was told of, or that it was not is counted.
    world.command("last", "upload.resume", &json!({}));
    let (mut told, mut ended) = (std::collections::BTreeSet::new(), false);
    while !ended {
        let message = world.operator.wait_for(|m| m.topic.ends_with("/status"));
        let id = message.topic.rsplit('/').nth(1).unwrap().to_owned();
        ended = id == "last";
        told.insert(id);
    }
    let untold = status.mqtt.as_ref().unwrap().dropped + commands.ignored;
    assert!(told.len() as u64 + untold > FLOOD, "{} told, {untold} counted", told.len());
    world.device.stop();
}

#[test]
fn a_purge_says_what_it_removed_and_a_bad_one_what_would_be_right() {
    let mut world = World::new(QUICK);
    world.command("pause", "upload.pause", &json!({}));
    assert_eq!(world.ended("pause")["status"], "succeeded");
    for (id, camera, count) in [("s1", "front", 2), ("s2", "back", 1)] {
        world.command(id, "snapshot", &json!({ "camera": camera, "count": count }));
        world.told(id, &["in-progress"]);
    }
    world.command("bad", "purge", &json!({}));
    let bad = world.ended("bad");
    assert_eq!((&bad["status"], &bad["reason"]["code"]), (&"rejected".into(), &"bad-value".into()));
    assert!(bad["reason"]["text"].as_str().unwrap().contains("\"all\":true"), "{bad}");

    world.command("p1", "purge", &json!({ "camera": "front" }));
    let lost = world.ended("s1"); // told first, in the transaction of its last picture
    assert_eq!(lost["status"], "failed", "its pictures will not come: {lost}");
    let end = world.ended("p1");
    assert_eq!(end["status"], "succeeded", "{end}");
    let receipt = &end["result"];
    assert_eq!(
        (&receipt["pictures"], &receipt["parts"][0]["camera"]),
        (&2.into(), &"front".into())
    );
    assert!(receipt["bytes"].as_u64().unwrap() > 0 && receipt["oldest"].is_string(), "{receipt}");
    assert_eq!(receipt["in_flight"], json!([]));
    world.device.wait("two purged", |s| s.ledger.lost.get("purged") == Some(&2));

    // It comes again, over a restart: the same answer, and nothing more is removed.
    world.kill();
    world.start();
    world.command("p1", "purge", &json!({ "camera": "front" }));
    let again = world.ended("p1");
    assert_eq!(again["result"], *receipt);
    world.command("resume", "upload.resume", &json!({}));
    assert_eq!(world.ended("s2")["status"], "succeeded");
    world.device.wait("no more purged", |s| s.ledger.lost.get("purged") == Some(&2));
    world.device.stop();
}
