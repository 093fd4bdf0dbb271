//! One call: the event's members, what it used, what it cost, and what was corrected since.

use super::captured::CapturedView;
use super::quantity::QuantitiesView;
use super::schema;
use serde::Serialize;
use std::collections::BTreeMap;
use tollbook_store::{State, StoredCall};
use tollbook_types::{
    Adjustment, Attribution, Conditions, CostBasis, Evidence, FreeReason, LegRating, Meters, Money, Status,
    Timestamp, Usage,
};
use utoipa::ToSchema;

/// A call in the state that counts.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Call)]
pub struct CallView {
    pub id: String,
    pub source: String,
    #[schema(value_type = schema::Instant)]
    pub occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Instant>)]
    pub recorded_at: Option<Timestamp>,
    pub provider: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    #[schema(value_type = schema::Status)]
    pub status: Status,
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(flatten)]
    #[schema(value_type = schema::Attribution)]
    pub attribution: Attribution,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub conditions: Conditions,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_to_first_token_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_response_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<String>,
    #[schema(value_type = Option<schema::Quantities>)]
    pub usage: Option<QuantitiesView>,
    pub legs: Vec<Leg>,
    #[schema(value_type = Option<schema::Usd>)]
    pub cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub input_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub output_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub other_cost_usd: Option<Money>,
    #[schema(value_type = schema::CostBasis)]
    pub cost_basis: CostBasis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub provider_cost_usd: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub book_cost_usd: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub billed_cost_usd: Option<Option<Money>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub worst_case_usd: Option<Money>,
    pub price_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced_because: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::FreeReason>)]
    pub free: Option<FreeReason>,
    #[schema(value_type = schema::Evidence)]
    pub evidence: Evidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub saved_usd: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    pub adjustments: Vec<Correction>,
    /// Prompt and answer, of one call alone, where they were captured and whoever asks may see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub captured: Option<CapturedView>,
}

/// One billed part.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Leg {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[schema(value_type = schema::Meters)]
    pub meters: Meters,
    #[schema(value_type = Option<schema::Usd>)]
    pub cost_usd: Option<Money>,
}

/// A later state.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Correction {
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    #[schema(value_type = schema::Instant)]
    pub at: Timestamp,
    pub reason: String,
    #[schema(value_type = schema::Evidence)]
    pub evidence: Evidence,
    #[schema(value_type = Option<schema::Quantities>)]
    pub usage: Option<QuantitiesView>,
    #[schema(value_type = Option<schema::Usd>)]
    pub cost_usd: Option<Money>,
    #[schema(value_type = schema::CostBasis)]
    pub cost_basis: CostBasis,
    pub price_id: Option<String>,
}

impl CallView {
    /// The call with all its corrections.
    pub fn of(call: &StoredCall) -> CallView {
        let event = call.entry.event.clone();
        let state = call.corrected();
        let rating = state.rating.clone();
        let is_corrected = !call.adjustments.is_empty();
        CallView {
            legs: legs(&event.model, state.usage.as_ref(), &rating.legs),
            usage: quantities(state.usage.as_ref()),
            id: event.id,
            source: event.source,
            occurred_at: event.occurred_at,
            recorded_at: (call.seq > 0).then_some(call.entry.recorded_at),
            provider: event.provider,
            model: event.model,
            request_model: event.request_model,
            api: event.api,
            status: event.status,
            error: event.error,
            http_status: event.http_status,
            attribution: state.attribution,
            service_tier: state.conditions.get("service_tier").cloned(),
            conditions: state.conditions,
            latency_ms: event.latency_ms,
            time_to_first_token_ms: event.time_to_first_token_ms,
            provider_response_id: event.provider_response_id,
            hold_id: event.hold_id,
            cost_usd: rating.cost,
            input_cost_usd: rating.input_cost,
            output_cost_usd: rating.output_cost,
            other_cost_usd: rating.other_cost,
            cost_basis: rating.basis,
            provider_cost_usd: state.provider_cost.map(|bill| bill.total),
            book_cost_usd: rating.book_cost,
            billed_cost_usd: is_corrected.then_some(call.entry.rating.cost),
            worst_case_usd: rating.worst_case,
            price_id: rating.price_id,
            unpriced_because: rating.note,
            free: state.free,
            evidence: state.evidence,
            estimator: state.estimator,
            saved_usd: event.cache_hit.as_ref().map(|hit| hit.saved),
            saved_tokens: event.cache_hit.as_ref().map(|hit| hit.saved_tokens),
            flags: state.flags,
            adjustments: call.adjustments.iter().map(|(_, _, adjustment)| correction(adjustment)).collect(),
            captured: None,
        }
    }

    /// A state's cost in words where it has none: `unpriced`, `unknown`.
    pub fn without_cost(state: &State) -> &'static str {
        match state.rating.basis {
            CostBasis::UnknownUsage => "unknown",
            CostBasis::Inconsistent => "inconsistent",
            _ => "unpriced",
        }
    }
}

fn correction(adjustment: &Adjustment) -> Correction {
    Correction {
        version: adjustment.version,
        run: adjustment.run.clone(),
        at: adjustment.at,
        reason: adjustment.reason.clone(),
        evidence: adjustment.evidence,
        usage: quantities(adjustment.usage.as_ref()),
        cost_usd: adjustment.rating.cost,
        cost_basis: adjustment.rating.basis,
        price_id: adjustment.rating.price_id.clone(),
    }
}

fn quantities(usage: Option<&Usage>) -> Option<QuantitiesView> {
    usage.cloned().map(QuantitiesView)
}

fn legs(model: &str, usage: Option<&Usage>, ratings: &[LegRating]) -> Vec<Leg> {
    let legs = usage.map_or(&[][..], |usage| &usage.legs);
    let costs = ratings.iter().map(|rating| rating.cost).chain(std::iter::repeat(None));
    let view = |(leg, cost): (&tollbook_types::Leg, Option<Money>)| Leg {
        model: leg.model.clone().unwrap_or_else(|| model.to_owned()),
        kind: leg.kind.clone(),
        meters: leg.meters.clone(),
        cost_usd: cost,
    };
    legs.iter().zip(costs).map(view).collect()
}
