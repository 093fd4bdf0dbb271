//! SQLite's errors in the store's words.

use rusqlite::ErrorCode;
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

fn store_error(error: &rusqlite::Error) -> StoreError {
    let text = error.to_string();
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy(text),
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
