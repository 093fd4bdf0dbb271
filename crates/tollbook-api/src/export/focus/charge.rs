//! What a call is charged for, line by line: the kinds that rows are summed by, and what each line adds.
//!
//! Lines of a price come out of its card again, as in an explanation. Where they are not what counts (a
//! provider's own bill, no price, a card that is gone), quantities stand at no price and the money, if
//! there is any, is one line. So the money of a call's lines is always its money in every other sum.

use std::collections::BTreeMap;
use tollbook_store::fold::Part;
use tollbook_store::{State, StoredCall};
use tollbook_types::{CostBasis, CostLine, Dimension, Evidence, Meter, Money, RateCard, Timestamp, charge};

/// Decimals of a price of one unit: a price of picodollars for a million units is exact in them.
pub const PRICE_DECIMALS: usize = 18;
/// What is between picodollars and those.
const PER_PICO: u64 = 1_000_000;
/// What of an account stands among the tags, beside tags themselves. Persons do not.
const ACCOUNT: [Dimension; 5] =
    [Dimension::Customer, Dimension::Agent, Dimension::AgentName, Dimension::Operation, Dimension::Key];
/// How those begin.
const PREFIX: &str = "tollbook/";

/// What is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A quantity.
    Meter(Meter),
    /// Money that belongs to no quantity: the provider's own bill.
    Bill,
    /// A call with nothing to count.
    Call,
}

/// A price of one unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Price {
    /// The price's id in the book.
    pub id: String,
    /// What else decided.
    pub conditions: Vec<String>,
    /// The meter whose rate it is.
    pub priced_as: Meter,
    /// Dollars for a unit, in [`PRICE_DECIMALS`].
    pub per_unit: i128,
}

/// What is alike in the lines of one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The first instant of the day in UTC.
    pub day: Timestamp,
    pub project: Option<String>,
    pub provider: String,
    pub model: String,
    pub item: Item,
    pub price: Option<Price>,
    pub basis: CostBasis,
    pub evidence: Evidence,
    /// As a JSON object; empty where there are none.
    pub tags: String,
    /// It corrects a month that had ended, by what it adds to that month's rows.
    pub is_correction: bool,
}

/// What the lines of a row come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub quantity: i128,
    pub cost: Money,
    pub calls: i64,
}

impl Sums {
    /// Adds a line. `None` if a sum does not fit, which no real ledger reaches.
    pub fn add(&mut self, line: Sums) -> Option<()> {
        self.quantity = self.quantity.checked_add(line.quantity)?;
        self.cost = self.cost.checked_add(line.cost)?;
        self.calls = self.calls.checked_add(line.calls)?;
        Some(())
    }

    /// What takes a line back.
    pub fn taken_back(self) -> Option<Sums> {
        let mut none = Sums::default();
        none.quantity = none.quantity.checked_sub(self.quantity)?;
        none.cost = none.cost.checked_sub(self.cost)?;
        none.calls = none.calls.checked_sub(self.calls)?;
        Some(none)
    }
}

/// The lines of one part of a call, with the card of its leg.
pub fn lines(
    call: &StoredCall,
    state: &State,
    part: &Part<'_>,
    day: Timestamp,
    card: Option<&RateCard>,
) -> Vec<(Kind, Sums)> {
    let kind = |item, price| Kind {
        day,
        project: state.attribution.project.clone(),
        provider: call.entry.event.provider.clone(),
        model: part.model.to_owned(),
        item,
        price,
        basis: state.rating.basis,
        evidence: state.evidence,
        tags: tags(state),
        is_correction: false,
    };
    let line = |quantity: u64, cost| Sums { quantity: i128::from(quantity), cost, calls: 1 };
    let own = card.and_then(|card| Some((card, own_lines(part, card)?)));
    let mut lines: Vec<(Kind, Sums)> = match own {
        Some((card, own)) => own
            .iter()
            .map(|own| (kind(Item::Meter(own.meter), price(card, own)), line(own.quantity, own.cost)))
            .collect(),
        None => {
            let counted = part.measures.meters.iter().filter(|(_, quantity)| *quantity > 0);
            let mut lines: Vec<_> = counted
                .map(|(meter, quantity)| (kind(Item::Meter(meter), None), line(quantity, Money::ZERO)))
                .collect();
            if part.measures.cost != Money::ZERO {
                lines.push((kind(Item::Bill, None), line(1, part.measures.cost)));
            }
            lines
        }
    };
    if lines.is_empty() && part.measures.calls > 0 {
        lines.push((kind(Item::Call, None), line(1, Money::ZERO)));
    }
    lines
}

/// The lines of the card, if their money is the part's.
fn own_lines(part: &Part<'_>, card: &RateCard) -> Option<Vec<CostLine>> {
    let lines = tollbook_pricing::lines(&part.measures.meters, card).ok()?;
    let cost = Money::checked_sum(lines.iter().map(|line| line.cost))?;
    (part.has_cost && cost == part.measures.cost).then_some(lines)
}

fn price(card: &RateCard, line: &CostLine) -> Option<Price> {
    let (per_unit, _) = charge(PER_PICO, i128::from(line.picos), line.per)?;
    Some(Price {
        id: card.price_id.clone(),
        conditions: card.conditions.clone(),
        priced_as: line.priced_as,
        per_unit: per_unit.picos(),
    })
}

fn tags(state: &State) -> String {
    let who = &state.attribution;
    let mut tags: BTreeMap<String, &str> =
        who.tags.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
    for dimension in &ACCOUNT {
        if let Some(value) = dimension.on_account(who) {
            tags.insert(format!("{PREFIX}{dimension}"), value);
        }
    }
    if tags.is_empty() { String::new() } else { serde_json::json!(tags).to_string() }
}
