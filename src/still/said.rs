//! What a detector or a sensor said, as metadata of the picture it asked for.
//!
//! Used by the still thread. Pure. What was said comes from other programs: boxes are clipped to the
//! picture, those without a place in it are left out, and all of it is bounded here once more, whoever
//! took it in.

use super::Said;

/// So many boxes are told; what asks for pictures puts the surest first.
const MAX_BOXES: usize = 6;

/// So many further names are taken over, each with so many characters of its value.
const MAX_META: usize = 16;
const MAX_CHARS: usize = 128;

/// Names and values for the facts of a picture of `made` pixels.
pub(super) fn metadata(said: &Said, made: (usize, usize)) -> Vec<(String, String)> {
    let mut meta = Vec::new();
    if let Some(label) = said.label.as_deref().filter(|label| !label.is_empty()) {
        meta.push(("trigger-label".into(), short(label)));
    }
    let boxes: Vec<_> =
        said.boxes.iter().filter_map(|b| pixels(*b, made)).take(MAX_BOXES).collect();
    if !boxes.is_empty() {
        meta.push(("trigger-boxes".into(), boxes.join(":")));
    }
    let further = said.meta.iter().take(MAX_META);
    meta.extend(further.map(|(name, value)| (format!("meta-{}", short(name)), short(value))));
    meta
}

/// `x-y-w-h` of all pixels that the box touches; `None` where there are none.
fn pixels([x, y, w, h]: [f32; 4], (width, height): (usize, usize)) -> Option<String> {
    let span = |from: f32, length: f32, side: usize| {
        // To a 64th of a pixel: 0.9 of 480 is 431.99999 in single precision, and means 432.
        let at = |v: f64| ((v * side as f64 * 64.0).round() / 64.0).clamp(0.0, side as f64);
        let (from, to) = (f64::from(from), f64::from(from) + f64::from(length));
        // Casts saturate, and what is no number becomes 0 and so an empty span.
        let (first, end) = (at(from).floor() as usize, at(to).ceil() as usize);
        (length > 0.0 && end > first).then(|| (first, end - first))
    };
    let ((x, w), (y, h)) = (span(x, w, width)?, span(y, h, height)?);
    Some(format!("{x}-{y}-{w}-{h}"))
}

fn short(text: &str) -> String {
    text.chars().take(MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(boxes: &[[f32; 4]]) -> Option<String> {
        let said = Said { boxes: boxes.to_vec(), ..Said::default() };
        metadata(&said, (640, 480)).into_iter().next().map(|(_, value)| value)
    }

    #[test]
    fn boxes_are_told_in_pixels_of_the_picture() {
        assert_eq!(told(&[[0.25, 0.5, 0.5, 0.25]]).unwrap(), "160-240-320-120");
        assert_eq!(told(&[[0.0, 0.0, 1.0, 1.0], [0.999, 0.0, 0.001, 0.5]]).unwrap(), {
            "0-0-640-480:639-0-1-240"
        });
    }

    #[test]
    fn boxes_are_clipped_and_those_outside_or_without_size_are_left_out() {
        assert_eq!(told(&[[-0.5, 0.9, 1.0, 3e30]]).unwrap(), "0-432-320-48");
        let nan = f32::NAN;
        for none in [
            [1.0, 0.0, 0.5, 0.5],
            [-1.0, 0.0, 0.5, 0.5],
            [0.5, 0.5, 0.0, 0.5],
            [0.5, 0.5, -0.2, 0.5],
            [nan, 0.0, 0.5, 0.5],
            [0.0, 0.0, nan, 0.5],
            [f32::INFINITY, 0.0, 0.5, 0.5],
            [f32::NEG_INFINITY, 0.0, f32::INFINITY, 0.5],
        ] {
            assert_eq!(told(&[none]), None, "{none:?}");
        }
        assert_eq!(told(&[[nan; 4], [0.0, 0.0, 0.5, 0.5]]).unwrap(), "0-0-320-240");
    }

    #[test]
    fn six_boxes_are_told_and_no_more() {
        let seven: Vec<_> = (0..7u8).map(|n| [f32::from(n) / 10.0, 0.0, 0.1, 0.1]).collect();
        assert_eq!(told(&seven).unwrap().split(':').count(), 6);
    }

    #[test]
    fn label_and_further_names_are_told_and_bounded() {
        let said = Said {
            label: Some("person".into()),
            boxes: Vec::new(),
            meta: (0..99).map(|n| (format!("n{n:02}"), "v".repeat(1 << 20))).collect(),
        };
        let meta = metadata(&said, (8, 8));
        assert_eq!(meta[0], ("trigger-label".into(), "person".into()));
        assert_eq!((meta.len(), meta[16].0.as_str(), meta[16].1.len()), (17, "meta-n15", 128));
        assert_eq!(metadata(&Said { label: Some(String::new()), ..Said::default() }, (8, 8)), []);
    }
}
