//! `vedette demo`: the whole agent at work, without configuration or network.
//!
//! The synthetic street (or a clip, or a camera) → first pass → spool → a directory as the store. Ends
//! with a contact sheet and the account, whose sums are printed and checked.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::contact_sheet::{self, Entry};
use crate::agent::{Agent, Deps};
use crate::clock::SystemClock;
use crate::config::{Context, LogFormat, LogLevel, LogSettings};
use crate::status::{ConfigStatus, Status};
use crate::upload::StoredNotice;

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
    let dir = directory(options)?;
    let toml = configuration(options, &dir)?;
    let path = dir.join("vedette.toml");
    std::fs::write(&path, &toml).with_context(|| format!("writing {}", path.display()))?;
    let config = crate::config::check(&path, &Context::from_env(Some(dir.clone())))
        .map_err(|errors| anyhow::anyhow!("{}", errors.render(false)))?;
    head(options, &dir, &toml)?;
    let began = Instant::now();
    let mut agent = Agent::start(config, deps(&path)).await?;
    let mut notices = agent.notices();
    let mut show = Show::new(options.time);
    watch(&mut agent, &mut notices, &mut show, options.time).await?;
    agent.stop_capture().await;
    show.bar.set_message("storing the last pictures");
    agent.drain(DRAIN).await;
    let status = agent.stop().await;
    while let Ok(notice) = notices.try_recv() {
        show.stored(&notice);
    }
    show.bar.finish_and_clear();
    close(&dir, &show.pictures, &status, began.elapsed())
}

/// Runs the agent until the time is over, every source has ended, or somebody presses Ctrl-C.
async fn watch(
    agent: &mut Agent,
    notices: &mut broadcast::Receiver<StoredNotice>,
    show: &mut Show,
    time: Duration,
) -> anyhow::Result<()> {
    let end = tokio::time::sleep(time);
    tokio::pin!(end);
    let mut redraw = tokio::time::interval(Duration::from_millis(250));
    loop {
        let turn = tokio::select! {
            () = &mut end => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
            notice = notices.recv() => {
                match notice {
                    Ok(notice) => show.stored(&notice),
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Ok(()),
                }
                continue;
            }
            _ = redraw.tick() => {
                show.progress(&agent.status().await);
                if agent.sources_ended() {
                    return Ok(());
                }
                continue;
            }
            turn = agent.turn() => turn,
        };
        agent.handle(turn).await?;
    }
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
        let p = p.canonicalize().with_context(|| format!("finding {}", p.display()))?;
        let text = p.to_str().with_context(|| format!("{} is not UTF-8", p.display()))?;
        Ok(toml::Value::from(text).to_string())
    };
    let camera = match (&options.clip, &options.device) {
        (Some(clip), _) => format!("[camera.demo.files]\npath = {}\n", quoted(clip)?),
        (None, Some(device)) => format!("[camera.demo.v4l2]\ndevice = {}\n", quoted(device)?),
        (None, None) => "[camera.demo.scene]\nsize = \"1280x720\"\nfps = 15\nseed = 7\n".to_owned(),
    };
    let base = quoted(dir)?;
    let base = base.trim_matches('"');
    Ok(format!(
        "[device]\nid = \"demo\"\n\n{camera}\n[camera.demo]\ninterval = \"10s\"\n\n\
         [camera.demo.motion]\nevery = \"2s\"\npost_event = \"2s\"\n\n\
         [destination.dir]\npath = \"{base}/store\"\n\n[spool]\npath = \"{base}/spool\"\n\n\
         [control]\nsocket = \"{base}/control.sock\"\n\n[clock]\ntrust = \"always\"\n"
    ))
}

fn deps(path: &Path) -> Deps {
    Deps {
        clock: Arc::new(SystemClock::new()),
        config: ConfigStatus { path: path.display().to_string(), ..ConfigStatus::default() },
        alarms: Vec::new(),
        open_camera: Arc::new(crate::camera::open),
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
        "Vedette {} watches {what} for {:?}.\nEverything it makes is in {} \
         (its whole configuration: vedette.toml, {lines} lines).\n\n",
        env!("CARGO_PKG_VERSION"),
        options.time,
        dir.display(),
    ))
}

/// What the person sees while it runs.
struct Show {
    bar: ProgressBar,
    began: Instant,
    pictures: Vec<StoredNotice>,
}

impl Show {
    fn new(time: Duration) -> Self {
        let bar = ProgressBar::new(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template("{bar:30.cyan/blue} {msg}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        Self { bar, began: Instant::now(), pictures: Vec::new() }
    }

    fn stored(&mut self, notice: &StoredNotice) {
        let facts = &notice.facts;
        let at = self.began.elapsed().as_secs_f64();
        let why = why(notice);
        let line = format!("{at:6.1} s  {why:<46} {}", notice.key);
        if self.bar.is_hidden() {
            super::print(&format!("{line}\n")).ok(); // a closed pipe must not stop the demo
        } else {
            self.bar.println(line);
        }
        tracing::debug!(seq = facts.seq, "Stored.");
        self.pictures.push(notice.clone());
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

/// Why a picture was kept, in words.
fn why(notice: &StoredNotice) -> String {
    let facts = &notice.facts;
    match &facts.event {
        Some(event) => {
            let score = facts.meta.get("motion-score").map_or("?", String::as_str);
            format!("{} (score {score}, event {event})", facts.trigger.name())
        }
        None => facts.trigger.name().to_owned(),
    }
}

/// Contact sheet and account; true when something was stored and the sums hold.
fn close(
    dir: &Path,
    pictures: &[StoredNotice],
    s: &Status,
    took: Duration,
) -> anyhow::Result<bool> {
    let frames: u64 = s.cameras.values().map(|c| c.frames).sum();
    let analysed: u64 = s.cameras.values().map(|c| c.analysed).sum();
    let events: u64 = s.cameras.values().map(|c| c.events).sum();
    let mut text = format!(
        "\nThe account, after {:.1} s\n{:>9}  {frames} seen, {analysed} analysed, {events} events\n{}",
        took.as_secs_f64(),
        "frames",
        super::status::sums(s),
    );
    if !pictures.is_empty() {
        let sheet = sheet(dir, pictures)?;
        text += &format!("\nLook at what was kept: {}\n", sheet.display());
    }
    for alarm in &s.alarms {
        text += &format!("{}: {}\n", alarm.name, alarm.text);
    }
    super::print(&text)?;
    Ok(s.ledger.stored > 0 && s.run.holds && s.ledger.holds)
}

fn sheet(dir: &Path, pictures: &[StoredNotice]) -> anyhow::Result<PathBuf> {
    let mut entries = Vec::new();
    let mut pictures: Vec<_> = pictures.iter().collect();
    pictures.sort_by_key(|n| n.facts.seq);
    for index in contact_sheet::chosen(pictures.len()) {
        let Some(notice) = pictures.get(index) else { continue };
        let path = dir.join("store").join(&notice.key);
        let jpeg = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let score = notice.facts.meta.get("motion-score").map(|s| format!(" score {s}"));
        let caption = format!(
            "{} {}{}",
            notice.facts.seq,
            notice.facts.trigger.name(),
            score.unwrap_or_default()
        );
        entries.push(Entry { jpeg, caption });
    }
    if entries.is_empty() {
        bail!("no picture to show");
    }
    let title = format!("Vedette kept {} pictures", pictures.len());
    let path = dir.join("contact-sheet.jpg");
    std::fs::write(&path, contact_sheet::draw(&title, &entries)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
