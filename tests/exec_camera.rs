//! A program as a camera, with real programs: shells that misbehave, and ffmpeg on real footage.
//!
//! What a program did first is waited for through named pipes, never slept for. Every test ends with
//! nothing left of the program's process group.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]

#[path = "support/footage.rs"]
mod footage;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use vedette::account::Account;
use vedette::backoff::Backoff;
use vedette::camera::exec::{ExecCamera, ExecSettings, open};
use vedette::camera::{Camera, CameraError, Source};
use vedette::capture::{self, ClockSettings, Running, Settings, State, Wiring};
use vedette::clock::{BootId, Clock, SystemClock, Timekeeper, TrustPolicy};
use vedette::contract::key::DEFAULT_TEMPLATE;
use vedette::frame::{Geometry, PixelFormat, Stamp};
use vedette::health::Beat;
use vedette::still::{Look, Pick, Profile};

/// Longer than anything here takes; only a failing test waits for it.
const PLENTY: Duration = Duration::from_secs(60);

// ---- the programs

/// A program's directory: what it writes, what it says of itself, and pipes to meet it at.
struct Stage {
    dir: tempfile::TempDir,
}

/// The first lines of every script: its own number, which is that of its group, comes first.
const BEGIN: &str = "echo $$ >> pids; meet() { echo here > \"$1\"; };";

impl Stage {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).unwrap();
    }

    fn pipe(&self, name: &str) {
        assert!(Command::new("mkfifo").arg(self.path(name)).status().unwrap().success());
    }

    /// Waits until the script says `meet NAME`.
    fn meet(&self, name: &str) {
        // A writer that is still about to close is met twice, the second time with nothing to say.
        while fs::read(self.path(name)).unwrap().is_empty() {}
    }

    fn shell(&self, script: &str) -> ExecSettings {
        let here = format!("cd {} && {BEGIN} {script}", self.dir.path().display());
        command(&["/bin/sh", "-c", &here])
    }

    fn open(&self, script: &str) -> ExecCamera {
        open(&self.shell(script), Arc::new(SystemClock::new())).unwrap()
    }

    /// The scripts' groups, in the order of their starts.
    fn groups(&self) -> Vec<i32> {
        let pids = fs::read_to_string(self.path("pids")).unwrap();
        pids.lines().map(|pid| pid.parse().unwrap()).collect()
    }

    /// Nothing is left: the leaders were reaped, and nobody lives in their groups.
    fn is_empty(&self) {
        for group in self.groups() {
            assert!(!Path::new(&format!("/proc/{group}")).exists(), "{group} was not reaped");
            let deadline = Instant::now() + PLENTY;
            // What was killed needs a moment to be gone, and its new parent another to reap it.
            while members(group) > 0 {
                assert!(Instant::now() < deadline, "group {group} lives on");
                std::thread::yield_now();
            }
        }
    }
}

/// Living processes of a group.
fn members(group: i32) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let stats = processes.filter_map(|p| fs::read_to_string(p.path().join("stat")).ok());
    let lives = |stat: &String| {
        let mut fields = stat.rsplit_once(") ").map_or("", |(_, f)| f).split(' ');
        let (state, _parent, pgrp) = (fields.next(), fields.next(), fields.next());
        pgrp == Some(&group.to_string()) && !matches!(state, Some("Z" | "X"))
    };
    stats.filter(lives).count()
}

fn command(words: &[&str]) -> ExecSettings {
    ExecSettings {
        command: words.iter().map(|word| (*word).to_owned()).collect(),
        format: PixelFormat::Mjpeg,
        size: None,
        fps: None,
        start_timeout: PLENTY,
    }
}

fn yuyv(settings: ExecSettings, size: (u32, u32)) -> ExecSettings {
    ExecSettings { format: PixelFormat::Yuyv, size: Some(size), ..settings }
}

/// A JPEG in form, of a size, told from others by its number.
fn jpeg(width: u16, height: u16, number: u8) -> Vec<u8> {
    let ([w1, w0], [h1, h0]) = (width.to_be_bytes(), height.to_be_bytes());
    let mut jpeg = vec![0xFF, 0xD8, 0xFF, 0xFE, 0, 3, number & 0x7F];
    jpeg.extend([0xFF, 0xC0, 0, 11, 8, h1, h0, w1, w0, 1, 1, 0x11, 0]);
    jpeg.extend([0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0]);
    jpeg.extend([0x55; 1000]);
    jpeg.extend([0xFF, 0x00, 0xFF, 0xD9]);
    jpeg
}

fn small(number: u8) -> Vec<u8> {
    jpeg(64, 48, number)
}

/// The next frame's bytes and number.
fn next(camera: &mut ExecCamera) -> Result<(Vec<u8>, u64), CameraError> {
    let deadline = Instant::now() + PLENTY;
    loop {
        match camera.next_frame(Duration::from_millis(250)) {
            Ok(frame) => return Ok((frame.data.to_vec(), frame.sequence)),
            Err(CameraError::Timeout(_)) if Instant::now() < deadline => {}
            Err(error) => return Err(error),
        }
    }
}

/// What a camera says at its end, after all its frames.
fn last_words(camera: &mut ExecCamera) -> String {
    loop {
        match next(camera) {
            Ok(_) => {}
            Err(CameraError::Lost(why)) => return why,
            Err(other) => panic!("{other}"),
        }
    }
}

// ---- frames

#[test]
fn frames_of_ffmpeg_come_with_their_size_and_arrival() {
    let clip = footage::vtest();
    let clip = clip.to_str().unwrap();
    let settings = command(&[
        "ffmpeg",
        "-nostdin",
        "-loglevel",
        "error",
        "-re",
        "-i",
        clip,
        "-an",
        "-f",
        "mjpeg",
        "-q:v",
        "5",
        "-",
    ]);
    let clock = SystemClock::new();
    let mut before = (None, clock.boottime());
    let mut camera = open(&settings, Arc::new(SystemClock::new())).unwrap();
    while !camera.ready(Duration::from_millis(250)).unwrap() {}
    let geometry = camera.geometry();
    assert_eq!((geometry.width, geometry.height), (768, 576));
    for _ in 0..20 {
        let frame = camera.next_frame(PLENTY).unwrap();
        assert!(frame.data.starts_with(&[0xFF, 0xD8]) && frame.data.ends_with(&[0xFF, 0xD9]));
        assert_eq!((frame.stamp, frame.geometry), (Stamp::Arrival, geometry));
        assert!(before.0 < Some(frame.sequence) && before.1 <= frame.captured);
        assert!(frame.captured <= clock.boottime());
        before = (Some(frame.sequence), frame.captured);
    }
    assert!(before.0 < Some(footage::VTEST_FRAMES as u64));
}

#[test]
fn raw_frames_come_in_the_size_that_was_set() {
    let stage = Stage::new();
    stage.write("frames", &[[1u8; 32 * 16 * 2], [2; 1024], [3; 1024]].concat());
    let settings = yuyv(stage.shell("cat frames frames; exit 4"), (32, 16));
    let mut camera = open(&settings, Arc::new(SystemClock::new())).unwrap();
    let mut last = None;
    let why = loop {
        match next(&mut camera) {
            Ok(frame) => last = Some(frame),
            Err(error) => break error.to_string(),
        }
    };
    assert_eq!(last, Some((vec![3; 1024], 5)));
    assert_eq!(why, "sh ended with status 4");
    assert_eq!(camera.geometry().stride, 64);
    drop(camera);
    stage.is_empty();
}

#[test]
fn every_raw_format_is_as_long_as_its_frames_and_two_make_two() {
    for format in PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw()) {
        let stage = Stage::new();
        let geometry = Geometry { format, width: 32, height: 16, stride: 0 };
        let len = geometry.frame_bytes() as usize;
        stage.write("frames", &[vec![1; len], vec![2; len]].concat());
        let raw = yuyv(stage.shell("cat frames; exit 4"), (32, 16));
        let mut camera =
            open(&ExecSettings { format, ..raw }, Arc::new(SystemClock::new())).unwrap();
        let mut last = None;
        while let Ok(frame) = next(&mut camera) {
            last = Some(frame);
        }
        assert_eq!(last, Some((vec![2; len], 1)), "{}", format.name());
        let shape = camera.geometry();
        assert_eq!((shape.format, u64::from(shape.stride)), (format, format.row_bytes(32)));
        drop(camera);
        stage.is_empty();
    }
}

#[test]
fn a_size_that_no_frame_of_the_format_has_is_told_at_once() {
    for (format, size) in [(PixelFormat::Nv12, (33, 16)), (PixelFormat::Y16, (0, 16))] {
        let settings = ExecSettings { format, ..yuyv(command(&["true"]), size) };
        let error = open(&settings, Arc::new(SystemClock::new())).err().unwrap().to_string();
        assert!(error.contains(&format!("{}x{} is no size of", size.0, size.1)), "{error}");
    }
}

#[test]
fn the_latest_frame_wins_and_the_others_are_gaps() {
    let stage = Stage::new();
    stage.pipe("go");
    stage.pipe("written");
    let frames: Vec<u8> = (0..100).flat_map(small).collect();
    stage.write("first", &small(100));
    stage.write("frames", &frames);
    // 100 KB stay in the pipe until they are asked for.
    let mut camera =
        stage.open("cat first; read x < go; cat frames; meet written; exec sleep 1000");
    assert_eq!(next(&mut camera).unwrap(), (small(100), 0));
    fs::write(stage.path("go"), "\n").unwrap();
    stage.meet("written");
    assert_eq!(next(&mut camera).unwrap(), (small(99), 100));
    assert!(matches!(camera.next_frame(Duration::ZERO), Err(CameraError::Timeout(_))));
    drop(camera);
    stage.is_empty();
}

#[test]
fn a_program_that_writes_without_end_is_not_read_without_end() {
    let stage = Stage::new();
    stage.write("frames", &(0..100).flat_map(small).collect::<Vec<_>>());
    let mut camera = stage.open("while :; do cat frames; done");
    let mut before = None;
    for _ in 0..200 {
        let (_, sequence) = next(&mut camera).unwrap();
        assert!(before < Some(sequence));
        before = Some(sequence);
    }
    drop(camera);
    stage.is_empty();
}

#[test]
fn garbage_around_frames_costs_none_of_them() {
    let stage = Stage::new();
    stage.pipe("written");
    let mut stream = b"warming up\n\xFF\xD8\xFF\xD8".to_vec();
    for number in 0..50 {
        stream.extend(small(number));
        stream.extend(b"\xFF\xFF--boundary\r\nContent-Type: image/jpeg\r\n\r\n\xFF\x00");
        // A frame that was cut short, and two without anything between.
        stream.extend(&small(120)[..500]);
        stream.extend(small(number).repeat(2));
    }
    stage.write("stream", &stream);
    let mut camera = stage.open("cat stream; meet written; exec sleep 1000");
    stage.meet("written");
    assert_eq!(next(&mut camera).unwrap(), (small(49), 149));
}

#[test]
fn frames_of_another_size_end_the_stream() {
    let stage = Stage::new();
    stage.pipe("go");
    stage.write("small", &small(1));
    stage.write("large", &jpeg(128, 96, 2));
    let mut camera = stage.open("cat small; read x < go; cat large; exec sleep 1000");
    assert_eq!(next(&mut camera).unwrap().1, 0);
    fs::write(stage.path("go"), "\n").unwrap();
    assert_eq!(last_words(&mut camera), "the pictures of sh have changed from 64x48 to 128x96");
    drop(camera);
    stage.is_empty();
}

#[test]
fn pictures_that_promise_gigabytes_are_refused() {
    let stage = Stage::new();
    stage.pipe("go");
    stage.write("small", &small(1));
    stage.write("huge", &jpeg(65_500, 65_500, 2));
    let mut camera = stage.open("cat huge; exec sleep 1000");
    let error = loop {
        match camera.ready(Duration::from_millis(250)) {
            Ok(ready) => assert!(!ready, "{:?}", camera.geometry()),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("65500x65500") && error.contains("16 megapixels"), "{error}");
    drop(camera);
    let mut camera = stage.open("cat small; read x < go; cat huge; exec sleep 1000");
    assert_eq!(next(&mut camera).unwrap().1, 0);
    fs::write(stage.path("go"), "\n").unwrap();
    let told = "the pictures of sh have changed from 64x48 to 65500x65500, which is too large";
    assert_eq!(last_words(&mut camera), told);
    drop(camera);
    stage.is_empty();
}

// ---- ends

#[test]
fn the_end_is_told_with_its_status_and_the_last_words() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    let mut camera = stage.open("cat frame; echo one >&2; printf 'lens is gone' >&2; exit 3");
    assert_eq!(next(&mut camera).unwrap().1, 0);
    assert_eq!(last_words(&mut camera), "sh ended with status 3: lens is gone");
    drop(camera);
    let mut camera = stage.open("cat frame; echo long ago >&2; exit 0");
    assert_eq!(last_words(&mut camera), "sh ended with status 0");
    drop(camera);
    let mut camera = stage.open("cat frame; kill -9 $$");
    assert_eq!(last_words(&mut camera), "sh was ended by signal 9");
    drop(camera);
    let mut camera = stage.open("cat frame; exec >&-; sleep 1000");
    assert_eq!(last_words(&mut camera), "sh closed its output");
    drop(camera);
    stage.is_empty();
}

#[test]
fn a_program_that_ends_at_once_is_an_error_of_opening() {
    let stage = Stage::new();
    let mut camera = stage.open("echo 'rtsp://me:HUSH@cam/1: 401 Unauthorized' >&2; exit 1");
    let error = loop {
        match camera.ready(Duration::from_millis(250)) {
            Ok(ready) => assert!(!ready),
            Err(error) => break error.to_string(),
        }
    };
    let told = "no frame came: sh ended with status 1: rtsp://…@cam/1: 401 Unauthorized";
    assert_eq!(error, told);
}

#[test]
fn a_program_without_frames_is_given_up_with_a_hint() {
    let stage = Stage::new();
    let error = |script: &str| {
        let start_timeout = Duration::from_millis(300);
        let settings = ExecSettings { start_timeout, ..stage.shell(script) };
        let mut camera = open(&settings, Arc::new(SystemClock::new())).unwrap();
        loop {
            match camera.ready(Duration::from_millis(50)) {
                Ok(ready) => assert!(!ready),
                Err(error) => return error.to_string(),
            }
        }
    };
    let silent = error("echo 'trying' >&2; exec sleep 1000");
    assert_eq!(silent, "sh gave nothing within 300ms of its start: trying");
    let other = error("while :; do echo H264; done");
    assert!(other.contains("no whole JPEG image") && other.contains("-f mjpeg"), "{other}");
    stage.write("sizeless", &jpeg(64, 0, 1));
    let sizeless = error("while :; do cat sizeless; done");
    assert!(sizeless.contains("none of which tells its size"), "{sizeless}");
    stage.is_empty();
}

#[test]
fn a_program_that_is_not_there_is_told_with_the_remedy() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let error = open(&command(&["no-such-camera"]), clock.clone()).err().unwrap().to_string();
    assert!(error.contains("there is no program no-such-camera in /"), "{error}");
    let error = open(&command(&["bin/sh"]), clock).err().unwrap().to_string();
    assert!(error.contains("there is no program bin/sh"), "{error}");
}

// ---- nothing is left

#[test]
fn a_program_that_ignores_sigterm_is_killed() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    let mut camera = stage.open("trap '' TERM; cat frame; while :; do sleep 1; done");
    next(&mut camera).unwrap();
    drop(camera);
    stage.is_empty();
}

#[test]
fn all_that_a_program_started_goes_with_it() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    for forks in [
        "sleep 1000 & sleep 1000 & cat frame; wait",
        "(trap '' TERM; while :; do sleep 1; done) & cat frame; wait",
        // One that lets go of the pipes and of its parent.
        "(sleep 1000 > /dev/null 2>&1 &); cat frame; exec sleep 1000",
        // The parent ends, its child goes on in the group.
        "(trap '' TERM; exec sleep 1000) & cat frame; exit 0",
    ] {
        let mut camera = stage.open(forks);
        next(&mut camera).unwrap();
        drop(camera);
        stage.is_empty();
    }
}

#[test]
fn a_program_may_take_its_leave() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    // It has more to say than the pipe holds, and is heard out.
    let farewell = "trap 'head -c 3000000 /dev/zero; echo well > left; exit 0' TERM;";
    let mut camera = stage.open(&format!("{farewell} cat frame; while :; do sleep 0.05; done"));
    next(&mut camera).unwrap();
    drop(camera);
    assert_eq!(fs::read_to_string(stage.path("left")).unwrap(), "well\n");
    stage.is_empty();
}

#[test]
fn a_flood_of_complaints_does_not_stop_the_frames() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    let flood = "yes 'rtsp://me:HUSH@cam: bad cseq' >&2 & while :; do cat frame; done";
    let mut camera = stage.open(flood);
    for _ in 0..100 {
        next(&mut camera).unwrap();
    }
    drop(camera);
    stage.is_empty();
}

// ---- under a camera thread

struct Rig {
    running: Running,
    ended: Receiver<()>,
    _picks: Receiver<Pick>,
}

fn rig(settings: ExecSettings) -> Rig {
    let (picks, picks_out) = sync_channel(256);
    let (asks, asks_out) = sync_channel(4);
    let (ended_in, ended) = sync_channel(1);
    drop(asks);
    let profile = Profile {
        camera: "gate".into(),
        quality: 80,
        masks: Vec::new(),
        device: "porch-1".into(),
        key_template: DEFAULT_TEMPLATE.into(),
        place: Arc::default(),
        meta: [].into(),
        look: Look::default(),
    };
    let settings = Settings {
        source: Source::Exec(settings),
        frame_timeout: Duration::from_millis(300),
        analyse_fps: None,
        motion: None,
        interval: Some(Duration::from_secs(3600)),
        clock: ClockSettings::default(),
        drop_similar: None,
        profile: Arc::new(profile),
    };
    let wiring = Wiring {
        boot: BootId("0f3c9a52-1111-2222-3333-444455556666".into()),
        clock: Timekeeper::new(Arc::new(SystemClock::new()), TrustPolicy::Always),
        account: Account::new(1 << 20),
        picks,
        asks: asks_out,
        beat: Beat::new("gate", PLENTY),
        open: Box::new(|source| vedette::camera::open(source, Arc::new(SystemClock::new()))),
        reopen: Backoff { base: Duration::ZERO, cap: Duration::ZERO },
        watch: None,
        ended: Box::new(move || ended_in.send(()).unwrap()),
    };
    Rig { running: capture::spawn(settings, wiring).unwrap(), ended, _picks: picks_out }
}

impl Rig {
    fn stop(self) {
        self.running.stop();
        self.ended.recv_timeout(PLENTY).unwrap();
        assert_eq!(self.running.counters.state(), State::Stopped);
    }
}

#[test]
fn a_program_that_falls_silent_is_started_again() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    stage.pipe("started");
    let rig = rig(stage.shell("meet started; cat frame; exec sleep 1000"));
    for _ in 0..3 {
        stage.meet("started");
    }
    assert!(rig.running.counters.reopened.load(Ordering::Relaxed) >= 1);
    rig.stop();
    assert!(stage.groups().len() >= 3);
    stage.is_empty();
}

#[test]
fn a_program_that_ends_is_started_again() {
    let stage = Stage::new();
    stage.write("frame", &small(1));
    stage.pipe("started");
    let rig = rig(stage.shell("meet started; cat frame"));
    for _ in 0..5 {
        stage.meet("started");
    }
    rig.stop();
    stage.is_empty();
}

#[test]
fn a_thread_that_waits_for_the_first_frame_can_be_stopped() {
    let stage = Stage::new();
    stage.pipe("started");
    let rig = rig(stage.shell("meet started; exec sleep 1000"));
    stage.meet("started");
    assert_eq!(rig.running.counters.state(), State::Opening);
    rig.stop();
    assert_eq!(stage.groups().len(), 1);
    stage.is_empty();
}

// ---- what it gets of ours, and what is shown of it

#[test]
fn a_program_gets_no_descriptor_and_no_word_that_is_ours() {
    let stage = Stage::new();
    let clip = vedette::camera::FilesSettings {
        path: footage::vtest(),
        size: None,
        pace: vedette::camera::Pace::Fast,
        repeat: false,
    };
    let mut files = vedette::camera::files::open(&clip, Arc::new(SystemClock::new())).unwrap();
    stage.write("frame", files.next_frame(Duration::ZERO).unwrap().data);
    let dir = stage.dir.path().display();
    let script = format!(
        "pwd > {dir}/pwd; env > {dir}/env; ls /proc/self/fd > {dir}/fds; cat {dir}/frame; sleep 1000"
    );
    stage.write(
        "vedette.toml",
        format!(
            "[camera.gate]\nexec.command = [\"sh\", \"-c\", \"{script}\"]\n\
             [destination]\ndir.path = \"objects\"\n[control]\nsocket = \"control.sock\"\n"
        )
        .as_bytes(),
    );
    let made = Command::new(env!("CARGO_BIN_EXE_vedette"))
        .args(["snap", "--config"])
        .arg(stage.path("vedette.toml"))
        .arg("--output")
        .arg(stage.path("snap.jpg"))
        .env("STATE_DIRECTORY", stage.path("state"))
        .envs([("NOTIFY_SOCKET", "/x"), ("CREDENTIALS_DIRECTORY", "/x"), ("WATCHDOG_USEC", "1")])
        .envs([("LISTEN_FDS", "1"), ("AWS_SECRET_ACCESS_KEY", "HUSH"), ("KEPT", "yes")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert!(fs::read(stage.path("snap.jpg")).unwrap().starts_with(&[0xFF, 0xD8]));
    let read = |name: &str| fs::read_to_string(stage.path(name)).unwrap();
    // Whoever runs the tests may have left descriptors open to all.
    let others = Command::new("sh").args(["-c", "ls /proc/self/fd"]).output().unwrap().stdout;
    assert_eq!((read("pwd").trim(), read("fds")), ("/", String::from_utf8(others).unwrap()));
    let env = read("env");
    assert!(env.contains("KEPT=yes"), "{env}");
    for ours in ["NOTIFY_", "CREDENTIALS_", "WATCHDOG_", "LISTEN_", "AWS_"] {
        assert!(!env.contains(ours), "{env}");
    }
}

#[test]
fn a_password_in_the_command_is_not_shown() {
    let exec = command(&["ffmpeg", "-i", "rtsp://me:HUSH@cam/1", "-f", "mjpeg", "-"]);
    let shown = format!("{exec:?} {}", Source::Exec(exec.clone()));
    assert!(!shown.contains("HUSH") && shown.contains("exec ffmpeg, 5 arguments"), "{shown}");
    let stage = Stage::new();
    let here =
        format!("cd {} && {BEGIN} echo no access for $1 >&2; exit 1", stage.dir.path().display());
    let exec = command(&["/bin/sh", "-c", &here, "--password", "HUSH"]);
    let mut camera = open(&exec, Arc::new(SystemClock::new())).unwrap();
    assert_eq!(last_words(&mut camera), "no frame came: sh ended with status 1: no access for …");
}

// ---- memory

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code)]
// SAFETY: everything is handed to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract; `at` came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn frames_allocate_nothing_once_the_buffer_has_grown() {
    let stage = Stage::new();
    stage.pipe("go");
    stage.write("frame", &small(1));
    let mut camera = stage.open("while read x; do cat frame; done < go");
    let mut go = File::options().write(true).open(stage.path("go")).unwrap();
    let mut before = 0;
    for number in 0..60 {
        use std::io::Write;
        if number == 20 {
            before = ALLOCATIONS.with(Cell::get);
        }
        go.write_all(b"\n").unwrap();
        assert_eq!(camera.next_frame(PLENTY).unwrap().sequence, number);
    }
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
    drop(go);
    drop(camera);
    stage.is_empty();
}
