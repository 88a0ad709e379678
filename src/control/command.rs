//! Commands as they come over MQTT: parsed and judged, purely.
//!
//! [`judge`] is called by the desk for everything that is delivered, and says what is to be done with it:
//! taken, rejected with a reason that a requester's program can go by, or passed over. [`caps`] tells
//! requesters what there is; [`check_said`] is shared with the trigger socket.
//!
//! Invariants: nothing that comes from outside panics here or is repeated at length; what is taken is
//! complete and within all limits, so nobody after this checks again; each rejection has one [`Code`].

mod caps;
mod code;
mod parse;
mod rate;
mod said;
mod when;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::clock::{BootTime, WallTime};
use crate::contract::command::Reason;
use crate::contract::purge::Selection;
use crate::still::{Order, Said};

pub use self::caps::caps;
pub use self::code::Code;
pub use self::rate::{BURST, RateLimit};
pub use self::said::{MAX_BOXES, MAX_META, check_said};
use self::words::{is_id, quote};

/// Longest payload that is read.
pub const MAX_PAYLOAD: usize = 16 * 1024;

/// Something that was delivered, as far as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// The whole topic.
    pub topic: &'a str,
    /// The payload.
    pub payload: &'a [u8],
    /// Was it retained at the broker?
    pub retain: bool,
}

/// What is to be done with a delivery.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It is a command for this device, and in order.
    Take(Command),
    /// It is not done, and whoever asked is told so.
    Reject {
        /// Whom it answers: the id in the topic. `None`: nobody can be told; it is counted.
        id: Option<String>,
        /// Why.
        why: Rejection,
    },
    /// It asks for nothing.
    Ignore(Ignored),
}

/// Why a delivery asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// What was told of a command, come back: by a subscription that is too wide.
    Status,
    /// An empty payload: somebody cleared a retained command.
    Empty,
}

/// A command that is in order.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Its id.
    pub id: String,
    /// What to do.
    pub op: Op,
    /// What is left of its time to live.
    pub left: Duration,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Take pictures and keep them.
    Snapshot {
        /// Name of the camera; may be left out where there is only one.
        camera: Option<String>,
        /// How many.
        count: u32,
        /// How they are made.
        order: Order,
    },
    /// As if a detector had asked on the device: one picture that carries what it said.
    Trigger {
        /// Name of the camera; may be left out where there is only one.
        camera: Option<String>,
        /// What it said.
        said: Said,
    },
    /// Tell the status.
    Status,
    /// Remove pictures that were not sent; which ones was said, or that all are meant.
    Purge(Selection),
    /// Upload nothing until told otherwise, over restarts.
    UploadPause,
    /// Upload again.
    UploadResume,
    /// Close all cameras until told otherwise, over restarts, or open them again.
    Privacy {
        /// Close them.
        on: bool,
    },
}

impl Op {
    /// The names of all operations.
    pub const NAMES: [&'static str; 8] = [
        "snapshot",
        "status",
        "purge",
        "upload.pause",
        "upload.resume",
        "trigger",
        "privacy.on",
        "privacy.off",
    ];

    /// Its name in `op`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Snapshot { .. } => "snapshot",
            Self::Trigger { .. } => "trigger",
            Self::Status => "status",
            Self::Purge(_) => "purge",
            Self::UploadPause => "upload.pause",
            Self::UploadResume => "upload.resume",
            Self::Privacy { on: true } => "privacy.on",
            Self::Privacy { on: false } => "privacy.off",
        }
    }

    /// How many pictures it asks for.
    #[must_use]
    pub fn pictures(&self) -> u32 {
        match self {
            Self::Snapshot { count, .. } => *count,
            Self::Trigger { .. } => 1,
            Self::Status
            | Self::Purge(_)
            | Self::UploadPause
            | Self::UploadResume
            | Self::Privacy { .. } => 0,
        }
    }
}

/// Why a command is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// For programs.
    pub code: Code,
    /// For people: what is wrong, and what would be right.
    pub text: String,
    /// When it may be sent again, where waiting helps.
    pub after: Option<Duration>,
}

impl Rejection {
    /// A rejection that waiting does not help.
    #[must_use]
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), after: None }
    }

    /// As it is told.
    #[must_use]
    pub fn reason(&self) -> Reason {
        Reason::new(self.code.name(), self.text.clone())
    }
}

/// Says what is to be done with a delivery. `prefix` is what the device's own topics begin with, without
/// a slash at the end; `now` is the wall time, where it is trusted, and `at` the time since boot.
#[must_use]
pub fn judge(
    incoming: &Incoming<'_>,
    prefix: &str,
    now: Option<WallTime>,
    rate: &mut RateLimit,
    at: BootTime,
) -> Verdict {
    let id = match addressee(incoming.topic, prefix) {
        Ok(Some(id)) => id,
        Ok(None) => return Verdict::Ignore(Ignored::Status),
        Err(why) => return Verdict::Reject { id: None, why },
    };
    if incoming.payload.is_empty() {
        return Verdict::Ignore(Ignored::Empty);
    }
    match read(incoming, id, now).and_then(|command| rate.take(at).map(|()| command)) {
        Ok(command) => Verdict::Take(command),
        Err(why) => Verdict::Reject { id: Some(id.to_owned()), why },
    }
}

/// The id in a topic; `None` where it is the topic of a status.
fn addressee<'a>(topic: &'a str, prefix: &str) -> Result<Option<&'a str>, Rejection> {
    let below = topic.strip_prefix(prefix).and_then(|rest| rest.strip_prefix("/cmd/"));
    let Some(below) = below else {
        let text = format!("topic {} is not below {prefix}/cmd/", quote(topic));
        return Err(Rejection::new(Code::Foreign, text));
    };
    match below.split_once('/') {
        None if is_id(below) => Ok(Some(below)),
        Some((id, "status")) if is_id(id) => Ok(None),
        _ => Err(Rejection::new(
            Code::BadId,
            format!("{} is no id: it must be 1 to 64 of A-Z a-z 0-9 _ -", quote(below)),
        )),
    }
}

fn read(incoming: &Incoming<'_>, id: &str, now: Option<WallTime>) -> Result<Command, Rejection> {
    let len = incoming.payload.len();
    if len > MAX_PAYLOAD {
        let text = format!("payload of {len} bytes; the most is {MAX_PAYLOAD}");
        return Err(Rejection::new(Code::TooLarge, text));
    }
    if incoming.retain {
        let text = "commands must not be retained: publish without the retain flag";
        return Err(Rejection::new(Code::Retained, text));
    }
    let (op, life) = parse::payload(incoming.payload, id)?;
    Ok(Command { id: id.to_owned(), op, left: life.left(now)? })
}
