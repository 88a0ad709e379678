//! The words of the index: what its rows hold, and what is asked of them.

use crate::clock::{BootId, BootTime, WallTime};
use crate::contract::Class;
use crate::spool::{Loss, Receipt};

/// What is to become of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spool) enum State {
    /// Queued, but its wall time is not decided.
    Waiting = 0,
    /// Queued.
    Ready = 1,
    /// Set aside.
    Quarantined = 2,
    /// Stored or lost: its file is to be removed, then its row.
    Done = 3,
}

/// A kept picture, as its trailer tells it.
#[derive(Clone, Debug)]
pub(in crate::spool) struct NewItem {
    pub(in crate::spool) seq: u64,
    pub(in crate::spool) state: State,
    pub(in crate::spool) camera: String,
    pub(in crate::spool) class: Class,
    pub(in crate::spool) boot: BootId,
    pub(in crate::spool) captured: BootTime,
    pub(in crate::spool) bytes: u64,
    /// Why it is quarantined from the start.
    pub(in crate::spool) outcome: Option<&'static str>,
    /// Who follows it.
    pub(in crate::spool) follow: Option<Follow>,
}

/// Who follows a picture, beside its own row.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Follow {
    /// The command that asked for it.
    pub(in crate::spool) command: Option<String>,
    /// The event it belongs to.
    pub(in crate::spool) event: Option<Part>,
}

/// A picture's part in its event.
#[derive(Clone, Debug)]
pub(in crate::spool) enum Part {
    /// One of its pictures, captured then.
    One(String, BootTime),
    /// Its last picture or its manifest: it is followed no longer.
    Closing(String),
}

/// How a picture's time in the queue ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spool) enum End {
    /// With what the uploader told of it.
    Stored(Option<Box<Receipt>>),
    Lost(Loss),
    /// Set aside, for these reasons.
    Quarantined(String),
}

/// What was settled.
#[derive(Debug, Default)]
pub(in crate::spool) struct Settled {
    /// Pictures whose files are now to be removed.
    pub(in crate::spool) gone: Vec<u64>,
    /// Something may have been put into the outbox.
    pub(in crate::spool) put: bool,
    /// Pictures that had waited for a clock.
    pub(in crate::spool) waited: u64,
}

/// A queued or quarantined picture.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Item {
    pub(in crate::spool) seq: u64,
    pub(in crate::spool) class: Class,
    pub(in crate::spool) bytes: u64,
    pub(in crate::spool) attempts: u32,
    pub(in crate::spool) boot: BootId,
    /// The camera's number.
    pub(in crate::spool) camera: i64,
}

/// How long a boot lasted, as far as its pictures tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::spool) struct BootSpan {
    pub(in crate::spool) boot: BootId,
    /// When its last picture was captured.
    pub(in crate::spool) last: BootTime,
}

/// Pictures of one camera and class that were lost for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostOf {
    /// The camera.
    pub camera: String,
    /// What they were worth.
    pub class: Class,
    /// Why: a name of [`Loss`].
    pub reason: String,
    /// How many.
    pub items: u64,
}

/// A moment, by all clocks there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// In which boot.
    pub boot: BootId,
    /// CLOCK_BOOTTIME.
    pub at: BootTime,
    /// The wall time, where it was trusted.
    pub wall: Option<WallTime>,
}

/// A new ledger's first row.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Ledger {
    pub(in crate::spool) spool: String,
    pub(in crate::spool) generation: u64,
    pub(in crate::spool) began: Moment,
    pub(in crate::spool) high_seq: u64,
}

/// The account of one class, over all cameras.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::spool) struct ClassTotals {
    /// Pictures that were ever durable.
    pub(in crate::spool) kept: u64,
    /// Pictures that a store has.
    pub(in crate::spool) stored: u64,
    /// Pictures on their way.
    pub(in crate::spool) queued: u64,
    /// Pictures set aside.
    pub(in crate::spool) quarantined: u64,
    /// Pictures given up.
    pub(in crate::spool) lost: u64,
    /// Bytes of the queued pictures' files.
    pub(in crate::spool) queued_bytes: u64,
    /// Bytes of the quarantined pictures' files.
    pub(in crate::spool) quarantined_bytes: u64,
}
