//! Figures that other systems computed and that must come out by date.

use crate::{given, query};
use tollbook_pricing::{Book, lines};
use tollbook_types::{Meter, Meters, Money};

/// What some tokens cost.
fn cost(provider: &str, model: &str, when: &str, input: u64, output: u64) -> String {
    let conditions = given(&[]);
    let query = query(provider, model, when, &conditions);
    let card = Book::embedded().card(&query, input).unwrap_or_else(|error| panic!("{error}"));
    let meters = Meters::from_pairs([(Meter::Input, input), (Meter::Output, output)]);
    let lines = lines(&meters, &card.card).unwrap();
    Money::checked_sum(lines.iter().map(|line| line.cost)).unwrap().to_string()
}

#[test]
fn the_book_is_whole() {
    let book = Book::embedded();
    let models: usize = book.providers().iter().map(|provider| provider.models.len()).sum();
    assert!(models > 1_600, "{models} models");
}

#[test]
fn known_figures_come_out() {
    let now = "2026-11-15T12:00:00Z";
    assert_eq!(cost("openai", "gpt-5-mini", now, 4_153, 632), "0.00230225");
    assert_eq!(cost("openai", "gpt-4o-mini", now, 1_250, 150), "0.0002775");
    assert_eq!(cost("cerebras", "llama3.1-70b", "2024-12-01T00:00:00Z", 1_500, 3_500), "0.003");
    assert_eq!(cost("openai", "gpt-4o", "2024-06-15T00:00:00Z", 500, 300), "0.007");
    assert_eq!(cost("openai", "gpt-4o", "2024-09-30T23:59:59Z", 1_000_000, 1_000_000), "20");
    assert_eq!(cost("openai", "gpt-4o", "2024-10-01T00:00:00Z", 1_000_000, 1_000_000), "12.5");
    assert_eq!(cost("openai", "gpt-4", now, 1_000_000, 1_000_000), "90");
    assert_eq!(cost("openai", "text-embedding-3-small", now, 1_000_000, 0), "0.02");
    assert_eq!(cost("openai", "text-embedding-3-large", now, 1_000_000, 0), "0.13");
    assert_eq!(cost("openai", "text-embedding-ada-002", now, 1_000_000, 0), "0.1");
    assert_eq!(cost("ollama", "llama3.2:1b", now, 1_000_000, 1_000_000), "0");
}
