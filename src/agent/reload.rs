//! Reload: what changed is rebuilt, the rest runs on undisturbed.
//!
//! [`changes`] decides, purely. Cameras are rebuilt one by one; a changed destination restarts the
//! uploader and nothing else, a changed broker the link to it. What is fixed for a process (device id, spool, byte budget, clock policy,
//! socket) is told as restart-needed and keeps running as it was; with another device id the cameras
//! do too, because every picture they take carries it.

use tracing::{info, warn};

use super::stop::{CAMERAS_END, within};
use super::{Agent, Alarm};
use crate::camera::Source;
use crate::capture::Settings;
use crate::config::Config;
use crate::upload::DestinationSettings;

/// What a new configuration asks for.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Cameras to stop: gone or changed.
    pub(super) stop: Vec<String>,
    /// Cameras to start: new or changed.
    pub(super) start: Vec<Settings>,
    /// Restart the uploader.
    pub(super) upload: bool,
    /// Restart the link to the broker.
    pub(super) link: bool,
    /// What only a restart can change, by the name of its section.
    pub(super) restart_needed: Vec<String>,
}

/// Compares two configurations.
#[must_use]
pub(super) fn changes(old: &Config, new: &Config) -> Changes {
    let same_device = old.identity.device == new.identity.device;
    let not_in = |all: &[Settings], c: &Settings| same_device && !all.contains(c);
    let name = |s: &Settings| s.profile.camera.clone();
    Changes {
        stop: old.cameras.iter().filter(|c| not_in(&new.cameras, c)).map(name).collect(),
        start: new.cameras.iter().filter(|c| not_in(&old.cameras, c)).cloned().collect(),
        upload: old.upload != new.upload,
        link: same_device && old.mqtt != new.mqtt,
        restart_needed: old.restart_needed(new).into_iter().map(str::to_owned).collect(),
    }
}

/// Keys that cannot be read just now (a file that is being renewed) do not take away those in use for the
/// same bucket.
fn keep_keys(old: &DestinationSettings, new: &mut DestinationSettings) {
    if let (DestinationSettings::S3(old), DestinationSettings::S3(new)) = (old, new)
        && !new.has_keys()
        && (&old.endpoint, &old.bucket) == (&new.endpoint, &new.bucket)
    {
        new.access_key.clone_from(&old.access_key);
        new.secret_key = old.secret_key.clone();
        new.session_token.clone_from(&old.session_token);
    }
}

/// What a camera that is named by its number, or not at all, was found to be holds over a reload: otherwise any
/// other setting of it that changes would let another camera take its place.
fn hand_over_memory(old: &[Settings], new: &mut [Settings]) {
    for camera in new {
        let Source::V4l2(now) = &mut camera.source else { continue };
        let before = old.iter().find(|c| c.profile.camera == camera.profile.camera);
        if let Some(Source::V4l2(before)) = before.map(|c| &c.source)
            && before.device == now.device
        {
            now.memory = before.memory.clone();
        }
    }
}

impl Agent {
    /// Applies a new configuration as far as a running agent can.
    pub async fn reload(&mut self, new: Config) {
        self.beat.busy();
        self.apply(new).await;
        self.beat.idle();
    }

    async fn apply(&mut self, mut new: Config) {
        keep_keys(&self.config.upload.destination, &mut new.upload.destination);
        hand_over_memory(&self.config.cameras, &mut new.cameras);
        let changes = changes(&self.config, &new);
        info!(
            stopped = ?changes.stop,
            started = ?changes.start.iter().map(|s| &s.profile.camera).collect::<Vec<_>>(),
            upload = changes.upload,
            broker = changes.link,
            restart_needed = ?changes.restart_needed,
            "Configuration is applied."
        );
        self.deps.alarms.retain(|a| a.name != "config");
        self.deps.config.last_good = false;
        self.deps.config.restart_needed = changes.restart_needed;
        if self.config.identity.device == new.identity.device {
            self.config.cameras = new.cameras;
            self.config.site = new.site;
            self.config.privacy = new.privacy;
            self.config.place = new.place;
        }
        self.config.upload = new.upload;
        self.stop_cameras(&changes.stop).await;
        self.mind_privacy().await;
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
        if changes.link {
            self.stop_link().await;
            self.end_open_commands().await;
            self.config.mqtt = new.mqtt;
            self.start_link();
        }
    }

    /// Notes what the configuration that was applied lacks.
    pub fn reloaded_without(&mut self, text: &str) {
        self.deps.alarms.push(Alarm::new("config", text));
    }

    /// Notes that the file on disk is wrong while an earlier configuration runs.
    pub fn reload_failed(&mut self, errors: &str) {
        self.deps.alarms.retain(|a| a.name != "config");
        let text = format!("the configuration is wrong, the one before it runs: {errors}");
        self.deps.alarms.push(Alarm::new("config", text));
    }

    /// Stops them together, so that several that hang take no longer than one; those are left behind.
    pub(super) async fn stop_cameras(&mut self, names: &[String]) {
        let mut ending: Vec<_> =
            names.iter().filter_map(|n| self.cameras.remove_entry(n)).collect();
        for (name, camera) in &ending {
            camera.running.stop();
            self.watchdog.forget(name);
        }
        let ended = within(CAMERAS_END, || {
            ending.retain(|(_, camera)| !camera.running.is_finished());
            ending.is_empty()
        });
        if !ended.await {
            let hung: Vec<_> = ending.iter().map(|(name, _)| name).collect();
            warn!(?hung, "Drivers of cameras hang; their old threads are left behind.");
        }
        self.left_behind.retain(|(_, running)| !running.is_finished());
        self.left_behind.extend(ending.into_iter().map(|(name, camera)| (name, camera.running)));
    }

    /// Cameras that were closed, but that a hanging driver may still hold open.
    pub(super) fn still_open(&self) -> Vec<String> {
        let hung = self.left_behind.iter().filter(|(_, running)| !running.is_finished());
        hung.map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::camera::V4l2Settings;
    use crate::capture::ClockSettings;
    use crate::still::Profile;

    fn camera(name: &str, node: &str) -> Settings {
        Settings {
            source: Source::V4l2(V4l2Settings::node(node)),
            frame_timeout: std::time::Duration::from_secs(10),
            analyse_fps: None,
            motion: None,
            interval: None,
            clock: ClockSettings::default(),
            drop_similar: None,
            profile: Arc::new(Profile {
                camera: name.into(),
                quality: 85,
                masks: Vec::new(),
                device: "gate-1".into(),
                key_template: "k".into(),
                place: Arc::default(),
                meta: [].into(),
                look: crate::still::Look::default(),
            }),
        }
    }

    #[test]
    fn what_a_number_stood_for_is_remembered_over_a_reload_that_leaves_the_name_alone() {
        let old = [camera("front", "/dev/video0"), camera("back", "/dev/video1")];
        let mut new = [camera("front", "/dev/video0"), camera("back", "/dev/video2")];
        new[0].interval = Some(std::time::Duration::from_secs(60));
        hand_over_memory(&old, &mut new);
        let memory = |settings: &Settings| match &settings.source {
            Source::V4l2(v4l2) => v4l2.memory.clone(),
            _ => panic!("no V4L2 camera"),
        };
        assert!(memory(&new[0]).is_shared_with(&memory(&old[0])), "its other settings changed");
        assert!(!memory(&new[1]).is_shared_with(&memory(&old[1])), "it is meant to be another");
    }
}
