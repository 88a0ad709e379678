//! All that is durable here: image files, the index, the account that survives the process.
//!
//! One thread owns every file and every row; everyone else holds a [`Spool`] handle. Items are opaque:
//! the spool knows sequence numbers, classes, sizes and trailers, no camera and no store.
//!
//! - `still` hands over pictures with [`Spool::store`], which never blocks; the picture's token tells
//!   the account whether it was kept. *Kept* means durable, so that no power cut loses it, or stored.
//!   With [`Durability::Spill`] a picture may be held in memory meanwhile ([`AtRisk`]): in hand, not kept.
//! - `upload` takes them with [`Spool::claim`], loads them with [`Claim::load`], and answers with
//!   [`Spool::finish`]. It sleeps on [`Spool::changed`] when there is nothing to claim.
//! - `control` writes commands down with [`Spool::accept`] before their effect, and tells what came of
//!   it with [`Spool::conclude`]; `mqtt` empties the outbox. `agent` asks for [`Spool::due_events`].
//! - `agent` opens and stops it, and tells it about the clock: [`Spool::set_offset`] when the wall
//!   clock is trusted, [`Spool::give_up_waiting`] when that took too long.
//!
//! Invariants: a file is durable before it is acknowledged; `kept = stored + queued + quarantined +
//! lost` in every snapshot of the index; the index can be rebuilt from the files; a picture's key never
//! changes. On a failing disk pictures are refused one by one and the thread lives on; a failing index
//! is opened again through recovery while pictures are still kept.
//!
//! Reading order: [`trailer`] is the file format, `files` the directory, `boots` the boot records, `db`
//! the index, `held` what is in memory only, `images` the two orders of writing and removing, `recover` the start,
//! `thread` the turns, `waiting` what it does before there is room to begin.

mod boots;
pub mod browse;
mod claim;
mod db;
mod error;
mod files;
mod follow;
mod followed;
mod held;
mod images;
mod loans;
mod mailbox;
mod numbers;
mod recover;
mod reserve;
pub mod retention;
mod snapshot;
mod thread;
pub mod trailer;
mod unwritten;
mod waiting;

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot, watch};
use tracing::error;

pub use self::claim::{Claim, Loaded, ReadError};
pub use self::db::{LostOf, Moment};
pub use self::error::{OpenError, SpoolError};
pub use self::files::load_image;
pub use self::follow::{
    Acceptance, Address, Conclusion, DueEvent, Kind, Message, NewCommand, OutboxSum, OutboxSums,
    Queued, Receipt, RowEffect,
};
pub use self::held::{AtRisk, Durability, Spill};
use self::images::Images;
use self::mailbox::{CALLS, Call, Mailbox};
use self::retention::Limits;
pub use self::snapshot::{ClassStock, Rebuilding, Snapshot};
use self::thread::{DEADLINE, Worker};
use self::waiting::Waiting;
use crate::clock::WallTime;
use crate::health::Beat;
use crate::still::Shot;

/// Where the spool lives, how large it may grow, and when it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Directory of the spool.
    pub path: PathBuf,
    /// How large it may grow, and how old what is in it.
    pub limits: Limits,
    /// When a picture is written.
    pub durability: Durability,
}

/// Which end of the queue to claim from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The newest picture: an operator is waiting for it.
    Newest,
    /// The oldest: the backlog drains.
    Oldest,
}

/// Why a kept picture is gone without having been stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Loss {
    /// Its file was not there.
    Missing,
    /// Evicted: the spool was full, or its camera's part of it.
    Quota,
    /// Removed by hand.
    Purged,
    /// Evicted: others have filled the disk.
    DiskFull,
    /// It reached the longest retention before it was stored.
    Age,
}

impl Loss {
    /// All reasons, in the order of [`Snapshot::lost`].
    pub const ALL: [Self; 5] =
        [Self::Missing, Self::Quota, Self::Purged, Self::DiskFull, Self::Age];

    /// The word used in the index, in status and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Quota => "quota",
            Self::Purged => "purged",
            Self::DiskFull => "disk_full",
            Self::Age => "age",
        }
    }
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
    /// It cannot be sent any more. [`Loss::Missing`] is looked into, and counts only if it is so.
    Lost(Loss),
    /// An answer refused it, but it may yet be stored: one more attempt is written down.
    Refused,
    /// Nothing is known or nothing was asked: put it back as it was.
    Released,
}

/// What opening found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// The sequence number to go on with.
    pub next_seq: u64,
    /// Pictures kept by an earlier run that only now entered the ledger.
    pub adopted: u64,
    /// Torn writes that were deleted; none of them was ever kept.
    pub torn: u64,
    /// Removals that an earlier run had begun.
    pub finished: u64,
    /// The index was lost and is rebuilt from the files: the sums began anew. [`Snapshot::rebuilding`] tells
    /// whether that goes on.
    pub rebuilt: bool,
    /// The ledger's generation.
    pub generation: u64,
    /// Commands that an earlier run left open; each of them is concluded now.
    pub interrupted: u64,
    /// The newest wall time that any boot trusted and wrote down: a floor, never trust.
    pub newest_wall: Option<WallTime>,
    /// Somebody wants no camera to be open.
    pub private: bool,
}

/// The handle; cheap to clone. When the last one is dropped the thread flushes and ends.
#[derive(Clone, Debug)]
pub struct Spool {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mailbox: Arc<Mailbox>,
    permits: Arc<Semaphore>,
    changed: watch::Receiver<u64>,
    mail: watch::Receiver<u64>,
    stopped: watch::Receiver<bool>,
    /// The disk is so full that the spool is not open yet.
    no_room: watch::Receiver<bool>,
    beat: Beat,
}

/// How the thread begins.
enum Begin {
    Open(Box<Images>, File),
    Wait(Moment),
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Spool {
    /// Opens (or makes) the spool, recovers it, and starts its thread. Blocks: ordinarily for as long as
    /// it takes to check what the last run wrote last. Where the index was lost it is rebuilt from a short
    /// read of every file, of which all but the first few hundred come later, while the spool is in use. `now` goes into a ledger that begins, and says which boot this is.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(settings: &Settings, now: Moment) -> Result<(Self, Opened), OpenError> {
        let beat = Beat::new("spool", DEADLINE);
        let (images, opened, lock) = waiting::open(settings, &now, &beat)?;
        Ok((Self::begin(settings, beat, Begin::Open(Box::new(images), lock))?, opened))
    }

    /// As [`Spool::open`], but on a disk that is too full for the spool to be opened it comes all the same: it refuses
    /// every picture as `disk_full`, answers [`SpoolError::NoRoom`], and opens when there is room.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open_or_wait(settings: &Settings, now: Moment) -> Result<(Self, Opened), OpenError> {
        let beat = Beat::new("spool", DEADLINE);
        match waiting::open(settings, &now, &beat) {
            Ok((images, opened, lock)) => {
                Ok((Self::begin(settings, beat, Begin::Open(Box::new(images), lock))?, opened))
            }
            Err(error) if waiting::is_for_want_of_room(&error, settings) => {
                error!(%error, "The disk is full: no picture is kept until there is room.");
                let opened = waiting::unopened(settings);
                Ok((Self::begin(settings, beat, Begin::Wait(now))?, opened))
            }
            Err(error) => Err(error),
        }
    }

    fn begin(settings: &Settings, beat: Beat, how: Begin) -> Result<Self, OpenError> {
        beat.idle();
        let mailbox = Arc::new(Mailbox::default());
        let (changed_tx, changed) = watch::channel(0);
        let (mail_tx, mail) = watch::channel(0);
        let (stopped_tx, stopped) = watch::channel(false);
        let (room_tx, no_room) = watch::channel(matches!(how, Begin::Wait(_)));
        let (inbox, own) = (Arc::clone(&mailbox), beat.clone());
        let work = move |images, lock, stopped| {
            let (mailbox, changed, mail) = (inbox, changed_tx, mail_tx);
            Worker { images, mailbox, changed, mail, beat: own, lock, stopped }.run();
        };
        let (waits, until) = (Arc::clone(&mailbox), beat.clone());
        let (settings, path) = (settings.clone(), settings.path.clone());
        // Never joined: `stopped` tells when it has closed everything.
        drop(
            std::thread::Builder::new()
                .name("vedette-spool".to_owned())
                .spawn(move || match how {
                    Begin::Open(images, lock) => work(*images, lock, stopped_tx),
                    Begin::Wait(now) => {
                        let waiting = Waiting { settings, now, beat: until, no_room: room_tx };
                        waiting::run(waiting, waits, stopped_tx, work);
                    }
                })
                .map_err(|source| OpenError::Io { path, source })?,
        );
        let permits = Arc::new(Semaphore::new(CALLS));
        let inner = Inner { mailbox, permits, changed, mail, stopped, no_room, beat };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Why nothing could be answered.
    fn index_error(&self) -> SpoolError {
        if *self.inner.no_room.borrow() { SpoolError::NoRoom } else { SpoolError::Index }
    }

    /// Hands over a picture, in order of sequence numbers. Never blocks; the picture's token is answered
    /// when it is durable or stored, or refused.
    pub fn store(&self, shot: Shot) {
        self.inner.mailbox.put_shot(shot);
    }

    /// The newest or oldest picture that may be sent now; `None` when there is none.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn claim(&self, order: Order) -> Result<Option<Claim>, SpoolError> {
        Ok(self.claim_each(vec![order]).await?.pop())
    }

    /// One picture for each order, in one turn of the thread; fewer when there are no more. Uploads
    /// that begin together tend to end together, and then share the flush that makes them durable.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn claim_each(&self, orders: Vec<Order>) -> Result<Vec<Claim>, SpoolError> {
        self.call(|reply| Call::Claim(orders, reply)).await
    }

    /// Tells what became of a claimed picture. When it returns, the outcome is durable or, while the
    /// index is down, held until it can be; of a picture that was never written, it is counted. With `retry_after`, a refused or released picture rests for
    /// so long.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn finish(
        &self,
        seq: u64,
        outcome: Outcome,
        retry_after: Option<Duration>,
    ) -> Result<(), SpoolError> {
        let told = images::Told { seq, outcome, retry_after, receipt: None };
        self.call(|reply| Call::Finish(told, reply)).await
    }

    /// One consistent reading.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`], [`SpoolError::Index`] while the index is down, [`SpoolError::NoRoom`] while there is none.
    pub async fn snapshot(&self) -> Result<Snapshot, SpoolError> {
        self.call(Call::Snapshot).await?.ok_or_else(|| self.index_error())
    }

    /// The wall clock is trusted: `offset_ns` is the wall time minus CLOCK_BOOTTIME, `source` who
    /// vouched for it. The first one of a boot is written down and stays; pictures that waited get
    /// their time and can be claimed. Told again, it keeps [`Opened::newest_wall`] of the next start
    /// new, at no more than one write a day.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`] or [`SpoolError::Storage`].
    pub async fn set_offset(&self, offset_ns: i64, source: &str) -> Result<(), SpoolError> {
        self.call(|reply| Call::SetOffset(offset_ns, source.to_owned(), reply))
            .await?
            .map_err(SpoolError::Storage)
    }

    /// Pictures that wait for a trusted clock now can be claimed, for good without a time. Later ones
    /// wait again. Does nothing where none waits.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`] or [`SpoolError::Storage`].
    pub async fn give_up_waiting(&self) -> Result<(), SpoolError> {
        self.call(Call::GiveUpWaiting).await?.map_err(SpoolError::Storage)
    }

    /// Remembers that somebody wants no camera to be open ([`Opened::private`] of the next start), or forgets it.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`] or [`SpoolError::Storage`].
    pub async fn set_private(&self, private: bool) -> Result<(), SpoolError> {
        self.call(|reply| Call::SetPrivate(private, reply)).await?.map_err(SpoolError::Storage)
    }

    /// Returns when every picture handed over so far has its answer; what is held in memory is written for it.
    ///
    /// # Errors
    /// [`SpoolError::Stopped`].
    pub async fn flush(&self) -> Result<(), SpoolError> {
        self.call(Call::Flush).await
    }

    /// Changes whenever a picture becomes claimable: kept, given back, rested, or given its time.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.clone()
    }

    /// Has its thread ended, by a stop or by a fault?
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        let stopped = &self.inner.stopped;
        stopped.has_changed().is_err() || *stopped.borrow()
    }

    /// The thread's heartbeat, for the watchdog.
    #[must_use]
    pub fn beat(&self) -> Beat {
        self.inner.beat.clone()
    }

    /// Takes nothing more, answers every picture handed over, closes the index in order and gives up
    /// the lock. Claims that are still out are queued again at the next start.
    pub async fn stop(&self) {
        self.inner.mailbox.close();
        let mut stopped = self.inner.stopped.clone();
        stopped.wait_for(|stopped| *stopped).await.ok(); // an error: the thread is gone already
    }

    async fn done(
        &self,
        call: impl FnOnce(oneshot::Sender<bool>) -> Call,
    ) -> Result<(), SpoolError> {
        if self.call(call).await? { Ok(()) } else { Err(SpoolError::Index) }
    }

    async fn call<T>(
        &self,
        call: impl FnOnce(oneshot::Sender<T>) -> Call,
    ) -> Result<T, SpoolError> {
        let permits = Arc::clone(&self.inner.permits);
        let permit = permits.acquire_owned().await.map_err(|_| SpoolError::Stopped)?;
        let (reply, answer) = oneshot::channel();
        self.inner.mailbox.put_call(call(reply), permit);
        answer.await.map_err(|_| SpoolError::Stopped)
    }
}
