//! The price book over HTTP.

use crate::matrix::Row;
use crate::rig::Rig;
use serde_json::json;
use tollbook_pricing::Book;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/prices", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/prices/match", [401, 400, 400, 403, 403, 400]),
];

fn with_all_prices() -> Rig {
    let rig = Rig::new();
    rig.ledger.set_book(Book::embedded());
    rig
}

#[test]
fn pages_of_prices_are_all_prices() {
    let rig = with_all_prices();
    let get = |path: &str| rig.get(path, &rig.keys.viewer).json();
    let whole = get("/api/v1/prices?provider=openai&limit=1000");
    assert_eq!(whole["has_more"], false);
    let whole = whole["data"].as_array().unwrap();
    assert!(whole.len() > 20, "{}", whole.len());
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = get(&format!("/api/v1/prices?provider=openai&limit=7{cursor}"));
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, whole);
    let named = get("/api/v1/prices?model=GPT-4O-mini&provider=openai");
    let named = named["data"].as_array().unwrap();
    assert!(
        !named.is_empty() && named.iter().all(|row| row["model"].as_str().unwrap().contains("gpt-4o-mini"))
    );
    for (path, verdict) in [
        ("/api/v1/prices?cursor=openai/none", "400 cursor_invalid"),
        ("/api/v1/prices?limit=0", "400 parameter_invalid"),
        ("/api/v1/prices?at=yesterday", "400 parameter_invalid"),
        ("/api/v1/prices?colour=red", "400 parameter_invalid"),
        ("/api/v1/prices/match?provider=openai", "400 parameter_invalid"),
    ] {
        assert_eq!(rig.get(path, &rig.keys.viewer).verdict(), verdict, "{path}");
    }
}

#[test]
fn a_name_is_understood_as_of_a_day() {
    let rig = with_all_prices();
    let input = |path: &str| {
        let found = rig.get(path, &rig.keys.viewer).json();
        let rates = found["price"]["rates"].as_array().cloned().unwrap_or_default();
        let input = rates.iter().find(|rate| rate["meter"] == "input").cloned().unwrap_or_default();
        (found["matched"].clone(), input["picos"].clone(), found["near"][0]["model"].clone())
    };
    let at = "/api/v1/prices/match?provider=openai&model=gpt-4o&at=";
    assert_eq!(input(&format!("{at}2024-06-01T00:00:00Z")).1, json!(5_000_000_000_000_u64));
    assert_eq!(input(&format!("{at}2026-06-01T00:00:00Z")).1, json!(2_500_000_000_000_u64));
    let (matched, picos, near) = input("/api/v1/prices/match?provider=openai&model=gpt-4p");
    assert_eq!((matched, picos), (json!(false), json!(null)));
    assert!(near.as_str().is_some_and(|name| name.starts_with("gpt-4")), "{near}");
}
