//! Finding a price and rating an event, warm.

use crate::figure::{Aim, Samples, Table, nanos_each, timed};
use crate::run::Run;
use crate::workload::Workload;
use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use tollbook_pricing::{Book, Query, rate};
use tollbook_types::Event;

const EVENTS: usize = 50_000;

/// Against a plain hash map, which knows neither dates nor conditions nor rules.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    let (took, book) = timed(Book::embedded);
    let events = Workload::new(21, 1_000_000).batch(EVENTS);
    let queries: Vec<(Query<'_>, u64)> = events.iter().map(query).collect();
    let plain: HashMap<(&str, &str), Arc<str>> = events
        .iter()
        .map(|event| ((event.provider.as_str(), event.model.as_str()), Arc::from(event.model.as_str())))
        .collect();
    let found = queries.iter().filter(|(query, input)| book.card(query, *input).is_ok()).count();
    if found * 100 < EVENTS * 90 {
        return Err(format!("only {found} of {EVENTS} calls have a price"));
    }
    let [mut card, mut find, mut rating, mut map] = std::array::from_fn(|_| Samples::default());
    for round in 0..run.rounds {
        let mut cells: [(&mut Samples, &dyn Fn()); 4] = [
            (&mut card, &|| {
                queries
                    .iter()
                    .for_each(|(query, input)| drop(black_box(book.card(black_box(query), *input))));
            }),
            (&mut find, &|| {
                queries.iter().for_each(|(query, _)| drop(black_box(book.find(black_box(query)))))
            }),
            (&mut rating, &|| events.iter().for_each(|event| drop(black_box(rate(&book, black_box(event)))))),
            (&mut map, &|| {
                queries.iter().for_each(|(query, _)| {
                    drop(black_box(plain.get(&(black_box(query.provider), query.model)).cloned()));
                });
            }),
        ];
        if round % 2 == 1 {
            cells.reverse();
        }
        for (samples, work) in cells {
            samples.add(nanos_each(EVENTS, work) / 1_000.0);
        }
    }
    let baseline = format!("a hash map by provider and model {}", map.text(2, " µs"));
    let aim = Aim::AtMost { bar: 1.0, goal: 1.0 };
    table.add("price lookup to a rate card, warm", aim, " µs", &card, "", &baseline);
    table.add("price match alone, warm", Aim::Told, " µs", &find, "", &baseline);
    table.add("rating an event: lookup, lines, sums", Aim::Told, " µs", &rating, "", "–");
    let load = Samples(vec![took.as_nanos() as f64 / 1e6]);
    table.add("reading the embedded price book", Aim::Told, " ms", &load, "once a process", "–");
    Ok(())
}

fn query(event: &Event) -> (Query<'_>, u64) {
    let leg = event.usage.as_ref().and_then(|usage| usage.legs.first());
    let query = Query {
        provider: &event.provider,
        model: &event.model,
        request_model: event.request_model.as_deref(),
        at: event.occurred_at,
        conditions: &event.conditions,
    };
    (query, leg.map_or(0, |leg| leg.meters.input_tokens()))
}
