//! The stored event: what is told after each store, for chains whose store tells nobody itself.
//!
//! Pure: the same picture gives the same event.

use serde_json::{Value, json};

use super::command::rfc3339;
use super::metadata::clock_state;
use super::{Facts, VERSION};
use crate::clock::WallTime;

/// A picture that the store confirmed.
#[derive(Clone, Debug)]
pub struct StoredNotice {
    /// Key of the object.
    pub key: String,
    /// All that is known of the picture.
    pub facts: Facts,
    /// Wall time of the capture, where known.
    pub wall: Option<WallTime>,
}

impl StoredNotice {
    /// Topic below the device's own.
    #[must_use]
    pub fn topic(&self) -> String {
        format!("event/{}/stored", self.facts.camera)
    }

    /// The event's payload.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let facts = &self.facts;
        let captured = facts.wall.or(self.wall).and_then(rfc3339);
        let mut event = json!({
            "schema": VERSION,
            "key": self.key,
            "device": facts.device,
            "camera": facts.camera,
            "trigger": facts.trigger.name(),
            "seq": facts.seq,
            "size": facts.len,
            "sha256": facts.sha256,
            "content_type": facts.content_type,
            "clock": clock_state(facts, self.wall).name(),
        });
        if let Some(fields) = event.as_object_mut() {
            let optional = [
                ("captured", captured.map(Value::from)),
                ("event", facts.event.clone().map(Value::from)),
                ("event_final", facts.event.is_some().then(|| facts.event_final.into())),
                ("command", facts.command.clone().map(Value::from)),
            ];
            fields.extend(optional.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?))));
        }
        event.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Trigger;
    use crate::contract::tests::facts;

    fn told(facts: Facts, wall: Option<WallTime>) -> (String, Value) {
        let notice = StoredNotice { key: "v1/a.jpg".into(), facts, wall };
        (notice.topic(), serde_json::from_slice(&notice.payload()).unwrap())
    }

    #[test]
    fn a_stored_picture_is_told_in_full() {
        let facts = Facts { command: Some("c-17".into()), trigger: Trigger::Command, ..facts() };
        let (topic, event) = told(facts, None);
        assert_eq!(topic, "event/front/stored");
        let expected = json!({
            "schema": 1,
            "key": "v1/a.jpg",
            "device": "porch-1",
            "camera": "front",
            "trigger": "command",
            "seq": 42,
            "size": 1234,
            "sha256": "ab".repeat(32),
            "content_type": "image/jpeg",
            "clock": "trusted",
            "captured": "2026-11-22T10:15:30.123Z",
            "event": "0f3c9a52-1d4c",
            "event_final": false,
            "command": "c-17",
        });
        assert_eq!(event, expected);
    }

    #[test]
    fn what_is_not_known_is_absent_and_never_null() {
        let bare = Facts { event: None, event_final: true, wall: None, ..facts() };
        let (_, event) = told(bare.clone(), None);
        let names: Vec<_> = event.as_object().unwrap().keys().map(String::as_str).collect();
        let always = "camera clock content_type device key schema seq sha256 size trigger";
        assert_eq!(names, always.split(' ').collect::<Vec<_>>());
        assert_eq!(event["clock"], "unsynced");
        let (_, event) = told(bare, Some(WallTime(1_795_342_530_123)));
        assert_eq!(event["clock"], "boot");
        assert_eq!(event["captured"], "2026-11-22T10:15:30.123Z");
    }

    #[test]
    fn a_capture_time_that_was_trusted_is_never_overruled() {
        let (_, event) = told(facts(), Some(WallTime(0)));
        assert_eq!(event["captured"], "2026-11-22T10:15:30.123Z");
    }
}
