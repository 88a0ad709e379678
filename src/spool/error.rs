//! Why a spool cannot be opened, or did not do what it was asked.

use std::io;
use std::path::PathBuf;

use super::recover::RecoverError;

/// Why the spool cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another agent runs on this spool: stop it, or give this one a path of its own.
    #[error("the spool {path} is in use by {}", holder(*.pid))]
    Locked {
        /// The spool.
        path: PathBuf,
        /// The other agent, where it told.
        pid: Option<u32>,
    },
    /// The directory cannot be made, read or written: fix the path, its rights or the disk.
    #[error("cannot open the spool: {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The index can be neither opened nor rebuilt.
    #[error("cannot open the spool's index: {0}")]
    Index(String),
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

impl From<RecoverError> for OpenError {
    fn from(e: RecoverError) -> Self {
        match e {
            RecoverError::Io { path, source } => Self::Io { path, source },
            RecoverError::Index(e) => Self::Index(e.to_string()),
        }
    }
}

/// Why the spool did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It has stopped, or is about to: end too.
    #[error("the spool has stopped")]
    Stopped,
    /// The disk failed; nothing has changed: try again later.
    #[error("the boot record cannot be written")]
    Storage(#[source] io::Error),
    /// The index is being opened again: try again later.
    #[error("the spool's index cannot be read now")]
    Index,
    /// The disk is so full that the spool is not open yet: it opens when there is room.
    #[error(
        "the disk is full and the spool cannot be opened: no picture is kept until there is room"
    )]
    NoRoom,
}
