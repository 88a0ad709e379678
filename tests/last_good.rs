//! A broken configuration never stops capture: after one good start, the agent runs the last good one
//! and says so, whatever the file has become. And what else a device may meet at its start: no destination
//! yet, what an earlier version left, a disk that is a copy.

#![cfg(test)]

#[allow(clippy::duplicate_mod, reason = "each server of a test brings its own child process")]
#[path = "support/process.rs"]
mod process;
#[allow(clippy::duplicate_mod, reason = "each server of a test brings its own child process")]
#[path = "support/seaweed.rs"]
mod seaweed;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use process::Process;
use rustix::process::Signal;
use seaweed::{DEVICE_KEYS, Seaweed};
use vedette::control::{request::Request, socket};
use vedette::status::Status;

const SOON: Duration = Duration::from_secs(60);

fn vedette(dir: &Path, command: &str) -> Command {
    let mut vedette = Command::new(env!("CARGO_BIN_EXE_vedette"));
    vedette.arg(command).arg("--config").arg(dir.join("vedette.toml"));
    vedette.arg("--state-dir").arg(dir.join("state"));
    vedette
}

fn start(dir: &Path) -> Process {
    Process::spawn(&mut vedette(dir, "run"), dir, "vedette")
}

fn wait(dir: &Path, agent: &mut Process, what: &str, is: impl Fn(&Status) -> bool) -> Status {
    let deadline = Instant::now() + SOON;
    loop {
        if let Ok(body) = socket::call(&dir.join("control.sock"), &Request::Status {}) {
            let status: Status = serde_json::from_slice(&body).unwrap();
            if is(&status) {
                return status;
            }
        }
        let ended = agent.wait(Duration::from_millis(20));
        assert!(
            ended.is_none() && Instant::now() < deadline,
            "{what}: {ended:?}\n{}",
            agent.output()
        );
    }
}

fn stop(agent: &mut Process) {
    agent.signal(Signal::TERM);
    let ended = agent.wait(SOON).expect("it stops");
    assert!(ended.success(), "{ended}\n{}", agent.output());
}

fn good(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "[camera.street.scene]\nsize = \"320x180\"\n[destination.dir]\npath = \"{dir}/store\"\n\
         [spool]\npath = \"{dir}/spool\"\n[control]\nsocket = \"{dir}/control.sock\"\n"
    )
}

fn broken() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "toml"));
    files.sort();
    assert!(files.len() >= 15, "{files:?}");
    files
}

#[test]
fn runs_the_last_good_configuration_whatever_the_file_has_become() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let file = dir.join("vedette.toml");
    fs::write(&file, good(dir)).unwrap();
    let mut agent = start(dir);
    wait(dir, &mut agent, "a good start", |s| s.cameras["street"].frames > 0);
    stop(&mut agent);

    for fixture in broken() {
        fs::copy(&fixture, &file).unwrap();
        let check = vedette(dir, "check").output().unwrap();
        assert_eq!(check.status.code(), Some(78), "{}", fixture.display());

        let mut agent = start(dir);
        let what = fixture.display().to_string();
        let status = wait(dir, &mut agent, &what, |s| s.cameras["street"].frames > 0);
        assert!(status.config.last_good, "{what}");
        assert!(!status.healthy && status.alarms.iter().any(|a| a.name == "config"), "{what}");
        stop(&mut agent);
    }
}

#[test]
fn a_broken_file_changes_nothing_on_reload_and_a_good_one_does() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let file = dir.join("vedette.toml");
    fs::write(&file, good(dir)).unwrap();
    let mut agent = start(dir);
    wait(dir, &mut agent, "a good start", |s| s.cameras["street"].frames > 0);

    fs::write(&file, "[camera.street]\nintervall = \"1s\"\n").unwrap();
    agent.signal(Signal::HUP);
    let status = wait(dir, &mut agent, "the alarm", |s| !s.alarms.is_empty());
    assert_eq!(status.cameras.keys().collect::<Vec<_>>(), ["street"]);
    assert_eq!(status.cameras["street"].state, "streaming");

    fs::write(&file, good(dir).replace("street", "yard") + "[memory]\nin_hand = \"64 MiB\"\n")
        .unwrap();
    agent.signal(Signal::HUP);
    let status = wait(dir, &mut agent, "the new camera", |s| {
        s.cameras.get("yard").is_some_and(|c| c.frames > 0) && !s.cameras.contains_key("street")
    });
    assert!(status.alarms.is_empty(), "{:?}", status.alarms);
    assert_eq!(status.config.restart_needed, ["memory.in_hand"]);
    stop(&mut agent);
}

#[test]
fn pictures_are_kept_without_a_destination_and_sent_once_a_drop_in_names_one() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let file = dir.join("vedette.toml");
    let nowhere =
        good(dir).replace(&format!("[destination.dir]\npath = \"{}/store\"\n", dir.display()), "");
    assert!(!nowhere.contains("destination"));
    fs::write(
        &file,
        nowhere.replace(
            "[spool]",
            "[clock]\ntrust = \"always\"\n[camera.street]\ninterval = \"100ms\"\n[spool]",
        ),
    )
    .unwrap();
    let mut agent = start(dir);
    let status = wait(dir, &mut agent, "pictures that wait", |s| s.ledger.queued >= 3);
    assert_eq!((status.ledger.stored, status.upload.in_flight), (0, 0));
    assert_eq!(status.upload.destination, "nowhere: pictures wait here");
    let [alarm] = status.alarms.as_slice() else { panic!("{:?}", status.alarms) };
    assert_eq!(alarm.name, "destination");
    assert!(alarm.text.contains("no destination is configured"), "{alarm:?}");

    let drop_ins = dir.join("vedette.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::create_dir(dir.join("store")).unwrap();
    fs::write(drop_ins.join("10.toml"), "destination.dir.path = \"../store\"\n").unwrap();
    agent.signal(Signal::HUP);
    let first = status.ledger.kept;
    let status = wait(dir, &mut agent, "all are stored", |s| s.ledger.stored >= first);
    assert!(status.alarms.is_empty() && status.ledger.holds, "{:?}", status.alarms);
    assert_eq!(status.cameras["street"].reopened, 0, "the camera was left alone");
    stop(&mut agent);

    // It restarts from all files, and a drop-in that breaks them is as a broken file.
    fs::write(drop_ins.join("20.toml"), "camera.street.intervall = \"1s\"\n").unwrap();
    let mut agent = start(dir);
    let status = wait(dir, &mut agent, "the last good ones", |s| s.cameras["street"].frames > 0);
    assert!(status.config.last_good && status.upload.destination.ends_with("/store"), "{status:?}");
    let text = &status.alarms[0].text;
    assert!(text.contains("20.toml:1:15"), "{text}");
    stop(&mut agent);
}

#[test]
fn a_camera_is_never_dead_for_want_of_a_key_and_its_pictures_go_once_the_key_is_there() {
    let store = Seaweed::start("cam1");
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let keys = dir.join("store.credentials");
    let put_keys = || {
        let (id, secret) = DEVICE_KEYS;
        let text = format!("aws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
        fs::write(&keys, text).unwrap();
    };
    let bucket = format!(
        "[destination.s3]\nendpoint = \"{}\"\nbucket = \"pictures\"\n\
         credentials_file = \"store.credentials\"\n[device]\nid = \"cam1\"\n[clock]\ntrust = \"always\"\n\
         [camera.street]\ninterval = \"100ms\"\n[spool]",
        store.endpoint()
    );
    let local = format!("[destination.dir]\npath = \"{}/store\"\n[spool]", dir.display());
    fs::write(dir.join("vedette.toml"), good(dir).replace(&local, &bucket)).unwrap();

    // A first start: nothing to fall back to.
    let mut agent = start(dir);
    let status = wait(dir, &mut agent, "pictures that wait", |s| {
        s.ledger.queued >= 3 && s.alarms.len() >= 2
    });
    let names: Vec<_> = status.alarms.iter().map(|a| a.name.as_str()).collect();
    assert_eq!(names, ["config", "destination"], "{:?}", status.alarms);
    assert!(status.alarms[0].text.contains("store.credentials: No such file"));
    assert!(status.alarms[1].text.contains("keys cannot be read"), "{:?}", status.alarms);
    assert!(!status.config.last_good && status.ledger.stored == 0 && status.ledger.holds);
    assert_eq!(vedette(dir, "check").output().unwrap().status.code(), Some(78));

    put_keys();
    agent.signal(Signal::HUP);
    let waited = status.ledger.kept;
    let status = wait(dir, &mut agent, "all are stored", |s| s.ledger.stored >= waited);
    assert!(status.alarms.is_empty() && status.ledger.holds, "{:?}", status.alarms);
    assert_eq!(status.ledger.quarantined, 0);

    // Keys that are being renewed: those in use stay in use, and it is told.
    fs::remove_file(&keys).unwrap();
    agent.signal(Signal::HUP);
    let status = wait(dir, &mut agent, "the alarm", |s| !s.alarms.is_empty());
    assert_eq!((status.alarms.len(), status.alarms[0].name.as_str()), (1, "config"));
    let before = status.ledger.stored;
    wait(dir, &mut agent, "uploads go on", |s| s.ledger.stored > before);
    stop(&mut agent);
}

#[test]
fn what_0_1_0_left_on_a_device_is_taken_up() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let left = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/0.1.0");
    let put = |from: &str, to: &str| {
        let to = dir.join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(left.join(from), to).unwrap();
    };
    put("identity.json", "state/identity.json");
    put("last-good.toml", "state/last-good.toml");
    put("spool/spool.json", "spool/spool.json");
    for n in ["1", "2"] {
        let name = format!("spool/images/00000000/000000000000000{n}");
        put(&name, &name);
    }
    fs::create_dir(dir.join("store")).unwrap();
    fs::write(dir.join("vedette.toml"), "nonsense = true\n").unwrap();
    let mut agent = start(dir);
    let status = wait(dir, &mut agent, "its pictures are sent", |s| {
        s.ledger.stored >= 2 && s.cameras["street"].frames > 0
    });
    assert!(status.config.last_good && status.device == "gate-1", "{status:?}");
    assert!(status.ledger.holds && status.ledger.quarantined == 0, "{:?}", status.ledger);
    let spool: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("spool/spool.json")).unwrap()).unwrap();
    assert_eq!(spool["uuid"], "03af0e1a-933b-449c-b64b-597ee6715c02");
    stop(&mut agent);
}

#[test]
fn a_copied_disk_is_told_until_the_device_gets_an_id_of_its_own() {
    let here = vedette::identity::resolve(Some("x"), None, Path::new("/"), &Default::default());
    if here.fingerprint.is_empty() {
        println!("SKIPPED: no number of this machine's hardware can be read");
        return;
    }
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let dir = dir.path();
    let numbers: Vec<_> = here.fingerprint.keys().map(|k| format!("{k:?}: [\"0\"]")).collect();
    let pin = format!(
        "{{\"device\": \"gate-1\", \"source\": \"serial\", \"fingerprint\": {{{}}}}}",
        numbers.join(", ")
    );
    fs::create_dir(dir.join("state")).unwrap();
    fs::write(dir.join("state/identity.json"), &pin).unwrap();
    fs::create_dir(dir.join("store")).unwrap();
    fs::write(dir.join("vedette.toml"), good(dir)).unwrap();
    for _ in 0..2 {
        let mut agent = start(dir);
        let status = wait(dir, &mut agent, "the copy runs", |s| s.cameras["street"].frames > 0);
        let [alarm] = status.alarms.as_slice() else { panic!("{:?}", status.alarms) };
        assert_eq!((status.device.as_str(), alarm.name.as_str()), ("gate-1", "cloned"));
        assert!(alarm.text.contains("identity.json"), "{alarm:?}");
        stop(&mut agent);
    }
    fs::write(dir.join("vedette.toml"), good(dir) + "[device]\nid = \"gate-2\"\n").unwrap();
    let mut agent = start(dir);
    let status = wait(dir, &mut agent, "its own id", |s| s.cameras["street"].frames > 0);
    assert!(status.alarms.is_empty() && status.device == "gate-2", "{:?}", status.alarms);
    stop(&mut agent);
}

#[test]
fn two_devices_with_one_spool_overwrite_nothing() {
    let dirs = [(); 2].map(|()| tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
    let [original, copy] = dirs.each_ref().map(|d| d.path());
    let store = original.join("store");
    let config = |dir: &Path, more: &str| {
        let text = good(dir).replace(
            &format!("[destination.dir]\npath = \"{}/store\"\n", dir.display()),
            &format!(
                "[clock]\ntrust = \"always\"\n[camera.street]\nmotion.enabled = false\n{more}\n"
            ),
        );
        fs::write(dir.join("vedette.toml"), text).unwrap();
    };
    config(original, "interval = \"100ms\"");
    let mut agent = start(original);
    wait(original, &mut agent, "pictures that wait", |s| s.ledger.queued >= 3);
    stop(&mut agent);
    for part in ["spool", "state"] {
        let copied = Command::new("cp").arg("-r").arg(original.join(part)).arg(copy).status();
        assert!(copied.unwrap().success());
    }

    fs::create_dir(&store).unwrap();
    let send = |dir: &Path| {
        config(dir, &format!("[destination.dir]\npath = \"{}\"", store.display()));
        let mut agent = start(dir);
        let status = wait(dir, &mut agent, "all are stored", |s| {
            s.ledger.kept > 0 && s.ledger.stored == s.ledger.kept
        });
        assert!(status.ledger.holds, "{:?}", status.ledger);
        stop(&mut agent);
        status.ledger.stored
    };
    let sent = send(original);
    let before = objects(&store);
    assert_eq!(before.len() as u64, sent);
    assert_eq!(send(copy), sent, "the copy's pictures count as stored");
    assert_eq!(objects(&store), before, "and none was written again");
}

/// Every picture below a directory, and which file it is.
fn objects(dir: &Path) -> Vec<(PathBuf, u64)> {
    use std::os::unix::fs::MetadataExt;
    let mut all = Vec::new();
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            all.extend(objects(&path));
        } else if path.extension().is_some_and(|e| e == "jpg") {
            all.push((path, entry.metadata().unwrap().ino()));
        }
    }
    all.sort();
    all
}

#[test]
fn without_a_last_good_configuration_the_exit_code_is_78() {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(dir.path().join("vedette.toml"), "nonsense = true\n").unwrap();
    let run = vedette(dir.path(), "run").output().unwrap();
    assert_eq!(run.status.code(), Some(78));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("nonsense") && said.contains("vedette.toml:1"), "{said}");
}
