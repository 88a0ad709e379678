//! What a command writes to its stderr, cut into lines for the log.
//!
//! Fed by the camera while it waits for frames. A line ends at a line feed or a carriage return (progress
//! displays); it is cut at [`LONGEST`] characters, freed of passwords and control characters, and logged
//! at `info` under the camera's span. A command that talks too much is heard less: [`BURST`] lines a
//! [`WINDOW`], and how many were left out. The last lines are remembered for error texts.
//!
//! Memory is bounded: [`KEPT`] bytes of the present line, [`LAST`] lines remembered.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::redact::Redactor;

/// Characters of a line that are shown.
const LONGEST: usize = 300;

/// Bytes of a line that are looked at: more than is shown, so that a password is seen whole before the
/// line is cut.
const KEPT: usize = 4096;

/// Lines remembered.
const LAST: usize = 5;

/// Lines that are logged in one window.
const BURST: u64 = 20;

const WINDOW: Duration = Duration::from_secs(30);

/// The lines of one command.
#[derive(Debug)]
pub(super) struct Lines {
    /// The program's name.
    program: String,
    redactor: Redactor,
    line: Vec<u8>,
    last: VecDeque<String>,
    window: Instant,
    in_window: u64,
}

impl Lines {
    pub(super) fn new(program: &str, redactor: Redactor, now: Instant) -> Self {
        let (line, last) = (Vec::new(), VecDeque::with_capacity(LAST));
        Self { program: program.to_owned(), redactor, line, last, window: now, in_window: 0 }
    }

    /// Takes what was read.
    pub(super) fn push(&mut self, mut bytes: &[u8], now: Instant) {
        while let Some(end) = bytes.iter().position(|b| matches!(b, b'\n' | b'\r')) {
            self.keep(&bytes[..end]);
            self.end_line(now);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The last line written, with what has no line end yet; empty when there was none.
    pub(super) fn last(&mut self, now: Instant) -> &str {
        self.end_line(now);
        self.last.back().map_or("", String::as_str)
    }

    /// Logs the last lines again as a warning, for who does not log at `info`: the command ended badly.
    pub(super) fn warn(&mut self, now: Instant) {
        self.end_line(now);
        if !self.last.is_empty() {
            let lines = self.last.make_contiguous().join(" | ");
            warn!(program = self.program, lines, "The command's last words.");
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        // One byte above the limit says that there was more.
        let room = (KEPT + 1).saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, now: Instant) {
        let text = shown(&self.line, &self.redactor);
        self.line.clear();
        if text.is_empty() {
            return;
        }
        self.log(&text, now);
        if self.last.len() == LAST {
            self.last.pop_front();
        }
        self.last.push_back(text);
    }

    fn log(&mut self, text: &str, now: Instant) {
        if now.duration_since(self.window) >= WINDOW {
            let left_out = self.in_window.saturating_sub(BURST);
            if left_out > 0 {
                info!(program = self.program, left_out, "The command said more than is logged.");
            }
            (self.window, self.in_window) = (now, 0);
        }
        self.in_window += 1;
        if self.in_window <= BURST {
            info!(program = self.program, "{text}");
        }
    }
}

/// A line as people see it.
fn shown(line: &[u8], redactor: &Redactor) -> String {
    let cut = line.len() > KEPT;
    let text = String::from_utf8_lossy(line);
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let whole = if cut { redactor.without_a_begun_one(&text) } else { &text };
    let mut text = redactor.redact(whole.trim());
    if cut {
        // The end of a password may lie beyond what was looked at.
        let url = text.rfind("://").map_or(text.len(), |at| at + 3);
        text.truncate(url);
    }
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(pieces: &[&[u8]]) -> Vec<String> {
        let now = Instant::now();
        let mut lines = Lines::new("cmd", Redactor::default(), now);
        pieces.iter().for_each(|piece| lines.push(piece, now));
        lines.end_line(now);
        lines.last.into()
    }

    #[test]
    fn lines_are_put_together_and_cleaned() {
        assert_eq!(
            said(&[b"one\ntw", b"o\r\n\r\nthree \x1b[31m!"]),
            ["one", "two", "three  [31m!"]
        );
        assert_eq!(said(&[b"caf\xe9\n"]), ["caf\u{fffd}"]);
        assert_eq!(said(&[b"1\n2\n3\n4\n5\n6\n7\n"]), ["3", "4", "5", "6", "7"]);
    }

    #[test]
    fn a_long_line_is_cut_and_what_follows_it_is_a_line_of_its_own() {
        let long = "é".repeat(100_000);
        let heard = said(&[long.as_bytes(), b"\nnext\n"]);
        assert_eq!(heard[0].chars().count(), LONGEST + 1);
        assert_eq!(heard[1], "next");
    }

    #[test]
    fn a_password_is_not_shown_even_where_the_line_is_cut_within_it() {
        for at in [0, 100, LONGEST - 12, KEPT - 30, KEPT - 20, KEPT - 14, KEPT - 2] {
            let line = format!("{}rtsp://me:HUSH{}@host\n", "x".repeat(at), "y".repeat(40));
            let heard = said(&[line.as_bytes()]);
            assert!(!heard[0].contains("HUSH"), "{at}: {heard:?}");
        }
    }

    #[test]
    fn a_command_that_talks_too_much_is_heard_less() {
        let start = Instant::now();
        let mut lines = Lines::new("cmd", Redactor::default(), start);
        lines.push(&b"word\n".repeat(1000), start);
        assert_eq!(lines.in_window, 1000);
        lines.push(b"later\n", start + WINDOW);
        assert_eq!((lines.in_window, lines.last(start)), (1, "later"));
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_stay_bounded(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
        ) {
            let now = Instant::now();
            let mut lines = Lines::new("cmd", Redactor::default(), now);
            for piece in &pieces {
                lines.push(piece, now);
                prop_assert!(lines.line.len() <= KEPT + 1 && lines.last.len() <= LAST);
            }
            prop_assert!(lines.last(now).chars().count() <= LONGEST + 1);
        }
    }
}
