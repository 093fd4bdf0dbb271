//! `POST /api/v1/prices`: prices, discounts, markups and names of one's own, set while the server runs.
//! Calls from then on are priced by them; what is recorded changes by `rerate` alone.

use crate::access::{ADMINS, Access, Caller};
use crate::budgets::object;
use crate::code::{self, Code};
use crate::doc::{Content, Doc};
use crate::idempotency::{Asked, Outcome, REPLAYED};
use crate::prices::TAG;
use crate::problem::{Fault, Problem};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use tollbook_ledger::{By, OwnPrice, PriceError};
use tollbook_types::{Role, Timestamp};
use utoipa::ToSchema;

/// What may be set; an object that says none of them is a price.
const KINDS: [&str; 4] = ["price", "discount", "markup", "alias"];
/// Who sees them: those who read all the books.
const READERS: Access = Access::Roles(&[Role::Viewer]);

/// Its routes.
pub fn routes() -> Vec<Route> {
    let setting = Doc::new(TAG, "Set a price")
        .about(
            "A price, with the members of `[[price]]` in a file of prices, or one of `discount`, `markup` and \
             `alias` with theirs. In force for calls from now on; `from` and `to` bound the calls that it is for. \
             What is recorded stays as it is until it is rated again: `POST /api/v1/rerate`.",
        )
        .takes([Content::json::<NewPrice>()])
        .once()
        .gives(201, "It is in force.", [Content::json::<OwnPriceView>()])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let listing = Doc::new(TAG, "List prices of one's own").gives(
        200,
        "Those that were set here, oldest first; not those of files.",
        [Content::json::<OwnPrices>()],
    );
    let ending = Doc::new(TAG, "Take a price away")
        .about("Calls from now on are priced without it.")
        .path("id", "The price's id.")
        .gives(204, "It is gone.", [])
        .refuses(&[Code::NotFound])
        .refuses(code::WRITE);
    vec![
        route(Method::POST, "/api/v1/prices", ADMINS, set, setting),
        route(Method::GET, "/api/v1/prices/own", READERS, list, listing),
        route(Method::DELETE, "/api/v1/prices/own/{id}", ADMINS, remove, ending),
    ]
}

/// A price that is set: amounts are dollars for a million, as text.
#[derive(ToSchema)]
struct NewPrice(#[expect(dead_code, reason = "a shape for the document")] BTreeMap<String, Value>);

/// A price of one's own.
#[derive(Serialize, ToSchema)]
#[schema(as = OwnPrice)]
struct OwnPriceView {
    id: String,
    /// What it says, as a file of prices would.
    text: String,
    #[schema(value_type = schema::Instant)]
    created_at: Timestamp,
}

/// All of them: there are so few that they need no pages.
#[derive(Serialize, ToSchema)]
struct OwnPrices {
    data: Vec<OwnPriceView>,
    has_more: bool,
    next_cursor: Option<String>,
}

async fn set(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (members, bytes) = object(&headers, body).await?;
    let asked = Asked::of(&headers, &caller, "POST /api/v1/prices", &bytes)?;
    let text = written(members)?;
    let setting = shared.write_once(asked, move |ledger| {
        let set = ledger.set_price(&by, &text).map_err(problem)?;
        let id = set.id.clone();
        Ok((set, id))
    });
    Ok(match setting.await? {
        Outcome::Done(set) => (StatusCode::CREATED, Json(shown(set))).into_response(),
        Outcome::Before(id) => {
            let known = shared.ledger.own_prices().into_iter().find(|known| known.id == id);
            let known = known.ok_or_else(unknown)?;
            (StatusCode::CREATED, [REPLAYED], Json(shown(known))).into_response()
        }
    })
}

async fn list(State(shared): State<Arc<Shared>>) -> Json<OwnPrices> {
    let data = shared.ledger.own_prices().into_iter().map(shown).collect();
    Json(OwnPrices { data, has_more: false, next_cursor: None })
}

async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let removed = shared.write(move |ledger| Ok(ledger.remove_price(&by, &id)?)).await?;
    removed.then_some(StatusCode::NO_CONTENT).ok_or_else(unknown)
}

fn shown(price: OwnPrice) -> OwnPriceView {
    OwnPriceView { id: price.id, text: price.text, created_at: price.created_at }
}

fn unknown() -> Problem {
    Problem::not_found("there is no such price")
}

fn problem(error: PriceError) -> Problem {
    let fault = |detail: String| Fault { pointer: None, code: Code::FieldInvalid, detail };
    let faults = match error {
        // Where it stands in a text that nobody wrote helps nobody.
        PriceError::Problems(found) => found.into_iter().map(|found| fault(found.message)).collect(),
        PriceError::TooMany => {
            vec![fault(
                "there are as many as there may be: take one away, or put them into a file".to_owned(),
            )]
        }
        PriceError::Ledger(error) => return Problem::from(error),
    };
    Problem::of_faults(faults).unwrap_or_else(Problem::internal)
}

/// What was sent, as it stands in a file of prices.
fn written(members: Map<String, Value>) -> Result<String, Problem> {
    let mut kinds = KINDS.into_iter().filter(|kind| matches!(members.get(*kind), Some(Value::Object(_))));
    let (kind, members) = match (kinds.next(), members.len()) {
        (None, _) => ("price", members),
        (Some(kind), 1) => match members.into_iter().next() {
            Some((_, Value::Object(members))) => (kind, members),
            _ => return Err(Problem::internal()),
        },
        (Some(_), _) => {
            let detail = "a price, a discount, a markup or an alias is set by itself";
            return Err(Problem::new(Code::FieldInvalid, detail));
        }
    };
    let mut text = format!("[[{kind}]]\n");
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        let _ = writeln!(text, "{} = {}", key(name), toml(value));
    }
    Ok(text)
}

/// A value in TOML, where it is one.
fn toml(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let all: Vec<String> =
                members.map(|(name, value)| format!("{} = {}", key(name), toml(value))).collect();
            format!("{{ {} }}", all.join(", "))
        }
        Value::Array(items) => {
            let all: Vec<String> = items.iter().map(toml).collect();
            format!("[{}]", all.join(", "))
        }
        Value::String(text) => quoted(text),
        // There is no nothing in TOML: its reader says that it is of the wrong type.
        Value::Null => "\"\"".to_owned(),
        scalar => scalar.to_string(),
    }
}

/// A name, in quotes where it needs them.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(is_bare) {
        true => name.to_owned(),
        false => quoted(name),
    }
}

/// A text in quotes: JSON's escapes are TOML's, but for that of one control character.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(sent: &str, expected: &str) {
        let Ok(Value::Object(members)) = serde_json::from_str(sent) else { panic!("{sent}") };
        assert_eq!(written(members).unwrap(), expected);
    }

    #[test]
    fn what_is_sent_is_written_as_in_a_file() {
        check(
            r#"{"provider":"acme","model":"m\"\n","input":"1.50","from":null}"#,
            "[[price]]\ninput = \"1.50\"\nmodel = \"m\\\"\\n\"\nprovider = \"acme\"\n",
        );
        check(
            r#"{"discount":{"model":"*","percent":"10","when":{"a":["b",1,true]}}}"#,
            "[[discount]]\nmodel = \"*\"\npercent = \"10\"\nwhen = { a = [\"b\", 1, true] }\n",
        );
    }

    proptest! {
        #[test]
        fn any_text_stays_what_it_is(text: String) {
            let file = format!("{} = {}", key(&text), quoted(&text));
            let table: toml::Table = file.parse().unwrap();
            prop_assert_eq!(table.get(&text).and_then(|value| value.as_str()), Some(text.as_str()));
        }
    }
}
