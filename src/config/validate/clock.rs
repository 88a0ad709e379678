//! What of a camera goes by the clock, and how often it is looked at.

use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Check;
use crate::capture::{AnalyseFps, ClockSettings};
use crate::config::place::Path;
use crate::config::raw;
use crate::duty::Moments;
use crate::place::Place;

/// Frames a second that are looked at while something happens, where nothing else is said.
const ACTIVE_FPS: f64 = 10.0;

impl Check<'_> {
    /// Hours of motion and of zones, moments of pictures.
    pub(super) fn by_clock(
        &mut self,
        camera: &raw::Camera,
        place: &Arc<Place>,
        path: &Path,
    ) -> ClockSettings {
        let motion = path.key("motion");
        let zones = camera.motion.zone.iter().enumerate();
        let zones = zones.filter_map(|(n, zone)| {
            self.hours(&zone.hours, place, &motion.key("zone").index(n).key("hours"))
        });
        ClockSettings {
            zones: zones.collect(),
            motion: self.hours(&camera.motion.hours, place, &motion.key("hours")),
            moments: self.moments(&camera.at, place, &path.key("at")),
            place: Arc::clone(place),
        }
    }

    /// Moments, as people write them; `None` where none are given.
    fn moments(&mut self, texts: &[String], place: &Place, key: &Path) -> Option<Moments> {
        if texts.is_empty() {
            return None;
        }
        let read = Moments::read(texts.iter().map(String::as_str));
        self.by_the_clock(read, texts, Moments::needs_sun, place, key)
    }

    /// Notes it where hours go by UTC and nobody said so: most likely the system's zone was never set.
    pub(super) fn time_zone_is_known(&mut self, place: &Place) {
        let note = "hours and moments go by UTC, for neither `device.time_zone` nor this system names a time zone: \
                    add `time_zone = \"Europe/Berlin\"` to `[device]`, or `\"UTC\"` where that is meant";
        let said = self.device_word("time_zone").is_some();
        if !said && is_utc(&place.zone) && !self.notes.iter().any(|n| n == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// How often frames are looked at.
    pub(super) fn analyse_fps(&mut self, camera: &raw::Camera, path: &Path) -> AnalyseFps {
        let quiet = camera.analyse_fps;
        if let Some(active) = camera.active_fps.filter(|active| *active < quiet) {
            let what = format!("`{active}` is less than `analyse_fps`, which is {quiet}");
            let help = "give at least as many, or leave it out";
            self.error(&path.key("active_fps"), what, help);
        }
        AnalyseFps { quiet, active: camera.active_fps.unwrap_or(ACTIVE_FPS).max(quiet) }
    }
}

/// Systems without a time zone of their own say UTC, by one of its names.
fn is_utc(zone: &TimeZone) -> bool {
    *zone == TimeZone::UTC
        || zone.iana_name().is_some_and(|name| ["UTC", "Etc/UTC", "Etc/Unknown"].contains(&name))
}
