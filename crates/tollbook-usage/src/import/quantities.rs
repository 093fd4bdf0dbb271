//! The public usage object and its meters: reading it strictly, and writing it.
//!
//! Its totals are inclusive (`input_tokens` is all input), meters are disjoint; this is the one
//! place where the two meet for what users send and see. It must never know a provider's names.

use super::problem::{Problem, below, code, meant};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use tollbook_types::limits::{QUANTITY_MAX, UNKNOWN_MEMBERS_MAX};
use tollbook_types::{Meter, Meters};

/// A part of the input or output, by its public key, with the whole that it is counted in.
struct Part {
    key: &'static str,
    whole: &'static str,
}

const fn part(key: &'static str, whole: &'static str) -> Part {
    Part { key, whole }
}

const INPUT: &str = "input_tokens";
const OUTPUT: &str = "output_tokens";
const TOTAL: &str = "total_tokens";
const READ: &str = "cache_read_tokens";
const WRITE: &str = "cache_write_tokens";
const WRITE_5M: &str = "cache_write_5m_tokens";
const WRITE_1H: &str = "cache_write_1h_tokens";
const TOOL: &str = "input_tool_tokens";
const CITATION: &str = "citation_tokens";

/// Every part and its whole.
const PARTS: &[Part] = &[
    part(READ, INPUT),
    part(WRITE, INPUT),
    part(WRITE_5M, WRITE),
    part(WRITE_1H, WRITE),
    part(TOOL, INPUT),
    part("input_audio_tokens", INPUT),
    part("input_image_tokens", INPUT),
    part("input_video_tokens", INPUT),
    part("cache_read_audio_tokens", READ),
    part("cache_read_image_tokens", READ),
    part("cache_read_video_tokens", READ),
    part("reasoning_tokens", OUTPUT),
    part("output_audio_tokens", OUTPUT),
    part("output_image_tokens", OUTPUT),
    part("output_video_tokens", OUTPUT),
];

/// A medium: all of its input, what of it was read from a cache, and the meters of both.
const MEDIA: &[(&str, Meter, &str, Meter)] = &[
    ("input_audio_tokens", Meter::InputAudio, "cache_read_audio_tokens", Meter::CacheReadAudio),
    ("input_image_tokens", Meter::InputImage, "cache_read_image_tokens", Meter::CacheReadImage),
    ("input_video_tokens", Meter::InputVideo, "cache_read_video_tokens", Meter::CacheReadVideo),
];

const OUTPUT_PARTS: &[(&str, Meter)] = &[
    ("reasoning_tokens", Meter::Reasoning),
    ("output_audio_tokens", Meter::OutputAudio),
    ("output_image_tokens", Meter::OutputImage),
    ("output_video_tokens", Meter::OutputVideo),
];

/// A whole number that can be a quantity. A problem names no member yet.
pub(crate) fn quantity(value: &Value) -> Result<u64, Problem> {
    let wrong = |detail: &str| Err(Problem::new(code::FIELD_INVALID, detail));
    match value {
        Value::Number(number) => match number.as_u64() {
            Some(quantity) if quantity <= QUANTITY_MAX => Ok(quantity),
            Some(_) => Err(Problem::new(code::FIELD_TOO_LARGE, format!("more than {QUANTITY_MAX}"))),
            None if number.is_i64() => wrong("must not be negative"),
            None => wrong("must be a whole number, without point, exponent or sign"),
        },
        Value::String(_) => wrong("must be a number, not a text"),
        Value::Null => wrong("must be a number; leave it out when it is not known"),
        _ => wrong("must be a whole number"),
    }
}

/// Whether `usage` may have a member of this name.
pub fn is_usage_member(name: &str) -> bool {
    matches!(name, INPUT | OUTPUT | TOTAL | CITATION)
        || PARTS.iter().any(|part| part.key == name)
        || fee(name).is_some()
}

/// Reads a `usage` object.
pub(crate) fn read_usage(value: &Value, problems: &mut Vec<Problem>) -> Option<Meters> {
    let found = read_quantities(value, "/usage", problems, is_usage_member)?;
    let before = problems.len();
    for Part { key, whole } in PARTS {
        check_part(&found, key, whole, problems);
    }
    if problems.len() > before {
        return None;
    }
    let mut meters = Meters::new();
    let input = input_side(&found, &mut meters);
    let output = output_side(&found, &mut meters);
    for result in [input, output] {
        problems.extend(result.err());
    }
    if let Some(total) = found.get(TOTAL)
        && problems.len() == before
        && *total != meters.total_tokens()
    {
        let detail =
            format!("total_tokens ({total}) is not input_tokens + output_tokens ({})", meters.total_tokens());
        problems.push(Problem::at(code::USAGE_INCONSISTENT, "/usage/total_tokens", detail));
    }
    if let Some(citation) = found.get(CITATION) {
        meters.set(Meter::Citation, *citation);
    }
    for (name, quantity) in &found {
        if let Some(meter) = fee(name) {
            meters.set(meter, *quantity);
        }
    }
    if meters.is_empty() && problems.len() == before {
        problems.push(Problem::at(code::FIELD_MISSING, "/usage", "reports nothing"));
    }
    (problems.len() == before).then_some(meters)
}

/// Reads a `meters` object.
pub(crate) fn read_meters(value: &Value, problems: &mut Vec<Problem>) -> Option<Meters> {
    let found = read_quantities(value, "/meters", problems, |name| name.parse::<Meter>().is_ok())?;
    if found.is_empty() {
        problems.push(Problem::at(code::FIELD_MISSING, "/meters", "reports nothing"));
        return None;
    }
    Some(Meters::from_pairs(
        found.iter().filter_map(|(name, quantity)| Some((name.parse().ok()?, *quantity))),
    ))
}

/// A meter that is no count of conversation tokens, by its name; citations have a public key.
fn fee(name: &str) -> Option<Meter> {
    name.parse::<Meter>().ok().filter(|meter| !meter.is_token() && *meter != Meter::Citation)
}

/// The quantities by name, or `None` and at least one problem.
fn read_quantities<'a>(
    value: &'a Value,
    pointer: &str,
    problems: &mut Vec<Problem>,
    is_known: impl Fn(&str) -> bool,
) -> Option<BTreeMap<&'a str, u64>> {
    let Value::Object(members) = value else {
        problems.push(Problem::at(code::FIELD_INVALID, pointer, "must be an object"));
        return None;
    };
    let (before, mut strange) = (problems.len(), 0);
    let mut found = BTreeMap::new();
    for (name, value) in members {
        if !is_known(name) {
            problems.push(unknown(name, &below(pointer, name), pointer == "/meters"));
            strange += 1;
            if strange == UNKNOWN_MEMBERS_MAX {
                break;
            }
            continue;
        }
        match quantity(value) {
            Ok(quantity) => {
                found.insert(name.as_str(), quantity);
            }
            Err(problem) => problems.push(problem.pointed(&below(pointer, name))),
        }
    }
    (problems.len() == before).then_some(found)
}

fn unknown(name: &str, pointer: &str, meters: bool) -> Problem {
    let keys = [INPUT, OUTPUT, TOTAL, CITATION].into_iter().chain(PARTS.iter().map(|part| part.key));
    let names = Meter::ALL.iter().map(|meter| meter.name());
    let meant = if meters { meant(name, names) } else { meant(name, keys.chain(names)) };
    let detail = match meant {
        Some(meant) => format!("is not known; did you mean {meant}?"),
        None if meters => "is no meter".to_owned(),
        None => "is not known in usage".to_owned(),
    };
    Problem::at(code::UNKNOWN_MEMBER, pointer, detail)
}

fn check_part(found: &BTreeMap<&str, u64>, key: &str, whole: &str, problems: &mut Vec<Problem>) {
    let Some(quantity) = found.get(key) else { return };
    match found.get(whole) {
        Some(all) if quantity <= all => {}
        Some(all) => {
            let detail = format!("{key} ({quantity}) exceeds {whole} ({all})");
            problems.push(Problem::at(code::USAGE_INCONSISTENT, below("/usage", key), detail));
        }
        None => {
            let detail = format!("{key} is part of {whole}, which has to be there too");
            problems.push(Problem::at(code::FIELD_MISSING, below("/usage", whole), detail));
        }
    }
}

/// The parts that were sent, and that they exceed their whole together.
fn together<'a>(
    found: &BTreeMap<&str, u64>,
    keys: impl IntoIterator<Item = &'a str>,
    whole: &str,
    sum: u64,
) -> Problem {
    let sent: Vec<&str> = keys.into_iter().filter(|key| found.contains_key(key)).collect();
    let all = found.get(whole).copied().unwrap_or(0);
    let detail = format!("{} ({sum}) exceed {whole} ({all})", sent.join(" + "));
    Problem::at(code::USAGE_INCONSISTENT, below("/usage", whole), detail)
}

fn input_side(found: &BTreeMap<&str, u64>, meters: &mut Meters) -> Result<(), Problem> {
    let Some(input) = found.get(INPUT).copied() else { return Ok(()) };
    let get = |key: &str| found.get(key).copied();
    let mut cached_media = 0;
    let mut taken = 0;
    for (all_key, fresh, read_key, read) in MEDIA {
        let (all, cached) = (get(all_key), get(read_key));
        let known = all.unwrap_or_else(|| cached.unwrap_or(0));
        let Some(rest) = known.checked_sub(cached.unwrap_or(0)) else {
            return Err(together(found, [*read_key], all_key, cached.unwrap_or(0)));
        };
        cached_media += cached.unwrap_or(0);
        taken += rest;
        all.inspect(|_| meters.set(*fresh, rest));
        cached.inspect(|quantity| meters.set(*read, *quantity));
    }
    if let Some(read) = get(READ) {
        let keys = MEDIA.iter().map(|(_, _, key, _)| *key);
        let rest = read.checked_sub(cached_media).ok_or_else(|| together(found, keys, READ, cached_media))?;
        taken += read;
        meters.set(Meter::CacheRead, rest);
    }
    if let Some(write) = get(WRITE) {
        let timed = get(WRITE_5M).unwrap_or(0) + get(WRITE_1H).unwrap_or(0);
        let rest =
            write.checked_sub(timed).ok_or_else(|| together(found, [WRITE_5M, WRITE_1H], WRITE, timed))?;
        taken += write;
        get(WRITE_5M).inspect(|quantity| meters.set(Meter::CacheWrite5m, *quantity));
        get(WRITE_1H).inspect(|quantity| meters.set(Meter::CacheWrite1h, *quantity));
        if rest > 0 || (get(WRITE_5M).is_none() && get(WRITE_1H).is_none()) {
            meters.set(Meter::CacheWrite, rest);
        }
    }
    if let Some(tool) = get(TOOL) {
        taken += tool;
        meters.set(Meter::ToolPrompt, tool);
    }
    let keys = PARTS.iter().filter(|part| part.whole == INPUT).map(|part| part.key);
    let rest = input.checked_sub(taken).ok_or_else(|| together(found, keys, INPUT, taken))?;
    meters.set(Meter::Input, rest);
    Ok(())
}

fn output_side(found: &BTreeMap<&str, u64>, meters: &mut Meters) -> Result<(), Problem> {
    let Some(output) = found.get(OUTPUT).copied() else { return Ok(()) };
    let mut taken = 0;
    for (key, meter) in OUTPUT_PARTS {
        if let Some(quantity) = found.get(key) {
            taken += quantity;
            meters.set(*meter, *quantity);
        }
    }
    let keys = OUTPUT_PARTS.iter().map(|(key, _)| *key);
    let rest = output.checked_sub(taken).ok_or_else(|| together(found, keys, OUTPUT, taken))?;
    meters.set(Meter::Output, rest);
    Ok(())
}

/// The public usage object of a call: inclusive totals, the parts that were reported, fees by
/// their meter's name, and under `meters` the disjoint quantities that are billed.
///
/// ```
/// use tollbook_types::{Meter, Meters};
/// use tollbook_usage::import::usage_json;
/// let meters = Meters::from_pairs([(Meter::Input, 900), (Meter::CacheRead, 100), (Meter::Output, 50)]);
/// let usage = usage_json(&meters);
/// assert_eq!(usage["input_tokens"], 1_000);
/// assert_eq!(usage["cache_read_tokens"], 100);
/// assert_eq!(usage["total_tokens"], 1_050);
/// assert_eq!(usage["meters"]["input"], 900);
/// ```
pub fn usage_json(total: &Meters) -> Map<String, Value> {
    let mut usage = Map::new();
    let mut put = |key: &str, quantity: u64| {
        usage.insert(key.to_owned(), Value::from(quantity));
    };
    put(INPUT, total.input_tokens());
    put(OUTPUT, total.output_tokens());
    put(TOTAL, total.total_tokens());
    if total.iter().any(|(meter, _)| meter.is_cache_read()) {
        put(READ, total.cache_read_tokens());
    }
    if total.iter().any(|(meter, _)| meter.is_cache_write()) {
        put(WRITE, total.cache_write_tokens());
    }
    for (key, fresh, read_key, read) in MEDIA {
        let cached = total.get(*read);
        if total.get(*fresh).is_some() || cached.is_some() {
            put(key, total.quantity(*fresh).saturating_add(total.quantity(*read)));
        }
        cached.inspect(|quantity| put(read_key, *quantity));
    }
    let singles = [
        (WRITE_5M, Meter::CacheWrite5m),
        (WRITE_1H, Meter::CacheWrite1h),
        (TOOL, Meter::ToolPrompt),
        (CITATION, Meter::Citation),
    ];
    for (key, meter) in singles.iter().chain(OUTPUT_PARTS) {
        total.get(*meter).inspect(|quantity| put(key, *quantity));
    }
    for (meter, quantity) in total.iter() {
        if fee(meter.name()).is_some() {
            put(meter.name(), quantity);
        }
    }
    let meters = total.iter().map(|(meter, quantity)| (meter.name().to_owned(), Value::from(quantity)));
    usage.insert("meters".to_owned(), Value::Object(meters.collect()));
    usage
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tollbook_types::json;

    fn read(text: &str) -> Result<Meters, Vec<Problem>> {
        let mut problems = Vec::new();
        let value = json::parse(text.as_bytes()).unwrap();
        read_usage(&value, &mut problems).ok_or(problems)
    }

    #[test]
    fn inclusive_totals_come_apart() {
        let meters = read(
            r#"{"input_tokens":1000,"output_tokens":100,"cache_read_tokens":300,"cache_read_audio_tokens":20,
            "cache_write_tokens":200,"cache_write_1h_tokens":50,"input_audio_tokens":60,"input_tool_tokens":10,
            "reasoning_tokens":40,"web_search":2,"total_tokens":1100}"#,
        )
        .unwrap();
        let expected = [
            (Meter::Input, 450),
            (Meter::CacheRead, 280),
            (Meter::CacheReadAudio, 20),
            (Meter::CacheWrite, 150),
            (Meter::CacheWrite1h, 50),
            (Meter::InputAudio, 40),
            (Meter::ToolPrompt, 10),
            (Meter::Output, 60),
            (Meter::Reasoning, 40),
            (Meter::WebSearch, 2),
        ];
        assert_eq!(meters, Meters::from_pairs(expected));
        assert_eq!((meters.input_tokens(), meters.output_tokens()), (1_000, 100));
    }

    #[test]
    fn impossible_usage_names_both_fields() {
        let cases = [
            (
                r#"{"input_tokens":10,"cache_read_tokens":11}"#,
                "cache_read_tokens (11) exceeds input_tokens (10)",
            ),
            (
                r#"{"input_tokens":10,"cache_read_tokens":6,"cache_write_tokens":5}"#,
                "cache_read_tokens + cache_write_tokens (11) exceed input_tokens (10)",
            ),
            (r#"{"output_tokens":1,"reasoning_tokens":2}"#, "reasoning_tokens (2) exceeds output_tokens (1)"),
            (
                r#"{"input_tokens":1,"output_tokens":2,"total_tokens":4}"#,
                "total_tokens (4) is not input_tokens + output_tokens (3)",
            ),
        ];
        for (text, detail) in cases {
            let problems = read(text).unwrap_err();
            assert_eq!(problems.len(), 1, "{text}");
            assert_eq!((problems[0].code, problems[0].detail.as_str()), (code::USAGE_INCONSISTENT, detail));
        }
        assert_eq!(read(r#"{"cache_read_tokens":1}"#).unwrap_err()[0].code, code::FIELD_MISSING);
        assert_eq!(read("{}").unwrap_err()[0].code, code::FIELD_MISSING);
    }

    proptest! {
        #[test]
        fn what_is_written_can_be_read(pairs in prop::collection::vec((0..Meter::ALL.len(), 0..=1_000_000u64), 0..12)) {
            let meters = Meters::from_pairs(pairs.into_iter().map(|(at, quantity)| (Meter::ALL[at], quantity)));
            let mut usage = usage_json(&meters);
            usage.remove("meters");
            let mut problems = Vec::new();
            let back = read_usage(&Value::Object(usage), &mut problems);
            prop_assert!(problems.is_empty(), "{problems:?}");
            let back = back.unwrap();
            for meter in Meter::ALL {
                prop_assert_eq!(back.quantity(*meter), meters.quantity(*meter), "{}", meter);
            }
        }
    }
}
