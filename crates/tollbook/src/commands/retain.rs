//! `tollbook retain`: drops calls that are older than the retention. Without a retention set, or
//! told, calls are kept for ever and only applied journal segments past their age go.

use crate::cli::RetainArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::{filter, open};
use serde_json::json;
use tollbook_types::{Clock, Timestamp};

pub fn run(args: &RetainArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let days = args.days.or(config.retention_days.value);
    if days == Some(0) {
        return Err(Failure::usage("--days 0 would keep nothing"));
    }
    let cutoff = days.map(|days| cutoff(days, config)).transpose()?;
    let ledger = open::write(config, out)?;
    let purged = cutoff.map(|cutoff| ledger.purge(cutoff)).transpose()?;
    let segments = ledger.trim_journal()?;
    ledger.close()?;
    if out.json {
        out.json(&json!({
            "calls": purged.as_ref().map_or(0, |purged| purged.calls),
            "cutoff": purged.as_ref().map(|purged| purged.cutoff),
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
    out.line(&format!("{segments} journal segments past their age removed"))?;
    Ok(Exit::Ok)
}

/// The start of the first day that is kept, in the store's zone.
fn cutoff(days: u32, config: &Config) -> Result<Timestamp, Failure> {
    let zone = &config.time_zone.value.zone;
    let today = zone.to_datetime(SystemClock.now()).date();
    let back = jiff::Span::new().try_days(i64::from(days) - 1);
    let first = back.and_then(|back| today.checked_sub(back));
    filter::day_start(first.map_err(|_| Failure::usage(format!("{days} days are too many")))?, zone)
}
