//! `tollbook budget …`: through the running server where there is one, else in the books themselves.

mod show;
pub(super) mod words;

use super::holder::{self, Holder, answer};
use crate::cli::{BudgetCommand, BudgetExplainArgs, BudgetRaiseArgs, CallIdArgs};
use crate::client::encoded;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::filter::instant;
use crate::out::Out;
use crate::serve::configured_channels;
use crate::wire::{BudgetView, LimitsView};
use crate::{open, select};
use serde_json::{Map, Value, json};
use tollbook_api::Channels;
use tollbook_budget::{BudgetForm, RaiseForm};
use tollbook_ledger::budgets::{BudgetError, Defined};
use tollbook_ledger::{Act, By, Ledger};
use tollbook_types::Clock;

const PATH: &str = "/api/v1/budgets";

pub fn run(command: &BudgetCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        BudgetCommand::Set(args) => {
            let form = words::form(args)?;
            let budget = with(config, out, |holder| set(holder, form, config))?;
            show::one(&budget, out)?;
        }
        BudgetCommand::List(args) => {
            let budgets = with(config, out, |holder| budgets(holder, config))?;
            show::list(&budgets, out)?;
            return Ok(checked(args.check, show::any_exceeded(&budgets)));
        }
        BudgetCommand::Explain(args) => {
            let limits = with(config, out, |holder| explain(holder, args))?;
            show::limits(&limits, out)?;
            return Ok(checked(args.check, show::any_exceeded(show::list_of(&limits, "data"))));
        }
        BudgetCommand::Raise(args) => {
            let budget = with(config, out, |holder| raise(holder, args, config))?;
            show::one(&budget, out)?;
        }
        BudgetCommand::Remove(args) => {
            let id = with(config, out, |holder| remove(holder, &args.budget, config))?;
            if out.json {
                out.json(&json!({"id": id, "removed": true}))?;
            }
            out.note("it is gone; what it counted stays in the books");
        }
    }
    Ok(Exit::Ok)
}

fn checked(is_check: bool, is_exceeded: bool) -> Exit {
    if is_check && is_exceeded { Exit::Exceeded } else { Exit::Ok }
}

/// Whoever holds the books, with the budgets in force.
pub(super) fn with<T>(
    config: &Config,
    out: &mut Out,
    work: impl FnOnce(&Holder) -> Result<T, Failure>,
) -> Result<T, Failure> {
    holder::with(config, out, |holder| {
        if let Holder::Books(ledger) = holder {
            open::enforce_budgets(ledger, config)?;
        }
        work(holder)
    })
}

/// Makes a budget, or changes the one with its name.
fn set(holder: &Holder, form: BudgetForm, config: &Config) -> Result<Value, Failure> {
    let known = find(holder, &form.name, config)?;
    match holder {
        Holder::Books(ledger) => {
            let zone = config.zone();
            let made = match known {
                None => ledger.create_budget(&By::local(), form, &zone),
                Some(known) => ledger
                    .change_budget(&By::local(), Act::new("budget.change"), &id(&known), None, &zone, |old| {
                        *old = BudgetForm { raises: std::mem::take(&mut old.raises), ..form };
                    })
                    .and_then(|changed| changed.ok_or(BudgetError::Stale)),
            };
            let channels = Channels::load(ledger, &configured_channels(config)?)?;
            shown(ledger, made.map_err(failure)?.as_ref(), &channels)
        }
        Holder::Server(client) => {
            let Value::Object(members) = serde_json::to_value(&form)? else { return Ok(Value::Null) };
            let told = match known {
                None => client.ask("POST", PATH, Some(&Value::Object(members)))?,
                Some(known) => {
                    // What is not said is taken out.
                    let unsaid = BudgetForm::MEMBERS.iter().filter(|name| **name != "raises");
                    let mut changes: Map<String, Value> =
                        unsaid.map(|name| ((*name).to_owned(), Value::Null)).collect();
                    changes.extend(members);
                    client.ask(
                        "PATCH",
                        &format!("{PATH}/{}", encoded(&id(&known))),
                        Some(&Value::Object(changes)),
                    )?
                }
            };
            answer(told)
        }
    }
}

fn budgets(holder: &Holder, config: &Config) -> Result<Vec<Value>, Failure> {
    match holder {
        Holder::Books(ledger) => {
            let channels = Channels::load(ledger, &configured_channels(config)?)?;
            ledger.budgets().iter().map(|budget| shown(ledger, budget, &channels)).collect()
        }
        Holder::Server(client) => {
            let page = client.ask("GET", PATH, None)?;
            answer(page.map(|mut page| page["data"].take()))
        }
    }
}

/// Every limit that applies.
fn explain(holder: &Holder, args: &BudgetExplainArgs) -> Result<Value, Failure> {
    let of = &args.of;
    let is_key = of.id.starts_with("key_");
    match holder {
        Holder::Books(ledger) => {
            let limits = if is_key {
                let key = ledger.keys().get(&of.id).cloned();
                let unknown =
                    || Failure::new("there is no such key").hint("`tollbook key list` names the keys");
                LimitsView::of_key(ledger, key.ok_or_else(unknown)?.as_ref())
            } else {
                LimitsView::of_call(ledger, &select::call(ledger.store().as_ref(), of)?)
            };
            Ok(serde_json::to_value(limits)?)
        }
        Holder::Server(client) => {
            let path = format!("/api/v1/limits?{}", if is_key { key_query(of) } else { call_query(of) });
            answer(client.ask("GET", &path, None)?)
        }
    }
}

fn key_query(of: &CallIdArgs) -> String {
    format!("key={}", encoded(&of.id))
}

fn call_query(of: &CallIdArgs) -> String {
    let member = |name: &str, value: &Option<String>| {
        value.as_ref().map_or(String::new(), |value| format!("&{name}={}", encoded(value)))
    };
    format!("call={}{}{}", encoded(&of.id), member("project", &of.project), member("source", &of.source))
}

fn raise(holder: &Holder, args: &BudgetRaiseArgs, config: &Config) -> Result<Value, Failure> {
    let until = instant(&args.until, "--until")?;
    let now = SystemClock.now();
    if until <= now {
        return Err(Failure::usage("--until must lie ahead"));
    }
    let known = known(holder, &args.budget.budget, config)?;
    let (id, by) = (id(&known), words::raise(&args.by, &known)?);
    match holder {
        Holder::Books(ledger) => {
            let act = Act::new("budget.raise").told("by", by.as_str());
            let act = act.told("until", until.to_string()).told("reason", args.reason.as_str());
            let raised = RaiseForm { by, until };
            let changed = ledger.change_budget(&By::local(), act, &id, None, &config.zone(), |form| {
                form.raises.retain(|raise| raise.until > now);
                form.raises.push(raised);
            });
            let changed = changed.and_then(|changed| changed.ok_or(BudgetError::Stale)).map_err(failure)?;
            shown(ledger, &changed, &Channels::load(ledger, &configured_channels(config)?)?)
        }
        Holder::Server(client) => {
            let body = json!({"by": by, "until": until, "reason": args.reason});
            answer(client.ask("POST", &format!("{PATH}/{}/raise", encoded(&id)), Some(&body))?)
        }
    }
}

fn remove(holder: &Holder, name: &str, config: &Config) -> Result<String, Failure> {
    let id = id(&known(holder, name, config)?);
    match holder {
        Holder::Books(ledger) => drop(ledger.remove_budget(&By::local(), &id, None).map_err(failure)?),
        Holder::Server(client) => drop(client.ask("DELETE", &format!("{PATH}/{}", encoded(&id)), None)?),
    }
    Ok(id)
}

/// The budget with this name or id, which has to be there.
fn known(holder: &Holder, name: &str, config: &Config) -> Result<Value, Failure> {
    find(holder, name, config)?.ok_or_else(|| {
        Failure::new(format!("there is no budget {name:?}")).hint("`tollbook budget list` names them")
    })
}

/// The budget with this id, or else with this name.
fn find(holder: &Holder, name: &str, config: &Config) -> Result<Option<Value>, Failure> {
    let all = budgets(holder, config)?;
    if let Some(found) = all.iter().find(|budget| budget["id"] == name) {
        return Ok(Some(found.clone()));
    }
    let mut named: Vec<Value> = all.into_iter().filter(|budget| budget["name"] == name).collect();
    if named.len() > 1 {
        let ids: Vec<String> = named.iter().map(id).collect();
        return Err(Failure::new(format!("several budgets are called {name:?}"))
            .hint(format!("name one by its id: {}", ids.join(", "))));
    }
    Ok(named.pop())
}

fn id(budget: &Value) -> String {
    budget["id"].as_str().unwrap_or_default().to_owned()
}

fn shown(ledger: &Ledger, budget: &Defined, channels: &Channels) -> Result<Value, Failure> {
    Ok(serde_json::to_value(BudgetView::of(budget, &ledger.standings(&budget.id), channels))?)
}

/// Why a budget was not taken.
pub(super) fn failure(error: BudgetError) -> Failure {
    match error {
        BudgetError::Faults(faults) => {
            let mut failure = Failure::usage("");
            failure.errors =
                faults.iter().map(|fault| format!("{} {}", fault.member, fault.detail)).collect();
            failure
        }
        BudgetError::Ledger(error) => error.into(),
        error => Failure::new(error.to_string()),
    }
}
