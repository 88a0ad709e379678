//! How much work SQLite does, for tests: steps of its virtual machine, on this thread.

use std::cell::Cell;

use rusqlite::Connection;

thread_local!(static STEPS: Cell<u64> = const { Cell::new(0) });

/// Counts this connection's steps.
pub(super) fn watch(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.progress_handler(
        1,
        Some(|| {
            STEPS.set(STEPS.get() + 1);
            false
        }),
    )
}

/// Steps that some work takes.
pub(in crate::spool) fn steps(work: impl FnOnce()) -> u64 {
    let before = STEPS.get();
    work();
    STEPS.get() - before
}
