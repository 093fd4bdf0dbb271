//! From the books to a summary.

use super::SummaryOrder;
use super::schedule::Due;
use crate::question::NamedZone;
use tollbook_ledger::alerts::{Summary, Top, TopRow, Used};
use tollbook_ledger::{LedgerError, without_demo};
use tollbook_store::{
    Dimension, Filter, Interval, Store, StoreError, UsageQuery, UsageReport, UsageRow, View, Zone,
};
use tollbook_types::TimeRange;

/// How many of a dimension's values stand alone.
const TOP: usize = 5;

/// What was used in the period that is due.
pub fn summary(
    store: &dyn Store,
    order: &SummaryOrder,
    due: &Due,
    zone: &NamedZone,
) -> Result<Summary, LedgerError> {
    let real = without_demo(store)?;
    let by = |range: TimeRange, dimension: &Dimension| sums(store, range, dimension, &zone.zone, &real);
    let top = order.by.iter().map(|dimension| Ok(top(dimension, by(due.range(), dimension)?.top(TOP)?)));
    Ok(Summary {
        every: order.every,
        from: due.from,
        to: due.to,
        zone: zone.name.clone(),
        used: used(&by(due.range(), &Dimension::User)?),
        before: used(&by(due.range_before(), &Dimension::User)?),
        top: top.collect::<Result<_, StoreError>>()?,
    })
}

fn sums(
    store: &dyn Store,
    range: TimeRange,
    dimension: &Dimension,
    zone: &Zone,
    filters: &[Filter],
) -> Result<UsageReport, StoreError> {
    store.usage(&UsageQuery {
        range,
        interval: Interval::None,
        zone: zone.clone(),
        group_by: vec![dimension.clone()],
        filters: filters.to_vec(),
        view: View::Corrected,
    })
}

/// The sums of calls that are split by user.
fn used(by_user: &UsageReport) -> Used {
    let total = &by_user.total;
    let is_user = |row: &&UsageRow| row.keys.iter().any(Option::is_some);
    Used {
        calls: total.calls,
        errors: total.errors,
        unpriced_calls: total.unpriced_calls + total.unknown_calls,
        tokens: total.meters.total_tokens(),
        cost: total.cost,
        users: by_user.rows.iter().filter(is_user).count() as u64,
    }
}

fn top(dimension: &Dimension, report: UsageReport) -> Top {
    let mut top =
        Top { by: dimension.to_string(), rows: Vec::new(), others: 0, others_cost: Default::default() };
    for UsageRow { keys, rest, measures, .. } in report.rows {
        if rest > 0 {
            (top.others, top.others_cost) = (rest, measures.cost);
            continue;
        }
        top.rows.push(TopRow {
            value: keys.into_iter().next().flatten(),
            calls: measures.calls,
            unpriced_calls: measures.unpriced_calls + measures.unknown_calls,
            tokens: measures.meters.total_tokens(),
            cost: measures.cost,
        });
    }
    top
}
