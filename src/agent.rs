//! Composition root: builds, spawns, stops in order; the only file that knows everyone.
//!
//! ```text
//! start   spool (recovers) → still → cameras → upload, control socket
//! stop    cameras → still → uploads (finish, or are cut at the deadline) → spool → end
//! ```
//! A camera whose driver hangs is never joined. A task that ends before it was told to is a failure:
//! the agent stops in order and says so, and systemd starts it again.

mod reload;
mod report;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use crate::account::Account;
use crate::capture;
use crate::clock::{BootId, Clock, Timekeeper};
use crate::config::Config;
use crate::control::command::Request;
use crate::control::{Reply, socket};
use crate::health::Beat;
use crate::spool::{Moment, Spool};
use crate::status::{Alarm, ConfigStatus, Status};
use crate::still::{self, Asker, Pick};
use crate::upload::{self, StoredNotice, UploadState};

pub use watchdog::{Verdict, Watchdog};

/// Picks on their way to the still thread. The byte budget bounds them first; this bounds tiny ones.
const PICKS: usize = 1024;

/// Longest turn of the agent itself: a reload waits for a camera, uploads, and a spool whose card may
/// take two minutes for one flush.
const TURN_DEADLINE: Duration = Duration::from_secs(180);

/// Longest time for the still thread to make one picture.
const STILL_DEADLINE: Duration = Duration::from_secs(60);

/// Longest time for cameras and the still thread to end, each.
const THREADS_END: Duration = Duration::from_secs(4);

/// Longest time for uploads under way to finish at a stop.
const UPLOADS_END: Duration = Duration::from_secs(8);

/// How often the spool hears of the trusted time, so that after a power cut it is known how late it was.
const TELL_TIME: Duration = Duration::from_secs(3600);

/// How long somebody waits for a picture to look at.
const SNAP: Duration = Duration::from_secs(10);

/// Stored notices that a slow listener may be behind; older ones are counted as missed.
const NOTICES: usize = 256;

/// What the agent is started with, besides its configuration.
pub struct Deps {
    /// The machine's clocks.
    pub clock: Arc<dyn Clock>,
    /// Where the configuration came from, and whether it is the last good one.
    pub config: ConfigStatus,
    /// Alarms known before the start: a broken configuration, a cloned identity.
    pub alarms: Vec<Alarm>,
}

/// What happened; the caller passes it to [`Agent::handle`].
#[derive(Debug)]
pub enum Turn {
    /// Somebody asks over the socket.
    Asked(socket::Ask),
    /// A camera thread ended, by its source's end or a stop.
    CameraEnded,
    /// A second passed: watchdog, clock.
    Tick,
    /// A part ended that should not have: stop and be started again.
    Failed(String),
}

/// A running agent.
pub struct Agent {
    config: Config,
    deps: Deps,
    began: Instant,
    boot: BootId,
    account: Account,
    timekeeper: Timekeeper,
    spool: Spool,
    picks: Option<SyncSender<Pick>>,
    still: Option<JoinHandle<u64>>,
    cameras: BTreeMap<String, Camera>,
    camera_ended: (mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Tasks that must not end before a stop.
    tasks: JoinSet<&'static str>,
    /// Tasks that end by themselves: pictures that somebody waits for.
    snaps: JoinSet<()>,
    uploads: JoinSet<()>,
    upload: Option<Upload>,
    notices: broadcast::Sender<StoredNotice>,
    asks: mpsc::Receiver<socket::Ask>,
    tick: tokio::time::Interval,
    time_told: Instant,
    beat: Beat,
    /// Threads and their deadlines, for the watchdog.
    pub watchdog: Watchdog,
}

struct Camera {
    running: capture::Running,
    asks: SyncSender<Asker>,
}

struct Upload {
    stop: oneshot::Sender<()>,
    state: watch::Receiver<UploadState>,
    ended: oneshot::Receiver<()>,
}

impl Agent {
    /// Opens the spool, then starts everything. Capture starts even when the network is gone.
    ///
    /// # Errors
    /// The spool cannot be opened, a thread cannot be started, or the control socket is taken.
    pub async fn start(config: Config, deps: Deps) -> anyhow::Result<Self> {
        let boot = deps.clock.boot_id();
        let timekeeper = Timekeeper::new(deps.clock.clone(), config.trust);
        let watchdog = Watchdog::new();
        let now = deps.clock.boottime();
        let moment = Moment { boot: boot.clone(), at: now, wall: timekeeper.wall_at(now) };
        let (spool, opened) = Spool::open(&config.spool, moment)
            .with_context(|| format!("spool {}", config.spool.path.display()))?;
        watchdog.core(spool.beat());
        info!(?opened, "Spool is open.");
        if let Some(newest) = opened.newest_wall {
            timekeeper.remember(newest);
        }
        let beat = Beat::new("agent", TURN_DEADLINE);
        watchdog.core(beat.clone());
        let account = Account::new(config.in_hand);
        let (picks, still) = start_still(opened.next_seq, &boot, &timekeeper, &spool, &watchdog)?;
        let (asks_in, asks) = mpsc::channel(8);
        let mut tasks = JoinSet::new();
        let path = &config.control_socket;
        let server = socket::Server::bind(path)
            .with_context(|| format!("control socket {}", path.display()))?;
        tasks.spawn(async move {
            server.serve(asks_in).await;
            "control socket"
        });
        let mut agent = Self {
            began: Instant::now(),
            boot,
            account,
            timekeeper,
            spool,
            picks: Some(picks),
            still: Some(still),
            cameras: BTreeMap::new(),
            camera_ended: mpsc::channel(64),
            tasks,
            snaps: JoinSet::new(),
            uploads: JoinSet::new(),
            upload: None,
            notices: broadcast::channel(NOTICES).0,
            asks,
            tick: tokio::time::interval(Duration::from_secs(1)),
            time_told: Instant::now(),
            beat,
            watchdog,
            deps,
            config,
        };
        agent.tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        agent.start_upload();
        for camera in agent.config.cameras.clone() {
            agent.start_camera(camera)?;
        }
        Ok(agent)
    }

    /// Waits for the next thing to do. Cancel-safe: nothing is lost when it is dropped.
    pub async fn turn(&mut self) -> Turn {
        tokio::select! {
            Some(ask) = self.asks.recv() => Turn::Asked(ask),
            Some(()) = self.camera_ended.1.recv() => Turn::CameraEnded,
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(name) => Turn::Failed(format!("{name} ended")),
                Err(error) => Turn::Failed(error.to_string()),
            },
            Some(_) = self.uploads.join_next() => Turn::Failed("the uploader ended".to_owned()),
            Some(_) = self.snaps.join_next() => Turn::Tick,
            _ = self.tick.tick() => Turn::Tick,
        }
    }

    /// Does what a turn asks for. `Err` means: stop now, and fail.
    ///
    /// # Errors
    /// A part of the agent ended that should not have.
    pub async fn handle(&mut self, turn: Turn) -> anyhow::Result<()> {
        self.beat.busy();
        let handled = self.act(turn).await;
        self.beat.idle();
        handled
    }

    async fn act(&mut self, turn: Turn) -> anyhow::Result<()> {
        match turn {
            Turn::Asked((Request::Status {}, reply)) => {
                let status = self.status().await;
                reply.send(Reply::Status(Box::new(status))).ok(); // the asker may have gone
            }
            Turn::Asked((Request::Snap { camera }, reply)) => self.snap(&camera, reply),
            Turn::CameraEnded => {}
            Turn::Tick => self.tick().await,
            Turn::Failed(why) => anyhow::bail!(why),
        }
        Ok(())
    }

    /// Stored notices from now on.
    #[must_use]
    pub fn notices(&self) -> broadcast::Receiver<StoredNotice> {
        self.notices.subscribe()
    }

    /// Has every camera's source ended?
    #[must_use]
    pub fn sources_ended(&self) -> bool {
        self.cameras.values().all(|c| c.running.is_finished())
    }

    /// Stops cameras and the still thread, each within its deadline. What was chosen is now kept or
    /// refused.
    pub async fn stop_capture(&mut self) {
        for camera in self.cameras.values() {
            camera.running.stop();
        }
        let ended = async {
            while !self.cameras.values().all(|c| c.running.is_finished()) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(THREADS_END, ended).await.is_err() {
            warn!("A camera's driver hangs; its thread is left behind.");
        }
        self.picks = None;
        let Some(thread) = self.still.take() else { return };
        let ended = async {
            while !thread.is_finished() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(THREADS_END, ended).await.is_err() {
            warn!("Pictures in hand are given up: the still thread is behind.");
        }
    }

    /// Waits until everything kept is stored or set aside, or `deadline` has passed.
    pub async fn drain(&mut self, deadline: Duration) {
        let drained = async {
            loop {
                match self.spool.snapshot().await {
                    Ok(s) if s.queued > 0 => {}
                    _ => return,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        drop(tokio::time::timeout(deadline, drained).await); // late: the rest stays queued
    }

    /// Stops in order and gives the last status.
    pub async fn stop(mut self) -> Status {
        self.stop_capture().await;
        self.stop_upload().await;
        self.tasks.shutdown().await;
        if let Err(error) = self.spool.flush().await {
            error!(%error, "Spool could not write everything before the stop.");
        }
        let status = self.status().await;
        self.spool.stop().await;
        status
    }

    async fn tick(&mut self) {
        let news = self.timekeeper.poll();
        if !news && self.time_told.elapsed() < TELL_TIME {
            return;
        }
        self.time_told = Instant::now();
        if let Some(offset) = self.timekeeper.offset()
            && let Err(error) = self.spool.set_offset(offset.ns, offset.source.name()).await
        {
            warn!(%error, "The time is known, but the boot record could not be written.");
        }
    }

    fn snap(&mut self, camera: &str, reply: oneshot::Sender<Reply>) {
        let known = || self.cameras.keys().cloned().collect::<Vec<_>>().join(", ");
        let Some(target) = self.cameras.get(camera) else {
            let text = format!("no camera is named \"{camera}\"; there is: {}", known());
            reply.send(Reply::Failed(text)).ok(); // the asker may have gone
            return;
        };
        if !matches!(target.running.counters.state(), capture::State::Streaming(_)) {
            reply.send(Reply::Failed(format!("camera {camera} is not streaming"))).ok(); // same
            return;
        }
        let (tx, rx) = oneshot::channel();
        let asker = Asker::new(move |picture| drop(tx.send(picture))); // the asker may have gone
        if target.asks.try_send(asker).is_err() {
            reply.send(Reply::Failed(format!("camera {camera} is busy; ask again"))).ok(); // same
            return;
        }
        self.snaps.spawn(async move {
            let answer = match tokio::time::timeout(SNAP, rx).await {
                Ok(Ok(Ok(jpeg))) => Reply::Picture(jpeg),
                Ok(Ok(Err(why))) => Reply::Failed(why),
                Ok(Err(_)) => Reply::Failed("the camera is behind; ask again".into()),
                Err(_) => Reply::Failed(format!("no picture within {SNAP:?}")),
            };
            reply.send(answer).ok(); // the asker may have gone
        });
    }

    fn start_camera(&mut self, settings: capture::Settings) -> anyhow::Result<()> {
        let name = settings.profile.camera.clone();
        let Some(picks) = self.picks.clone() else { return Ok(()) };
        let (asks_in, asks) = sync_channel(4);
        let ended = self.camera_ended.0.clone();
        let clock = self.deps.clock.clone();
        let beat = self.watchdog.camera(&name, settings.frame_timeout + Duration::from_secs(10));
        let wiring = capture::Wiring {
            boot: self.boot.clone(),
            account: self.account.clone(),
            picks,
            asks,
            beat,
            open: Box::new(move |source| crate::camera::open(source, clock.clone())),
            reopen: capture::REOPEN,
            ended: Box::new(move || {
                ended.try_send(()).ok(); // full: the agent hears of another end and looks at all
            }),
        };
        let running =
            capture::spawn(settings, wiring).with_context(|| format!("thread of camera {name}"))?;
        self.cameras.insert(name, Camera { running, asks: asks_in });
        Ok(())
    }

    fn start_upload(&mut self) {
        let (stop, stopped) = oneshot::channel::<()>();
        let (state_in, state) = watch::channel(UploadState::default());
        let (ended_in, ended) = oneshot::channel();
        let deps = upload::worker::Deps {
            spool: self.spool.clone(),
            timekeeper: self.timekeeper.clone(),
            settings: self.config.upload.clone(),
            notices: self.notices.clone(),
            state: state_in,
            tuning: upload::worker::Tuning::default(),
        };
        self.uploads.spawn(async move {
            upload::worker::run(deps, async { drop(stopped.await) }).await;
            ended_in.send(()).ok(); // nobody waits any more
        });
        self.upload = Some(Upload { stop, state, ended });
    }

    async fn stop_upload(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        upload.stop.send(()).ok(); // it may have ended by itself
        if tokio::time::timeout(UPLOADS_END, upload.ended).await.is_err() {
            info!("Uploads under way were cut; they are sent again after the next start.");
        }
        self.uploads.shutdown().await;
    }
}

fn start_still(
    next_seq: u64,
    boot: &BootId,
    timekeeper: &Timekeeper,
    spool: &Spool,
    watchdog: &Watchdog,
) -> anyhow::Result<(SyncSender<Pick>, JoinHandle<u64>)> {
    let (picks, rx) = sync_channel(PICKS);
    let beat = Beat::new("still", STILL_DEADLINE);
    watchdog.core(beat.clone());
    let (timekeeper, spool) = (timekeeper.clone(), spool.clone());
    let thread = still::spawn(
        rx,
        next_seq,
        boot.clone(),
        Arc::new(move |at| timekeeper.wall_at(at)),
        Box::new(move |shot| spool.store(shot)),
        beat,
    )
    .context("still thread")?;
    Ok((picks, thread))
}
