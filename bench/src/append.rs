//! Appending: everything that the ledger does with a call, against plain inserts of the same rows.

use crate::bare::{Bare, Row};
use crate::books::Books;
use crate::figure::{Aim, Samples, Table, grouped, say, timed};
use crate::large::Large;
use crate::machine::cpu_seconds;
use crate::run::Run;
use crate::workload::Workload;
use tollbook_pricing::Book;
use tollbook_types::Event;

/// Callers that submit at the same time.
const CALLERS: usize = 4;

/// A size of batch with what is asked of it.
struct Size {
    batch: usize,
    calls: usize,
    aim: Aim,
}

const SIZES: [Size; 2] = [
    Size { batch: 1_000, calls: 40_000, aim: Aim::AtLeast { bar: 0.25, goal: 0.4 } },
    Size { batch: 100, calls: 12_000, aim: Aim::AtLeast { bar: 0.1, goal: 0.15 } },
];

/// Into stores that begin empty.
pub fn empty(run: &Run, table: &mut Table) -> Result<(), String> {
    for size in &SIZES {
        one_size(run, size, table)?;
    }
    record(run, table)
}

fn one_size(run: &Run, size: &Size, table: &mut Table) -> Result<(), String> {
    let Size { batch, calls, aim } = *size;
    say(&format!("append, batches of {batch}"));
    let book = Book::embedded();
    let dir = run.scratch.fresh("append")?;
    let one = Books::open(&dir.join("one"))?;
    let several = Books::open(&dir.join("several"))?;
    let mut slim = Bare::open(&dir.join("slim.db"), false)?;
    let mut whole = Bare::open(&dir.join("whole.db"), true)?;
    let mut work = Workload::new(11, 1_000_000);
    let [mut by_one, mut by_several, mut by_slim, mut by_whole, mut cpu] =
        std::array::from_fn(|_| Samples::default());
    for round in 0..run.rounds + 1 {
        let events = work.batch(calls);
        one.clock.set(work.now_micros());
        several.clock.set(work.now_micros());
        let rows: Vec<Row> = events.iter().map(|event| Row::of(&book, event)).collect();
        let batches: Vec<Vec<Event>> = events.chunks(batch).map(<[Event]>::to_vec).collect();
        let mut rates = [0.0; 4];
        let mut cpu_each = 0.0;
        let order: [usize; 4] = if round % 2 == 0 { [0, 1, 2, 3] } else { [3, 2, 1, 0] };
        for cell in order {
            let used = cpu_seconds();
            let (took, done) = match cell {
                0 => {
                    let batches = batches.clone();
                    timed(|| submit(&one, batches, 1))
                }
                1 => {
                    let batches = batches.clone();
                    timed(|| submit(&several, batches, CALLERS))
                }
                2 => timed(|| insert(&mut slim, &rows, batch)),
                _ => timed(|| insert(&mut whole, &rows, batch)),
            };
            done?;
            rates[cell] = calls as f64 / took.as_secs_f64();
            if cell == 0 {
                cpu_each = (cpu_seconds() - used) * 1e6 / calls as f64;
            }
        }
        // The first round fills caches.
        if round > 0 {
            by_one.add(rates[0]);
            by_several.add(rates[1]);
            by_slim.add(rates[2]);
            by_whole.add(rates[3]);
            cpu.add(cpu_each);
        }
    }
    let rate = |samples: &Samples| format!("{} calls/s", grouped(samples.median()));
    let plain = format!("plain inserts, same batch: {}", rate(&by_slim));
    let more = format!("{}, {} CPU a call", rate(&by_one), cpu.text(1, " µs"));
    let what = |callers: &str| format!("append, batches of {batch}, {callers}");
    table.add(&what("1 caller"), aim, "x", &by_one.over(&by_slim), &more, &plain);
    let callers = format!("{CALLERS} callers");
    table.add(&what(&callers), aim, "x", &by_several.over(&by_slim), &rate(&by_several), &plain);
    let plain = format!("plain inserts with raw usage: {}", rate(&by_whole));
    table.add(&what("1 caller"), Aim::Told, "x", &by_one.over(&by_whole), &rate(&by_one), &plain);
    one.close()?;
    several.close()
}

/// One by one without waiting for the store, as the gateway records.
fn record(run: &Run, table: &mut Table) -> Result<(), String> {
    const CALLS: usize = 20_000;
    let dir = run.scratch.fresh("append")?;
    let books = Books::open(&dir)?;
    let mut work = Workload::new(12, 1_000_000);
    let (mut each, mut until_stored) = (Samples::default(), Samples::default());
    for round in 0..run.rounds + 1 {
        let events = work.batch(CALLS);
        books.clock.set(work.now_micros());
        let (all, done) = timed(|| -> Result<f64, String> {
            let (took, done) =
                timed(|| events.into_iter().try_for_each(|event| books.ledger.record(event).map(drop)));
            done.map_err(crate::books::text)?;
            books.ledger.flush().map_err(crate::books::text)?;
            Ok(took.as_nanos() as f64 / 1_000.0 / CALLS as f64)
        });
        let took = done?;
        if round > 0 {
            each.add(took);
            until_stored.add(CALLS as f64 / all.as_secs_f64());
        }
    }
    let more = format!("{} calls/s until stored", grouped(until_stored.median()));
    table.add("record one call (kill -9 safe, nobody waits)", Aim::Told, " µs", &each, &more, "–");
    books.close()
}

/// Into the large store and an empty one, in turns.
pub fn into_large(run: &Run, large: &mut Large, table: &mut Table) -> Result<(), String> {
    const CALLS: usize = 40_000;
    for (batch, callers) in [(1_000, 1), (1_000, CALLERS), (100, 1)] {
        say(&format!("append into the large store, batches of {batch}, {callers} callers"));
        let dir = run.scratch.fresh("append")?;
        let small = Books::open(&dir)?;
        let mut other = Workload::new(13, run.calls);
        let (mut into_large, mut into_small) = (Samples::default(), Samples::default());
        let calls = if batch == 100 { CALLS / 4 } else { CALLS };
        for round in 0..run.rounds + 1 {
            let mut rates = [0.0; 2];
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            for cell in order {
                let (books, work) =
                    if cell == 0 { (&large.books, &mut large.work) } else { (&small, &mut other) };
                let events = work.batch(calls);
                books.clock.set(work.now_micros());
                let batches = events.chunks(batch).map(<[Event]>::to_vec).collect();
                let (took, done) = timed(|| submit(books, batches, callers));
                done?;
                rates[cell] = calls as f64 / took.as_secs_f64();
            }
            if round > 0 {
                into_large.add(rates[0]);
                into_small.add(rates[1]);
            }
        }
        small.close()?;
        let callers = if callers == 1 { "1 caller".to_owned() } else { format!("{callers} callers") };
        let what = format!("append into {} calls, batches of {batch}, {callers}", grouped(run.calls as f64));
        let aim = Aim::AtLeast { bar: 0.6, goal: 0.6 };
        let more = format!("{} calls/s", grouped(into_large.median()));
        let baseline = format!("a store that began empty: {} calls/s", grouped(into_small.median()));
        table.add(&what, aim, "x", &into_large.over(&into_small), &more, &baseline);
    }
    Ok(())
}

fn submit(books: &Books, batches: Vec<Vec<Event>>, callers: usize) -> Result<(), String> {
    if callers == 1 {
        return batches.into_iter().try_for_each(|batch| books.submit(batch));
    }
    let queue = std::sync::Mutex::new(batches.into_iter());
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers)
            .map(|_| {
                scope.spawn(|| {
                    while let Some(batch) = next() {
                        books.submit(batch)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| Err("a caller panicked".to_owned())))
    })
}

fn insert(bare: &mut Bare, rows: &[Row], batch: usize) -> Result<(), String> {
    rows.chunks(batch).try_for_each(|rows| bare.insert(rows))
}
