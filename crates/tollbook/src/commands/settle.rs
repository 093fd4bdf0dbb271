//! `tollbook settle ID`: what became of a call whose usage is unknown.

use crate::cli::SettleArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::dollars;
use crate::out::text::visible;
use crate::wire::CallView;
use crate::{open, quantities, select};
use tollbook_ledger::{Act, By, Settlement};
use tollbook_types::Money;

pub fn run(args: &SettleArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let amount = args.cost_usd.as_deref().map(amount).transpose()?;
    let ledger = open::write(config, out)?;
    let call = select::call(&**ledger.store(), &args.call)?;
    let event = &call.entry.event;
    let settlement = match amount {
        Some(cost) => Settlement::Cost(cost),
        None if args.none => Settlement::None,
        None => {
            let members = quantities::of_pairs(&args.usage)?;
            let told = quantities::event(&event.provider, "settled", event.occurred_at, members)?;
            Settlement::Usage(told.usage.map(|usage| usage.total()).unwrap_or_default())
        }
    };
    ledger.audit(&By::local(), Act::new("call.settle").on("call", event.id.as_str()))?;
    let state = ledger.settle(call.seq, &settlement, &args.reason)?;
    let call = ledger.store().call(call.seq)?;
    ledger.close()?;
    if out.json {
        out.json(&call.as_ref().map(CallView::of))?;
    } else {
        let cost = state.rating.cost.map_or_else(|| CallView::without_cost(&state).to_owned(), dollars);
        out.line(&visible(&format!("{}: settled as version {}, {cost}", args.call.id, state.version)))?;
    }
    Ok(Exit::Ok)
}

fn amount(text: &str) -> Result<Money, Failure> {
    let amount: Money =
        text.parse().map_err(|problem| Failure::usage(format!("--cost-usd {text:?}: {problem}")))?;
    if amount.is_negative() {
        return Err(Failure::usage("--cost-usd: a call does not cost less than nothing"));
    }
    Ok(amount)
}
