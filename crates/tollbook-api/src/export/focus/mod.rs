//! FOCUS 1.2, the FinOps open cost and usage specification: what calls cost, by day in UTC, project,
//! provider, model, meter, price and tags.
//!
//! `BilledCost` is what counts in every other sum; `ListCost` is the price of a unit times the quantity,
//! exactly, and differs from it by what was rounded off a call's line, if anything was. A month is closed at
//! its end: what was corrected later stands in rows of its own, as the difference. Rows of a day are
//! summed in memory up to a bound; beyond it rows of one kind may come twice, with the same sum.

mod charge;
mod decimal;
mod names;
mod row;

use super::Failed;
use super::csv::Lines;
use crate::calls::card;
use charge::{Kind, Sums};
use row::{COLUMNS, cells};
use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use tollbook_store::fold::filtered_parts;
use tollbook_store::{
    Filter, Interval, State, Store, StoreError, StoredCall, Zone, bucket_end, bucket_start,
};
use tollbook_types::{CardId, RateCard, Timestamp};

/// Rows that are summed at once.
const ROWS_MAX: usize = 10_000;
/// Cards that are remembered.
const CARDS_MAX: usize = 10_000;

/// A sheet in the making.
pub struct Sheet<'a, W: Write> {
    store: &'a dyn Store,
    lines: Lines<W>,
    /// The name of the books.
    account: String,
    cards: HashMap<CardId, Option<RateCard>>,
    /// The day that rows are summed of.
    day: Timestamp,
    rows: BTreeMap<Kind, Sums>,
}

impl<'a, W: Write> Sheet<'a, W> {
    /// A sheet with no rows yet.
    pub fn new(store: &'a dyn Store, to: W) -> Result<Sheet<'a, W>, Failed> {
        let account = store.position()?.ledger_id;
        let lines = Lines::new(to, COLUMNS.into_iter())?;
        let (cards, rows) = (HashMap::new(), BTreeMap::new());
        Ok(Sheet { store, lines, account, cards, day: Timestamp::UNIX_EPOCH, rows })
    }

    /// Adds what of a call passes the filters. Calls of one day come together.
    pub fn add(&mut self, call: &StoredCall, filters: &[Filter]) -> Result<(), Failed> {
        let at = call.entry.event.occurred_at;
        let day = bucket_start(at, Interval::Day, &Zone::UTC).unwrap_or(at);
        if day != self.day || self.rows.len() >= ROWS_MAX {
            self.write_rows()?;
            self.day = day;
        }
        let state = call.corrected();
        let closed = at_the_end_of_its_month(call);
        if closed.version == state.version {
            return self.add_lines(call, &state, filters, day, Side::Usage);
        }
        self.add_lines(call, &closed, filters, day, Side::Usage)?;
        self.add_lines(call, &closed, filters, day, Side::TakenBack)?;
        self.add_lines(call, &state, filters, day, Side::Corrected)
    }

    fn add_lines(
        &mut self,
        call: &StoredCall,
        state: &State,
        filters: &[Filter],
        day: Timestamp,
        side: Side,
    ) -> Result<(), Failed> {
        for part in filtered_parts(&call.entry.event, state, filters) {
            let id = part.leg.and_then(|nth| state.rating.legs.get(nth)).and_then(|leg| leg.card);
            let card = id.map(|id| remembered(&mut self.cards, self.store, id)).transpose()?.flatten();
            for (mut kind, mut line) in charge::lines(call, state, &part, day, card) {
                kind.is_correction = side != Side::Usage;
                if side == Side::TakenBack {
                    line = line.taken_back().ok_or_else(too_large)?;
                }
                self.rows.entry(kind).or_default().add(line).ok_or_else(too_large)?;
            }
        }
        Ok(())
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), Failed> {
        self.write_rows()?;
        self.lines.finish()
    }

    fn write_rows(&mut self) -> Result<(), Failed> {
        for (kind, sums) in std::mem::take(&mut self.rows) {
            if kind.is_correction && sums == Sums::default() {
                continue;
            }
            self.lines.push(&cells(&self.account, &kind, &sums).ok_or_else(too_large)?)?;
        }
        Ok(())
    }
}

/// What a line is to its row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// What a month was closed with.
    Usage,
    /// The same in a correction, which it is no more.
    TakenBack,
    /// What it is in its place.
    Corrected,
}

/// The state of a call when the month that it occurred in ended, in UTC. A call that was told of later was
/// never different in it.
fn at_the_end_of_its_month(call: &StoredCall) -> State {
    let end = bucket_end(call.entry.event.occurred_at, Interval::Month, &Zone::UTC);
    let last = end.and_then(|end| Timestamp::from_microsecond(end.as_microsecond() - 1).ok());
    last.map_or_else(|| call.corrected(), |last| call.as_of(Some(last)))
}

fn remembered<'c>(
    cards: &'c mut HashMap<CardId, Option<RateCard>>,
    store: &dyn Store,
    id: CardId,
) -> Result<Option<&'c RateCard>, StoreError> {
    if !cards.contains_key(&id) {
        if cards.len() >= CARDS_MAX {
            cards.clear();
        }
        cards.insert(id, card(store, id)?);
    }
    Ok(cards.get(&id).and_then(Option::as_ref))
}

fn too_large() -> Failed {
    Failed::Value("a sum is too large for a row".to_owned())
}
