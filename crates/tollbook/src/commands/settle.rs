//! `tollbook settle ID`: what became of a call whose usage is unknown; through the running server where
//! there is one, else in the books themselves.

use super::holder::{self, Holder, answer};
use crate::cli::SettleArgs;
use crate::client::encoded;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::text::visible;
use crate::wire::CallView;
use crate::{quantities, select};
use serde_json::{Map, Value, json};
use tollbook_ledger::{Act, By, Ledger, Settlement};
use tollbook_types::{Clock, Money};

/// What is told of the call, as it is read here and as a server is told.
struct Told {
    settlement: Settlement,
    member: (&'static str, Value),
}

pub fn run(args: &SettleArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let told = told(args)?;
    let call: Value = holder::with(config, out, |holder| match holder {
        Holder::Books(ledger) => settle(ledger, args, &told.settlement),
        Holder::Server(client) => {
            let (name, value) = told.member;
            let body = Map::from_iter([(name.to_owned(), value), ("reason".to_owned(), json!(args.reason))]);
            let option = |name: &str, value: &Option<String>| {
                value.as_ref().map_or(String::new(), |value| format!("&{name}={}", encoded(value)))
            };
            let of = [option("project", &args.call.project), option("source", &args.call.source)].concat();
            let question = of.strip_prefix('&').map_or(String::new(), |of| format!("?{of}"));
            let path = format!("/api/v1/calls/{}/settle{question}", encoded(&args.call.id));
            answer(client.ask("POST", &path, Some(&body.into()))?)
        }
    })?;
    if out.json {
        out.json(&call)?;
    } else {
        let cost = match call["cost_usd"].as_str() {
            Some(cost) => format!("${cost}"),
            None => "still without a cost; `tollbook explain` says why".to_owned(),
        };
        let versions = call["adjustments"].as_array().map_or(0, Vec::len);
        out.line(&visible(&format!("{}: settled as version {versions}, {cost}", args.call.id)))?;
    }
    Ok(Exit::Ok)
}

fn told(args: &SettleArgs) -> Result<Told, Failure> {
    if let Some(text) = &args.cost_usd {
        let cost = amount(text)?;
        return Ok(Told { settlement: Settlement::Cost(cost), member: ("cost_usd", json!(cost)) });
    }
    if args.none {
        return Ok(Told { settlement: Settlement::None, member: ("none", json!(true)) });
    }
    let members = quantities::of_pairs(&args.usage)?;
    let read = quantities::event("settled", "settled", SystemClock.now(), members.clone())?;
    let settlement = Settlement::Usage(read.usage.map(|usage| usage.total()).unwrap_or_default());
    Ok(Told { settlement, member: ("usage", members.into()) })
}

fn settle(ledger: &Ledger, args: &SettleArgs, settlement: &Settlement) -> Result<Value, Failure> {
    let call = select::call(&**ledger.store(), &args.call)?;
    let id = call.entry.event.id.as_str();
    ledger.audit(&By::local(), Act::new("call.settle").on("call", id))?;
    ledger.settle(call.seq, settlement, &args.reason)?;
    let settled = ledger.store().call(call.seq)?;
    Ok(serde_json::to_value(settled.as_ref().map(CallView::of))?)
}

fn amount(text: &str) -> Result<Money, Failure> {
    let amount: Money =
        text.parse().map_err(|problem| Failure::usage(format!("--cost-usd {text:?}: {problem}")))?;
    if amount.is_negative() {
        return Err(Failure::usage("--cost-usd: a call does not cost less than nothing"));
    }
    Ok(amount)
}
