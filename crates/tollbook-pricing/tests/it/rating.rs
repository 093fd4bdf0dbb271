//! Whose figure counts, and how it splits.

use crate::at;
use tollbook_pricing::{Book, rate};
use tollbook_types::{
    CostBasis, Event, Evidence, FreeReason, Leg, Meter, Meters, Money, ProviderCost, Rating, Usage,
};

pub fn event(provider: &str, model: &str, pairs: &[(Meter, u64)]) -> Event {
    Event {
        provider: provider.to_owned(),
        model: model.to_owned(),
        usage: Some(Usage::one(Meters::from_pairs(pairs.iter().copied()))),
        evidence: Evidence::ProviderUsage,
        ..Event::new("1".to_owned(), "api".to_owned(), at("2026-11-16T12:00:00Z"))
    }
}

fn money(text: &str) -> Money {
    text.parse().unwrap()
}

fn bill(total: &str) -> Option<ProviderCost> {
    Some(ProviderCost { total: money(total), input: None, output: None, field: "usage.cost".to_owned() })
}

/// Input, output, fees and the whole, as texts.
fn split(rating: &Rating) -> [String; 4] {
    let parts = [rating.input_cost, rating.output_cost, rating.other_cost];
    assert_eq!(Money::checked_sum(parts.map(Option::unwrap)), rating.cost, "the parts add up");
    [parts[0], parts[1], parts[2], rating.cost].map(|part| part.unwrap().to_string())
}

const MILLION: [(Meter, u64); 2] = [(Meter::Input, 1_000_000), (Meter::Output, 1_000_000)];

#[test]
fn the_book_counts_when_nothing_else_does() {
    let mut call = event("openai", "gpt-4o", &MILLION);
    call.usage.as_mut().unwrap().legs[0].meters.set(Meter::WebSearch, 2);
    let rated = rate(&Book::embedded(), &call);
    assert_eq!(rated.rating.basis, CostBasis::Book);
    assert_eq!(split(&rated.rating), ["2.5", "10", "0.02", "12.52"]);
    assert_eq!(rated.rating.price_id.as_deref(), Some("openai/gpt-4o@2024-10-01"));
    assert_eq!(rated.rating.legs[0].card, Some(rated.cards()[0].id));
    assert_eq!(rated.rating.legs[0].cost, rated.rating.cost);
    assert_eq!(rated.legs[0].lines.len(), 3);
}

#[test]
fn the_providers_bill_counts_and_splits_exactly() {
    let book = Book::embedded();
    let mut call = event("openai", "gpt-4o", &MILLION);
    call.provider_cost = bill("13");
    let rated = rate(&book, &call);
    assert_eq!(rated.rating.basis, CostBasis::Provider);
    assert_eq!(split(&rated.rating), ["2.5", "10", "0.5", "13"]);
    assert_eq!(rated.rating.book_cost, Some(money("12.5")));
    call.provider_cost = bill("0.000000000007");
    assert_eq!(
        split(&rate(&book, &call).rating),
        ["0.000000000001", "0.000000000006", "0", "0.000000000007"]
    );
    call.provider_cost = bill("0");
    assert_eq!(split(&rate(&book, &call).rating), ["0", "0", "0", "0"]);
    call.model = "unheard-of".to_owned();
    call.provider_cost = bill("3");
    let rated = rate(&book, &call);
    assert_eq!(split(&rated.rating), ["0", "0", "3", "3"]);
    assert_eq!(rated.rating.book_cost, None);
    call.provider_cost.as_mut().unwrap().input = Some(money("1"));
    call.provider_cost.as_mut().unwrap().output = Some(money("1.5"));
    assert_eq!(split(&rate(&book, &call).rating), ["1", "1.5", "0.5", "3"]);
}

#[test]
fn an_override_counts_before_the_bill() {
    let own = "[[price]]\nmodel = \"gpt-4o\"\ninput = \"1\"\noutput = \"1\"\n";
    let mut call = event("openai", "gpt-4o", &MILLION);
    call.provider_cost = bill("13");
    let rated = rate(&Book::embedded().with_overrides(own).unwrap(), &call);
    assert_eq!((rated.rating.basis, rated.rating.cost), (CostBasis::Override, Some(money("2"))));
    let markup = "[[markup]]\npercent = \"20\"\n";
    let book = Book::embedded().with_overrides(markup).unwrap();
    let rated = rate(&book, &call);
    assert_eq!(rated.rating.basis, CostBasis::Override);
    assert_eq!(split(&rated.rating), ["3", "12", "0.6", "15.6"]);
    call.provider_cost = None;
    assert_eq!(split(&rate(&book, &call).rating), ["3", "12", "0", "15"]);
}

#[test]
fn no_price_is_never_no_cost() {
    let book = Book::embedded();
    let mut call = event("openai", "gpt-99", &MILLION);
    call.worst_case = Some(money("1"));
    let rating = rate(&book, &call).rating;
    assert_eq!((rating.basis, rating.cost), (CostBasis::Unpriced, None));
    assert_eq!(rating.note.as_deref(), Some("no price for model gpt-99 of openai"));
    assert_eq!(rating.worst_case, Some(money("1")));
    let rating = rate(&book, &event("deepseek", "deepseek-chat", &[(Meter::MapsGrounding, 1)])).rating;
    assert_eq!((rating.basis, rating.cost), (CostBasis::Unpriced, None));
    assert!(rating.note.unwrap().contains("maps_grounding"));
}

#[test]
fn free_unknown_and_contradictory_calls() {
    let book = Book::embedded();
    let mut call = event("openai", "gpt-4o", &MILLION);
    call.free = Some(FreeReason::HttpError);
    let rating = rate(&book, &call).rating;
    assert_eq!((rating.basis, split(&rating)), (CostBasis::Free, ["0"; 4].map(str::to_owned)));
    call.free = None;
    call.usage = None;
    let rating = rate(&book, &call).rating;
    assert_eq!((rating.basis, rating.cost), (CostBasis::UnknownUsage, None));
    let mut call = event("openai", "gpt-4o", &MILLION);
    call.inconsistent = true;
    let rating = rate(&book, &call).rating;
    assert_eq!((rating.basis, rating.cost, rating.book_cost), (CostBasis::Inconsistent, None, None));
    call.provider_cost = bill("13");
    assert_eq!(rate(&book, &call).rating.cost, Some(money("13")));
}

#[test]
fn each_leg_has_its_own_model_and_tier() {
    let mut call = event("anthropic", "claude-sonnet-4-6", &[]);
    let leg = |model: Option<&str>, input, output| Leg {
        model: model.map(str::to_owned),
        kind: None,
        meters: Meters::from_pairs([(Meter::Input, input), (Meter::Output, output)]),
    };
    let legs =
        vec![leg(None, 1_051, 35), leg(Some("claude-opus-4-7"), 2_728, 3_880), leg(None, 3_676, 3_356)];
    call.usage = Some(Usage::of(legs));
    let rated = rate(&Book::embedded(), &call);
    assert_eq!(rated.rating.cost, Some(money("0.175686")));
    assert_eq!(rated.rating.legs[1].cost, Some(money("0.11064")));
    assert_eq!(rated.cards().len(), 2);
    call.usage.as_mut().unwrap().legs.push(leg(Some("nobody-knows"), 1, 1));
    let rated = rate(&Book::embedded(), &call);
    assert_eq!((rated.rating.basis, rated.rating.cost), (CostBasis::Unpriced, None));
    assert_eq!(rated.rating.legs[1].cost, Some(money("0.11064")), "what is known of the other legs stays");
}
