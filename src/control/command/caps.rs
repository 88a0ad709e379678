//! What this device can be asked to do, as requesters' programs read it.

use serde_json::{Value, json};

use super::parse::{CLASSES, COUNT, OLDER, QUALITY, SIDE};
use super::when::{MAX_TTL_S, TTL_S};
use super::words::{ID, NAME, WORD};
use super::{BURST, Code, MAX_BOXES, MAX_META, MAX_PAYLOAD, Op};

/// The operations with their arguments as JSON schemas, the limits, and the codes of rejections: what is
/// retained on `caps`.
#[must_use]
pub fn caps() -> Value {
    let ops: serde_json::Map<_, _> =
        Op::NAMES.into_iter().map(|op| (op.to_owned(), json!({ "args": args(op) }))).collect();
    json!({
        "schema": crate::contract::VERSION,
        "ops": ops,
        "id": format!("^[A-Za-z0-9_-]{{1,{ID}}}$"),
        "ttl_s": { "default": TTL_S, "maximum": MAX_TTL_S },
        "max_payload": MAX_PAYLOAD,
        "rate": { "per_s": 1, "burst": BURST },
        "rejections": Code::ALL.map(Code::name),
    })
}

fn args(op: &str) -> Value {
    let properties = match op {
        "snapshot" => json!({
            "camera": camera(),
            "size": {
                "type": "string",
                "pattern": "^[0-9]+x[0-9]+$",
                "description": format!("WxH in pixels, each {} to {}", SIDE.start(), SIDE.end()),
            },
            "quality": integer(QUALITY),
            "count": integer(COUNT),
        }),
        "trigger" => trigger(),
        "purge" => json!({
            "camera": camera(),
            "class": { "enum": CLASSES.map(|(name, _)| name) },
            "event": { "type": "string", "pattern": format!("^[A-Za-z0-9._:-]{{1,{WORD}}}$") },
            "older_than_s": { "type": "integer", "minimum": OLDER.start(), "maximum": OLDER.end() },
            "all": { "type": "boolean", "description": "every picture; goes with no other argument" },
        }),
        _ => json!({}),
    };
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn trigger() -> Value {
    let word = json!({ "type": "string", "pattern": format!("^[A-Za-z0-9._:-]{{1,{WORD}}}$") });
    let side = json!({ "type": "number", "minimum": 0, "maximum": 1 });
    let one = json!({ "type": "array", "items": side, "minItems": 4, "maxItems": 4 });
    let names = json!({ "pattern": format!("^[a-z0-9-]{{1,{NAME}}}$") });
    json!({
        "camera": camera(),
        "label": word.clone(),
        "boxes": { "type": "array", "items": one, "maxItems": MAX_BOXES },
        "meta": {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": word,
            "maxProperties": MAX_META,
        },
    })
}

fn camera() -> Value {
    json!({ "type": "string", "pattern": format!("^[a-z0-9-]{{1,{NAME}}}$") })
}

fn integer(range: std::ops::RangeInclusive<u32>) -> Value {
    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
}
