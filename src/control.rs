//! Control: what operators and other programs on the device may ask for.
//!
//! [`request`] parses what comes over the sockets, [`command`] what comes over MQTT, both purely;
//! [`socket`] serves and calls the unix sockets; [`desk`] takes MQTT commands through their life. Whoever
//! asks gets one [`Reply`] to one [`Job`]; the agent does the work.

pub mod command;
pub mod desk;
pub mod request;
pub mod socket;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::contract::command::Reason;
use crate::spool::browse as spool;
use crate::status::Status;
use crate::still::{Order, Said};

/// Something for the agent to do, and where the answer goes.
pub type Ask = (Job, oneshot::Sender<Reply>);

/// What the agent can be asked to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Tell the status.
    Status,
    /// Give one picture of a camera to look at; it is not kept.
    Snap {
        /// Name of the camera.
        camera: String,
    },
    /// Take pictures and keep them.
    Take(Take),
    /// Close all cameras, or open them again.
    Privacy {
        /// Close them.
        on: bool,
    },
    /// Tell of the pictures that wait, or do something to them.
    Spool(spool::Ask),
}

/// Pictures to take and keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Take {
    /// Name of the camera; may be left out where there is only one.
    pub camera: Option<String>,
    /// The MQTT command that asks; its pictures carry this id.
    pub command: Option<String>,
    /// How many, each of a frame of its own.
    pub count: u32,
    /// How they are made.
    pub order: Order,
    /// What a detector or sensor said: its pictures are triggered `external`, others `command`.
    pub said: Option<Said>,
    /// What is not taken by then is withdrawn.
    pub within: Duration,
}

/// How long after its deadline a [`Take`] may still wait for pictures that were taken before: a slow card
/// may spend this long in one flush.
pub const LATE: Duration = Duration::from_secs(120);

/// What came of a [`Take`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    /// Whose pictures.
    pub camera: String,
    /// Pictures that are durable.
    pub kept: u32,
    /// Why they are fewer than asked for: `timed-out`, `camera-lost`, or why they were refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Reason>,
}

/// What is answered.
#[derive(Debug)]
pub enum Reply {
    /// The status.
    Status(Box<Status>),
    /// A finished JPEG.
    Picture(Vec<u8>),
    /// Pictures were taken, or some of them.
    Taken(Taken),
    /// What was asked of the spool.
    Spool(spool::Told),
    /// Done; nothing to tell.
    Done,
    /// It could not be done.
    Failed(Reason),
}

impl Reply {
    /// It could not be done.
    #[must_use]
    pub fn failed(code: &str, text: impl Into<String>) -> Self {
        Self::Failed(Reason::new(code, text))
    }
}
