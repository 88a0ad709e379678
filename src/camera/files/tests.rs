//! Tests of recorded frames as a camera, on files made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::super::mjpeg::tests::{image, marked_bytes};
use super::avi::tests::{chunk, file as avi_file, headers, list};
use super::*;
use crate::camera::Pace;
use crate::clock::{BootId, BootTime, WallTime};

/// A clock that stands still until it is moved.
#[derive(Default)]
struct Standing(Mutex<u64>);

impl Standing {
    fn forward(&self, ms: u64) {
        *self.0.lock().unwrap() += ms * 1_000_000;
    }
}

impl Clock for Standing {
    fn boottime(&self) -> BootTime {
        BootTime(*self.0.lock().unwrap())
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
        BootId("00000000-0000-0000-0000-000000000000".into())
    }
}

fn settings(path: PathBuf) -> FilesSettings {
    FilesSettings { path, size: None, pace: Pace::Fast, repeat: false }
}

fn open_fast(path: PathBuf) -> Result<FilesCamera, OpenError> {
    open(&settings(path), Arc::new(Standing::default()))
}

/// (sequence, capture time in ms, bytes) of the next frame.
fn take(camera: &mut FilesCamera) -> Result<(u64, u64, Vec<u8>), CameraError> {
    let frame = camera.next_frame(Duration::ZERO)?;
    Ok((frame.sequence, frame.captured.millis(), frame.data.to_vec()))
}

fn write(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn a_directory_is_played_in_the_order_of_names() {
    let dir = TempDir::new().unwrap();
    for (name, fill) in [("c.JPEG", 3), ("a.jpg", 1), ("b.jpg", 2)] {
        write(&dir, name, &image(fill));
    }
    write(&dir, "a.txt", b"no picture");
    fs::create_dir(dir.path().join("ab.jpg")).unwrap();
    let mut camera = open_fast(dir.path().to_owned()).unwrap();
    assert_eq!(camera.fps(), 5.0);
    assert_eq!((camera.geometry().width, camera.geometry().height), (64, 48));
    assert_eq!(take(&mut camera).unwrap(), (0, 0, image(1)));
    assert!(matches!(take(&mut camera), Err(CameraError::Skip(_))), "a directory named .jpg");
    assert_eq!(take(&mut camera).unwrap(), (2, 400, image(2)));
    assert_eq!(take(&mut camera).unwrap(), (3, 600, image(3)));
    assert!(matches!(take(&mut camera), Err(CameraError::Ended)));
    assert!(matches!(take(&mut camera), Err(CameraError::Ended)), "and stays ended");
}

#[test]
fn an_avi_is_played_with_its_rate_and_its_gaps() {
    let dir = TempDir::new().unwrap();
    let bytes =
        avi_file(&[chunk(b"01dc", &image(1)), chunk(b"01dc", b""), chunk(b"01dc", &image(2))]);
    let mut camera = open_fast(write(&dir, "clip.avi", &bytes)).unwrap();
    assert_eq!(camera.fps(), 12.5);
    assert_eq!(take(&mut camera).unwrap(), (0, 0, image(1)));
    assert_eq!(take(&mut camera).unwrap(), (2, 160, image(2)));
    assert!(matches!(take(&mut camera), Err(CameraError::Ended)));
}

#[test]
fn a_stream_is_played_and_its_garbage_counted() {
    let dir = TempDir::new().unwrap();
    let bytes = [&image(1)[..], b"\r\n--x\r\n", &image(2), b"end"].concat();
    let mut camera = open_fast(write(&dir, "clip.mjpeg", &bytes)).unwrap();
    assert_eq!(take(&mut camera).unwrap(), (0, 0, image(1)));
    assert_eq!(take(&mut camera).unwrap(), (1, 40, image(2)));
    assert!(matches!(take(&mut camera), Err(CameraError::Ended)));
    assert_eq!(camera.skipped_bytes(), 7 + 3);
}

#[test]
fn repetition_goes_on_with_sequence_and_media_time() {
    let dir = TempDir::new().unwrap();
    let cases = [
        ("clip.mjpeg", [image(1), image(2)].concat(), image(2)),
        ("clip.avi", avi_file(&[chunk(b"01dc", &image(1)), chunk(b"01dc", &image(2))]), image(2)),
        ("clip.yuyv", [[1; 16], [2; 16]].concat(), vec![2; 16]),
    ];
    for (name, bytes, second) in cases {
        let path = write(&dir, name, &bytes);
        let settings = FilesSettings {
            repeat: true,
            pace: Pace::Rate(10.0),
            size: Some((4, 2)),
            ..settings(path)
        };
        let clock = Arc::new(Standing::default());
        let mut camera = open(&settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
        clock.forward(10_000);
        for i in 0..7 {
            let (sequence, ms, data) = take(&mut camera).unwrap();
            assert_eq!((sequence, ms, data == second), (i, i * 100, i % 2 == 1), "{name}");
        }
    }
}

#[test]
fn a_recording_that_became_unusable_is_lost_and_does_not_spin() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "a.jpg", &image(1));
    let settings = FilesSettings { repeat: true, ..settings(dir.path().to_owned()) };
    let mut camera = open(&settings, Arc::new(Standing::default())).unwrap();
    take(&mut camera).unwrap();
    fs::write(path, b"no picture").unwrap();
    assert!(matches!(take(&mut camera), Err(CameraError::Skip(_))));
    assert!(matches!(take(&mut camera), Err(CameraError::Lost(_))));
}

#[test]
fn at_its_own_pace_a_frame_is_not_lent_before_it_is_due() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "clip.mjpeg", &image(1).repeat(3));
    let clock = Arc::new(Standing::default());
    let settings = FilesSettings { pace: Pace::Own, ..settings(path) };
    let mut camera = open(&settings, Arc::clone(&clock) as Arc<dyn Clock>).unwrap();
    assert_eq!(take(&mut camera).unwrap().0, 0);
    assert!(matches!(take(&mut camera), Err(CameraError::Timeout(_))));
    clock.forward(40);
    assert_eq!(take(&mut camera).unwrap().0, 1, "the time-out lost no frame");
    assert!(matches!(take(&mut camera), Err(CameraError::Timeout(_))));
    clock.forward(60_000);
    assert_eq!(take(&mut camera).unwrap().1, 80, "late: at once, and on the media clock");
}

#[test]
fn a_raw_file_needs_the_right_size() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "clip.yuyv", &[7; 48]);
    let sized = |size| {
        open(&FilesSettings { size, ..settings(path.clone()) }, Arc::new(Standing::default()))
    };
    let mut camera = sized(Some((4, 2))).unwrap();
    assert_eq!(
        camera.geometry(),
        Geometry { format: PixelFormat::Yuyv, width: 4, height: 2, stride: 8 }
    );
    assert_eq!(take(&mut camera).unwrap(), (0, 0, vec![7; 16]));
    let message = sized(Some((4, 4))).err().unwrap().to_string();
    assert!(message.contains("48 bytes long"), "{message}");
    assert!(matches!(sized(None), Err(OpenError::Unsupported(_))));
    for size in [(3, 2), (0, 2), (1 << 20, 1 << 20), (u32::MAX, u32::MAX)] {
        assert!(matches!(sized(Some(size)), Err(OpenError::Unsupported(_))), "{size:?}");
    }
}

#[test]
fn a_file_of_raw_frames_is_told_by_its_extension() {
    let dir = TempDir::new().unwrap();
    for format in PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw()) {
        let len = Geometry { format, width: 8, height: 2, stride: 0 }.frame_bytes() as usize;
        let path =
            write(&dir, &format!("clip.{}", format.name().to_uppercase()), &vec![7; 2 * len]);
        let settings = FilesSettings { size: Some((8, 2)), ..settings(path) };
        let mut camera = open(&settings, Arc::new(Standing::default())).unwrap();
        let stride = format.row_bytes(8) as u32;
        assert_eq!(camera.geometry(), Geometry { format, width: 8, height: 2, stride });
        assert_eq!(take(&mut camera).unwrap(), (0, 0, vec![7; len]));
        assert_eq!(take(&mut camera).unwrap().0, 1);
    }
    assert_eq!(raw_format(Path::new("clip.mjpeg")), None);
    assert_eq!(raw_format(Path::new("clip.yuv")), Some(PixelFormat::Yuyv));
}

#[test]
fn what_cannot_be_played_is_named_with_the_remedy() {
    let dir = TempDir::new().unwrap();
    let message = |path: PathBuf| open_fast(path).err().unwrap().to_string();
    let missing = dir.path().join("missing.avi");
    assert!(matches!(open_fast(missing), Err(OpenError::NotFound(_))));
    let movi = list(b"LIST", b"movi", &[]);
    let xvid = list(b"RIFF", b"AVI ", &[headers(b"XVID", 1, 10), movi]);
    let said = message(write(&dir, "clip.avi", &xvid));
    assert!(said.contains("codec XVID") && said.contains("ffmpeg -i"), "{said}");
    let said = message(write(&dir, "clip.mp4", b"\0\0\0\x18ftypmp42"));
    assert!(said.contains("MP4") && said.contains("ffmpeg -i"), "{said}");
    let said = message(write(&dir, "empty.mjpeg", b""));
    assert!(said.contains("without a whole JPEG"), "{said}");
    let said = message(PathBuf::from("/dev/null"));
    assert!(said.contains("v4l2"), "{said}");
    fs::create_dir(dir.path().join("none")).unwrap();
    let said = message(dir.path().join("none"));
    assert!(said.contains("without a readable picture"), "{said}");
}

#[test]
fn pictures_of_arbitrary_bytes_are_skipped_or_lent_and_never_panic() {
    let dir = TempDir::new().unwrap();
    let mut runner = TestRunner::deterministic();
    let content = prop::collection::vec(marked_bytes(), 500);
    for (i, bytes) in content.new_tree(&mut runner).unwrap().current().iter().enumerate() {
        // Every second one gets past the look at its first bytes.
        let start: &[u8] = if i % 2 == 0 { &[0xFF, 0xD8] } else { &[] };
        write(&dir, &format!("{i:03}.jpg"), &[start, bytes].concat());
    }
    write(&dir, "000.jpg", &image(1));
    let mut camera = open_fast(dir.path().to_owned()).unwrap();
    let mut frames = 0;
    for _ in 0..500 {
        match take(&mut camera) {
            Ok(_) => frames += 1,
            Err(error) => assert!(matches!(error, CameraError::Skip(_)), "{error}"),
        }
    }
    assert!((250..300).contains(&frames), "{frames}");
    assert!(matches!(take(&mut camera), Err(CameraError::Ended)));
}
