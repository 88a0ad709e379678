//! Frames as cameras lend them, and the small luma plane the first pass works on.
//!
//! Pure: no I/O, no clock. A [`Frame`] borrows the driver's (or the file's) buffer; whoever wants to
//! keep a picture copies it once.

use crate::clock::BootTime;

/// How the bytes of a frame are laid out. Named as in V4L2's documentation, "Image Formats", but in the
/// words that people write in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// One JPEG image a frame, possibly without its Huffman tables (UVC cameras leave them out).
    Mjpeg,
    /// Packed 4:2:2, `Y0 U Y1 V`, 2 bytes a pixel.
    Yuyv,
    /// Packed 4:2:2, `U Y0 V Y1`.
    Uyvy,
    /// Packed 4:2:2, `Y0 V Y1 U`.
    Yvyu,
    /// Packed 4:2:2, `V Y0 U Y1`.
    Vyuy,
    /// A luma plane, then one of `U V` pairs at half width and height.
    Nv12,
    /// The same with `V U` pairs.
    Nv21,
    /// A luma plane, then one of `U V` pairs at half width.
    Nv16,
    /// The same with `V U` pairs.
    Nv61,
    /// Three planes `Y U V`, chroma at half width and height.
    I420,
    /// Three planes `Y V U`, chroma at half width and height.
    Yv12,
    /// Three planes `Y U V`, chroma at half width.
    I422,
    /// Luma alone, 8 bits.
    Grey,
    /// Luma alone, the lower 10 bits of 16, little-endian.
    Y10,
    /// Luma alone, the lower 12 bits of 16, little-endian.
    Y12,
    /// Luma alone, 16 bits, little-endian.
    Y16,
    /// `R G B`, 3 bytes a pixel.
    Rgb24,
    /// `B G R`, 3 bytes a pixel.
    Bgr24,
    /// A sensor's mosaic.
    Bayer(Mosaic, Depth),
}

/// Which colours the first two samples of a mosaic's first row and of its second have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mosaic {
    /// `B G`, `G R`.
    Bggr,
    /// `G B`, `R G`.
    Gbrg,
    /// `G R`, `B G`.
    Grbg,
    /// `R G`, `G B`.
    Rggb,
}

/// How the samples of a mosaic are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Depth {
    /// A byte each.
    Eight,
    /// The lower 10 bits of 16, little-endian.
    Ten,
    /// The lower 12 bits of 16, little-endian.
    Twelve,
    /// 16 bits, little-endian.
    Sixteen,
    /// Four samples in 5 bytes: their upper bits, then the lower two of each (`pBAA` and kin, MIPI RAW10).
    TenPacked,
    /// Two samples in 3 bytes: their upper bits, then the lower four of each (`pBCC` and kin, MIPI RAW12).
    TwelvePacked,
}

impl PixelFormat {
    /// All of them, in the order in which a camera's formats are preferred: what needs no encoding, then
    /// what costs least to look at and to encode, then what has no colour, then mosaics.
    pub const PREFERENCE: [Self; 42] = {
        use Depth::{Eight, Sixteen, Ten, TenPacked, Twelve, TwelvePacked};
        use Mosaic::{Bggr, Gbrg, Grbg, Rggb};
        [
            Self::Mjpeg,
            Self::Nv12,
            Self::Nv21,
            Self::I420,
            Self::Yv12,
            Self::Yuyv,
            Self::Uyvy,
            Self::Yvyu,
            Self::Vyuy,
            Self::Nv16,
            Self::Nv61,
            Self::I422,
            Self::Rgb24,
            Self::Bgr24,
            Self::Grey,
            Self::Y10,
            Self::Y12,
            Self::Y16,
            Self::Bayer(Rggb, Eight),
            Self::Bayer(Bggr, Eight),
            Self::Bayer(Gbrg, Eight),
            Self::Bayer(Grbg, Eight),
            Self::Bayer(Rggb, TenPacked),
            Self::Bayer(Bggr, TenPacked),
            Self::Bayer(Gbrg, TenPacked),
            Self::Bayer(Grbg, TenPacked),
            Self::Bayer(Rggb, Ten),
            Self::Bayer(Bggr, Ten),
            Self::Bayer(Gbrg, Ten),
            Self::Bayer(Grbg, Ten),
            Self::Bayer(Rggb, TwelvePacked),
            Self::Bayer(Bggr, TwelvePacked),
            Self::Bayer(Gbrg, TwelvePacked),
            Self::Bayer(Grbg, TwelvePacked),
            Self::Bayer(Rggb, Twelve),
            Self::Bayer(Bggr, Twelve),
            Self::Bayer(Gbrg, Twelve),
            Self::Bayer(Grbg, Twelve),
            Self::Bayer(Rggb, Sixteen),
            Self::Bayer(Bggr, Sixteen),
            Self::Bayer(Gbrg, Sixteen),
            Self::Bayer(Grbg, Sixteen),
        ]
    };

    /// The name used in configuration, logs and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        use Depth::{Eight, Sixteen, Ten, TenPacked, Twelve, TwelvePacked};
        use Mosaic::{Bggr, Gbrg, Grbg, Rggb};
        match self {
            Self::Mjpeg => "mjpeg",
            Self::Yuyv => "yuyv",
            Self::Uyvy => "uyvy",
            Self::Yvyu => "yvyu",
            Self::Vyuy => "vyuy",
            Self::Nv12 => "nv12",
            Self::Nv21 => "nv21",
            Self::Nv16 => "nv16",
            Self::Nv61 => "nv61",
            Self::I420 => "i420",
            Self::Yv12 => "yv12",
            Self::I422 => "i422",
            Self::Grey => "grey",
            Self::Y10 => "y10",
            Self::Y12 => "y12",
            Self::Y16 => "y16",
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
            Self::Bayer(Bggr, Eight) => "bggr8",
            Self::Bayer(Gbrg, Eight) => "gbrg8",
            Self::Bayer(Grbg, Eight) => "grbg8",
            Self::Bayer(Rggb, Eight) => "rggb8",
            Self::Bayer(Bggr, Ten) => "bggr10",
            Self::Bayer(Gbrg, Ten) => "gbrg10",
            Self::Bayer(Grbg, Ten) => "grbg10",
            Self::Bayer(Rggb, Ten) => "rggb10",
            Self::Bayer(Bggr, Twelve) => "bggr12",
            Self::Bayer(Gbrg, Twelve) => "gbrg12",
            Self::Bayer(Grbg, Twelve) => "grbg12",
            Self::Bayer(Rggb, Twelve) => "rggb12",
            Self::Bayer(Bggr, Sixteen) => "bggr16",
            Self::Bayer(Gbrg, Sixteen) => "gbrg16",
            Self::Bayer(Grbg, Sixteen) => "grbg16",
            Self::Bayer(Rggb, Sixteen) => "rggb16",
            Self::Bayer(Bggr, TenPacked) => "bggr10p",
            Self::Bayer(Gbrg, TenPacked) => "gbrg10p",
            Self::Bayer(Grbg, TenPacked) => "grbg10p",
            Self::Bayer(Rggb, TenPacked) => "rggb10p",
            Self::Bayer(Bggr, TwelvePacked) => "bggr12p",
            Self::Bayer(Gbrg, TwelvePacked) => "gbrg12p",
            Self::Bayer(Grbg, TwelvePacked) => "grbg12p",
            Self::Bayer(Rggb, TwelvePacked) => "rggb12p",
        }
    }

    /// Bytes of a row of `width` pixels in the first (or only) plane, without padding; 0 for compressed
    /// formats.
    #[must_use]
    pub fn row_bytes(self, width: u32) -> u64 {
        let width = u64::from(width);
        match self {
            Self::Mjpeg => 0,
            // Two pixels share their colour, and four or two mosaic samples a byte.
            Self::Yuyv | Self::Uyvy | Self::Yvyu | Self::Vyuy => width.next_multiple_of(2) * 2,
            Self::Nv12 | Self::Nv21 | Self::Nv16 | Self::Nv61 => width,
            Self::I420 | Self::Yv12 | Self::I422 | Self::Grey => width,
            Self::Y10 | Self::Y12 | Self::Y16 => width * 2,
            Self::Rgb24 | Self::Bgr24 => width * 3,
            Self::Bayer(_, Depth::Eight) => width,
            Self::Bayer(_, Depth::Ten | Depth::Twelve | Depth::Sixteen) => width * 2,
            Self::Bayer(_, Depth::TenPacked) => width.div_ceil(4) * 5,
            Self::Bayer(_, Depth::TwelvePacked) => width.div_ceil(2) * 3,
        }
    }

    /// How a chroma plane's rows and their number follow from the first plane's; `None` for formats of
    /// one plane.
    fn chroma(self) -> Option<Chroma> {
        Some(match self {
            Self::Nv12 | Self::Nv21 => Chroma { planes: 1, narrower: 1, lower: 2 },
            Self::Nv16 | Self::Nv61 => Chroma { planes: 1, narrower: 1, lower: 1 },
            Self::I420 | Self::Yv12 => Chroma { planes: 2, narrower: 2, lower: 2 },
            Self::I422 => Chroma { planes: 2, narrower: 2, lower: 1 },
            _ => return None,
        })
    }
}

/// The planes behind the luma.
struct Chroma {
    planes: u64,
    /// Their stride is the first plane's divided by this.
    narrower: u64,
    /// Their rows are the picture's divided by this.
    lower: u64,
}

/// Shape of a camera's frames; constant from open to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Layout of the bytes.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Bytes from one row to the next, in the first plane, for raw formats; 0 for compressed ones. The
    /// chroma planes follow at once; their rows are as long, or half as long where each has its own plane.
    pub stride: u32,
}

impl Geometry {
    /// Bytes of a frame: exact for raw formats; for JPEG more than good pictures take (4 bits a pixel).
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        if self.format == PixelFormat::Mjpeg {
            return u64::from(self.width) * u64::from(self.height) / 2;
        }
        self.planes(u64::from(self.height) * self.stride())
    }

    /// Bytes that a whole frame has at least: the last row's padding need not be there. 0 for compressed
    /// formats.
    #[must_use]
    pub fn least_bytes(&self) -> u64 {
        if self.format == PixelFormat::Mjpeg || self.height == 0 {
            return 0;
        }
        let row = self.format.row_bytes(self.width);
        let Some(Chroma { narrower, .. }) = self.format.chroma() else {
            return u64::from(self.height - 1) * self.stride() + row;
        };
        let padding = self.stride() / narrower - row.div_ceil(narrower);
        self.frame_bytes() - padding
    }

    /// The stride that counts: a driver that leaves it out means rows without padding.
    fn stride(&self) -> u64 {
        u64::from(self.stride).max(self.format.row_bytes(self.width))
    }

    /// The first plane's bytes, and those of the planes behind it.
    fn planes(&self, first: u64) -> u64 {
        let Some(Chroma { planes, narrower, lower }) = self.format.chroma() else { return first };
        first + planes * (self.stride() / narrower) * u64::from(self.height).div_ceil(lower)
    }
}

/// Who stamped the capture time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stamp {
    /// The driver, at exposure or start of frame.
    Driver,
    /// This process, when the bytes arrived.
    Arrival,
}

/// One frame, lent out of a camera's buffer until the camera is asked for the next one.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// Shape of the frame. For MJPEG the size the driver promised; the JPEG header decides.
    pub geometry: Geometry,
    /// The bytes, cut to what the driver filled.
    pub data: &'a [u8],
    /// The camera's own frame counter; gaps are frames dropped before us.
    pub sequence: u64,
    /// Capture time on CLOCK_BOOTTIME.
    pub captured: BootTime,
    /// Who stamped `captured`.
    pub stamp: Stamp,
}

/// A grey plane, row by row without padding: `data.len() == width * height`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Luma {
    /// Width in samples.
    pub width: usize,
    /// Height in samples.
    pub height: usize,
    /// Samples, 0 black to 255 white.
    pub data: Vec<u8>,
}

impl Luma {
    /// Sets the size and clears the plane, keeping its allocation.
    pub fn reset(&mut self, width: usize, height: usize) {
        self.width = width;
        self.height = height;
        self.data.clear();
        self.data.resize(width * height, 0);
    }
}

/// An axis-aligned box in pixels of the full frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PixelBox {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width.
    pub w: u32,
    /// Height.
    pub h: u32,
}

#[cfg(test)]
mod tests {
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
        assert_eq!(bytes(F::Nv16, 640, 480, 640), (614_400, 614_400));
        assert_eq!(bytes(F::I420, 640, 480, 640), (460_800, 460_800));
        assert_eq!(
            bytes(F::I420, 638, 481, 640),
            (640 * 481 + 2 * 320 * 241, 640 * 481 + 2 * 320 * 241 - 1)
        );
        assert_eq!(bytes(F::Rgb24, 10, 2, 0), (60, 60));
        assert_eq!(bytes(F::Bayer(Mosaic::Rggb, Depth::TenPacked), 8, 2, 0), (20, 20));
        assert_eq!(bytes(F::Bayer(Mosaic::Rggb, Depth::TwelvePacked), 8, 2, 0), (24, 24));
        assert_eq!(bytes(F::Mjpeg, 640, 480, 0), (153_600, 0));
    }

    #[test]
    fn every_format_is_preferred_once_and_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            PixelFormat::PREFERENCE.iter().map(|f| f.name()).collect();
        assert_eq!(names.len(), PixelFormat::PREFERENCE.len());
    }
}
