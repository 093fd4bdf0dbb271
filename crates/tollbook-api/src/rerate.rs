//! `POST /api/v1/rerate`: recorded calls at the prices in force now. First the difference is shown; applied,
//! it is a run that goes on by itself.

use crate::access::ADMINS;
use crate::body;
use crate::code::{self, Code};
use crate::doc::{Content, Doc};
use crate::object::Object;
use crate::prices::TAG;
use crate::problem::Problem;
use crate::question::{self, NamedZone};
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::schema;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tollbook_ledger::{
    By, Changes, Ledger, LedgerError, ModelChange, Rerate, Rerating, Run, Scope, last_rerate,
};
use tollbook_store::{Dimension, Interval, Store, StoreError, UsageQuery, View, Zone};
use tollbook_types::limits::QUESTION_ROWS_MAX;
use tollbook_types::{Money, Seq, TimeRange, Timestamp};
use utoipa::ToSchema;

/// Values of dimensions that calls may have to have.
const MATCHES_MAX: usize = 20;
/// Until what could not be written is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Its routes.
pub fn routes() -> Vec<Route> {
    let rating = Doc::new(TAG, "Rate recorded calls again")
        .about(
            "At the prices in force. Without `apply` nothing changes, and the answer says what would. With it a \
             run begins, which adjusts each call once and goes on by itself; until it has ended, reports carry \
             `run_in_progress`.",
        )
        .takes([Content::json::<RerateAsk>()])
        .gives(200, "What would change.", [Content::json::<RunView>()])
        .gives(202, "The run has begun.", [Content::json::<RunView>()])
        .refuses(&[Code::RangeTooLarge, Code::RunInProgress])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    let looking = Doc::new(TAG, "The latest run")
        .gives(200, "What it is, and once it has ended, what it has changed.", [Content::json::<RunView>()])
        .refuses(&[Code::NotFound])
        .refuses(code::READ);
    vec![
        route(Method::POST, "/api/v1/rerate", ADMINS, rate, rating),
        route(Method::GET, "/api/v1/rerate", ADMINS, latest, looking),
    ]
}

/// Which calls are rated again.
#[derive(ToSchema)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
struct RerateAsk {
    /// Only calls that have no price.
    unpriced: Option<bool>,
    /// Values that calls have, by dimension: `{"model":"house-model"}`.
    #[schema(rename = "match")]
    matching: Option<BTreeMap<String, String>>,
    /// The first day or instant, or `7d`; all time unless said.
    from: Option<String>,
    /// The last day, or the first instant after.
    to: Option<String>,
    /// The IANA zone of days.
    tz: Option<String>,
    /// Adjust the calls; without it the answer only says what would change.
    apply: Option<bool>,
}

/// A run, or what one would change.
#[derive(Serialize, ToSchema)]
#[schema(as = RerateRun)]
struct RunView {
    /// Its name; `null` where nothing was begun.
    run: Option<String>,
    unpriced: bool,
    #[serde(rename = "match")]
    matching: BTreeMap<String, String>,
    #[schema(value_type = Option<schema::Instant>)]
    from: Option<Timestamp>,
    #[schema(value_type = Option<schema::Instant>)]
    to: Option<Timestamp>,
    /// The last record that it covers.
    position: Option<Seq>,
    /// The hash of its price book.
    book: String,
    #[schema(value_type = Option<schema::Instant>)]
    started_at: Option<Timestamp>,
    /// `null` while it goes on.
    #[schema(value_type = Option<schema::Instant>)]
    ended_at: Option<Timestamp>,
    /// Why it ended before it had looked at everything.
    stopped: Option<String>,
    /// `null` while it goes on.
    changes: Option<ChangesView>,
}

/// What changes.
#[derive(Serialize, ToSchema)]
#[schema(as = RerateChanges)]
struct ChangesView {
    /// Calls that were rated again.
    looked_at: u64,
    /// Those that cost something else by it.
    calls: u64,
    /// What these cost before, as far as they had a price.
    #[schema(value_type = schema::Usd)]
    before_usd: Money,
    /// What they cost then.
    #[schema(value_type = schema::Usd)]
    after_usd: Money,
    /// The same by model, the most calls first; at most 200.
    models: Vec<ModelView>,
}

/// What changes for a model.
#[derive(Serialize, ToSchema)]
#[schema(as = RerateModel)]
struct ModelView {
    provider: String,
    model: String,
    calls: u64,
    /// `null` where no call had a price.
    #[schema(value_type = Option<schema::Usd>)]
    before_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    after_usd: Option<Money>,
}

async fn rate(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let encoding = body::Encoding::of(&headers)?;
    let bytes = body::read(&headers, body).await?;
    let bytes = body::decode(encoding, bytes)?;
    let (scope, apply) = read(&bytes, &shared.options.zone, shared.clock.now())?;
    if apply {
        let weak = Arc::downgrade(&shared.ledger);
        let begun = shared.write(move |ledger| Ok(ledger.begin_rerate(&by, ledger.book(), scope)?)).await?;
        let answer = Json(shown(begun.run().clone()));
        tokio::spawn(take_on(weak, begun));
        return Ok((StatusCode::ACCEPTED, answer).into_response());
    }
    let query = UsageQuery {
        range: scope.range(),
        interval: Interval::None,
        zone: Zone::UTC,
        group_by: Vec::new(),
        filters: scope.filters()?,
        view: View::Corrected,
    };
    shared.read(move |store| refuse_many(store, &query)).await?;
    let plan = shared.write(move |ledger| {
        ledger.flush()?;
        let book = ledger.book();
        let plan = Rerate::plan(&**ledger.store(), &book, &scope, 0)?;
        Ok(planned(book.hash(), scope, plan.changes))
    });
    Ok(Json(plan.await?).into_response())
}

async fn latest(State(shared): State<Arc<Shared>>) -> Result<Json<RunView>, Problem> {
    let latest = shared.write(|ledger| Ok(last_rerate(&**ledger.store())?)).await?;
    let run = latest.ok_or_else(|| Problem::not_found("no calls were rated again yet"))?;
    Ok(Json(shown(run)))
}

/// Takes on the run that an end, or a crash, has left unfinished, if there is one.
pub async fn go_on(ledger: Weak<Ledger>) {
    loop {
        let Some(books) = ledger.upgrade() else { return };
        match tokio::task::spawn_blocking(move || books.open_rerate()).await {
            Ok(Ok(None)) => return,
            Ok(Ok(Some(rerating))) => return take_on(ledger, rerating).await,
            Ok(Err(error)) => tracing::warn!("whether calls are to be rated again is not known yet: {error}"),
            Err(_) => return tracing::error!("looking for an unfinished run failed"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// Takes a run on until it has ended, or there is no ledger any more: then the next start goes on with it.
pub async fn take_on(ledger: Weak<Ledger>, mut rerating: Rerating) {
    loop {
        let Some(ledger) = ledger.upgrade() else { return };
        let step = tokio::task::spawn_blocking(move || {
            let done = ledger.rerate_on(&mut rerating);
            (rerating, done)
        });
        let Ok((same, done)) = step.await else {
            tracing::error!("rating calls again failed; the next start goes on with it");
            return;
        };
        rerating = same;
        match done {
            Ok(None) => {}
            Ok(Some(run)) => {
                let calls = run.changes.map_or(0, |changes| changes.calls);
                tracing::info!(run = run.run, calls, "calls were rated again");
                return;
            }
            Err(LedgerError::Fatal(_)) => return,
            Err(error) => {
                tracing::warn!("rating calls again waits: {error}");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

fn read(text: &[u8], zone: &NamedZone, now: Timestamp) -> Result<(Scope, bool), Problem> {
    let mut object = Object::read(text)?;
    let matching = object.texts("match");
    if matching.len() > MATCHES_MAX {
        object.fault("match", Code::FieldTooLarge, &format!("has at most {MATCHES_MAX} members"));
    }
    if let Some(problem) = matching.keys().find_map(|name| name.parse::<Dimension>().err()) {
        object.fault("match", Code::FieldInvalid, &problem);
    }
    let named = object.text("tz").map(|name| NamedZone::find(&name));
    let zone = match named {
        None => zone.clone(),
        Some(Ok(zone)) => zone,
        Some(Err(problem)) => {
            object.fault("tz", Code::FieldInvalid, &problem);
            zone.clone()
        }
    };
    let (from, to) = (object.text("from"), object.text("to"));
    let range = question::range(from.as_deref(), to.as_deref(), &zone.zone, now).unwrap_or_else(|problem| {
        object.fault("from", Code::FieldInvalid, &problem);
        TimeRange::ALL
    });
    let (unpriced, apply) = (object.flag("unpriced"), object.flag("apply"));
    object.finish()?;
    Ok((Scope { from: range.from, to: range.to, unpriced, matching }, apply))
}

/// Nobody waits for more calls to be rated than one question may read. A run has no such bound.
fn refuse_many(store: &dyn Store, query: &UsageQuery) -> Result<(), StoreError> {
    let rows = store.usage(query)?.total.calls;
    match rows <= QUESTION_ROWS_MAX {
        true => Ok(()),
        false => Err(StoreError::RangeTooLarge { rows, limit: QUESTION_ROWS_MAX }),
    }
}

fn planned(book: &str, scope: Scope, changes: Changes) -> RunView {
    RunView {
        run: None,
        position: None,
        book: book.to_owned(),
        started_at: None,
        ended_at: None,
        stopped: None,
        unpriced: scope.unpriced,
        matching: scope.matching,
        from: scope.from,
        to: scope.to,
        changes: Some(told(changes)),
    }
}

fn shown(run: Run) -> RunView {
    let Run { run, scope, position, book, started_at, ended_at, stopped, changes } = run;
    RunView {
        run: Some(run),
        position: Some(position),
        book,
        started_at: Some(started_at),
        ended_at,
        stopped,
        unpriced: scope.unpriced,
        matching: scope.matching,
        from: scope.from,
        to: scope.to,
        changes: changes.map(told),
    }
}

fn told(changes: Changes) -> ChangesView {
    let Changes { looked_at, calls, before_usd, after_usd, models } = changes;
    let model = |change: ModelChange| {
        let ModelChange { provider, model, calls, before_usd, after_usd } = change;
        ModelView { provider, model, calls, before_usd, after_usd }
    };
    ChangesView { looked_at, calls, before_usd, after_usd, models: models.into_iter().map(model).collect() }
}
