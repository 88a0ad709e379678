//! The manifest of an event: what became of each of its pictures.
//!
//! Written as an object of its own for every event none of whose pictures carried `event-final: true`,
//! when all of them have ended or ten minutes after the event did. Pure.

use serde::{Deserialize, Serialize};

use super::VERSION;

/// Most pictures that a manifest lists; further ones are in its counts only.
pub const MAX_ENTRIES: usize = 2000;

/// What became of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// On its way.
    Pending,
    /// The store has it.
    Stored,
    /// Set aside on the device: it will not come.
    Quarantined,
    /// Given up: it will not come.
    Lost,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its sequence number.
    pub seq: u64,
    /// What became of it.
    pub state: State,
    /// Its key; absent while the time of its capture, and with it the key, is not decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Bytes of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// SHA-256 of the object, 64 lower-case hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Capture time, RFC 3339, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<String>,
    /// Why it is lost or set aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How many pictures of an event came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Chosen by the first pass; absent when the agent stopped before the event ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<u64>,
    /// Chosen and not kept: disk, memory or encoder could not take them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    /// Stored.
    pub stored: u64,
    /// On their way.
    pub pending: u64,
    /// Set aside.
    pub quarantined: u64,
    /// Given up.
    pub lost: u64,
}

/// An event and its pictures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the contract.
    pub schema: u32,
    /// Device id.
    pub device: String,
    /// Camera.
    pub camera: String,
    /// Event id.
    pub event: String,
    /// Kernel boot id of the event.
    pub boot: String,
    /// When it began, CLOCK_BOOTTIME nanoseconds.
    pub began_boottime: u64,
    /// From its first frame to its last frame with motion; absent when the agent stopped before it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Why it ended: `quiet`, `too long`, `stopped`, or `interrupted` when the agent was.
    pub ended: String,
    /// How many came to what.
    pub counts: Counts,
    /// The pictures, by sequence number; at most [`MAX_ENTRIES`].
    pub pictures: Vec<Entry>,
}

impl Manifest {
    /// As stored.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // plain data: it cannot fail
    }

    /// The version of the contract that new manifests carry.
    #[must_use]
    pub fn schema() -> u32 {
        VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_absent_and_read_as_not_known() {
        let manifest = Manifest {
            schema: Manifest::schema(),
            device: "porch-1".into(),
            camera: "front".into(),
            event: "0f3c9a52-1d4c".into(),
            boot: "0f3c9a52-1111-2222-3333-444455556666".into(),
            began_boottime: 7_500_000_000,
            duration_ms: None,
            ended: "interrupted".into(),
            counts: Counts { pending: 1, ..Counts::default() },
            pictures: vec![Entry {
                seq: 42,
                state: State::Pending,
                key: None,
                size: None,
                sha256: None,
                captured: None,
                reason: None,
            }],
        };
        let json = String::from_utf8(manifest.to_json()).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"schema":1,"device":"porch-1","camera":"front","event":"0f3c9a52-1d4c","#,
                r#""boot":"0f3c9a52-1111-2222-3333-444455556666","began_boottime":7500000000,"#,
                r#""ended":"interrupted","#,
                r#""counts":{"stored":0,"pending":1,"quarantined":0,"lost":0},"#,
                r#""pictures":[{"seq":42,"state":"pending"}]}"#,
            )
        );
        assert_eq!(serde_json::from_str::<Manifest>(&json).unwrap(), manifest);
        let more = json.replacen('{', r#"{"new":1,"#, 1);
        assert_eq!(serde_json::from_str::<Manifest>(&more).unwrap(), manifest, "fields are added");
    }
}
