//! Object keys from templates.
//!
//! A template is checked once, when the configuration is read ([`KeyTemplate::parse`]), gets the
//! device's own fields ([`KeyTemplate::fill_device`]), and travels in every picture's
//! [`Facts::key_template`]. [`key`] then is a pure function of the facts and of the wall time that the
//! boot record gives: the same picture has the same key for ever (invariant 4).
//!
//! Keys hold `[A-Za-z0-9/_.-]` only, because every event encoding leaves those unchanged. Values from
//! outside get `-` for any other character, and for a dot that is first, last or doubled.
//!
//! **Unsynced pictures.** Where the capture time is not known, each folder that holds a time field
//! goes, `unsynced/{boot}` stands where the first of them stood, and the file name is
//! `{seq}-{sha16}.jpg`. The default template thus gives `v1/{device}/{camera}/unsynced/{boot}/…`, and a
//! template of one's own keeps its prefix, so that credentials limited to a prefix go on working. A
//! template without any time field is used as it is.
//!
//! **Manifests.** The manifest of an event ([`Trigger::Manifest`]) has the key that a picture in its
//! place would have, with `manifest` for `{trigger}` and `.json` for a final `.jpg` or `.jpeg`; where
//! the name ends otherwise, `.json` is added. So what filters on the suffix of pictures never sees one.
//! Its key may be [`MANIFEST_MORE`] bytes longer than that of any picture.
//!
//! Failure: nothing panics. A template in a trailer that cannot be read (it was checked when written)
//! gives way to the default one.

mod parse;

use std::collections::BTreeMap;

use jiff::civil::DateTime;
use sha2::{Digest, Sha256};

pub use self::parse::TemplateError;
use super::{Facts, Trigger, calendar};
use crate::clock::WallTime;

/// The template when none is configured.
pub const DEFAULT_TEMPLATE: &str =
    "v1/{device}/{camera}/{yyyy}/{mm}/{dd}/{hhmmss.mmm}Z-{trigger}-{seq}-{sha16}.jpg";

/// Longest key of a picture in bytes. Stores take 1024; the rest is room for manifests' suffix and for
/// what puts a prefix before keys.
pub const MAX_KEY: usize = 900;

/// So much longer than [`MAX_KEY`] the key of a manifest may be: its suffix does not count in the check
/// of templates, so that none which was right for pictures becomes wrong.
pub const MANIFEST_MORE: usize = ".json".len();

/// Longest site, tenant and label value in a key, in characters.
const MAX_VALUE: usize = 64;

/// A checked key template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTemplate {
    /// What stands between the slashes; never empty, no segment empty.
    segments: Vec<Segment>,
}

type Segment = Vec<Part>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(Field),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Device,
    Site,
    Tenant,
    Label(String),
    Shard(usize),
    Camera,
    Year,
    Month,
    Day,
    Time,
    Trigger,
    Seq,
    Sha16,
    Event,
    Boot,
}

impl KeyTemplate {
    /// Reads and checks a template.
    ///
    /// # Errors
    /// What is wrong, at which column, and what would be right.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { segments: parse::parse(source)? })
    }

    /// Fills in what is the same for every picture of the device; the per-picture fields stay. The
    /// result is for [`Facts::key_template`].
    ///
    /// # Errors
    /// A field stands for something that is not set, or a value or the whole is too long.
    pub fn fill_device(
        &self,
        device: &str,
        site: Option<&str>,
        tenant: Option<&str>,
        labels: &BTreeMap<String, String>,
    ) -> Result<String, TemplateError> {
        let mut names = Vec::with_capacity(self.segments.len());
        for segment in &self.segments {
            let mut name = String::new();
            for part in segment {
                name += &match part {
                    Part::Text(text) => text.clone(),
                    Part::Field(Field::Device) => given("device", Some(device), 32)?,
                    Part::Field(Field::Site) => given("site", site, MAX_VALUE)?,
                    Part::Field(Field::Tenant) => given("tenant", tenant, MAX_VALUE)?,
                    Part::Field(Field::Label(label)) => {
                        let value = labels.get(label).map(String::as_str);
                        given(&format!("label:{label}"), value, MAX_VALUE)?
                    }
                    Part::Field(Field::Shard(digits)) => shard(device, *digits),
                    Part::Field(field) => format!("{{{}}}", field.picture_name()),
                };
            }
            names.push(name);
        }
        let filled = names.join("/");
        Self::parse(&filled)?;
        Ok(filled)
    }

    fn render(&self, facts: &Facts, when: Option<DateTime>) -> String {
        let first = self.segments.iter().position(|segment| has_time(segment));
        let names = match first {
            Some(first) if when.is_none() => self.unsynced(facts, first),
            _ => self.segments.iter().map(|segment| fill(segment, facts, when)).collect(),
        };
        names.join("/")
    }

    /// The names of a picture whose time is not known; see the module's documentation.
    fn unsynced(&self, facts: &Facts, first: usize) -> Vec<String> {
        let last = self.segments.len() - 1;
        let mut names = Vec::with_capacity(last + 3);
        for (at, segment) in self.segments.iter().enumerate() {
            if at == first {
                names.push("unsynced".into());
                names.push(Field::Boot.value(facts, None));
            }
            if at == last {
                let (seq, sha) = (Field::Seq.value(facts, None), Field::Sha16.value(facts, None));
                names.push(format!("{seq}-{sha}.jpg"));
            } else if !has_time(segment) {
                names.push(fill(segment, facts, None));
            }
        }
        names
    }
}

impl Default for KeyTemplate {
    fn default() -> Self {
        Self::parse(DEFAULT_TEMPLATE).expect("a test parses the default template")
    }
}

/// The key of a picture. `wall` is what the boot record says of the capture time; a time that was
/// trusted at capture wins. Pure: equal arguments give equal keys.
#[must_use]
pub fn key(facts: &Facts, wall: Option<WallTime>) -> String {
    let template = KeyTemplate::parse(&facts.key_template).unwrap_or_default();
    let key = template.render(facts, facts.wall.or(wall).and_then(calendar));
    if facts.trigger == Trigger::Manifest { manifest(&key) } else { key }
}

/// The key of the manifest that stands in the place of this picture.
fn manifest(key: &str) -> String {
    // Keys are ASCII, so no lower-case letter is of another length.
    let lower = key.to_ascii_lowercase();
    let picture = [".jpg", ".jpeg"].iter().find(|suffix| lower.ends_with(*suffix));
    let stem = &key[..key.len() - picture.map_or(0, |suffix| suffix.len())];
    format!("{}.json", stem.trim_end_matches('.'))
}

impl Field {
    /// Longest value in bytes.
    fn longest(&self) -> usize {
        match self {
            Self::Device | Self::Camera => 32,
            Self::Site | Self::Tenant | Self::Label(_) => MAX_VALUE,
            Self::Shard(digits) => *digits,
            Self::Year => 4,
            Self::Month | Self::Day => 2,
            Self::Time => 10,
            Self::Trigger | Self::Boot => 8,
            Self::Seq => 20,
            Self::Sha16 => 16,
            Self::Event => 32,
        }
    }

    /// The name of a field that changes from picture to picture.
    fn picture_name(&self) -> &'static str {
        match self {
            Self::Camera => "camera",
            Self::Year => "yyyy",
            Self::Month => "mm",
            Self::Day => "dd",
            Self::Time => "hhmmss.mmm",
            Self::Trigger => "trigger",
            Self::Seq => "seq",
            Self::Sha16 => "sha16",
            Self::Event => "event",
            Self::Boot => "boot",
            Self::Device => "device",
            Self::Site => "site",
            Self::Tenant => "tenant",
            Self::Label(_) => "label",
            Self::Shard(_) => "shard",
        }
    }

    fn value(&self, facts: &Facts, when: Option<DateTime>) -> String {
        let meta = |name: &str| facts.meta.get(name).map_or("", String::as_str);
        let raw = match self {
            Self::Device => &facts.device,
            Self::Camera => &facts.camera,
            Self::Trigger => facts.trigger.name(),
            Self::Sha16 => facts.sha256.as_str(),
            Self::Event => facts.event.as_deref().unwrap_or("none"),
            Self::Boot => facts.boot.short(),
            Self::Site => meta("site"),
            Self::Tenant => meta("tenant"),
            Self::Label(name) => meta(&format!("label-{name}")),
            Self::Shard(digits) => return shard(&facts.device, *digits),
            Self::Seq => return format!("{:08}", facts.seq),
            Self::Year | Self::Month | Self::Day | Self::Time => return self.time(when),
        };
        clean(raw, self.longest())
    }

    fn time(&self, when: Option<DateTime>) -> String {
        // Without a time only templates that hold no time field come here.
        let Some(t) = when else { return "none".into() };
        match self {
            Self::Year => format!("{:04}", t.year()),
            Self::Month => format!("{:02}", t.month()),
            Self::Day => format!("{:02}", t.day()),
            _ => {
                let (h, m, s) = (t.hour(), t.minute(), t.second());
                format!("{h:02}{m:02}{s:02}.{:03}", t.millisecond())
            }
        }
    }
}

fn has_time(segment: &[Part]) -> bool {
    use Field::{Day, Month, Time, Year};
    segment.iter().any(|part| matches!(part, Part::Field(Year | Month | Day | Time)))
}

fn fill(segment: &[Part], facts: &Facts, when: Option<DateTime>) -> String {
    segment
        .iter()
        .map(|part| match part {
            Part::Text(text) => text.clone(),
            Part::Field(field) => field.value(facts, when),
        })
        .collect()
}

/// Length of the longest key, synced or not.
fn longest(segments: &[Segment]) -> usize {
    let part = |part: &Part| match part {
        Part::Text(text) => text.len(),
        Part::Field(field) => field.longest(),
    };
    let name = |segment: &Segment| 1 + segment.iter().map(part).sum::<usize>();
    let synced = segments.iter().map(name).sum::<usize>();
    let Some((_, folders)) = segments.split_last().filter(|_| segments.iter().any(|s| has_time(s)))
    else {
        return synced - 1;
    };
    let kept = folders.iter().filter(|s| !has_time(s)).map(name).sum::<usize>();
    let unsynced = kept + "unsynced/12345678/".len() + 20 + 1 + 16 + ".jpg".len();
    unsynced.max(synced - 1)
}

/// A value that somebody set, fit for a key.
fn given(field: &str, value: Option<&str>, max: usize) -> Result<String, TemplateError> {
    let value = value
        .filter(|v| !v.is_empty())
        .ok_or_else(|| TemplateError::Unset { field: field.into() })?;
    let length = value.chars().count();
    if length > max {
        return Err(TemplateError::ValueTooLong { field: field.into(), length, max });
    }
    Ok(clean(value, max))
}

/// At most `max` characters of a value in the alphabet of keys; never empty, never `.` at an end.
fn clean(value: &str, max: usize) -> String {
    let mut out = String::with_capacity(value.len().min(max));
    for c in value.chars().take(max) {
        let dot = c == '.' && !out.is_empty() && !out.ends_with('.');
        out.push(if dot || c.is_ascii_alphanumeric() || c == '_' || c == '-' { c } else { '-' });
    }
    if out.ends_with('.') {
        out.pop();
        out.push('-');
    }
    if out.is_empty() { "none".into() } else { out }
}

/// The first hex digits of the SHA-256 of the device id: spreads devices over a store's partitions.
fn shard(device: &str, digits: usize) -> String {
    let digest = Sha256::digest(device.as_bytes());
    let mut hex: String = digest.iter().take(2).map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(digits);
    hex
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::clock::BootId;
    use crate::contract::tests::facts;

    const LEARNT: WallTime = WallTime(1_795_342_530_123);

    fn with(template: &str) -> Facts {
        Facts { key_template: template.into(), ..facts() }
    }

    #[test]
    fn the_default_template_gives_the_keys_of_the_contract() {
        let mut facts = facts();
        facts.key_template =
            KeyTemplate::default().fill_device("porch-1", None, None, &BTreeMap::new()).unwrap();
        let synced = "v1/porch-1/front/2026/11/22/101530.123Z-motion-00000042-abababababababab.jpg";
        let unsynced = "v1/porch-1/front/unsynced/0f3c9a52/00000042-abababababababab.jpg";
        assert_eq!(key(&facts, None), synced);
        facts.wall = None;
        assert_eq!(key(&facts, Some(LEARNT)), synced);
        assert_eq!(key(&facts, None), unsynced);
        assert_eq!(key(&facts, Some(WallTime(-1))), unsynced);
        assert_eq!(key(&facts, Some(WallTime(i64::MAX))), unsynced);
    }

    #[test]
    fn a_trusted_capture_time_is_never_overruled() {
        let facts = facts();
        for later in [None, Some(WallTime(0)), Some(WallTime(i64::MIN)), Some(LEARNT)] {
            assert_eq!(key(&facts, later), key(&facts, None));
        }
    }

    #[test]
    fn every_field_is_filled() {
        let table = [
            ("{seq}-{sha16}", "00000042-abababababababab"),
            (
                "{device}/{camera}/{boot}-{seq}-{sha16}",
                "porch-1/front/0f3c9a52-00000042-abababababababab",
            ),
            (
                "{event}/{trigger}/{seq}-{sha16}.jpg",
                "0f3c9a52-1d4c/motion/00000042-abababababababab.jpg",
            ),
            (
                "{yyyy}{mm}{dd}T{hhmmss.mmm}/{seq}-{sha16}",
                "20261122T101530.123/00000042-abababababababab",
            ),
            (
                "{shard}-{shard:2}-{shard:3}-{shard:4}/{seq}-{sha16}",
                "3a-3a-3ab-3abb/00000042-abababababababab",
            ),
            (
                "{site}/{label:floor}/{tenant}/{seq}-{sha16}",
                "none/none/none/00000042-abababababababab",
            ),
        ];
        for (template, expected) in table {
            let expected = expected.replace("3a-3a-3ab-3abb", &{
                let full = shard("porch-1", 4);
                format!("{}-{}-{}-{full}", &full[..2], &full[..2], &full[..3])
            });
            assert_eq!(key(&with(template), None), expected);
        }
        let none = Facts { event: None, ..with("{event}/{seq}-{sha16}") };
        assert!(key(&none, None).starts_with("none/"));
    }

    #[test]
    fn the_shard_is_the_beginning_of_the_devices_sha256() {
        // printf porch-1 | sha256sum
        assert_eq!(shard("porch-1", 4), "df62");
    }

    #[test]
    fn unsynced_keys_keep_the_prefix_of_a_template_of_ones_own() {
        let table = [
            (
                "a/{device}/{yyyy}/{mm}/{camera}/{hhmmss.mmm}-{seq}-{sha16}.jpg",
                "a/porch-1/unsynced/0f3c9a52/front/",
            ),
            ("pics/{hhmmss.mmm}/{seq}/{sha16}.jpeg", "pics/unsynced/0f3c9a52/00000042/"),
            ("{yyyy}-{seq}-{sha16}.jpg", "unsynced/0f3c9a52/"),
        ];
        for (template, prefix) in table {
            let facts = Facts { wall: None, ..with(template) };
            assert_eq!(key(&facts, None), format!("{prefix}00000042-abababababababab.jpg"));
        }
        let timeless = Facts { wall: None, ..with("x/{camera}/{seq}-{sha16}.jpg") };
        assert_eq!(key(&timeless, None), "x/front/00000042-abababababababab.jpg");
    }

    #[test]
    fn device_fields_are_filled_and_cleaned_and_the_others_stay() {
        let template = "{tenant}/{site}/{device}/{label:floor}/{yyyy}/{camera}-{seq}-{sha16}.jpg";
        let labels = BTreeMap::from([("floor".to_owned(), "../2nd floor.".to_owned())]);
        let filled = KeyTemplate::parse(template).unwrap().fill_device(
            "porch-1",
            Some("Köln/Süd"),
            Some("a..b"),
            &labels,
        );
        assert_eq!(
            filled.unwrap(),
            "a.-b/K-ln-S-d/porch-1/-.-2nd-floor-/{yyyy}/{camera}-{seq}-{sha16}.jpg"
        );
    }

    #[test]
    fn what_is_not_set_or_too_long_is_told_by_name() {
        let fill = |template: &str, site: Option<&str>| {
            KeyTemplate::parse(template).unwrap().fill_device("d", site, None, &BTreeMap::new())
        };
        let unset = |field: &str| Err(TemplateError::Unset { field: field.into() });
        assert_eq!(fill("{site}/{seq}-{sha16}", None), unset("site"));
        assert_eq!(fill("{site}/{seq}-{sha16}", Some("")), unset("site"));
        assert_eq!(fill("{tenant}/{seq}-{sha16}", None), unset("tenant"));
        assert_eq!(fill("{label:floor}/{seq}-{sha16}", None), unset("label:floor"));
        let long = "x".repeat(65);
        let error = fill("{site}/{seq}-{sha16}", Some(&long)).unwrap_err();
        assert_eq!(error.to_string(), "site is 65 characters long; at most 64 fit into a key");
    }

    #[test]
    fn faults_are_told_with_place_and_remedy() {
        let table = [
            ("", None, "leave it out"),
            ("/{seq}-{sha16}", Some(1), "does not begin with '/'"),
            ("a//{seq}-{sha16}", Some(3), "'//'"),
            ("a/{seq}-{sha16}/", Some(16), "file name"),
            ("a/../{seq}-{sha16}", Some(4), "remove the dots"),
            ("./{seq}-{sha16}", Some(1), "remove the dots"),
            ("ä/{seq}-{sha16}", Some(1), "use letters"),
            ("a b/{seq}-{sha16}", Some(2), "use letters"),
            ("a}/{seq}-{sha16}", Some(2), "use letters"),
            ("a/{year}/{seq}-{sha16}", Some(3), "{yyyy}"),
            ("a/{shard:5}/{seq}-{sha16}", Some(3), "{shard:4}"),
            ("a/{label:}/{seq}-{sha16}", Some(3), "{label:NAME}"),
            ("a/{label:A B}/{seq}-{sha16}", Some(3), "{label:NAME}"),
            ("a/{seq-{sha16}", Some(3), "never closed"),
            ("{seq}-{sha16", Some(7), "never closed"),
            ("a/{seq}.jpg", None, "{sha16} is missing"),
            ("a/{sha16}.jpg", None, "{seq} is missing"),
        ];
        for (template, column, words) in table {
            let error = KeyTemplate::parse(template).unwrap_err();
            assert_eq!(error.column(), column, "{template}: {error}");
            assert!(error.to_string().contains(words), "{template}: {error}");
        }
        let long = format!("{}/{{seq}}-{{sha16}}", "x".repeat(900));
        assert_eq!(KeyTemplate::parse(&long).unwrap_err(), TemplateError::TooLong { length: 938 });
    }

    fn template() -> impl Strategy<Value = String> {
        let pieces = [
            "{device}",
            "{camera}",
            "{yyyy}",
            "{mm}",
            "{dd}",
            "{hhmmss.mmm}",
            "{trigger}",
            "{site}",
            "{tenant}",
            "{label:x}",
            "{event}",
            "{shard:3}",
            "{boot}",
            "{seq}",
            "{sha16}",
            "/",
            "/",
            "a",
            "-",
            ".",
            "_Z9",
        ];
        prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..30)
            .prop_map(|pieces| pieces.concat() + "{seq}-{sha16}.jpg")
    }

    #[test]
    fn a_manifest_has_a_json_key_in_the_place_of_a_picture() {
        let manifest = |template: &str, wall| {
            key(&Facts { trigger: Trigger::Manifest, wall, ..with(template) }, None)
        };
        let wall = facts().wall;
        let name = "00000042-abababababababab";
        assert_eq!(
            manifest(DEFAULT_TEMPLATE, wall),
            format!("v1/porch-1/front/2026/11/22/101530.123Z-manifest-{name}.json")
        );
        assert_eq!(
            manifest(DEFAULT_TEMPLATE, None),
            format!("v1/porch-1/front/unsynced/0f3c9a52/{name}.json")
        );
        for (suffix, expected) in [
            (".jpeg", ".json"),
            (".JPG", ".json"),
            ("", ".json"),
            (".", ".json"),
            (".bin", ".bin.json"),
            ("jpg", "jpg.json"),
            (".jpg.jpg", ".jpg.json"),
            ("/.jpg", "/.json"),
        ] {
            let template = format!("{{event}}/{{trigger}}/{{seq}}-{{sha16}}{suffix}");
            let expected = format!("0f3c9a52-1d4c/manifest/{name}{expected}");
            assert_eq!(manifest(&template, wall), expected);
        }
    }

    fn is_sound(key: &str) -> bool {
        key.len() <= MAX_KEY
            && key.chars().all(|c| c.is_ascii_alphanumeric() || "/_.-".contains(c))
            && key.split('/').all(|name| !name.is_empty() && name != ".")
            && !key.contains("..")
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn keys_are_sound_and_pure_whatever_the_facts_say(
            template in template(), words in prop::collection::vec(any::<String>(), 8),
            seq in any::<u64>(), walls in any::<(Option<i64>, Option<i64>)>(), long in any::<bool>(),
        ) {
            let grow = |word: &String| if long { word.repeat(50) } else { word.clone() };
            let mut facts = Facts {
                seq,
                wall: walls.0.map(WallTime),
                boot: BootId(grow(&words[0])),
                device: grow(&words[1]),
                camera: grow(&words[2]),
                event: Some(grow(&words[3])),
                sha256: grow(&words[4]),
                ..with(&template)
            };
            for (name, word) in [("site", 5), ("tenant", 6), ("label-x", 7)] {
                facts.meta.insert(name.into(), grow(&words[word]));
            }
            let wall = walls.1.map(WallTime);
            let made = key(&facts, wall);
            prop_assert!(is_sound(&made), "{} gave {}", template, made);
            prop_assert_eq!(key(&facts.clone(), wall), made.clone());
            facts.trigger = Trigger::Manifest;
            let sheet = key(&facts, wall);
            prop_assert!(sheet.ends_with(".json") && sheet.len() <= MAX_KEY + MANIFEST_MORE);
            prop_assert!(is_sound(&sheet[..sheet.len().min(MAX_KEY)]), "{} gave {}", template, sheet);
        }

        #[test]
        fn filling_in_the_device_first_changes_no_key(
            template in template(), site in "[ -~]{1,40}", label in "[ -~]{1,40}",
        ) {
            let Ok(parsed) = KeyTemplate::parse(&template) else { return Ok(()) };
            let mut facts = with(&template);
            for (name, value) in [("site", &site), ("tenant", &site), ("label-x", &label)] {
                facts.meta.insert(name.into(), value.clone());
            }
            let labels = BTreeMap::from([("x".to_owned(), label.clone())]);
            let filled = parsed.fill_device("porch-1", Some(&site), Some(&site), &labels).unwrap();
            let late = Facts { key_template: filled, ..facts.clone() };
            prop_assert_eq!(key(&late, None), key(&facts, None));
        }

        #[test]
        fn any_text_as_template_never_panics(template in any::<String>(), wall in any::<i64>()) {
            prop_assert!(is_sound(&key(&with(&template), Some(WallTime(wall)))));
        }
    }
}
