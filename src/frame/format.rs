//! The pixel formats: their names, and how many bytes a row takes.
//!
//! Layouts are those of the kernel's "Image Formats" (userspace-api/media/v4l); the order of preference is
//! ours. Pure.

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

    /// The format of that [`name`](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::PREFERENCE.into_iter().find(|format| format.name() == name)
    }

    /// Whether frames are pixels, not JPEG images.
    #[must_use]
    pub fn is_raw(self) -> bool {
        self != Self::Mjpeg
    }

    /// What a frame's width and height must be multiples of: pixels that share a colour sample, a mosaic's
    /// tile, or bytes come in whole groups. An odd height in 4:2:0 is none of these: its last chroma row
    /// stands for one row of pixels.
    #[must_use]
    pub fn step(self) -> (u32, u32) {
        match self {
            Self::Mjpeg | Self::Grey | Self::Y10 | Self::Y12 | Self::Y16 => (1, 1),
            Self::Rgb24 | Self::Bgr24 => (1, 1),
            Self::Bayer(_, Depth::TenPacked) => (4, 2),
            Self::Bayer(..) => (2, 2),
            _ => (2, 1),
        }
    }

    /// Whether frames of this size exist.
    #[must_use]
    pub fn fits(self, width: u32, height: u32) -> bool {
        let (across, down) = self.step();
        width > 0 && height > 0 && width.is_multiple_of(across) && height.is_multiple_of(down)
    }

    /// Bytes of a row of `width` pixels in the first (or only) plane, without padding; 0 for compressed
    /// formats. Where chroma has fewer columns, a row is as long as its chroma needs.
    #[must_use]
    pub fn row_bytes(self, width: u32) -> u64 {
        let width = u64::from(width);
        match self {
            Self::Mjpeg => 0,
            // Two pixels share their colour, and four or two mosaic samples a byte.
            Self::Yuyv | Self::Uyvy | Self::Yvyu | Self::Vyuy => width.next_multiple_of(2) * 2,
            Self::Nv12 | Self::Nv21 | Self::Nv16 | Self::Nv61 => width.next_multiple_of(2),
            Self::I420 | Self::Yv12 | Self::I422 => width.next_multiple_of(2),
            Self::Grey => width,
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
    pub(super) fn chroma(self) -> Option<Chroma> {
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
pub(super) struct Chroma {
    pub(super) planes: u64,
    /// Their stride is the first plane's divided by this.
    pub(super) narrower: u64,
    /// Their rows are the picture's divided by this.
    pub(super) lower: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_is_preferred_once_and_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> =
            PixelFormat::PREFERENCE.iter().map(|f| f.name()).collect();
        assert_eq!(names.len(), PixelFormat::PREFERENCE.len());
    }

    #[test]
    fn every_format_is_found_by_its_name() {
        for format in PixelFormat::PREFERENCE {
            assert_eq!(PixelFormat::from_name(format.name()), Some(format));
        }
        assert_eq!(PixelFormat::from_name("h264"), None);
    }

    #[test]
    fn sizes_that_would_cut_a_group_of_pixels_do_not_fit() {
        use PixelFormat as F;
        let packed = F::Bayer(Mosaic::Rggb, Depth::TenPacked);
        for (format, odd_width, odd_height) in [
            (F::Mjpeg, true, true),
            (F::Grey, true, true),
            (F::Y16, true, true),
            (F::Bgr24, true, true),
            (F::Yuyv, false, true),
            (F::Nv12, false, true),
            (F::I422, false, true),
            (F::Bayer(Mosaic::Grbg, Depth::Eight), false, false),
            (packed, false, false),
        ] {
            assert!(format.fits(640, 480) && !format.fits(0, 480) && !format.fits(640, 0));
            assert_eq!(format.fits(639, 480), odd_width, "{}", format.name());
            assert_eq!(format.fits(640, 481), odd_height, "{}", format.name());
        }
        assert!(!packed.fits(642, 480));
    }
}
