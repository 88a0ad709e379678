//! Upload: claims pictures from the spool, PUTs each to its destination, and tells the spool.
//!
//! One uploader, one HTTP client, one retry policy. Nothing is ever read back: no HEAD, no GET.

pub mod announce;
pub mod attempt;
pub mod classify;
pub mod dir;
pub mod http;
pub mod pace;
pub mod worker;

use std::fmt;
use std::path::PathBuf;

use bytes::Bytes;

use crate::clock::{BootTime, WallTime};
use crate::contract::Facts;
use crate::grant::S3Settings;

/// Where pictures go.
#[derive(Clone, Debug, PartialEq)]
pub enum DestinationSettings {
    /// An S3 bucket.
    S3(Box<S3Settings>),
    /// A local directory.
    Dir(DirSettings),
    /// Nowhere yet: pictures wait on the device until a destination is configured.
    Nowhere,
}

/// A directory that holds objects: the embedded default.
#[derive(Clone, Debug, PartialEq)]
pub struct DirSettings {
    /// Root; keys become paths below it.
    pub path: PathBuf,
    /// URL to announce each object to, as a CloudEvent by HTTP POST.
    pub announce: Option<url::Url>,
}

/// Where pictures go, in words and without any secret.
impl fmt::Display for DestinationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3(s3) => write!(f, "bucket {} at {}", s3.bucket, s3.endpoint),
            Self::Dir(dir) => write!(f, "directory {}", dir.path.display()),
            Self::Nowhere => f.write_str("nowhere: pictures wait here"),
        }
    }
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
    /// Stored events go into the outbox, in the store's own transaction.
    pub reliable_notices: bool,
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

/// How the destination stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing bad is known.
    #[default]
    Working,
    /// It is away or busy; the words of the last failure.
    Retrying(String),
    /// It takes nothing until a person acts: an alarm. Cleared when something is stored.
    Parked(classify::Parked),
}

impl Standing {
    /// What is wrong, for a person.
    #[must_use]
    pub fn words(&self) -> Option<String> {
        match self {
            Self::Working => None,
            Self::Retrying(why) => Some(why.clone()),
            Self::Parked(parked) => Some(parked.to_string()),
        }
    }
}

/// What status and alarms show of the uploader; of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UploadState {
    /// How the destination stands.
    pub standing: Standing,
    /// Failures in a row.
    pub failures: u32,
    /// Nothing goes before this moment.
    pub until: Option<BootTime>,
    /// Pictures on their way now.
    pub in_flight: usize,
    /// Pictures stored.
    pub stored: u64,
    /// When the last one was.
    pub last_stored: Option<BootTime>,
    /// The last thing that went wrong, also when all is well again.
    pub last_error: Option<String>,
}
