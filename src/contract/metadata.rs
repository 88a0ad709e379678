//! Object metadata from facts.
//!
//! A picture's metadata is a pure function of its [`Facts`] and of the wall time that the boot record
//! gives. The uploader sends it as `x-amz-meta-*` (or the provider's prefix); the still thread writes
//! what is known at capture into the EXIF comment ([`at_capture`]).
//!
//! Invariants: names are `[a-z0-9-]`, values `[A-Za-z0-9._:-]` and never empty (no space and no comma:
//! proxies fold those, and then the signature is wrong), each name once, sorted by name. Names, values
//! and an 11 byte prefix (`x-amz-meta-`) for each come to at most [`MAX_BYTES`]: every value has a
//! longest length, and what may be added freely is left out when there is no room: first what detectors
//! said besides (`meta-*`), then labels, of each the last in the alphabet first. So no program on the
//! device can push out what its operator set. Everything of the contract itself always fits.

use std::collections::BTreeMap;

use super::{Facts, VERSION, calendar};
use crate::clock::WallTime;
use crate::frame::Stamp;

/// Most bytes of all metadata: what Amazon S3 takes, the strictest.
pub const MAX_BYTES: usize = 2048;

/// Counted for each name: `x-amz-meta-` and its kin are 11 bytes long.
const PREFIX: usize = 11;

/// Longest name and value that come from outside; the fixed names are shorter.
const MAX_NAME: usize = 64;
const MAX_VALUE: usize = 128;

/// Names from [`Facts::meta`] that belong to the contract and are never left out, with the longest
/// value of each. Six boxes of the largest picture are 143 characters.
const FIXED: [(&str, usize); 13] = [
    ("agent", 64),
    ("best-of", 16),
    ("conditions", 41),
    ("crop-box", 32),
    ("frame-size", 16),
    ("motion-box", 32),
    ("motion-direction", 16),
    ("motion-score", 16),
    ("pre-event", 8),
    ("sharpness", 16),
    ("site", MAX_VALUE),
    ("trigger-boxes", 143),
    ("trigger-label", 64),
];

/// How the capture time is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// The clock was trusted when the picture was taken.
    Trusted,
    /// The clock became trusted later in the same boot; the time was reckoned back.
    Boot,
    /// Never in that boot: only the time since boot is known.
    Unsynced,
}

impl ClockState {
    /// The word used in the metadata.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Boot => "boot",
            Self::Unsynced => "unsynced",
        }
    }
}

/// How the capture time is known, given what the boot record says.
#[must_use]
pub fn clock_state(facts: &Facts, wall: Option<WallTime>) -> ClockState {
    match (facts.wall, facts.wall.or(wall).and_then(calendar)) {
        (_, None) => ClockState::Unsynced,
        (Some(_), Some(_)) => ClockState::Trusted,
        (None, Some(_)) => ClockState::Boot,
    }
}

/// The metadata of a picture, sorted by name, names without the provider's prefix.
#[must_use]
pub fn metadata(facts: &Facts, wall: Option<WallTime>) -> Vec<(String, String)> {
    let mut all = Fields::default();
    all.capture(facts, wall);
    all.set("clock", clock_state(facts, wall).name());
    all.set("sha256", &facts.sha256);
    all.set("size", &facts.len.to_string());
    all.add_free(facts);
    all.0.into_iter().collect()
}

/// The part of the metadata that is known when the picture is made: no size, no digest, no clock state
/// unless the clock was trusted. Values are those of [`metadata`].
#[must_use]
pub fn at_capture(facts: &Facts) -> Vec<(String, String)> {
    let known = |name: &str| match name {
        "sha256" | "size" => false,
        "clock" => clock_state(facts, None) == ClockState::Trusted,
        _ => true,
    };
    metadata(facts, None).into_iter().filter(|(name, _)| known(name)).collect()
}

#[derive(Default)]
struct Fields(BTreeMap<String, String>);

impl Fields {
    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), clean_value(value, MAX_VALUE));
    }

    fn capture(&mut self, facts: &Facts, wall: Option<WallTime>) {
        self.set("schema", &VERSION.to_string());
        self.set("device", &facts.device);
        self.set("camera", &facts.camera);
        self.set("boot", &facts.boot.0);
        self.set("captured-boottime", &facts.captured.0.to_string());
        self.set("trigger", facts.trigger.name());
        self.set("seq", &facts.seq.to_string());
        let stamp = match facts.stamp {
            Stamp::Driver => "driver",
            Stamp::Arrival => "arrival",
        };
        self.set("stamp", stamp);
        if let Some(t) = facts.wall.or(wall).and_then(calendar) {
            self.set("captured", &format!("{}Z", t.strftime("%Y-%m-%dT%H:%M:%S%.3f")));
        }
        if let Some(event) = &facts.event {
            self.set("event", event);
            self.set("event-final", if facts.event_final { "true" } else { "false" });
        }
        if let Some(command) = &facts.command {
            self.set("command", command);
        }
        for (name, longest) in FIXED {
            if let Some(value) = facts.meta.get(name) {
                self.0.insert(name.into(), clean_value(value, longest));
            }
        }
    }

    /// Adds labels and whatever else operators and detectors set, as far as there is room. What the
    /// contract names cannot be overwritten.
    fn add_free(&mut self, facts: &Facts) {
        let mut free = BTreeMap::new();
        for (name, value) in &facts.meta {
            let name = clean_name(name);
            if !reserved(&name) {
                free.insert((rank(&name), name), clean_value(value, MAX_VALUE));
            }
        }
        let mut total = self.reserved_bytes();
        for ((_, name), value) in free {
            total += PREFIX + name.len() + value.len();
            if total > MAX_BYTES {
                return;
            }
            self.0.insert(name, value);
        }
    }

    /// Bytes that the contract's own fields take at most, whatever is learnt after capture: so the
    /// same labels find room in the EXIF comment and, before and after the clock is known, here.
    fn reserved_bytes(&self) -> usize {
        let longest = |name: &str, value: &str| match name {
            "captured" => 0,
            "clock" => "unsynced".len(),
            "sha256" => 64,
            "size" => 20,
            _ => value.len(),
        };
        let captured = PREFIX + "captured".len() + "2026-11-22T10:15:30.123Z".len();
        let others = self.0.iter().filter(|(name, _)| *name != "captured");
        captured + others.map(|(n, v)| PREFIX + n.len() + longest(n, v)).sum::<usize>()
    }
}

/// Who gives way: the highest first.
fn rank(name: &str) -> u8 {
    match name {
        _ if name.starts_with("meta-") => 2,
        _ if name.starts_with("label-") => 1,
        _ => 0,
    }
}

/// Names that only the contract gives.
fn reserved(name: &str) -> bool {
    const OWN: [&str; 15] = [
        "boot",
        "camera",
        "captured",
        "captured-boottime",
        "clock",
        "command",
        "device",
        "event",
        "event-final",
        "schema",
        "seq",
        "sha256",
        "size",
        "stamp",
        "trigger",
    ];
    OWN.contains(&name) || FIXED.iter().any(|(fixed, _)| *fixed == name)
}

fn clean_value(value: &str, longest: usize) -> String {
    let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | ':' | '-');
    let out: String = value.chars().take(longest).map(|c| if right(c) { c } else { '-' }).collect();
    if out.is_empty() { "-".into() } else { out }
}

fn clean_name(name: &str) -> String {
    let lower = name.chars().take(MAX_NAME).map(|c| c.to_ascii_lowercase());
    let right = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let out: String = lower.map(|c| if right(c) { c } else { '-' }).collect();
    if out.is_empty() { "-".into() } else { out }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::BootTime;
    use crate::contract::tests::facts;

    fn get<'a>(all: &'a [(String, String)], name: &str) -> Option<&'a str> {
        all.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn bytes(all: &[(String, String)]) -> usize {
        all.iter().map(|(name, value)| PREFIX + name.len() + value.len()).sum()
    }

    #[test]
    fn a_picture_is_told_in_full() {
        let mut facts = facts();
        facts.command = Some("c-17".into());
        for (name, value) in [
            ("site", "Köln, Süd"),
            ("label-floor", "2"),
            ("agent", "vedette-0.1.0"),
            ("motion-score", "0.0132"),
            ("motion-box", "10-20-30-40"),
            ("sharpness", "12.50"),
        ] {
            facts.meta.insert(name.into(), value.into());
        }
        let all: Vec<String> =
            metadata(&facts, None).into_iter().map(|(n, v)| format!("{n}={v}")).collect();
        let sha = format!("sha256={}", facts.sha256);
        let expected = [
            "agent=vedette-0.1.0",
            "boot=0f3c9a52-1111-2222-3333-444455556666",
            "camera=front",
            "captured=2026-11-22T10:15:30.123Z",
            "captured-boottime=7500000000",
            "clock=trusted",
            "command=c-17",
            "device=porch-1",
            "event=0f3c9a52-1d4c",
            "event-final=false",
            "label-floor=2",
            "motion-box=10-20-30-40",
            "motion-score=0.0132",
            "schema=1",
            "seq=42",
            &sha,
            "sharpness=12.50",
            "site=K-ln--S-d",
            "size=1234",
            "stamp=driver",
            "trigger=motion",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn the_clock_state_says_how_the_time_is_known() {
        let learnt = Some(WallTime(1_795_342_530_123));
        let unsynced = Facts { wall: None, ..facts() };
        let absurd = Facts { wall: Some(WallTime(-1)), ..facts() };
        let table = [
            (&facts(), None, "trusted", true),
            (&unsynced, learnt, "boot", true),
            (&unsynced, None, "unsynced", false),
            (&unsynced, Some(WallTime(i64::MAX)), "unsynced", false),
            (&absurd, None, "unsynced", false),
        ];
        for (facts, wall, clock, known) in table {
            let all = metadata(facts, wall);
            assert_eq!(get(&all, "clock"), Some(clock));
            assert_eq!(get(&all, "captured").is_some(), known);
        }
    }

    #[test]
    fn labels_give_way_from_the_end_of_the_alphabet_and_nothing_else_does() {
        let mut facts = facts();
        facts.meta.insert("site".into(), "s".repeat(100));
        facts.meta.insert("zone".into(), "z".repeat(100));
        for letter in 'a'..='z' {
            facts.meta.insert(format!("label-{letter}"), "v".repeat(100));
        }
        let all = metadata(&facts, None);
        let labels: String = all.iter().filter_map(|(n, _)| n.strip_prefix("label-")).collect();
        assert!(labels.len() > 3 && "abcdefghijklmnopqrstuvwxyz".starts_with(&labels), "{labels}");
        assert!(get(&all, "site").is_some() && get(&all, "zone").is_some());
        assert!(get(&all, "trigger").is_some());
        // The same labels whatever is learnt later, and in the picture itself.
        facts.wall = None;
        let count = |all: Vec<(String, String)>| {
            all.iter().filter(|(n, _)| n.starts_with("label-")).count()
        };
        assert_eq!(count(metadata(&facts, None)), labels.len());
        assert_eq!(count(metadata(&facts, Some(WallTime(1_795_342_530_123)))), labels.len());
        assert_eq!(count(at_capture(&facts)), labels.len());
    }

    #[test]
    fn what_detectors_say_gives_way_before_labels_and_what_they_saw_never_does() {
        let mut facts = facts();
        facts.meta.insert("trigger-label".into(), "person".into());
        facts.meta.insert("trigger-boxes".into(), ["65500-65500-65500-65500"; 6].join(":"));
        for letter in 'a'..='f' {
            facts.meta.insert(format!("label-{letter}"), "v".repeat(100));
            facts.meta.insert(format!("meta-{letter}"), "v".repeat(100));
        }
        let all = metadata(&facts, None);
        let count = |start: &str| all.iter().filter(|(n, _)| n.starts_with(start)).count();
        assert_eq!(count("label-"), 6);
        let told: String = all.iter().filter_map(|(n, _)| n.strip_prefix("meta-")).collect();
        assert!(!told.is_empty() && told.len() < 6 && "abcdef".starts_with(&told), "{told}");
        assert_eq!(get(&all, "trigger-label"), Some("person"));
        assert_eq!(get(&all, "trigger-boxes").unwrap().split(':').count(), 6);
        assert!(bytes(&all) <= MAX_BYTES);
        // Labels alone take the room of all that detectors say.
        for letter in 'g'..='z' {
            facts.meta.insert(format!("label-{letter}"), "v".repeat(100));
        }
        assert!(metadata(&facts, None).iter().all(|(name, _)| !name.starts_with("meta-")));
    }

    #[test]
    fn operators_cannot_overwrite_the_contract() {
        let mut facts = facts();
        facts.meta.insert("device".into(), "other".into());
        facts.meta.insert("SHA256".into(), "other".into());
        let all = metadata(&facts, None);
        assert_eq!(get(&all, "device"), Some("porch-1"));
        assert_eq!(get(&all, "sha256"), Some(facts.sha256.as_str()));
    }

    proptest! {
        #[test]
        fn metadata_is_portable_small_and_pure_whatever_the_facts_say(
            words in prop::collection::vec(any::<String>(), 7), walls in any::<(Option<i64>, Option<i64>)>(),
            meta in prop::collection::btree_map(any::<String>(), any::<String>(), 0..20),
            numbers in any::<(u64, u64, u64)>(), repeat in 1usize..40,
        ) {
            let grow = |at: usize| words[at].repeat(repeat);
            let mut facts = Facts {
                boot: crate::clock::BootId(grow(0)),
                device: grow(1),
                camera: grow(2),
                event: Some(grow(3)),
                command: Some(grow(4)),
                sha256: facts().sha256,
                seq: numbers.0,
                len: numbers.1,
                captured: BootTime(numbers.2),
                wall: walls.0.map(WallTime),
                meta,
                ..facts()
            };
            for (name, _) in FIXED {
                facts.meta.insert(name.into(), grow(5));
            }
            facts.meta.insert("label-x".into(), grow(6));
            facts.meta.insert("meta-x".into(), grow(6));
            let wall = walls.1.map(WallTime);
            let all = metadata(&facts, wall);
            prop_assert!(bytes(&all) <= MAX_BYTES, "{} bytes", bytes(&all));
            prop_assert!(all.is_sorted() && all.windows(2).all(|pair| pair[0].0 != pair[1].0));
            for (name, value) in &all {
                let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                prop_assert!(!name.is_empty() && name.chars().all(plain), "{}", name);
                let plain = |c: char| c.is_ascii_alphanumeric() || "._:-".contains(c);
                prop_assert!(!value.is_empty() && value.chars().all(plain), "{}", value);
            }
            prop_assert_eq!(metadata(&facts.clone(), wall), all);
        }
    }
}
