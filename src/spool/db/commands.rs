//! Commands: written down once, ended once, in the transaction of whatever ends them.
//!
//! ```text
//! accept ▸ open ─ conclude(Taken) ▸ taken ─ its last picture ends ▸ ended
//!            └───── conclude(Ended), or a row was its whole effect ────┘
//! ```
//!
//! A command ends by [`end`] alone, which tells each of its addresses through the outbox. Ended rows
//! stay, so that a command that comes again is known; the newest [`ENDED_KEPT`] of them.

use rusqlite::{OptionalExtension, Row, Transaction, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tracing::{debug, info};

use super::follow::{Owner, any_pending, entries, forget_members};
use super::{Db, Result, Sync, outbox, purges, signed, unsigned};
use crate::clock::WallTime;
use crate::contract::command::{Reason, Status, Told, end_of_pictures};
use crate::spool::follow::{Acceptance, Address, Conclusion, Kind, Message, NewCommand, RowEffect};

/// Ended commands that are remembered.
const ENDED_KEPT: i64 = 4096;

/// Where a command stands.
#[derive(Clone, Copy)]
enum State {
    Open = 0,
    Taken = 1,
    Ended = 2,
}

/// A command's row, as far as ending it needs it.
struct Command {
    number: u64,
    id: String,
    ended: bool,
    wanted: u64,
    taken: u64,
    tell: String,
    fault: Option<String>,
}

/// An [`Address`] as its row holds it.
#[derive(Serialize, Deserialize)]
struct Tell {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation: Option<Vec<u8>>,
}

impl Db {
    /// What was told last of a command that is known.
    pub(in crate::spool) fn told(&self, id: &str) -> Result<Option<Told>> {
        let mut statement = self.conn.prepare_cached("SELECT told FROM commands WHERE id = ?")?;
        let told: Option<String> = statement.query_row([id], |r| r.get(0)).optional()?;
        let accepted = || Told::new(id, Status::Accepted, None);
        Ok(told.map(|json| parse(&json).unwrap_or_else(accepted)))
    }

    /// Writes a command down, durably, unless it is known. An effect that is a row is done with it.
    pub(in crate::spool) fn accept(
        &mut self,
        command: &NewCommand,
        now: Option<WallTime>,
    ) -> Result<Acceptance> {
        if let Some(told) = self.told(&command.id)? {
            return Ok(Acceptance::Known(Box::new(told)));
        }
        self.transact(Sync::Full, |tx| {
            let told = Told::new(&command.id, Status::Accepted, now);
            insert(tx, command, State::Open, &told)?;
            match (&command.effect, find(tx, &command.id)?) {
                (Some(RowEffect::PauseUploads(paused)), Some(row)) => {
                    set_paused(tx, *paused)?;
                    let told = Told::new(&command.id, Status::Succeeded, now);
                    end(tx, &row, &told.with(Some(json!({ "paused": paused }))))?;
                }
                (Some(RowEffect::Purge(wanted)), Some(row)) => {
                    purges::begin(tx, row.number, wanted)?;
                    tx.prepare_cached("UPDATE commands SET state = 1 WHERE number = ?")?
                        .execute([signed(row.number)])?;
                }
                (None, _) | (_, None) => {}
            }
            forget_old(tx)?;
            Ok(Acceptance::New)
        })
    }

    /// Takes conclusions, durably.
    pub(in crate::spool) fn conclude(
        &mut self,
        conclusions: &[(String, Conclusion)],
        now: Option<WallTime>,
    ) -> Result<()> {
        self.transact(Sync::Full, |tx| {
            conclusions.iter().try_for_each(|(id, conclusion)| conclude(tx, id, conclusion, now))
        })
    }

    /// Concludes what an earlier run left open: by its pictures where it has any. How many there were.
    pub(in crate::spool) fn interrupt_commands(&mut self, now: Option<WallTime>) -> Result<u64> {
        if self.count_commands(State::Open)? == 0 {
            return Ok(0);
        }
        self.transact(Sync::Full, |tx| {
            let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE state = 0"))?;
            let open: Vec<Command> =
                statement.query_map([], row)?.collect::<rusqlite::Result<_>>()?;
            for command in &open {
                interrupt(tx, command, now)?;
            }
            Ok(open.len() as u64)
        })
    }

    /// Commands that have not ended.
    pub(in crate::spool) fn open_commands(&self) -> Result<u64> {
        Ok(self.count_commands(State::Open)? + self.count_commands(State::Taken)?)
    }

    /// Are uploads paused?
    pub(in crate::spool) fn paused(&self) -> Result<bool> {
        let mut statement =
            self.conn.prepare_cached("SELECT value FROM flags WHERE name = 'paused'")?;
        let value: Option<i64> = statement.query_row([], |r| r.get(0)).optional()?;
        Ok(value.is_some_and(|value| value != 0))
    }

    /// Pauses uploads in an index that does not know of it: the one that did was lost.
    pub(in crate::spool) fn pause(&mut self) -> Result<()> {
        self.transact(Sync::Full, |tx| set_paused(tx, true))
    }

    fn count_commands(&self, state: State) -> Result<u64> {
        let mut statement =
            self.conn.prepare_cached("SELECT count(*) FROM commands WHERE state = ?")?;
        Ok(statement.query_row([state as i64], |r| unsigned(r, 0))?)
    }
}

/// The number of the command that asked for a picture; `None` where it has ended. One that is not known
/// was lost with its index, and is written down anew, as far as its picture tells.
pub(super) fn of_picture(tx: &Transaction<'_>, id: &str) -> Result<Option<u64>> {
    if find(tx, id)?.is_none() {
        insert_unknown(tx, id, State::Taken)?;
    }
    Ok(find(tx, id)?.filter(|command| !command.ended).map(|command| command.number))
}

/// Writes down a command that was lost with its index, as far as it can be known.
fn insert_unknown(tx: &Transaction<'_>, id: &str, state: State) -> Result<()> {
    let tell = vec![Address { topic: format!("cmd/{id}/status"), correlation: None }];
    let command =
        NewCommand { id: id.to_owned(), op: String::new(), tell, effect: None, pictures: 0 };
    insert(tx, &command, state, &Told::new(id, Status::InProgress, None))
}

/// Ends a command that was taken, if all its pictures have ended.
pub(super) fn end_if_done(tx: &Transaction<'_>, number: u64, now: Option<WallTime>) -> Result<()> {
    let command = tx
        .prepare_cached(&format!("{SELECT} WHERE number = ? AND state = 1"))?
        .query_row([signed(number)], row)
        .optional()?;
    let Some(command) = command else { return Ok(()) };
    let owner = Owner::Command(number);
    if any_pending(tx, owner)? {
        return Ok(());
    }
    let pictures = entries(tx, owner)?;
    let (found, fault) = (pictures.len() as u64, command.fault.as_deref().and_then(parse));
    let fault = fault.or_else(|| shortfall(command.taken, found));
    let (status, reason, result) = end_of_pictures(fault, &pictures);
    end(tx, &command, &Told::new(&command.id, status, now).because(reason).with(Some(result)))
}

fn conclude(
    tx: &Transaction<'_>,
    id: &str,
    conclusion: &Conclusion,
    now: Option<WallTime>,
) -> Result<()> {
    // An index that was lost meanwhile takes the end of what it no longer knows.
    if find(tx, id)?.is_none() {
        insert_unknown(tx, id, State::Open)?;
    }
    let Some(command) = find(tx, id)?.filter(|command| !command.ended) else {
        debug!(id, ?conclusion, "A conclusion came for a command that has ended.");
        return Ok(());
    };
    match conclusion {
        Conclusion::Ended { status, reason, result } => {
            let told = Told::new(id, *status, now).because(reason.clone()).with(result.clone());
            end(tx, &command, &told)
        }
        Conclusion::Taken { kept, fault } => take(tx, &command, u64::from(*kept), fault, now),
    }
}

fn take(
    tx: &Transaction<'_>,
    command: &Command,
    kept: u64,
    fault: &Option<(Status, Reason)>,
    now: Option<WallTime>,
) -> Result<()> {
    let told = Told::new(&command.id, Status::InProgress, now);
    let fault = fault.as_ref().map(to_json);
    tx.prepare_cached(
        "UPDATE commands SET state = 1, taken = ?, fault = ?, told = ? WHERE number = ?",
    )?
    .execute(params![signed(kept), fault, to_json(&told), signed(command.number)])?;
    end_if_done(tx, command.number, now)
}

fn interrupt(tx: &Transaction<'_>, command: &Command, now: Option<WallTime>) -> Result<()> {
    let pictures = entries(tx, Owner::Command(command.number))?.len() as u64;
    info!(id = command.id, pictures, "A command was interrupted by the agent's end.");
    let why = Reason::new("interrupted", "the agent stopped before this was done");
    if pictures == 0 {
        let told = Told::new(&command.id, Status::Failed, now).because(Some(why));
        return end(tx, command, &told);
    }
    let fault = (pictures < command.wanted).then_some((Status::Failed, why));
    take(tx, command, pictures, &fault, now)
}

/// Ends a command by its number, if it has not ended.
pub(super) fn end_number(
    tx: &Transaction<'_>,
    number: u64,
    status: Status,
    result: Option<serde_json::Value>,
    now: Option<WallTime>,
) -> Result<()> {
    let command = tx
        .prepare_cached(&format!("{SELECT} WHERE number = ?"))?
        .query_row([signed(number)], row)
        .optional()?;
    let Some(command) = command.filter(|command| !command.ended) else { return Ok(()) };
    end(tx, &command, &Told::new(&command.id, status, now).with(result))
}

/// Pictures that were kept and are not known here, or none at all, are no success.
fn shortfall(taken: u64, found: u64) -> Option<(Status, Reason)> {
    if found == 0 {
        return Some((Status::Failed, Reason::new("no-picture", "no picture was kept")));
    }
    let missing = taken.saturating_sub(found);
    let text = format!("{missing} of {taken} pictures will not be stored");
    (missing > 0).then(|| (Status::Failed, Reason::new("lost", text)))
}

/// Ends a command: its row, its pictures' rows, and a message to each who is to be told.
fn end(tx: &Transaction<'_>, command: &Command, told: &Told) -> Result<()> {
    let json = to_json(told);
    tx.prepare_cached("UPDATE commands SET state = 2, fault = NULL, told = ? WHERE number = ?")?
        .execute(params![json, signed(command.number)])?;
    forget_members(tx, Owner::Command(command.number))?;
    for Tell { topic, correlation } in parse::<Vec<Tell>>(&command.tell).unwrap_or_default() {
        let payload = json.clone().into_bytes();
        outbox::put(tx, &Message { kind: Kind::Outcome, topic, payload, correlation })?;
    }
    Ok(())
}

fn insert(tx: &Transaction<'_>, command: &NewCommand, state: State, told: &Told) -> Result<()> {
    let tell = command.tell.iter().map(|Address { topic, correlation }| Tell {
        topic: topic.clone(),
        correlation: correlation.clone(),
    });
    let tell = to_json(&tell.collect::<Vec<_>>());
    tx.prepare_cached(
        "INSERT INTO commands (id, op, state, wanted, tell, told) VALUES (?, ?, ?, ?, ?, ?)",
    )?
    .execute(params![
        command.id,
        command.op,
        state as i64,
        command.pictures,
        tell,
        to_json(told)
    ])?;
    Ok(())
}

fn forget_old(tx: &Transaction<'_>) -> Result<()> {
    tx.prepare_cached(
        "DELETE FROM commands WHERE state = 2 AND number <=
           (SELECT number FROM commands WHERE state = 2 ORDER BY number DESC LIMIT 1 OFFSET ?)",
    )?
    .execute([ENDED_KEPT])?;
    Ok(())
}

fn set_paused(tx: &Transaction<'_>, paused: bool) -> Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO flags VALUES ('paused', ?)")?.execute([paused])?;
    Ok(())
}

const SELECT: &str = "SELECT number, id, state, wanted, taken, tell, fault FROM commands";

fn find(tx: &Transaction<'_>, id: &str) -> Result<Option<Command>> {
    let mut statement = tx.prepare_cached(&format!("{SELECT} WHERE id = ?"))?;
    Ok(statement.query_row([id], row).optional()?)
}

fn row(r: &Row<'_>) -> rusqlite::Result<Command> {
    Ok(Command {
        number: unsigned(r, 0)?,
        id: r.get(1)?,
        ended: r.get::<_, i64>(2)? == State::Ended as i64,
        wanted: unsigned(r, 3)?,
        taken: unsigned(r, 4)?,
        tell: r.get(5)?,
        fault: r.get(6)?,
    })
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() // plain data: it cannot fail
}

/// What was written here is read here; what is not understood is of a later version, or nothing.
pub(super) fn parse<T: DeserializeOwned>(json: &str) -> Option<T> {
    serde_json::from_str(json).ok()
}
