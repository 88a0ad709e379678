//! How far a rebuild of the index has come. It stands in the index itself and moves on in the transaction that puts in
//! what was found, so that a rebuild cut off at any moment goes on where its last commit was.

use std::ops::Range;

use rusqlite::{OptionalExtension, Transaction};

use super::rows::Filler;
use super::{Db, NewItem, Result, Sync, signed, unsigned};

/// Flags: the lowest number whose file may have no row yet, and the first one that the rebuild does not look for.
const FROM: &str = "unread-from";
const END: &str = "unread-end";

impl Db {
    /// Numbers whose files may have no row yet; `None` where the index knows every file.
    pub(in crate::spool) fn unread(&self) -> Result<Option<Range<u64>>> {
        let mut statement = self.conn.prepare_cached("SELECT value FROM flags WHERE name = ?")?;
        let mut flag = |name| statement.query_row([name], |r| unsigned(r, 0)).optional();
        Ok(flag(FROM)?.zip(flag(END)?).map(|(from, end)| from..end))
    }

    /// Puts in the pictures found in `read`, a beginning of what was unread; whether it still was that. Those that have a
    /// row by now are left alone.
    pub(in crate::spool) fn take_in(
        &mut self,
        found: &[NewItem],
        read: &Range<u64>,
    ) -> Result<bool> {
        self.transact(Sync::Normal, |tx| {
            let moved = tx
                .prepare_cached("UPDATE flags SET value = ?3 WHERE name = ?1 AND value = ?2")?
                .execute((FROM, signed(read.start), signed(read.end)))?;
            if moved == 0 {
                return Ok(false);
            }
            let mut filler = Filler { tx };
            for item in found {
                let has_row = tx
                    .prepare_cached("SELECT 1 FROM items WHERE seq = ?")?
                    .exists([signed(item.seq)])?;
                if !has_row {
                    filler.put(item)?;
                }
            }
            tx.prepare_cached(
                "DELETE FROM flags WHERE name IN (?1, ?2) AND EXISTS (SELECT 1 FROM flags f JOIN flags e
                   WHERE f.name = ?1 AND e.name = ?2 AND f.value >= e.value)",
            )?
            .execute((FROM, END))?;
            Ok(true)
        })
    }
}

/// Says of a new index which files it does not know.
pub(super) fn begin(tx: &Transaction<'_>, unread: &Range<u64>) -> Result<()> {
    let mut statement = tx.prepare_cached("INSERT INTO flags VALUES (?, ?)")?;
    if !unread.is_empty() {
        statement.execute((FROM, signed(unread.start)))?;
        statement.execute((END, signed(unread.end)))?;
    }
    Ok(())
}
