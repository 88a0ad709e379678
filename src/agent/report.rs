//! The status, put together from everyone's counters.

use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::sockets::Door;
use super::{Agent, Camera, Verdict};
use crate::account::Refusal;
use crate::capture::State;
use crate::spool::{Loss, Snapshot, Spool};
use crate::status::{
    Alarm, CameraStatus, ClockStatus, CommandsStatus, LedgerStatus, RunStatus, Status, UploadStatus,
};
use crate::upload::Standing;

/// Longest time to wait for the spool's account: its thread may be in an fsync for a minute, and a
/// status that says so is better than none.
const LEDGER: Duration = Duration::from_secs(2);

impl Agent {
    /// Everything worth knowing, at one moment: that of the call, but for the spool's account, which is
    /// asked for when it is awaited. Holds nothing of the agent.
    pub fn status(&self) -> impl Future<Output = Status> + Send + use<> {
        let mut status = self.all_but_ledger();
        let (spool, last) = (self.spool.clone(), Arc::clone(&self.ledger));
        async move {
            status.ledger = ledger(&spool, &last).await;
            let mut raise = |name: &str, text: String| status.alarms.push(Alarm::new(name, text));
            if let Some(why) = &status.ledger.stale {
                raise("spool", format!("its account is not known now: {why}"));
            }
            if !status.run.holds || !status.ledger.holds {
                raise("account", "a sum does not add up: please report this".to_owned());
            }
            status.healthy = status.alarms.is_empty();
            status
        }
    }

    fn all_but_ledger(&self) -> Status {
        let cameras = self.cameras.iter();
        let mut status = Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: self.config.identity.device.clone(),
            site: self.config.site.clone(),
            boot: self.boot.0.clone(),
            uptime_s: self.began.elapsed().as_secs(),
            healthy: false,
            alarms: self.deps.alarms.clone(),
            config: self.deps.config.clone(),
            clock: self.clock_status(),
            cameras: cameras.map(|(name, c)| (name.clone(), camera_status(c))).collect(),
            run: self.run_status(),
            ledger: LedgerStatus::default(),
            upload: self.upload_status(),
            commands: CommandsStatus::default(),
            mqtt: None,
        };
        self.raise_alarms(&mut status);
        status
    }

    fn raise_alarms(&self, status: &mut Status) {
        let mut raise = |alarm: Alarm| status.alarms.push(alarm);
        for (name, camera) in &self.cameras {
            if let State::Lost(why) = camera.running.counters.state() {
                raise(Alarm::about("camera", name, format!("{name} is lost: {why}")));
            }
            let frame = camera.running.counters.frame_bytes.load(Relaxed);
            if frame.saturating_mul(2) > self.account.limit() {
                let text = format!(
                    "{name} gives frames of up to {frame} bytes, and memory.in_hand holds less than \
                     two: give at least {} MiB",
                    frame.saturating_mul(2).div_ceil(1 << 20)
                );
                raise(Alarm::about("memory", name, text));
            }
        }
        for (name, by) in self.watchdog.hanging() {
            let text = format!("{name} has not answered for {} s", by.as_secs());
            raise(Alarm::about("camera", &name, text));
        }
        if let Verdict::Starve(why) = self.watchdog.verdict() {
            raise(Alarm::new("thread", why));
        }
        if let Some(why) = self.upload_status().parked {
            raise(Alarm::new("destination", why));
        }
        self.doors.iter().filter_map(Door::alarm).for_each(raise);
    }

    fn clock_status(&self) -> ClockStatus {
        let offset = self.timekeeper.offset();
        let now = self
            .timekeeper
            .wall_at(self.deps.clock.boottime())
            .unwrap_or_else(|| self.deps.clock.wall());
        ClockStatus {
            trusted: offset.is_some(),
            source: offset.map(|o| o.source.name().to_owned()),
            now: jiff::Timestamp::from_millisecond(now.0)
                .map_or_else(|_| "out of range".to_owned(), |t| format!("{t:.0}")),
        }
    }

    fn run_status(&self) -> RunStatus {
        let sums = self.account.sums();
        let refused = Refusal::ALL.iter().zip(sums.refused).filter(|(_, n)| *n > 0);
        RunStatus {
            chosen: sums.chosen,
            kept: sums.kept,
            refused: refused.map(|(why, n)| (why.name().to_owned(), n)).collect(),
            in_hand: sums.in_hand,
            in_hand_bytes: sums.bytes,
            in_hand_limit: self.account.limit(),
            holds: sums.holds(),
        }
    }

    fn upload_status(&self) -> UploadStatus {
        let Some(upload) = &self.upload else { return UploadStatus::default() };
        let state = upload.state.borrow();
        let now = self.deps.clock.boottime();
        UploadStatus {
            destination: self.config.upload.destination.to_string(),
            paused: false,
            parked: match &state.standing {
                Standing::Parked(parked) => Some(parked.to_string()),
                Standing::Working | Standing::Retrying(_) => None,
            },
            retrying: match &state.standing {
                Standing::Retrying(why) => Some(why.clone()),
                Standing::Working | Standing::Parked(_) => None,
            },
            in_flight: state.in_flight as u64,
            failures: state.failures,
            retry_in_s: state.until.map(|at| at.since(now).as_secs()),
            stored: state.stored,
            last_stored_s: state.last_stored.map(|at| now.since(at).as_secs()),
            last_error: state.last_error.clone(),
        }
    }
}

/// The spool's account, or the last one that was read and why it is not of now.
async fn ledger(spool: &Spool, last: &Mutex<LedgerStatus>) -> LedgerStatus {
    let why = match tokio::time::timeout(LEDGER, spool.snapshot()).await {
        Ok(Ok(snapshot)) => {
            let now = ledger_status(&snapshot);
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&now);
            return now;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the spool has not answered for {LEDGER:?}; its disk is slow or hangs"),
    };
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    LedgerStatus { stale: Some(why), ..last }
}

fn ledger_status(s: &Snapshot) -> LedgerStatus {
    let lost = Loss::ALL.into_iter().zip(s.lost).filter(|(_, n)| *n > 0);
    LedgerStatus {
        generation: s.generation,
        kept: s.kept,
        stored: s.stored,
        queued: s.queued,
        waiting: s.waiting,
        quarantined: s.quarantined,
        lost: lost.map(|(why, n)| (why.name().to_owned(), n)).collect(),
        bytes: s.bytes,
        max_bytes: s.max_bytes,
        holds: s.holds(),
        stale: None,
    }
}

fn camera_status(camera: &Camera) -> CameraStatus {
    let c = &camera.running.counters;
    let (state, why, format) = match c.state() {
        State::Opening => ("opening", None, None),
        State::Streaming(format) => ("streaming", None, Some(format)),
        State::Lost(why) => ("lost", Some(why), None),
        State::Ended => ("ended", None, None),
        State::Stopped => ("stopped", None, None),
    };
    CameraStatus {
        state: state.to_owned(),
        why,
        format,
        frames: c.frames.load(Relaxed),
        analysed: c.analysed.load(Relaxed),
        skipped: c.skipped.load(Relaxed),
        gaps: c.gaps.load(Relaxed),
        motion: c.motion.load(Relaxed),
        events: c.events.load(Relaxed),
        chosen: c.chosen.load(Relaxed),
        reopened: c.reopened.load(Relaxed),
    }
}
