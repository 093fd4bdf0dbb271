//! SQLite's errors in the store's words.

use rusqlite::{ErrorCode, ffi};
use tollbook_store::StoreError;

/// A result of the driver that becomes one of the store.
pub(crate) trait Db<T> {
    /// The same with the store's error.
    fn db(self) -> Result<T, StoreError>;
}

impl<T> Db<T> for rusqlite::Result<T> {
    fn db(self) -> Result<T, StoreError> {
        self.map_err(|error| store_error(&error))
    }
}

/// How the text begins when the disk failed on a write or a sync: what is on it is not known.
const NOT_WRITTEN: &str = "writing to the disk failed: ";

/// Whether nothing may be tried again: the next sync would tell that all is well when it is not.
pub(crate) fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::Io(text) if text.starts_with(NOT_WRITTEN))
}

/// A failed write or sync.
pub(crate) fn not_written(error: &impl std::fmt::Display) -> StoreError {
    StoreError::Io(format!("{NOT_WRITTEN}{error}"))
}

fn store_error(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error {
        rusqlite::Error::SqliteFailure(failure, _)
            if matches!(
                failure.extended_code,
                ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_WRITE
            ) =>
        {
            not_written(error)
        }
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy(text),
            ErrorCode::OperationInterrupted => StoreError::TooLong,
            ErrorCode::DiskFull => StoreError::Full(text),
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::TypeMismatch => {
                StoreError::Corrupt(text)
            }
            ErrorCode::ConstraintViolation => StoreError::Invalid(text),
            // The schema was checked at open: what it lacks later is damage.
            ErrorCode::Unknown => StoreError::Corrupt(text),
            _ => StoreError::Io(text),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::SqlInputError { .. }
        | rusqlite::Error::QueryReturnedNoRows => StoreError::Corrupt(text),
        _ => StoreError::Io(text),
    }
}
