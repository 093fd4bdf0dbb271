//! Who holds the books that a command changes: the running server where there is one, else this
//! process for the moment.

use crate::client::Client;
use crate::config::Config;
use crate::failure::Failure;
use crate::open;
use crate::out::Out;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tollbook_ledger::{Ledger, LedgerError};

/// Who holds the books.
pub enum Holder {
    /// Nobody runs: this process, for the moment.
    Books(Box<Ledger>),
    /// A running server.
    Server(Client),
}

/// Does some work with whoever holds the books.
pub fn with<T>(
    config: &Config,
    out: &mut Out,
    work: impl FnOnce(&Holder) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let holder = match open::lock(config) {
        Ok(lock) => Holder::Books(Box::new(open::open_locked(config, lock, out)?)),
        Err(locked @ LedgerError::Locked { .. }) => match Client::find(&config.data_dir.value) {
            Some(client) => Holder::Server(client),
            None => return Err(locked.into()),
        },
        Err(error) => return Err(error.into()),
    };
    let result = work(&holder);
    if let Holder::Books(ledger) = holder {
        ledger.close()?;
    }
    result
}

/// What a server answered.
pub fn answer<T: DeserializeOwned>(told: Option<Value>) -> Result<T, Failure> {
    Ok(serde_json::from_value(told.unwrap_or_default())?)
}

/// Ids go into paths.
pub fn is_id(id: &str, start: &str) -> bool {
    id.starts_with(start) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
