//! `tollbook usage`: how much, by what, over time.

use crate::cli::{Every, UsageArgs};
use crate::clock::SystemClock;
use crate::commands::stats;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::filter;
use crate::open;
use crate::out::Out;
use crate::out::chart::{Bar, bars};
use crate::out::number::{count, dollars};
use crate::out::table::{Cell, Column, Table};
use crate::out::text::fold;
use crate::wire::{ReportView, has_amount};
use tollbook_ledger::run_in_progress;
use tollbook_store::{Interval, Measures, StatsQuery, UsageQuery, UsageReport, UsageRow, View, Zone};
use tollbook_types::{Clock, Timestamp};

pub fn run(args: &UsageArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let period = filter::period(&args.range, &config.time_zone.value, now)?;
    let group_by =
        args.by.iter().map(|name| filter::dimension(name.trim())).collect::<Result<Vec<_>, _>>()?;
    let interval = match args.every {
        Some(Every::Hourly) => Interval::Hour,
        Some(Every::Daily) => Interval::Day,
        Some(Every::Weekly) => Interval::Week,
        Some(Every::Monthly) => Interval::Month,
        None if group_by.is_empty() => Interval::Day,
        None => Interval::None,
    };
    let query = UsageQuery {
        range: period.range,
        interval,
        zone: period.zone.zone.clone(),
        group_by,
        filters: filter::filters(&args.filter)?,
        view: filter::view(&args.view)?,
    };
    let limit = args.limit.and_then(|limit| usize::try_from(limit).ok());
    if args.stats {
        return stats::run(StatsQuery { usage: query, at: now, limit }, &period.zone.name, config, out);
    }
    let books = open::read(config, out)?;
    let run = run_in_progress(&*books)?;
    let report = books.usage(&query)?;
    let report = if let Some(limit) = limit { report.top(limit)? } else { report };
    if out.json {
        let (zone, run_in_progress) = (period.zone.name.as_str(), run.as_deref());
        out.json(&ReportView { query: &query, zone, run_in_progress, report: &report })?;
        return Ok(Exit::Ok);
    }
    let lines = if args.chart { chart(&query, &report, out.width()) } else { table(&query, &report, out) };
    for line in lines {
        out.line(&line)?;
    }
    let width = out.width();
    for line in footer(&query, &report.total, &period.zone.name, run.as_deref())
        .iter()
        .flat_map(|line| fold(line, width))
    {
        out.line(&line)?;
    }
    Ok(Exit::Ok)
}

fn table(query: &UsageQuery, report: &UsageReport, out: &Out) -> Vec<String> {
    let mut columns = key_columns(query);
    let keys = columns.len();
    columns.push(Column::number("Calls").expendable(1));
    columns.push(Column::number("In").expendable(2));
    columns.push(Column::number("Cached").expendable(3));
    columns.push(Column::number("Out").expendable(2));
    columns.push(Column::number("Cost"));
    let mut table = Table::new(columns);
    for row in &report.rows {
        let mut cells = key_cells(query, row.bucket, row_keys(&row.keys, row.rest));
        cells.extend(figures(&row.measures));
        table.row(cells);
    }
    let mut total = total_cells(keys);
    total.extend(figures(&report.total));
    table.total(total);
    table.lines(out.width(), out.is_bold())
}

fn figures(measures: &Measures) -> [Cell; 5] {
    let meters = &measures.meters;
    let cost = match () {
        () if measures.calls == 0 && measures.cost.picos() == 0 && measures.meters.is_empty() => {
            Cell::Word("–")
        }
        () if has_amount(measures) => Cell::Amount(measures.cost),
        () if measures.unpriced_calls > 0 => Cell::Word("unpriced"),
        () => Cell::Word("unknown"),
    };
    [
        Cell::Count(measures.calls),
        Cell::Count(meters.input_tokens()),
        Cell::Count(meters.cache_read_tokens()),
        Cell::Count(meters.output_tokens()),
        cost,
    ]
}

/// The columns that say what a row is about.
pub(super) fn key_columns(query: &UsageQuery) -> Vec<Column> {
    let bucket =
        (query.interval != Interval::None).then(|| Column::text(bucket_title(query.interval)).whole());
    let keys = query.group_by.iter().map(|dimension| Column::text(&title(&dimension.to_string())));
    bucket.into_iter().chain(keys).collect()
}

/// What a total has in so many of those columns.
pub(super) fn total_cells(columns: usize) -> Vec<Cell> {
    let mut cells = vec![Cell::Empty; columns];
    if let Some(first) = cells.first_mut() {
        *first = Cell::Word("Total");
    }
    cells
}

/// What a row is about.
pub(super) fn key_cells(query: &UsageQuery, bucket: Option<Timestamp>, keys: Vec<String>) -> Vec<Cell> {
    let bucket = bucket.map(|at| Cell::Text(bucket_text(at, query.interval, &query.zone)));
    bucket.into_iter().chain(keys.into_iter().map(Cell::Text)).collect()
}

/// A row's values of each dimension, or how many rows it sums up.
pub(super) fn row_keys(keys: &[Option<String>], rest: u64) -> Vec<String> {
    let mut texts: Vec<String> =
        keys.iter().map(|key| key.clone().unwrap_or_else(|| "–".to_owned())).collect();
    if let Some(first) = texts.first_mut().filter(|_| rest > 0) {
        *first = format!("{} others", count(rest));
    }
    texts
}

fn chart(query: &UsageQuery, report: &UsageReport, width: usize) -> Vec<String> {
    let bar = |row: &UsageRow| -> Bar {
        let bucket = row.bucket.map(|at| bucket_text(at, query.interval, &query.zone));
        let label: Vec<String> = bucket.into_iter().chain(row_keys(&row.keys, row.rest)).collect();
        (label.join(" "), has_amount(&row.measures).then_some(row.measures.cost))
    };
    bars(&report.rows.iter().map(bar).collect::<Vec<_>>(), width)
}

/// What the figures above are, and what is not in them.
pub(super) fn footer(query: &UsageQuery, total: &Measures, zone: &str, run: Option<&str>) -> Vec<String> {
    let basis = match query.view {
        View::Corrected => "as corrected".to_owned(),
        View::Billed => "as first recorded".to_owned(),
        View::AsOf(at) => format!("as of {at}"),
    };
    let range = match (query.range.from, query.range.to) {
        (None, None) => "all time".to_owned(),
        (from, to) => {
            let text =
                |at: Option<Timestamp>| at.map_or("…".to_owned(), |at| day_or_instant(at, &query.zone));
            format!("{} to before {}", text(from), text(to))
        }
    };
    let cost = if has_amount(total) { dollars(total.cost) } else { "no cost known".to_owned() };
    let mut lines = vec![format!("{} calls, {cost}; {range}; zone {zone}; {basis}", count(total.calls))];
    let mut missing = Vec::new();
    for (calls, what) in [
        (total.unpriced_calls, "unpriced (not in the cost)"),
        (total.unknown_calls, "of unknown usage (not in the cost)"),
        (total.estimated_calls, "estimated"),
        (total.errors, "ended in an error"),
    ] {
        if calls > 0 {
            missing.push(format!("{} {what}", count(calls)));
        }
    }
    if !missing.is_empty() {
        lines.push(missing.join(", "));
    }
    if total.unpriced_calls > 0 {
        lines.push("`tollbook price match MODEL --provider NAME` tells why a model has no price".to_owned());
    }
    if let Some(run) = run {
        lines.push(format!("calls are being rated again ({run}): costs change until that has ended"));
    }
    lines
}

fn day_or_instant(at: Timestamp, zone: &Zone) -> String {
    match tollbook_store::bucket_start(at, Interval::Day, zone) {
        Some(start) if start == at => zone.to_datetime(at).date().to_string(),
        _ => at.to_string(),
    }
}

/// A bucket's name: its day, or the hour with its offset, which tells apart the two of a long day.
pub fn bucket_text(at: Timestamp, interval: Interval, zone: &Zone) -> String {
    let local = zone.to_datetime(at);
    match interval {
        Interval::Hour => {
            format!("{} {:02}:{:02}{}", local.date(), local.hour(), local.minute(), zone.to_offset(at))
        }
        Interval::Month => local.strftime("%Y-%m").to_string(),
        Interval::None | Interval::Day | Interval::Week => local.date().to_string(),
    }
}

fn bucket_title(interval: Interval) -> &'static str {
    match interval {
        Interval::Hour => "Hour",
        Interval::Week => "Week from",
        Interval::Month => "Month",
        Interval::None | Interval::Day => "Date",
    }
}

/// A dimension as a column's title: `agent_name` is `Agent name`.
fn title(name: &str) -> String {
    if name.starts_with("tag.") {
        return name.to_owned();
    }
    let mut text = name.replace('_', " ");
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}
