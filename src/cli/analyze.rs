//! `vedette analyze`: the first pass over recorded frames, as fast as it goes, a JSON line a frame.
//!
//! The shape of the lines is what people and benchmarks script against: it is only added to.

mod story;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use self::story::{Story, Told};
use super::ConfigArgs;
use super::status::count;
use crate::camera::{Camera, CameraError, FilesSettings, Pace, files};
use crate::capture::{Seen, WatchSettings};
use crate::clock::{Clock, SystemClock};
use crate::config::units;
use crate::firstpass::trigger::{EventSettings, Transition};
use crate::firstpass::{Condition, Direction, LightChange, MotionSettings, Quality, Vision};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Directory of JPEGs, MJPEG AVI, `.mjpeg` stream, or raw frames in a file named after their format,
    /// such as `.yuyv` or `.nv12`.
    clip: PathBuf,
    /// One JSON object a line instead of words.
    #[arg(long)]
    json: bool,
    /// Size of raw frames, WIDTHxHEIGHT.
    #[arg(long, value_name = "WxH", value_parser = units::frame_size)]
    size: Option<(u32, u32)>,
    /// Frames a second of a source that does not say.
    #[arg(long, value_parser = fps)]
    fps: Option<f64>,
    /// Take zones, thresholds and events from this camera of the configuration instead of the
    /// defaults.
    #[arg(long, value_name = "NAME")]
    camera: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match analyze(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::failed(&error),
    }
}

#[derive(Serialize)]
struct Line<'a> {
    frame: u64,
    t: f64,
    motion: bool,
    score: f32,
    boxes: Vec<[u32; 4]>,
    direction: Option<&'static str>,
    dwell: f64,
    quality: Quality,
    conditions: Vec<&'static str>,
    vision: Option<Vision>,
    light_change: Option<LightChange>,
    event: Option<&'a str>,
    kept: bool,
    /// Why it is kept or not.
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unusable: Option<String>,
}

#[derive(Default, Serialize)]
struct Summary {
    frames: u64,
    analysed: u64,
    cpu_ms_per_frame: f64,
    events: u64,
    kept: u64,
    similar: u64,
}

#[derive(Serialize)]
struct Last<'a> {
    summary: &'a Summary,
}

fn analyze(options: &Options) -> anyhow::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let settings_of_clip = FilesSettings {
        path: options.clip.clone(),
        size: options.size,
        pace: Pace::Fast,
        repeat: false,
    };
    let mut camera = files::open(&settings_of_clip, clock.clone())?;
    let seconds_per_frame = 1.0 / options.fps.unwrap_or_else(|| camera.fps());
    let mut story = Story::new(watched(options)?, &clock.boot_id());
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut summary = Summary::default();
    let began = cpu_time();
    loop {
        match camera.next_frame(Duration::from_secs(1)) {
            Ok(frame) => {
                let told = story.next(frame.sequence, &frame);
                tell(&mut out, options.json, seconds_per_frame, told, &mut summary)?;
            }
            Err(CameraError::Ended) => break,
            Err(CameraError::Skip(why)) => tracing::debug!(why, "Frame is unusable."),
            Err(CameraError::Timeout(_)) => {}
            Err(CameraError::Lost(why)) => bail!("{why}"),
        }
    }
    tell(&mut out, options.json, seconds_per_frame, story.end(), &mut summary)?;
    if summary.frames == 0 {
        bail!("{} holds no frame", options.clip.display());
    }
    summary.cpu_ms_per_frame = (cpu_time() - began).as_secs_f64() * 1e3 / summary.frames as f64;
    write_summary(&mut out, options.json, &summary)?;
    Ok(out.flush()?)
}

fn tell(
    out: &mut impl Write,
    json: bool,
    seconds_per_frame: f64,
    told: Vec<Told>,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    for Told { n, seen, .. } in told {
        summary.add(&seen);
        write_line(out, json, n, n as f64 * seconds_per_frame, &seen)?;
    }
    Ok(())
}

impl Summary {
    fn add(&mut self, seen: &Seen) {
        self.frames += 1;
        self.analysed += u64::from(seen.observation.is_some());
        self.events += u64::from(seen.began());
        self.kept += u64::from(seen.choice.is_some());
        self.similar += u64::from(seen.similar);
    }
}

/// Every frame is looked at, by the defaults or as a configured camera would at an hour at which all its hours hold.
fn watched(options: &Options) -> anyhow::Result<WatchSettings> {
    let Some(name) = &options.camera else {
        let motion = Some((MotionSettings::default(), EventSettings::default()));
        return Ok(WatchSettings { motion, ..WatchSettings::default() });
    };
    let config = options.config.check().map_err(|e| anyhow::anyhow!("{}", e.render(false)))?;
    let found = config.cameras.into_iter().find(|c| c.profile.camera == *name);
    match found {
        Some(c) => Ok(WatchSettings { analyse_fps: None, ..c.watch() }),
        None => bail!("no camera is named \"{name}\" in {}", options.config.config.display()),
    }
}

fn write_line(out: &mut impl Write, json: bool, n: u64, t: f64, seen: &Seen) -> anyhow::Result<()> {
    let observation = seen.observation.clone().unwrap_or_default();
    let chosen_of = seen.choice.as_ref().and_then(|c| c.event.as_ref());
    let event = seen.step.as_ref().and_then(|s| s.event.as_deref());
    let reason = seen.to_string();
    let line = Line {
        frame: n,
        t: (t * 1000.0).round() / 1000.0,
        motion: observation.motion,
        score: observation.score,
        boxes: observation.boxes.iter().map(|b| [b.x, b.y, b.w, b.h]).collect(),
        direction: observation.direction.map(Direction::name),
        dwell: observation.dwell.as_secs_f64(),
        quality: observation.quality,
        conditions: observation.conditions.iter().map(Condition::name).collect(),
        vision: observation.vision,
        light_change: observation.light_change,
        event: event.or(chosen_of.map(|(event, _)| event.as_str())),
        kept: seen.choice.is_some(),
        reason: Some(reason.as_str()).filter(|reason| !reason.is_empty()),
        unusable: seen.unusable.as_ref().map(ToString::to_string),
    };
    if json {
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    } else if line.kept || seen.step.as_ref().is_some_and(|s| s.change.is_some()) {
        let change = match seen.step.as_ref().and_then(|s| s.change.as_ref()) {
            Some(Transition::Began) => "event begins".to_owned(),
            Some(Transition::Ended { duration, why, .. }) => {
                format!("event of {:.1} s ended ({})", duration.as_secs_f64(), why.name())
            }
            None => String::new(),
        };
        let kept = line.reason.filter(|_| line.kept);
        let reason = kept.map(|r| format!("kept: {r}")).unwrap_or_default();
        let text = format!("{:>8.2} s  frame {n:>6}  {change:<33} {reason}", line.t);
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

fn write_summary(out: &mut impl Write, json: bool, s: &Summary) -> anyhow::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, &Last { summary: s })?;
        writeln!(out)?;
    } else {
        writeln!(
            out,
            "{}, {} analysed, {:.2} ms CPU a frame, {}, {} kept",
            count(s.frames, "frame"),
            s.analysed,
            s.cpu_ms_per_frame,
            count(s.events, "event"),
            s.kept
        )?;
    }
    Ok(())
}

fn fps(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(fps) if (0.001..=1000.0).contains(&fps) => Ok(fps),
        _ => Err("a number from 0.001 to 1000 is meant, such as 15".to_owned()),
    }
}

/// CPU time of this process.
fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(t.tv_sec.try_into().unwrap_or(0), t.tv_nsec.try_into().unwrap_or(0))
}
