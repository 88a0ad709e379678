//! The first pass allocates nothing per frame once it has met the largest frame and nothing moves. A
//! binary of its own, because the allocator that counts is the whole process's.

#![cfg(test)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use vedette::clock::BootTime;
use vedette::firstpass::jpeg_dc::DcReader;
use vedette::firstpass::{FirstPass, MotionSettings};
use vedette::frame::{Frame, Geometry, PixelFormat, Stamp};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[allow(unsafe_code)]
// SAFETY: everything is handed to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps `dealloc`'s contract; `at` came from the system's allocator.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(geometry: Geometry, frames: &[Vec<u8>]) -> u64 {
    let mut pass = FirstPass::new(MotionSettings::default());
    let mut before = 0;
    for i in 0..150u32 {
        if i == 50 {
            before = ALLOCATIONS.with(Cell::get);
        }
        let captured = BootTime(0) + Duration::from_millis(200) * i;
        let data = &frames[i as usize % frames.len()];
        let frame = Frame { geometry, data, sequence: 0, captured, stamp: Stamp::Driver };
        let seen = pass.look(&frame).unwrap();
        assert!(!seen.motion && seen.boxes.is_empty(), "frame {i}");
    }
    ALLOCATIONS.with(Cell::get) - before
}

#[test]
fn a_hundred_jpeg_frames_without_motion_allocate_nothing() {
    let jpeg = include_bytes!("fixtures/jpeg/restart-blocks-422.jpg").to_vec();
    let geometry = Geometry { format: PixelFormat::Mjpeg, width: 0, height: 0, stride: 0 };
    assert_eq!(allocations(geometry, &[jpeg]), 0);
}

/// Encoders that compute their Huffman tables for each frame: more pairs of tables than are kept.
#[test]
fn jpegs_with_ever_other_tables_allocate_nothing() {
    let frames = [
        include_bytes!("fixtures/jpeg/ffmpeg-420.jpg").as_slice(),
        include_bytes!("fixtures/jpeg/restart-rows-420-optimised.jpg"),
        include_bytes!("fixtures/jpeg/restart-blocks-422.jpg"),
        include_bytes!("fixtures/jpeg/non-interleaved-420.jpg"),
    ];
    let mut reader = DcReader::new();
    let mut read_all = || frames.iter().for_each(|jpeg| reader.read(jpeg).unwrap());
    read_all();
    let before = ALLOCATIONS.with(Cell::get);
    read_all();
    assert_eq!(ALLOCATIONS.with(Cell::get) - before, 0);
}

#[test]
fn a_hundred_raw_frames_without_motion_allocate_nothing() {
    let mut rng = fastrand::Rng::with_seed(2);
    for format in PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw()) {
        let geometry = Geometry { format, width: 640, height: 360, stride: 0 };
        let len = geometry.frame_bytes();
        let frames: Vec<Vec<u8>> =
            (0..5).map(|_| (0..len).map(|_| rng.u8(90..120)).collect()).collect();
        assert_eq!(allocations(geometry, &frames), 0, "{}", format.name());
    }
}

#[test]
fn the_allocator_does_count() {
    let before = ALLOCATIONS.with(Cell::get);
    drop(std::hint::black_box(vec![1u8; 100]));
    assert!(ALLOCATIONS.with(Cell::get) > before);
}
