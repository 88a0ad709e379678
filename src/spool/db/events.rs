//! Events of more than one picture: which pictures they have, and whether their manifest is due.
//!
//! A row lives from an event's first picture (or its end, if none was kept) until its manifest, or a
//! picture that says it is the last, is put in. Bounded: beyond [`MAX_EVENTS`] the oldest is dropped,
//! and goes without a manifest.

use std::time::Duration;

use rusqlite::{OptionalExtension, Row, Transaction, params};
use tracing::warn;

use super::follow::{Owner, counts, entries, forget_members};
use super::{Db, Result, Sync, signed, unsigned};
use crate::clock::{BootId, BootTime};
use crate::contract::manifest::Counts;
use crate::spool::follow::DueEvent;
use crate::still::EventEnd;

/// Most events that are followed.
const MAX_EVENTS: i64 = 1000;
/// Events whose manifest is asked for at a time.
const DUE: u64 = 4;
/// How long after an event its manifest waits for its pictures.
const PATIENCE: Duration = Duration::from_secs(600);

impl Db {
    /// Is this event followed?
    pub(in crate::spool) fn follows_event(&self, camera: &str, event: &str) -> Result<bool> {
        let mut statement = self.conn.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE camera = ? AND event = ?)",
        )?;
        Ok(statement.query_row([camera, event], |r| r.get(0))?)
    }

    /// Follows these events no longer.
    pub(in crate::spool) fn forget_events(&mut self, events: &[(&str, &str)]) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            events.iter().try_for_each(|(camera, event)| forget(tx, camera, event))
        })
    }

    /// Writes down that these events are over.
    pub(in crate::spool) fn end_events(
        &mut self,
        ends: &[&EventEnd],
        boot: &BootId,
        now: BootTime,
    ) -> Result<()> {
        self.transact(Sync::Normal, |tx| ends.iter().try_for_each(|e| end(tx, e, boot, now)))
    }

    /// Ends what an earlier run left open, as interrupted; and what ended in an earlier boot waits for
    /// its pictures from now on, as clocks of two boots cannot be compared. Where this run has events of its own
    /// already, `began` tells when it did: its events are left alone.
    pub(in crate::spool) fn interrupt_events(
        &mut self,
        boot: &BootId,
        now: BootTime,
        began: Option<BootTime>,
    ) -> Result<()> {
        self.transact(Sync::Normal, |tx| {
            tx.execute(
                "UPDATE events SET why = 'interrupted'
                 WHERE ended_ns IS NULL AND (?2 IS NULL OR boot <> ?1 OR began_ns < ?2)",
                params![boot.0, began.map(|at| signed(at.0))],
            )?;
            tx.execute(
                "UPDATE events SET ended_boot = ?1, ended_ns = ?2
                 WHERE ended_ns IS NULL AND why = 'interrupted' OR ended_boot <> ?1",
                params![boot.0, signed(now.0)],
            )?;
            Ok(())
        })
    }

    /// Events that are over and whose pictures have ended, or have been waited for long enough; the
    /// oldest first, a few at a time.
    pub(in crate::spool) fn due_events(&mut self, now: BootTime) -> Result<Vec<DueEvent>> {
        let patience = u64::try_from(PATIENCE.as_nanos()).unwrap_or(u64::MAX);
        let (before, waits) = (now.0.saturating_sub(patience), now.0 < patience);
        self.transact(Sync::Normal, |tx| {
            let mut statement = tx.prepare_cached(&format!(
                "SELECT number, camera, event, boot, began_ns, duration_ms, why, chosen FROM events
                 WHERE ended_ns IS NOT NULL AND (ended_ns <= ?1 AND NOT ?2 OR NOT EXISTS
                   (SELECT 1 FROM members WHERE kind = 1 AND owner = number AND state = 0))
                 ORDER BY number LIMIT {DUE}"
            ))?;
            let rows = statement.query_map(params![signed(before), waits], due)?;
            rows.map(|row| filled(tx, row?)).collect()
        })
    }
}

/// The number of the event of a picture; a new one if it is the first.
pub(super) fn of_picture(
    tx: &Transaction<'_>,
    camera: &str,
    event: &str,
    boot: &BootId,
    captured: BootTime,
) -> Result<u64> {
    if let Some(number) = find(tx, camera, event)? {
        return Ok(number);
    }
    insert(tx, camera, event, boot, captured)
}

/// Follows an event no longer.
pub(super) fn forget(tx: &Transaction<'_>, camera: &str, event: &str) -> Result<()> {
    match find(tx, camera, event)? {
        Some(number) => forget_number(tx, number),
        None => Ok(()),
    }
}

fn end(tx: &Transaction<'_>, end: &EventEnd, boot: &BootId, now: BootTime) -> Result<()> {
    let number = of_picture(tx, &end.camera, &end.event, boot, end.began)?;
    let millis = u64::try_from(end.duration.as_millis()).unwrap_or(u64::MAX);
    tx.prepare_cached(
        "UPDATE events SET began_ns = ?2, ended_boot = ?3, ended_ns = ?4, duration_ms = ?5,
           why = ?6, chosen = ?7 WHERE number = ?1",
    )?
    .execute(params![
        signed(number),
        signed(end.began.0),
        boot.0,
        signed(now.0),
        signed(millis),
        end.why,
        signed(end.chosen)
    ])?;
    Ok(())
}

fn find(tx: &Transaction<'_>, camera: &str, event: &str) -> Result<Option<u64>> {
    let mut statement =
        tx.prepare_cached("SELECT number FROM events WHERE camera = ? AND event = ?")?;
    Ok(statement.query_row([camera, event], |r| unsigned(r, 0)).optional()?)
}

fn insert(
    tx: &Transaction<'_>,
    camera: &str,
    event: &str,
    boot: &BootId,
    began: BootTime,
) -> Result<u64> {
    let number = tx
        .prepare_cached(
            "INSERT INTO events (camera, event, boot, began_ns) VALUES (?, ?, ?, ?)
             RETURNING number",
        )?
        .query_row(params![camera, event, boot.0, signed(began.0)], |r| unsigned(r, 0))?;
    let too_old: Option<u64> = tx
        .prepare_cached("SELECT number FROM events ORDER BY number DESC LIMIT 1 OFFSET ?")?
        .query_row([MAX_EVENTS], |r| unsigned(r, 0))
        .optional()?;
    if let Some(oldest) = too_old {
        warn!(camera, "Too many events wait for their manifests; the oldest goes without one.");
        forget_number(tx, oldest)?;
        tx.execute(
            "INSERT INTO flags VALUES ('events-dropped', 1)
             ON CONFLICT DO UPDATE SET value = value + 1",
            [],
        )?;
    }
    Ok(number)
}

fn forget_number(tx: &Transaction<'_>, number: u64) -> Result<()> {
    forget_members(tx, Owner::Event(number))?;
    tx.prepare_cached("DELETE FROM events WHERE number = ?")?.execute([signed(number)])?;
    Ok(())
}

fn due(r: &Row<'_>) -> rusqlite::Result<(u64, DueEvent)> {
    let chosen: Option<i64> = r.get(7)?;
    let duration_ms: Option<i64> = r.get(5)?;
    let event = DueEvent {
        camera: r.get(1)?,
        event: r.get(2)?,
        boot: r.get(3)?,
        began: unsigned(r, 4)?,
        duration_ms: duration_ms.and_then(|n| n.try_into().ok()),
        why: r.get::<_, Option<String>>(6)?.unwrap_or_default(),
        counts: Counts { chosen: chosen.and_then(|n| n.try_into().ok()), ..Counts::default() },
        pictures: Vec::new(),
    };
    Ok((unsigned(r, 0)?, event))
}

/// With its pictures, as their rows tell of them.
fn filled(tx: &Transaction<'_>, (number, mut event): (u64, DueEvent)) -> Result<DueEvent> {
    let owner = Owner::Event(number);
    let [pending, stored, quarantined, lost] = counts(tx, owner)?;
    let kept = pending + stored + quarantined + lost;
    let chosen = event.counts.chosen;
    let refused = chosen.map(|chosen| chosen.saturating_sub(kept));
    event.counts = Counts { chosen, refused, stored, pending, quarantined, lost };
    event.pictures = entries(tx, owner)?;
    Ok(event)
}
