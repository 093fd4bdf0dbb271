//! `tollbook rebuild`: all rollups anew from the entries.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::number::count;
use serde_json::json;
use tollbook_ledger::{Act, By};

pub fn run(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let ledger = open::write(config, out)?;
    ledger.audit(&By::local(), Act::new("store.rebuild"))?;
    let rows = ledger.store().rebuild()?;
    ledger.close()?;
    if out.json {
        out.json(&json!({"rollup_rows": rows}))?;
    } else {
        out.line(&format!("{} rollup rows computed anew from the entries", count(rows)))?;
    }
    Ok(Exit::Ok)
}
