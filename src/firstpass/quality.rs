//! How a picture is: brightness, contrast and detail from the small luma plane.
//!
//! Called by [`super::FirstPass`] for every analysed frame. Numbers only; whether a picture is dark or
//! blurred is decided by who knows the camera.

use super::Quality;
use super::jpeg_dc::DcReader;
use super::shrink::{add_differences, add_levels};
use crate::frame::Luma;

/// Quality of a raw frame: detail is the mean absolute difference of horizontal neighbours.
pub(super) fn of_raw(luma: &Luma) -> Quality {
    Quality { detail: neighbour_difference(luma), ..of_levels(luma) }
}

/// Quality of a JPEG just read: detail is mean bits per block times the mean AC quantiser step. A
/// coarser quantiser spends fewer bits on the same picture, roughly in inverse proportion, so the
/// product is a camera's detail whatever its rate control does.
pub(super) fn of_jpeg(reader: &DcReader) -> Quality {
    let mean = sum_of_bits(reader.block_bits()) as f32 / reader.block_bits().len().max(1) as f32;
    Quality { detail: mean * reader.ac_step(), ..of_levels(reader.luma()) }
}

/// All coded bits of luma blocks.
pub(super) fn sum_of_bits(block_bits: &[u16]) -> u64 {
    // So many fit 32 bits.
    let sums = block_bits.chunks(1 << 16).map(|part| part.iter().map(|&b| u32::from(b)).sum());
    sums.map(|sum: u32| u64::from(sum)).sum()
}

fn of_levels(luma: &Luma) -> Quality {
    let (done, mut sum, mut squares) = add_levels(&luma.data);
    for &level in luma.data.get(done..).unwrap_or_default() {
        sum += u64::from(level);
        squares += u64::from(level) * u64::from(level);
    }
    let count = luma.data.len().max(1) as f64;
    let mean = sum as f64 / count;
    let variance = (squares as f64 / count - mean * mean).max(0.0);
    Quality { brightness: mean as f32, contrast: variance.sqrt() as f32, detail: 0.0 }
}

/// Mean absolute difference of horizontal neighbours: of the samples one after the other, without the steps
/// from a row's end to the next one's beginning.
fn neighbour_difference(luma: &Luma) -> f32 {
    let pairs = luma.width.saturating_sub(1) * luma.height;
    let (levels, next) = (&luma.data[..], luma.data.get(1..).unwrap_or_default());
    let (done, sum) = add_differences(levels, next);
    let apart = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b));
    let rest = levels.iter().zip(next).skip(done).map(apart).sum::<u64>();
    let ends = luma.width.saturating_sub(1)..;
    let steps =
        ends.step_by(luma.width.max(1)).map_while(|end| Some((levels.get(end)?, next.get(end)?)));
    let total = sum + rest - steps.map(apart).sum::<u64>();
    total as f32 / pairs.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> u8) -> Luma {
        let data = (0..width * height).map(|i| value(i % width, i / width)).collect();
        Luma { width, height, data }
    }

    #[test]
    fn a_flat_plane_has_brightness_alone() {
        let q = of_raw(&plane(30, 20, |_, _| 77));
        assert_eq!((q.brightness, q.contrast, q.detail), (77.0, 0.0, 0.0));
    }

    #[test]
    fn stripes_have_the_contrast_and_detail_of_their_definition() {
        let q = of_raw(&plane(100, 90, |x, _| if x % 2 == 0 { 100 } else { 120 }));
        assert_eq!((q.brightness, q.contrast, q.detail), (110.0, 10.0, 20.0));
    }

    #[test]
    fn empty_and_single_sample_planes_are_no_division_by_zero() {
        assert_eq!(of_raw(&Luma::default()), Quality::default());
        assert_eq!(of_raw(&plane(1, 1, |_, _| 9)).detail, 0.0);
    }

    #[test]
    fn vectors_and_plain_numbers_agree_whatever_the_size() {
        let mut rng = fastrand::Rng::with_seed(2);
        for (width, height) in [(1, 5), (7, 3), (15, 1), (16, 1), (17, 2), (33, 5), (240, 135)] {
            let noise: Vec<u8> = (0..width * height).map(|_| rng.u8(..)).collect();
            let luma = plane(width, height, |x, y| noise[y * width + x]);
            let squared: u64 = noise.iter().map(|&v| u64::from(v).pow(2)).sum();
            let sum: u64 = noise.iter().map(|&v| u64::from(v)).sum();
            let rows = noise.chunks(width).flat_map(|row| row.windows(2));
            let apart: u64 = rows.map(|pair| u64::from(pair[0].abs_diff(pair[1]))).sum();
            let count = noise.len() as f64;
            let mean = sum as f64 / count;
            let variance = squared as f64 / count - mean * mean;
            let q = of_raw(&luma);
            assert_eq!((q.brightness, q.contrast), (mean as f32, variance.sqrt() as f32));
            assert_eq!(q.detail, apart as f32 / ((width - 1) * height).max(1) as f32, "{width}");
        }
    }

    #[test]
    fn the_brightest_plane_of_many_samples_does_not_overflow() {
        let q = of_raw(&plane(4096, 300, |x, _| if x % 2 == 0 { 255 } else { 0 }));
        assert_eq!((q.brightness, q.contrast), (127.5, 127.5));
        assert!((q.detail - 255.0).abs() < 0.001, "{}", q.detail);
    }

    #[test]
    fn bits_of_blocks_are_summed_beyond_32_bits() {
        assert_eq!(sum_of_bits(&vec![u16::MAX; 70_000]), 70_000 * 65_535);
    }
}
