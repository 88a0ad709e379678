use super::*;
use crate::frame::PixelFormat as Format;

/// Stripes in the left half, of a picture that is grey besides.
fn picture(width: usize, height: usize, period: usize) -> Vec<u8> {
    let level = |x: usize| if x < width / 2 && (x / period).is_multiple_of(2) { 180 } else { 100 };
    (0..width * height).map(|i| level(i % width)).collect()
}

fn jpeg(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let image = Image { pixels, width, pitch: width, height, format: Samples::GRAY };
    turbojpeg::compress(image, 95, turbojpeg::Subsamp::Gray).unwrap().to_vec()
}

fn geometry(format: Format, width: usize, height: usize) -> Geometry {
    Geometry { format, width: width as u32, height: height as u32, stride: 0 }
}

fn left(width: usize, height: usize) -> PixelBox {
    PixelBox { x: 0, y: 0, w: width as u32 / 2, h: height as u32 }
}

#[test]
fn a_raw_frame_and_its_jpeg_are_worth_the_same() {
    let (width, height) = (320, 240);
    let pixels = picture(width, height, 16);
    let mut ranker = Ranker::default();
    let mut of = |data: &[u8], format, subject| {
        ranker.of_frame(data, geometry(format, width, height), Some(subject)).unwrap()
    };
    let raw = of(&pixels, Format::Grey, left(width, height));
    let compressed = of(&jpeg(&pixels, width, height), Format::Mjpeg, left(width, height));
    assert!(raw > 2.0 && (raw - compressed).abs() < raw * 0.1, "{raw} {compressed}");
    let right = PixelBox { x: 200, ..left(width, height) };
    assert_eq!(of(&pixels, Format::Grey, right), 0.0, "the other half is plain");
    let half = PixelBox { h: 120, ..left(width, height) };
    let of_half = of(&pixels, Format::Grey, half);
    assert!((of_half - raw / 2.0).abs() < raw * 0.05, "half the area: {of_half} {raw}");
}

#[test]
fn what_cannot_be_decoded_is_worth_nothing_and_harms_no_other() {
    let (width, height) = (160, 120);
    let sound = jpeg(&picture(width, height, 8), width, height);
    let mut huge = sound.clone();
    let at = huge.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    huge[at + 5..at + 9].fill(0xff);
    let shape = geometry(Format::Mjpeg, width, height);
    let mut ranker = Ranker::default();
    let expected = ranker.of_frame(&sound, shape, None).unwrap();
    for broken in [&sound[..sound.len() / 2], &huge, &sound[..30], b"", b"no jpeg"] {
        assert_eq!(ranker.of_frame(broken, shape, None), None);
        assert_eq!(ranker.of_frame(&sound, shape, None), Some(expected));
    }
    assert_eq!(ranker.of_frame(b"short", geometry(Format::Grey, 640, 480), None), None);
}

#[test]
fn odd_and_tiny_frames_and_boxes_beyond_them_do_no_harm() {
    let mut ranker = Ranker::default();
    for (width, height) in [(1, 1), (2, 3), (17, 33), (161, 121)] {
        let pixels = picture(width, height, 8);
        let far = PixelBox { x: u32::MAX, y: 9, w: u32::MAX, h: 3 };
        for subject in [None, Some(far), Some(left(width, height))] {
            let raw = ranker.of_frame(&pixels, geometry(Format::Grey, width, height), subject);
            assert!(raw.unwrap().is_finite());
            let compressed = jpeg(&pixels, width, height);
            let worth =
                ranker.of_frame(&compressed, geometry(Format::Mjpeg, width, height), subject);
            assert!(worth.unwrap().is_finite());
        }
    }
}
