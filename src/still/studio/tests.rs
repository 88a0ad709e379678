//! Pictures that somebody ordered: their size, quality, masks, and what is told of them.

use proptest::prelude::*;

use super::super::encode::tests::{jpeg, picture, yuyv};
use super::super::privacy::Mask;
use super::super::tests::{candidate, exif, mjpeg, square};
use super::super::{Order, Said};
use super::*;

const FRAME: (u32, u32) = (160, 120);

fn ordered(size: Option<(u32, u32)>, quality: Option<u8>) -> Candidate {
    let order = Order { size, quality };
    Candidate { order, ..mjpeg(jpeg(FRAME.0, FRAME.1), Vec::new()) }
}

/// The object, its facts, and the size that its header says.
fn made(candidate: &Candidate) -> (Bytes, Facts, (usize, usize)) {
    let boot = BootId("0f3c9a52".into());
    let (object, facts) = Studio::default().keep(candidate, 1, &boot, None).unwrap();
    let header = turbojpeg::read_header(&object).unwrap();
    (object, facts, (header.width, header.height))
}

fn meta<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    facts.meta.get(name).map(String::as_str)
}

#[test]
fn a_size_is_fitted_with_the_aspect_kept_and_never_enlarged() {
    for (size, expected) in [
        ((80, 80), (80, 60)),
        ((1000, 60), (80, 60)),
        ((100, 100), (100, 76)),
        ((33, 33), (32, 24)),
        ((1, 1), (2, 2)),
        ((0, 0), (2, 2)),
        ((159, 120), (158, 120)),
        ((160, 120), (160, 120)),
        ((u32::MAX, u32::MAX), (160, 120)),
    ] {
        let raw = Candidate {
            order: Order { size: Some(size), quality: None },
            ..candidate("raw", picture(160, 120), yuyv(160, 120, 0), Vec::new())
        };
        for candidate in [ordered(Some(size), None), raw] {
            assert_eq!(made(&candidate).2, expected, "{size:?}");
        }
    }
}

#[test]
fn a_jpeg_that_fits_and_is_masked_nowhere_stays_byte_for_byte() {
    let frame = jpeg(FRAME.0, FRAME.1);
    for size in [None, Some((160, 120)), Some((1920, 1080))] {
        let said = Some(Said { label: Some("person".into()), ..Said::default() });
        let (object, ..) = made(&Candidate { said, ..ordered(size, None) });
        assert!(object.ends_with(&frame[20..]), "{size:?}");
    }
}

#[test]
fn a_quality_that_is_ordered_goes_before_the_profiles() {
    let length = |quality| made(&ordered(Some((120, 120)), quality)).0.len();
    let (low, profile, high) = (length(Some(20)), length(None), length(Some(98)));
    assert!(low < profile && profile < high, "{low} {profile} {high}");
    let (object, ..) = made(&ordered(None, Some(20)));
    assert!(!object.ends_with(&jpeg(FRAME.0, FRAME.1)[20..]), "also without a size");
}

#[test]
fn a_scaled_picture_shows_what_the_frame_shows() {
    for subsamp in [
        turbojpeg::Subsamp::None,
        turbojpeg::Subsamp::Sub2x1,
        turbojpeg::Subsamp::Sub2x2,
        turbojpeg::Subsamp::Gray,
        turbojpeg::Subsamp::Sub1x2,
        turbojpeg::Subsamp::Sub4x1,
    ] {
        // Odd sides; red left, green right, dark below.
        let (width, height) = (161, 121);
        let colour = |x: usize, y: usize| match (x < 80, y < 60) {
            (_, false) => [20, 20, 20],
            (true, _) => [200, 40, 40],
            (false, _) => [40, 200, 40],
        };
        let pixels: Vec<u8> =
            (0..width * height).flat_map(|i| colour(i % width, i / width)).collect();
        let format = turbojpeg::PixelFormat::RGB;
        let image =
            turbojpeg::Image { pixels: &pixels[..], width, pitch: width * 3, height, format };
        let frame = turbojpeg::compress(image, 95, subsamp).unwrap().to_vec();
        let order = Order { size: Some((64, 64)), quality: Some(95) };
        let (object, _, size) = made(&Candidate { order, ..mjpeg(frame, Vec::new()) });
        assert_eq!(size, (64, 48), "{subsamp:?}");
        let small = turbojpeg::decompress(&object[..], format).unwrap();
        let at = |x: usize, y: usize| &small.pixels[y * small.pitch + x * 3..][..3];
        let grey = subsamp == turbojpeg::Subsamp::Gray;
        for (x, y, source) in [
            (4, 4, colour(10, 10)),
            (60, 4, colour(150, 10)),
            (4, 44, colour(10, 110)),
            (63, 47, colour(160, 120)),
            (63, 0, colour(160, 0)),
        ] {
            let luma = (299 * u32::from(source[0])
                + 587 * u32::from(source[1])
                + 114 * u32::from(source[2]))
                / 1000;
            let expected = if grey { [luma as u8; 3] } else { source };
            let near = at(x, y).iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 16);
            assert!(near, "{subsamp:?}: {:?} at {x} {y}, not {expected:?}", at(x, y));
        }
    }
}

#[test]
fn every_format_is_masked_and_scaled() {
    for format in PixelFormat::PREFERENCE.into_iter().filter(|format| format.is_raw()) {
        let geometry = Geometry { format, width: 160, height: 120, stride: 0 };
        for size in [None, Some((80, 60))] {
            // White, or brighter, in every layout.
            let data = vec![255; geometry.frame_bytes() as usize];
            let order = Order { size, quality: None };
            let candidate = Candidate { order, ..candidate("raw", data, geometry, square()) };
            let mut studio = Studio::default();
            studio.draft(&candidate, None).unwrap();
            let (width, height) = (studio.planes.width(), studio.planes.height());
            assert_eq!((width, height), size.map_or((160, 120), |s| (s.0 as usize, s.1 as usize)));
            let luma = studio.planes.each().next().unwrap().samples;
            let (centre, corner) = (luma[height / 2 * width + width / 2], luma[0]);
            assert!(centre == 0 && corner > 250, "{}: {centre} {corner}", format.name());
        }
    }
}

/// The luma of the ordered picture of a raw frame with this luma by place.
fn luma(frame: impl Fn(usize, usize) -> u8, size: (u32, u32), masks: Vec<Mask>) -> Vec<u8> {
    let data = (0..160 * 120).flat_map(|i| [frame(i % 160, i / 160), 128]).collect();
    let order = Order { size: Some(size), quality: None };
    let candidate = Candidate { order, ..candidate("raw", data, yuyv(160, 120, 0), masks) };
    let mut studio = Studio::default();
    studio.draft(&candidate, None).unwrap();
    studio.planes.each().next().unwrap().samples.to_vec()
}

#[test]
fn nothing_behind_a_mask_runs_into_the_pixels_beside_it() {
    for size in [(80, 60), (53, 60), (20, 20), (158, 120)] {
        let behind = |x, y| (40..120).contains(&x) && (30..90).contains(&y);
        let with = |value: u8| luma(|x, y| if behind(x, y) { value } else { 128 }, size, square());
        assert!(with(0) == with(255), "{size:?}");
    }
}

#[test]
fn every_pixel_that_a_mask_touches_is_black_in_a_scaled_picture_too() {
    for (size, width) in [((80, 60), 80), ((50, 60), 50), ((20, 20), 20)] {
        let made = luma(|_, _| 255, size, square());
        let height = made.len() / width;
        for (at, &luma) in made.iter().enumerate() {
            let (x, y) = (at % width, at / width);
            let inside = 4 * (x + 1) > width
                && 4 * x < 3 * width
                && 4 * (y + 1) > height
                && 4 * y < 3 * height;
            assert!(luma == 0 || !inside, "{size:?}: {luma} at {x} {y}");
        }
        assert!(
            made.iter().filter(|&&luma| luma > 250).count() > made.len() / 3,
            "the rest is not"
        );
    }
}

#[test]
fn boxes_are_told_in_pixels_of_the_made_picture_and_so_in_its_exif() {
    let said = Said {
        label: Some("person".into()),
        boxes: vec![[0.25, 0.5, 0.5, 0.25]],
        meta: [("pir".to_owned(), "2".to_owned())].into(),
    };
    for (size, motion, boxes) in [
        (None, "1-2-3-4", "40-60-80-30"),
        (Some((160, 120)), "1-2-3-4", "40-60-80-30"),
        (Some((80, 60)), "0-1-2-2", "20-30-40-15"),
        (Some((40, 40)), "0-0-1-2", "10-15-20-8"),
    ] {
        let candidate = Candidate { said: Some(said.clone()), ..ordered(size, None) };
        let (object, facts, _) = made(&candidate);
        assert_eq!(meta(&facts, "motion-box"), Some(motion), "{size:?}");
        assert_eq!(meta(&facts, "trigger-boxes"), Some(boxes), "{size:?}");
        assert_eq!(meta(&facts, "trigger-label"), Some("person"));
        assert_eq!(meta(&facts, "meta-pir"), Some("2"));
        let exif = exif(&object);
        let comment = exif.get_field(::exif::Tag::UserComment, ::exif::In::PRIMARY).unwrap();
        let ::exif::Value::Undefined(comment, _) = &comment.value else { panic!() };
        let comment = String::from_utf8_lossy(comment);
        for told in [motion, boxes, "person"] {
            assert!(comment.contains(&format!("\"{told}\"")), "{comment}");
        }
    }
}

#[test]
fn boxes_are_those_of_the_jpeg_and_not_of_what_the_camera_promised() {
    let said = Some(Said { boxes: vec![[0.0, 0.0, 1.0, 1.0]], ..Said::default() });
    let mut candidate = Candidate { said, ..ordered(None, None) };
    (candidate.geometry.width, candidate.geometry.height) = (1920, 1080);
    assert_eq!(meta(&made(&candidate).1, "trigger-boxes"), Some("0-0-160-120"));
}

#[test]
fn what_an_order_needed_is_not_kept() {
    let mut studio = Studio::default();
    let boot = BootId("0f3c9a52".into());
    studio.keep(&ordered(Some((80, 80)), Some(50)), 1, &boot, None).unwrap();
    assert_eq!(studio.planes.width(), 0);
}

proptest! {
    #[test]
    fn any_size_is_within_what_is_asked_and_within_the_frame(
        frame in (2usize..5000, 2usize..5000), most in (2u32..5000, 2u32..5000),
        step in prop::sample::select(vec![(1, 1), (2, 1), (2, 2), (1, 2), (4, 1)]),
    ) {
        let Some(to) = scale::fit(frame, most, step) else {
            prop_assert!(frame.0 <= most.0 as usize && frame.1 <= most.1 as usize);
            return Ok(());
        };
        let least = |step: usize| step.max(2);
        prop_assert!(to.0 <= (most.0 as usize).min(frame.0).max(least(step.0)));
        prop_assert!(to.1 <= (most.1 as usize).min(frame.1).max(least(step.1)));
        prop_assert!(to.0 % least(step.0) == 0 && to.1 % least(step.1) == 0);
        let aspect = frame.0 as f64 / frame.1 as f64;
        let off = (to.0 as f64 - to.1 as f64 * aspect, to.1 as f64 - to.0 as f64 / aspect);
        let (across, down) = (off.0.abs() <= least(step.0) as f64, off.1.abs() <= least(step.1) as f64);
        let smallest = to.0 == least(step.0) || to.1 == least(step.1);
        prop_assert!(across || down || smallest, "{}x{} for {:?}", to.0, to.1, frame);
    }

    #[test]
    fn frames_of_any_size_are_scaled_to_any_size(
        width in 1u32..90, height in 1u32..60, most in (0u32..100, 0u32..100), masked in any::<bool>(),
    ) {
        let masks = if masked { square() } else { Vec::new() };
        let order = Order { size: Some(most), quality: None };
        let frame = picture(width, height);
        let raw = candidate("raw", frame, yuyv(width, height, 0), masks.clone());
        let camera = mjpeg(jpeg(width, height), masks);
        for candidate in [raw, camera] {
            let (.., size) = made(&Candidate { order: order.clone(), ..candidate });
            prop_assert!(size.0 <= (width as usize).max(2) && size.1 <= (height as usize).max(2));
        }
    }
}
