//! From a pick to a shot: masks, scaling, encoding or passing through, EXIF, digests, the sequence number.
//!
//! Camera threads send [`Pick`]s; the thread that [`spawn`] starts makes the pictures one after the
//! other and gives each [`Shot`] to a sink (the spool). Manifests of events come the same way and only
//! get their number; the ends of events are passed on in their place. It never holds a driver's buffer: a pick owns
//! its bytes, and they are freed when its picture is made. Of an event's candidates
//! ([`Pick::BestOf`]) the best one becomes the picture, as [`rank`] says; the others are dropped.
//!
//! Invariants: sequence numbers are given in order, one for each shot and none for a failure; every
//! pick leaves the account's hands either in a shot or refused. Failure: a frame that makes no picture
//! is refused(broken) and told once per run of failures of its camera; the thread goes on.

mod blocks;
pub mod canvas;
mod crop;
pub mod encode;
pub mod exif;
pub mod passthrough;
pub mod privacy;
pub mod rank;
mod said;
mod scale;
mod sheet;
mod studio;
mod target;
pub mod text;
mod thumbnail;
pub mod transform;
mod veil;
mod view;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use tracing::{debug, info, warn};

use self::privacy::Mask;
use self::rank::Ranker;
pub use self::studio::StillError;
use self::studio::Studio;
use self::text::Caption;
use self::transform::Turn;
use crate::account::{InHand, Refusal};
use crate::clock::{BootId, BootTime, WallTime};
use crate::contract::{Class, Facts, Trigger};
use crate::firstpass::Observation;
use crate::frame::{Geometry, Stamp};
use crate::health::Beat;

/// How a camera's pictures are made. One per camera, shared by its picks.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Camera name.
    pub camera: String,
    /// JPEG quality of encoded (raw or masked) pictures, 1 to 100.
    pub quality: u8,
    /// Areas that no picture shows, whether it is stored or looked at.
    pub masks: Vec<Mask>,
    /// Device id.
    pub device: String,
    /// Key template, device fields filled in.
    pub key_template: String,
    /// Where the device stands.
    pub place: Arc<crate::place::Place>,
    /// Metadata that every picture carries: site, labels, agent version.
    pub meta: std::collections::BTreeMap<String, String>,
    /// What is done to each picture besides.
    pub look: Look,
}

/// What is done to each picture of a camera. By default nothing: a JPEG of the camera stays as it is.
///
/// In this order: masks, crop, size, turn, text. Masks and zones are therefore always given in the camera's
/// frame, and boxes in the metadata are those of the picture as it is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Look {
    /// Fit into this many pixels, width and height, of the turned picture; never enlarged.
    pub size: Option<(u32, u32)>,
    /// The object is to have no more bytes than these, its Exif included; met by a lower quality, and missed
    /// where even the lowest that is used does not suffice.
    pub max_bytes: Option<u64>,
    /// Turned and mirrored.
    pub turn: Turn,
    /// Text to be burnt in.
    pub text: Option<Caption>,
    /// The Exif block holds a small picture of at most so many pixels, width and height.
    pub thumbnail: Option<(u32, u32)>,
    /// Cut to what moved or was seen.
    pub crop: Option<Crop>,
}

/// A picture is cut to its subject.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Crop {
    /// What is kept around the subject, as a share of its longer side.
    pub margin: f32,
}

/// How a picture that somebody asked for is to be made, where that differs from the camera's profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Fit into this many pixels, width and height; never enlarged. `None`: as in the profile.
    pub size: Option<(u32, u32)>,
    /// JPEG quality, 1 to 100; `None`: as in the profile, and JPEGs of the camera untouched. With
    /// `max_bytes` it is the highest that is tried.
    pub quality: Option<u8>,
}

/// What a detector or a sensor on the device said, which the picture carries.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Said {
    /// What it saw: `person`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Where: `[x, y, width, height]`, each in 0..1 of the frame.
    pub boxes: Vec<[f32; 4]>,
    /// Whatever else it wants to be found in the object's metadata.
    pub meta: std::collections::BTreeMap<String, String>,
}

/// An event as its camera thread knows it when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEnd {
    /// Camera name.
    pub camera: String,
    /// Event id.
    pub event: String,
    /// Its first frame.
    pub began: BootTime,
    /// From its first frame to its last frame with motion.
    pub duration: std::time::Duration,
    /// Why it ended, in a word.
    pub why: String,
    /// Pictures chosen of it.
    pub chosen: u64,
}

/// An event's manifest, to be stored like a picture.
#[derive(Clone, Debug)]
pub struct Sheet {
    /// The camera's profile: device, key template, metadata.
    pub profile: Arc<Profile>,
    /// The event.
    pub event: String,
    /// The boot in which it began: `began` counts from there.
    pub boot: BootId,
    /// When it began: the object's capture time.
    pub began: BootTime,
    /// The object's bytes.
    pub body: Vec<u8>,
}

/// A frame copied out of the camera's buffer, and why.
#[derive(Debug)]
pub struct Candidate {
    /// The frame's bytes.
    pub data: Vec<u8>,
    /// Their shape.
    pub geometry: Geometry,
    /// Capture time.
    pub captured: BootTime,
    /// Who stamped it.
    pub stamp: Stamp,
    /// How to make the picture.
    pub profile: Arc<Profile>,
    /// What the first pass saw in it; absent where it did not look.
    pub seen: Option<Observation>,
    /// Why it was chosen.
    pub trigger: Trigger,
    /// Event and whether this is known to be its last picture.
    pub event: Option<(String, bool)>,
    /// The command that asked for it.
    pub command: Option<String>,
    /// How it is to be made, where somebody asked for it.
    pub order: Order,
    /// What a detector or sensor said.
    pub said: Option<Said>,
    /// Its worth.
    pub class: Class,
    /// What its choice adds to the metadata, by the names of the object contract: `pre-event`, `best-of`.
    pub marks: Vec<(&'static str, String)>,
}

/// Somebody who wants to look: gets the finished JPEG, or why there is none. Must not wait.
pub struct Asker(Box<dyn FnOnce(Result<Vec<u8>, String>) + Send>);

impl Asker {
    /// Answers go to `answer`, which must not wait: it runs on a camera's or the still thread.
    pub fn new(answer: impl FnOnce(Result<Vec<u8>, String>) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }

    /// Gives the answer.
    pub fn answer(self, picture: Result<Vec<u8>, String>) {
        (self.0)(picture);
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

/// What the camera threads hand to the still thread.
#[derive(Debug)]
pub enum Pick {
    /// A chosen picture: to be kept.
    One(Box<Candidate>, InHand),
    /// One chosen picture: the best of these, which the token stands for together. At least one.
    BestOf(Vec<Candidate>, InHand),
    /// A picture to look at, not to keep: the finished JPEG goes back to who asked.
    Show(Box<Candidate>, Asker),
    /// An event is over; comes after all its pictures.
    EventEnded(Box<EventEnd>),
    /// An event's manifest: to be kept.
    Manifest(Box<Sheet>, InHand),
    /// Nothing comes after this: the thread ends although somebody may still hold a sender.
    End,
}

/// A finished picture on its way into the spool.
#[derive(Debug)]
pub struct Shot {
    /// The object's bytes.
    pub bytes: bytes::Bytes,
    /// All that is known of it.
    pub facts: Facts,
    /// Its place in the account.
    pub token: InHand,
}

/// What leaves the still thread, in this order.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time by value, and almost always the large one"
)]
pub enum Made {
    /// A finished picture, or a manifest.
    Shot(Shot),
    /// An event is over; all its pictures came before.
    EventEnded(Box<EventEnd>),
}

/// Tells the trusted wall time of a capture time, if the clock is trusted now.
pub type TrustedWall = Arc<dyn Fn(BootTime) -> Option<WallTime> + Send + Sync>;

/// Where finished pictures go.
pub type Sink = Box<dyn FnMut(Made) + Send>;

/// Makes the picture at once, on the caller's thread, as if it were kept but without Exif: for
/// `vedette snap` where no agent runs. `wall`: when it was taken, where that is trusted.
///
/// # Errors
/// The frame cannot be made into a picture.
pub fn show(candidate: &Candidate, wall: Option<WallTime>) -> Result<Vec<u8>, StillError> {
    Studio::default().show(candidate, wall)
}

/// Starts the still thread. It ends at [`Pick::End`], or when all senders of `rx` are gone and what they
/// sent is done, and returns the next free sequence number. What is sent after the end is refused.
///
/// # Errors
/// The system gives no thread.
pub fn spawn(
    rx: Receiver<Pick>,
    next_seq: u64,
    boot: BootId,
    wall: TrustedWall,
    sink: Sink,
    beat: Beat,
) -> std::io::Result<JoinHandle<u64>> {
    let mut thread = StillThread {
        studio: Studio::default(),
        ranker: Ranker::default(),
        next_seq,
        boot,
        wall,
        sink,
        failures: HashMap::new(),
    };
    std::thread::Builder::new().name("still".into()).spawn(move || {
        // Cameras come first. The unit's system-call filter forbids it; then all run alike.
        if let Err(error) = crate::sys::set_thread_nice(5) {
            debug!(%error, "The still thread keeps its priority.");
        }
        while let Ok(pick) = rx.recv() {
            beat.busy();
            let goes_on = thread.take(pick);
            beat.idle();
            if !goes_on {
                break;
            }
        }
        thread.next_seq
    })
}

struct StillThread {
    studio: Studio,
    ranker: Ranker,
    next_seq: u64,
    boot: BootId,
    wall: TrustedWall,
    sink: Sink,
    /// Cameras whose last picture failed, and how many in a row.
    failures: HashMap<String, u64>,
}

impl StillThread {
    /// Whether there is more to come.
    fn take(&mut self, pick: Pick) -> bool {
        match pick {
            Pick::One(candidate, token) => self.keep(vec![*candidate], token),
            Pick::BestOf(candidates, token) => {
                let candidates = self.ranker.best_first(candidates);
                self.keep(candidates, token);
            }
            Pick::Show(candidate, reply) => {
                let wall = (self.wall)(candidate.captured);
                let picture = self.studio.show(&candidate, wall).map_err(|error| error.to_string());
                reply.answer(picture);
            }
            Pick::EventEnded(end) => (self.sink)(Made::EventEnded(end)),
            Pick::Manifest(sheet, token) => self.file(*sheet, token),
            Pick::End => return false,
        }
        true
    }

    /// A manifest needs no making: it gets its number and goes on.
    fn file(&mut self, sheet: Sheet, token: InHand) {
        // Of another boot this one's clock knows nothing: the boot record decides, as for pictures.
        let wall = if sheet.boot == self.boot { (self.wall)(sheet.began) } else { None };
        let (bytes, facts) = sheet::object(sheet, self.next_seq, wall);
        self.hand_on(bytes, facts, token);
    }

    fn hand_on(&mut self, bytes: bytes::Bytes, facts: Facts, mut token: InHand) {
        self.next_seq += 1;
        token.resize(facts.len);
        (self.sink)(Made::Shot(Shot { bytes, facts, token }));
    }

    /// The first of the candidates that makes a picture.
    fn keep(&mut self, candidates: Vec<Candidate>, token: InHand) {
        let mut broken = None;
        for candidate in candidates {
            let camera = Arc::clone(&candidate.profile);
            let wall = (self.wall)(candidate.captured);
            let made = self.studio.keep(&candidate, self.next_seq, &self.boot, wall);
            // The sink may wait for a slow disk; a raw frame is not to wait with it, uncounted.
            drop(candidate);
            match made {
                Ok(picture) => return self.made(&camera.camera, picture, token),
                Err(error) => broken = broken.or(Some((camera, error))),
            }
        }
        token.refused(Refusal::Broken);
        let Some((profile, error)) = broken else { return };
        let camera = &profile.camera;
        let failures = self.failures.entry(camera.clone()).or_insert(0);
        *failures += 1;
        if *failures == 1 {
            warn!(%error, camera, "No picture from this frame; further ones are counted.");
        }
    }

    fn made(&mut self, camera: &str, (bytes, facts): (bytes::Bytes, Facts), token: InHand) {
        if let Some(failures) = self.failures.remove(camera) {
            info!(camera, failures, "Pictures can be made again.");
        }
        self.hand_on(bytes, facts, token);
    }
}

#[cfg(test)]
mod tests;
