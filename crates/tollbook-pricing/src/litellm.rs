//! Reading LiteLLM's price map: one flat object a model, prices per single token, no dates.

use crate::book::{Book, Query, Target};
use crate::import::{Change, Gathered, Import, decimal_text, difference, shifted};
use crate::merge::make_room;
use crate::model::{Bound, Model, Price, Tier};
use crate::rates::Rates;
use crate::rule::{Rule, Test};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tollbook_types::{Conditions, Meter, canonical_provider, charge};

/// The map's words for prices of one unit, the meters that they are, and the power of ten from
/// one unit to the book's number of units.
const WORDS: &[(&str, Meter, i64)] = &[
    ("input_cost_per_token", Meter::Input, 6),
    ("output_cost_per_token", Meter::Output, 6),
    ("cache_read_input_token_cost", Meter::CacheRead, 6),
    ("cache_creation_input_token_cost", Meter::CacheWrite, 6),
    ("cache_creation_input_token_cost_above_1hr", Meter::CacheWrite1h, 6),
    ("output_cost_per_reasoning_token", Meter::Reasoning, 6),
    ("input_cost_per_audio_token", Meter::InputAudio, 6),
    ("output_cost_per_audio_token", Meter::OutputAudio, 6),
    ("cache_read_input_audio_token_cost", Meter::CacheReadAudio, 6),
    ("input_cost_per_image_token", Meter::InputImage, 6),
    ("output_cost_per_image_token", Meter::OutputImage, 6),
    ("cache_read_input_image_token_cost", Meter::CacheReadImage, 6),
    ("input_cost_per_video_token", Meter::InputVideo, 6),
    ("output_cost_per_video_token", Meter::OutputVideo, 6),
    ("citation_cost_per_token", Meter::Citation, 6),
    ("input_cost_per_character", Meter::Characters, 6),
    ("input_cost_per_query", Meter::RerankSearch, 3),
    ("input_cost_per_request", Meter::Requests, 3),
    ("ocr_cost_per_page", Meter::Pages, 3),
    ("output_cost_per_image", Meter::Images, 3),
    ("code_interpreter_cost_per_session", Meter::CodeSession, 3),
    ("google_maps_grounding_cost_per_query", Meter::MapsGrounding, 3),
];
/// Ends of the map's words, and the circumstance that they mean.
const ENDS: &[(&str, &str, &str)] = &[
    ("_flex", "service_tier", "flex"),
    ("_priority", "service_tier", "priority"),
    ("_ultrafast", "service_tier", "ultrafast"),
    ("_balanced", "service_tier", "balanced"),
    ("_batches", "processing", "batch"),
];
const SOURCE: &str = "LiteLLM model map";

type Entry = BTreeMap<String, Box<RawValue>>;

impl Book {
    /// Reads LiteLLM's map and compares it with the book at `from`, which is when changed prices
    /// begin: the map has no dates. `from` is a date or an instant.
    pub fn import_litellm(&self, json: &str, from: &Bound) -> Result<Import, String> {
        let map: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(json).map_err(|error| error.to_string())?;
        let mut gathered = Gathered::default();
        for (key, raw) in &map {
            if key == "sample_spec" {
                continue;
            }
            let read = serde_json::from_str::<Entry>(raw.get()).map_err(|error| error.to_string());
            match read.and_then(|entry| convert(key, &entry)) {
                Ok((provider, model)) => self.compare_map(&mut gathered, &provider, from, model),
                Err(reason) => gathered.import.skipped.push((key.clone(), reason)),
            }
        }
        Ok(gathered.finish())
    }

    fn compare_map(&self, gathered: &mut Gathered, provider: &str, from: &Bound, model: Model) {
        let conditions = Conditions::new();
        let query =
            Query { provider, model: &model.id, request_model: None, at: from.at, conditions: &conditions };
        let checked: String = from.text.chars().take(10).collect();
        let found = self.find(&query).ok().and_then(|found| match found.candidate.target {
            Target::Book(hit) if self.index.at(hit.provider).id == provider => Some(self.index.model(hit)),
            _ => None,
        });
        let Some(old) = found else {
            let name = format!("{provider}/{}", model.id);
            if !gathered.import.new.contains(&name) {
                gathered.import.new.push(name);
            }
            gathered.add(provider, SOURCE, &checked, model);
            return;
        };
        let id = model.id.clone();
        let Some(mut changed) = with_map(old, model, from, &checked) else {
            gathered.import.unchanged += 1;
            return;
        };
        let change = Change { model: format!("{provider}/{id}"), what: difference(old, &changed) };
        if old.id != id {
            // The book's price is for other names too: only this one changes.
            changed.rules = vec![Rule::one(Test::Exact(id.clone()))];
            changed.id = id;
        }
        if !gathered.import.changed.contains(&change) {
            gathered.import.changed.push(change);
        }
        gathered.add(provider, SOURCE, &checked, changed);
    }
}

/// The book's model with the map's prices from an instant on; `None` when they are the same.
fn with_map(old: &Model, map: Model, from: &Bound, checked: &str) -> Option<Model> {
    let mut new = old.clone();
    let mut changed = false;
    for theirs in map.prices {
        let same = |ours: &&Price| ours.when == theirs.when && ours.daily.is_empty() && ours.covers(from.at);
        let Some(ours) = old.prices.iter().find(same) else {
            // A circumstance that the book does not know for this model.
            continue;
        };
        // The map writes 0 for what a model does not have.
        let same_rate =
            |(meter, picos): (&Meter, &i64)| ours.rates.get(meter).map_or(*picos == 0, |ours| ours == picos);
        let rates_same = theirs.rates.iter().all(same_rate);
        let tiers_same = theirs.tiers.iter().all(|tier| {
            let known = ours.tiers.iter().find(|known| known.starts_at.abs_diff(tier.starts_at) <= 1);
            known.is_some_and(|known| tier.rates.iter().all(|(m, picos)| known.rates.get(m) == Some(picos)))
        });
        if rates_same && tiers_same {
            continue;
        }
        changed = true;
        let mut next = ours.clone();
        next.rates.extend(&theirs.rates);
        if !theirs.tiers.is_empty() {
            next.tiers = theirs.tiers;
        }
        next.from = Some(from.clone());
        (next.source, next.checked) = (Some(SOURCE.to_owned()), Some(checked.to_owned()));
        make_room(&mut new.prices, &next);
        new.prices.push(next);
    }
    changed.then_some(new)
}

fn convert(key: &str, entry: &Entry) -> Result<(String, Model), String> {
    let text = |name: &str| {
        entry.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).unwrap_or_default()
    };
    let said = text("litellm_provider");
    if said.is_empty() {
        return Err("it names no provider".to_owned());
    }
    let family = if said.starts_with("vertex_ai") { "vertex" } else { said.as_str() };
    let family = family.strip_suffix("-embedding-models").unwrap_or(family);
    let provider = canonical_provider(family);
    let id = key.strip_prefix(&format!("{said}/")).unwrap_or(key);
    let id =
        id.split_once('/').filter(|(head, _)| canonical_provider(head) == provider).map_or(id, |(_, r)| r);
    let id = id.to_lowercase();
    if id.is_empty() || id.contains(['*', ' ']) {
        return Err("its name is a pattern".to_owned());
    }
    let mut prices: Vec<Price> = vec![Price::default()];
    for (word, raw) in entry {
        let Some(value) = decimal_text(raw.get()) else { continue };
        add(&mut prices, word, value, &text("mode"))?;
    }
    if prices[0].rates.is_empty() {
        return Err("it has no price by a unit that the book knows".to_owned());
    }
    for price in &mut prices {
        price.tiers.sort_by_key(|tier| tier.starts_at);
    }
    let context_window = entry.get("max_input_tokens").and_then(|raw| raw.get().parse().ok());
    let rules = vec![Rule::one(Test::Exact(id.clone()))];
    Ok((provider, Model { id, rules, context_window, prices, ..Model::default() }))
}

/// Adds one word of an entry; words that are no price are passed over.
fn add(prices: &mut Vec<Price>, word: &str, value: &str, mode: &str) -> Result<(), String> {
    let (rest, when) = match ENDS.iter().find(|(end, _, _)| word.ends_with(end)) {
        Some((end, name, state)) => {
            (word.strip_suffix(end).unwrap_or(word), vec![((*name).to_owned(), (*state).to_owned())])
        }
        None => (word, Vec::new()),
    };
    let (base, above) = split_tier(rest);
    let picos = if mode == "audio_transcription" && base == "input_cost_per_second" {
        // A price by the second, as one by the hour.
        shifted(value, 6)
            .and_then(|picos| charge(3_600, i128::from(picos), 1_000_000))
            .and_then(|(money, _)| i64::try_from(money.picos()).ok().map(|picos| (Meter::AudioMs, picos)))
    } else if let Some((_, meter, power)) = WORDS.iter().find(|(known, _, _)| *known == base) {
        shifted(value, *power).map(|picos| (*meter, picos))
    } else {
        return Ok(());
    };
    let (meter, picos) = picos.ok_or_else(|| format!("{word}: {value} is not a price"))?;
    let at = prices.iter().position(|price| price.when == when).unwrap_or_else(|| {
        prices.push(Price { when, ..Price::default() });
        prices.len() - 1
    });
    let rates = match above {
        None => &mut prices[at].rates,
        Some(above) => {
            let tiers = &mut prices[at].tiers;
            let nth = tiers.iter().position(|tier| tier.starts_at == above + 1).unwrap_or_else(|| {
                tiers.push(Tier { starts_at: above + 1, rates: Rates::new() });
                tiers.len() - 1
            });
            &mut tiers[nth].rates
        }
    };
    rates.insert(meter, picos);
    Ok(())
}

/// `input_cost_per_token_above_200k_tokens` is `input_cost_per_token` above 200,000.
fn split_tier(word: &str) -> (&str, Option<u64>) {
    let split = word.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_"));
    match split.and_then(|(base, thousands)| Some((base, thousands.parse::<u64>().ok()?))) {
        Some((base, thousands)) if thousands < 1_000_000 => (base, Some(thousands * 1_000)),
        _ => (word, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_apart() {
        assert_eq!(
            split_tier("input_cost_per_token_above_200k_tokens"),
            ("input_cost_per_token", Some(200_000))
        );
        assert_eq!(split_tier("input_cost_per_token"), ("input_cost_per_token", None));
        let json = r#"{"litellm_provider":"openai","mode":"chat","input_cost_per_token":1e-07,
            "input_cost_per_token_flex":5e-08,"output_cost_per_token":4.0e-07,"max_input_tokens":1000,
            "input_cost_per_token_above_200k_tokens_flex":"1e-07","supports_vision":true}"#;
        let (provider, model) = convert("openai/some", &serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!((provider.as_str(), model.id.as_str()), ("openai", "some"));
        assert_eq!(model.prices[0].rates[&Meter::Input], 100_000_000_000);
        assert_eq!(model.prices[1].rates[&Meter::Input], 50_000_000_000);
        assert_eq!(model.prices[1].tiers[0].starts_at, 200_001);
        assert_eq!(model.context_window, Some(1_000));
    }
}
