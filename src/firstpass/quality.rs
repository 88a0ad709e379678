//! How a picture is: brightness, contrast and detail from the small luma plane.
//!
//! Called by [`super::FirstPass`] for every analysed frame. Numbers only; whether a picture is dark or
//! blurred is decided by who knows the camera.

use super::Quality;
use super::jpeg_dc::DcReader;
use crate::frame::Luma;

/// Quality of a raw frame: detail is the mean absolute difference of horizontal neighbours.
pub(super) fn of_raw(luma: &Luma) -> Quality {
    Quality { detail: neighbour_difference(luma), ..of_levels(luma) }
}

/// Quality of a JPEG just read: detail is mean bits per block times the mean AC quantiser step. A
/// coarser quantiser spends fewer bits on the same picture, roughly in inverse proportion, so the
/// product is a camera's detail whatever its rate control does.
pub(super) fn of_jpeg(reader: &DcReader) -> Quality {
    let bits = reader.block_bits().iter().map(|&b| u64::from(b)).sum::<u64>();
    let mean = bits as f32 / reader.block_bits().len().max(1) as f32;
    Quality { detail: mean * reader.ac_step(), ..of_levels(reader.luma()) }
}

fn of_levels(luma: &Luma) -> Quality {
    let (mut sum, mut squares) = (0u64, 0u64);
    // In chunks, so that the sums fit 32 bits and the compiler keeps them in vectors.
    for chunk in luma.data.chunks(4096) {
        sum += u64::from(chunk.iter().map(|&v| u32::from(v)).sum::<u32>());
        squares += u64::from(chunk.iter().map(|&v| u32::from(v) * u32::from(v)).sum::<u32>());
    }
    let count = luma.data.len().max(1) as f64;
    let mean = sum as f64 / count;
    let variance = (squares as f64 / count - mean * mean).max(0.0);
    Quality { brightness: mean as f32, contrast: variance.sqrt() as f32, detail: 0.0 }
}

fn neighbour_difference(luma: &Luma) -> f32 {
    let pairs = luma.width.saturating_sub(1) * luma.height;
    let rows = luma.data.chunks_exact(luma.width.max(1));
    let total: u64 = rows
        .map(|row| {
            let next = row.get(1..).unwrap_or_default();
            // 128 differences fit 16 bits, so that the compiler keeps eight sums in a vector.
            let sum = |(a, b): (&[u8], &[u8])| {
                a.iter().zip(b).map(|(a, b)| u16::from(a.abs_diff(*b))).sum::<u16>()
            };
            row.chunks(128).zip(next.chunks(128)).map(|pair| u64::from(sum(pair))).sum::<u64>()
        })
        .sum();
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
}
