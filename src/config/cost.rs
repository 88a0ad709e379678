//! What a configuration will cost: PUTs, bytes, flash, memory. Pure.
//!
//! `vedette check` prints it, because nobody sees from `interval = "1s"` that it is 2.6 million PUTs
//! a month. Intervals are exact; how much moves in front of a camera is not known, so the number of
//! events is an assumption, and it is printed with the result.

use std::fmt;

use serde::Serialize;

use super::Config;
use crate::camera::{Pace, Source, files};
use crate::capture;
use crate::clock::build_time;
use crate::duty::Moments;
use crate::firstpass::trigger::{EventSettings, Keep, PreEvent};
use crate::frame::{Geometry, PixelFormat};
use crate::spool::Durability;
use crate::still::Profile;
use crate::still::privacy::Style;
use crate::upload::DestinationSettings;

/// What cannot be known from the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Assumptions {
    /// Events a day and camera.
    pub events_per_day: f64,
    /// Length of an event in seconds, post-event time included.
    pub event_seconds: f64,
    /// Size of frames whose size the file does not tell.
    pub frame_size: (u32, u32),
    /// Frames a second of cameras that the file does not set.
    pub fps: f64,
}

impl Default for Assumptions {
    fn default() -> Self {
        Self { events_per_day: 200.0, event_seconds: 20.0, frame_size: (1920, 1080), fps: 15.0 }
    }
}

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// Device bytes for each byte of a picture that is spooled, uploaded and removed: 1.5 for single
/// pictures of 100 KB on ext4, 1.25 in bursts (the design's limits, measured below them).
const FLASH_FACTOR: f64 = 1.5;

/// Memory of the process itself with one camera, by the design's limit.
const BASE: u64 = 12_000_000;

/// The newest pictures' bytes, kept so that a fresh upload reads no file.
const WARM: u64 = 4 << 20;

/// Frames that a driver keeps for us; mapped, so not our own memory, but taken from the same machine.
const DRIVER_BUFFERS: u64 = 4;

/// What an exec camera reads in one go at most, beside the frame that is lent out of the same buffer.
const EXEC_READ: u64 = 2 << 20;

/// What it costs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Uploads a day.
    pub puts_per_day: f64,
    /// Bytes uploaded a day.
    pub bytes_per_day: f64,
    /// Bytes written to the flash a day.
    pub flash_bytes_per_day: f64,
    /// Most memory, in bytes.
    pub memory_bytes: u64,
    /// Most bytes of pictures that a power cut takes.
    pub at_risk_bytes: u64,
    /// One line for each camera and each sum, for people.
    #[serde(skip)]
    pub lines: Vec<String>,
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
    }
}

/// Reckons what `config` will cost.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "estimates, printed with two digits")]
pub fn cost(config: &Config, assume: Assumptions) -> Cost {
    let (mut puts, mut bytes, mut buffers, mut lines) = (0.0, 0.0, 0, Vec::new());
    for camera in &config.cameras {
        let size = picture_bytes(camera, assume);
        let wanted = [interval_puts(camera), moment_puts(camera), event_puts(camera, assume)];
        let sum = wanted.iter().sum::<f64>();
        puts += sum;
        bytes += sum * size;
        buffers += buffer_bytes(&camera.source);
        lines.push(format!(
            "camera {}: {} a day, about {} each",
            camera.profile.camera,
            pictures(wanted),
            si(size)
        ));
    }
    let flash = bytes * FLASH_FACTOR;
    let rings = config.cameras.iter().map(|camera| ring_bytes(camera, assume)).sum::<u64>();
    let spill = spill_bytes(config);
    let memory = BASE + config.in_hand + rings + spill + WARM + buffers;
    lines.push(format!("{} PUTs a day ({} a month)", count(puts), count(puts * 30.0)));
    lines.push(format!("{} uploaded a day ({} a month)", si(bytes), si(bytes * 30.0)));
    lines.push(format!(
        "{} written to flash a day, at most ({FLASH_FACTOR} bytes for each){}",
        si(flash),
        if spill > 0 { ", mostly none while uploads succeed" } else { "" }
    ));
    if spill > 0 {
        lines.push(format!(
            "a power cut takes up to {} of pictures that are not stored yet, and no count of them stays \
             (`spool.durability = \"spill\"`)",
            si(spill as f64)
        ));
    }
    lines.push(format!(
        "{} memory, at most: {} in hand, {}{}{} kept warm, {} camera buffers, {} for the rest",
        si(memory as f64),
        si(config.in_hand as f64),
        if rings > 0 {
            format!("{} from before events, ", si(rings as f64))
        } else {
            String::new()
        },
        if spill > 0 {
            format!("{} before it is written, ", si(spill as f64))
        } else {
            String::new()
        },
        si(WARM as f64),
        si(buffers as f64),
        si(BASE as f64)
    ));
    lines.push(full_spool(config, bytes));
    lines.push(format!(
        "assumed: {} events a day and camera, {} s each; picture sizes by resolution and quality",
        count(assume.events_per_day),
        assume.event_seconds
    ));
    Cost {
        puts_per_day: puts,
        bytes_per_day: bytes,
        flash_bytes_per_day: flash,
        memory_bytes: memory,
        at_risk_bytes: spill,
        lines,
    }
}

/// Most bytes that are in memory only.
fn spill_bytes(config: &Config) -> u64 {
    match config.spool.durability {
        Durability::Always => 0,
        Durability::Spill(spill) => spill.max_bytes,
    }
}

/// Frames of the largest camera below which the byte budget counts as small: one with the still
/// thread, one being written, and a burst of two.
const SMALL_IN_HAND: u64 = 4;

/// PUTs a day above which a bill surprises: one a second.
const MANY_PUTS: f64 = 86_400.0;

/// What is right and yet may not be meant, one sentence each with its remedy.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "compared, not counted")]
pub fn warnings(config: &Config, cost: &Cost) -> Vec<String> {
    let mut out = Vec::new();
    let by_itself = |c: &capture::Settings| {
        c.motion.is_some() || c.interval.is_some() || c.clock.moments.is_some()
    };
    for camera in config.cameras.iter().filter(|c| !by_itself(c)) {
        out.push(format!(
            "camera {} takes a picture only when it is asked for one, by `vedette trigger` or a command: \
             motion is off and it has no `interval`",
            camera.profile.camera
        ));
    }
    let largest = config.cameras.iter().max_by_key(|c| frame_bytes(&c.source));
    if let Some((camera, frame)) = largest.map(|c| (&c.profile.camera, frame_bytes(&c.source)))
        && config.in_hand < frame.saturating_mul(SMALL_IN_HAND)
    {
        out.push(format!(
            "`memory.in_hand` has room for {} frames of camera {camera} ({} each): a burst is refused \
             and counted as busy; {} would hold {SMALL_IN_HAND}",
            config.in_hand / frame.max(1),
            si(frame as f64),
            si((frame * SMALL_IN_HAND) as f64)
        ));
    }
    if config.cameras.iter().any(|c| matches!(c.source, Source::Exec(_))) {
        out.push(
            "the programs of `exec` cameras take processor and memory of their own, which are not \
             reckoned here; vedette.service needs the drop-in vedette-exec.conf for them"
                .to_owned(),
        );
    }
    if config.upload.destination == DestinationSettings::Nowhere {
        out.push(
            "no destination is configured: pictures wait on this device; add `[destination.s3]` to send \
             them"
                .to_owned(),
        );
    }
    if spill_bytes(config) > 0 && config.upload.reliable_notices {
        out.push(
            "`mqtt.reliable` writes a message to flash for each stored picture, which \
             `spool.durability = \"spill\"` would spare"
                .to_owned(),
        );
    }
    if spill_bytes(config) > 0 && config.upload.destination == DestinationSettings::Nowhere {
        out.push(
            "`spool.durability = \"spill\"` holds nothing in memory until a picture was stored"
                .to_owned(),
        );
    }
    let plain = config.mqtt.as_ref().filter(|mqtt| !mqtt.is_secure() && !mqtt.is_local());
    if let Some(mqtt) = plain {
        out.push(format!(
            "the broker {} is spoken to without encryption: anyone on the way can read along and \
             command this device; `mqtts://` is the cure",
            mqtt.broker.host_str().unwrap_or_default()
        ));
    }
    if cost.puts_per_day > MANY_PUTS {
        out.push(format!(
            "{} PUTs a day are more than one a second: a longer `interval`, `keep = \"best\"`, or a \
             `burst` limit costs less",
            count(cost.puts_per_day)
        ));
    }
    if cost.bytes_per_day > config.spool.limits.max_bytes as f64 {
        out.push(format!(
            "the spool is full after {} without the store; then the least valuable pictures are lost \
             and counted: raise `spool.max_bytes`",
            days(config.spool.limits.max_bytes as f64 / cost.bytes_per_day)
        ));
    }
    out
}

/// Bytes of one frame in the largest case that is usual: all of a raw frame; for MJPEG half a byte a
/// pixel, which is more than cameras send at their best quality.
#[must_use]
pub fn frame_bytes(source: &Source) -> u64 {
    let ((width, height), format) = shape(source, Assumptions::default());
    Geometry { format, width, height, stride: 0 }.frame_bytes()
}

fn buffer_bytes(source: &Source) -> u64 {
    let (frames, more) = match source {
        Source::V4l2(_) => (DRIVER_BUFFERS, 0),
        Source::Files(_) | Source::Scene(_) => (1, 0),
        Source::Exec(_) => (2, EXEC_READ),
    };
    frames.saturating_mul(frame_bytes(source)).saturating_add(more)
}

fn shape(source: &Source, assume: Assumptions) -> ((u32, u32), PixelFormat) {
    match source {
        Source::V4l2(v) => {
            (v.size.unwrap_or(assume.frame_size), v.format.unwrap_or(PixelFormat::Mjpeg))
        }
        Source::Files(f) => {
            let format = files::raw_format(&f.path).unwrap_or(PixelFormat::Mjpeg);
            (f.size.unwrap_or(assume.frame_size), format)
        }
        Source::Scene(s) => (s.size, s.format),
        Source::Exec(e) => (e.size.unwrap_or(assume.frame_size), e.format),
    }
}

/// Estimated bytes of a stored picture: bits a pixel grow with quality about as 0.06 bytes at 50,
/// 0.10 at 75, 0.15 at 85, 0.30 at 95 for street scenes; a camera's own MJPEG counts as 85.
fn picture_bytes(camera: &capture::Settings, assume: Assumptions) -> f64 {
    let ((width, height), format) = shape(&camera.source, assume);
    let Profile { masks, look, .. } = &*camera.profile;
    let passed_on = format == PixelFormat::Mjpeg
        && look.size.is_none()
        && masks.iter().all(|mask| mask.style == Style::Black);
    let quality = if passed_on { 85 } else { camera.profile.quality };
    let bytes_per_pixel = match quality {
        0..=60 => 0.06,
        61..=80 => 0.10,
        81..=90 => 0.15,
        _ => 0.30,
    };
    let most = look.size.map_or((width, height), |most| look.turn.size(most));
    let fit = |most: u32, side: u32| f64::from(most) / f64::from(side.max(1));
    let scale = fit(most.0, width).min(fit(most.1, height)).min(1.0);
    let bytes = f64::from(width) * f64::from(height) * scale * scale * bytes_per_pixel;
    look.max_bytes.map_or(bytes, |most| bytes.min(most as f64))
}

/// Pictures a day by interval, at their moments, and by motion.
fn pictures(wanted: [f64; 3]) -> String {
    let by = wanted.into_iter().zip(["by interval", "at set times", "by motion"]);
    let parts = by.filter(|(n, _)| *n > 0.0).enumerate().map(|(place, (n, why))| {
        // A picture a week is one, and not none a day.
        let n = if n < 1.0 { "less than 1".to_owned() } else { count(n) };
        let what = if place == 0 { " pictures" } else { "" };
        format!("{n}{what} {why}")
    });
    let parts: Vec<_> = parts.collect();
    match parts.split_last() {
        None => "no picture".to_owned(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

fn interval_puts(camera: &capture::Settings) -> f64 {
    camera.interval.map_or(0.0, |every| DAY / every.as_secs_f64())
}

/// Pictures a day at their moments: those of a week, of any one, for most come each week.
fn moment_puts(camera: &capture::Settings) -> f64 {
    let capture::ClockSettings { moments, place, .. } = &camera.clock;
    let week = |moments: &Moments| moments.in_a_week(build_time(), place);
    moments.as_ref().map_or(0.0, |moments| f64::from(week(moments)) / 7.0)
}

fn event_puts(camera: &capture::Settings, assume: Assumptions) -> f64 {
    let Some((_, events)) = &camera.motion else { return 0.0 };
    let before =
        events.pre_event.map_or(0.0, |p| pictures_before(&p, picture_bytes(camera, assume)));
    let an_event = before + pictures_an_event(events, analysed_fps(camera, assume), assume);
    let wanted = assume.events_per_day * an_event;
    events.burst.map_or(wanted, |b| wanted.min(DAY / b.per.as_secs_f64() * b.pictures as f64))
}

/// Pictures from before an event: as many as are held back, by time and by bytes.
#[allow(clippy::cast_precision_loss, reason = "an estimate")]
fn pictures_before(events: &PreEvent, picture: f64) -> f64 {
    let by_time = (events.within.as_secs_f64() * events.fps).ceil();
    by_time.min((events.bytes as f64 / picture.max(1.0)).floor())
}

/// Most bytes that a camera's pictures from before an event take.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate"
)]
fn ring_bytes(camera: &capture::Settings, assume: Assumptions) -> u64 {
    let Some(events) = camera.motion.as_ref().and_then(|(_, events)| events.pre_event) else {
        return 0;
    };
    let ((width, height), _) = shape(&camera.source, assume);
    // As large as pictures of a camera's own get, see `frame_bytes`.
    let largest = f64::from(width) * f64::from(height) / 2.0;
    events.bytes.min(((events.within.as_secs_f64() * events.fps).ceil() * largest) as u64)
}

fn pictures_an_event(events: &EventSettings, fps: f64, assume: Assumptions) -> f64 {
    match events.keep {
        Keep::First | Keep::Best(_) => 1.0,
        Keep::Every(every) => (assume.event_seconds / every.as_secs_f64()).floor() + 1.0,
        Keep::All => assume.event_seconds * fps,
    }
}

/// Frames a second that are looked at during an event.
fn analysed_fps(camera: &capture::Settings, assume: Assumptions) -> f64 {
    let fps = match &camera.source {
        Source::V4l2(v) => v.fps.map_or(assume.fps, f64::from),
        Source::Files(f) => rate(f.pace, assume.fps),
        Source::Scene(s) => rate(s.pace, s.fps),
        Source::Exec(e) => e.fps.unwrap_or(assume.fps),
    };
    camera.analyse_fps.map_or(fps, |most| fps.min(most.active))
}

fn rate(pace: Pace, own: f64) -> f64 {
    if let Pace::Rate(fps) = pace { fps } else { own }
}

#[allow(clippy::cast_precision_loss, reason = "an estimate in days")]
fn full_spool(config: &Config, bytes_per_day: f64) -> String {
    let max = config.spool.limits.max_bytes as f64;
    if bytes_per_day <= 0.0 {
        return "the spool never fills".to_owned();
    }
    format!("the spool is full after {} without the store", days(max / bytes_per_day))
}

fn days(days: f64) -> String {
    match days {
        d if d < 1.0 / 24.0 => format!("{:.0} minutes", d * 1440.0),
        d if d < 2.0 => format!("{:.0} hours", d * 24.0),
        d => format!("{d:.0} days"),
    }
}

fn count(n: f64) -> String {
    let whole = format!("{n:.0}");
    let groups: Vec<_> = whole.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// A number of bytes with the decimal unit that fits.
fn si(bytes: f64) -> String {
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(size, _)| bytes >= *size) {
        Some((size, unit)) if bytes / size < 10.0 => format!("{:.1} {unit}", bytes / size),
        Some((size, unit)) => format!("{:.0} {unit}", bytes / size),
        None => format!("{bytes:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        assert_eq!((count(1_234_567.4), si(2_500_000.0)), ("1,234,567".into(), "2.5 MB".into()));
        assert_eq!((count(12.0), si(31e9), si(12.0)), ("12".into(), "31 GB".into(), "12 B".into()));
    }

    #[test]
    fn pictures_are_told_by_what_they_are_taken_for() {
        assert_eq!(pictures([0.0; 3]), "no picture");
        assert_eq!(pictures([144.0, 0.0, 200.0]), "144 pictures by interval and 200 by motion");
        let all = "24 pictures by interval, less than 1 at set times and 200 by motion";
        assert_eq!(pictures([24.0, 1.0 / 7.0, 200.0]), all);
        assert_eq!(pictures([0.0, 3.0, 0.0]), "3 pictures at set times");
    }

    #[test]
    fn an_event_costs_what_is_kept_of_it() {
        let assume = Assumptions::default();
        let puts = |keep| {
            pictures_an_event(&EventSettings { keep, ..EventSettings::default() }, 10.0, assume)
        };
        let second = std::time::Duration::from_secs(1);
        assert_eq!(
            (puts(Keep::First), puts(Keep::Every(second)), puts(Keep::All)),
            (1.0, 21.0, 200.0)
        );
        assert_eq!(puts(Keep::Best(second)), 1.0);
    }

    #[test]
    fn pictures_from_before_an_event_are_bounded_by_time_and_by_bytes() {
        let within = std::time::Duration::from_secs(3);
        let before = |bytes| pictures_before(&PreEvent { within, fps: 2.0, bytes }, 100_000.0);
        assert_eq!((before(8 << 20), before(250_000)), (6.0, 2.0));
    }
}
