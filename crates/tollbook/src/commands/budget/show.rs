//! Budgets and limits, printed. They are read as programs read them, so that a server's and this
//! process's own look the same.

use crate::failure::Failure;
use crate::out::Out;
use crate::out::number::count;
use crate::out::table::{Cell, Column, Table};
use crate::out::text::{fold, visible};
use serde_json::{Value, json};

/// One budget, in words.
pub fn one(budget: &Value, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(budget);
    }
    let text = |name: &str| budget[name].as_str().unwrap_or_default();
    for line in fold(&visible(text("words")), out.width()) {
        out.line(&line)?;
    }
    let now = format!("Now{}: {}", whose(budget), amounts(budget));
    let until = budget["resets_at"].as_str().map_or(String::new(), |at| format!(", until {at}"));
    let refused = match refused(budget) {
        0 => String::new(),
        1 => " 1 call was refused.".to_owned(),
        more => format!(" {} calls were refused.", count(more)),
    };
    for line in fold(&format!("{now}{until}.{refused}"), out.width()) {
        out.line(&line)?;
    }
    let missing = budget["missing_channels"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in missing {
        out.note(&format!("there is no channel {:?} yet: it is told once there is", visible(name)));
    }
    out.note(&format!("its name is {:?}, its id {}", visible(text("name")), text("id")));
    Ok(())
}

/// All budgets.
pub fn list(budgets: &[Value], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({"data": budgets, "has_more": false, "next_cursor": null}));
    }
    let has_unsettled = budgets.iter().any(|budget| unsettled(budget).is_some());
    let has_refused = budgets.iter().any(|budget| refused(budget) > 0);
    let has_each = budgets.iter().any(|budget| budget["each"].is_string());
    let mut table = Table::new(vec![
        Column::text("Name"),
        Column::text("Most used by").only_if(has_each),
        Column::text("At limit").expendable(3),
        Column::number("Spent"),
        Column::number("Held").expendable(2),
        Column::number("Unsettled").only_if(has_unsettled),
        Column::number("Left"),
        Column::number("Limit"),
        Column::number("Refused").only_if(has_refused).expendable(3),
        Column::text("Resets").whole().expendable(1),
        Column::text("Source").expendable(4),
        Column::text("Id").whole().expendable(5),
    ]);
    for budget in budgets {
        let text = |name: &str| budget[name].as_str().unwrap_or_default().to_owned();
        let effect = budget["at_limit"].as_str().unwrap_or("block").to_owned();
        table.row(vec![
            Cell::Text(text("name")),
            Cell::text(budget["value"].as_str()),
            Cell::Text(effect),
            Cell::Text(of(budget, "spent")),
            Cell::Text(of(budget, "held")),
            Cell::Text(of(budget, "unsettled")),
            Cell::Text(of(budget, "left")),
            Cell::Text(text("limit")),
            Cell::Count(refused(budget)),
            Cell::text(budget["resets_at"].as_str()),
            Cell::Text(text("source")),
            Cell::Text(text("id")),
        ]);
    }
    print(&table, out)?;
    if budgets.is_empty() {
        out.note("no budgets yet; `tollbook budget set SCOPE AMOUNT/WINDOW` makes one");
    }
    Ok(())
}

/// Every limit that applies: budgets, then rate limits.
pub fn limits(limits: &Value, out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(limits);
    }
    let (budgets, rates) = (list_of(limits, "data"), list_of(limits, "rate_limits"));
    for limit in budgets {
        let text = |name: &str| limit[name].as_str().unwrap_or_default();
        let resets = limit["resets_at"].as_str().map_or(String::new(), |at| format!("; resets {at}"));
        let stands = format!("{}{resets}", amounts(limit));
        limit_lines(limit, text("budget"), &stands, out)?;
    }
    for limit in rates {
        let left = |name: &str, unit: &str| {
            limit[name].as_u64().map(|count| format!("{count} {unit} may come at once, "))
        };
        let stands = [
            left("requests_left", "requests").unwrap_or_default(),
            left("tokens_left", "tokens").unwrap_or_default(),
            format!("{} calls are under way", limit["under_way"]),
        ];
        limit_lines(limit, limit["id"].as_str().unwrap_or_default(), &stands.concat(), out)?;
    }
    if budgets.is_empty() && rates.is_empty() {
        out.note("no limit applies");
    }
    Ok(())
}

/// A limit: what it is called and where it is defined, what it will do, where it stands.
fn limit_lines(limit: &Value, id: &str, stands: &str, out: &mut Out) -> Result<(), Failure> {
    let text = |name: &str| limit[name].as_str().unwrap_or_default();
    let whose = whose(limit);
    let source = if text("source") == "config" { "the configuration" } else { id };
    out.line(&format!("{}{whose} ({source})", visible(text("name"))))?;
    let width = out.width().saturating_sub(2);
    let mut lines = fold(&visible(text("words")), width);
    if let Some(when) = limit["when"].as_object() {
        let asks = when.iter().map(|(key, value)| format!("{key} = {}", value.as_str().unwrap_or_default()));
        let asks: Vec<String> = asks.collect();
        lines.extend(fold(&visible(&format!("Only calls with {}.", asks.join(" and "))), width));
    }
    lines.extend(fold(stands, width));
    lines.iter().try_for_each(|line| out.line(&format!("  {line}")))
}

/// The items of a member that is a list.
pub fn list_of<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

/// Whether nothing is left of one, or of one of its accounts.
pub fn any_exceeded(all: &[Value]) -> bool {
    let is_spent = |stands: &Value| of(stands, "left") == "0";
    all.iter().any(|one| {
        let accounts = one["accounts"].as_array().is_some_and(|accounts| accounts.iter().any(is_spent));
        accounts || is_spent(one)
    })
}

/// Whose account it is that is told, where each value has one.
fn whose(stands: &Value) -> String {
    match (stands["each"].as_str(), stands.get("value")) {
        (None, _) | (_, None) => String::new(),
        (Some(each), Some(Value::String(value))) => format!(" for {each} {}", visible(value)),
        (Some(each), Some(_)) => format!(" for calls without {each}"),
    }
}

/// What is used of a limit, and left: what is named comes to the limit, but for `unsettled` where that
/// does not count.
fn amounts(stands: &Value) -> String {
    let unsettled = unsettled(stands).map_or(String::new(), |most| format!(" up to {most} unsettled,"));
    format!(
        "{} spent, {} held,{unsettled} {} left of {}",
        of(stands, "spent"),
        of(stands, "held"),
        of(stands, "left"),
        stands["limit"].as_str().unwrap_or_default()
    )
}

/// Calls that it refused in its window.
fn refused(stands: &Value) -> u64 {
    stands["refused_calls"].as_u64().unwrap_or_default()
}

/// What calls of unknown outcome may have cost, if there are any.
fn unsettled(stands: &Value) -> Option<String> {
    Some(of(stands, "unsettled")).filter(|most| !most.is_empty() && most != "0")
}

/// An amount in dollars or a count, as text.
fn of(stands: &Value, name: &str) -> String {
    match (&stands[format!("{name}_usd")], &stands[name]) {
        (Value::String(dollars), _) => dollars.clone(),
        (_, Value::Number(count)) => count.to_string(),
        _ => String::new(),
    }
}

fn print(table: &Table, out: &mut Out) -> Result<(), Failure> {
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    Ok(())
}
