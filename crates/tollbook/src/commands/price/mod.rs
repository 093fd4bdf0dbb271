//! `tollbook price`: look at prices, compute with them, bring in new ones.

mod calc;
mod check;
mod import;
mod list;
mod matching;
mod show;

use crate::cli::PriceCommand;
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::filter;
use crate::out::Out;
use tollbook_types::{Clock, Conditions, Timestamp};

pub fn run(command: &PriceCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        PriceCommand::List { text, provider, at } => {
            list::run(text.as_deref(), provider.as_deref(), instant(at.as_deref())?, config, out)
        }
        PriceCommand::Show { model, provider } => show::run(model, provider.as_deref(), config, out),
        PriceCommand::Match { model, provider, at, condition } => {
            let (at, conditions) = (instant(at.as_deref())?, conditions(condition, None)?);
            matching::run(model, provider.as_deref(), at, &conditions, config, out)
        }
        PriceCommand::Calc(args) => calc::run(args, config, out),
        PriceCommand::Import { file, dry_run } => import::run(file, *dry_run, config, out),
        PriceCommand::Check { file } => check::run(file.as_deref(), config, out),
    }
}

fn instant(at: Option<&str>) -> Result<Timestamp, Failure> {
    at.map_or_else(|| Ok(SystemClock.now()), |text| filter::instant(text, "--at"))
}

/// `KEY=VALUE` conditions, in lower case as the book has them.
fn conditions(pairs: &[String], service_tier: Option<&str>) -> Result<Conditions, Failure> {
    let mut conditions = Conditions::new();
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() && !value.is_empty() => {
                conditions.insert(key.to_lowercase(), value.to_lowercase());
            }
            _ => {
                return Err(Failure::usage(format!(
                    "{pair:?} is no condition: write KEY=VALUE, such as region=eu"
                )));
            }
        }
    }
    if let Some(tier) = service_tier {
        conditions.insert("service_tier".to_owned(), tier.to_lowercase());
    }
    Ok(conditions)
}
