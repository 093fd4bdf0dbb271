//! Bills that providers report themselves, in their own units.

use crate::value::Value;
use tollbook_types::{Money, ProviderCost};

/// Picodollars in one of xAI's ticks (1e-10 dollars).
const PICOS_PER_TICK: i128 = 100;

/// The bill inside of a usage object, if there is one.
pub(crate) fn of_usage(usage: &Value<'_>, provider: &str) -> Option<ProviderCost> {
    ticks(usage).or_else(|| match provider {
        "perplexity" => perplexity(usage),
        "openrouter" => openrouter(usage),
        "deepinfra" => plain(usage, "estimated_cost"),
        // Somebody in between who answers as OpenRouter does.
        _ if usage.at("cost_details").is_some() && usage.at("is_byok").is_some() => openrouter(usage),
        _ => None,
    })
}

/// xAI: 0 means that no bill was made, as on Azure.
fn ticks(usage: &Value<'_>) -> Option<ProviderCost> {
    let ticks = usage.at("cost_in_usd_ticks")?.quantity().ok().filter(|ticks| *ticks > 0)?;
    let total = Money::from_picos(i128::from(ticks).checked_mul(PICOS_PER_TICK)?);
    Some(ProviderCost { total, input: None, output: None, field: "usage.cost_in_usd_ticks".to_owned() })
}

fn perplexity(usage: &Value<'_>) -> Option<ProviderCost> {
    let cost = usage.at("cost")?;
    let total = money(cost, "total_cost")?;
    let input = money(cost, "input_tokens_cost").or_else(|| money(cost, "input_cost"));
    let output = money(cost, "output_tokens_cost").or_else(|| money(cost, "output_cost"));
    Some(split(total, input, output, "usage.cost.total_cost"))
}

fn openrouter(usage: &Value<'_>) -> Option<ProviderCost> {
    let total = money(usage, "cost")?;
    let part = |names: [&str; 2]| {
        let details = usage.at("cost_details")?;
        names.iter().find_map(|name| money(details, name))
    };
    let input = part(["upstream_inference_prompt_cost", "upstream_inference_input_cost"]);
    let output = part(["upstream_inference_completions_cost", "upstream_inference_output_cost"]);
    Some(split(total, input, output, "usage.cost"))
}

fn plain(usage: &Value<'_>, name: &str) -> Option<ProviderCost> {
    let total = money(usage, name)?;
    Some(ProviderCost { total, input: None, output: None, field: format!("usage.{name}") })
}

/// The parts are kept only where they fit into the whole.
fn split(total: Money, input: Option<Money>, output: Option<Money>, field: &str) -> ProviderCost {
    let sum = Money::checked_sum([input, output].into_iter().flatten());
    let fits = sum.is_some_and(|sum| sum <= total);
    let (input, output) = if fits { (input, output) } else { (None, None) };
    ProviderCost { total, input, output, field: field.to_owned() }
}

fn money(object: &Value<'_>, name: &str) -> Option<Money> {
    let text = match object.at(name)? {
        Value::Number(text) => text,
        Value::Text(text) => text.as_ref(),
        _ => return None,
    };
    Money::parse_rounding(text).ok().filter(|amount| !amount.is_negative())
}

/// The sum of two bills; none when it does not fit.
pub(crate) fn added(known: Option<ProviderCost>, more: ProviderCost) -> Option<ProviderCost> {
    let Some(known) = known else { return Some(more) };
    Some(ProviderCost {
        total: known.total.checked_add(more.total)?,
        input: known.input.zip(more.input).and_then(|(a, b)| a.checked_add(b)),
        output: known.output.zip(more.output).and_then(|(a, b)| a.checked_add(b)),
        field: more.field,
    })
}
