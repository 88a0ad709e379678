//! The parts of the archive, as they are found; nothing here is scrubbed yet.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Asked, LIMIT, Part, files};
use crate::camera::v4l2::survey;
use crate::config::errors::blotted;
use crate::config::{self, Config};
use crate::control::request::Request;
use crate::control::socket;
use crate::doctor::command;
use crate::doctor::report::Report;
use crate::sys;

/// Most bytes of any single file or answer.
const MOST: u64 = 256 << 10;
/// Most bytes that are asked of the journal, as JSON.
const JOURNAL: u64 = 8 << 20;
/// Lines of the log.
const LINES: &str = "2000";
/// The doctor keeps to a minute.
const DOCTOR: Duration = Duration::from_secs(75);
/// Drop-ins that are taken along.
const DROP_INS: usize = 64;
/// Files of the spool that are counted.
const COUNTED: usize = 200_000;

/// Everything, in the order of the list; the log comes last, because it gives way first.
pub(super) fn collect(asked: &Asked, config: Option<&Config>) -> Vec<Part> {
    let part = |name, what, text| Part { name, what, text };
    (asked.progress)("the doctor's report");
    let (text, json) = doctor(asked);
    (asked.progress)("status, configuration and machine");
    let last_good = within({
        let state = asked.context.state_dir.clone();
        move || {
            blotted(&text_of(
                Path::new("last-good.toml"),
                files::own(&state, "last-good.toml", MOST),
            ))
        }
    });
    let configured = within({
        let path = asked.config.clone();
        move || config_files(&path)
    });
    let unit = unit(&asked.unit);
    let state = asked.context.state_dir.clone();
    let spool = config.map_or_else(|| state.clone(), |c| c.spool.path.clone());
    let disks = [state, spool.clone()];
    let spool = within(move || self::spool(&spool));
    let mut parts = vec![
        part("doctor.txt", "what `vedette doctor` says", text),
        part("doctor.json", "the same for programs", json),
        part("status.json", "what the running agent says of itself", status(config)),
        part("config.toml", "the configuration, with its drop-ins", configured),
        part("last-good.toml", "the last configuration that it started well with", last_good),
        part("identity.json", "device id and how it came about", identity(config)),
        part("spool.json", "how many files the spool has, and of what size", spool),
        part("devices.json", "what `vedette devices` says, without serial numbers", devices()),
        part("cameras.txt", "device nodes of cameras, their names and rights", cameras()),
        part("system.txt", "versions, kernel, memory, disks", system(disks)),
        part("unit.txt", "the systemd unit, its state and exposure", unit),
    ];
    (asked.progress)("the log");
    parts.push(part("journal.txt", "the log's last lines", journal(&asked.unit)));
    parts
}

/// What a disk tells, or that it hangs.
fn within(ask: impl FnOnce() -> String + Send + 'static) -> String {
    command::within(LIMIT, ask).unwrap_or_else(|| "# the disk does not answer\n".into())
}

/// The doctor runs as a process of its own, because it becomes another user for good.
fn doctor(asked: &Asked) -> (String, String) {
    let no = |why: String| (format!("the doctor could not be asked: {why}\n"), String::new());
    let program = match std::env::current_exe() {
        Ok(path) => path.display().to_string(),
        Err(error) => return no(error.to_string()),
    };
    let (config, state) =
        (asked.config.display().to_string(), asked.context.state_dir.display().to_string());
    let unit = asked.unit.as_str();
    let arguments =
        ["doctor", "--json", "--config", &config, "--state-dir", &state, "--unit", unit];
    match command::output(&program, &arguments, DOCTOR, MOST) {
        Ok(bytes) => match serde_json::from_slice::<Report>(&bytes) {
            Ok(report) => {
                let json = serde_json::to_string_pretty(&report).unwrap_or_default();
                (report.render(false), json)
            }
            Err(error) => no(error.to_string()),
        },
        Err(error) => no(error.to_string()),
    }
}

fn status(config: Option<&Config>) -> String {
    let Some(config) = config else { return "no configuration says where to ask\n".into() };
    match socket::call(&config.control_socket, &Request::Status {}) {
        Ok(body) => match serde_json::from_slice::<Value>(&body) {
            Ok(status) => format!("{status:#}\n"),
            Err(error) => format!("not to be read: {error}\n"),
        },
        Err(error) => format!("{:#}\n", anyhow::Error::new(error)),
    }
}

/// A file's text, or why there is none.
fn read(path: &Path) -> String {
    text_of(path, files::beginning(path, MOST))
}

fn text_of(path: &Path, bytes: io::Result<Vec<u8>>) -> String {
    match bytes {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("# {}: {error}\n", path.display()),
    }
}

/// A configuration, with whatever was written into it by mistake blotted out.
fn toml(path: &Path) -> String {
    blotted(&read(path))
}

/// The file, and each of its drop-ins below its name.
fn config_files(path: &Path) -> String {
    let mut out = toml(path);
    let dir = fs::read_dir(config::drop_in_dir(path)).into_iter().flatten().flatten();
    let mut files: Vec<_> = dir.map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "toml") && file.is_file());
    files.sort();
    for file in files.iter().take(DROP_INS) {
        write!(out, "\n# {}\n{}", file.display(), toml(file)).ok();
    }
    out
}

/// Stable names and the configuration's line hold serial numbers: they are left out.
fn devices() -> String {
    let Some(cameras) = command::within(LIMIT, survey::survey) else {
        return "a driver does not answer\n".into();
    };
    let mut told = serde_json::to_value(cameras).unwrap_or_default();
    for camera in told.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        camera.remove("links");
        camera.remove("write");
        if let Some(usb) = camera.get_mut("usb").and_then(Value::as_object_mut) {
            usb.remove("serial");
        }
    }
    format!("{told:#}\n")
}

/// No serial number, and no hash of one: few enough are possible that a hash tells it.
fn identity(config: Option<&Config>) -> String {
    let Some(identity) = config.map(|c| &c.identity) else { return "{}\n".into() };
    let kinds: Vec<_> = identity.fingerprint.keys().collect();
    let told = json!({
        "device": identity.device,
        "source": format!("{:?}", identity.source),
        "hardware_known_by": format!("{kinds:?}"),
        "cloned": identity.cloned,
        "warnings": identity.warnings,
    });
    format!("{told:#}\n")
}

/// Numbers only: names hold sequence numbers, and pictures are nobody's business.
fn spool(path: &Path) -> String {
    let mut found = Map::new();
    for name in ["images", "boots"] {
        let (files, bytes, whole) = count(&path.join(name));
        found.insert(name.into(), json!({ "files": files, "bytes": bytes, "counted_all": whole }));
    }
    for name in ["spool.json", "index.db", "index.db-wal", "reserve", "lock"] {
        if let Ok(meta) = fs::symlink_metadata(path.join(name)) {
            found.insert(name.into(), json!({ "bytes": meta.len() }));
        }
    }
    format!("{:#}\n", Value::Object(found))
}

fn count(root: &Path) -> (usize, u64, bool) {
    let (mut files, mut bytes, mut left) = (0, 0, vec![root.to_owned()]);
    while let Some(dir) = left.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                left.push(entry.path());
            } else {
                files += 1;
                bytes += meta.len();
            }
            if files >= COUNTED {
                return (files, bytes, false);
            }
        }
    }
    (files, bytes, true)
}

/// Nodes with their rights and the names that drivers give them; stable names hold serial numbers.
fn cameras() -> String {
    let mut out = String::new();
    let mut nodes: Vec<_> = fs::read_dir("/dev").into_iter().flatten().flatten().collect();
    nodes.retain(|e| e.file_name().to_string_lossy().starts_with("video"));
    nodes.sort_by_key(|e| e.file_name());
    for node in nodes {
        let name = node.file_name().to_string_lossy().into_owned();
        let card = read(&Path::new("/sys/class/video4linux").join(&name).join("name"));
        if let Ok(meta) = node.metadata() {
            let group = sys::group_name(meta.gid()).ok().flatten();
            let group = group.unwrap_or_else(|| meta.gid().to_string());
            let mode = meta.mode() & 0o7777;
            writeln!(
                out,
                "/dev/{name} mode {mode:04o} user {} group {group}: {}",
                meta.uid(),
                card.trim()
            )
            .ok();
        }
    }
    if out.is_empty() { "there is no /dev/video*\n".into() } else { out }
}

fn system(disks: [PathBuf; 2]) -> String {
    let uname = rustix::system::uname();
    let mut out = format!(
        "vedette {}\n{} {} {}\n",
        env!("CARGO_PKG_VERSION"),
        uname.sysname().to_string_lossy(),
        uname.release().to_string_lossy(),
        uname.machine().to_string_lossy(),
    );
    out += &format!("now {}\n", Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ"));
    for (file, lines) in [
        ("/etc/os-release", 3),
        ("/proc/device-tree/model", 1),
        ("/sys/class/dmi/id/product_name", 1),
        ("/proc/uptime", 1),
        ("/proc/loadavg", 1),
        ("/proc/meminfo", 3),
        ("/proc/pressure/io", 2),
        ("/etc/resolv.conf", 10),
    ] {
        let text = read(Path::new(file));
        for line in text.lines().filter(|l| !l.starts_with('#')).take(lines) {
            writeln!(out, "{file}: {}", line.trim_end_matches('\0')).ok();
        }
    }
    out + &within(move || rooms(&disks))
}

/// Room of the disks below these directories.
fn rooms(disks: &[PathBuf]) -> String {
    let mut out = String::new();
    for path in disks {
        if let Ok(s) = rustix::fs::statvfs(path) {
            let (free, all) = (s.f_bavail * s.f_frsize, s.f_blocks * s.f_frsize);
            let (path, flags) = (path.display(), s.f_flag);
            writeln!(
                out,
                "{path}: {free} of {all} bytes free, {} of {} inodes, {flags:?}",
                s.f_favail, s.f_files
            )
            .ok();
        }
    }
    out
}

/// The unit with its drop-ins, values of its environment and of credentials left out.
fn unit(name: &str) -> String {
    let ask = |arguments: &[&str]| match command::output("systemctl", arguments, LIMIT, MOST) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => format!("systemctl {}: {error}\n", arguments.first().unwrap_or(&"")),
    };
    let shown = ask(&[
        "show",
        "--no-pager",
        "-p",
        "ActiveState,SubState,Result,NRestarts,ExecMainStatus,\
        UnitFileState,NeedDaemonReload,ActiveEnterTimestamp,MemoryCurrent,TasksCurrent,User,Group",
        "--",
        name,
    ]);
    let files = ask(&["cat", "--no-pager", "--", name]);
    let safe: String = joined(&files).iter().map(|line| without_value(line) + "\n").collect();
    let security = ["security", "--no-pager", name];
    let security = command::output("systemd-analyze", &security, LIMIT, MOST).unwrap_or_default();
    let security = String::from_utf8_lossy(&security).into_owned();
    let score = security.lines().last().unwrap_or_default();
    format!("{shown}\n{safe}\n{score}\n")
}

/// The lines of a unit, each with those that continue it after a `\`: what must not be shown may stand in any
/// of them. A comment goes on in comments only.
fn joined(text: &str) -> Vec<String> {
    let (mut out, mut goes_on) = (Vec::<String>::new(), false);
    let is_comment = |line: &str| line.trim_start().starts_with(['#', ';']);
    for line in text.lines() {
        let line = line.trim_end();
        let (piece, more) = line.strip_suffix('\\').map_or((line, false), |piece| (piece, true));
        match out.last_mut().filter(|last| goes_on && (!is_comment(last) || is_comment(line))) {
            Some(last) => last.push_str(&format!(" {}", piece.trim())),
            None => out.push(piece.to_owned()),
        }
        // systemd passes over comments between the lines.
        goes_on = more || goes_on && is_comment(line) && out.last().is_some_and(|l| !is_comment(l));
    }
    out
}

/// `Environment=A=b` becomes `Environment=A=…`; the same for credentials set in the unit, also where they
/// are commented out.
fn without_value(line: &str) -> String {
    let Some((key, value)) = line.split_once('=') else { return line.to_owned() };
    match key.trim_matches(|c: char| c.is_whitespace() || "#;".contains(c)) {
        "Environment" => {
            let names =
                words(value).into_iter().filter_map(|w| Some(w.split_once('=')?.0.to_owned()));
            format!("{key}={}", names.map(|n| format!("{n}=…")).collect::<Vec<_>>().join(" "))
        }
        "SetCredential" | "SetCredentialEncrypted" => {
            format!("{key}={}:…", value.split(':').next().unwrap_or_default())
        }
        _ => line.to_owned(),
    }
}

/// The words of a value, without their quotes; what stands between quotes is one.
fn words(value: &str) -> Vec<String> {
    let (mut words, mut quote, mut escaped) = (vec![String::new()], None, false);
    for c in value.chars() {
        let word = words.last_mut();
        match c {
            _ if escaped => {
                word.into_iter().for_each(|w| w.push(c));
                escaped = false;
            }
            '\\' => escaped = true,
            '"' | '\'' if quote.is_none() => quote = Some(c),
            _ if quote == Some(c) => quote = None,
            c if c.is_whitespace() && quote.is_none() => words.push(String::new()),
            c => word.into_iter().for_each(|w| w.push(c)),
        }
    }
    words
}

fn journal(unit: &str) -> String {
    let arguments = ["-u", unit, "-n", LINES, "-o", "json", "--no-pager"];
    match command::output("journalctl", &arguments, LIMIT, JOURNAL) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).lines().filter_map(line).collect(),
        Err(error) => format!("the journal cannot be read: {error}\n"),
    }
}

/// A line of the log with its fields, without what the journal adds of machine and process.
fn line(json: &str) -> Option<String> {
    let entry: Map<String, Value> = serde_json::from_str(json).ok()?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let at = text("__REALTIME_TIMESTAMP").and_then(|t| t.parse::<i64>().ok());
    let at = at.and_then(|us| Timestamp::from_microsecond(us).ok());
    let at = at.map(|t| t.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default();
    let mut out = format!("{at} {} {}", text("PRIORITY").unwrap_or("-"), text("MESSAGE")?);
    for (name, value) in entry.iter().filter(|(name, _)| name.starts_with("F_")) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        write!(out, " {name}={value}").ok();
    }
    out.push('\n');
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_the_units_environment_are_left_out() {
        assert_eq!(without_value("Environment=A=HUSH \"B=HUSH\""), "Environment=A=… B=…");
        assert_eq!(without_value("Environment='A=x HUSH=y HUSH=='"), "Environment=A=…");
        assert_eq!(without_value("# Environment=A=HUSH"), "# Environment=A=…");
        assert_eq!(without_value("SetCredential=x:HUSH"), "SetCredential=x:…");
        assert_eq!(without_value("User=vedette"), "User=vedette");
        assert_eq!(without_value("[Service]"), "[Service]");
    }

    #[test]
    fn values_that_go_on_over_lines_are_left_out_whole() {
        let unit = "[Service]\nSetCredentialEncrypted=x: \\\n   HUSH/a= \\\n# between\n   HUSH==\nUser=v\n\
                    Environment=\\\n  A=HUSH \\\n  \"B=HUSH HUSH=\"\n# note \\\nEnvironment=C=HUSH\n\
                    # SetCredential=y:\\\n#  HUSH\nExecStart=/x \\\n --y\n";
        let shown: Vec<_> = joined(unit).iter().map(|line| without_value(line)).collect();
        assert_eq!(
            shown,
            [
                "[Service]",
                "SetCredentialEncrypted=x:…",
                "User=v",
                "Environment=A=… B=…",
                "# note ",
                "Environment=C=…",
                "# SetCredential=y:…",
                "ExecStart=/x  --y",
            ]
        );
    }

    #[test]
    fn a_line_of_the_journal_keeps_its_fields_and_nothing_of_the_machine() {
        let json = r#"{"__REALTIME_TIMESTAMP":"1795412379903000","PRIORITY":"4","MESSAGE":"Upload failed.",
            "F_CAMERA":"front","_HOSTNAME":"HUSH","_MACHINE_ID":"HUSH"}"#;
        let shown = line(json).unwrap();
        assert_eq!(shown, "2026-11-23T05:39:39.903Z 4 Upload failed. F_CAMERA=front\n");
        assert_eq!(line("no json"), None);
    }
}
