//! Fills a new store with realistic calls through the public interface, and tells what it costs.
//!
//! `cargo run --release -p tollbook-sqlite --example fill -- CALLS BATCH FILE [bare]`
//!
//! With `bare`, the same calls also go into a table of plain columns without any index or rollup:
//! what SQLite can do at best.

use rusqlite::{Connection, params};
use std::error::Error;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollbook_sqlite::{Options, SqliteStore};
use tollbook_store::{
    Batch, CallsOrder, CallsQuery, Dimension, EventStore, Filter, Interval, Op, StatsQuery, UsageQuery, View,
    Zone, entry_digest,
};
use tollbook_types::{
    Attribution, Conditions, CostBasis, Digest, Entry, Event, Evidence, LegRating, Meter, Meters, Money,
    Rating, Status, TimeRange, Timestamp, Usage,
};

/// Microseconds between two calls: ten million in 90 days.
const STEP: i64 = 777_600;
const USERS: u64 = 2_000;
const START: i64 = 1_790_000_000_000_000;

/// Provider, model, picodollars for an input and an output token.
const MODELS: &[(&str, &str, i128, i128)] = &[
    ("openai", "gpt-4o-2024-11-20", 2_500_000, 10_000_000),
    ("openai", "gpt-4o-mini-2024-07-18", 150_000, 600_000),
    ("openai", "gpt-5-mini-2025-08-07", 250_000, 2_000_000),
    ("anthropic", "claude-sonnet-4-5-20250929", 3_000_000, 15_000_000),
    ("anthropic", "claude-haiku-4-5-20251001", 1_000_000, 5_000_000),
    ("google", "gemini-2.5-flash", 300_000, 2_500_000),
    ("google", "gemini-2.5-pro", 1_250_000, 10_000_000),
    ("mistral", "mistral-large-2411", 2_000_000, 6_000_000),
    ("openai", "text-embedding-3-small", 20_000, 0),
    ("bedrock", "anthropic.claude-sonnet-4-5-v1:0", 3_000_000, 15_000_000),
];

/// A small generator of even numbers; the calls must be the same in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Small numbers more often than large ones.
    fn skewed(&mut self, bound: u64) -> u64 {
        let most = 1 + self.below(bound);
        self.below(most)
    }

    fn letters(&mut self, count: usize) -> String {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        (0..count).map(|_| char::from(LETTERS[self.below(62) as usize])).collect()
    }
}

/// Seconds in base 62, as some providers begin their ids.
fn clock_letters(mut seconds: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut letters = Vec::new();
    for _ in 0..6 {
        letters.push(LETTERS[(seconds % 62) as usize]);
        seconds /= 62;
    }
    letters.iter().rev().map(|letter| char::from(*letter)).collect()
}

fn call(dice: &mut Dice, at: i64) -> Entry {
    let user = dice.skewed(USERS);
    let agent = (user * 7 + dice.below(2)) % 30;
    let (provider, model, input_picos, output_picos) = MODELS[((agent + dice.below(2)) % 10) as usize];
    let input = 200 + dice.skewed(12_000);
    let cached = if dice.below(3) == 0 { input / 2 } else { 0 };
    let output = if output_picos == 0 { 0 } else { 20 + dice.skewed(2_000) };
    let latency = 300 + output * 12 + dice.below(400);
    let mut meters = Meters::from_pairs([(Meter::Input, input - cached), (Meter::CacheRead, cached)]);
    meters.set(Meter::Output, output);
    let input_cost = i128::from(input - cached) * input_picos + i128::from(cached) * input_picos / 10;
    let output_cost = i128::from(output) * output_picos;
    let event = Event {
        provider: provider.into(),
        model: model.into(),
        request_model: Some(model.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-').into()),
        api: Some("chat".into()),
        status: if dice.below(50) == 0 { Status::UpstreamError } else { Status::Ok },
        http_status: Some(200),
        usage: Some(Usage::one(meters)),
        evidence: Evidence::ProviderUsage,
        conditions: Conditions::from([("service_tier".to_owned(), "default".to_owned())]),
        provider_response_id: response_id(dice, provider, at),
        attribution: attribution(dice, user, agent),
        latency_ms: Some(latency),
        time_to_first_token_ms: Some(200 + dice.below(600)),
        raw_usage: Some(raw_usage(provider, input, cached, output)),
        content: Digest::of(&at.to_le_bytes()),
        ..Event::new(uuid(dice, at), "gateway".into(), Timestamp::from_microsecond(at).unwrap_or_default())
    };
    let rating = rating(provider, model, Money::from_picos(input_cost), Money::from_picos(output_cost));
    let recorded = at + latency as i64 * 1_000 + dice.below(5_000) as i64;
    Entry { event, rating, recorded_at: Timestamp::from_microsecond(recorded).unwrap_or_default() }
}

fn rating(provider: &str, model: &str, input: Money, output: Money) -> Rating {
    let cost = input.checked_add(output);
    let (input, output, other) = (Some(input), Some(output), Some(Money::ZERO));
    Rating {
        basis: CostBasis::Book,
        cost,
        input_cost: input,
        output_cost: output,
        other_cost: other,
        book_cost: cost,
        legs: vec![LegRating {
            card: Some(Digest::of(model.as_bytes())),
            cost,
            input_cost: input,
            output_cost: output,
            other_cost: other,
        }],
        note: None,
        price_id: Some(format!("{provider}/{model}@2026-01-01")),
        worst_case: None,
    }
}

fn attribution(dice: &mut Dice, user: u64, agent: u64) -> Attribution {
    Attribution {
        project: Some(format!("project-{}", user % 12)),
        customer: Some(format!("customer{}.example.com", user % 300)),
        user: Some(format!("user_{user:06}@example.com")),
        agent: Some(format!("agent-{agent}")),
        agent_name: Some(format!("Agent number {agent}")),
        operation: Some(["chat", "rag_answer", "summarise", "embed"][(agent % 4) as usize].into()),
        operation_id: None,
        session: Some(format!("{:08x}-{:04x}-4000-8000-{:012x}", user, dice.below(40), user * 77_777)),
        key: Some(format!("key_{:04}", user % 40)),
        tags: [("team".to_owned(), format!("team-{}", user % 25))].into(),
        metadata: None,
    }
}

fn uuid(dice: &mut Dice, at: i64) -> String {
    let millis = at / 1_000;
    let (low, high) = (dice.below(1 << 12), dice.below(1 << 14) | 0x8000);
    format!("{:08x}-{:04x}-7{low:03x}-{high:04x}-{:012x}", millis >> 16, millis & 0xffff, dice.below(1 << 48))
}

fn response_id(dice: &mut Dice, provider: &str, at: i64) -> Option<String> {
    let seconds = (at / 1_000_000) as u64;
    match provider {
        "openai" => Some(format!("chatcmpl-{}{}", clock_letters(seconds), dice.letters(23))),
        "anthropic" => Some(format!("msg_01{}", dice.letters(22))),
        "google" => Some(dice.letters(22)),
        "mistral" => Some(format!("{:016x}{:016x}", dice.next(), dice.next())),
        _ => None,
    }
}

fn raw_usage(provider: &str, input: u64, cached: u64, output: u64) -> String {
    let total = input + output;
    match provider {
        "anthropic" | "bedrock" => format!(
            r#"{{"input_tokens":{},"cache_creation_input_tokens":0,"cache_read_input_tokens":{cached},"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0}},"output_tokens":{output},"service_tier":"standard"}}"#,
            input - cached
        ),
        "google" => format!(
            r#"{{"promptTokenCount":{input},"candidatesTokenCount":{output},"totalTokenCount":{total},"cachedContentTokenCount":{cached},"promptTokensDetails":[{{"modality":"TEXT","tokenCount":{input}}}]}}"#
        ),
        _ => format!(
            r#"{{"prompt_tokens":{input},"completion_tokens":{output},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":{cached},"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}}"#
        ),
    }
}

fn bytes(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path.to_owned(), PathBuf::from(log)]
        .iter()
        .map(|path| std::fs::metadata(path).map_or(0, |file| file.len()))
        .sum()
}

/// A table of plain columns.
struct Bare(Connection);

impl Bare {
    fn new(path: &Path) -> Result<Bare, Box<dyn Error>> {
        let _ = std::fs::remove_file(path);
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 10000;
            PRAGMA cache_size = -65536;
            CREATE TABLE calls (id, source, at, provider, model, request_model, api, status, http_status,
            project, customer, user, agent, operation, session, key, response_id, latency, input, cached,
            output, cost)",
        )?;
        Ok(Bare(connection))
    }

    fn append(&mut self, entries: &[Arc<Entry>]) -> Result<(), Box<dyn Error>> {
        let transaction = self.0.transaction()?;
        {
            let mut insert = transaction.prepare_cached(
                "INSERT INTO calls VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15,
                ?16, ?17, ?18, ?19, ?20, ?21, ?22)",
            )?;
            for entry in entries {
                let (event, who) = (&entry.event, &entry.event.attribution);
                let meters = event.usage.as_ref().map(Usage::total).unwrap_or_default();
                let count = |meter| meters.quantity(meter) as i64;
                insert.execute(params![
                    event.id,
                    event.source,
                    event.occurred_at.as_microsecond(),
                    event.provider,
                    event.model,
                    event.request_model,
                    event.api,
                    event.status.name(),
                    event.http_status,
                    who.project,
                    who.customer,
                    who.user,
                    who.agent,
                    who.operation,
                    who.session,
                    who.key,
                    event.provider_response_id,
                    event.latency_ms.map(|latency| latency as i64),
                    count(Meter::Input),
                    count(Meter::CacheRead),
                    count(Meter::Output),
                    entry.rating.cost.map(|cost| cost.picos() as i64),
                ])?;
            }
        }
        Ok(transaction.commit()?)
    }
}

/// The processor time that this thread has had: on a busy machine the clock tells little.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

fn rate(calls: u64, time: Duration) -> u128 {
    u128::from(calls) * 1_000_000_000 / time.as_nanos().max(1)
}

fn fill(store: &SqliteStore, calls: u64, batch: u64, mut bare: Option<Bare>) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let mut dice = Dice(7);
    let (mut spent, mut spent_bare, mut slowest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let (mut cpu, mut cpu_bare) = (Duration::ZERO, Duration::ZERO);
    let (mut tenth, mut since) = (Duration::ZERO, 0);
    let first = store.position()?.applied;
    dice.0 ^= first;
    let mut seq = first;
    while seq - first < calls {
        let mut ops = Vec::new();
        let mut entries = Vec::new();
        for _ in 0..batch {
            seq += 1;
            let entry = Arc::new(call(&mut dice, START + seq as i64 * STEP));
            entries.push(Arc::clone(&entry));
            ops.push(Op::Entry { seq, digest: entry_digest(seq, &entry), entry });
        }
        let batch = Batch { ops, through: seq };
        let (start, on_cpu) = (Instant::now(), processor());
        store.append(&batch)?;
        let took = start.elapsed();
        cpu += processor() - on_cpu;
        (spent, tenth, slowest) = (spent + took, tenth + took, slowest.max(took));
        if let Some(bare) = &mut bare {
            let (start, on_cpu) = (Instant::now(), processor());
            bare.append(&entries)?;
            spent_bare += start.elapsed();
            cpu_bare += processor() - on_cpu;
        }
        if (seq - first - since) >= calls / 10 {
            writeln!(out, "  {:>9} calls: {} rows/s", seq - first, rate(seq - first - since, tenth))?;
            (tenth, since) = (Duration::ZERO, seq - first);
        }
    }
    let made = seq - first;
    writeln!(out, "append: {} rows/s, slowest batch {} us", rate(made, spent), slowest.as_micros())?;
    writeln!(out, "processor: {} rows/s", rate(made, cpu))?;
    if bare.is_some() {
        let share = cpu_bare.as_nanos() * 1_000 / cpu.as_nanos().max(1);
        writeln!(out, "processor: bare {} rows/s; append is {share}/1000 of it", rate(made, cpu_bare))?;
        let share = spent_bare.as_nanos() * 1_000 / spent.as_nanos();
        writeln!(out, "bare: {} rows/s; append is {share}/1000 of it", rate(made, spent_bare))?;
    }
    Ok(())
}

/// Whole days up to the last.
fn usage(end: i64, days: i64, interval: Interval, by: Option<Dimension>, filters: Vec<Filter>) -> UsageQuery {
    let day = 86_400_000_000;
    let to = end.div_euclid(day) * day;
    let at = |micros| Timestamp::from_microsecond(micros).ok();
    UsageQuery {
        range: TimeRange { from: at(to - days * day), to: at(to) },
        interval,
        zone: Zone::UTC,
        group_by: by.into_iter().collect(),
        filters,
        view: View::Corrected,
    }
}

fn ask(store: &SqliteStore) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    let end = store.extent(TimeRange::ALL)?.map_or(START, |extent| extent.1.as_microsecond());
    let usage = |days, interval, by, filters| usage(end, days, interval, by, filters);
    let mut timed = |name: &str, work: &dyn Fn() -> Result<usize, Box<dyn Error>>| {
        let mut best = Duration::MAX;
        let mut rows = 0;
        for _ in 0..3 {
            let start = processor();
            rows = work()?;
            best = best.min(processor() - start);
        }
        writeln!(out, "{name}: {} us of processor, {rows} rows", best.as_micros())?;
        Ok::<(), Box<dyn Error>>(())
    };
    let sums = |query: UsageQuery| move || Ok::<usize, Box<dyn Error>>(store.usage(&query)?.rows.len());
    timed("day x model, 90 days", &sums(usage(89, Interval::Day, Some(Dimension::Model), vec![])))?;
    timed("hour x model, 7 days", &sums(usage(7, Interval::Hour, Some(Dimension::Model), vec![])))?;
    timed("day x project, 90 days", &sums(usage(89, Interval::Day, Some(Dimension::Project), vec![])))?;
    for by in [Dimension::Project, Dimension::Customer, Dimension::User, Dimension::Agent, Dimension::Status]
    {
        timed(&format!("{by}, 7 days"), &sums(usage(7, Interval::None, Some(by), vec![])))?;
    }
    timed("users, 90 days", &sums(usage(89, Interval::None, Some(Dimension::User), vec![])))?;
    let one = Filter::is(Dimension::User, "user_000042@example.com");
    timed("day, one user, 90 days", &sums(usage(89, Interval::Day, None, vec![one])))?;
    timed("sessions, 1 day (entries)", &sums(usage(1, Interval::None, Some(Dimension::Session), vec![])))?;
    for (name, by) in [("model", Dimension::Model), ("session", Dimension::Session)] {
        let usage = usage(7, Interval::None, Some(by), vec![]);
        let at = usage.range.to.unwrap_or_default();
        let query = StatsQuery { usage, at, limit: None };
        timed(&format!("statistics by {name}, 7 days (entries)"), &|| Ok(store.stats(&query)?.rows.len()))?;
    }
    timed("sessions, 7 days (entries)", &sums(usage(7, Interval::None, Some(Dimension::Session), vec![])))?;
    let mut cut = usage(7, Interval::None, Some(Dimension::User), vec![]);
    let half = |at: Option<Timestamp>| at.and_then(|at| Timestamp::from_second(at.as_second() - 43_211).ok());
    cut.range = TimeRange { from: half(cut.range.from), to: half(cut.range.to) };
    timed("users, 7 days not whole", &sums(cut))?;
    let query = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Newest,
        after: None,
        limit: 50,
    };
    timed("last 50 calls", &|| Ok(store.calls(&query)?.calls.len()))?;
    let of_project =
        CallsQuery { filters: vec![Filter::is(Dimension::Project, "project-3")], ..query.clone() };
    timed("last 50 calls of a project", &|| Ok(store.calls(&of_project)?.calls.len()))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [calls, batch, file, rest @ ..] = arguments.as_slice() else {
        return Err("usage: fill CALLS BATCH FILE [bare|check]".into());
    };
    let (calls, batch, file) = (calls.parse()?, batch.parse()?, Path::new(file));
    let store = SqliteStore::open(file, Options::creating(Zone::UTC, "fill"))?;
    let bare = match rest.iter().any(|word| word == "bare") {
        true => Some(Bare::new(&file.with_extension("bare"))?),
        false => None,
    };
    let mut out = std::io::stdout();
    if calls > 0 {
        fill(&store, calls, batch, bare)?;
        let start = Instant::now();
        store.sync()?;
        let there = store.extent(TimeRange::ALL)?.map_or(1, |extent| extent.2);
        writeln!(out, "sync: {} ms; {} bytes a call", start.elapsed().as_millis(), bytes(file) / there)?;
    }
    ask(&store)?;
    if rest.iter().any(|word| word == "check") {
        let start = Instant::now();
        let audit = store.audit()?;
        writeln!(
            out,
            "audit: {} ms, {} rollup rows, {:?}",
            start.elapsed().as_millis(),
            audit.rollup_rows,
            audit.problems
        )?;
    }
    Ok(())
}
