//! All that is durable here: image files, the index, the account that survives the process.
//!
//! One thread owns every file and every row; everyone else holds a [`Spool`] handle. Items are opaque:
//! the spool knows sequence numbers, classes, sizes and trailers, no camera and no store.

use std::path::PathBuf;

use bytes::Bytes;

use crate::contract::Facts;

/// Where the spool lives and how large it may grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the spool.
    pub path: PathBuf,
    /// Most bytes of image files, quarantine included.
    pub max_bytes: u64,
}

/// Which end of the queue to claim from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest picture: an operator is waiting for it.
    Newest,
    /// The oldest: the backlog drains.
    Oldest,
}

/// A picture lent to an uploader. Dropping it without an outcome puts it back.
#[derive(Debug)]
pub struct Claim {
    /// Its sequence number.
    pub seq: u64,
    /// Its key, fixed for ever.
    pub key: String,
    /// The wall time of its capture, where one was ever known.
    pub wall: Option<crate::clock::WallTime>,
    /// All that is known of it.
    pub facts: Facts,
    /// The object's bytes, checked against their SHA-256.
    pub body: Bytes,
}

/// Why a kept picture is gone without having been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Its file was not there.
    Missing,
    /// Evicted: the spool was full.
    Quota,
    /// Removed by hand.
    Purged,
}

/// Why a picture was set aside, its file kept for a person to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Quarantine {
    /// The file's bytes are not those of its trailer.
    Corrupt,
    /// The store will never take it; its words.
    Rejected(String),
}

/// What became of a claimed picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The store has it.
    Stored,
    /// Set aside.
    Quarantined(Quarantine),
    /// An answer refused it, but it may yet be stored: one more attempt is written down.
    Refused,
    /// Nothing is known or nothing was asked: put it back as it was.
    Released,
}
