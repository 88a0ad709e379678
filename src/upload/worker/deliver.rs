//! One claim from end to end: read, attempted, and its outcome told.

use std::sync::Arc;

use tracing::{debug, info, warn};

use super::{Done, LOOK_AGAIN, Shared};
use crate::contract::command::rfc3339;
use crate::contract::metadata::metadata;
use crate::contract::stored::StoredNotice;
use crate::spool::{Claim, Kind, Loaded, Loss, Message, Outcome, Quarantine, ReadError, Receipt};
use crate::upload::classify::Verdict;
use crate::upload::pace::Settled;
use crate::upload::{Item, Standing};

/// One claim from end to end. The claim lives until its outcome is told: dropped earlier, it would be
/// lent out twice.
pub(super) async fn deliver(shared: Arc<Shared>, claim: Claim) -> Done {
    let (seq, attempts) = (claim.seq, claim.attempts);
    // A claim that is lost with its reading task is put back by having been dropped.
    let (claim, read) = match load(claim).await {
        Some(loaded) => loaded,
        None => {
            shared.destination().abandoned();
            return Done::Attempt;
        }
    };
    let item = match read {
        Ok(item) => item,
        Err(e) => {
            unreadable(&shared, seq, e).await;
            return Done::Attempt;
        }
    };
    let (_claim, verdict) = match shared.courier.attempt(&item).await {
        Verdict::CheckOwnFile { why } => match load(claim).await {
            Some((_claim, Err(e))) => {
                unreadable(&shared, seq, e).await;
                return Done::Attempt;
            }
            again => (again.map(|(claim, _)| claim), Verdict::Retry { after: None, why }),
        },
        verdict => (Some(claim), verdict),
    };
    let settled = settle(&shared, seq, attempts, verdict, &item.key);
    if settled.outcome == Outcome::Stored {
        stored(&shared, seq, &item).await;
    } else {
        shared.tell(seq, settled.outcome, settled.wait).await;
    }
    Done::Attempt
}

fn settle(shared: &Shared, seq: u64, attempts: u32, verdict: Verdict, key: &str) -> Settled {
    let now = shared.timekeeper.boottime();
    let mut destination = shared.destination();
    let before = destination.state(0, now).standing;
    let settled = destination.settle(seq, attempts, verdict, now, fastrand::f64());
    let state = destination.state(0, now);
    drop(destination);
    match &settled.outcome {
        Outcome::Stored => debug!(key, "Stored."),
        Outcome::Quarantined(why) => warn!(?why, key, "Picture set aside."),
        _ => debug!(key, failures = state.failures, error = ?state.last_error, "Not stored yet."),
    }
    tell_change(&before, &state.standing);
    settled
}

/// Says once how the destination stands, not at every picture that it turns away.
fn tell_change(before: &Standing, now: &Standing) {
    match now {
        _ if before == now => {}
        Standing::Working => info!("Uploads work again."),
        Standing::Parked(parked) => {
            warn!(error = %parked, "Destination parked; everything is kept.")
        }
        Standing::Retrying(error) if !matches!(before, Standing::Retrying(_)) => {
            warn!(error, "Uploads fail; will retry, everything is kept.");
        }
        Standing::Retrying(_) => {}
    }
}

/// Reads a claimed picture, on the blocking pool where it must come from disk.
async fn load(claim: Claim) -> Option<(Claim, Result<Item, ReadError>)> {
    let (claim, loaded) = match claim.is_warm() {
        true => {
            let loaded = claim.load();
            (claim, loaded)
        }
        false => {
            let read = tokio::task::spawn_blocking(move || {
                let loaded = claim.load();
                (claim, loaded)
            });
            read.await.ok()?
        }
    };
    let item = loaded.map(|Loaded { facts, wall, key, body }| {
        let meta = metadata(&facts, wall);
        Item { key, facts, wall, body, meta }
    });
    Some((claim, item))
}

async fn unreadable(shared: &Shared, seq: u64, error: ReadError) {
    warn!(%error, seq, "A picture cannot be read.");
    shared.destination().abandoned();
    let (outcome, wait) = match error {
        ReadError::Missing => (Outcome::Lost(Loss::Missing), None),
        ReadError::Corrupt(_) => (Outcome::Quarantined(Quarantine::Corrupt), None),
        ReadError::Io(_) => (Outcome::Released, Some(LOOK_AGAIN)),
    };
    shared.tell(seq, outcome, wait).await;
}

/// The spool first, then whoever listens.
async fn stored(shared: &Shared, seq: u64, item: &Item) {
    let Item { key, facts, wall, .. } = item;
    let notice = StoredNotice { key: key.clone(), facts: facts.clone(), wall: *wall };
    let receipt = Receipt {
        key: key.clone(),
        size: facts.len,
        sha256: facts.sha256.clone(),
        captured: facts.wall.or(*wall).and_then(rfc3339),
        told: shared.reliable_notices.then(|| Message {
            kind: Kind::Stored,
            topic: notice.topic(),
            payload: notice.payload(),
            correlation: None,
        }),
    };
    match shared.spool.stored(seq, receipt).await {
        // Nobody listening is no error.
        Ok(()) => drop(shared.notices.send(notice)),
        Err(error) => {
            warn!(%error, seq, "The spool did not take an outcome; the picture will be sent again.");
        }
    }
}
