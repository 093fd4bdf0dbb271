//! `POST /api/v1/calls/{id}/settle`: what became of a call whose usage or cost is not known.

use crate::access::{ADMINS, Caller};
use crate::body;
use crate::calls::{TAG, Wanted};
use crate::code::{self, Code};
use crate::doc::{self, Content, Doc};
use crate::object::Object;
use crate::problem::Problem;
use crate::routes::{Route, route};
use crate::shared::Shared;
use crate::wire::{CallView, schema};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tollbook_ledger::{Act, By, Settlement};
use tollbook_types::{Money, Timestamp};
use tollbook_usage::import::{Context, native};
use utoipa::ToSchema;

/// A reason, in characters.
const REASON_CHARS_MAX: usize = 500;

/// Its route.
pub fn routes() -> Vec<Route> {
    let settling = Doc::new(TAG, "Settle a call")
        .about(
            "Says what a call used or cost of which that is unknown: `usage`, `cost_usd` or `none`. It is an \
             adjustment, as any correction; strict budgets count it as spent then, and no longer as unsettled.",
        )
        .path("id", "The id that the call was recorded under.")
        .query("project", "Of which project, where several have the id.", doc::text())
        .query("source", "Where it came in, where several have the id.", doc::text())
        .takes([Content::json::<SettleAsk>()])
        .gives(200, "The call as it is now.", [Content::json::<CallView>()])
        .refuses(&[Code::ParameterInvalid, Code::NotFound, Code::AmbiguousId])
        .refuses(&[Code::UsageInconsistent])
        .refuses(code::BODY)
        .refuses(code::JSON)
        .refuses(code::MEMBERS)
        .refuses(code::WRITE);
    vec![route(Method::POST, "/api/v1/calls/{id}/settle", ADMINS, settle, settling)]
}

/// What became of a call: one of the three, and why.
#[derive(ToSchema)]
#[schema(as = Settlement)]
#[expect(dead_code, reason = "members are read one by one, so that all that is wrong is told at once")]
struct SettleAsk {
    /// It used this: as `usage` of an event.
    usage: Option<BTreeMap<String, u64>>,
    /// It cost this.
    #[schema(value_type = Option<schema::Usd>)]
    cost_usd: Option<String>,
    /// It cost nothing.
    none: Option<bool>,
    /// Why, for those who read the books later.
    reason: String,
}

async fn settle(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Extension(by): Extension<By>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<CallView>, Problem> {
    let wanted = Wanted::of(id, &uri, caller.scope())?;
    let encoding = body::Encoding::of(&headers)?;
    let bytes = body::decode(encoding, body::read(&headers, body).await?)?;
    let (settlement, reason) = read(&bytes, shared.clock.now())?;
    let settled = shared.write(move |ledger| {
        ledger.flush()?;
        let call = wanted.find(&**ledger.store())??;
        ledger.audit(&by, Act::new("call.settle").on("call", call.entry.event.id.as_str()))?;
        ledger.settle(call.seq, &settlement, &reason)?;
        let settled = ledger.store().call(call.seq)?;
        settled.map(|call| CallView::of(&call)).ok_or_else(|| Problem::not_found("the call is gone"))
    });
    Ok(Json(settled.await?))
}

fn read(text: &[u8], now: Timestamp) -> Result<(Settlement, String), Problem> {
    let mut object = Object::read(text)?;
    let reason = object.text("reason").unwrap_or_default();
    match reason.trim().chars().count() {
        0 => object.missing("reason"),
        count if count > REASON_CHARS_MAX => {
            object.fault(
                "reason",
                Code::FieldTooLarge,
                &format!("has at most {REASON_CHARS_MAX} characters"),
            );
        }
        _ => {}
    }
    let told = [object.has("usage"), object.has("cost_usd"), object.flag("none")];
    if told.iter().filter(|is_told| **is_told).count() != 1 {
        object.fault("usage", Code::FieldInvalid, "say one: usage, cost_usd or none");
    }
    let cost = object.text("cost_usd").map(|text| text.parse::<Money>());
    let usage = object.value("usage");
    let settlement = match (cost, usage) {
        (Some(Ok(cost)), _) if !cost.is_negative() => Settlement::Cost(cost),
        (Some(_), _) => {
            object.fault("cost_usd", Code::FieldInvalid, "must be decimal text of dollars, not below 0");
            Settlement::None
        }
        (None, Some(usage)) => {
            object.finish()?;
            return Ok((Settlement::Usage(meters(usage, now)?), reason));
        }
        (None, None) => Settlement::None,
    };
    object.finish()?;
    Ok((settlement, reason))
}

/// Reads a usage with the rules of an event's.
fn meters(usage: Value, now: Timestamp) -> Result<tollbook_types::Meters, Problem> {
    let told = json!({"id": "settled", "provider": "settled", "model": "settled", "usage": usage});
    let context = Context { at: Some(now), ..Context::new("settled", now) };
    let event = native::parse_value(&told, &context).map_err(Problem::of_input)?;
    Ok(event.usage.map(|usage| usage.total()).unwrap_or_default())
}
