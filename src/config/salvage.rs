//! What of a last good configuration this version still understands. Pure.
//!
//! The last resort: the file is broken, and the last good one, which another version wrote, has keys that
//! this one does not take. A camera that runs with less beats one that is dead, with three bounds. A camera
//! of whose masks anything is not understood is left out, because pictures must never show what was masked.
//! A destination or broker of which anything is not understood is left out whole, because half a
//! destination may be another one: pictures wait on the device. And where what is wrong cannot be told
//! whole, nothing is run.

use serde_json::Value;

use super::errors::{ConfigError, MOST};

/// Parts of which everything must be understood.
const WHOLE: [&str; 2] = ["destination", "mqtt"];

/// Words in a key that say that it is about what nobody may see.
const PRIVACY: [&str; 2] = ["mask", "priva"];

/// Takes out of `sound` what must not run without the parts that `errors` are about, and those parts where
/// they are still in it. `None` when nothing must run.
pub(crate) fn without(mut sound: Value, errors: &[ConfigError]) -> Option<Value> {
    if errors.len() >= MOST {
        return None; // there may be more, and one of them about a mask
    }
    for error in errors {
        leave_out(&mut sound, &segments(&error.key))?;
    }
    Some(sound)
}

/// `camera.front.mask[0].points` as `camera`, `front`, `mask`: arrays are taken whole.
fn segments(key: &str) -> Vec<&str> {
    let (whole, _) = key.split_once('[').unwrap_or((key, ""));
    whole.split('.').collect()
}

fn leave_out(sound: &mut Value, path: &[&str]) -> Option<()> {
    let private = |name: &&str| PRIVACY.iter().any(|word| name.to_lowercase().contains(word));
    match path {
        [section, ..] if WHOLE.contains(section) => remove(sound, &[section]),
        ["camera", name, rest @ ..] if rest.iter().any(|n| private(n)) => {
            remove(sound, &["camera", name]);
        }
        _ if path.iter().any(|n| private(n)) => return None,
        _ => remove(sound, path),
    }
    Some(())
}

fn remove(sound: &mut Value, path: &[&str]) {
    let Some((last, parents)) = path.split_last() else { return };
    let table = parents.iter().try_fold(sound, |at, name| at.get_mut(*name));
    if let Some(table) = table.and_then(Value::as_object_mut) {
        table.remove(*last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::errors::ConfigErrors;
    use crate::config::source::Sources;
    use serde_json::json;
    use std::path::Path;

    fn left(keys: &[&str]) -> Option<Value> {
        let sound = json!({
            "camera": { "a": { "interval": "1s", "mask": [] }, "b": { "quality": 80 } },
            "destination": { "dir": {}, "concurrency": 2 },
            "log": { "level": "info" },
        });
        let mut errors = ConfigErrors::new(&Sources::single(Path::new("x"), ""));
        keys.iter().for_each(|key| errors.push(*key, None, "", ""));
        without(sound, &errors.errors)
    }

    #[test]
    fn a_key_is_left_out_alone_and_a_destination_whole() {
        let kept = left(&["camera.a.interval", "destination.concurrency", "nonsense"]).unwrap();
        assert_eq!(kept["camera"]["a"], json!({ "mask": [] }));
        assert_eq!((kept.get("destination"), kept["log"]["level"].as_str()), (None, Some("info")));
    }

    #[test]
    fn a_camera_whose_masks_are_not_understood_is_left_out() {
        for key in ["camera.a.mask[0].points[1]", "camera.a.privacy_mode", "camera.a.Masks"] {
            let kept = left(&[key]).unwrap();
            assert_eq!(kept["camera"], json!({ "b": { "quality": 80 } }), "{key}");
        }
        assert_eq!(left(&["privacy.blur"]), None, "of which camera nobody knows");
        assert_eq!(left(&["log.level"; MOST]), None, "one more may be about a mask");
    }
}
