//! Channels and alerts over HTTP, and on their way to real listeners.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, event, request};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tollbook_api::question::NamedZone;
use tollbook_api::{Courier, Options, demo};
use tollbook_budget::rules::RuleForm;
use tollbook_ledger::{By, ErasureOrder};
use tollbook_testkit::MailServer;
use tollbook_testkit::upstream::{Script, Upstream};
use tollbook_types::Timestamp;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/channels", [401, 200, 403, 403, 403, 200]),
    ("POST", "/api/v1/channels", [401, 422, 403, 403, 403, 403]),
    ("DELETE", "/api/v1/channels/{name}", [401, 404, 403, 403, 403, 403]),
    ("POST", "/api/v1/channels/{name}/test", [401, 404, 403, 403, 403, 403]),
    ("GET", "/api/v1/alerts", [401, 200, 403, 403, 403, 200]),
    ("GET", "/api/v1/alerts/{id}", [401, 404, 403, 403, 403, 404]),
    ("POST", "/api/v1/alerts/{id}/ack", [401, 404, 403, 403, 403, 403]),
];

const CHANNELS: &str = "/api/v1/channels";
const ALERTS: &str = "/api/v1/alerts";

fn create(rig: &Rig, body: &Value) -> Answer {
    rig.call(Method::POST, CHANNELS, &rig.keys.admin, body.to_string())
}

fn hook(name: &str, url: &str) -> Value {
    json!({"name": name, "kind": "webhook", "url": url, "allow_private": true})
}

fn budget(rig: &Rig, notify: &[&str]) -> Answer {
    let body = json!({"name": "all", "limit_usd": "0.002", "window": "total", "warn_at": [50, 100],
                      "at_limit": "warn", "notify": notify});
    rig.call(Method::POST, "/api/v1/budgets", &rig.keys.admin, body.to_string())
}

/// Runs a courier until something holds, which it has to.
fn deliver(courier: Courier, until: impl Fn() -> bool) {
    run(courier, &until);
    assert!(until(), "it did not come");
}

/// Runs a courier until something holds, for ten seconds at most, and a little longer.
pub fn run(courier: Courier, until: impl Fn() -> bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    runtime.block_on(async {
        let running = tokio::spawn(courier.run());
        while !until() && began.elapsed() < Duration::from_secs(10) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // Were there more than one, it would come now.
        tokio::time::sleep(Duration::from_millis(700)).await;
        running.abort();
    });
}

#[test]
fn a_channel_is_made_shown_without_its_secrets_tested_and_taken_away() {
    let rig = Rig::new();
    let upstream = Upstream::start().unwrap();
    let url = format!("{}/hidden-token", upstream.url());
    let made = create(&rig, &hook("ops", &url));
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"));
    let list = rig.get(CHANNELS, &rig.keys.viewer);
    let channel = &list.json()["data"][0];
    assert_eq!((&channel["name"], &channel["target"]), (&json!("ops"), &json!("127.0.0.1")));
    assert!(!list.text().contains("hidden-token") && !list.text().contains(&secret), "{}", list.text());
    assert_eq!(create(&rig, &hook("ops", &url)).verdict(), "409 channel_exists");
    let given =
        json!({"name": "x y", "kind": "webhook", "url": "http://hunter2.example/", "secret": "hunter2"});
    let refused = create(&rig, &given);
    let pointers: Vec<Value> =
        refused.json()["errors"].as_array().unwrap().iter().map(|fault| fault["pointer"].clone()).collect();
    assert_eq!((refused.status.as_u16(), pointers.len()), (422, 3), "{}", refused.text());
    assert!(!refused.text().contains("hunter2"));
    assert_eq!(
        create(&rig, &json!({"name": "a", "kind": "log", "urll": "x"})).verdict(),
        "422 unknown_member"
    );

    let test = || rig.call(Method::POST, &format!("{CHANNELS}/ops/test"), &rig.keys.admin, "");
    assert_eq!(test().json(), json!({"delivered": false, "error": "the host answered 404"}));
    upstream.at_path("/hidden-token", Script::body("text/plain", "ok"));
    assert_eq!(test().json(), json!({"delivered": true, "error": null}));
    let headers = [("content-type", "application/json"), ("idempotency-key", "one")];
    let body = json!({"name": "log", "kind": "log"}).to_string();
    for replayed in [None, Some("true")] {
        let made = rig.send(request(Method::POST, CHANNELS, &rig.keys.admin, &headers, body.clone()));
        let header = made.headers.get("idempotent-replayed").map(|value| value.to_str().unwrap());
        assert_eq!((made.status.as_u16(), header), (201, replayed));
    }
    assert_eq!(rig.call(Method::DELETE, &format!("{CHANNELS}/ops"), &rig.keys.admin, "").status, 204);
    assert_eq!(test().status, 404);
}

#[test]
fn a_budget_tells_every_channel_once_by_webhook_slack_and_mail() {
    let rig = Rig::new();
    let (upstream, mail) = (Upstream::start().unwrap(), MailServer::start().unwrap());
    for path in ["/hook", "/slack"] {
        upstream.at_path(path, Script::body("text/plain", "ok"));
    }
    create(&rig, &hook("ops", &format!("{}/hook", upstream.url())));
    let slack = format!("{}/slack", upstream.url());
    create(&rig, &json!({"name": "chat", "kind": "slack", "url": slack, "allow_private": true}));
    let port = mail.address.port();
    let made = create(
        &rig,
        &json!({"name": "mail", "kind": "email", "to": ["ann@b.example"], "from": "t@b.example",
                "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_tls": "none", "allow_private": true}),
    );
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(budget(&rig, &["ops", "chat", "mail"]).status, 201);
    // The first attempts fail: a server that is down for a moment loses nothing.
    upstream.queue(Script::body("text/plain", "no").status(503));
    rig.ingest(event("e1", ""));
    deliver(rig.courier(), || {
        rig.clock.advance_ms(100);
        upstream.count() >= 3 && !mail.letters().is_empty()
    });
    let served = upstream.served();
    let ids: Vec<&str> = served.iter().filter_map(|served| served.header("webhook-id")).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same id in every attempt: {ids:?}");
    let taken = |path: &str| served.iter().filter(|s| s.path() == path && s.status == Some(200)).count();
    assert_eq!((taken("/hook"), taken("/slack"), mail.letters().len()), (1, 1, 1));
    let hook = served.iter().find(|s| s.path() == "/hook" && s.status == Some(200)).unwrap();
    let body: Value = serde_json::from_slice(&hook.body).unwrap();
    assert_eq!((&body["type"], &body["data"]["value"]), (&json!("alert.firing"), &json!("0.0012")));
    let wanted = "Budget all: 0.0012 of 0.002 USD used, 50 % reached";
    assert!(
        mail.letters()[0].text.contains(wanted) || mail.letters()[0].text.contains("=20"),
        "{:?}",
        mail.letters()
    );

    let alerts = rig.get(ALERTS, &rig.keys.viewer).json();
    let alert = &alerts["data"][0];
    assert_eq!((&alert["state"], &alert["summary"]), (&json!("firing"), &json!(wanted)));
    let states: Vec<&Value> =
        alert["deliveries"].as_array().unwrap().iter().map(|delivery| &delivery["state"]).collect();
    assert_eq!(states, ["delivered"; 3]);
    let metrics = rig.get("/metrics", &rig.keys.viewer).text();
    assert!(metrics.contains("tollbook_alerts_firing 1\n"), "{metrics}");
}

#[test]
fn alerts_are_listed_page_by_page_and_acknowledged() {
    let rig = Rig::new();
    create(&rig, &json!({"name": "ops", "kind": "log"}));
    budget(&rig, &["ops"]);
    rig.ingest(event("e1", ""));
    rig.ingest(event("e2", ""));
    deliver(rig.courier(), || rig.ledger.alerts().len() == 2);
    let all = rig.get(ALERTS, &rig.keys.viewer).json();
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = rig.get(&format!("{ALERTS}?limit=1{cursor}"), &rig.keys.viewer).json();
        found.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(Value::from(found), all["data"]);
    let rule = all["data"][0]["rule"].as_str().unwrap();
    for (query, verdict, count) in [
        ("?state=firing".to_owned(), "200 ", 2),
        ("?state=resolved".to_owned(), "200 ", 0),
        (format!("?rule={rule}"), "200 ", 2),
        ("?rule=budget:none".to_owned(), "200 ", 0),
        ("?state=on".to_owned(), "400 parameter_invalid", 0),
        ("?limit=0".to_owned(), "400 parameter_invalid", 0),
        ("?what=1".to_owned(), "400 parameter_invalid", 0),
        ("?cursor=alr_no".to_owned(), "400 cursor_invalid", 0),
    ] {
        let answer = rig.get(&format!("{ALERTS}{query}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), verdict, "{query}");
        assert_eq!(answer.json()["data"].as_array().map_or(0, Vec::len), count, "{query}");
    }
    let id = all["data"][0]["id"].as_str().unwrap();
    assert_eq!(rig.get(&format!("{ALERTS}/{id}"), &rig.keys.viewer).json(), all["data"][0]);
    let seen = rig.call(Method::POST, &format!("{ALERTS}/{id}/ack"), &rig.keys.admin, "");
    assert!(seen.status == 200 && seen.json()["acknowledged_at"].is_string(), "{}", seen.text());
}

/// A rig whose present is the end of the demo's spike, with so many days of its calls before, in a model
/// that has a price or none; as real calls, or as the demo's own.
fn spike(days: u64, model: &str, is_demo: bool) -> Rig {
    let rule =
        RuleForm { kind: "unusual_usage".to_owned(), by: vec!["user".to_owned()], ..RuleForm::default() };
    let zone = NamedZone::find("Europe/Berlin").unwrap();
    let rig = Rig::with(Options { alerts: vec![rule], zone: zone.clone(), ..Options::default() });
    let made = rig.now() + Duration::from_secs(11 * 24 * 3_600);
    let (from, to) = demo::spike(made, &zone.zone).unwrap();
    if is_demo {
        rig.clock.set(made);
        assert_eq!(rig.call(Method::PUT, "/api/v1/demo", &rig.keys.admin, "").status, 200);
    } else {
        let mut events = demo::calls("a", made, &zone.zone);
        let first = from - Duration::from_secs(days * 24 * 3_600);
        events.retain(|event| (first..to).contains(&event.occurred_at));
        for event in &mut events {
            (event.provider, event.model) = ("openai".to_owned(), model.to_owned());
            event.source = "web".to_owned();
        }
        for events in events.chunks(1_000) {
            rig.ledger.submit(events.to_vec()).unwrap();
        }
    }
    rig.clock.set(to + Duration::from_secs(60));
    rig
}

fn unusual(rig: &Rig) -> Vec<String> {
    let alerts = rig.ledger.alerts();
    let told = alerts.iter().filter(|alert| alert.key.rule == "unusual_usage");
    let mut told: Vec<String> =
        told.map(|alert| format!("{} {}", alert.key.value.as_ref().unwrap(), alert.unit)).collect();
    told.sort();
    told
}

#[test]
fn the_spike_of_the_demo_is_unusual_told_once_and_names_no_erased_person() {
    for (days, model, is_demo, wanted) in [
        (28, "gpt-x", false, vec!["all usd", "user=maria usd"]),
        (28, "has-no-price", false, vec!["all tokens", "user=maria tokens"]),
        (15, "gpt-x", false, vec!["all usd", "user=maria usd"]),
        (13, "gpt-x", false, vec![]),
        (28, "gpt-x", true, vec![]),
    ] {
        let rig = spike(days, model, is_demo);
        let courier = rig.courier();
        let until: Timestamp = rig.now() + Duration::from_secs(600);
        let deadline = Instant::now() + Duration::from_secs(60);
        deliver(courier, || {
            // Minutes go by, of the hour that is over and of the next; who looks may be slower than they.
            if rig.now() <= until {
                rig.clock.advance_ms(20_000);
            }
            rig.now() > until && (unusual(&rig).len() >= wanted.len() || Instant::now() > deadline)
        });
        assert_eq!(unusual(&rig), wanted, "{days} days of {model}, demo: {is_demo}");
        if is_demo {
            // Its models have no price here, and some of its calls fail; the clock was moved.
            assert!(rig.ledger.alerts().iter().all(|alert| alert.key.rule == "ledger_fault"));
        }
        if days == 28 && model == "gpt-x" && !is_demo {
            let alerts = rig.ledger.alerts();
            let all = alerts.iter().find(|alert| alert.key.value.as_deref() == Some("all")).unwrap();
            assert!(
                all.summary.starts_with("All calls: 10.")
                    && all.summary.contains(" USD within the hour, where about 0"),
                "{}",
                all.summary
            );
            let order = ErasureOrder { user: "maria".into(), project: None, reason: "asked to".into() };
            rig.ledger.erase(&By::local(), &order).unwrap();
            assert!(rig.ledger.alerts().iter().all(|alert| !format!("{alert:?}").contains("maria")));
        }
    }
}
