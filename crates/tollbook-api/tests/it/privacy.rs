//! Persons over HTTP: everything that is held on one, and taking one out.

use crate::matrix::Row;
use crate::rig::{Rig, bound, event};
use http::Method;
use serde_json::{Value, json};
use tollbook_types::Role;

/// Who may use its routes.
pub const ROWS: &[Row] = &[
    ("GET", "/api/v1/erasures", [401, 200, 403, 403, 403, 403]),
    ("POST", "/api/v1/erasures", [401, 422, 403, 403, 403, 403]),
    ("GET", "/api/v1/users/{user}/export", [401, 200, 404, 403, 403, 403]),
];

const PATH: &str = "/api/v1/erasures";

fn lines(rig: &Rig, user: &str, key: &str) -> Vec<Value> {
    let answer = rig.get(&format!("/api/v1/users/{user}/export"), key);
    assert_eq!(
        (answer.status.as_u16(), &answer.headers["cache-control"]),
        (200, &"no-store".parse().unwrap())
    );
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(lines: &[Value]) -> Vec<(&str, usize)> {
    let mut kinds: Vec<(&str, usize)> = Vec::new();
    for line in lines {
        let kind = line["kind"].as_str().unwrap();
        match kinds.last_mut().filter(|(known, _)| *known == kind) {
            Some((_, count)) => *count += 1,
            None => kinds.push((kind, 1)),
        }
    }
    kinds
}

fn calls_of(rig: &Rig, user: &str) -> Value {
    rig.get(&format!("/api/v1/usage?user={user}"), &rig.keys.admin).json()["total"]["calls"].clone()
}

#[test]
fn a_person_is_told_everything_then_taken_out() {
    let rig = Rig::new();
    for n in 0..1_203 {
        let project = if n % 2 == 0 { "web" } else { "lab" };
        let more = format!(r#","user":"ann","project":"{project}","metadata":{{"n":{n}}}"#);
        assert_eq!(rig.ingest(event(&format!("a{n}"), &more)).status, 200);
    }
    assert_eq!(rig.ingest(event("theirs", r#","user":"bob""#)).status, 200);
    let told = lines(&rig, "ann", &rig.keys.admin);
    assert_eq!(kinds(&told), [("about", 1), ("key", 1), ("call", 1_203), ("end", 1)]);
    assert_eq!((&told[0]["user"], &told[1_205]["calls"]), (&json!("ann"), &json!(1_203)));
    assert!(
        told[1]["hash"].is_null() && told[2]["metadata"]["n"].is_number() && told[2]["cost_usd"] == "0.0012"
    );
    // The person sees the same; in one project only what is of it.
    assert_eq!(lines(&rig, "ann", &rig.keys.member)[2..], told[2..]);
    let in_web = bound(|binding| (binding.user, binding.project) = (Some("ann".into()), Some("web".into())));
    let in_web = rig.key(&[Role::Member], in_web);
    assert_eq!(kinds(&lines(&rig, "ann", &in_web)), [("about", 1), ("key", 1), ("call", 602), ("end", 1)]);
    for other in ["bob", "nobody", "Ann", "%00"] {
        let answer = rig.get(&format!("/api/v1/users/{other}/export"), &rig.keys.member);
        assert_eq!(answer.verdict(), "404 not_found", "{other}");
    }

    let order = json!({"user": "ann", "reason": "ann asked to"});
    let answer = rig.call(Method::POST, PATH, &rig.keys.admin, order.to_string());
    assert_eq!(answer.status, 201, "{}", answer.text());
    assert!(!answer.text().contains("\"ann"), "{}", answer.text());
    let erased = answer.json();
    assert_eq!(
        (&erased["calls"], &erased["keys"], &erased["scrubbed"]),
        (&json!(1_203), &json!(2), &json!(true))
    );
    let pseudonym = erased["pseudonym"].as_str().unwrap();
    assert_eq!((calls_of(&rig, "ann"), calls_of(&rig, pseudonym)), (json!(0), json!(1_203)));
    assert_eq!(rig.get("/api/v1/calls", &rig.keys.member).verdict(), "401 invalid_key", "keys end");
    let listed = rig.get(PATH, &rig.keys.admin);
    assert_eq!(listed.json()["data"][0]["id"], erased["id"]);
    assert!(!listed.text().contains("\"ann"));
    let told = lines(&rig, "ann", &rig.keys.admin);
    assert_eq!(kinds(&told), [("about", 1), ("erasure", 1), ("end", 1)]);
    assert!(told[1]["pseudonym"].is_null(), "nobody learns which calls were theirs");
    // The same again is no new call; a late one is nobody's.
    let again = rig.ingest(event("a7", r#","user":"ann","project":"lab","metadata":{"n":7}"#)).json();
    assert_eq!(again["duplicates"], 1, "{again}");
    assert_eq!(rig.ingest(event("late", r#","user":"ann""#)).json()["accepted"], 1);
    assert_eq!((calls_of(&rig, "ann"), calls_of(&rig, pseudonym)), (json!(0), json!(1_204)));
}

#[test]
fn erasures_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    let long = json!({"user": "x".repeat(257), "reason": "r"}).to_string();
    let cases: &[(&str, &str, &str)] = &[
        ("empty", "", "400 json_invalid"),
        ("an array", "[]", "400 json_invalid"),
        ("nothing", "{}", "422 field_missing"),
        ("no reason", r#"{"user":"ann"}"#, "422 field_missing"),
        ("no user", r#"{"reason":"r"}"#, "422 field_missing"),
        ("an empty user", r#"{"user":"","reason":"r"}"#, "422 field_invalid"),
        ("an empty reason", r#"{"user":"ann","reason":""}"#, "422 field_invalid"),
        ("a number", r#"{"user":1,"reason":"r"}"#, "422 field_invalid"),
        ("a pseudonym", r#"{"user":"erased:x","reason":"r"}"#, "422 field_invalid"),
        ("a long name", &long, "422 field_invalid"),
        (
            "an instant of one's own",
            r#"{"user":"ann","reason":"r","before":"2030-01-01T00:00:00Z"}"#,
            "422 unknown_member",
        ),
    ];
    for (what, body, verdict) in cases {
        let answer = rig.call(Method::POST, PATH, &rig.keys.admin, (*body).to_owned());
        assert_eq!(answer.verdict(), *verdict, "{what}: {}", answer.text());
    }
    assert_eq!(rig.get(PATH, &rig.keys.admin).json()["data"], json!([]));
}
