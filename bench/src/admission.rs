//! A decision over budgets, in process: price, worst case, all that match, hold, and giving it back.

use crate::books::{Books, text};
use crate::figure::{Aim, Samples, Table, nanos_each};
use crate::run::Run;
use std::hint::black_box;
use std::time::Instant;
use tollbook_budget::{BudgetForm, RateLimitForm};
use tollbook_ledger::Ledger;
use tollbook_ledger::budgets::Asked;
use tollbook_store::Zone;
use tollbook_types::{Attribution, Clock, Conditions, Timestamp};

/// Budgets that are defined.
const BUDGETS: usize = 10_000;
/// Decisions of a round.
const DECISIONS: usize = 50_000;

/// With one budget for each of many users, and four more that every call matches.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    let books = Books::open(&run.scratch.fresh("admission")?)?;
    let utc = ("UTC".to_owned(), Zone::UTC);
    let budget = |form: BudgetForm| books.ledger.configure_budget(form, &utc).map_err(text);
    let form = |name: String, pairs: &[(&str, &str)], window: &str| BudgetForm {
        name,
        matches: pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        limit_usd: Some("1000000".to_owned()),
        window: window.to_owned(),
        mode: Some("strict".to_owned()),
        ..BudgetForm::default()
    };
    for user in 0..BUDGETS - 4 {
        budget(form(format!("user {user}"), &[("user", &format!("u{user}"))], "month"))?;
    }
    budget(form("all".to_owned(), &[], "day"))?;
    budget(form("team".to_owned(), &[("tag.team", "ops"), ("project", "web")], "week"))?;
    budget(form("model".to_owned(), &[("model", "gpt-4o-mini")], "hour"))?;
    let rolling =
        BudgetForm { minutes: Some(300), ..form("rolling".to_owned(), &[("provider", "openai")], "rolling") };
    budget(BudgetForm { each: Some("session".to_owned()), ..rolling })?;
    let callers: Vec<Attribution> = (0..997).map(|n| caller(n * 10)).collect();
    let (now, conditions) = (books.clock.now(), Conditions::default());
    let decide = |nth: usize| decide(&books.ledger, &callers[nth % callers.len()], nth, now, &conditions);
    let (_, matching) = decide(0)?;
    if matching != 5 {
        return Err(format!("{matching} budgets match"));
    }
    let (mut p99, mut p50, mut cpu, mut limited) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    for _ in 0..run.rounds {
        let mut nanos = Vec::with_capacity(DECISIONS);
        for nth in 0..DECISIONS {
            nanos.push(decide(nth)?.0);
        }
        nanos.sort_unstable();
        p50.add(nanos[DECISIONS / 2] as f64 / 1e3);
        p99.add(nanos[DECISIONS * 99 / 100] as f64 / 1e3);
        cpu.add(each(&decide)?);
    }
    // The same with a rate limit beside them.
    let rates = RateLimitForm {
        name: "rates".to_owned(),
        each: Some("user".to_owned()),
        requests_per_minute: Some(1_000_000_000),
        tokens_per_minute: Some(1_000_000_000_000),
        concurrent_calls: Some(1_000),
        ..RateLimitForm::default()
    };
    books.ledger.configure_rate_limit(rates).map_err(text)?;
    for _ in 0..run.rounds {
        limited.add(each(&decide)?);
    }
    let more = format!(
        "p50 {}; with its release {} of processor time, with a rate limit beside {}",
        p50.text(2, " µs"),
        cpu.text(2, " µs"),
        limited.text(2, " µs")
    );
    let what = "decision over 10,000 budgets of which 5 match, p99";
    table.add(what, Aim::AtMost { bar: 20.0, goal: 20.0 }, " µs", &p99, &more, "–");
    books.close()
}

/// Processor time of a decision and its release, in microseconds.
fn each(decide: &impl Fn(usize) -> Result<(u128, usize), String>) -> Result<f64, String> {
    let mut failed = None;
    let nanos = nanos_each(DECISIONS, || {
        for nth in 0..DECISIONS {
            failed = black_box(decide(nth)).err().or(failed.take());
        }
    });
    failed.map_or(Ok(nanos / 1e3), Err)
}

fn caller(user: usize) -> Attribution {
    Attribution {
        user: Some(format!("u{user}")),
        project: Some("web".to_owned()),
        session: Some(format!("s{}", user % 100)),
        key: Some("key_1".to_owned()),
        operation: Some("chat".to_owned()),
        tags: [("team".to_owned(), "ops".to_owned())].into(),
        ..Attribution::default()
    }
}

/// How long a decision took, in nanoseconds, and how many budgets it was over.
fn decide(
    ledger: &Ledger,
    who: &Attribution,
    nth: usize,
    at: Timestamp,
    conditions: &Conditions,
) -> Result<(u128, usize), String> {
    let id = format!("019ab000-0000-7000-8000-{nth:012}");
    let asked = Asked {
        id: &id,
        at,
        provider: "openai",
        model: Some("gpt-4o-mini"),
        instead_of: None,
        who,
        conditions,
        input_tokens: Some(2_000),
        output_tokens: Some(500),
        is_bounded: true,
        expires_at: None,
        text: &[],
    };
    let since = Instant::now();
    let granted = ledger.admit(&asked);
    let took = since.elapsed().as_nanos();
    let granted = granted.map_err(text)?;
    ledger.release_hold(&id);
    Ok((took, granted.admitted.budgets))
}
