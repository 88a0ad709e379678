//! The store that every upload test stands on is a real one, and it enforces what the design leans on:
//! one presigned PUT that signs digest, type, create-only and metadata as headers.

#[path = "support/seaweed.rs"]
mod seaweed;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use rusty_s3::Credentials;
use rusty_s3::actions::{GetObject, PutObject, S3Action};

use seaweed::{DEVICE_KEYS, Seaweed, http};

const SIGNED_FOR: Duration = Duration::from_secs(600);
const KEY: &str = "v1/cam-1/door/2026/11/22/101112.131Z-motion-00000001-0123456789abcdef.jpg";

/// PUTs as a device does; `send_headers` may differ from what was signed.
fn put(
    store: &Seaweed,
    key: &str,
    signed: &[(&str, &str)],
    sent: &[(&str, &str)],
    body: &[u8],
) -> u16 {
    let (bucket, device) = (store.bucket(), Credentials::new(DEVICE_KEYS.0, DEVICE_KEYS.1));
    let mut action = PutObject::new(&bucket, Some(&device), key);
    for (name, value) in signed {
        action.headers_mut().insert((*name).to_owned(), (*value).to_owned());
    }
    http::send("PUT", &action.sign(SIGNED_FOR), sent, body).expect("the store answers").status
}

#[test]
fn real_store_enforces_what_one_presigned_put_signs() {
    let store = Seaweed::start("cam-1");
    let body: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
    let digest = STANDARD.encode(Md5::digest(&body));
    let headers = [
        ("content-md5", digest.as_str()),
        ("content-type", "image/jpeg"),
        ("if-none-match", "*"),
        ("x-amz-meta-camera", "door"),
    ];

    assert_eq!(put(&store, KEY, &headers, &headers, &body), 200, "first PUT");
    assert_eq!(put(&store, KEY, &headers, &headers, &body), 412, "same key again");
    let other = KEY.replace("00000001", "00000002");
    assert_eq!(put(&store, &other, &headers, &headers, b"another body"), 400, "wrong digest");
    assert_eq!(put(&store, &other, &headers, &headers[..3], &body), 403, "signed header left out");
    let foreign = KEY.replace("cam-1", "cam-2");
    assert_eq!(put(&store, &foreign, &headers, &headers, &body), 403, "another device's prefix");
    let longer = KEY.replace("cam-1", "cam-10");
    assert_eq!(put(&store, &longer, &headers, &headers, &body), 403, "a longer device name");

    let (bucket, device) = (store.bucket(), Credentials::new(DEVICE_KEYS.0, DEVICE_KEYS.1));
    let url = GetObject::new(&bucket, Some(&device), KEY).sign(SIGNED_FOR);
    assert_eq!(http::send("GET", &url, &[], b"").unwrap().status, 403, "device reads back");

    assert_eq!(store.list("v1/").into_iter().collect::<Vec<_>>(), [(KEY.to_owned(), 100_000)]);
    let stored = store.get(KEY);
    assert_eq!(stored.header("x-amz-meta-camera"), Some("door"));
    assert_eq!(stored.header("content-type"), Some("image/jpeg"));
    assert!(stored.body == body, "stored bytes differ");
    assert!(store.endpoint().as_str().starts_with("http://127.0.0.1:"));
}
