//! How sharp a subject is, twice: cheaply for every candidate, and well for the few that are left. Pure.
//!
//! **Cheaply**, of what is there already ([`of_blocks`]): coded bits a block of the subject's box times the
//! mean AC quantiser step, as [`super::Quality::detail`] does for the whole frame. Raw frames are read in
//! the box only, every fourth row: the mean difference of pixels two apart ([`of_raw`]; two, so that a
//! mosaic's colours are compared with themselves). Noise counts as detail here, which does no harm among
//! frames of one moment: they have the same.
//!
//! **Well**, on a plane of grey levels at half scale ([`of_plane`]): the energy of the Sobel gradient
//! (Tenenbaum's measure; Pertuz, Puig and Garcia, "Analysis of focus measure operators for
//! shape-from-focus", Pattern Recognition 46, 2013) of each 8×8 block of the box, less twice the noise
//! floor, which is the energy that 85 of 100 blocks of the whole plane exceed. So noise, which is
//! everywhere, lowers the figure; what chance leaves of it is below 2 %. The root of the mean is told, in grey levels.
//!
//! Called by [`super::FirstPass`] on the camera thread and by the still thread. Nothing here can panic
//! whatever box, plane or frame is given; a box beyond the plane is cut, an empty one is worth nothing.

use super::shrink::Layout;
use crate::frame::{Frame, Luma, PixelBox};

/// Side of a block of the plane at half scale.
const BLOCK: usize = 8;
/// Rows of a raw frame of which one is read.
const EVERY_ROW: usize = 4;
/// How often the noise floor is taken off: more than once, so that its own scatter leaves nothing.
const FLOORS: f32 = 2.0;
/// So many blocks in a hundred lie below the noise floor. Fewer, and the few that coding made plain decide;
/// more, and a scene with texture everywhere has no sharpness left (`tests/sharpness.rs`).
const FLOOR_PERCENT: usize = 15;

/// What a picture of a subject is worth beside others of the same event: sharpness times the share of
/// the frame that the subject's box covers.
#[must_use]
pub fn worth(sharpness: f32, subject: PixelBox, frame: (u32, u32)) -> f32 {
    let pixels = |w: u32, h: u32| f64::from(w) * f64::from(h);
    let share = pixels(subject.w, subject.h) / pixels(frame.0, frame.1).max(1.0);
    sharpness * share.min(1.0) as f32
}

/// Mean of the blocks' coded bits in the box, times the quantiser step. `bits` has one entry a block of
/// 8×8 pixels, `across` in a row.
pub(super) fn of_blocks(bits: &[u16], across: usize, step: f32, subject: PixelBox) -> f32 {
    let (mut sum, mut count) = (0_u64, 0_u64);
    let down = bits.len() / across.max(1);
    let (columns, rows) =
        (blocks(subject.x, subject.w, across), blocks(subject.y, subject.h, down));
    for row in bits.chunks_exact(across.max(1)).take(rows.end).skip(rows.start) {
        let row = row.get(columns.clone()).unwrap_or_default();
        sum += row.iter().map(|&b| u64::from(b)).sum::<u64>();
        count += row.len() as u64;
    }
    sum as f32 / count.max(1) as f32 * step
}

/// The blocks of 8 pixels that a span touches, of `most`.
fn blocks(from: u32, length: u32, most: usize) -> std::ops::Range<usize> {
    let end = (from.saturating_add(length) as usize).div_ceil(8).min(most);
    (from as usize / 8).min(end)..end
}

/// Mean difference of pixels two apart in the box of a raw frame; nothing for a frame that is none.
pub(super) fn of_raw(frame: &Frame<'_>, subject: PixelBox) -> f32 {
    let Some(layout) = Layout::of(frame.geometry.format) else { return 0.0 };
    let Ok([luma, ..]) = frame.geometry.layers(frame.data) else { return 0.0 };
    let right = subject.x.saturating_add(subject.w).min(frame.geometry.width) as usize;
    let below = subject.y.saturating_add(subject.h).min(frame.geometry.height) as usize;
    let (mut sum, mut count) = (0_u64, 0_u64);
    for row in (subject.y as usize..below).step_by(EVERY_ROW).map(|y| luma.row(y)) {
        for x in subject.x as usize + 2..right {
            let (left, here) = (layout.sample(row, x - 2), layout.sample(row, x));
            sum += u64::from(left.abs_diff(here));
        }
        count += right.saturating_sub(subject.x as usize + 2) as u64;
    }
    sum as f32 / count.max(1) as f32
}

/// Sharpness of the box (in samples of the plane) in grey levels, the picture's noise taken off.
#[must_use]
pub fn of_plane(plane: &Luma, subject: PixelBox) -> f32 {
    let (across, down) =
        (plane.width.saturating_sub(2) / BLOCK, plane.height.saturating_sub(2) / BLOCK);
    if across == 0 || down == 0 || plane.data.len() < plane.width * plane.height {
        return 0.0;
    }
    let energies: Vec<f32> = (0..across * down)
        .map(|n| energy(plane, 1 + n % across * BLOCK, 1 + n / across * BLOCK))
        .collect();
    let mut sorted = energies.clone();
    let nth = sorted.len() * FLOOR_PERCENT / 100;
    let floor = *sorted.select_nth_unstable_by(nth, f32::total_cmp).1;
    let (columns, rows) =
        (blocks(subject.x, subject.w, across), blocks(subject.y, subject.h, down));
    let inside = rows.flat_map(|y| columns.clone().map(move |x| y * across + x));
    let (sum, count) = inside
        .filter_map(|at| energies.get(at))
        .fold((0.0, 0_u32), |(sum, n), e| (sum + f64::from((e - FLOORS * floor).max(0.0)), n + 1));
    (sum / f64::from(count.max(1))).sqrt() as f32
}

/// Mean squared Sobel gradient of a block whose neighbours lie within the plane, in squared grey levels:
/// Sobel's weights sum to 8 a unit of slope.
fn energy(plane: &Luma, x0: usize, y0: usize) -> f32 {
    let mut sum = 0_i64;
    for y in y0..y0 + BLOCK {
        let row = |y: usize| &plane.data[y * plane.width + x0 - 1..][..BLOCK + 2];
        let (above, here, below) = (row(y - 1), row(y), row(y + 1));
        for x in 1..=BLOCK {
            let at = |row: &[u8], x: usize| i32::from(row[x]);
            let down = |x: usize| at(above, x) + 2 * at(here, x) + at(below, x);
            let along = |row: &[u8]| at(row, x - 1) + 2 * at(row, x) + at(row, x + 1);
            let (gx, gy) = (down(x + 1) - down(x - 1), along(below) - along(above));
            sum += i64::from(gx * gx + gy * gy);
        }
    }
    sum as f32 / (64 * BLOCK * BLOCK) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::frame::{Geometry, PixelFormat, Stamp};
    use proptest::prelude::*;

    fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Luma {
        let data = (0..width * height).map(|i| value(i % width, i / width)).collect();
        Luma { width, height, data }
    }

    const ALL: PixelBox = PixelBox { x: 0, y: 0, w: u32::MAX, h: u32::MAX };

    #[test]
    fn a_slope_has_its_steepness_where_it_is_and_the_rest_of_the_plane_is_its_floor() {
        let slope = plane(100, 50, |x, _| if x < 50 { 60 } else { (60 + (x - 50) * 3) as u8 });
        let right = PixelBox { x: 60, y: 0, w: 30, h: 40 };
        assert!((of_plane(&slope, right) - 3.0).abs() < 0.01, "{}", of_plane(&slope, right));
        assert_eq!(of_plane(&slope, PixelBox { w: 40, x: 0, ..right }), 0.0);
    }

    #[test]
    fn noise_alone_is_no_sharpness() {
        let mut rng = fastrand::Rng::with_seed(1);
        let noise: Vec<u8> = (0..200 * 200).map(|_| rng.u8(100..140)).collect();
        let noisy = plane(200, 200, |x, y| noise[y * 200 + x]);
        assert!(of_plane(&noisy, ALL) < 1.0, "{}", of_plane(&noisy, ALL));
    }

    #[test]
    fn blocks_count_in_the_box_only() {
        let mut bits = vec![10_u16; 8 * 6];
        (2..4).for_each(|y| bits[y * 8 + 3..y * 8 + 5].fill(90));
        let subject = PixelBox { x: 24, y: 16, w: 16, h: 16 };
        assert_eq!(of_blocks(&bits, 8, 2.0, subject), 180.0);
        assert_eq!(of_blocks(&bits, 8, 2.0, PixelBox { x: 500, ..subject }), 0.0);
        assert_eq!(of_blocks(&[], 0, 2.0, subject), 0.0);
    }

    /// Stripes two pixels wide, in a format with `bytes` a pixel of which the luma is at `at`.
    #[test]
    fn raw_frames_are_read_in_the_box_whatever_their_format() {
        let stripes =
            |x: usize| if (160..240).contains(&x) && (x / 2).is_multiple_of(2) { 160 } else { 100 };
        let (width, height) = (320_usize, 40_usize);
        let sharpness = |format, row: Vec<u8>, x| {
            let geometry =
                Geometry { format, width: width as u32, height: height as u32, stride: 0 };
            let data = row.repeat(height);
            let (captured, stamp) = (BootTime(0), Stamp::Driver);
            let frame = Frame { geometry, data: &data, sequence: 0, captured, stamp };
            of_raw(&frame, PixelBox { x, y: 8, w: 60, h: 30 })
        };
        let each = |f: &dyn Fn(u8) -> Vec<u8>| (0..width).flat_map(|x| f(stripes(x))).collect();
        let rows: [(PixelFormat, Vec<u8>); 5] = [
            (PixelFormat::Grey, each(&|v| vec![v])),
            (PixelFormat::Yuyv, each(&|v| vec![v, 7])),
            (PixelFormat::Uyvy, each(&|v| vec![7, v])),
            (PixelFormat::Y10, each(&|v| (u16::from(v) << 2).to_le_bytes().to_vec())),
            (PixelFormat::Rgb24, each(&|v| vec![v; 3])),
        ];
        for (format, row) in rows {
            assert_eq!(sharpness(format, row.clone(), 170), 60.0, "{format:?}");
            assert_eq!(sharpness(format, row, 20), 0.0, "{format:?}");
        }
    }

    #[test]
    fn worth_is_sharpness_times_the_share_of_the_frame() {
        let subject = PixelBox { x: 0, y: 0, w: 50, h: 20 };
        assert!((worth(8.0, subject, (100, 100)) - 0.8).abs() < 1e-6);
        assert_eq!(worth(8.0, ALL, (100, 100)), 8.0, "no more than the whole frame");
        assert_eq!(worth(8.0, subject, (0, 0)), 8.0);
    }

    proptest! {
        #[test]
        fn no_box_and_no_plane_is_too_odd(
            (width, height) in (0usize..60, 0usize..60),
            (x, y, w, h) in (0u32..90, 0u32..90, 0u32..90, 0u32..90),
            big in any::<bool>(),
        ) {
            let most = if big { u32::MAX - 50 } else { 0 };
            let subject = PixelBox { x, y, w: w.saturating_add(most), h };
            let grey = plane(width, height, |x, y| (x * y) as u8);
            prop_assert!(of_plane(&grey, subject).is_finite());
            prop_assert!(of_blocks(&vec![9; width * height], width, 1.0, subject).is_finite());
            let geometry = Geometry {
                format: PixelFormat::Grey, width: width as u32, height: height as u32, stride: 0,
            };
            let (captured, stamp) = (BootTime(0), Stamp::Driver);
            let frame = Frame { geometry, data: &grey.data, sequence: 0, captured, stamp };
            prop_assert!(of_raw(&frame, subject).is_finite());
        }
    }
}
