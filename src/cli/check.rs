//! `vedette check`: is the configuration right, what would run, and what will it cost.
//!
//! Words for people, or one JSON object for fleets (`--json`), whose fields are only ever added to.
//! Warnings never fail a check: they name what is right and yet may not be meant. `--print` shows what the
//! files say together, and which line says it.
//!
//! Reads files, and the clock for when a picture is due next, and nothing else: no camera is opened, no name is looked up, nothing is written. So it is
//! quick enough to stand before every start of the service, and cannot hold one up.

use std::fmt::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use super::ConfigArgs;
use super::status::bytes;
use crate::camera::Source;
use crate::camera::v4l2::name;
use crate::clock::{Clock as _, SystemClock};
use crate::config::cost::{Assumptions, Cost, cost, warnings};
use crate::config::{Config, ConfigErrors, EX_CONFIG};
use crate::identity::{IdSource, PIN_FILE};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON object, also for a wrong configuration.
    #[arg(long)]
    json: bool,
    /// Print the files as they are merged, each value with the file and line that it comes from.
    #[arg(long, conflicts_with = "json")]
    print: bool,
}

pub(super) fn run(options: &Options) -> ExitCode {
    let (text, code) = match options.config.check() {
        Ok(_) if options.print => (options.config.merged(), ExitCode::SUCCESS),
        Ok(config) => {
            let right = Right::new(&config, options);
            let text = if options.json { json(&right) } else { Ok(right.render()) };
            (text, ExitCode::SUCCESS)
        }
        Err(errors) if options.json => {
            (json(&Wrong { ok: false, errors: &errors }), EX_CONFIG.into())
        }
        Err(errors) => {
            super::tell(&errors);
            return EX_CONFIG.into();
        }
    };
    match text.and_then(|text| Ok(super::print(&text)?)) {
        Ok(()) => code,
        Err(error) => super::failed(&error),
    }
}

fn json(answer: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string(answer)? + "\n")
}

#[derive(Serialize)]
struct Wrong<'a> {
    ok: bool,
    #[serde(flatten)]
    errors: &'a ConfigErrors,
}

/// A warning for a camera that is named by its number.
fn numbered(camera: &crate::capture::Settings) -> Option<String> {
    let Source::V4l2(v4l2) = &camera.source else { return None };
    let named = v4l2.device.is_bare().then_some(&v4l2.device)?;
    let instead = name::better(named).map_or_else(
        || "a name that `vedette devices` shows while it is plugged in".to_owned(),
        |line| format!("`{line}`"),
    );
    Some(format!(
        "camera {} is named by its number, {named}, which another camera may have after a restart: write \
         {instead} instead",
        camera.profile.camera
    ))
}

/// What is said of a configuration that is right.
#[derive(Serialize)]
struct Right {
    ok: bool,
    file: String,
    /// That file and its drop-ins, in the order in which they are read.
    files: Vec<String>,
    device: String,
    site: Option<String>,
    cameras: Vec<Camera>,
    destination: String,
    spool: String,
    spool_max_bytes: u64,
    in_hand_bytes: u64,
    cost: Cost,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Camera {
    name: String,
    source: String,
    /// When the first picture by the timetable is due, by this machine's clock.
    next_picture: Option<String>,
}

impl Right {
    fn new(config: &Config, options: &Options) -> Self {
        let cost = cost(config, Assumptions::default());
        let mut warnings = warnings(config, &cost);
        let identity = &config.identity;
        warnings
            .extend(config.notes.iter().chain(&identity.warnings).chain(&identity.cloned).cloned());
        let pinned = options.config.context().state_dir.join(PIN_FILE).exists();
        if config.identity.source == IdSource::Generated && !pinned {
            warnings.push(
                "the device id is made up anew until the first start pins it: set `device.id` to \
                 choose one"
                    .to_owned(),
            );
        }
        warnings.extend(config.cameras.iter().filter_map(numbered));
        let camera = |c: &crate::capture::Settings| Camera {
            name: c.profile.camera.clone(),
            source: c.source.to_string(),
            next_picture: c.clock.next_text(SystemClock::new().wall()),
        };
        Self {
            ok: true,
            file: options.config.config.display().to_string(),
            files: config.files.iter().map(|f| f.display().to_string()).collect(),
            device: config.identity.device.clone(),
            site: config.site.clone(),
            cameras: config.cameras.iter().map(camera).collect(),
            destination: config.upload.destination.to_string(),
            spool: config.spool.path.display().to_string(),
            spool_max_bytes: config.spool.limits.max_bytes,
            in_hand_bytes: config.in_hand,
            cost,
            warnings,
        }
    }

    fn render(&self) -> String {
        let mut out = format!("{} is right.\n\n", self.file);
        let mut line = |name: &str, text: &str| {
            writeln!(out, "{name:>11}  {text}").ok(); // writing to a String cannot fail
        };
        for file in self.files.iter().skip(1) {
            line("drop-in", file);
        }
        let site = self.site.as_ref().map(|s| format!(" at {s}")).unwrap_or_default();
        line("device", &format!("{}{site}", self.device));
        for camera in &self.cameras {
            line("camera", &format!("{}: {}", camera.name, camera.source));
            if let Some(next) = &camera.next_picture {
                line("", &format!("next picture at a set time: {next}"));
            }
        }
        line("destination", &self.destination);
        line("spool", &format!("{}, at most {}", self.spool, bytes(self.spool_max_bytes)));
        line("in hand", &format!("at most {}", bytes(self.in_hand_bytes)));
        writeln!(out, "\nWhat it will cost:\n{}", self.cost).ok(); // nor this
        for warning in &self.warnings {
            writeln!(out, "warning: {warning}").ok(); // nor this
        }
        out
    }
}
