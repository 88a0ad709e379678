//! The small picture inside a picture's Exif.
//!
//! Used by the still thread. It is made of the finished picture, so whatever is masked or cut away there is in
//! the small one too. Of a JPEG that is passed on undecoded, libjpeg decodes an eighth, a quarter or a half of
//! each side only. Pure. It stays within [`MOST_BYTES`], so that the segment it stands in holds the facts as
//! well; where no quality brings it there, the picture has none.

use turbojpeg::{Colorspace, Decompressor, ScalingFactor};

use super::encode::{Encoder, Planes};
use super::{privacy, scale};
use crate::frame::Geometry;

/// A segment has 64 KB; the facts take up to 10 KB of it.
pub(super) const MOST_BYTES: usize = 16 << 10;

/// Tried one after the other until it fits.
const QUALITIES: [u8; 4] = [75, 60, 45, 30];

/// Of planes, fitted into `most` pixels. `None` where it cannot be made that small.
pub(super) fn of_planes(planes: &Planes, most: (u32, u32)) -> Option<Vec<u8>> {
    let frame = (planes.width(), planes.height());
    let small = match scale::fit(frame, most, planes.subsamp().size()) {
        Some(to) => &scale::scale(planes, to).ok()?,
        None => planes,
    };
    let mut encoder = Encoder::default();
    let made = QUALITIES.iter().map(|&quality| encoder.encode(small, quality).ok());
    let fits = |jpeg: &turbojpeg::OwnedBuf| jpeg.len() <= MOST_BYTES;
    made.flatten().find(fits).map(|jpeg| jpeg.to_vec())
}

/// Of a JPEG. `None` also where it is broken, or far larger than the camera promised.
pub(super) fn of_jpeg(jpeg: &[u8], promised: Geometry, most: (u32, u32)) -> Option<Vec<u8>> {
    let mut decoder = Decompressor::new().ok()?;
    decoder.set_scan_limit(privacy::MAX_SCANS).ok()?;
    let header = decoder.read_header(jpeg).ok()?;
    let frame = (header.width, header.height);
    privacy::within(frame.0, frame.1, promised).ok()?;
    if !matches!(header.colorspace, Colorspace::YCbCr | Colorspace::Gray) {
        return None;
    }
    let step = header.subsamp.size();
    let enough = scale::fit(frame, most, step).unwrap_or(frame);
    let shares = [ScalingFactor::ONE_EIGHTH, ScalingFactor::ONE_QUARTER, ScalingFactor::ONE_HALF];
    let holds = |s: &ScalingFactor| s.scale(frame.0) >= enough.0 && s.scale(frame.1) >= enough.1;
    let share = shares.into_iter().find(holds).unwrap_or(ScalingFactor::ONE);
    decoder.set_scaling_factor(share).ok()?;
    let mut planes = Planes::default();
    planes.reset(share.scale(frame.0), share.scale(frame.1), header.subsamp).ok()?;
    match decoder.decompress_to_yuv(jpeg, planes.as_image_mut()) {
        // As in `privacy`: what stands between scan and EOI does no harm.
        Err(turbojpeg::Error::TurboJpegError(words)) if words.contains("extraneous bytes") => {}
        other => other.ok()?,
    }
    of_planes(&planes, most)
}

#[cfg(test)]
mod tests {
    use super::super::encode::tests::jpeg;
    use super::*;

    const GEOMETRY: Geometry =
        Geometry { format: crate::frame::PixelFormat::Mjpeg, width: 640, height: 360, stride: 0 };

    fn size(jpeg: &[u8]) -> (usize, usize) {
        let header = turbojpeg::read_header(jpeg).unwrap();
        (header.width, header.height)
    }

    #[test]
    fn it_fits_keeps_the_aspect_and_is_never_enlarged() {
        let frame = jpeg(640, 360);
        for (most, expected) in [
            ((320, 180), (320, 180)),
            ((160, 160), (160, 90)),
            ((100, 1000), (100, 56)),
            ((1, 1), (2, 2)),
        ] {
            let small = of_jpeg(&frame, GEOMETRY, most).unwrap();
            assert_eq!(size(&small), expected);
            assert!(small.len() <= MOST_BYTES);
        }
        let small = of_jpeg(&jpeg(162, 90), GEOMETRY, (512, 512)).unwrap();
        assert_eq!(size(&small), (162, 90));
    }

    #[test]
    fn what_cannot_be_made_small_enough_is_left_out() {
        let mut planes = Planes::default();
        planes.reset(800, 600, turbojpeg::Subsamp::None).unwrap();
        let mut random = fastrand::Rng::with_seed(1);
        planes.each_mut().for_each(|plane| random.fill(plane.samples));
        assert_eq!(of_planes(&planes, (800, 600)), None);
        assert!(of_planes(&planes, (80, 60)).is_some());
        assert_eq!(of_jpeg(b"no jpeg", GEOMETRY, (80, 60)), None);
    }
}
