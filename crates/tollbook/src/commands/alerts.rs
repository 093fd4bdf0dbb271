//! `tollbook alerts`: what was told, whom it has reached, and that somebody has seen to it.

use super::holder::{self, Holder, answer, is_id};
use crate::cli::AlertsArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::out::text::{fold, visible};
use crate::wire::AlertView;
use serde_json::json;
use tollbook_ledger::By;
use tollbook_ledger::alerts::recorded_alerts;

pub fn run(args: &AlertsArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match &args.ack {
        Some(id) => acknowledge(id, config, out),
        None => list(args, config, out),
    }
}

fn acknowledge(id: &str, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let unknown = || Failure::new("there is no such alert").hint("`tollbook alerts` shows their ids");
    if !is_id(id, "alr_") {
        return Err(unknown());
    }
    let alert: AlertView = holder::with(config, out, |holder| match holder {
        Holder::Books(ledger) => {
            let alert = ledger.acknowledge_alert(&By::local(), id)?.ok_or_else(unknown)?;
            Ok(AlertView::of(&alert))
        }
        Holder::Server(client) => answer(client.ask("POST", &format!("/api/v1/alerts/{id}/ack"), None)?),
    })?;
    if out.json {
        out.json(&alert)?;
    }
    out.note("noted; it is still told when it is over");
    Ok(Exit::Ok)
}

fn list(args: &AlertsArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let store = open::read(config, out)?;
    let mut alerts: Vec<AlertView> = recorded_alerts(&*store)?.iter().rev().map(AlertView::of).collect();
    alerts.retain(|alert| !args.firing || alert.state == "firing");
    let has_more = alerts.len() > args.limit;
    alerts.truncate(args.limit);
    if out.json {
        out.json(&json!({"data": alerts, "has_more": has_more, "next_cursor": null}))?;
        return Ok(Exit::Ok);
    }
    for alert in &alerts {
        let seen = if alert.acknowledged_at.is_some() { ", seen to" } else { "" };
        // Nobody reads fractions of a second here; the JSON has them.
        let head = format!("{:.0} {} {}{seen}  {}", alert.at, alert.severity, alert.state, alert.id);
        out.line(&head)?;
        for line in fold(&visible(&alert.summary), out.width().saturating_sub(2)) {
            out.line(&format!("  {line}"))?;
        }
        if !alert.deliveries.is_empty() {
            deliveries(alert, out)?;
        }
    }
    if alerts.is_empty() {
        out.note("no alerts");
    } else if has_more {
        out.note("there is more; -n N shows more");
    }
    Ok(Exit::Ok)
}

fn deliveries(alert: &AlertView, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(vec![
        Column::text("Channel"),
        Column::text("Tells"),
        Column::text("State"),
        Column::number("Attempts").expendable(1),
        Column::text("Error").expendable(2),
    ]);
    for delivery in &alert.deliveries {
        table.row(vec![
            Cell::Text(delivery.channel.clone()),
            Cell::Text(delivery.tells.clone()),
            Cell::Text(delivery.state.clone()),
            Cell::Text(delivery.attempts.to_string()),
            Cell::text(delivery.error.as_deref()),
        ]);
    }
    for line in table.lines(out.width().saturating_sub(2), out.is_bold()) {
        out.line(&format!("  {line}"))?;
    }
    Ok(())
}
