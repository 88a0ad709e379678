//! The still thread as the agent has it: pictures in from the cameras, finished ones on to the spool.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use anyhow::Context;

use super::{PICKS, STILL_DEADLINE, Watchdog};
use crate::clock::{BootId, Timekeeper};
use crate::health::Beat;
use crate::spool::Spool;
use crate::still::{self, Made, Pick};

/// Starts the thread that makes pictures, and hands what it made to the spool. Gives the way to it.
///
/// # Errors
/// The system gives no thread.
pub(super) fn start(
    next_seq: u64,
    boot: &BootId,
    timekeeper: &Timekeeper,
    spool: &Spool,
    watchdog: &Watchdog,
) -> anyhow::Result<(SyncSender<Pick>, JoinHandle<u64>)> {
    let (picks, rx) = sync_channel(PICKS);
    let beat = Beat::new("still", STILL_DEADLINE);
    watchdog.core(beat.clone());
    let (timekeeper, spool) = (timekeeper.clone(), spool.clone());
    let thread = still::spawn(
        rx,
        next_seq,
        boot.clone(),
        Arc::new(move |at| timekeeper.wall_at(at)),
        Box::new(move |made| match made {
            Made::Shot(shot) => spool.store(shot),
            Made::EventEnded(end) => spool.event_ended(*end),
        }),
        beat,
    )
    .context("still thread")?;
    Ok((picks, thread))
}
