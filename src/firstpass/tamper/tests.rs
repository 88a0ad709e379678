//! Each condition on drawn scenes, through the whole first pass, at 5 frames a second.

use super::*;
use crate::firstpass::{FirstPass, MotionSettings, Observation};
use crate::frame::{Frame, Geometry, PixelFormat, Stamp};

const SIZE: (usize, usize) = (640, 360);
const SECOND: usize = 5;

/// A street with texture everywhere, and what may happen to its camera.
struct Scene {
    pass: FirstPass,
    rng: fastrand::Rng,
    frames: u64,
    noise: i32,
    light: (f32, f32),
    /// Pixels by which the camera was turned.
    turned: usize,
    /// Nothing small is left.
    blurred: bool,
    /// One grey level over nearly all.
    cover: Option<u8>,
    /// The same frame again.
    stuck: Option<Vec<u8>>,
    /// Light that falls on one side only.
    lamp: f32,
}

impl Scene {
    fn new(skip: &[Condition]) -> Self {
        let tamper = TamperSettings { skip: skip.iter().copied().collect(), ..Default::default() };
        let settings = MotionSettings { tamper: Some(tamper), ..MotionSettings::default() };
        Self {
            pass: FirstPass::new(settings),
            rng: fastrand::Rng::with_seed(5),
            frames: 0,
            noise: 6,
            light: (1.0, 0.0),
            turned: 0,
            blurred: false,
            cover: None,
            stuck: None,
            lamp: 0.0,
        }
    }

    /// After so long everything about the scene is known.
    fn known() -> Self {
        let mut scene = Self::new(&[]);
        assert_eq!(scene.run(90), []);
        scene
    }

    fn level(&self, x: usize, y: usize) -> f32 {
        // Large and small places, each with a grey of its own; 1031 places along a row.
        let grey = |size: usize| {
            let place = ((x + self.turned) / size + 1031 * (y / size)) as u64;
            (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as f32
        };
        let small = if self.blurred { 128.0 } else { grey(20) };
        30.0 + grey(80) * 0.36 + small * 0.24
    }

    fn draw(&mut self) -> Vec<u8> {
        if let Some(stuck) = &self.stuck {
            return stuck.clone();
        }
        let mut data = Vec::with_capacity(SIZE.0 * SIZE.1);
        for y in 0..SIZE.1 {
            for x in 0..SIZE.0 {
                let grey = match self.cover {
                    Some(cover) if y > 12 => f32::from(cover),
                    _ => self.level(x, y),
                };
                let lamp = 1.0 + self.lamp * (1.0 - x as f32 / SIZE.0 as f32);
                let lit = grey * self.light.0 * lamp + self.light.1;
                let noisy = lit as i32 + self.rng.i32(-self.noise..=self.noise);
                data.push(noisy.clamp(0, 255) as u8);
            }
        }
        data
    }

    fn look(&mut self) -> Observation {
        let data = self.draw();
        self.frames += 1;
        let geometry = Geometry {
            format: PixelFormat::Grey,
            width: SIZE.0 as u32,
            height: SIZE.1 as u32,
            stride: 0,
        };
        let captured = BootTime(self.frames * 200_000_000);
        let frame = Frame { geometry, data: &data, sequence: 0, captured, stamp: Stamp::Driver };
        self.pass.look(&frame).unwrap()
    }

    /// Runs so many seconds; every condition that was raised meanwhile.
    fn run(&mut self, seconds: usize) -> Vec<Condition> {
        let mut bits = 0;
        for _ in 0..seconds * SECOND {
            bits |= self.look().conditions.bits();
        }
        Conditions::from_bits(bits).iter().collect()
    }

    fn raised(&self) -> Vec<Condition> {
        self.pass.conditions().iter().collect()
    }
}

/// Does `change`, which must raise `condition` alone after 10 s and no sooner, and undoes it.
fn comes_and_goes(condition: Condition, change: impl Fn(&mut Scene), undo: impl Fn(&mut Scene)) {
    let mut scene = Scene::known();
    change(&mut scene);
    assert_eq!(scene.run(9), [], "too soon");
    assert_eq!(scene.run(8), [condition]);
    assert_eq!(scene.run(60), [condition], "it lasts");
    undo(&mut scene);
    scene.run(5);
    assert_eq!(scene.raised(), [condition], "gone too soon");
    scene.run(15);
    assert_eq!(scene.raised(), []);
    assert_eq!(scene.run(30), []);
}

#[test]
fn darkness_is_told_and_is_not_a_cover() {
    comes_and_goes(Condition::Dark, |s| s.light = (0.05, 0.0), |s| s.light = (1.0, 0.0));
}

#[test]
fn glare_is_told_and_is_not_a_cover() {
    comes_and_goes(Condition::Bright, |s| s.light = (1.0, 240.0), |s| s.light = (1.0, 0.0));
}

#[test]
fn a_cover_is_told_and_is_neither_blur_nor_another_view() {
    for grey in [35, 120, 190] {
        comes_and_goes(Condition::Covered, |s| s.cover = Some(grey), |s| s.cover = None);
    }
}

#[test]
fn a_turned_camera_is_told_and_so_is_its_way_back() {
    for turned in [107, 330] {
        comes_and_goes(Condition::Moved, |s| s.turned = turned, |s| s.turned = 0);
    }
}

#[test]
fn blur_is_told_against_what_the_camera_gave_before() {
    comes_and_goes(Condition::Blurred, |s| s.blurred = true, |s| s.blurred = false);
}

#[test]
fn a_frozen_picture_is_told_of_a_camera_whose_pictures_differ() {
    let freeze = |s: &mut Scene| s.stuck = Some(s.draw());
    comes_and_goes(Condition::Frozen, freeze, |s| s.stuck = None);
}

#[test]
fn a_picture_without_noise_is_not_frozen() {
    let mut scene = Scene::new(&[]);
    scene.noise = 0;
    assert_eq!(scene.run(120), []);
}

#[test]
fn day_and_night_lamps_and_clouds_are_none_of_it() {
    let mut scene = Scene::known();
    for light in [(0.25, 8.0), (1.0, 0.0), (1.4, 10.0), (0.5, 0.0), (1.0, 60.0), (0.3, 15.0)] {
        scene.light = light;
        assert_eq!(scene.run(40), [], "{light:?}");
    }
    (scene.light, scene.noise) = ((0.25, 8.0), 20);
    assert_eq!(scene.run(60), [], "a noisy night");
    scene.lamp = 3.0;
    assert_eq!(scene.run(60), [], "a lamp on one side");
    (scene.light, scene.noise, scene.lamp) = ((1.0, 0.0), 6, 0.0);
    for i in 0..120 {
        scene.light.0 = 1.0 + 0.5 * (i as f32 / 9.0).sin();
        assert_eq!(scene.run(1), [], "clouds");
    }
}

#[test]
fn what_comes_and_goes_within_the_time_is_never_told() {
    let mut scene = Scene::known();
    for _ in 0..6 {
        scene.cover = Some(120);
        assert_eq!(scene.run(8), []);
        scene.cover = None;
        assert_eq!(scene.run(4), []);
    }
}

#[test]
fn another_view_is_the_view_after_an_hour() {
    let mut layout = Layout::default();
    let mut rng = fastrand::Rng::with_seed(4);
    let mut scene = || (0..80 * 45).map(|_| rng.i16(0..30000)).collect::<Vec<_>>();
    let (here, there) = (scene(), scene());
    let mut at = 0;
    let mut look = |scene: &[i16], seconds: u64| {
        for _ in 0..seconds {
            at += 1_000_000_000;
            layout.look(scene, 80, 100.0, BootTime(at));
        }
        layout.moved()
    };
    assert_eq!(look(&here, 60), Verdict::Good);
    assert_eq!(look(&there, 3500), Verdict::Bad);
    assert_eq!(look(&there, 200), Verdict::Good);
    assert_eq!(look(&here, 30), Verdict::Bad);
}

#[test]
fn only_what_is_set_to_skip_skips() {
    let mut scene = Scene::new(&[Condition::Covered]);
    scene.run(90);
    scene.light = (0.05, 0.0);
    assert_eq!(scene.run(20), [Condition::Dark]);
    assert!(!scene.pass.skips());
    scene.light = (1.0, 0.0);
    scene.run(60);
    scene.cover = Some(100);
    assert_eq!(scene.run(20), [Condition::Covered]);
    assert!(scene.pass.skips());
}

#[test]
fn phases_rise_and_fall_by_verdicts_that_last() {
    use Verdict::{Bad, Good, Unsure};
    let run = |verdicts: &[Verdict]| {
        let mut phase = Phase::default();
        for (second, &verdict) in verdicts.iter().enumerate() {
            let at = BootTime(second as u64 * 1_000_000_000);
            phase = phase.next(verdict, at, Duration::from_secs(2));
        }
        phase.is_raised()
    };
    assert!(run(&[Bad, Bad, Bad]));
    assert!(!run(&[Bad, Bad, Unsure, Bad, Bad]), "unsure begins anew");
    assert!(run(&[Bad, Bad, Bad, Good, Good, Unsure, Good, Good]), "and so does a clearing");
    assert!(!run(&[Bad, Bad, Bad, Good, Good, Good]));
}

#[test]
fn sets_of_conditions_come_back_from_their_numbers() {
    for condition in Condition::ALL {
        let set: Conditions = [condition].into_iter().collect();
        assert_eq!(Conditions::from_bits(set.bits()), set);
        assert_eq!(set.iter().collect::<Vec<_>>(), [condition]);
    }
    assert_eq!(Conditions::from_bits(255).iter().count(), Condition::ALL.len());
}
