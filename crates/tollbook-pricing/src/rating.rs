//! Rating an event: whose figure counts, and how it splits into input, output and fees.

use crate::book::{Book, Query};
use crate::card::Card;
use crate::lines::{by_side, lines};
use std::sync::Arc;
use tollbook_types::{CostBasis, CostLine, Event, Leg, LegRating, Money, ProviderCost, Rating, charge};

/// One, in trillionths.
const ONE: u64 = 1_000_000_000_000;

/// A rating, and what it rests on.
#[derive(Clone, Debug)]
pub struct Rated {
    /// What is recorded.
    pub rating: Rating,
    /// One for each leg of the usage, in its order.
    pub legs: Vec<RatedLeg>,
}

impl Rated {
    /// The distinct cards of the legs.
    pub fn cards(&self) -> Vec<Arc<Card>> {
        let mut cards: Vec<Arc<Card>> = Vec::new();
        for card in self.legs.iter().filter_map(|leg| leg.card.as_ref()) {
            if !cards.iter().any(|known| known.id == card.id) {
                cards.push(Arc::clone(card));
            }
        }
        cards
    }
}

/// What a leg costs at the card that applied.
#[derive(Clone, Debug, Default)]
pub struct RatedLeg {
    /// The card; absent when no price matched.
    pub card: Option<Arc<Card>>,
    /// The lines; empty when the leg has no price.
    pub lines: Vec<CostLine>,
    /// Input, output and fees; absent when the leg has no price.
    pub sums: Option<[Money; 3]>,
    /// Why it has no price.
    pub note: Option<String>,
}

/// Rates an event by the book.
///
/// What counts, in this order: a price of the user's own, the bill that the provider reported
/// (with the user's discount or markup on it), the book.
pub fn rate(book: &Book, event: &Event) -> Rated {
    if event.free.is_some() {
        let mut rating = blank(CostBasis::Free);
        set(&mut rating, [Money::ZERO; 3]);
        return Rated { rating, legs: Vec::new() };
    }
    let usage = event.usage.as_ref();
    let rate_legs = !event.inconsistent || event.provider_cost.is_some();
    let legs: Vec<RatedLeg> = match usage {
        Some(usage) if rate_legs => usage.legs.iter().map(|leg| rate_leg(book, event, leg)).collect(),
        Some(usage) => usage.legs.iter().map(|_| RatedLeg::default()).collect(),
        None => Vec::new(),
    };
    let sums = usage.filter(|_| rate_legs).and_then(|_| total(&legs));
    let own = legs.iter().any(|leg| leg.card.as_ref().is_some_and(|card| card.is_own));
    let changed = legs.iter().any(|leg| leg.card.as_ref().is_some_and(|card| card.is_override));
    let mut rating = match (&event.provider_cost, sums) {
        (_, Some(sums)) if own => counted(CostBasis::Override, sums),
        (Some(bill), sums) => of_bill(book, event, bill, sums),
        (None, _) if event.inconsistent => blank(CostBasis::Inconsistent),
        (None, Some(sums)) if changed => counted(CostBasis::Override, sums),
        (None, Some(sums)) => counted(CostBasis::Book, sums),
        (None, None) if usage.is_none() => blank(CostBasis::UnknownUsage),
        (None, None) => blank(CostBasis::Unpriced),
    };
    rating.book_cost = sums.and_then(Money::checked_sum);
    if rating.basis == CostBasis::Unpriced {
        let why = legs.iter().find_map(|leg| leg.note.clone());
        rating.note = Some(why.unwrap_or_else(|| "the amount is too large".to_owned()));
    }
    if rating.basis == CostBasis::Inconsistent {
        rating.note = event.flags.iter().find(|flag| flag.starts_with("usage_inconsistent")).cloned();
    }
    if rating.cost.is_none() {
        rating.worst_case = event.worst_case;
    }
    rating.price_id = legs.first().and_then(|leg| leg.card.as_ref()).map(|card| card.card.price_id.clone());
    rating.legs = legs
        .iter()
        .map(|leg| LegRating {
            card: leg.card.as_ref().map(|card| card.id),
            cost: leg.sums.and_then(Money::checked_sum),
            input_cost: leg.sums.map(|[input, _, _]| input),
            output_cost: leg.sums.map(|[_, output, _]| output),
            other_cost: leg.sums.map(|[_, _, other]| other),
        })
        .collect();
    Rated { rating, legs }
}

/// The lookup for one leg: its own model, or the event's.
fn query<'e>(event: &'e Event, leg: Option<&'e Leg>) -> Query<'e> {
    let own = leg.and_then(|leg| leg.model.as_deref());
    Query {
        provider: &event.provider,
        model: own.unwrap_or(&event.model),
        // What was asked for says nothing of the price where something else was sent.
        request_model: event.request_model.as_deref().filter(|_| own.is_none() && !event.is_downgraded()),
        at: event.occurred_at,
        conditions: &event.conditions,
    }
}

fn rate_leg(book: &Book, event: &Event, leg: &Leg) -> RatedLeg {
    let query = query(event, Some(leg));
    let card = match book.card(&query, leg.meters.input_tokens()) {
        Ok(card) => card,
        Err(missing) => return RatedLeg { note: Some(missing.to_string()), ..RatedLeg::default() },
    };
    match lines(&leg.meters, &card.card) {
        Ok(lines) => {
            let sums = by_side(&lines).filter(|sums| Money::checked_sum(*sums).is_some());
            RatedLeg { card: Some(card), lines, sums, note: None }
        }
        Err(missing) => {
            let note = Some(format!("{}: {missing}", card.card.price_id));
            RatedLeg { card: Some(card), lines: Vec::new(), sums: None, note }
        }
    }
}

/// The sums over all legs; `None` when one has no price or the sum does not fit.
fn total(legs: &[RatedLeg]) -> Option<[Money; 3]> {
    legs.iter().try_fold([Money::ZERO; 3], |mut total, leg| {
        for (sum, more) in total.iter_mut().zip(leg.sums?) {
            *sum = sum.checked_add(more)?;
        }
        Some(total)
    })
}

/// A rating by the provider's own bill, with the user's discount or markup on it.
fn of_bill(book: &Book, event: &Event, bill: &ProviderCost, sums: Option<[Money; 3]>) -> Rating {
    let leg = event.usage.as_ref().and_then(|usage| usage.legs.first());
    let Some((factor, words)) = book.adjustment(&query(event, leg)) else {
        return counted(CostBasis::Provider, split(bill, sums));
    };
    let scaled = |money: Money| u64_charge(factor, money).unwrap_or(money);
    let bill = ProviderCost {
        total: scaled(bill.total),
        input: bill.input.map(scaled),
        output: bill.output.map(scaled),
        field: bill.field.clone(),
    };
    let mut rating = counted(CostBasis::Override, split(&bill, sums));
    rating.note = Some(format!("the bill in {} with {words}", bill.field));
    rating
}

fn u64_charge(factor: u64, money: Money) -> Option<Money> {
    charge(factor, money.picos(), ONE).map(|(amount, _)| amount)
}

/// Splits a bill into input, output and the rest, so that they add up to it exactly.
///
/// The provider's own split counts. Failing that, the book's input and output stand and the rest
/// is fees; where they exceed the bill, the bill is divided in their proportion.
fn split(bill: &ProviderCost, book: Option<[Money; 3]>) -> [Money; 3] {
    let rest = |input: Money, output: Money| {
        let rest = bill.total.checked_sub(input)?.checked_sub(output)?;
        Some([input, output, rest]).filter(|_| !rest.is_negative())
    };
    let own = match (bill.input, bill.output) {
        (Some(input), Some(output)) => rest(input, output),
        _ => None,
    };
    let by_book = || {
        let [input, output, _] = book?;
        rest(input, output).or_else(|| {
            let both = input.checked_add(output)?;
            let share = bill.total.picos().checked_mul(input.picos())?.checked_div(both.picos())?;
            let input = Money::from_picos(share);
            Some([input, bill.total.checked_sub(input)?, Money::ZERO])
        })
    };
    own.or_else(by_book).unwrap_or([Money::ZERO, Money::ZERO, bill.total])
}

fn blank(basis: CostBasis) -> Rating {
    Rating {
        basis,
        cost: None,
        input_cost: None,
        output_cost: None,
        other_cost: None,
        book_cost: None,
        legs: Vec::new(),
        note: None,
        price_id: None,
        worst_case: None,
    }
}

fn counted(basis: CostBasis, sums: [Money; 3]) -> Rating {
    let mut rating = blank(basis);
    set(&mut rating, sums);
    if rating.cost.is_none() {
        rating.basis = CostBasis::Unpriced;
    }
    rating
}

fn set(rating: &mut Rating, sums: [Money; 3]) {
    let cost = Money::checked_sum(sums);
    let [input, output, other] = sums.map(|sum| cost.map(|_| sum));
    (rating.cost, rating.input_cost, rating.output_cost, rating.other_cost) = (cost, input, output, other);
}

impl Book {
    /// The user's discounts and markups for a call in one factor, in trillionths, and in words.
    fn adjustment(&self, query: &Query<'_>) -> Option<(u64, String)> {
        if self.overrides.adjusts.is_empty() {
            return None;
        }
        let mut bits = self.candidates(query.provider, query.model).adjusts;
        if let Some(asked) = query.request_model {
            bits |= self.candidates(query.provider, asked).adjusts;
        }
        let adjusts = self.overrides.adjusts.iter().enumerate().take(64);
        let active: Vec<_> = adjusts
            .filter(|(nth, adjust)| bits & (1 << nth) != 0 && adjust.applies(query.at, query.conditions))
            .map(|(_, adjust)| adjust)
            .collect();
        let factor = active.iter().try_fold(ONE, |factor, adjust| {
            let product = u64_charge(factor, Money::from_picos(i128::from(adjust.factor)))?;
            u64::try_from(product.picos()).ok()
        })?;
        let words: Vec<String> = active.iter().map(|a| format!("{} ({})", a.text, a.scope.origin)).collect();
        Some((factor, words.join(", "))).filter(|(_, words)| !words.is_empty())
    }
}
