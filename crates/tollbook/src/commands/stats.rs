//! `tollbook usage --stats`: how fast, how dear a call, for how many, how well.

use crate::commands::usage::{footer, key_cells, key_columns, row_keys, total_cells};
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::out::text::fold;
use crate::wire::StatsView;
use tollbook_ledger::run_in_progress;
use tollbook_store::{Stats, StatsQuery, StatsReport};

pub(super) fn run(query: StatsQuery, zone: &str, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let books = open::read(config, out)?;
    let run = run_in_progress(&*books)?;
    let report = books.stats(&query)?;
    if out.json {
        out.json(&StatsView { query: &query, zone, run_in_progress: run.as_deref(), report: &report })?;
        return Ok(Exit::Ok);
    }
    let width = out.width();
    for line in table(&query, &report).lines(width, out.is_bold()) {
        out.line(&line)?;
    }
    let notes = footer(&query.usage, &report.total.measures, zone, run.as_deref());
    for line in notes.iter().flat_map(|line| fold(line, width)) {
        out.line(&line)?;
    }
    Ok(Exit::Ok)
}

fn table(query: &StatsQuery, report: &StatsReport) -> Table {
    let mut columns = key_columns(&query.usage);
    let keys = columns.len();
    columns.extend([
        Column::number("Calls"),
        Column::number("Success").expendable(3),
        Column::number("p50 ms"),
        Column::number("p95 ms").expendable(1),
        Column::number("p99 ms").expendable(6),
        Column::number("First p50").expendable(5),
        Column::number("Users").expendable(4),
        Column::number("Sessions").expendable(4),
        Column::number("Per session").expendable(7),
        Column::number("Per call").expendable(2),
    ]);
    let mut table = Table::new(columns);
    for row in &report.rows {
        let mut cells = key_cells(&query.usage, row.bucket, row_keys(&row.keys, row.rest));
        cells.extend(figures(&row.stats));
        table.row(cells);
    }
    let mut total = total_cells(keys);
    total.extend(figures(&report.total));
    table.total(total);
    table
}

fn figures(stats: &Stats) -> [Cell; 10] {
    let or_none = |cell: Option<Cell>| cell.unwrap_or(Cell::Word("–"));
    let (latency, first) = (stats.latency_ms, stats.first_token_ms);
    [
        Cell::Count(stats.measures.calls),
        or_none(stats.success_rate().map(|rate| Cell::Text(rate.to_string()))),
        or_none(latency.map(|of| Cell::Count(of.p50))),
        or_none(latency.map(|of| Cell::Count(of.p95))),
        or_none(latency.map(|of| Cell::Count(of.p99))),
        or_none(first.map(|of| Cell::Count(of.p50))),
        Cell::Count(stats.users),
        Cell::Count(stats.sessions),
        or_none(stats.cost_per_session().map(Cell::Amount)),
        or_none(stats.cost_avg().map(Cell::Amount)),
    ]
}
