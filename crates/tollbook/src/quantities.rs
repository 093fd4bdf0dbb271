//! Quantities from the command line, read with the same rules as those of an event.

use crate::cli::QuantityArgs;
use crate::failure::Failure;
use serde_json::{Map, Value};
use tollbook_types::{Event, Timestamp};
use tollbook_usage::import::{Context, native};

/// The members of a usage that options give.
pub fn of_options(args: &QuantityArgs) -> Result<Map<String, Value>, Failure> {
    let named = [
        ("input_tokens", args.input_tokens),
        ("output_tokens", args.output_tokens),
        ("cache_read_tokens", args.cache_read_tokens),
        ("cache_write_tokens", args.cache_write_tokens),
        ("cache_write_5m_tokens", args.cache_write_5m_tokens),
        ("cache_write_1h_tokens", args.cache_write_1h_tokens),
        ("reasoning_tokens", args.reasoning_tokens),
        ("input_audio_tokens", args.input_audio_tokens),
        ("cache_read_audio_tokens", args.cache_read_audio_tokens),
        ("output_audio_tokens", args.output_audio_tokens),
        ("input_image_tokens", args.input_image_tokens),
        ("output_image_tokens", args.output_image_tokens),
        ("input_video_tokens", args.input_video_tokens),
        ("input_tool_tokens", args.input_tool_tokens),
    ];
    let mut members: Map<String, Value> =
        named.into_iter().filter_map(|(name, n)| Some((name.to_owned(), Value::from(n?)))).collect();
    members.extend(of_pairs(&args.meter)?);
    Ok(members)
}

/// The members of a usage that `KEY=N` pairs give. `in`, `out` and `cached` are short for the totals.
pub fn of_pairs(pairs: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut members = Map::new();
    for pair in pairs {
        let wrong = || Failure::usage(format!("{pair:?} is no quantity: write NAME=N, such as web_search=3"));
        let (name, number) = pair.split_once('=').ok_or_else(wrong)?;
        let number: u64 = number.trim().replace('_', "").parse().map_err(|_| wrong())?;
        let name = match name.trim() {
            "in" | "input" => "input_tokens",
            "out" | "output" => "output_tokens",
            "cached" | "cache_read" => "cache_read_tokens",
            "cache_write" => "cache_write_tokens",
            "reasoning" => "reasoning_tokens",
            name => name,
        };
        if members.insert(name.to_owned(), Value::from(number)).is_some() {
            return Err(Failure::usage(format!("{name} is given twice")));
        }
    }
    // A part without its whole is the whole.
    for (part, whole) in
        [("cache_write_5m_tokens", "cache_write_tokens"), ("cache_write_1h_tokens", "cache_write_tokens")]
    {
        if members.contains_key(part) && !members.contains_key(whole) {
            let sum = ["cache_write_5m_tokens", "cache_write_1h_tokens"]
                .iter()
                .filter_map(|name| members.get(*name)?.as_u64())
                .fold(0, u64::saturating_add);
            members.insert(whole.to_owned(), Value::from(sum));
        }
    }
    Ok(members)
}

/// An event with these quantities, which nobody recorded.
pub fn event(
    provider: &str,
    model: &str,
    at: Timestamp,
    usage: Map<String, Value>,
) -> Result<Event, Failure> {
    let told = serde_json::json!({"id": "calc", "provider": provider, "model": model, "usage": usage});
    let ctx = Context { at: Some(at), ..Context::new("calc", at) };
    native::parse_value(&told, &ctx).map_err(|problems| {
        let texts = problems.iter().map(|problem| problem.detail.clone()).collect();
        Failure { errors: texts, ..Failure::usage("") }
    })
}
