//! Logging: journald when present, else stderr; repeats are rate-limited, secrets never get here.
//!
//! The configured level is for this crate. Other crates log from `warn` up only: HTTP and TLS crates
//! show URLs at lower levels, and a presigned URL is a secret.

mod journal;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// Changes the level while running.
#[derive(Clone, Debug)]
pub struct Handle(reload::Handle<EnvFilter, Registry>);

impl Handle {
    /// Sets the least level of this crate's events.
    pub fn set_level(&self, level: LogLevel) {
        self.0.reload(filter(level)).ok(); // fails only when the subscriber is gone
    }
}

fn filter(level: LogLevel) -> EnvFilter {
    let level = match level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    EnvFilter::new(format!("warn,vedette={level}"))
}

/// Sets the process's logger up; to be called once.
///
/// # Errors
/// A logger was set before.
pub fn init(settings: LogSettings) -> Result<Handle, tracing_subscriber::util::TryInitError> {
    let (filter, handle) = reload::Layer::new(filter(settings.level));
    let journal = match settings.format {
        LogFormat::Journald => journal::Journal::connect().ok(),
        LogFormat::Auto if stderr_is_journal() => journal::Journal::connect().ok(),
        _ => None,
    };
    let limit = RepeatLimit::default;
    let out: Box<dyn Layer<_> + Send + Sync> = match (journal, settings.format) {
        (Some(layer), _) => layer.with_filter(limit()).boxed(),
        (None, LogFormat::Json) => tracing_subscriber::fmt::layer()
            .json()
            .with_writer(std::io::stderr)
            .with_filter(limit())
            .boxed(),
        (None, _) => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .with_filter(limit())
            .boxed(),
    };
    tracing_subscriber::registry().with(filter).with(out).try_init()?;
    Ok(Handle(handle))
}

fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(std::io::stderr()).is_ok_and(|s| is_stream(&stream, s.st_dev, s.st_ino))
}

/// Does `JOURNAL_STREAM` (device and inode, systemd.exec(5)) name this file? The variable alone says
/// nothing: whoever a service starts with its output in a file inherits it.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':') == Some((&device.to_string(), &inode.to_string()))
}

/// Lets each place in the code say `BURST` things in `WINDOW`, then is silent until the window ends.
#[derive(Debug, Default)]
struct RepeatLimit {
    seen: Mutex<HashMap<Place, Window>>,
}

/// A line of the source: module and number.
type Place = (&'static str, Option<u32>);

const BURST: u32 = 20;
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Debug)]
struct Window {
    began: Instant,
    count: u32,
}

impl RepeatLimit {
    fn allow(&self, place: Place, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let window = seen.entry(place).or_insert(Window { began: now, count: 0 });
        if now.duration_since(window.began) >= WINDOW {
            *window = Window { began: now, count: 0 };
        }
        window.count += 1;
        window.count <= BURST
    }
}

impl<S: Subscriber> Filter<S> for RepeatLimit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // Debugging wants everything; only what operators see is thinned.
        let meta = event.metadata();
        *meta.level() > Level::INFO || self.allow((meta.target(), meta.line()), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_told_from_a_file_by_device_and_inode() {
        assert!(is_stream("8:4711", 8, 4711));
        for other in ["8:4712", "9:4711", "", "8", "8:", ":4711", "4711:8"] {
            assert!(!is_stream(other, 8, 4711), "{other:?}");
        }
    }

    #[test]
    fn a_repeating_place_is_silenced_until_its_window_ends() {
        let limit = RepeatLimit::default();
        let place = ("vedette::upload", Some(7));
        let t0 = Instant::now();
        let said = (0..100).filter(|_| limit.allow(place, t0)).count();
        assert_eq!(said, 20);
        assert!(limit.allow(place, t0 + WINDOW));
    }
}
