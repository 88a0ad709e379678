//! The camera thread: open, take the next frame, first pass, copy what was picked, reopen.
//!
//! One thread a camera, started by `agent`. It never waits for disk, network or another camera: a
//! picked frame is copied under the byte budget ([`crate::account`]) and handed on without waiting; no
//! room means refused(busy), counted here. A frame that is neither analysed nor picked is given back
//! unread ([`AnalyseFps`]). What goes by the clock is asked of a [`Timetable`] with each frame. Pictures that
//! somebody asks for ([`Ask::Keep`]) are taken of the next frames that can be read, whatever else these frames
//! are kept for; with a camera that is lost go all who ask of it. When an event is over, the still thread
//! hears of it after its last picture. A camera that fails is reopened with
//! backoff until the agent stops, and at once when it is plugged in; a source that ends (a file played once)
//! ends its thread.
//!
//! Of an event's frames that may be its best picture the thread holds at most three, under the same byte
//! budget, until [`crate::still`] has to say which one it is: after `best_within`, or with the end of the
//! event or of the camera. Frames from before an event wait in a [`Ring`] with a budget of its own and become
//! pictures only when one begins. Both are dropped uncounted: nothing is chosen before that.

mod events;
mod ring;
mod thread;
mod timetable;
mod watcher;

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::account::Teller;
use crate::camera::Source;
use crate::contract::Trigger;
use crate::firstpass::similarity::Likeness;
use crate::firstpass::trigger::EventSettings;
use crate::firstpass::{Conditions, MotionSettings};
use crate::still::{Asker, Order, Profile, Said};

pub use ring::Ring;
pub use thread::{Opener, REOPEN, Running, Wiring, spawn};
pub use timetable::{ClockSettings, Now, Timetable};
pub use watcher::{AnalyseFps, Choice, Offer, Seen, WatchSettings, Watcher};

/// One camera and what is done with its frames.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where frames come from.
    pub source: Source,
    /// Longest wait for a frame before the camera counts as silent and is reopened.
    pub frame_timeout: Duration,
    /// How often frames are looked at; `None` looks at every frame.
    pub analyse_fps: Option<AnalyseFps>,
    /// Motion detection and the events made of it; `None` turns it off.
    pub motion: Option<(MotionSettings, EventSettings)>,
    /// A picture every so often.
    pub interval: Option<Duration>,
    /// What goes by the clock: hours of motion and of zones, moments at which a picture is due.
    pub clock: ClockSettings,
    /// Pictures by interval, and further ones of an event, that show what the last one showed are dropped;
    /// `None` keeps them.
    pub drop_similar: Option<Likeness>,
    /// How pictures are made.
    pub profile: Arc<Profile>,
}

impl Settings {
    /// What its frames are watched for.
    #[must_use]
    pub fn watch(&self) -> WatchSettings {
        WatchSettings {
            motion: self.motion.clone(),
            analyse_fps: self.analyse_fps,
            interval: self.interval,
            drop_similar: self.drop_similar,
        }
    }
}

/// What somebody wants of a camera thread.
#[derive(Debug)]
pub enum Ask {
    /// The next frame, to look at.
    Look(Asker),
    /// Pictures to keep.
    Keep(Wanted),
}

/// Pictures that somebody wants kept: of the next frames, one each.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// `Command` or `External`.
    pub trigger: Trigger,
    /// The MQTT command that asks.
    pub command: Option<String>,
    /// How many are still to be taken.
    pub count: u32,
    /// How they are made.
    pub order: Order,
    /// What a detector or sensor said.
    pub said: Option<Said>,
    /// Hears of each picture's fate; dropped when nothing more will come.
    pub teller: Teller,
    /// Whether anything more is to be taken.
    pub leave: Arc<Leave>,
}

impl Wanted {
    /// Is there more to be taken?
    fn goes_on(&self) -> bool {
        self.count > 0 && !self.leave.is_withdrawn()
    }
}

/// Leave to take pictures: counted as it is used, until it is withdrawn. One number for both sides, so that
/// whoever withdraws it knows how many pictures were taken, and that none will be.
#[derive(Debug, Default)]
pub struct Leave(AtomicU32);

impl Leave {
    const WITHDRAWN: u32 = 1 << 31;

    /// Uses it for one picture; false when it was withdrawn.
    pub(crate) fn take(&self) -> bool {
        let one_more = |n: u32| (n & Self::WITHDRAWN == 0).then_some(n + 1);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_more).is_ok()
    }

    /// Nothing more is to be taken. How many were.
    pub fn withdraw(&self) -> u32 {
        self.0.fetch_or(Self::WITHDRAWN, Ordering::SeqCst) & !Self::WITHDRAWN
    }

    fn is_withdrawn(&self) -> bool {
        self.0.load(Ordering::SeqCst) & Self::WITHDRAWN != 0
    }
}

/// What a camera is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is being opened for the first time.
    #[default]
    Opening,
    /// Frames come; the format, in words.
    Streaming(String),
    /// It is gone, with the reason; it will be opened again.
    Lost(String),
    /// Its source is used up.
    Ended,
    /// The agent stopped it.
    Stopped,
}

/// What a camera has counted; written by its thread, read by status.
#[derive(Debug, Default)]
pub struct Counters {
    /// Frames that came.
    pub frames: AtomicU64,
    /// Frames that the first pass looked at.
    pub analysed: AtomicU64,
    /// Frames that were unusable.
    pub skipped: AtomicU64,
    /// Frames the camera dropped before us, by its own numbers.
    pub gaps: AtomicU64,
    /// Frames that nobody read, because a newer one was there: the camera was faster than this thread.
    pub passed_over: AtomicU64,
    /// Frames with motion.
    pub motion: AtomicU64,
    /// Events that began.
    pub events: AtomicU64,
    /// Pictures chosen.
    pub chosen: AtomicU64,
    /// Of these, pictures from before an event.
    pub pre_event: AtomicU64,
    /// Bytes of frames that are held back in case an event begins.
    pub ring_bytes: AtomicU64,
    /// Pictures that were due, but showed what the last one showed: not chosen.
    pub similar: AtomicU64,
    /// Frames of events that were not chosen because of the burst limit.
    pub burst: AtomicU64,
    /// Frames with motion that began no event because of the cool-down.
    pub cool_down: AtomicU64,
    /// Times it was opened again.
    pub reopened: AtomicU64,
    /// What is wrong with its picture: [`crate::firstpass::Conditions::bits`].
    pub conditions: AtomicU8,
    /// Bytes of one of its frames, as opened; 0 before.
    pub frame_bytes: AtomicU64,
    state: Mutex<State>,
    remarks: Mutex<Vec<String>>,
}

impl Counters {
    /// What the camera is doing now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was asked of the camera and could not be had, though it streams.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is wrong with its picture, as of the last frame that was looked at.
    #[must_use]
    pub fn conditions(&self) -> Conditions {
        Conditions::from_bits(self.conditions.load(Ordering::Relaxed))
    }

    fn set_conditions(&self, conditions: Conditions) {
        self.conditions.store(conditions.bits(), Ordering::Relaxed);
    }

    fn set_remarks(&self, remarks: &[String]) {
        *self.remarks.lock().unwrap_or_else(PoisonError::into_inner) = remarks.to_vec();
    }

    fn set_state(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
