//! What is followed beyond a picture's own life: commands, events, messages that must arrive.
//!
//! The spool knows none of them by meaning. A *command* is an id, where to tell its end, and how many
//! pictures it waits for; an *event* is an id and its pictures; a *message* is a topic and bytes.
//!
//! This file is the words; the rows are `db`'s.

use serde_json::Value;

use crate::contract::command::{Reason, Status, Told};
use crate::contract::manifest::{Counts, Entry};
use crate::contract::purge::Selection;

/// What kind of message, for the outbox's ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A command's outcome.
    Outcome,
    /// An alarm raised or cleared.
    Alarm,
    /// A stored event that must arrive.
    Stored,
}

impl Kind {
    /// All kinds, in the order of [`OutboxSums::kinds`].
    pub const ALL: [Self; 3] = [Self::Outcome, Self::Alarm, Self::Stored];

    /// The word used in status and in the index.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outcome => "outcome",
            Self::Alarm => "alarm",
            Self::Stored => "stored",
        }
    }
}

/// A message that must arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What kind.
    pub kind: Kind,
    /// Topic below the device's own.
    pub topic: String,
    /// What is said.
    pub payload: Vec<u8>,
    /// MQTT 5 correlation data to go with it.
    pub correlation: Option<Vec<u8>>,
}

/// A message in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Its number: later messages have higher ones.
    pub id: u64,
    /// The message.
    pub message: Message,
}

/// One kind of message: `put = arrived + queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxSum {
    /// Ever put into the outbox, in this generation of the ledger.
    pub put: u64,
    /// Acknowledged by the broker.
    pub arrived: u64,
    /// Waiting.
    pub queued: u64,
    /// Given up: the outbox was full (the oldest first), or the broker will never take it.
    pub dropped: u64,
}

/// The outbox's ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutboxSums {
    /// By kind, in the order of [`Kind::ALL`].
    pub kinds: [OutboxSum; Kind::ALL.len()],
}

impl OutboxSums {
    /// Does each kind's sum hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.kinds.iter().all(|k| k.put == k.arrived + k.queued + k.dropped)
    }
}

/// Where a command's end is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// Topic below the device's own.
    pub topic: String,
    /// MQTT 5 correlation data to go with it.
    pub correlation: Option<Vec<u8>>,
}

/// An effect that is a row: it is done in the transaction that accepts its command, exactly once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowEffect {
    /// Nothing is lent out for upload while this is true.
    PauseUploads(bool),
    /// Pictures are removed unsent, whatever fits and is there by then. The order is the row; it is worked off page
    /// by page, and its command ends with the receipt.
    Purge(Selection),
}

/// A command to be written down before its effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommand {
    /// Its id: `[A-Za-z0-9_-]{1,64}`.
    pub id: String,
    /// Its operation, for people who read the index.
    pub op: String,
    /// Where its end is told: `cmd/<id>/status`, and the requester's response topic where there is one.
    pub tell: Vec<Address>,
    /// Its effect, where that is a row; then it ends with its acceptance.
    pub effect: Option<RowEffect>,
    /// How many pictures it asks for: an interrupted one ends well where so many were kept.
    pub pictures: u32,
}

/// What became of a command that was to be written down.
#[derive(Clone, Debug, PartialEq)]
pub enum Acceptance {
    /// It is new, and durable: its effect may begin.
    New,
    /// It was seen before; this is what was told of it last. Its effect must not begin again.
    Known(Box<Told>),
}

/// What came of a command's effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// It has ended.
    Ended {
        /// A final status.
        status: Status,
        /// Why, where it did not succeed.
        reason: Option<Reason>,
        /// What came of it.
        result: Option<Value>,
    },
    /// So many pictures that carry its id are kept: it ends when all of them have. None kept is an end.
    Taken {
        /// How many.
        kept: u32,
        /// What went wrong, where fewer were kept than asked for: it ends with this.
        fault: Option<(Status, Reason)>,
    },
}

/// What an uploader knows of a picture that the store confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Key of the object.
    pub key: String,
    /// Bytes of the object.
    pub size: u64,
    /// SHA-256 of the object, 64 lower-case hex digits.
    pub sha256: String,
    /// Capture time, RFC 3339, where it is known.
    pub captured: Option<String>,
    /// A stored event that must arrive, put into the outbox in the store's own transaction.
    pub told: Option<Message>,
}

/// An event whose manifest is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueEvent {
    /// Camera.
    pub camera: String,
    /// Event id.
    pub event: String,
    /// Boot id of the event.
    pub boot: String,
    /// When it began, CLOCK_BOOTTIME nanoseconds.
    pub began: u64,
    /// From its first frame to its last with motion, in ms; `None` when the agent stopped before its end.
    pub duration_ms: Option<u64>,
    /// Why it ended; `interrupted` when the agent stopped before.
    pub why: String,
    /// How many pictures came to what.
    pub counts: Counts,
    /// Its pictures, by sequence number, at most `manifest::MAX_ENTRIES`.
    pub pictures: Vec<Entry>,
}
