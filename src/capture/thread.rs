//! The thread around the watcher: opening, time-outs, reopening. `pictures` copies what was chosen, `best`
//! holds the candidates for an event's best picture,
//! `reopen` decides when a lost camera is tried again, `stop` is the thread's waiting.

mod best;
mod pictures;
mod reopen;
mod stop;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, SyncSender};
use std::thread::JoinHandle;
use std::time::Duration;

use tracing::{debug, info, info_span, warn};

use self::best::Best;
use self::reopen::Reopening;
use self::stop::{Stop, Woke};
use super::events::Events;
use super::ring::Ring;
use super::{Ask, Counters, Settings, State, Timetable, Wanted, Watcher, count};
use crate::account::Account;
use crate::backoff::Backoff;
use crate::camera::v4l2::hotplug::Watch;
use crate::camera::{Camera, CameraError, OpenError, Source, Tally};
use crate::clock::{BootId, BootTime, Timekeeper};
use crate::firstpass::Conditions;
use crate::firstpass::trigger::{Reason, Step, Transition};
use crate::frame::{Frame, Geometry};
use crate::health::Beat;
use crate::still::{Asker, Candidate, Pick};

/// A frame is waited for in slices of this, so that a stop is seen soon.
const SLICE: Duration = Duration::from_millis(250);

/// Waits between openings: a USB camera that was pulled and plugged needs about a second.
pub const REOPEN: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(30) };

/// Unusable frames in a row after which the camera is reopened.
const MAX_SKIPS: u32 = 100;

/// So many [`Wanted`]s are served at once; a further one waits in the channel, and with it who comes after.
const MAX_WANTED: usize = 4;

/// So many who only want to look are served with one frame.
const MAX_LOOKERS: usize = 64;

/// Frames after which a camera counts as steady: only then is its next loss a first one.
const STEADY: u32 = 100;

/// Opens a source; injected, so that tests can script a camera.
pub type Opener = Box<dyn FnMut(&Source) -> Result<Box<dyn Camera>, OpenError> + Send>;

/// What a camera thread is connected to.
pub struct Wiring {
    /// This boot, for event ids.
    pub boot: BootId,
    /// What time it is.
    pub clock: Timekeeper,
    /// The run's account.
    pub account: Account,
    /// To the still thread.
    pub picks: SyncSender<Pick>,
    /// Who wants to look.
    pub asks: Receiver<Ask>,
    /// The thread's heartbeat.
    pub beat: Beat,
    /// How cameras are opened.
    pub open: Opener,
    /// Waits between openings, [`REOPEN`] unless a test wants others.
    pub reopen: Backoff,
    /// Hears of the camera being plugged in, so that the wait ends; [`crate::camera::watch`].
    pub watch: Option<Watch>,
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

/// Starts the camera's thread.
///
/// # Errors
/// The system gives no more threads or descriptors.
pub fn spawn(settings: Settings, wiring: Wiring) -> std::io::Result<Running> {
    let counters = Arc::new(Counters::default());
    let stop = Arc::new(Stop::new()?);
    let name = settings.profile.camera.clone();
    let body = Body {
        watcher: Watcher::new(settings.watch(), &wiring.boot),
        best: Best::default(),
        ring: None,
        events: Events::new(&name),
        timetable: Timetable::new(settings.clock.clone()),
        lookers: Vec::new(),
        wanted: Vec::new(),
        counters: counters.clone(),
        stop: stop.clone(),
        reopening: Reopening::new(wiring.reopen),
        settings,
        wiring,
        refused: 0,
    };
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
    watcher: Watcher,
    best: Best,
    /// Frames from before an event, of a camera that has any.
    ring: Option<Ring<Candidate>>,
    events: Events,
    timetable: Timetable,
    /// Who wants to see the next frame.
    lookers: Vec<Asker>,
    /// Pictures that somebody wants of the next frames.
    wanted: Vec<Wanted>,
    reopening: Reopening,
    /// Pictures refused since the last that was not.
    refused: u64,
}

/// Why a stream is over.
enum Over {
    Stopped,
    Ended,
    Lost(String),
}

/// One stream, from open to close.
struct Stream {
    format: String,
    /// The last frame's number.
    last: Option<u64>,
    frames: u32,
    /// Time without a frame.
    silent: Duration,
    /// Frames in a row that the camera called unusable.
    skips: u32,
    /// Looks in a row that failed.
    unread: u32,
    /// What the camera had not lent, as counted.
    tally: Tally,
}

impl Body {
    fn run(mut self) {
        let mut opened = false;
        while !self.stop.is_set() {
            self.wiring.beat.busy();
            let over = match self.open() {
                Ok(None) => Over::Stopped,
                Ok(Some(camera)) => {
                    if std::mem::replace(&mut opened, true) {
                        count(&self.counters.reopened);
                    }
                    self.stream(camera)
                }
                Err(error) => Over::Lost(error.to_string()),
            };
            match over {
                Over::Stopped => break,
                Over::Ended => {
                    info!("Camera's source has ended.");
                    self.finish(State::Ended);
                    return;
                }
                Over::Lost(why) => self.lost(why),
            }
        }
        self.finish(State::Stopped);
    }

    /// Opens the camera and waits until it is ready; `None` when stopped meanwhile.
    fn open(&mut self) -> Result<Option<Box<dyn Camera>>, OpenError> {
        // What appears from now on may be what this try still misses.
        if let Some(watch) = &mut self.wiring.watch {
            watch.forget();
        }
        let mut camera = (self.wiring.open)(&self.settings.source)?;
        while !self.stop.is_set() {
            self.wiring.beat.busy();
            if camera.ready(SLICE)? {
                return Ok(Some(camera));
            }
        }
        Ok(None)
    }

    fn finish(mut self, state: State) {
        self.wiring.beat.idle();
        self.counters.set_state(state);
        self.refuse_asks();
        self.events.close(&self.wiring.picks);
        (self.wiring.ended)();
    }

    /// Says it once, not with every try to open it again.
    fn lost(&mut self, why: String) {
        let wait = self.reopening.lost(fastrand::f64());
        let wait_ms = wait.as_millis();
        if matches!(self.counters.state(), State::Lost(_)) {
            debug!(%why, wait_ms, "Camera is still lost.");
        } else {
            warn!(%why, wait_ms, "Camera is lost; will open it again.");
        }
        self.counters.set_state(State::Lost(why));
        self.counters.set_remarks(&[]);
        self.refuse_asks();
        self.events.hand_on(&self.wiring.picks);
        self.wiring.beat.idle();
        let watch = self.wiring.watch.as_mut().filter(|_| self.reopening.listens());
        match self.stop.wait(wait, watch) {
            Woke::Arrived => {
                debug!("Something was plugged in; trying the camera at once.");
                self.reopening.arrived();
            }
            Woke::TimedOut => self.reopening.waited(),
            Woke::Stopped => {}
        }
    }

    /// Whoever wants a picture hears of it by the end of its teller.
    fn refuse_asks(&mut self) {
        self.wanted.clear();
        let asks = std::iter::from_fn(|| self.wiring.asks.try_recv().ok());
        let lookers = asks.filter_map(|ask| match ask {
            Ask::Look(asker) => Some(asker),
            Ask::Keep(_) => None,
        });
        for asker in std::mem::take(&mut self.lookers).into_iter().chain(lookers) {
            asker.answer(Err("the camera is not streaming".into()));
        }
    }

    fn stream(&mut self, mut camera: Box<dyn Camera>) -> Over {
        let mut stream = self.opened(camera.geometry());
        self.ring = self.ring_for(camera.geometry());
        self.counters.set_remarks(camera.remarks());
        let over = loop {
            if self.stop.is_set() {
                break Over::Stopped;
            }
            self.wiring.beat.busy();
            let over = self.next(camera.as_mut(), &mut stream);
            self.tallied(&mut stream, camera.tally());
            if let Some(over) = over {
                break over;
            }
        };
        // The picture is gone, and with it what was wrong with it.
        self.counters.set_conditions(Conditions::default());
        if let Some(ended) = self.watcher.finish() {
            self.changed(&ended, None);
        }
        self.ring = None;
        self.counters.ring_bytes.store(0, Ordering::Relaxed);
        over
    }

    /// Holds frames back, if they are to be and are compressed: raw ones would fill it with a second.
    fn ring_for(&self, geometry: Geometry) -> Option<Ring<Candidate>> {
        let (_, events) = self.settings.motion.as_ref()?;
        let settings = events.pre_event?;
        if geometry.format.is_raw() {
            warn!(
                "Pictures from before an event are kept of JPEG only, and this camera gives raw frames: \
                 there will be none."
            );
            return None;
        }
        Some(Ring::new(settings))
    }

    fn opened(&self, geometry: Geometry) -> Stream {
        let format = format!("{} {}x{}", geometry.format.name(), geometry.width, geometry.height);
        debug!(%format, "Camera is open.");
        let (bytes, limit) = (geometry.frame_bytes(), self.wiring.account.limit());
        self.counters.frame_bytes.store(bytes, Ordering::Relaxed);
        if bytes.saturating_mul(2) > limit {
            warn!(
                %format, bytes, limit,
                "The byte budget holds less than two frames of this camera: pictures will be refused. \
                 Raise memory.in_hand, or set a smaller size."
            );
        }
        let (silent, skips, unread) = (Duration::ZERO, 0, 0);
        let tally = Tally::default();
        Stream { format, last: None, frames: 0, silent, skips, unread, tally }
    }

    /// Takes one frame, or what comes in its place. `Some` when the stream is over.
    fn next(&mut self, camera: &mut dyn Camera, stream: &mut Stream) -> Option<Over> {
        match camera.next_frame(SLICE) {
            Ok(frame) => {
                self.arrived(stream, frame.sequence);
                self.events.hand_on(&self.wiring.picks);
                self.frame(stream, &frame)
            }
            Err(CameraError::Timeout(waited)) => {
                stream.silent = stream.silent.saturating_add(waited);
                let silent = stream.silent;
                if self.watcher.waited(silent) {
                    self.decide();
                }
                (silent >= self.settings.frame_timeout)
                    .then(|| Over::Lost(format!("no frame for {silent:?}")))
            }
            Err(CameraError::Skip(why)) => {
                stream.skips += 1;
                self.unusable(stream.skips, &why)
            }
            Err(CameraError::Lost(why)) => Some(Over::Lost(why)),
            Err(CameraError::Ended) => Some(Over::Ended),
        }
    }

    fn unusable(&self, in_a_row: u32, why: &dyn fmt::Display) -> Option<Over> {
        count(&self.counters.skipped);
        debug!(%why, "Frame is unusable.");
        (in_a_row >= MAX_SKIPS)
            .then(|| Over::Lost(format!("{in_a_row} unusable frames in a row: {why}")))
    }

    fn arrived(&mut self, stream: &mut Stream, sequence: u64) {
        if stream.last.is_none() {
            info!(format = stream.format, "Camera streams.");
            self.counters.set_state(State::Streaming(stream.format.clone()));
        }
        (stream.silent, stream.skips) = (Duration::ZERO, 0);
        stream.frames = stream.frames.saturating_add(1);
        if stream.frames >= STEADY {
            self.reopening.steady();
        }
        count(&self.counters.frames);
        let missed = stream.last.map_or(0, |l| sequence.saturating_sub(l.saturating_add(1)));
        self.counters.gaps.fetch_add(missed, Ordering::Relaxed);
        stream.last = Some(sequence);
    }

    /// Counts what the camera did not lend.
    fn tallied(&self, stream: &mut Stream, tally: Tally) {
        let before = std::mem::replace(&mut stream.tally, tally);
        let passed_over = tally.passed_over.saturating_sub(before.passed_over);
        let unusable = tally.unusable.saturating_sub(before.unusable);
        self.counters.passed_over.fetch_add(passed_over, Ordering::Relaxed);
        self.counters.skipped.fetch_add(unusable, Ordering::Relaxed);
    }

    fn frame(&mut self, stream: &mut Stream, frame: &Frame<'_>) -> Option<Over> {
        self.hear();
        let mut seen = self.watcher.watch(frame);
        if let Some(error) = &seen.unusable {
            stream.unread += 1;
            return self.unusable(stream.unread, error);
        }
        if let Some(observation) = &seen.observation {
            stream.unread = 0;
            count(&self.counters.analysed);
            self.counters.set_conditions(observation.conditions);
            if observation.motion {
                count(&self.counters.motion);
            }
        }
        if let Some(step) = &seen.step {
            self.stepped(step, frame.captured, seen.at);
        }
        if seen.decides() {
            self.decide();
        }
        if seen.similar {
            count(&self.counters.similar);
        }
        self.show(frame);
        self.take_wanted(frame, seen.observation.as_ref());
        if let Some(offer) = seen.offer.take() {
            self.offer(frame, offer, seen.observation.clone());
        }
        if let Some(choice) = seen.choice.take() {
            self.keep(frame, choice, seen.observation, None);
        } else if seen.remember {
            self.remember(frame, seen.at, seen.observation);
        }
        None
    }

    /// Follows the event machine: with a frame of this capture time, which is `at` on the camera's line.
    fn stepped(&mut self, step: &Step, captured: BootTime, at: BootTime) {
        match step.reason {
            Reason::Burst(_) => count(&self.counters.burst),
            Reason::CoolDown(_) => count(&self.counters.cool_down),
            _ => {}
        }
        let Some(change) = &step.change else { return };
        self.changed(change, step.event.clone().map(|event| (event, captured)));
        if let (Transition::Began, Some(event)) = (change, &step.event) {
            self.keep_from_before(event, at);
        }
    }

    /// An event began, with the frame of this event and capture time, or ended.
    fn changed(&mut self, change: &Transition, first: Option<(Arc<str>, BootTime)>) {
        match change {
            Transition::Began => {
                count(&self.counters.events);
                debug!(event = first.as_ref().map(|(event, _)| &**event), "Event began.");
                if let Some((event, captured)) = first {
                    self.events.began(event, captured);
                }
            }
            Transition::Ended { event, duration, why } => {
                debug!(%event, ?duration, why = why.name(), "Event ended.");
                self.decide();
                self.events.ended(*duration, why.name());
                self.events.hand_on(&self.wiring.picks);
            }
        }
    }
}
