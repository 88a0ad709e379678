//! Does one thing of the first pass so many times, for `run` to count the instructions:
//!
//!     vedette-counts WHAT TIMES
//!     vedette-counts --list        each WHAT, and how many units one time has
//!
//! What two numbers of times differ by is what the times between them cost: the start of the program and
//! the building of tables fall out.

use std::hint::black_box;
use std::time::Duration;

use vedette_pure::clock::BootTime;
use vedette_pure::firstpass::jpeg_dc::DcReader;
use vedette_pure::firstpass::shrink::Shrinker;
use vedette_pure::firstpass::{FirstPass, MotionSettings};
use vedette_pure::frame::{Frame, Geometry, Luma, PixelFormat, Stamp};

const WIDTH: u32 = 640;
const HEIGHT: u32 = 360;
/// Frames of `tests/jpeg/make`'s picture, by cjpeg with the standard's tables and quality 80.
const JPEG_422: &[u8] = include_bytes!("../422.jpg");
const JPEG_420: &[u8] = include_bytes!("../420.jpg");

/// Name, and how many units are done in one time: blocks of 8×8, or pixels. The 360 lines of 4:2:0 are
/// padded to 368.
const ALL: [(&str, u32); 6] = [
    ("reader-422-per-block", WIDTH * HEIGHT / 64 * 2),
    ("reader-420-per-block", WIDTH * 368 / 64 * 3 / 2),
    ("first-pass-422-per-block", WIDTH * HEIGHT / 64 * 2),
    ("first-pass-420-per-block", WIDTH * 368 / 64 * 3 / 2),
    ("first-pass-yuyv-per-pixel", WIDTH * HEIGHT),
    ("shrink-yuyv-per-pixel", WIDTH * HEIGHT),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--list"] => ALL.iter().for_each(|(name, units)| println!("{name} {units}")),
        [what, times] => run(what, times.parse().expect("a number of times")),
        _ => panic!("usage: vedette-counts WHAT TIMES"),
    }
}

fn run(what: &str, times: u32) {
    match what {
        "reader-422-per-block" => read(JPEG_422, times),
        "reader-420-per-block" => read(JPEG_420, times),
        "first-pass-422-per-block" => look(PixelFormat::Mjpeg, JPEG_422, times),
        "first-pass-420-per-block" => look(PixelFormat::Mjpeg, JPEG_420, times),
        "first-pass-yuyv-per-pixel" => look(PixelFormat::Yuyv, &yuyv(), times),
        "shrink-yuyv-per-pixel" => shrink(&yuyv(), times),
        _ => panic!("nothing is called {what}"),
    }
}

fn geometry(format: PixelFormat) -> Geometry {
    Geometry { format, width: WIDTH, height: HEIGHT, stride: 0 }
}

fn read(jpeg: &[u8], times: u32) {
    let mut reader = DcReader::new();
    for _ in 0..times {
        reader.read(black_box(jpeg)).expect("our own JPEG");
        black_box(reader.luma());
    }
}

fn look(format: PixelFormat, data: &[u8], times: u32) {
    let mut pass = FirstPass::new(MotionSettings::default());
    for i in 0..times {
        let captured = BootTime(0) + Duration::from_millis(200) * i;
        let geometry = geometry(format);
        let frame = Frame { geometry, data, sequence: 0, captured, stamp: Stamp::Driver };
        black_box(pass.look(black_box(&frame)).expect("our own frame"));
    }
}

fn shrink(data: &[u8], times: u32) {
    let (mut shrinker, mut small) = (Shrinker::default(), Luma::default());
    for _ in 0..times {
        let geometry = geometry(PixelFormat::Yuyv);
        shrinker.shrink(black_box(data), geometry, &mut small).expect("our own frame");
        black_box(&small);
    }
}

/// Bytes without meaning, always the same.
fn yuyv() -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..WIDTH * HEIGHT * 2).map(next).collect()
}
