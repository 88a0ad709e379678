//! The camera thread's waiting: for its stop, for a camera that is plugged in, and for time to pass, in
//! one `poll`.
//!
//! The stop is an eventfd, written once and never read, so that it stays set for every later wait.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::camera::v4l2::hotplug::Watch;

/// Why a wait was over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woke {
    /// The thread is to end.
    Stopped,
    /// Something appeared that may be the camera.
    Arrived,
    /// The time passed.
    TimedOut,
}

/// The agent's word to the thread that it is to end.
#[derive(Debug)]
pub(super) struct Stop {
    flag: AtomicBool,
    event: OwnedFd,
}

impl Stop {
    /// # Errors
    /// The system gives no more descriptors.
    pub(super) fn new() -> std::io::Result<Self> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { flag: AtomicBool::new(false), event })
    }

    pub(super) fn set(&self) {
        self.flag.store(true, Ordering::SeqCst);
        // Refused only when its number is at the top: then it is set already.
        rustix::io::write(&self.event, &1_u64.to_ne_bytes()).ok();
    }

    pub(super) fn is_set(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }

    /// Waits for `time`, until stopped, or until the watch has heard of something.
    pub(super) fn wait(&self, time: Duration, mut watch: Option<&mut Watch>) -> Woke {
        let began = Instant::now();
        loop {
            if self.is_set() {
                return Woke::Stopped;
            }
            if watch.as_mut().is_some_and(|watch| watch.arrived()) {
                return Woke::Arrived;
            }
            let left = time.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Woke::TimedOut;
            }
            self.poll(left, watch.as_deref());
        }
    }

    fn poll(&self, left: Duration, watch: Option<&Watch>) {
        // A time-out too long for the kernel's type is as good as a day: the caller waits on.
        let left = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 86_400, tv_nsec: 0 });
        let mut fds = vec![PollFd::from_borrowed_fd(self.event.as_fd(), PollFlags::IN)];
        fds.extend(watch.map(|w| PollFd::from_borrowed_fd(w.as_fd(), PollFlags::IN)));
        match poll(&mut fds, Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            // Never seen; without this, a wait that cannot be would take the whole processor.
            Err(_) => std::thread::park_timeout(Duration::from_millis(100)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::*;
    use crate::camera::v4l2::name::{Marks, Named};

    /// Longer than anything here takes; only a failing test waits for it.
    const PLENTY: Duration = Duration::from_secs(60);

    #[test]
    fn a_wait_ends_by_time_or_by_stop_and_a_stop_holds_for_every_later_wait() {
        let stop = Arc::new(Stop::new().unwrap());
        assert_eq!(stop.wait(Duration::ZERO, None), Woke::TimedOut);
        assert_eq!(stop.wait(Duration::from_millis(2), None), Woke::TimedOut);
        let waiting = std::thread::spawn({
            let stop = stop.clone();
            move || stop.wait(Duration::MAX, None)
        });
        stop.set();
        assert_eq!(waiting.join().unwrap(), Woke::Stopped);
        stop.set();
        assert_eq!(stop.wait(PLENTY, None), Woke::Stopped);
    }

    #[test]
    fn a_wait_ends_when_a_camera_is_plugged_in_and_not_for_anything_else() {
        let dev = TempDir::new().unwrap();
        let named = Named::Marks(Marks { serial: Some("A1".into()), ..Marks::default() });
        let mut watch = Watch::new(&named, dev.path()).unwrap();
        let stop = Stop::new().unwrap();
        std::fs::write(dev.path().join("sda"), "").unwrap();
        assert_eq!(stop.wait(Duration::from_millis(2), Some(&mut watch)), Woke::TimedOut);
        let path = dev.path().join("video0");
        let plug = std::thread::spawn(move || std::fs::write(path, "").unwrap());
        assert_eq!(stop.wait(Duration::MAX, Some(&mut watch)), Woke::Arrived);
        plug.join().unwrap();
    }
}
