//! The gateway beside nginx, in turns, before the same upstream and under the same load.
//!
//! What counts is the processor time of the server's processes for one call. After each part every
//! call that was served must be in the books, to the token.

mod hold;
mod load;
mod mock;
mod peers;
mod process;
pub mod servers;

use crate::figure::{Aim, Samples, Table, say};
use crate::run::Run;
use hold::{Held, Manner};
use load::{Pace, Seen, quantile};
use mock::{Kind, Mock, on_runtime};
use servers::Server;
use std::path::Path;
use std::time::Duration;

const CONNECTIONS: u32 = 32;
const STREAMS: u32 = 64;
const OPEN_STREAMS: u32 = 1_000;
const RATE: u32 = 1_000;
const CLOSED_TIME: Duration = Duration::from_secs(2);
const RATE_TIME: Duration = Duration::from_secs(4);
const STREAMS_TIME: Duration = Duration::from_secs(4);
/// Between the starts of two streams: they spread over the length of one.
const SPREAD: Duration = Duration::from_millis(16);
/// Until the writer behind a server has done what it still had to.
const SETTLE: Duration = Duration::from_millis(150);
/// Until the buffers of answers that nobody reads are full.
const FILLING: Duration = Duration::from_secs(2);
const MILLIS: f64 = 1_000.0;

/// A server, and what was measured of it.
struct Target {
    server: Server,
    served: u64,
    cells: Vec<Cells>,
}

/// One kind of load, a sample a round.
#[derive(Default)]
struct Cells {
    cpu_micros: Samples,
    rate: Samples,
    p50: Samples,
    p99: Samples,
    held_p999: Samples,
    held_max: Samples,
}

/// A kind of load.
struct Load {
    kind: Kind,
    connections: u32,
    pace: Pace,
    time: Duration,
}

impl Target {
    fn new(server: Server) -> Target {
        Target { server, served: 0, cells: Vec::new() }
    }

    fn run(&mut self, mock: &Mock, load: &Load) -> Result<(Seen, f64), String> {
        let (cpu, served) = (self.server.cpu_micros(), mock.served());
        let caller = &self.server.caller;
        let seen = on_runtime(load::calls(caller, load.kind, load.connections, load.pace, load.time))?;
        std::thread::sleep(SETTLE);
        if let Some(process) = &mut self.server.process {
            process.runs()?;
        }
        if seen.wrong > 0 || seen.calls == 0 {
            return Err(format!("{}: {} of {} calls went wrong", self.server.name, seen.wrong, seen.calls));
        }
        self.served += mock.served() - served;
        let cpu = (self.server.cpu_micros() - cpu) / seen.calls as f64;
        Ok((seen, cpu))
    }

    fn measure(&mut self, mock: &Mock, nth: usize, load: &Load) -> Result<(), String> {
        let (seen, cpu) = self.run(mock, load)?;
        if self.cells.len() <= nth {
            self.cells.resize_with(nth + 1, Cells::default);
        }
        let cells = &mut self.cells[nth];
        cells.cpu_micros.add(cpu);
        cells.rate.add(seen.rate());
        cells.p50.add(quantile(&seen.micros, 0.5));
        cells.p99.add(quantile(&seen.micros, 0.99));
        cells.held_p999.add(quantile(&seen.held_micros, 0.999) / MILLIS);
        cells.held_max.add(seen.held_micros.max() / MILLIS);
        say(&format!(
            "    {:<8} {:>7.0}/s  {cpu:>7.1} µs CPU  p50 {:>6.0}  p99 {:>6.0} µs  {:>7.0} KiB",
            self.server.name,
            seen.rate(),
            cells.p50.0.last().unwrap_or(&0.0),
            cells.p99.0.last().unwrap_or(&0.0),
            self.server.resident_kib()
        ));
        Ok(())
    }
}

/// Runs every load on every target, in rounds, in alternating order.
fn in_turns(run: &Run, mock: &Mock, targets: &mut [Target], loads: &[Load]) -> Result<(), String> {
    for target in targets.iter_mut() {
        let warm = Load { time: Duration::from_millis(500), ..loads[0] };
        target.run(mock, &warm)?;
    }
    for round in 0..run.rounds {
        for (nth, load) in loads.iter().enumerate() {
            say(&format!(
                "  round {}: {:?}, {} connections, {:?}",
                round + 1,
                load.kind,
                load.connections,
                load.pace
            ));
            let count = targets.len();
            for at in 0..count {
                let at = if round % 2 == 0 { at } else { count - 1 - at };
                targets[at].measure(mock, nth, load)?;
            }
        }
    }
    Ok(())
}

fn start(run: &Run, program: &Path, mock: &Mock, strict: bool) -> Result<Vec<Target>, String> {
    let mut targets = vec![
        Target::new(Server::direct(mock.address)),
        Target::new(Server::nginx(run, mock.address)?),
        Target::new(Server::tollbook(run, program, "full", "full", mock.address, "")?),
    ];
    if strict {
        targets.push(Target::new(Server::tollbook(run, program, "strict", "strict", mock.address, "")?));
    }
    Ok(targets)
}

fn end(targets: Vec<Target>, program: &Path) -> Result<(), String> {
    targets.into_iter().try_for_each(|target| target.server.end(program, target.served))
}

/// With twenty budgets and a rate limit in force, beside none.
pub fn budgets(run: &Run, table: &mut Table) -> Result<(), String> {
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let mut config = String::from("[[rate_limits]]\nname = \"r\"\nrequests_per_minute = 1000000000\n");
    for nth in 0..20 {
        let scope = if nth < 5 { String::new() } else { format!("match = {{ user = \"u{nth}\" }}\n") };
        config +=
            &format!("[[budgets]]\nname = \"b{nth}\"\n{scope}limit_usd = \"1000000\"\nwindow = \"month\"\n");
    }
    let mut targets = vec![
        Target::new(Server::tollbook(run, &program, "without", "full", mock.address, "")?),
        Target::new(Server::tollbook(run, &program, "budgets", "full", mock.address, &config)?),
    ];
    let loads = [Load { kind: Kind::Json, connections: CONNECTIONS, pace: Pace::Closed, time: CLOSED_TIME }];
    in_turns(run, &mock, &mut targets, &loads)?;
    let (base, cpu) = (&targets[0].cells[0].cpu_micros, &targets[1].cells[0].cpu_micros);
    table.add(
        "gateway: processor time of a call with 20 budgets of which 5 match, and a rate limit",
        Aim::AtMost { bar: 1.1, goal: 1.1 },
        " ×",
        &cpu.over(base),
        &cpu.text(1, " µs"),
        &format!("without {}", base.text(1, " µs")),
    );
    end(targets, &program)
}

/// Single answers: processor time, throughput, latency.
pub fn calls(run: &Run, table: &mut Table) -> Result<(), String> {
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let mut targets = start(run, &program, &mock, true)?;
    let loads = [
        Load { kind: Kind::Json, connections: CONNECTIONS, pace: Pace::Closed, time: CLOSED_TIME },
        Load { kind: Kind::Json, connections: CONNECTIONS, pace: Pace::Rate(RATE), time: RATE_TIME },
    ];
    in_turns(run, &mock, &mut targets, &loads)?;
    let [direct, nginx, full, strict] = targets.as_slice() else { return Err("four targets".to_owned()) };
    let micros = |cells: &Samples| cells.text(1, " µs");
    for (nth, what, aim, strict_aim) in [
        (0, "32 connections", Aim::AtMost { bar: 1.8, goal: 1.5 }, Aim::AtMost { bar: 3.5, goal: 3.0 }),
        (1, "1,000 a second", Aim::AtMost { bar: 2.1, goal: 1.75 }, Aim::Told),
    ] {
        let base = &nginx.cells[nth].cpu_micros;
        let baseline = format!("nginx {}", micros(base));
        for (target, mode, aim) in [(full, "everything on", aim), (strict, "strict", strict_aim)] {
            let cpu = &target.cells[nth].cpu_micros;
            let name = format!("gateway: processor time of a call, {what}, {mode}");
            table.add(&name, aim, " ×", &cpu.over(base), &micros(cpu), &baseline);
        }
    }
    let (rate, base) = (&full.cells[0].rate, &nginx.cells[0].rate);
    table.add(
        "gateway: calls a second, 32 connections",
        Aim::AtLeast { bar: 0.6, goal: 0.75 },
        " ×",
        &rate.over(base),
        &rate.text(0, "/s"),
        &format!("nginx {}", base.text(0, "/s")),
    );
    let p50 = |target: &Target| target.cells[1].p50.clone();
    let p99 = |target: &Target| target.cells[1].p99.clone();
    for (what, of, aim) in [
        ("p50", &p50 as &dyn Fn(&Target) -> Samples, Aim::AtMost { bar: 2.0, goal: 1.5 }),
        ("p99", &p99, Aim::AtMost { bar: 3.0, goal: 2.0 }),
    ] {
        let added = |target: &Target| {
            let (this, base) = (of(target), of(direct));
            Samples(this.0.iter().zip(&base.0).map(|(this, base)| this - base).collect())
        };
        let (ours, theirs) = (added(full), added(nginx));
        let name = format!("gateway: added {what} at 1,000 a second");
        table.add(
            &name,
            aim,
            " ×",
            &ours.over(&theirs),
            &micros(&ours),
            &format!("nginx adds {}", micros(&theirs)),
        );
        let ours = added(strict);
        let name = format!("gateway: added {what} at 1,000 a second, strict");
        table.add(
            &name,
            Aim::Told,
            " ×",
            &ours.over(&theirs),
            &micros(&ours),
            &format!("nginx adds {}", micros(&theirs)),
        );
    }
    end(targets, &program)
}

/// Streams: processor time, the first event, events on their way.
pub fn streams(run: &Run, table: &mut Table) -> Result<(), String> {
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let mut targets = start(run, &program, &mock, false)?;
    let loads = [
        Load { kind: Kind::Paced, connections: STREAMS, pace: Pace::Spread(SPREAD), time: STREAMS_TIME },
        Load { kind: Kind::Firehose, connections: 8, pace: Pace::Closed, time: CLOSED_TIME / 2 },
    ];
    in_turns(run, &mock, &mut targets, &loads)?;
    let [direct, nginx, full] = targets.as_slice() else { return Err("three targets".to_owned()) };
    let micros = |cells: &Samples| cells.text(0, " µs");
    for (nth, what, aim) in [
        (0, "64 streams paced 5 ms", Aim::AtMost { bar: 1.25, goal: 1.15 }),
        (1, "8 streams unpaced", Aim::Told),
    ] {
        let (cpu, base) = (&full.cells[nth].cpu_micros, &nginx.cells[nth].cpu_micros);
        let name = format!("gateway: processor time of a stream of {} events, {what}", mock::EVENTS);
        table.add(&name, aim, " ×", &cpu.over(base), &micros(cpu), &format!("nginx {}", micros(base)));
    }
    let (ours, theirs) = (&full.cells[0].p50, &nginx.cells[0].p50);
    let more = Samples(ours.0.iter().zip(&theirs.0).map(|(ours, theirs)| (ours - theirs) / MILLIS).collect());
    table.add(
        "gateway: first event of a stream later than nginx's, p50",
        Aim::AtMost { bar: 0.5, goal: 0.5 },
        " ms",
        &more,
        &micros(ours),
        &format!("nginx {}, direct {}", micros(theirs), micros(&direct.cells[0].p50)),
    );
    let held = |target: &Target| {
        let cells = &target.cells[0];
        format!(
            "{} p99.9 {}, longest {}",
            target.server.name,
            cells.held_p999.text(2, " ms"),
            cells.held_max.text(2, " ms")
        )
    };
    table.add(
        "gateway: longest an event of a paced stream was on its way",
        Aim::AtMost { bar: 5.0, goal: 5.0 },
        " ms",
        &full.cells[0].held_max,
        &format!("p99.9 {}", full.cells[0].held_p999.text(2, " ms")),
        &format!("{}; {}", held(nginx), held(direct)),
    );
    end(targets, &program)
}

/// Memory with connections and with open streams.
pub fn memory(run: &Run, table: &mut Table) -> Result<(), String> {
    allow_many_files()?;
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let (mut resident, mut a_stream) = (Samples::default(), Samples::default());
    for _ in 0..run.rounds.min(3) {
        let server = Server::tollbook(run, &program, "memory", "full", mock.address, "")?;
        let mut target = Target::new(server);
        let busy = Load { kind: Kind::Json, connections: STREAMS, pace: Pace::Closed, time: CLOSED_TIME };
        target.run(&mock, &busy)?;
        let before = target.server.resident_kib();
        resident.add(before / 1_024.0);
        let held = Held::start(&target.server.caller, Manner::Reads, OPEN_STREAMS)?;
        std::thread::sleep(Duration::from_secs(1));
        a_stream.add((target.server.resident_kib() - before) / f64::from(OPEN_STREAMS));
        drop(held);
    }
    let aim = |most: f64| Aim::AtMost { bar: most, goal: most };
    table.add("gateway: resident after load on 64 connections", aim(48.0), " MiB", &resident, "", "");
    table.add("gateway: resident for each of 1,000 open streams", aim(16.0), " KiB", &a_stream, "", "");
    Ok(())
}

/// Good callers beside bad ones.
pub fn hostile(run: &Run, table: &mut Table) -> Result<(), String> {
    allow_many_files()?;
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let good = Load { kind: Kind::Json, connections: 16, pace: Pace::Rate(RATE / 2), time: RATE_TIME };
    let (mut later, mut alone, mut beside, mut grown) =
        (Samples::default(), Samples::default(), Samples::default(), Samples::default());
    for _ in 0..run.rounds.min(3) {
        let server = Server::tollbook(run, &program, "hostile", "full", mock.address, "")?;
        let mut target = Target::new(server);
        let p99 = |seen: &Seen| quantile(&seen.micros, 0.99) / MILLIS;
        let before = p99(&target.run(&mock, &good)?.0);
        let resident = target.server.resident_kib();
        let drips = Held::start(&target.server.caller, Manner::Drips, 500)?;
        let reads_nothing = Held::start(&target.server.caller, Manner::ReadsNothing, 200)?;
        // Until every buffer on the way is full: that costs the upstream more than anybody.
        std::thread::sleep(FILLING);
        let during = p99(&target.run(&mock, &good)?.0);
        grown.add((target.server.resident_kib() - resident) / 1_024.0);
        drop((drips, reads_nothing));
        later.add(during - before);
        alone.add(before);
        beside.add(during);
    }
    table.add(
        "gateway: p99 of good callers later, beside 500 that drip heads and 200 that read nothing",
        Aim::AtMost { bar: 50.0, goal: 50.0 },
        " ms",
        &later,
        &format!("p99 {}, resident grew by {}", beside.text(2, " ms"), grown.text(0, " MiB")),
        &format!("alone {}", alone.text(2, " ms")),
    );
    Ok(())
}

pub use peers::measure as peers;

/// As many open files as the system lets us have: both ends of every connection are here.
fn allow_many_files() -> Result<(), String> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| error.to_string())
}
