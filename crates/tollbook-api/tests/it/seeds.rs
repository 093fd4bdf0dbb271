//! Endpoints in the shapes of other systems: the same sums as everywhere, to the digit.

use crate::matrix::Row;
use crate::rig::{Rig, event, request};
use http::Method;
use serde_json::{Value, json};
use std::str::FromStr;
use tollbook_api::Options;
use tollbook_api::question::NamedZone;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/monitoring/chat", [401, 200, 200, 403, 403, 200]),
    ("POST", "/api/monitoring/chat", [401, 422, 422, 403, 403, 422]),
    ("GET", "/api/v1/search/token-usage", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/search/token-usage/recent", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/search/token-usage/all", [401, 200, 403, 403, 403, 403]),
    ("GET", "/api/esa-agents/token-usage", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/tokens/stats", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/tokens/history", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/tokens/usage-by-period", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/metrics/summary", [401, 200, 200, 403, 403, 200]),
    ("GET", "/reports/cost-analysis", [401, 200, 200, 403, 403, 200]),
];

/// Ann's call of a minute ago, Bob's of three days ago; each costs $0.0012. It is 10:31 on the 22nd.
fn rig() -> Rig {
    let rig = Rig::new();
    let ann = r#","user":"ann","customer":"example.com","agent":"a1","operation":"rag","session":"s1","latency_ms":2340"#;
    let bob = r#","user":"bob","agent":"a2","operation":"chat","session":"s2""#;
    let older = event("e2", bob).replace("2026-11-22T10:30:00Z", "2026-11-19T08:00:00Z");
    assert_eq!(rig.ingest(format!("[{},{older}]", event("e1", ann))).status, 200);
    rig
}

fn check(rig: &Rig, key: &str, target: &str, wanted: &Value) {
    let answer = rig.get(target, key);
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    assert_eq!(&answer.json(), wanted, "{target}");
}

#[test]
fn each_system_finds_its_own_shape() {
    let rig = rig();
    let (viewer, member) = (rig.keys.viewer.clone(), rig.keys.member.clone());
    let monitoring = |cost: f64, daily: f64, monthly: f64| {
        json!({"tokenMetrics": {"totalInputTokens": 1000, "totalOutputTokens": 100, "avgTokensPerRequest": 1100},
               "costAnalytics": {"totalCost": cost, "avgCost": cost, "minCost": cost, "maxCost": cost,
                                 "projectedDailyCost": daily, "projectedMonthlyCost": monthly}})
    };
    let row = |date: &str, agent: &str| {
        json!({"date": date, "agentId": agent, "totalInputTokens": 1000, "totalOutputTokens": 100,
               "totalCost": 0.0012, "requestCount": 1})
    };
    for (target, wanted) in [
        ("/api/monitoring/chat?period=hour&domain=example.com", monitoring(0.0012, 0.0288, 0.864)),
        ("/api/monitoring/chat", monitoring(0.0012, 0.0012, 0.036)),
        (
            "/api/esa-agents/token-usage?startDate=2026-11-19&endDate=2026-11-22",
            json!({"success": true, "data": [row("2026-11-19", "a2"), row("2026-11-22", "a1")]}),
        ),
        (
            "/api/esa-agents/token-usage?agentId=a2&userId=bob",
            json!({"success": true, "data": [row("2026-11-19", "a2")]}),
        ),
        (
            "/api/tokens/stats?userId=bob",
            json!({"userId": "bob", "totalInputTokens": 1000, "totalOutputTokens": 100, "totalTokens": 1100,
                   "totalCost": 0.0012,
                   "byOperation": [{"operation": "chat", "count": 1, "totalTokens": 1100, "totalCost": 0.0012}],
                   "byModel": [{"provider": "openai", "model": "gpt-x", "totalTokens": 1100, "totalCost": 0.0012}]}),
        ),
        (
            "/api/tokens/history?limit=1&operation=rag",
            json!({"usage": [{"id": "e1", "operation": "rag", "inputTokens": 1000, "outputTokens": 100,
                              "cost": 0.0012, "createdAt": "2026-11-22T10:30:00Z"}]}),
        ),
        (
            "/api/tokens/usage-by-period?period=week",
            json!({"data": [{"date": "2026-11-16", "tokens": 2200, "cost": 0.0024}]}),
        ),
        (
            "/api/v1/metrics/summary",
            json!({"summary": {"total_messages": 2, "total_tokens": 2200, "total_cost_usd": 0.0024, "active_sessions": 1},
                   "agents": [
                       {"agent_id": "a1", "message_count": 1, "total_tokens": 1100, "total_cost_usd": 0.0012},
                       {"agent_id": "a2", "message_count": 1, "total_tokens": 1100, "total_cost_usd": 0.0012}],
                   "models": [{"model": "gpt-x", "message_count": 2, "total_tokens": 2200, "total_cost_usd": 0.0024}]}),
        ),
        (
            "/reports/cost-analysis?start_date=2026-11-20&end_date=2026-11-22&agent_id=a1",
            json!({"total_messages": 1, "total_tokens": 1100, "total_cost_usd": 0.0012,
                   "models": [{"model": "gpt-x", "message_count": 1, "total_tokens": 1100, "total_cost_usd": 0.0012}],
                   "daily": [{"date": "2026-11-22", "message_count": 1, "total_tokens": 1100, "total_cost_usd": 0.0012,
                              "models": [{"model": "gpt-x", "message_count": 1, "total_tokens": 1100,
                                          "total_cost_usd": 0.0012}]}]}),
        ),
    ] {
        check(&rig, &viewer, target, &wanted);
    }
    let asks = [("accept", "application/json, */*")];
    let json = rig.send(request(Method::GET, "/metrics", &viewer, &asks, ""));
    assert_eq!(json.json(), rig.get("/api/v1/metrics/summary", &viewer).json());
    for (now, months) in
        [("2026-12-31T12:00:00Z", 12), ("2026-03-31T00:00:00Z", 12), ("2026-01-24T00:00:00Z", 12)]
    {
        let rig = Rig::new();
        rig.clock.set(now.parse().unwrap());
        let this = jiff::civil::Date::from_str(&now[..10]).unwrap().first_of_month();
        for back in 0..14 {
            let day = this.checked_sub(jiff::Span::new().months(back)).unwrap();
            let event =
                event(&format!("m{back}"), "").replace("2026-11-22T10:30:00Z", &format!("{day}T00:00:00Z"));
            let sent = rig.call(Method::POST, "/api/v1/events", &rig.keys.admin, event);
            assert_eq!(sent.status, 200, "{}", sent.text());
        }
        let rows = rig.get("/api/tokens/usage-by-period?period=month", &rig.keys.viewer).json();
        assert_eq!(rows["data"].as_array().unwrap().len(), months, "{now}");
    }
    let recent = rig.get("/api/v1/search/token-usage/recent?limit=5", &member).json();
    assert_eq!(
        recent,
        json!({"recent": [{"timestamp": "2026-11-22T10:30:00Z", "user_id": "ann", "operation_type": "rag", "query": null,
                           "model_name": "gpt-x", "prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100,
                           "cost_estimate": 0.0012, "response_time": 2.34, "success": true, "error_message": null}]})
    );
    let own = rig.get("/api/v1/search/token-usage?days=7", &member).json();
    assert_eq!((&own["days"], &own["totals"]["requests"]), (&json!(7), &json!(1)));
    assert_eq!(own["by_operation"][0]["operation_type"], "rag");
    assert_eq!((&own["by_day"][0]["date"], &own["cache"]["cache_hits"]), (&json!("2026-11-22"), &json!(0)));
    let all = rig.get("/api/v1/search/token-usage/all?days=7", &rig.keys.admin).json();
    assert_eq!(all["totals"]["requests"], 2);
}

#[test]
fn a_member_sees_its_own_and_can_ask_for_nobody_else() {
    let rig = rig();
    for target in ["/api/tokens/stats", "/api/tokens/stats?userId=bob"] {
        let stats = rig.get(target, &rig.keys.member).json();
        assert_eq!((&stats["userId"], &stats["totalTokens"]), (&json!("ann"), &json!(1100)), "{target}");
    }
    let rows = rig.get("/api/esa-agents/token-usage?userId=bob", &rig.keys.member).json();
    assert_eq!(rows["data"], json!([]));
    let summary = rig.get("/api/v1/metrics/summary", &rig.keys.member).json();
    assert_eq!(summary["summary"]["total_messages"], 1);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let rig = rig();
    for target in [
        "/api/monitoring/chat?period=year",
        "/api/monitoring/chat?nonsense=1",
        "/api/v1/search/token-usage?days=0",
        "/api/v1/search/token-usage/recent?limit=1001",
        "/api/esa-agents/token-usage?startDate=yesterday",
        "/api/tokens/usage-by-period?period=hour",
        "/reports/cost-analysis?start_date=2026-11-22&end_date=2026-11-20",
    ] {
        assert_eq!(rig.get(target, &rig.keys.admin).verdict(), "400 parameter_invalid", "{target}");
    }
}

#[test]
fn an_alert_is_a_budget_that_warns_and_a_summary_sums_days() {
    let rig = rig();
    let post = |key: &str, body: Value| rig.call(Method::POST, "/api/monitoring/chat", key, body.to_string());
    let admin = rig.keys.admin.clone();
    let alert =
        json!({"action": "set-alert", "domain": "example.com", "alert_type": "daily", "threshold_usd": 12.5});
    let set = post(&admin, alert.clone());
    assert_eq!(set.status, 200, "{}", set.text());
    let path = format!("/api/v1/budgets/{}", set.json()["budget_id"].as_str().unwrap());
    let budget = rig.get(&path, &admin).json();
    let members = ["limit_usd", "window", "at_limit", "spent_usd"]
        .map(|name| budget[name].as_str().unwrap().to_owned());
    assert_eq!(members, ["12.5", "day", "warn", "0.0012"]);
    assert_eq!(budget["match"], json!({"customer": "example.com"}));
    assert_eq!(post(&rig.keys.viewer, alert).verdict(), "403 forbidden");

    let summary = post(&rig.keys.viewer, json!({"action": "get-summary", "days": 7})).json();
    assert_eq!(
        (&summary["totalRequests"], &summary["costAnalytics"]["totalCost"]),
        (&json!(2), &json!(0.0024))
    );
    assert_eq!(
        (summary["byDay"].as_array().unwrap().len(), &summary["byModel"][0]["requests"]),
        (2, &json!(2))
    );

    let cleaned = post(&admin, json!({"action": "cleanup", "older_than_days": 2}));
    assert_eq!(cleaned.json(), json!({"success": true, "deleted": 1, "before": "2026-11-21T00:00:00Z"}));
    for (body, verdict) in [
        (json!({"action": "set-alert", "alert_type": "yearly", "threshold_usd": 1}), "422 field_invalid"),
        (json!({"action": "set-alert", "alert_type": "daily", "threshold_usd": -1}), "422 field_invalid"),
        (json!({"action": "set-alert", "alert_type": "daily"}), "422 field_invalid"),
        (json!({"action": "cleanup"}), "422 field_invalid"),
        (json!({"action": "nothing"}), "422 field_invalid"),
        (json!({"action": "get-summary", "more": 1}), "422 field_invalid"),
        (json!([]), "422 field_invalid"),
    ] {
        assert_eq!(post(&admin, body.clone()).verdict(), verdict, "{body}");
    }
}

/// Numbers that only depend on where they begin.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// The digits of every member of this name, in order, as they stand in the answer.
fn digits(text: &str, name: &str) -> Vec<String> {
    let member = format!("\"{name}\":");
    let parts = text.split(&member).skip(1);
    parts.map(|part| part.split([',', '}']).next().unwrap().trim_matches('"').to_owned()).collect()
}

/// Calls of three weeks, of three agents, users and customers.
fn busy_rig(zone: &str, dice: &mut Dice) -> Rig {
    let options = Options { zone: NamedZone::find(zone).unwrap(), ..Options::default() };
    let rig = Rig::with(options);
    let events = (0..90).map(|n| {
        let (day, hour, minute) = (1 + dice.below(22), dice.below(10), dice.below(60));
        let [agent, user, customer] = [dice.below(3), dice.below(3), dice.below(3)];
        let (input, output) = (dice.below(90_000), dice.below(9_000));
        format!(
            r#"{{"id":"r{n}","occurred_at":"2026-11-{day:02}T{hour:02}:{minute:02}:00Z","provider":"openai","model":"gpt-x",
            "usage":{{"input_tokens":{input},"output_tokens":{output}}},"agent":"a{agent}","user":"u{user}","customer":"c{customer}"}}"#
        )
    });
    let events = events.collect::<Vec<_>>().join(",");
    assert_eq!(rig.ingest(format!("[{events}]")).status, 200);
    rig
}

/// A question in the shape of a system, the member with its costs, and the same question of usage.
/// Where usage is asked for rows, every cost is compared, else the first, which is the total.
fn questions(dice: &mut Dice) -> Vec<(String, &'static str, String)> {
    let first = 1 + dice.below(22);
    let (from, to) =
        (format!("2026-11-{first:02}"), format!("2026-11-{:02}", first + dice.below(23 - first)));
    let mut one_of = |letter: char| Some(dice.below(5)).filter(|n| *n < 3).map(|n| format!("{letter}{n}"));
    let (agent, user, customer) = (one_of('a'), one_of('u'), one_of('c'));
    let is = |name: &str, value: &Option<String>| {
        value.iter().map(|value| format!("&{name}={value}")).collect::<String>()
    };
    vec![
        (
            format!(
                "/api/esa-agents/token-usage?startDate={from}&endDate={to}{}{}",
                is("agentId", &agent),
                is("userId", &user)
            ),
            "totalCost",
            format!(
                "&from={from}&to={to}&interval=day&group_by=agent{}{}",
                is("agent", &agent),
                is("user", &user)
            ),
        ),
        (
            format!("/reports/cost-analysis?start_date={from}&end_date={to}{}", is("agent_id", &agent)),
            "total_cost_usd",
            format!("&from={from}&to={to}{}", is("agent", &agent)),
        ),
        (
            format!("/api/tokens/usage-by-period?period=day{}", is("userId", &user)),
            "cost",
            format!("&from=2026-10-24&interval=day{}", is("user", &user)),
        ),
        (
            format!("/api/monitoring/chat?period=week{}", is("domain", &customer)),
            "totalCost",
            format!("&from=2026-11-15T10:31:00Z{}", is("customer", &customer)),
        ),
        ("/api/v1/search/token-usage/all".to_owned(), "cost_estimate", String::new()),
        ("/api/v1/metrics/summary".to_owned(), "total_cost_usd", "&from=2026-01-01".to_owned()),
    ]
}

#[test]
fn figures_are_those_of_usage_to_the_digit() {
    let mut dice = Dice(7);
    let mut with_costs = 0;
    for zone in ["UTC", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo"] {
        let rig = busy_rig(zone, &mut dice);
        for (target, name, usage) in (0..12).flat_map(|_| questions(&mut dice)).collect::<Vec<_>>() {
            let report = rig.get(&format!("/api/v1/usage?tz={zone}{usage}"), &rig.keys.admin).json();
            let cost = |sums: &Value| sums["cost_usd"].as_str().unwrap_or("0").to_owned();
            let mut found = digits(&rig.get(&target, &rig.keys.admin).text(), name);
            let wanted: Vec<String> = if usage.contains("interval=") {
                report["rows"].as_array().unwrap().iter().map(cost).collect()
            } else {
                found.truncate(1);
                vec![cost(&report["total"])]
            };
            assert_eq!(found, wanted, "{target} in {zone}");
            with_costs += usize::from(found.iter().any(|cost| cost != "0"));
        }
    }
    assert!(with_costs > 150, "only {with_costs} of 288 questions found something");
}
