//! What the doctor says: findings, and how people and programs read them. Pure.
//!
//! The first line is the verdict. Each finding is one line, wrapped at [`WIDTH`], with its remedy
//! indented below it. Field names and words of the JSON are only ever added to.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// Columns of a terminal that a person on a ladder has.
pub const WIDTH: usize = 80;

/// Where the text of a finding begins.
const INDENT: usize = 12;

/// What is looked at, in the order in which one explains the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// As whom the doctor looks.
    User,
    /// The configuration and the files it names.
    Config,
    /// The systemd unit.
    Service,
    /// The running agent.
    Agent,
    /// Where pictures wait: room, rights, speed.
    Disk,
    /// A camera.
    Camera,
    /// What the environment says of proxies.
    Proxy,
    /// A name's addresses.
    Dns,
    /// A connection to a server.
    Connect,
    /// The server's certificate.
    Tls,
    /// The machine's clock.
    Clock,
    /// The object store.
    Store,
    /// The MQTT broker.
    Broker,
}

impl Check {
    /// As in the report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Config => "config",
            Self::Service => "service",
            Self::Agent => "agent",
            Self::Disk => "disk",
            Self::Camera => "camera",
            Self::Proxy => "proxy",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Clock => "clock",
            Self::Store => "store",
            Self::Broker => "broker",
        }
    }
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Well.
    Ok,
    /// It works, and somebody should look.
    Warning,
    /// It does not work.
    Wrong,
    /// Not tried: something else is in the way, or there is nothing to try.
    Untried,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// Which of several: a camera's name, `store` or `broker`, a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// How it stands.
    pub state: State,
    /// What was found.
    pub text: String,
    /// What helps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Finding {
    /// All is well with it.
    pub fn ok(check: Check, text: impl Into<String>) -> Self {
        Self { check, subject: None, state: State::Ok, text: text.into(), help: None }
    }

    /// It works, and `help` would make it better.
    pub fn warning(check: Check, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { state: State::Warning, help: Some(help.into()), ..Self::ok(check, text) }
    }

    /// It does not work, and `help` is what to do.
    pub fn wrong(check: Check, text: impl Into<String>, help: impl Into<String>) -> Self {
        Self { state: State::Wrong, help: Some(help.into()), ..Self::ok(check, text) }
    }

    /// It was not tried, because of `why`.
    pub fn untried(check: Check, why: impl AsRef<str>) -> Self {
        let text = format!("not tried: {}", why.as_ref());
        Self { state: State::Untried, ..Self::ok(check, text) }
    }

    /// Names which of several it is about.
    #[must_use]
    pub fn of(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

/// Everything that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Nothing is wrong.
    pub ok: bool,
    /// Device id, where a configuration tells it.
    pub device: Option<String>,
    /// Version of the program that looked.
    pub version: String,
    /// When, by the machine's clock, RFC 3339.
    pub ts: String,
    /// The findings, in the order in which one explains the next.
    pub checks: Vec<Finding>,
}

impl Report {
    /// A report of these findings.
    #[must_use]
    pub fn new(device: Option<String>, ts: String, mut checks: Vec<Finding>) -> Self {
        // What belongs to one server stays together; the sort is stable.
        checks.sort_by_key(|f| (f.check, f.subject.as_deref() == Some("broker")));
        let ok = !checks.iter().any(|f| f.state == State::Wrong);
        Self { ok, device, version: env!("CARGO_PKG_VERSION").to_owned(), ts, checks }
    }

    /// The verdict, in one line.
    #[must_use]
    pub fn verdict(&self) -> String {
        let count = |state| self.checks.iter().filter(|f| f.state == state).count();
        let (wrong, warnings) = (count(State::Wrong), count(State::Warning));
        let device = self.device.as_deref().unwrap_or("this device");
        let (things, look) = (things(wrong), things(warnings));
        match (wrong, warnings) {
            (0, 0) => format!("{device} is well."),
            (0, _) => format!("{device} works. {look} to look at."),
            (1, _) => format!("{device}: 1 thing is wrong."),
            _ => format!("{device}: {things} are wrong."),
        }
    }

    /// The report for people; `colour` for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut out = format!("{}\n\n", paint(&self.verdict(), BOLD, colour));
        for finding in &self.checks {
            let (mark, code) = mark(finding.state);
            let text = match &finding.subject {
                Some(subject) => format!("{subject}: {}", finding.text),
                None => finding.text.clone(),
            };
            let name = format!("{:<9}", finding.check.name());
            let lines = wrap(&text, WIDTH - INDENT);
            let first = lines.first().map_or("", String::as_str);
            writeln!(out, "{} {name} {first}", paint(mark, code, colour)).ok(); // a String takes all
            for line in lines.iter().skip(1) {
                writeln!(out, "{:INDENT$}{line}", "").ok();
            }
            for (at, line) in
                finding.help.iter().flat_map(|h| wrap(h, WIDTH - INDENT - 2)).enumerate()
            {
                let arrow = if at == 0 { "→ " } else { "  " };
                writeln!(out, "{:INDENT$}{arrow}{line}", "").ok();
            }
        }
        out
    }
}

fn things(n: usize) -> String {
    format!("{n} thing{}", if n == 1 { "" } else { "s" })
}

const BOLD: &str = "1";

fn mark(state: State) -> (&'static str, &'static str) {
    match state {
        State::Ok => ("✓", "32"),
        State::Warning => ("!", "33"),
        State::Wrong => ("✗", "31"),
        State::Untried => ("–", "2"),
    }
}

fn paint(text: &str, code: &str, colour: bool) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// Breaks at blanks; a word that is longer than a line stands alone, so that paths can be copied. What is
/// no text (an answer of a stranger may hold anything) becomes a replacement character.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut lines = Vec::new();
    for part in text.lines() {
        let mut line = String::new();
        for word in part.split_whitespace() {
            let word: String = word.chars().map(shown).collect();
            let long = line.chars().count() + 1 + word.chars().count() > width;
            if long && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(&word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn report(checks: Vec<Finding>) -> Report {
        Report::new(Some("porch-1".into()), String::new(), checks)
    }

    #[test]
    fn the_first_line_is_the_verdict() {
        let wrong = || Finding::wrong(Check::Dns, "no such name", "write another");
        let warning = || Finding::warning(Check::Disk, "little room", "make room");
        let untried = Finding::untried(Check::Store, "no name");
        for (checks, verdict, ok) in [
            (vec![Finding::ok(Check::Disk, "room")], "porch-1 is well.", true),
            (vec![untried], "porch-1 is well.", true),
            (vec![warning()], "porch-1 works. 1 thing to look at.", true),
            (vec![warning(), wrong()], "porch-1: 1 thing is wrong.", false),
            (vec![wrong(), wrong()], "porch-1: 2 things are wrong.", false),
        ] {
            let report = report(checks);
            assert_eq!(report.render(false).lines().next(), Some(verdict));
            assert_eq!(report.ok, ok, "{verdict}");
        }
    }

    #[test]
    fn causes_come_before_what_they_explain_and_remedies_below() {
        let text = report(vec![
            Finding::untried(Check::Broker, "its name cannot be looked up").of("broker"),
            Finding::wrong(Check::Dns, "minio.example: no such name", "Is it spelt right?")
                .of("store"),
        ])
        .render(false);
        let expected = "porch-1: 1 thing is wrong.\n\n\
                        ✗ dns       store: minio.example: no such name\n\
                        \x20           → Is it spelt right?\n\
                        – broker    broker: not tried: its name cannot be looked up\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn colours_change_nothing_but_colours() {
        let all = [State::Ok, State::Warning, State::Wrong, State::Untried]
            .map(|state| Finding { state, ..Finding::ok(Check::Agent, "text") });
        let report = report(all.to_vec());
        let mut bare = report.render(true);
        for code in
            ["\u{1b}[0m", "\u{1b}[1m", "\u{1b}[2m", "\u{1b}[31m", "\u{1b}[32m", "\u{1b}[33m"]
        {
            bare = bare.replace(code, "");
        }
        assert_eq!(bare, report.render(false));
    }

    #[test]
    fn programs_read_back_what_was_written() {
        let report = report(vec![Finding::wrong(Check::Tls, "t", "h").of("store")]);
        let json = serde_json::to_value(&report).unwrap();
        let expected = serde_json::json!(
            [{"check": "tls", "subject": "store", "state": "wrong", "text": "t", "help": "h"}]
        );
        assert_eq!(json["checks"], expected);
        assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
    }

    proptest! {
        #[test]
        fn no_text_breaks_the_lines(text in "[a-z\u{1b}é ]{0,300}", help in "\\PC{0,200}") {
            let report = report(vec![Finding::wrong(Check::Store, text, help)]);
            for line in report.render(false).lines() {
                let escaped = line.contains('\u{1b}');
                prop_assert!(!escaped, "{}", line);
                let one_word = line.split_whitespace().count() <= 3;
                prop_assert!(line.chars().count() <= WIDTH || one_word, "{}", line);
            }
        }
    }
}
