//! `vedette status`: what the running agent does, for people, scripts and health checks.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::control::command::Request;
use crate::control::socket;
use crate::status::{CameraStatus, Status};

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Print nothing; exit 0 when the agent is healthy, 1 when it is not or does not run.
    #[arg(long)]
    healthy: bool,
    /// The agent's control socket.
    #[arg(long, value_name = "PATH", default_value = "/run/vedette/control.sock")]
    socket: PathBuf,
}

pub(super) fn run(options: &Options) -> ExitCode {
    match ask(options) {
        Ok(status) if options.healthy => ExitCode::from(u8::from(!status.healthy)),
        Ok(status) => match show(options, &status) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => super::failed(&error),
        },
        Err(_) if options.healthy => ExitCode::FAILURE,
        Err(error) => super::failed(&error),
    }
}

fn ask(options: &Options) -> anyhow::Result<Status> {
    let body = socket::call(&options.socket, &Request::Status {})?;
    serde_json::from_slice(&body).context("the agent's answer is of another version")
}

fn show(options: &Options, status: &Status) -> anyhow::Result<()> {
    let text = if options.json { serde_json::to_string(status)? + "\n" } else { render(status) };
    Ok(super::print(&text)?)
}

/// The status as a person reads it.
pub(super) fn render(s: &Status) -> String {
    let mut out = String::new();
    let word = if s.healthy { "healthy" } else { "NOT WELL" };
    let site = s.site.as_ref().map(|s| format!(" at {s}")).unwrap_or_default();
    line(&mut out, "device", &format!("{}{site}, {word}, up {}", s.device, duration(s.uptime_s)));
    for alarm in &s.alarms {
        line(&mut out, "ALARM", &format!("{}: {}", alarm.name, alarm.text));
    }
    let which = if s.config.last_good { " is broken: the last good one runs" } else { "" };
    line(&mut out, "config", &format!("{}{which}", s.config.path));
    let trust = s.clock.source.as_ref().map_or("not trusted".into(), |s| format!("trusted ({s})"));
    line(&mut out, "clock", &format!("{}, {trust}", s.clock.now));
    for (name, camera) in &s.cameras {
        line(&mut out, "camera", &format!("{name}: {}", camera_words(camera)));
    }
    let parked = s.upload.parked.as_ref().map(|w| format!(", PARKED: {w}")).unwrap_or_default();
    line(
        &mut out,
        "upload",
        &format!("{}, {} in flight{parked}", s.upload.destination, s.upload.in_flight),
    );
    out.push_str(&sums(s));
    out
}

/// Both sums of the account, and whether they hold.
pub(super) fn sums(s: &Status) -> String {
    let mut out = String::new();
    let (r, l) = (&s.run, &s.ledger);
    line(
        &mut out,
        "this run",
        &format!(
            "chosen {} = kept {} + refused {}{} + in hand {}   {}",
            r.chosen,
            r.kept,
            r.refused.values().sum::<u64>(),
            reasons(&r.refused),
            r.in_hand,
            tick(r.holds)
        ),
    );
    line(
        &mut out,
        "spool",
        &format!(
            "kept {} = stored {} + queued {} + quarantined {} + lost {}{}   {}",
            l.kept,
            l.stored,
            l.queued,
            l.quarantined,
            l.lost.values().sum::<u64>(),
            reasons(&l.lost),
            tick(l.holds)
        ),
    );
    if let Some(why) = &l.stale {
        line(&mut out, "", &format!("as last known, not of now: {why}"));
    }
    if l.waiting > 0 {
        line(&mut out, "", &format!("{} of the queued wait for a trusted clock", l.waiting));
    }
    line(&mut out, "", &format!("{} of {} in use", bytes(l.bytes), bytes(l.max_bytes)));
    out
}

fn camera_words(c: &CameraStatus) -> String {
    let mut out = c.state.clone();
    if let Some(format) = &c.format {
        write!(out, " {format}").ok();
    }
    if let Some(why) = &c.why {
        write!(out, " ({why})").ok();
    }
    write!(
        out,
        ", {} frames, {} analysed, {} with motion, {} events, {} chosen, {} unusable",
        c.frames, c.analysed, c.motion, c.events, c.chosen, c.skipped
    )
    .ok();
    out
}

fn line(out: &mut String, name: &str, text: &str) {
    writeln!(out, "{name:>9}  {text}").ok(); // writing to a String cannot fail
}

fn reasons(map: &std::collections::BTreeMap<String, u64>) -> String {
    if map.is_empty() {
        return String::new();
    }
    let parts: Vec<_> = map.iter().map(|(k, v)| format!("{k} {v}")).collect();
    format!(" ({})", parts.join(", "))
}

fn tick(holds: bool) -> &'static str {
    if holds { "✓" } else { "✗ DOES NOT ADD UP" }
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// Bytes in the largest unit that keeps three digits readable.
pub(super) fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return if unit == "B" { format!("{n} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}
