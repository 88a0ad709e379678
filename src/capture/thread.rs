//! The thread around the watcher: opening, time-outs, reopening, copying what was chosen.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{debug, info, info_span, warn};

use super::{Choice, Counters, Settings, State, Watcher, count};
use crate::account::{Account, Refusal};
use crate::backoff::Backoff;
use crate::camera::{Camera, CameraError, OpenError, Source};
use crate::clock::BootId;
use crate::frame::Frame;
use crate::health::Beat;
use crate::still::{Asker, Candidate, Pick};

/// A frame is waited for in slices of this, so that a stop is seen soon.
const SLICE: Duration = Duration::from_millis(250);

/// Waits between openings: a USB camera that was pulled and plugged needs about a second.
const REOPEN: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// Unusable frames in a row after which the camera is reopened.
const MAX_SKIPS: u32 = 100;

/// Opens a source; injected, so that tests can script a camera.
pub type Opener = Box<dyn FnMut(&Source) -> Result<Box<dyn Camera>, OpenError> + Send>;

/// What a camera thread is connected to.
pub struct Wiring {
    /// This boot, for event ids.
    pub boot: BootId,
    /// The run's account.
    pub account: Account,
    /// To the still thread.
    pub picks: SyncSender<Pick>,
    /// Who wants to look.
    pub asks: Receiver<Asker>,
    /// The thread's heartbeat.
    pub beat: Beat,
    /// How cameras are opened.
    pub open: Opener,
    /// Called when the thread ends, by whatever way.
    pub ended: Box<dyn FnOnce() + Send>,
}

/// A started camera thread.
#[derive(Debug)]
pub struct Running {
    /// What it counts.
    pub counters: Arc<Counters>,
    stop: Arc<Stop>,
    thread: JoinHandle<()>,
}

impl Running {
    /// Asks the thread to end; it does so within a slice, unless its driver hangs.
    pub fn stop(&self) {
        self.stop.set();
    }

    /// Has the thread ended?
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

#[derive(Debug, Default)]
struct Stop {
    flag: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Stop {
    fn set(&self) {
        self.flag.store(true, Ordering::SeqCst);
        drop(self.lock.lock());
        self.wake.notify_all();
    }

    fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits for `time` or until stopped.
    fn wait(&self, time: Duration) {
        let guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.wake.wait_timeout_while(guard, time, |()| !self.is_set()));
    }
}

/// Starts the camera's thread.
///
/// # Errors
/// The system gives no more threads.
pub fn spawn(settings: Settings, wiring: Wiring) -> std::io::Result<Running> {
    let counters = Arc::new(Counters::default());
    let stop = Arc::new(Stop::default());
    let name = settings.profile.camera.clone();
    let body = Body { counters: counters.clone(), stop: stop.clone(), settings, wiring };
    let thread = std::thread::Builder::new().name(format!("cam-{name}")).spawn(move || {
        let _span = info_span!("camera", camera = name).entered();
        body.run();
    })?;
    Ok(Running { counters, stop, thread })
}

struct Body {
    settings: Settings,
    wiring: Wiring,
    counters: Arc<Counters>,
    stop: Arc<Stop>,
}

/// Why a stream is over.
enum Over {
    Stopped,
    Ended,
    Lost(String),
}

impl Body {
    fn run(mut self) {
        let mut failures = 0;
        while !self.stop.is_set() {
            self.wiring.beat.busy();
            let over = match (self.wiring.open)(&self.settings.source) {
                Ok(camera) => self.stream(camera, &mut failures),
                Err(error) => Over::Lost(error.to_string()),
            };
            match over {
                Over::Stopped => break,
                Over::Ended => {
                    info!("Camera's source has ended.");
                    self.finish(State::Ended);
                    return;
                }
                Over::Lost(why) => self.lost(why, &mut failures),
            }
        }
        self.finish(State::Stopped);
    }

    fn finish(self, state: State) {
        self.wiring.beat.idle();
        self.counters.set_state(state);
        (self.wiring.ended)();
    }

    fn lost(&self, why: String, failures: &mut u32) {
        *failures = failures.saturating_add(1);
        let wait = REOPEN.wait(*failures, fastrand::f64());
        warn!(%why, wait_ms = wait.as_millis(), "Camera is lost; will open it again.");
        self.counters.set_state(State::Lost(why));
        count(&self.counters.reopened);
        self.refuse_asks();
        self.wiring.beat.idle();
        self.stop.wait(wait);
    }

    fn refuse_asks(&self) {
        while let Ok(ask) = self.wiring.asks.try_recv() {
            ask.answer(Err("the camera is not streaming".into()));
        }
    }

    fn stream(&mut self, mut camera: Box<dyn Camera>, failures: &mut u32) -> Over {
        let g = camera.geometry();
        let format = format!("{} {}x{}", g.format.name(), g.width, g.height);
        info!(%format, "Camera is open.");
        let Settings { motion, analyse_fps, interval, .. } = self.settings.clone();
        let mut watcher = Watcher::new(motion, analyse_fps, interval, &self.wiring.boot);
        let mut silent = Duration::ZERO;
        let mut skips = 0;
        let mut last = None;
        while !self.stop.is_set() {
            self.wiring.beat.busy();
            match camera.next_frame(SLICE) {
                Ok(frame) => {
                    if last.is_none() {
                        *failures = 0;
                        self.counters.set_state(State::Streaming(format.clone()));
                    }
                    (silent, skips) = (Duration::ZERO, 0);
                    self.number(&mut last, frame.sequence);
                    self.frame(&mut watcher, &frame);
                }
                Err(CameraError::Timeout(waited)) => {
                    silent += waited;
                    if silent >= self.settings.frame_timeout {
                        return Over::Lost(format!("no frame for {silent:?}"));
                    }
                }
                Err(CameraError::Skip(why)) => {
                    count(&self.counters.skipped);
                    debug!(why, "Frame is unusable.");
                    skips += 1;
                    if skips >= MAX_SKIPS {
                        return Over::Lost(format!("{skips} unusable frames in a row: {why}"));
                    }
                }
                Err(CameraError::Lost(why)) => return Over::Lost(why),
                Err(CameraError::Ended) => return Over::Ended,
            }
        }
        Over::Stopped
    }

    fn number(&self, last: &mut Option<u64>, sequence: u64) {
        count(&self.counters.frames);
        let missed = last.map_or(0, |l: u64| sequence.saturating_sub(l.saturating_add(1)));
        self.counters.gaps.fetch_add(missed, Ordering::Relaxed);
        *last = Some(sequence);
    }

    fn frame(&self, watcher: &mut Watcher, frame: &Frame<'_>) {
        let mut seen = watcher.watch(frame);
        if let Some(error) = &seen.unusable {
            count(&self.counters.skipped);
            debug!(%error, "Frame is unusable.");
            return;
        }
        if let Some(observation) = &seen.observation {
            count(&self.counters.analysed);
            if observation.motion {
                count(&self.counters.motion);
            }
        }
        if seen.began() {
            count(&self.counters.events);
        }
        while let Ok(ask) = self.wiring.asks.try_recv() {
            let show = Choice {
                trigger: crate::contract::Trigger::Command,
                class: crate::contract::Class::Best,
                event: None,
                reason: "asked for".into(),
            };
            let pick = Pick::Show(Box::new(self.candidate(frame, show, None)), ask);
            drop(self.wiring.picks.try_send(pick)); // full: the asker sees its channel close
        }
        if let Some(choice) = seen.choice.take() {
            self.keep(frame, choice, seen.observation);
        }
    }

    fn keep(&self, frame: &Frame<'_>, choice: Choice, seen: Option<crate::firstpass::Observation>) {
        count(&self.counters.chosen);
        let Some(token) = self.wiring.account.choose(frame.data.len() as u64) else {
            warn!("Picture refused: disk or encoder are behind, the byte budget is used up.");
            return;
        };
        debug!(reason = choice.reason, "Picture chosen.");
        let pick = Pick::One(Box::new(self.candidate(frame, choice, seen)), token);
        match self.wiring.picks.try_send(pick) {
            Ok(()) => {}
            Err(TrySendError::Full(Pick::One(_, token))) => token.refused(Refusal::Busy),
            Err(_) => {} // the still thread is gone: the token's drop counts it
        }
    }

    fn candidate(
        &self,
        frame: &Frame<'_>,
        choice: Choice,
        seen: Option<crate::firstpass::Observation>,
    ) -> Candidate {
        Candidate {
            data: frame.data.to_vec(),
            geometry: frame.geometry,
            captured: frame.captured,
            stamp: frame.stamp,
            profile: self.settings.profile.clone(),
            seen,
            trigger: choice.trigger,
            event: choice.event,
            command: None,
            class: choice.class,
        }
    }
}
