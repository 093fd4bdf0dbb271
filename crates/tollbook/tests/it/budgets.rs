//! `tollbook budget …`, on books that nobody serves. Beside a server: `gateway/budgets.rs`.

use crate::program::Place;
use serde_json::{Value, json};

/// Three calls of today: two of team ops, one of them by ann.
fn place() -> Place {
    let place = Place::new();
    let calls = [
        r#"{"id":"e1","provider":"openai","model":"gpt-4o","usage":{"input_tokens":1000,"output_tokens":100},"tags":{"team":"ops"},"user":"ann"}"#,
        r#"{"id":"e2","provider":"openai","model":"gpt-4o","usage":{"input_tokens":1000,"output_tokens":0},"tags":{"team":"ops"}}"#,
        r#"{"id":"e3","provider":"openai","model":"gpt-4o","usage":{"input_tokens":1000,"output_tokens":0}}"#,
    ];
    let file = place.file("calls.jsonl", calls.join("\n"));
    place.run(&["import", "jsonl", &file]).ok();
    place
}

fn names(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|budget| budget["name"].as_str().unwrap()).collect()
}

#[test]
fn a_budget_says_what_it_will_do_and_is_changed_by_its_name() {
    let place = place();
    let args = ["budget", "set", "tag.team=ops", "200/month", "--block", "--strict", "--tz", "Europe/Berlin"];
    let set = place.run(&[&args[..], &["--warn", "50,80,100"]].concat()).ok();
    let words = set.out.replace('\n', " ");
    assert!(
        words.starts_with(
            "Calls with tag.team = ops together may use $200 in each month (Europe/Berlin); a call that does not fit \
             is refused. Calls in flight count as the most they can cost, so the limit is never passed;"
        ),
        "{words}"
    );
    assert!(words.contains("It is told at 50, 80, 100 %"), "{words}");
    assert!(words.contains("Now: 0.006 spent, 0 held, 199.994 left of 200, until "), "{words}");
    assert!(set.out.lines().all(|line| line.chars().count() <= 80), "{}", set.out);

    // The same scope and window are the same budget; what is not said again is as if never said.
    let again = place.json(&["budget", "set", "tag.team=ops", "0.006/month", "--warn-only"]);
    assert_eq!(
        (&again["limit"], &again["mode"], &again["at_limit"]),
        (&json!("0.006"), &json!("expected"), &json!("warn"))
    );
    assert!(again["time_zone"].is_null());
    place.run(&["budget", "set", "all", "1k tokens/24h", "--each", "user", "--name", "users"]).ok();
    let all = place.json(&["budget", "list"]);
    assert_eq!(names(&all), ["tag.team=ops per month", "users"]);
    let table = place.run(&["budget", "list"]).ok().out;
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    assert!(table.contains("0.006"), "{table}");
    assert_eq!(place.run(&["budget", "list", "--check"]).code, 3, "nothing is left of two");

    let raised = place.json(&[
        "budget",
        "raise",
        "users",
        "5k tokens",
        "--until",
        "2126-01-01T00:00:00Z",
        "--reason",
        "launch",
    ]);
    assert_eq!((&raised["limit"], &raised["left"]), (&json!("6000"), &json!(4000)));
    place.run(&["budget", "remove", "tag.team=ops per month"]).ok();
    assert_eq!(names(&place.json(&["budget", "list"])), ["users"]);
    place.run(&["budget", "list", "--check"]).ok();
    place.run(&["verify"]).ok();
}

#[test]
fn every_limit_of_a_call_or_a_key_is_explained() {
    let place = place();
    place.file(
        "tollbook.toml",
        "[[budgets]]\nname = \"everything\"\nlimit_usd = \"1.00\"\nwindow = \"total\"\n",
    );
    place.run(&["budget", "set", "tag.team=ops", "2 calls/total", "--name", "ops"]).ok();
    place.run(&["budget", "set", "all", "1/day", "--each", "user"]).ok();
    let limits = |id: &str| -> Vec<String> {
        let page = place.json(&["budget", "explain", id]);
        let limit = |limit: &Value| {
            let spent = if limit["spent_usd"].is_null() { &limit["spent"] } else { &limit["spent_usd"] };
            format!("{} {} {} {spent}", limit["name"], limit["source"], limit["value"]).replace('"', "")
        };
        page["data"].as_array().unwrap().iter().map(limit).collect()
    };
    assert_eq!(
        limits("e1"),
        ["ops api null 2", "all each user per day api ann 0.0035", "everything config null 0.0085"]
    );
    assert_eq!(limits("e3"), ["all each user per day api null 0.005", "everything config null 0.0085"]);
    place.run(&["budget", "explain", "e3", "--check"]).ok();
    let told = place.run(&["budget", "explain", "e1", "--check"]).code(3).out;
    assert!(told.contains("everything (the configuration)") && told.contains("for user ann"), "{told}");
    assert!(told.contains("2 spent, 0 held, 0 left of 2"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");

    let key = place.json(&["key", "create", "k", "--user", "ann"]);
    let told = place.run(&["budget", "explain", key["id"].as_str().unwrap()]).ok().out;
    assert!(told.contains("Only calls with tag.team = ops.") && told.contains("for user ann"), "{told}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let place = Place::new();
    place.file("tollbook.toml", "[[budgets]]\nname = \"fixed\"\nlimit_usd = \"1.00\"\nwindow = \"total\"\n");
    let until = "2126-01-01T00:00:00Z";
    let cases: &[(&[&str], i32, &str)] = &[
        (&["budget", "set", "all", "200"], 2, "write AMOUNT/WINDOW"),
        (&["budget", "set", "all", "ten/day"], 2, "is no amount"),
        (&["budget", "set", "all", "10/decade"], 2, "is no window"),
        (&["budget", "set", "ops", "10/day"], 2, "is no scope"),
        (&["budget", "set", "all", "10/day", "--block", "--throttle"], 2, "cannot be used with"),
        (&["budget", "set", "colour=red", "10/day"], 2, "no dimension"),
        (&["budget", "set", "all", "10/day", "--tz", "Mars/Olympus"], 2, "time_zone is the IANA name"),
        (&["budget", "set", "all", "10/day", "--reset-day", "3"], 2, "is for the window month only"),
        (&["budget", "set", "all", "10/day", "--downgrade", "gpt-4o-mini"], 2, "say from which model"),
        (&["budget", "set", "all", "10/day", "--name", "fixed"], 1, "change it there"),
        (&["budget", "remove", "fixed"], 1, "change it there"),
        (&["budget", "remove", "none"], 1, "there is no budget"),
        (&["budget", "raise", "fixed", "1", "--until", until], 2, "--reason"),
        (&["budget", "raise", "fixed", "5 calls", "--until", until, "--reason", "x"], 2, "not in the unit"),
        (
            &["budget", "raise", "fixed", "5", "--until", "2020-01-01T00:00:00Z", "--reason", "x"],
            2,
            "lie ahead",
        ),
        (&["budget", "explain", "none"], 1, "no call has the id"),
        (&["budget", "explain", "key_none"], 1, "no such key"),
    ];
    for (args, code, words) in cases {
        let ran = place.run(args).code(*code);
        assert!(ran.err.contains(words), "{args:?}: {}", ran.err);
    }
    assert_eq!(names(&place.json(&["budget", "list"])), ["fixed"]);
}
