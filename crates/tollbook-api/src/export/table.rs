//! A call as the lines of a table: one for each leg, cells with types, the columns in one list.
//!
//! What a line says of money and counts is the leg's own share, as in every sum: lines added up, whichever
//! are chosen, are what a report says of them.

use super::Failed;
use crate::wire::CallView;
use std::borrow::Cow;
use tollbook_store::fold::{Part, filtered_parts};
use tollbook_store::{Filter, StoredCall};
use tollbook_types::{Meter, Money, Timestamp};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Count,
    Instant,
    Money,
}

/// A column of the table.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "parquet"),
    expect(dead_code, reason = "only a typed file asks for more than names")
)]
pub struct Column {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether every line has a value.
    pub is_required: bool,
}

/// One value of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Absent,
    Text(Cow<'a, str>),
    Count(u64),
    Instant(Timestamp),
    Money(Money),
    /// A number as it is written.
    Decimal(String),
}

/// The columns, in the order of a line's cells.
pub const COLUMNS: &[Column] = &[
    always("id", Kind::Text),
    always("source", Kind::Text),
    always("occurred_at", Kind::Instant),
    always("recorded_at", Kind::Instant),
    always("provider", Kind::Text),
    always("model", Kind::Text),
    maybe("request_model", Kind::Text),
    always("status", Kind::Text),
    maybe("error", Kind::Text),
    maybe("project", Kind::Text),
    maybe("customer", Kind::Text),
    maybe("user", Kind::Text),
    maybe("agent", Kind::Text),
    maybe("agent_name", Kind::Text),
    maybe("operation", Kind::Text),
    maybe("operation_id", Kind::Text),
    maybe("session", Kind::Text),
    maybe("key", Kind::Text),
    maybe("tags", Kind::Text),
    maybe("leg", Kind::Count),
    always("leg_model", Kind::Text),
    always("calls", Kind::Count),
    maybe("input_tokens", Kind::Count),
    maybe("cache_read_tokens", Kind::Count),
    maybe("cache_write_tokens", Kind::Count),
    maybe("output_tokens", Kind::Count),
    maybe("reasoning_tokens", Kind::Count),
    maybe("total_tokens", Kind::Count),
    maybe("meters", Kind::Text),
    maybe("leg_cost_usd", Kind::Money),
    maybe("cost_usd", Kind::Money),
    maybe("input_cost_usd", Kind::Money),
    maybe("output_cost_usd", Kind::Money),
    maybe("other_cost_usd", Kind::Money),
    always("cost_basis", Kind::Text),
    maybe("price_id", Kind::Text),
    always("evidence", Kind::Text),
    maybe("latency_ms", Kind::Count),
    maybe("provider_response_id", Kind::Text),
    always("version", Kind::Count),
];

const fn always(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_required: true }
}

const fn maybe(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_required: false }
}

/// Gives the lines of one call that pass the filters: with a condition on the model, those of its legs.
pub fn each_row(
    call: &StoredCall,
    filters: &[Filter],
    mut each: impl FnMut(&[Cell<'_>]) -> Result<(), Failed>,
) -> Result<(), Failed> {
    let view = CallView::of(call);
    let state = call.corrected();
    filtered_parts(&call.entry.event, &state, filters)
        .iter()
        .try_for_each(|part| each(&row(call, &view, part)))
}

fn row<'a>(call: &StoredCall, view: &'a CallView, part: &'a Part<'a>) -> [Cell<'a>; COLUMNS.len()] {
    let who = &view.attribution;
    let sums = &part.measures;
    let meters = &sums.meters;
    let amount = |amount: Money| money(Some(amount).filter(|_| part.has_cost));
    let has_usage = view.usage.is_some();
    let quantity = |n: u64| if has_usage { Cell::Count(n) } else { Cell::Absent };
    let leg = part.leg.and_then(|nth| view.legs.get(nth));
    [
        text(&view.id),
        text(&view.source),
        Cell::Instant(view.occurred_at),
        Cell::Instant(call.entry.recorded_at),
        text(&view.provider),
        text(&view.model),
        maybe_text(&view.request_model),
        text(view.status.name()),
        maybe_text(&view.error),
        maybe_text(&who.project),
        maybe_text(&who.customer),
        maybe_text(&who.user),
        maybe_text(&who.agent),
        maybe_text(&who.agent_name),
        maybe_text(&who.operation),
        maybe_text(&who.operation_id),
        maybe_text(&who.session),
        maybe_text(&who.key),
        if who.tags.is_empty() { Cell::Absent } else { json(&serde_json::json!(who.tags)) },
        part.leg.map_or(Cell::Absent, |nth| Cell::Count(nth as u64)),
        text(part.model),
        Cell::Count(sums.calls),
        quantity(meters.input_tokens()),
        quantity(meters.cache_read_tokens()),
        quantity(meters.cache_write_tokens()),
        quantity(meters.output_tokens()),
        quantity(meters.quantity(Meter::Reasoning)),
        quantity(meters.total_tokens()),
        if has_usage { json(&serde_json::json!(meters)) } else { Cell::Absent },
        money(leg.and_then(|leg| leg.cost_usd)),
        amount(sums.cost),
        amount(sums.input_cost),
        amount(sums.output_cost),
        amount(sums.other_cost),
        text(view.cost_basis.name()),
        maybe_text(&view.price_id),
        text(view.evidence.name()),
        view.latency_ms.map_or(Cell::Absent, Cell::Count),
        maybe_text(&view.provider_response_id),
        Cell::Count(u64::from(call.version())),
    ]
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn maybe_text(text: &Option<String>) -> Cell<'_> {
    text.as_deref().map_or(Cell::Absent, self::text)
}

fn json(value: &serde_json::Value) -> Cell<'static> {
    Cell::Text(Cow::Owned(value.to_string()))
}

fn money(amount: Option<Money>) -> Cell<'static> {
    amount.map_or(Cell::Absent, Cell::Money)
}
