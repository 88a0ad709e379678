//! `vedette doctor`: tries everything a picture needs on its way, and says what is wrong and what to do.
//!
//! For people, with colours on a terminal, or one JSON object (`--json`). Exit code 0 when nothing is
//! wrong, 1 when something is.

use std::io::IsTerminal;
use std::process::ExitCode;

use super::ConfigArgs;
use crate::doctor::{self, Asked};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// The agent's systemd unit.
    #[arg(long, value_name = "NAME", default_value = "vedette.service")]
    unit: String,
    /// Look as this user, when started as root. By default the unit's user, else `vedette`.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
}

pub(super) fn run(options: &Options) -> ExitCode {
    let asked = Asked {
        config: options.config.config.clone(),
        context: options.config.context(),
        unit: options.unit.clone(),
        user: options.user.clone(),
        progress: if std::io::stderr().is_terminal() { waiting } else { |_| {} },
    };
    let report = match doctor::run(asked) {
        Ok(report) => report,
        Err(error) => return super::failed(&error.into()),
    };
    if std::io::stderr().is_terminal() {
        super::say(CLEAR);
    }
    let text = match options.json {
        true => serde_json::to_string(&report).map(|json| json + "\n"),
        false => Ok(report.render(colours())),
    };
    match text.map_err(anyhow::Error::from).and_then(|text| Ok(super::print(&text)?)) {
        Ok(()) => ExitCode::from(u8::from(!report.ok)),
        Err(error) => super::failed(&error),
    }
}

/// Takes the line of progress away again.
const CLEAR: &str = "\r\u{1b}[K";

/// One line that is written over: what is waited for.
fn waiting(what: &str) {
    super::say(&format!("{CLEAR}looking at {what} … (a minute at most)"));
}

/// On a terminal, unless the person wants none (no-color.org).
fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}
