//! Cameras: from tables to sources, motion and profiles.

use std::sync::Arc;
use std::time::Duration;

use super::{Check, Shared};
use crate::camera::exec::{self, ExecSettings};
use crate::camera::v4l2::name::{Marks, Named};
use crate::camera::{FilesSettings, SceneSettings, Source, V4l2Settings, files};
use crate::capture;
use crate::config::place::Path;
use crate::config::{raw, units};
use crate::firstpass::similarity::Likeness;
use crate::firstpass::trigger::{BurstLimit, EventSettings, Keep, PreEvent};
use crate::firstpass::{Condition, MotionSettings, Polygon, Sensitivity, TamperSettings, Zone};
use crate::frame::{Geometry, PixelFormat};
use crate::still::Profile;
use crate::still::privacy::Mask;

/// What helps somebody who has not named a V4L2 camera.
const NAMES: &str = "add `device = \"/dev/v4l/by-id/…\"`, or one or more of `serial`, `usb`, `card` and \
                     `port`; `vedette devices` shows what to write";

impl Check<'_> {
    /// One camera; `None` when an error that was told leaves it without a source.
    pub(super) fn camera(
        &mut self,
        name: &str,
        camera: raw::Camera,
        shared: &Shared,
        path: &Path,
    ) -> Option<capture::Settings> {
        let tamper = tamper(&camera.tamper);
        let motion = self.motion(&camera.motion, tamper, shared.ring, &path.key("motion"));
        let clock = self.by_clock(&camera, &shared.place, path);
        let analyse_fps = self.analyse_fps(&camera, path);
        let look = self.picture(&camera.picture, &path.key("picture"));
        let source = self.source(&camera, path)?;
        let before = motion.as_ref().and_then(|(_, events)| events.pre_event);
        if let (Some(_), Some(raw)) = (before, raw_format(&source)) {
            self.no_raw_ring(name, raw, &path.key("motion").key("pre_event"));
        }
        Some(capture::Settings {
            source,
            frame_timeout: camera.frame_timeout.0,
            analyse_fps: Some(analyse_fps),
            motion,
            interval: camera.interval.map(|t| t.0),
            clock,
            drop_similar: match camera.drop_similar {
                raw::DropSimilar::Off => None,
                raw::DropSimilar::Same => Some(Likeness::Same),
                raw::DropSimilar::Alike => Some(Likeness::Alike),
            },
            profile: Arc::new(Profile {
                camera: name.into(),
                quality: camera.quality,
                masks: camera.mask.iter().map(mask).collect(),
                device: shared.device.clone(),
                key_template: shared.key_template.clone(),
                place: shared.place.clone(),
                meta: shared.meta.clone(),
                look,
            }),
        })
    }

    fn source(&mut self, camera: &raw::Camera, path: &Path) -> Option<Source> {
        if let Some(v4l2) = &camera.v4l2 {
            return self.v4l2(v4l2, &path.key("v4l2")).map(Source::V4l2);
        }
        if let Some(files) = &camera.files {
            return Some(Source::Files(self.files(files, &path.key("files"))));
        }
        if let Some(exec) = &camera.exec {
            return self.exec(exec, &path.key("exec")).map(Source::Exec);
        }
        let scene = camera.scene.as_ref()?;
        // Drawn as YUYV, whatever it is given out as.
        self.whole(Some(scene.size), PixelFormat::Yuyv, &path.key("scene").key("size"));
        Some(Source::Scene(SceneSettings {
            seed: scene.seed,
            size: (scene.size.0, scene.size.1),
            fps: scene.fps,
            format: scene.format.into(),
            pace: scene.pace.0,
            frames: scene.frames,
        }))
    }

    /// Beside another V4L2 camera, the first that is found may be that other one.
    pub(super) fn the_first_must_be_alone(&mut self, cameras: &[capture::Settings], table: &Path) {
        let v4l2 = |c: &capture::Settings| match &c.source {
            Source::V4l2(v4l2) => Some((c.profile.camera.clone(), v4l2.device == Named::First)),
            _ => None,
        };
        let all: Vec<_> = cameras.iter().filter_map(v4l2).collect();
        if all.len() < 2 {
            return;
        }
        for (camera, _) in all.iter().filter(|(_, is_first)| *is_first) {
            let what = "a V4L2 camera without a name beside another: the first that is found may be either";
            self.error(&table.key(camera).key("v4l2"), what, NAMES);
        }
    }

    fn v4l2(&mut self, v4l2: &raw::V4l2, path: &Path) -> Option<V4l2Settings> {
        let marks = Marks {
            serial: v4l2.serial.clone(),
            usb: v4l2.usb.map(|usb| (usb.0, usb.1)),
            card: v4l2.card.clone(),
            port: v4l2.port.clone(),
        };
        for (key, mark) in [("serial", &marks.serial), ("card", &marks.card), ("port", &marks.port)]
        {
            if mark.as_ref().is_some_and(|text| text.trim().is_empty()) {
                self.error(&path.key(key), format!("`{key}` is empty"), NAMES);
            }
        }
        let device = match (&v4l2.device, marks == Marks::default()) {
            (Some(device), true) => Named::Path(self.absolute(device, &path.key("device"))),
            (None, false) => Named::Marks(marks),
            (None, true) => Named::First,
            (Some(_), false) => {
                let what = "`device` and marks of the camera are both given";
                let help = "keep `device`, or the marks `serial`, `usb`, `card` and `port`";
                self.error(&path.key("device"), what, help);
                return None;
            }
        };
        Some(V4l2Settings {
            size: v4l2.size.map(|s| (s.0, s.1)),
            fps: v4l2.fps,
            format: v4l2.format.map(|format| format.0),
            controls: v4l2.controls.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect(),
            warm_up: v4l2.warm_up,
            ..V4l2Settings::named(device)
        })
    }

    fn files(&mut self, table: &raw::Files, path: &Path) -> FilesSettings {
        let raw_frames = files::raw_format(&table.path);
        match raw_frames {
            Some(format) if table.size.is_none() => {
                let name = format.name();
                let help =
                    format!("add `size = \"1280x720\"`: raw {name} frames do not tell their own");
                self.error(&path.key("size"), "the size of the frames is missing", help);
            }
            None if table.size.is_some() => {
                let help = "leave it out: these files tell their own size";
                let what = "`size` is only for files of raw frames, such as `.yuyv` or `.nv12`";
                self.error(&path.key("size"), what, help);
            }
            Some(format) => self.whole(table.size, format, &path.key("size")),
            None => {}
        }
        FilesSettings {
            path: self.absolute(&table.path, &path.key("path")),
            size: table.size.map(|s| (s.0, s.1)),
            pace: table.pace.0,
            repeat: table.repeat,
        }
    }

    fn exec(&mut self, exec: &raw::Exec, path: &Path) -> Option<ExecSettings> {
        let program = exec.command.first()?;
        let (command, size) = (path.key("command"), path.key("size"));
        if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
            let what = "the program is neither an absolute path nor a name";
            let help = "write `/usr/bin/ffmpeg`, or `ffmpeg` to look for it on PATH";
            self.error(&command.index(0), what, help);
        } else if program.contains(char::is_whitespace) {
            let help =
                "each word is a text of its own: `command = [\"ffmpeg\", \"-i\", \"rtsp://…\"]`";
            self.error(&command.index(0), "the program's name holds a space", help);
        }
        if exec.command.iter().any(|word| word.contains('\0')) {
            self.error(&command, "a word holds a zero byte", "leave it out");
        }
        let format = exec.format.map_or(PixelFormat::Mjpeg, Into::into);
        match exec.size {
            None if format.is_raw() => {
                let help = "add `size = \"1280x720\"`: raw frames do not tell their own";
                self.error(&size, "the size of the frames is missing", help);
            }
            Some(_) if !format.is_raw() => {
                let help = "leave it out: JPEG images tell their own size; the program sets it";
                self.error(&size, "`size` is for raw formats only", help);
            }
            Some(pixels) if frame_bytes(format, pixels) > exec::MAX_FRAME as u64 => {
                let what = format!("frames of `{pixels}` are larger than 32 MiB");
                self.error(&size, what, "let the program write smaller ones, or MJPEG");
                return None; // the byte budget would be too small for them as well
            }
            _ => self.whole(exec.size, format, &size),
        }
        Some(ExecSettings {
            command: exec.command.clone(),
            format,
            size: exec.size.map(|s| (s.0, s.1)),
            fps: exec.fps,
            start_timeout: exec.start_timeout.0,
        })
    }

    /// Pixels that share a colour sample, a mosaic's tile, or bytes come in whole groups.
    fn whole(&mut self, size: Option<units::Pixels>, format: PixelFormat, path: &Path) {
        let Some(size) = size.filter(|s| !format.fits(s.0, s.1)) else { return };
        let (across, down) = format.step();
        let near = units::Pixels(size.0.next_multiple_of(across), size.1.next_multiple_of(down));
        if (across, down) == (2, 1) {
            let what = format!("the width of `{size}` is odd");
            self.error(path, what, format!("give an even one: `{near}`"));
        } else {
            let what = format!("`{size}` is no size of {} frames", format.name());
            let help = format!(
                "give a width that {across} divides and a height that {down} divides: `{near}`"
            );
            self.error(path, what, help);
        }
    }

    /// Raw frames are a hundred times as large as JPEG: seconds of them fill the memory of a small device.
    fn no_raw_ring(&mut self, camera: &str, format: PixelFormat, place: &Path) {
        let what = format!(
            "pictures from before an event are kept of JPEG only, and camera `{camera}` gives raw {} frames",
            format.name()
        );
        let help = "let the camera give `mjpeg`, or leave `pre_event` out; `keep = \"all\"` or `every` \
                    begin with the event's first picture";
        self.error(place, what, help);
    }

    fn motion(
        &mut self,
        motion: &raw::Motion,
        tamper: Option<TamperSettings>,
        ring: u64,
        path: &Path,
    ) -> Option<(MotionSettings, EventSettings)> {
        if motion.min_duration >= motion.max_duration {
            let help = format!("give less than `max_duration`, which is {}", motion.max_duration);
            let what = format!("`{}` is not less than `max_duration`", motion.min_duration);
            self.error(&path.key("min_duration"), what, help);
        }
        let keep = match (motion.keep, motion.every) {
            (Some(_), Some(_)) => {
                self.error(
                    &path.key("every"),
                    "`keep` and `every` are both given",
                    "keep one of `keep` and `every`",
                );
                Keep::First
            }
            (_, Some(every)) => Keep::Every(every.0),
            (Some(raw::Keep::Best) | None, None) => Keep::Best(motion.best_within.0),
            (Some(raw::Keep::First), None) => Keep::First,
            (Some(raw::Keep::All), None) => Keep::All,
        };
        let zones = |kind| numbered(&motion.zone).filter(|z| z.0 == kind).map(|z| z.1).collect();
        let (threshold, min_area) = Sensitivity::from(motion.sensitivity).thresholds();
        #[allow(clippy::cast_possible_truncation, reason = "a share of 0 to 1")]
        let share = |of: f64| of as f32;
        let settings = MotionSettings {
            min_area: motion.min_area.map_or(min_area, share),
            min_width: share(motion.min_width),
            min_height: share(motion.min_height),
            threshold: motion.threshold.unwrap_or(threshold),
            tamper,
            include: zones(raw::ZoneKind::Include),
            exclude: zones(raw::ZoneKind::Exclude),
        };
        let events = EventSettings {
            min_duration: motion.min_duration.0,
            post_event: motion.post_event.0,
            max_duration: motion.max_duration.0,
            cool_down: motion.cool_down.0,
            keep,
            pre_event: (motion.pre_event.0 > Duration::ZERO).then_some(PreEvent {
                within: motion.pre_event.0,
                fps: motion.pre_event_fps,
                bytes: ring,
            }),
            burst: motion.burst.map(|b| BurstLimit { pictures: b.pictures as usize, per: b.per.0 }),
        };
        motion.enabled.then_some((settings, events))
    }
}

fn tamper(tamper: &raw::Tamper) -> Option<TamperSettings> {
    let skip = tamper.skip.iter().copied().map(Condition::from).collect();
    tamper.enabled.then_some(TamperSettings { after: tamper.after.0, skip })
}

/// Zones with their kinds; those that have hours with their numbers, in the order of `ClockSettings::zones`.
fn numbered(zones: &[raw::Zone]) -> impl Iterator<Item = (raw::ZoneKind, Zone)> {
    let mut numbers = 0..;
    zones.iter().map(move |zone| {
        let active = if zone.hours.is_empty() { None } else { numbers.next() };
        (zone.kind, Zone { polygon: polygon(&zone.points), active })
    })
}

/// The format of a source that is known to give raw frames.
fn raw_format(source: &Source) -> Option<PixelFormat> {
    let format = match source {
        Source::V4l2(v4l2) => v4l2.format,
        Source::Files(clip) => files::raw_format(&clip.path),
        Source::Scene(scene) => Some(scene.format),
        Source::Exec(exec) => Some(exec.format),
    };
    format.filter(|format| format.is_raw())
}

fn frame_bytes(format: PixelFormat, size: units::Pixels) -> u64 {
    Geometry { format, width: size.0, height: size.1, stride: 0 }.frame_bytes()
}

fn mask(mask: &raw::Mask) -> Mask {
    Mask { area: polygon(&mask.points), style: mask.style.into() }
}

fn polygon(points: &[raw::Point]) -> Polygon {
    Polygon(points.iter().map(|p| (p.0, p.1)).collect())
}
