//! The status, put together from everyone's counters.

use std::sync::atomic::Ordering::Relaxed;

use super::{Agent, Camera, Verdict};
use crate::account::Refusal;
use crate::capture::State;
use crate::spool::Loss;
use crate::status::{
    Alarm, CameraStatus, ClockStatus, LedgerStatus, RunStatus, Status, UploadStatus,
};
use crate::upload::Standing;

impl Agent {
    /// Everything worth knowing, at one moment.
    pub async fn status(&self) -> Status {
        let cameras: std::collections::BTreeMap<_, _> = self
            .cameras
            .iter()
            .map(|(name, camera)| (name.clone(), camera_status(camera)))
            .collect();
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
            cameras,
            run: self.run_status(),
            ledger: self.ledger_status().await,
            upload: self.upload_status(),
        };
        self.raise_alarms(&mut status);
        status.healthy = status.alarms.is_empty();
        status
    }

    fn raise_alarms(&self, status: &mut Status) {
        let mut raise = |name: &str, text: String| {
            status.alarms.push(Alarm { name: name.to_owned(), text });
        };
        for (name, camera) in &self.cameras {
            if let State::Lost(why) = camera.running.counters.state() {
                raise("camera", format!("{name} is lost: {why}"));
            }
        }
        for (name, by) in self.watchdog.hanging() {
            raise("camera", format!("{name} has not answered for {} s", by.as_secs()));
        }
        if let Verdict::Starve(why) = self.watchdog.verdict() {
            raise("thread", why);
        }
        if let Some(why) = self.upload_status().parked {
            raise("destination", why);
        }
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

    async fn ledger_status(&self) -> LedgerStatus {
        let Ok(s) = self.spool.snapshot().await else { return LedgerStatus::default() };
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
        }
    }

    fn upload_status(&self) -> UploadStatus {
        let Some(upload) = &self.upload else { return UploadStatus::default() };
        let state = upload.state.borrow();
        let now = self.deps.clock.boottime();
        UploadStatus {
            destination: self.config.upload.destination.to_string(),
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
