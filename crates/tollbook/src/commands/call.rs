//! `tollbook call ID`: one call in full.

use crate::cli::CallIdArgs;
use crate::commands::explain::print_explanation;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::text::visible;
use crate::wire::{CallView, CapturedView, explain};
use crate::{open, select};
use serde_json::Value;
use tollbook_api::captured_of;
use tollbook_store::Store;

/// Members that the lines below the members show in another way.
const SHOWN_BELOW: &[&str] = &[
    "usage",
    "legs",
    "cost_usd",
    "input_cost_usd",
    "output_cost_usd",
    "other_cost_usd",
    "cost_basis",
    "book_cost_usd",
    "provider_cost_usd",
    "price_id",
    "adjustments",
    "flags",
    "evidence",
    "estimator",
    "worst_case_usd",
    "unpriced_because",
    "id",
    "conditions",
    "captured",
];

pub fn run(args: &CallIdArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let call = select::call(&*store, args)?;
    let captured = open::captured(config)?.map(|place| captured_of(&place, &call)).transpose()?.flatten();
    let view = CallView { captured, ..CallView::of(&call) };
    if out.json {
        out.json(&view)?;
        return Ok(Exit::Ok);
    }
    out.line(&format!("call {}", visible(&view.id)))?;
    if let Value::Object(members) = serde_json::to_value(&view)? {
        for (name, value) in members.iter().filter(|(name, _)| !SHOWN_BELOW.contains(&name.as_str())) {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            out.line(&format!("  {:<20} {}", name.replace('_', " "), visible(&text)))?;
        }
    }
    let explanation = explain(&call, |id| open::card(&*store as &dyn Store, id))?;
    print_explanation(&explanation, out)?;
    if let Some(captured) = &view.captured {
        print_captured(captured, out)?;
    }
    Ok(Exit::Ok)
}

/// What was asked and answered, each line of it behind a blank edge.
fn print_captured(captured: &CapturedView, out: &mut Out) -> Result<(), Failure> {
    let CapturedView { prompt, prompt_is_cut, answer, answer_is_cut } = captured;
    for (name, text, is_cut) in [("prompt", prompt, prompt_is_cut), ("answer", answer, answer_is_cut)] {
        let Some(text) = text else { continue };
        out.line(name)?;
        for line in text.lines() {
            out.line(&format!("    {}", visible(line)))?;
        }
        if *is_cut {
            out.line("    … (more is not kept)")?;
        }
    }
    Ok(())
}
