//! Where a frame's pixels lie in its bytes.
//!
//! Whoever reads a raw frame asks [`Geometry::layers`] for its planes and gets rows that are there: sizes
//! are held against the bytes here and nowhere else, before anything is allocated. Pure; any geometry with
//! any bytes is an answer or a [`ShapeError`], never a panic.

use super::PixelFormat;
use super::format::Chroma;

/// Shape of a camera's frames; constant from open to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Layout of the bytes.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next, in the first plane, for raw formats; 0 for compressed ones, and for
    /// rows without padding. The chroma planes follow at once; their rows are as long, or half as long where
    /// each has its own plane.
    pub stride: u32,
}

/// Why bytes are no frame of their shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShapeError {
    /// Width or height is zero, or the format has no pixels.
    #[error("raw frame without pixels")]
    Empty,
    /// Rows overlap.
    #[error("rows of {stride} bytes are too short for {width} pixels")]
    Stride {
        /// Bytes from row to row.
        stride: u32,
        /// Pixels in a row.
        width: u32,
    },
    /// The bytes end before the last row does.
    #[error("frame of {have} bytes is too short for its size: {need} needed")]
    Short {
        /// Bytes there.
        have: usize,
        /// Bytes needed.
        need: u64,
    },
}

/// One plane of a raw frame whose bytes are known to be there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layer<'a> {
    data: &'a [u8],
    stride: usize,
    row: usize,
    rows: usize,
}

impl<'a> Layer<'a> {
    /// From its first byte to its last row's last; padding behind that may be there or not.
    #[must_use]
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Bytes from one row to the next.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// Bytes of a row, without padding.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.row
    }

    /// Number of rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.rows
    }

    /// Its rows, without padding, from the top.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let row = self.row;
        self.data.chunks(self.stride.max(1)).take(self.rows).map(move |bytes| &bytes[..row])
    }

    /// A row without its padding; below the last one, the last one again.
    #[must_use]
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.min(self.rows.saturating_sub(1)) * self.stride;
        &self.data[start..start + self.row]
    }
}

impl Geometry {
    /// Bytes of a frame: exact for raw formats; for JPEG more than good pictures take (4 bits a pixel).
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        if !self.format.is_raw() {
            return u64::from(self.width) * u64::from(self.height) / 2;
        }
        let first = u64::from(self.height).saturating_mul(self.stride());
        let Some(chroma) = self.format.chroma() else { return first };
        first.saturating_add(chroma.planes.saturating_mul(self.chroma_bytes(&chroma)))
    }

    /// Bytes that a whole frame has at least: the last row's padding need not be there. 0 for compressed
    /// formats.
    #[must_use]
    pub fn least_bytes(&self) -> u64 {
        if !self.format.is_raw() || self.height == 0 {
            return 0;
        }
        let row = self.format.row_bytes(self.width);
        let narrower = self.format.chroma().map_or(1, |chroma| chroma.narrower);
        let padding = self.stride() / narrower - row / narrower;
        self.frame_bytes() - padding
    }

    /// The planes of a raw frame: one, or luma and a plane of chroma pairs, or luma and two of chroma in
    /// the order in which they lie. Those that the format lacks have no rows.
    ///
    /// # Errors
    /// The geometry makes no sense, or `data` is too short for it.
    pub fn layers<'a>(&self, data: &'a [u8]) -> Result<[Layer<'a>; 3], ShapeError> {
        let &Self { format, width, height, stride } = self;
        let row = format.row_bytes(width);
        if row == 0 || height == 0 {
            return Err(ShapeError::Empty);
        }
        if stride != 0 && u64::from(stride) < row {
            return Err(ShapeError::Stride { stride, width });
        }
        let need = self.least_bytes();
        if (data.len() as u64) < need {
            return Err(ShapeError::Short { have: data.len(), need });
        }
        // No number from here on is above `need`, which is above no `usize`.
        let (stride, height) = (self.stride(), u64::from(height));
        let layer = |start: u64, stride: u64, row: u64, rows: u64| Layer {
            data: &data[start as usize..(start + stride * (rows - 1) + row) as usize],
            stride: stride as usize,
            row: row as usize,
            rows: rows as usize,
        };
        let mut layers = [layer(0, stride, row, height), Layer::default(), Layer::default()];
        if let Some(chroma) = format.chroma() {
            let behind = layers.iter_mut().skip(1).zip(0..chroma.planes);
            let Chroma { narrower, lower, .. } = chroma;
            for (plane, n) in behind {
                let start = stride * height + n * self.chroma_bytes(&chroma);
                *plane = layer(start, stride / narrower, row / narrower, height.div_ceil(lower));
            }
        }
        Ok(layers)
    }

    /// The stride that counts: a driver that leaves it out means rows without padding.
    fn stride(&self) -> u64 {
        u64::from(self.stride).max(self.format.row_bytes(self.width))
    }

    /// Bytes of one of the planes behind the luma.
    fn chroma_bytes(&self, chroma: &Chroma) -> u64 {
        (self.stride() / chroma.narrower)
            .saturating_mul(u64::from(self.height).div_ceil(chroma.lower))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Depth, Mosaic};
    use super::*;

    fn bytes(format: PixelFormat, width: u32, height: u32, stride: u32) -> (u64, u64) {
        let geometry = Geometry { format, width, height, stride };
        (geometry.frame_bytes(), geometry.least_bytes())
    }

    /// The sizes that V4L2's documentation gives by its drawings.
    #[test]
    fn frames_are_as_large_as_their_planes() {
        use PixelFormat as F;
        assert_eq!(bytes(F::Yuyv, 640, 480, 0), (614_400, 614_400));
        assert_eq!(bytes(F::Yuyv, 640, 480, 1344), (480 * 1344, 479 * 1344 + 1280));
        assert_eq!(bytes(F::Nv12, 640, 480, 640), (460_800, 460_800));
        assert_eq!(bytes(F::Nv12, 640, 480, 704), (480 * 704 + 240 * 704, 719 * 704 + 640));
        assert_eq!(bytes(F::Nv12, 5, 3, 0), (6 * 3 + 6 * 2, 30), "pairs are whole");
        assert_eq!(bytes(F::Nv16, 640, 480, 640), (614_400, 614_400));
        assert_eq!(bytes(F::I420, 640, 480, 640), (460_800, 460_800));
        assert_eq!(
            bytes(F::I420, 638, 481, 640),
            (640 * 481 + 2 * 320 * 241, 640 * 481 + 2 * 320 * 241 - 1)
        );
        assert_eq!(bytes(F::I420, 8, 2, 11), (22 + 2 * 5, 22 + 2 * 5 - 1), "half an odd stride");
        assert_eq!(bytes(F::Rgb24, 10, 2, 0), (60, 60));
        assert_eq!(bytes(F::Bayer(Mosaic::Rggb, Depth::TenPacked), 8, 2, 0), (20, 20));
        assert_eq!(bytes(F::Bayer(Mosaic::Rggb, Depth::TwelvePacked), 8, 2, 0), (24, 24));
        assert_eq!(bytes(F::Mjpeg, 640, 480, 0), (153_600, 0));
    }

    #[test]
    fn planes_lie_one_behind_the_other() {
        let data: Vec<u8> = (0..100).collect();
        let layers = |format, stride| {
            let geometry = Geometry { format, width: 4, height: 3, stride };
            let layers = geometry.layers(&data).unwrap();
            layers.map(|layer| layer.rows().map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        let none: Vec<Vec<u8>> = Vec::new();
        let luma = vec![vec![0, 1, 2, 3], vec![6, 7, 8, 9], vec![12, 13, 14, 15]];
        let nv12 = [luma.clone(), vec![vec![18, 19, 20, 21], vec![24, 25, 26, 27]], none.clone()];
        assert_eq!(layers(PixelFormat::Nv12, 6), nv12);
        let i420 =
            [luma.clone(), vec![vec![18, 19], vec![21, 22]], vec![vec![24, 25], vec![27, 28]]];
        assert_eq!(layers(PixelFormat::I420, 6), i420);
        assert_eq!(layers(PixelFormat::Grey, 6), [luma, none.clone(), none]);
    }

    proptest! {
        #[test]
        fn any_shape_over_any_bytes_is_an_answer_or_an_error(
            index in 0..PixelFormat::PREFERENCE.len(), width: u32, height: u32, stride: u32,
            small in any::<[bool; 3]>(), len in 0usize..4000, exact: bool,
        ) {
            let format = PixelFormat::PREFERENCE[index];
            let (width, height) = (if small[0] { width % 40 } else { width }, if small[1] { height % 20 } else { height });
            let stride = if small[2] { stride % 130 } else { stride };
            let geometry = Geometry { format, width, height, stride };
            let least = geometry.least_bytes();
            prop_assert!(least <= geometry.frame_bytes() || !format.is_raw());
            let exact = exact && least < 1 << 16;
            let data = vec![0; if exact { least as usize } else { len }];
            let Ok(layers) = geometry.layers(&data) else { return Ok(()) };
            prop_assert!(data.len() as u64 >= least);
            let end = layers.iter().rfind(|l| l.height() > 0).unwrap().data().as_ptr_range().end;
            prop_assert_eq!(end as usize - data.as_ptr() as usize, least as usize);
            for layer in layers {
                prop_assert_eq!(layer.rows().filter(|r| r.len() == layer.row_bytes()).count(), layer.height());
                if layer.height() > 0 {
                    prop_assert_eq!(layer.row(usize::MAX), layer.rows().last().unwrap());
                }
            }
            if exact && least > 0 {
                prop_assert!(geometry.layers(&data[1..]).is_err(), "one byte is missing");
            }
        }
    }
}
