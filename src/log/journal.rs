//! The journal's native protocol: one entry an event, to be read by people and found by field.
//!
//! Called by `log` when stderr is the journal. `MESSAGE` holds the words *and* the fields, because
//! `journalctl` shows nothing else: "Camera is lost; will open it again." is no help without which
//! camera and why. Each field also stands alone as `F_NAME`, for `journalctl F_CAMERA=front`.
//!
//! An entry that journald does not take (it is restarting, or the entry is too large) is dropped: logging
//! never holds up the agent. Format: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::Debug;
use std::io;
use std::os::unix::net::UnixDatagram;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

const SOCKET: &str = "/run/systemd/journal/socket";

/// Longest value in bytes; an entry of several stays below the kernel's limit for a datagram (208 KiB).
const MAX_VALUE: usize = 16 * 1024;

/// Sends events to journald.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
}

impl Journal {
    /// Connects to journald.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn connect() -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.connect(SOCKET)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket })
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().replace(fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(of_span) = span.extensions().get::<Fields>() {
                fields.named.extend(of_span.named.iter().cloned());
            }
        }
        event.record(&mut fields);
        // Not taken: there is nobody left to tell.
        self.socket.send(&entry(event.metadata(), &fields)).ok();
    }
}

/// What an event or a span carries.
#[derive(Debug, Default)]
struct Fields {
    message: String,
    named: Vec<(&'static str, String)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.named.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

fn entry(metadata: &Metadata<'_>, fields: &Fields) -> Vec<u8> {
    let mut out = Vec::new();
    append(&mut out, "PRIORITY", priority(*metadata.level()));
    append(&mut out, "SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
    append(&mut out, "MESSAGE", &words(fields));
    append(&mut out, "TARGET", metadata.target());
    if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
        append(&mut out, "CODE_FILE", file);
        append(&mut out, "CODE_LINE", &line.to_string());
    }
    for (name, value) in &fields.named {
        append(&mut out, &variable(name), value);
    }
    out
}

/// The message and its fields, as on a terminal.
fn words(fields: &Fields) -> String {
    let mut out = fields.message.clone();
    for (name, value) in &fields.named {
        let quote = if value.is_empty() || value.contains([' ', '=']) { "\"" } else { "" };
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(&format!("{name}={quote}{value}{quote}"));
    }
    out
}

/// `LOG_*` of syslog(3).
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

/// A journal's field name: `A-Z`, `0-9` and `_`, at most 64. The prefix keeps ours from looking like
/// journald's own.
fn variable(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "F_".chars().chain(name.chars().map(allowed)).take(64).collect()
}

/// One field, in the form with a length, which may hold line feeds.
fn append(out: &mut Vec<u8>, name: &str, value: &str) {
    let most = value.len().min(MAX_VALUE);
    let end = (0..=most).rev().find(|end| value.is_char_boundary(*end)).unwrap_or(0);
    let value = value.get(..end).unwrap_or_default();
    out.extend(name.as_bytes());
    out.push(b'\n');
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(value.as_bytes());
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    /// What journald would get of the events in `say`, each as its fields.
    fn heard(say: impl FnOnce()) -> Vec<Vec<(String, String)>> {
        let (socket, journald) = UnixDatagram::pair().unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal { socket });
        tracing::subscriber::with_default(subscriber, say);
        journald.set_nonblocking(true).unwrap();
        let mut entry = vec![0; 1 << 18];
        let mut all = Vec::new();
        while let Ok(n) = journald.recv(&mut entry) {
            all.push(parsed(&entry[..n]));
        }
        all
    }

    fn parsed(mut entry: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while let Some(end) = entry.iter().position(|b| *b == b'\n') {
            let (name, rest) = (&entry[..end], &entry[end + 1..]);
            let len = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let text = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
            fields.push((text(name), text(&rest[8..8 + len])));
            assert_eq!(rest[8 + len], b'\n');
            entry = &rest[9 + len..];
        }
        fields
    }

    fn of<'a>(entry: &'a [(String, String)], name: &str) -> &'a str {
        entry.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v)
    }

    #[test]
    fn the_message_says_it_all_and_each_field_can_be_searched_for() {
        let entries = heard(|| {
            let _span = tracing::info_span!("camera", camera = "front").entered();
            tracing::warn!(why = "no frame for 5s", wait_ms = 700, "Camera is lost.");
        });
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(
            of(entry, "MESSAGE"),
            "Camera is lost. camera=front why=\"no frame for 5s\" wait_ms=700"
        );
        assert_eq!(of(entry, "F_CAMERA"), "front");
        assert_eq!(of(entry, "F_WAIT_MS"), "700");
        assert_eq!((of(entry, "PRIORITY"), of(entry, "SYSLOG_IDENTIFIER")), ("4", "vedette"));
        assert!(of(entry, "CODE_FILE").ends_with("journal.rs"));
    }

    #[test]
    fn values_from_outside_cannot_forge_a_field_nor_outgrow_an_entry() {
        let long = "ä".repeat(MAX_VALUE);
        let entries = heard(|| {
            tracing::error!(why = "a\nPRIORITY=0\nb", long, "Two\nlines.");
        });
        let [entry] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(of(entry, "F_WHY"), "a\nPRIORITY=0\nb");
        assert_eq!(entry.iter().filter(|(name, _)| name == "PRIORITY").count(), 1);
        assert_eq!(of(entry, "F_LONG").len(), MAX_VALUE);
        assert_eq!(variable("_a.b-ü"), "F__A_B__");
    }
}
