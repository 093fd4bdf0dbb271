//! Reading: calls, one call, its explanation, sums, and what each caller sees of them.

use crate::matrix::Row;
use crate::rig::{Answer, Rig, bound, event, request};
use axum::body::Body;
use http::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use tollbook_api::Api;
use tollbook_ledger::DataDir;
use tollbook_sqlite::{Bounds, SqliteStore};
use tollbook_types::Role;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/calls", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/calls/{id}", [401, 200, 404, 403, 403, 200]),
    ("GET", "/api/v1/calls/{id}/explain", [401, 200, 404, 403, 403, 200]),
    ("POST", "/api/v1/calls/{id}/settle", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/usage", [401, 200, 200, 403, 403, 200]),
    ("GET", "/api/v1/stats", [401, 200, 200, 403, 403, 200]),
];

fn ids(answer: &Value) -> Vec<&str> {
    answer["data"].as_array().unwrap().iter().map(|call| call["id"].as_str().unwrap()).collect()
}

/// Six calls by two users in two projects, one minute apart, `c0` the oldest.
fn filled() -> Rig {
    let rig = Rig::new();
    for n in 0..6 {
        let (user, project) = (["ann", "bob"][n % 2], ["web", "app"][n / 3]);
        let more = format!(r#","user":"{user}","project":"{project}","tags":{{"n":"{n}"}}"#);
        let text = event(&format!("c{n}"), &more).replace("10:30:00", &format!("10:2{n}:00"));
        assert_eq!(rig.ingest(text.replace(":1000,", &format!(":{}000,", n + 1))).status, 200);
    }
    rig
}

#[test]
fn a_call_is_settled_once_it_is_known_what_became_of_it() {
    let check = |body: &str, verdict: &str, cost: &str| {
        let rig = filled();
        let answer = rig.call(Method::POST, "/api/v1/calls/c1/settle", &rig.keys.admin, body.to_owned());
        assert_eq!(answer.verdict(), verdict, "{body}: {}", answer.text());
        let call = rig.get("/api/v1/calls/c1", &rig.keys.admin).json();
        assert_eq!(call["cost_usd"], cost, "{body}");
        if verdict == "200 " {
            assert_eq!(answer.json(), call);
            assert_eq!(call["adjustments"][0]["reason"], "settled: billed so", "{call}");
        }
    };
    let unsettled = rig_cost("c1");
    check(r#"{"cost_usd":"0.42","reason":"billed so"}"#, "200 ", "0.42");
    check(r#"{"none":true,"reason":"billed so"}"#, "200 ", "0");
    check(r#"{"usage":{"input_tokens":1000000,"output_tokens":0},"reason":"billed so"}"#, "200 ", "1");
    for (body, verdict) in [
        (r#"{"cost_usd":"0.42"}"#, "422 field_missing"),
        (r#"{"reason":"x"}"#, "422 field_invalid"),
        (r#"{"none":false,"reason":"x"}"#, "422 field_invalid"),
        (r#"{"none":true,"cost_usd":"1","reason":"x"}"#, "422 field_invalid"),
        (r#"{"cost_usd":"-1","reason":"x"}"#, "422 field_invalid"),
        (r#"{"cost_usd":0.42,"reason":"x"}"#, "422 field_invalid"),
        (r#"{"usage":{"input_tokens":-1},"reason":"x"}"#, "422 field_invalid"),
        (r#"{"usage":{"input_tokens":1,"input_tokens":2},"reason":"x"}"#, "400 json_duplicate_key"),
        (r#"{"none":true,"reason":"x","why":"y"}"#, "422 unknown_member"),
        ("[]", "400 json_invalid"),
    ] {
        check(body, verdict, &unsettled);
    }
    let rig = filled();
    let gone =
        rig.call(Method::POST, "/api/v1/calls/none/settle", &rig.keys.admin, r#"{"none":true,"reason":"x"}"#);
    assert_eq!(gone.verdict(), "404 not_found");
}

/// What a call costs before anybody settles it.
fn rig_cost(id: &str) -> String {
    let rig = filled();
    let call = rig.get(&format!("/api/v1/calls/{id}"), &rig.keys.admin).json();
    call["cost_usd"].as_str().unwrap().to_owned()
}

#[test]
fn calls_are_listed_as_asked() {
    let rig = filled();
    let cases: &[(&str, &[&str])] = &[
        ("", &["c5", "c4", "c3", "c2", "c1", "c0"]),
        ("?sort=recorded", &["c0", "c1", "c2", "c3", "c4", "c5"]),
        ("?sort=cost&limit=2", &["c5", "c4"]),
        ("?user=ann", &["c4", "c2", "c0"]),
        ("?user=ann&project=web", &["c2", "c0"]),
        ("?tag.n=1&tag.n=3", &["c3", "c1"]),
        ("?user!=ann", &["c5", "c3", "c1"]),
        ("?customer=&project=web", &["c2", "c1", "c0"]),
        ("?from=2026-11-22T10:22:00Z&to=2026-11-22T10:24:00Z", &["c3", "c2"]),
        ("?from=2026-11-22&tz=Europe/Berlin", &["c5", "c4", "c3", "c2", "c1", "c0"]),
        ("?to=2026-11-21", &[]),
        ("?model=gpt-x&provider=openai&limit=1", &["c5"]),
    ];
    for (query, wanted) in cases {
        let answer = rig.get(&format!("/api/v1/calls{query}"), &rig.keys.viewer);
        assert_eq!(answer.status, 200, "{query}: {}", answer.text());
        assert_eq!(ids(&answer.json()), *wanted, "{query}");
    }
    for bad in [
        "nonsense=1",
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "sort=best",
        "from=yesterday",
        "from=2026-11-22&to=2026-11-20",
        "tz=Mars/Phobos",
    ] {
        let answer = rig.get(&format!("/api/v1/calls?{bad}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), "400 parameter_invalid", "{bad}");
    }
}

#[test]
fn pages_follow_each_other_without_gap_or_repeat() {
    let rig = filled();
    for sort in ["time", "cost", "recorded"] {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let target = format!("/api/v1/calls?sort={sort}&limit=4{cursor}");
            let page = rig.get(&target, &rig.keys.viewer).json();
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            assert_eq!(page["has_more"], page["next_cursor"] != Value::Null);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        seen.sort();
        assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4", "c5"], "{sort}");
    }
    let page = rig.get("/api/v1/calls?limit=2", &rig.keys.viewer).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for bad in [
        format!("cursor={cursor}&user=ann"),
        format!("sort=cost&cursor={cursor}"),
        "cursor=zz".into(),
        "cursor=".into(),
    ] {
        let answer = rig.get(&format!("/api/v1/calls?{bad}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), "400 cursor_invalid", "{bad}");
    }
}

#[test]
fn one_call_is_found_and_explained() {
    let rig = filled();
    let call = rig.get("/api/v1/calls/c0", &rig.keys.viewer).json();
    assert_eq!((&call["cost_usd"], &call["usage"]["input_tokens"]), (&json!("0.0012"), &json!(1_000)));
    let explained = rig.get("/api/v1/calls/c0/explain", &rig.keys.viewer).json();
    assert_eq!((&explained["cost_usd"], &explained["recomputed"]), (&json!("0.0012"), &json!("equal")));
    assert_eq!(explained["legs"][0]["price"]["source"], "a test");
    assert_eq!(rig.get("/api/v1/calls/none", &rig.keys.viewer).verdict(), "404 not_found");
    assert_eq!(rig.get("/api/v1/calls/c0?colour=red", &rig.keys.viewer).verdict(), "400 parameter_invalid");

    rig.ingest(event("c0", r#","project":"third""#));
    assert_eq!(rig.get("/api/v1/calls/c0", &rig.keys.viewer).verdict(), "409 ambiguous_id");
    let third = rig.get("/api/v1/calls/c0?project=third", &rig.keys.viewer).json();
    assert_eq!(third["project"], "third");
    let odd = rig.get("/api/v1/calls/a%2Fb%20%22", &rig.keys.viewer);
    assert_eq!(odd.verdict(), "404 not_found");
    rig.ingest(event(r#"a/b \""#, ""));
    assert_eq!(rig.get("/api/v1/calls/a%2Fb%20%22", &rig.keys.viewer).status, 200);
}

#[test]
fn sums_are_those_of_the_calls() {
    let rig = filled();
    let day = "from=2026-11-22T00:00:00Z&to=2026-11-23T00:00:00Z";
    let report = rig.get(&format!("/api/v1/usage?{day}&group_by=user"), &rig.keys.viewer).json();
    assert_eq!(report["rows"].as_array().unwrap().len(), 2);
    let bob = &report["rows"][0];
    assert_eq!(
        (&bob["user"], &bob["calls"], &bob["input_tokens"]),
        (&json!("bob"), &json!(3), &json!(12_000))
    );
    assert_eq!((&bob["cost_usd"], &report["total"]["cost_usd"]), (&json!("0.0126"), &json!("0.0222")));
    let hours =
        rig.get(&format!("/api/v1/usage?{day}&interval=hour&tz=Asia/Kolkata"), &rig.keys.viewer).json();
    assert_eq!(hours["rows"][0]["bucket"], "2026-11-22T15:00:00+05:30");
    let recent = rig.get("/api/v1/usage", &rig.keys.viewer).json();
    assert_eq!((&recent["from"], &recent["total"]["calls"]), (&json!("2026-11-16T00:00:00Z"), &json!(6)));
    let billed = rig.get("/api/v1/usage?as=billed&tag.n=0", &rig.keys.viewer).json();
    assert_eq!(billed["total"]["calls"], 1);
    for bad in
        ["interval=minute", "group_by=colour", "as=new", "as=billed&as_of=2026-11-22T00:00:00Z", "as_of=now"]
    {
        let answer = rig.get(&format!("/api/v1/usage?{bad}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), "400 parameter_invalid", "{bad}");
    }
}

/// Answers and searches, good and bad, in three sessions; `q5` half an hour before the rest.
fn judged() -> Rig {
    let rig = Rig::new();
    // Operation, outcome, session, user, latency, time to first token, status.
    let rows = [
        ("answer", "good", "s1", "ann", 100, 10, "ok"),
        ("answer", "good", "s1", "ann", 200, 20, "ok"),
        ("answer", "bad", "s2", "bob", 400, 40, "ok"),
        ("search", "good", "s2", "bob", 300, 30, "ok"),
        ("search", "bad", "s3", "ann", 900, 90, "timeout"),
        ("search", "bad", "s4", "ann", 50, 5, "ok"),
    ];
    for (n, (operation, outcome, session, user, latency, first, status)) in rows.into_iter().enumerate() {
        let more = format!(
            r#","operation":"{operation}","tags":{{"outcome":"{outcome}"}},"session":"{session}","user":"{user}",
            "latency_ms":{latency},"time_to_first_token_ms":{first},"status":"{status}""#
        );
        let at = if n == 5 { "10:00:00" } else { "10:30:00" };
        assert_eq!(rig.ingest(event(&format!("q{n}"), &more).replace("10:30:00", at)).status, 200);
    }
    rig
}

#[test]
fn cost_stands_against_outcome() {
    let rig = judged();
    let report = rig.get("/api/v1/stats?group_by=operation,tag.outcome", &rig.keys.viewer).json();
    let row = |operation: &str, outcome: &str| {
        let rows = report["rows"].as_array().unwrap();
        let found = rows.iter().find(|row| row["operation"] == operation && row["tag.outcome"] == outcome);
        found.unwrap_or_else(|| panic!("{operation} {outcome} is not in {report}")).clone()
    };
    assert_eq!(report["rows"].as_array().unwrap().len(), 4);
    let good = row("answer", "good");
    assert_eq!(
        (&good["calls"], &good["cost_usd"], &good["cost_avg_usd"]),
        (&json!(2), &json!("0.0024"), &json!("0.0012"))
    );
    assert_eq!((&good["sessions"], &good["cost_per_session_usd"]), (&json!(1), &json!("0.0024")));
    let bad = row("search", "bad");
    assert_eq!(
        (&bad["success_rate"], &bad["priced_calls"], &bad["users"]),
        (&json!("0.5"), &json!(1), &json!(1))
    );

    let total = &report["total"];
    let percentiles = json!({"count": 6, "p50": 200, "p90": 900, "p95": 900, "p99": 900});
    assert_eq!(total["latency_ms"], percentiles);
    assert_eq!(total["time_to_first_token_ms"]["p50"], 20);
    assert_eq!((&total["users"], &total["sessions"]), (&json!(2), &json!(4)), "each once");
    assert_eq!(total["active_sessions"], 3, "q5 was 31 minutes ago");
    assert_eq!((&total["output_per_input"], &total["cache_read_rate"]), (&json!("0.1"), &json!("0")));
    assert_eq!(total["success_rate"], "0.833333");
    assert_eq!(
        total["cost_per_1k_tokens_usd"], "0.001090909091",
        "$0.0072 by 6,600 tokens, to the picodollar"
    );

    for (more, active) in
        [("at=2026-11-22T10:30:00Z", 1), ("at=2026-11-22T10:00:00Z", 0), ("session=s4", 0), ("user=bob", 1)]
    {
        let answer = rig.get(&format!("/api/v1/stats?{more}"), &rig.keys.viewer).json();
        assert_eq!(answer["total"]["active_sessions"], active, "{more}");
    }
    let mine = rig.get("/api/v1/stats?group_by=user&user=bob", &rig.keys.member).json();
    assert_eq!((&mine["rows"], &mine["total"]["users"]), (&json!([]), &json!(0)), "ann's key");
    for bad in ["at=now", "at=2026-11-22T10:00:00Z&at=2026-11-22T11:00:00Z", "interval=minute", "colour=red"]
    {
        let answer = rig.get(&format!("/api/v1/stats?{bad}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), "400 parameter_invalid", "{bad}");
    }
}

#[test]
fn sums_among_statistics_are_those_of_usage() {
    let rig = judged();
    for question in
        ["", "?group_by=user,session", "?interval=hour&tz=Asia/Kathmandu&group_by=tag.outcome", "?as=billed"]
    {
        let answer = |name: &str| rig.get(&format!("/api/v1/{name}{question}"), &rig.keys.viewer).json();
        let (usage, stats) = (answer("usage"), answer("stats"));
        let pairs = usage["rows"].as_array().unwrap().iter().zip(stats["rows"].as_array().unwrap());
        assert_eq!(usage["rows"].as_array().unwrap().len(), stats["rows"].as_array().unwrap().len());
        for (sums, figures) in pairs.chain([(&usage["total"], &stats["total"])]) {
            for (name, value) in sums.as_object().unwrap() {
                assert_eq!(&figures[name], value, "{name} of {question}");
            }
        }
    }
}

#[test]
fn the_dearest_stand_alone_and_the_rest_together() {
    let rig = filled();
    let get = |target: &str| rig.get(&format!("/api/v1/{target}"), &rig.keys.viewer).json();
    for name in ["usage", "stats"] {
        let whole = get(&format!("{name}?group_by=tag.n"));
        for limit in [1, 2, 5, 6, 1_000] {
            let report = get(&format!("{name}?group_by=tag.n&limit={limit}"));
            assert_eq!(report["total"], whole["total"], "{name} {limit}");
            let rows = report["rows"].as_array().unwrap();
            assert_eq!(rows.len(), 6.min(limit + 1));
            for (row, own) in rows.iter().zip(whole["rows"].as_array().unwrap()).take(limit) {
                assert_eq!(row, own, "{name} {limit}");
            }
            let calls: u64 = rows.iter().map(|row| row["calls"].as_u64().unwrap()).sum();
            assert_eq!(calls, 6);
            if limit < 6 {
                let rest = &rows[limit];
                assert_eq!((&rest["rest"], &rest["tag.n"]), (&json!(6 - limit), &Value::Null));
                assert_eq!(rest["calls"], 6 - limit);
            }
        }
        for bad in ["0", "1001", "x", "-1", "1&limit=1"] {
            let answer = rig.get(&format!("/api/v1/{name}?limit={bad}"), &rig.keys.viewer);
            assert_eq!(answer.verdict(), "400 parameter_invalid", "{name} {bad}");
        }
    }
    let hours = get("usage?interval=hour&group_by=tag.n&limit=1");
    assert_eq!(hours["rows"].as_array().unwrap().len(), 2, "of each hour");
}

#[test]
fn more_than_a_question_may_take_is_refused() {
    let mut rig = filled();
    let file = DataDir::new(rig.dir.path().join("data")).store();
    let bounds = Bounds { rows_max: 5, time_max: None };
    let store = Arc::new(SqliteStore::open_bounded(&file, bounds).unwrap());
    let api = Api::new(rig.ledger.clone(), rig.clock.clone(), tollbook_api::Options::default());
    rig.router = api.unwrap().with_store(store).router();
    let cases = [
        ("usage", "200 "),
        ("usage?group_by=user,model", "200 "),
        ("usage?group_by=tag.n", "422 range_too_large"),
        ("usage?group_by=tag.n&from=2026-11-22T10:22:00Z", "200 "),
        ("stats", "422 range_too_large"),
        ("stats?from=2026-11-22T10:22:00Z", "200 "),
        ("calls", "200 "),
        ("calls?sort=cost", "422 range_too_large"),
        ("calls?sort=cost&limit=2&from=2026-11-22T10:22:00Z", "200 "),
    ];
    for (target, verdict) in cases {
        let answer = rig.get(&format!("/api/v1/{target}"), &rig.keys.viewer);
        assert_eq!(answer.verdict(), verdict, "{target}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("etag"), answer.status == 200);
    }
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let rig = filled();
    let get = |target: &str, key: &str, tag: &str| {
        rig.send(request(Method::GET, target, key, &[("if-none-match", tag)], Body::empty()))
    };
    let tag_of = |answer: &Answer| answer.headers["etag"].to_str().unwrap().to_owned();
    let viewer = rig.keys.viewer.as_str();
    let targets = ["calls", "calls?limit=2", "usage", "usage?interval=hour", "stats", "stats?interval=hour"]
        .map(|target| format!("/api/v1/{target}"));
    let mut tags: Vec<String> = Vec::new();
    for target in &targets {
        let first = rig.get(target, viewer);
        assert_eq!(first.headers["cache-control"], "private, no-cache");
        let tag = tag_of(&first);
        assert!(!tags.contains(&tag), "{target}: each question has its own");
        for (told, status) in [
            (tag.as_str(), 304),
            (&format!("\"other\", W/{tag}"), 304),
            ("*", 304),
            ("\"other\"", 200),
            (tag.trim_matches('"'), 200),
            ("", 200),
        ] {
            let again = get(target, viewer, told);
            assert_eq!((again.status.as_u16(), tag_of(&again)), (status, tag.clone()), "{target} {told}");
            assert_eq!(again.body, if status == 304 { Vec::new() } else { first.body.clone() });
            assert_eq!(again.headers["cache-control"], "private, no-cache");
        }
        // Who sees other calls asks another question.
        assert_eq!(get(target, &rig.keys.member, &tag).status, 200, "{target}");
        assert_eq!(get(target, "", &tag).status, 401);
        tags.push(tag);
    }
    let all_are = |status: u16, what: &str| {
        for (target, tag) in targets.iter().zip(&tags) {
            assert_eq!(get(target, viewer, tag).status.as_u16(), status, "{target} {what}");
        }
    };
    all_are(304, "with nothing new");
    rig.ingest(event("c9", ""));
    all_are(200, "after a call");
}

#[test]
fn callers_see_what_is_theirs_and_nothing_of_the_rest() {
    let rig = filled();
    let viewer_of_web = rig.key(&[Role::Viewer], bound(|binding| binding.project = Some("web".into())));
    let ann_in_web = rig.key(
        &[Role::Member],
        bound(|binding| {
            binding.user = Some("ann".into());
            binding.project = Some("web".into());
        }),
    );
    // A caller, the calls seen, and their input tokens.
    let cases: &[(&str, &[&str], u64)] = &[
        (&rig.keys.viewer, &["c5", "c4", "c3", "c2", "c1", "c0"], 21_000),
        (&rig.keys.member, &["c4", "c2", "c0"], 9_000),
        (&viewer_of_web, &["c2", "c1", "c0"], 6_000),
        (&ann_in_web, &["c2", "c0"], 4_000),
    ];
    for (key, seen, tokens) in cases {
        assert_eq!(ids(&rig.get("/api/v1/calls", key).json()), *seen);
        let total =
            |more: &str| rig.get(&format!("/api/v1/usage?group_by=user{more}"), key).json()["total"].clone();
        assert_eq!((&total("")["input_tokens"], &total("")["calls"]), (&json!(tokens), &json!(seen.len())));
        for n in 0..6 {
            let id = format!("c{n}");
            let is_seen = seen.contains(&id.as_str());
            for target in [format!("/api/v1/calls/{id}"), format!("/api/v1/calls/{id}/explain")] {
                let answer = rig.get(&target, key);
                assert_eq!(answer.status.as_u16(), if is_seen { 200 } else { 404 }, "{target}");
                let none = rig.get(&target.replace(&id, "none"), key).json();
                assert!(is_seen || answer.json()["detail"] == none["detail"], "as one that is not there");
            }
        }
    }
    // Asking for somebody else's makes nothing visible.
    for more in ["user=bob", "user!=ann", "user=", "user=ann&user=bob&tag.n=1"] {
        let key = &rig.keys.member;
        let page = rig.get(&format!("/api/v1/calls?{more}"), key).json();
        assert!(page["data"].as_array().unwrap().iter().all(|call| call["user"] == "ann"), "{more}");
        let report = rig.get(&format!("/api/v1/usage?{more}&group_by=user"), key).json();
        assert!(report["rows"].as_array().unwrap().iter().all(|row| row["user"] == "ann"), "{more}");
    }
    let page = rig.get("/api/v1/calls?limit=1", &rig.keys.viewer).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let stolen = rig.get(&format!("/api/v1/calls?cursor={cursor}"), &rig.keys.member).json();
    assert_eq!(ids(&stolen), ["c4", "c2", "c0"], "a cursor opens nothing");
}
