//! Why a call costs what it costs: the provider's own words, the disjoint meters, the rates that
//! applied and where they are from, every line as an integer product, and the sums.
//!
//! The lines are computed anew from the recorded card and compared with what is recorded, so an
//! explanation needs no price book and no network, and a wrong record cannot explain itself.

use super::CallView;
use super::call::Correction;
use super::quantity::QuantitiesView;
use super::schema;
use serde::Serialize;
use tollbook_store::{State, StoredCall};
use tollbook_types::{
    CardId, Conditions, CostBasis, CostLine, Evidence, LegRating, Meters, Money, ProviderCost, RateCard,
    Timestamp,
};
use utoipa::ToSchema;

/// Whether the recorded figures came out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Every line and sum came out as recorded.
    Equal,
    /// Something came out otherwise, or the recorded card is missing or damaged.
    Differs,
    /// No line stands behind the cost: it is the provider's own, 0, or absent.
    Nothing,
}

/// The whole explanation of one call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Explanation {
    pub id: String,
    pub source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    pub entry: u64,
    #[schema(value_type = schema::Instant)]
    pub occurred_at: Timestamp,
    #[schema(value_type = schema::Instant)]
    pub recorded_at: Timestamp,
    pub provider: String,
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    #[schema(value_type = schema::Evidence)]
    pub evidence: Evidence,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    pub raw_usage: Option<String>,
    #[serde(skip_serializing_if = "Conditions::is_empty")]
    #[schema(value_type = BTreeMap<String, String>)]
    pub conditions: Conditions,
    pub flags: Vec<String>,
    #[schema(value_type = Option<schema::Quantities>)]
    pub usage: Option<QuantitiesView>,
    pub legs: Vec<LegView>,
    #[schema(value_type = schema::CostBasis)]
    pub cost_basis: CostBasis,
    pub basis_in_words: String,
    #[schema(value_type = Option<schema::Usd>)]
    pub cost_usd: Option<Money>,
    pub cost_picos: Option<String>,
    #[schema(value_type = Option<schema::Usd>)]
    pub input_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub output_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub other_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::Usd>)]
    pub book_cost_usd: Option<Money>,
    #[schema(value_type = Option<schema::ProviderCost>)]
    pub provider_cost: Option<ProviderCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Usd>)]
    pub worst_case_usd: Option<Money>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpriced_because: Option<String>,
    pub recomputed: Check,
    pub adjustments: Vec<Correction>,
    pub identities: Vec<IdentityView>,
}

/// One billed part with its lines.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExplainedLeg)]
pub struct LegView {
    pub model: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[schema(value_type = schema::Meters)]
    pub meters: Meters,
    #[schema(value_type = Option<String>)]
    pub card_id: Option<CardId>,
    #[schema(value_type = Option<schema::RateCard>)]
    pub price: Option<RateCard>,
    pub lines: Vec<LineView>,
    #[schema(value_type = Option<schema::Usd>)]
    pub cost_usd: Option<Money>,
    pub recomputed: Check,
}

/// One line, with its amount in picodollars too.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Line)]
pub struct LineView {
    #[serde(flatten)]
    #[schema(value_type = schema::CostLine)]
    pub line: CostLine,
    pub cost_picos: String,
}

/// An identity that resolves to the call.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Identity)]
pub struct IdentityView {
    pub project: Option<String>,
    pub source: String,
    pub id: String,
}

/// Explains a call. `card` finds a recorded rate card.
pub fn explain<E>(
    call: &StoredCall,
    mut card: impl FnMut(CardId) -> Result<Option<RateCard>, E>,
) -> Result<Explanation, E> {
    let state = call.corrected();
    let view = CallView::of(call);
    let event = &call.entry.event;
    let usage_legs = state.usage.as_ref().map_or(&[][..], |usage| &usage.legs);
    let none = LegRating::default();
    let mut legs = Vec::new();
    for (nth, leg) in usage_legs.iter().enumerate() {
        let rating = state.rating.legs.get(nth).unwrap_or(&none);
        let found = rating.card.map(&mut card).transpose()?.flatten();
        let model = leg.model.clone().unwrap_or_else(|| event.model.clone());
        legs.push(leg_view(model, leg.kind.clone(), &leg.meters, rating, found));
    }
    let recomputed = check(&state, &legs);
    let identities = call.joined.iter().map(|(identity, _)| IdentityView {
        project: identity.project.clone(),
        source: identity.source.clone(),
        id: identity.id.clone(),
    });
    Ok(Explanation {
        id: view.id,
        source: view.source,
        project: view.attribution.project,
        entry: call.seq,
        occurred_at: view.occurred_at,
        recorded_at: call.entry.recorded_at,
        provider: view.provider,
        model: view.model,
        request_model: view.request_model,
        evidence: state.evidence,
        estimator: state.estimator.clone(),
        raw_usage: state.raw_usage.clone(),
        conditions: state.conditions.clone(),
        flags: state.flags.clone(),
        usage: view.usage,
        basis_in_words: basis_in_words(&state),
        cost_basis: state.rating.basis,
        cost_usd: state.rating.cost,
        cost_picos: state.rating.cost.map(|cost| cost.picos().to_string()),
        input_cost_usd: state.rating.input_cost,
        output_cost_usd: state.rating.output_cost,
        other_cost_usd: state.rating.other_cost,
        book_cost_usd: state.rating.book_cost,
        provider_cost: state.provider_cost.clone(),
        worst_case_usd: state.rating.worst_case,
        unpriced_because: state.rating.note.clone(),
        recomputed,
        adjustments: view.adjustments,
        identities: identities.collect(),
        legs,
    })
}

fn leg_view(
    model: String,
    kind: Option<String>,
    meters: &Meters,
    rating: &LegRating,
    found: Option<RateCard>,
) -> LegView {
    let genuine = found.filter(|card| Some(card.id()) == rating.card);
    let lines =
        genuine.as_ref().and_then(|card| tollbook_pricing::lines(meters, card).ok()).unwrap_or_default();
    let sum = Money::checked_sum(lines.iter().map(|line| line.cost));
    let recomputed = match (rating.card, rating.cost) {
        (Some(_), Some(cost)) if genuine.is_some() && sum == Some(cost) && sides_agree(&lines, rating) => {
            Check::Equal
        }
        (_, Some(_)) => Check::Differs,
        (_, None) => Check::Nothing,
    };
    LegView {
        model,
        kind,
        meters: meters.clone(),
        card_id: rating.card,
        price: genuine,
        lines: lines.into_iter().map(line_view).collect(),
        cost_usd: rating.cost,
        recomputed,
    }
}

fn line_view(line: CostLine) -> LineView {
    LineView { cost_picos: line.cost.picos().to_string(), line }
}

fn sides_agree(lines: &[CostLine], rating: &LegRating) -> bool {
    use tollbook_types::Side;
    let sum = |side: Side| {
        Money::checked_sum(lines.iter().filter(|line| line.meter.side() == side).map(|line| line.cost))
    };
    [(Side::Input, rating.input_cost), (Side::Output, rating.output_cost), (Side::Other, rating.other_cost)]
        .into_iter()
        .all(|(side, recorded)| recorded.is_none() || recorded == sum(side))
}

/// Whether legs and sums of the whole call came out again.
fn check(state: &State, legs: &[LegView]) -> Check {
    let rating = &state.rating;
    if legs.iter().any(|leg| leg.recomputed == Check::Differs) {
        return Check::Differs;
    }
    let sides = [rating.input_cost, rating.output_cost, rating.other_cost];
    if let Some(cost) = rating.cost
        && sides.iter().all(Option::is_some)
        && Money::checked_sum(sides.into_iter().flatten()) != Some(cost)
    {
        return Check::Differs;
    }
    let Some(book_cost) = rating.book_cost else { return Check::Nothing };
    let sum = Money::checked_sum(legs.iter().filter_map(|leg| leg.cost_usd));
    let is_ours =
        matches!(rating.basis, CostBasis::Book | CostBasis::Override) && state.provider_cost.is_none();
    if sum != Some(book_cost) || (is_ours && rating.cost != sum) {
        return Check::Differs;
    }
    Check::Equal
}

fn basis_in_words(state: &State) -> String {
    match state.rating.basis {
        CostBasis::Override if state.provider_cost.is_some() => {
            "your own price, discount or markup, before the provider's bill".to_owned()
        }
        CostBasis::Override => "your own price, discount or markup".to_owned(),
        CostBasis::Provider => match &state.provider_cost {
            Some(bill) => format!("the bill that the provider reported ({})", bill.field),
            None => "the bill that the provider reported".to_owned(),
        },
        CostBasis::Book => "the price book".to_owned(),
        CostBasis::Free => format!("nothing was billable{}", free_words(state)),
        CostBasis::Unpriced => "no price matched: the cost is absent, not 0".to_owned(),
        CostBasis::UnknownUsage => "the usage is unknown: the cost is absent, not 0".to_owned(),
        CostBasis::Inconsistent => {
            "the provider's figures contradict each other: the cost is absent, not 0".to_owned()
        }
    }
}

fn free_words(state: &State) -> &'static str {
    use tollbook_types::FreeReason;
    match state.free {
        Some(FreeReason::HttpError) => ": the provider answered with an error and reported no usage",
        Some(FreeReason::CountTokens) => ": a token-counting request",
        Some(FreeReason::NotBillable) => ": a request that starts no billable work",
        Some(FreeReason::CacheHit) => ": answered from the response cache",
        Some(FreeReason::NeverSent) => ": it was never sent",
        Some(FreeReason::Settled) => ": settled by hand",
        None => "",
    }
}
