//! `tollbook rerate`: recorded calls at the prices in force now. The difference is shown first.

use crate::cli::RerateArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::{count, dollars};
use crate::out::table::{Cell, Column, Table};
use crate::{filter, open, prices};
use serde_json::json;
use std::collections::BTreeMap;
use tollbook_ledger::{Act, By, Difference, Rerate};
use tollbook_store::Store;
use tollbook_types::{Clock, Money};

/// Differences that --json lists one by one.
const LISTED_MAX: usize = 10_000;

pub fn run(args: &RerateArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let zone = filter::zone(args.tz.as_deref(), &config.time_zone.value)?;
    let now = SystemClock.now();
    let range = filter::since_until(args.since.as_deref(), args.until.as_deref(), &zone.zone, now)?;
    let plan = |store: &dyn Store| -> Result<Rerate, Failure> {
        Ok(Rerate::plan(store, &*prices::book(config)?, range, args.unpriced)?)
    };
    if !args.apply {
        let plan = plan(&*open::read(config, out)?)?;
        print(&plan, None, out)?;
        return Ok(Exit::Ok);
    }
    let ledger = open::write(config, out)?;
    let plan = plan(&**ledger.store())?;
    let act = Act::new("calls.rerate").on("run", plan.run.to_string());
    ledger.audit(&By::local(), act.told("calls", plan.differences.len()))?;
    let applied = ledger.rerate(&plan)?;
    ledger.close()?;
    print(&plan, Some(applied), out)?;
    Ok(Exit::Ok)
}

fn print(plan: &Rerate, applied: Option<u64>, out: &mut Out) -> Result<(), Failure> {
    let (before, after) = plan.totals();
    if out.json {
        let differences = plan.differences.iter().take(LISTED_MAX).map(difference_json);
        return out.json(&json!({
            "run": plan.run, "looked_at": plan.looked_at, "would_change": plan.differences.len(),
            "before_usd": before, "after_usd": after, "applied": applied,
            "differences": differences.collect::<Vec<_>>(),
        }));
    }
    print_table(&plan.differences, out)?;
    out.line(&format!(
        "{} calls looked at, {} differ: {} before, {} after",
        count(plan.looked_at),
        count(plan.differences.len() as u64),
        dollars(before),
        dollars(after)
    ))?;
    match applied {
        Some(applied) => out.line(&format!("{} adjustments appended, run {}", count(applied), plan.run)),
        None if plan.differences.is_empty() => Ok(()),
        None => {
            out.note("nothing was changed; --apply appends these adjustments");
            Ok(())
        }
    }
}

/// One change as JSON.
pub fn difference_json(difference: &Difference) -> serde_json::Value {
    let event = &difference.call.entry.event;
    let before = difference.call.corrected().rating;
    let after = &difference.state.rating;
    json!({
        "id": event.id, "source": event.source, "project": difference.state.attribution.project,
        "provider": event.provider, "model": event.model, "occurred_at": event.occurred_at,
        "before_usd": before.cost, "after_usd": after.cost,
        "before_price_id": before.price_id, "after_price_id": after.price_id,
        "total_tokens": difference.state.meters().total_tokens(),
    })
}

/// The changes by provider and model.
pub fn print_table(differences: &[Difference], out: &mut Out) -> Result<(), Failure> {
    if differences.is_empty() {
        return Ok(());
    }
    #[derive(Default)]
    struct Sum {
        calls: u64,
        before: Option<Money>,
        after: Option<Money>,
    }
    let add = |sum: &mut Option<Money>, more: Option<Money>| {
        if let Some(more) = more {
            *sum = sum.unwrap_or_default().checked_add(more);
        }
    };
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for difference in differences {
        let event = &difference.call.entry.event;
        let sum = sums.entry((&event.provider, &event.model)).or_default();
        sum.calls += 1;
        add(&mut sum.before, difference.call.corrected().rating.cost);
        add(&mut sum.after, difference.state.rating.cost);
    }
    let mut table = Table::new(vec![
        Column::text("Provider"),
        Column::text("Model"),
        Column::number("Calls"),
        Column::number("Before"),
        Column::number("After"),
    ]);
    let amount = |sum: Option<Money>| sum.map_or(Cell::Word("no cost"), Cell::Amount);
    for ((provider, model), sum) in sums {
        table.row(vec![
            Cell::Text(provider.to_owned()),
            Cell::Text(model.to_owned()),
            Cell::Count(sum.calls),
            amount(sum.before),
            amount(sum.after),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    Ok(())
}
