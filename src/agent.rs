//! Composition root: builds, spawns, stops in order; the only file that knows everyone.
//!
//! ```text
//! start   spool (recovers) → still → upload → cameras → sockets, broker
//! stop    cameras → still → uploads (finish, or are cut at the deadline) → broker → spool → end
//! ```
//! A camera whose driver hangs is never joined. A task or thread that ends before it was told to is a
//! failure: the agent stops in order and says so, and systemd starts it again. What capture does not
//! need (the control socket) is an alarm when it is missing, never a failure. Nothing in a turn waits
//! for a disk, so that the watchdog is fed while a slow card syncs; but a reload does, and the end of privacy
//! mode, each within the turn's deadline.

mod alarms;
mod doors;
mod link;
mod manifests;
mod pictures;
mod privacy;
mod reload;
mod report;
mod stills;
mod stop;
mod watchdog;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::account::Account;
use crate::alarm::Board;
use crate::camera::{self, OpenError, Source};
use crate::capture;
use crate::clock::{BootId, Clock, Timekeeper};
use crate::config::Config;
use crate::contract::stored::StoredNotice;
use crate::control::command::RateLimit;
use crate::control::desk::{self, DeskCounters};
use crate::control::socket::Access;
use crate::control::{Ask, Job, Reply, socket};
use crate::health::Beat;
use crate::mqtt;
use crate::spool::{Moment, Spool};
use crate::status::{Alarm, ConfigStatus};
use crate::still::Pick;
use crate::upload::{self, UploadState};

pub use watchdog::{Verdict, Watchdog};

/// Picks on their way to the still thread. The byte budget bounds them first; this bounds tiny ones.
const PICKS: usize = 1024;

/// Asks that may wait for one camera: all that the sockets and the desk can have at work.
const ASKS: usize = 2 * socket::AT_ONCE + desk::AT_WORK;

/// Longest turn of the agent itself: a reload waits for a camera, uploads, and a spool whose card may
/// take two minutes for one flush.
const TURN_DEADLINE: Duration = Duration::from_secs(180);

/// Longest time for the still thread to make one picture.
const STILL_DEADLINE: Duration = Duration::from_secs(60);

/// Ticks between tries to make a socket that cannot be made.
const DOORS_AGAIN: u64 = 10;

/// Ticks between tellings of the trusted time to the spool, so that after a power cut it is known how
/// late it was.
const TELL_TIME: u64 = 3600;

/// Stored notices that a slow listener may be behind; older ones are counted as missed.
const NOTICES: usize = 256;

/// Opens a camera's source; injected, so that tests can script a camera. [`camera::open`] otherwise.
pub type OpenCamera = Arc<
    dyn Fn(&Source, Arc<dyn Clock>) -> Result<Box<dyn camera::Camera>, OpenError> + Send + Sync,
>;

/// What the agent is started with, besides its configuration.
pub struct Deps {
    /// The machine's clocks.
    pub clock: Arc<dyn Clock>,
    /// Where the configuration came from, and whether it is the last good one.
    pub config: ConfigStatus,
    /// Alarms known before the start: a broken configuration, a cloned identity.
    pub alarms: Vec<Alarm>,
    /// How cameras are opened.
    pub open_camera: OpenCamera,
    /// Waits of the session with the broker.
    pub mqtt: mqtt::Tuning,
    /// How many commands are taken.
    pub rate: RateLimit,
}

/// What happened; the caller passes it to [`Agent::handle`].
#[derive(Debug)]
pub enum Turn {
    /// Somebody asks over the socket.
    Asked(Ask),
    /// A camera thread ended, by its source's end or a stop.
    CameraEnded,
    /// A second passed: threads, clock, what could not be done before.
    Tick,
    /// Somebody got an answer.
    Answered,
    /// A part ended that should not have: stop and be started again.
    Failed(String),
}

/// A running agent.
pub struct Agent {
    config: Config,
    deps: Deps,
    began: Instant,
    boot: BootId,
    /// Tells this run from others of the same boot.
    run: String,
    account: Account,
    timekeeper: Timekeeper,
    spool: Spool,
    picks: Option<SyncSender<Pick>>,
    still: Option<JoinHandle<u64>>,
    cameras: BTreeMap<String, Camera>,
    /// Cameras that were closed, and whose drivers hang: they may be open yet.
    left_behind: Vec<(String, capture::Running)>,
    privacy: privacy::Privacy,
    camera_ended: (mpsc::Sender<()>, mpsc::Receiver<()>),
    /// Manifests on their way to the disk.
    in_work: manifests::InWork,
    /// Tasks that must not end before a stop.
    tasks: JoinSet<&'static str>,
    /// Tasks that end by themselves: answers that somebody waits for.
    jobs: JoinSet<()>,
    uploads: JoinSet<()>,
    upload: Option<Upload>,
    notices: broadcast::Sender<StoredNotice>,
    asks: (mpsc::Sender<Ask>, mpsc::Receiver<Ask>),
    /// The sockets.
    doors: Vec<doors::Door>,
    /// Session and desk, where a broker is configured.
    link: Option<link::Link>,
    links: JoinSet<()>,
    /// What became of commands, over reconnections.
    commands: Arc<DeskCounters>,
    /// Which alarms were told.
    board: Board,
    unposted: alarms::Unposted,
    /// The spool's account as last read.
    ledger: Arc<Mutex<report::Known>>,
    /// The spool knows the trusted time, or is being told.
    told_time: Arc<AtomicBool>,
    tick: tokio::time::Interval,
    beat: Beat,
    ticks: u64,
    /// Threads and their deadlines, for the watchdog.
    pub watchdog: Watchdog,
}

struct Camera {
    running: capture::Running,
    asks: SyncSender<capture::Ask>,
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
    /// The spool cannot be opened or a thread cannot be started.
    pub async fn start(config: Config, deps: Deps) -> anyhow::Result<Self> {
        let boot = deps.clock.boot_id();
        let timekeeper = Timekeeper::new(deps.clock.clone(), config.trust);
        let watchdog = Watchdog::new();
        let now = deps.clock.boottime();
        let moment = Moment { boot: boot.clone(), at: now, wall: timekeeper.wall_at(now) };
        let settings = config.spool.clone();
        // A slow disk takes a while; signals are to be heard meanwhile.
        let (spool, opened) =
            tokio::task::spawn_blocking(move || Spool::open_or_wait(&settings, moment))
                .await
                .context("opening the spool")?
                .with_context(|| format!("spool {}", config.spool.path.display()))?;
        watchdog.core(spool.beat());
        info!(
            next_seq = opened.next_seq,
            adopted = opened.adopted,
            torn = opened.torn,
            finished = opened.finished,
            rebuilt = opened.rebuilt,
            generation = opened.generation,
            "Spool is open."
        );
        if let Some(newest) = opened.newest_wall {
            timekeeper.remember(newest);
        }
        let beat = Beat::new("agent", TURN_DEADLINE);
        watchdog.core(beat.clone());
        let account = Account::new(config.in_hand);
        let (picks, still) = stills::start(opened.next_seq, &boot, &timekeeper, &spool, &watchdog)?;
        let mut agent = Self {
            began: Instant::now(),
            boot,
            run: format!("{:08x}", fastrand::u32(..)),
            account,
            timekeeper,
            spool,
            picks: Some(picks),
            still: Some(still),
            cameras: BTreeMap::new(),
            left_behind: Vec::new(),
            privacy: privacy::Privacy::new(opened.private),
            camera_ended: mpsc::channel(64),
            in_work: manifests::InWork::default(),
            tasks: JoinSet::new(),
            jobs: JoinSet::new(),
            uploads: JoinSet::new(),
            upload: None,
            notices: broadcast::channel(NOTICES).0,
            asks: mpsc::channel(socket::AT_ONCE),
            doors: doors(&config),
            link: None,
            links: JoinSet::new(),
            commands: Arc::default(),
            board: Board::default(),
            unposted: alarms::Unposted::default(),
            ledger: Arc::default(),
            told_time: Arc::default(),
            tick: tokio::time::interval(Duration::from_secs(1)),
            beat,
            ticks: 0,
            watchdog,
            deps,
            config,
        };
        agent.tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        agent.start_upload();
        agent.mind_privacy().await;
        for camera in agent.config.cameras.clone() {
            agent.start_camera(camera)?;
        }
        agent.open_doors();
        agent.start_link();
        Ok(agent)
    }

    /// Waits for the next thing to do. Cancel-safe: nothing is lost when it is dropped.
    pub async fn turn(&mut self) -> Turn {
        tokio::select! {
            Some(ask) = self.asks.1.recv() => Turn::Asked(ask),
            Some(()) = self.camera_ended.1.recv() => Turn::CameraEnded,
            Some(ended) = self.tasks.join_next() => match ended {
                Ok(name) => Turn::Failed(format!("{name} ended")),
                Err(error) => Turn::Failed(error.to_string()),
            },
            Some(_) = self.uploads.join_next() => Turn::Failed("the uploader ended".to_owned()),
            Some(_) = self.links.join_next() => Turn::Failed("the link to the broker ended".to_owned()),
            Some(answered) = self.jobs.join_next() => {
                if let Err(error) = answered {
                    warn!(%error, "An answer could not be given.");
                }
                Turn::Answered
            }
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
            Turn::Asked((Job::Status, reply)) => {
                let status = self.status();
                self.jobs.spawn(async move {
                    reply.send(Reply::Status(Box::new(status.await))).ok(); // the asker may have gone
                });
            }
            Turn::Asked((Job::Snap { camera }, reply)) => self.snap(&camera, reply),
            Turn::Asked((Job::Take(take), reply)) => self.take(take, reply),
            Turn::Asked((Job::Spool(ask), reply)) => {
                let spool = self.spool.clone();
                self.jobs.spawn(async move {
                    let told = match spool.ask(ask).await {
                        Ok(told) => Reply::Spool(told),
                        Err(error) => Reply::failed("storage", format!("{error}: ask again later")),
                    };
                    reply.send(told).ok(); // the asker may have gone
                });
            }
            Turn::Asked((Job::Privacy { on }, reply)) => self.set_privacy(on, reply).await,
            Turn::CameraEnded | Turn::Answered => {}
            Turn::Tick => {
                self.tick()?;
                self.mind_privacy().await;
            }
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
        !self.privacy.is_on() && self.cameras.values().all(|c| c.running.is_finished())
    }

    fn tick(&mut self) -> anyhow::Result<()> {
        if let Some(dead) = self.dead_thread() {
            anyhow::bail!("{dead} ended without being told to");
        }
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(DOORS_AGAIN) {
            self.open_doors();
        }
        if self.ticks.is_multiple_of(manifests::LOOK) {
            self.write_manifests();
        }
        self.tell_time();
        self.tell_alarms();
        Ok(())
    }

    fn open_doors(&mut self) {
        for door in &mut self.doors {
            door.open(&mut self.tasks, &self.asks.0);
        }
    }

    /// A release aborts on a panic; where it unwinds, a thread must not be missing unnoticed.
    fn dead_thread(&self) -> Option<String> {
        if self.still.as_ref().is_some_and(JoinHandle::is_finished) {
            return Some("the still thread".to_owned());
        }
        if self.spool.has_stopped() {
            return Some("the spool's thread".to_owned());
        }
        let told = |c: &Camera| {
            matches!(c.running.counters.state(), capture::State::Ended | capture::State::Stopped)
        };
        let dead = self.cameras.iter().find(|(_, c)| c.running.is_finished() && !told(c));
        dead.map(|(name, _)| format!("the thread of camera {name}"))
    }

    /// Tells the spool the trusted time, again after a failure. Not waited for: its disk may be slow,
    /// and the watchdog is to be fed meanwhile.
    fn tell_time(&mut self) {
        self.timekeeper.poll();
        let Some(offset) = self.timekeeper.offset() else { return };
        if self.ticks.is_multiple_of(TELL_TIME) {
            self.told_time.store(false, Ordering::Relaxed);
        }
        if self.told_time.swap(true, Ordering::Relaxed) {
            return;
        }
        let (spool, told) = (self.spool.clone(), Arc::clone(&self.told_time));
        self.jobs.spawn(async move {
            if let Err(error) = spool.set_offset(offset.ns, offset.source.name()).await {
                warn!(%error, "The time was learnt, but the boot record could not be written.");
                told.store(false, Ordering::Relaxed);
            }
        });
    }

    fn start_camera(&mut self, settings: capture::Settings) -> anyhow::Result<()> {
        let name = settings.profile.camera.clone();
        if self.privacy.is_on() {
            return Ok(()); // opened when it is over
        }
        let Some(picks) = self.picks.clone() else { return Ok(()) };
        let (asks_in, asks) = sync_channel(ASKS);
        let ended = self.camera_ended.0.clone();
        let (clock, open) = (self.deps.clock.clone(), self.deps.open_camera.clone());
        let beat = self.watchdog.camera(&name, settings.frame_timeout + Duration::from_secs(10));
        let wiring = capture::Wiring {
            boot: self.boot.clone(),
            clock: self.timekeeper.clone(),
            account: self.account.clone(),
            picks,
            asks,
            beat,
            open: Box::new(move |source| open(source, clock.clone())),
            reopen: capture::REOPEN,
            watch: camera::watch(&settings.source),
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
}

fn doors(config: &Config) -> Vec<doors::Door> {
    let triggers = Access::triggers(config.trigger_group.as_deref());
    vec![
        doors::Door::new("control", config.control_socket.clone(), Access::owner()),
        doors::Door::new("trigger", config.trigger_socket.clone(), triggers),
    ]
}
