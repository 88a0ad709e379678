//! What a directory tells a function about a new object: one CloudEvent by HTTP POST, binary mode.
//!
//! Called by the uploader after [`super::dir`] stored an object. Pure but for the sending, which is the
//! uploader's. The event is shaped like that of an S3 bucket behind Knative's S3 source (CloudEvents
//! adapter for AWS S3; `userMetadata` as MinIO gives it), so that the same handler serves all. It is
//! sent at least once: an announcement that failed is sent again when the picture is tried again.

use std::path::Path;

use bytes::Bytes;
use md5::{Digest as _, Md5};
use serde_json::json;

use super::{Item, dir};
use crate::clock::WallTime;

/// An event, ready to be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its `ce-` headers and content type.
    pub headers: Vec<(String, String)>,
    /// Its data.
    pub body: Bytes,
}

/// The event for one object. `now` is when it was stored, where that is known.
#[must_use]
pub fn event(root: &Path, item: &Item, now: Option<WallTime>) -> Event {
    let bucket = dir::bucket_name(root);
    let time = now.and_then(|t| jiff::Timestamp::from_millisecond(t.0).ok()).map(|t| t.to_string());
    let mut headers = vec![
        ("content-type".to_owned(), "application/json".to_owned()),
        ("ce-specversion".to_owned(), "1.0".to_owned()),
        ("ce-id".to_owned(), item.key.clone()),
        ("ce-type".to_owned(), "com.amazonaws.s3.ObjectCreated:Put".to_owned()),
        ("ce-source".to_owned(), format!("vedette:dir.local.{}", uri_word(&bucket))),
        ("ce-subject".to_owned(), item.key.clone()),
    ];
    headers.extend(time.clone().map(|t| ("ce-time".to_owned(), t)));
    Event { headers, body: record(&bucket, item, time).into() }
}

fn record(bucket: &str, item: &Item, time: Option<String>) -> Vec<u8> {
    let mut user: serde_json::Map<String, serde_json::Value> = item
        .meta
        .iter()
        .map(|(name, value)| (format!("X-Amz-Meta-{}", header_case(name)), value.as_str().into()))
        .collect();
    user.insert("content-type".into(), item.facts.content_type.as_str().into());
    let etag: String = Md5::digest(&item.body).iter().map(|b| format!("{b:02x}")).collect();
    json!({
        "eventVersion": "2.1",
        "eventSource": "vedette:dir",
        "awsRegion": "local",
        "eventName": "ObjectCreated:Put",
        "eventTime": time,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": bucket },
            "object": {
                "key": item.key,
                "size": item.body.len(),
                "eTag": etag,
                "contentType": item.facts.content_type,
                "userMetadata": user,
                "sequencer": format!("{:016X}", item.facts.seq),
            },
        },
    })
    .to_string()
    .into_bytes()
}

/// `event-final` as HTTP libraries write it: `Event-Final`.
fn header_case(name: &str) -> String {
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c };
            upper = c == '-';
            c
        })
        .collect()
}

fn uri_word(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    name.chars().map(|c| if plain(c) { c } else { '-' }).collect()
}
