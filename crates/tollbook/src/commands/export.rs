//! `tollbook export`: calls as CSV or JSON Lines, one page at a time.
//!
//! CSV has a line for each leg: the call's own columns repeat, and only the first line of a call
//! carries its cost and counts as the call. Cells that a spreadsheet would run as a formula get an
//! apostrophe in front.

use crate::cli::{ExportArgs, ExportFormat};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::pages::each_call;
use crate::wire::CallView;
use crate::{filter, open};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tollbook_store::{Filter, Store, StoredCall};
use tollbook_types::{Clock, Meters, Money, TimeRange};

const COLUMNS: &[&str] = &[
    "id",
    "source",
    "occurred_at",
    "recorded_at",
    "provider",
    "model",
    "request_model",
    "status",
    "error",
    "project",
    "customer",
    "user",
    "agent",
    "agent_name",
    "operation",
    "operation_id",
    "session",
    "key",
    "tags",
    "leg",
    "leg_model",
    "calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "total_tokens",
    "meters",
    "leg_cost_usd",
    "cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "other_cost_usd",
    "cost_basis",
    "price_id",
    "evidence",
    "latency_ms",
    "provider_response_id",
    "version",
];

pub fn run(args: &ExportArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let is_said = args.range.days.is_some() || args.range.since.is_some() || args.range.until.is_some();
    let range = crate::cli::RangeArgs { all: args.range.all || !is_said, ..args.range.clone() };
    let period = filter::period(&range, &config.time_zone.value, SystemClock.now())?;
    let filters = filter::filters(&args.filter)?;
    let store = open::read(config, out)?;
    let format = if out.json { ExportFormat::Jsonl } else { args.format };
    let calls = match &args.output {
        None => write(&*store, period.range, &filters, format, out.data())?,
        Some(path) => to_file(path, |file| write(&*store, period.range, &filters, format, file))?,
    };
    out.note(&format!("{} calls exported", count(calls)));
    Ok(Exit::Ok)
}

/// Writes a file beside its place and moves it there when it is whole.
pub fn to_file<T>(
    path: &Path,
    work: impl FnOnce(&mut BufWriter<File>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    let unfinished = Path::new(&name);
    let mut file = BufWriter::new(File::create(unfinished).map_err(failed)?);
    let result = work(&mut file)?;
    file.flush().map_err(failed)?;
    std::fs::rename(unfinished, path).map_err(failed)?;
    Ok(result)
}

fn write(
    store: &dyn Store,
    range: TimeRange,
    filters: &[Filter],
    format: ExportFormat,
    to: &mut impl Write,
) -> Result<u64, Failure> {
    let mut calls = 0;
    match format {
        ExportFormat::Jsonl => each_call(store, range, filters, |call| {
            calls += 1;
            serde_json::to_writer(&mut *to, &CallView::of(call))?;
            Ok(to.write_all(b"\n")?)
        })?,
        ExportFormat::Csv => {
            let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
            csv.write_record(COLUMNS).map_err(csv_failure)?;
            each_call(store, range, filters, |call| {
                calls += 1;
                rows(call).iter().try_for_each(|row| csv.write_record(row)).map_err(csv_failure)
            })?;
            csv.flush()?;
        }
    }
    Ok(calls)
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::new(format!("{other:?}")),
    }
}

/// The lines of one call.
fn rows(call: &StoredCall) -> Vec<Vec<String>> {
    let view = CallView::of(call);
    let none = Meters::new();
    let mut legs: Vec<(String, &Meters, Option<Money>)> =
        view.legs.iter().map(|leg| (leg.model.clone(), &leg.meters, leg.cost_usd)).collect();
    if legs.is_empty() {
        legs.push((view.model.clone(), &none, view.cost_usd));
    }
    legs.iter()
        .enumerate()
        .map(|(nth, (model, meters, cost))| row(&view, nth, model, meters, *cost, call))
        .collect()
}

fn row(
    view: &CallView,
    nth: usize,
    model: &str,
    meters: &Meters,
    leg_cost: Option<Money>,
    call: &StoredCall,
) -> Vec<String> {
    let who = &view.attribution;
    let text = |text: &Option<String>| safe(text.as_deref().unwrap_or_default()).into_owned();
    let is_first = nth == 0;
    let amount = |amount: Option<Money>| {
        amount.filter(|_| is_first).map_or(String::new(), |amount| amount.to_string())
    };
    let has_usage = view.usage.is_some();
    let quantity = |n: u64| if has_usage { n.to_string() } else { String::new() };
    let json = |value: &serde_json::Value| safe(&value.to_string()).into_owned();
    let tags = if who.tags.is_empty() { String::new() } else { json(&serde_json::json!(who.tags)) };
    vec![
        safe(&view.id).into_owned(),
        safe(&view.source).into_owned(),
        view.occurred_at.to_string(),
        call.entry.recorded_at.to_string(),
        safe(&view.provider).into_owned(),
        safe(&view.model).into_owned(),
        text(&view.request_model),
        view.status.name().to_owned(),
        text(&view.error),
        text(&who.project),
        text(&who.customer),
        text(&who.user),
        text(&who.agent),
        text(&who.agent_name),
        text(&who.operation),
        text(&who.operation_id),
        text(&who.session),
        text(&who.key),
        tags,
        nth.to_string(),
        safe(model).into_owned(),
        u8::from(is_first).to_string(),
        quantity(meters.input_tokens()),
        quantity(meters.cache_read_tokens()),
        quantity(meters.cache_write_tokens()),
        quantity(meters.output_tokens()),
        quantity(meters.quantity(tollbook_types::Meter::Reasoning)),
        quantity(meters.total_tokens()),
        if has_usage { json(&serde_json::json!(meters)) } else { String::new() },
        leg_cost.map_or(String::new(), |cost| cost.to_string()),
        amount(view.cost_usd),
        amount(view.input_cost_usd),
        amount(view.output_cost_usd),
        amount(view.other_cost_usd),
        view.cost_basis.name().to_owned(),
        text(&view.price_id),
        view.evidence.name().to_owned(),
        view.latency_ms.map_or(String::new(), |ms| ms.to_string()),
        text(&view.provider_response_id),
        call.version().to_string(),
    ]
}

/// A cell that no spreadsheet takes for a formula.
fn safe(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert!(safe(text).starts_with('\''), "{text:?}");
        }
        assert_eq!(safe("gpt-4o"), "gpt-4o");
        assert_eq!(safe(""), "");
    }
}
