//! `tollbook rekey`: another key for books that are encrypted. What is encrypted stays as it is: the
//! key wraps the one that it is encrypted with.

use crate::config::{Config, env, secret};
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use serde_json::json;
use tollbook_ledger::{Act, By};

pub fn run(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let Some(new) = secret(env::NEW_ENCRYPTION_KEY).map_err(|problem| Failure::config(vec![problem]))? else {
        return Err(Failure::usage(format!("{} is not set", env::NEW_ENCRYPTION_KEY))
            .hint("set it to what is to open the books from now on"));
    };
    let dir = open::dir(config)?;
    if dir.key().is_none() {
        return Err(Failure::new(format!("there are no encrypted books in {}", dir.path().display())));
    }
    let ledger = open::write(config, out)?;
    ledger.audit(&By::local(), Act::new("store.rekey"))?;
    ledger.close()?;
    dir.rekey(&open::lock(config)?, &new)?;
    if out.json {
        out.json(&json!({"rekeyed": true}))?;
    } else {
        out.line("the new key opens the books from now on, the old one does not any more")?;
    }
    out.note("backups that were made before still take the old key, or these books beside them");
    Ok(Exit::Ok)
}
