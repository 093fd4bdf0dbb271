//! `tollbook price list`: the models that have a price at an instant.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::prices;
use serde_json::json;
use std::sync::Arc;
use tollbook_pricing::{Book, Card, Query};
use tollbook_types::{Conditions, Meter, Money, Timestamp, canonical_provider};

pub fn run(
    text: Option<&str>,
    provider: Option<&str>,
    at: Timestamp,
    config: &Config,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let book = prices::book(config)?;
    let wanted = provider.map(canonical_provider);
    let text = text.map(str::to_lowercase);
    let mut found = Vec::new();
    for provider in book.providers() {
        if wanted.as_ref().is_some_and(|wanted| *wanted != provider.id) {
            continue;
        }
        for model in &provider.models {
            if text.as_ref().is_none_or(|text| model.id.contains(text.as_str()))
                && let Some(card) = card(&book, &provider.id, &model.id, at)
            {
                found.push((provider.id.as_str(), model.id.as_str(), card));
            }
        }
    }
    if out.json {
        let data = found
            .iter()
            .map(|(provider, model, card)| json!({"provider": provider, "model": model, "price": card.card}));
        out.json(&json!({"data": data.collect::<Vec<_>>(), "at": at, "book": book.hash()}))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(vec![
        Column::text("Provider"),
        Column::text("Model"),
        Column::number("In"),
        Column::number("Cached").expendable(2),
        Column::number("Out"),
        Column::text("Checked").whole().expendable(1),
    ]);
    for (provider, model, card) in &found {
        let rate = |meter: Meter| match card.card.rate(meter) {
            Some(rate) => Cell::Amount(Money::from_picos(i128::from(rate.picos))),
            None => Cell::Word("–"),
        };
        table.row(vec![
            Cell::Text((*provider).to_owned()),
            Cell::Text((*model).to_owned()),
            rate(Meter::Input),
            rate(Meter::CacheRead),
            rate(Meter::Output),
            Cell::Text(card.card.checked.clone()),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    out.note(&format!(
        "{} models at {at}; dollars per million tokens; `tollbook price show MODEL` has the rest",
        found.len()
    ));
    Ok(Exit::Ok)
}

fn card(book: &Book, provider: &str, model: &str, at: Timestamp) -> Option<Arc<Card>> {
    let conditions = Conditions::new();
    book.card(&Query { provider, model, request_model: None, at, conditions: &conditions }, 0).ok()
}
