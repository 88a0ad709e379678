//! A command's payload: `{id, op, args, issued_at, ttl_s}`, and the arguments of each operation.
//!
//! It is read twice, for the operation and then for its arguments, so that serde names the line and the
//! column of whatever is wrong, in the arguments too.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::when::Life;
use super::words::{is_name, is_word, quote, serde_words};
use super::{Code, Op, Rejection, said};
use crate::contract::Class;
use crate::contract::purge::Selection;
use crate::still::{Order, Said};

/// Least and most pixels of a picture's side.
pub(super) const SIDE: std::ops::RangeInclusive<u32> = 16..=8192;

/// Least and most JPEG quality.
pub(super) const QUALITY: std::ops::RangeInclusive<u32> = 1..=100;

/// Least and most pictures of one snapshot.
pub(super) const COUNT: std::ops::RangeInclusive<u32> = 1..=16;

/// Least and most seconds of a purge's `older_than_s`: ten years.
pub(super) const OLDER: std::ops::RangeInclusive<u64> = 1..=315_360_000;

/// The classes by name.
pub(super) const CLASSES: [(&str, Class); 4] = [
    ("interval", Class::Interval),
    ("event", Class::Event),
    ("best", Class::Best),
    ("manifest", Class::Manifest),
];

/// An object, and never an array: serde's structs take both.
#[derive(Default)]
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<A> {
    id: String,
    op: String,
    args: Option<A>,
    issued_at: Option<String>,
    ttl_s: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SnapshotArgs {
    camera: Option<String>,
    size: Option<String>,
    quality: Option<u32>,
    count: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct TriggerArgs {
    camera: Option<String>,
    label: Option<String>,
    #[serde(default)]
    boxes: Vec<[f32; 4]>,
    #[serde(default)]
    meta: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PurgeArgs {
    camera: Option<String>,
    class: Option<String>,
    event: Option<String>,
    older_than_s: Option<u64>,
    all: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoArgs {}

/// Reads the payload of the command that came on the topic of `id`.
pub(super) fn payload(bytes: &[u8], id: &str) -> Result<(Op, Life), Rejection> {
    let envelope: Envelope<IgnoredAny> = read(bytes, "status")?;
    if envelope.id != id {
        let text = format!("id is {} and the topic ends in {}", quote(&envelope.id), quote(id));
        return Err(Rejection::new(Code::BadId, format!("{text}; they must be the same")));
    }
    let op = match envelope.op.as_str() {
        "snapshot" => snapshot(args(bytes, "snapshot")?)?,
        "trigger" => trigger(args(bytes, "trigger")?)?,
        "status" => none(bytes, "status", Op::Status)?,
        "purge" => purge(args(bytes, "purge")?)?,
        "upload.pause" => none(bytes, "upload.pause", Op::UploadPause)?,
        "upload.resume" => none(bytes, "upload.resume", Op::UploadResume)?,
        "privacy.on" => none(bytes, "privacy.on", Op::Privacy { on: true })?,
        "privacy.off" => none(bytes, "privacy.off", Op::Privacy { on: false })?,
        other => {
            let text = format!("op is {}; there are {}", quote(other), Op::NAMES.join(", "));
            return Err(Rejection::new(Code::UnknownOp, text));
        }
    };
    Ok((op, Life::new(envelope.issued_at.as_deref(), envelope.ttl_s)?))
}

fn none(bytes: &[u8], name: &str, op: Op) -> Result<Op, Rejection> {
    args::<NoArgs>(bytes, name).map(|NoArgs {}| op)
}

fn args<A: DeserializeOwned + Default>(bytes: &[u8], op: &str) -> Result<A, Rejection> {
    Ok(read::<Envelope<Object<A>>>(bytes, op)?.args.unwrap_or_default().0)
}

fn read<T: DeserializeOwned>(bytes: &[u8], op: &str) -> Result<T, Rejection> {
    serde_json::from_slice(bytes).map(|Object(read)| read).map_err(|error| {
        // serde gives no kind for this one; a test holds its words.
        let unknown = error.to_string().starts_with("unknown field `");
        let code = if unknown { Code::UnknownField } else { Code::Malformed };
        let words = serde_words(&error);
        Rejection::new(code, format!("{words}; right would be {}", example(op)))
    })
}

/// A payload that is right.
pub(super) fn example(op: &str) -> String {
    let args = match op {
        "snapshot" => r#","args":{"camera":"front","size":"1280x720","quality":80,"count":1}"#,
        "trigger" => {
            r#","args":{"camera":"front","label":"person","boxes":[[0.1,0.2,0.3,0.4]],"meta":{"score":"0.9"}}"#
        }
        "purge" => r#","args":{"camera":"front","older_than_s":86400}"#,
        _ => "",
    };
    format!(r#"{{"id":"a-1","op":"{op}"{args}}}"#)
}

fn snapshot(args: SnapshotArgs) -> Result<Op, Rejection> {
    let size = args.size.as_deref().map(size).transpose()?;
    let quality = args.quality.map(|q| within("quality", q, QUALITY)).transpose()?;
    let count = within("count", args.count.unwrap_or(1), COUNT)?;
    let quality = quality.and_then(|q| u8::try_from(q).ok());
    Ok(Op::Snapshot { camera: camera(args.camera)?, count, order: Order { size, quality } })
}

fn trigger(args: TriggerArgs) -> Result<Op, Rejection> {
    let said = Said { label: args.label, boxes: args.boxes, meta: args.meta };
    said::check(&said).map_err(|text| Rejection::new(Code::BadValue, text))?;
    Ok(Op::Trigger { camera: camera(args.camera)?, said })
}

fn purge(args: PurgeArgs) -> Result<Op, Rejection> {
    let PurgeArgs { camera: name, class, event, older_than_s, all } = args;
    let bad = |text: String| Err(Rejection::new(Code::BadValue, text));
    let class = match class.as_deref() {
        None => None,
        Some(word) => match CLASSES.iter().find(|(name, _)| *name == word) {
            Some((_, class)) => Some(*class),
            None => {
                let names = CLASSES.map(|(name, _)| name).join(", ");
                return bad(format!("class is {}; there are {names}", quote(word)));
            }
        },
    };
    if let Some(event) = event.as_deref().filter(|event| !is_word(event)) {
        return bad(format!("event {} must be 1 to 64 of A-Z a-z 0-9 . _ : -", quote(event)));
    }
    if let Some(age) = older_than_s.filter(|age| !OLDER.contains(age)) {
        let (least, most) = (OLDER.start(), OLDER.end());
        return bad(format!("older_than_s is {age}; it must be {least} to {most}"));
    }
    let wanted = Selection { camera: camera(name)?, class, event, older_than_s };
    match (wanted == Selection::default(), all.unwrap_or(false)) {
        (true, false) => {
            bad("a purge must say which pictures: camera, class, event, older_than_s, \
             or \"all\":true for every one"
                .to_owned())
        }
        (false, true) => {
            bad("all goes with no other argument: say which pictures, or all".to_owned())
        }
        _ => Ok(Op::Purge(wanted)),
    }
}

fn camera(name: Option<String>) -> Result<Option<String>, Rejection> {
    match name {
        Some(name) if !is_name(&name) => {
            let text = format!("camera {} must be 1 to 32 of a-z 0-9 -", quote(&name));
            Err(Rejection::new(Code::BadValue, text))
        }
        name => Ok(name),
    }
}

fn size(text: &str) -> Result<(u32, u32), Rejection> {
    let both = text.split_once('x').and_then(|(w, h)| Some((side(w)?, side(h)?)));
    both.ok_or_else(|| {
        let (least, most) = (SIDE.start(), SIDE.end());
        let text = format!("size is {}; it must be WxH, each {least} to {most}", quote(text));
        Rejection::new(Code::BadValue, text)
    })
}

fn side(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit()); // parse() takes a sign too
    text.parse().ok().filter(|side| digits && SIDE.contains(side))
}

fn within(what: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, Rejection> {
    if range.contains(&value) {
        return Ok(value);
    }
    let text = format!("{what} is {value}; it must be {} to {}", range.start(), range.end());
    Err(Rejection::new(Code::BadValue, text))
}
