//! `vedette demo`: the whole agent at work, without configuration or network.
//!
//! The synthetic street (or a clip, or a camera) → first pass → spool → a directory as the store. Ends
//! with a contact sheet and the account, whose sums are printed and checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::contact_sheet::{self, Entry};
use super::status::count;
use crate::agent::{Agent, Deps};
use crate::camera::{self, FilesSettings, Pace, Source, V4l2Settings};
use crate::clock::{BootTime, Clock as _, SystemClock};
use crate::config::{Context, LogFormat, LogLevel, LogSettings};
use crate::contract::Trigger;
use crate::contract::stored::StoredNotice;
use crate::status::{CameraStatus, ConfigStatus, Status};

/// Longest wait for the last pictures to be stored.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How long to watch.
    #[arg(long = "for", value_name = "TIME", default_value = "20s", value_parser = crate::config::units::duration)]
    time: Duration,
    /// Directory for what is made; by default a new `vedette-demo`.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Watch recorded frames instead of the synthetic street.
    #[arg(long, value_name = "FILE", conflicts_with = "device")]
    clip: Option<PathBuf>,
    /// Watch a camera instead of the synthetic street.
    #[arg(long, value_name = "DEVICE")]
    device: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> ExitCode {
    drop(crate::log::init(LogSettings { level: LogLevel::Warn, format: LogFormat::Text })); // only a second call could fail
    match super::runtime().and_then(|rt| rt.block_on(demo(options))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => super::failed(&error),
    }
}

async fn demo(options: &Options) -> anyhow::Result<bool> {
    try_source(options)?;
    let dir = directory(options)?;
    let toml = configuration(options, &dir)?;
    let path = dir.join("vedette.toml");
    std::fs::write(&path, &toml).with_context(|| format!("writing {}", path.display()))?;
    let config = crate::config::check(&path, &Context::from_env(Some(dir.clone())))
        .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
    head(options, &dir, &toml)?;
    let clock = SystemClock::new();
    let mut show = Show::new(options.time, clock.boottime());
    let mut agent = Agent::start(config, deps(&path, clock)).await?;
    let mut notices = agent.notices();
    let end = watch(&mut agent, &mut notices, &mut show, options.time).await?;
    agent.stop_capture().await;
    show.bar.set_message("storing the last pictures");
    agent.drain(DRAIN).await;
    let status = agent.stop().await;
    while let Ok(notice) = notices.try_recv() {
        show.stored(&notice);
    }
    show.bar.finish_and_clear();
    close(&dir, &show, &status, &end)
}

/// Opens the clip or camera once, so that a wrong one is told at once and leaves nothing behind; the
/// agent itself would try again for ever.
fn try_source(options: &Options) -> anyhow::Result<()> {
    let source = match (&options.clip, &options.device) {
        (Some(clip), _) => Source::Files(FilesSettings {
            path: clip.clone(),
            size: None,
            pace: Pace::Own,
            repeat: false,
        }),
        (None, Some(device)) => Source::V4l2(V4l2Settings::node(device)),
        (None, None) => return Ok(()),
    };
    drop(camera::open(&source, Arc::new(SystemClock::new()))?);
    Ok(())
}

/// Why the watching is over.
#[derive(Debug, PartialEq)]
enum End {
    Time,
    SourceEnded,
    Interrupted,
    /// The camera gave no frame at all, and why.
    NoFrame(String),
}

/// Runs the agent until the time is over, every source has ended, or somebody presses Ctrl-C.
async fn watch(
    agent: &mut Agent,
    notices: &mut broadcast::Receiver<StoredNotice>,
    show: &mut Show,
    time: Duration,
) -> anyhow::Result<End> {
    let end = tokio::time::sleep(time);
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::pin!(end);
    let mut redraw = tokio::time::interval(Duration::from_millis(250));
    loop {
        let turn = tokio::select! {
            () = &mut end => return Ok(End::Time),
            _ = tokio::signal::ctrl_c() => return Ok(End::Interrupted),
            _ = terminate.recv() => return Ok(End::Interrupted),
            notice = notices.recv() => {
                match notice {
                    Ok(notice) => show.stored(&notice),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(End::SourceEnded),
                }
                continue;
            }
            _ = redraw.tick() => {
                let status = agent.status().await;
                show.progress(&status);
                if let Some(why) = no_frame(&status) {
                    return Ok(End::NoFrame(why));
                }
                if agent.sources_ended() {
                    return Ok(End::SourceEnded);
                }
                continue;
            }
            turn = agent.turn() => turn,
        };
        agent.handle(turn).await?;
    }
}

/// The trouble of a camera that is lost before its first frame.
fn no_frame(s: &Status) -> Option<String> {
    let lost = s.cameras.values().find(|c| c.state == "lost" && c.frames == 0)?;
    lost.why.clone()
}

/// A directory of our own: the one that was named, or the first `vedette-demo…` that is free.
fn directory(options: &Options) -> anyhow::Result<PathBuf> {
    let dir = match &options.dir {
        Some(dir) => dir.clone(),
        None => (1..)
            .map(|n| if n == 1 { "vedette-demo".into() } else { format!("vedette-demo-{n}") })
            .map(PathBuf::from)
            .find(|p| !p.exists())
            .context("no free name for a directory")?,
    };
    std::fs::create_dir_all(dir.join("store"))
        .with_context(|| format!("making {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("finding {}", dir.display()))
}

/// The configuration that is run, as a person would write it.
fn configuration(options: &Options, dir: &Path) -> anyhow::Result<String> {
    let quoted = |p: &Path| -> anyhow::Result<String> {
        // Not `canonicalize`: a camera's stable name is a link, and stays one.
        let p = std::path::absolute(p).with_context(|| format!("finding {}", p.display()))?;
        let text = p.to_str().with_context(|| format!("{} is not UTF-8", p.display()))?;
        Ok(toml::Value::from(text).to_string())
    };
    let camera = match (&options.clip, &options.device) {
        (Some(clip), _) => format!("[camera.cam.files]\npath = {}\n", quoted(clip)?),
        (None, Some(device)) => format!("[camera.cam.v4l2]\ndevice = {}\n", quoted(device)?),
        (None, None) => "[camera.cam.scene]\nsize = \"1280x720\"\nfps = 15\nseed = 7\n".to_owned(),
    };
    let base = quoted(dir)?;
    let base = base.trim_matches('"');
    Ok(format!(
        "[device]\nid = \"demo\"\n\n{camera}\n[camera.cam]\ninterval = \"10s\"\n\n\
         [camera.cam.motion]\nevery = \"2s\"\npost_event = \"2s\"\n\n\
         [destination.dir]\npath = \"{base}/store\"\n\n[spool]\npath = \"{base}/spool\"\n\n\
         [control]\nsocket = \"{base}/control.sock\"\n\n[clock]\ntrust = \"always\"\n"
    ))
}

fn deps(path: &Path, clock: SystemClock) -> Deps {
    Deps {
        clock: Arc::new(clock),
        config: ConfigStatus { path: path.display().to_string(), ..ConfigStatus::default() },
        alarms: Vec::new(),
        open_camera: Arc::new(crate::camera::open),
        mqtt: crate::mqtt::Tuning::default(),
        rate: crate::control::command::RateLimit::default(),
    }
}

fn head(options: &Options, dir: &Path, toml: &str) -> std::io::Result<()> {
    let what = match (&options.clip, &options.device) {
        (Some(clip), _) => format!("{}", clip.display()),
        (None, Some(device)) => format!("the camera {}", device.display()),
        (None, None) => "a synthetic street".to_owned(),
    };
    let lines = toml.lines().filter(|l| !l.is_empty()).count();
    super::print(&format!(
        "Vedette {} watches {what} for {:?}. Ctrl-C ends it early.\n\
         All that it makes is in {}; its configuration has {lines} lines: vedette.toml.\n\n  \
         taken  why        moved  stored as\n",
        env!("CARGO_PKG_VERSION"),
        options.time,
        dir.display(),
    ))
}

/// What the person sees while it runs.
struct Show {
    bar: ProgressBar,
    began: Instant,
    began_boottime: BootTime,
    event: Option<String>,
    pictures: Vec<StoredNotice>,
}

impl Show {
    fn new(time: Duration, began_boottime: BootTime) -> Self {
        let bar = ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/blue} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, began: Instant::now(), began_boottime, event: None, pictures: Vec::new() }
    }

    /// A line for each picture, within 100 columns; one more where an event begins.
    fn stored(&mut self, notice: &StoredNotice) {
        let facts = &notice.facts;
        if let Some(event) = facts.event.as_ref().filter(|e| self.event.as_ref() != Some(*e)) {
            self.line(&format!("{:12}event {event}: something moves", ""));
            self.event = Some(event.clone());
        }
        let at = facts.captured.since(self.began_boottime).as_secs_f64();
        let moved = moved(notice).unwrap_or_default();
        self.line(&format!("{at:5.1} s  {:<8} {moved:>7}  {}", facts.trigger.name(), notice.key));
        // An event's manifest is an object like others, and no picture.
        if facts.trigger != Trigger::Manifest {
            self.pictures.push(notice.clone());
        }
    }

    fn line(&self, text: &str) {
        if self.bar.is_hidden() {
            super::print(&format!("{text}\n")).ok(); // a closed pipe must not stop the demo
        } else {
            self.bar.println(text);
        }
    }

    fn progress(&self, s: &Status) {
        let time = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.bar.set_position(time);
        let frames: u64 = s.cameras.values().map(|c| c.frames).sum();
        let motion: u64 = s.cameras.values().map(|c| c.motion).sum();
        self.bar.set_message(format!(
            "{frames} frames · {motion} with motion · {} chosen · {} in the spool · {} stored",
            s.run.chosen, s.ledger.queued, s.ledger.stored
        ));
    }
}

/// How much of the watched area moved, for pictures that were taken because of it.
fn moved(notice: &StoredNotice) -> Option<String> {
    notice.facts.event.as_ref()?;
    let share: f64 = notice.facts.meta.get("motion-score")?.parse().ok()?;
    Some(format!("{:.1} %", share * 100.0))
}

/// Contact sheet and account; true when something was stored and the sums hold.
fn close(dir: &Path, show: &Show, s: &Status, end: &End) -> anyhow::Result<bool> {
    let sum = |of: fn(&CameraStatus) -> u64| s.cameras.values().map(of).sum::<u64>();
    let (frames, events) = (sum(|c| c.frames), sum(|c| c.events));
    let mut text = format!(
        "\nThe account after {:.1} s\n\n{:>9}  {frames} seen, {} analysed, {} unusable; {}\n{}",
        show.began.elapsed().as_secs_f64(),
        "frames",
        sum(|c| c.analysed),
        sum(|c| c.skipped),
        count(events, "event"),
        super::status::sums(s),
    );
    if s.run.holds && s.ledger.holds {
        text += "\nBoth sums hold. What the triggers chose is safe on disk or was refused for a reason \
                 that is counted;\nwhat was on disk is stored, waits, was set aside, or is counted as \
                 lost.\n";
    }
    match end {
        End::SourceEnded if events == 0 => {
            text += &format!("\nThe clip ended after {frames} frames, before any event began.\n");
        }
        End::NoFrame(why) => text += &format!("\nThe camera gave no frame: {why}\n"),
        _ if events == 0 => text += "\nNothing moved long enough to make an event.\n",
        _ => {}
    }
    for alarm in s.alarms.iter().filter(|_| !matches!(end, End::NoFrame(_))) {
        text += &format!("\nALARM {}: {}\n", alarm.name, alarm.text);
    }
    if !show.pictures.is_empty() {
        let bytes = show.pictures.iter().map(|n| n.facts.len).sum();
        text += &format!(
            "\n{} kept, {}. All on one sheet:\n  {}\n{}",
            count(show.pictures.len() as u64, "picture"),
            super::status::bytes(bytes),
            sheet(dir, show)?.display(),
            next(),
        );
    }
    super::print(&text)?;
    Ok(s.ledger.stored > 0 && s.run.holds && s.ledger.holds)
}

/// What to do next, in the words that this program was called by.
fn next() -> String {
    let me = std::env::args().next().unwrap_or_else(|| "vedette".to_owned());
    format!(
        "\nNext\n  your camera    {me} demo --device /dev/video0\n  \
         a recording    {me} demo --clip FILE\n  \
         in earnest     begin with a file of config/examples, then: {me} check --config FILE\n"
    )
}

fn sheet(dir: &Path, show: &Show) -> anyhow::Result<PathBuf> {
    let mut entries = Vec::new();
    let mut pictures: Vec<_> = show.pictures.iter().collect();
    pictures.sort_by_key(|n| n.facts.seq);
    for index in contact_sheet::chosen(pictures.len()) {
        let Some(notice) = pictures.get(index) else { continue };
        let path = dir.join("store").join(&notice.key);
        let jpeg = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let at = notice.facts.captured.since(show.began_boottime).as_secs_f64();
        let why = match moved(notice) {
            Some(moved) => format!("{moved} moved"),
            None => notice.facts.trigger.name().to_owned(),
        };
        entries.push(Entry { jpeg, caption: format!("{at:.1} s: {why}") });
    }
    let title = format!("Vedette kept {}", count(pictures.len() as u64, "picture"));
    let path = dir.join("contact-sheet.jpg");
    std::fs::write(&path, contact_sheet::draw(&title, &entries)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::Facts;
    use crate::contract::tests::facts;

    #[test]
    fn an_events_manifest_is_told_and_is_no_picture_of_the_sheet() {
        let mut show = Show::new(Duration::from_secs(20), BootTime(0));
        let notice = |trigger, key: &str| StoredNotice {
            key: key.into(),
            facts: Facts { trigger, ..facts() },
            wall: None,
        };
        show.stored(&notice(Trigger::Motion, "v1/a.jpg"));
        show.stored(&notice(Trigger::Manifest, "v1/a.json"));
        let keys: Vec<_> = show.pictures.iter().map(|n| n.key.as_str()).collect();
        assert_eq!(keys, ["v1/a.jpg"]);
    }
}
