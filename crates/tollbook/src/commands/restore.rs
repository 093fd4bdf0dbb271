//! `tollbook restore`: a backup, or the whole journal, in place of the store.

use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use serde_json::json;
use tollbook_ledger::{Act, By};

pub fn run(args: &RestoreArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let dir = open::dir(config);
    let lock = dir.lock()?;
    let restored = match &args.file {
        Some(backup) => tollbook_ledger::restore(&lock, &dir, backup, open::inspect)?,
        None => {
            let (ledger_id, restored) = tollbook_ledger::restore_from_journal(&lock, &dir)?;
            drop(open::open_store(config, &dir.store(), Some(&ledger_id))?);
            restored
        }
    };
    let ledger = open::open_locked(config, lock, out)?;
    if args.from_journal {
        ledger.store().sync()?;
    }
    let position = ledger.store().position()?;
    ledger.audit(&By::local(), Act::new("store.restore").told("from", restored.applied))?;
    ledger.close()?;
    if out.json {
        out.json(&json!({
            "from": restored.applied, "journal_last": restored.journal_last, "applied": position.applied,
            "replaced_store": restored.moved_to,
        }))?;
        return Ok(Exit::Ok);
    }
    out.line(&format!("the store has everything up to journal record {}", position.applied))?;
    if let Some(path) = restored.moved_to {
        out.line(&format!("the store that was there before is now {}", path.display()))?;
    }
    out.note("run `tollbook verify` to compare it with the journal");
    Ok(Exit::Ok)
}
