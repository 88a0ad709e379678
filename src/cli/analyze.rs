//! `vedette analyze`: the first pass over recorded frames, as fast as it goes, a JSON line a frame.
//!
//! The shape of the lines is what people and benchmarks script against: it is only added to.

mod clip;
mod story;
mod tune;

use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use serde::Serialize;

use self::clip::Clip;
use self::story::{Story, Told};
use self::tune::Tuning;
use super::ConfigArgs;
use super::status::count;
use crate::capture::{Seen, WatchSettings};
use crate::config::units;
use crate::firstpass::trigger::{EventSettings, Transition};
use crate::firstpass::{Condition, Direction, LightChange, MotionSettings, Quality, Vision};
use crate::still::privacy::Mask;

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
    /// Write into this directory what helps to set up the camera: a contact sheet, a film with all that was
    /// seen, a plot, and a page with suggestions that were tried on the clip. Files of these names are replaced.
    #[arg(long, value_name = "DIR")]
    tune: Option<PathBuf>,
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

#[derive(Serialize)]
struct Advised<'a> {
    tune: &'a tune::Advice,
}

fn analyze(options: &Options) -> anyhow::Result<()> {
    let clip = Clip { path: options.clip.clone(), size: options.size, fps: options.fps };
    let about = clip.about()?;
    let seconds_per_frame = 1.0 / about.fps;
    let (settings, masks) = watched(options)?;
    let mut story = Story::new(settings.clone(), &about.boot);
    let mut tuning = match &options.tune {
        Some(dir) => {
            let name = options.camera.as_deref();
            Some(Tuning::begin(&clip, about, dir, name, (&settings, &masks))?)
        }
        None => None,
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut summary = Summary::default();
    let began = cpu_time();
    clip.each(|frame| {
        let told = story.next(frame.sequence, frame);
        tuning.iter_mut().for_each(|tuning| tuning.add(&told));
        tell(&mut out, options.json, seconds_per_frame, told, &mut summary)
    })?;
    let told = story.end();
    tuning.iter_mut().for_each(|tuning| tuning.add(&told));
    tell(&mut out, options.json, seconds_per_frame, told, &mut summary)?;
    if summary.frames == 0 {
        bail!("{} holds no frame", options.clip.display());
    }
    summary.cpu_ms_per_frame = (cpu_time() - began).as_secs_f64() * 1e3 / summary.frames as f64;
    let advice = tuning.map(Tuning::finish).transpose()?;
    if let Some(advice) = advice.as_ref().filter(|_| options.json) {
        // Before the summary, which stays the last line.
        serde_json::to_writer(&mut out, &Advised { tune: advice })?;
        writeln!(out)?;
    }
    write_summary(&mut out, options.json, &summary)?;
    if let (Some(advice), Some(dir), false) = (&advice, &options.tune, options.json) {
        out.write_all(tune::told(advice, dir).as_bytes())?;
    }
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

/// Every frame is looked at, by the defaults or as a configured camera would at an hour at which all its hours hold;
/// with the camera's masks.
fn watched(options: &Options) -> anyhow::Result<(WatchSettings, Vec<Mask>)> {
    let Some(name) = &options.camera else {
        return Ok((by_default(), Vec::new()));
    };
    let config = options.config.check().map_err(|e| anyhow::anyhow!("{}", e.render(false)))?;
    let found = config.cameras.into_iter().find(|c| c.profile.camera == *name);
    match found {
        Some(c) => {
            let masks = c.profile.masks.clone();
            Ok((WatchSettings { analyse_fps: None, ..c.watch() }, masks))
        }
        None => bail!("no camera is named \"{name}\" in {}", options.config.config.display()),
    }
}

/// Motion and events by the defaults, and every frame looked at.
fn by_default() -> WatchSettings {
    let motion = Some((MotionSettings::default(), EventSettings::default()));
    WatchSettings { motion, ..WatchSettings::default() }
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
