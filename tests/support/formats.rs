//! Pictures as a camera's frames, in every pixel format, and sheets that show them side by side.
//!
//! The packer is written from the drawings in V4L2's documentation, "Image Formats", and shares nothing with
//! what reads frames in the library: it is the other side of the comparison.

#![cfg(test)]
#![allow(dead_code, reason = "each test takes what it needs")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use font8x8::legacy::BASIC_LEGACY;
use vedette::frame::{Depth, Geometry, Mosaic, PixelFormat};

/// A picture in RGB.
#[derive(Clone)]
pub(crate) struct Picture {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) rgb: Vec<[u8; 3]>,
}

/// The colours of the bars, from the left.
pub(crate) const BARS: [[u8; 3]; 8] = [
    [255, 255, 255],
    [255, 255, 0],
    [0, 255, 255],
    [0, 255, 0],
    [255, 0, 255],
    [255, 0, 0],
    [0, 0, 255],
    [0, 0, 0],
];

impl Picture {
    /// Eight bars over a ramp of grey.
    pub(crate) fn bars(width: usize, height: usize) -> Self {
        let colour = |x: usize, y: usize| match y * 3 < height * 2 {
            true => BARS[x * 8 / width],
            false => [(x * 255 / (width - 1)) as u8; 3],
        };
        Self {
            width,
            height,
            rgb: (0..width * height).map(|i| colour(i % width, i / width)).collect(),
        }
    }

    /// Out of bytes `R G B R G B …`.
    pub(crate) fn of(width: usize, height: usize, bytes: &[u8]) -> Self {
        Self { width, height, rgb: bytes.as_chunks::<3>().0.to_vec() }
    }

    /// What a JPEG shows.
    pub(crate) fn decoded(jpeg: &[u8]) -> Self {
        let image = turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::RGB).unwrap();
        let rows = image.pixels.chunks(image.pitch).take(image.height);
        let bytes: Vec<u8> = rows.flat_map(|row| row[..image.width * 3].to_vec()).collect();
        Self::of(image.width, image.height, &bytes)
    }

    /// A pixel; beyond the edge the nearest.
    pub(crate) fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
    }

    /// The same in the luma of each pixel.
    pub(crate) fn grey(&self) -> Self {
        let rgb = self.rgb.iter().map(|&rgb| [jfif(rgb)[0].round() as u8; 3]).collect();
        Self { rgb, ..*self }
    }

    /// Decibels of the peak over the mean square of what differs.
    pub(crate) fn psnr(&self, other: &Self) -> f64 {
        assert_eq!((self.width, self.height), (other.width, other.height));
        let pairs = self.rgb.as_flattened().iter().zip(other.rgb.as_flattened());
        let squares: f64 = pairs.map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
        10.0 * (255.0 * 255.0 / (squares / (self.rgb.len() * 3) as f64).max(1e-9)).log10()
    }

    /// Mean of a pixel's Y, U or V over pixels that share a sample.
    fn shared(&self, channel: usize, xs: &[usize], ys: &[usize]) -> u8 {
        let at = |(x, y)| jfif(self.at(x, y))[channel];
        let all: Vec<f64> = ys.iter().flat_map(|&y| xs.iter().map(move |&x| at((x, y)))).collect();
        (all.iter().sum::<f64>() / all.len() as f64).round().clamp(0.0, 255.0) as u8
    }

    /// The picture as a camera gives it: the frame's bytes, with `padding` behind each row of the first plane.
    pub(crate) fn frame(&self, format: PixelFormat, padding: u32) -> (Geometry, Vec<u8>) {
        use PixelFormat as F;
        let (w, h) = (self.width, self.height);
        let luma = |x: usize, y: usize| self.shared(0, &[x], &[y]);
        let (u, v) = (1, 2);
        let row = |y: usize| -> Vec<u8> {
            let quads = |order: [usize; 4]| -> Vec<u8> {
                let quad = |x: usize| {
                    let pair = [x, x + 1];
                    let all = [
                        luma(x, y),
                        self.shared(u, &pair, &[y]),
                        luma(x + 1, y),
                        self.shared(v, &pair, &[y]),
                    ];
                    order.map(|k| all[k])
                };
                (0..w).step_by(2).flat_map(quad).collect()
            };
            let words = |bits: u32, sample: &dyn Fn(usize) -> u8| -> Vec<u8> {
                let word = |x| (u32::from(sample(x)) * ((1 << bits) - 1) / 255) as u16;
                (0..w).flat_map(|x| word(x).to_le_bytes()).collect()
            };
            match format {
                F::Mjpeg => panic!("not a raw format"),
                F::Yuyv => quads([0, 1, 2, 3]),
                F::Uyvy => quads([1, 0, 3, 2]),
                F::Yvyu => quads([0, 3, 2, 1]),
                F::Vyuy => quads([3, 0, 1, 2]),
                F::Rgb24 => (0..w).flat_map(|x| self.at(x, y)).collect(),
                F::Bgr24 => (0..w).flat_map(|x| self.at(x, y).into_iter().rev()).collect(),
                F::Y10 => words(10, &|x| luma(x, y)),
                F::Y12 => words(12, &|x| luma(x, y)),
                F::Y16 => words(16, &|x| luma(x, y)),
                F::Bayer(mosaic, depth) => {
                    let sample = |x: usize| self.at(x, y)[tile(mosaic)[y % 2][x % 2]];
                    match depth {
                        Depth::Eight => (0..w).map(sample).collect(),
                        Depth::Ten => words(10, &sample),
                        Depth::Twelve => words(12, &sample),
                        Depth::Sixteen => words(16, &sample),
                        Depth::TenPacked => packed(w, 4, 10, &sample),
                        Depth::TwelvePacked => packed(w, 2, 12, &sample),
                    }
                }
                _ => (0..w).map(|x| luma(x, y)).collect(),
            }
        };
        let least = row(0).len() as u32;
        let stride =
            (least.next_multiple_of(if least == w as u32 && has_chroma(format) { 2 } else { 1 }))
                + padding;
        let mut data = Vec::new();
        let mut push = |bytes: Vec<u8>, stride: u32| {
            let end = data.len() + stride as usize;
            data.extend(bytes);
            data.resize(end, 0xA5);
        };
        (0..h).for_each(|y| push(row(y), stride));
        let lower = match format {
            F::Nv12 | F::Nv21 | F::I420 | F::Yv12 => 2,
            _ => 1,
        };
        let ys = |y: usize| if lower == 2 { vec![y, y + 1] } else { vec![y] };
        let plane = |channel: usize, y: usize| -> Vec<u8> {
            (0..w).step_by(2).map(|x| self.shared(channel, &[x, x + 1], &ys(y))).collect()
        };
        let orders: &[&[usize]] = match format {
            F::Nv12 | F::Nv16 => &[&[1, 2]],
            F::Nv21 | F::Nv61 => &[&[2, 1]],
            F::I420 | F::I422 => &[&[1], &[2]],
            F::Yv12 => &[&[2], &[1]],
            _ => &[],
        };
        for order in orders {
            for y in (0..h).step_by(lower) {
                let planes: Vec<_> = order.iter().map(|&channel| plane(channel, y)).collect();
                let row =
                    (0..w.div_ceil(2)).flat_map(|i| planes.iter().map(move |p| p[i])).collect();
                push(row, stride / (3 - order.len() as u32));
            }
        }
        (Geometry { format, width: w as u32, height: h as u32, stride }, data)
    }
}

fn has_chroma(format: PixelFormat) -> bool {
    use PixelFormat as F;
    matches!(format, F::Nv12 | F::Nv21 | F::Nv16 | F::Nv61 | F::I420 | F::Yv12 | F::I422)
}

/// The colours of a mosaic's tile: 0 red, 1 green, 2 blue.
pub(crate) fn tile(mosaic: Mosaic) -> [[usize; 2]; 2] {
    match mosaic {
        Mosaic::Rggb => [[0, 1], [1, 2]],
        Mosaic::Bggr => [[2, 1], [1, 0]],
        Mosaic::Grbg => [[1, 0], [2, 1]],
        Mosaic::Gbrg => [[1, 2], [0, 1]],
    }
}

/// MIPI's packing: the upper 8 bits of each of `group` samples, then their lower bits, the first sample's
/// lowest.
fn packed(width: usize, group: usize, bits: u32, sample: &dyn Fn(usize) -> u8) -> Vec<u8> {
    let full = |x: usize| u32::from(sample(x)) * ((1 << bits) - 1) / 255;
    let extra = bits - 8;
    let bytes = |x: usize| {
        let samples: Vec<u32> = (x..x + group).map(full).collect();
        let lower = samples.iter().enumerate();
        let lower = lower.map(|(i, s)| (s & ((1 << extra) - 1)) << (extra * i as u32)).sum::<u32>();
        samples.into_iter().map(move |s| (s >> extra) as u8).chain([lower as u8])
    };
    (0..width).step_by(group).flat_map(bytes).collect()
}

/// Y, U and V of RGB, by JFIF's formula.
pub(crate) fn jfif([r, g, b]: [u8; 3]) -> [f64; 3] {
    let [r, g, b] = [r, g, b].map(f64::from);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    [luma, (b - luma) / 1.772 + 128.0, (r - luma) / 1.402 + 128.0]
}

/// Writes a PNG with all pictures in rows of `across`, each with its name above it.
pub(crate) fn sheet(path: &Path, across: usize, cells: &[(String, Picture)]) {
    let cell = cells.iter().map(|(_, p)| (p.width + 8, p.height + 20)).max().unwrap();
    let (width, height) = (cell.0 * across, cell.1 * cells.len().div_ceil(across));
    let mut rgb = vec![[40u8; 3]; width * height];
    for (n, (name, picture)) in cells.iter().enumerate() {
        let (left, top) = (n % across * cell.0 + 4, n / across * cell.1 + 4);
        for (i, c) in name.bytes().enumerate() {
            for (y, bits) in BASIC_LEGACY[usize::from(c & 127)].iter().enumerate() {
                for x in (0..8).filter(|x| bits >> x & 1 == 1) {
                    rgb[(top + y) * width + left + i * 8 + x] = [255; 3];
                }
            }
        }
        for (y, row) in picture.rgb.chunks(picture.width).enumerate() {
            let start = (top + 12 + y) * width + left;
            rgb[start..start + row.len()].copy_from_slice(row);
        }
    }
    let size = format!("{width}x{height}");
    let raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size.as_str(), "-i", "-"];
    let out = ["-frames:v", "1", "-y", path.to_str().unwrap()];
    ffmpeg(&[&raw[..], &out[..]].concat(), rgb.as_flattened());
}

/// What `ffmpeg` writes to its standard output, given this on its standard input.
pub(crate) fn ffmpeg(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("ffmpeg; tools/setup test installs it");
    let mut stdin = child.stdin.take().unwrap();
    let ended = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output().unwrap()
    });
    assert!(ended.status.success(), "ffmpeg {arguments:?}: {}", ended.status);
    ended.stdout
}
