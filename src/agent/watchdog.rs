//! The watchdog's rule: it measures threads, never outcomes. Pure but for the time that beats read.
//!
//! Fed while every core thread (still, spool, the runtime by asking at all) and the agent's present turn
//! are within their deadlines and at least one camera thread is. A single camera thread that hangs is *camera lost*; only after ten
//! minutes of it is the agent to be started again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::health::Beat;

/// A camera thread may hang for so long before the agent is started again for it.
const CAMERA_HANG: Duration = Duration::from_secs(600);

/// Shall systemd hear that we are well?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Feed,
    /// No: it shall start us again, and why.
    Starve(String),
}

/// Threads and their deadlines. Clones watch the same threads, also those that come later: one clone
/// feeds systemd beside the agent's own work.
#[derive(Clone, Debug, Default)]
pub struct Watchdog {
    watched: Arc<Mutex<Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    core: Vec<Beat>,
    cameras: BTreeMap<String, Beat>,
}

impl Watchdog {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches a thread without which there is no agent.
    pub fn core(&self, beat: Beat) {
        self.watched().core.push(beat);
    }

    /// A heartbeat for a camera's thread; replaces that of an earlier thread of the same camera.
    pub fn camera(&self, name: &str, deadline: Duration) -> Beat {
        let beat = Beat::new(name, deadline);
        self.watched().cameras.insert(name.to_owned(), beat.clone());
        beat
    }

    /// Forgets a camera that is no longer configured.
    pub fn forget(&self, camera: &str) {
        self.watched().cameras.remove(camera);
    }

    /// Camera threads that hang, and for how long.
    #[must_use]
    pub fn hanging(&self) -> Vec<(String, Duration)> {
        let watched = self.watched();
        watched.cameras.iter().filter_map(|(n, beat)| Some((n.clone(), beat.overdue()?))).collect()
    }

    /// Judges all threads.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let watched = self.watched();
        let core = watched.core.iter().map(|b| (b.name(), b.overdue()));
        let cameras = watched.cameras.iter().map(|(name, b)| (name.as_str(), b.overdue()));
        judge(core, cameras)
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn judge<'a>(
    core: impl Iterator<Item = (&'a str, Option<Duration>)>,
    cameras: impl Iterator<Item = (&'a str, Option<Duration>)>,
) -> Verdict {
    for (name, overdue) in core {
        if let Some(by) = overdue {
            return Verdict::Starve(format!("thread {name} is {by:?} past its deadline"));
        }
    }
    let (mut all, mut hanging) = (0, 0);
    for (name, overdue) in cameras {
        all += 1;
        match overdue {
            Some(by) if by >= CAMERA_HANG => {
                return Verdict::Starve(format!("camera {name} has hung for {by:?}"));
            }
            Some(_) => hanging += 1,
            None => {}
        }
    }
    if all > 0 && all == hanging {
        return Verdict::Starve("every camera thread hangs".to_owned());
    }
    Verdict::Feed
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: fn(u64) -> Option<Duration> = |s| Some(Duration::from_secs(s));

    #[test]
    fn one_hanging_camera_of_two_is_tolerated_for_ten_minutes() {
        let fed = |core, cams: &[Option<Duration>]| {
            let core = [("spool", core)];
            let cams: Vec<_> = cams.iter().map(|c| ("cam", *c)).collect();
            judge(core.into_iter(), cams.into_iter()) == Verdict::Feed
        };
        assert!(fed(None, &[]));
        assert!(fed(None, &[None, None]));
        assert!(fed(None, &[None, S(599)]));
        assert!(!fed(None, &[None, S(600)]));
        assert!(!fed(None, &[S(1), S(1)]), "none is alive");
        assert!(!fed(None, &[S(1)]));
        assert!(!fed(S(1), &[None]), "the spool hangs");
    }

    #[test]
    fn a_clone_watches_threads_that_come_and_go_later() {
        let watchdog = Watchdog::new();
        let clone = watchdog.clone();
        watchdog.camera("front", Duration::ZERO).busy();
        assert!(matches!(clone.verdict(), Verdict::Starve(why) if why.contains("every camera")));
        assert_eq!(clone.hanging().len(), 1);
        watchdog.forget("front");
        assert_eq!(clone.verdict(), Verdict::Feed);
        let core = Beat::new("agent", Duration::ZERO);
        watchdog.core(core.clone());
        core.busy();
        assert!(matches!(clone.verdict(), Verdict::Starve(why) if why.contains("thread agent")));
    }
}
