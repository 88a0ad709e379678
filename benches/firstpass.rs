//! What the first pass costs: process CPU time per 1080p frame, minimum and median of many runs, each
//! beside its limit or peer measured in the same run.
//!
//! `cargo bench --bench firstpass [-- RUNS]`

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use turbojpeg::{Compressor, Decompressor, Image, ScalingFactor, Subsamp};
use vedette::clock::BootTime;
use vedette::firstpass::jpeg_dc::DcReader;
use vedette::firstpass::shrink::Shrinker;
use vedette::firstpass::{FirstPass, MotionSettings};
use vedette::frame::{Frame, Geometry, Luma, PixelFormat, Stamp};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// Blocks of a 4:2:2 frame: luma and as many of chroma.
const BLOCKS: f64 = (WIDTH * HEIGHT.next_multiple_of(8) / 64 * 2) as f64;
/// Frames of the clip: 100 MB of YUYV, which no cache holds, as frames that a camera just wrote are in
/// none either.
const FRAMES: usize = 24;

fn main() {
    let runs = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(40);
    let yuyv: Vec<Vec<u8>> = (0..FRAMES).map(yuyv_frame).collect();
    let jpegs: Vec<Vec<u8>> = yuyv.iter().map(|f| jpeg_frame(f)).collect();
    let mean = jpegs.iter().map(Vec::len).sum::<usize>() / FRAMES / 1000;
    println!("{WIDTH}x{HEIGHT} 4:2:2, JPEG {mean} KB, YUYV {} KB", yuyv[0].len() / 1000);
    println!("{:<38} {:>9} {:>9}", "CPU ms per frame", "minimum", "median");

    let mut reader = DcReader::new();
    let dc = bench("JPEG: DC reader", runs, |i| {
        reader.read(black_box(&jpegs[i])).expect("our own JPEG");
    });
    println!("{:<38} {:>9.1}", "      ns per 8x8 block", dc * 1e6 / BLOCKS);
    let mut pass = FirstPass::new(MotionSettings::default());
    let mut clock = 0;
    let look = bench("JPEG: whole first pass", runs, |i| {
        clock += 1;
        look(&mut pass, PixelFormat::Mjpeg, &jpegs[i], clock);
    });
    let mut peer = Decompressor::new().expect("libjpeg-turbo");
    peer.set_scaling_factor(ScalingFactor::ONE_EIGHTH).expect("1/8 is supported");
    let mut grey = vec![0u8; 240 * 135];
    let turbo = bench("JPEG: libjpeg-turbo 1/8 grey (peer)", runs, |i| {
        let format = turbojpeg::PixelFormat::GRAY;
        let pixels = &mut grey[..];
        let out = Image { pixels, width: 240, pitch: 240, height: 135, format };
        peer.decompress(black_box(&jpegs[i]), out).expect("our own JPEG");
    });
    let mut pass = FirstPass::new(MotionSettings::default());
    let raw = bench("YUYV: whole first pass", runs, |i| {
        clock += 1;
        look_raw(&mut pass, &yuyv[i], clock);
    });
    let (mut shrinker, mut small) = (Shrinker::default(), Luma::default());
    bench("YUYV: shrink alone", runs, |i| {
        let (w, h) = (WIDTH as u32, HEIGHT as u32);
        shrinker.yuyv(black_box(&yuyv[i]), w, h, 0, &mut small).expect("our own frame");
        black_box(&small);
    });
    let read = bench("YUYV: reading the frame once (limit)", runs, |i| {
        black_box(sum(black_box(&yuyv[i])));
    });
    println!(
        "DC reader {:.2} of libjpeg-turbo; JPEG pass {:.2} of DC reader; YUYV pass {:.2} of reading",
        dc / turbo,
        look / dc,
        raw / read
    );
}

/// Reads memory as fast as it comes: one 64-bit sum.
fn sum(data: &[u8]) -> u64 {
    data.chunks_exact(8)
        .map(|c| c.try_into().map_or(0, u64::from_le_bytes))
        .fold(0, u64::wrapping_add)
}

fn look(pass: &mut FirstPass, format: PixelFormat, data: &[u8], clock: u64) {
    let geometry = Geometry { format, width: WIDTH as u32, height: HEIGHT as u32, stride: 0 };
    let captured = BootTime(0) + Duration::from_millis(200) * clock as u32;
    let frame = Frame { geometry, data, sequence: clock, captured, stamp: Stamp::Driver };
    black_box(pass.look(black_box(&frame)).expect("our own frame"));
}

fn look_raw(pass: &mut FirstPass, data: &[u8], clock: u64) {
    look(pass, PixelFormat::Yuyv, data, clock);
}

/// Prints and gives the minimum of CPU ms per call; a run goes once through the clip.
fn bench(name: &str, runs: usize, mut call: impl FnMut(usize)) -> f64 {
    (0..FRAMES).for_each(&mut call);
    let mut times: Vec<f64> = (0..runs.max(1))
        .map(|_| {
            let before = cpu();
            (0..FRAMES).for_each(&mut call);
            (cpu() - before).as_secs_f64() * 1e3 / FRAMES as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:<38} {:>9.3} {:>9.3}", times[0], times[times.len() / 2]);
    times[0]
}

fn cpu() -> Duration {
    let t = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec as u32)
}

/// A street without a street: large shapes, fine texture in places, sensor noise, one thing that moves.
fn yuyv_frame(index: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(index as u64);
    let mut out = Vec::with_capacity(WIDTH * HEIGHT * 2);
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let noise: i32 = (0..2).map(|_| rng.i32(-3..=3)).sum();
            let luma = (scene(x, y, index) + noise).clamp(0, 255) as u8;
            let chroma = 128 + (((x / 160 + y / 90) % 5) as i32 - 2) * 12 + rng.i32(-2..=2);
            out.extend_from_slice(&[luma, chroma as u8]);
        }
    }
    out
}

fn scene(x: usize, y: usize, index: usize) -> i32 {
    if (600 + index * 12..700 + index * 12).contains(&x) && (400..700).contains(&y) {
        return 210;
    }
    let wall = ((x / 96 + y / 54) * 37 % 120) as i32;
    let texture = if (x / 200 + y / 150).is_multiple_of(3) { (x * y / 7 % 24) as i32 } else { 0 };
    50 + wall + texture
}

fn jpeg_frame(yuyv: &[u8]) -> Vec<u8> {
    let mut planes = vec![0u8; WIDTH * HEIGHT * 2];
    let (luma, chroma) = planes.split_at_mut(WIDTH * HEIGHT);
    let (u, v) = chroma.split_at_mut(WIDTH * HEIGHT / 2);
    for (i, pair) in yuyv.chunks_exact(4).enumerate() {
        (luma[2 * i], u[i], luma[2 * i + 1], v[i]) = (pair[0], pair[1], pair[2], pair[3]);
    }
    let mut compressor = Compressor::new().expect("libjpeg-turbo");
    compressor.set_quality(80).expect("a quality");
    let (width, height, align, subsamp) = (WIDTH, HEIGHT, 1, Subsamp::Sub2x1);
    let image = turbojpeg::YuvImage { pixels: &planes[..], width, align, height, subsamp };
    compressor.compress_yuv_to_vec(image).expect("a picture")
}
