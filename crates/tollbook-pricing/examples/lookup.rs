//! How long a lookup takes: `cargo run --release -p tollbook-pricing --example lookup`.

use std::hint::black_box;
use std::io::Write;
use std::time::Instant;
use tollbook_pricing::{Book, Query};
use tollbook_types::{Conditions, Timestamp};

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let start = Instant::now();
    let book = Book::embedded();
    writeln!(out, "reading the book: {} us", start.elapsed().as_micros())?;
    let models: usize = book.providers().iter().map(|provider| provider.models.len()).sum();
    let prices: usize = book.providers().iter().flat_map(|p| &p.models).map(|model| model.prices.len()).sum();
    writeln!(out, "{} providers, {models} models, {prices} prices", book.providers().len())?;
    let flex = Conditions::from([("service_tier".to_owned(), "flex".to_owned())]);
    let none = Conditions::new();
    let at = Timestamp::from_second(1_794_744_000).unwrap_or(Timestamp::UNIX_EPOCH);
    for (provider, model, conditions) in [
        ("openai", "gpt-5-mini-2025-08-07", &none),
        ("openai", "gpt-5.6-sol", &flex),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", &none),
        ("deepseek", "deepseek-v4-pro", &none),
        ("openai", "no-such-model", &none),
    ] {
        let query = Query { provider, model, request_model: None, at, conditions };
        let start = Instant::now();
        let _ = black_box(book.card(&query, 1_000));
        let cold = start.elapsed().as_nanos();
        let rounds = 200_000;
        let start = Instant::now();
        for _ in 0..rounds {
            let _ = black_box(book.find(black_box(&query)));
        }
        let find = start.elapsed().as_nanos() / rounds;
        let start = Instant::now();
        for _ in 0..rounds {
            let _ = black_box(book.card(black_box(&query), 1_000));
        }
        let card = start.elapsed().as_nanos() / rounds;
        writeln!(out, "{provider}/{model}: first {cold} ns, then find {find} ns, card {card} ns")?;
    }
    Ok(())
}
