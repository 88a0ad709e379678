//! The running agent: does it answer, and what does it say of itself.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use super::report::{Check, Finding};
use super::within;
use crate::control::request::Request;
use crate::control::socket::{self, CallError};
use crate::status::{Alarm, Status};

/// An agent that turns answers at once; one whose disk hangs answers in seconds.
const LIMIT: Duration = Duration::from_secs(8);

/// How the agent stands.
#[derive(Clone, Debug)]
pub(super) enum Agent {
    /// It answers.
    Answers(Box<Status>),
    /// It listens, and says nothing.
    Hangs,
    /// It listens, and not for us.
    Closed,
    /// Nobody listens.
    Away,
}

impl Agent {
    /// Asks for the status.
    pub(super) async fn ask(socket: PathBuf) -> Self {
        let asked = within(LIMIT, move || socket::call(&socket, &Request::Status {})).await;
        match asked {
            Some(Ok(body)) => match serde_json::from_slice(&body) {
                Ok(status) => Self::Answers(status),
                Err(_) => Self::Hangs,
            },
            Some(Err(CallError::NotRunning { source, .. })) => match source.kind() {
                ErrorKind::PermissionDenied => Self::Closed,
                _ => Self::Away,
            },
            Some(Err(_)) | None => Self::Hangs,
        }
    }

    /// Its status, where it tells it.
    pub(super) fn status(&self) -> Option<&Status> {
        match self {
            Self::Answers(status) => Some(status),
            _ => None,
        }
    }

    /// Does one run?
    pub(super) fn runs(&self) -> bool {
        !matches!(self, Self::Away)
    }

    /// The alarm of this name, about this subject.
    pub(super) fn alarm(&self, name: &str) -> Option<&Alarm> {
        self.status()?.alarms.iter().find(|alarm| alarm.name == name)
    }

    /// What there is to say of it; alarms of cameras, store and broker are told where those are looked at.
    pub(super) fn findings(&self, socket: &str) -> Vec<Finding> {
        let status = match self {
            Self::Answers(status) => status,
            Self::Hangs => {
                let text = format!("the agent listens on {socket} and gives no answer");
                let help = "If it goes on, the watchdog starts it again within a minute: see its log, and the \
                            disk. A stopped process (SIGSTOP) looks the same.";
                return vec![Finding::wrong(Check::Agent, text, help)];
            }
            Self::Closed => {
                let text = format!("{socket} is for root and the agent's user only");
                let help = "Ask as root: `sudo vedette doctor`.";
                return vec![Finding::warning(Check::Agent, text, help)];
            }
            Self::Away => {
                let text = format!("no agent runs: nobody listens on {socket}");
                let help = "`systemctl start vedette`, or `vedette run` in a terminal, says why it does not stay.";
                return vec![Finding::wrong(Check::Agent, text, help)];
            }
        };
        let mut found = Vec::new();
        for alarm in &status.alarms {
            if let Some(help) = remedy(&alarm.name) {
                let text = format!("alarm {}: {}", alarm.name, alarm.text);
                found.push(Finding::wrong(Check::Agent, text, help));
            }
        }
        if status.version != env!("CARGO_PKG_VERSION") {
            let text = format!(
                "the agent that runs is {}, installed is {}",
                status.version,
                env!("CARGO_PKG_VERSION")
            );
            found.push(Finding::warning(Check::Agent, text, "`systemctl restart vedette`."));
        }
        if !status.config.restart_needed.is_empty() {
            let keys = status.config.restart_needed.join(", ");
            let text = format!("it runs without what changed in {keys}");
            found.push(Finding::warning(Check::Agent, text, "`systemctl restart vedette`."));
        }
        if status.upload.paused {
            let text = "uploads are paused by a command: pictures are kept and not sent";
            found.push(Finding::warning(Check::Agent, text, "`upload.resume` over MQTT ends it."));
        }
        if found.is_empty() {
            let queued = status.ledger.queued;
            let waits = match queued {
                0 => "nothing waits to be sent".to_owned(),
                1 => "1 picture waits to be sent".to_owned(),
                n => format!("{n} pictures wait to be sent"),
            };
            found.push(Finding::ok(Check::Agent, format!("it runs; {waits}")));
        }
        found
    }
}

/// What helps against an alarm that no other check tells.
fn remedy(alarm: &str) -> Option<&'static str> {
    Some(match alarm {
        "camera" | "destination" | "mqtt" => return None,
        "config" => "Correct the file, then `systemctl reload vedette`.",
        "cloned" => {
            "Set a `device.id` of its own, or remove `identity.json` from the state directory; restart."
        }
        "memory" => "Raise `memory.in_hand` to what it says; restart.",
        "settings" => "`vedette devices` shows what the camera takes.",
        "thread" | "spool" => {
            "Mostly a disk that hangs or is full: see the kernel's log, `journalctl -k`."
        }
        "account" => "A fault of ours: please report it, with `vedette diagnose`.",
        _ => "docs/operate.md has every alarm and what helps.",
    })
}
