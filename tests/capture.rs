//! The camera thread against a scripted camera: everything that a driver may do, in the order the test
//! wants it. Nothing sleeps: the camera says when its script is over and then waits to be let go.

#![cfg(test)]

#[path = "capture/best.rs"]
mod best;
#[path = "capture/events.rs"]
mod events;
#[path = "capture/ring.rs"]
mod ring;
#[path = "capture/wanted.rs"]
mod wanted;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vedette::account::{Account, Refusal, Sums};
use vedette::backoff::Backoff;
use vedette::camera::v4l2::hotplug::Watch;
use vedette::camera::v4l2::name::Named;
use vedette::camera::{Camera, CameraError, OpenError, Pace, SceneSettings, Source, Tally};
use vedette::capture::{self, Ask, ClockSettings, Running, Settings, State, Wiring};
use vedette::clock::{BootId, BootTime, SystemClock, Timekeeper, TrustPolicy};
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::firstpass::MotionSettings;
use vedette::firstpass::similarity::Likeness;
use vedette::firstpass::trigger::EventSettings;
use vedette::frame::{Frame, Geometry, PixelFormat, Stamp};
use vedette::health::Beat;
use vedette::still::{Asker, Look, Pick, Profile};

/// Longer than anything here takes; only a failing test waits for it.
const PLENTY: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000_000;
const SIZE: (u32, u32) = (32, 16);
/// Where something bright may be.
const PLACES: usize = 8;
const FRAME: u64 = 32 * 16 * 2;
const REMARK: &str = "`gain` does not take 300; it takes 0 to 255";

/// What the camera does at one call.
#[derive(Clone)]
enum Act {
    /// A frame with this number, a second after the one before.
    Frame(u64),
    /// The same, with something bright that goes to the right from number to number.
    Bright(u64),
    /// No frame; the next one's capture time is so many seconds.
    Clock(u64),
    /// Says that it is here, waits to be let go on, and has no frame.
    Wait,
    Timeout(Duration),
    Skip,
    /// No frame, but so many were not lent: passed over, and unusable.
    NotLent(u64, u64),
    Lost(&'static str),
    Ended,
    Panic,
}

/// What one opening gives.
type Opening = Result<Vec<Act>, &'static str>;

struct Scripted {
    geometry: Geometry,
    acts: VecDeque<Act>,
    data: Vec<u8>,
    bright: Vec<Vec<u8>>,
    at: Arc<AtomicU64>,
    over: SyncSender<()>,
    gate: Arc<Mutex<Receiver<()>>>,
    waited: bool,
    tally: Tally,
    remarks: Vec<String>,
}

impl Scripted {
    fn frame<'a>(&self, sequence: u64, data: &'a [u8]) -> Frame<'a> {
        let captured = BootTime(self.at.fetch_add(SECOND, Ordering::SeqCst));
        Frame { geometry: self.geometry, data, sequence, captured, stamp: Stamp::Driver }
    }
}

impl Camera for Scripted {
    fn geometry(&self) -> Geometry {
        self.geometry
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn next_frame(&mut self, timeout: Duration) -> Result<Frame<'_>, CameraError> {
        let Some(act) = self.acts.pop_front() else {
            if !std::mem::replace(&mut self.waited, true) {
                self.over.send(()).ok();
                self.gate.lock().unwrap().recv().ok();
            }
            return Err(CameraError::Timeout(timeout));
        };
        match act {
            Act::Frame(sequence) => Ok(self.frame(sequence, &self.data)),
            Act::Bright(sequence) => {
                let place = sequence as usize % self.bright.len();
                Ok(self.frame(sequence, &self.bright[place]))
            }
            Act::Clock(seconds) => {
                self.at.store(seconds * SECOND, Ordering::SeqCst);
                Err(CameraError::Timeout(Duration::ZERO))
            }
            Act::Wait => {
                self.over.send(()).ok();
                self.gate.lock().unwrap().recv().ok();
                Err(CameraError::Timeout(Duration::ZERO))
            }
            Act::Timeout(waited) => Err(CameraError::Timeout(waited)),
            Act::Skip => Err(CameraError::Skip("flagged by the driver")),
            Act::NotLent(passed_over, unusable) => {
                self.tally.passed_over += passed_over;
                self.tally.unusable += unusable;
                Err(CameraError::Timeout(Duration::ZERO))
            }
            Act::Lost(why) => Err(CameraError::Lost(why.into())),
            Act::Ended => Err(CameraError::Ended),
            Act::Panic => panic!("the script says so"),
        }
    }

    fn tally(&self) -> Tally {
        self.tally
    }
}

/// A camera thread on a script, and everything it talks to.
struct Rig {
    running: Running,
    account: Account,
    picks: Receiver<Pick>,
    asks: SyncSender<Ask>,
    beat: Beat,
    ended: Receiver<()>,
    over: Receiver<()>,
    gate: SyncSender<()>,
}

/// How a rig differs from the ordinary one: every frame is kept, nothing waits between openings.
struct Plan {
    limit: u64,
    picks: usize,
    motion: Option<EventSettings>,
    interval: Option<Duration>,
    drop_similar: Option<Likeness>,
    size: (u32, u32),
    format: PixelFormat,
    /// JPEGs of the frames, where the camera is to give such.
    jpeg: bool,
    reopen: Backoff,
    watch: Option<Watch>,
}

impl Default for Plan {
    fn default() -> Self {
        let reopen = Backoff { base: Duration::ZERO, cap: Duration::ZERO };
        Self {
            limit: 1 << 20,
            picks: 256,
            motion: None,
            interval: Some(Duration::from_nanos(1)),
            drop_similar: None,
            size: SIZE,
            format: PixelFormat::Yuyv,
            jpeg: false,
            reopen,
            watch: None,
        }
    }
}

fn settings(plan: &Plan) -> Settings {
    let source = Source::Scene(SceneSettings {
        seed: 1,
        size: plan.size,
        fps: 1.0,
        format: plan.format,
        pace: Pace::Fast,
        frames: None,
    });
    let profile = Profile {
        camera: "front".into(),
        quality: 80,
        masks: Vec::new(),
        device: "porch-1".into(),
        key_template: DEFAULT_TEMPLATE.into(),
        place: Arc::default(),
        meta: [].into(),
        look: Look::default(),
    };
    Settings {
        source,
        frame_timeout: Duration::from_secs(10),
        analyse_fps: None,
        motion: plan.motion.clone().map(|event| (MotionSettings::default(), event)),
        interval: plan.interval,
        clock: ClockSettings::default(),
        drop_similar: plan.drop_similar,
        profile: Arc::new(profile),
    }
}

impl Rig {
    fn new(plan: Plan, script: impl IntoIterator<Item = Opening>) -> Self {
        let account = Account::new(plan.limit);
        let (picks_in, picks) = sync_channel(plan.picks);
        let (asks, asks_out) = sync_channel(8);
        let (ended_in, ended) = sync_channel(1);
        let (over_in, over) = sync_channel(64);
        let (gate, gate_out) = sync_channel(64);
        let gate_out = Arc::new(Mutex::new(gate_out));
        let (width, height) = plan.size;
        let stride = if plan.format == PixelFormat::Yuyv { width * 2 } else { 0 };
        let geometry = Geometry { format: plan.format, width, height, stride };
        let at = Arc::new(AtomicU64::new(SECOND));
        let mut script: VecDeque<_> = script.into_iter().collect();
        let beat = Beat::new("front", Duration::from_secs(20));
        let settings = settings(&plan);
        let data = [100, 128].repeat((width * height) as usize);
        let made = |frame: Vec<u8>| if plan.jpeg { jpeg(&frame, plan.size) } else { frame };
        let places = 0..PLACES;
        let bright = places.map(|n| made(bright(width as usize, height as usize, n)));
        let (data, bright) = (made(data), bright.collect::<Vec<_>>());
        let wiring = Wiring {
            boot: BootId("0f3c9a52-1111-2222-3333-444455556666".into()),
            clock: Timekeeper::new(Arc::new(SystemClock::new()), TrustPolicy::Always),
            account: account.clone(),
            picks: picks_in,
            asks: asks_out,
            beat: beat.clone(),
            open: Box::new(move |_| match script.pop_front() {
                Some(Err(why)) => Err(OpenError::NotFound(why.into())),
                acts => Ok(Box::new(Scripted {
                    geometry,
                    acts: acts.map_or_else(Vec::new, |acts| acts.unwrap()).into(),
                    data: data.clone(),
                    bright: bright.clone(),
                    at: at.clone(),
                    over: over_in.clone(),
                    gate: gate_out.clone(),
                    waited: false,
                    tally: Tally::default(),
                    remarks: vec![REMARK.into()],
                })),
            }),
            reopen: plan.reopen,
            watch: plan.watch,
            ended: Box::new(move || ended_in.send(()).unwrap()),
        };
        let running = capture::spawn(settings, wiring).unwrap();
        Self { running, account, picks, asks, beat, ended, over, gate }
    }

    /// Waits until a script is over; the camera then waits for [`Self::stop`].
    fn over(&self) {
        self.over.recv_timeout(PLENTY).unwrap();
    }

    fn state(&self) -> State {
        self.running.counters.state()
    }

    /// Stops the thread and gives the account and what was picked.
    fn stop(self) -> (Sums, Vec<Pick>) {
        self.running.stop();
        drop(self.gate);
        self.ended.recv_timeout(PLENTY).unwrap();
        assert_eq!(self.running.counters.state(), State::Stopped);
        let picks = self.picks.iter().collect();
        (self.account.sums(), picks)
    }
}

/// A grey frame with a bright square in one of some places from left to right.
fn bright(width: usize, height: usize, place: usize) -> Vec<u8> {
    let mut data = [100, 128].repeat(width * height);
    let side = height / 3;
    for y in side..2 * side {
        let start = (y * width + place * (width - side) / PLACES + 1) * 2;
        data[start..start + side * 2].fill(220);
    }
    data
}

/// The luma of a YUYV frame as a JPEG.
fn jpeg(frame: &[u8], (width, height): (u32, u32)) -> Vec<u8> {
    let pixels: Vec<u8> = frame.iter().copied().step_by(2).collect();
    let (width, height) = (width as usize, height as usize);
    let format = turbojpeg::PixelFormat::GRAY;
    let image = turbojpeg::Image { pixels: &pixels[..], width, pitch: width, height, format };
    turbojpeg::compress(image, 90, turbojpeg::Subsamp::Gray).unwrap().to_vec()
}

/// The counters frames, skipped, gaps, chosen, reopened.
fn counted(rig: &Rig) -> [u64; 5] {
    let c = &rig.running.counters;
    [&c.frames, &c.skipped, &c.gaps, &c.chosen, &c.reopened].map(|n| n.load(Ordering::Relaxed))
}

fn frames(numbers: std::ops::Range<u64>) -> Vec<Act> {
    numbers.map(Act::Frame).collect()
}

const STREAMING: &str = "yuyv 32x16";

#[test]
fn every_frame_that_is_due_becomes_a_pick_with_its_token() {
    let rig = Rig::new(Plan::default(), [Ok(frames(0..5))]);
    rig.over();
    assert_eq!(rig.state(), State::Streaming(STREAMING.into()));
    assert_eq!(counted(&rig), [5, 0, 0, 5, 0]);
    assert_eq!((rig.account.sums().in_hand, rig.account.sums().bytes), (5, 5 * FRAME));
    let (sums, picks) = rig.stop();
    assert!(sums.holds());
    assert_eq!(picks.len(), 5);
}

#[test]
fn frames_that_the_camera_dropped_are_counted_by_their_numbers() {
    let script = [0, 1, 5, 5, 3, 10].map(Act::Frame).to_vec();
    let rig = Rig::new(Plan::default(), [Ok(script)]);
    rig.over();
    assert_eq!(counted(&rig), [6, 0, 9, 6, 0], "three, then none for going back, then six");
    rig.stop();
}

#[test]
fn frames_that_the_camera_did_not_lend_are_counted_apart_from_those_it_dropped() {
    let first = vec![Act::Frame(0), Act::NotLent(3, 1), Act::Frame(1), Act::NotLent(2, 0)];
    let first = [first, vec![Act::Lost("unplugged")]].concat();
    let rig = Rig::new(Plan::default(), [Ok(first), Ok(vec![Act::NotLent(1, 1), Act::Frame(9)])]);
    rig.over();
    assert_eq!(counted(&rig), [3, 2, 0, 3, 1]);
    assert_eq!(rig.running.counters.passed_over.load(Ordering::Relaxed), 6, "over both openings");
    rig.stop();
}

#[test]
fn a_silent_camera_is_reopened_after_its_frame_timeout_and_not_before() {
    let silence = |s: &[u64]| s.iter().map(|s| Act::Timeout(Duration::from_secs(*s))).collect();
    let first: Vec<Act> = [frames(0..1), silence(&[6, 3]), frames(1..2), silence(&[6, 4])].concat();
    let rig = Rig::new(Plan::default(), [Ok(first), Ok(frames(7..9))]);
    rig.over();
    assert_eq!(counted(&rig), [4, 0, 0, 4, 1], "numbers begin anew with an opening");
    rig.stop();
}

#[test]
fn a_time_out_without_end_does_not_overflow() {
    let script = vec![Act::Timeout(Duration::from_secs(9)), Act::Timeout(Duration::MAX)];
    let rig = Rig::new(Plan::default(), [Ok(script), Ok(frames(0..1))]);
    rig.over();
    assert_eq!(counted(&rig), [1, 0, 0, 1, 1]);
    rig.stop();
}

#[test]
fn a_hundred_unusable_frames_in_a_row_reopen_the_camera() {
    let skips = |n| vec![Act::Skip; n];
    let first = [skips(99), frames(0..1), skips(99), frames(1..2), skips(100)].concat();
    let rig = Rig::new(Plan::default(), [Ok(first), Ok(frames(0..1))]);
    rig.over();
    assert_eq!(counted(&rig), [3, 298, 0, 3, 1]);
    rig.stop();
}

#[test]
fn a_camera_of_which_no_frame_can_be_read_is_reopened_too() {
    // Not one of them is a JPEG; the camera itself calls them good.
    let plan = Plan {
        motion: Some(EventSettings::default()),
        format: PixelFormat::Mjpeg,
        ..Plan::default()
    };
    let rig = Rig::new(plan, [Ok(frames(0..100)), Ok(Vec::new())]);
    rig.over();
    let State::Lost(why) = rig.state() else { panic!("{:?}", rig.state()) };
    assert!(why.starts_with("100 unusable frames in a row"), "{why}");
    assert_eq!(counted(&rig), [100, 100, 0, 0, 1]);
    rig.stop();
}

#[test]
fn a_lost_camera_says_why_refuses_to_be_looked_through_and_comes_back() {
    let script = [
        Ok([frames(0..2), vec![Act::Lost("unplugged")]].concat()),
        Err("no such device"),
        Err("no such device"),
        Ok(vec![]),
        Ok(frames(0..1)),
    ];
    let rig = Rig::new(Plan::default(), script);
    rig.over();
    assert_eq!(rig.state(), State::Lost("no such device".into()), "open, but no frame came yet");
    assert_eq!(counted(&rig), [2, 0, 0, 2, 1], "an opening that failed is none");
    let (reply, answer) = sync_channel(1);
    rig.asks.send(Ask::Look(Asker::new(move |picture| reply.send(picture).unwrap()))).unwrap();
    rig.gate.send(()).unwrap(); // its time-outs go on until it is lost again
    rig.over();
    assert_eq!(rig.state(), State::Streaming(STREAMING.into()));
    assert_eq!(answer.recv_timeout(PLENTY).unwrap().unwrap_err(), "the camera is not streaming");
    let (sums, picks) = rig.stop();
    assert!(sums.holds() && sums.in_hand == 3, "the picks still hold their tokens");
    assert_eq!(picks.len(), 3);
}

#[test]
fn a_source_that_ends_ends_its_thread_and_refuses_who_waits() {
    let rig = Rig::new(Plan::default(), [Ok(vec![Act::Ended])]);
    rig.ended.recv_timeout(PLENTY).unwrap();
    assert_eq!(rig.state(), State::Ended);
    assert_eq!(rig.beat.overdue(), None);
    let (reply, answer) = sync_channel::<Result<Vec<u8>, String>>(1);
    rig.asks.try_send(Ask::Look(Asker::new(move |picture| reply.send(picture).unwrap()))).ok();
    assert!(answer.recv_timeout(PLENTY).is_err(), "nobody is there to answer, and nobody waits");
}

#[test]
fn whoever_asks_is_shown_the_next_frame_which_is_in_no_account() {
    let plan = Plan { limit: 0, ..Plan::default() };
    let rig = Rig::new(plan, [Ok([vec![Act::Wait], frames(0..2)].concat())]);
    rig.over();
    rig.asks.send(Ask::Look(Asker::new(|_| {}))).unwrap();
    rig.asks.send(Ask::Look(Asker::new(|_| {}))).unwrap();
    rig.gate.send(()).unwrap();
    rig.over();
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, sums.refused_total(), sums.in_hand), (2, 2, 0), "no byte to keep");
    let shown: Vec<_> = picks.iter().map(|pick| matches!(pick, Pick::Show(..))).collect();
    assert_eq!(shown, [true, true], "each asker once");
}

#[test]
fn a_used_up_byte_budget_refuses_pictures_and_capture_goes_on() {
    let plan = Plan { limit: 2 * FRAME, ..Plan::default() };
    let rig = Rig::new(plan, [Ok(frames(0..50))]);
    rig.over();
    assert_eq!(counted(&rig), [50, 0, 0, 50, 0]);
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, sums.in_hand, sums.refused[Refusal::Busy as usize]), (50, 2, 48));
    assert_eq!(picks.len(), 2);
    assert!(sums.holds());
}

#[test]
fn a_full_way_to_the_still_thread_refuses_pictures_and_capture_goes_on() {
    let rig = Rig::new(Plan { picks: 3, ..Plan::default() }, [Ok(frames(0..50))]);
    rig.over();
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, sums.in_hand, sums.refused[Refusal::Busy as usize]), (50, 3, 47));
    drop(picks);
}

#[test]
fn a_still_thread_that_is_gone_refuses_pictures_and_the_sum_holds() {
    let Rig { running, account, picks, over, gate, ended, .. } =
        Rig::new(Plan::default(), [Ok(frames(0..2)), Ok(vec![])]);
    over.recv_timeout(PLENTY).unwrap();
    drop(picks);
    let sums = account.sums();
    assert_eq!((sums.in_hand, sums.refused_total()), (0, 2), "dropped on the way, not forgotten");
    assert!(sums.holds());
    running.stop();
    drop(gate);
    ended.recv_timeout(PLENTY).unwrap();
}

#[test]
fn a_stop_is_heard_while_a_lost_camera_waits_to_be_opened_again() {
    let hours = Duration::from_secs(1 << 20);
    let plan = Plan { reopen: Backoff { base: hours, cap: hours }, ..Plan::default() };
    let (ready, opened) = sync_channel(1);
    let rig = Rig::new(plan, [Ok(vec![Act::Lost("unplugged")])]);
    let reply = move |picture: Result<Vec<u8>, String>| ready.send(picture).unwrap();
    // Answered by the loss or, when that is over already, by the stop: both come before the end.
    rig.asks.send(Ask::Look(Asker::new(reply))).ok();
    rig.running.stop();
    rig.ended.recv_timeout(PLENTY).unwrap();
    assert!(opened.recv_timeout(PLENTY).unwrap().is_err());
    assert_eq!(rig.state(), State::Stopped);
}

#[test]
fn a_lost_camera_that_is_plugged_in_is_opened_at_once_and_again_until_it_may_be() {
    let dev = tempfile::TempDir::new().unwrap();
    let node = dev.path().join("video0");
    let hours = Duration::from_secs(1 << 20);
    let plan = Plan {
        reopen: Backoff { base: hours, cap: hours },
        watch: Watch::new(&Named::Path(node.clone()), dev.path()),
        ..Plan::default()
    };
    let lost = vec![Act::Wait, Act::Lost("unplugged")];
    // udev gives the node its group some time after it is there.
    let script = [Ok(lost), Err("no permission"), Err("no permission"), Ok(frames(0..1))];
    let rig = Rig::new(plan, script);
    rig.over();
    rig.gate.send(()).unwrap();
    std::fs::write(&node, "").unwrap();
    rig.over();
    assert_eq!(rig.state(), State::Streaming(STREAMING.into()));
    assert_eq!(counted(&rig), [1, 0, 0, 1, 1]);
    rig.stop();
}

#[test]
fn one_camera_that_hangs_for_ever_costs_the_other_nothing() {
    let hung = Rig::new(Plan::default(), [Ok(frames(0..1))]);
    hung.over(); // its driver does not answer from here on
    let other = Rig::new(Plan::default(), [Ok(frames(0..50)), Ok(vec![])]);
    other.over();
    assert_eq!(counted(&other), [50, 0, 0, 50, 0]);
    let (sums, picks) = other.stop();
    assert!(sums.holds() && picks.len() == 50);
    assert_eq!(hung.state(), State::Streaming(STREAMING.into()), "and still hangs");
    hung.stop();
}

#[test]
fn what_a_camera_could_not_do_is_told_while_it_streams_and_not_after() {
    let script = [Ok(vec![Act::Wait, Act::Lost("unplugged")]), Err("gone"), Ok(vec![])];
    let hours = Duration::from_secs(1 << 20);
    let plan = Plan { reopen: Backoff { base: hours, cap: hours }, ..Plan::default() };
    let rig = Rig::new(plan, script);
    rig.over();
    assert_eq!(rig.running.counters.remarks(), [REMARK]);
    rig.gate.send(()).unwrap();
    let begun = std::time::Instant::now();
    while !rig.running.counters.remarks().is_empty() {
        assert!(begun.elapsed() < PLENTY, "still told: {:?}", rig.running.counters.remarks());
        std::thread::yield_now();
    }
    rig.stop();
}

#[test]
fn a_hung_driver_is_overdue_and_its_thread_hears_no_stop() {
    let rig = Rig::new(Plan::default(), [Ok(frames(0..1))]);
    rig.over();
    rig.running.stop();
    assert!(!rig.running.is_finished(), "it hangs in its driver");
    assert_eq!(rig.beat.overdue(), None, "within its deadline");
    rig.stop();
}

#[test]
fn a_thread_that_panics_is_finished_in_a_state_that_says_it_did_not_end_well() {
    let rig = Rig::new(Plan::default(), [Ok(vec![Act::Frame(0), Act::Panic])]);
    assert!(rig.ended.recv_timeout(PLENTY).is_err(), "nobody says that it ended");
    while !rig.running.is_finished() {
        std::thread::yield_now();
    }
    assert_eq!(rig.state(), State::Streaming(STREAMING.into()));
}

#[test]
fn the_size_of_the_frames_as_opened_is_told() {
    let rig = Rig::new(Plan::default(), [Ok(vec![])]);
    rig.over();
    assert_eq!(rig.running.counters.frame_bytes.load(Ordering::Relaxed), FRAME);
    rig.stop();
}

#[test]
fn pictures_that_show_nothing_new_are_counted_apart_and_never_chosen() {
    let plan = Plan { drop_similar: Some(Likeness::Same), size: (160, 120), ..Plan::default() };
    let rig = Rig::new(Plan { limit: 1 << 20, ..plan }, [Ok(frames(0..5))]);
    rig.over();
    assert_eq!(rig.running.counters.similar.load(Ordering::Relaxed), 4);
    assert_eq!(counted(&rig), [5, 0, 0, 1, 0]);
    let (sums, picks) = rig.stop();
    assert_eq!((sums.chosen, picks.len()), (1, 1));
}
