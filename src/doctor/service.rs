//! The systemd unit: does it run, does it come back, does it keep falling. Pure but for [`ask`].

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::command;
use super::report::{Check, Finding};
use super::user::Wanted;

/// systemd answers in milliseconds, unless the machine is on its knees.
const LIMIT: Duration = Duration::from_secs(5);
const MOST: u64 = 64 << 10;

const PROPERTIES: &str = "LoadState,ActiveState,SubState,Result,NRestarts,UnitFileState,NeedDaemonReload,\
    User,Group,SupplementaryGroups,ExecMainStatus,WatchdogUSec,StateDirectory,ReadWritePaths,ProtectSystem,\
    Environment";

/// What systemd knows of the unit.
#[derive(Clone, Debug, Default)]
pub(super) struct Unit {
    /// Its name.
    pub(super) name: String,
    properties: BTreeMap<String, String>,
    /// Its files, drop-ins included.
    text: String,
}

/// Asks systemd; an error says why it cannot be asked.
pub(super) fn ask(name: &str) -> Result<Unit, String> {
    let show = ["show", "--no-pager", "-p", PROPERTIES, "--", name];
    let shown = command::output("systemctl", &show, LIMIT, MOST).map_err(|e| e.to_string())?;
    let text = command::output("systemctl", &["cat", "--no-pager", "--", name], LIMIT, MOST);
    let unit = Unit::parse(name, &String::from_utf8_lossy(&shown), text.ok().unwrap_or_default());
    match unit.property("LoadState") {
        "" => Err("systemd does not run here".into()),
        _ => Ok(unit),
    }
}

impl Unit {
    fn parse(name: &str, shown: &str, text: Vec<u8>) -> Self {
        let pair = |line: &str| {
            line.split_once('=').map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned()))
        };
        Self {
            name: name.to_owned(),
            properties: shown.lines().filter_map(pair).collect(),
            text: String::from_utf8_lossy(&text).into_owned(),
        }
    }

    fn property(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }

    /// Is there such a unit?
    pub(super) fn is_installed(&self) -> bool {
        self.property("LoadState") == "loaded"
    }

    /// Does it run now?
    pub(super) fn is_active(&self) -> bool {
        matches!(self.property("ActiveState"), "active" | "reloading")
    }

    /// Who it runs as.
    pub(super) fn wanted(&self) -> Wanted {
        let word = |name| Some(self.property(name).to_owned()).filter(|w| !w.is_empty());
        let more = self.property("SupplementaryGroups").split_whitespace().map(str::to_owned);
        Wanted { user: word("User"), group: word("Group"), more: more.collect() }
    }

    /// Proxy variables in its environment, by name.
    pub(super) fn proxies(&self) -> Vec<String> {
        let words = self.property("Environment").split_whitespace();
        let names = words.filter_map(|w| Some(w.trim_matches('"').split_once('=')?.0.to_owned()));
        names.filter(|n| super::network::is_proxy_variable(n)).collect()
    }

    /// Does systemd hand over a credential of this name?
    pub(super) fn hands_over(&self, credential: &str) -> bool {
        let settings = self.text.lines().filter_map(|line| line.trim().split_once('='));
        settings
            .filter(|(key, _)| {
                matches!(
                    *key,
                    "LoadCredential"
                        | "LoadCredentialEncrypted"
                        | "SetCredential"
                        | "SetCredentialEncrypted"
                        | "ImportCredential"
                )
            })
            .any(|(_, value)| value.split(':').next() == Some(credential))
    }

    /// May it write below this path, by its own settings? The rights of its user are another matter.
    pub(super) fn may_write(&self, path: &Path) -> bool {
        if self.property("ProtectSystem") != "strict" {
            return true;
        }
        let state = self.property("StateDirectory").split_whitespace();
        let state = state.map(|dir| Path::new("/var/lib").join(dir));
        let listed = self.property("ReadWritePaths").split_whitespace();
        let listed = listed.map(|dir| dir.trim_start_matches(['-', '+']).into());
        state.chain(listed).any(|dir: std::path::PathBuf| path.starts_with(dir))
    }
}

/// What there is to say of the unit; `answers` tells that an agent listens on the control socket.
pub(super) fn findings(unit: &Result<Unit, String>, answers: bool) -> Vec<Finding> {
    let unit = match unit {
        Ok(unit) => unit,
        Err(why) => {
            return vec![Finding::untried(
                Check::Service,
                format!("systemd cannot be asked ({why})"),
            )];
        }
    };
    let name = &unit.name;
    let log = format!("`journalctl -u {name} -n 50` has its last words.");
    if !unit.is_installed() {
        let (text, help) = match unit.property("LoadState") {
            "masked" => (format!("{name} is masked"), format!("`systemctl unmask {name}`.")),
            _ if answers => {
                let text = format!("there is no {name}, and yet an agent runs");
                (text, "Nothing starts it again when it ends: install the package's unit.".into())
            }
            _ => {
                (format!("there is no {name}"), "Install the package, or its unit file.".to_owned())
            }
        };
        return vec![Finding::warning(Check::Service, text, help)];
    }
    let mut found = vec![state(unit, answers, &log)];
    let warn = |text: String, help: String| Finding::warning(Check::Service, text, help);
    if unit.property("UnitFileState") == "disabled" {
        found.push(warn(
            format!("{name} does not start with the machine"),
            format!("`systemctl enable {name}`."),
        ));
    }
    if unit.property("NeedDaemonReload") == "yes" {
        found.push(warn(
            format!("the files of {name} changed and systemd has not read them"),
            format!("`systemctl daemon-reload`, then `systemctl restart {name}`."),
        ));
    }
    let restarts: u64 = unit.property("NRestarts").parse().unwrap_or(0);
    if unit.is_active() && restarts > 0 {
        let times = if restarts == 1 { "once".into() } else { format!("{restarts} times") };
        found.push(warn(format!("{name} fell and was started again {times}"), log));
    }
    found
}

fn state(unit: &Unit, answers: bool, log: &str) -> Finding {
    let name = &unit.name;
    let result = unit.property("Result");
    let falls =
        unit.property("SubState") == "auto-restart" || unit.property("ActiveState") == "failed";
    if falls {
        let (why, help) = fall(result, unit.property("ExecMainStatus"));
        let help = format!("{help}{}{log}", if help.is_empty() { "" } else { " " });
        return Finding::wrong(Check::Service, format!("{name} keeps ending: {why}"), help);
    }
    if !unit.is_active() {
        let (state, sub) = (unit.property("ActiveState"), unit.property("SubState"));
        if answers || state == "activating" {
            let text = format!("{name} is {state} ({sub})");
            return Finding::warning(
                Check::Service,
                text,
                "An agent was started without it, or it only just starts.",
            );
        }
        let help = format!("`systemctl start {name}`. {log}");
        return Finding::wrong(Check::Service, format!("{name} does not run ({state})"), help);
    }
    match unit.property("WatchdogUSec") {
        "0" | "infinity" => Finding::warning(
            Check::Service,
            format!("{name} runs, without a watchdog: an agent that hangs stays so"),
            "Remove `WatchdogSec=` from its drop-ins: `systemctl cat` shows them.",
        ),
        "" => Finding::ok(Check::Service, format!("{name} runs")),
        watchdog => Finding::ok(Check::Service, format!("{name} runs, watchdog {watchdog}")),
    }
}

/// Why a service ended, and what helps, by systemd's words and the exit status.
fn fall(result: &str, status: &str) -> (String, &'static str) {
    match (result, status) {
        ("watchdog", _) => (
            "the watchdog ended it, a thread was past its deadline".into(),
            "Mostly a disk that hangs: `journalctl -k` shows the kernel's log.",
        ),
        ("oom-kill", _) => (
            "the kernel ended it, there was no memory".into(),
            "Lower `memory.in_hand`, or the size of the largest camera.",
        ),
        (_, "78") => (
            "no usable configuration, and no last good one (exit 78)".into(),
            "`vedette check` says what is wrong.",
        ),
        (_, "243") => (
            "systemd cannot hand over its credentials (exit 243)".into(),
            "Is there a file for each `LoadCredential=` of the unit?",
        ),
        (_, "217") => (
            "its user is not there (exit 217)".into(),
            "Install the package again, or run `systemd-sysusers`.",
        ),
        (_, "216") => ("its group is not there (exit 216)".into(), "Run `systemd-sysusers`."),
        (_, "203") => {
            ("its program cannot be started (exit 203)".into(), "Install the package again.")
        }
        ("exit-code", status) => (format!("exit {status}"), ""),
        (result, _) => (result.to_owned(), ""),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    fn unit(lines: &str) -> Result<Unit, String> {
        let loaded = format!("LoadState=loaded\n{lines}");
        Ok(Unit::parse(
            "vedette.service",
            &loaded,
            b"[Service]\nLoadCredential=store.credentials:/etc/x\n".to_vec(),
        ))
    }

    fn said(unit: &Result<Unit, String>) -> (State, String) {
        let found = findings(unit, false);
        let last = found.last().unwrap();
        (last.state, format!("{} {}", last.text, last.help.as_deref().unwrap_or_default()))
    }

    const RUNS: &str =
        "ActiveState=active\nSubState=running\nResult=success\nWatchdogUSec=30s\nNRestarts=0\n";

    #[test]
    fn each_way_to_fall_has_its_own_words() {
        for (lines, part) in [
            (
                "ActiveState=activating\nSubState=auto-restart\nResult=watchdog\n",
                "past its deadline",
            ),
            ("ActiveState=failed\nResult=exit-code\nExecMainStatus=78\n", "vedette check"),
            ("ActiveState=failed\nResult=exit-code\nExecMainStatus=243\n", "credentials"),
            ("ActiveState=failed\nResult=exit-code\nExecMainStatus=217\n", "systemd-sysusers"),
            ("ActiveState=failed\nResult=oom-kill\n", "memory.in_hand"),
            ("ActiveState=failed\nResult=exit-code\nExecMainStatus=1\n", "exit 1"),
            ("ActiveState=failed\nResult=signal\n", "signal"),
            ("ActiveState=inactive\nSubState=dead\n", "systemctl start"),
        ] {
            let (state, text) = said(&unit(lines));
            assert!(state == State::Wrong && text.contains(part), "{lines}: {text}");
            assert!(text.contains("journalctl"), "{text}");
        }
    }

    #[test]
    fn a_unit_that_runs_may_still_deserve_a_look() {
        assert_eq!(said(&unit(RUNS)).0, State::Ok);
        for (more, part) in [
            ("UnitFileState=disabled\n", "systemctl enable"),
            ("NeedDaemonReload=yes\n", "daemon-reload"),
            ("NRestarts=3\n", "3 times"),
            ("WatchdogUSec=0\n", "without a watchdog"),
        ] {
            let (state, text) = said(&unit(&format!("{RUNS}{more}")));
            assert!(state == State::Warning && text.contains(part), "{more}: {text}");
        }
        let none = Ok(Unit::parse("vedette.service", "LoadState=not-found\n", Vec::new()));
        assert!(said(&none).1.contains("Install the package"));
        assert_eq!(said(&Err("no".into())).0, State::Untried);
    }

    #[test]
    fn what_the_unit_gives_the_agent_is_read_from_it() {
        let unit = unit(
            "ProtectSystem=strict\nStateDirectory=vedette\nReadWritePaths=-/srv/pictures /a\nUser=vedette\n\
             SupplementaryGroups=video render\nEnvironment=A=b HTTPS_PROXY=http://me:HUSH@p\n",
        )
        .unwrap();
        assert!(unit.hands_over("store.credentials") && !unit.hands_over("mqtt.password"));
        let may = |path: &str| unit.may_write(Path::new(path));
        assert!(may("/var/lib/vedette/spool") && may("/srv/pictures") && !may("/srv/other"));
        assert_eq!(unit.wanted().user.as_deref(), Some("vedette"));
        assert_eq!(unit.wanted().more, ["video", "render"]);
        assert_eq!(unit.proxies(), ["HTTPS_PROXY"]);
    }
}
