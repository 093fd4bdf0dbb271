//! Importing a file of recorded answers: from its bytes to entries that are durable and visible.

use crate::books::{Books, text};
use crate::figure::{Aim, Samples, Table, grouped, put, timed};
use crate::run::Run;
use std::path::{Path, PathBuf};
use tollbook_types::{Event, Timestamp, limits};
use tollbook_usage::import::{Context, recorded};

/// Late enough for every recording.
const NOW_SECONDS: i64 = 1_893_456_000;

/// Measures, or says loudly that there is nothing to measure with.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    let path = corpus().join("cases.jsonl");
    let Ok(bytes) = std::fs::read(&path) else {
        put("\nSKIPPED: import of recorded answers: TOLLBOOK_CORPUS names no directory with cases.jsonl");
        return Ok(());
    };
    let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let now = Timestamp::from_second(NOW_SECONDS).map_err(text)?;
    let ctx = Context::new(recorded::SOURCE, now);
    let [mut whole, mut reading, mut parsing] = std::array::from_fn(|_| Samples::default());
    let mut events = 0;
    for round in 0..run.rounds {
        let dir = run.scratch.fresh("import")?;
        let books = Books::open(&dir)?;
        books.clock.set(now.as_microsecond());
        let mut cells = [0, 1, 2];
        if round % 2 == 1 {
            cells.reverse();
        }
        for cell in cells {
            let (took, done) = timed(|| match cell {
                0 => record(&books, &lines, &ctx),
                1 => Ok(read(&lines, &ctx).len()),
                _ => Ok(parse(&lines)),
            });
            let done = done?;
            let samples = match cell {
                0 => {
                    events = done;
                    &mut whole
                }
                1 => &mut reading,
                _ => &mut parsing,
            };
            samples.add(bytes.len() as f64 / 1e6 / took.as_secs_f64());
        }
        books.close()?;
    }
    let what = format!("import of {} recorded answers, {:.1} MB", lines.len(), bytes.len() as f64 / 1e6);
    let each = bytes.len() as f64 / lines.len() as f64;
    let more = format!(
        "{events} entries, {} answers a second; reading alone {}",
        grouped(whole.median() * 1e6 / each),
        reading.text(0, " MB/s")
    );
    let baseline = format!("serde_json::Value of the lines {}", parsing.text(0, " MB/s"));
    table.add(&what, Aim::Told, " MB/s", &whole, &more, &baseline);
    Ok(())
}

fn corpus() -> PathBuf {
    match std::env::var_os("TOLLBOOK_CORPUS") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/responses"),
    }
}

fn read(lines: &[&[u8]], ctx: &Context<'_>) -> Vec<Event> {
    lines.iter().filter_map(|line| recorded::parse_line(line, ctx).ok()).collect()
}

fn record(books: &Books, lines: &[&[u8]], ctx: &Context<'_>) -> Result<usize, String> {
    let mut events = 0;
    for lines in lines.chunks(limits::BATCH_EVENTS_MAX) {
        let batch = read(lines, ctx);
        events += batch.len();
        books.ledger.submit(batch).map_err(text)?;
    }
    Ok(events)
}

fn parse(lines: &[&[u8]]) -> usize {
    lines.iter().filter(|line| serde_json::from_slice::<serde_json::Value>(line).is_ok()).count()
}
