//! From a pick to a shot: masks, encoding or passing through, EXIF, digests, the sequence number.
//!
//! Camera threads send [`Pick`]s; the thread that [`spawn`] starts makes the pictures one after the
//! other and gives each [`Shot`] to a sink (the spool). It never holds a driver's buffer: a pick owns
//! its bytes, and they are freed when its picture is made.
//!
//! Invariants: sequence numbers are given in order, one for each shot and none for a failure; every
//! pick leaves the account's hands either in a shot or refused. Failure: a frame that makes no picture
//! is refused(broken) and told once per run of failures of its camera; the thread goes on.

pub mod encode;
pub mod exif;
pub mod passthrough;
pub mod privacy;
mod studio;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

use tracing::{debug, info, warn};

pub use self::studio::StillError;
use self::studio::Studio;
use crate::account::{InHand, Refusal};
use crate::clock::{BootId, BootTime, WallTime};
use crate::contract::{Class, Facts, Trigger};
use crate::firstpass::{Observation, Polygon};
use crate::frame::{Geometry, Stamp};
use crate::health::Beat;

/// How a camera's pictures are made. One per camera, shared by its picks.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Camera name.
    pub camera: String,
    /// JPEG quality of encoded (raw or masked) pictures, 1 to 100.
    pub quality: u8,
    /// Areas blackened in every picture before it is stored or shown, in 0..1 of the frame.
    pub masks: Vec<Polygon>,
    /// Device id.
    pub device: String,
    /// Key template, device fields filled in.
    pub key_template: String,
    /// Metadata that every picture carries: site, labels, agent version.
    pub meta: std::collections::BTreeMap<String, String>,
}

/// How a picture that somebody asked for is to be made, where that differs from the camera's profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Fit into this many pixels, width and height; never enlarged. `None`: as the camera gives it.
    pub size: Option<(u32, u32)>,
    /// JPEG quality, 1 to 100; `None`: as in the profile, and JPEGs of the camera untouched.
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

/// Makes the picture at once, on the caller's thread, masked as if it were kept and without Exif: for
/// `vedette snap` where no agent runs.
///
/// # Errors
/// The frame cannot be made into a picture.
pub fn show(candidate: &Candidate) -> Result<Vec<u8>, StillError> {
    Studio::default().show(candidate)
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
            Pick::One(candidate, token) => self.keep(*candidate, token),
            Pick::Show(candidate, reply) => {
                let picture = self.studio.show(&candidate).map_err(|error| error.to_string());
                reply.answer(picture);
            }
            Pick::EventEnded(end) => (self.sink)(Made::EventEnded(end)),
            Pick::Manifest(_, token) => token.refused(Refusal::Broken),
            Pick::End => return false,
        }
        true
    }

    fn keep(&mut self, candidate: Candidate, mut token: InHand) {
        let profile = Arc::clone(&candidate.profile);
        let camera = &profile.camera;
        let wall = (self.wall)(candidate.captured);
        let made = self.studio.keep(&candidate, self.next_seq, &self.boot, wall);
        // The sink may wait for a slow disk; a raw frame is not to wait with it, uncounted.
        drop(candidate);
        match made {
            Ok((bytes, facts)) => {
                if let Some(failures) = self.failures.remove(camera) {
                    info!(camera, failures, "Pictures can be made again.");
                }
                self.next_seq += 1;
                token.resize(facts.len);
                (self.sink)(Made::Shot(Shot { bytes, facts, token }));
            }
            Err(error) => {
                token.refused(Refusal::Broken);
                let failures = self.failures.entry(camera.clone()).or_insert(0);
                *failures += 1;
                if *failures == 1 {
                    warn!(%error, camera, "No picture from this frame; further ones are counted.");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use ::exif::Exif;

    use super::*;
    use crate::account::Account;
    use crate::contract::key::DEFAULT_TEMPLATE;
    use crate::firstpass::Quality;
    use crate::frame::{PixelBox, PixelFormat};

    fn candidate(
        camera: &str,
        data: Vec<u8>,
        geometry: Geometry,
        masks: Vec<Polygon>,
    ) -> Candidate {
        Candidate {
            data,
            geometry,
            captured: BootTime(5_000_000_000),
            stamp: Stamp::Driver,
            profile: Arc::new(Profile {
                camera: camera.into(),
                quality: 80,
                masks,
                device: "porch-1".into(),
                key_template: DEFAULT_TEMPLATE.into(),
                meta: BTreeMap::from([("site".into(), "home".into())]),
            }),
            seen: Some(Observation {
                motion: true,
                score: 0.01324,
                boxes: vec![PixelBox { x: 1, y: 2, w: 3, h: 4 }],
                light_change: false,
                quality: Quality { brightness: 90.0, contrast: 9.0, detail: 12.345 },
            }),
            trigger: Trigger::Motion,
            event: Some(("0f3c9a52-1d4c".into(), true)),
            command: None,
            order: Order::default(),
            said: None,
            class: Class::Event,
        }
    }

    fn mjpeg(data: Vec<u8>, masks: Vec<Polygon>) -> Candidate {
        let geometry = Geometry { format: PixelFormat::Mjpeg, width: 160, height: 120, stride: 0 };
        candidate("front", data, geometry, masks)
    }

    /// Runs the thread on these candidates, from number 7 on.
    fn run(account: &Account, candidates: Vec<Candidate>) -> (Vec<Shot>, u64) {
        let (sender, receiver) = sync_channel(candidates.len());
        let (shots, taken) = sync_channel(candidates.len());
        let wall: TrustedWall =
            Arc::new(|at| Some(WallTime(1_795_342_500_000 + at.millis() as i64)));
        let sink: Sink = Box::new(move |made| match made {
            Made::Shot(shot) => shots.send(shot).unwrap(),
            Made::EventEnded(_) => {}
        });
        let beat = Beat::new("still", Duration::from_secs(10));
        let boot = BootId("0f3c9a52-1111-2222-3333-444455556666".into());
        let thread = spawn(receiver, 7, boot, wall, sink, beat).unwrap();
        for candidate in candidates {
            let token = account.choose(100_000).unwrap();
            sender.send(Pick::One(Box::new(candidate), token)).unwrap();
        }
        drop(sender);
        let next = thread.join().unwrap();
        (taken.iter().collect(), next)
    }

    fn exif(object: &[u8]) -> Exif {
        ::exif::Reader::new().read_from_container(&mut std::io::Cursor::new(object)).unwrap()
    }

    fn square() -> Vec<Polygon> {
        vec![Polygon(vec![(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)])]
    }

    fn assert_masked(object: &[u8]) {
        let rgb = turbojpeg::decompress(object, turbojpeg::PixelFormat::RGB).unwrap();
        for y in 30..90 {
            for x in 40..120 {
                let pixel = &rgb.pixels[y * rgb.pitch + x * 3..][..3];
                // The block at the mask's edge rings a little.
                let most = if (48..112).contains(&x) && (40..80).contains(&y) { 2 } else { 40 };
                assert!(pixel.iter().all(|&c| c <= most), "pixel {x} {y} is {pixel:?}");
            }
        }
        assert!(rgb.pixels[..30].iter().any(|&c| c > 100), "the rest is still there");
    }

    #[test]
    fn a_jpeg_becomes_a_shot_with_its_scan_untouched_and_its_facts() {
        let frame = encode::tests::jpeg(160, 120);
        let account = Account::new(1 << 20);
        let (shots, next) = run(&account, vec![mjpeg(frame.clone(), Vec::new())]);
        let shot = &shots[0];
        assert_eq!((next, shot.facts.seq), (8, 7));
        assert!(shot.bytes.ends_with(&frame[20..]), "everything behind APP0 is the camera's");
        assert_eq!(shot.facts.len, shot.bytes.len() as u64);
        assert_eq!(account.sums().bytes, shot.facts.len, "the share shrinks to the object");
        assert_eq!(shot.facts.wall, Some(WallTime(1_795_342_505_000)));
        assert_eq!(
            (shot.facts.event.as_deref(), shot.facts.event_final),
            (Some("0f3c9a52-1d4c"), true)
        );
        let meta: Vec<_> = shot.facts.meta.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!(
            meta,
            ["motion-box=1-2-3-4", "motion-score=0.0132", "sharpness=12.35", "site=home"]
        );
        let comment = exif(&shot.bytes);
        let comment = comment.get_field(::exif::Tag::UserComment, ::exif::In::PRIMARY).unwrap();
        assert!(comment.display_value().to_string().len() > 100);
    }

    #[test]
    fn the_digest_is_that_of_the_object() {
        use sha2::{Digest, Sha256};
        let account = Account::new(1 << 20);
        let (shots, _) = run(&account, vec![mjpeg(encode::tests::jpeg(32, 32), Vec::new())]);
        let digest = Sha256::digest(&shots[0].bytes);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shots[0].facts.sha256, hex);
    }

    #[test]
    fn raw_and_camera_jpegs_are_masked_and_no_camera_segment_survives() {
        let mut frame = encode::tests::jpeg(160, 120);
        frame.splice(20..20, *b"\xFF\xE1\x00\x0Ehttp://thumb\xFF\xEF\x00\x06raw!");
        let raw = encode::tests::picture(160, 120);
        let raw = candidate("raw", raw, encode::tests::yuyv(160, 120, 0), square());
        let account = Account::new(1 << 20);
        let (shots, _) = run(&account, vec![mjpeg(frame, square()), raw]);
        assert_eq!(shots.len(), 2);
        for shot in &shots {
            assert_masked(&shot.bytes);
            let text = String::from_utf8_lossy(&shot.bytes);
            assert!(!text.contains("thumb") && !text.contains("raw!"));
            assert_eq!(text.matches("Exif").count(), 1);
        }
    }

    #[test]
    fn the_end_ends_it_although_a_hung_camera_holds_a_sender_and_what_comes_later_is_refused() {
        let (sender, receiver) = sync_channel(4);
        let account = Account::new(1 << 20);
        let pick = || {
            let token = account.choose(100).unwrap();
            Pick::One(Box::new(mjpeg(encode::tests::jpeg(32, 32), Vec::new())), token)
        };
        sender.send(pick()).unwrap();
        sender.send(Pick::End).unwrap();
        sender.send(pick()).unwrap();
        let beat = Beat::new("still", Duration::from_secs(10));
        let sink: Sink = Box::new(|made| match made {
            Made::Shot(shot) => shot.token.kept(),
            Made::EventEnded(_) => {}
        });
        let boot = BootId("0f3c9a52".into());
        let thread = spawn(receiver, 1, boot, Arc::new(|_| None), sink, beat).unwrap();
        assert_eq!(thread.join().unwrap(), 2);
        drop(sender.send(pick()));
        let sums = account.sums();
        assert_eq!((sums.kept, sums.refused[Refusal::Stopping as usize], sums.in_hand), (1, 2, 0));
        assert!(sums.holds());
    }

    #[test]
    fn a_broken_frame_is_refused_and_the_next_one_takes_its_number() {
        let whole = encode::tests::jpeg(64, 48);
        let mut cut = whole.clone();
        cut.truncate(300);
        let raw = candidate("raw", vec![0; 10], encode::tests::yuyv(64, 48, 0), Vec::new());
        let account = Account::new(1 << 20);
        let picks = vec![
            mjpeg(cut.clone(), Vec::new()),
            mjpeg(whole.clone(), Vec::new()),
            mjpeg(cut, square()),
            raw,
            mjpeg(whole, square()),
        ];
        let (shots, next) = run(&account, picks);
        assert_eq!(shots.iter().map(|shot| shot.facts.seq).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(next, 9);
        let sums = account.sums();
        assert_eq!(sums.refused[Refusal::Broken as usize], 3);
        assert!(sums.holds() && sums.in_hand == 2);
    }

    #[test]
    fn a_picture_to_look_at_is_masked_tells_no_facts_and_takes_no_number() {
        let (sender, receiver) = sync_channel(3);
        let beat = Beat::new("still", Duration::from_secs(10));
        let boot = BootId("0f3c9a52".into());
        let sink: Sink = Box::new(|shot| panic!("nothing is to be kept: {shot:?}"));
        let thread = spawn(receiver, 7, boot, Arc::new(|_| None), sink, beat).unwrap();
        let ask = |frame: Vec<u8>| {
            let (reply, answer) = sync_channel(1);
            let asker = Asker::new(move |picture| reply.send(picture).unwrap());
            sender.send(Pick::Show(Box::new(mjpeg(frame, square())), asker)).unwrap();
            answer.recv().unwrap()
        };
        let shown = ask(encode::tests::jpeg(160, 120)).unwrap();
        assert_masked(&shown);
        assert!(!String::from_utf8_lossy(&shown).contains("Exif"));
        assert!(ask(b"no jpeg".to_vec()).unwrap_err().contains("decode"));
        drop(sender);
        assert_eq!(thread.join().unwrap(), 7);
    }
}
