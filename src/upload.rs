//! Upload: claims pictures from the spool, PUTs each to its destination, and tells the spool.
//!
//! One uploader, one HTTP client, one retry policy. Nothing is ever read back: no HEAD, no GET.

pub mod announce;
pub mod attempt;
pub mod classify;
pub mod dir;
pub mod http;
pub mod tls;

use std::path::PathBuf;

use bytes::Bytes;

use crate::clock::WallTime;
use crate::contract::{Facts, Trigger};
use crate::grant::S3Settings;

/// Where pictures go.
#[derive(Clone, Debug, PartialEq)]
pub enum DestinationSettings {
    /// An S3 bucket.
    S3(Box<S3Settings>),
    /// A local directory.
    Dir(DirSettings),
}

/// A directory that holds objects: the embedded default.
#[derive(Clone, Debug, PartialEq)]
pub struct DirSettings {
    /// Root; keys become paths below it.
    pub path: PathBuf,
    /// URL to announce each object to, as a CloudEvent by HTTP POST.
    pub announce: Option<url::Url>,
}

/// How to upload.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Where to.
    pub destination: DestinationSettings,
    /// Uploads at once, at least 1.
    pub concurrency: usize,
    /// Longest time that pictures wait for a trusted clock before they go to `unsynced/`.
    pub wait_for_clock: std::time::Duration,
}

/// Told after each store, to whoever listens.
#[derive(Clone, Debug)]
pub struct StoredNotice {
    /// Key of the object.
    pub key: String,
    /// Camera.
    pub camera: String,
    /// Why the picture was taken.
    pub trigger: Trigger,
    /// Sequence number.
    pub seq: u64,
    /// Object length in bytes.
    pub len: u64,
    /// SHA-256, hex.
    pub sha256: String,
    /// Wall time of the capture, where known.
    pub wall: Option<WallTime>,
}

/// A picture to store, without the spool.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its key.
    pub key: String,
    /// All that is known of it.
    pub facts: Facts,
    /// The wall time of its capture, where one is known.
    pub wall: Option<WallTime>,
    /// The object's bytes.
    pub body: Bytes,
    /// The object's metadata.
    pub meta: Vec<(String, String)>,
}
