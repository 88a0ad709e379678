//! The V4L2 camera on a real `/dev/video*`, normally vivid's inside the virtual device.
//!
//! | variable | meaning |
//! |---|---|
//! | `VEDETTE_V4L2_DEVICE` | the node; without it every test here says so and passes |
//! | `VEDETTE_V4L2_VIVID` | the platform device behind the node (`vivid.0`): it may be unbound and told to inject faults |
//! | `VEDETTE_V4L2_LOOPBACK` | a v4l2loopback node with `exclusive_caps=1`, to be fed with MJPEG |
//! | `VEDETTE_V4L2_SAVE` | a directory for one frame of each format as the driver gave it, its shape in its name |
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail")]
#![allow(clippy::print_stderr, reason = "whoever runs these by hand reads what the device did")]

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use vedette::camera::v4l2::name::Named;
use vedette::camera::v4l2::offer::{Rates, Sizes};
use vedette::camera::v4l2::{V4l2Camera, offered, open, reading};
use vedette::camera::{Camera, CameraError, OpenError, V4l2Settings};
use vedette::clock::{BootId, BootTime, Clock, WallTime};
use vedette::frame::{PixelFormat, Stamp};

/// Emulated machines stall for seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// The tests share one device.
static DEVICE: Mutex<()> = Mutex::new(());

struct Rig {
    settings: V4l2Settings,
    vivid: Option<String>,
    _alone: MutexGuard<'static, ()>,
}

/// The device under test, or `None` with a word why not.
fn rig() -> Option<Rig> {
    let Some(device) = std::env::var_os("VEDETTE_V4L2_DEVICE") else {
        eprintln!("skipped: set VEDETTE_V4L2_DEVICE, or run tests/device/camera");
        return None;
    };
    Some(Rig {
        settings: V4l2Settings {
            size: Some((640, 480)),
            format: Some(PixelFormat::Yuyv),
            ..V4l2Settings::node(device)
        },
        vivid: std::env::var("VEDETTE_V4L2_VIVID").ok(),
        _alone: DEVICE.lock().unwrap_or_else(PoisonError::into_inner),
    })
}

/// A rig whose device may be harmed, with the platform device's name.
fn vivid_rig() -> Option<(Rig, String)> {
    let rig = rig()?;
    let Some(vivid) = rig.vivid.clone() else {
        eprintln!("skipped: set VEDETTE_V4L2_VIVID to the vivid device that may be unbound");
        return None;
    };
    Some((rig, vivid))
}

struct BoottimeClock;

impl Clock for BoottimeClock {
    fn boottime(&self) -> BootTime {
        let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        BootTime(u64::try_from(Duration::try_from(t).unwrap().as_nanos()).unwrap())
    }
    fn wall(&self) -> WallTime {
        WallTime(0)
    }
    fn kernel_synchronised(&self) -> bool {
        false
    }
    fn set_by_rtc(&self) -> bool {
        false
    }
    fn boot_id(&self) -> BootId {
        BootId(String::new())
    }
}

fn start(settings: &V4l2Settings) -> Result<V4l2Camera, OpenError> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init().ok();
    open(settings, Arc::new(BoottimeClock))
}

/// Asks until something other than a time-out or a skipped frame comes, and counts those skipped.
fn until_lost(camera: &mut V4l2Camera) -> String {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        match camera.next_frame(Duration::from_secs(1)) {
            Ok(_) | Err(CameraError::Timeout(_) | CameraError::Skip(_)) => {}
            Err(CameraError::Lost(why)) => return why,
            Err(CameraError::Ended) => panic!("a device has no end"),
        }
    }
    panic!("not lost within {PATIENCE:?}");
}

/// Holds the thread up: as long as the driver needs to fill all buffers that it has (four, and never less
/// than five frames a second).
fn hold_up(mut meanwhile: impl FnMut()) {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        meanwhile();
    }
}

fn v4l2_ctl(device: &Path, arguments: [&str; 2]) {
    let done = Command::new("v4l2-ctl").arg("-d").arg(device).args(arguments).status().unwrap();
    assert!(done.success(), "v4l2-ctl {arguments:?}");
}

fn node(rig: &Rig) -> PathBuf {
    rig.settings.device.resolve().unwrap()
}

fn control(rig: &Rig, assignment: &str) {
    v4l2_ctl(&node(rig), ["-c", assignment]);
}

/// Writes `frames` to the device over and over, ten a second, until the other end of `stop` is gone.
fn feed(device: PathBuf, frames: Vec<Vec<u8>>, stop: Receiver<()>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut writer = OpenOptions::new().write(true).open(device).unwrap();
        for frame in frames.iter().cycle() {
            writer.write_all(frame).unwrap();
            if stop.recv_timeout(Duration::from_millis(100)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
        }
    })
}

/// A small grey JPEG.
fn jpeg() -> Vec<u8> {
    let image = turbojpeg::Image {
        pixels: vec![90_u8; 640 * 480],
        width: 640,
        pitch: 640,
        height: 480,
        format: turbojpeg::PixelFormat::GRAY,
    };
    turbojpeg::compress(image.as_deref(), 80, turbojpeg::Subsamp::Gray).unwrap().to_vec()
}

fn open_within_patience(settings: &V4l2Settings) -> V4l2Camera {
    let begun = Instant::now();
    loop {
        match start(settings) {
            Ok(camera) => return camera,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "not there: {error}"),
        }
    }
}

#[test]
fn hw_thirty_frames_have_growing_sequence_and_time() {
    let Some(rig) = rig() else { return };
    if rig.vivid.is_some() {
        control(&rig, "timestamp_source=1"); // Start of exposure; the default lies in the future.
    }
    let mut camera = start(&rig.settings).unwrap();
    let geometry = camera.geometry();
    assert_eq!((geometry.width, geometry.height, geometry.stride), (640, 480, 1280));
    let mut last: Option<(u64, BootTime)> = None;
    let mut saved = Vec::new();
    for n in 0..30 {
        let frame = camera.next_frame(PATIENCE).unwrap();
        let now = BoottimeClock.boottime();
        assert_eq!(frame.data.len(), 1280 * 480);
        if rig.vivid.is_some() {
            assert_eq!(frame.stamp, Stamp::Driver);
        }
        assert!(frame.captured <= now, "captured before now");
        assert!(now.since(frame.captured) < PATIENCE, "captured on the same clock");
        if let Some((sequence, captured)) = last {
            assert!(frame.sequence > sequence && frame.captured > captured);
        }
        let age = now.since(frame.captured);
        eprintln!(
            "frame {n}: sequence {} captured {:?} age {age:?}",
            frame.sequence, frame.captured
        );
        last = Some((frame.sequence, frame.captured));
        saved = frame.data.to_vec();
    }
    if let Some(directory) = std::env::var_os("VEDETTE_V4L2_SAVE").map(PathBuf::from) {
        std::fs::write(directory.join("frame-640x480.yuyv"), saved).unwrap();
    }
}

#[test]
fn hw_stamps_from_the_future_give_way_to_the_time_of_arrival() {
    let Some((rig, _)) = vivid_rig() else { return };
    control(&rig, "timestamp_source=0"); // End of a frame that is handed over at its start.
    let mut camera = start(&rig.settings).unwrap();
    let before = BoottimeClock.boottime();
    let frame = camera.next_frame(PATIENCE).unwrap();
    assert_eq!(frame.stamp, Stamp::Arrival);
    assert!(before <= frame.captured && frame.captured <= BoottimeClock.boottime());
}

#[test]
fn hw_a_lent_frame_does_not_change_while_it_is_lent() {
    let Some(rig) = rig() else { return };
    let mut camera = start(&rig.settings).unwrap();
    let frame = camera.next_frame(PATIENCE).unwrap();
    let copy = frame.data.to_vec();
    hold_up(|| assert!(frame.data == copy.as_slice(), "the driver wrote into a lent buffer"));
    camera.next_frame(PATIENCE).unwrap();
}

#[test]
fn hw_a_thread_that_was_held_up_goes_on_with_the_newest_frame() {
    let Some(rig) = rig() else { return };
    let mut camera = start(&rig.settings).unwrap();
    camera.next_frame(PATIENCE).unwrap();
    // More than once: a buffer that was not given back would not be filled again.
    for round in 0..3 {
        let before = camera.tally().passed_over;
        hold_up(|| ());
        camera.next_frame(PATIENCE).unwrap();
        let tally = camera.tally();
        eprintln!("after a second: {tally:?}");
        assert!(
            tally.passed_over > before,
            "round {round}: older frames were lent first: {tally:?}"
        );
    }
}

#[test]
fn hw_frames_that_the_driver_drops_are_gaps() {
    let Some((rig, _)) = vivid_rig() else { return };
    control(&rig, "percentage_of_dropped_buffers=50");
    let mut camera = start(&rig.settings).unwrap();
    let begun = Instant::now();
    let mut last = camera.next_frame(PATIENCE).unwrap().sequence;
    loop {
        assert!(begun.elapsed() < PATIENCE, "no gap");
        let next = camera.next_frame(PATIENCE).unwrap().sequence;
        if next > last + 1 {
            break;
        }
        last = next;
    }
    control(&rig, "percentage_of_dropped_buffers=0");
}

#[test]
fn hw_numbers_go_on_over_the_wrap_of_the_drivers_counter() {
    let Some((rig, _)) = vivid_rig() else { return };
    control(&rig, "wrap_sequence_number=1"); // It begins 128 frames before its end.
    let small = V4l2Settings { size: Some((320, 180)), fps: Some(60), ..rig.settings.clone() };
    let mut camera = start(&small).unwrap();
    let begun = Instant::now();
    let mut last = camera.next_frame(PATIENCE).unwrap().sequence;
    assert!(last > u64::from(u32::MAX) - 128, "{last}");
    while last <= u64::from(u32::MAX) {
        assert!(begun.elapsed() < PATIENCE * 3, "{last}");
        let next = camera.next_frame(PATIENCE).unwrap().sequence;
        assert!(next > last && next < last + 1_000, "{next} after {last}");
        last = next;
    }
    control(&rig, "wrap_sequence_number=0");
}

#[test]
fn hw_warm_up_throws_the_first_frames_away() {
    let Some(rig) = rig() else { return };
    let wanted = V4l2Settings { warm_up: 10, ..rig.settings.clone() };
    let mut camera = start(&wanted).unwrap();
    let opened = BoottimeClock.boottime();
    let mut slices = 1;
    while !camera.ready(Duration::from_millis(50)).unwrap() {
        slices += 1;
    }
    let frame = camera.next_frame(PATIENCE).unwrap();
    // No camera here gives ten frames within 100 ms.
    assert!(frame.captured.since(opened) > Duration::from_millis(100), "{:?}", frame.captured);
    assert_eq!(camera.tally().unusable, 0);
    eprintln!("warm after {slices} slices, {:?}", camera.tally());
}

#[test]
fn hw_every_format_offered_gives_frames_of_its_length() {
    let Some(rig) = rig() else { return };
    let save = std::env::var_os("VEDETTE_V4L2_SAVE").map(PathBuf::from);
    let offer = offered(&node(&rig)).unwrap();
    let ours: BTreeSet<_> = offer.formats.iter().filter_map(|f| Some(f.format?.name())).collect();
    let formats = PixelFormat::PREFERENCE.into_iter().filter(|f| ours.contains(f.name()));
    for format in formats {
        let wanted = V4l2Settings { format: Some(format), ..rig.settings.clone() };
        let mut camera = start(&wanted).unwrap();
        let geometry = camera.geometry();
        assert_eq!(geometry.format, format);
        let frame = camera.next_frame(PATIENCE).unwrap();
        let len = frame.data.len() as u64;
        assert!(
            len >= geometry.least_bytes() && len <= geometry.frame_bytes(),
            "{geometry:?}: {len}"
        );
        assert!(frame.data.windows(2).any(|w| w[0] != w[1]), "{geometry:?}: a blank frame");
        if let Some(save) = &save {
            let name = format!("{}-640x480-{}.raw", format.name(), geometry.stride);
            std::fs::write(save.join(name), frame.data).unwrap();
        }
    }
    let others: Vec<_> = offer.formats.iter().filter(|f| f.format.is_none()).collect();
    let others: Vec<_> = others.iter().map(|f| f.fourcc.to_string()).collect();
    eprintln!("{} formats: {ours:?}; not read: {others:?}", ours.len());
    assert!(rig.vivid.is_none() || ours.len() >= 30, "vivid has more: {ours:?}");
}

#[test]
fn hw_sizes_and_rates_are_offered() {
    let Some((rig, _)) = vivid_rig() else { return };
    let offer = offered(&node(&rig)).unwrap();
    let yuyv = offer.formats.iter().find(|f| f.format == Some(PixelFormat::Yuyv)).unwrap();
    let Sizes::Listed(sizes) = &yuyv.sizes else { panic!("{yuyv:?}") };
    let vga = sizes.iter().find(|s| (s.width, s.height) == (640, 480)).unwrap();
    let Rates::Listed(rates) = &vga.rates else { panic!("{vga:?}") };
    assert!(rates.len() > 1 && rates.windows(2).all(|w| w[0].fps() > w[1].fps()), "{rates:?}");
    let speed = reading(&node(&rig)).unwrap();
    eprintln!("{}\n{:?} {speed:?}", serde_json::to_string(&yuyv).unwrap(), speed.access());
    let mut camera = start(&rig.settings).unwrap();
    assert_eq!(reading(&node(&rig)), None, "somebody streams");
    camera.next_frame(PATIENCE).unwrap();
}

#[test]
fn hw_size_and_rate_are_the_drivers_nearest() {
    let Some((rig, _)) = vivid_rig() else { return };
    let wanted = V4l2Settings { size: Some((1270, 700)), fps: Some(7), ..rig.settings.clone() };
    let mut camera = start(&wanted).unwrap();
    let geometry = camera.geometry();
    eprintln!("asked for 1270x700, got {geometry:?}");
    assert_ne!((geometry.width, geometry.height), (1270, 700), "vivid has no such webcam size");
    assert!(geometry.stride >= geometry.width * 2);
    let frame = camera.next_frame(PATIENCE).unwrap();
    assert!(frame.data.len() >= (geometry.stride * geometry.height) as usize);
    drop(camera);
    let own = V4l2Settings { size: None, format: None, ..rig.settings.clone() };
    let own = start(&own).unwrap().geometry();
    assert_eq!((own.width, own.height), (geometry.width, geometry.height), "the size in force");
}

#[test]
fn hw_a_second_user_is_told_that_the_camera_is_busy() {
    let Some(rig) = rig() else { return };
    let first = start(&rig.settings).unwrap();
    let second = start(&rig.settings).err().expect("two streams on one camera");
    assert!(matches!(&second, OpenError::Busy(t) if t.contains("this very process")), "{second:?}");
    drop(first);
    start(&rig.settings).unwrap().next_frame(PATIENCE).unwrap();
}

#[test]
fn hw_another_program_that_holds_the_camera_is_named() {
    let Some(rig) = rig() else { return };
    let mut other = Command::new("v4l2-ctl")
        .arg("-d")
        .arg(node(&rig))
        .args(["--stream-mmap", "--stream-to=-"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // Its first bytes say that it streams.
    other.stdout.as_mut().unwrap().read_exact(&mut [0; 100]).unwrap();
    let error = start(&rig.settings).err().expect("two streams on one camera");
    other.kill().unwrap();
    other.wait().unwrap();
    eprintln!("{error}");
    let named = format!("v4l2-ctl (process {})", other.id());
    assert!(matches!(&error, OpenError::Busy(text) if text.contains(&named)), "{error:?}");
}

/// Runs itself as nobody, who is in no group.
#[test]
fn hw_who_may_not_open_the_camera_is_told_the_group() {
    let Some(rig) = rig() else { return };
    if std::env::var_os("VEDETTE_V4L2_STRANGER").is_some() {
        let error = start(&rig.settings).err().expect("nobody may open it");
        assert!(matches!(error, OpenError::Permission(_)), "{error:?}");
        return eprintln!("told: {error}");
    }
    let told = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "hw_who_may_not_open_the_camera_is_told_the_group", "--nocapture"])
        .env("VEDETTE_V4L2_STRANGER", "yes")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&told.stderr);
    let told = told.lines().find(|line| line.starts_with("told: ")).expect("no word of it");
    eprintln!("{told}");
    assert!(
        told.contains("belongs to group video") && told.contains("usermod -aG video"),
        "{told}"
    );
}

#[test]
fn hw_formats_and_nodes_that_are_not_there_are_named() {
    let Some((rig, _)) = vivid_rig() else { return };
    let mjpeg = V4l2Settings { format: Some(PixelFormat::Mjpeg), ..rig.settings.clone() };
    let text = start(&mjpeg).err().expect("vivid has no mjpeg").to_string();
    assert!(text.contains("does not offer mjpeg; it offers") && text.contains("YUYV"), "{text}");
    let open_at = |device: &str| {
        start(&V4l2Settings { device: Named::Path(device.into()), ..rig.settings.clone() }).err()
    };
    assert!(matches!(open_at("/dev/video99"), Some(OpenError::NotFound(_))));
    assert!(matches!(open_at("/dev/null"), Some(OpenError::Unsupported(_))));
    assert!(matches!(open_at("/dev"), Some(OpenError::Unsupported(_))));
}

#[test]
fn hw_injected_faults_are_skipped_refused_or_lost_and_a_reopen_heals() {
    let Some((rig, _)) = vivid_rig() else { return };
    let mut camera = start(&rig.settings).unwrap();
    camera.next_frame(PATIENCE).unwrap();
    control(&rig, "inject_v4l2_buf_flag_error=1");
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "no damaged frame seen");
        match camera.next_frame(PATIENCE) {
            Ok(_) => {}
            Err(CameraError::Skip(why)) => break assert!(why.contains("damaged"), "{why}"),
            Err(other) => panic!("{other}"),
        }
        if camera.tally().unusable > 0 {
            break; // A good one came after it, before we looked.
        }
    }
    camera.next_frame(PATIENCE).unwrap();
    control(&rig, "inject_fatal_streaming_error=1");
    eprintln!("fatal streaming error: {}", until_lost(&mut camera));
    drop(camera);
    for refused in ["reqbufs", "qbuf", "streamon"] {
        control(&rig, &format!("inject_vidioc_{refused}_error=1"));
        let error = start(&rig.settings).err().expect("the injected error");
        eprintln!("{refused}: {error}");
        let mut camera = start(&rig.settings).unwrap();
        camera.next_frame(PATIENCE).unwrap();
    }
}

#[test]
fn hw_mjpeg_is_lent_byte_for_byte_and_rubbish_is_skipped() {
    let Some(device) = std::env::var_os("VEDETTE_V4L2_LOOPBACK").map(PathBuf::from) else {
        eprintln!("skipped: set VEDETTE_V4L2_LOOPBACK to a v4l2loopback node");
        return;
    };
    v4l2_ctl(&device, ["-c", "keep_format=1"]);
    v4l2_ctl(&device, ["-x", "width=640,height=480,pixelformat=MJPG"]);
    let good = jpeg();
    let unended = good[..good.len() - 2].to_vec();
    let cut = good[..200].to_vec();
    let frames =
        vec![good.clone(), b"\xff\xd8\xff\xd9".to_vec(), vec![7; 5_000], unended.clone(), cut];
    let (stop, stopped) = mpsc::sync_channel(0);
    let feeder = feed(device.clone(), frames, stopped);
    let settings = V4l2Settings::node(device);
    let mut camera = open_within_patience(&settings);
    let geometry = camera.geometry();
    assert_eq!(geometry.format, PixelFormat::Mjpeg);
    assert_eq!((geometry.width, geometry.height, geometry.stride), (640, 480, 0));
    let (mut pictures, mut without_end, mut skipped) = (0, 0, BTreeSet::new());
    let begun = Instant::now();
    while pictures < 3 || without_end < 1 || skipped.len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "{pictures}, {without_end}, skipped {skipped:?}");
        match camera.next_frame(PATIENCE) {
            // The loopback's first buffer says that it is full, whatever was written.
            Ok(frame) if frame.data.len() > good.len() => {}
            Ok(frame) if frame.data == unended.as_slice() => without_end += 1,
            Ok(frame) => {
                assert!(frame.data == good.as_slice(), "{} other bytes", frame.data.len());
                pictures += 1;
            }
            Err(CameraError::Skip(why)) => drop(skipped.insert(why)),
            Err(other) => panic!("{other}"),
        }
    }
    eprintln!("{pictures} pictures, {without_end} without an end, skipped {skipped:?}");
    drop(stop);
    feeder.join().unwrap();
    let silence = loop {
        match camera.next_frame(Duration::from_millis(500)) {
            Ok(_) | Err(CameraError::Skip(_)) => assert!(begun.elapsed() < PATIENCE * 2),
            Err(other) => break other,
        }
    };
    assert!(matches!(silence, CameraError::Timeout(_) | CameraError::Lost(_)), "{silence}");
    eprintln!("without its feeder: {silence}");
}

#[test]
fn hw_a_camera_that_disconnects_is_lost_and_its_next_opening_works() {
    let Some((rig, _)) = vivid_rig() else { return };
    let mut camera = start(&rig.settings).unwrap();
    camera.next_frame(PATIENCE).unwrap();
    control(&rig, "disconnect=1");
    eprintln!("disconnected: {}", until_lost(&mut camera));
    drop(camera); // STREAMOFF and REQBUFS are refused here; vivid comes back with its last user gone.
    open_within_patience(&rig.settings).next_frame(PATIENCE).unwrap();
}

#[test]
fn hw_an_unplugged_camera_is_lost_without_a_hang_and_comes_back() {
    let Some((rig, vivid)) = vivid_rig() else { return };
    let driver = PathBuf::from("/sys/bus/platform/drivers/vivid");
    let mut camera = start(&rig.settings).unwrap();
    camera.next_frame(PATIENCE).unwrap();
    // Unbinding may wait for us to close, so it has a thread of its own.
    let unbind = driver.join("unbind");
    let name = vivid.clone();
    let unplug = std::thread::spawn(move || std::fs::write(unbind, name).unwrap());
    eprintln!("unplugged: {}", until_lost(&mut camera));
    let again = camera.next_frame(PATIENCE);
    assert!(matches!(again, Err(CameraError::Lost(_))), "{again:?}");
    drop(camera);
    unplug.join().unwrap();
    let gone = start(&rig.settings).err().expect("the node is gone");
    assert!(matches!(gone, OpenError::NotFound(_)), "{gone:?}");
    std::fs::write(driver.join("bind"), vivid).unwrap();
    let mut camera = open_within_patience(&rig.settings);
    camera.next_frame(PATIENCE).unwrap();
}
