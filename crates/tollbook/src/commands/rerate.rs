//! `tollbook rerate`: recorded calls at the prices in force now. The difference is shown first; it is
//! applied by the running server where there is one, else in the books themselves.

use super::holder::{self, Holder, answer};
use crate::cli::RerateArgs;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::{count, dollars};
use crate::out::table::{Cell, Column, Table};
use crate::{filter, open, prices};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tollbook_ledger::{By, Changes, Difference, Ledger, ModelChange, Rerate, Scope};
use tollbook_types::Clock;

/// Differences that --json lists one by one.
const LISTED_MAX: usize = 10_000;
const PATH: &str = "/api/v1/rerate";
/// How often a server is asked whether its run has ended.
const ASKED_EVERY: Duration = Duration::from_millis(250);

/// What has become of a run.
#[derive(Deserialize)]
struct Ended {
    run: String,
    stopped: Option<String>,
    changes: Option<Changes>,
}

pub fn run(args: &RerateArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let scope = scope(args, config)?;
    if !args.apply {
        let store = open::read(config, out)?;
        let plan = Rerate::plan(&*store, &*prices::book(config)?, &scope, LISTED_MAX)?;
        print_plan(&plan, out)?;
        return Ok(Exit::Ok);
    }
    let ended = holder::with(config, out, |holder| match holder {
        Holder::Books(ledger) => apply(ledger, &scope),
        Holder::Server(client) => ask(client, &scope),
    })?;
    match (ended.stopped, ended.changes) {
        (None, Some(changes)) => print_applied(&ended.run, &changes, out)?,
        (stopped, _) => {
            let why = stopped.unwrap_or_else(|| "it is not known what it changed".to_owned());
            return Err(Failure::new(format!("run {}: {why}", ended.run)).hint("run the same again"));
        }
    }
    Ok(Exit::Ok)
}

fn scope(args: &RerateArgs, config: &Config) -> Result<Scope, Failure> {
    let zone = filter::zone(args.tz.as_deref(), &config.time_zone.value)?;
    let now = SystemClock.now();
    let range = filter::since_until(args.since.as_deref(), args.until.as_deref(), &zone.zone, now)?;
    let pair = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.ends_with('!') && !value.is_empty() => {
            filter::dimension(key).map(|key| (key.to_string(), value.to_owned()))
        }
        _ => Err(Failure::usage(format!("{text:?}: write KEY=VALUE, such as model=house-model"))),
    };
    let matching = args.filter.iter().map(pair).collect::<Result<_, _>>()?;
    Ok(Scope { from: range.from, to: range.to, unpriced: args.unpriced, matching })
}

fn apply(ledger: &Ledger, scope: &Scope) -> Result<Ended, Failure> {
    // What a crash has left is ended first: there is one run at a time. Often it is the one that is asked for.
    let left = ledger.open_rerate()?.map(|mut left| ledger.rerate_to_its_end(&mut left)).transpose()?;
    let run = match left.filter(|left| left.scope == *scope) {
        Some(left) => left,
        None => ledger.rerate(&By::local(), ledger.book(), scope.clone())?,
    };
    Ok(Ended { run: run.run, stopped: run.stopped, changes: run.changes })
}

/// Has the server do it, and waits.
fn ask(client: &Client, scope: &Scope) -> Result<Ended, Failure> {
    let asked = json!({
        "from": scope.from, "to": scope.to, "unpriced": scope.unpriced, "match": scope.matching, "apply": true,
    });
    let begun: Ended = answer(client.ask("POST", PATH, Some(&asked))?)?;
    loop {
        let goes_on = |failure: Failure| failure.hint("the run goes on when the server is started again");
        let now = client.ask("GET", PATH, None).map_err(goes_on)?.unwrap_or_default();
        // Another run is there once this one has ended.
        if now["run"] != begun.run.as_str() {
            return Ok(begun);
        }
        if !now["ended_at"].is_null() {
            return answer(Some(now));
        }
        std::thread::sleep(ASKED_EVERY);
    }
}

fn print_plan(plan: &Rerate, out: &mut Out) -> Result<(), Failure> {
    let Rerate { changes, differences } = plan;
    if out.json {
        let differences: Vec<_> = differences.iter().map(difference_json).collect();
        return out.json(&json!({
            "run": null, "looked_at": changes.looked_at, "would_change": changes.calls,
            "before_usd": changes.before_usd, "after_usd": changes.after_usd, "applied": null,
            "models": changes.models, "differences": differences,
        }));
    }
    print_changes(changes, out)?;
    if changes.calls > 0 {
        out.note("nothing was changed; --apply appends these adjustments");
    }
    Ok(())
}

fn print_applied(run: &str, changes: &Changes, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({
            "run": run, "looked_at": changes.looked_at, "would_change": changes.calls,
            "before_usd": changes.before_usd, "after_usd": changes.after_usd, "applied": changes.calls,
            "models": changes.models,
        }));
    }
    print_changes(changes, out)?;
    out.line(&format!("{} adjustments appended, run {run}", count(changes.calls)))
}

fn print_changes(changes: &Changes, out: &mut Out) -> Result<(), Failure> {
    print_table(&changes.models, out)?;
    out.line(&format!(
        "{} calls looked at, {} differ: {} before, {} after",
        count(changes.looked_at),
        count(changes.calls),
        dollars(changes.before_usd),
        dollars(changes.after_usd)
    ))
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
pub fn print_table(models: &[ModelChange], out: &mut Out) -> Result<(), Failure> {
    if models.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![
        Column::text("Provider"),
        Column::text("Model"),
        Column::number("Calls"),
        Column::number("Before"),
        Column::number("After"),
    ]);
    let amount = |sum: Option<_>| sum.map_or(Cell::Word("no cost"), Cell::Amount);
    for change in models {
        table.row(vec![
            Cell::Text(change.provider.clone()),
            Cell::Text(change.model.clone()),
            Cell::Count(change.calls),
            amount(change.before_usd),
            amount(change.after_usd),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    Ok(())
}
