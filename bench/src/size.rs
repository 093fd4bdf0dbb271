//! What a call takes on the disk.

use crate::books::text;
use crate::figure::{Aim, Samples, Table, grouped, put};
use crate::large::{Large, position};
use crate::run::Run;
use crate::scratch::bytes_below;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use tollbook_ledger::journal;

/// Measures the large store. Nothing here changes from round to round.
pub fn measure(run: &Run, large: &Large, table: &mut Table) -> Result<(), String> {
    let store = large.books.ledger.store();
    store.sync().map_err(text)?;
    let (_, _, calls) =
        store.extent(tollbook_types::TimeRange::ALL).map_err(text)?.ok_or("the store is empty")?;
    let calls = calls as f64;
    let dir = &large.books.dir;
    let file = std::fs::metadata(dir.store()).map_err(text)?.len() as f64;
    let once = |value: f64| Samples(vec![value]);
    let baseline = raw_bytes(run)?;
    let name = format!("store with indexes, rollups and raw usage, {} calls", grouped(calls));
    let aim = Aim::AtMost { bar: 300.0, goal: 200.0 };
    let more = format!("{:.2} GB", file / 1e9);
    table.add(&name, aim, " bytes a call", &once(file / calls), &more, &baseline);
    let content = journal_bytes(dir.journal().as_ref())?;
    // Old segments go by themselves: what counts is the records from the oldest one that is there.
    let oldest = journal::segments(dir.journal()).map_err(text)?.first().map_or(1, |(first, _)| *first);
    let records = (position(&large.books)?.applied + 1 - oldest) as f64;
    let allocated = bytes_below(dir.journal().as_ref()) as f64;
    let more = format!("{:.1} GB on the disk", allocated / 1e9);
    table.add("journal", Aim::Told, " bytes a record", &once(content / records), &more, "–");
    let fill = large.fill;
    if let Some(took) = fill.took {
        let more = format!("write-ahead log then {:.0} MB", fill.wal_bytes as f64 / 1e6);
        let rate = run.calls as f64 / took.as_secs_f64();
        table.add("filling it, batches of 1,000, 2 callers", Aim::Told, " calls/s", &once(rate), &more, "–");
    }
    let seconds = fill.reopened.as_secs_f64();
    table.add("opening it with its whole journal", Aim::Told, " s", &once(seconds), "", "–");
    put(&breakdown(&dir.store(), calls)?);
    Ok(())
}

/// The plain rows of the same workload, for scale.
fn raw_bytes(run: &Run) -> Result<String, String> {
    const ROWS: usize = 50_000;
    let path = run.scratch.fresh("size")?.join("plain.db");
    let book = tollbook_pricing::Book::embedded();
    let mut bare = crate::bare::Bare::open(&path, true)?;
    let mut work = crate::workload::Workload::new(crate::large::SEED, run.calls);
    for _ in 0..ROWS / 1_000 {
        let rows: Vec<_> = work.batch(1_000).iter().map(|event| crate::bare::Row::of(&book, event)).collect();
        bare.insert(&rows)?;
    }
    drop(bare);
    let bytes = std::fs::metadata(&path).map_err(text)?.len();
    Ok(format!("plain rows without index: {} bytes", bytes / ROWS as u64))
}

/// The bytes of all records: segments are preallocated, with zeros behind the last record.
fn journal_bytes(dir: &Path) -> Result<f64, String> {
    use std::os::unix::fs::FileExt;
    let mut sum = 0.0;
    for (_, path) in journal::segments(dir).map_err(text)? {
        let file = std::fs::File::open(&path).map_err(text)?;
        let (mut low, mut high) = (0, file.metadata().map_err(text)?.len() / 4096);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut block = [0; 4096];
            file.read_exact_at(&mut block, middle * 4096).map_err(text)?;
            if block.iter().all(|byte| *byte == 0) { high = middle } else { low = middle + 1 }
        }
        sum += (low * 4096) as f64;
    }
    Ok(sum)
}

/// Where the bytes are, table by table.
fn breakdown(path: &Path, calls: f64) -> Result<String, String> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(text)?;
    let sql = "SELECT name, sum(pgsize), sum(unused) FROM dbstat WHERE aggregate = TRUE
        GROUP BY name HAVING sum(pgsize) > 1000000 ORDER BY 2 DESC";
    let mut statement = match connection.prepare(sql) {
        Ok(statement) => statement,
        Err(error) => return Ok(format!("no breakdown: {error}")),
    };
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, f64>(1)?, row.get::<_, f64>(2)?)));
    let mut lines = vec!["\nbytes a call by table or index (unused):".to_owned()];
    for row in rows.map_err(text)? {
        let (name, bytes, unused) = row.map_err(text)?;
        lines.push(format!("  {name:<24} {:6.1} ({:.1})", bytes / calls, unused / calls));
    }
    Ok(lines.join("\n"))
}
