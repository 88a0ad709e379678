//! JPEGs edited block by block, held against libjpeg-turbo.

use proptest::prelude::*;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::super::encode::Planes;
use super::super::passthrough::normal_form;
use super::super::text::{Corner, Label};
use super::*;
use crate::firstpass::Polygon;

const ALL: [Subsamp; 6] = [
    Subsamp::None,
    Subsamp::Sub2x1,
    Subsamp::Sub2x2,
    Subsamp::Gray,
    Subsamp::Sub1x2,
    Subsamp::Sub4x1,
];

/// Noise on a slope, so that every kind of code comes up.
fn picture(width: usize, height: usize, subsamp: Subsamp, quality: i32, optimize: bool) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(7);
    let pixels: Vec<u8> = (0..width * height * 3)
        .map(|i| ((i / 3 % width) as u8).wrapping_mul(2).saturating_add(random.u8(0..60)))
        .collect();
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(quality).unwrap();
    compressor.set_subsamp(subsamp).unwrap();
    compressor.set_optimize(optimize).unwrap();
    let image =
        Image { pixels: &pixels[..], width, pitch: width * 3, height, format: PixelFormat::RGB };
    compressor.compress_to_vec(image).unwrap()
}

fn planes(jpeg: &[u8]) -> Planes {
    let geometry = crate::frame::Geometry {
        format: crate::frame::PixelFormat::Mjpeg,
        width: 1,
        height: 1,
        stride: 0,
    };
    let mut planes = Planes::default();
    super::super::privacy::Decoder::default().decode(jpeg, geometry, &mut planes).unwrap();
    planes
}

fn mask(from: (f32, f32), to: (f32, f32)) -> Mask {
    Polygon(vec![from, (to.0, from.1), to, (from.0, to.1)]).into()
}

/// Calls `check(plane, x, y, before, after)` for each sample, x and y in pixels of its top left corner.
fn compare(before: &[u8], after: &[u8], mut check: impl FnMut(usize, usize, usize, u8, u8)) {
    let (before, after) = (planes(before), planes(after));
    for (plane, (one, other)) in before.each().zip(after.each()).enumerate() {
        let step = if plane == 0 { (1, 1) } else { before.subsamp().size() };
        assert_eq!((one.width, one.samples.len()), (other.width, other.samples.len()));
        for (at, (&one_sample, &other_sample)) in one.samples.iter().zip(other.samples).enumerate()
        {
            let (x, y) = (at % one.width * step.0, at / one.width * step.1);
            check(plane, x, y, one_sample, other_sample);
        }
    }
}

fn edited(jpeg: &[u8], masks: &[Mask]) -> Vec<u8> {
    Plain::read(jpeg).unwrap().edit(masks, None).unwrap()
}

#[test]
fn every_masked_mcu_is_black_and_every_other_sample_is_what_it_was() {
    for subsamp in ALL {
        for (size, quality, optimize) in [
            ((160, 120), 85, false),
            ((161, 97), 40, true),
            ((48, 33), 100, false),
            ((17, 9), 97, true),
        ] {
            let frame = picture(size.0, size.1, subsamp, quality, optimize);
            let masks = [mask((0.3, 0.3), (0.6, 0.7)), mask((0.9, -0.5), (1.5, 0.2))];
            let made = edited(&frame, &masks);
            let (across, down) = subsamp.mcu_size();
            let mut black = vec![false; size.0.div_ceil(across) * size.1.div_ceil(down)];
            let row = size.0.div_ceil(across);
            let window = Window::whole(size);
            for mask in &masks {
                cover(&mask.area, &window, &mut |y, from, to| {
                    (from..to).for_each(|x| black[y / down * row + x / across] = true);
                });
            }
            assert!(black.contains(&true) && (size.0 < 40 || black.contains(&false)));
            compare(&frame, &made, |plane, x, y, before, after| {
                let (x, y) = (x.min(size.0 - 1), y.min(size.1 - 1));
                let expected = match (black[y / down * row + x / across], plane) {
                    (true, 0) => 0,
                    (true, _) => 128,
                    (false, _) => before,
                };
                assert_eq!(after, expected, "{subsamp:?} {size:?} plane {plane} at {x} {y}");
            });
        }
    }
}

#[test]
fn nothing_of_what_was_masked_is_left_in_the_file() {
    let mut frame = picture(160, 120, Subsamp::Sub2x2, 80, false);
    frame.splice(2..2, *b"\xFF\xE1\x00\x0Ehttp://thumb\xFF\xFE\x00\x06note");
    let all = mask((0.0, 0.0), (1.0, 1.0));
    let made = edited(&frame, std::slice::from_ref(&all));
    let other = edited(&picture(160, 120, Subsamp::Sub2x2, 80, true), &[all]);
    let scan = |jpeg: &[u8]| jpeg[Plain::read(jpeg).unwrap().scan..].to_vec();
    assert_eq!(scan(&made), scan(&other), "black says nothing of what was there");
    let text = String::from_utf8_lossy(&made);
    assert!(!text.contains("thumb") && !text.contains("note"));
}

#[test]
fn restart_markers_and_missing_tables_are_as_good() {
    // A frame of a UVC camera without tables.
    let frame = include_bytes!("../../../tests/data/uvc-frame.mjpeg");
    let whole = normal_form(frame, None).unwrap();
    let masks = [mask((0.2, 0.2), (0.5, 0.5))];
    let made = edited(frame, &masks);
    assert_eq!(made, edited(&whole, &masks));
    let mut differ = 0;
    compare(&whole, &made, |_, _, _, before, after| differ += usize::from(before != after));
    assert!(differ > 1000);
    let restarting = with_restarts(&whole);
    let made = edited(&restarting, &masks);
    assert!(made.windows(2).any(|w| w == [0xFF, 0xD1]), "they stay");
    compare(&edited(&whole, &masks), &made, |_, _, _, one, other| assert_eq!(one, other));
}

/// The same picture with a restart marker every 3 MCUs, written by the editor itself and checked by libjpeg.
fn with_restarts(jpeg: &[u8]) -> Vec<u8> {
    let plain = Plain::read(jpeg).unwrap();
    let mut out = Vec::new();
    let mut restarting = Plain::read(jpeg).unwrap();
    restarting.restart = 3;
    restarting.head(false, &mut out).unwrap();
    let mut writer = BitWriter::new(out);
    let mut reader = BitReader::new(jpeg, plain.scan);
    let mut is = [0; 3];
    let mut was = [0; 3];
    for at in 0..plain.mcus.0 * plain.mcus.1 {
        if at > 0 && at % 3 == 0 {
            writer.restart(((at / 3 - 1) % 8) as u8);
            is = [0; 3];
        }
        for (index, component) in plain.components.iter().enumerate() {
            let (dc, ac) = plain.decoders(component).unwrap();
            let (dc_spec, ac_spec) = plain.specs(component, index, false).unwrap();
            let mut lane = Lane {
                read_dc: dc,
                read_ac: ac,
                write_dc: Coder::new(&dc_spec),
                write_ac: Coder::new(&ac_spec),
                was: was[index],
                is: is[index],
                black: 0,
                quantisers: plain.quantisers(component).unwrap(),
                blocks: component.blocks,
            };
            for _ in 0..lane.blocks.0 * lane.blocks.1 {
                lane.was += dc.difference(&mut reader).unwrap();
                lane.dc(lane.was, &mut writer).unwrap();
                lane.rest(false, &mut reader, &mut writer).unwrap();
            }
            (was[index], is[index]) = (lane.was, lane.is);
        }
    }
    let made = writer.finish();
    compare(jpeg, &made, |_, _, _, before, after| assert_eq!(before, after));
    made
}

#[test]
fn text_stands_in_its_box_as_it_was_drawn_and_nowhere_else() {
    for subsamp in ALL {
        for corner in [Corner::TopLeft, Corner::TopRight, Corner::BottomLeft, Corner::BottomRight] {
            let size = (333, 201);
            let frame = picture(size.0, size.1, subsamp, 90, true);
            let label = Label::new("front 12:30", corner, size, subsamp.mcu_size()).unwrap();
            let made = Plain::read(&frame).unwrap().edit(&[], Some(&label)).unwrap();
            let [left, top, w, h] = label.area;
            let mut far = 0;
            compare(&frame, &made, |plane, x, y, before, after| {
                if x >= size.0 || y >= size.1 {
                    return;
                }
                if !(left..left + w).contains(&x) || !(top..top + h).contains(&y) {
                    assert_eq!(after, before, "{subsamp:?} {corner:?} plane {plane} at {x} {y}");
                } else if plane == 0 {
                    far += usize::from(after.abs_diff(label.luma(x, y)) > 40);
                } else {
                    assert_eq!(after, 128);
                }
            });
            assert!(far * 200 < w * h, "{far} pixels of {w}x{h} are far off");
        }
    }
}

#[test]
fn what_is_not_plain_is_refused() {
    let frame = picture(64, 48, Subsamp::Sub2x2, 80, false);
    let scan = frame.windows(2).position(|w| w == [0xFF, 0xDA]).unwrap();
    let sof = frame.windows(2).position(|w| w == [0xFF, 0xC0]).unwrap();
    let changed = |at: usize, value: u8| {
        let mut frame = frame.clone();
        frame[at] = value;
        frame
    };
    let refused = |frame: &[u8]| Plain::read(frame).is_err();
    assert!(!refused(&frame));
    assert!(refused(&changed(sof + 1, 0xC2)), "progressive");
    assert!(refused(&changed(sof + 1, 0xC9)), "arithmetic");
    assert!(refused(&changed(sof + 4, 12)), "12 bits");
    assert!(refused(&changed(sof + 5, 0)) || sof == 0 || frame[sof + 5] == 0);
    assert!(refused(&frame[..frame.len() - 2]), "no end");
    assert!(refused(&frame[..scan]));
    let mut adobe = frame.clone();
    adobe.splice(2..20, *b"\xFF\xEE\x00\x0EAdobe\x00\x64\x00\x00\x00\x00\x00");
    assert!(refused(&adobe), "RGB by Adobe's word");
    let twice = [&frame[..frame.len() - 2], &frame[scan..]].concat();
    assert!(refused(&twice), "another scan");
    let cut = [&frame[..scan + 200], &[0xFF, 0xD9]].concat();
    assert!(Plain::read(&cut).unwrap().edit(&[], None).is_err(), "blocks are missing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_frames_never_panic_and_what_is_made_of_them_is_whole(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        optimize in any::<bool>(),
    ) {
        let mut frame = picture(40, 40, Subsamp::Sub2x1, 70, optimize);
        for (at, value) in hits {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let Ok(plain) = Plain::read(&frame) else { return Ok(()) };
        if let Ok(made) = plain.edit(&[mask((0.1, 0.1), (0.5, 0.5))], None) {
            prop_assert!(made.len() < 4 * frame.len() + 4096);
            let again = Plain::read(&made).map(|plain| plain.edit(&[], None));
            prop_assert!(matches!(again, Ok(Ok(_))), "its codes are sound");
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut frame = vec![0xFF, 0xD8];
        frame.extend_from_slice(&bytes);
        prop_assert!(Plain::read(&frame).is_err());
    }
}
