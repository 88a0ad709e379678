//! Control: what operators and other programs on the device may ask for.
//!
//! [`command`] parses, purely; [`socket`] serves and calls the unix socket. Whoever asks gets one
//! [`Reply`]; the agent does the work.

pub mod command;
pub mod socket;

use crate::status::Status;

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// The status.
    Status(Box<Status>),
    /// A finished JPEG.
    Picture(Vec<u8>),
    /// Done; nothing to tell.
    Done,
    /// It could not be done, in plain words.
    Failed(String),
}
