//! `/api/v1/demo`: three months of calls that never happened, to look around in, and taking them out
//! again.

mod days;

pub use days::{calls, spike};

use crate::access::ADMINS;
use crate::code::{self, Code};
use crate::doc::{Content, Doc, Tag};
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{DemoView, RemovedView};
use axum::extract::State;
use axum::{Extension, Json};
use http::Method;
use std::sync::Arc;
use tollbook_ledger::{By, Ledger, LedgerError};
use tollbook_store::Zone;
use tollbook_types::Timestamp;

/// What its routes are grouped by.
const TAG: Tag = Tag { name: "demo", about: "Calls to look around in, apart from all others." };

/// Its routes.
pub fn routes() -> Vec<Route> {
    let showing = Doc::new(TAG, "Show the demo")
        .gives(200, "Whether there is one.", [Content::json::<DemoView>()])
        .refuses(code::READ);
    let adding = Doc::new(TAG, "Add the demo")
        .about(
            "90 days of calls of a made-up team, today included, with one spike. Their source and project are \
             `demo`; no budget and no metric counts them. Where there is one already, nothing changes.",
        )
        .gives(200, "The demo that is there now.", [Content::json::<DemoView>()])
        .refuses(code::WRITE);
    let removing = Doc::new(TAG, "Remove the demo")
        .about("On return everything is as if it had never been there. Calls of other sources stay.")
        .gives(200, "How many calls went.", [Content::json::<RemovedView>()])
        .refuses(&[Code::Internal])
        .refuses(code::WRITE);
    vec![
        route(Method::GET, "/api/v1/demo", ADMINS, show, showing),
        route(Method::PUT, "/api/v1/demo", ADMINS, put, adding),
        route(Method::DELETE, "/api/v1/demo", ADMINS, remove, removing),
    ]
}

/// Whether there is a demo.
async fn show(State(shared): State<Arc<Shared>>) -> Result<Json<DemoView>, Problem> {
    let (_, zone) = shared.zone();
    Ok(Json(shared.write(move |ledger| Ok(view(ledger, &zone)?)).await?))
}

/// Adds the demo, unless it is there.
async fn put(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
) -> Result<Json<DemoView>, Problem> {
    let (now, (_, zone)) = (shared.clock.now(), shared.zone());
    Ok(Json(shared.write(move |ledger| Ok(add(ledger, &by, now, &zone)?)).await?))
}

/// Takes the demo out.
async fn remove(
    State(shared): State<Arc<Shared>>,
    Extension(by): Extension<By>,
) -> Result<Json<RemovedView>, Problem> {
    let calls = shared.write(move |ledger| Ok(ledger.remove_demo(&by)?)).await?;
    Ok(Json(RemovedView { calls }))
}

/// Adds the demo to books, unless it is there.
pub fn add(ledger: &Ledger, by: &By, now: Timestamp, zone: &Zone) -> Result<DemoView, LedgerError> {
    ledger.add_demo(by, |run| Ok(calls(run, now, zone)))?;
    view(ledger, zone)
}

/// The demo in the books, as it is told.
pub fn view(ledger: &Ledger, zone: &Zone) -> Result<DemoView, LedgerError> {
    let Some(demo) = ledger.demo()? else { return Ok(DemoView::default()) };
    let (spike_from, spike_to) = spike(demo.at, zone).unzip();
    Ok(DemoView { present: true, calls: demo.calls, at: Some(demo.at), spike_from, spike_to })
}
