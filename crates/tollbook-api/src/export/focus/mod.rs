//! FOCUS 1.2, the FinOps open cost and usage specification: what calls cost, by day in UTC, project,
//! provider, model, meter, price and tags.
//!
//! `BilledCost` is what counts in every other sum; `ListCost` is the price of a unit times the quantity,
//! exactly, and differs from it by what was rounded off a call's line, if anything was. Rows of a day are
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
use tollbook_store::{Filter, Interval, Store, StoreError, StoredCall, Zone, bucket_start};
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
        for part in filtered_parts(&call.entry.event, &state, filters) {
            let id = part.leg.and_then(|nth| state.rating.legs.get(nth)).and_then(|leg| leg.card);
            let card = id.map(|id| remembered(&mut self.cards, self.store, id)).transpose()?.flatten();
            for (kind, line) in charge::lines(call, &state, &part, day, card) {
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
            self.lines.push(&cells(&self.account, &kind, &sums).ok_or_else(too_large)?)?;
        }
        Ok(())
    }
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
