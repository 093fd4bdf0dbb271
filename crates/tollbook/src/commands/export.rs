//! `tollbook export`: calls as CSV, JSON Lines, Parquet or FOCUS, as the API writes them.

use crate::cli::{ExportArgs, ExportFormat};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::{filter, open};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use tollbook_api::export::{Calls, Failed, Format, write};
use tollbook_types::Clock;

pub fn run(args: &ExportArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let format = match args.format {
        ExportFormat::Csv if out.json => Format::JsonLines,
        ExportFormat::Csv => Format::Csv,
        ExportFormat::Jsonl => Format::JsonLines,
        ExportFormat::Parquet => Format::Parquet,
        ExportFormat::Focus => Format::Focus,
    };
    let output = args.output.as_deref();
    check(format, output)?;
    let is_said = args.range.days.is_some() || args.range.since.is_some() || args.range.until.is_some();
    let range = crate::cli::RangeArgs { all: args.range.all || !is_said, ..args.range.clone() };
    let period = filter::period(&range, &config.time_zone.value, SystemClock.now())?;
    let filters = filter::filters(&args.filter)?;
    let store = open::read(config, out)?;
    let calls = Calls { store: &*store, range: period.range, filters: &filters };
    let number = match output {
        Some(path) => to_file(path, |file| Ok(write(format, &calls, file)?))?,
        None => write(format, &calls, out.data())?,
    };
    out.note(&format!("{} calls exported", count(number)));
    Ok(Exit::Ok)
}

/// Refuses a format where it cannot be: in a build without it, and Parquet on stdout.
fn check(format: Format, output: Option<&Path>) -> Result<(), Failure> {
    if !format.is_built() {
        return Err(Failure::usage("this build has no Parquet").hint("build with `--features parquet`"));
    }
    if format == Format::Parquet && output.is_none() {
        return Err(Failure::usage("Parquet needs a file").hint("say which with `-o FILE`"));
    }
    Ok(())
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

impl From<Failed> for Failure {
    fn from(failed: Failed) -> Failure {
        match failed {
            Failed::Store(error) => error.into(),
            Failed::Write(error) => error.into(),
            Failed::Value(detail) => Failure::new(detail),
        }
    }
}
