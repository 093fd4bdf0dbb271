//! Lookup: rules, dates, windows, tiers, circumstances, fallbacks, aliases.

use crate::{at, given, query};
use std::sync::Arc;
use tollbook_pricing::{Book, NoMatch, Query, lines};
use tollbook_types::{Conditions, Meter, Meters};

const NOW: &str = "2026-11-16T12:00:00Z";

/// The input price of a lookup, in dollars per million.
fn input(provider: &str, model: &str, when: &str, conditions: &[(&str, &str)], total: u64) -> String {
    let conditions = given(conditions);
    let card = Book::embedded().card(&query(provider, model, when, &conditions), total);
    let card = card.unwrap_or_else(|error| panic!("{provider}/{model}: {error}"));
    tollbook_pricing::price_text(card.card.rate(Meter::Input).unwrap().picos)
}

fn no_match(provider: &str, model: &str) -> NoMatch {
    let conditions = given(&[]);
    Book::embedded().find(&query(provider, model, NOW, &conditions)).map(|_| ()).unwrap_err()
}

#[test]
fn the_embedded_book_is_consistent() {
    let problems = Book::embedded().check();
    assert!(problems.is_empty(), "{}", problems.iter().map(|p| format!("{p}\n")).collect::<String>());
}

#[test]
fn every_file_of_the_folder_is_embedded() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../prices");
    let mut ids: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| {
            entry.unwrap().file_name().into_string().unwrap().strip_suffix(".toml").map(str::to_owned)
        })
        .collect();
    ids.sort();
    let mut embedded: Vec<String> = Book::embedded().providers().iter().map(|p| p.id.clone()).collect();
    embedded.sort();
    assert_eq!(ids, embedded);
}

#[test]
fn tiers_start_where_the_provider_says() {
    for (provider, model, total, price) in [
        ("google", "gemini-2.5-pro", 200_000, "1.25"),
        ("google", "gemini-2.5-pro", 200_001, "2.5"),
        ("xai", "grok-4.5", 199_999, "2"),
        ("xai", "grok-4.5", 200_000, "4"),
        ("openai", "gpt-5.6-sol", 272_000, "4"),
        ("openai", "gpt-5.6-sol", 272_001, "8"),
    ] {
        assert_eq!(input(provider, model, NOW, &[], total), price, "{model} at {total}");
    }
}

#[test]
fn dates_windows_and_days_decide_together() {
    // 2026-11-16 was a Monday, 2026-11-15 a Sunday.
    for (when, price) in [
        ("2026-11-16T01:00:00Z", "1.32"),
        ("2026-11-16T03:59:59Z", "1.32"),
        ("2026-11-16T04:00:00Z", "0.66"),
        ("2026-11-15T02:00:00Z", "0.66"),
        ("2026-08-22T02:00:00Z", "1.32"),
        ("2026-08-16T02:00:00Z", "0.435"),
    ] {
        assert_eq!(input("deepseek", "deepseek-v4-pro", when, &[], 0), price, "{when}");
    }
    assert_eq!(input("deepseek", "deepseek-chat", "2025-03-01T16:29:59Z", &[], 0), "0.27");
    assert_eq!(input("deepseek", "deepseek-chat", "2025-03-01T16:30:00Z", &[], 0), "0.135");
}

#[test]
fn circumstances_change_what_they_name() {
    let batch = ("processing", "batch");
    assert_eq!(input("openai", "gpt-5-mini", NOW, &[("service_tier", "flex")], 0), "0.125");
    assert_eq!(input("openai", "gpt-5-mini", NOW, &[("service_tier", "priority")], 0), "0.45");
    assert_eq!(input("openai", "gpt-5-mini", NOW, &[("service_tier", "default")], 0), "0.25");
    assert_eq!(input("openai", "gpt-5-mini", NOW, &[batch], 0), "0.125");
    assert_eq!(input("anthropic", "claude-opus-5", NOW, &[("speed", "fast")], 0), "10");
    assert_eq!(input("anthropic", "claude-opus-5", NOW, &[("inference_geo", "us")], 0), "5.5");
    assert_eq!(input("anthropic", "claude-sonnet-4-5", NOW, &[("inference_geo", "us")], 0), "3");
    assert_eq!(input("google", "gemini-2.5-pro", NOW, &[("traffic_type", "provisioned_throughput")], 0), "0");
}

#[test]
fn names_are_found_in_every_way_of_writing() {
    for (provider, model) in [
        ("openai", "GPT-5-Mini"),
        ("openai", "gpt-5-mini-2025-08-07"),
        ("openai", "gpt-5-mini-20250807"),
        ("azure", "gpt-5-mini-2025-08-07"),
        ("az.ai.openai", "gpt-5-mini"),
        ("openai", "openai/gpt-5-mini"),
    ] {
        assert_eq!(input(provider, model, NOW, &[], 0), "0.25", "{provider} {model}");
    }
    assert_eq!(input("vertex", "publishers/google/models/gemini-2.5-flash", NOW, &[], 0), "0.3");
    assert_eq!(input("google-vertex", "claude-sonnet-4-5@20250929", NOW, &[], 0), "3");
    assert_eq!(input("gcp.gemini", "models/gemini-2.5-flash", NOW, &[], 0), "0.3");
    assert_eq!(input("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, &[], 0), "3.3");
    assert_eq!(input("bedrock", "global.anthropic.claude-sonnet-4-5-20250929-v1:0", NOW, &[], 0), "3");
    assert_eq!(input("ollama", "whatever:7b", NOW, &[], 0), "0");
    assert_eq!(input("mistral", "mistral-large-latest", NOW, &[], 0), "0.5");
    assert_eq!(input("mistral", "mistral-large-latest", "2025-06-01T00:00:00Z", &[], 0), "2");
}

#[test]
fn what_is_not_known_has_no_price() {
    assert_eq!(
        no_match("other:localhost:5002", "gpt-4o"),
        NoMatch::UnknownProvider("other:localhost:5002".into())
    );
    assert_eq!(no_match("openai", "gpt-9"), NoMatch::UnknownModel("openai".into(), "gpt-9".into()));
    assert!(Book::embedded().find(&query("openai", "", NOW, &given(&[]))).is_err());
}

#[test]
fn the_answering_model_counts_before_the_requested_one() {
    let conditions = Conditions::new();
    let at = at(NOW);
    let asked = Some("gpt-5-mini");
    let find = |model| {
        Book::embedded()
            .card(&Query { provider: "openai", model, request_model: asked, at, conditions: &conditions }, 0)
    };
    assert_eq!(find("gpt-4o").unwrap().card.price_id, "openai/gpt-4o@2024-10-01");
    let card = find("deployment-7").unwrap();
    assert_eq!(card.card.price_id, "openai/gpt-5-mini");
    assert!(card.card.rule.ends_with(", of the requested model"), "{}", card.card.rule);
}

#[test]
fn equal_lookups_give_the_same_card() {
    let conditions = given(&[]);
    let book = Book::embedded();
    let first = book.card(&query("openai", "gpt-4o-mini", NOW, &conditions), 10).unwrap();
    let again = book.card(&query("openai", "gpt-4o-mini", "2026-11-17T00:00:00Z", &conditions), 99).unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert_eq!(first.id, first.card.id());
    assert_eq!(first.card.book, book.hash());
}

#[test]
fn an_explanation_names_the_rule_the_losers_and_the_near_misses() {
    let book = Book::embedded();
    let conditions = given(&[]);
    let told = book.explain_match(&query("openai", "gpt-4o-2024-08-06", NOW, &conditions), 0);
    assert_eq!(told.result.unwrap().card.rule, "exact gpt-4o-2024-08-06");
    assert!(told.others.iter().any(|lost| lost.why == "it ended on 2024-10-01"), "{:?}", told.others);
    assert!(told.others.iter().any(|lost| lost.why == "it needs service_tier=priority"), "{:?}", told.others);
    let told = book.explain_match(&query("openai", "gpt-5-minni", NOW, &conditions), 0);
    assert!(told.result.is_err());
    assert_eq!(told.near[0].model, "gpt-5-mini");
}

#[test]
fn perplexity_bills_requests_by_context() {
    let book = Book::embedded();
    let fee = |model: &str, size: &[(&str, &str)]| {
        let conditions = given(size);
        let card = book.card(&query("perplexity", model, NOW, &conditions), 0).unwrap();
        let lines = lines(&Meters::from_pairs([(Meter::Requests, 1)]), &card.card).unwrap();
        lines.iter().map(|line| line.cost.picos()).sum::<i128>()
    };
    assert_eq!(fee("sonar", &[("search_context_size", "low")]), 5_000_000_000);
    assert_eq!(fee("sonar", &[]), 12_000_000_000);
    assert_eq!(fee("sonar-deep-research", &[]), 0);
}

#[test]
fn texts_read_back_as_they_were_written() {
    for provider in Book::embedded().providers() {
        let text = tollbook_pricing::write_provider(provider);
        let again = tollbook_pricing::parse_provider("again", &text).unwrap();
        assert_eq!(tollbook_pricing::write_provider(&again), text, "{}", provider.id);
        assert_eq!(again.models.len(), provider.models.len());
        for (one, other) in again.models.iter().zip(&provider.models) {
            assert_eq!(one.prices, other.prices, "{}/{}", provider.id, one.id);
        }
    }
}

#[test]
fn problems_of_a_text_come_all_at_once_with_their_places() {
    let text = "provider = \"p\"\nsorce = \"s\"\n[[model]]\nid = \"m\"\n[[model.price]]\ninputs = \"1\"\noutput = 2.5\n\
        [[model.price]]\ninput = \"1\"\nfrom = \"2026-13-01\"\n";
    let problems = tollbook_pricing::parse_provider("p.toml", text).unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert!(told.iter().any(|p| p == "p.toml:2:1: unknown key `sorce`, did you mean `source`?"), "{told:#?}");
    assert!(told.iter().any(|p| p == "p.toml:6:1: unknown key `inputs`, did you mean `input`?"), "{told:#?}");
    assert!(
        told.iter().any(|p| p.starts_with("p.toml:7:10: the price `output` must be decimal text")),
        "{told:#?}"
    );
    assert!(told.iter().any(|p| p.starts_with("p.toml:10:8: `from` must be a date")), "{told:#?}");
    assert!(told.iter().any(|p| p.contains("overlap")), "{told:#?}");
    let broken = tollbook_pricing::parse_provider("p.toml", "provider = \"p\"\n[[model\n").unwrap_err();
    assert_eq!((broken[0].line, broken[0].file.as_str()), (2, "p.toml"));
}
