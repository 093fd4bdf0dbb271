//! Holds every answer of the tests against the document: the status, the media type, the code, and the
//! body's shape, member by member. It knows the keywords of JSON schemas that the document uses, and no
//! others: one more fails here.

use crate::rig::Answer;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use std::sync::OnceLock;
use tollbook_api::Api;

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(Api::document)
}

/// Fails unless the route's documentation allows this answer.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    // A path without parameters is before those with some.
    let mut templates: Vec<&String> = paths.keys().filter(|template| matches(template, path)).collect();
    templates.sort_by_key(|template| template.matches('{').count());
    let template = templates.first();
    let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_ascii_lowercase() };
    let operation = template.map_or(&Value::Null, |template| &paths[*template][&method]);
    if operation.is_null() {
        let is_refused = [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&answer.status);
        assert!(is_refused, "{method} {path} is no route, and answered {}", answer.status);
        return;
    }
    let place = format!("{method} {path} -> {}", answer.status.as_u16());
    let response = &operation["responses"][answer.status.as_str()];
    assert!(response.is_object(), "{place} is not documented: {}", answer.text());
    assert!(answer.headers.contains_key("x-request-id"), "{place} has no id");
    let media = answer.headers.get("content-type").map(|value| value.to_str().unwrap());
    let media = media.map_or("", |media| media.split(';').next().unwrap());
    let content = &response["content"][media];
    if response["content"].is_null() {
        assert!(answer.body.is_empty(), "{place} should have no body: {}", answer.text());
        return;
    }
    assert!(content.is_object(), "{place}: {media:?} is not documented");
    // Lines of JSON are documented as such, without a shape.
    if media.ends_with("json") && media != "application/x-ndjson" && !answer.body.is_empty() {
        let mut wrong = Vec::new();
        validate(&answer.json(), &content["schema"], "", &mut wrong);
        assert!(wrong.is_empty(), "{place}: {wrong:#?}\n{}", answer.text());
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (mut template, mut path) = (template.split('/'), path.split('/'));
    loop {
        match (template.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(found))
                if wanted == found || wanted.starts_with('{') && !found.is_empty() => {}
            _ => return false,
        }
    }
}

/// Notes what is wrong with a value: that, too, which no schema names.
fn validate(value: &Value, schema: &Value, place: &str, wrong: &mut Vec<String>) {
    let before = wrong.len();
    shape(value, schema, place, wrong);
    let Value::Object(members) = value else { return };
    let (mut named, mut is_open) = (Vec::new(), true);
    names(schema, value, &mut named, &mut is_open);
    if !is_open && wrong.len() == before {
        let strange = members.keys().filter(|name| !named.contains(&name.as_str()));
        wrong.extend(strange.map(|name| format!("{place}/{name} is not documented")));
    }
}

fn resolve(schema: &Value) -> &Value {
    let target = schema["$ref"].as_str().map(|target| target.trim_start_matches('#'));
    target.map_or(schema, |target| document().pointer(target).unwrap())
}

/// The members that a schema names for this value, and whether it allows others.
fn names<'a>(schema: &'a Value, value: &Value, named: &mut Vec<&'a str>, is_open: &mut bool) {
    let schema = resolve(schema);
    if let Some(members) = schema["properties"].as_object() {
        named.extend(members.keys().map(String::as_str));
        *is_open = false;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        names(part, value, named, is_open);
    }
    for part in schema["oneOf"].as_array().into_iter().flatten() {
        let mut wrong = Vec::new();
        shape(value, part, "", &mut wrong);
        if wrong.is_empty() {
            names(part, value, named, is_open);
        }
    }
    *is_open |= !schema["additionalProperties"].is_null();
}

fn shape(value: &Value, schema: &Value, place: &str, wrong: &mut Vec<String>) {
    let schema = resolve(schema);
    for (keyword, wanted) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "description" | "examples" | "propertyNames" => {}
            "type" => {
                let names = wanted.as_array().map_or(std::slice::from_ref(wanted), Vec::as_slice);
                if !names.iter().any(|name| is(value, name.as_str().unwrap())) {
                    wrong.push(format!("{place} is no {wanted}"));
                    return;
                }
            }
            "enum" if wanted.as_array().unwrap().contains(value) => {}
            "enum" => wrong.push(format!("{place} is none of {wanted}")),
            "allOf" => wanted.as_array().unwrap().iter().for_each(|part| shape(value, part, place, wrong)),
            "oneOf" => one_of(value, wanted.as_array().unwrap(), place, wrong),
            "items" => {
                for (nth, item) in value.as_array().into_iter().flatten().enumerate() {
                    validate(item, wanted, &format!("{place}/{nth}"), wrong);
                }
            }
            "properties" => members(value, wanted.as_object().unwrap(), place, wrong),
            "additionalProperties" => {
                let named = &schema["properties"];
                for (name, member) in value.as_object().into_iter().flatten() {
                    if named[name].is_null() {
                        shape(member, wanted, &format!("{place}/{name}"), wrong);
                    }
                }
            }
            "required" => {
                let missing =
                    wanted.as_array().unwrap().iter().filter(|name| value[name.as_str().unwrap()].is_null());
                wrong.extend(missing.map(|name| format!("{place} has no {name}")));
            }
            "minimum" | "maximum" if value.is_null() => {}
            "minimum" => {
                wrong.extend((value.as_i64() < wanted.as_i64()).then(|| format!("{place} is too small")))
            }
            "maximum" => {
                wrong.extend((value.as_i64() > wanted.as_i64()).then(|| format!("{place} is too large")))
            }
            "pattern" => {
                let pattern = regex::Regex::new(wanted.as_str().unwrap()).unwrap();
                let is_fine = value.as_str().is_none_or(|text| pattern.is_match(text));
                wrong.extend((!is_fine).then(|| format!("{place} does not match {wanted}")));
            }
            "format" if wanted == "date-time" => {
                let is_fine = value.as_str().is_none_or(|text| text.parse::<jiff::Timestamp>().is_ok());
                wrong.extend((!is_fine).then(|| format!("{place} is no instant")));
            }
            "format" if ["int32", "int64"].contains(&wanted.as_str().unwrap()) => {}
            _ => panic!("{keyword} ({wanted}) is not known here: {schema}"),
        }
    }
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("{name} is no type"),
    }
}

fn one_of(value: &Value, parts: &[Value], place: &str, wrong: &mut Vec<String>) {
    let attempts: Vec<Vec<String>> = parts
        .iter()
        .map(|part| {
            let mut wrong = Vec::new();
            shape(value, part, place, &mut wrong);
            wrong
        })
        .collect();
    if attempts.iter().filter(|attempt| attempt.is_empty()).count() != 1 {
        wrong.push(format!("{place} is not exactly one of {} shapes: {attempts:?}", parts.len()));
    }
}

fn members(value: &Value, wanted: &Map<String, Value>, place: &str, wrong: &mut Vec<String>) {
    for (name, schema) in wanted {
        if let Some(member) = value.get(name) {
            validate(member, schema, &format!("{place}/{name}"), wrong);
        }
    }
}

#[test]
fn what_the_document_does_not_allow_is_found() {
    let schemas = &document()["components"]["schemas"];
    let wrong = |name: &str, value: Value| {
        let mut wrong = Vec::new();
        validate(&value, &schemas[name], "", &mut wrong);
        wrong.join("; ")
    };
    let cases = [
        ("Usd", json!("0.0002775"), ""),
        ("Usd", json!("2.7e-4"), "does not match"),
        ("Usd", json!(1), "is no \"string\""),
        ("Instant", json!("2026-11-22"), "is no instant"),
        ("Meters", json!({"input": 1}), ""),
        ("Meters", json!({"input": 1.5}), "/input is no \"integer\""),
        ("Identity", json!({"source": "api", "id": "a"}), ""),
        ("Identity", json!({"source": "api"}), "has no \"id\""),
        ("Identity", json!({"source": "api", "id": "a", "more": 1}), "/more is not documented"),
        ("Fault", json!({"code": "made_up", "detail": ""}), "/code is none of"),
        ("Events", json!([]), ""),
        ("Events", json!({}), "is not exactly one of"),
    ];
    for (name, value, wanted) in cases {
        let found = wrong(name, value.clone());
        assert!(found.contains(wanted) && found.is_empty() == wanted.is_empty(), "{name} {value}: {found}");
    }
}
