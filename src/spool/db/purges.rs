//! Purges: accepted with their command, worked off page by page, told when they are done.
//!
//! Each page is one durable transaction: its rows, the totals, the receipt so far and how far it has come. So each
//! picture is removed and counted once, over restarts and power cuts, and the receipt is exact. The command is
//! *taken* meanwhile, which no start interrupts, and ends by [`Db::end_purge`] alone.

use rusqlite::{OptionalExtension, Transaction, params};
use tracing::info;

use super::rows::{drop_rows, settle_one};
use super::{Db, End, Result, Settled, Sync, commands, follow, signed, unsigned};
use crate::clock::WallTime;
use crate::contract::Class;
use crate::contract::command::Status;
use crate::contract::purge::{Receipt, Selection};
use crate::spool::Loss;

/// A purge that is being worked off.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Purge {
    /// Number of its command.
    number: u64,
    pub(in crate::spool) wanted: Selection,
    pub(in crate::spool) upto: u64,
    pub(in crate::spool) above: u64,
}

/// What one page of it comes to.
#[derive(Clone, Debug, Default)]
pub(in crate::spool) struct PurgePage {
    /// Its last picture's number.
    pub(in crate::spool) above: u64,
    pub(in crate::spool) going: Vec<Going>,
    pub(in crate::spool) in_flight: Vec<u64>,
    pub(in crate::spool) unreadable: u64,
}

/// A picture that is to be removed.
#[derive(Clone, Debug)]
pub(in crate::spool) struct Going {
    pub(in crate::spool) seq: u64,
    pub(in crate::spool) camera: String,
    pub(in crate::spool) class: Class,
    pub(in crate::spool) bytes: u64,
    /// When it was taken, RFC 3339.
    pub(in crate::spool) taken: Option<String>,
}

impl Db {
    /// The purge to work at, the oldest.
    pub(in crate::spool) fn next_purge(&self) -> Result<Option<Purge>> {
        let mut statement = self.conn.prepare_cached(
            "SELECT command, wanted, upto, above FROM purges ORDER BY command LIMIT 1",
        )?;
        let found = statement.query_row([], |r| {
            let wanted: String = r.get(1)?;
            Ok((unsigned(r, 0)?, wanted, unsigned(r, 2)?, unsigned(r, 3)?))
        });
        Ok(found.optional()?.map(|(number, wanted, upto, above)| Purge {
            number,
            // What a later version wrote is not guessed at: nothing is removed for it.
            upto: if commands::parse::<Selection>(&wanted).is_some() { upto } else { 0 },
            wanted: commands::parse(&wanted).unwrap_or_default(),
            above,
        }))
    }

    /// Removes a page's rows and counts them, durably; once, however often it is called.
    pub(in crate::spool) fn purge_page(
        &mut self,
        purge: &Purge,
        page: &PurgePage,
        forget: &[u64],
        now: Option<WallTime>,
    ) -> Result<Settled> {
        self.transact(Sync::Full, |tx| {
            drop_rows(tx, forget)?;
            let mut settled = Settled::default();
            let (above, mut receipt) = progress(tx, purge.number)?;
            if above >= page.above {
                return Ok(settled);
            }
            for going in &page.going {
                if let Some(waited) = settle_one(tx, going.seq, &End::Lost(Loss::Purged))? {
                    settled.waited += u64::from(waited);
                    settled.put |= follow::end(tx, going.seq, &End::Lost(Loss::Purged), now)?;
                    settled.gone.push(going.seq);
                    receipt.add(&going.camera, going.class, going.bytes, going.taken.as_deref());
                }
            }
            page.in_flight.iter().for_each(|seq| receipt.leave_in_flight(*seq));
            receipt.unreadable += page.unreadable;
            tx.prepare_cached("UPDATE purges SET above = ?2, receipt = ?3 WHERE command = ?1")?
                .execute(params![
                    signed(purge.number),
                    signed(page.above),
                    commands::to_json(&receipt)
                ])?;
            Ok(settled)
        })
    }

    /// All of it is done: its command ends with the receipt.
    pub(in crate::spool) fn end_purge(
        &mut self,
        purge: &Purge,
        now: Option<WallTime>,
    ) -> Result<()> {
        self.transact(Sync::Full, |tx| {
            let (_, receipt) = progress(tx, purge.number)?;
            let removed = tx
                .prepare_cached("DELETE FROM purges WHERE command = ?")?
                .execute([signed(purge.number)])?;
            if removed == 0 {
                return Ok(());
            }
            info!(pictures = receipt.pictures, bytes = receipt.bytes, "A purge is done.");
            commands::end_number(
                tx,
                purge.number,
                Status::Succeeded,
                serde_json::to_value(&receipt).ok(),
                now,
            )
        })
    }
}

/// Writes a purge down, in the transaction that accepts its command: of whatever has a row by then.
pub(super) fn begin(tx: &Transaction<'_>, number: u64, wanted: &Selection) -> Result<()> {
    tx.prepare_cached("INSERT INTO purges SELECT ?1, ?2, high_seq, 0, ?3 FROM ledger")?.execute(
        params![signed(number), commands::to_json(wanted), commands::to_json(&Receipt::default())],
    )?;
    Ok(())
}

fn progress(tx: &Transaction<'_>, number: u64) -> Result<(u64, Receipt)> {
    let found = tx
        .prepare_cached("SELECT above, receipt FROM purges WHERE command = ?")?
        .query_row([signed(number)], |r| Ok((unsigned(r, 0)?, r.get::<_, String>(1)?)))
        .optional()?;
    let (above, receipt) = found.unwrap_or((u64::MAX, String::new()));
    Ok((above, commands::parse(&receipt).unwrap_or_default()))
}
