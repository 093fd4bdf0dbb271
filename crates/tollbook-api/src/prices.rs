//! `/api/v1/prices`: the price book as it is in force, and which of its rules decides a model's price.

use crate::access::READERS;
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc, Tag};
use crate::params::{Params, invalid};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::Json;
use axum::extract::State;
use http::{Method, Uri};
use serde::Serialize;
use std::sync::Arc;
use tollbook_pricing::{Book, Query};
use tollbook_types::{Conditions, RateCard, Timestamp, canonical_provider, parse_instant};
use utoipa::ToSchema;

/// Prices of a page.
const LIMIT_MAX: usize = 1_000;
const LIMIT_DEFAULT: usize = 200;
/// A longer name is no model's.
const NAME_BYTES_MAX: usize = 256;

/// What its routes are grouped by.
pub const TAG: Tag = Tag { name: "prices", about: "What calls are priced by." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let at = |doc: Doc| doc.query("at", "The instant whose prices count; now unless said.", doc::instant());
    let listing = at(Doc::new(TAG, "List prices"))
        .about("Models that have a price at the instant, by provider.")
        .query("model", "Only models whose name contains this.", doc::text())
        .query("provider", "Only this provider's.", doc::text())
        .query("limit", "So many at most; 200 unless said.", doc::whole(1, LIMIT_MAX as u64))
        .query("cursor", "Where a page begins: the `next_cursor` of the one before.", doc::text())
        .gives(200, "Prices.", [Content::json::<Prices>()])
        .refuses(&[Code::ParameterInvalid, Code::CursorInvalid])
        .refuses(code::READ);
    let matching = at(Doc::new(TAG, "Match a model"))
        .about("Which rule decides, which came close, and what a wrong name is near to.")
        .query("provider", "The provider, by any of its names.", doc::text())
        .query("model", "The model's name, as a call says it.", doc::text())
        .gives(200, "What was found.", [Content::json::<Matched>()])
        .refuses(&[Code::ParameterInvalid])
        .refuses(code::READ);
    vec![
        route(Method::GET, "/api/v1/prices", READERS, list, listing),
        route(Method::GET, "/api/v1/prices/match", READERS, find, matching),
    ]
}

/// A page of prices.
#[derive(Serialize, ToSchema)]
struct Prices {
    data: Vec<ModelPrice>,
    has_more: bool,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The digest of the whole book.
    book: String,
    /// The instant whose prices these are.
    #[schema(value_type = schema::Instant)]
    at: Timestamp,
}

/// What a model costs.
#[derive(Serialize, ToSchema)]
struct ModelPrice {
    provider: String,
    model: String,
    #[schema(value_type = schema::RateCard)]
    price: RateCard,
}

/// How a model's name was understood.
#[derive(Serialize, ToSchema)]
struct Matched {
    provider: String,
    model: String,
    /// Whether it has a price.
    matched: bool,
    #[schema(value_type = Option<schema::RateCard>)]
    price: Option<RateCard>,
    /// Why it has none.
    why_not: Option<String>,
    /// Prices that were considered and did not apply, nearest first.
    others: Vec<Passed>,
    /// Models whose names come near, nearest first.
    near: Vec<Near>,
}

/// A price that did not apply.
#[derive(Serialize, ToSchema)]
#[schema(as = PassedPrice)]
struct Passed {
    /// `provider/model`, or the file and line of a price of one's own.
    price: String,
    /// The rule that matched, in words.
    rule: String,
    /// Why it did not apply.
    why: String,
}

/// A model whose name comes near.
#[derive(Serialize, ToSchema)]
#[schema(as = NearModel)]
struct Near {
    provider: String,
    model: String,
    /// Single-letter edits between the names.
    distance: usize,
}

/// The instant that is asked for, else now.
fn instant(params: &mut Params, now: Timestamp) -> Result<Timestamp, Problem> {
    let told = params.take("at")?;
    told.map_or(Ok(now), |text| parse_instant(&text).map_err(|why| invalid(format!("at is {why}"))))
}

/// Nothing may be left that nobody knows.
fn all_known(params: &Params) -> Result<(), Problem> {
    if params.is_empty() { Ok(()) } else { Err(invalid("a parameter is not known here")) }
}

async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Prices>, Problem> {
    let mut params = Params::of(&uri)?;
    let at = instant(&mut params, shared.clock.now())?;
    let limit = params.limit(LIMIT_MAX)?.unwrap_or(LIMIT_DEFAULT);
    let (text, provider) = (params.take("model")?.map(|text| text.to_lowercase()), params.take("provider")?);
    let cursor = params.take("cursor")?;
    all_known(&params)?;
    let wanted = provider.map(|name| canonical_provider(&name));
    let book = shared.ledger.book();
    let found = shared
        .read(move |_| Ok(page(&book, at, wanted.as_deref(), text.as_deref(), cursor.as_deref(), limit)));
    found
        .await?
        .map(Json)
        .ok_or_else(|| Problem::new(Code::CursorInvalid, "the cursor is of no page of these prices"))
}

/// A page of prices; nothing where the cursor leads nowhere.
fn page(
    book: &Book,
    at: Timestamp,
    provider: Option<&str>,
    text: Option<&str>,
    cursor: Option<&str>,
    limit: usize,
) -> Option<Prices> {
    let models = book.providers().iter().filter(|known| provider.is_none_or(|wanted| wanted == known.id));
    let models =
        models.flat_map(|known| known.models.iter().map(move |model| (known.id.as_str(), model.id.as_str())));
    let mut models = models.filter(|(_, model)| text.is_none_or(|text| model.to_lowercase().contains(text)));
    if let Some(cursor) = cursor {
        models.find(|(provider, model)| {
            cursor.strip_prefix(provider).and_then(|rest| rest.strip_prefix('/')) == Some(model)
        })?;
    }
    let conditions = Conditions::new();
    let mut data: Vec<ModelPrice> = Vec::new();
    let mut has_more = false;
    for (provider, model) in models {
        let query = Query { provider, model, request_model: None, at, conditions: &conditions };
        let Ok(card) = book.card(&query, 0) else { continue };
        if data.len() == limit {
            has_more = true;
            break;
        }
        let price = card.card.clone();
        data.push(ModelPrice { provider: provider.to_owned(), model: model.to_owned(), price });
    }
    let last = data.last().filter(|_| has_more).map(|last| format!("{}/{}", last.provider, last.model));
    Some(Prices { data, has_more, next_cursor: last, book: book.hash().to_owned(), at })
}

async fn find(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Json<Matched>, Problem> {
    let mut params = Params::of(&uri)?;
    let at = instant(&mut params, shared.clock.now())?;
    let provider = params.take("provider")?.ok_or_else(|| invalid("provider has to be there"))?;
    let model = params.take("model")?.ok_or_else(|| invalid("model has to be there"))?;
    all_known(&params)?;
    if provider.len() > NAME_BYTES_MAX || model.len() > NAME_BYTES_MAX {
        return Err(invalid(format!("a name has at most {NAME_BYTES_MAX} bytes")));
    }
    let provider = canonical_provider(&provider);
    let book = shared.ledger.book();
    let found = shared.read(move |_| {
        let conditions = Conditions::new();
        let query =
            Query { provider: &provider, model: &model, request_model: None, at, conditions: &conditions };
        let found = book.explain_match(&query, 0);
        let why_not = found.result.as_ref().err().map(ToString::to_string);
        let price = found.result.ok().map(|card| card.card.clone());
        let others = found.others.into_iter();
        let near = found.near.into_iter();
        Ok(Matched {
            provider,
            model,
            matched: price.is_some(),
            price,
            why_not,
            others: others.map(|lost| Passed { price: lost.price, rule: lost.rule, why: lost.why }).collect(),
            near: near
                .map(|near| Near { provider: near.provider, model: near.model, distance: near.distance })
                .collect(),
        })
    });
    Ok(Json(found.await?))
}
