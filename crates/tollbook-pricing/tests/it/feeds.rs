//! Importing the public feeds.

use tollbook_pricing::{Book, parse_bound};
use tollbook_types::{Conditions, Meter, Meters, Money};

use crate::query;

const GENAI: &str = r#"{"package":"genai-prices","version":"9.9","providers":[{"id":"openai","models":[
  {"id":"gpt-4","match":{"equals":"gpt-4"},"prices":{"input_mtok":31,"output_mtok":"60"}},
  {"id":"new-one","match":{"or":[{"starts_with":"new-one"},{"regex":"^n-\\d$"}]},"context_window":1000,
   "prices":[{"prices":{"input_mtok":{"base":1e-07,"tiers":[{"start":200000,"price":"0.2"}]},"output_mtok":"1"}},
             {"constraint":{"start_date":"2027-01-01"},"prices":{"input_mtok":"3","output_mtok":"4"}}],
   "price_variants":[{"when":{"service_tier":"flex"},"prices":{"input_mtok":"0.05"}}]},
  {"id":"odd","match":{"equals":"odd"},"prices":{"moon_dust":"1"}}]}]}"#;

#[test]
fn genai_prices_are_read_compared_and_applied() {
    let book = Book::embedded();
    let import = book.import_genai(GENAI, "2026-11-20").unwrap();
    assert_eq!(import.new, ["openai/new-one"]);
    assert_eq!(import.changed.len(), 1, "{:?}", import.changed);
    assert_eq!(import.skipped, [("openai/odd".to_owned(), "unit moon_dust has no meter".to_owned())]);
    let updated = import.apply(&book).unwrap();
    let conditions = Conditions::new();
    let price = |model: &str, when: &str| {
        let card = updated.card(&query("openai", model, when, &conditions), 0).unwrap();
        (tollbook_pricing::price_text(card.card.rate(Meter::Input).unwrap().picos), card.card.source.clone())
    };
    assert_eq!(price("new-one-2", "2026-11-20T00:00:00Z"), ("0.0000001".into(), "genai-prices 9.9".into()));
    assert_eq!(price("new-one", "2027-01-01T00:00:00Z").0, "3");
    assert_eq!(price("gpt-4", "2026-11-20T00:00:00Z").0, "31");
    assert_eq!(price("gpt-4o", "2024-06-01T00:00:00Z").0, "5");
    assert_ne!(updated.hash(), book.hash());
    let again = updated.import_genai(GENAI, "2026-11-20").unwrap();
    assert_eq!((again.new.len(), again.changed.len(), again.unchanged), (0, 0, 2));
}

const LITELLM: &str = r#"{"sample_spec":{"input_cost_per_token":0.0},
  "gpt-4":{"litellm_provider":"openai","mode":"chat","input_cost_per_token":3.1e-05,"output_cost_per_token":6e-05},
  "gpt-4o-mini":{"litellm_provider":"openai","input_cost_per_token":1.5e-07,"output_cost_per_token":6e-07},
  "groq/brand-new":{"litellm_provider":"groq","input_cost_per_token":1e-07,"output_cost_per_token":2e-07,
     "input_cost_per_token_above_200k_tokens":4e-07},
  "dall-e-2":{"litellm_provider":"openai","mode":"image_generation","input_cost_per_pixel":1.9e-08}}"#;

#[test]
fn litellms_map_changes_prices_from_a_day_on() {
    let book = Book::embedded();
    let import = book.import_litellm(LITELLM, &parse_bound("2026-11-20").unwrap()).unwrap();
    assert_eq!(import.new, ["groq/brand-new"]);
    assert_eq!(import.changed.len(), 1, "{:?}", import.changed);
    assert_eq!(import.unchanged, 1);
    assert_eq!(import.skipped.len(), 1);
    let updated = import.apply(&book).unwrap();
    let conditions = Conditions::new();
    let cost = |provider: &str, model: &str, when: &str, input: u64| {
        let card = updated.card(&query(provider, model, when, &conditions), input).unwrap();
        let lines =
            tollbook_pricing::lines(&Meters::from_pairs([(Meter::Input, input)]), &card.card).unwrap();
        Money::checked_sum(lines.iter().map(|line| line.cost)).unwrap().to_string()
    };
    assert_eq!(cost("openai", "gpt-4", "2026-11-19T23:59:59Z", 1_000_000), "30");
    assert_eq!(cost("openai", "gpt-4", "2026-11-20T00:00:00Z", 1_000_000), "31");
    assert_eq!(cost("groq", "brand-new", "2026-11-20T00:00:00Z", 200_000), "0.02");
    assert_eq!(cost("groq", "brand-new", "2026-11-20T00:00:00Z", 200_001), "0.0800004");
    assert!(updated.check().is_empty(), "{:?}", updated.check());
    let again = updated.import_litellm(LITELLM, &parse_bound("2026-11-21").unwrap()).unwrap();
    assert_eq!((again.new.len(), again.changed.len(), again.unchanged), (0, 0, 3));
}

/// The feeds as published, where they are at hand.
#[test]
fn the_published_feeds_are_read() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/prices");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).ok();
    let (Some(genai), Some(map)) = (read("genai_prices.json"), read("litellm_model_map.json")) else {
        eprintln!("skipped: no price feeds in {folder}");
        return;
    };
    let book = Book::embedded();
    for import in [
        book.import_genai(&genai, "2026-11-15").unwrap(),
        book.import_litellm(&map, &parse_bound("2026-11-15").unwrap()).unwrap(),
    ] {
        println!(
            "{} new, {} changed, {} unchanged, {} skipped",
            import.new.len(),
            import.changed.len(),
            import.unchanged,
            import.skipped.len()
        );
        for change in import.changed.iter().take(10) {
            println!("  {}: {}", change.model, change.what);
        }
        assert!(import.unchanged > 100);
        let problems = |found: Vec<tollbook_pricing::Problem>| {
            found.iter().map(|p| format!("{p}\n")).collect::<String>()
        };
        let updated = import.apply(&book).map_err(problems).unwrap();
        assert!(updated.check().len() < 20, "{:?}", updated.check());
    }
}
