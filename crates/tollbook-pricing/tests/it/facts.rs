//! Coverage: every model of the table of price facts has the table's rates in the book.

use crate::{at, given, query};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use tollbook_pricing::{Book, feed_meter, parse_bound, parse_window};
use tollbook_types::{Meter, Money, Timestamp};

type Row = BTreeMap<String, String>;

fn rows() -> Option<Vec<Row>> {
    let path = std::env::var("TOLLBOOK_PRICE_FACTS").map(PathBuf::from).unwrap_or_else(|_| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/prices/prices_facts.csv"))
    });
    let mut reader = csv::Reader::from_path(path).ok()?;
    Some(reader.deserialize().map(|row| row.unwrap()).collect())
}

/// Whether the row's first day and time of day cover an instant.
fn active(row: &Row, when: Timestamp) -> bool {
    let started = row["effective_from"].is_empty() || when >= parse_bound(&row["effective_from"]).unwrap().at;
    let window = row["time_of_day_utc"].replace("+00:00", "");
    let second = u32::try_from(when.as_second().rem_euclid(86_400)).unwrap();
    started && (window.is_empty() || parse_window(&window).unwrap().contains(second))
}

/// What the table says, worked out without the book: the last active entry of the list, and over
/// it the first active variant whose condition holds.
fn wanted(rows: &[&Row], when: Timestamp, condition: &str, total: u64) -> BTreeMap<Meter, i128> {
    let numbered = |row: &&&Row| !row["list_position"].starts_with('v') && active(row, when);
    let last = rows.iter().filter(numbered).map(|row| row["list_position"].parse::<u32>().unwrap()).max();
    let variant =
        |row: &&&Row| row["context_when"] == condition && active(row, when) && !condition.is_empty();
    let first = rows.iter().filter(variant).map(|row| row["list_position"].clone()).min();
    let mut rates = BTreeMap::new();
    for position in last.map(|last| last.to_string()).into_iter().chain(first) {
        let mut tiers: BTreeMap<Meter, u64> = BTreeMap::new();
        for row in rows.iter().filter(|row| row["list_position"] == position) {
            let Some(meter) = feed_meter(&row["price_key"]) else { continue };
            let start: Option<u64> = row["tier_start_exclusive"].parse().ok().filter(|start| *start > 0);
            if start.is_none_or(|start| total > start)
                && tiers.get(&meter).is_none_or(|t| start.unwrap_or(0) >= *t)
            {
                tiers.insert(meter, start.unwrap_or(0));
                let price = Money::parse_rounding(&row["price_usd_per_unit_block"]).unwrap();
                rates.insert(meter, price.picos());
            }
        }
    }
    rates
}

#[test]
fn every_fact_is_in_the_book() {
    let Some(rows) = rows() else {
        eprintln!("skipped: no price facts (set TOLLBOOK_PRICE_FACTS)");
        return;
    };
    let mut models: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        models.entry((&row["provider"], &row["model_id"])).or_default().push(row);
    }
    assert!(models.len() > 1_600, "{} models", models.len());
    let book = Book::embedded();
    let mut compared = 0_u32;
    let mut wrong = Vec::new();
    for ((provider, model), rows) in &models {
        let conditions: BTreeSet<&str> =
            rows.iter().map(|row| row["context_when"].as_str()).chain([""]).collect();
        let starts = rows.iter().filter_map(|row| row["tier_start_exclusive"].parse::<u64>().ok());
        let totals: BTreeSet<u64> = starts.flat_map(|start| [start, start + 1]).chain([0]).collect();
        for day in
            ["2026-11-16T12:00:00Z", "2026-11-16T02:00:00Z", "2026-10-16T12:00:00Z", "2027-02-01T00:00:00Z"]
        {
            for condition in &conditions {
                let given = given(&condition.split_once('=').into_iter().collect::<Vec<_>>());
                for total in &totals {
                    compared += 1;
                    let want = wanted(rows, at(day), condition, *total);
                    let card = match book.card(&query(provider, model, day, &given), *total) {
                        Ok(card) => card,
                        Err(error) => {
                            wrong.push(format!("{provider}/{model}: {error}"));
                            continue;
                        }
                    };
                    for (meter, picos) in want {
                        let is = card.card.rate(meter).map(|rate| i128::from(rate.picos));
                        if is != Some(picos) {
                            wrong.push(format!(
                                "{provider}/{model} {day} {condition} {total} {meter}: {is:?}, not {picos}"
                            ));
                        }
                    }
                }
            }
        }
    }
    println!("{} models, {compared} resolutions compared", models.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(40)].join("\n"));
}
