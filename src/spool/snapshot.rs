//! What a spool says of itself: one consistent reading.

use std::time::Duration;

use super::{AtRisk, Loss, LostOf, Moment, OutboxSums};

/// What is queued of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStock {
    /// Pictures.
    pub queued: u64,
    /// Bytes of their files.
    pub bytes: u64,
}

/// How far a rebuild of the index has come, in this run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilding {
    /// Files read.
    pub files: u64,
    /// Directories of at most 1024 files each that were to be read, and those of them that still are.
    pub dirs: u64,
    /// See there.
    pub dirs_left: u64,
}

/// One consistent reading of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Pictures that were ever durable or stored, in this generation of the ledger.
    pub kept: u64,
    /// Pictures that a store has.
    pub stored: u64,
    /// Pictures on their way, waiting ones and those in flight included.
    pub queued: u64,
    /// Pictures set aside.
    pub quarantined: u64,
    /// Pictures given up, by reason, in the order of [`Loss::ALL`].
    pub lost: [u64; Loss::ALL.len()],
    /// The same by camera, class and reason.
    pub lost_of: Vec<LostOf>,
    /// What is queued, in the order of `contract::Class`.
    pub classes: [ClassStock; 4],
    /// Queued pictures that wait for a trusted clock.
    pub waiting: u64,
    /// How long the first of them has waited, in this run.
    pub waiting_for: Option<Duration>,
    /// Queued pictures that are claimed.
    pub in_flight: u64,
    /// Queued pictures whose retry is not due.
    pub resting: u64,
    /// Pictures in memory only: in hand still, and not among the kept.
    pub at_risk: AtRisk,
    /// Bytes of all image files.
    pub bytes: u64,
    /// The quota.
    pub max_bytes: u64,
    /// What the file system leaves of it: bytes that may be held now.
    pub room: u64,
    /// Pictures adopted when this run began: kept by an earlier run, so not in this run's account.
    pub adopted: u64,
    /// A rebuild of the index that goes on; what it has not found yet is in none of these sums.
    pub rebuilding: Option<Rebuilding>,
    /// Highest sequence number in the ledger.
    pub high_seq: u64,
    /// The ledger's generation: above 1 the index was lost and the sums began anew.
    pub generation: u64,
    /// When this generation began.
    pub began: Moment,
    /// Are uploads paused?
    pub paused: bool,
    /// Messages that must arrive.
    pub outbox: OutboxSums,
    /// Commands written down and not ended.
    pub open_commands: u64,
}

impl Snapshot {
    /// Pictures lost over all reasons.
    #[must_use]
    pub fn lost_total(&self) -> u64 {
        self.lost.iter().sum()
    }

    /// Invariant 2, second sum.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.kept == self.stored + self.queued + self.quarantined + self.lost_total()
    }
}
