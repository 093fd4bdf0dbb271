//! `tollbook calls`: a list of calls, and with --follow those that come.

use crate::cli::{CallsArgs, RangeArgs, SortBy};
use crate::clock::SystemClock;
use crate::config::{Config, NamedZone};
use crate::failure::{Exit, Failure};
use crate::filter;
use crate::open;
use crate::out::Out;
use crate::out::number::{count, dollars};
use crate::out::table::{Cell, Column, Table};
use crate::out::text::visible;
use crate::wire::CallView;
use serde_json::json;
use std::time::Duration;
use tollbook_store::{CallsCursor, CallsOrder, CallsQuery, Filter, Store, StoredCall};
use tollbook_types::{Clock, Evidence, TimeRange, Timestamp};

/// Calls that one question to the store asks for.
const PAGE: usize = 500;
/// How often --follow looks for new calls.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

pub fn run(args: &CallsArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let period =
        filter::period(&unbounded_unless_said(&args.range), &config.time_zone.value, SystemClock.now())?;
    let filters = filter::filters(&args.filter)?;
    let store = open::read(config, out)?;
    let position = store.position()?.applied;
    let order = match args.sort {
        SortBy::Time => CallsOrder::Newest,
        SortBy::Cost => CallsOrder::Costliest,
    };
    let (calls, has_more) = list(&*store, period.range, &filters, order, args.limit)?;
    if args.follow {
        for call in calls.iter().rev() {
            print_one(call, &period.zone, out)?;
        }
        return follow(&*store, &filters, position, &period.zone, out);
    }
    if out.json {
        let data: Vec<CallView> = calls.iter().map(CallView::of).collect();
        out.json(&json!({"data": data, "has_more": has_more}))?;
        return Ok(Exit::Ok);
    }
    for line in table(&calls, &period.zone).lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if calls.is_empty() {
        out.note("no call is like that; `tollbook calls --all` without filters lists all");
    } else if has_more {
        out.note(&format!("the first {} calls; -n N shows more", count(calls.len() as u64)));
    }
    if !calls.is_empty() {
        out.note(&format!(
            "times in zone {}; `tollbook explain ID` shows why a call costs what it costs",
            period.zone.name
        ));
    }
    Ok(Exit::Ok)
}

/// A list is bounded by its length: without a word about time it is of all time.
fn unbounded_unless_said(args: &RangeArgs) -> RangeArgs {
    let is_said = args.days.is_some() || args.since.is_some() || args.until.is_some();
    RangeArgs { all: args.all || !is_said, ..args.clone() }
}

/// The first `limit` calls, and whether there are more.
fn list(
    store: &dyn Store,
    range: TimeRange,
    filters: &[Filter],
    order: CallsOrder,
    limit: usize,
) -> Result<(Vec<StoredCall>, bool), Failure> {
    let mut calls = Vec::new();
    let mut after = None;
    while calls.len() < limit {
        let asked = PAGE.min(limit - calls.len());
        let query = CallsQuery { range, filters: filters.to_vec(), order, after, limit: asked };
        let page = store.calls(&query)?;
        calls.extend(page.calls);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok((calls, after.is_some()))
}

fn follow(
    store: &dyn Store,
    filters: &[Filter],
    from: u64,
    zone: &NamedZone,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let mut after = CallsCursor { key: 0, seq: from };
    loop {
        let query = CallsQuery {
            range: TimeRange::ALL,
            filters: filters.to_vec(),
            order: CallsOrder::Recorded,
            after: Some(after),
            limit: PAGE,
        };
        let page = store.calls(&query)?;
        for call in &page.calls {
            print_one(call, zone, out)?;
            after.seq = after.seq.max(call.seq);
        }
        out.flush()?;
        if page.next.is_none() {
            std::thread::sleep(FOLLOW_EVERY);
        }
    }
}

fn print_one(call: &StoredCall, zone: &NamedZone, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json_line(&CallView::of(call));
    }
    let (event, state) = (&call.entry.event, call.corrected());
    let cost = state.rating.cost.map_or_else(|| CallView::without_cost(&state).to_owned(), dollars);
    let mut line = format!(
        "{}  {}/{}  in {}  out {}  {cost}",
        zone.zone.to_datetime(event.occurred_at).strftime("%H:%M:%S"),
        event.provider,
        event.model,
        count(state.meters().input_tokens()),
        count(state.meters().output_tokens()),
    );
    if let Some(latency_ms) = event.latency_ms {
        line.push_str(&format!("  {} ms", count(latency_ms)));
    }
    if let Some(first_ms) = event.time_to_first_token_ms {
        line.push_str(&format!(" (first token {} ms)", count(first_ms)));
    }
    if event.is_error() {
        line.push_str(&format!("  {}", event.status.name()));
    }
    // Last, so that a narrow terminal breaks only here.
    line.push_str(&format!("  {}", event.id));
    out.line(&visible(&line))
}

/// An instant to the minute, in the zone.
pub fn time_text(at: Timestamp, zone: &NamedZone) -> String {
    zone.zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
}

fn table(calls: &[StoredCall], zone: &NamedZone) -> Table {
    let mut table = Table::new(vec![
        Column::text("Time").whole(),
        Column::text("Provider").expendable(4),
        Column::text("Model"),
        Column::number("In").expendable(3),
        Column::number("Cached").expendable(7),
        Column::number("Out").expendable(3),
        Column::number("Cost"),
        Column::text("User").expendable(6),
        Column::text("Known by").expendable(8),
        Column::text("Status").expendable(5),
        Column::text("Id").whole(),
    ]);
    for call in calls {
        let (event, state) = (&call.entry.event, call.corrected());
        let meters = state.meters();
        let has_usage = state.usage.is_some();
        let quantity = |n: u64| if has_usage { Cell::Count(n) } else { Cell::Word("–") };
        let basis = match state.evidence {
            Evidence::ProviderUsage | Evidence::ProviderCost => "provider",
            Evidence::Partial => "cut stream",
            Evidence::Estimated => "estimate",
            Evidence::Unknown => "nothing",
        };
        table.row(vec![
            Cell::Text(time_text(event.occurred_at, zone)),
            Cell::Text(event.provider.clone()),
            Cell::Text(event.model.clone()),
            quantity(meters.input_tokens()),
            quantity(meters.cache_read_tokens()),
            quantity(meters.output_tokens()),
            state.rating.cost.map_or(Cell::Word(CallView::without_cost(&state)), Cell::Amount),
            Cell::text(state.attribution.user.as_deref()),
            Cell::Word(basis),
            Cell::Word(event.status.name()),
            Cell::Text(event.id.clone()),
        ]);
    }
    table
}
