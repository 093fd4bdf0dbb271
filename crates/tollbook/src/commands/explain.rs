//! `tollbook explain ID`: why a call costs what it costs, line by line.

use crate::cli::CallIdArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::{count, dollars, rate_words};
use crate::out::text::{fold, pad, visible};
use crate::wire::{Check, Explanation, LegView, explain};
use crate::{open, select};
use tollbook_types::Money;

/// Where the second column begins.
const INDENT: usize = 14;

pub fn run(args: &CallIdArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let call = select::call(&*store, args)?;
    let explanation = explain(&call, |id| open::card(&*store, id))?;
    if out.json {
        out.json(&explanation)?;
    } else {
        let title = format!(
            "{} · {} {} · {}",
            explanation.id, explanation.provider, explanation.model, explanation.occurred_at
        );
        out.line(&visible(&title))?;
        print_explanation(&explanation, out)?;
    }
    if explanation.recomputed == Check::Differs {
        return Err(Failure::new("the recorded cost does not come out again from the recorded price")
            .hint("run `tollbook verify`"));
    }
    Ok(Exit::Ok)
}

/// The explanation as text.
pub fn print_explanation(explanation: &Explanation, out: &mut Out) -> Result<(), Failure> {
    usage(explanation, out)?;
    for leg in &explanation.legs {
        price(leg, out)?;
        lines(leg, out)?;
    }
    sums(explanation, out)?;
    history(explanation, out)
}

/// A name and a text, folded under itself.
fn field(name: &str, text: &str, out: &mut Out) -> Result<(), Failure> {
    let width = out.width().saturating_sub(INDENT).max(20);
    for (nth, line) in fold(&visible(text), width).into_iter().enumerate() {
        let name = if nth == 0 { name } else { "" };
        out.line(format!("{}{line}", pad(name, INDENT)).trim_end())?;
    }
    Ok(())
}

fn usage(explanation: &Explanation, out: &mut Out) -> Result<(), Failure> {
    if let Some(raw) = &explanation.raw_usage {
        for (nth, line) in raw.lines().enumerate() {
            field(if nth == 0 { "told" } else { "" }, line, out)?;
        }
    }
    let evidence = match &explanation.estimator {
        Some(estimator) => format!("{} ({estimator})", explanation.evidence.name()),
        None => explanation.evidence.name().to_owned(),
    };
    field("known by", &evidence, out)?;
    for flag in &explanation.flags {
        field("flag", flag, out)?;
    }
    if explanation.usage.is_none() {
        field("meters", "none", out)?;
    }
    Ok(())
}

fn price(leg: &LegView, out: &mut Out) -> Result<(), Failure> {
    let meters: Vec<String> = leg.meters.iter().map(|(meter, n)| format!("{meter} {}", count(n))).collect();
    let kind = leg.kind.as_ref().map_or(String::new(), |kind| format!(" ({kind})"));
    field("meters", &format!("{}: {}{kind}", leg.model, meters.join(", ")), out)?;
    let Some(card) = &leg.price else {
        let text =
            if leg.card_id.is_some() { "the recorded rate card is missing or damaged" } else { "none" };
        return field("price", text, out);
    };
    field("price", &format!("{}, by the rule {}", card.price_id, card.rule), out)?;
    let when = match (&card.effective_from, &card.effective_to) {
        (None, None) => "at all times".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until before {to}"),
        (Some(from), Some(to)) => format!("from {from} until before {to}"),
    };
    field("", &format!("valid {when}; checked {}", or_dash(&card.checked)), out)?;
    field("", &format!("source: {}", or_dash(&card.source)), out)?;
    if !card.conditions.is_empty() {
        field("", &format!("because of {}", card.conditions.join(", ")), out)?;
    }
    if let Some(by) = &card.overridden_by {
        field("", &format!("by your {by}"), out)?;
    }
    Ok(())
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}

fn lines(leg: &LegView, out: &mut Out) -> Result<(), Failure> {
    for view in &leg.lines {
        let line = &view.line;
        let rounded = if line.rounded { ", rounded half to even" } else { "" };
        let rate = rate_words(line.picos, line.per);
        let text = format!("{} {} × {rate} = {}", count(line.quantity), line.meter, dollars(line.cost));
        field("line", &text, out)?;
        let product = format!(
            "{} × {} ÷ {} = {} picodollars{rounded}",
            line.quantity, line.picos, line.per, view.cost_picos
        );
        field("", &product, out)?;
        if line.meter != line.priced_as {
            let words = format!("{} has no rate of its own: priced as {}", line.meter, line.priced_as);
            field("", &words, out)?;
        }
    }
    Ok(())
}

fn sums(explanation: &Explanation, out: &mut Out) -> Result<(), Failure> {
    let amount = |amount: Option<Money>| amount.map_or("absent".to_owned(), dollars);
    if explanation.cost_usd.is_some() {
        let sides = [
            ("input", explanation.input_cost_usd),
            ("output", explanation.output_cost_usd),
            ("other", explanation.other_cost_usd),
        ];
        let parts: Vec<String> = sides
            .iter()
            .filter_map(|(name, cost)| cost.map(|cost| format!("{name} {}", dollars(cost))))
            .collect();
        field("sums", &parts.join(" + "), out)?;
    }
    let picos =
        explanation.cost_picos.as_ref().map_or(String::new(), |picos| format!(" ({picos} picodollars)"));
    field("cost", &format!("{}{picos}", amount(explanation.cost_usd)), out)?;
    field("", &format!("basis: {}", explanation.basis_in_words), out)?;
    if let Some(why) = &explanation.unpriced_because {
        field("", why, out)?;
    }
    if let Some(bill) = &explanation.provider_cost {
        field("", &format!("the provider said {} in {}", dollars(bill.total), bill.field), out)?;
        field("", &format!("the book says {}", amount(explanation.book_cost_usd)), out)?;
    }
    if let Some(worst) = explanation.worst_case_usd {
        field("", &format!("at most {}", dollars(worst)), out)?;
    }
    let recomputed = match explanation.recomputed {
        Check::Equal => "equal",
        Check::Differs => "DIFFERS from what is recorded",
        Check::Nothing => "nothing to compute: no line stands behind it",
    };
    field("recomputed", recomputed, out)
}

fn history(explanation: &Explanation, out: &mut Out) -> Result<(), Failure> {
    for correction in &explanation.adjustments {
        let cost = correction.cost_usd.map_or("no cost".to_owned(), dollars);
        let text = format!(
            "{}: {}; then {cost}, known by {}",
            correction.at,
            correction.reason,
            correction.evidence.name()
        );
        field(&format!("version {}", correction.version), &text, out)?;
    }
    for identity in &explanation.identities {
        let project =
            identity.project.as_ref().map_or(String::new(), |project| format!(", project {project}"));
        field("also told", &format!("{} by {}{project}", identity.id, identity.source), out)?;
    }
    Ok(())
}
