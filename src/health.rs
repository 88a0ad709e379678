//! Health: are the threads alive, and what has each camera counted.
//!
//! The watchdog measures threads, never outcomes: a thread is well while it waits for work, or while
//! the piece of work it is in has not outlived its declared deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A thread's heartbeat; cheap to clone, one writer.
#[derive(Clone, Debug)]
pub struct Beat {
    name: Arc<str>,
    deadline: Duration,
    origin: Instant,
    /// 0 while idle, else nanoseconds since `origin` (at least 1) when the work began.
    busy_since: Arc<AtomicU64>,
}

impl Beat {
    /// A heartbeat for a thread that promises to end each piece of work within `deadline`.
    #[must_use]
    pub fn new(name: &str, deadline: Duration) -> Self {
        Self {
            name: name.into(),
            deadline,
            origin: Instant::now(),
            busy_since: Arc::new(AtomicU64::new(0)),
        }
    }

    /// A piece of work begins (or the next one does).
    pub fn busy(&self) {
        let ns = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.busy_since.store(ns.max(1), Ordering::Relaxed);
    }

    /// The thread waits for work; it may do so for ever.
    pub fn idle(&self) {
        self.busy_since.store(0, Ordering::Relaxed);
    }

    /// The thread's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// By how much the deadline is missed; `None` when all is well.
    #[must_use]
    pub fn overdue(&self) -> Option<Duration> {
        let since = self.busy_since.load(Ordering::Relaxed);
        if since == 0 {
            return None;
        }
        let busy = self.origin.elapsed().saturating_sub(Duration::from_nanos(since));
        busy.checked_sub(self.deadline).filter(|d| !d.is_zero())
    }
}
