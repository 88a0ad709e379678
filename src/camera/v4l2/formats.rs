//! Which four-character codes of the kernel's hold which pixel format. Pure.

use super::offer::Code;
use crate::frame::{
    Depth::{Eight, Sixteen, Ten, TenPacked, Twelve, TwelvePacked},
    Mosaic::{Bggr, Gbrg, Grbg, Rggb},
    PixelFormat as F,
};

/// Every code that Vedette reads. A second one for a format is taken where the first is not offered.
const CODES: [(F, Code); 43] = [
    (F::Mjpeg, Code::of(b"MJPG")),
    // Some drivers (gspca among them) call the same bytes JPEG.
    (F::Mjpeg, Code::of(b"JPEG")),
    (F::Yuyv, Code::of(b"YUYV")),
    (F::Uyvy, Code::of(b"UYVY")),
    (F::Yvyu, Code::of(b"YVYU")),
    (F::Vyuy, Code::of(b"VYUY")),
    (F::Nv12, Code::of(b"NV12")),
    (F::Nv21, Code::of(b"NV21")),
    (F::Nv16, Code::of(b"NV16")),
    (F::Nv61, Code::of(b"NV61")),
    (F::I420, Code::of(b"YU12")),
    (F::Yv12, Code::of(b"YV12")),
    (F::I422, Code::of(b"422P")),
    (F::Grey, Code::of(b"GREY")),
    (F::Y10, Code::of(b"Y10 ")),
    (F::Y12, Code::of(b"Y12 ")),
    (F::Y16, Code::of(b"Y16 ")),
    (F::Rgb24, Code::of(b"RGB3")),
    (F::Bgr24, Code::of(b"BGR3")),
    (F::Bayer(Bggr, Eight), Code::of(b"BA81")),
    (F::Bayer(Gbrg, Eight), Code::of(b"GBRG")),
    (F::Bayer(Grbg, Eight), Code::of(b"GRBG")),
    (F::Bayer(Rggb, Eight), Code::of(b"RGGB")),
    (F::Bayer(Bggr, Ten), Code::of(b"BG10")),
    (F::Bayer(Gbrg, Ten), Code::of(b"GB10")),
    (F::Bayer(Grbg, Ten), Code::of(b"BA10")),
    (F::Bayer(Rggb, Ten), Code::of(b"RG10")),
    (F::Bayer(Bggr, TenPacked), Code::of(b"pBAA")),
    (F::Bayer(Gbrg, TenPacked), Code::of(b"pGAA")),
    (F::Bayer(Grbg, TenPacked), Code::of(b"pgAA")),
    (F::Bayer(Rggb, TenPacked), Code::of(b"pRAA")),
    (F::Bayer(Bggr, Twelve), Code::of(b"BG12")),
    (F::Bayer(Gbrg, Twelve), Code::of(b"GB12")),
    (F::Bayer(Grbg, Twelve), Code::of(b"BA12")),
    (F::Bayer(Rggb, Twelve), Code::of(b"RG12")),
    (F::Bayer(Bggr, TwelvePacked), Code::of(b"pBCC")),
    (F::Bayer(Gbrg, TwelvePacked), Code::of(b"pGCC")),
    (F::Bayer(Grbg, TwelvePacked), Code::of(b"pgCC")),
    (F::Bayer(Rggb, TwelvePacked), Code::of(b"pRCC")),
    (F::Bayer(Bggr, Sixteen), Code::of(b"BYR2")),
    (F::Bayer(Gbrg, Sixteen), Code::of(b"GB16")),
    (F::Bayer(Grbg, Sixteen), Code::of(b"GR16")),
    (F::Bayer(Rggb, Sixteen), Code::of(b"RG16")),
];

/// The same pictures, but each plane in memory of its own, which is not read here.
const SCATTERED: [(F, Code); 7] = [
    (F::Nv12, Code::of(b"NM12")),
    (F::Nv21, Code::of(b"NM21")),
    (F::Nv16, Code::of(b"NM16")),
    (F::Nv61, Code::of(b"NM61")),
    (F::I420, Code::of(b"YM12")),
    (F::Yv12, Code::of(b"YM21")),
    (F::I422, Code::of(b"YM16")),
];

/// The codes that hold a format, best first.
pub(super) fn codes(format: F) -> impl Iterator<Item = Code> {
    CODES.iter().filter(move |(f, _)| *f == format).map(|(_, code)| *code)
}

/// What a code holds; `None` for what is not read here.
pub(super) fn format(code: Code) -> Option<F> {
    CODES.iter().find(|(_, c)| *c == code).map(|(format, _)| *format)
}

/// What a code holds whose planes lie apart in memory.
pub(super) fn scattered(code: Code) -> Option<F> {
    SCATTERED.iter().find(|(_, c)| *c == code).map(|(format, _)| *format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preferred_format_has_a_code_and_every_code_one_format() {
        for preferred in F::PREFERENCE {
            let codes: Vec<_> = codes(preferred).collect();
            assert!(!codes.is_empty(), "{} has no code", preferred.name());
            for code in codes {
                assert_eq!(format(code), Some(preferred), "{code}");
                assert_eq!(scattered(code), None, "{code}");
            }
        }
        let distinct: std::collections::HashSet<_> = CODES.iter().map(|(_, code)| code).collect();
        assert_eq!(distinct.len(), CODES.len());
    }

    #[test]
    fn formats_that_are_alike_by_name_are_told_apart() {
        // Neither is packed as its neighbours in the kernel's list are.
        assert_eq!(format(Code::of(b"BA81")), Some(F::Bayer(Bggr, Eight)));
        assert_eq!(format(Code::of(b"BA10")), Some(F::Bayer(Grbg, Ten)));
        assert_eq!(format(Code::of(b"pGAA")), Some(F::Bayer(Gbrg, TenPacked)));
        assert_eq!(format(Code::of(b"pgAA")), Some(F::Bayer(Grbg, TenPacked)));
        // Big-endian grey, 10-bit grey packed, JPEG with inter frames: not ours.
        assert_eq!(format(Code(Code::of(b"Y16 ").0 | 1 << 31)), None);
        assert_eq!(format(Code::of(b"Y10B")), None);
        assert_eq!(format(Code::of(b"H264")), None);
        assert_eq!(scattered(Code::of(b"NM12")), Some(F::Nv12));
    }
}
