//! `tollbook retain`: drops what is past its time, at once. What has no time set, or told, is kept for
//! ever; journal segments past their age always go.

use crate::cli::RetainArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::number::count;
use serde_json::json;
use tollbook_ledger::{By, Retained, Retention};

pub fn run(args: &RetainArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    if args.days == Some(0) || args.raw_days == Some(0) {
        return Err(Failure::usage("0 days would keep nothing"));
    }
    let told = config.retention();
    let retention = Retention {
        entries_days: args.days.or(told.entries_days),
        raw_days: args.raw_days.or(told.raw_days),
        ..told
    };
    let ledger = open::write(config, out)?;
    let Retained { purged, stripped, captures, segments } = ledger.retain(&By::local(), &retention)?;
    ledger.close()?;
    if out.json {
        out.json(&json!({
            "calls": purged.as_ref().map_or(0, |purged| purged.calls),
            "cutoff": purged.as_ref().map(|purged| purged.cutoff),
            "raw_calls": stripped.as_ref().map_or(0, |stripped| stripped.calls),
            "raw_cutoff": stripped.as_ref().map(|stripped| stripped.before),
            "captures": captures,
            "segments": segments,
        }))?;
        return Ok(Exit::Ok);
    }
    match purged {
        Some(purged) => {
            out.line(&format!("{} calls before {} dropped", count(purged.calls), purged.cutoff))?
        }
        None => out.line("no retention is set: every call is kept")?,
    }
    if let Some(stripped) = stripped {
        let calls = count(stripped.calls);
        out.line(&format!("raw usage and metadata of {calls} calls before {} dropped", stripped.before))?;
    }
    if captures > 0 {
        out.line(&format!("prompts and answers of {} calls dropped", count(captures)))?;
    }
    out.line(&format!("{segments} journal segments past their age removed"))?;
    Ok(Exit::Ok)
}
