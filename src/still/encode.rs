//! Raw frames to JPEG: planes, their conversion from every pixel format, and the encoder.
//!
//! The still thread turns a frame into planes and hands these to libjpeg-turbo as they are. YUV never goes
//! through RGB: that costs a quarter more and gains nothing. Which way a format goes:
//!
//! | format | planes | by |
//! |---|---|---|
//! | packed 4:2:2 | 4:2:0 | `convert::packed`: pairs of rows through `yuv` |
//! | NV12, NV21, I420, YV12 | 4:2:0 | `convert::planar`: copied, pairs taken apart |
//! | NV16, NV61, I422 | 4:2:2 | the same: nothing is averaged |
//! | grey, 8 to 16 bits | grey | `convert::grey`: the upper 8 bits |
//! | RGB, BGR | 4:2:0 | `convert::packed` with BT.601 in full range, as JFIF wants it |
//! | mosaics | 4:2:0 | `mosaic`: bilinear to strips of RGB, and on as RGB |
//!
//! Samples of YUV and grey keep the range the camera gave them; RGB becomes full range. Pure computing on
//! one thread; frames are hostile input: sizes are checked before anything is allocated, so a lying
//! geometry is an error, and memory is bounded by the frame's own bytes.

mod convert;
mod mosaic;
mod planes;

use turbojpeg::{Compressor, OwnedBuf};

pub use self::planes::Planes;
use crate::frame::{Geometry, PixelFormat, ShapeError};

/// Why a frame could not be encoded. The caller gives the picture up.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The frame's bytes are not what its shape needs.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// No JPEG has this size.
    #[error("no picture has {width}x{height} pixels")]
    Size {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
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

impl Planes {
    /// Takes over a raw frame.
    ///
    /// # Errors
    /// The frame is shorter than its geometry says, or the geometry makes no sense.
    pub fn take(&mut self, data: &[u8], geometry: Geometry) -> Result<(), EncodeError> {
        use PixelFormat as F;
        let Geometry { format, width, height, .. } = geometry;
        let layers = geometry.layers(data)?;
        if width > MAX_SIDE || height > MAX_SIDE {
            return Err(EncodeError::Size { width, height });
        }
        let [first, second, third] = layers;
        let size = (width as usize, height as usize);
        match format {
            F::Mjpeg => return Err(ShapeError::Empty.into()),
            F::Yuyv => convert::packed(self, &first, size, convert::by(yuv::yuyv422_to_yuv420))?,
            F::Uyvy => convert::packed(self, &first, size, convert::by(yuv::uyvy422_to_yuv420))?,
            F::Yvyu => convert::packed(self, &first, size, convert::by(yuv::yvyu422_to_yuv420))?,
            F::Vyuy => convert::packed(self, &first, size, convert::by(yuv::vyuy422_to_yuv420))?,
            F::Rgb24 => convert::packed(self, &first, size, convert::rgb(yuv::rgb_to_yuv420))?,
            F::Bgr24 => convert::packed(self, &first, size, convert::rgb(yuv::bgr_to_yuv420))?,
            F::Nv12 | F::Nv16 => convert::pairs(self, &first, &second, size, [0, 1])?,
            F::Nv21 | F::Nv61 => convert::pairs(self, &first, &second, size, [1, 0])?,
            F::I420 | F::I422 => convert::planar(self, [&first, &second, &third], size)?,
            F::Yv12 => convert::planar(self, [&first, &third, &second], size)?,
            F::Grey => convert::grey(self, &first, size, 8)?,
            F::Y10 => convert::grey(self, &first, size, 10)?,
            F::Y12 => convert::grey(self, &first, size, 12)?,
            F::Y16 => convert::grey(self, &first, size, 16)?,
            F::Bayer(mosaic, depth) => mosaic::take(self, &first, size, mosaic, depth)?,
        }
        Ok(())
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
        if planes.width() == 0 {
            return Err(EncodeError::Size { width: 0, height: 0 });
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

#[cfg(test)]
pub(super) mod tests;
