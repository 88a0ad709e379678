//! What is told of a command: the one shape of `cmd/<id>/status`, and what stands in it.
//!
//! Pure. `control` tells a command's beginning, the spool its end, in the same transaction that ends it;
//! both by these types. Fields are only ever added.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::calendar;
use super::manifest::{Entry, State};
use crate::clock::WallTime;

/// How far a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Written down; its effect follows.
    Accepted,
    /// Its effect has begun: the pictures are taken and on their way.
    InProgress,
    /// Done.
    Succeeded,
    /// It could not be done; the reason says why.
    Failed,
    /// It was not taken, and nothing was done.
    Rejected,
    /// It was not done in time, and is not done any more.
    TimedOut,
}

impl Status {
    /// Does nothing come after this?
    #[must_use]
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Accepted | Self::InProgress)
    }
}

/// Why a command ended as it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Short and stable, for programs: `camera-lost`, `interrupted`, `unknown-op`.
    pub code: String,
    /// For people: what is wrong, and what would be right.
    pub text: String,
}

impl Reason {
    /// A reason.
    #[must_use]
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// What a requester is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The command's id.
    pub id: String,
    /// Numbers what is told of one command, from 1 on; a final status has the highest.
    pub seq: u32,
    /// How far it is.
    pub status: Status,
    /// Why, where it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// When this was said, RFC 3339 in UTC; absent while the device's clock is not trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ts: Option<String>,
    /// `trusted` or `unsynced`.
    pub clock: String,
}

/// Sequence number of `accepted` and `rejected`.
pub const SEQ_FIRST: u32 = 1;
/// Sequence number of `in-progress`.
pub const SEQ_IN_PROGRESS: u32 = 2;
/// Sequence number of every end.
pub const SEQ_LAST: u32 = 3;

impl Told {
    /// A status as told at `now`, `None` where the clock is not trusted.
    #[must_use]
    pub fn new(id: &str, status: Status, now: Option<WallTime>) -> Self {
        let seq = match status {
            Status::Accepted | Status::Rejected => SEQ_FIRST,
            Status::InProgress => SEQ_IN_PROGRESS,
            Status::Succeeded | Status::Failed | Status::TimedOut => SEQ_LAST,
        };
        let ts = now.and_then(rfc3339);
        let clock = if ts.is_some() { "trusted" } else { "unsynced" };
        Self {
            id: id.to_owned(),
            seq,
            status,
            reason: None,
            result: None,
            ts,
            clock: clock.to_owned(),
        }
    }

    /// With a reason.
    #[must_use]
    pub fn because(mut self, reason: Option<Reason>) -> Self {
        self.reason = reason;
        self
    }

    /// With a result.
    #[must_use]
    pub fn with(mut self, result: Option<Value>) -> Self {
        self.result = result;
        self
    }

    /// As sent.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default() // plain data: it cannot fail
    }
}

/// A time as all that is told writes it: `2026-11-22T10:15:30.123Z`.
#[must_use]
pub fn rfc3339(wall: WallTime) -> Option<String> {
    Some(format!("{}Z", calendar(wall)?.strftime("%Y-%m-%dT%H:%M:%S%.3f")))
}

/// How a command that asked for pictures ends, when each of them has: stored all, or not. `fault` is what
/// went wrong before they were taken (interrupted, too late).
#[must_use]
pub fn end_of_pictures(
    fault: Option<(Status, Reason)>,
    pictures: &[Entry],
) -> (Status, Option<Reason>, Value) {
    let key = pictures.iter().find_map(|p| p.key.clone());
    let result = json!({ "key": key, "pictures": pictures });
    if let Some((status, reason)) = fault {
        return (status, Some(reason), result);
    }
    let unstored = pictures.iter().filter(|p| p.state != State::Stored).count();
    if unstored == 0 {
        return (Status::Succeeded, None, result);
    }
    let code = match pictures.iter().find(|p| p.state != State::Stored).map(|p| p.state) {
        Some(State::Quarantined) => "quarantined",
        _ => "lost",
    };
    let text = format!("{unstored} of {} pictures will not be stored", pictures.len());
    (Status::Failed, Some(Reason::new(code, text)), result)
}
