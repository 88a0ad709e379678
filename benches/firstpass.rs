//! What the first pass costs: process CPU time per 1080p frame, minimum and median of many runs, each
//! beside its limit or peer measured in the same run.
//!
//! `cargo bench --bench firstpass [-- RUNS]` prints a Markdown table about frames drawn here;
//! `cargo bench --bench firstpass -- --clip FILE FRAMES [FPS]` reads the first frames of an MJPEG AVI and
//! prints one JSON line, for `benches/peers`; with FPS one frame comes after the other at that rate, as from
//! a camera: between two frames caches go cold, which costs whoever reads them.

// This binary's purpose is to print.
#![allow(clippy::print_stdout)]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use turbojpeg::{Compressor, Decompressor, Image, ScalingFactor, Subsamp};
use vedette::camera::{Camera as _, FilesSettings, Pace, files};
use vedette::clock::{BootTime, SystemClock};
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
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("--clip") => {
            let fps = args.get(3).map(|fps| fps.parse().expect("frames a second"));
            clip(Path::new(&args[1]), args[2].parse().expect("a number of frames"), fps);
        }
        runs => {
            let runs = runs.and_then(|r| r.parse().ok()).unwrap_or(40);
            drawn(runs);
            layouts(runs);
        }
    }
}

/// The JPEG reader alone and the whole first pass over frames that are in memory already, once each.
fn clip(path: &Path, frames: usize, fps: Option<f64>) {
    let settings = FilesSettings { path: path.into(), size: None, pace: Pace::Fast, repeat: false };
    let mut camera = files::open(&settings, Arc::new(SystemClock::new())).expect("a clip");
    let geometry = camera.geometry();
    let jpegs: Vec<Vec<u8>> = (0..frames)
        .map(|_| camera.next_frame(Duration::ZERO).expect("a frame").data.to_vec())
        .collect();
    let mut reader = DcReader::new();
    let dc = once(&jpegs, fps, |_, jpeg| reader.read(jpeg).expect("a JPEG"));
    let mut pass = FirstPass::new(MotionSettings::default());
    let whole = once(&jpegs, fps, |i, jpeg| look(&mut pass, geometry, jpeg, i as u64));
    println!("{{\"reader_ms\":{dc:.4},\"first_pass_ms\":{whole:.4}}}");
}

fn once(jpegs: &[Vec<u8>], fps: Option<f64>, mut call: impl FnMut(usize, &[u8])) -> f64 {
    let (before, began) = (cpu(), Instant::now());
    for (i, jpeg) in jpegs.iter().enumerate() {
        if let Some(fps) = fps {
            let due = began + Duration::from_secs_f64(i as f64 / fps);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        call(i, black_box(jpeg));
    }
    (cpu() - before).as_secs_f64() * 1e3 / jpegs.len() as f64
}

fn drawn(runs: usize) {
    let yuyv: Vec<Vec<u8>> = (0..FRAMES).map(yuyv_frame).collect();
    let jpegs: Vec<Vec<u8>> = yuyv.iter().map(|f| jpeg_frame(f)).collect();
    let mean = jpegs.iter().map(Vec::len).sum::<usize>() / FRAMES / 1000;
    println!(
        "CPU ms per {WIDTH}x{HEIGHT} frame, 4:2:2: JPEG of {mean} kB, YUYV of 4147 kB; {runs} runs\n"
    );
    println!("| | minimum | median |\n|---|---|---|");
    let mjpeg = geometry(PixelFormat::Mjpeg);
    let mut reader = DcReader::new();
    let dc = bench("JPEG: DC reader", runs, |i| {
        reader.read(black_box(&jpegs[i])).expect("our own JPEG");
    });
    let mut pass = FirstPass::new(MotionSettings::default());
    let mut clock = 0;
    let whole = bench("JPEG: whole first pass", runs, |i| {
        clock += 1;
        look(&mut pass, mjpeg, &jpegs[i], clock);
    });
    let mut peer = Decompressor::new().expect("libjpeg-turbo");
    peer.set_scaling_factor(ScalingFactor::ONE_EIGHTH).expect("1/8 is supported");
    let mut grey = vec![0u8; 240 * 135];
    let turbo = bench("JPEG: libjpeg-turbo, 1/8 grey (peer)", runs, |i| {
        let format = turbojpeg::PixelFormat::GRAY;
        let pixels = &mut grey[..];
        let out = Image { pixels, width: 240, pitch: 240, height: 135, format };
        peer.decompress(black_box(&jpegs[i]), out).expect("our own JPEG");
    });
    let mut pass = FirstPass::new(MotionSettings::default());
    let raw = bench("YUYV: whole first pass", runs, |i| {
        clock += 1;
        look(&mut pass, geometry(PixelFormat::Yuyv), &yuyv[i], clock);
    });
    let (mut shrinker, mut small) = (Shrinker::default(), Luma::default());
    bench("YUYV: shrink alone", runs, |i| {
        let frame = black_box(&yuyv[i]);
        shrinker.shrink(frame, geometry(PixelFormat::Yuyv), &mut small).expect("our own frame");
        black_box(&small);
    });
    let read = bench("YUYV: reading the frame once (limit)", runs, |i| {
        black_box(sum(black_box(&yuyv[i])));
    });
    println!(
        "\nDC reader: {:.1} ns per 8x8 block, {:.2} × libjpeg-turbo. ",
        dc * 1e6 / BLOCKS,
        dc / turbo
    );
    println!(
        "JPEG first pass: {:.2} × DC reader. YUYV first pass: {:.2} × reading.",
        whole / dc,
        raw / read
    );
}

/// The shrink of the other raw formats, one of each layout, beside reading the bytes that it reads.
fn layouts(runs: usize) {
    println!("\nCPU ms per {WIDTH}x{HEIGHT} frame of noise, {runs} runs\n");
    println!("| | minimum | median |\n|---|---|---|");
    let mut rng = fastrand::Rng::with_seed(1);
    for name in
        ["uyvy", "nv12", "grey", "y10", "rgb24", "bgr24", "rggb8", "rggb10p", "rggb10", "rggb12p"]
    {
        let format = PixelFormat::from_name(name).expect("a format");
        let shape = geometry(format);
        let len = shape.frame_bytes() as usize;
        let frames: Vec<Vec<u8>> =
            (0..FRAMES).map(|_| (0..len).map(|_| rng.u8(..4)).collect()).collect();
        let (mut shrinker, mut small) = (Shrinker::default(), Luma::default());
        let ours = bench(&format!("{name}: shrink"), runs, |i| {
            shrinker.shrink(black_box(&frames[i]), shape, &mut small).expect("our own frame");
            black_box(&small);
        });
        let luma = format.row_bytes(WIDTH as u32) as usize * HEIGHT;
        let read = bench(&format!("{name}: reading {} kB once", luma / 1000), runs, |i| {
            black_box(sum(black_box(&frames[i][..luma])));
        });
        println!("| {name}: × reading | {:.2} | |", ours / read);
    }
}

fn geometry(format: PixelFormat) -> Geometry {
    Geometry { format, width: WIDTH as u32, height: HEIGHT as u32, stride: 0 }
}

/// Reads memory as fast as it comes: one 64-bit sum.
fn sum(data: &[u8]) -> u64 {
    data.chunks_exact(8)
        .map(|c| c.try_into().map_or(0, u64::from_le_bytes))
        .fold(0, u64::wrapping_add)
}

fn look(pass: &mut FirstPass, geometry: Geometry, data: &[u8], clock: u64) {
    let captured = BootTime(0) + Duration::from_millis(200) * clock as u32;
    let frame = Frame { geometry, data, sequence: clock, captured, stamp: Stamp::Driver };
    black_box(pass.look(black_box(&frame)).expect("our own frame"));
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
    println!("| {name} | {:.3} | {:.3} |", times[0], times[times.len() / 2]);
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
