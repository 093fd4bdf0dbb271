//! One call folded into sums: the one place that says what a call adds to which model.
//!
//! Every back end builds its rollups and its raw sums from [`call_measures`], so they cannot
//! differ in what they count, only in how they add. This module must never know how calls are kept.
//!
//! # Legs
//! A call counts once, at its event's model, which is always the first item. Each leg of another
//! model adds its meters and money to that model with 0 calls. Summed over the items of a call,
//! the meters are those of all legs and the money is the call's rating, to the picodollar; in
//! every item `cost = input_cost + output_cost + other_cost`.
//!
//! # Money of several legs
//! If every leg has a cost with its sides, and the legs' sides add up to the call's sides, each
//! leg has its own. Otherwise (a provider's bill, an override, a leg without a price) nobody knows
//! whose money it is, and all of it stays at the event's model.

use crate::query::{Dimension, Filter, Measures};
use crate::stored::State;
use tollbook_types::{Adjustment, CostBasis, Entry, Event, Evidence, LegRating, Money, Rating, Usage};

/// The part of a call's state that sums are made of.
#[derive(Clone, Copy, Debug)]
pub struct Summed<'a> {
    /// What it used.
    pub usage: Option<&'a Usage>,
    /// How that is known.
    pub evidence: Evidence,
    /// The rating.
    pub rating: &'a Rating,
}

impl<'a> From<&'a State> for Summed<'a> {
    fn from(state: &'a State) -> Summed<'a> {
        Summed { usage: state.usage.as_ref(), evidence: state.evidence, rating: &state.rating }
    }
}

impl<'a> From<&'a Entry> for Summed<'a> {
    fn from(entry: &'a Entry) -> Summed<'a> {
        let event = &entry.event;
        Summed { usage: event.usage.as_ref(), evidence: event.evidence, rating: &entry.rating }
    }
}

impl<'a> From<&'a Adjustment> for Summed<'a> {
    fn from(state: &'a Adjustment) -> Summed<'a> {
        Summed { usage: state.usage.as_ref(), evidence: state.evidence, rating: &state.rating }
    }
}

/// What a call in some state adds, by model. The first item is the event's model, with 1 call; the
/// others are further models in the order of their legs, with 0 calls. Models are distinct.
pub fn call_measures<'a>(event: &'a Event, state: impl Into<Summed<'a>>) -> Vec<(&'a str, Measures)> {
    let state: Summed<'a> = state.into();
    let mut items = vec![(event.model.as_str(), whole_call(event, state))];
    let legs = state.usage.map_or(&[][..], |usage| &usage.legs);
    let whole = Sides::of_call(state.rating);
    let is_of_others = legs.iter().any(|leg| leg.model.as_ref().is_some_and(|model| *model != event.model));
    // Where all legs are of one model, whose money it is makes no difference.
    let own = if is_of_others { leg_sides(state.rating, legs.len(), whole) } else { None };
    for (index, leg) in legs.iter().enumerate() {
        let model = leg.model.as_deref().unwrap_or(&event.model);
        let at = match items.iter().position(|(known, _)| *known == model) {
            Some(at) => at,
            None => {
                items.push((model, Measures::default()));
                items.len() - 1
            }
        };
        let measures = &mut items[at].1;
        measures.meters.add_all(&leg.meters);
        if let Some(own) = &own {
            own[index].add_to(measures);
        }
    }
    if own.is_none() {
        whole.add_to(&mut items[0].1);
    }
    items
}

/// What one part of a call adds: a leg, or what belongs to no leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part<'a> {
    /// Which leg of the usage.
    pub leg: Option<usize>,
    /// Its model.
    pub model: &'a str,
    /// What it adds.
    pub measures: Measures,
    /// Whether the call's cost, or this part's share of it, stands in `measures`.
    pub has_cost: bool,
}

/// [`call_measures`] leg by leg: what it adds to a model is the sum of the parts with that model. The
/// call counts at the first leg of the event's model; without such a leg a part of its own is first.
pub fn call_parts<'a>(event: &'a Event, state: &'a State) -> Vec<Part<'a>> {
    let legs = state.usage.as_ref().map_or(&[][..], |usage| &usage.legs);
    let whole = Sides::of_call(&state.rating);
    let own = leg_sides(&state.rating, legs.len(), whole);
    let mut parts: Vec<Part<'_>> = Vec::with_capacity(legs.len() + 1);
    for (index, leg) in legs.iter().enumerate() {
        let model = leg.model.as_deref().unwrap_or(&event.model);
        let mut measures = Measures { meters: leg.meters.clone(), ..Measures::default() };
        if let Some(own) = &own {
            own[index].add_to(&mut measures);
        }
        parts.push(Part { leg: Some(index), model, measures, has_cost: own.is_some() });
    }
    let home = parts.iter().position(|part| part.model == event.model).unwrap_or_else(|| {
        let measures = Measures::default();
        parts.insert(0, Part { leg: None, model: &event.model, measures, has_cost: false });
        0
    });
    let home = &mut parts[home];
    let Measures { meters, cost, input_cost, output_cost, other_cost, .. } =
        std::mem::take(&mut home.measures);
    let counts = whole_call(event, state.into());
    home.measures = Measures { meters, cost, input_cost, output_cost, other_cost, ..counts };
    if own.is_none() {
        whole.add_to(&mut home.measures);
        home.has_cost = state.rating.cost.is_some();
    }
    parts
}

/// [`call_parts`] of what passes the filters, as with [`filtered_measures`].
pub fn filtered_parts<'a>(event: &'a Event, state: &'a State, filters: &[Filter]) -> Vec<Part<'a>> {
    if !admits_call(event, state, filters) {
        return Vec::new();
    }
    let mut parts = call_parts(event, state);
    parts.retain(|part| admits_model(part.model, filters));
    parts
}

/// [`call_measures`] of what passes the filters: a condition on anything but the model decides on
/// the whole call, a condition on the model on each item. So a call whose event's model does not
/// pass but one of whose legs does adds that leg, with 0 calls.
pub fn filtered_measures<'a>(
    event: &'a Event,
    state: &'a State,
    filters: &[Filter],
) -> Vec<(&'a str, Measures)> {
    if !admits_call(event, state, filters) {
        return Vec::new();
    }
    let mut items = call_measures(event, state);
    items.retain(|(model, _)| admits_model(model, filters));
    items
}

/// Whether a call is listed under the filters: exactly when [`filtered_measures`] has an item.
pub fn admits(event: &Event, state: &State, filters: &[Filter]) -> bool {
    let legs = state.usage.iter().flat_map(|usage| &usage.legs);
    let mut models = legs.filter_map(|leg| leg.model.as_deref()).chain([event.model.as_str()]);
    admits_call(event, state, filters) && models.any(|model| admits_model(model, filters))
}

/// The value of a dimension for a call in some state, for the leg (or call) at `model`. Attribution
/// and evidence are those of the state; an empty model is the value "", not absent.
pub fn dimension_value<'a>(
    dimension: &Dimension,
    event: &'a Event,
    state: &'a State,
    model: &'a str,
) -> Option<&'a str> {
    match dimension {
        Dimension::Provider => Some(&event.provider),
        Dimension::Model => Some(model),
        Dimension::Status => Some(event.status.name()),
        Dimension::Source => Some(&event.source),
        Dimension::Evidence => Some(state.evidence.name()),
        of_account => of_account.on_account(&state.attribution),
    }
}

fn admits_call(event: &Event, state: &State, filters: &[Filter]) -> bool {
    let mut others = filters.iter().filter(|filter| filter.dimension != Dimension::Model);
    others.all(|filter| filter.admits(dimension_value(&filter.dimension, event, state, &event.model)))
}

fn admits_model(model: &str, filters: &[Filter]) -> bool {
    let mut conditions = filters.iter().filter(|filter| filter.dimension == Dimension::Model);
    conditions.all(|filter| filter.admits(Some(model)))
}

/// What counts once for the whole call, whatever its legs.
fn whole_call(event: &Event, state: Summed<'_>) -> Measures {
    let rating = state.rating;
    let priced = rating.cost.filter(|_| !event.is_error());
    Measures {
        calls: 1,
        errors: u64::from(event.is_error()),
        unpriced_calls: u64::from(matches!(rating.basis, CostBasis::Unpriced | CostBasis::Inconsistent)),
        estimated_calls: u64::from(matches!(state.evidence, Evidence::Estimated | Evidence::Partial)),
        unknown_calls: u64::from(state.evidence == Evidence::Unknown && rating.cost.is_none()),
        cache_hits: u64::from(event.cache_hit.is_some()),
        saved: event.cache_hit.as_ref().map_or(Money::ZERO, |hit| hit.saved),
        cost_min: priced,
        cost_max: priced,
        latency_sum_ms: event.latency_ms.unwrap_or(0),
        latency_count: u64::from(event.latency_ms.is_some()),
        ..Measures::default()
    }
}

/// A cost in its three parts, which add up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sides {
    cost: Money,
    input: Money,
    output: Money,
    other: Money,
}

impl Sides {
    /// The call's cost; whatever is on neither side is a fee.
    fn of_call(rating: &Rating) -> Sides {
        let Some(cost) = rating.cost else { return Sides::default() };
        let input = rating.input_cost.unwrap_or_default();
        let output = rating.output_cost.unwrap_or_default();
        let all_fees = Sides { cost, other: cost, ..Sides::default() };
        let other = cost.checked_sub(input).and_then(|rest| rest.checked_sub(output));
        other.map_or(all_fees, |other| Sides { cost, input, output, other })
    }

    /// A leg's own cost, if it has one whose sides are known and add up.
    fn of_leg(leg: &LegRating) -> Option<Sides> {
        let (cost, input, output, other) = (leg.cost?, leg.input_cost?, leg.output_cost?, leg.other_cost?);
        (Money::checked_sum([input, output, other])? == cost).then_some(Sides { cost, input, output, other })
    }

    fn checked_add(self, more: Sides) -> Option<Sides> {
        Some(Sides {
            cost: self.cost.checked_add(more.cost)?,
            input: self.input.checked_add(more.input)?,
            output: self.output.checked_add(more.output)?,
            other: self.other.checked_add(more.other)?,
        })
    }

    fn add_to(self, measures: &mut Measures) {
        // Parts of one call's cost, whose sum was checked: they fit.
        let sum = |a: Money, b: Money| Money::from_picos(a.picos().saturating_add(b.picos()));
        measures.cost = sum(measures.cost, self.cost);
        measures.input_cost = sum(measures.input_cost, self.input);
        measures.output_cost = sum(measures.output_cost, self.output);
        measures.other_cost = sum(measures.other_cost, self.other);
    }
}

/// The own cost of every leg, if they are known and add up to the whole side by side.
fn leg_sides(rating: &Rating, legs: usize, whole: Sides) -> Option<Vec<Sides>> {
    rating.cost?;
    if legs == 0 || rating.legs.len() != legs {
        return None;
    }
    let own: Vec<Sides> = rating.legs.iter().map(Sides::of_leg).collect::<Option<_>>()?;
    let sum = own.iter().try_fold(Sides::default(), |sum, leg| sum.checked_add(*leg))?;
    (sum == whole).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{Workload, usage_query};
    use crate::stored::StoredCall;
    use std::collections::BTreeSet;

    /// Many calls of all kinds, each as recorded and as last adjusted.
    fn states() -> Vec<(Event, State)> {
        let mut work = Workload::new(61).with_huge_costs();
        for _ in 0..40 {
            work.batch(60);
        }
        let states = work.made().iter().flat_map(|made| {
            let event = &made.entry.event;
            [(event.clone(), State::of_entry(&made.entry)), (event.clone(), made.state.clone())]
        });
        states.collect()
    }

    #[test]
    fn items_add_up_to_the_call_exactly() {
        let (mut split, mut kept) = (0, 0);
        for (event, state) in states() {
            let items = call_measures(&event, &state);
            let mut sum = Measures::default();
            for (at, (_, item)) in items.iter().enumerate() {
                assert_eq!(item.calls, u64::from(at == 0));
                let sides = Money::checked_sum([item.input_cost, item.output_cost, item.other_cost]);
                assert_eq!(Some(item.cost), sides);
                assert_eq!(sum.merge(item), Some(()));
            }
            assert_eq!(items[0].0, event.model);
            assert_eq!(items.iter().map(|(model, _)| model).collect::<BTreeSet<_>>().len(), items.len());
            let rating = &state.rating;
            assert_eq!(sum.meters, state.meters());
            assert_eq!(sum.cost, rating.cost.unwrap_or_default());
            assert_eq!(sum.input_cost, rating.input_cost.unwrap_or_default());
            assert_eq!(sum.output_cost, rating.output_cost.unwrap_or_default());
            assert_eq!(sum.cost_min, rating.cost.filter(|_| !event.is_error()));
            let elsewhere = items[1..].iter().any(|(_, item)| item.cost != Money::ZERO);
            match rating.basis {
                CostBasis::Book => split += u32::from(elsewhere),
                _ => assert!(!elsewhere, "nobody knows whose money it is"),
            }
            kept += u32::from(items.len() > 1 && rating.cost.is_some() && !elsewhere);
        }
        assert!(split > 50 && kept > 20, "{split} {kept}");
    }

    #[test]
    fn parts_add_up_to_the_items_of_their_models() {
        let (mut several, mut without_leg) = (0, 0);
        for (event, state) in states() {
            let parts = call_parts(&event, &state);
            for (model, item) in call_measures(&event, &state) {
                let mut sum = Measures::default();
                for part in parts.iter().filter(|part| part.model == model) {
                    assert_eq!(sum.merge(&part.measures), Some(()));
                    assert!(part.has_cost || part.measures.cost == Money::ZERO);
                }
                assert_eq!(sum, item);
            }
            let legs = state.usage.as_ref().map_or(0, |usage| usage.legs.len());
            assert!(parts.iter().filter_map(|part| part.leg).eq(0..legs));
            assert_eq!(parts.iter().any(|part| part.has_cost), state.rating.cost.is_some());
            several += u32::from(parts.len() > 1);
            without_leg += u32::from(parts[0].leg.is_none() && legs > 0);
        }
        assert!(several > 50 && without_leg > 5, "{several} {without_leg}");
    }

    #[test]
    fn a_call_is_listed_exactly_when_it_adds_something() {
        let states = states();
        let mut random = crate::conformance::Random::new(62);
        for (event, state) in states.iter().take(1_500) {
            let filters = usage_query(&mut random).filters;
            let some = !filtered_measures(event, state, &filters).is_empty();
            assert_eq!(admits(event, state, &filters), some, "{filters:?}");
        }
    }

    #[test]
    fn a_cost_without_sides_is_all_fees() {
        let mut work = Workload::new(63);
        let mut entry = work.entry();
        entry.rating = Rating { legs: Vec::new(), ..entry.rating };
        entry.rating.cost = Some(Money::from_picos(7));
        (entry.rating.input_cost, entry.rating.output_cost, entry.rating.other_cost) = (None, None, None);
        let digest = crate::entry_digest(1, &entry);
        let (adjustments, joined) = (Vec::new(), Vec::new());
        let call = StoredCall { seq: 1, digest, entry, adjustments, joined };
        let billed = call.billed();
        let items = call_measures(&call.entry.event, &billed);
        assert_eq!((items[0].1.cost.picos(), items[0].1.other_cost.picos()), (7, 7));
    }
}
