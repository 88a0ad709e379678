//! The whole agent on real input: pedestrians as a UVC camera sends them, a real SeaweedFS, and
//! SIGKILL in the middle of uploading. What was kept is in the bucket, under one key each, byte for
//! byte; the account adds up; and no secret is in anything that the agent said.

#![cfg(test)]

#[path = "support/footage.rs"]
mod footage;
#[path = "support/seaweed.rs"]
mod seaweed;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use seaweed::process::Process;
use seaweed::{BUCKET, DEVICE_KEYS, REGION, Seaweed};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use vedette::camera::{Camera, CameraError, FilesSettings, Pace, files};
use vedette::clock::SystemClock;
use vedette::contract::manifest::Manifest;
use vedette::control::{request::Request, socket};
use vedette::status::Status;

const DEVICE: &str = "cam1";

struct Device {
    dir: TempDir,
    output: String,
}

impl Device {
    fn new(store: &Seaweed, camera: &str) -> Self {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        fs::write(
            dir.path().join("credentials"),
            format!(
                "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
                DEVICE_KEYS.0, DEVICE_KEYS.1
            ),
        )
        .unwrap();
        let config = format!(
            "[device]\nid = \"{DEVICE}\"\nsite = \"yard\"\n{camera}\n\
             [destination]\nconcurrency = 2\n[destination.s3]\nendpoint = \"{}\"\nbucket = \"{BUCKET}\"\n\
             region = \"{REGION}\"\nprovider = \"seaweedfs\"\ncredentials_file = \"{}\"\n\
             [spool]\npath = \"{}\"\n[control]\nsocket = \"{}\"\n\
             [clock]\ntrust = \"always\"\n[log]\nlevel = \"trace\"\nformat = \"text\"\n",
            store.endpoint(),
            at("credentials"),
            at("spool"),
            at("control.sock"),
        );
        fs::write(dir.path().join("vedette.toml"), config).unwrap();
        Self { dir, output: String::new() }
    }

    fn start(&self) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
        command.arg("run").arg("--config").arg(self.dir.path().join("vedette.toml"));
        command.arg("--state-dir").arg(self.dir.path().join("state"));
        Process::spawn(&mut command, self.dir.path(), "vedette")
    }

    /// Asks the agent until `is` holds; its early end or two minutes fail the test.
    fn wait(&mut self, agent: &mut Process, what: &str, is: impl Fn(&Status) -> bool) -> Status {
        let deadline = Instant::now() + Duration::from_secs(120);
        let socket = self.dir.path().join("control.sock");
        let mut last = String::new();
        loop {
            if let Ok(body) = socket::call(&socket, &Request::Status {}) {
                last = String::from_utf8(body).unwrap();
                self.output += &last;
                let status: Status = serde_json::from_str(&last).unwrap();
                assert!(status.run.holds && status.ledger.holds, "the sums do not hold: {last}");
                if is(&status) {
                    return status;
                }
            }
            let ended = agent.wait(Duration::from_millis(20));
            if ended.is_some() || Instant::now() > deadline {
                panic!("waited for {what}: {ended:?}\n{last}\n{}", tail(&agent.output()));
            }
        }
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(4000);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}

fn clip(clip: &Path, pace: &str) -> String {
    format!(
        "[camera.street]\nanalyse_fps = 1000\n[camera.street.files]\npath = \"{}\"\npace = \"{pace}\"\n\
         [camera.street.motion]\nkeep = \"all\"\n",
        clip.display()
    )
}

#[test]
fn kills_in_mid_upload_lose_nothing_and_store_nothing_twice() {
    let store = Seaweed::start(DEVICE);
    let clip_path = footage::vtest();
    let mut device = Device::new(&store, &clip(&clip_path, "fast"));

    for round in 1..=3 {
        let mut agent = device.start();
        device.wait(&mut agent, "an upload under way", |s| {
            s.upload.in_flight > 0 && s.upload.stored >= 10 * round && s.ledger.queued > 0
        });
        agent.signal(Signal::KILL);
        agent.wait(Duration::from_secs(10)).expect("SIGKILL ends it");
    }
    let mut agent = device.start();
    let status = device.wait(&mut agent, "everything stored", |s| {
        s.cameras["street"].state == "ended" && s.run.in_hand == 0 && s.ledger.queued == 0
    });
    agent.signal(Signal::TERM);
    let ended = agent.wait(Duration::from_secs(20)).expect("it stops within its deadline");
    assert!(ended.success(), "{ended}\n{}", tail(&agent.output()));

    let ledger = &status.ledger;
    assert_eq!(ledger.kept, ledger.stored, "{ledger:?}");
    assert!(ledger.kept > 100, "too few pictures to prove anything: {}", ledger.kept);
    assert_eq!((ledger.quarantined, ledger.lost.len(), ledger.generation), (0, 0, 1));
    // An event's manifest may have followed between the status and the stop.
    let stored = last_told(&agent.output(), "stored=");
    assert!(stored >= ledger.stored, "{stored}");
    every_object_is_a_frame_of_the_clip(&store, &clip_path, stored);

    device.output += &agent.output();
    assert_no_secret(&device.output);
}

/// One object a kept picture, its key and metadata true to its bytes, its pixels those of the clip.
fn every_object_is_a_frame_of_the_clip(store: &Seaweed, clip: &Path, kept: u64) {
    let frames = frames_of(clip);
    let objects = store.list("v1/");
    assert_eq!(objects.len() as u64, kept);
    let keys: HashSet<_> = objects.keys().cloned().collect();
    let mut sequences = BTreeMap::new();
    for (key, size) in objects {
        assert!(key.starts_with("v1/cam1/street/20"), "{key}");
        let (name, kind) = key.rsplit_once('.').unwrap();
        let mut parts = name.rsplit('-');
        let (sha16, seq) = (parts.next().unwrap(), parts.next().unwrap());
        assert_eq!(sequences.insert(seq.to_owned(), key.clone()), None, "one key a picture");
        let object = store.get(&key);
        assert_eq!(object.body.len() as u64, size);
        let sha256 = hex(&Sha256::digest(&object.body));
        assert!(sha256.starts_with(sha16), "{key}");
        assert_eq!(object.header("x-amz-meta-sha256"), Some(sha256.as_str()));
        assert_eq!(object.header("x-amz-meta-camera"), Some("street"));
        assert_eq!(object.header("x-amz-meta-site"), Some("yard"));
        if kind == "json" {
            every_picture_of_a_manifest_is_there(&object.body, &keys);
            continue;
        }
        assert_eq!(object.header("content-type"), Some("image/jpeg"));
        assert!(frames.contains(tables_and_scan(&object.body)), "{key} is no frame of the clip");
    }
}

/// Over all kills: what a manifest calls stored is stored, and what was on its way came.
fn every_picture_of_a_manifest_is_there(manifest: &[u8], keys: &HashSet<String>) {
    let manifest: Manifest = serde_json::from_slice(manifest).unwrap();
    // The camera outruns the device here: of an event it may have refused all.
    let counts = manifest.counts;
    assert!(!manifest.pictures.is_empty() || counts.refused == counts.chosen, "{manifest:?}");
    for picture in &manifest.pictures {
        let key = picture.key.as_ref().expect("the clock is trusted");
        assert!(keys.contains(key), "{picture:?}");
    }
}

/// The last number that a log tells after `name`.
fn last_told(output: &str, name: &str) -> u64 {
    let line = output.lines().rfind(|l| l.contains("Stopped.")).unwrap();
    let at = line.find(&format!(" {name}")).unwrap() + 1 + name.len();
    let digits = line[at..].bytes().take_while(u8::is_ascii_digit).count();
    line[at..at + digits].parse().unwrap()
}

fn frames_of(clip: &Path) -> HashSet<Vec<u8>> {
    let settings =
        FilesSettings { path: clip.to_owned(), size: None, pace: Pace::Fast, repeat: false };
    let mut camera = files::open(&settings, Arc::new(SystemClock::new())).unwrap();
    let mut frames = HashSet::new();
    loop {
        match camera.next_frame(Duration::from_secs(1)) {
            Ok(frame) => frames.insert(tables_and_scan(frame.data).to_vec()),
            Err(CameraError::Ended) => break,
            Err(error) => panic!("{error}"),
        };
    }
    assert!(frames.len() > footage::VTEST_FRAMES * 9 / 10, "{}", frames.len());
    frames
}

/// Everything from the first table to EOI: what is passed on byte for byte.
fn tables_and_scan(jpeg: &[u8]) -> &[u8] {
    let from = jpeg.windows(2).position(|w| w == [0xff, 0xdb]).expect("a JPEG has tables");
    let to = jpeg.windows(2).rposition(|w| w == [0xff, 0xd9]).expect("and an end");
    &jpeg[from..to + 2]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn assert_no_secret(output: &str) {
    assert!(output.len() > 10_000, "trace level says a lot: {} bytes", output.len());
    for secret in [DEVICE_KEYS.1, "X-Amz-Signature", "X-Amz-Credential", "x-amz-signature"] {
        if let Some(at) = output.find(secret) {
            let from = output.floor_char_boundary(at.saturating_sub(200));
            panic!("{secret:?} was said: {}", &output[from..at + secret.len()]);
        }
    }
}

#[test]
fn a_stop_in_mid_upload_keeps_the_rest_for_the_next_start() {
    let store = Seaweed::start(DEVICE);
    let mut device = Device::new(&store, &clip(&footage::vtest(), "fast"));
    let mut agent = device.start();
    device.wait(&mut agent, "a backlog", |s| s.upload.in_flight > 0 && s.ledger.queued > 5);
    let asked = Instant::now();
    agent.signal(Signal::TERM);
    let ended = agent.wait(Duration::from_secs(20)).expect("it stops within its deadline");
    assert!(ended.success(), "{ended} after {:?}\n{}", asked.elapsed(), tail(&agent.output()));

    let mut agent = device.start();
    let status = device.wait(&mut agent, "everything stored", |s| {
        s.cameras["street"].state == "ended" && s.run.in_hand == 0 && s.ledger.queued == 0
    });
    assert_eq!(store.list("v1/").len() as u64, status.ledger.kept);
    assert_eq!(status.ledger.kept, status.ledger.stored);
}

#[test]
fn a_stop_writes_the_pictures_that_were_in_memory_only() {
    let store = Seaweed::start(DEVICE);
    let camera = format!(
        "[camera.street]\ninterval = \"100ms\"\n[camera.street.files]\npath = \"{}\"\nrepeat = true\n\
         [camera.street.motion]\nenabled = false\n",
        footage::vtest().display()
    );
    let mut device = Device::new(&store, &camera);
    let config = device.dir.path().join("vedette.toml");
    let spill = "[spool]\ndurability = \"spill\"\nspill_after = \"5m\"\n";
    fs::write(&config, fs::read_to_string(&config).unwrap().replace("[spool]\n", spill)).unwrap();
    let images = device.dir.path().join("spool/images");
    let files = || walk(&images);

    let mut agent = device.start();
    // The first ones were written, because nothing was known of the store.
    device.wait(&mut agent, "pictures stored out of memory", |s| {
        s.upload.stored >= 10 && s.ledger.queued == 0
    });
    store.signal(Signal::STOP);
    let status = device.wait(&mut agent, "pictures at risk", |s| s.ledger.at_risk.pictures >= 8);
    assert_eq!(status.ledger.at_risk.max_bytes, 8 << 20);
    assert!(status.run.in_hand >= 8 && status.ledger.at_risk.durability == "spill");
    agent.signal(Signal::TERM);
    let ended = agent.wait(Duration::from_secs(30)).expect("it stops within its deadline");
    assert!(ended.success(), "{ended}\n{}", tail(&agent.output()));
    assert!(files().len() >= 8, "{:?}", files());
    store.signal(Signal::CONT);

    // The same camera would go on taking pictures: one that takes none.
    let text =
        fs::read_to_string(&config).unwrap().replace("interval = \"100ms\"", "interval = \"1h\"");
    fs::write(&config, text).unwrap();
    let mut agent = device.start();
    let status = device.wait(&mut agent, "everything stored", |s| {
        s.ledger.kept > status.run.kept + 8 && s.ledger.queued == 0 && s.run.in_hand == 0
    });
    assert_eq!(status.ledger.kept, status.ledger.stored);
    assert_eq!(store.list("v1/").len() as u64, status.ledger.kept);
}

fn walk(images: &Path) -> Vec<std::path::PathBuf> {
    let all =
        fs::read_dir(images).unwrap().flat_map(|dir| fs::read_dir(dir.unwrap().path()).unwrap());
    all.map(|file| file.unwrap().path()).collect()
}
