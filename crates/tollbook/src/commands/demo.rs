//! `tollbook demo`: calls to look around in, and taking them out again; through the running server
//! where there is one, else in the books themselves.

use super::holder::{self, Holder, answer};
use crate::cli::DemoArgs;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::number::count;
use crate::wire::{DemoView, RemovedView};
use std::time::Duration;
use tollbook_ledger::By;
use tollbook_types::Clock;

const PATH: &str = "/api/v1/demo";
/// Taking calls out of a large store takes a while.
const PATIENCE: Duration = Duration::from_secs(600);

pub fn run(args: &DemoArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    if args.remove {
        let RemovedView { calls } = holder::with(config, out, remove)?;
        if out.json {
            out.json(&RemovedView { calls })?;
            return Ok(Exit::Ok);
        }
        match calls {
            0 => out.note("there is no demo"),
            _ => out.line(&format!("{} demo calls are out of the books again", count(calls)))?,
        }
        return Ok(Exit::Ok);
    }
    let (before, demo) = holder::with(config, out, |holder| add(holder, config))?;
    if out.json {
        out.json(&demo)?;
        return Ok(Exit::Ok);
    }
    let verb = if before { "were there already" } else { "are in the books" };
    out.line(&format!("{} demo calls of 90 days {verb}: project demo, source demo", count(demo.calls)))?;
    if let (Some(from), Some(to)) = (demo.spike_from, demo.spike_to) {
        out.line(&format!("one night has a spike: tollbook calls --sort cost --since {from} --until {to}"))?;
    }
    out.note(
        "no budget counts them; -f 'source!=demo' leaves them out, `tollbook demo --remove` takes them out",
    );
    Ok(Exit::Ok)
}

/// Adds the demo. The first value is whether it was there before.
fn add(holder: &Holder, config: &Config) -> Result<(bool, DemoView), Failure> {
    match holder {
        Holder::Books(ledger) => {
            let before = ledger.demo()?.is_some();
            let zone = &config.time_zone.value.zone;
            Ok((before, tollbook_api::demo::add(ledger, &By::local(), SystemClock.now(), zone)?))
        }
        Holder::Server(client) => {
            let before: DemoView = answer(client.ask("GET", PATH, None)?)?;
            Ok((before.present, answer(client.ask("PUT", PATH, None)?)?))
        }
    }
}

fn remove(holder: &Holder) -> Result<RemovedView, Failure> {
    match holder {
        Holder::Books(ledger) => Ok(RemovedView { calls: ledger.remove_demo(&By::local())? }),
        Holder::Server(client) => answer(client.clone().patient(PATIENCE).ask("DELETE", PATH, None)?),
    }
}
