//! The status, put together from everyone's counters.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::doors::Door;
use super::{Agent, Camera, Verdict};
use crate::account::Refusal;
use crate::capture::{ClockSettings, State};
use crate::clock::WallTime;
use crate::control::command::Code;
use crate::firstpass::Condition;
use crate::spool::{Kind, Loss, LostOf, OutboxSum, OutboxSums, Snapshot, Spool};
use crate::status::{
    Alarm, CameraStatus, ClockStatus, CommandsStatus, LedgerStatus, LossStatus, MqttStatus,
    OutboxStatus, RebuildStatus, RiskStatus, RunStatus, ScheduleStatus, Status, UploadStatus,
};
use crate::upload::{DestinationSettings, Standing};

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
            let snapshot = ledger(&spool, &last).await;
            fill_in(&mut status, snapshot);
            let mut raise = |name: &str, text: String| status.alarms.push(Alarm::new(name, text));
            if let Some(why) = &status.ledger.stale {
                raise("spool", format!("its account is not known now: {why}"));
            }
            if !status.run.holds || !status.ledger.holds {
                raise("account", "a sum does not add up: please report this".to_owned());
            }
            if let Some(why) = no_room(&status.ledger) {
                raise("full", why);
            }
            status.healthy = status.alarms.is_empty();
            status
        }
    }

    fn all_but_ledger(&self) -> Status {
        let open = self.cameras.iter().map(|(name, c)| (name.clone(), camera_status(c)));
        let closed = self.config.cameras.iter().filter(|_| self.privacy.is_on()).map(|c| {
            let private = CameraStatus { state: "private".to_owned(), ..CameraStatus::default() };
            (c.profile.camera.clone(), private)
        });
        let mut cameras: BTreeMap<_, _> = closed.chain(open).collect();
        let wall = self.timekeeper.wall_at(self.deps.clock.boottime());
        // Looked at once: a driver may let go at any time, and the alarm tells what the field tells.
        let still_open = self.still_open();
        for settings in &self.config.cameras {
            if let Some(camera) = cameras.get_mut(&settings.profile.camera) {
                camera.schedule = schedule(&settings.clock, wall);
            }
        }
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            device: self.config.identity.device.clone(),
            site: self.config.site.clone(),
            boot: self.boot.0.clone(),
            uptime_s: self.began.elapsed().as_secs(),
            healthy: false,
            alarms: self.alarms(&still_open),
            config: self.deps.config.clone(),
            privacy: self.privacy.status(still_open),
            clock: self.clock_status(),
            cameras,
            run: self.run_status(),
            ledger: LedgerStatus::default(),
            upload: self.upload_status(),
            commands: self.commands_status(),
            mqtt: self.mqtt_status(),
        }
    }

    /// What is wrong now, but for the spool's account. `still_open` names cameras whose drivers hang.
    pub(super) fn alarms(&self, still_open: &[String]) -> Vec<Alarm> {
        let mut alarms = self.deps.alarms.clone();
        let mut raise = |alarm: Alarm| alarms.push(alarm);
        self.privacy.alarm(still_open).into_iter().for_each(&mut raise);
        for (name, camera) in &self.cameras {
            if let State::Lost(why) = camera.running.counters.state() {
                raise(Alarm::about("camera", name, format!("{name} is lost: {why}")));
            }
            for condition in camera.running.counters.conditions().iter() {
                raise(Alarm::about(
                    condition.alarm(),
                    name,
                    format!("{name} {}", wrong(condition)),
                ));
            }
            let remarks = camera.running.counters.remarks();
            if !remarks.is_empty() {
                raise(Alarm::about("settings", name, format!("{name}: {}", remarks.join("; "))));
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
        if self.config.upload.destination == DestinationSettings::Nowhere {
            let text = "no destination is configured: pictures wait on this device, and when the spool is \
                        full the least valuable go; add `[destination.s3]`, then reload";
            raise(Alarm::new("destination", text));
        }
        if let Some(why) = self.link.as_ref().and_then(|link| link.state.borrow().fault.clone()) {
            raise(Alarm::new("mqtt", why));
        }
        self.doors.iter().filter_map(Door::alarm).for_each(raise);
        alarms
    }

    fn commands_status(&self) -> CommandsStatus {
        let sums = self.commands.sums();
        let rejected = Code::ALL.iter().zip(sums.rejected).filter(|(_, n)| *n > 0);
        CommandsStatus {
            received: sums.received,
            accepted: sums.accepted,
            known: sums.known,
            rejected: rejected.map(|(code, n)| (code.name().to_owned(), n)).collect(),
            ignored: sums.ignored,
            dropped: sums.dropped,
            in_hand: sums.in_hand,
            holds: sums.holds(),
            open: 0,
        }
    }

    fn mqtt_status(&self) -> Option<MqttStatus> {
        let (link, settings) = (self.link.as_ref()?, self.config.mqtt.as_ref()?);
        let state = link.state.borrow();
        let (host, port) = settings.address();
        Some(MqttStatus {
            broker: format!("{host}:{port}"),
            connected: state.connected,
            connections: state.connections,
            failures: state.failures,
            last_error: state.last_error.clone(),
            outbox: BTreeMap::new(),
            refused: state.refused,
            stored_told: state.stored_told,
            stored_lost: state.stored_lost,
            dropped: link.publisher.dropped(),
        })
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

/// What the spool knows.
fn fill_in(status: &mut Status, known: Known) {
    let Known { ledger, paused, open_commands, outbox } = known;
    status.ledger = ledger;
    status.upload.paused = paused;
    status.commands.open = open_commands;
    if let Some(mqtt) = &mut status.mqtt {
        let kinds = Kind::ALL.into_iter().zip(outbox.kinds);
        mqtt.outbox = kinds
            .map(|(kind, sum)| {
                let OutboxSum { put, arrived, queued, dropped } = sum;
                let holds = put == arrived + queued + dropped;
                (kind.name().to_owned(), OutboxStatus { put, arrived, queued, dropped, holds })
            })
            .collect();
    }
}

/// The spool's part of the status, as last read.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    ledger: LedgerStatus,
    paused: bool,
    open_commands: u64,
    outbox: OutboxSums,
}

/// The spool's account, or the last one that was read and why it is not of now.
async fn ledger(spool: &Spool, last: &Mutex<Known>) -> Known {
    let why = match tokio::time::timeout(LEDGER, spool.snapshot()).await {
        Ok(Ok(snapshot)) => {
            let now = Known {
                ledger: ledger_status(&snapshot),
                paused: snapshot.paused,
                open_commands: snapshot.open_commands,
                outbox: snapshot.outbox,
            };
            last.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&now);
            return now;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("the spool has not answered for {LEDGER:?}; its disk is slow or hangs"),
    };
    let last = last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Known { ledger: LedgerStatus { stale: Some(why), ..last.ledger }, ..last }
}

fn ledger_status(s: &Snapshot) -> LedgerStatus {
    let lost = Loss::ALL.into_iter().zip(s.lost).filter(|(_, n)| *n > 0);
    LedgerStatus {
        generation: s.generation,
        rebuilding: s.rebuilding.map(|r| RebuildStatus {
            files: r.files,
            percent: 100 * r.dirs.saturating_sub(r.dirs_left) / r.dirs.max(1),
        }),
        kept: s.kept,
        stored: s.stored,
        queued: s.queued,
        waiting: s.waiting,
        quarantined: s.quarantined,
        lost: lost.map(|(why, n)| (why.name().to_owned(), n)).collect(),
        bytes: s.bytes,
        losses: s.lost_of.iter().map(loss_status).collect(),
        max_bytes: s.max_bytes,
        room: s.room,
        at_risk: RiskStatus {
            durability: s.at_risk.durability.name().to_owned(),
            pictures: s.at_risk.pictures,
            bytes: s.at_risk.bytes,
            max_bytes: s.at_risk.max_bytes(),
        },
        holds: s.holds(),
        stale: None,
    }
}

fn loss_status(l: &LostOf) -> LossStatus {
    LossStatus {
        camera: l.camera.clone(),
        class: l.class,
        reason: l.reason.clone(),
        pictures: l.items,
    }
}

/// What is wrong where no further picture fits, before a picture has to go for the next one.
fn no_room(l: &LedgerStatus) -> Option<String> {
    let left = l.room.saturating_sub(l.bytes);
    if l.max_bytes == 0 || left >= (l.max_bytes / 50).min(1 << 20) {
        return None;
    }
    Some(if l.room < l.max_bytes {
        "the disk is full with other files: the least valuable pictures give way to new ones; make room on the disk"
            .to_owned()
    } else {
        "the spool is full: the least valuable pictures give way to new ones until the store takes them again"
            .to_owned()
    })
}

/// What a condition looks like, and what helps.
fn wrong(condition: Condition) -> &'static str {
    match condition {
        Condition::Dark => "is too dark to see anything: is there light, and is the lens free?",
        Condition::Bright => "is too bright to see anything: does the sun or a lamp shine into it?",
        Condition::Blurred => {
            "shows much less detail than it did in such light: clean the lens, check the focus"
        }
        Condition::Frozen => "gives the same picture again and again: restart the camera",
        Condition::Covered => "is covered: something is before the lens",
        Condition::Moved => {
            "looks elsewhere: it was turned or moved; after an hour this counts as its view"
        }
    }
}

/// What goes by the clock, where anything does.
fn schedule(clock: &ClockSettings, wall: Option<WallTime>) -> Option<ScheduleStatus> {
    let zones = clock.zones_on(wall);
    clock.is_any().then(|| ScheduleStatus {
        motion: clock.motion_holds(wall),
        zones_on: zones.iter().filter(|on| **on).count() as u64,
        zones: zones.len() as u64,
        next: wall.and_then(|wall| clock.next_text(wall)),
    })
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
        conditions: c.conditions().iter().map(|c| c.name().to_owned()).collect(),
        schedule: None, // the configuration knows it
        frames: c.frames.load(Relaxed),
        analysed: c.analysed.load(Relaxed),
        skipped: c.skipped.load(Relaxed),
        gaps: c.gaps.load(Relaxed),
        passed_over: c.passed_over.load(Relaxed),
        motion: c.motion.load(Relaxed),
        events: c.events.load(Relaxed),
        chosen: c.chosen.load(Relaxed),
        pre_event: c.pre_event.load(Relaxed),
        ring_bytes: c.ring_bytes.load(Relaxed),
        similar: c.similar.load(Relaxed),
        burst: c.burst.load(Relaxed),
        cool_down: c.cool_down.load(Relaxed),
        reopened: c.reopened.load(Relaxed),
    }
}
