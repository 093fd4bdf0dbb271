//! Summaries on their way to real listeners: at their hour, once, and the last one only after a stop.

use crate::alerts::run;
use crate::rig::{Rig, event};
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_api::question::NamedZone;
use tollbook_api::{Api, Courier, Options, SummaryForm};
use tollbook_ledger::alerts::Alert;
use tollbook_testkit::MailServer;
use tollbook_testkit::upstream::{Script, Upstream};

const ALERTS: &str = "/api/v1/alerts?rule=summary";

fn options(every: &[&str], channels: &[&str]) -> Options {
    let form = |every: &&str| SummaryForm {
        every: (*every).to_owned(),
        hour: Some(9),
        by: Some(vec!["user".to_owned(), "tag.team".to_owned()]),
        notify: channels.iter().map(|name| (*name).to_owned()).collect(),
    };
    let zone = NamedZone::find("Europe/Berlin").unwrap();
    Options { zone, summaries: every.iter().map(form).collect(), ..Options::default() }
}

/// A call of $0.0012 at an instant, which the ledger hears of later.
fn call(rig: &Rig, id: &str, at: &str, user: &str) {
    let text = event(id, &format!(r#","user":"{user}","tags":{{"team":"ops"}}"#));
    let answer = rig.ingest(text.replace("2026-11-22T10:30:00Z", at));
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// One of a server that starts now over the same books.
fn anew(rig: &Rig, options: Options) -> Courier {
    Api::new(rig.ledger.clone(), rig.clock.clone(), options).unwrap().courier()
}

fn at(rig: &Rig, instant: &str) {
    rig.clock.set(instant.parse().unwrap());
}

/// What was told, in order of its text.
fn told(rig: &Rig) -> Vec<String> {
    let summary = |alert: &Arc<Alert>| alert.report.as_ref().map(|_| alert.summary.clone());
    let mut told: Vec<String> = rig.ledger.alerts().iter().filter_map(summary).collect();
    told.sort();
    told
}

#[test]
fn a_day_comes_by_webhook_slack_and_mail_when_its_hour_has_come() {
    let rig = Rig::with(options(&["day"], &["ops", "chat", "mail"]));
    let (upstream, mail) = (Upstream::start().unwrap(), MailServer::start().unwrap());
    for path in ["/hook", "/slack"] {
        upstream.at_path(path, Script::body("text/plain", "ok"));
    }
    let url = |path: &str| format!("{}{path}", upstream.url());
    for channel in [
        json!({"name": "ops", "kind": "webhook", "url": url("/hook"), "allow_private": true}),
        json!({"name": "chat", "kind": "slack", "url": url("/slack"), "allow_private": true}),
        json!({"name": "mail", "kind": "email", "to": ["ann@b.example"], "from": "t@b.example",
               "smtp_host": "127.0.0.1", "smtp_port": mail.address.port(), "smtp_tls": "none",
               "allow_private": true}),
    ] {
        let made = rig.call(http::Method::POST, "/api/v1/channels", &rig.keys.admin, channel.to_string());
        assert_eq!(made.status, 201, "{}", made.text());
    }
    // In Berlin the 22nd begins at 23:00 of the 21st.
    call(&rig, "a1", "2026-11-20T23:00:00Z", "ann");
    call(&rig, "b1", "2026-11-21T23:00:00Z", "ann");
    for n in 0..7 {
        call(&rig, &format!("c{n}"), "2026-11-22T10:30:00Z", &format!("user {n} <!channel>"));
    }
    at(&rig, "2026-11-23T07:59:59Z");
    call(&rig, "d1", "2026-11-22T23:00:00Z", "ann");
    let have = || {
        let hooks = upstream.served().iter().filter(|served| served.status == Some(200)).count();
        (hooks, mail.letters().len())
    };
    run(rig.courier(), || have() == (2, 1));
    assert_eq!(have(), (2, 1));
    assert_eq!(told(&rig), ["2026-11-21: 0.0012 USD, 1 calls"]);
    at(&rig, "2026-11-23T08:00:00Z");
    let day = "2026-11-22: 0.0096 USD (+700.0 %), 8 calls";
    run(anew(&rig, options(&["day"], &["ops", "chat", "mail"])), || have() == (4, 2));
    assert_eq!(told(&rig), ["2026-11-21: 0.0012 USD, 1 calls", day]);

    let served = upstream.served();
    let last = |path: &str| {
        let body = &served.iter().rfind(|served| served.path() == path).unwrap().body;
        serde_json::from_slice::<Value>(body).unwrap()
    };
    let (hook, slack) = (last("/hook"), last("/slack"));
    let data = &hook["data"];
    assert_eq!((&hook["type"], &data["every"]), (&json!("summary.day"), &json!("day")));
    assert_eq!(
        (&data["from"], &data["to"], &data["tz"]),
        (&json!("2026-11-21T23:00:00Z"), &json!("2026-11-22T23:00:00Z"), &json!("Europe/Berlin"))
    );
    let used = json!({"calls": 8, "errors": 0, "unpriced_calls": 0, "total_tokens": 8_800,
                      "cost_usd": "0.0096", "users": 8});
    assert_eq!((&data["used"], &data["before"]["users"]), (&used, &json!(1)));
    assert_eq!(data["top"][0]["rows"].as_array().unwrap().len(), 5);
    assert_eq!(
        (&data["top"][0]["others"], &data["top"][0]["others_cost_usd"]),
        (&json!(3), &json!("0.0036"))
    );
    let team = json!([{"value": "ops", "calls": 8, "unpriced_calls": 0, "total_tokens": 8_800, "cost_usd": "0.0096"}]);
    assert_eq!((&data["top"][1]["by"], &data["top"][1]["rows"]), (&json!("tag.team"), &team));
    assert_eq!(slack["text"], day);
    let text = slack["blocks"][0]["text"]["text"].as_str().unwrap();
    assert!(text.contains("Users: 8 (the day before: 1, +700.0 %)"), "{text}");
    assert!(text.contains("user 0 &lt;!channel&gt;"), "nobody is mentioned: {text}");
    assert!(mail.letters()[1].text.contains("2026-11-22"), "{:?}", mail.letters());

    let shown = &rig.get(ALERTS, &rig.keys.viewer).json()["data"][0];
    assert_eq!((&shown["state"], &shown["severity"]), (&json!("resolved"), &json!("info")));
    assert_eq!(shown["report"]["used"], used);
    let firing = rig.get(&format!("{ALERTS}&state=firing"), &rig.keys.viewer).json();
    assert_eq!(firing["data"], json!([]));
}

#[test]
fn each_period_is_told_once_and_after_a_stop_the_last_one_only() {
    let all = || options(&["day", "week", "month"], &["ops"]);
    let rig = Rig::with(all());
    for (id, instant) in [
        ("a", "2026-10-20T12:00:00Z"),
        ("b", "2026-11-16T12:00:00Z"),
        ("c", "2026-11-18T12:00:00Z"),
        ("d", "2026-11-20T12:00:00Z"),
        ("e", "2026-11-21T12:00:00Z"),
    ] {
        call(&rig, id, instant, "ann");
    }
    let (one, four) = ("0.0012 USD", "0.0048 USD");
    // It is Sunday: the last day is the 21st, the last week that of the 9th, which has no call.
    let mut so_far = vec![format!("2026-10: {one}, 1 calls"), format!("2026-11-21: {one} (+0.0 %), 1 calls")];
    run(rig.courier(), || told(&rig) == so_far);
    assert_eq!(told(&rig), so_far);
    for (now, new) in [
        // The same day, by a server that starts anew.
        ("2026-11-22T22:59:00Z", vec![]),
        // Nothing on Sunday is news after a Saturday with calls; then the week.
        (
            "2026-11-23T08:00:00Z",
            vec![
                "2026-11-22: 0 USD (-100.0 %), 0 calls".to_owned(),
                format!("Week from 2026-11-16: {four}, 4 calls"),
            ],
        ),
        // It stood still for days: nothing of the 22nd to the 25th, as nothing was used.
        ("2026-11-26T12:00:00Z", vec![]),
        ("2026-12-01T07:59:00Z", vec!["Week from 2026-11-23: 0 USD (-100.0 %), 0 calls".to_owned()]),
        ("2026-12-01T08:00:00Z", vec![format!("2026-11: {four} (+300.0 %), 4 calls")]),
    ] {
        at(&rig, now);
        so_far.extend(new);
        so_far.sort();
        for _ in 0..2 {
            run(anew(&rig, all()), || told(&rig) == so_far);
            assert_eq!(told(&rig), so_far, "{now}");
        }
    }
}
