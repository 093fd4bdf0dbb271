//! `tollbook price calc MODEL`: what a call would cost.

use super::conditions;
use crate::cli::CalcArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::{count, dollars, rate_words};
use crate::out::text::visible;
use crate::{prices, quantities};
use serde_json::json;
use tollbook_pricing::{Query, lines, rate};
use tollbook_types::CostLine;

pub fn run(args: &CalcArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let at = super::instant(args.at.as_deref())?;
    let conditions = conditions(&args.condition, args.service_tier.as_deref())?;
    let book = prices::book(config)?;
    let (provider, others) =
        prices::provider_of(&book, args.provider.as_deref(), &args.model, at, &conditions);
    if provider.is_empty() {
        return Err(Failure::new(format!("no provider in the price book has a model {:?}", args.model))
            .hint(format!(
                "`tollbook price match {}` shows what comes near; --provider names one",
                args.model
            )));
    }
    let mut event = quantities::event(&provider, &args.model, at, quantities::of_options(&args.quantities)?)?;
    event.conditions = conditions;
    let rated = rate(&book, &event);
    let (rating, leg) = (&rated.rating, rated.legs.first());
    let Some(card) = leg.and_then(|leg| leg.card.as_ref()) else {
        let query = Query {
            provider: &provider,
            model: &args.model,
            request_model: None,
            at,
            conditions: &event.conditions,
        };
        return Err(match book.find(&query) {
            Err(missing) => prices::no_match(&missing, &args.model),
            Ok(_) => Failure::new(rating.note.clone().unwrap_or_else(|| "no price".to_owned())),
        });
    };
    let Some(cost) = rating.cost else {
        let why = event.usage.as_ref().and_then(|usage| lines(&usage.total(), &card.card).err());
        return Err(Failure::new(
            why.map_or("no price".to_owned(), |why| format!("{}: {why}", card.card.price_id)),
        ));
    };
    let lines = leg.map_or(&[][..], |leg| &leg.lines);
    if out.json {
        out.json(&json!({
            "cost_usd": cost, "input_cost_usd": rating.input_cost, "output_cost_usd": rating.output_cost,
            "other_cost_usd": rating.other_cost, "price_id": rating.price_id, "provider": provider,
            "model": args.model, "at": at, "cost_basis": rating.basis, "conditions": card.card.conditions,
            "rule": card.card.rule, "source": card.card.source, "checked": card.card.checked, "lines": lines,
        }))?;
        return Ok(Exit::Ok);
    }
    for line in lines {
        out.line(&line_text(line))?;
    }
    let amount = |amount: Option<_>| amount.map_or("–".to_owned(), dollars);
    out.line(&format!(
        "cost {} (input {}, output {}, other {})",
        dollars(cost),
        amount(rating.input_cost),
        amount(rating.output_cost),
        amount(rating.other_cost)
    ))?;
    let by = card.card.overridden_by.as_ref().map_or(String::new(), |by| format!(", by your {by}"));
    out.line(&visible(&format!("price {}, checked {}{by}", card.card.price_id, card.card.checked)))?;
    if !others.is_empty() {
        out.note(&format!("this is the price of {provider}; also known: {} (--provider)", others.join(", ")));
    }
    Ok(Exit::Ok)
}

fn line_text(line: &CostLine) -> String {
    let priced_as =
        if line.meter == line.priced_as { String::new() } else { format!(", as {}", line.priced_as) };
    format!(
        "{:>14} {:<16} × {:<28} = {}{priced_as}",
        count(line.quantity),
        line.meter,
        rate_words(line.picos, line.per),
        dollars(line.cost)
    )
}
