//! `GET /openapi.json`: the document (OpenAPI 3.1) of all routes, made of what each says of itself.

use crate::access::{Access, KEY_HOLDERS};
use crate::code::Code;
use crate::dashboard;
use crate::doc::{self, Content, Doc, Given, Tag, reference};
use crate::problem;
use crate::routes::{self, Listed, Route, route};
use axum::Json;
use http::Method;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "document", about: "What there is." };
const PROBLEM: &str = "application/problem+json";
/// The ways in which a key comes, by their names in the document.
const KEYS: [&str; 3] = ["bearer", "x-tollbook-key", "x-api-key"];

/// Its routes.
pub fn routes() -> Vec<Route> {
    let showing =
        Doc::new(TAG, "This document").gives(200, "The document.", [Content::any("application/json")]);
    vec![route(Method::GET, "/openapi.json", KEY_HOLDERS, show, showing)]
}

/// Shows the document.
pub async fn show() -> Json<&'static Value> {
    static DOCUMENT: LazyLock<Value> = LazyLock::new(routes::document);
    Json(&DOCUMENT)
}

/// The document of these routes.
pub fn document<'a>(routes: impl Iterator<Item = (&'a Listed, &'a Doc)>) -> Value {
    let mut parts = Content::of::<problem::Body<'_>>(PROBLEM).parts;
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    let mut tags = BTreeSet::new();
    for (listed, doc) in routes {
        tags.insert(doc.tag);
        let given = doc.gives.iter().flat_map(|given| &given.contents);
        for content in doc.takes.iter().chain(given) {
            parts.extend(content.parts.clone());
        }
        let method = listed.method.as_str().to_ascii_lowercase();
        paths.entry(listed.path).or_default().insert(method, operation(listed, doc));
    }
    let tags: Vec<Value> =
        tags.iter().map(|tag| json!({"name": tag.name, "description": tag.about})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tollbook",
            "description": "Ingest, queries and keys. Amounts are decimal text in US dollars, instants RFC 3339, \
                counts whole numbers; what is absent is null or left out, never 0.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": parts,
            "parameters": doc::dimensions(),
            "headers": headers(),
            "securitySchemes": security_schemes(),
        },
    })
}

fn operation(listed: &Listed, doc: &Doc) -> Value {
    let mut operation = json!({
        "operationId": operation_id(listed, doc),
        "tags": [doc.tag.name],
        "summary": doc.summary,
        "description": description(listed.access, doc),
        "security": security(listed.access),
        "responses": responses(listed.access, doc),
    });
    if !doc.parameters.is_empty() {
        operation["parameters"] = json!(doc.parameters);
    }
    if !doc.takes.is_empty() {
        operation["requestBody"] = json!({"required": true, "content": contents(&doc.takes)});
    }
    operation
}

/// `GET /api/v1/calls/{id}` is `get_calls_id`, and the page `/calls/{id}` is `get_page_calls_id`.
fn operation_id(listed: &Listed, doc: &Doc) -> String {
    let path = listed.path.trim_start_matches("/api/v1");
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let method = listed.method.as_str().to_ascii_lowercase();
    let page = (doc.tag == dashboard::TAG).then_some("page");
    std::iter::once(method.as_str()).chain(page).chain(words).collect::<Vec<_>>().join("_")
}

fn description(access: Access, doc: &Doc) -> String {
    let names: Vec<&str> = access.roles().iter().map(|role| role.name()).collect();
    let who = match access {
        Access::Anyone => "For everybody.".to_owned(),
        _ => format!("For {}.", names.join(", ")),
    };
    if doc.about.is_empty() { who } else { format!("{} {who}", doc.about) }
}

fn security(access: Access) -> Value {
    let none = json!({});
    let keys = KEYS.map(|name| json!({name: []}));
    match access {
        Access::Roles(_) => json!(keys),
        Access::Anyone | Access::Metrics => [none].into_iter().chain(keys).collect(),
    }
}

fn security_schemes() -> Value {
    let header =
        |name: &str| json!({"type": "apiKey", "in": "header", "name": name, "description": "A key: `tb_…`."});
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "A key: `tb_…`."},
        "x-tollbook-key": header("x-tollbook-key"),
        "x-api-key": header("x-api-key"),
    })
}

fn headers() -> Value {
    json!({
        "request-id": {
            "description": "The request's id: the caller's own where that is a plain word, else a new one.",
            "required": true,
            "schema": doc::text(),
        },
        "retry-after": {
            "description": "Seconds after which the same may go well.",
            "schema": doc::whole(0, 60),
        },
        "www-authenticate": {
            "description": "How a key is sent.",
            "required": true,
            "schema": doc::text(),
        },
    })
}

fn contents(contents: &[Content]) -> Value {
    contents.iter().map(|content| (content.media.to_owned(), json!({"schema": content.shape}))).collect()
}

fn responses(access: Access, doc: &Doc) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    for Given { status, about, contents: given } in &doc.gives {
        let mut response = json!({
            "description": about,
            "headers": {"x-request-id": reference("headers", "request-id")},
        });
        if !given.is_empty() {
            response["content"] = contents(given);
        }
        responses.insert(status.to_string(), response);
    }
    // The server gives this before a request is one: it has neither an id nor a body.
    responses.insert("431".to_owned(), json!({"description": "The request's head is too large."}));
    let mut refusals: BTreeMap<u16, BTreeSet<Code>> = BTreeMap::new();
    for code in doc.refuses.iter().chain(access.refusals()) {
        refusals.entry(code.status().as_u16()).or_default().insert(*code);
    }
    for (status, codes) in refusals {
        let refusal = refusal(status, &codes);
        let response = responses.entry(status.to_string()).or_insert_with(|| json!({}));
        merge(response, refusal);
    }
    json!(responses)
}

/// An answer with one of these codes.
fn refusal(status: u16, codes: &BTreeSet<Code>) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.name()).collect();
    let meanings = codes.iter().map(|code| format!("- `{}`: {}", code.name(), code.meaning()));
    let mut headers = json!({"x-request-id": reference("headers", "request-id")});
    match status {
        401 => headers["www-authenticate"] = reference("headers", "www-authenticate"),
        409 | 429 | 503 => headers["retry-after"] = reference("headers", "retry-after"),
        _ => {}
    }
    json!({
        "description": meanings.collect::<Vec<_>>().join("\n"),
        "headers": headers,
        "content": {PROBLEM: {"schema": {
            "allOf": [reference("schemas", "Problem"), {"properties": {"code": {"enum": names}}}],
        }}},
    })
}

/// An answer that is sometimes a problem and sometimes none says both.
fn merge(response: &mut Value, refusal: Value) {
    let about = response["description"].as_str().map(|about| format!("{about}\n"));
    let given = response["content"].as_object().cloned();
    *response = refusal;
    if let Some(about) = about {
        response["description"] = json!(about + response["description"].as_str().unwrap_or_default());
    }
    for (media, content) in given.into_iter().flatten() {
        response["content"][media] = content;
    }
}
