//! `tollbook price match MODEL`: which rule decides, and which came close.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::rate_words;
use crate::out::text::visible;
use crate::prices;
use serde_json::json;
use tollbook_pricing::{Explanation, Query};
use tollbook_types::{Conditions, Timestamp};

pub fn run(
    model: &str,
    named: Option<&str>,
    at: Timestamp,
    conditions: &Conditions,
    config: &Config,
    out: &mut Out,
) -> Result<Exit, Failure> {
    let book = prices::book(config)?;
    let (provider, others) = prices::provider_of(&book, named, model, at, conditions);
    let query = Query { provider: &provider, model, request_model: None, at, conditions };
    let found = book.explain_match(&query, 0);
    if out.json {
        print_json(&found, &provider, model, &others, out)?;
    } else {
        print(&found, &provider, model, &others, out)?;
    }
    match found.result {
        Ok(_) => Ok(Exit::Ok),
        Err(_) => Ok(Exit::Error),
    }
}

fn print_json(
    found: &Explanation,
    provider: &str,
    model: &str,
    others: &[String],
    out: &mut Out,
) -> Result<(), Failure> {
    let lost =
        found.others.iter().map(|lost| json!({"price": lost.price, "rule": lost.rule, "why": lost.why}));
    let near = found
        .near
        .iter()
        .map(|near| json!({"provider": near.provider, "model": near.model, "distance": near.distance}));
    out.json(&json!({
        "model": model,
        "provider": provider,
        "matched": found.result.is_ok(),
        "price": found.result.as_ref().ok().map(|card| &card.card),
        "why_not": found.result.as_ref().err().map(ToString::to_string),
        "others": lost.collect::<Vec<_>>(),
        "near": near.collect::<Vec<_>>(),
        "providers": others,
    }))
}

fn print(
    found: &Explanation,
    provider: &str,
    model: &str,
    others: &[String],
    out: &mut Out,
) -> Result<(), Failure> {
    match &found.result {
        Ok(card) => {
            let card = &card.card;
            out.line(&visible(&format!("{provider} {model} is priced as {}", card.price_id)))?;
            out.line(&visible(&format!("  rule       {}", card.rule)))?;
            for condition in &card.conditions {
                out.line(&visible(&format!("  because    {condition}")))?;
            }
            if let Some(by) = &card.overridden_by {
                out.line(&visible(&format!("  by         your {by}")))?;
            }
            out.line(&visible(&format!("  source     {}, checked {}", card.source, card.checked)))?;
            for rate in &card.rates {
                out.line(&format!("  rate       {:<18} {}", rate.meter, rate_words(rate.picos, rate.per)))?;
                for step in &rate.steps {
                    let words = rate_words(step.picos, rate.per);
                    out.line(&format!("             {:<18} {words} beyond {}", "", step.above))?;
                }
            }
        }
        Err(missing) if provider.is_empty() => {
            let _ = missing;
            out.line(&visible(&format!("no provider in the price book has a model {model}")))?;
        }
        Err(missing) => out.line(&visible(&missing.to_string()))?,
    }
    for lost in &found.others {
        let rule = if lost.rule.is_empty() { String::new() } else { format!(" by {}", lost.rule) };
        out.line(&visible(&format!("  not        {}{rule}: {}", lost.price, lost.why)))?;
    }
    for near in &found.near {
        out.line(&visible(&format!(
            "  near       {}/{} ({} letters differ)",
            near.provider, near.model, near.distance
        )))?;
    }
    if !others.is_empty() {
        out.note(&format!("also known to {} (--provider)", others.join(", ")));
    }
    Ok(())
}
