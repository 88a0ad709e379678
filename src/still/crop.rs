//! The area of a frame that holds its subject.
//!
//! Used by the still thread where the camera's pictures are to be cut to what moved. Pure.

use super::transform::Area;
use super::{Candidate, Crop};
use crate::frame::PixelBox;

/// The subject with its margin, edges at whole MCUs (of `mcu` pixels) so that a JPEG can be cut there without
/// decoding it, and within the frame. `None` where nobody says what the subject is, or it fills the frame.
pub(super) fn area(
    candidate: &Candidate,
    crop: Crop,
    frame: (usize, usize),
    mcu: (usize, usize),
) -> Option<Area> {
    let b = subject(candidate, frame)?;
    let longer = f64::from(b.w.max(b.h));
    // Casts saturate.
    let margin = (longer * f64::from(crop.margin)).ceil() as usize;
    let (x, w) = span(b.x as usize, b.w as usize, margin, frame.0, mcu.0)?;
    let (y, h) = span(b.y as usize, b.h as usize, margin, frame.1, mcu.1)?;
    ((w, h) != frame).then_some([x, y, w, h])
}

/// What a detector named first, else the largest moving thing.
fn subject(candidate: &Candidate, frame: (usize, usize)) -> Option<PixelBox> {
    let said = candidate.said.as_ref().and_then(|said| said.boxes.first());
    if let Some(&[x, y, w, h]) = said {
        let at = |v: f32, side: usize| (f64::from(v.clamp(0.0, 1.0)) * side as f64) as u32;
        let (left, top) = (at(x, frame.0), at(y, frame.1));
        let (right, bottom) = (at(x + w, frame.0), at(y + h, frame.1));
        if right > left && bottom > top {
            return Some(PixelBox { x: left, y: top, w: right - left, h: bottom - top });
        }
    }
    candidate.seen.as_ref().and_then(|seen| seen.boxes.first().copied())
}

/// From and length along one side.
fn span(
    from: usize,
    length: usize,
    margin: usize,
    side: usize,
    mcu: usize,
) -> Option<(usize, usize)> {
    let mcu = mcu.max(1);
    let first = from.saturating_sub(margin) / mcu * mcu;
    let end = from.saturating_add(length).saturating_add(margin).min(side);
    let end = end.div_ceil(mcu).saturating_mul(mcu).min(side);
    (end > first).then_some((first, end - first))
}

#[cfg(test)]
mod tests {
    use super::super::Said;
    use super::super::tests::mjpeg;
    use super::*;

    fn at(boxes: &[PixelBox], said: &[[f32; 4]], margin: f32) -> Option<Area> {
        let mut candidate = mjpeg(Vec::new(), Vec::new());
        candidate.seen.as_mut().unwrap().boxes = boxes.to_vec();
        candidate.said = Some(Said { boxes: said.to_vec(), ..Said::default() });
        area(&candidate, Crop { margin }, (1920, 1080), (16, 8))
    }

    #[test]
    fn the_largest_box_and_its_margin_are_cut_out_at_whole_mcus() {
        let b = PixelBox { x: 500, y: 300, w: 100, h: 200 };
        assert_eq!(at(&[b], &[], 0.0), Some([496, 296, 112, 208]));
        assert_eq!(at(&[b], &[], 0.25), Some([448, 248, 208, 304]));
        assert_eq!(
            at(&[b], &[[0.5, 0.5, 0.1, 0.1]], 0.0),
            Some([960, 536, 192, 112]),
            "said goes before"
        );
    }

    #[test]
    fn it_stays_within_the_frame_and_nothing_or_everything_is_no_crop() {
        let corner = PixelBox { x: 1900, y: 1070, w: 20, h: 10 };
        assert_eq!(at(&[corner], &[], 1.0), Some([1872, 1048, 48, 32]));
        assert_eq!(at(&[], &[], 0.2), None);
        assert_eq!(at(&[], &[[0.0, 0.0, 1.0, 1.0]], 0.0), None);
        assert_eq!(at(&[], &[[f32::NAN; 4]], 0.0), None);
        let outside = PixelBox { x: u32::MAX, y: 0, w: u32::MAX, h: 9 };
        assert_eq!(at(&[outside], &[], 9.0), None);
    }
}
