//! Manifests: asks the spool for events that are over, and has their manifest kept like a picture.
//!
//! The spool gives an event again until its manifest is durable; one that is in hand is not begun twice.

use std::collections::HashMap;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::Agent;
use crate::account::{Account, Fate, Teller};
use crate::clock::{BootId, BootTime};
use crate::contract::manifest::Manifest;
use crate::spool::{DueEvent, Spool, SpoolError};
use crate::still::{Pick, Profile, Sheet};

/// Ticks between looks for events that are over.
pub(super) const LOOK: u64 = 5;

/// Pause after a manifest was refused, by a full disk for example.
const REFUSED: Duration = Duration::from_secs(300);

/// Events whose manifest is on its way to the disk, or rests after it was refused, by camera and event.
#[derive(Clone, Debug, Default)]
pub(super) struct InWork(Arc<Mutex<Resting>>);

/// Until when, by camera and event; `None` while it is on its way.
type Resting = HashMap<(String, String), Option<Instant>>;

impl InWork {
    fn lock(&self) -> MutexGuard<'_, Resting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is any on its way? Those that have rested are forgotten.
    fn any(&self, now: Instant) -> bool {
        let mut all = self.lock();
        all.retain(|_, rests| rests.is_none_or(|until| now < until));
        all.values().any(Option::is_none)
    }

    /// Begins one, unless it rests.
    fn begin(&self, id: &(String, String)) -> bool {
        let mut all = self.lock();
        let free = !all.contains_key(id);
        if free {
            all.insert(id.clone(), None);
        }
        free
    }

    fn end(&self, id: &(String, String), fate: Fate) {
        let mut all = self.lock();
        all.remove(id);
        if let Fate::Refused(_) = fate {
            all.insert(id.clone(), Instant::now().checked_add(REFUSED));
        }
    }
}

impl Agent {
    /// Looks for events that are over. Not waited for: the spool's disk may be slow.
    pub(super) fn write_manifests(&mut self) {
        let Some(picks) = self.picks.clone() else { return };
        // The spool would give those again.
        if self.in_work.any(Instant::now()) {
            return;
        }
        let desk = Desk {
            spool: self.spool.clone(),
            account: self.account.clone(),
            picks,
            in_work: self.in_work.clone(),
            profiles: self.config.cameras.iter().map(|c| Arc::clone(&c.profile)).collect(),
        };
        self.jobs.spawn(async move {
            match desk.spool.due_events().await {
                Ok(due) => due.into_iter().for_each(|event| desk.write(event)),
                Err(SpoolError::Stopped) => {}
                Err(error) => debug!(%error, "Events that are over cannot be read now."),
            }
        });
    }
}

struct Desk {
    spool: Spool,
    account: Account,
    picks: SyncSender<Pick>,
    in_work: InWork,
    profiles: Vec<Arc<Profile>>,
}

impl Desk {
    fn write(&self, due: DueEvent) {
        let id = (due.camera.clone(), due.event.clone());
        let Some(profile) = self.profile(&due.camera) else { return };
        let (boot, began) = (BootId(due.boot.clone()), BootTime(due.began));
        let body = manifest(due, &profile.device).to_json();
        let len = body.len() as u64;
        // Without room it is asked for again; that is no refusal of a picture.
        let full = self.account.sums().bytes.saturating_add(len) > self.account.limit();
        if full || !self.in_work.begin(&id) {
            return;
        }
        let (in_work, event) = (self.in_work.clone(), id.1.clone());
        let Some(mut token) = self.account.choose(len) else {
            in_work.lock().remove(&id);
            return;
        };
        token.watch(Teller::new(move |fate| in_work.end(&id, fate)));
        let sheet = Sheet { profile, event, boot, began, body };
        if self.picks.try_send(Pick::Manifest(Box::new(sheet), token)).is_err() {
            warn!("An event's manifest waits: the still thread is behind.");
        }
    }

    /// The camera's own profile; for one that is gone from the configuration, another's with its name.
    fn profile(&self, camera: &str) -> Option<Arc<Profile>> {
        let own = self.profiles.iter().find(|p| p.camera == camera);
        own.cloned().or_else(|| {
            let any = self.profiles.first()?;
            Some(Arc::new(Profile { camera: camera.to_owned(), ..Profile::clone(any) }))
        })
    }
}

fn manifest(due: DueEvent, device: &str) -> Manifest {
    Manifest {
        schema: Manifest::schema(),
        device: device.to_owned(),
        camera: due.camera,
        event: due.event,
        boot: due.boot,
        began_boottime: due.began,
        duration_ms: due.duration_ms,
        ended: due.why,
        counts: due.counts,
        pictures: due.pictures,
    }
}
