//! What the first pass sees of the synthetic street, held against what was truly there. The bounded
//! form of `cargo bench --bench accuracy`.

#![cfg(test)]

#[path = "support/scene_score.rs"]
mod scene_score;

use std::time::Duration;

use scene_score::{Condition, Run, Tally, score};
use vedette::clock::{BootId, BootTime};
use vedette::firstpass::trigger::{EventMachine, EventSettings};
use vedette::firstpass::{FirstPass, MotionSettings};
use vedette::frame::{Frame, Geometry, PixelFormat, Stamp};

/// A day and a night with both lamp switches.
const SECONDS: f64 = 110.0;

#[test]
fn the_street_is_seen_and_no_light_is_an_event() {
    let mut sum = Tally::default();
    let mut day = Tally::default();
    for seed in 1..=4 {
        let run =
            Run { seed, size: (640, 360), fps: 5.0, seconds: SECONDS, format: PixelFormat::Yuyv };
        let scored = score(run);
        let wrong: Vec<_> = scored.events.iter().filter(|e| e.is_false).collect();
        assert!(wrong.is_empty(), "seed {seed}: {wrong:?}");
        sum.add(scored.total());
        day.add(scored.tallies[Condition::ALL.iter().position(|c| *c == Condition::Day).unwrap()]);
    }
    let stray = sum.stray as f64 / sum.frames as f64;
    assert!(sum.events >= 12, "{sum:?}");
    assert!(day.recall() > 0.83, "{:.3} by day", day.recall());
    assert!(sum.recall() > 0.62, "{:.3} in all", sum.recall());
    assert!(stray < 0.015, "{stray:.4} stray boxes a frame");
}

#[test]
fn ten_minutes_of_an_empty_noisy_scene_hold_no_event() {
    const SIZE: (u32, u32) = (320, 240);
    let boot = BootId("00000000-0000-0000-0000-000000000000".into());
    let mut machine = EventMachine::new(EventSettings::default(), &boot);
    let mut pass = FirstPass::new(MotionSettings::default());
    let mut rng = fastrand::Rng::with_seed(8);
    let mut data = vec![0u8; (SIZE.0 * SIZE.1 * 2) as usize];
    let mut boxes = 0;
    for i in 0..3000u32 {
        for (at, pair) in (0..).zip(data.chunks_exact_mut(2)) {
            let wall = 40 + (at % SIZE.0 / 24 * 37 + at / SIZE.0 / 18 * 53) % 160;
            // The sum of four bytes is nearly normal; about 12 levels of standard deviation.
            let bits = rng.u32(..).to_le_bytes();
            let noise = bits.iter().map(|&b| i32::from(b)).sum::<i32>() / 12 - 42;
            pair.copy_from_slice(&[(wall as i32 + noise).clamp(0, 255) as u8, 128]);
        }
        let geometry =
            Geometry { format: PixelFormat::Yuyv, width: SIZE.0, height: SIZE.1, stride: 0 };
        let captured = BootTime(0) + Duration::from_millis(200) * i;
        let frame = Frame { geometry, data: &data, sequence: 0, captured, stamp: Stamp::Driver };
        let seen = pass.look(&frame).unwrap();
        boxes += seen.boxes.len();
        assert!(machine.step(captured, seen.motion).event.is_none(), "frame {i}: {seen:?}");
    }
    assert_eq!(boxes, 0);
}
