//! The price book over HTTP.

use crate::matrix::Row;
use crate::rig::Rig;
use http::Method;
use serde_json::json;
use tollbook_pricing::Book;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/prices", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/prices/match", [401, 400, 400, 403, 403, 400]),
    ("POST", "/api/v1/prices", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/prices/own", [401, 200, 403, 403, 403, 200]),
    ("DELETE", "/api/v1/prices/own/{id}", [401, 404, 403, 403, 403, 403]),
];

fn with_all_prices() -> Rig {
    let rig = Rig::new();
    assert!(rig.ledger.set_book(Book::embedded()).is_empty());
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

/// Sets a price, and gives its id.
fn set(rig: &Rig, body: &str) -> String {
    let answer = rig.call(Method::POST, "/api/v1/prices", &rig.keys.admin, body.to_owned());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_price_that_is_set_is_in_force_at_once_and_changes_nothing_of_before() {
    let rig = with_all_prices();
    let call = |id: &str, model: &str| {
        let event = json!({"id": id, "provider": "acme", "model": model,
            "usage": {"input_tokens": 1_000_000, "output_tokens": 500_000}});
        let answer = rig.call(Method::POST, "/api/v1/events", &rig.keys.admin, event.to_string()).json();
        answer["results"][0]["cost_usd"].clone()
    };
    assert_eq!(call("before", "house"), json!(null));
    let price = set(&rig, r#"{"provider":"acme","model":"house","input":"0.30","output":"1.20"}"#);
    let alias =
        set(&rig, r#"{"alias":{"provider":"acme","name":"nick","model":"house","model_provider":"acme"}}"#);
    assert_eq!(call("after", "house"), json!("0.9"));
    assert_eq!(call("by its other name", "nick"), json!("0.9"));
    let discount = set(&rig, r#"{"discount":{"provider":"acme","model":"*","percent":"10"}}"#);
    assert_eq!(call("less", "house"), json!("0.81"));
    let known = rig.get("/api/v1/prices/own", &rig.keys.viewer).json();
    let ids: Vec<&str> =
        known["data"].as_array().unwrap().iter().map(|own| own["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [price.as_str(), alias.as_str(), discount.as_str()]);
    let why = rig.get("/api/v1/calls/after/explain", &rig.keys.admin).json();
    assert_eq!((&why["cost_usd"], &why["recomputed"]), (&json!("0.9"), &json!("equal")));
    assert_eq!(rig.get("/api/v1/calls/before", &rig.keys.admin).json()["cost_usd"], json!(null));
    let matched = rig.get("/api/v1/prices/match?provider=acme&model=house", &rig.keys.viewer).json();
    assert_eq!(matched["matched"], true);
    // Another book below them, as after an import, leaves them in force.
    assert!(rig.ledger.set_book(Book::embedded()).is_empty());
    assert_eq!(call("still", "house"), json!("0.81"));
    let gone = rig.call(Method::DELETE, &format!("/api/v1/prices/own/{discount}"), &rig.keys.admin, "");
    assert_eq!(gone.status, 204);
    assert_eq!(call("without", "house"), json!("0.9"));
    // A ledger of the same books has them, too.
    let own = tollbook_ledger::own_prices(rig.ledger.store().as_ref()).unwrap();
    assert_eq!(own, rig.ledger.own_prices());
    assert_eq!(own.len(), 2);
}

#[test]
fn a_price_that_makes_no_sense_is_refused_with_all_that_is_wrong() {
    let rig = with_all_prices();
    set(&rig, r#"{"provider":"acme","model":"house","input":"0.30"}"#);
    let cases = [
        ("{}", "422", "a price needs a `model`"),
        (r#"{"model":"m","input":0.3}"#, "422", "in quotes"),
        (r#"{"model":"m","inptu":"1","input":"1"}"#, "422", "`input`"),
        (r#"{"provider":"acme","model":"house","input":"0.40"}"#, "422", "overlap"),
        (r#"{"price":{"model":"m","input":"1"},"alias":{"name":"a","model":"m"}}"#, "422", "by itself"),
        (r#"{"discount":{"model":"*"}}"#, "422", "percent"),
        (r#"{"model":"m","input":"1","from":"soon"}"#, "422", "from"),
        ("[]", "422", ""),
        ("{", "400", ""),
    ];
    for (body, status, part) in cases {
        let answer = rig.call(Method::POST, "/api/v1/prices", &rig.keys.admin, body);
        assert!(
            answer.verdict().starts_with(status) || status == "422" && answer.status == 400,
            "{body}: {}",
            answer.text()
        );
        assert!(answer.text().contains(part), "{body}: {}", answer.text());
    }
    assert_eq!(rig.ledger.own_prices().len(), 1);
}
