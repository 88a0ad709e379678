//! A spool on a disk so full that it cannot even be opened: it waits for room, and the agent lives.
//!
//! There is no index and no reserve yet (or the reserve was not enough), so nothing can be kept. Every picture is
//! refused as `disk_full`, everything else is answered as while the index is down, and the opening is tried again with
//! growing pauses. Then the ordinary thread goes on in this one's place.
//!
//! Pictures are numbered meanwhile, by whoever makes them: from 1 on in a spool that never was, else from far above
//! every number that may ever have been used, as in a rebuilt index.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tracing::{info, warn};

use super::files::Layout;
use super::images::Images;
use super::mailbox::{Call, Mailbox};
use super::recover::{Context, SKIP};
use super::{Moment, OpenError, Opened, Settings};
use crate::account::Refusal;
use crate::health::Beat;

/// First and longest pause between two tries.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is to be opened once there is room.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) settings: Settings,
    pub(super) now: Moment,
    pub(super) beat: Beat,
    /// Told when the spool is open.
    pub(super) no_room: watch::Sender<bool>,
}

/// Opens a spool's files, index and lock.
pub(super) fn open(
    settings: &Settings,
    now: &Moment,
    beat: &Beat,
) -> Result<(Images, Opened, File), OpenError> {
    let io = |source| OpenError::Io { path: settings.path.clone(), source };
    let layout = Layout::create(&settings.path).map_err(io)?;
    let lock = layout
        .lock()
        .map_err(io)?
        .map_err(|pid| OpenError::Locked { path: settings.path.clone(), pid })?;
    let cx = Context { layout, now: now.clone(), beat: beat.clone() };
    let (images, opened) = Images::open(cx, settings.limits.clone(), settings.durability)?;
    Ok((images, opened, lock))
}

/// What is known of a spool that cannot be opened yet.
pub(super) fn unopened(settings: &Settings) -> Opened {
    let layout = Layout::at(&settings.path);
    let newest = layout.dirs().ok().and_then(|dirs| dirs.last().copied());
    let highest =
        newest.and_then(|dir| layout.seqs(dir).ok()).and_then(|seqs| seqs.last().copied());
    let was_there = layout.index().exists() || newest.is_some();
    let next_seq = if was_there { highest.unwrap_or(0) + SKIP } else { 1 };
    Opened {
        next_seq,
        adopted: 0,
        torn: 0,
        finished: 0,
        rebuilt: false,
        generation: 0,
        interrupted: 0,
        newest_wall: None,
        private: layout.is_private(),
    }
}

impl Waiting {
    /// Waits until the spool can be opened; `None` when nobody wants it any more.
    pub(super) fn wait(self, mailbox: &Mailbox) -> Option<(Images, File)> {
        let (mut at, mut pause) = (Instant::now() + AGAIN.0, AGAIN.0);
        let mut flushes: Vec<(u64, oneshot::Sender<()>)> = Vec::new();
        loop {
            self.beat.idle();
            let work = mailbox.take(Some(at), u64::MAX);
            self.beat.busy();
            work.shots.into_iter().for_each(|shot| shot.token.refused(Refusal::DiskFull));
            for (call, _permit) in work.calls {
                if let Call::Flush(reply) = call {
                    flushes.push((work.shots_in, reply));
                } else {
                    answer(call);
                }
            }
            for (_, reply) in flushes.extract_if(.., |(target, _)| *target <= work.shots_out) {
                reply.send(()).ok(); // whoever asked may have gone
            }
            if work.over {
                return None;
            }
            if Instant::now() < at {
                continue;
            }
            match open(&self.settings, &self.now, &self.beat) {
                Ok((images, opened, lock)) => {
                    info!(?opened, "There is room: the spool is open.");
                    self.no_room.send_replace(false);
                    return Some((images, lock));
                }
                Err(error) => {
                    warn!(%error, ?pause, "The spool still has no room to be opened.");
                    pause = (pause * 2).min(AGAIN.1);
                    at = Instant::now() + pause;
                }
            }
        }
    }
}

/// As the spool answers while its index is down.
fn answer(call: Call) {
    let full = || std::io::Error::from(std::io::ErrorKind::StorageFull);
    // Whoever asked may have gone.
    match call {
        Call::Claim(_, reply) => drop(reply.send(Vec::new())),
        Call::Finish(_, reply) | Call::Conclude(_, _, reply) | Call::Flush(reply) => {
            reply.send(()).ok();
        }
        Call::Accept(_, reply) => drop(reply.send(None)),
        Call::InterruptCommands(reply) => drop(reply.send(0)),
        Call::Told(_, reply) => drop(reply.send(None)),
        Call::Post(_, reply) | Call::Arrived(_, reply) | Call::GiveUp(_, reply) => {
            reply.send(false).ok();
        }
        Call::Outbox(_, _, reply) => drop(reply.send(None)),
        Call::DueEvents(reply) => drop(reply.send(None)),
        Call::Snapshot(reply) => drop(reply.send(None)),
        Call::SetOffset(_, _, reply) => drop(reply.send(Err(full()))),
        Call::GiveUpWaiting(reply) => drop(reply.send(Ok(()))),
        Call::SetPrivate(_, reply) => drop(reply.send(Err(full()))),
        Call::Ask(_, reply) => drop(reply.send(None)),
    }
}

/// Does this say that the disk is full, in its own words or by how it failed on one?
pub(super) fn is_for_want_of_room(error: &OpenError, settings: &Settings) -> bool {
    match error {
        OpenError::Locked { .. } => false,
        OpenError::Io { source, .. } => super::files::is_full(source),
        // SQLite has several names for it.
        OpenError::Index(_) => {
            let space = Layout::at(&settings.path).space();
            space.is_ok_and(|space| space.free_bytes < super::reserve::LEAST)
        }
    }
}

/// The thread of a spool that waits, and then works.
pub(super) fn run(
    waiting: Waiting,
    mailbox: Arc<Mailbox>,
    stopped: watch::Sender<bool>,
    go_on: impl FnOnce(Images, File, watch::Sender<bool>),
) {
    match waiting.wait(&mailbox) {
        Some((images, lock)) => go_on(images, lock, stopped),
        None => drop(stopped.send_replace(true)),
    }
}
