//! Reading genai-prices' feed: providers, match rules, dated prices, variants.

use crate::book::Book;
use crate::import::{Change, Gathered, Import, decimal_text, difference, shifted};
use crate::merge::{end_prices, graft_model};
use crate::model::{Model, Price, Tier};
use crate::parse::{check_rules, parse_bound, parse_window};
use crate::rates::Rates;
use crate::rule::{Pattern, Rule, Test};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use tollbook_types::{Meter, canonical_provider};

/// The feed's words for units, and the meters that they are.
const UNITS: &[(&str, Meter)] = &[
    ("input_mtok", Meter::Input),
    ("output_mtok", Meter::Output),
    ("cache_read_mtok", Meter::CacheRead),
    ("cache_write_mtok", Meter::CacheWrite),
    ("cache_write_5m_mtok", Meter::CacheWrite5m),
    ("cache_write_1h_mtok", Meter::CacheWrite1h),
    ("web_searches_kcount", Meter::WebSearch),
    ("storage_searches_kcount", Meter::FileSearch),
    ("rerank_searches_kcount", Meter::RerankSearch),
    ("input_audio_mtok", Meter::InputAudio),
    ("audio_hours", Meter::AudioMs),
    ("input_audio_hours", Meter::AudioMs),
    ("input_image_mtok", Meter::InputImage),
    ("cache_image_read_mtok", Meter::CacheReadImage),
    ("output_image_mtok", Meter::OutputImage),
    ("output_audio_mtok", Meter::OutputAudio),
    ("cache_audio_read_mtok", Meter::CacheReadAudio),
    ("input_document_kpages", Meter::Pages),
    ("input_video_mtok", Meter::InputVideo),
    ("cache_video_read_mtok", Meter::CacheReadVideo),
    ("output_video_mtok", Meter::OutputVideo),
    ("input_mchars", Meter::Characters),
    ("requests_kcount", Meter::Requests),
    ("output_reasoning_mtok", Meter::Reasoning),
    ("output_citation_mtok", Meter::Citation),
];
/// Units for annotated pages, which are pages under a condition here.
const ANNOTATED: &str = "input_annotated_document_kpages";

/// The meter that one of the feed's units is.
pub fn feed_meter(unit: &str) -> Option<Meter> {
    UNITS.iter().find(|(word, _)| *word == unit).map(|(_, meter)| *meter)
}

#[derive(Deserialize)]
struct Feed {
    #[serde(default)]
    version: Option<String>,
    providers: Vec<FeedProvider>,
}

#[derive(Deserialize)]
struct FeedProvider {
    id: String,
    models: Vec<FeedModel>,
}

#[derive(Deserialize)]
struct FeedModel {
    id: String,
    r#match: Clause,
    #[serde(default)]
    context_window: Option<u64>,
    #[serde(default)]
    deprecated: bool,
    prices: Box<RawValue>,
    #[serde(default)]
    price_variants: Vec<FeedPrice>,
}

#[derive(Deserialize, Default)]
struct FeedPrice {
    #[serde(default)]
    constraint: Option<Constraint>,
    #[serde(default)]
    when: BTreeMap<String, String>,
    prices: BTreeMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
struct Constraint {
    #[serde(default)]
    start_date: Option<String>,
    #[serde(default)]
    start_time: Option<String>,
    #[serde(default)]
    end_time: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Clause {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    Regex(String),
    Or(Vec<Clause>),
    And(Vec<Clause>),
}

#[derive(Deserialize)]
struct Tiered {
    base: Box<RawValue>,
    #[serde(default)]
    tiers: Vec<FeedTier>,
}

#[derive(Deserialize)]
struct FeedTier {
    start: u64,
    price: Box<RawValue>,
}

impl Book {
    /// Reads genai-prices' JSON and compares it with the book. `checked` is the day of the import.
    /// Hand-kept facts of the book stay.
    pub fn import_genai(&self, json: &str, checked: &str) -> Result<Import, String> {
        let feed: Feed = match serde_json::from_str(json) {
            Ok(feed) => feed,
            Err(error) => {
                // The bare list of providers is published too.
                let providers = serde_json::from_str(json).map_err(|_| error.to_string())?;
                Feed { version: None, providers }
            }
        };
        let source = format!("genai-prices {}", feed.version.as_deref().unwrap_or("")).trim().to_owned();
        let mut gathered = Gathered::default();
        let own_ids: Vec<String> = feed.providers.iter().map(|provider| provider.id.clone()).collect();
        for provider in feed.providers {
            let id = canonical_provider(&provider.id);
            if id != provider.id && own_ids.contains(&id) {
                // Another market of the same provider, with its own currency.
                let reason = format!("its prices are those of {id} elsewhere");
                gathered.import.skipped.push((provider.id, reason));
                continue;
            }
            for model in provider.models {
                let name = format!("{id}/{}", model.id.to_lowercase());
                match convert(model) {
                    Ok(model) => self.compare(&mut gathered, &id, &source, checked, model),
                    Err(reason) => gathered.import.skipped.push((name, reason)),
                }
            }
        }
        Ok(gathered.finish())
    }

    fn compare(
        &self,
        gathered: &mut Gathered,
        provider: &str,
        source: &str,
        checked: &str,
        mut model: Model,
    ) {
        let name = format!("{provider}/{}", model.id);
        let known = self.index.provider(provider).map(|at| self.index.at(at));
        let Some(old) = known.and_then(|known| known.models.iter().find(|old| old.id == model.id)) else {
            gathered.import.new.push(name);
            gathered.add(provider, source, checked, model);
            return;
        };
        // Facts with a source of their own are hand-kept.
        let by_hand: Vec<Price> = old.prices.iter().filter(|price| price.source.is_some()).cloned().collect();
        let kept =
            Model { id: old.id.clone(), rules: old.rules.clone(), prices: by_hand, ..Model::default() };
        graft_model(&mut model, kept);
        for price in model.prices.iter_mut().filter(|price| price.is_plain()) {
            // The feed knows few fees; the book's stay.
            let known = old.prices.iter().find(|known| known.is_plain() && known.from == price.from);
            let fees = known.into_iter().flat_map(|known| known.rates.iter());
            for (meter, picos) in fees.filter(|(meter, _)| !meter.is_token()) {
                price.rates.entry(*meter).or_insert(*picos);
            }
        }
        if same_prices(old, &model) {
            gathered.import.unchanged += 1;
            return;
        }
        gathered.import.changed.push(Change { model: name, what: difference(old, &model) });
        gathered.add(provider, source, checked, model);
    }
}

fn same_prices(one: &Model, other: &Model) -> bool {
    let all_of = |a: &Model, b: &Model| {
        a.prices.iter().all(|price| {
            b.prices.iter().any(|known| {
                let same = |p: &Price| Price { source: None, checked: None, ..p.clone() };
                same(known) == same(price)
            })
        })
    };
    all_of(one, other) && all_of(other, one)
}

fn convert(feed: FeedModel) -> Result<Model, String> {
    let rules = match feed.r#match {
        Clause::Or(clauses) => clauses.into_iter().map(rule).collect::<Result<Vec<_>, _>>()?,
        clause => vec![rule(clause)?],
    };
    check_rules(&rules)?;
    let mut model = Model {
        id: feed.id.to_lowercase(),
        rules,
        context_window: feed.context_window,
        retired: feed.deprecated,
        ..Model::default()
    };
    let list: Vec<FeedPrice> = match serde_json::from_str(feed.prices.get()) {
        Ok(list) => list,
        Err(_) => {
            let prices =
                serde_json::from_str(feed.prices.get()).map_err(|error| format!("its prices: {error}"))?;
            vec![FeedPrice { prices, ..FeedPrice::default() }]
        }
    };
    for entry in list.into_iter().chain(feed.price_variants) {
        add_price(&mut model, entry)?;
    }
    end_prices(&mut model.prices);
    if model.plain_prices() == 0 {
        return Err("it has no price".to_owned());
    }
    Ok(model)
}

fn add_price(model: &mut Model, entry: FeedPrice) -> Result<(), String> {
    let when = entry.when.iter().map(|(k, v)| (k.to_lowercase(), v.to_lowercase())).collect();
    let mut price = Price { when, ..Price::default() };
    if let Some(constraint) = &entry.constraint {
        if let Some(date) = &constraint.start_date {
            price.from = Some(parse_bound(date).ok_or("its start_date is not a date")?);
        }
        if let (Some(from), Some(to)) = (&constraint.start_time, &constraint.end_time) {
            let window = format!("{from}-{to}").replace("+00:00", "").replace('Z', "");
            price.daily.push(parse_window(&window).ok_or("its daily window is not in UTC")?);
        }
    }
    let mut annotated = price.clone();
    for (unit, raw) in &entry.prices {
        if unit == ANNOTATED {
            annotated.rates.insert(Meter::Pages, value(raw)?);
        } else if unit == "input_text_messages_kcount" {
            let text = decimal_text(raw.get()).unwrap_or("?");
            model.note =
                Some(format!("Text messages of a session are ${text} per 1,000; no meter counts them."));
        } else {
            let meter = feed_meter(unit).ok_or_else(|| format!("unit {unit} has no meter"))?;
            set(&mut price, meter, raw)?;
        }
    }
    if entry.prices.is_empty() && price.when.is_empty() {
        price.rates = Rates::from([(Meter::Input, 0), (Meter::Output, 0)]);
    }
    price.tiers.sort_by_key(|tier| tier.starts_at);
    // Windows with the same rates are one price.
    let twin = model.prices.iter_mut().find(|known| {
        !price.daily.is_empty()
            && !known.daily.is_empty()
            && (&known.rates, &known.tiers, &known.when) == (&price.rates, &price.tiers, &price.when)
    });
    match twin {
        Some(known) => known.daily.extend(price.daily),
        None if !price.rates.is_empty() => model.prices.push(price),
        None => {}
    }
    if !annotated.rates.is_empty() {
        annotated.when.push(("document".to_owned(), "annotated".to_owned()));
        annotated.when.sort();
        model.prices.push(annotated);
    }
    Ok(())
}

fn set(price: &mut Price, meter: Meter, raw: &RawValue) -> Result<(), String> {
    if let Some(text) = decimal_text(raw.get()) {
        price.rates.insert(meter, shifted(text, 0).ok_or_else(|| format!("{text} is not a price"))?);
        return Ok(());
    }
    let tiered: Tiered = serde_json::from_str(raw.get()).map_err(|error| format!("{meter}: {error}"))?;
    price.rates.insert(meter, value(&tiered.base)?);
    for step in &tiered.tiers {
        let starts_at = step.start.saturating_add(1);
        let at = price.tiers.iter().position(|tier| tier.starts_at == starts_at).unwrap_or_else(|| {
            price.tiers.push(Tier { starts_at, rates: Rates::new() });
            price.tiers.len() - 1
        });
        price.tiers[at].rates.insert(meter, value(&step.price)?);
    }
    Ok(())
}

fn value(raw: &RawValue) -> Result<i64, String> {
    let text = decimal_text(raw.get());
    text.and_then(|text| shifted(text, 0)).ok_or_else(|| format!("{} is not a price", raw.get()))
}

fn rule(clause: Clause) -> Result<Rule, String> {
    match clause {
        Clause::And(clauses) => {
            let tests = clauses.into_iter().map(test).collect::<Result<Vec<_>, _>>()?;
            if tests.is_empty() { Err("an empty match rule".to_owned()) } else { Ok(Rule { tests }) }
        }
        clause => Ok(Rule::one(test(clause)?)),
    }
}

fn test(clause: Clause) -> Result<Test, String> {
    Ok(match clause {
        Clause::Equals(text) => Test::Exact(text.to_lowercase()),
        Clause::StartsWith(text) => Test::Prefix(text.to_lowercase()),
        Clause::EndsWith(text) => Test::Suffix(text.to_lowercase()),
        Clause::Contains(text) => Test::Contains(text.to_lowercase()),
        Clause::Regex(text) => regex_test(&text),
        Clause::Or(_) | Clause::And(_) => return Err("match rules nested too deeply".to_owned()),
    })
}

/// An expression as a test. A look-ahead that forbids something anywhere in the name is a test of
/// its own here.
pub fn regex_test(text: &str) -> Test {
    match text.strip_prefix("^(?!.*").and_then(|rest| rest.strip_suffix(')')) {
        Some(forbidden) => Test::NotRegex(Pattern::new(&forbidden.replace("[tT][tT][sS]", "tts"))),
        None => Test::Regex(Pattern::new(text)),
    }
}

impl Model {
    fn plain_prices(&self) -> usize {
        self.prices.iter().filter(|price| price.is_plain()).count()
    }
}
