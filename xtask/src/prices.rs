//! `cargo xtask prices FACTS.csv`: makes `prices/*.toml` from a table of price facts and from the
//! hand-kept facts in `prices/supplement/`.
//!
//! The table has one fact a row: provider, model, match rule, unit, tier, price, first day, time of
//! day, condition. Where the supplement speaks of the same model and time, it counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tollbook_pricing::{
    Model, Price, Provider, Rule, Test, Tier, end_prices, feed_meter, graft, parse_bound, parse_provider,
    parse_window, regex_test, write_provider,
};
use tollbook_types::{Meter, Money, canonical_provider};

const USAGE: &str = "usage: cargo xtask prices FACTS.csv [--checked YYYY-MM-DD] [--out prices]";
/// The day on which the facts were last compared with their source, unless said otherwise.
const CHECKED: &str = "2026-11-15";

/// The columns of a row, by name.
type Row = BTreeMap<String, String>;

/// Runs the converter; the arguments are those after `prices`.
pub fn run(args: &[String]) -> Result<(), String> {
    let mut facts = None;
    let (mut checked, mut out) = (CHECKED.to_owned(), PathBuf::from("prices"));
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--checked" => checked = args.next().ok_or(USAGE)?.clone(),
            "--out" => out = PathBuf::from(args.next().ok_or(USAGE)?),
            path if facts.is_none() && !path.starts_with('-') => facts = Some(PathBuf::from(path)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let rows = read_rows(&facts.ok_or(USAGE)?)?;
    let mut providers = convert(&rows, &checked)?;
    supplement(&mut providers, &out.join("supplement"))?;
    for provider in &providers {
        write(&out, provider)?;
    }
    Ok(())
}

fn write(out: &Path, provider: &Provider) -> Result<(), String> {
    let path = out.join(format!("{}.toml", provider.id));
    let text = format!(
        "# Made by `cargo xtask prices` from price facts and supplement/: change those, not this file.\n\
         # US dollars in decimal text: tokens and characters per 1,000,000, audio_hour and video_hour per\n\
         # hour, everything else (searches, pages, images, requests, sessions) per 1,000.\n{}",
        write_provider(provider)
    );
    parse_provider(&path.to_string_lossy(), &text)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_rows(path: &Path) -> Result<Vec<Row>, String> {
    let text = |error: csv::Error| format!("{}: {error}", path.display());
    let mut reader = csv::Reader::from_path(path).map_err(text)?;
    let header = reader.headers().map_err(text)?.clone();
    let row = |record: csv::StringRecord| {
        header.iter().zip(record.iter()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    reader.records().map(|record| record.map(row).map_err(text)).collect()
}

fn convert(rows: &[Row], checked: &str) -> Result<Vec<Provider>, String> {
    let mut providers: Vec<Provider> = Vec::new();
    let mut grouped: Vec<(String, String, Vec<&Row>)> = Vec::new();
    for row in rows {
        let (provider, model) = (canonical_provider(&row["provider"]), row["model_id"].to_lowercase());
        match grouped.iter_mut().rev().find(|(p, m, _)| *p == provider && *m == model) {
            Some((_, _, rows)) => rows.push(row),
            None => grouped.push((provider, model, vec![row])),
        }
    }
    for (id, model_id, rows) in grouped {
        let model = model(&model_id, &rows).map_err(|error| format!("{id}/{model_id}: {error}"))?;
        let source = rows[0]["source"].clone();
        match providers.iter_mut().find(|provider| provider.id == id) {
            Some(provider) => provider.models.push(model),
            None => providers.push(Provider {
                id,
                source,
                checked: checked.to_owned(),
                models: vec![model],
                ..Provider::default()
            }),
        }
    }
    Ok(providers)
}

fn model(id: &str, rows: &[&Row]) -> Result<Model, String> {
    let mut model = Model {
        id: id.to_owned(),
        rules: rules(&rows[0]["match"])?,
        context_window: rows[0]["context_window"].parse().ok(),
        retired: rows[0]["deprecated"] == "True",
        ..Model::default()
    };
    let mut positions: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows {
        match positions.iter_mut().find(|(position, _)| *position == row["list_position"]) {
            Some((_, rows)) => rows.push(row),
            None => positions.push((&row["list_position"], vec![row])),
        }
    }
    for (_, rows) in positions {
        for price in prices(&rows, &mut model.note)? {
            // Daily windows with the same rates are one price.
            let twin = model.prices.iter_mut().find(|known| {
                !price.daily.is_empty()
                    && !known.daily.is_empty()
                    && (&known.rates, &known.tiers, &known.when) == (&price.rates, &price.tiers, &price.when)
            });
            match twin {
                Some(known) => known.daily.extend(price.daily),
                None => model.prices.push(price),
            }
        }
    }
    end_prices(&mut model.prices);
    Ok(model)
}

/// The prices of one list position: one, and another for annotated pages where they differ.
fn prices(rows: &[&Row], note: &mut Option<String>) -> Result<Vec<Price>, String> {
    let mut price = blank(rows[0])?;
    let mut annotated = Price { when: price.when.clone(), ..price.clone() };
    for row in rows {
        let (unit, text) = (row["price_key"].as_str(), row["price_usd_per_unit_block"].as_str());
        match unit {
            "(none)" if price.when.is_empty() => {
                price.rates.insert(Meter::Input, 0);
                price.rates.insert(Meter::Output, 0);
            }
            "(none)" => {}
            "input_annotated_document_kpages" => {
                annotated.rates.insert(Meter::Pages, picos(text)?);
            }
            "input_text_messages_kcount" => {
                *note =
                    Some(format!("Text messages of a session are ${text} per 1,000; no meter counts them."));
            }
            _ => {
                let meter = feed_meter(unit).ok_or_else(|| format!("unknown unit {unit}"))?;
                set(&mut price, meter, &row["tier_start_exclusive"], picos(text)?)?;
            }
        }
    }
    price.tiers.sort_by_key(|tier| tier.starts_at);
    let mut all = Vec::new();
    if !annotated.rates.is_empty() {
        annotated.when.push(("document".to_owned(), "annotated".to_owned()));
        annotated.when.sort();
        all.push(annotated);
    }
    if !price.rates.is_empty() {
        all.insert(0, price);
    }
    Ok(all)
}

fn blank(row: &Row) -> Result<Price, String> {
    let mut price = Price::default();
    if !row["effective_from"].is_empty() {
        price.from = Some(parse_bound(&row["effective_from"]).ok_or("effective_from is not a date")?);
    }
    if let Some((name, value)) = row["context_when"].split_once('=') {
        price.when.push((name.to_lowercase(), value.to_lowercase()));
    }
    if !row["time_of_day_utc"].is_empty() {
        let window = row["time_of_day_utc"].replace("+00:00", "");
        price.daily.push(parse_window(&window).ok_or("time_of_day_utc is not a window")?);
    }
    Ok(price)
}

fn set(price: &mut Price, meter: Meter, tier: &str, picos: i64) -> Result<(), String> {
    let old = match tier {
        "" | "0" => price.rates.insert(meter, picos),
        above => {
            let starts_at = above.parse::<u64>().map_err(|_| "tier_start_exclusive is not a number")? + 1;
            let at = price.tiers.iter().position(|tier| tier.starts_at == starts_at).unwrap_or_else(|| {
                price.tiers.push(Tier { starts_at, rates: BTreeMap::new() });
                price.tiers.len() - 1
            });
            price.tiers[at].rates.insert(meter, picos)
        }
    };
    match old {
        Some(old) if old != picos => Err(format!("two prices for {meter}")),
        _ => Ok(()),
    }
}

/// A price in picodollars a block. Digits past the twelfth, as of a third of a cent, are rounded
/// half to even: a million tokens cost the same to half a picodollar.
fn picos(text: &str) -> Result<i64, String> {
    let money = Money::parse_rounding(text).map_err(|error| format!("{text}: {error}"))?;
    i64::try_from(money.picos()).map_err(|_| format!("{text} is too large"))
}

/// The table's match rules: `or(equals=a|and(starts_with=b&regex=c))`, or one test.
fn rules(text: &str) -> Result<Vec<Rule>, String> {
    let inner = text.strip_prefix("or(").and_then(|rest| rest.strip_suffix(')'));
    let parts = inner.map_or_else(|| vec![text], |inner| split(inner, '|'));
    parts.into_iter().map(rule).collect()
}

fn rule(text: &str) -> Result<Rule, String> {
    let inner = text.strip_prefix("and(").and_then(|rest| rest.strip_suffix(')'));
    let parts = inner.map_or_else(|| vec![text], |inner| split(inner, '&'));
    Ok(Rule { tests: parts.into_iter().map(test).collect::<Result<_, _>>()? })
}

/// Splits where the separator is followed by a new test.
fn split(text: &str, separator: char) -> Vec<&str> {
    const STARTS: [&str; 6] = ["equals=", "starts_with=", "ends_with=", "contains=", "regex=", "and("];
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(separator) {
        if STARTS.iter().any(|word| text[at + 1..].starts_with(word)) {
            parts.push(&text[start..at]);
            start = at + 1;
        }
    }
    parts.push(&text[start..]);
    parts
}

fn test(text: &str) -> Result<Test, String> {
    let (word, value) = text.split_once('=').ok_or_else(|| format!("not a match rule: {text}"))?;
    let lower = value.to_lowercase();
    Ok(match word {
        "equals" => Test::Exact(lower),
        "starts_with" => Test::Prefix(lower),
        "ends_with" => Test::Suffix(lower),
        "contains" => Test::Contains(lower),
        "regex" => regex_test(value),
        _ => return Err(format!("unknown match rule {word}")),
    })
}

/// Merges the hand-kept facts, one file a provider.
fn supplement(providers: &mut Vec<Provider>, folder: &Path) -> Result<(), String> {
    let listing = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = listing.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| path.extension().is_some_and(|ending| ending == "toml")) {
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let extra = parse_provider(&path.to_string_lossy(), &text)
            .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        match providers.iter_mut().find(|provider| provider.id == extra.id) {
            Some(provider) => graft(provider, extra),
            None => providers.push(extra),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn match_rules_keep_bars_and_brackets_inside_expressions() {
        let text = r"or(equals=gemini-x|and(starts_with=gemini-x-preview&regex=^(?!.*-[tT][tT][sS](?:$|-))))";
        let rules = rules(text).unwrap();
        assert_eq!(rules.len(), 2);
        assert_eq!(rules[1].to_string(), "prefix gemini-x-preview and not_regex -tts(?:$|-)");
        assert_eq!(super::rules("regex=^a(b|c)$").unwrap()[0].to_string(), "regex ^a(b|c)$");
    }
}
