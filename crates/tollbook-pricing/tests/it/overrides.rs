//! A user's own file: prices, discounts, markups, aliases, and its problems.

use crate::{given, query};
use tollbook_pricing::{Book, lines};
use tollbook_types::{Meter, Meters, Money};

const NOW: &str = "2026-11-16T12:00:00Z";

fn with(text: &str) -> Book {
    let problems =
        |found: Vec<tollbook_pricing::Problem>| found.iter().map(|p| format!("{p}\n")).collect::<String>();
    Book::embedded().with_overrides(text).map_err(problems).unwrap_or_else(|told| panic!("{told}"))
}

fn refused(text: &str) -> Vec<String> {
    let problems = Book::embedded().with_overrides(text).map(|_| ()).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

/// The cost of a million tokens in and a million out, and who changed it.
fn cost(book: &Book, provider: &str, model: &str) -> (String, Option<String>) {
    let conditions = given(&[]);
    let card = book.card(&query(provider, model, NOW, &conditions), 1_000_000).unwrap();
    let meters = Meters::from_pairs([(Meter::Input, 1_000_000), (Meter::Output, 1_000_000)]);
    let total = Money::checked_sum(lines(&meters, &card.card).unwrap().iter().map(|line| line.cost)).unwrap();
    (total.to_string(), card.card.overridden_by.clone())
}

#[test]
fn an_own_price_counts_and_keeps_the_books_fees() {
    let book = with("[[price]]\nprovider = \"openai\"\nmodel = \"gpt-4o\"\ninput = \"1\"\noutput = \"2\"\n");
    assert_eq!(cost(&book, "openai", "gpt-4o"), ("3".into(), Some("own price (prices:1)".into())));
    assert_eq!(cost(&book, "openai", "gpt-4o-mini").1, None);
    let conditions = given(&[]);
    let card = book.card(&query("openai", "gpt-4o", NOW, &conditions), 0).unwrap();
    assert_eq!(card.card.rate(Meter::WebSearch).unwrap().picos, 10_000_000_000_000);
    assert_eq!(card.card.rate(Meter::CacheRead), None, "cache reads fall back to the own input price");
    assert_eq!(card.card.price_id, "own:openai/gpt-4o");
    assert_ne!(book.hash(), Book::embedded().hash());
}

#[test]
fn an_own_price_prices_what_the_book_does_not_know() {
    let book =
        with("[[price]]\nmodel = \"house-*\"\ninput = \"0.60\"\noutput = \"0.60\"\nfrom = \"2026-01-01\"\n");
    assert_eq!(cost(&book, "other:10.0.0.1:8000", "house-model").0, "1.2");
    let conditions = given(&[]);
    assert!(book.card(&query("mine", "house-model", "2025-01-01T00:00:00Z", &conditions), 0).is_err());
}

#[test]
fn discounts_and_markups_multiply() {
    let text = "[[discount]]\nprovider = \"openai\"\npercent = \"15\"\n[[markup]]\nmodel = \"gpt-4o\"\npercent = \"20\"\n";
    let book = with(text);
    let (total, who) = cost(&book, "openai", "gpt-4o");
    assert_eq!(total, "12.75");
    assert_eq!(who.unwrap(), "discount 15% (prices:1), markup 20% (prices:4)");
    assert_eq!(cost(&book, "openai", "gpt-4o-mini").0, "0.6375");
    assert_eq!(cost(&book, "anthropic", "claude-sonnet-4-5").1, None);
    assert_eq!(cost(&book, "openai", "gpt-4o-2024-08-06").0, "12.75", "the book's id counts too");
}

#[test]
fn an_alias_stands_for_a_model() {
    let text = "[[alias]]\nprovider = \"azure\"\nname = \"our-deployment\"\nmodel = \"gpt-4o\"\n\
        [[alias]]\nname = \"cheap\"\nmodel_provider = \"openai\"\nmodel = \"gpt-4o-mini\"\nto = \"2026-12-01\"\n";
    let book = with(text);
    assert_eq!(cost(&book, "azure", "Our-Deployment").0, "12.5");
    assert_eq!(cost(&book, "gateway", "cheap").0, "0.75");
    let conditions = given(&[]);
    let card = book.card(&query("azure", "our-deployment", NOW, &conditions), 0).unwrap();
    assert_eq!(card.card.rule, "alias exact our-deployment = gpt-4o (prices:1)");
    assert!(book.card(&query("gateway", "cheap", "2026-12-01T00:00:00Z", &conditions), 0).is_err());
}

#[test]
fn conditions_and_tiers_work_in_own_prices() {
    let text = "[[price]]\nmodel = \"m\"\ninput = \"1\"\noutput = \"1\"\ntiers = [{ above = 100, input = \"2\" }]\n\
        [[price]]\nmodel = \"m\"\nwhen = { processing = \"batch\" }\ninput = \"0.5\"\noutput = \"0.5\"\n";
    let book = with(text);
    let rate = |conditions: &[(&str, &str)], total| {
        let conditions = given(conditions);
        let card = book.card(&query("p", "m", NOW, &conditions), total).unwrap();
        card.card.rate(Meter::Input).unwrap().picos / 1_000_000_000
    };
    assert_eq!(rate(&[], 100), 1_000);
    assert_eq!(rate(&[], 101), 2_000);
    assert_eq!(rate(&[("processing", "batch")], 101), 500);
}

#[test]
fn marginal_tiers_charge_only_what_lies_beyond() {
    let text = "[[price]]\nmodel = \"m\"\nmarginal = true\ninput = \"1\"\noutput = \"1\"\n\
        tiers = [{ above = 500000, input = \"3\" }]\n";
    assert_eq!(cost(&with(text), "p", "m").0, "3");
}

#[test]
fn every_problem_is_told_with_its_place() {
    let text = "[[prise]]\nmodel = \"m\"\n[[price]]\nmodel = \"m\"\ninput = \"-5\"\n[[price]]\nmodel = \"x\"\n\
        input = 0.1\n[[discount]]\npercent = \"120\"\n";
    let told = refused(text);
    assert!(told.iter().any(|p| p == "prices:1:3: unknown key `prise`, did you mean `price`?"), "{told:#?}");
    assert!(told.iter().any(|p| p == "prices:5:9: `input`: a price cannot be negative"), "{told:#?}");
    assert!(
        told.iter().any(|p| p.starts_with("prices:8:9: the price `input` must be decimal text")),
        "{told:#?}"
    );
    assert!(told.iter().any(|p| p.starts_with("prices:10:11: `percent` must be")), "{told:#?}");
}

#[test]
fn what_looks_like_a_mistake_is_refused() {
    let dear = |extra: &str| format!("[[price]]\nmodel = \"m\"\ninput = \"10000.01\"\n{extra}");
    let told = refused(&dear(""));
    assert!(told[0].contains("above $10,000") && told[0].contains("confirm = true"), "{told:?}");
    assert!(Book::embedded().with_overrides(&dear("confirm = true\n")).is_ok());
    let twice = "[[price]]\nmodel = \"m\"\ninput = \"1\"\nto = \"2026-06-01\"\n\
        [[price]]\nmodel = \"m\"\ninput = \"2\"\nfrom = \"2026-05-01\"\n";
    assert!(refused(twice)[0].contains("overlap"), "{:?}", refused(twice));
    assert!(Book::embedded().with_overrides(&twice.replace("2026-05-01", "2026-06-01")).is_ok());
    assert!(refused("[[price]]\nregex = \"(\"\ninput = \"1\"\n")[0].contains('('));
    assert!(refused("[[price]]\nmodel = \"m\"\n")[0].contains("without a rate"));
    assert!(refused("[[price]]\ninput = \"1\"\n")[0].contains("needs a `model`"));
    assert!(
        refused("[[price]]\nmodel = \"m\"\ninput = \"1\"\nfrom = \"2026-02-01\"\nto = \"2026-01-01\"\n")[0]
            .contains("not after")
    );
    assert!(refused("[[price\n")[0].starts_with("prices:1:"));
}
