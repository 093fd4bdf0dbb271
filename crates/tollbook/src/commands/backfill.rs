//! `tollbook backfill`: calls without usage get the typical usage of calls like them.

use super::rerate::{difference_json, print_table};
use crate::cli::BackfillArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::{filter, open, prices};
use serde_json::json;
use tollbook_ledger::{Act, Backfill, By, by_model};
use tollbook_store::Store;
use tollbook_types::Clock;

pub fn run(args: &BackfillArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let zone = filter::zone(args.tz.as_deref(), &config.time_zone.value)?;
    let now = SystemClock.now();
    let range = filter::since_until(args.since.as_deref(), args.until.as_deref(), &zone.zone, now)?;
    let plan = |store: &dyn Store| -> Result<Backfill, Failure> {
        Ok(Backfill::plan(store, &*prices::book(config)?, range)?)
    };
    if !args.apply {
        let plan = plan(&*open::read(config, out)?)?;
        print(&plan, None, out)?;
        return Ok(Exit::Ok);
    }
    let ledger = open::write(config, out)?;
    let plan = plan(&**ledger.store())?;
    ledger.audit(&By::local(), Act::new("calls.backfill"))?;
    let applied = ledger.backfill(&plan)?;
    ledger.close()?;
    print(&plan, Some(applied), out)?;
    Ok(Exit::Ok)
}

fn print(plan: &Backfill, applied: Option<u64>, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({
            "would_change": plan.differences.len(), "without_example": plan.without_example, "applied": applied,
            "differences": plan.differences.iter().map(difference_json).collect::<Vec<_>>(),
        }));
    }
    print_table(&by_model(&plan.differences), out)?;
    out.line(&format!(
        "{} calls of unknown usage can be estimated by calls like them, {} have none like them",
        count(plan.differences.len() as u64),
        count(plan.without_example)
    ))?;
    match applied {
        Some(applied) => out.line(&format!("{} adjustments appended", count(applied))),
        None if plan.differences.is_empty() => Ok(()),
        None => {
            out.note("nothing was changed; --apply appends these adjustments");
            Ok(())
        }
    }
}
