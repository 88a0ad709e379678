//! Every format against the definition, in every size and stride.

use proptest::prelude::*;

use super::*;
use crate::frame::{Depth, PixelFormat};

/// A pixel's luma times 256 over the format's full range, by where V4L2's drawings put it.
fn luma(format: PixelFormat, row: &[u8], x: usize) -> u32 {
    use PixelFormat as F;
    let byte = |at: usize| u32::from(row[at]);
    let word = |bits: u32| (byte(2 * x) | byte(2 * x + 1) << 8) << (16 - bits);
    match format {
        F::Mjpeg => unreachable!(),
        F::Yuyv | F::Yvyu => byte(2 * x) << 8,
        F::Uyvy | F::Vyuy => byte(2 * x + 1) << 8,
        F::Nv12 | F::Nv21 | F::Nv16 | F::Nv61 | F::I420 | F::Yv12 | F::I422 => byte(x) << 8,
        F::Grey | F::Bayer(_, Depth::Eight) => byte(x) << 8,
        F::Y10 | F::Bayer(_, Depth::Ten) => word(10),
        F::Y12 | F::Bayer(_, Depth::Twelve) => word(12),
        F::Y16 | F::Bayer(_, Depth::Sixteen) => word(16),
        F::Rgb24 => 77 * byte(3 * x) + 150 * byte(3 * x + 1) + 29 * byte(3 * x + 2),
        F::Bgr24 => 29 * byte(3 * x) + 150 * byte(3 * x + 1) + 77 * byte(3 * x + 2),
        F::Bayer(_, Depth::TenPacked) => byte(x / 4 * 5 + x % 4) << 8,
        F::Bayer(_, Depth::TwelvePacked) => byte(x / 2 * 3 + x % 2) << 8,
    }
}

/// Block means by the definition, as fractions.
fn by_definition(data: &[u8], geometry: Geometry) -> (usize, Vec<f64>) {
    let (width, height) = (geometry.width as usize, geometry.height as usize);
    let (across, down) = (width.div_ceil(8), height.div_ceil(8));
    let mut means = Vec::new();
    for block in 0..across * down {
        let (bx, by) = (block % across * 8, block / across * 8);
        let (mut sum, mut count) = (0u64, 0u64);
        for y in by..height.min(by + 8) {
            let row = &data[y * geometry.stride as usize..];
            for x in bx..width.min(bx + 8) {
                sum += u64::from(luma(geometry.format, row, x));
                count += 1;
            }
        }
        means.push(sum as f64 / count as f64 / 256.0);
    }
    (across, means)
}

/// All raw formats.
fn formats() -> impl Iterator<Item = PixelFormat> {
    PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw())
}

/// Noise; words have no bits that the format lacks.
fn noise(format: PixelFormat, stride: usize, len: usize, seed: u64) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let upper = match Layout::of(format) {
        Some(Layout::Words(bits)) => ((1u32 << (bits - 8)) - 1) as u8,
        _ => 255,
    };
    (0..len).map(|i| rng.u8(..) & if i % stride % 2 == 1 { upper } else { 255 }).collect()
}

#[test]
fn vector_and_scalar_sums_agree() {
    for format in formats() {
        let layout = Layout::of(format).unwrap();
        for width in [1, 7, 8, 9, 24, 31, 32, 33, 56, 63, 64, 65, 95, 96, 103, 127, 128, 520, 523] {
            let len = format.row_bytes(width) as usize;
            let row = noise(format, len, len, 3);
            let width = width as usize;
            let sums = |vectors| match layout.is_bytes() {
                true => row_sums::<u16>(layout, &row, width, vectors),
                false => row_sums::<u32>(layout, &row, width, vectors),
            };
            assert_eq!(sums(true), sums(false), "{} {width}", format.name());
        }
    }
}

fn row_sums<S: Sum>(layout: Layout, row: &[u8], width: usize, vectors: bool) -> Vec<u32> {
    let mut sums = vec![S::from(5); width.div_ceil(8)];
    match vectors {
        true => layout.add_row(row, width, &mut sums),
        false => layout.add_row_scalar(row, width, &mut sums),
    }
    sums.into_iter().map(Into::into).collect()
}

#[test]
fn white_is_white_and_black_is_black_and_chroma_has_no_part() {
    for format in formats() {
        let geometry = Geometry { format, width: 64, height: 16, stride: 0 };
        let frame = |level: u8| {
            let mut data = vec![if level == 0 { 255 } else { 0 }; geometry.frame_bytes() as usize];
            let row = format.row_bytes(64) as usize;
            for (at, byte) in data[..row * 16].iter_mut().enumerate() {
                let is_luma = match Layout::of(format).unwrap() {
                    Layout::Even => at % 2 == 0,
                    Layout::Odd => at % 2 == 1,
                    Layout::FourInFive => at % 5 != 4,
                    Layout::TwoInThree => at % 3 != 2,
                    Layout::Words(bits) if at % 2 == 1 => {
                        *byte = level & ((1u32 << (bits - 8)) - 1) as u8;
                        false
                    }
                    _ => true,
                };
                if is_luma {
                    *byte = level;
                }
            }
            data
        };
        for level in [0, 255] {
            let mut out = Luma::default();
            Shrinker::default().shrink(&frame(level), geometry, &mut out).unwrap();
            assert_eq!(out.data, [level; 16], "{} {level}", format.name());
        }
    }
}

#[test]
fn bits_that_the_format_does_not_have_are_white_and_no_overflow() {
    for (format, beyond) in [(PixelFormat::Y10, 1 << 10), (PixelFormat::Y12, 1u16 << 12)] {
        let geometry = Geometry { format, width: 64, height: 8, stride: 0 };
        let mut out = Luma::default();
        for word in [beyond, u16::MAX] {
            let data = word.to_le_bytes().repeat(64 * 8);
            Shrinker::default().shrink(&data, geometry, &mut out).unwrap();
            assert_eq!(out.data, [255; 8], "{} {word}", format.name());
        }
    }
}

#[test]
fn unusable_buffers_are_errors_and_leave_the_plane() {
    let mut shrinker = Shrinker::default();
    let mut out = Luma { width: 1, height: 1, data: vec![9] };
    let mut shrink = |data: &[u8], format, width, height, stride| {
        shrinker.shrink(data, Geometry { format, width, height, stride }, &mut out)
    };
    let yuyv = PixelFormat::Yuyv;
    assert_eq!(shrink(&[], yuyv, 0, 4, 0), Err(ShapeError::Empty));
    assert_eq!(shrink(&[0; 64], PixelFormat::Mjpeg, 8, 4, 0), Err(ShapeError::Empty));
    let stride = ShapeError::Stride { stride: 15, width: 8 };
    assert_eq!(shrink(&[0; 64], yuyv, 8, 4, 15), Err(stride));
    let short = ShapeError::Short { have: 63, need: 64 };
    assert_eq!(shrink(&[0; 63], yuyv, 8, 4, 16), Err(short));
    let nv12 = ShapeError::Short { have: 47, need: 48 };
    assert_eq!(shrink(&[0; 47], PixelFormat::Nv12, 8, 4, 0), Err(nv12), "chroma is missing");
    for format in formats() {
        let huge = shrink(&[0; 64], format, u32::MAX, u32::MAX, 0);
        assert!(matches!(huge, Err(ShapeError::Short { have: 64, .. })), "{}", format.name());
    }
    assert_eq!(out, Luma { width: 1, height: 1, data: vec![9] });
}

proptest! {
    #[test]
    fn any_size_and_stride_gives_the_means(
        index in 1..PixelFormat::PREFERENCE.len(), width in 1u32..150, height in 1u32..40,
        pad in 0u32..40, seed: u64,
    ) {
        let format = PixelFormat::PREFERENCE[index];
        let stride = format.row_bytes(width) as u32 + pad;
        let geometry = Geometry { format, width, height, stride };
        // The last row need not be padded.
        let data = noise(format, stride as usize, geometry.least_bytes() as usize, seed);
        let mut out = Luma::default();
        Shrinker::default().shrink(&data, geometry, &mut out).unwrap();
        let (across, means) = by_definition(&data, geometry);
        prop_assert_eq!((out.width, out.data.len()), (across, means.len()));
        for (got, mean) in out.data.iter().zip(means) {
            // Rounded where samples have 8 bits; else the bits beyond are dropped.
            let off = mean - f64::from(*got);
            let eight = Layout::of(format).unwrap().extra_bits() == 0;
            let right = if eight { off.abs() <= 0.5 } else { (-0.5..1.0).contains(&off) };
            prop_assert!(right, "{}: {} not {}", format.name(), got, mean);
        }
    }

    #[test]
    fn arbitrary_shapes_never_panic(
        data in prop::collection::vec(any::<u8>(), 0..1500), index in 0..PixelFormat::PREFERENCE.len(),
        w: u32, h: u32, small_w in 0u32..40, small_h in 0u32..20, stride: u32,
    ) {
        let format = PixelFormat::PREFERENCE[index];
        let (mut shrinker, mut out) = (Shrinker::default(), Luma::default());
        let geometry = Geometry { format, width: w, height: h, stride };
        shrinker.shrink(&data, geometry, &mut out).ok();
        let small = Geometry { width: small_w, height: small_h, stride: stride % 90, ..geometry };
        shrinker.shrink(&data, small, &mut out).ok();
        shrinker.shrink(&data, Geometry { stride: 0, ..small }, &mut out).ok();
    }
}
