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
