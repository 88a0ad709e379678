//! What a detector or a sensor may say of a picture: the limits, wherever it comes in.
//!
//! MQTT and the trigger socket both call [`check_said`], so that a picture never carries more from the
//! one than from the other.

use super::words::{is_name, is_word, quote};
use crate::contract::command::Reason;
use crate::still::Said;

/// Most boxes.
pub const MAX_BOXES: usize = 6;

/// Most entries of `meta`.
pub const MAX_META: usize = 8;

/// How far a box may stand over the frame's edge: what single precision makes of 0.1 + 0.9 and the like.
const ROUNDING: f32 = 1e-5;

/// Checks what somebody said: labels, boxes inside the frame, entries of `meta`.
///
/// # Errors
/// A reason with the code `bad-value`, which says what would be right.
pub fn check_said(said: &Said) -> Result<(), Reason> {
    check(said).map_err(|text| Reason::new(super::Code::BadValue.name(), text))
}

/// As [`check_said`], in words.
pub(super) fn check(said: &Said) -> Result<(), String> {
    if let Some(label) = said.label.as_deref().filter(|label| !is_word(label)) {
        return Err(format!("label {} must be 1 to 64 of A-Z a-z 0-9 . _ : -", quote(label)));
    }
    if said.boxes.len() > MAX_BOXES {
        return Err(format!("{} boxes; the most is {MAX_BOXES}", said.boxes.len()));
    }
    if let Some(at) = said.boxes.iter().position(|b| !is_inside(*b)) {
        let [x, y, w, h] = said.boxes[at];
        return Err(format!(
            "box {} is [{x:?}, {y:?}, {w:?}, {h:?}]; it must be [x, y, width, height] in 0..1 of the frame, \
             inside it, with a width and height above 0",
            at + 1
        ));
    }
    if said.meta.len() > MAX_META {
        return Err(format!("{} entries in meta; the most is {MAX_META}", said.meta.len()));
    }
    for (name, value) in &said.meta {
        if !is_name(name) {
            return Err(format!("meta name {} must be 1 to 32 of a-z 0-9 -", quote(name)));
        }
        if !is_word(value) {
            let value = quote(value);
            return Err(format!("meta {name} = {value} must be 1 to 64 of A-Z a-z 0-9 . _ : -"));
        }
    }
    Ok(())
}

/// Every comparison is false for what is not a number.
fn is_inside([x, y, w, h]: [f32; 4]) -> bool {
    let within = |from: f32, size: f32| from >= 0.0 && size > 0.0 && from + size <= 1.0 + ROUNDING;
    within(x, w) && within(y, h)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with_box(b: [f32; 4]) -> Said {
        Said { boxes: vec![b], ..Said::default() }
    }

    fn with_meta(name: &str, value: &str) -> Said {
        Said { meta: [(name.to_owned(), value.to_owned())].into(), ..Said::default() }
    }

    #[test]
    fn what_keeps_the_limits_passes() {
        let meta = (0..8).map(|n| (format!("k-{n}"), "A.b_c:1-2".to_owned())).collect();
        let boxes = vec![[0.0, 0.0, 1.0, 1.0], [0.9, 0.7, 0.1, 0.3], [0.5, 0.5, 1e-6, 1e-6]];
        let said = Said { label: Some("person".into()), boxes, meta };
        assert_eq!(check_said(&said), Ok(()));
        assert_eq!(check_said(&Said::default()), Ok(()));
    }

    #[test]
    fn what_exceeds_a_limit_is_refused_with_what_would_be_right() {
        let nan = f32::NAN;
        let cases = [
            (Said { label: Some("a person".into()), ..Said::default() }, "1 to 64"),
            (Said { label: Some(String::new()), ..Said::default() }, "1 to 64"),
            (Said { boxes: vec![[0.0, 0.0, 1.0, 1.0]; 7], ..Said::default() }, "most is 6"),
            (with_box([0.5, 0.5, 0.6, 0.1]), "inside"),
            (with_box([0.5, 0.5, 0.1, 0.0]), "above 0"),
            (with_box([-0.1, 0.5, 0.1, 0.1]), "0..1"),
            (with_box([nan, 0.5, 0.1, 0.1]), "0..1"),
            (with_box([0.1, 0.5, nan, 0.1]), "0..1"),
            (with_box([0.1, 0.5, 0.1, f32::INFINITY]), "0..1"),
            (with_meta("Key", "v"), "1 to 32"),
            (with_meta("key", "a b"), "1 to 64"),
            (with_meta("key", ""), "1 to 64"),
        ];
        for (said, right) in cases {
            let reason = check_said(&said).expect_err("it is refused");
            assert_eq!(reason.code, "bad-value", "{said:?}");
            assert!(reason.text.contains(right), "{said:?}: {}", reason.text);
        }
        let nine = (0..9).map(|n| (format!("k{n}"), "v".into())).collect();
        assert!(check_said(&Said { meta: nine, ..Said::default() }).is_err());
    }

    proptest! {
        #[test]
        fn a_box_that_passes_is_finite_and_inside(b in any::<[f32; 4]>()) {
            if check_said(&with_box(b)).is_ok() {
                prop_assert!(b.iter().all(|v| v.is_finite() && *v >= 0.0 && *v <= 1.0 + ROUNDING));
            }
        }

        #[test]
        fn a_reason_repeats_little(label in any::<String>(), name in any::<String>()) {
            let said = Said { label: Some(label), ..with_meta(&name, "v") };
            if let Err(reason) = check_said(&said) {
                prop_assert!(reason.text.chars().count() < 200);
                prop_assert!(!reason.text.chars().any(char::is_control));
            }
        }
    }
}
