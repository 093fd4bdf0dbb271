//! The document at `/openapi.json`, its golden file, and the pages that follow from the same tables.

use crate::matrix::Row;
use crate::rig::Rig;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tollbook_api::{Api, Code};

/// Who may use its route.
pub const ROWS: &[Row] = &[("GET", "/openapi.json", [401, 200, 200, 200, 200, 200])];

fn docs(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// Whether golden files are to be written anew.
fn blesses() -> bool {
    std::env::var_os("TOLLBOOK_BLESS").is_some()
}

#[test]
fn the_golden_file_is_the_document() {
    let rig = Rig::new();
    let found = rig.get("/openapi.json", &rig.keys.viewer).json();
    assert_eq!(found, Api::document());
    let text = serde_json::to_string_pretty(&found).unwrap() + "\n";
    let golden = docs("openapi.json");
    if blesses() {
        std::fs::write(&golden, &text).unwrap();
    }
    let known = std::fs::read_to_string(&golden).unwrap_or_default();
    let differing = known.lines().zip(text.lines()).position(|(known, found)| known != found);
    assert!(
        known == text,
        "docs/openapi.json is another from line {differing:?}; with TOLLBOOK_BLESS=1 this test writes it anew"
    );
}

/// The table of codes as `docs/reference/errors.md` has it.
fn table() -> String {
    let rows = Code::ALL
        .iter()
        .map(|code| format!("| {} | `{}` | {} |\n", code.status().as_u16(), code.name(), code.meaning()));
    format!("| status | code | what is wrong, and what to do |\n|---|---|---|\n{}", rows.collect::<String>())
}

#[test]
fn the_page_of_codes_has_every_code() {
    let page = docs("reference/errors.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (head, rest) = text.split_once("<!-- codes -->\n").unwrap();
    let (known, tail) = rest.split_once("<!-- /codes -->\n").unwrap();
    let wanted = table();
    if blesses() {
        let text = format!("{head}<!-- codes -->\n{wanted}<!-- /codes -->\n{tail}");
        std::fs::write(&page, text).unwrap();
        return;
    }
    assert_eq!(known, wanted, "with TOLLBOOK_BLESS=1 this test writes the table anew");
}

/// Every reference in the document leads somewhere.
fn dangling(value: &Value, document: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            let target = members.get("$ref").and_then(Value::as_str);
            let is_there = |target: &str| document.pointer(target.trim_start_matches('#')).is_some();
            found.extend(target.filter(|target| !is_there(target)).map(str::to_owned));
            members.values().for_each(|value| dangling(value, document, found));
        }
        Value::Array(values) => values.iter().for_each(|value| dangling(value, document, found)),
        _ => {}
    }
}

#[test]
fn the_document_is_whole() {
    let document = Api::document();
    let mut wrong = Vec::new();
    dangling(&document, &document, &mut wrong);
    let mut ids = Vec::new();
    for listed in Api::routes() {
        let method = listed.method.as_str().to_ascii_lowercase();
        let operation = &document["paths"][listed.path][&method];
        let place = format!("{method} {}", listed.path);
        let is_told = |name: &str| operation[name].as_str().is_some_and(|text| !text.is_empty());
        if !is_told("summary") || !is_told("operationId") || operation["tags"][0].is_null() {
            wrong.push(format!("{place} does not say what it is"));
        }
        ids.push(operation["operationId"].clone());
        let answers = operation["responses"].as_object().unwrap();
        if !answers.keys().any(|status| status.starts_with(['1', '2', '3'])) {
            wrong.push(format!("{place} never goes well"));
        }
        let in_path = |name: &&str| name.starts_with('{');
        let named: Vec<&str> = listed.path.split('/').filter(in_path).collect();
        let of_path = operation["parameters"].as_array().into_iter().flatten();
        let of_path: Vec<String> = of_path
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| format!("{{{}}}", parameter["name"].as_str().unwrap()))
            .collect();
        if named != of_path {
            wrong.push(format!("{place} has the parameters {of_path:?}"));
        }
    }
    let count = ids.len();
    ids.sort_by_key(ToString::to_string);
    ids.dedup();
    assert_eq!(ids.len(), count, "an id of an operation stands twice");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is documented as a member is known, whatever else is wrong with the body.
#[test]
fn documented_members_are_known() {
    let rig = Rig::new();
    let document = Api::document();
    let members = |name: &str| -> Vec<String> {
        let shape = &document["components"]["schemas"][name];
        let shapes = shape["allOf"].as_array().into_iter().flatten().chain([shape]);
        shapes
            .flat_map(|shape| shape["properties"].as_object().into_iter().flatten())
            .map(|(name, _)| name.clone())
            .collect()
    };
    let cases = [
        ("/api/v1/keys", [members("NewKey"), Vec::new()].concat()),
        ("/api/v1/events", [members("Event"), members("Attribution")].concat()),
    ];
    for (path, members) in cases {
        assert!(members.len() > 5, "{path}: {members:?}");
        let body: serde_json::Map<String, Value> =
            members.into_iter().chain(["strange".to_owned()]).map(|name| (name, Value::from(-1))).collect();
        let answer =
            rig.call(http::Method::POST, path, &rig.keys.admin, Value::Object(body).to_string()).json();
        let unknown: Vec<&Value> = answer["errors"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|fault| fault["code"] == "unknown_member")
            .map(|fault| &fault["pointer"])
            .collect();
        assert_eq!(unknown, ["/strange"], "{path}");
    }
}
