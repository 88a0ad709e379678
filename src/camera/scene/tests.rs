//! Tests of the street as a camera.

use super::*;
use crate::camera::Pace;
use crate::clock::{BootId, BootTime, WallTime};

struct Zero;

impl Clock for Zero {
    fn boottime(&self) -> BootTime {
        BootTime(0)
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

fn settings(seed: u64, format: PixelFormat) -> SceneSettings {
    SceneSettings { seed, size: (320, 180), fps: 5.0, format, pace: Pace::Fast, frames: None }
}

fn scene(settings: &SceneSettings) -> SceneCamera {
    open(settings, Arc::new(Zero)).unwrap()
}

fn next(camera: &mut SceneCamera) -> Vec<u8> {
    camera.next_frame(Duration::ZERO).unwrap().data.to_vec()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_another_street() {
    for format in [PixelFormat::Yuyv, PixelFormat::Mjpeg] {
        let mut one = scene(&settings(7, format));
        let mut same = scene(&settings(7, format));
        let mut other = scene(&settings(8, format));
        let mut before = Vec::new();
        for frame in 0..40 {
            let bytes = next(&mut one);
            assert_eq!(bytes, next(&mut same), "frame {frame}");
            assert_eq!(one.truth(), same.truth());
            assert_ne!(bytes, next(&mut other), "frame {frame}");
            assert_ne!(bytes, before, "noise makes every frame new");
            before = bytes;
        }
    }
}

#[test]
fn frames_have_the_promised_shape_and_time() {
    let mut raw = scene(&settings(1, PixelFormat::Yuyv));
    assert_eq!(raw.geometry().stride, 640);
    assert_eq!(next(&mut raw).len(), 320 * 180 * 2);
    let frame = raw.next_frame(Duration::ZERO).unwrap();
    assert_eq!((frame.sequence, frame.captured.millis()), (1, 200));
    let jpeg = next(&mut scene(&settings(1, PixelFormat::Mjpeg)));
    let header = turbojpeg::read_header(&jpeg).unwrap();
    assert_eq!((header.width, header.height, header.subsamp), (320, 180, Subsamp::Sub2x1));
}

#[test]
fn the_truth_tells_where_pixels_change() {
    let mut camera = scene(&settings(3, PixelFormat::Yuyv));
    let empty = next(&mut camera);
    let mut checked = 0;
    for _ in 0..60 {
        let frame = next(&mut camera);
        let still = camera.truth().light == LightEvent::Steady;
        for object in camera.truth().objects.iter().filter(|o| still && o.place.w > 12) {
            let PixelBox { x, y, w, h } = object.place;
            assert!(x + w <= 320 && y + h <= 180, "{object:?}");
            let inside = |row: u32| {
                (2 * (row * 320 + x) as usize..2 * (row * 320 + x + w) as usize).step_by(2)
            };
            let changed =
                (y..y + h).flat_map(inside).filter(|&i| frame[i].abs_diff(empty[i]) > 15).count();
            let share = changed as f64 / f64::from(w * h);
            assert!(share > 0.1, "{object:?}: {share}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn it_ends_after_the_frames_asked_for() {
    let mut camera = scene(&SceneSettings { frames: Some(2), ..settings(1, PixelFormat::Yuyv) });
    next(&mut camera);
    next(&mut camera);
    assert!(matches!(camera.next_frame(Duration::ZERO), Err(CameraError::Ended)));
}

#[test]
fn sizes_that_cannot_be_drawn_are_refused_and_odd_shapes_are_drawn() {
    for size in [(0, 0), (321, 180), (320, 10_000), (32, 180)] {
        let wrong = SceneSettings { size, ..settings(1, PixelFormat::Yuyv) };
        assert!(matches!(open(&wrong, Arc::new(Zero)), Err(OpenError::Unsupported(_))));
    }
    for size in [(64, 64), (66, 301), (640, 65), (130, 480)] {
        let mut camera = scene(&SceneSettings { size, ..settings(1, PixelFormat::Mjpeg) });
        for _ in 0..60 {
            next(&mut camera);
        }
    }
}
