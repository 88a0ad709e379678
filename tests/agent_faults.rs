//! The agent when its surroundings fail: no place for its socket, a driver that hangs, a thread that
//! dies, a spool that cannot be had, a configuration that changes under it.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use vedette::agent::{Agent, Deps, OpenCamera, Turn};
use vedette::camera::{self, Camera, CameraError};
use vedette::clock::{SystemClock, TrustPolicy};
use vedette::config::{self, Config};
use vedette::control::command::RateLimit;
use vedette::control::request::Request;
use vedette::control::socket;
use vedette::frame::{Frame, Geometry, PixelFormat};
use vedette::mqtt::Tuning;
use vedette::status::{ConfigStatus, Status};

/// Longer than anything here takes; only a failing test waits for it.
const PLENTY: Duration = Duration::from_secs(60);

const SCENE: &str = "scene = { size = \"160x120\", fps = 20, seed = 1 }\ninterval = \"1s\"\n";

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        fs::create_dir(dir.path().join("run")).unwrap();
        fs::create_dir(dir.path().join("store")).unwrap();
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn config(&self, device: &str, cameras: &[(&str, &str)], extra: &str) -> Config {
        let base = self.path().display();
        let cameras: String =
            cameras.iter().map(|(name, text)| format!("[camera.{name}]\n{text}\n")).collect();
        let text = format!(
            "[device]\nid = \"{device}\"\n{cameras}\n[destination.dir]\npath = \"{base}/store\"\n\
             [spool]\npath = \"{base}/spool\"\n[control]\nsocket = \"{base}/run/control.sock\"\n\
             [clock]\ntrust = \"always\"\n{extra}"
        );
        let file = self.path().join("vedette.toml");
        fs::write(&file, text).unwrap();
        let context = config::Context::from_env(Some(self.path().join("state")));
        config::check(&file, &context).unwrap_or_else(|e| panic!("{}", e.render(false)))
    }

    fn one(&self) -> Config {
        self.config("cam1", &[("yard", SCENE)], "")
    }
}

fn deps(open_camera: OpenCamera) -> Deps {
    let (config, alarms) = (ConfigStatus::default(), Vec::new());
    let (clock, mqtt) = (Arc::new(SystemClock::new()), Tuning::default());
    Deps { clock, config, alarms, open_camera, mqtt, rate: RateLimit::default() }
}

fn ordinary() -> Deps {
    deps(Arc::new(camera::open))
}

fn alarms(status: &Status) -> Vec<&str> {
    status.alarms.iter().map(|a| a.name.as_str()).collect()
}

/// Turns the agent until `is` holds.
async fn turn_until(agent: &mut Agent, what: &str, is: impl Fn(&Status) -> bool) -> Status {
    let turning = async {
        loop {
            let status = agent.status().await;
            if is(&status) {
                return status;
            }
            let turn = agent.turn().await;
            agent.handle(turn).await.unwrap();
        }
    };
    tokio::time::timeout(PLENTY, turning).await.unwrap_or_else(|_| panic!("waited for {what}"))
}

/// A camera that says when it is asked for a frame, and then hangs until it is let go.
struct Hanging {
    reached: SyncSender<()>,
    gate: Arc<Mutex<Receiver<()>>>,
}

impl Camera for Hanging {
    fn geometry(&self) -> Geometry {
        Geometry { format: PixelFormat::Mjpeg, width: 1920, height: 1080, stride: 0 }
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        self.reached.try_send(()).ok();
        self.gate.lock().unwrap().recv().ok();
        Err(CameraError::Timeout(timeout))
    }
}

fn hanging() -> (OpenCamera, Receiver<()>, SyncSender<()>) {
    let (reached, at_it) = sync_channel(1);
    let (let_go, gate) = sync_channel(1);
    let gate = Arc::new(Mutex::new(gate));
    let open: OpenCamera = Arc::new(move |_, _| {
        Ok(Box::new(Hanging { reached: reached.clone(), gate: gate.clone() }))
    });
    (open, at_it, let_go)
}

#[tokio::test]
async fn without_a_place_for_its_socket_it_captures_and_says_so_until_there_is_one() {
    let place = Place::new();
    fs::remove_dir(place.path().join("run")).unwrap();
    let mut agent = Agent::start(place.one(), ordinary()).await.unwrap();
    let status = turn_until(&mut agent, "a picture", |s| s.run.kept > 0).await;
    assert_eq!(alarms(&status), ["control", "control"], "of both sockets");
    assert!(!status.healthy);

    fs::create_dir(place.path().join("run")).unwrap();
    for _ in 0..10 {
        agent.handle(Turn::Tick).await.unwrap();
    }
    let status = agent.status().await;
    assert!(status.healthy, "{:?}", status.alarms);
    let path = place.path().join("run/control.sock");
    let call = tokio::task::spawn_blocking(move || socket::call(&path, &Request::Status {}));
    let answered = async {
        while !call.is_finished() {
            let turn = agent.turn().await;
            agent.handle(turn).await.unwrap();
        }
        call.await.unwrap().unwrap()
    };
    let body = tokio::time::timeout(PLENTY, answered).await.unwrap();
    let status: Status = serde_json::from_slice(&body).unwrap();
    assert!(status.run.holds && status.ledger.stale.is_none());
    agent.stop().await;
}

#[tokio::test]
async fn a_driver_that_hangs_holds_up_neither_the_stop_nor_the_account() {
    let place = Place::new();
    let (open, at_it, let_go) = hanging();
    let agent = Agent::start(place.one(), deps(open)).await.unwrap();
    tokio::task::spawn_blocking(move || at_it.recv_timeout(PLENTY)).await.unwrap().unwrap();
    let status = tokio::time::timeout(Duration::from_secs(20), agent.stop()).await.unwrap();
    assert!(status.run.holds && status.ledger.holds && status.ledger.stale.is_none());
    assert_eq!(status.run.in_hand, 0);
    drop(let_go);
    // The spool was closed in order and given up, whatever the camera's thread still holds.
    let again = Agent::start(place.one(), ordinary()).await.unwrap();
    again.stop().await;
}

#[tokio::test]
async fn one_camera_whose_driver_hangs_for_ever_leaves_the_others_their_pictures() {
    let place = Place::new();
    let (hang, at_it, let_go) = hanging();
    let open: OpenCamera = Arc::new(move |source, clock| match source {
        camera::Source::Scene(scene) if scene.seed == 1 => hang(source, clock),
        _ => camera::open(source, clock),
    });
    let other = SCENE.replace("seed = 1", "seed = 2").replace("1s", "100ms");
    let config = place.config("cam1", &[("yard", SCENE), ("gate", &other)], "");
    let mut agent = Agent::start(config, deps(open)).await.unwrap();
    tokio::task::spawn_blocking(move || at_it.recv_timeout(PLENTY)).await.unwrap().unwrap();
    let status = turn_until(&mut agent, "ten pictures", |s| s.run.kept >= 10).await;
    assert_eq!((status.cameras["yard"].frames, status.cameras["gate"].chosen >= 10), (0, true));
    let status = agent.stop().await;
    assert!(status.run.holds && status.ledger.holds);
    drop(let_go);
}

#[tokio::test]
async fn a_reload_leaves_a_hung_camera_behind_and_starts_the_new_one() {
    let place = Place::new();
    let (hang, at_it, let_go) = hanging();
    let open: OpenCamera = Arc::new(move |source, clock| match source {
        camera::Source::Scene(scene) if scene.seed == 1 => hang(source, clock),
        _ => camera::open(source, clock),
    });
    let mut agent = Agent::start(place.one(), deps(open)).await.unwrap();
    tokio::task::spawn_blocking(move || at_it.recv_timeout(PLENTY)).await.unwrap().unwrap();
    let new = place.config("cam1", &[("yard", &SCENE.replace("seed = 1", "seed = 2"))], "");
    agent.reload(new).await;
    turn_until(&mut agent, "the new camera", |s| s.run.kept > 0).await;
    drop(let_go);
    agent.stop().await;
}

#[tokio::test]
async fn a_reload_adds_and_removes_cameras_and_the_rest_streams_on() {
    let place = Place::new();
    let two = [("gate", SCENE), ("yard", SCENE)];
    let mut agent = Agent::start(place.one(), ordinary()).await.unwrap();
    turn_until(&mut agent, "frames", |s| s.cameras["yard"].frames > 5).await;
    agent.reload(place.config("cam1", &two, "")).await;
    let status =
        turn_until(&mut agent, "the second camera", |s| s.cameras["gate"].frames > 5).await;
    assert_eq!(status.cameras["yard"].state, "streaming");
    assert!(status.cameras["yard"].frames > 5, "it was not started anew");
    agent.reload(place.config("cam1", &two[..1], "")).await;
    let status = agent.status().await;
    assert_eq!(status.cameras.keys().collect::<Vec<_>>(), ["gate"]);
    assert!(status.healthy && status.run.holds, "{:?}", status.alarms);
    agent.stop().await;
}

#[tokio::test]
async fn another_device_id_waits_for_a_restart_and_no_picture_carries_it_before() {
    let place = Place::new();
    let mut agent = Agent::start(place.one(), ordinary()).await.unwrap();
    let mut notices = agent.notices();
    agent.reload(place.config("cam2", &[("yard", SCENE)], "")).await;
    let status = turn_until(&mut agent, "stored pictures", |s| s.upload.stored >= 3).await;
    assert_eq!(status.config.restart_needed, ["device.id"]);
    assert_eq!(status.device, "cam1");
    while let Ok(notice) = notices.try_recv() {
        assert!(notice.key.starts_with("v1/cam1/"), "{}", notice.key);
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_camera_thread_that_dies_fails_the_agent_so_that_it_is_started_again() {
    let place = Place::new();
    let open: OpenCamera = Arc::new(|_, _| panic!("the test says so"));
    let mut agent = Agent::start(place.one(), deps(open)).await.unwrap();
    let failed = async {
        loop {
            let turn = agent.turn().await;
            if let Err(error) = agent.handle(turn).await {
                return error.to_string();
            }
        }
    };
    let why = tokio::time::timeout(PLENTY, failed).await.unwrap();
    assert!(why.contains("camera yard"), "{why}");
    agent.stop().await;
}

#[tokio::test]
async fn a_budget_too_small_for_what_the_driver_really_gives_is_an_alarm() {
    let place = Place::new();
    let (hang, at_it, let_go) = hanging();
    let mut agent = Agent::start(
        place.config("cam1", &[("yard", SCENE)], "[memory]\nin_hand = \"1MiB\"\n"),
        deps(hang),
    )
    .await
    .unwrap();
    tokio::task::spawn_blocking(move || at_it.recv_timeout(PLENTY)).await.unwrap().unwrap();
    let status = turn_until(&mut agent, "the alarm", |s| !s.alarms.is_empty()).await;
    assert_eq!(alarms(&status), ["memory"]);
    assert!(status.alarms[0].text.contains("at least 2 MiB"), "{:?}", status.alarms);
    drop(let_go);
    agent.stop().await;
}

#[tokio::test]
async fn a_spool_that_cannot_be_had_fails_the_start_with_words() {
    let place = Place::new();
    let first = Agent::start(place.one(), ordinary()).await.unwrap();
    let config = place.config("cam1", &[("yard", SCENE)], "");
    let Err(error) = Agent::start(config, ordinary()).await else {
        panic!("two agents, one spool")
    };
    let words = format!("{error:#}");
    assert!(words.contains("in use by process"), "{words}");
    first.stop().await;

    fs::remove_dir_all(place.path().join("spool")).unwrap();
    fs::write(place.path().join("spool"), "no directory").unwrap();
    let Err(error) = Agent::start(place.one(), ordinary()).await else {
        panic!("a file is no spool")
    };
    let words = format!("{error:#}");
    assert!(words.contains("spool") && words.contains("cannot open"), "{words}");
}

/// Cameras of the scene that count how many of them are open.
fn counted() -> (OpenCamera, Arc<AtomicUsize>) {
    struct Counted(Box<dyn Camera>, Arc<AtomicUsize>);
    impl Camera for Counted {
        fn geometry(&self) -> Geometry {
            self.0.geometry()
        }
        fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
            self.0.next_frame(timeout)
        }
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let opener: OpenCamera = Arc::new(move |source, clock| {
        let camera = camera::open(source, clock)?;
        count.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(Counted(camera, Arc::clone(&count))))
    });
    (opener, open)
}

/// Asks over the control socket while the agent turns.
async fn asked(agent: &mut Agent, place: &Place, request: Request) -> Result<Vec<u8>, String> {
    let path = place.path().join("run/control.sock");
    let call = tokio::task::spawn_blocking(move || socket::call(&path, &request));
    let answered = async {
        while !call.is_finished() {
            let turn = agent.turn().await;
            agent.handle(turn).await.unwrap();
        }
        call.await.unwrap().map_err(|error| error.to_string())
    };
    tokio::time::timeout(PLENTY, answered).await.unwrap()
}

#[tokio::test]
async fn privacy_mode_closes_every_camera_over_restarts_until_it_is_ended() {
    let place = Place::new();
    let (opener, open) = counted();
    let config = || place.config("cam1", &[("gate", SCENE), ("yard", SCENE)], "");
    let mut agent = Agent::start(config(), deps(opener.clone())).await.unwrap();
    turn_until(&mut agent, "pictures", |s| s.run.kept >= 2 && s.cameras.len() == 2).await;
    assert_eq!(open.load(Ordering::SeqCst), 2);

    asked(&mut agent, &place, Request::Privacy { on: true }).await.unwrap();
    assert_eq!(open.load(Ordering::SeqCst), 0, "no camera is open when it is answered");
    let status = agent.status().await;
    assert_eq!(status.privacy.as_ref().unwrap().why, "command");
    assert!(status.cameras.values().all(|c| c.state == "private") && status.cameras.len() == 2);
    assert_eq!(alarms(&status), ["privacy"], "everybody is told");
    let snap = asked(&mut agent, &place, Request::Snap { camera: "yard".into() }).await;
    assert!(snap.unwrap_err().starts_with("privacy mode is on"));
    // A reload opens none either.
    let other = SCENE.replace("seed = 1", "seed = 2");
    agent.reload(place.config("cam1", &[("yard", &other)], "")).await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
    assert!(agent.stop().await.run.holds);

    let mut agent = Agent::start(config(), deps(opener)).await.unwrap();
    for _ in 0..3 {
        agent.handle(Turn::Tick).await.unwrap();
    }
    assert!(agent.status().await.privacy.is_some() && !agent.sources_ended());
    assert_eq!(open.load(Ordering::SeqCst), 0, "over a restart");

    asked(&mut agent, &place, Request::Privacy { on: false }).await.unwrap();
    let status = turn_until(&mut agent, "pictures", |s| s.run.kept >= 2).await;
    assert!(status.privacy.is_none() && status.healthy, "{:?}", status.alarms);
    assert_eq!(open.load(Ordering::SeqCst), 2);
    agent.stop().await;
    let agent = Agent::start(config(), ordinary()).await.unwrap();
    assert!(agent.status().await.privacy.is_none(), "its end, too, outlives a restart");
    agent.stop().await;
}

#[tokio::test]
async fn privacy_mode_says_so_where_a_driver_that_hangs_may_hold_its_camera_open() {
    let place = Place::new();
    let (open, at_it, let_go) = hanging();
    let mut agent = Agent::start(place.one(), deps(open)).await.unwrap();
    tokio::task::spawn_blocking(move || at_it.recv_timeout(PLENTY)).await.unwrap().unwrap();
    let answer = asked(&mut agent, &place, Request::Privacy { on: true }).await.unwrap_err();
    assert!(answer.contains("is on, but the driver of yard hangs"), "{answer}");
    let status = agent.status().await;
    assert_eq!(status.privacy.unwrap().still_open, ["yard"]);
    assert!(status.alarms.iter().any(|a| a.name == "privacy" && a.text.contains("yard")));

    drop(let_go);
    let closed = |s: &Status| s.privacy.as_ref().is_some_and(|p| p.still_open.is_empty());
    let status = turn_until(&mut agent, "the driver's end", closed).await;
    assert!(!status.alarms.iter().any(|a| a.text.contains("yard")), "{:?}", status.alarms);
    asked(&mut agent, &place, Request::Privacy { on: true }).await.unwrap();
    agent.stop().await;
}

#[tokio::test]
async fn hours_of_privacy_close_cameras_by_the_clock_and_while_nobody_knows_it() {
    let place = Place::new();
    let (opener, open) = counted();
    let with = |extra: &str| place.config("cam1", &[("yard", SCENE)], extra);
    let all_day = "[privacy]\nhours = [\"00:00 to 24:00\"]\n";
    let mut agent = Agent::start(with(all_day), deps(opener.clone())).await.unwrap();
    agent.handle(Turn::Tick).await.unwrap();
    let why = |status: Status| status.privacy.map(|p| p.why);
    assert_eq!(why(agent.status().await).as_deref(), Some("hours"));
    assert_eq!(open.load(Ordering::SeqCst), 0);
    // Asked for in its hours, and ended: the hours go on, and whoever asks is told so.
    asked(&mut agent, &place, Request::Privacy { on: true }).await.unwrap();
    assert_eq!(why(agent.status().await).as_deref(), Some("command"));
    let end = asked(&mut agent, &place, Request::Privacy { on: false }).await;
    assert!(end.unwrap_err().contains("hours of [privacy]"));
    agent.reload(with("")).await;
    turn_until(&mut agent, "pictures", |s| s.run.kept > 0 && s.privacy.is_none()).await;
    agent.reload(with(all_day)).await;
    assert_eq!(open.load(Ordering::SeqCst), 0);
    agent.stop().await;

    let untrusted = |extra: &str| {
        let mut config = with(&format!("{all_day}{extra}"));
        config.trust = TrustPolicy::Store;
        config
    };
    let agent = Agent::start(untrusted(""), deps(opener.clone())).await.unwrap();
    assert_eq!(why(agent.status().await).as_deref(), Some("no-clock"));
    assert_eq!(open.load(Ordering::SeqCst), 0);
    agent.stop().await;
    let config = untrusted("without_clock = \"capture\"\n");
    let mut agent = Agent::start(config, deps(opener)).await.unwrap();
    turn_until(&mut agent, "frames", |s| s.cameras["yard"].frames > 0).await;
    agent.stop().await;
}
