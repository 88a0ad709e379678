//! Sharpness against known blur and known noise: sequences of ten frames, each blurred by a known amount,
//! as a JPEG camera would send them, have to be ranked as they were blurred; and at equal blur the cleaner
//! of two frames is not worth less than the noisier one, by more than the 2 % that are chance.
//!
//! Ten sequences are of real footage (a pedestrian that the first pass found), ten are drawn. Figures are
//! printed: `cargo test --test sharpness -- --nocapture`.

#![cfg(test)]

#[path = "support/footage.rs"]
mod footage;

use std::sync::Arc;
use std::time::Duration;

use vedette::camera::{Camera, FilesSettings, Pace, files};
use vedette::clock::{BootTime, SystemClock};
use vedette::firstpass::{FirstPass, MotionSettings, Observation};
use vedette::frame::{Frame, Geometry, PixelBox, PixelFormat, Stamp};
use vedette::still::rank::Ranker;

const WIDTH: usize = 320;
const HEIGHT: usize = 240;
/// Standard deviations of the Gaussian blur, in pixels.
const BLURS: [f32; 10] = [0.0, 0.5, 0.8, 1.1, 1.5, 2.0, 2.6, 3.3, 4.1, 5.0];
/// Standard deviations of the noise, in grey levels.
const NOISES: [f32; 6] = [0.0, 2.0, 4.0, 6.0, 9.0, 12.0];

struct Sequence {
    name: String,
    sharp: Vec<f32>,
    subject: PixelBox,
}

/// A pedestrian of real footage, with what is around it.
fn footage() -> Vec<Sequence> {
    let settings =
        FilesSettings { path: footage::vtest(), size: None, pace: Pace::Fast, repeat: false };
    let mut clip = files::open(&settings, Arc::new(SystemClock::new())).unwrap();
    let mut eye = FirstPass::new(MotionSettings::default());
    let mut found = Vec::new();
    for n in 0..footage::VTEST_FRAMES as u64 {
        let frame = clip.next_frame(Duration::from_secs(1)).unwrap();
        let at = BootTime(n * 100_000_000);
        let seen = eye.look(&Frame { captured: at, ..frame }).unwrap();
        let subject = seen.boxes.first().filter(|b| b.w >= 32 && b.h >= 48);
        let next = 30 + found.len() as u64 * 55;
        if let Some(subject) = subject.filter(|b| n >= next && b.w < 200 && b.h < 200) {
            found.push(cut(n, frame.data, *subject));
        }
    }
    found.truncate(10);
    assert_eq!(found.len(), 10);
    found
}

/// The subject with what is around it, in the sequence's size.
fn cut(n: u64, jpeg: &[u8], subject: PixelBox) -> Sequence {
    let grey = turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY).unwrap();
    let from = |at: u32, length: u32, span: usize, whole: usize| {
        let centre = (at + length / 2) as usize;
        centre.saturating_sub(span / 2).min(whole - span)
    };
    let x0 = from(subject.x, subject.w, WIDTH, grey.width);
    let y0 = from(subject.y, subject.h, HEIGHT, grey.height);
    let rows = (y0..y0 + HEIGHT).flat_map(|y| &grey.pixels[y * grey.pitch + x0..][..WIDTH]);
    let (x, y) = (subject.x - x0 as u32, subject.y - y0 as u32);
    Sequence {
        name: format!("footage, frame {n}"),
        sharp: rows.map(|&v| f32::from(v)).collect(),
        subject: PixelBox { x, y, ..subject },
    }
}

/// A figure of stripes and discs before a slope with some texture.
fn drawn(seed: u64) -> Sequence {
    let mut rng = fastrand::Rng::with_seed(seed);
    let (base, slope, texture) = (60.0 + rng.f32() * 90.0, rng.f32() * 0.4, rng.f32() * 4.0);
    let (period, contrast) = (6.0 + rng.f32() * 30.0, 15.0 + rng.f32() * 80.0);
    let (cx, cy) = (90.0 + rng.f32() * 140.0, 80.0 + rng.f32() * 80.0);
    let (rx, ry) = (20.0 + rng.f32() * 30.0, 40.0 + rng.f32() * 30.0);
    let sharp = (0..WIDTH * HEIGHT).map(|i| {
        let (x, y) = ((i % WIDTH) as f32, (i / WIDTH) as f32);
        let ground = base + slope * x + texture * ((x * 0.7).sin() + (y * 0.9).cos());
        let inside = ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) < 1.0;
        let stripe = ((x + 0.6 * y) / period).floor() as i64 % 2 == 0;
        if inside { ground + if stripe { contrast } else { -contrast * 0.5 } } else { ground }
    });
    let subject = PixelBox {
        x: (cx - rx) as u32,
        y: (cy - ry) as u32,
        w: (2.0 * rx) as u32,
        h: (2.0 * ry) as u32,
    };
    Sequence { name: format!("drawn, seed {seed}"), sharp: sharp.collect(), subject }
}

fn blurred(sharp: &[f32], sigma: f32) -> Vec<f32> {
    if sigma == 0.0 {
        return sharp.to_vec();
    }
    let reach = (sigma * 3.0).ceil() as isize;
    let weight = |d: isize| (-((d * d) as f32) / (2.0 * sigma * sigma)).exp();
    let total: f32 = (-reach..=reach).map(weight).sum();
    let weights: Vec<f32> = (-reach..=reach).map(|d| weight(d) / total).collect();
    let clamp = |at: isize, most: usize| at.clamp(0, most as isize - 1) as usize;
    let pass = |from: &[f32], along: &dyn Fn(usize, usize, isize) -> usize| -> Vec<f32> {
        let sum = |i: usize| {
            let at = |k: usize| from[along(i % WIDTH, i / WIDTH, k as isize - reach)];
            weights.iter().enumerate().map(|(k, w)| w * at(k)).sum()
        };
        (0..WIDTH * HEIGHT).map(sum).collect()
    };
    let across = pass(sharp, &|x, y, d| y * WIDTH + clamp(x as isize + d, WIDTH));
    pass(&across, &|x, y, d| clamp(y as isize + d, HEIGHT) * WIDTH + x)
}

/// As a camera would send it: with Gaussian noise of its sensor, and coded.
fn coded(picture: &[f32], noise: f32, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut gauss = || (0..12).map(|_| rng.f32()).sum::<f32>() - 6.0;
    let pixels: Vec<u8> =
        picture.iter().map(|v| (v + noise * gauss()).round().clamp(0.0, 255.0) as u8).collect();
    let format = turbojpeg::PixelFormat::GRAY;
    let image = turbojpeg::Image {
        pixels: &pixels[..],
        width: WIDTH,
        pitch: WIDTH,
        height: HEIGHT,
        format,
    };
    turbojpeg::compress(image, 85, turbojpeg::Subsamp::Gray).unwrap().to_vec()
}

const GEOMETRY: Geometry =
    Geometry { format: PixelFormat::Mjpeg, width: WIDTH as u32, height: HEIGHT as u32, stride: 0 };

/// What the camera thread thinks of it, and what the still thread does.
fn worths(jpeg: &[u8], subject: PixelBox) -> (f32, f32) {
    let (captured, stamp) = (BootTime(0), Stamp::Driver);
    let frame = Frame { geometry: GEOMETRY, data: jpeg, sequence: 0, captured, stamp };
    let mut eye = FirstPass::new(MotionSettings::default());
    eye.look(&frame).unwrap();
    let seen = Observation { boxes: vec![subject], ..Observation::default() };
    let well = Ranker::default().of_frame(jpeg, GEOMETRY, Some(subject)).unwrap();
    (eye.worth(&frame, &seen), well)
}

/// Spearman's rank correlation; equal values share the mean of their ranks.
fn spearman(a: &[f32], b: &[f32]) -> f64 {
    let ranks = |values: &[f32]| -> Vec<f64> {
        let rank = |v: &f32| {
            let below = values.iter().filter(|o| *o < v).count();
            let equal = values.iter().filter(|o| *o == v).count();
            below as f64 + (equal as f64 + 1.0) / 2.0
        };
        values.iter().map(rank).collect()
    };
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum()
    };
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

#[test]
fn ten_frames_of_twenty_sequences_are_ranked_as_they_were_blurred() {
    let sequences: Vec<_> = footage().into_iter().chain((1..=10).map(drawn)).collect();
    let sharpness = BLURS.map(|blur| -blur);
    for noise in [0.0, 4.0] {
        println!("noise {noise}: Spearman's rank correlation, still thread and camera thread");
        for (n, sequence) in sequences_of(&sequences) {
            let worths: Vec<_> = BLURS
                .iter()
                .map(|&blur| {
                    worths(&coded(&blurred(&sequence.sharp, blur), noise, n), sequence.subject)
                })
                .collect();
            let (cheap, well): (Vec<_>, Vec<_>) = worths.into_iter().unzip();
            let (cheap, well) = (spearman(&cheap, &sharpness), spearman(&well, &sharpness));
            println!("  {:<24} {well:>6.3} {cheap:>6.3}", sequence.name);
            assert!(well >= 0.9, "{}: {well}", sequence.name);
            assert!(cheap >= 0.9 || noise > 0.0, "{}, cheaply: {cheap}", sequence.name);
        }
    }
}

#[test]
fn at_equal_blur_the_cleaner_frame_is_not_ranked_below_the_noisier_one() {
    let sequences: Vec<_> = footage().into_iter().chain((1..=10).map(drawn)).collect();
    for blur in [0.0, 1.1, 2.6, 5.0] {
        for (n, sequence) in sequences_of(&sequences) {
            let picture = blurred(&sequence.sharp, blur);
            let well = NOISES.map(|noise| worths(&coded(&picture, noise, n), sequence.subject).1);
            println!("blur {blur}: {:<24} {well:.4?}", sequence.name);
            // Two frames of the same blur differ by chance too: noise and edges may add up.
            let cleaner = well.iter().enumerate();
            for (n, clean) in cleaner {
                let most = well[n..].iter().copied().fold(0.0, f32::max);
                assert!(most <= clean * 1.02, "{}, blur {blur}: {well:?}", sequence.name);
            }
            assert!(well[5] < well[0], "{}, blur {blur}: {well:?}", sequence.name);
        }
    }
}

fn sequences_of(all: &[Sequence]) -> impl Iterator<Item = (u64, &Sequence)> {
    all.iter().enumerate().map(|(n, sequence)| (n as u64, sequence))
}
