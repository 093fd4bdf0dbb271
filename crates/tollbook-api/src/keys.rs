//! `/api/v1/keys`: making keys, listing them, ending them.

use crate::body::{self, Encoding};
use crate::problem::{Fault, Problem};
use crate::question;
use crate::shared::Shared;
use crate::wire::KeyView;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tollbook_ledger::NewKey;
use tollbook_types::{Attribution, Timestamp, parse_instant};
use tollbook_usage::import::{self, code};

/// A key's text is for its owner, not for caches.
const NO_STORE: [(header::HeaderName, &str); 1] = [(header::CACHE_CONTROL, "no-store")];

/// Makes a key; its text is in this answer and in no other.
pub async fn create(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<impl IntoResponse, Problem> {
    let encoding = Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let now = shared.clock.now();
    let (key, text) = shared
        .write(move |ledger| {
            let new = read(&body::decode(encoding, &bytes)?, now)?;
            Ok(ledger.create_key(new)?)
        })
        .await?;
    Ok((StatusCode::CREATED, NO_STORE, Json(KeyView::shown_once(&key, text))))
}

/// Every key, also those that are of no use any more.
pub async fn list(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let keys = shared.ledger.keys();
    let data: Vec<KeyView> = keys.list().map(|key| KeyView::of(key)).collect();
    (NO_STORE, Json(json!({"data": data, "has_more": false, "next_cursor": null})))
}

/// Ends a key: on return it opens nothing any more.
pub async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let found = shared.write(move |ledger| Ok(ledger.revoke_key(&id)?)).await?;
    found.map(|_| StatusCode::NO_CONTENT).ok_or_else(|| Problem::not_found("there is no such key"))
}

/// Gives a key another text.
pub async fn rotate(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Problem> {
    let found = shared.write(move |ledger| Ok(ledger.rotate_key(&id)?)).await?;
    let (key, text) = found.ok_or_else(|| Problem::not_found("there is no such key, or it was revoked"))?;
    Ok((NO_STORE, Json(KeyView::shown_once(&key, text))))
}

/// Reads what key is asked for; everything that is wrong is told at once.
fn read(text: &[u8], now: Timestamp) -> Result<NewKey, Problem> {
    let value = tollbook_types::json::parse(text).map_err(|error| {
        let problem = import::Problem::of_json(&error, text);
        Problem::bad_request(problem.code, problem.detail)
    })?;
    let Value::Object(members) = value else {
        return Err(Problem::bad_request(code::JSON_INVALID, "the body is an object"));
    };
    let mut reader = Reader { members, faults: Vec::new() };
    let name = reader.text("name");
    let told_roles = reader.text("role");
    let mut binding = Attribution {
        project: reader.text("project"),
        customer: reader.text("customer"),
        user: reader.text("user"),
        agent: reader.text("agent"),
        agent_name: reader.text("agent_name"),
        operation: reader.text("operation"),
        operation_id: reader.text("operation_id"),
        session: reader.text("session"),
        ..Attribution::default()
    };
    binding.tags = reader.tags();
    let expires_at = reader.instant("expires_at", now);
    let roles = match told_roles.as_deref().map(question::roles) {
        Some(Ok(roles)) => roles,
        Some(Err(detail)) => {
            reader.fault("role", code::FIELD_INVALID, &detail);
            Vec::new()
        }
        None => {
            reader.missing("role");
            Vec::new()
        }
    };
    let name = name.unwrap_or_else(|| {
        reader.missing("name");
        String::new()
    });
    reader.finish()?;
    Ok(NewKey { name, roles, binding, expires_at })
}

/// The members of an object, taken out one by one.
struct Reader {
    members: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Reader {
    fn fault(&mut self, name: &str, code: &'static str, detail: &str) {
        let pointer = Some(format!("/{name}"));
        self.faults.push(Fault { pointer, code, detail: detail.to_owned() });
    }

    fn missing(&mut self, name: &str) {
        let pointer = format!("/{name}");
        if self.faults.iter().all(|fault| fault.pointer.as_deref() != Some(pointer.as_str())) {
            self.fault(name, code::FIELD_MISSING, "has to be there");
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.members.remove(name)? {
            Value::Null => None,
            Value::String(text) => Some(text),
            _ => {
                self.fault(name, code::FIELD_INVALID, "must be a text");
                None
            }
        }
    }

    fn tags(&mut self) -> BTreeMap<String, String> {
        let told = match self.members.remove("tags") {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(tags)) => tags,
            Some(_) => {
                self.fault("tags", code::FIELD_INVALID, "must be an object of texts");
                Map::new()
            }
        };
        let mut tags = BTreeMap::new();
        for (name, value) in told {
            match value {
                Value::String(text) => drop(tags.insert(name, text)),
                _ => self.fault("tags", code::FIELD_INVALID, "must be an object of texts"),
            }
        }
        tags
    }

    fn instant(&mut self, name: &str, now: Timestamp) -> Option<Timestamp> {
        let text = self.text(name)?;
        match parse_instant(&text) {
            Ok(at) if at > now => Some(at),
            Ok(_) => {
                self.fault(name, code::FIELD_INVALID, "must lie ahead");
                None
            }
            Err(detail) => {
                self.fault(name, code::TIMESTAMP_INVALID, &detail);
                None
            }
        }
    }

    fn finish(mut self) -> Result<(), Problem> {
        let unknown: Vec<String> = self.members.keys().map(|name| name.chars().take(64).collect()).collect();
        for name in unknown {
            self.fault(&name, code::UNKNOWN_MEMBER, "is not known");
        }
        let Some(first) = self.faults.first() else { return Ok(()) };
        let place = first.pointer.as_deref().unwrap_or_default();
        let problem =
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, first.code, format!("{place} {}", first.detail));
        Err(Problem { errors: self.faults, ..problem })
    }
}
