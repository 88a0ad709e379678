//! Reload: what changed is rebuilt, the rest runs on undisturbed.
//!
//! [`changes`] decides, purely. Cameras are rebuilt one by one; a changed destination restarts the
//! uploader and nothing else. What is fixed for a process (device id, spool, byte budget, clock policy,
//! socket) is told as restart-needed and keeps running as it was.

use std::time::Duration;

use tracing::{info, warn};

use super::{Agent, Alarm};
use crate::capture::Settings;
use crate::config::Config;

/// Longest time for a changed camera's old thread to end.
const CAMERA_END: Duration = Duration::from_secs(5);

/// What a new configuration asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Cameras to stop: gone or changed.
    pub(super) stop: Vec<String>,
    /// Cameras to start: new or changed.
    pub(super) start: Vec<Settings>,
    /// Restart the uploader.
    pub(super) upload: bool,
    /// What only a restart can change, by the name of its section.
    pub(super) restart_needed: Vec<String>,
}

/// Compares two configurations.
#[must_use]
pub(super) fn changes(old: &Config, new: &Config) -> Changes {
    let name = |s: &Settings| s.profile.camera.clone();
    Changes {
        stop: old.cameras.iter().filter(|c| !new.cameras.contains(c)).map(name).collect(),
        start: new.cameras.iter().filter(|c| !old.cameras.contains(c)).cloned().collect(),
        upload: old.upload != new.upload,
        restart_needed: old.restart_needed(new).into_iter().map(str::to_owned).collect(),
    }
}

impl Agent {
    /// Applies a new configuration as far as a running agent can.
    pub async fn reload(&mut self, new: Config) {
        self.beat.busy();
        self.apply(new).await;
        self.beat.idle();
    }

    async fn apply(&mut self, new: Config) {
        let changes = changes(&self.config, &new);
        info!(
            stopped = ?changes.stop,
            started = ?changes.start.iter().map(|s| &s.profile.camera).collect::<Vec<_>>(),
            upload = changes.upload,
            restart_needed = ?changes.restart_needed,
            "Configuration is applied."
        );
        self.deps.alarms.retain(|a| a.name != "config");
        self.deps.config.last_good = false;
        self.deps.config.restart_needed = changes.restart_needed;
        self.config.cameras = new.cameras;
        self.config.site = new.site;
        self.config.upload = new.upload;
        for name in changes.stop {
            self.stop_camera(&name).await;
        }
        for settings in changes.start {
            let name = settings.profile.camera.clone();
            if let Err(error) = self.start_camera(settings) {
                warn!(camera = name, "{error:#}");
            }
        }
        if changes.upload {
            self.stop_upload().await;
            self.start_upload();
        }
    }

    /// Notes that the file on disk is wrong while an earlier configuration runs.
    pub fn reload_failed(&mut self, errors: &str) {
        self.deps.alarms.retain(|a| a.name != "config");
        let text = format!("the configuration is wrong, the one before it runs: {errors}");
        self.deps.alarms.push(Alarm { name: "config".to_owned(), text });
    }

    async fn stop_camera(&mut self, name: &str) {
        let Some(camera) = self.cameras.remove(name) else { return };
        camera.running.stop();
        self.watchdog.forget(name);
        let ended = async {
            while !camera.running.is_finished() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(CAMERA_END, ended).await.is_err() {
            warn!(camera = name, "The camera's driver hangs; its old thread is left behind.");
        }
    }
}
