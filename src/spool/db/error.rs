//! Why the index failed.

use rusqlite::ErrorCode;

/// Why the index failed, by what to do next.
#[derive(Debug, thiserror::Error)]
pub(in crate::spool) enum DbError {
    /// Set it aside and rebuild it from the files.
    #[error("the index is damaged: {0}")]
    Corrupt(String),
    /// The index was made by a later version: leave it alone.
    #[error("the index has format {found}, this agent knows {known}")]
    TooNew {
        /// Its version.
        found: usize,
        /// Ours.
        known: usize,
    },
    /// The disk is full. The transaction is undone, and the index works on.
    #[error("the disk is full: {0}")]
    Full(rusqlite::Error),
    /// Close it and open it again.
    #[error("the index failed: {0}")]
    Failed(rusqlite::Error),
}

impl From<rusqlite::Error> for DbError {
    fn from(e: rusqlite::Error) -> Self {
        use rusqlite::Error as E;
        match (&e, e.sqlite_error_code()) {
            (_, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) => {
                Self::Corrupt(e.to_string())
            }
            (_, Some(ErrorCode::DiskFull)) => Self::Full(e),
            // A table or column that should be there is not, or a sum does not balance.
            (_, Some(ErrorCode::ConstraintViolation | ErrorCode::Unknown))
            | (
                E::InvalidColumnType(..) | E::QueryReturnedNoRows | E::IntegralValueOutOfRange(..),
                _,
            ) => Self::Corrupt(e.to_string()),
            _ => Self::Failed(e),
        }
    }
}
