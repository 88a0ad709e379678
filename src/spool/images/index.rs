//! The index as the images use it: a transaction that fails closes it, and recovery opens it again.

use std::time::{Duration, Instant};

use tracing::{error, warn};

use super::{Images, used};
use crate::clock::BootId;
use crate::spool::db::{Db, DbError};
use crate::spool::recover::{self, Recovered};

/// First and longest pause before a failed index is opened again.
pub(super) const REOPEN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Images {
    /// Runs a transaction, once more after recovery if it fails; it must bear being done twice.
    pub(super) fn with_db<T>(&mut self, f: impl Fn(&mut Db) -> Result<T, DbError>) -> Option<T> {
        for _ in 0..3 {
            if self.index.is_none() {
                self.reopen();
            }
            match self.on_index(&f)? {
                Ok(value) => {
                    self.reopen_pause = REOPEN.0;
                    return Some(value);
                }
                Err(error @ DbError::Full(_)) if !self.give_reserve(&error) => {
                    self.reopen_at = Instant::now() + REOPEN.0;
                    return None;
                }
                Err(DbError::Full(_)) => {}
                Err(error) => self.index_failed(&error),
            }
        }
        None
    }

    /// The disk is full: gives the reserve's room to the index; whether there was any.
    pub(super) fn give_reserve(&mut self, error: &DbError) -> bool {
        let given = self.reserve.release();
        if given {
            warn!(%error, "The index works on with the spool's reserve.");
            if let Some(Err(error)) = self.index.as_ref().map(Db::stint) {
                warn!(%error, "The index's log cannot be begun anew.");
            }
        } else {
            error!(%error, "The index has no room and the reserve is gone; outcomes wait in memory.");
        }
        given
    }

    pub(super) fn index_failed(&mut self, error: &DbError) {
        error!(%error, "The index failed; it is opened again.");
        if matches!(error, DbError::Corrupt(_)) {
            // Recovery rebuilds an index that is not there.
            self.index = None;
            if let Err(error) = recover::set_aside(&self.cx.layout) {
                error!(%error, "The damaged index cannot be set aside.");
            }
        }
        self.drop_index();
    }

    pub(super) fn drop_index(&mut self) {
        self.index = None;
        self.forget.clear();
    }

    pub(super) fn reopen(&mut self) {
        let now = Instant::now();
        if now < self.reopen_at {
            return;
        }
        self.reopen_at = now + self.reopen_pause;
        self.reopen_pause = (self.reopen_pause * 2).min(REOPEN.1);
        let high = self.high_on_disk();
        let mut found = recover::recover(&self.cx, Some(high));
        if found.as_ref().is_err_and(recover::RecoverError::is_full) && self.reserve.release() {
            warn!("The disk is full; the index is opened with the spool's reserve.");
            found = recover::recover(&self.cx, Some(high));
        }
        if let Err(error) = found.and_then(|found| Ok(self.take_over(found)?)) {
            error!(%error, "The index cannot be opened; pictures are kept without it meanwhile.");
        }
    }

    pub(super) fn take_over(&mut self, found: Recovered) -> Result<(), DbError> {
        let Recovered { mut db, high, current_dir, boots, rebuilt, rebuild, .. } = found;
        let boot: BootId = self.cx.now.boot.clone();
        db.release(&boot, self.waits_from())?;
        let (totals, waiting) = (db.totals()?, db.waiting()?);
        self.unwritten.opened(db.last_entered()?);
        // Pictures that are not found yet may need a record.
        if rebuild.is_none()
            && let Err(error) = self.boots.forget_all_but(&boots)
        {
            warn!(%error, "Old boot records cannot be removed.");
        }
        self.index = Some(db);
        self.rebuild = rebuild;
        self.rebuild_at = Instant::now();
        self.high = self.high.max(high);
        self.current_dir = self.current_dir.max(current_dir);
        self.used = used(&totals);
        self.set_waiting(waiting);
        self.news = true;
        self.take_over_followed(rebuilt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::BootTime;
    use crate::health::Beat;
    use crate::spool::Moment;
    use crate::spool::files::Layout;
    use crate::spool::held::Durability;
    use crate::spool::retention::Limits;

    #[test]
    fn a_reopened_index_in_which_nothing_waits_forgets_how_long_was_waited() {
        let dir = tempfile::tempdir().unwrap();
        let boot = BootId("11111111-0000-4000-8000-000000000000".into());
        let cx = recover::Context {
            layout: Layout::create(dir.path()).unwrap(),
            now: Moment { boot, at: BootTime(1), wall: None },
            beat: Beat::new("spool", Duration::from_secs(120)),
        };
        let (mut images, _) = Images::open(cx, Limits::bytes(1 << 20), Durability::Always).unwrap();
        // Pictures waited, the boot record gave them up, and the index failed before it heard of it.
        images.add_waiting(3);
        images.drop_index();
        images.reopen();
        assert!(images.index.is_some());
        assert_eq!((images.waiting, images.waiting_since), (0, None));
    }
}
