//! What is wrong with a configuration: every mistake with its file, line, column, value and remedy.
//!
//! The walk over the files and the validation push into one [`ConfigErrors`]; people see it rendered
//! with the line and a caret, programs as JSON. A place is one in all texts laid end to end (see `source`);
//! here it becomes file, line and column. A secret that was written into the file by mistake is
//! blotted out of the text before it gets here, so neither shows it.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::source::Sources;
use crate::camera::exec::{is_secret_name, is_secret_option};

/// Most errors that are kept: the rest follows from the first ones, or is an attack.
pub(crate) const MOST: usize = 20;

/// Words in a key that say its value is a secret (unless the key names a file).
const SECRET_WORDS: [&str; 7] =
    ["secret", "password", "passwd", "token", "access_key", "accesskey", "private_key"];

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigError {
    /// The file it stands in: the configuration's own, or a drop-in.
    pub file: PathBuf,
    /// Dotted path of the key, `camera.front.quality`; empty for the file as a whole.
    pub key: String,
    /// Line, from 1; 0 when it is the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 when it is the file as a whole.
    pub column: usize,
    /// What stands there, cut to one short line.
    pub value: String,
    /// What is wrong.
    pub what: String,
    /// What would be right.
    pub help: String,
    /// Where it stands, in bytes of its file's text.
    #[serde(skip)]
    pub span: Option<Range<usize>>,
    /// Which of the files, counted from 0.
    #[serde(skip)]
    nth: usize,
}

/// All mistakes found in a configuration; never empty when returned as an error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConfigErrors {
    /// The configuration's own file.
    pub file: PathBuf,
    /// The mistakes, in the order of the files and of their lines.
    pub errors: Vec<ConfigError>,
    #[serde(skip)]
    texts: Vec<Text>,
}

/// The blotted text of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    path: PathBuf,
    start: usize,
    text: String,
}

impl ConfigErrors {
    /// No errors yet, of these files.
    #[must_use]
    pub(crate) fn new(sources: &Sources) -> Self {
        let texts = sources.files().iter().map(|file| Text {
            path: file.path.clone(),
            start: file.start,
            text: blotted(&file.text),
        });
        let texts = texts.collect();
        Self { file: sources.main().to_owned(), errors: Vec::new(), texts }
    }

    /// Adds an error of a file as a whole: it cannot be read, or there is none.
    pub(crate) fn push_file(
        &mut self,
        file: &Path,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.push("", None, what, help);
        if let Some(error) = self.errors.last_mut() {
            error.file = file.to_owned();
        }
    }

    /// Adds one, unless there are too many already.
    pub fn push(
        &mut self,
        key: impl Into<String>,
        span: Option<Range<usize>>,
        what: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.errors.len() >= MOST {
            return;
        }
        let start = span.as_ref().map_or(0, |s| s.start);
        let nth = self.texts.partition_point(|t| t.start <= start).saturating_sub(1);
        let (from, text) = self.texts.get(nth).map_or((0, ""), |t| (t.start, t.text.as_str()));
        let span = span.map(|s| s.start - from..s.end.saturating_sub(from));
        let (line, column) = span.as_ref().map_or((0, 0), |s| position(text, s.start));
        let value = span.clone().and_then(|s| text.get(s)).map_or(String::new(), excerpt);
        self.errors.push(ConfigError {
            file: self.texts.get(nth).map_or_else(|| self.file.clone(), |t| t.path.clone()),
            key: key.into(),
            line,
            column,
            value,
            what: what.into(),
            help: help.into(),
            span,
            nth,
        });
    }

    /// Adds one of the parser's: one mistake often makes several complaints behind it on its line.
    pub(crate) fn push_first_of_line(
        &mut self,
        span: Option<Range<usize>>,
        what: &str,
        help: &str,
    ) {
        let before = self.errors.last().map(|e| (e.nth, e.line));
        let count = self.errors.len();
        self.push("", span, what, help);
        if self.errors.last().map(|e| (e.nth, e.line)) == before {
            self.errors.truncate(count);
        }
    }

    /// Is there nothing wrong?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Puts the errors in the order of the files and their lines.
    pub fn sort(&mut self) {
        self.errors.sort_by_key(|e| (e.nth, e.line, e.column));
    }

    /// One line a mistake, without the text: for status and alarms.
    #[must_use]
    pub fn summary(&self) -> String {
        let one = |e: &ConfigError| match (e.file.display(), e.line) {
            (file, 0) => format!("{file}: {}; {}", e.what, e.help),
            (file, line) => format!("{file}:{line}:{}: {}; {}", e.column, e.what, e.help),
        };
        self.errors.iter().map(one).collect::<Vec<_>>().join(" | ")
    }

    /// The errors for people: each with its line and a caret; `colour` for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let rendered = self.errors.iter().map(|e| renderer.render(&[self.group(e)]));
        rendered.collect::<Vec<_>>().join("\n\n")
    }

    fn group<'a>(&'a self, error: &'a ConfigError) -> annotate_snippets::Group<'a> {
        let file = error.file.to_string_lossy();
        let title = Level::ERROR.primary_title(error.what.as_str());
        let group = match self.drawable(error) {
            Some((text, span)) => title.element(
                Snippet::source(text)
                    .path(file)
                    .annotation(AnnotationKind::Primary.span(span).label(error.key.as_str())),
            ),
            None => title.element(Origin::path(file)),
        };
        group.element(Level::HELP.message(error.help.as_str()))
    }

    /// The first line of the span, so that a caret never underlines half the file.
    fn drawable(&self, error: &ConfigError) -> Option<(&str, Range<usize>)> {
        let span = error.span.clone()?;
        let text = self.texts.get(error.nth)?.text.as_str();
        let first = text.get(span.clone())?.lines().next().map_or(0, str::len);
        Some((text, span.start..span.start + first))
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for ConfigErrors {}

/// The nearest of `known` to a mistyped `word`, if one is near enough to be meant.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word: Vec<char> = word.chars().take(64).collect();
    let far = (word.len() / 3).max(1) + 1;
    let near = known.into_iter().map(|k| (distance(&word, k), k));
    near.filter(|(d, _)| *d < far.max(3)).min().map(|(_, k)| k)
}

/// Edit distance (Levenshtein), one row at a time.
fn distance(a: &[char], b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let swap = diagonal + usize::from(!x.eq_ignore_ascii_case(y));
            diagonal = row[j + 1];
            row[j + 1] = swap.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Line and column of a byte, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// One short line of a value.
fn excerpt(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(60) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}

/// The text with whatever looks like a written-out secret replaced by stars, byte for byte, so that
/// spans still fit. Works on lines, because it must also work on text that is not TOML at all.
pub(crate) fn blotted(text: &str) -> String {
    let mut open: Option<&str> = None;
    let mut blot = |line: &str| {
        if let Some(quotes) = open {
            open = open.filter(|_| !line.contains(quotes));
            return blot_line(line, Some(0));
        }
        let from = secret_from(line);
        let tail = from.and_then(|at| line.get(at..)).unwrap_or_default();
        open = [r#"""""#, "'''"].into_iter().find(|q| tail.matches(q).count() == 1);
        blot_line(line, from)
    };
    text.split_inclusive('\n').map(&mut blot).collect()
}

/// Does this key say that its value is a secret?
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|w| key.contains(w)) && !key.ends_with("_file")
}

/// Where the first secret value of a line begins, if there is one.
fn secret_from(line: &str) -> Option<usize> {
    let lower = line.to_ascii_lowercase();
    let mut from = 0;
    for part in lower.split_inclusive('=') {
        from += part.len();
        let key = part.trim_end_matches(['=', ' ', '\t', '"', '\'']);
        let key = key.rsplit([' ', '\t', '{', ',', '.', '"', '\'']).next().unwrap_or_default();
        // `key` alone is a key of ours, but not within a text.
        let ours = key == "key" && lower[..from].matches(['"', '\'']).count().is_multiple_of(2);
        if part.ends_with('=') && (is_secret(key) || (is_secret_name(key) && !ours)) {
            return Some(from);
        }
    }
    if let Some(at) = secret_word(&lower) {
        return Some(at);
    }
    // Credentials inside a URL: a quoted `user:password@`.
    let (before, _) = lower.rsplit_once('@')?;
    let quote = before.rfind(['"', '\'']).map_or(0, |q| q + 1);
    before[quote..].contains(':').then_some(quote)
}

/// Behind the first text of a command that is a secret's option, `"--password", "x"`, or that begins with
/// its name and a colon.
fn secret_word(lower: &str) -> Option<usize> {
    let mut from = 0;
    lower.split_inclusive(['"', '\'', ' ', ':']).find_map(|part| {
        from += part.len();
        let word = part.trim_end_matches(['"', '\'', ' ', ':']);
        let found = is_secret_option(word) || (part.ends_with(':') && is_secret_name(word));
        found.then_some(from)
    })
}

fn blot_line(line: &str, from: Option<usize>) -> String {
    let Some((head, tail)) = from.and_then(|at| line.split_at_checked(at)) else {
        return line.to_owned();
    };
    let star = |c: char| match c {
        ' ' | '\t' | '"' | '\'' | '\r' | '\n' | '@' => c.to_string(),
        _ => "*".repeat(c.len_utf8()),
    };
    head.chars().map(String::from).chain(tail.chars().map(star)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        assert_eq!(position("a\nbé = 1", 0), (1, 1));
        assert_eq!(position("a\nbé = 1", 6), (2, 4));
    }

    #[test]
    fn near_misses_are_named_and_strangers_are_not() {
        let known = ["interval", "quality", "mask", "v4l2"];
        assert_eq!(nearest("intervall", known), Some("interval"));
        assert_eq!(nearest("Quality", known), Some("quality"));
        assert_eq!(nearest("v4l", known), Some("v4l2"));
        assert_eq!(nearest("zebra-crossing", known), None);
    }

    #[test]
    fn written_out_secrets_are_blotted_and_nothing_moves() {
        let text = "secret_key = \"AKIAé\"\ncredentials_file = \"x\"\ns3 = { access_key = 'b c' }\n\
                    endpoint = \"https://me:pw@host\"\n";
        let masked = blotted(text);
        assert_eq!(masked.len(), text.len());
        assert!(!masked.contains("AKIA") && !masked.contains("b c") && !masked.contains("pw"));
        assert!(masked.contains("credentials_file = \"x\""));
        let long = "token = \"\"\"\nline one\n\"\"\"\nsite = \"me:pw@host\"\nnext = 1\n";
        assert_eq!(
            blotted(long),
            "token = \"\"\"\n**** ***\n\"\"\"\nsite = \"*****@****\"\nnext * *\n"
                .replace("next * *", "next = 1")
        );
    }

    #[test]
    fn secrets_in_a_command_are_blotted() {
        for word in [
            "\"user-pw=HUSH\"",
            "\"rtsp-pwd:HUSH\"",
            "\"--password\", \"HUSH\"",
            "'--rtsp-pwd', 'HUSH'",
            "\"-u\", \"me:HUSH\"",
            "\"--key=HUSH\"",
            "\"Authorization: Basic HUSH\"",
        ] {
            let text = format!("command = [\"cam\", {word}]\n");
            let masked = blotted(&text);
            assert!(!masked.contains("HUSH") && masked.contains("\"cam\""), "{masked}");
            assert_eq!(masked.len(), text.len());
        }
        let ours = "key = \"v1/{device}\"\ncommand = [\"cam\", \"-i\", \"x\"]\n";
        assert_eq!(blotted(ours), ours);
    }

    #[test]
    fn an_error_shows_file_line_and_remedy() {
        let sources = Sources::single(Path::new("v.toml"), "[spool]\nmax = 1\n");
        let mut all = ConfigErrors::new(&sources);
        all.push("spool.max", Some(8..11), "unknown key `max`", "did you mean `max_bytes`?");
        let shown = all.to_string();
        for part in ["v.toml:2:1", "max = 1", "^^^", "unknown key `max`", "max_bytes"] {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
        assert_eq!((all.errors[0].line, all.errors[0].value.as_str()), (2, "max"));
    }
}
