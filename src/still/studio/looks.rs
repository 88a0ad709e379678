//! Pictures that the configuration changes, each the undecoded way and by planes.

use super::super::encode::tests::{jpeg, picture, yuyv};
use super::super::privacy::Mask;
use super::super::tests::{candidate, exif, mjpeg, square};
use super::super::text::{Caption, Corner};
use super::super::transform::{Flip, Rotate, Turn};
use super::super::{Crop, Look};
use super::*;
use crate::firstpass::Polygon;
use crate::frame::PixelBox;

const FRAME: (u32, u32) = (320, 240);
const NOW: Option<WallTime> = Some(WallTime(1_795_342_505_000));

fn with(look: Look, masks: Vec<Mask>, candidate: Candidate) -> Candidate {
    let profile = Profile { look, masks, ..Profile::clone(&candidate.profile) };
    Candidate { profile: std::sync::Arc::new(profile), ..candidate }
}

/// The same picture of a JPEG camera, of one whose JPEGs must be decoded, and of a raw one.
fn each(look: &Look, masks: &[Mask]) -> [Candidate; 3] {
    let (width, height) = FRAME;
    let plain = jpeg(width, height);
    let progressive = {
        let image = turbojpeg::decompress_to_yuv(&plain).unwrap();
        let mut compressor = turbojpeg::Compressor::new().unwrap();
        compressor.set_quality(95).unwrap();
        compressor.set_progressive(true).unwrap();
        compressor.compress_yuv_to_vec(image.as_deref()).unwrap()
    };
    let geometry = Geometry { width, height, ..mjpeg(Vec::new(), Vec::new()).geometry };
    let [plain, progressive] =
        [plain, progressive].map(|data| Candidate { geometry, ..mjpeg(data, Vec::new()) });
    let raw = candidate("raw", picture(width, height), yuyv(width, height, 0), Vec::new());
    [plain, progressive, raw].map(|candidate| with(look.clone(), masks.to_vec(), candidate))
}

fn made(candidate: &Candidate) -> (Bytes, Facts) {
    let boot = BootId("0f3c9a52".into());
    Studio::default().keep(candidate, 1, &boot, NOW).unwrap()
}

/// Grey levels and width.
fn grey(jpeg: &[u8]) -> (Vec<u8>, usize) {
    let image = turbojpeg::decompress(jpeg, turbojpeg::PixelFormat::GRAY).unwrap();
    (image.pixels, image.width)
}

fn is_undecoded(candidate: &Candidate) -> bool {
    undecoded(candidate, NOW).unwrap().is_some()
}

fn text() -> Option<Caption> {
    Some(Caption { template: "{camera} {time}".into(), corner: Corner::TopLeft })
}

#[test]
fn black_masks_and_text_leave_every_other_pixel_of_a_camera_as_it_was() {
    let look = Look { text: text(), ..Look::default() };
    let [plain, ..] = each(&look, &square());
    assert!(is_undecoded(&plain));
    let ((before, width), (after, _)) = (grey(&plain.data), grey(&made(&plain).0));
    let (mut black, mut same) = (0, 0);
    for (at, (before, after)) in before.iter().zip(&after).enumerate() {
        let (x, y) = (at % width, at / width);
        if (80..240).contains(&x) && (60..180).contains(&y) {
            assert_eq!(*after, 0, "{x} {y}");
            black += 1;
        } else if y > 16 && !((64..256).contains(&x) && (48..192).contains(&y)) {
            assert_eq!(before, after, "{x} {y}");
            same += 1;
        }
    }
    assert!(black > 15_000 && same > 30_000);
    assert!(
        after[..16 * width].contains(&235) || after[..16 * width].iter().any(|&v| v > 200),
        "text"
    );
}

#[test]
fn a_mask_stays_on_what_it_hides_however_the_picture_is_laid() {
    // Near the frame's top left corner.
    let mask = Polygon(vec![(0.0, 0.0), (0.25, 0.0), (0.25, 0.2), (0.0, 0.2)]);
    for (rotate, flip, corner) in [
        (Rotate::Right, None, (1, 0)),
        (Rotate::Half, None, (1, 1)),
        (Rotate::Left, None, (0, 1)),
        (Rotate::None, Some(Flip::Horizontal), (1, 0)),
        (Rotate::Right, Some(Flip::Vertical), (1, 1)),
    ] {
        for size in [None, Some((120, 120))] {
            let look = Look { turn: Turn::new(rotate, flip), size, ..Look::default() };
            for (kind, candidate) in each(&look, &[mask.clone().into()]).iter().enumerate() {
                assert_eq!(is_undecoded(candidate), kind == 0 && size.is_none());
                let (object, _) = made(candidate);
                let (pixels, width) = grey(&object);
                let height = pixels.len() / width;
                let quarter = matches!(rotate, Rotate::Right | Rotate::Left);
                let expected = if quarter { (240, 320) } else { (320, 240) };
                let fits = if quarter { (90, 120) } else { (120, 90) };
                assert_eq!((width, height), if size.is_some() { fits } else { expected });
                for (x, y) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let at = (y * (height - 1)) * width + x * (width - 1);
                    assert_eq!(
                        pixels[at] < 3,
                        (x, y) == corner,
                        "{rotate:?} {flip:?} {kind} at {x} {y}"
                    );
                }
            }
        }
    }
}

#[test]
fn boxes_are_told_where_they_are_in_the_turned_and_fitted_picture() {
    let look =
        Look { turn: Turn::new(Rotate::Right, None), size: Some((120, 160)), ..Look::default() };
    for mut candidate in each(&look, &[]) {
        candidate.said = Some(Said { boxes: vec![[0.0, 0.0, 0.25, 0.5]], ..Said::default() });
        candidate.seen.as_mut().unwrap().boxes = vec![PixelBox { x: 0, y: 0, w: 80, h: 120 }];
        let facts = made(&candidate).1;
        assert_eq!(facts.meta["motion-box"], "60-0-60-40");
        assert_eq!(facts.meta["trigger-boxes"], "60-0-60-40");
    }
}

#[test]
fn a_crop_shows_the_subject_with_its_masks_and_says_what_was_cut() {
    let subject = PixelBox { x: 100, y: 80, w: 40, h: 60 };
    let look = Look { crop: Some(Crop { margin: 0.25 }), ..Look::default() };
    for size in [None, Some((60, 60))] {
        let look = Look { size, ..look.clone() };
        for (kind, mut candidate) in each(&look, &square()).into_iter().enumerate() {
            candidate.seen.as_mut().unwrap().boxes = vec![subject];
            assert_eq!(is_undecoded(&candidate), kind == 0 && size.is_none());
            let (object, facts) = made(&candidate);
            let (pixels, width) = grey(&object);
            assert_eq!(facts.meta["crop-box"], "80-64-80-96");
            assert_eq!(facts.meta["frame-size"], "320x240");
            let (w, h) = if size.is_some() { (50, 60) } else { (80, 96) };
            assert_eq!((width, pixels.len() / width), (w, h));
            assert_eq!(
                facts.meta["motion-box"],
                if size.is_some() { "12-10-26-38" } else { "20-16-40-60" }
            );
            // The mask covers all of it, wherever its own corners are: 80..240 by 60..180 of the frame.
            assert!(pixels.iter().all(|&v| v < 3), "{kind} {size:?}");
        }
    }
    // Beside the mask nothing is black, however small the picture is made.
    let small = Look { size: Some((60, 60)), ..look.clone() };
    for mut candidate in each(&small, &square()) {
        candidate.seen.as_mut().unwrap().boxes = vec![PixelBox { x: 8, y: 80, w: 30, h: 60 }];
        let (pixels, _) = grey(&made(&candidate).0);
        assert!(pixels.iter().all(|&v| v > 60));
    }
    let [mut none, ..] = each(&look, &[]);
    none.seen = None;
    let (object, facts) = made(&none);
    assert!(object.ends_with(&none.data[20..]) && !facts.meta.contains_key("crop-box"));
}

#[test]
fn a_cropped_jpeg_has_the_cameras_pixels() {
    let look = Look { crop: Some(Crop { margin: 0.0 }), ..Look::default() };
    let [mut plain, ..] = each(&look, &[]);
    plain.seen.as_mut().unwrap().boxes = vec![PixelBox { x: 100, y: 80, w: 40, h: 60 }];
    let ((frame, stride), (cut, width)) = (grey(&plain.data), grey(&made(&plain).0));
    assert_eq!((width, cut.len()), (48, 48 * 64));
    for (row, pixels) in cut.chunks_exact(width).enumerate() {
        assert_eq!(pixels, &frame[(80 + row) * stride + 96..][..48]);
    }
}

#[test]
fn the_text_is_the_same_on_both_ways_and_tells_of_an_untrusted_clock() {
    let look = Look { text: text(), turn: Turn::new(Rotate::Right, None), ..Look::default() };
    let boot = BootId("0f3c9a52".into());
    for wall in [NOW, None] {
        let expected =
            if wall.is_some() { "front 2026-11-22 10:15:05 UTC" } else { "front unsynced" };
        let label = Label::new(expected, Corner::TopLeft, (240, 320), (16, 16)).unwrap();
        let [x, y, w, h] = label.area;
        for candidate in each(&look, &[]) {
            let mut profile = Profile::clone(&candidate.profile);
            profile.camera = "front".into();
            let candidate = Candidate { profile: std::sync::Arc::new(profile), ..candidate };
            let (object, _) = Studio::default().keep(&candidate, 1, &boot, wall).unwrap();
            let shown = Studio::default().show(&candidate, wall).unwrap();
            for jpeg in [&object[..], &shown] {
                let (pixels, width) = grey(jpeg);
                let far = (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y)));
                let far =
                    far.filter(|&(x, y)| pixels[y * width + x].abs_diff(label.luma(x, y)) > 60);
                assert!(far.count() * 100 < w * h);
            }
        }
    }
}

#[test]
fn a_picture_fits_into_its_bytes_and_one_that_already_does_stays_as_it_is() {
    let whole = made(&each(&Look::default(), &[])[0]).0.len();
    for room in [whole as u64, whole as u64 * 2 / 3] {
        for thumbnail in [None, Some((80, 60))] {
            let look = Look { max_bytes: Some(room), thumbnail, ..Look::default() };
            for (kind, candidate) in each(&look, &[]).iter().enumerate() {
                let (object, facts) = made(candidate);
                assert!(object.len() as u64 <= room && facts.len == object.len() as u64);
                let same = object.ends_with(&candidate.data[20..]);
                assert_eq!(same, kind == 0 && room >= whole as u64 && thumbnail.is_none());
            }
        }
    }
    let look = Look { max_bytes: Some(1), ..Look::default() };
    for candidate in each(&look, &[]) {
        let mut low = candidate;
        let (floor, _) = made(&low);
        low.order.quality = Some(target::FLOOR);
        assert_eq!(made(&low).0.len(), floor.len(), "as small as the floor makes it");
    }
}

#[test]
fn the_quality_that_fitted_is_where_the_next_search_begins() {
    let mut studio = Studio::default();
    let [_, _, raw] = each(&Look::default(), &[]);
    let room = made(&raw).0.len() as u64 * 2 / 3;
    let [_, _, raw] = each(&Look { max_bytes: Some(room), ..Look::default() }, &[]);
    let boot = BootId("0f3c9a52".into());
    let (first, _) = studio.keep(&raw, 1, &boot, NOW).unwrap();
    let found = studio.good["raw"];
    assert!((target::FLOOR..raw.profile.quality).contains(&found), "{found}");
    let (second, _) = studio.keep(&raw, 2, &boot, NOW).unwrap();
    assert!(second.len() + 9 >= first.len() && studio.good["raw"] >= found);
}

#[test]
fn the_thumbnail_is_masked_turned_and_small() {
    let look =
        Look { thumbnail: Some((80, 80)), turn: Turn::new(Rotate::Right, None), ..Look::default() };
    for candidate in each(&look, &square()) {
        let (object, _) = made(&candidate);
        let exif = exif(&object);
        let number = |tag| {
            exif.get_field(tag, ::exif::In::THUMBNAIL).unwrap().value.get_uint(0).unwrap() as usize
        };
        let at = number(::exif::Tag::JPEGInterchangeFormat);
        let small = &exif.buf()[at..at + number(::exif::Tag::JPEGInterchangeFormatLength)];
        assert!(small.len() <= thumbnail::MOST_BYTES);
        let (pixels, width) = grey(small);
        assert_eq!((width, pixels.len() / width), (60, 80));
        assert!(pixels[40 * width + 30] < 3 && pixels[0] > 60);
        let shown = Studio::default().show(&candidate, NOW).unwrap();
        assert!(!String::from_utf8_lossy(&shown).contains("Exif"));
    }
}

#[test]
fn what_is_ordered_goes_before_the_profile_and_masks_turn_and_text_stay() {
    let look =
        Look { size: Some((80, 80)), turn: Turn::new(Rotate::Left, None), ..Look::default() };
    for mut candidate in each(&look, &square()) {
        candidate.order.size = Some((160, 160));
        let (pixels, width) = grey(&made(&candidate).0);
        assert_eq!((width, pixels.len() / width), (120, 160));
        assert!(pixels[80 * width + 60] < 3);
    }
}

#[test]
fn a_jpeg_far_larger_than_the_camera_promised_is_refused_before_it_is_turned() {
    let look = Look { turn: Turn::new(Rotate::Half, None), ..Look::default() };
    let [mut plain, ..] = each(&look, &[]);
    let sof = plain.data.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    plain.data[sof + 5..sof + 9].fill(0xF0);
    assert!(matches!(undecoded(&plain, NOW), Err(StillError::Mask(MaskError::TooLarge { .. }))));
}
