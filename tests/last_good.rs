//! A broken configuration never stops capture: after one good start, the agent runs the last good one
//! and says so, whatever the file has become.

#![cfg(test)]

#[path = "support/process.rs"]
mod process;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use process::Process;
use rustix::process::Signal;
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
    fs::write(&file, nowhere.replace("[spool]", "[camera.street]\ninterval = \"100ms\"\n[spool]"))
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
    assert_eq!(spool["uuid"], "7b42e1f9-e0bf-4292-ba82-085069335f76");
    stop(&mut agent);
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
