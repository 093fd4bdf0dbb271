//! `tollbook limit …`: rate limits, through the running server where there is one, else in the books
//! themselves.

use super::budget::{failure, with, words};
use super::holder::{Holder, answer};
use crate::cli::{LimitCommand, LimitSetArgs};
use crate::client::encoded;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::out::text::{fold, visible};
use crate::wire::RateLimitView;
use serde_json::{Map, Value, json};
use tollbook_budget::RateLimitForm;
use tollbook_ledger::By;
use tollbook_ledger::budgets::BudgetError;

const PATH: &str = "/api/v1/rate-limits";

pub fn run(command: &LimitCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        LimitCommand::Set(args) => {
            let form = form(args)?;
            let limit = with(config, out, |holder| set(holder, form))?;
            if out.json {
                out.json(&limit)?;
            } else {
                let text = |name: &str| limit[name].as_str().unwrap_or_default();
                for line in fold(&visible(text("words")), out.width()) {
                    out.line(&line)?;
                }
                out.note(&format!("its name is {:?}, its id {}", visible(text("name")), text("id")));
            }
        }
        LimitCommand::List => {
            let limits = with(config, out, limits)?;
            list(&limits, out)?;
        }
        LimitCommand::Remove(args) => {
            let id = with(config, out, |holder| remove(holder, &args.limit))?;
            if out.json {
                out.json(&json!({"id": id, "removed": true}))?;
            }
            out.note("it is gone");
        }
    }
    Ok(Exit::Ok)
}

fn form(args: &LimitSetArgs) -> Result<RateLimitForm, Failure> {
    let each = args.each.as_ref().map_or(String::new(), |each| format!(" each {each}"));
    Ok(RateLimitForm {
        name: args.name.clone().unwrap_or_else(|| format!("{}{each}", args.scope)),
        matches: words::scope(&args.scope)?,
        each: args.each.clone(),
        requests_per_minute: args.requests,
        tokens_per_minute: args.tokens,
        concurrent_calls: args.concurrent,
        identical_per_minute: args.identical,
    })
}

/// Makes a rate limit, or changes the one with its name.
fn set(holder: &Holder, form: RateLimitForm) -> Result<Value, Failure> {
    let known = find(holder, &form.name)?;
    match holder {
        Holder::Books(ledger) => {
            let made = match known {
                None => ledger.create_rate_limit(&By::local(), form),
                Some(id) => ledger
                    .change_rate_limit(&By::local(), &id, None, form)
                    .and_then(|changed| changed.ok_or(BudgetError::Stale)),
            };
            Ok(serde_json::to_value(RateLimitView::of(made.map_err(failure)?.as_ref()))?)
        }
        Holder::Server(client) => {
            let Value::Object(members) = serde_json::to_value(&form)? else { return Ok(Value::Null) };
            let told = match known {
                None => client.ask("POST", PATH, Some(&Value::Object(members)))?,
                Some(id) => {
                    // What is not said is taken out.
                    let unsaid = RateLimitForm::MEMBERS.iter().map(|name| ((*name).to_owned(), Value::Null));
                    let mut changes: Map<String, Value> = unsaid.collect();
                    changes.extend(members);
                    let path = format!("{PATH}/{}", encoded(&id));
                    client.ask("PATCH", &path, Some(&Value::Object(changes)))?
                }
            };
            answer(told)
        }
    }
}

fn limits(holder: &Holder) -> Result<Vec<Value>, Failure> {
    match holder {
        Holder::Books(ledger) => {
            let all = ledger.rate_limits();
            all.iter().map(|limit| Ok(serde_json::to_value(RateLimitView::of(limit))?)).collect()
        }
        Holder::Server(client) => {
            let page = client.ask("GET", PATH, None)?;
            answer(page.map(|mut page| page["data"].take()))
        }
    }
}

fn remove(holder: &Holder, name: &str) -> Result<String, Failure> {
    let id = find(holder, name)?.ok_or_else(|| {
        Failure::new(format!("there is no rate limit {name:?}")).hint("`tollbook limit list` names them")
    })?;
    match holder {
        Holder::Books(ledger) => drop(ledger.remove_rate_limit(&By::local(), &id, None).map_err(failure)?),
        Holder::Server(client) => drop(client.ask("DELETE", &format!("{PATH}/{}", encoded(&id)), None)?),
    }
    Ok(id)
}

/// The id of the rate limit with this id, or else with this name.
fn find(holder: &Holder, name: &str) -> Result<Option<String>, Failure> {
    let all = limits(holder)?;
    let text = |limit: &Value, member: &str| limit[member].as_str().unwrap_or_default().to_owned();
    if all.iter().any(|limit| text(limit, "id") == name) {
        return Ok(Some(name.to_owned()));
    }
    let ids: Vec<String> =
        all.iter().filter(|limit| text(limit, "name") == name).map(|limit| text(limit, "id")).collect();
    match ids.as_slice() {
        [] => Ok(None),
        [id] => Ok(Some(id.clone())),
        _ => Err(Failure::new(format!("several rate limits are called {name:?}"))
            .hint(format!("name one by its id: {}", ids.join(", ")))),
    }
}

fn list(limits: &[Value], out: &mut Out) -> Result<(), Failure> {
    if out.json {
        return out.json(&json!({"data": limits, "has_more": false, "next_cursor": null}));
    }
    let mut table = Table::new(vec![
        Column::text("Name"),
        Column::number("Requests/min"),
        Column::number("Tokens/min"),
        Column::number("At once"),
        Column::number("Same/min"),
        Column::text("Source").expendable(1),
        Column::text("Id").whole().expendable(2),
    ]);
    for limit in limits {
        let text = |name: &str| Cell::text(limit[name].as_str());
        let count = |name: &str| limit[name].as_u64().map_or(Cell::Word("–"), Cell::Count);
        table.row(vec![
            text("name"),
            count("requests_per_minute"),
            count("tokens_per_minute"),
            count("concurrent_calls"),
            count("identical_per_minute"),
            text("source"),
            text("id"),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if limits.is_empty() {
        out.note("no rate limits yet; `tollbook limit set SCOPE --requests N` makes one");
    }
    Ok(())
}
