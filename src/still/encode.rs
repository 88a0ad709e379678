//! Raw frames to JPEG: planes, their conversion from YUYV, and the encoder.
//!
//! The still thread turns a YUYV frame into 4:2:0 planes and hands these to libjpeg-turbo as they are;
//! the way through RGB costs a quarter more and gains nothing. Samples keep the range the camera gave
//! them. Pure computing on one thread; frames are hostile input: sizes are checked before anything is
//! allocated, so a lying geometry is an error, and memory is bounded by the frame's own bytes.

use turbojpeg::{Compressor, OwnedBuf, Subsamp, YuvImage};
use yuv::{BufferStoreMut, YuvPackedImage, YuvPlanarImageMut};

use crate::frame::Geometry;

/// Why a frame could not be encoded. The caller gives the picture up.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The frame holds fewer bytes than its shape needs.
    #[error("frame of {have} bytes is too short for its size: {need} needed")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: usize,
    },
    /// No JPEG has this size, or the rows overlap.
    #[error("a frame of {width}x{height} with rows of {stride} bytes makes no sense")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Bytes from row to row.
        stride: u32,
    },
    /// The conversion refused.
    #[error("cannot convert the frame: {0}")]
    Convert(#[from] yuv::YuvError),
    /// The encoder refused.
    #[error("cannot encode the picture: {0}")]
    Encode(#[from] turbojpeg::Error),
}

/// Longest side that libjpeg takes.
const MAX_SIDE: u32 = 65_500;

/// A picture as luma and chroma planes, one behind the other without padding, sides rounded up to what
/// the chroma subsampling divides.
#[derive(Debug)]
pub struct Planes {
    samples: Vec<u8>,
    width: usize,
    height: usize,
    subsamp: Subsamp,
}

/// One of the planes, row by row without padding.
pub(super) struct Plane<S> {
    pub(super) samples: S,
    pub(super) width: usize,
    pub(super) height: usize,
    /// So many of its samples, across and down, are the picture's; the others only fill it up.
    pub(super) share: (f64, f64),
}

impl Default for Planes {
    fn default() -> Self {
        Self { samples: Vec::new(), width: 0, height: 0, subsamp: Subsamp::Sub2x2 }
    }
}

impl Planes {
    /// Sets the size, keeping the allocation. Samples are then undefined, but initialised.
    pub fn reset(
        &mut self,
        width: usize,
        height: usize,
        subsamp: Subsamp,
    ) -> Result<(), turbojpeg::Error> {
        let length = turbojpeg::yuv_pixels_len(width, 1, height, subsamp)?;
        self.samples.resize(length, 0);
        (self.width, self.height, self.subsamp) = (width, height, subsamp);
        Ok(())
    }

    /// Width in pixels.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// For libjpeg-turbo to write into.
    pub fn as_image_mut(&mut self) -> YuvImage<&mut [u8]> {
        let Self { samples, width, height, subsamp } = self;
        YuvImage { pixels: samples, width: *width, align: 1, height: *height, subsamp: *subsamp }
    }

    fn as_image(&self) -> YuvImage<&[u8]> {
        let Self { samples, width, height, subsamp } = self;
        YuvImage { pixels: samples, width: *width, align: 1, height: *height, subsamp: *subsamp }
    }

    /// Each plane: luma, and chroma where there is any.
    pub(super) fn each(&self) -> impl Iterator<Item = Plane<&[u8]>> {
        let mut rest = self.samples.as_slice();
        self.sides().map(move |(width, height, share)| {
            let (samples, behind) = rest.split_at(width * height);
            rest = behind;
            Plane { samples, width, height, share }
        })
    }

    /// The same, to write into.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = Plane<&mut [u8]>> {
        let sides = self.sides();
        let mut rest = self.samples.as_mut_slice();
        sides.map(move |(width, height, share)| {
            let (samples, behind) = std::mem::take(&mut rest).split_at_mut(width * height);
            rest = behind;
            Plane { samples, width, height, share }
        })
    }

    /// Width and height of each plane, and how many of their samples are the picture's.
    fn sides(&self) -> impl Iterator<Item = (usize, usize, (f64, f64))> + use<> {
        let shape = self.as_image();
        let ((width, height), (c_width, c_height)) = (shape.y_size(), shape.uv_size());
        let (x, y) = (self.width as f64, self.height as f64);
        let (step_x, step_y) = self.subsamp.size();
        let chroma = (c_width, c_height, (x / step_x as f64, y / step_y as f64));
        let count = if self.subsamp == Subsamp::Gray { 1 } else { 3 };
        [(width, height, (x, y)), chroma, chroma].into_iter().take(count)
    }

    /// How pixels share chroma samples.
    pub(super) fn subsamp(&self) -> Subsamp {
        self.subsamp
    }

    /// Blackens the pixels `from..to` of row `y`, and every chroma sample that has a part in them.
    /// What lies beyond the frame's edge, up to the planes' edge, goes with the last pixel.
    pub fn blacken(&mut self, y: usize, from: usize, to: usize) {
        let shape = self.as_image();
        let ((y_width, y_height), (uv_width, uv_height)) = (shape.y_size(), shape.uv_size());
        let (step_x, step_y) = self.subsamp.size();
        let to = if to >= self.width { y_width } else { to };
        let below = if y + 1 >= self.height { y_height } else { y + 1 };
        if from >= to {
            return;
        }
        for row in y..below {
            fill(&mut self.samples, row * y_width + from, row * y_width + to, 0);
        }
        if self.subsamp == Subsamp::Gray {
            return;
        }
        let columns = (from / step_x, to.div_ceil(step_x).min(uv_width));
        for plane in [y_width * y_height, y_width * y_height + uv_width * uv_height] {
            for row in y / step_y..below.div_ceil(step_y) {
                let start = plane + row * uv_width;
                fill(&mut self.samples, start + columns.0, start + columns.1, 128);
            }
        }
    }

    /// Takes over a YUYV frame as 4:2:0.
    ///
    /// # Errors
    /// The frame is shorter than its geometry says, or the geometry makes no sense.
    pub fn take_yuyv(&mut self, data: &[u8], geometry: Geometry) -> Result<(), EncodeError> {
        let shape = Yuyv::check(data, geometry)?;
        let (width, height) = (shape.width as usize, shape.height as usize);
        self.reset(width, height, Subsamp::Sub2x2)?;
        let (y_stride, y_height) = self.as_image().y_size();
        let (c_stride, c_height) = self.as_image().uv_size();
        let (y, chroma) = self.samples.split_at_mut(y_stride * y_height);
        let (u, v) = chroma.split_at_mut(c_stride * c_height);
        shape.convert([y, u, v], y_stride, c_stride)?;

        // Sides are odd: the encoder reads one more column and row; they repeat the last.
        if y_stride > width {
            for row in y.chunks_exact_mut(y_stride) {
                row[width] = row[width - 1];
            }
        }
        if y_height > height {
            y.copy_within((height - 1) * y_stride..height * y_stride, height * y_stride);
        }
        Ok(())
    }
}

/// A YUYV frame whose bytes are known to be there.
struct Yuyv<'a> {
    data: &'a [u8],
    width: u32,
    height: u32,
    stride: u32,
    /// Bytes of a row without its padding.
    row: usize,
}

impl<'a> Yuyv<'a> {
    fn check(data: &'a [u8], geometry: Geometry) -> Result<Self, EncodeError> {
        let Geometry { width, height, stride, .. } = geometry;
        let wrong = EncodeError::Size { width, height, stride };
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(wrong);
        }
        let row = width.next_multiple_of(2) * 2;
        let stride = if stride == 0 { row } else { stride };
        if stride < row {
            return Err(wrong);
        }
        // The last row may come without its padding. 64 bits hold any product of two u32.
        let need = u64::from(stride) * u64::from(height - 1) + u64::from(row);
        let need = usize::try_from(need).map_err(|_| wrong)?;
        if data.len() < need {
            return Err(EncodeError::Short { have: data.len(), need });
        }
        Ok(Self { data, width, height, stride, row: row as usize })
    }

    /// Pairs of rows at once; what `yuv` leaves out row by row: it skips the last row of an odd height,
    /// and the last pair when the padding behind it is missing.
    fn convert(
        &self,
        [y, u, v]: [&mut [u8]; 3],
        y_stride: usize,
        c_stride: usize,
    ) -> Result<(), EncodeError> {
        let (stride, height) = (self.stride as usize, self.height as usize);
        let paired = (self.data.len() / (2 * stride)).min(height / 2) * 2;
        if let Ok(rows @ 1..) = u32::try_from(paired) {
            let mut target = self.target([&mut *y, &mut *u, &mut *v], y_stride, c_stride, rows);
            let source = YuvPackedImage {
                yuy: &self.data[..paired * stride],
                yuy_stride: self.stride,
                width: self.width,
                height: rows,
            };
            yuv::yuyv422_to_yuv420(&mut target, &source)?;
        }
        for row in paired..height {
            let chroma = row / 2 * c_stride;
            let planes = [&mut y[row * y_stride..], &mut u[chroma..], &mut v[chroma..]];
            let mut target = self.target(planes, y_stride, c_stride, 1);
            let source = YuvPackedImage {
                yuy: &self.data[row * stride..][..self.row],
                yuy_stride: self.row as u32,
                width: self.width,
                height: 1,
            };
            yuv::yuyv422_to_yuv422(&mut target, &source)?;
        }
        Ok(())
    }

    fn target<'p>(
        &self,
        [y, u, v]: [&'p mut [u8]; 3],
        y_stride: usize,
        c_stride: usize,
        height: u32,
    ) -> YuvPlanarImageMut<'p, u8> {
        YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(y),
            y_stride: y_stride as u32,
            u_plane: BufferStoreMut::Borrowed(u),
            u_stride: c_stride as u32,
            v_plane: BufferStoreMut::Borrowed(v),
            v_stride: c_stride as u32,
            width: self.width,
            height,
        }
    }
}

/// Encodes planes. Nothing is allocated before the first ones.
#[derive(Debug, Default)]
pub struct Encoder(Option<Compressor>);

impl Encoder {
    /// A JPEG with the planes' chroma subsampling, in quality 1 to 100.
    ///
    /// # Errors
    /// Out of memory, or planes that were never filled.
    pub fn encode(&mut self, planes: &Planes, quality: u8) -> Result<OwnedBuf, EncodeError> {
        if planes.samples.is_empty() {
            return Err(EncodeError::Size { width: 0, height: 0, stride: 0 });
        }
        // Not kept after a failure, as its state is then unknown.
        let mut compressor = match self.0.take() {
            Some(compressor) => compressor,
            None => Compressor::new()?,
        };
        compressor.set_quality(i32::from(quality.clamp(1, 100)))?;
        let jpeg = compressor.compress_yuv_to_owned(planes.as_image())?;
        self.0 = Some(compressor);
        Ok(jpeg)
    }
}

fn fill(samples: &mut [u8], from: usize, to: usize, value: u8) {
    if let Some(run) = samples.get_mut(from..to) {
        run.fill(value);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::PixelFormat;

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
        planes.take_yuyv(&picture(width, height), yuyv(width, height, 0)).unwrap();
        Encoder::default().encode(&planes, 80).unwrap().to_vec()
    }

    proptest! {
        #[test]
        fn planes_hold_the_samples_of_any_size_and_stride(
            width in 1u32..70, height in 1u32..20, padding in 0u32..9, cut in any::<bool>(),
            seed in any::<u64>(),
        ) {
            let stride = width.next_multiple_of(2) * 2 + padding;
            let mut rng = fastrand::Rng::with_seed(seed);
            let mut data: Vec<u8> = (0..stride * height).map(|_| rng.u8(..)).collect();
            if cut {
                data.truncate(data.len() - padding as usize);
            }
            let mut planes = Planes::default();
            planes.take_yuyv(&data, yuyv(width, height, stride)).unwrap();
            let (y_width, y_height) = planes.as_image().y_size();
            let (uv_width, uv_height) = planes.as_image().uv_size();
            let (w, h, stride) = (width as usize, height as usize, stride as usize);
            for y in 0..y_height {
                for x in 0..y_width {
                    let source = data[y.min(h - 1) * stride + x.min(w - 1) * 2];
                    prop_assert_eq!(planes.samples[y * y_width + x], source, "luma {} {}", x, y);
                }
            }
            for (plane, offset) in [(0, 1), (1, 3)] {
                let start = y_width * y_height + plane * uv_width * uv_height;
                for y in 0..uv_height {
                    for x in 0..uv_width {
                        let of = |row: usize| data[row.min(h - 1) * stride + x * 4 + offset];
                        let (a, b) = (of(2 * y), of(2 * y + 1));
                        let got = planes.samples[start + y * uv_width + x];
                        prop_assert!(got >= a.min(b) && got <= a.max(b), "chroma {} {}", x, y);
                    }
                }
            }
            let jpeg = Encoder::default().encode(&planes, 90).unwrap();
            let header = turbojpeg::read_header(&jpeg).unwrap();
            prop_assert_eq!((header.width, header.height), (w, h));
        }

        #[test]
        fn a_lying_geometry_is_an_error(
            data in prop::collection::vec(any::<u8>(), 0..200),
            width in any::<u32>(), height in any::<u32>(), stride in any::<u32>(),
        ) {
            let mut planes = Planes::default();
            prop_assume!(width > 100 || height > 100);
            prop_assert!(planes.take_yuyv(&data, yuyv(width, height, stride)).is_err());
        }
    }

    #[test]
    fn quality_is_that_of_the_profile() {
        let mut planes = Planes::default();
        planes.take_yuyv(&picture(320, 240), yuyv(320, 240, 0)).unwrap();
        let mut encoder = Encoder::default();
        let sizes = [20, 60, 95].map(|quality| encoder.encode(&planes, quality).unwrap().len());
        assert!(sizes[0] < sizes[1] && sizes[1] < sizes[2], "{sizes:?}");
    }

    #[test]
    fn planes_that_were_never_filled_are_an_error() {
        assert!(Encoder::default().encode(&Planes::default(), 80).is_err());
    }
}
