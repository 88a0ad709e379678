//! The whole first pass on synthetic frames at 5 frames a second.

use super::*;
use crate::clock::BootTime;
use crate::frame::{Geometry, Stamp};
use proptest::prelude::*;

const SIZE: (u32, u32) = (320, 240);

/// A textured, noisy room; what is in it and how it is lit are up to the test.
struct Room {
    pass: FirstPass,
    rng: fastrand::Rng,
    /// Time of the last frame, and from one to the next.
    at: BootTime,
    step: Duration,
    noise: i32,
    /// Gain and offset of the light.
    light: (f32, f32),
    /// A box of one grey level.
    thing: Option<(PixelBox, u8)>,
    colour: bool,
}

impl Room {
    fn new(settings: MotionSettings) -> Self {
        Self {
            pass: FirstPass::new(settings),
            rng: fastrand::Rng::with_seed(11),
            at: BootTime(0),
            step: Duration::from_millis(200),
            noise: 12,
            light: (1.0, 0.0),
            thing: None,
            colour: true,
        }
    }

    fn warm() -> Self {
        let mut room = Self::new(MotionSettings::default());
        room.run(30);
        room
    }

    fn frame(&mut self) -> Vec<u8> {
        let mut data = Vec::with_capacity((SIZE.0 * SIZE.1 * 2) as usize);
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let wall = 40 + (x / 24 * 37 + y / 18 * 53) % 120;
                let level = match self.thing {
                    Some((b, level))
                        if (b.x..b.x + b.w).contains(&x) && (b.y..b.y + b.h).contains(&y) =>
                    {
                        f32::from(level)
                    }
                    _ => wall as f32,
                };
                let lit = (level * self.light.0 + self.light.1) as i32;
                let noisy = lit + self.rng.i32(-self.noise..=self.noise);
                let chroma = 128 + if self.colour { (x / 40 * 9 % 40) as u8 } else { 0 };
                data.extend_from_slice(&[noisy.clamp(0, 255) as u8, chroma]);
            }
        }
        data
    }

    fn look(&mut self) -> Observation {
        let data = self.frame();
        self.at = self.at + self.step;
        self.pass.look(&yuyv(&data, self.at)).unwrap()
    }

    fn run(&mut self, frames: usize) -> Vec<Observation> {
        (0..frames).map(|_| self.look()).collect()
    }
}

fn yuyv(data: &[u8], captured: BootTime) -> Frame<'_> {
    let (width, height) = SIZE;
    let geometry = Geometry { format: PixelFormat::Yuyv, width, height, stride: 0 };
    Frame { geometry, data, sequence: 0, captured, stamp: Stamp::Driver }
}

fn mjpeg(data: &[u8]) -> Frame<'_> {
    let geometry = Geometry { format: PixelFormat::Mjpeg, width: 9, height: 9, stride: 0 };
    Frame { geometry, data, sequence: 0, captured: BootTime(1), stamp: Stamp::Driver }
}

fn thing(x: u32, y: u32) -> Option<(PixelBox, u8)> {
    Some((PixelBox { x, y, w: 40, h: 64 }, 240))
}

fn motions(seen: &[Observation]) -> usize {
    seen.iter().filter(|o| o.motion).count()
}

#[test]
fn an_empty_noisy_room_is_still_from_the_first_frame_on() {
    let mut room = Room::new(MotionSettings::default());
    room.noise = 40;
    let seen = room.run(600);
    assert_eq!(motions(&seen), 0);
    assert!(seen.iter().all(|o| o.light_change.is_none() && o.boxes.is_empty() && o.score == 0.0));
}

#[test]
fn a_start_with_something_moving_is_no_event_while_the_scene_is_learnt() {
    let mut room = Room::new(MotionSettings::default());
    for i in 0..10 {
        room.thing = thing(i * 24, 80);
        assert!(!room.look().motion);
    }
}

#[test]
fn a_moving_thing_is_boxed_where_it_is() {
    let mut room = Room::warm();
    for step in 0..20 {
        room.thing = thing(16 + step * 12, 96);
        let seen = room.look();
        assert!(seen.motion, "step {step}");
        let b = seen.boxes[0];
        let (centre, at) = ((b.x + b.w / 2, b.y + b.h / 2), (36 + step * 12, 128));
        assert!(centre.0.abs_diff(at.0) <= 12 && centre.1.abs_diff(at.1) <= 12, "{b:?} at {at:?}");
        assert_eq!(seen.boxes.len(), 1);
    }
    room.thing = None;
    assert_eq!(motions(&room.run(50)), 0);
}

#[test]
fn what_stays_is_absorbed_and_its_going_too() {
    let mut room = Room::warm();
    for step in 0..5 {
        room.thing = thing(80 + step * 10, 96);
        assert!(room.look().motion);
    }
    assert_eq!(motions(&room.run(5)), 5, "it stands");
    room.run(200);
    assert_eq!(motions(&room.run(20)), 0);
    room.thing = None;
    assert!(room.look().motion);
    assert!(motions(&room.run(20)) <= 1, "the place that it left is no thing");
}

#[test]
fn the_place_that_a_thing_left_is_no_motion_once_the_thing_is_elsewhere() {
    let mut room = Room::new(MotionSettings::default());
    room.thing = thing(100, 60);
    room.run(40);
    let mut there = 0;
    for x in (108..248).step_by(8) {
        room.thing = thing(x, 60);
        let seen = room.look();
        assert!(x < 124 || seen.motion, "it walks");
        there += usize::from(seen.boxes.iter().any(|b| (b.x..b.x + b.w).contains(&112)));
    }
    assert!(there <= 8, "{there} of 18 frames tell of where it was");
}

#[test]
fn lamp_switches_day_and_night_are_light_and_never_motion() {
    for light in [(1.5, 15.0), (0.35, 0.0), (1.0, 60.0), (0.15, 5.0)] {
        let mut room = Room::warm();
        for _ in 0..3 {
            room.light = light;
            let on = room.run(40);
            assert_eq!(on[0].light_change, Some(LightChange::Step), "{light:?}");
            room.light = (1.0, 0.0);
            let off = room.run(40);
            assert_eq!(off[0].light_change, Some(LightChange::Step), "{light:?}");
            assert_eq!(motions(&on) + motions(&off), 0, "{light:?}");
            assert_eq!((on[39].light_change, off[39].light_change), (None, None));
        }
    }
}

#[test]
fn motion_is_seen_again_soon_after_the_lamp() {
    let mut room = Room::warm();
    room.light = (1.6, 10.0);
    room.run(10);
    room.thing = Some((PixelBox { x: 100, y: 90, w: 40, h: 64 }, 5));
    assert!(room.look().motion);
}

#[test]
fn clouds_and_creeping_exposure_are_no_motion() {
    let mut room = Room::warm();
    for i in 0..200 {
        room.light.0 = 1.0 + 0.5 * (i as f32 / 12.0).sin();
        let seen = room.look();
        assert!(!seen.motion, "frame {i}");
    }
}

#[test]
fn a_covered_lens_is_no_motion() {
    let mut room = Room::warm();
    room.thing = Some((PixelBox { x: 0, y: 0, w: SIZE.0, h: SIZE.1 }, 8));
    assert_eq!(motions(&room.run(30)), 0);
}

#[test]
fn zones_and_smallest_area_are_kept_to() {
    let left = Polygon(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
    let zoned = |include: &[Polygon], exclude: &[Polygon], min_area| MotionSettings {
        include: include.iter().cloned().map(Zone::from).collect(),
        exclude: exclude.iter().cloned().map(Zone::from).collect(),
        min_area,
        ..MotionSettings::default()
    };
    for (settings, expected) in [
        (zoned(&[], &[], 0.002), true),
        (zoned(std::slice::from_ref(&left), &[], 0.002), true),
        (zoned(&[], std::slice::from_ref(&left), 0.002), false),
        // The thing covers 40 of 1200 samples.
        (zoned(&[], &[], 0.025), true),
        (zoned(&[], &[], 0.05), false),
        (zoned(std::slice::from_ref(&left), &[], 0.05), true),
    ] {
        let mut room = Room::new(settings.clone());
        room.run(20);
        room.thing = thing(64, 96);
        assert_eq!(room.look().motion, expected, "{settings:?}");
    }
}

#[test]
fn an_unusable_frame_is_an_error_and_the_model_stays() {
    let mut room = Room::warm();
    let data = room.frame();
    let short = yuyv(&data[..data.len() - 1], BootTime(0));
    assert!(matches!(room.pass.look(&short), Err(LookError::Raw(ShapeError::Short { .. }))));
    assert_eq!(room.pass.look(&mjpeg(b"\xff\xd8")), Err(LookError::Jpeg(JpegError::Truncated)));
    room.thing = thing(100, 100);
    assert!(room.look().motion);
}

#[test]
fn a_change_of_size_begins_anew_without_motion() {
    let mut room = Room::warm();
    let fixture = include_bytes!("../../tests/fixtures/jpeg/restart-blocks-422.jpg");
    let seen = room.pass.look(&mjpeg(fixture)).unwrap();
    assert!(!seen.motion && seen.quality.detail > 0.0);
    assert_eq!(motions(&room.run(9)), 0);
}

#[test]
fn steady_looking_keeps_its_buffers() {
    let mut room = Room::warm();
    let places = |p: &FirstPass| (p.raw.data.as_ptr(), p.raw.data.capacity());
    let before = places(&room.pass);
    room.run(5);
    assert_eq!(places(&room.pass), before);
}

#[test]
fn lightning_is_a_flash_and_the_scene_is_known_again_at_once() {
    let mut room = Room::warm();
    for _ in 0..4 {
        room.light = (1.0, 70.0);
        let flash = room.run(2);
        room.light = (1.0, 0.0);
        let back = room.look();
        assert_eq!(motions(&flash), 0);
        assert_eq!(back.light_change, Some(LightChange::Flash));
        room.thing = thing(120, 96);
        assert!(room.look().motion, "one frame after it");
        room.thing = None;
        room.run(60);
    }
}

#[test]
fn the_infrared_filter_is_told_from_a_lamp_by_the_colour_that_goes_with_it() {
    let mut room = Room::warm();
    assert_eq!(room.look().vision, Some(Vision::Colour));
    (room.light, room.colour) = ((0.6, 50.0), false);
    let seen = room.run(20);
    assert_eq!((motions(&seen), seen[0].light_change), (0, Some(LightChange::Infrared)));
    assert_eq!(seen[19].vision, Some(Vision::Grey));
    room.light = (0.9, 20.0);
    assert_eq!(room.look().light_change, Some(LightChange::Step), "a lamp, at night");
    room.run(20);
    (room.light, room.colour) = ((1.0, 0.0), true);
    let seen = room.run(20);
    assert_eq!((motions(&seen), seen[0].light_change), (0, Some(LightChange::Infrared)));
}

#[test]
fn exposure_that_hunts_is_no_motion() {
    let mut room = Room::warm();
    for i in 0..300u32 {
        // Up in four frames, holds, and down again.
        let phase = i % 40;
        let up = if phase < 20 { phase.min(4) } else { 4 - (phase - 20).min(4) };
        room.light = (1.0 + 0.12 * up as f32, 0.0);
        assert!(!room.look().motion, "frame {i}");
    }
}

#[test]
fn a_walker_in_the_dark_is_found() {
    let mut room = Room::new(MotionSettings::default());
    (room.light, room.noise) = ((0.25, 4.0), 5);
    room.run(50);
    let mut found = 0;
    for step in 0..20 {
        // The wall's grey levels are 14 to 43, and the walker's is 36.
        room.thing = Some((PixelBox { x: 16 + step * 12, y: 96, w: 32, h: 80 }, 130));
        found += u32::from(room.look().motion);
    }
    assert!(found >= 17, "{found} of 20");
}

#[test]
fn a_tree_that_sways_settles_and_a_walker_before_it_is_seen() {
    let mut room = Room::warm();
    let sway = |room: &mut Room, frames: u32| {
        let mut motions = 0;
        for _ in 0..frames {
            // Most of a swing a second.
            let swing = (room.at.millis() as f32 / 200.0 * 0.9).sin() * 14.0;
            room.thing = Some((PixelBox { x: (150.0 + swing) as u32, y: 20, w: 26, h: 40 }, 180));
            motions += u32::from(room.look().motion);
        }
        motions
    };
    sway(&mut room, 150);
    let settled = sway(&mut room, 300);
    assert!(settled <= 15, "{settled} of 300");
    room.thing = thing(40, 120);
    assert!(room.look().motion);
}

#[test]
fn a_window_that_lights_up_is_light_and_somebody_who_comes_is_not() {
    let mut room = Room::warm();
    let window = PixelBox { x: 160, y: 80, w: 24, h: 24 };
    room.thing = Some((window, 250));
    assert_eq!(motions(&room.run(20)), 0);
    for step in 0..6 {
        let place = PixelBox { x: 40 + step * 8, y: 150, w: 24, h: 24 };
        room.thing = Some((place, 250));
        room.look();
    }
    let seen = room.look();
    assert!(seen.motion, "{seen:?}");
    assert_eq!(seen.direction, Some(Direction::Right));
    assert_eq!(seen.dwell, Duration::from_millis(1200));
}

#[test]
fn a_zone_that_is_switched_counts_from_the_next_frame_on() {
    let left = Polygon(vec![(0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)]);
    let zone = Zone { polygon: left, active: Some(1) };
    let mut room = Room::new(MotionSettings { include: vec![zone], ..MotionSettings::default() });
    room.run(20);
    room.thing = thing(64, 96);
    room.pass.set_active(&[true, false]);
    assert!(!room.look().motion);
    room.pass.set_active(&[false, true]);
    room.thing = thing(90, 96);
    assert!(room.look().motion);
}

/// A room at so many frames in ten seconds, warm.
fn sparse(frames: u32) -> Room {
    let mut room = Room::new(MotionSettings::default());
    room.step = Duration::from_secs(10) / frames;
    room.run(20);
    room
}

#[test]
fn at_few_frames_a_second_a_walker_who_is_small_is_one_thing() {
    for (frames, stride) in [(20, 10), (10, 20)] {
        let mut room = sparse(frames);
        let walk = (0..8).map(|i| {
            room.thing = Some((PixelBox { x: 40 + i * stride, y: 120, w: 16, h: 32 }, 250));
            room.look()
        });
        let seen: Vec<Observation> = walk.collect();
        assert_eq!(motions(&seen), 7, "{frames} frames in 10 s");
        assert_eq!(seen[7].direction, Some(Direction::Right));
        assert_eq!(seen[7].dwell, room.step * 7);
    }
}

#[test]
fn who_comes_between_two_frames_and_stands_is_motion_until_he_belongs_to_the_scene() {
    for frames in [20, 10] {
        let mut room = sparse(frames);
        room.thing = Some((PixelBox { x: 100, y: 100, w: 16, h: 40 }, 5));
        let seen = room.run(4);
        // By chance it may resemble what is behind it in one of them.
        assert!(seen[2].motion && seen[3].motion, "{frames} frames in 10 s");
        room.run(60);
        assert_eq!(motions(&room.run(10)), 0);
    }
}

#[test]
fn light_that_comes_between_two_frames_is_no_motion() {
    let mut room = sparse(20);
    room.light = (0.25, 0.0);
    room.run(20);
    let window = PixelBox { x: 160, y: 80, w: 16, h: 24 };
    room.thing = Some((window, 250));
    assert_eq!(motions(&room.run(20)), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn arbitrary_frames_never_panic(
        frames in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..300), 0..PixelFormat::PREFERENCE.len(), any::<u64>()),
            1..4,
        ),
        shape in (0u32..24, 0u32..24, 0u32..64),
    ) {
        let mut pass = FirstPass::new(MotionSettings::default());
        for (data, index, at) in frames {
            let format = PixelFormat::PREFERENCE[index];
            let geometry = Geometry { format, width: shape.0, height: shape.1, stride: shape.2 };
            let stamp = Stamp::Arrival;
            let frame =
                Frame { geometry, data: &data, sequence: 0, captured: BootTime(at), stamp };
            pass.look(&frame).ok();
        }
    }
}
