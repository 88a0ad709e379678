//! `vedette status`: what the running agent does, for people, scripts and health checks.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use crate::contract::Class;
use crate::control::request::Request;
use crate::control::socket::{self, CallError};
use crate::status::{
    CameraStatus, CommandsStatus, ConfigStatus, MqttStatus, RiskStatus, ScheduleStatus, Status,
    UploadStatus,
};

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
    let body = socket::call(&options.socket, &Request::Status {}).map_err(no_answer)?;
    serde_json::from_slice(&body).context("the agent's answer is of another version")
}

/// What went wrong first, then what helps.
fn no_answer(error: CallError) -> anyhow::Error {
    let help = match &error {
        CallError::NotRunning { source, .. }
            if source.kind() == std::io::ErrorKind::PermissionDenied =>
        {
            "ask as root or as the agent's user: `sudo vedette status`"
        }
        CallError::NotRunning { .. } => {
            "is it started (`systemctl status vedette`), and is this the `control.socket` of its \
             configuration? If not, give `--socket`"
        }
        // The reason itself says what would be right.
        CallError::Refused(_) => return error.into(),
        CallError::Broken(_) => "ask again",
    };
    anyhow::anyhow!("{:#}\n  help: {help}", anyhow::Error::new(error))
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
    line(&mut out, "config", &config_words(&s.config));
    let trust = match &s.clock.source {
        Some(source) => format!("trusted ({source})"),
        None => "NOT TRUSTED: pictures wait for the right time".to_owned(),
    };
    line(&mut out, "clock", &format!("{}, {trust}", s.clock.now));
    for (name, camera) in &s.cameras {
        line(&mut out, "camera", &format!("{name}: {}", camera_words(camera)));
        if let Some(schedule) = &camera.schedule {
            line(&mut out, "", &schedule_words(schedule));
        }
    }
    line(&mut out, "upload", &upload_words(&s.upload));
    if let Some(mqtt) = &s.mqtt {
        line(&mut out, "mqtt", &mqtt_words(mqtt));
        outbox_lines(&mut out, mqtt);
    }
    if s.commands.received > 0 || s.commands.open > 0 {
        line(&mut out, "commands", &commands_words(&s.commands));
    }
    out.push_str(&sums(s));
    let l = &s.ledger;
    if l.waiting > 0 {
        line(&mut out, "", &format!("{} of the queued wait for a trusted clock", l.waiting));
    }
    if let Some(rebuild) = &l.rebuilding {
        let text = format!(
            "its index was lost and is REBUILT, {} % done, {} read: what is not read yet is in no sum",
            rebuild.percent,
            count(rebuild.files, "picture")
        );
        line(&mut out, "", &text);
    } else if l.generation > 1 {
        line(&mut out, "", "its index was lost once and rebuilt: the sum began anew then");
    }
    for loss in l.losses.iter().take(LOSSES) {
        let (camera, class) = (&loss.camera, class_word(loss.class));
        line(
            &mut out,
            "",
            &format!("lost {} of {camera}, {class}: {}", loss.pictures, loss.reason),
        );
    }
    if l.losses.len() > LOSSES {
        line(&mut out, "", "more losses are in --json");
    }
    let left = match l.room < l.max_bytes {
        true => format!("; the disk has room for {}", bytes(l.room)),
        false => String::new(),
    };
    line(&mut out, "", &format!("{} of {} in use{left}", bytes(l.bytes), bytes(l.max_bytes)));
    if let Some(words) = at_risk(&l.at_risk) {
        line(&mut out, "", &words);
    }
    out
}

/// Kinds of loss that are shown to a person.
const LOSSES: usize = 8;

fn class_word(class: Class) -> &'static str {
    match class {
        Class::Interval => "by interval",
        Class::Event => "further pictures of events",
        Class::Best => "best of their event, or asked for",
        Class::Manifest => "manifests",
    }
}

fn config_words(c: &ConfigStatus) -> String {
    let mut out = c.path.clone();
    if c.last_good {
        out += " is broken: the last good one runs";
    }
    if !c.restart_needed.is_empty() {
        write!(out, "; restart to change {}", c.restart_needed.join(", ")).ok();
    }
    out
}

fn upload_words(u: &UploadStatus) -> String {
    let mut out = match u.paused {
        true => format!("PAUSED by a command: pictures are kept and not sent\n{:>9}  ", ""),
        false => String::new(),
    };
    out += &u.destination;
    match u.last_stored_s {
        Some(ago) => write!(out, ", last stored {} ago", duration(ago)),
        None => write!(out, ", nothing stored yet in this run"),
    }
    .ok();
    if u.in_flight > 0 {
        write!(out, ", {} under way", u.in_flight).ok();
    }
    let trouble = match (&u.parked, &u.retrying) {
        (Some(_), _) => Some("PARKED, see its alarm".to_owned()),
        (None, Some(why)) => Some(format!("FAILING: {why}")),
        (None, None) => None,
    };
    if let Some(trouble) = trouble {
        let failures = count(u64::from(u.failures), "failure");
        write!(out, "\n{:>9}  {trouble} ({failures} in a row", "").ok();
        u.retry_in_s.map(|s| write!(out, ", tries again in {}", duration(s)).ok());
        out.push(')');
    }
    out
}

fn mqtt_words(m: &MqttStatus) -> String {
    let mut out = m.broker.clone();
    if m.connected {
        write!(out, ", connected ({} in this run)", count(m.connections, "connection")).ok();
    } else {
        write!(out, ", NOT CONNECTED").ok();
        if let Some(why) = &m.last_error {
            write!(out, ": {why}").ok();
        }
        if m.failures > 0 {
            write!(out, " ({} in a row)", count(u64::from(m.failures), "failure")).ok();
        }
    }
    write!(out, "\n{:>9}  stored events told {}", "", m.stored_told).ok();
    for (n, what) in [(m.stored_lost, "lost"), (m.dropped, "other messages dropped")] {
        if n > 0 {
            write!(out, ", {n} {what}").ok();
        }
    }
    out
}

/// The sum of each kind of message that must arrive, where there ever was one.
fn outbox_lines(out: &mut String, m: &MqttStatus) {
    for (kind, o) in m.outbox.iter().filter(|(_, o)| o.put > 0 || !o.holds) {
        let (arrived, queued, dropped) = (o.arrived, o.queued, o.dropped);
        let sum = format!(
            "{kind}: put {} = arrived {arrived} + queued {queued} + dropped {dropped}   {}",
            o.put,
            tick(o.holds)
        );
        line(out, "", &sum);
    }
}

fn commands_words(c: &CommandsStatus) -> String {
    let rejected: u64 = c.rejected.values().sum();
    let mut out = format!(
        "received {} = accepted {} + known before {} + rejected {rejected}{}",
        c.received,
        c.accepted,
        c.known,
        reasons(&c.rejected)
    );
    for (n, what) in [(c.ignored, "ignored"), (c.dropped, "dropped"), (c.in_hand, "in hand")] {
        if n > 0 {
            write!(out, " + {what} {n}").ok();
        }
    }
    write!(out, "   {}", tick(c.holds)).ok();
    if c.open > 0 {
        write!(out, "\n{:>9}  {} not ended yet", "", count(c.open, "command")).ok();
    }
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
    out
}

/// What a power cut would take; `None` where that is nothing, ever.
fn at_risk(risk: &RiskStatus) -> Option<String> {
    let RiskStatus { durability, pictures, bytes: held, max_bytes } = risk;
    (*max_bytes > 0).then(|| {
        let held = format!("{}, {}", count(*pictures, "picture"), bytes(*held));
        format!(
            "durability {durability}: in memory only {held}; a power cut takes at most {}",
            bytes(*max_bytes)
        )
    })
}

fn camera_words(c: &CameraStatus) -> String {
    // Why it is lost stands in its alarm.
    let mut out = match &c.format {
        _ if c.state == "lost" => "LOST".to_owned(),
        Some(format) => format!("{} {format}", c.state),
        None => c.state.clone(),
    };
    if c.frames > 0 {
        write!(out, ", {} frames, {} analysed, {} with motion", c.frames, c.analysed, c.motion)
            .ok();
        write!(out, ", {}, {} chosen", count(c.events, "event"), c.chosen).ok();
    }
    for (n, what) in [
        (c.pre_event, "of them from before an event"),
        (c.similar, "due that showed nothing new"),
        (c.burst, "over the burst limit"),
        (c.cool_down, "in the cool-down"),
        (c.skipped, "unusable"),
        (c.gaps, "dropped by the camera"),
        (c.passed_over, "passed over for newer ones"),
        (c.reopened, "attempts to open it again"),
    ] {
        if n > 0 {
            write!(out, ", {n} {what}").ok();
        }
    }
    out
}

/// What holds now, and when the next picture is due.
fn schedule_words(s: &ScheduleStatus) -> String {
    let mut out =
        if s.motion { "motion makes events now" } else { "motion makes NO events at this hour" }
            .to_owned();
    if s.zones > 0 {
        write!(out, ", {} of {} with hours on", s.zones_on, count(s.zones, "zone")).ok();
    }
    if let Some(next) = &s.next {
        write!(out, ", next picture {next}").ok();
    }
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

/// A number of things, in the singular where there is one.
pub(super) fn count(n: u64, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::OutboxStatus;

    #[test]
    fn a_paused_uploader_is_the_first_thing_said_of_it() {
        let mut upload =
            UploadStatus { destination: "directory store".into(), ..Default::default() };
        assert!(upload_words(&upload).starts_with("directory store, "));
        upload.paused = true;
        assert!(upload_words(&upload).starts_with("PAUSED by a command"));
    }

    #[test]
    fn the_broker_and_its_outbox_are_told_with_their_sums() {
        let outcome = OutboxStatus { put: 3, arrived: 1, queued: 1, dropped: 1, holds: true };
        let broken = OutboxStatus { put: 3, holds: false, ..Default::default() };
        let mut mqtt = MqttStatus {
            broker: "mqtts://broker:8883".into(),
            connected: true,
            connections: 1,
            stored_lost: 2,
            ..Default::default()
        };
        assert_eq!(
            mqtt_words(&mqtt).lines().next(),
            Some("mqtts://broker:8883, connected (1 connection in this run)")
        );
        assert!(mqtt_words(&mqtt).ends_with("stored events told 0, 2 lost"));
        let never = OutboxStatus { holds: true, ..Default::default() };
        mqtt.outbox = [("alarm", broken), ("outcome", outcome), ("stored", never)]
            .map(|(kind, sum)| (kind.to_owned(), sum))
            .into();
        let mut lines = String::new();
        outbox_lines(&mut lines, &mqtt);
        assert!(lines.contains("outcome: put 3 = arrived 1 + queued 1 + dropped 1   ✓"), "{lines}");
        assert!(lines.contains("alarm: put 3") && lines.contains("DOES NOT ADD UP"), "{lines}");
        assert!(!lines.contains("stored:"), "nothing ever put, nothing to say: {lines}");
        mqtt.connected = false;
        mqtt.last_error = Some("connection refused".into());
        mqtt.failures = 2;
        let away = "mqtts://broker:8883, NOT CONNECTED: connection refused (2 failures in a row)";
        assert_eq!(mqtt_words(&mqtt).lines().next(), Some(away));
    }

    #[test]
    fn what_goes_by_the_clock_is_told_in_one_line() {
        let mut schedule = ScheduleStatus { motion: true, ..Default::default() };
        assert_eq!(schedule_words(&schedule), "motion makes events now");
        let next = Some("2026-11-24T08:00:00+01:00".to_owned());
        schedule = ScheduleStatus { motion: false, zones_on: 1, zones: 2, next };
        let words = "motion makes NO events at this hour, 1 of 2 zones with hours on, next picture \
                     2026-11-24T08:00:00+01:00";
        assert_eq!(schedule_words(&schedule), words);
    }

    #[test]
    fn commands_are_told_with_why_some_were_rejected() {
        let mut commands = CommandsStatus {
            received: 4,
            accepted: 2,
            known: 1,
            rejected: [("expired".to_owned(), 1)].into(),
            holds: true,
            ..Default::default()
        };
        let expected = "received 4 = accepted 2 + known before 1 + rejected 1 (expired 1)   ✓";
        assert_eq!(commands_words(&commands), expected);
        (commands.in_hand, commands.open, commands.holds) = (1, 2, false);
        let words = commands_words(&commands);
        assert!(words.contains("(expired 1) + in hand 1   ✗ DOES NOT ADD UP"), "{words}");
        assert!(words.ends_with("2 commands not ended yet"), "{words}");
    }
}
