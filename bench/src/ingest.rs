//! Events over HTTP into the program as it is shipped, against the ledger that it stands before: the
//! same events, in the same batches, by as many callers who wait for each answer.

use crate::books::Books;
use crate::figure::{Aim, Samples, Table, grouped, say, timed};
use crate::gateway::servers::{Server, loopback, program};
use crate::run::Run;
use crate::workload::Workload;
use serde_json::{Map, Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use tollbook_types::{Event, Timestamp};
use tollbook_usage::import::{Context, native, usage_json};

const CALLERS: usize = 8;
const BATCH: usize = 100;
/// Batches of a round, for each caller.
const BATCHES: usize = 25;

/// A batch as it is sent, and as the ledger takes it.
struct Batch {
    request: Vec<u8>,
    events: Vec<Event>,
}

/// Measures both in turns.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    say(&format!("ingest, batches of {BATCH}, {CALLERS} callers"));
    let program = program()?;
    // No call goes to a provider here.
    let server = Server::tollbook(run, &program, "ingest", "full", loopback(9), "")?;
    let books = Books::open(&run.scratch.fresh("ingest-ledger")?)?;
    let mut work = Workload::new(17, 1_000_000);
    let [mut by_http, mut by_ledger, mut server_cpu] = std::array::from_fn(|_| Samples::default());
    let mut sent = 0;
    for round in 0..run.rounds + 1 {
        let queues: Vec<Vec<Batch>> = (0..CALLERS)
            .map(|_| (0..BATCHES).map(|_| batch(&mut work, &server)).collect::<Result<_, String>>())
            .collect::<Result<_, _>>()?;
        books.clock.set(work.now_micros());
        let calls = (CALLERS * BATCHES * BATCH) as f64;
        let mut rates = [0.0; 2];
        let mut cpu = 0.0;
        for cell in if round % 2 == 0 { [0, 1] } else { [1, 0] } {
            let used = server.cpu_micros();
            let (took, done) = match cell {
                0 => timed(|| each_caller(&queues, |queue| send(&server, queue))),
                _ => {
                    let events =
                        |queue: &Vec<Batch>| queue.iter().map(|batch| batch.events.clone()).collect();
                    let queues: Vec<Vec<Vec<Event>>> = queues.iter().map(events).collect();
                    timed(|| {
                        each_caller(&queues, |queue| {
                            queue.iter().try_for_each(|events| books.submit(events.clone()))
                        })
                    })
                }
            };
            done?;
            rates[cell] = calls / took.as_secs_f64();
            if cell == 0 {
                cpu = (server.cpu_micros() - used) / calls;
                sent += CALLERS * BATCHES * BATCH;
            }
        }
        // The first round fills caches.
        if round > 0 {
            by_http.add(rates[0]);
            by_ledger.add(rates[1]);
            server_cpu.add(cpu);
        }
    }
    let what = format!("ingest over HTTP, batches of {BATCH}, {CALLERS} callers");
    let rate = |samples: &Samples| format!("{} calls/s", grouped(samples.median()));
    let more = format!("{}, {} CPU a call", rate(&by_http), server_cpu.text(1, " µs"));
    let baseline = format!("the ledger, same events and callers: {}", rate(&by_ledger));
    let aim = Aim::AtLeast { bar: 0.6, goal: 0.75 };
    table.add(&what, aim, "x", &by_http.over(&by_ledger), &more, &baseline);
    books.close()?;
    all_there(server, &program, sent as u64)
}

fn all_there(server: Server, program: &Path, sent: u64) -> Result<(), String> {
    let total = server.total(program)?.unwrap_or_default();
    match total["calls"].as_u64() {
        Some(calls) if calls == sent => Ok(()),
        _ => Err(format!("sent {sent}, in the books: {total}")),
    }
}

/// One caller a queue, all at once.
fn each_caller<T: Sync>(queues: &[T], work: impl Fn(&T) -> Result<(), String> + Sync) -> Result<(), String> {
    let work = &work;
    std::thread::scope(|scope| {
        let callers: Vec<_> = queues.iter().map(|queue| scope.spawn(move || work(queue))).collect();
        callers
            .into_iter()
            .try_for_each(|caller| caller.join().unwrap_or_else(|_| Err("a caller panicked".to_owned())))
    })
}

fn batch(work: &mut Workload, server: &Server) -> Result<Batch, String> {
    let events: Vec<Value> = work.batch(BATCH).iter().map(native_json).collect();
    let now = Timestamp::from_microsecond(work.now_micros()).map_err(crate::books::text)?;
    let ctx = Context::new("api", now);
    let parsed = events.iter().map(|event| {
        native::parse_event(event.to_string().as_bytes(), &ctx).map_err(|problems| format!("{problems:?}"))
    });
    let parsed = parsed.collect::<Result<Vec<Event>, String>>()?;
    let body = Value::from(events).to_string();
    let caller = &server.caller;
    let head = format!(
        "POST /api/v1/events HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        caller.address,
        caller.key,
        body.len()
    );
    Ok(Batch { request: [head.into_bytes(), body.into_bytes()].concat(), events: parsed })
}

/// The event as a program tells of it.
fn native_json(event: &Event) -> Value {
    let who = &event.attribution;
    let usage = event.usage.as_ref().map(|usage| {
        let mut usage = usage_json(&usage.total());
        usage.remove("meters");
        usage
    });
    let mut told = json!({
        "id": event.id, "occurred_at": event.occurred_at.to_string(), "provider": event.provider,
        "model": event.model, "request_model": event.request_model, "api": event.api, "usage": usage,
        "project": who.project, "customer": who.customer, "user": who.user, "agent": who.agent,
        "agent_name": who.agent_name, "operation": who.operation, "operation_id": who.operation_id,
        "session": who.session, "tags": who.tags, "latency_ms": event.latency_ms,
        "time_to_first_token_ms": event.time_to_first_token_ms, "status": event.status.name(),
        "http_status": event.http_status, "error": event.error,
        "provider_response_id": event.provider_response_id, "conditions": event.conditions,
    });
    if let Some(told) = told.as_object_mut() {
        let kept = |(_, value): &(&String, &Value)| !value.is_null();
        *told = told
            .iter()
            .filter(kept)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<Map<_, _>>();
    }
    told
}

/// Sends one batch after the other over one connection, and insists that all of each is accepted.
fn send(server: &Server, queue: &Vec<Batch>) -> Result<(), String> {
    let text = crate::books::text::<std::io::Error>;
    let stream = TcpStream::connect(server.caller.address).map_err(text)?;
    stream.set_nodelay(true).map_err(text)?;
    let mut stream = BufReader::with_capacity(64 * 1024, stream);
    let (mut head, mut body) = (String::new(), Vec::new());
    let accepted = format!("{{\"accepted\":{BATCH},");
    for batch in queue {
        stream.get_mut().write_all(&batch.request).map_err(text)?;
        let mut length = 0;
        loop {
            head.clear();
            stream.read_line(&mut head).map_err(text)?;
            match head.trim().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse().map_err(crate::books::text)?;
                }
                None if head.trim().is_empty() => break,
                _ => {}
            }
        }
        body.resize(length, 0);
        stream.read_exact(&mut body).map_err(text)?;
        if !body.starts_with(accepted.as_bytes()) {
            return Err(format!("not accepted: {}", String::from_utf8_lossy(&body)));
        }
    }
    Ok(())
}
