//! Properties that hold for any usage and any text.

use crate::rating::event;
use num_bigint::BigInt;
use num_rational::BigRational;
use proptest::prelude::*;
use tollbook_pricing::{Book, lines, rate};
use tollbook_types::{CardRate, Meter, Meters, Money, ProviderCost, RateCard};

fn card(rates: Vec<(Meter, i64, u64)>) -> RateCard {
    let mut rates: Vec<CardRate> =
        rates.into_iter().map(|(meter, picos, per)| CardRate { meter, picos, per, steps: vec![] }).collect();
    rates.sort_by_key(|rate| rate.meter);
    rates.dedup_by_key(|rate| rate.meter);
    RateCard {
        price_id: "p/m".into(),
        rule: "exact m".into(),
        conditions: vec![],
        source: "s".into(),
        checked: "2026-11-15".into(),
        effective_from: None,
        effective_to: None,
        overridden_by: None,
        book: String::new(),
        rates,
    }
}

/// A card that prices every meter.
fn cards() -> impl Strategy<Value = RateCard> {
    let one = (
        0_i64..20_000_000_000_000,
        prop_oneof![Just(1_000_000_u64), Just(1_000), Just(3_600_000), 1_u64..999],
    );
    proptest::collection::vec(one, Meter::ALL.len()).prop_map(|all| {
        card(Meter::ALL.iter().zip(all).map(|(meter, (picos, per))| (*meter, picos, per)).collect())
    })
}

fn usages() -> impl Strategy<Value = Meters> {
    let quantity = prop_oneof![Just(0_u64), 0_u64..3_000_000, any::<u32>().prop_map(u64::from)];
    proptest::collection::vec((0..Meter::ALL.len(), quantity), 0..8).prop_map(|pairs| {
        Meters::from_pairs(pairs.into_iter().map(|(nth, quantity)| (Meter::ALL[nth], quantity)))
    })
}

/// The oracle: exact fractions, rounded half to even at the end of each line.
fn oracle(meters: &Meters, card: &RateCard) -> BigInt {
    let mut total = BigInt::from(0);
    let mut all: Vec<(Meter, u64)> = meters.iter().collect();
    if meters.get(Meter::Requests).is_none() && card.rate(Meter::Requests).is_some() {
        all.push((Meter::Requests, 1));
    }
    for (meter, quantity) in all {
        let mut at = meter;
        let rate = loop {
            match (card.rate(at), at.parent()) {
                (Some(rate), _) => break rate,
                (None, Some(parent)) => at = parent,
                (None, None) => return BigInt::from(-1),
            }
        };
        let exact =
            BigRational::new(BigInt::from(quantity) * BigInt::from(rate.picos), BigInt::from(rate.per));
        let floor = exact.floor().to_integer();
        let rest = exact - BigRational::from_integer(floor.clone());
        let half = BigRational::new(BigInt::from(1), BigInt::from(2));
        let odd = &floor % BigInt::from(2) != BigInt::from(0);
        total += if rest > half || (rest == half && odd) { floor + 1 } else { floor };
    }
    total
}

fn total(meters: &Meters, card: &RateCard) -> Money {
    Money::checked_sum(lines(meters, card).unwrap().iter().map(|line| line.cost)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn rating_equals_exact_fractions(meters in usages(), card in cards()) {
        prop_assert_eq!(BigInt::from(total(&meters, &card).picos()), oracle(&meters, &card));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_never_costs_less(meters in usages(), card in cards(), nth in 0..Meter::ALL.len(), more in 1_u64..1_000_000) {
        let mut larger = meters.clone();
        // A count that was not reported may stand for one.
        larger.set(Meter::Requests, meters.get(Meter::Requests).unwrap_or(1));
        larger.add(Meter::ALL[nth], more);
        let before = total(&meters, &card);
        prop_assert!(!before.is_negative());
        prop_assert!(total(&larger, &card) >= before);
    }

    #[test]
    fn a_usage_costs_the_same_in_parts(one in usages(), other in usages(), picos in 0_i64..20_000_000) {
        // Whole picodollars for each unit: nothing is rounded.
        let card = card(Meter::ALL.iter().filter(|m| **m != Meter::Requests).map(|m| (*m, picos, 1)).chain([(Meter::Requests, 0, 1)]).collect());
        let mut both = one.clone();
        both.add_all(&other);
        let parts = total(&one, &card).checked_add(total(&other, &card)).unwrap();
        prop_assert_eq!(total(&both, &card), parts);
    }

    #[test]
    fn a_bill_splits_exactly(meters in usages(), picos in 0_i64..10_000_000_000_000) {
        let mut call = event("openai", "gpt-4o", &meters.iter().collect::<Vec<_>>());
        let bill = Money::from_picos(i128::from(picos));
        call.provider_cost = Some(ProviderCost { total: bill, input: None, output: None, field: "cost".into() });
        let rating = rate(&Book::embedded(), &call).rating;
        let parts = [rating.input_cost, rating.output_cost, rating.other_cost].map(Option::unwrap);
        prop_assert!(parts.iter().all(|part| !part.is_negative()));
        prop_assert_eq!(Money::checked_sum(parts), Some(bill));
        prop_assert_eq!(rating.cost, Some(bill));
    }

    #[test]
    fn no_text_panics(text in "(\\PC|\n){0,200}") {
        let _ = tollbook_pricing::parse_provider("t", &text);
        let _ = Book::empty().with_overrides(&text);
        let _ = Book::empty().import_genai(&text, "2026-11-15");
        let _ = Book::empty().import_litellm(&text, &tollbook_pricing::parse_bound("2026-11-15").unwrap());
        let _ = tollbook_pricing::parse_window(&text);
        let _ = tollbook_pricing::parse_bound(&text);
    }

    #[test]
    fn no_damaged_override_panics(at in 0_usize..400, byte in any::<char>()) {
        let whole = "[[price]]\nmodel = \"m*\"\nfrom = \"2026-01-01\"\nwhen = { a = \"b\" }\ndaily = \"01:00-02:00\"\n\
            days = [\"mon\"]\ninput = \"1.5\"\ntiers = [{ above = 10, input = \"2\" }]\n[[discount]]\npercent = \"5\"\n\
            [[alias]]\nname = \"x\"\nmodel = \"y\"\n";
        let mut damaged: Vec<char> = whole.chars().collect();
        let at = at % damaged.len();
        damaged[at] = byte;
        let damaged: String = damaged.into_iter().collect();
        if let Ok(book) = Book::empty().with_overrides(&damaged) {
            let _ = rate(&book, &event("p", "m1", &[(Meter::Input, 11)]));
        }
    }

    #[test]
    fn no_name_panics(provider in "\\PC{0,30}", model in "\\PC{0,80}") {
        let rated = rate(&Book::embedded(), &event(&provider, &model, &[(Meter::Input, 1)]));
        prop_assert!(rated.rating.cost.is_some() || rated.rating.note.is_some());
        let _ = Book::embedded().near_misses(&provider, &model, 3);
    }
}
