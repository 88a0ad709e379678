//! Who a spool is: `spool.json`, beside the index.

use std::io;

use tracing::warn;

use super::{Result, at};
use crate::spool::db::{Db, Ledger};
use crate::spool::files::{self, Identity, Layout};

pub(super) fn read_identity(layout: &Layout) -> Result<Option<Identity>> {
    let path = layout.identity();
    match files::read_json::<Identity>(&path) {
        Ok(Some(identity)) if identity.format != 1 => {
            let why = format!("the spool has format {}, this agent knows 1", identity.format);
            Err(at(&path)(io::Error::new(io::ErrorKind::Unsupported, why)))
        }
        Ok(identity) => Ok(identity),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            warn!(%error, "spool.json is broken and will be written anew.");
            Ok(None)
        }
        Err(e) => Err(at(&path)(e)),
    }
}

/// Writes `spool.json` anew from the ledger where it is gone.
pub(super) fn keep_identity(layout: &Layout, identity: Option<Identity>, db: &Db) -> Result<()> {
    if identity.is_none() {
        let Ledger { spool, generation, high_seq, .. } = db.ledger()?;
        let seq_floor = high_seq + 1;
        write_identity(layout, Identity { format: 1, uuid: spool, generation, seq_floor })?;
    }
    Ok(())
}

pub(super) fn write_identity(layout: &Layout, identity: Identity) -> Result<Identity> {
    let path = layout.identity();
    files::replace_json(&path, &identity).map_err(at(&path))?;
    Ok(identity)
}

/// A random UUID, version 4. It tells spools apart and guards nothing.
pub(super) fn new_uuid() -> String {
    let n = (fastrand::u128(..) & !(0xf << 76) & !(3 << 62)) | (4 << 76) | (2 << 62);
    let hex = format!("{n:032x}");
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}
