//! `tollbook audit`: who did what, latest first.

use crate::cli::AuditArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::wire::AuditView;
use crate::{filter, open};
use serde_json::json;
use tollbook_ledger::{AuditQuery, audit_page};
use tollbook_types::Clock;

pub fn run(args: &AuditArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let zone = filter::zone(args.tz.as_deref(), &config.time_zone.value)?;
    let (since, until) = (args.since.as_deref(), args.until.as_deref());
    let range = filter::since_until(since, until, &zone.zone, SystemClock.now())?;
    let store = open::read(config, out)?;
    let query = AuditQuery { range, actor: args.actor.clone(), before: None, limit: args.limit };
    let page = audit_page(&*store, &query)?;
    let has_more = page.next.is_some();
    let records: Vec<AuditView> = page.records.into_iter().map(AuditView::of).collect();
    if out.json {
        out.json(&json!({"data": records, "has_more": has_more}))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(vec![
        Column::text("At").whole(),
        Column::text("By"),
        Column::text("Act"),
        Column::text("On").expendable(1),
        Column::text("From").expendable(2),
    ]);
    for record in &records {
        table.row(vec![
            Cell::Text(record.at.to_string()),
            Cell::Text(record.actor_id.clone().unwrap_or_else(|| record.actor.clone())),
            Cell::Text(record.act.clone()),
            Cell::text(record.target_id.as_deref()),
            Cell::text(record.from.as_deref()),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if records.is_empty() {
        out.note("nothing was done that the audit log keeps");
    } else if has_more {
        out.note("there is more; -n N shows more");
    }
    Ok(Exit::Ok)
}
