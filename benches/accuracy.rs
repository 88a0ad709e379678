//! How well the first pass sees: the synthetic street at default settings, five minutes each of many
//! seeds, against what was truly there.
//!
//! `cargo bench --bench accuracy [-- SEEDS [WIDTHxHEIGHT [FPS [mjpeg]]]]`

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

#[path = "../tests/support/scene_score.rs"]
mod scene_score;

use scene_score::{Condition, Run, Score, Tally, score};
use vedette::frame::PixelFormat;

/// Five minutes hold two or three days and nights.
const SECONDS: f64 = 300.0;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let arg = |i: usize| args.get(i).map(String::as_str);
    let seeds = arg(0).and_then(|a| a.parse().ok()).unwrap_or(20);
    let size = arg(1).and_then(|a| a.split_once('x')).unwrap_or(("640", "360"));
    let size = (size.0.parse().unwrap_or(640), size.1.parse().unwrap_or(360));
    let fps = arg(2).and_then(|a| a.parse().ok()).unwrap_or(5.0);
    let mjpeg = arg(3) == Some("mjpeg");
    let format = if mjpeg { PixelFormat::Mjpeg } else { PixelFormat::Yuyv };
    println!("{seeds} streets of {SECONDS} s, {}x{} {fps} fps {}", size.0, size.1, format.name());
    let mut tallies = [Tally::default(); 5];
    for seed in 1..=seeds {
        let scored = score(Run { seed, size, fps, seconds: SECONDS, format });
        tell_false(seed, &scored);
        for (sum, tally) in tallies.iter_mut().zip(scored.tallies) {
            sum.add(tally);
        }
    }
    println!(
        "{:<8} {:>8} {:>9} {:>8} {:>14} {:>7} {:>7} {:>6}",
        "light", "frames", "objects", "recall", "stray/1000 fr.", "settled", "events", "false"
    );
    let mut sum = Tally::default();
    for (condition, tally) in Condition::ALL.iter().zip(tallies) {
        row(&format!("{condition:?}"), &tally);
        sum.add(tally);
    }
    row("all", &sum);
}

fn row(name: &str, t: &Tally) {
    let stray = 1000.0 * t.stray as f64 / t.frames.max(1) as f64;
    let recall = t.recall();
    println!(
        "{name:<8} {:>8} {:>9} {recall:>8.3} {stray:>14.2} {:>7} {:>7} {:>6}",
        t.frames, t.objects, t.light, t.events, t.false_events
    );
}

/// False events, and what strayed in them.
fn tell_false(seed: u64, score: &Score) {
    for event in score.events.iter().filter(|e| e.is_false) {
        let (from, to) = (event.began - 1.0, event.last_motion);
        let strays = score.strays.iter().filter(|(at, ..)| (from..=to).contains(at));
        println!("seed {seed}: false event {event:.1?}");
        for (at, _, b) in strays.take(6) {
            println!("    {at:>6.1} s  {}x{} at {},{}", b.w, b.h, b.x, b.y);
        }
    }
}
