//! `tollbook logs`: daily `token_usage_YYYY-MM-DD.jsonl` files, one line for each call.

use crate::cli::LogsArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::{filter, open};
use serde::{Serialize, Serializer};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use tollbook_api::captured_of;
use tollbook_api::export::{Calls, each_call};
use tollbook_store::{CallsOrder, Captures, StoredCall};
use tollbook_types::{Clock, Money, Timestamp};

/// Files that are open at once; calls come in the order of recording, so days repeat.
const OPEN_MAX: usize = 32;

/// One line of a daily file.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    user_id: Option<&'a str>,
    operation_type: Option<&'a str>,
    query: Option<&'a str>,
    model_name: &'a str,
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    total_tokens: Option<u64>,
    #[serde(serialize_with = "as_number")]
    cost_estimate: Option<Money>,
    #[serde(serialize_with = "as_seconds")]
    response_time: Option<u64>,
    success: bool,
    error_message: Option<&'a str>,
}

/// An amount as a JSON number with exactly its digits.
fn as_number<S: Serializer>(amount: &Option<Money>, serializer: S) -> Result<S::Ok, S::Error> {
    raw(amount.map(|amount| amount.to_string()), serializer)
}

/// Milliseconds as seconds, a JSON number with exactly its digits.
fn as_seconds<S: Serializer>(ms: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    raw(ms.map(|ms| format!("{}.{:03}", ms / 1_000, ms % 1_000)), serializer)
}

fn raw<S: Serializer>(number: Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    match number {
        Some(number) => {
            RawValue::from_string(number).map_err(serde::ser::Error::custom)?.serialize(serializer)
        }
        None => serializer.serialize_none(),
    }
}

pub fn run(args: &LogsArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let period = filter::period(&args.range, &config.time_zone.value, SystemClock.now())?;
    let filters = filter::filters(&args.filter)?;
    let store = open::read(config, out)?;
    let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", args.dir.display()));
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    let mut files = Files { dir: args.dir.clone(), open: BTreeMap::new(), written: BTreeMap::new() };
    let calls = Calls { store: &*store, range: period.range, filters: &filters };
    let captures = open::captured(config)?;
    each_call(&calls, CallsOrder::Recorded, |call| {
        let query = prompt(captures.as_ref().map(|place| place as &dyn Captures), call)?;
        let day = period.zone.zone.to_datetime(call.entry.event.occurred_at).date().to_string();
        files.line(&day, call, query.as_deref())
    })?;
    let written = files.finish()?;
    if out.json {
        let data = written.iter().map(|(day, lines)| json!({"day": day, "lines": lines}));
        out.json(&json!({"dir": args.dir, "files": data.collect::<Vec<_>>()}))?;
    } else {
        for (day, lines) in &written {
            out.line(&format!("token_usage_{day}.jsonl  {} calls", count(*lines)))?;
        }
        out.note(&format!(
            "{} files in {}; days of zone {}",
            written.len(),
            args.dir.display(),
            period.zone.name
        ));
    }
    Ok(Exit::Ok)
}

/// What was asked in a call, where it was captured.
fn prompt(captures: Option<&dyn Captures>, call: &StoredCall) -> Result<Option<String>, Failure> {
    let Some(place) = captures else { return Ok(None) };
    Ok(captured_of(place, call)?.and_then(|captured| captured.prompt))
}

/// The daily files while they are written: each under another name until it is whole.
struct Files {
    dir: PathBuf,
    open: BTreeMap<String, BufWriter<File>>,
    written: BTreeMap<String, u64>,
}

impl Files {
    fn path(&self, day: &str, end: &str) -> PathBuf {
        self.dir.join(format!("token_usage_{day}.jsonl{end}"))
    }

    fn line(&mut self, day: &str, call: &StoredCall, query: Option<&str>) -> Result<(), Failure> {
        let path = self.path(day, ".unfinished");
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        if !self.open.contains_key(day) {
            if self.open.len() >= OPEN_MAX
                && let Some((_, mut oldest)) = self.open.pop_first()
            {
                oldest.flush().map_err(failed)?;
            }
            let is_new = !self.written.contains_key(day);
            let file =
                OpenOptions::new().create(true).write(true).truncate(is_new).append(!is_new).open(&path);
            self.open.insert(day.to_owned(), BufWriter::new(file.map_err(failed)?));
        }
        if let Some(file) = self.open.get_mut(day) {
            write_line(file, call, query)?;
            *self.written.entry(day.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<BTreeMap<String, u64>, Failure> {
        let failed = |error: std::io::Error| Failure::new(error.to_string());
        for file in self.open.values_mut() {
            file.flush().map_err(failed)?;
        }
        self.open.clear();
        for day in self.written.keys() {
            std::fs::rename(self.path(day, ".unfinished"), self.path(day, "")).map_err(failed)?;
        }
        Ok(self.written)
    }
}

fn write_line(to: &mut impl Write, call: &StoredCall, query: Option<&str>) -> Result<(), Failure> {
    let (event, state) = (&call.entry.event, call.corrected());
    let meters = state.usage.as_ref().map(tollbook_types::Usage::total);
    let line = Line {
        timestamp: event.occurred_at,
        user_id: state.attribution.user.as_deref(),
        operation_type: state.attribution.operation.as_deref(),
        query,
        model_name: &event.model,
        prompt_tokens: meters.as_ref().map(|meters| meters.input_tokens()),
        completion_tokens: meters.as_ref().map(|meters| meters.output_tokens()),
        total_tokens: meters.as_ref().map(|meters| meters.total_tokens()),
        cost_estimate: state.rating.cost,
        response_time: event.latency_ms,
        success: !event.is_error(),
        error_message: event.error.as_deref(),
    };
    serde_json::to_writer(&mut *to, &line)?;
    Ok(to.write_all(b"\n")?)
}
