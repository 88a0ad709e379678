//! A claimed picture: what an uploader holds while it tries to store it.

use std::path::PathBuf;

use bytes::Bytes;

use super::boots::wall_of;
use super::files::{self, ImageError};
use super::mailbox::Mailbox;
use crate::clock::WallTime;
use crate::contract::Facts;
use crate::contract::key::key;

/// A picture lent to an uploader.
///
/// Load it with [`Claim::load`], send it, and tell the spool with `Spool::finish`. Dropping it without
/// an outcome puts it back; dropping it after one does nothing.
#[derive(Debug)]
pub struct Claim {
    /// Its sequence number.
    pub seq: u64,
    /// Answers that have refused it so far.
    pub attempts: u32,
    source: Source,
    offset_ns: Option<i64>,
    ticket: u64,
    mailbox: std::sync::Arc<Mailbox>,
}

/// What the spool's thread puts into a claim.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) seq: u64,
    pub(super) attempts: u32,
    pub(super) source: Source,
    pub(super) offset_ns: Option<i64>,
    pub(super) ticket: u64,
}

/// Where the bytes are.
#[derive(Debug)]
pub(super) enum Source {
    /// In memory still.
    Warm(Box<Facts>, Bytes),
    /// On disk.
    File(PathBuf),
}

/// A picture, checked and ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// All that is known of it.
    pub facts: Facts,
    /// The wall time of its capture, where one was ever known.
    pub wall: Option<WallTime>,
    /// Its key, fixed for ever.
    pub key: String,
    /// The object's bytes, checked against their SHA-256.
    pub body: Bytes,
}

/// Why a claimed picture cannot be loaded, by what to tell the spool.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its file is gone: `Outcome::Lost(Loss::Missing)`.
    #[error("the picture's file is not there")]
    Missing,
    /// Its bytes are not those of its trailer: `Outcome::Quarantined(Quarantine::Corrupt)`.
    #[error("the picture's file is corrupt: {0}")]
    Corrupt(String),
    /// The disk would not give it now: `Outcome::Released` with a pause.
    #[error("the picture's file cannot be read")]
    Io(#[source] std::io::Error),
}

impl Claim {
    pub(super) fn new(parts: Parts, mailbox: std::sync::Arc<Mailbox>) -> Self {
        let Parts { seq, attempts, source, offset_ns, ticket } = parts;
        Self { seq, attempts, source, offset_ns, ticket, mailbox }
    }

    /// Does [`Claim::load`] touch no disk?
    #[must_use]
    pub fn is_warm(&self) -> bool {
        matches!(self.source, Source::Warm(..))
    }

    /// The picture's facts, key and bytes, checked against trailer and SHA-256. Reads a file, and so
    /// blocks, unless [`Claim::is_warm`].
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn load(&self) -> Result<Loaded, ReadError> {
        let (facts, body) = match &self.source {
            Source::Warm(facts, body) => (Facts::clone(facts), body.clone()),
            Source::File(path) => {
                let (facts, body) = files::read_image(path).map_err(|e| match e {
                    ImageError::Missing => ReadError::Missing,
                    ImageError::Broken(e) => ReadError::Corrupt(e.to_string()),
                    ImageError::Io(e) => ReadError::Io(e),
                })?;
                (facts, Bytes::from(body))
            }
        };
        if facts.seq != self.seq {
            return Err(ReadError::Corrupt(format!("it is picture {}", facts.seq)));
        }
        let wall = wall_of(&facts, self.offset_ns);
        Ok(Loaded { key: key(&facts, wall), wall, facts, body })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.mailbox.give_back(self.seq, self.ticket);
    }
}
