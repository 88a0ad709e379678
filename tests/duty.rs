//! The agent by the clock: a picture at its moment, events in their hours only, and what status says of both.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use vedette::agent::{Agent, Deps};
use vedette::camera;
use vedette::clock::{BootId, BootTime, Clock, SystemClock, WallTime};
use vedette::config;
use vedette::control::command::RateLimit;
use vedette::mqtt::Tuning;
use vedette::status::{CameraStatus, ConfigStatus, ScheduleStatus, Status};

/// Longer than anything here takes; only a failing test waits for it.
const PLENTY: Duration = Duration::from_secs(60);

/// Monday, 2026-11-23, 08:00 in Berlin, in milliseconds since 1970.
const EIGHT: i64 = 1_795_417_200_000;
const MINUTE: i64 = 60_000;

/// The machine's clock, with a wall clock that is set by hand and then goes on.
struct Set {
    machine: SystemClock,
    /// Wall time at boot, in milliseconds since 1970.
    boot: AtomicI64,
}

impl Set {
    fn to(&self, wall: i64) {
        let now = i64::try_from(self.boottime().millis()).unwrap();
        self.boot.store(wall - now, Ordering::SeqCst);
    }
}

impl Clock for Set {
    fn boottime(&self) -> BootTime {
        self.machine.boottime()
    }

    fn wall(&self) -> WallTime {
        let now = i64::try_from(self.boottime().millis()).unwrap();
        WallTime(self.boot.load(Ordering::SeqCst) + now)
    }

    fn kernel_synchronised(&self) -> bool {
        false
    }

    fn set_by_rtc(&self) -> bool {
        false
    }

    fn boot_id(&self) -> BootId {
        self.machine.boot_id()
    }
}

async fn started(dir: &Path, clock: &Arc<Set>) -> Agent {
    let base = dir.display();
    fs::create_dir(dir.join("store")).unwrap();
    let text = format!(
        "[device]\nid = \"cam1\"\ntime_zone = \"CET-1\"\n[camera.yard]\nat = [\"mon 08:00\"]\n\
         scene = {{ size = \"160x120\", pace = \"fast\" }}\n[camera.yard.motion]\n\
         hours = [\"mon 09:00 to 10:00\"]\n[[camera.yard.motion.zone]]\nkind = \"include\"\n\
         points = [[0, 0], [1, 0], [1, 1], [0, 1]]\n[[camera.yard.motion.zone]]\nkind = \"exclude\"\n\
         points = [[0, 0], [1, 0], [1, 1], [0, 1]]\nhours = [\"sat,sun\"]\n[destination.dir]\n\
         path = \"{base}/store\"\n[spool]\npath = \"{base}/spool\"\n[control]\n\
         socket = \"{base}/control.sock\"\n[clock]\ntrust = \"always\"\n"
    );
    let file = dir.join("vedette.toml");
    fs::write(&file, text).unwrap();
    let context = config::Context::from_env(Some(dir.join("state")));
    let config = config::check(&file, &context).unwrap_or_else(|e| panic!("{}", e.render(false)));
    let deps = Deps {
        clock: clock.clone(),
        config: ConfigStatus::default(),
        alarms: Vec::new(),
        open_camera: Arc::new(camera::open),
        mqtt: Tuning::default(),
        rate: RateLimit::default(),
    };
    Agent::start(config, deps).await.unwrap()
}

/// Turns the agent until `is` holds of its camera.
async fn turn_until(agent: &mut Agent, is: impl Fn(&Status, &CameraStatus) -> bool) -> Status {
    let turning = async {
        loop {
            let status = agent.status().await;
            if is(&status, &status.cameras["yard"]) {
                return status;
            }
            let turn = agent.turn().await;
            agent.handle(turn).await.unwrap();
        }
    };
    tokio::time::timeout(PLENTY, turning).await.unwrap()
}

fn schedule(status: &Status) -> ScheduleStatus {
    status.cameras["yard"].schedule.clone().unwrap()
}

#[tokio::test]
async fn a_picture_comes_at_its_moment_and_events_in_their_hours_only() {
    let dir = TempDir::new().unwrap();
    let clock = Arc::new(Set { machine: SystemClock::new(), boot: AtomicI64::new(0) });
    clock.to(EIGHT - 10 * MINUTE);
    let mut agent = started(dir.path(), &clock).await;
    let next = Some("2026-11-23T08:00:00+01:00".to_owned());
    let expected = ScheduleStatus { motion: false, zones_on: 0, zones: 1, next };
    let status = turn_until(&mut agent, |_, yard| yard.frames > 0).await;
    assert_eq!(schedule(&status), expected);
    clock.to(EIGHT - 500);

    // The street is full of things that move, and it is not their hour.
    let status = turn_until(&mut agent, |s, yard| s.upload.stored == 1 && yard.motion > 100).await;
    assert_eq!((status.cameras["yard"].events, status.run.chosen), (0, 1));
    let next = Some("2026-11-30T08:00:00+01:00".to_owned());
    assert_eq!(schedule(&status), ScheduleStatus { next, ..expected });

    clock.to(EIGHT + 61 * MINUTE);
    let status = turn_until(&mut agent, |_, yard| yard.events > 0).await;
    assert!(schedule(&status).motion);
    agent.stop().await;
    let day = dir.path().join("store/v1/cam1/yard/2026/11/23");
    let names = fs::read_dir(day).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let of_a_moment = |name: &String| name.contains("-schedule-") && name.ends_with(".jpg");
    let at_a_moment: Vec<_> = names.filter(of_a_moment).collect();
    // Frames of a scene that goes as fast as it can are some minutes ahead of the clock.
    assert!(at_a_moment.len() == 1 && at_a_moment[0].starts_with("07"), "{at_a_moment:?}");
}
