//! `tollbook price import FILE`: prices from a public feed, without a new program.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::out::text::visible;
use crate::{open, prices};
use serde_json::json;
use std::path::Path;
use tollbook_ledger::{Rerate, Scope};
use tollbook_pricing::{Book, Import, parse_bound};
use tollbook_types::Clock;

/// New and changed models that are listed one by one.
const LISTED_MAX: usize = 20;

pub fn run(file: &Path, is_dry_run: bool, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let text = prices::read_text(file).map_err(Failure::new)?;
    let lock = if is_dry_run { None } else { Some(open::lock(config)?) };
    let book = prices::imported_book(config)?;
    let (feed, import) = read_feed(&book, &text).map_err(|problem| {
        Failure::new(format!("{}: {problem}", file.display())).hint(
            "the feed is genai-prices' JSON or LiteLLM's model_prices_and_context_window.json, as published",
        )
    })?;
    let new_book = import.apply(&book).map_err(|problems| {
        let mut failure = Failure::new("the prices in the feed do not fit the book");
        failure.errors.extend(prices::words(&problems));
        failure
    })?;
    let in_force = prices::with_own(std::sync::Arc::new(new_book), config)?;
    if !is_dry_run && !import.texts.is_empty() {
        prices::keep(config, &import)?;
    }
    drop(lock);
    let would_price = newly_priced(config, &in_force, out)?;
    print(feed, &import, would_price, is_dry_run, out)?;
    Ok(Exit::Ok)
}

/// Which feed it is, and what it brings.
fn read_feed(book: &Book, text: &str) -> Result<(&'static str, Import), String> {
    let today = SystemClock.now().to_string();
    let today = today.get(..10).unwrap_or("1970-01-01");
    match book.import_genai(text, today) {
        Ok(import) => Ok(("genai-prices", import)),
        Err(genai) => {
            let from = parse_bound(today).ok_or("no date")?;
            let litellm = book.import_litellm(text, &from);
            litellm.map(|import| ("LiteLLM", import)).map_err(|litellm| {
                format!("neither feed: as genai-prices: {genai}; as LiteLLM's map: {litellm}")
            })
        }
    }
}

/// How many recorded calls without a price would have one with this book; `None` without records.
fn newly_priced(config: &Config, book: &Book, out: &mut Out) -> Result<Option<u64>, Failure> {
    if !open::dir(config)?.store().exists() {
        return Ok(None);
    }
    let store = open::read(config, out)?;
    let unpriced = Scope { unpriced: true, ..Scope::default() };
    // What has no price now and is changed by this book has one then.
    Ok(Some(Rerate::plan(&*store, book, &unpriced, 0)?.changes.calls))
}

fn print(
    feed: &str,
    import: &Import,
    would_price: Option<u64>,
    is_dry_run: bool,
    out: &mut Out,
) -> Result<(), Failure> {
    if out.json {
        let changed = import.changed.iter().map(|change| json!({"model": change.model, "what": change.what}));
        let skipped = import.skipped.iter().map(|(model, why)| json!({"model": model, "why": why}));
        return out.json(&json!({
            "feed": feed, "dry_run": is_dry_run, "new": import.new, "changed": changed.collect::<Vec<_>>(),
            "unchanged": import.unchanged, "skipped": skipped.collect::<Vec<_>>(), "would_price_calls": would_price,
        }));
    }
    let listed = import.new.iter().map(|model| format!("new      {model}"));
    let listed = listed
        .chain(import.changed.iter().map(|change| format!("changed  {}: {}", change.model, change.what)));
    let all = import.new.len() + import.changed.len();
    for line in listed.take(LISTED_MAX) {
        out.line(&visible(&line))?;
    }
    if all > LISTED_MAX {
        out.line(&format!("…        and {} more; --json lists all", all - LISTED_MAX))?;
    }
    let verb = if is_dry_run { "would be taken over" } else { "taken over" };
    out.line(&format!(
        "{feed}: {} new, {} changed, {} the same, {} left out; {verb}",
        import.new.len(),
        import.changed.len(),
        import.unchanged,
        import.skipped.len()
    ))?;
    match would_price {
        Some(0) | None => {}
        Some(n) => out.line(&format!(
            "{} recorded calls without a price would have one: `tollbook rerate --unpriced`",
            count(n)
        ))?,
    }
    Ok(())
}
