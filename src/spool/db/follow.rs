//! The pictures of commands and events: their rows, made with the picture's and ended with it.
//!
//! A picture is a member of at most one command and one event. Those without either, and an event's
//! only picture, have no row here.

use rusqlite::{Row, Transaction, params};

use super::{Db, End, Follow, NewItem, Part, Result, commands, events, outbox, signed, unsigned};
use crate::clock::WallTime;
use crate::contract::manifest::{Entry, MAX_ENTRIES, State};
use crate::spool::follow::Receipt;

/// Who follows a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A command, by its row's number.
    Command(u64),
    /// An event, by its row's number.
    Event(u64),
}

impl Owner {
    /// As in the columns `kind` and `owner`.
    fn columns(self) -> [i64; 2] {
        match self {
            Self::Command(number) => [0, signed(number)],
            Self::Event(number) => [1, signed(number)],
        }
    }
}

impl Db {
    /// Reads from all that follows pictures, so that damage is found where it still leads to a rebuild.
    pub(in crate::spool) fn check_followed(&self) -> Result<()> {
        self.paused()?;
        self.open_commands()?;
        self.outbox_sums()?;
        self.outbox(0, 1)?;
        self.follows_event("", "")?;
        self.next_purge()?;
        self.conn.prepare_cached("SELECT 1 FROM members WHERE seq = 0")?.exists([])?;
        Ok(())
    }
}

/// Makes the rows that follow a picture which is being put in.
pub(super) fn begin(tx: &Transaction<'_>, item: &NewItem) -> Result<()> {
    let Some(Follow { command, event }) = &item.follow else { return Ok(()) };
    if let Some(id) = command
        && let Some(number) = commands::of_picture(tx, id)?
    {
        add(tx, item.seq, Owner::Command(number))?;
    }
    match event {
        None => Ok(()),
        Some(Part::Closing(event)) => events::forget(tx, &item.camera, event),
        Some(Part::One(event, captured)) => {
            let number = events::of_picture(tx, &item.camera, event, &item.boot, *captured)?;
            add(tx, item.seq, Owner::Event(number))
        }
    }
}

/// Ends what follows a picture whose time in the queue ended: its rows, its command if it was the last,
/// its receipt's message. Whether a message may have been put into the outbox.
pub(super) fn end(
    tx: &Transaction<'_>,
    seq: u64,
    end: &End,
    now: Option<WallTime>,
) -> Result<bool> {
    let receipt = match end {
        End::Stored(receipt) => receipt.as_deref(),
        End::Lost(_) | End::Quarantined(_) => None,
    };
    let told = receipt.and_then(|receipt| receipt.told.as_ref());
    if let Some(message) = told {
        outbox::put(tx, message)?;
    }
    let owners = owners(tx, seq)?;
    if owners.is_empty() {
        return Ok(told.is_some());
    }
    end_rows(tx, seq, end, receipt)?;
    for owner in owners {
        if let Owner::Command(number) = owner {
            commands::end_if_done(tx, number, now)?;
        }
    }
    Ok(true)
}

/// Is any of the owner's pictures still on its way?
pub(super) fn any_pending(tx: &Transaction<'_>, owner: Owner) -> Result<bool> {
    let mut statement = tx.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM members WHERE kind = ? AND owner = ? AND state = 0)",
    )?;
    Ok(statement.query_row(owner.columns(), |r| r.get(0))?)
}

/// The owner's pictures, by sequence number, at most [`MAX_ENTRIES`].
pub(super) fn entries(tx: &Transaction<'_>, owner: Owner) -> Result<Vec<Entry>> {
    let mut statement = tx.prepare_cached(&format!(
        "SELECT seq, state, key, size, sha256, captured, reason FROM members
         WHERE kind = ? AND owner = ? ORDER BY seq LIMIT {MAX_ENTRIES}"
    ))?;
    let rows = statement.query_map(owner.columns(), entry)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// How many of the owner's pictures are in each state, in the order of [`State`].
pub(super) fn counts(tx: &Transaction<'_>, owner: Owner) -> Result<[u64; 4]> {
    let mut counts = [0; 4];
    let mut statement = tx.prepare_cached(
        "SELECT state, count(*) FROM members WHERE kind = ? AND owner = ? GROUP BY state",
    )?;
    let mut rows = statement.query(owner.columns())?;
    while let Some(r) = rows.next()? {
        counts[state_of(r.get(0)?) as usize] += unsigned(r, 1)?;
    }
    Ok(counts)
}

/// Deletes the rows of the owner's pictures.
pub(super) fn forget_members(tx: &Transaction<'_>, owner: Owner) -> Result<()> {
    tx.prepare_cached("DELETE FROM members WHERE kind = ? AND owner = ?")?
        .execute(owner.columns())?;
    Ok(())
}

fn add(tx: &Transaction<'_>, seq: u64, owner: Owner) -> Result<()> {
    let [kind, owner] = owner.columns();
    tx.prepare_cached("INSERT OR IGNORE INTO members (seq, kind, owner) VALUES (?, ?, ?)")?
        .execute([signed(seq), kind, owner])?;
    Ok(())
}

fn owners(tx: &Transaction<'_>, seq: u64) -> Result<Vec<Owner>> {
    let mut statement = tx.prepare_cached("SELECT kind, owner FROM members WHERE seq = ?")?;
    let rows = statement.query_map([signed(seq)], |r| {
        let number = unsigned(r, 1)?;
        Ok(if r.get::<_, i64>(0)? == 0 { Owner::Command(number) } else { Owner::Event(number) })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn end_rows(tx: &Transaction<'_>, seq: u64, end: &End, receipt: Option<&Receipt>) -> Result<()> {
    let (state, reason) = match end {
        End::Stored(_) => (State::Stored, None),
        End::Quarantined(why) => (State::Quarantined, Some(why.as_str())),
        End::Lost(why) => (State::Lost, Some(why.name())),
    };
    tx.prepare_cached(
        "UPDATE members SET state = ?2, reason = ?3, key = ?4, size = ?5, sha256 = ?6, captured = ?7
         WHERE seq = ?1",
    )?
    .execute(params![
        signed(seq),
        state as i64,
        reason,
        receipt.map(|r| &r.key),
        receipt.map(|r| signed(r.size)),
        receipt.map(|r| &r.sha256),
        receipt.and_then(|r| r.captured.as_ref()),
    ])?;
    Ok(())
}

fn entry(r: &Row<'_>) -> rusqlite::Result<Entry> {
    Ok(Entry {
        seq: unsigned(r, 0)?,
        state: state_of(r.get(1)?),
        key: r.get(2)?,
        size: r.get::<_, Option<i64>>(3)?.and_then(|size| size.try_into().ok()),
        sha256: r.get(4)?,
        captured: r.get(5)?,
        reason: r.get(6)?,
    })
}

/// Numbers of states in the index; an unknown one can only be of a later version.
fn state_of(n: i64) -> State {
    match n {
        0 => State::Pending,
        1 => State::Stored,
        2 => State::Quarantined,
        _ => State::Lost,
    }
}
