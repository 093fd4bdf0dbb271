//! The figures: what each part costs, as a ratio to something simple in the same run, never as a
//! test. What is compared runs in turns, in several rounds, in alternating order.

mod admission;
mod append;
mod bare;
mod books;
mod duck;
mod extract;
mod figure;
mod gateway;
mod import;
mod ingest;
mod large;
mod machine;
mod price;
mod queries;
mod random;
mod run;
mod scratch;
mod size;
mod workload;

use crate::figure::{Table, put, say, timed};
use crate::large::Large;
use crate::run::Run;
use crate::scratch::Scratch;
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask bench [NAME…] [OPTIONS]

  extract   usage out of streams and bodies; token estimates
  admission a decision over budgets, in process; calls through the gateway with and without budgets
  price     price lookup and rating
  import    a file of recorded answers, end to end (TOLLBOOK_CORPUS names its directory)
  append    appending to the ledger, empty and large
  ingest    appending over HTTP, into the program as it is shipped
  size      bytes a call
  queries   questions to the large store, DuckDB beside it
  gateway   calls through the gateway, nginx beside it (Debian's package); so do the next four
  streams   streams through it
  memory    what it takes with connections and open streams
  hostile   good callers beside bad ones
  peers     LiteLLM and Portkey beside it, installed under bench/target (a few minutes)

  --calls N    calls in the large store (10,000,000); 0: nothing that needs it
  --rounds N   rounds of each measurement (5)
  --dir DIR    where data goes while it runs (the system's temporary directory)
  --data DIR   a large store that is kept and used again

Without a name: all of them. The large store takes about 2 GB for each million calls while it runs.
";

const NAMES: [&str; 13] = [
    "extract",
    "admission",
    "price",
    "import",
    "append",
    "ingest",
    "size",
    "queries",
    "gateway",
    "streams",
    "memory",
    "hostile",
    "peers",
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (names, run) = match parse(&args) {
        Ok(parsed) => parsed,
        Err(error) => {
            eprint!("{error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut table = Table::default();
    machine::print_facts(run.scratch.path());
    let (took, done) = timed(|| measure(&names, &run, &mut table));
    table.print();
    put(&format!("\nload at the end {}; {:.0} s in all", machine::load(), took.as_secs_f64()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(args: &[String]) -> Result<(Vec<&str>, Run), String> {
    let (mut names, mut calls, mut rounds) = (Vec::new(), 10_000_000, 5);
    let (mut dir, mut data) = (std::env::temp_dir(), None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        let number = |text: &String| {
            text.replace([',', '_'], "").parse::<u64>().map_err(|_| format!("{text:?} is no number"))
        };
        match arg.as_str() {
            "--calls" => calls = number(value()?)?,
            "--rounds" => rounds = number(value()?)?.clamp(1, 1_000) as usize,
            "--dir" => dir = PathBuf::from(value()?),
            "--data" => data = Some(PathBuf::from(value()?)),
            name if NAMES.contains(&name) => names.push(name),
            other => return Err(format!("unknown: {other}")),
        }
    }
    if names.is_empty() {
        names = NAMES.to_vec();
    }
    Ok((names, Run { calls, rounds, scratch: Scratch::new(&dir)?, data }))
}

fn measure(names: &[&str], run: &Run, table: &mut Table) -> Result<(), String> {
    let wanted = |name: &str| names.contains(&name);
    if wanted("extract") {
        extract::measure(run, table)?;
    }
    if wanted("admission") {
        admission::measure(run, table)?;
        gateway::budgets(run, table)?;
    }
    if wanted("price") {
        price::measure(run, table)?;
    }
    if wanted("import") {
        import::measure(run, table)?;
    }
    if wanted("append") {
        append::empty(run, table)?;
    }
    if wanted("ingest") {
        ingest::measure(run, table)?;
    }
    for (name, part) in [
        ("gateway", gateway::calls as fn(&Run, &mut Table) -> Result<(), String>),
        ("streams", gateway::streams),
        ("memory", gateway::memory),
        ("hostile", gateway::hostile),
        ("peers", gateway::peers),
    ] {
        if wanted(name) {
            say(&format!("\n{name}"));
            part(run, table)?;
        }
    }
    if run.calls == 0 || !["append", "size", "queries"].into_iter().any(wanted) {
        return Ok(());
    }
    let mut large = Large::open(run)?;
    if wanted("size") {
        size::measure(run, &large, table)?;
    }
    if wanted("queries") {
        queries::measure(run, &large, table)?;
    }
    put(&format!("\nresident with the large store open: {} MiB", machine::resident_mib()));
    if wanted("append") {
        append::into_large(run, &mut large, table)?;
    }
    large.books.close()
}
