//! Frames into planes and JPEGs.

use proptest::prelude::*;

use super::*;
use crate::frame::{Depth, Mosaic, PixelFormat};

pub(in crate::still) fn yuyv(width: u32, height: u32, stride: u32) -> Geometry {
    Geometry { format: PixelFormat::Yuyv, width, height, stride }
}

/// A smooth picture with some colour, as a camera would send it.
pub(in crate::still) fn picture(width: u32, height: u32) -> Vec<u8> {
    let pair = |i: u32, y: u32| {
        let luma = |x: u32| 120 + ((x * 3 + y * 2) % 120) as u8;
        [luma(2 * i), 60 + (y % 100) as u8, luma(2 * i + 1), 90 + (i % 100) as u8]
    };
    (0..height).flat_map(|y| (0..width.div_ceil(2)).flat_map(move |i| pair(i, y))).collect()
}

/// A JPEG as a camera would send it, with Huffman tables.
pub(in crate::still) fn jpeg(width: u32, height: u32) -> Vec<u8> {
    let mut planes = Planes::default();
    planes.take(&picture(width, height), yuyv(width, height, 0)).unwrap();
    Encoder::default().encode(&planes, 80).unwrap().to_vec()
}

/// A frame as its samples, each by its place in V4L2's drawings.
struct Drawn<'a> {
    data: &'a [u8],
    geometry: Geometry,
}

impl Drawn<'_> {
    fn stride(&self) -> usize {
        self.geometry.stride as usize
    }

    fn size(&self) -> (usize, usize) {
        (self.geometry.width as usize, self.geometry.height as usize)
    }

    /// The byte at `at` of row `y` of the plane that begins at `start`.
    fn byte(&self, start: usize, stride: usize, y: usize, at: usize) -> u8 {
        self.data[start + y * stride + at]
    }

    /// The upper 8 bits of a sample of a format that has one a pixel.
    fn sample(&self, x: usize, y: usize) -> u8 {
        use PixelFormat as F;
        let byte = |at| self.byte(0, self.stride(), y, at);
        let word = |bits: u32| {
            let word = u16::from(byte(2 * x)) | u16::from(byte(2 * x + 1)) << 8;
            (word >> (bits - 8)).min(255) as u8
        };
        match self.geometry.format {
            F::Y10 | F::Bayer(_, Depth::Ten) => word(10),
            F::Y12 | F::Bayer(_, Depth::Twelve) => word(12),
            F::Y16 | F::Bayer(_, Depth::Sixteen) => word(16),
            F::Bayer(_, Depth::TenPacked) => byte(x / 4 * 5 + x % 4),
            F::Bayer(_, Depth::TwelvePacked) => byte(x / 2 * 3 + x % 2),
            _ => byte(x),
        }
    }

    /// Luma and chroma of a pixel; `None` for formats of colours.
    fn yuv(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        use PixelFormat as F;
        let (stride, height) = (self.stride(), self.size().1);
        let packed = |[luma, u, v]: [usize; 3]| {
            let at = |offset| self.byte(0, stride, y, x / 2 * 4 + offset);
            Some([at(luma + x % 2 * 2), at(u), at(v)])
        };
        let behind = stride * height;
        let pairs = |u: usize, lower: usize| {
            let at = |offset| self.byte(behind, stride, y / lower, x / 2 * 2 + offset);
            Some([self.sample(x, y), at(u), at(1 - u)])
        };
        let planes = |u: usize, lower: usize| {
            let plane = stride / 2 * height.div_ceil(lower);
            let at = |n| self.byte(behind + n * plane, stride / 2, y / lower, x / 2);
            Some([self.sample(x, y), at(u), at(1 - u)])
        };
        match self.geometry.format {
            F::Yuyv => packed([0, 1, 3]),
            F::Yvyu => packed([0, 3, 1]),
            F::Uyvy => packed([1, 0, 2]),
            F::Vyuy => packed([1, 2, 0]),
            F::Nv12 => pairs(0, 2),
            F::Nv21 => pairs(1, 2),
            F::Nv16 => pairs(0, 1),
            F::Nv61 => pairs(1, 1),
            F::I420 => planes(0, 2),
            F::Yv12 => planes(1, 2),
            F::I422 => planes(0, 1),
            F::Grey | F::Y10 | F::Y12 | F::Y16 => Some([self.sample(x, y), 128, 128]),
            _ => None,
        }
    }

    /// Red, green and blue of a pixel; of a mosaic the mean of the nearest that have the colour.
    fn rgb(&self, x: usize, y: usize) -> [f64; 3] {
        let byte = |at| f64::from(self.byte(0, self.stride(), y, at));
        match self.geometry.format {
            PixelFormat::Rgb24 => [0, 1, 2].map(|k| byte(3 * x + k)),
            PixelFormat::Bgr24 => [2, 1, 0].map(|k| byte(3 * x + k)),
            PixelFormat::Bayer(mosaic, _) => {
                let tile = match mosaic {
                    Mosaic::Rggb => [[0, 1], [1, 2]],
                    Mosaic::Bggr => [[2, 1], [1, 0]],
                    Mosaic::Grbg => [[1, 0], [2, 1]],
                    Mosaic::Gbrg => [[1, 2], [0, 1]],
                };
                [0, 1, 2].map(|colour| self.nearest(x, y, |x, y| tile[y % 2][x % 2] == colour))
            }
            other => panic!("{other:?}"),
        }
    }

    fn nearest(&self, x: usize, y: usize, has: impl Fn(usize, usize) -> bool) -> f64 {
        let (width, height) = self.size();
        let mirrored = |at: i64, len: usize| {
            let last = len as i64 - 1;
            (if at > last { 2 * last - at } else { at.abs() }).unsigned_abs() as usize
        };
        for distance in 0..=2 {
            let (mut sum, mut count) = (0.0, 0.0);
            for (dx, dy) in (-1..=1i64).flat_map(|dx| (-1..=1i64).map(move |dy| (dx, dy))) {
                let at = (mirrored(x as i64 + dx, width), mirrored(y as i64 + dy, height));
                if dx * dx + dy * dy == distance && has(at.0, at.1) {
                    sum += f64::from(self.sample(at.0, at.1));
                    count += 1.0;
                }
            }
            if count > 0.0 {
                return sum / count;
            }
        }
        panic!("no such colour near {x} {y}");
    }
}

/// Random bytes of a random shape, the last row with its padding or without.
fn shapes() -> impl Strategy<Value = (Geometry, Vec<u8>)> {
    let index = 1..PixelFormat::PREFERENCE.len();
    (index, 2u32..70, 2u32..20, 0u32..9, any::<bool>(), any::<u64>()).prop_map(
        |(index, width, height, padding, cut, seed)| {
            let format = PixelFormat::PREFERENCE[index];
            let stride = format.row_bytes(width) as u32 + padding;
            let geometry = Geometry { format, width, height, stride };
            let len = if cut { geometry.least_bytes() } else { geometry.frame_bytes() };
            let mut rng = fastrand::Rng::with_seed(seed);
            (geometry, (0..len).map(|_| rng.u8(..)).collect())
        },
    )
}

/// Each sample of a plane with the pixels it stands for, of which the last column and row repeat.
fn check(
    planes: &Planes,
    (width, height): (usize, usize),
    mut is: impl FnMut(usize, u8, Vec<(usize, usize)>) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for (n, plane) in planes.each().enumerate() {
        let (step_x, step_y) = if n == 0 { (1, 1) } else { planes.subsamp().size() };
        for (at, &sample) in plane.samples.iter().enumerate() {
            let (x, y) = (at % plane.width * step_x, at / plane.width * step_y);
            let pixels = (0..step_x * step_y).map(|i| (x + i % step_x, y + i / step_x));
            is(n, sample, pixels.map(|(x, y)| (x.min(width - 1), y.min(height - 1))).collect())?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn planes_hold_the_samples_of_any_format_size_and_stride((geometry, data) in shapes()) {
        let mut planes = Planes::default();
        planes.take(&data, geometry).unwrap();
        let drawn = Drawn { data: &data, geometry };
        let size = drawn.size();
        check(&planes, size, |n, sample, pixels| {
            let of: Vec<f64> = if drawn.yuv(0, 0).is_some() {
                pixels.iter().map(|&(x, y)| f64::from(drawn.yuv(x, y).unwrap()[n])).collect()
            } else {
                // Of a mosaic the last column and row are mirrored, not repeated.
                let inside = |&(x, y): &(usize, usize)| {
                    let odd = (x + 1 == size.0 && size.0 % 2 == 1) || (y + 1 == size.1 && size.1 % 2 == 1);
                    n == 0 || !odd || !matches!(geometry.format, PixelFormat::Bayer(..))
                };
                if !pixels.iter().all(inside) {
                    return Ok(());
                }
                pixels.iter().map(|&(x, y)| jfif(drawn.rgb(x, y))[n]).collect()
            };
            let sample = f64::from(sample);
            let right = if drawn.yuv(0, 0).is_some() {
                // Packed 4:2:2 has chroma in both of the rows that share it here: what is taken lies between.
                sample >= of.iter().copied().fold(255.0, f64::min)
                    && sample <= of.iter().copied().fold(0.0, f64::max)
            } else {
                // Means of means, in fixed point.
                (sample - of.iter().sum::<f64>() / of.len() as f64).abs() <= 2.5
            };
            prop_assert!(right, "{:?} plane {}: {} not {:?} at {:?}", geometry, n, sample, of, pixels);
            Ok(())
        })?;
        let jpeg = Encoder::default().encode(&planes, 90).unwrap();
        let header = turbojpeg::read_header(&jpeg).unwrap();
        prop_assert_eq!((header.width, header.height, header.subsamp), (size.0, size.1, planes.subsamp()));
    }

    #[test]
    fn a_lying_geometry_is_an_error_and_never_a_panic(
        data in prop::collection::vec(any::<u8>(), 0..2000), index in 0..PixelFormat::PREFERENCE.len(),
        width in any::<u32>(), height in any::<u32>(), stride in any::<u32>(),
    ) {
        let format = PixelFormat::PREFERENCE[index];
        let mut planes = Planes::default();
        let geometry = Geometry { format, width, height, stride };
        if width > 2000 || height > 2000 || format == PixelFormat::Mjpeg {
            prop_assert!(planes.take(&data, geometry).is_err());
            prop_assert_eq!(planes.width(), 0, "nothing was allocated");
        }
        let small = Geometry { width: width % 40, height: height % 20, stride: stride % 90, ..geometry };
        planes.take(&data, small).ok();
        planes.take(&data, Geometry { stride: 0, ..small }).ok();
    }
}

/// JFIF's own formula.
fn jfif([r, g, b]: [f64; 3]) -> [f64; 3] {
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    [luma, (b - luma) / 1.772 + 128.0, (r - luma) / 1.402 + 128.0].map(|v: f64| v.clamp(0.0, 255.0))
}

#[test]
fn saturated_colours_do_not_run_over() {
    for colour in 0..8u8 {
        let rgb = [colour & 1, colour >> 1 & 1, colour >> 2].map(|on| on * 255);
        for (format, bytes) in
            [(PixelFormat::Rgb24, rgb), (PixelFormat::Bgr24, [rgb[2], rgb[1], rgb[0]])]
        {
            let mut planes = Planes::default();
            let geometry = Geometry { format, width: 70, height: 6, stride: 0 };
            planes.take(&bytes.repeat(70 * 6), geometry).unwrap();
            let expected = jfif(rgb.map(f64::from));
            for (plane, expected) in planes.each().zip(expected) {
                let right = plane.samples.iter().all(|&s| (f64::from(s) - expected).abs() <= 1.5);
                assert!(right, "{rgb:?}: {:?} not {expected}", plane.samples);
            }
        }
    }
}

#[test]
fn a_frame_wider_than_any_jpeg_is_an_error() {
    let geometry = Geometry { format: PixelFormat::Grey, width: 65_501, height: 1, stride: 0 };
    let taken = Planes::default().take(&vec![0; 65_501], geometry);
    assert!(matches!(taken, Err(EncodeError::Size { width: 65_501, height: 1 })));
}

#[test]
fn grey_frames_are_grey_jpegs_and_422_stays_422() {
    let subsamp = |format| {
        let geometry = Geometry { format, width: 16, height: 8, stride: 0 };
        let mut planes = Planes::default();
        planes.take(&vec![0; geometry.frame_bytes() as usize], geometry).unwrap();
        let jpeg = Encoder::default().encode(&planes, 90).unwrap();
        turbojpeg::read_header(&jpeg).unwrap().subsamp
    };
    use PixelFormat as F;
    for format in [F::Grey, F::Y10, F::Y12, F::Y16] {
        assert_eq!(subsamp(format), turbojpeg::Subsamp::Gray, "{}", format.name());
    }
    for format in [F::Nv16, F::Nv61, F::I422] {
        assert_eq!(subsamp(format), turbojpeg::Subsamp::Sub2x1, "{}", format.name());
    }
    for format in [F::Yuyv, F::Nv12, F::I420, F::Bgr24, F::Bayer(Mosaic::Bggr, Depth::Ten)] {
        assert_eq!(subsamp(format), turbojpeg::Subsamp::Sub2x2, "{}", format.name());
    }
}

#[test]
fn quality_is_that_of_the_profile() {
    let mut planes = Planes::default();
    planes.take(&picture(320, 240), yuyv(320, 240, 0)).unwrap();
    let mut encoder = Encoder::default();
    let sizes = [20, 60, 95].map(|quality| encoder.encode(&planes, quality).unwrap().len());
    assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
}

#[test]
fn planes_that_were_never_filled_are_an_error() {
    assert!(Encoder::default().encode(&Planes::default(), 80).is_err());
}
