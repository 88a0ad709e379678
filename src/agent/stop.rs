//! Stopping in order, each step within its deadline: cameras → still → uploads → broker → spool.
//!
//! The deadlines add up to 23 s, below the unit's `TimeoutStopSec`. Whatever misses its deadline is
//! left behind: what was durable is found again, what was not is counted as refused or in hand.

use std::sync::mpsc::TrySendError;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, info, warn};

use super::Agent;
use crate::status::Status;
use crate::still::Pick;

/// Longest time for camera threads to end; a healthy one takes a slice of a second.
pub(super) const CAMERAS_END: Duration = Duration::from_secs(3);
/// Longest time for the still thread to make what was picked.
const STILL_END: Duration = Duration::from_secs(3);
/// Longest time for uploads under way to finish; the uploader itself cuts them after 5 s.
const UPLOADS_END: Duration = Duration::from_secs(6);
/// Longest time for the spool to write what it has and to close; the status before may take 2 s more.
const SPOOL_END: Duration = Duration::from_secs(4);

/// Waits until `done`, at most `limit`; whether it came to be. Threads have no future to wait for.
pub(super) async fn within(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(limit, wait).await.is_ok()
}

impl Agent {
    /// Stops cameras and the still thread, each within its deadline. What was chosen is now kept or
    /// refused, or in the hands of a thread that hangs.
    pub async fn stop_capture(&mut self) {
        for camera in self.cameras.values() {
            camera.running.stop();
        }
        if !within(CAMERAS_END, || self.cameras.values().all(|c| c.running.is_finished())).await {
            let hung = self.cameras.iter().filter(|(_, c)| !c.running.is_finished());
            let hung: Vec<_> = hung.map(|(name, _)| name).collect();
            warn!(?hung, "Drivers of cameras hang; their threads are left behind.");
        }
        self.stop_still().await;
    }

    async fn stop_still(&mut self) {
        let Some(thread) = self.still.take() else { return };
        let mut picks = self.picks.take();
        let ended = within(STILL_END, || {
            // A camera that hangs holds a sender too: hanging up alone would not end the thread.
            if let Some(to) = &picks
                && !matches!(to.try_send(Pick::End), Err(TrySendError::Full(_)))
            {
                picks = None;
            }
            thread.is_finished()
        });
        if !ended.await {
            warn!("Pictures in hand are given up: the still thread is behind.");
        }
    }

    /// Waits until everything kept is stored or set aside, or `deadline` has passed.
    pub async fn drain(&mut self, deadline: Duration) {
        let drained = async {
            loop {
                match self.spool.snapshot().await {
                    Ok(s) if s.queued + s.at_risk.pictures > 0 => {}
                    _ => return,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        drop(timeout(deadline, drained).await); // late: the rest stays queued
    }

    /// Stops in order and gives the last status.
    pub async fn stop(mut self) -> Status {
        self.stop_capture().await;
        self.stop_upload().await;
        self.stop_link().await;
        self.tasks.shutdown().await;
        self.jobs.shutdown().await;
        let end = Instant::now() + SPOOL_END;
        match timeout_at(end, self.spool.flush()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => error!(%error, "Spool could not write everything before the stop."),
            Err(_) => error!("The disk is too slow: pictures in hand are given up."),
        }
        let status = self.status().await;
        if timeout_at(end, self.spool.stop()).await.is_err() {
            error!("The spool could not be closed in time; the next start recovers it.");
        }
        status
    }

    pub(super) async fn stop_upload(&mut self) {
        let Some(upload) = self.upload.take() else { return };
        upload.stop.send(()).ok(); // it may have ended by itself
        if timeout(UPLOADS_END, upload.ended).await.is_err() {
            info!("Uploads under way were cut; they are sent again after the next start.");
        }
        self.uploads.shutdown().await;
    }
}
