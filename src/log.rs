//! Logging: journald when present, else stderr; repeats are rate-limited, secrets never get here.
//!
//! A place in the code that repeats itself is cut off for the rest of its window; how many of its lines
//! were left out is said afterwards by [`Handle::tell_left_out`], which the daemon calls each second. It
//! cannot be said from within the filter: an event must not be logged while another one is.
//!
//! The configured level is for this crate. Other crates log from `warn` up only: HTTP and TLS crates
//! show URLs at lower levels, and a presigned URL is a secret.

mod journal;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Event, Level, Metadata, Subscriber, warn};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::config::{LogFormat, LogLevel, LogSettings};

/// The logger while it runs.
#[derive(Clone, Debug)]
pub struct Handle {
    level: reload::Handle<EnvFilter, Registry>,
    limit: Arc<RepeatLimit>,
}

impl Handle {
    /// Sets the least level of this crate's events.
    pub fn set_level(&self, level: LogLevel) {
        self.level.reload(filter(level)).ok(); // fails only when the subscriber is gone
    }

    /// Says of each place whose window has ended how many of its lines were left out.
    pub fn tell_left_out(&self) {
        for ((module, line), left_out) in self.limit.left_out(Instant::now()) {
            let line = line.unwrap_or(0);
            warn!(left_out, place = format!("{module}:{line}"), "A line was repeated too often.");
        }
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
    let (filter, level) = reload::Layer::new(filter(settings.level));
    let journal = match settings.format {
        LogFormat::Journald => journal::Journal::connect().ok(),
        LogFormat::Auto if stderr_is_journal() => journal::Journal::connect().ok(),
        _ => None,
    };
    let repeats = Arc::new(RepeatLimit::default());
    let limit = || Limited(Arc::clone(&repeats));
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
    Ok(Handle { level, limit: repeats })
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
    /// Lines left out in windows that are over, not told yet.
    left_out: u64,
}

impl Window {
    /// Begins the next window when this one is over.
    fn turn(&mut self, now: Instant) {
        if now.duration_since(self.began) >= WINDOW {
            let left_out = self.left_out + u64::from(self.count.saturating_sub(BURST));
            *self = Self { began: now, count: 0, left_out };
        }
    }
}

impl RepeatLimit {
    fn allow(&self, place: Place, now: Instant) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let window = seen.entry(place).or_insert(Window { began: now, count: 0, left_out: 0 });
        window.turn(now);
        window.count = window.count.saturating_add(1);
        window.count <= BURST
    }

    fn left_out(&self, now: Instant) -> Vec<(Place, u64)> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let told = seen.iter_mut().filter_map(|(place, window)| {
            window.turn(now);
            let left_out = std::mem::take(&mut window.left_out);
            (left_out > 0).then_some((*place, left_out))
        });
        told.collect()
    }
}

/// The limit as a filter of one layer.
struct Limited(Arc<RepeatLimit>);

impl<S: Subscriber> Filter<S> for Limited {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        // Debugging wants everything; only what operators see is thinned.
        let meta = event.metadata();
        *meta.level() > Level::INFO || self.0.allow((meta.target(), meta.line()), Instant::now())
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

    #[test]
    fn how_many_lines_were_left_out_is_told_once_when_the_window_has_ended() {
        let limit = RepeatLimit::default();
        let (place, quiet, t0) =
            (("vedette::upload", Some(7)), ("vedette::log", None), Instant::now());
        for n in 0..100 {
            limit.allow(place, t0 + Duration::from_millis(n));
        }
        limit.allow(quiet, t0);
        assert_eq!(limit.left_out(t0 + WINDOW / 2), [], "not while more may come");
        assert_eq!(limit.left_out(t0 + WINDOW), [(place, 80)]);
        assert_eq!(limit.left_out(t0 + WINDOW * 2), []);
        // Where a line opens the next window itself, the count is not lost.
        for n in 0..25 {
            limit.allow(place, t0 + WINDOW * 3 + Duration::from_millis(n));
        }
        limit.allow(place, t0 + WINDOW * 5);
        assert_eq!(limit.left_out(t0 + WINDOW * 5), [(place, 5)]);
    }

    /// Collects the targets of events.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let meta = event.metadata();
            self.0.lock().unwrap().push(format!("{} {}", meta.level(), meta.target()));
        }
    }

    macro_rules! say {
        ($($target:literal)*) => {$(
            tracing::trace!(target: $target, "said");
            tracing::debug!(target: $target, "said");
            tracing::info!(target: $target, "said");
            tracing::warn!(target: $target, "said");
        )*};
    }

    #[test]
    fn at_trace_other_crates_say_nothing_below_warn_for_they_show_urls() {
        let heard = |level| {
            let heard = Heard::default();
            let subscriber = tracing_subscriber::registry().with(filter(level)).with(heard.clone());
            tracing::subscriber::with_default(subscriber, || {
                say!("hyper::proto" "hyper_util::client" "reqwest" "rustls" "h2" "mio" "log" "tokio");
                say!("vedette::upload");
            });
            heard.0.lock().unwrap().clone()
        };
        let strangers = |all: &[String]| {
            let (ours, others): (Vec<_>, Vec<_>) =
                all.iter().partition(|line| line.ends_with(" vedette::upload"));
            assert!(others.iter().all(|line| line.starts_with("WARN ")), "{others:?}");
            assert_eq!(others.len(), 8);
            ours.len()
        };
        assert_eq!(strangers(&heard(LogLevel::Trace)), 4);
        assert_eq!(strangers(&heard(LogLevel::Info)), 2);
        assert_eq!(strangers(&heard(LogLevel::Warn)), 1);
        assert_eq!(strangers(&heard(LogLevel::Error)), 0);
    }
}
