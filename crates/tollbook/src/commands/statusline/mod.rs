//! `tollbook statusline`: one line for a prompt: today's spend, the session's cost, the tightest budget.
//!
//! It is run many times an hour by something that waits for it: it takes no lock, waits a moment at
//! most, and whatever goes wrong is a few words and exit code 0.

mod line;
mod told;

use crate::cli::{GlobalArgs, StatuslineArgs};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::source::{Asked, Source, Standing};
pub use line::USUAL;
use line::{Facts, Layout};
use std::time::Duration;
use told::Told;
use tollbook_api::question;
use tollbook_store::Interval;
use tollbook_types::{Clock, TimeRange, Timestamp};

/// How long each of its questions may take.
const PATIENCE: Duration = Duration::from_millis(150);
/// Spending is told by the hour from the last so many minutes.
const RATE_MINUTES: i64 = 60;

pub fn run(args: &StatuslineArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let told = told::read();
    let text = match facts(global, &told) {
        Ok(facts) if out.json => {
            out.json(&facts)?;
            return Ok(Exit::Ok);
        }
        Ok(facts) => Layout::read(&args.format).map_or_else(|problem| problem, |layout| layout.line(&facts)),
        Err(failure) => short(&failure),
    };
    if out.json {
        out.json(&serde_json::json!({"problem": text}))?;
    } else {
        out.line(&text)?;
    }
    Ok(Exit::Ok)
}

/// What went wrong, in the room of a prompt.
fn short(failure: &Failure) -> String {
    let why = failure.errors.first().map_or("something failed", String::as_str);
    let why = if why.starts_with("there is nothing in") { "no books yet" } else { why };
    crate::out::text::cut(&crate::out::text::visible(&format!("tollbook: {why}")), 60)
}

fn facts(global: &GlobalArgs, told: &Told) -> Result<Facts, Failure> {
    let config = Config::load(global)?;
    let source = Source::open(&config, PATIENCE)?;
    let (now, zone) = (SystemClock.now(), &config.time_zone.value);
    let today = question::last_days(1, &zone.zone, now).map_err(Failure::new)?;
    let hour_ago = Timestamp::from_second(now.as_second() - RATE_MINUTES * 60).unwrap_or(now);
    let sum = |range: TimeRange, filters: &[(String, String)]| {
        source
            .usage(&Asked { range, interval: Interval::None, by: None, filters }, zone)
            .map(|report| report.total)
    };
    // Demo calls never happened.
    let real = [("source!".to_owned(), tollbook_types::DEMO_SOURCE.to_owned())];
    let spent = sum(today, &real)?;
    // The rest is worth showing only where it is there at once.
    let rate = sum(TimeRange { from: Some(hour_ago), to: None }, &real).ok().and_then(|sums| sums.cost_usd);
    let session = told.session.as_ref().and_then(|session| {
        let filters = [("session".to_owned(), session.clone())];
        sum(today, &filters).ok().filter(|sums| sums.calls > 0).and_then(|sums| sums.cost_usd)
    });
    let tightest: Option<Standing> = source.budgets().unwrap_or_default().into_iter().next();
    Ok(Facts {
        today: spent.cost_usd.or_else(|| (spent.calls == 0).then_some(tollbook_types::Money::ZERO)),
        unpriced: spent.unpriced_calls + spent.unknown_calls,
        rate,
        session: session.or(told.cost),
        model: told.model.clone(),
        resets_s: tightest
            .as_ref()
            .and_then(|budget| budget.resets_at)
            .map(|at| at.as_second() - now.as_second()),
        budget: tightest,
        zone: zone.name.clone(),
    })
}
