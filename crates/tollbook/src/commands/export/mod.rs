//! `tollbook export`: calls as CSV, JSON Lines or Parquet, one page at a time.
//!
//! CSV and Parquet have a line for each leg: the call's own columns repeat, and only the first line
//! of a call carries its cost and counts as the call. In CSV, cells that a spreadsheet would run as
//! a formula get an apostrophe in front; Parquet has the texts as they are.

#[cfg(feature = "parquet")]
mod parquet;
mod row;

use crate::cli::{ExportArgs, ExportFormat};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::pages::each_call;
use crate::wire::CallView;
use crate::{filter, open};
use row::{COLUMNS, Cell, each_row};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tollbook_store::{Filter, Store};
use tollbook_types::{Clock, TimeRange};

/// The calls that are exported.
struct Calls<'a> {
    store: &'a dyn Store,
    range: TimeRange,
    filters: &'a [Filter],
}

pub fn run(args: &ExportArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let output = args.output.as_deref();
    if args.format == ExportFormat::Parquet {
        check_parquet(output)?;
    }
    let is_said = args.range.days.is_some() || args.range.since.is_some() || args.range.until.is_some();
    let range = crate::cli::RangeArgs { all: args.range.all || !is_said, ..args.range.clone() };
    let period = filter::period(&range, &config.time_zone.value, SystemClock.now())?;
    let filters = filter::filters(&args.filter)?;
    let store = open::read(config, out)?;
    let calls = Calls { store: &*store, range: period.range, filters: &filters };
    let is_csv = args.format == ExportFormat::Csv && !out.json;
    let number = match output {
        Some(path) if args.format == ExportFormat::Parquet => to_file(path, |file| parquet(&calls, file))?,
        Some(path) if is_csv => to_file(path, |file| csv(&calls, file))?,
        Some(path) => to_file(path, |file| jsonl(&calls, file))?,
        None if is_csv => csv(&calls, out.data())?,
        None => jsonl(&calls, out.data())?,
    };
    out.note(&format!("{} calls exported", count(number)));
    Ok(Exit::Ok)
}

/// Refuses Parquet where it cannot be: in a build without it, and on stdout.
fn check_parquet(output: Option<&Path>) -> Result<(), Failure> {
    if !cfg!(feature = "parquet") {
        return Err(no_parquet());
    }
    match output {
        Some(_) => Ok(()),
        None => Err(Failure::usage("Parquet needs a file").hint("say which with `-o FILE`")),
    }
}

fn no_parquet() -> Failure {
    Failure::usage("this build has no Parquet").hint("build with `--features parquet`")
}

/// Writes a file beside its place and moves it there when it is whole.
fn to_file<T>(
    path: &Path,
    work: impl FnOnce(&mut BufWriter<File>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    let mut name = path.as_os_str().to_owned();
    name.push(".unfinished");
    let unfinished = Path::new(&name);
    let mut file = BufWriter::new(File::create(unfinished).map_err(failed)?);
    let result = work(&mut file).and_then(|result| {
        file.flush().map_err(failed)?;
        std::fs::rename(unfinished, path).map_err(failed)?;
        Ok(result)
    });
    if result.is_err() {
        // What went wrong is told already.
        let _ = std::fs::remove_file(unfinished);
    }
    result
}

fn jsonl(calls: &Calls, to: &mut impl Write) -> Result<u64, Failure> {
    let mut number = 0;
    each_call(calls.store, calls.range, calls.filters, |call| {
        number += 1;
        serde_json::to_writer(&mut *to, &CallView::of(call))?;
        Ok(to.write_all(b"\n")?)
    })?;
    Ok(number)
}

fn csv(calls: &Calls, to: &mut impl Write) -> Result<u64, Failure> {
    let mut number = 0;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(to);
    csv.write_record(COLUMNS.iter().map(|column| column.name)).map_err(csv_failure)?;
    each_call(calls.store, calls.range, calls.filters, |call| {
        number += 1;
        each_row(call, |cells| {
            for cell in cells {
                csv.write_field(&*csv_text(cell)).map_err(csv_failure)?;
            }
            csv.write_record(None::<&[u8]>).map_err(csv_failure)
        })
    })?;
    csv.flush()?;
    Ok(number)
}

#[cfg(feature = "parquet")]
fn parquet(calls: &Calls, to: &mut (impl Write + Send)) -> Result<u64, Failure> {
    let mut number = 0;
    let mut table = parquet::Table::new(to)?;
    each_call(calls.store, calls.range, calls.filters, |call| {
        number += 1;
        each_row(call, |cells| table.push(cells))
    })?;
    table.finish()?;
    Ok(number)
}

#[cfg(not(feature = "parquet"))]
fn parquet(_: &Calls, _: &mut impl Write) -> Result<u64, Failure> {
    Err(no_parquet())
}

fn csv_failure(error: csv::Error) -> Failure {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        other => Failure::new(format!("{other:?}")),
    }
}

fn csv_text<'a>(cell: &'a Cell) -> Cow<'a, str> {
    match cell {
        Cell::Absent => Cow::Borrowed(""),
        Cell::Text(text) => safe(text),
        Cell::Count(n) => Cow::Owned(n.to_string()),
        Cell::Instant(at) => Cow::Owned(at.to_string()),
        Cell::Money(amount) => Cow::Owned(amount.to_string()),
    }
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
