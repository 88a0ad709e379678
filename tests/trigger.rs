//! `vedette trigger` as detectors and sensors meet it: against the real socket and an agent that answers
//! by script, and once against the whole agent.

#![cfg(test)]

#[path = "support/process.rs"]
mod process;
#[path = "support/program.rs"]
mod program;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::Process;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use vedette::contract::command::Reason;
use vedette::control::socket::{Access, Server};
use vedette::control::{Ask, Job, Reply, Take, Taken};

fn vedette(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vedette"));
    command.args(args).env("USER", "ada").stdin(Stdio::null());
    command
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// Runs the program with the trigger socket of an agent that answers each job by `script`; gives what was
/// printed, and the jobs.
fn triggered(args: &[&str], script: impl Fn(&Job) -> Reply) -> (Output, Vec<Job>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("trigger.sock");
    let mut command = vedette(&["trigger", "--socket", path.to_str().unwrap()]);
    command.args(args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let (asks, mut asked) = mpsc::channel::<Ask>(1);
        let server = Server::bind(&path, &Access::triggers(None)).unwrap();
        let mut jobs = Vec::new();
        let program = tokio::task::spawn_blocking(move || command.output().unwrap());
        let serving = server.serve(asks);
        let answering = async {
            while let Some((job, reply)) = asked.recv().await {
                reply.send(script(&job)).unwrap();
                jobs.push(job);
            }
        };
        let ended = tokio::select! {
            ended = program => ended.unwrap(),
            () = serving => panic!("the server ended"),
            () = answering => panic!("the server let go"),
        };
        (ended, jobs)
    })
}

fn kept(_: &Job) -> Reply {
    Reply::Taken(Taken { camera: "front".into(), kept: 1, fault: None })
}

fn the_take(jobs: &[Job]) -> &Take {
    match jobs {
        [Job::Take(take)] => take,
        other => panic!("one take, not {other:?}"),
    }
}

#[test]
fn what_is_said_arrives_and_what_is_kept_is_told() {
    let args = [
        "--camera=front",
        "--label=person",
        "--box=0.1,0.2,0.3,0.4",
        "--box=0,0,1,1",
        "--meta=model=hog",
        "--meta=score=0.97",
    ];
    let (ended, jobs) = triggered(&args, kept);
    assert_eq!((ended.status.code(), err(&ended)), (Some(0), ""));
    assert_eq!(out(&ended), "kept 1 picture of camera front\n");
    let take = the_take(&jobs);
    assert_eq!((take.camera.as_deref(), take.count), (Some("front"), 1));
    let said = take.said.as_ref().unwrap();
    assert_eq!(said.label.as_deref(), Some("person"));
    assert_eq!(said.boxes, [[0.1, 0.2, 0.3, 0.4], [0.0, 0.0, 1.0, 1.0]]);
    let meta: Vec<_> = said.meta.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    assert_eq!(meta, [("model", "hog"), ("score", "0.97")]);
}

#[test]
fn a_sensor_need_not_say_anything() {
    let (ended, jobs) = triggered(&["--json"], kept);
    assert_eq!(ended.status.code(), Some(0), "{}", err(&ended));
    let take = the_take(&jobs);
    assert_eq!((&take.camera, &take.command, take.within.as_secs()), (&None, &None, 10));
    assert_eq!(take.said, Some(Default::default()));
    let told: Value = serde_json::from_str(out(&ended)).unwrap();
    assert_eq!(told, serde_json::json!({ "camera": "front", "kept": 1 }));
}

#[test]
fn no_picture_is_a_failure_with_its_reason() {
    let fault = Reason::new("timed-out", "no picture within 10 s");
    let none = Taken { camera: "front".into(), kept: 0, fault: Some(fault.clone()) };
    type Script = Box<dyn Fn(&Job) -> Reply>;
    let scripts: [Script; 2] = [
        Box::new(move |_| Reply::Taken(none.clone())),
        Box::new(move |_| Reply::Failed(fault.clone())),
    ];
    for script in scripts {
        let (ended, _) = triggered(&["--json"], script);
        assert_eq!((ended.status.code(), out(&ended)), (Some(1), ""));
        assert_eq!(err(&ended), "vedette: no picture within 10 s\n");
    }
}

#[test]
fn what_must_not_be_said_never_reaches_the_agent() {
    let long = format!("--meta=a={}", "x".repeat(5000));
    let many: Vec<&str> = std::iter::repeat_n("--box=0,0,1,1", 20).collect();
    for (args, right) in [
        (&["--box=0.5,0.5,0.6,0.1"][..], "inside"),
        (&["--label=a person"], "A-Z a-z 0-9"),
        (&["--meta=Key=value"], "a-z 0-9"),
        (&[&long], "the most is 4096"),
        (&many, "the most is"),
    ] {
        let (ended, jobs) = triggered(args, kept);
        assert_eq!((ended.status.code(), out(&ended)), (Some(1), ""), "{args:?}");
        assert!(err(&ended).contains(right), "{}", err(&ended));
        assert!(jobs.is_empty(), "{jobs:?}");
    }
}

#[test]
fn wrong_usage_exits_2_and_says_what_is_right() {
    for (wrong, right) in [
        ("--box=1,2,3", "0.1,0.2,0.3,0.4"),
        ("--box=left", "0.1,0.2,0.3,0.4"),
        ("--meta=model", "`=`"),
        ("--colour=red", "--help"),
    ] {
        let ended = vedette(&["trigger", wrong]).output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{wrong}");
        assert!(err(&ended).contains(right), "{}", err(&ended));
    }
    let both = vedette(&["trigger", "--socket=a", "--config=b"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}

/// A directory that others may enter, on a way that others may go.
fn open_dir() -> TempDir {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

/// Runs the program as somebody whom the socket's mode turns away: root is nobody else.
fn as_another(path: &Path) -> Output {
    let arguments = ["trigger", "--socket", path.to_str().unwrap()];
    let mut command = vedette(&arguments);
    if rustix::process::geteuid().is_root() {
        // The program may stand where nobody else may go, below /root for example.
        let copy = path.with_file_name("vedette");
        program::install(Path::new(command.get_program()), &copy);
        let same =
            |(name, value): (&OsStr, Option<&OsStr>)| Some((name.to_owned(), value?.to_owned()));
        let environment: Vec<_> = command.get_envs().filter_map(same).collect();
        command = std::process::Command::new(copy);
        command.args(arguments).envs(environment).uid(65534).gid(65534);
    } else {
        let mode = fs::metadata(path).unwrap().permissions().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode & !0o200)).unwrap();
    }
    command.output().unwrap()
}

fn bound(dir: &TempDir, group: &str) -> (Server, PathBuf) {
    let path = dir.path().join("trigger.sock");
    (Server::bind(&path, &Access::triggers(Some(group))).unwrap(), path)
}

#[tokio::test]
async fn whoever_is_not_in_the_group_is_told_which_one_and_how_to_join() {
    let own = rustix::process::getegid().as_raw();
    let group = vedette::sys::group_name(own).unwrap().unwrap();
    let dir = open_dir();
    let (_server, path) = bound(&dir, &group);
    let ended = as_another(&path);
    assert_eq!((ended.status.code(), out(&ended)), (Some(1), ""));
    let help = format!("sudo usermod -aG {group} ada");
    assert!(err(&ended).contains(&help) && err(&ended).contains("log in again"), "{}", err(&ended));
    assert!(!err(&ended).contains("no agent"), "{}", err(&ended));
}

#[tokio::test]
async fn a_socket_that_its_group_does_not_have_promises_no_group() {
    let dir = open_dir();
    let (server, path) = bound(&dir, "no-such-group");
    assert!(server.withheld().is_some());
    let ended = as_another(&path);
    assert_eq!(ended.status.code(), Some(1));
    assert!(err(&ended).contains("its owner's alone"), "{}", err(&ended));
    assert!(!err(&ended).contains("usermod"), "{}", err(&ended));
}

#[test]
fn without_an_agent_it_says_so_and_needs_no_configuration() {
    let ended = vedette(&["trigger", "--socket", "/nowhere/trigger.sock"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    let said = err(&ended);
    assert!(said.contains("no agent listens on /nowhere/trigger.sock"), "{said}");
    assert!(said.contains("systemctl status vedette") && said.contains("--socket`"), "{said}");
}

#[test]
fn a_configuration_file_tells_the_socket() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("vedette.toml");
    fs::create_dir(dir.path().join("store")).unwrap();
    fs::write(
        &file,
        "[camera.front.scene]\n[destination.dir]\npath = \"store\"\n[control]\ntrigger_socket = \"t.sock\"\n",
    )
    .unwrap();
    let ended = vedette(&["trigger", "--config", file.to_str().unwrap()]).output().unwrap();
    let path = dir.path().join("t.sock");
    assert!(err(&ended).contains(&format!("no agent listens on {}", path.display())), "{ended:?}");
    let ended = vedette(&["trigger", "--config", "/nowhere/vedette.toml"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(err(&ended).contains("/nowhere/vedette.toml"), "{}", err(&ended));
}

/// Asks until there is an answer; two minutes without one fail the test.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited for {what}");
        std::thread::yield_now();
    }
}

/// What stands beside each stored object.
fn stored(dir: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "json") {
                found.extend(serde_json::from_slice(&fs::read(path).unwrap()).ok());
            }
        }
    }
    found
}

#[test]
fn a_camera_that_does_nothing_else_stores_what_is_triggered() {
    let dir = TempDir::new().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::create_dir(at("store")).unwrap();
    fs::write(
        at("vedette.toml"),
        "[device]\nid = \"cam1\"\n[camera.yard]\nscene = { size = \"320x240\" }\nmotion.enabled = false\n\
         [destination.dir]\npath = \"store\"\n[spool]\npath = \"spool\"\n\
         [control]\nsocket = \"control.sock\"\n[clock]\ntrust = \"always\"\n[log]\nformat = \"text\"\n",
    )
    .unwrap();
    let (config, state) = (at("vedette.toml"), at("state"));
    let run = ["run", "--config", &config, "--state-dir", &state];
    let mut agent = Process::spawn(&mut vedette(&run), dir.path(), "agent");
    let trigger = |args: &[&str]| {
        let mut command = vedette(&["trigger", "--config", &config]);
        command.args(args).output().unwrap()
    };
    let args = ["--label=person", "--box=0.25,0.5,0.5,0.25", "--meta=model=hog"];
    // The camera takes a moment to open.
    let ended = wait_for("a picture", || Some(trigger(&args)).filter(|e| e.status.success()));
    assert_eq!(out(&ended), "kept 1 picture of camera yard\n");
    let unknown = trigger(&["--camera=gate"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("there is: yard"), "{}", err(&unknown));

    let object = wait_for("the stored picture", || stored(&dir.path().join("store")).pop());
    assert!(object["key"].as_str().unwrap().contains("-external-"), "{object}");
    let meta = &object["metadata"];
    for (name, value) in [
        ("trigger", "external"),
        ("trigger-label", "person"),
        ("trigger-boxes", "80-120-160-60"),
        ("meta-model", "hog"),
    ] {
        assert_eq!(meta[name], value, "{object}");
    }
    agent.signal(rustix::process::Signal::TERM);
    assert!(agent.wait(Duration::from_secs(60)).unwrap().success(), "{}", agent.output());
    assert_eq!(stored(&dir.path().join("store")).len(), 1, "{}", agent.output());
}
