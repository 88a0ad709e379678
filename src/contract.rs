//! The object contract: everything a serverless function gets to see of a picture.
//!
//! [`Facts`] is what the device knows of one picture. It is written into the spool file's trailer, and
//! the object's key ([`key`]) and metadata ([`metadata`]) are pure functions of it and of the wall
//! time that the boot record gives to pictures taken before the clock was trusted. Pure: no I/O.

pub mod command;
pub mod key;
pub mod manifest;
pub mod metadata;
pub mod purge;
pub mod stored;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::{Deserialize, Serialize};

use crate::clock::{BootId, BootTime, WallTime};
use crate::frame::Stamp;

/// Version of the contract, as told in the metadata and the trailer.
pub const VERSION: u32 = 1;

/// Why a picture was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// The first pass saw motion.
    Motion,
    /// A fixed time went by.
    Interval,
    /// An operator asked.
    Command,
    /// Another program on the device asked.
    External,
    /// A time of day came.
    Schedule,
    /// No picture: the account of an event, told by [`manifest`].
    Manifest,
}

impl Trigger {
    /// The word used in keys, metadata and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Motion => "motion",
            Self::Interval => "interval",
            Self::Command => "command",
            Self::External => "external",
            Self::Schedule => "schedule",
            Self::Manifest => "manifest",
        }
    }
}

/// What a picture is worth when the spool runs out of room; lower is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Taken because time went by.
    Interval,
    /// One of an event's pictures.
    Event,
    /// An event's best or only picture, or one that somebody asked for.
    Best,
    /// The account of an event: small, and all that is left of it when its pictures had to go.
    Manifest,
}

/// All that is known of one picture when it is written. Field names are the trailer's JSON names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Kernel boot id of the boot in which the picture was taken.
    pub boot: BootId,
    /// The device's picture counter; unique for ever.
    pub seq: u64,
    /// Capture time, CLOCK_BOOTTIME nanoseconds.
    pub captured: BootTime,
    /// Who stamped `captured`.
    pub stamp: Stamp,
    /// Capture wall time, when the clock was trusted at capture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<WallTime>,
    /// Device id.
    pub device: String,
    /// Camera name, `[a-z0-9-]{1,32}`.
    pub camera: String,
    /// Why it was taken.
    pub trigger: Trigger,
    /// Event it belongs to: `{boot8}-{hex ms}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// True on an event's last picture, where that is known when it is taken.
    #[serde(default)]
    pub event_final: bool,
    /// Command that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Its worth.
    pub class: Class,
    /// MIME type of the object.
    pub content_type: String,
    /// Object length in bytes.
    pub len: u64,
    /// SHA-256 of the object, 64 lower-case hex digits.
    pub sha256: String,
    /// Further metadata: site, labels, motion score and box, sharpness, agent version.
    #[serde(default)]
    pub meta: BTreeMap<String, String>,
    /// Key template with the device's own fields (`{device}`, `{site}`, `{tenant}`, `{label:…}`,
    /// `{shard}`) already filled in.
    pub key_template: String,
}

/// The UTC calendar time of a wall time; `None` before 1970 and after 9999, which no right clock says.
/// Keys, metadata and EXIF all ask here, so they agree on what counts as known.
#[must_use]
pub fn calendar(wall: WallTime) -> Option<DateTime> {
    if wall.0 < 0 {
        return None;
    }
    let stamp = jiff::Timestamp::from_millisecond(wall.0).ok()?;
    Some(Offset::UTC.to_datetime(stamp))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A picture as the still thread would describe it.
    pub(crate) fn facts() -> Facts {
        Facts {
            boot: BootId("0f3c9a52-1111-2222-3333-444455556666".into()),
            seq: 42,
            captured: BootTime(7_500_000_000),
            stamp: Stamp::Driver,
            wall: Some(WallTime(1_795_342_530_123)),
            device: "porch-1".into(),
            camera: "front".into(),
            trigger: Trigger::Motion,
            event: Some("0f3c9a52-1d4c".into()),
            event_final: false,
            command: None,
            class: Class::Event,
            content_type: "image/jpeg".into(),
            len: 1234,
            sha256: "ab".repeat(32),
            meta: BTreeMap::new(),
            key_template: key::DEFAULT_TEMPLATE.into(),
        }
    }

    #[test]
    fn only_wall_times_that_a_right_clock_says_have_a_calendar_time() {
        assert_eq!(
            calendar(WallTime(1_795_342_530_123)).unwrap().to_string(),
            "2026-11-22T10:15:30.123"
        );
        assert!(calendar(WallTime(0)).is_some());
        for absurd in [-1, i64::MIN, i64::MAX, 253_402_300_800_000] {
            assert_eq!(calendar(WallTime(absurd)), None, "{absurd}");
        }
    }
}
