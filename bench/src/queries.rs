//! Questions to the large store, warm, beside DuckDB over the same calls where that is installed.

use crate::books::text;
use crate::duck::Duck;
use crate::figure::{Aim, Samples, Table, grouped, say, thread_nanos, timed};
use crate::large::Large;
use crate::run::Run;
use crate::workload::{START_MICROS, ZONE};
use tollbook_store::{CallsOrder, CallsQuery, Dimension, Filter, Interval, Store, UsageQuery, View, Zone};
use tollbook_types::{Money, TimeRange, Timestamp};

const DAY_MICROS: i64 = 86_400_000_000;

/// A question.
enum Question {
    Sums(Box<UsageQuery>),
    Calls(Box<CallsQuery>),
    ById(Vec<String>),
}

/// A question with what is asked of it, and the same in DuckDB's words.
struct Asked {
    what: String,
    aim: Aim,
    question: Question,
    duck: Option<String>,
}

/// Asks all of them.
pub fn measure(run: &Run, large: &Large, table: &mut Table) -> Result<(), String> {
    say("queries");
    let store = large.books.ledger.store().as_ref();
    let asked = questions(store)?;
    let mut duck = Duck::start(run, large)?;
    let mut samples: Vec<(Samples, Samples, f64, bool)> = Vec::new();
    let mut processor = vec![Samples::default(); asked.len()];
    for one in &asked {
        // The first time is told apart: it brings pages and combinations into memory.
        let (took, answer) = timed(|| ask(store, &one.question));
        let answer = answer?;
        samples.push((Samples::default(), Samples::default(), millis(took), answer.from_rollups));
        if let (Some(duck), Some(sql)) = (&mut duck, &one.duck) {
            let (_, rows, cost) = duck.ask(sql)?;
            let same = rows == answer.rows && cost.is_none_or(|cost| cost == answer.cost_picos);
            if !same {
                say(&format!(
                    "  DIFFERS: {}: {} rows, {} picodollars; DuckDB {rows}, {cost:?}",
                    one.what, answer.rows, answer.cost_picos
                ));
            }
        }
    }
    for round in 0..run.rounds.max(3) {
        for (nth, one) in asked.iter().enumerate() {
            let mut mine = || -> Result<f64, String> {
                let start = thread_nanos();
                let (took, done) = timed(|| ask(store, &one.question));
                processor[nth].add((thread_nanos() - start) as f64 / 1e6);
                done.map(|_| millis(took))
            };
            let first = if round % 2 == 0 { Some(mine()?) } else { None };
            if let (Some(duck), Some(sql)) = (&mut duck, &one.duck) {
                let (took, _, _) = duck.ask(sql)?;
                samples[nth].1.add(took);
            }
            let took = match first {
                Some(took) => took,
                None => mine()?,
            };
            samples[nth].0.add(took);
        }
    }
    for ((one, (mine, theirs, first, from_rollups)), processor) in asked.iter().zip(samples).zip(processor) {
        let how = match (&one.question, from_rollups) {
            (Question::Sums(_), true) => ", from rollups",
            (Question::Sums(_), false) => ", from single calls",
            _ => "",
        };
        let more = format!("{:.1} ms of processor time, first {first:.1} ms{how}", processor.median());
        let baseline = match (theirs.0.is_empty(), &duck) {
            (false, _) => format!("DuckDB {}", theirs.text(1, " ms")),
            (true, Some(_)) => "–".to_owned(),
            (true, None) => "DuckDB not installed: skipped".to_owned(),
        };
        table.add(&one.what, one.aim, " ms", &mine, &more, &baseline);
    }
    Ok(())
}

struct Answer {
    rows: u64,
    cost_picos: i128,
    from_rollups: bool,
}

fn ask(store: &dyn Store, question: &Question) -> Result<Answer, String> {
    match question {
        Question::Sums(query) => {
            let report = store.usage(query).map_err(text)?;
            Ok(Answer {
                rows: report.rows.len() as u64,
                cost_picos: report.total.cost.picos(),
                from_rollups: report.from_rollups,
            })
        }
        Question::Calls(query) => {
            let page = store.calls(query).map_err(text)?;
            let cost = page.calls.iter().filter_map(|call| call.entry.rating.cost).map(Money::picos).sum();
            Ok(Answer { rows: page.calls.len() as u64, cost_picos: cost, from_rollups: false })
        }
        Question::ById(ids) => {
            let mut rows = 0;
            for id in ids {
                rows += store.calls_by_id(id).map_err(text)?.len() as u64;
            }
            Ok(Answer { rows, cost_picos: 0, from_rollups: false })
        }
    }
}

fn millis(took: std::time::Duration) -> f64 {
    took.as_nanos() as f64 / 1e6
}

fn questions(store: &dyn Store) -> Result<Vec<Asked>, String> {
    let zone = Zone::get(ZONE).map_err(text)?;
    let (_, last, calls) = store.extent(TimeRange::ALL).map_err(text)?.ok_or("the store is empty")?;
    let days = (last.as_microsecond() - START_MICROS) / DAY_MICROS + 1;
    let size = grouped(calls as f64);
    let sums = |from_day: i64, to_day: i64, interval: Interval, zone: &Zone, by: &[Dimension]| UsageQuery {
        range: TimeRange { from: Some(midnight(from_day)), to: Some(midnight(to_day)) },
        interval,
        zone: zone.clone(),
        group_by: by.to_vec(),
        filters: Vec::new(),
        view: View::Corrected,
    };
    let mut asked = Vec::new();
    let mut add = |what: String, aim: Aim, question: Question, duck: Option<String>| {
        asked.push(Asked { what, aim, question, duck });
    };
    let query = sums(0, days, Interval::Day, &zone, &[Dimension::Model]);
    let what = format!("by day and model, {days} days of {size} calls");
    let sql = by_sql(&query, &format!("date_trunc('day', timezone('{ZONE}', occurred_at)), model"));
    add(what, Aim::AtMost { bar: 50.0, goal: 25.0 }, Question::Sums(query.into()), sql);
    for dimension in [
        Dimension::Project,
        Dimension::Customer,
        Dimension::User,
        Dimension::Agent,
        Dimension::Operation,
        Dimension::Key,
        Dimension::Provider,
        Dimension::Model,
        Dimension::Status,
        Dimension::Source,
        Dimension::Evidence,
    ] {
        let query = sums(days - 7, days, Interval::None, &zone, std::slice::from_ref(&dimension));
        let sql = by_sql(&query, &column(&dimension));
        let what = format!("by {dimension}, 7 days");
        add(what, Aim::AtMost { bar: 100.0, goal: 50.0 }, Question::Sums(query.into()), sql);
    }
    let query = sums(0, days, Interval::None, &zone, &[Dimension::User]);
    let sql = by_sql(&query, "\"user\"");
    let what = format!("top users, {days} days");
    add(what, Aim::AtMost { bar: 600.0, goal: 350.0 }, Question::Sums(query.into()), sql);
    let page = |filters: Vec<Filter>, range: TimeRange| CallsQuery {
        range,
        filters,
        order: CallsOrder::Newest,
        after: None,
        limit: 50,
    };
    let newest = page(Vec::new(), TimeRange::ALL);
    let sql =
        "SELECT count(*), NULL FROM (SELECT * FROM calls ORDER BY occurred_at DESC LIMIT 50)".to_owned();
    let aim = Aim::AtMost { bar: 2.0, goal: 2.0 };
    add("last 50 calls".to_owned(), aim, Question::Calls(newest.into()), Some(sql));
    for (dimension, value) in [(Dimension::Project, "project-03"), (Dimension::User, "user-00700")] {
        let query = page(vec![Filter::is(dimension.clone(), value)], TimeRange::ALL);
        let what = format!("last 50 calls of a {dimension}");
        add(what, Aim::Told, Question::Calls(query.into()), None);
    }
    let mut costliest = page(Vec::new(), TimeRange { from: Some(midnight(days - 1)), to: None });
    costliest.order = CallsOrder::Costliest;
    add("costliest 50 calls of a day".to_owned(), Aim::Told, Question::Calls(costliest.into()), None);
    add("50 calls by their ids".to_owned(), Aim::Told, Question::ById(some_ids(store)?), None);
    let query = sums(days - 1, days, Interval::Hour, &zone, &[Dimension::Model]);
    let sql = by_sql(&query, "date_trunc('hour', occurred_at), model");
    add("by hour and model, 1 day".to_owned(), Aim::Told, Question::Sums(query.into()), sql);
    let query = sums(0, days, Interval::Week, &zone, &[Dimension::Project]);
    add(format!("by week and project, {days} days"), Aim::Told, Question::Sums(query.into()), None);
    let mut query = sums(0, days, Interval::Day, &zone, &[Dimension::Model]);
    query.filters.push(Filter::is(Dimension::Customer, "customer-007.example"));
    let what = format!("by day and model of one customer, {days} days");
    add(what, Aim::Told, Question::Sums(query.into()), None);
    let tokyo = Zone::get("Asia/Tokyo").map_err(text)?;
    let query = sums(0, days, Interval::Day, &tokyo, &[Dimension::Model]);
    let what = format!("by day and model in another zone, {days} days");
    add(what, Aim::Told, Question::Sums(query.into()), None);
    let query = sums(days - 7, days, Interval::Day, &tokyo, &[Dimension::User]);
    add("by day and user in another zone, 7 days".to_owned(), Aim::Told, Question::Sums(query.into()), None);
    let query = sums(days - 1, days, Interval::None, &zone, &[Dimension::Session]);
    let sql = by_sql(&query, "session");
    add("by session, 1 day".to_owned(), Aim::Told, Question::Sums(query.into()), sql);
    let query = sums(days - 7, days, Interval::None, &zone, &[Dimension::Tag("team".to_owned())]);
    let sql = by_sql(&query, "team");
    add("by tag, 7 days".to_owned(), Aim::Told, Question::Sums(query.into()), sql);
    Ok(asked)
}

/// The same sums in DuckDB: how many groups, and their cost.
fn by_sql(query: &UsageQuery, keys: &str) -> Option<String> {
    let (from, to) = (query.range.from?, query.range.to?);
    Some(format!(
        "SELECT count(*), sum(cost) FROM (SELECT {keys}, count(*) AS calls, sum(input_tokens), \
         sum(output_tokens), sum(cost)::HUGEINT AS cost FROM calls WHERE occurred_at >= TIMESTAMPTZ '{from}' \
         AND occurred_at < TIMESTAMPTZ '{to}' GROUP BY ALL)"
    ))
}

fn column(dimension: &Dimension) -> String {
    format!("\"{dimension}\"")
}

/// Midnight of a day of the workload; the clocks are set back on the 61st.
fn midnight(day: i64) -> Timestamp {
    let extra = if day > 61 { 3_600_000_000 } else { 0 };
    Timestamp::from_microsecond(START_MICROS + day * DAY_MICROS + extra).unwrap_or(Timestamp::MAX)
}

/// Ids from all over the store.
fn some_ids(store: &dyn Store) -> Result<Vec<String>, String> {
    let end = store.position().map_err(text)?.applied;
    let mut ids = Vec::new();
    for nth in 0..50 {
        let call = store.call(end / 50 * nth + 100).map_err(text)?;
        ids.extend(call.map(|call| call.entry.event.id));
    }
    Ok(ids)
}
