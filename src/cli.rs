//! What people call: one file per subcommand.
//!
//! Exit codes: 0 done, 1 it failed, 2 wrong usage (clap's), 78 the configuration is wrong
//! (`EX_CONFIG` of sysexits.h).

mod analyze;
mod check;
mod contact_sheet;
mod demo;
mod devices;
mod diagnose;
mod doctor;
mod privacy;
mod run;
mod snap;
mod spool;
mod status;
mod trigger;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config;

/// Sensor agent for smart cameras: first pass on the device, pictures straight to object storage.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent: capture, first pass, spool, upload.
    Run(run::Options),
    /// Check a configuration and say what it will cost.
    Check(check::Options),
    /// Show Vedette at work, without configuration or network.
    Demo(demo::Options),
    /// Show the cameras that are plugged in, how to name each, and a configuration to begin with.
    Devices(devices::Options),
    /// Take one picture of a camera and write it to a file.
    Snap(snap::Options),
    /// Show what the running agent does.
    Status(status::Options),
    /// Try everything a picture needs on its way, and say what is wrong and what to do.
    Doctor(doctor::Options),
    /// Pack what support needs into one archive, with every secret removed.
    Diagnose(diagnose::Options),
    /// Take a picture and keep it, because a detector or a sensor on this device says so.
    Trigger(trigger::Options),
    /// Close all cameras of the running agent, until told otherwise.
    Privacy(privacy::Options),
    /// List, show, check, send again, remove or copy the pictures that wait on this device.
    Spool(spool::Options),
    /// Run the first pass over recorded frames and tell what it saw, a line a frame.
    Analyze(analyze::Options),
}

/// Where the configuration is.
#[derive(Args, Clone, Debug)]
pub struct ConfigArgs {
    /// Configuration file; beside it, drop-ins: `vedette.d/*.toml` for `vedette.toml`.
    #[arg(short, long, default_value = config::DEFAULT_PATH, value_name = "FILE")]
    config: PathBuf,
    /// Directory of what the agent remembers: pinned identity, last good configuration. By default
    /// $STATE_DIRECTORY, else /var/lib/vedette.
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl ConfigArgs {
    fn context(&self) -> config::Context {
        config::Context::from_env(self.state_dir.clone())
    }

    /// The present file, or what is wrong with it.
    fn check(&self) -> Result<config::Config, config::ConfigErrors> {
        config::check(&self.config, &self.context())
    }

    /// The files as they are merged; only called for what [`Self::check`] finds right.
    fn merged(&self) -> anyhow::Result<String> {
        Ok(config::merged(&self.config)?)
    }
}

/// Runs the subcommand that was asked for.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    match cli.command {
        Command::Run(options) => run::run(options),
        Command::Check(options) => check::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Devices(options) => devices::run(&options),
        Command::Snap(options) => snap::run(&options),
        Command::Status(options) => status::run(&options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Diagnose(options) => diagnose::run(&options),
        Command::Trigger(options) => trigger::run(&options),
        Command::Privacy(options) => privacy::run(&options),
        Command::Spool(options) => spool::run(&options),
        Command::Analyze(options) => analyze::run(&options),
    }
}

/// Says what went wrong on stderr, with its causes, and gives exit code 1. Whoever closed our stdout
/// (`| head`) has seen enough: that is told to nobody.
fn failed(error: &anyhow::Error) -> ExitCode {
    if !error.chain().any(is_broken_pipe) {
        say(&format!("vedette: {error:#}\n"));
    }
    ExitCode::FAILURE
}

fn is_broken_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    let kind = match error.downcast_ref::<std::io::Error>() {
        Some(io) => Some(io.kind()),
        None => error.downcast_ref().and_then(serde_json::Error::io_error_kind),
    };
    kind == Some(std::io::ErrorKind::BrokenPipe)
}

/// Writes to stderr; there is nobody to tell when that fails.
fn say(text: &str) {
    use std::io::Write;
    std::io::stderr().lock().write_all(text.as_bytes()).ok();
}

/// Writes to stdout; a closed pipe (`| head`) is an error for the caller to end on.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// The one runtime: the current thread, and at most two for DNS and file reads.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2)
        .build()?)
}

/// Shows what is wrong with a configuration, with colours on a terminal.
fn tell(errors: &config::ConfigErrors) {
    use std::io::IsTerminal;
    say(&(errors.render(std::io::stderr().is_terminal()) + "\n"));
}
