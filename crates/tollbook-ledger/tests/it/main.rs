//! What the ledger promises, as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // These are tests throughout.

mod alerts;
mod books;
mod budgets;
mod captures;
mod corrections;
mod demo;
mod disk;
mod durable;
mod erasing;
mod flips;
mod following;
mod full_disk;
mod keys;
mod kill;
mod members;
mod open_calls;
mod outcomes;
mod power;
mod retention;
mod rig;
mod worker;

/// Random numbers for a test: the same in every run, unless `TOLLBOOK_SEED` asks for others.
fn random(test: u64) -> disk::Random {
    let seed = std::env::var("TOLLBOOK_SEED").map_or(0, |seed| seed.parse().unwrap());
    disk::Random(seed * 1_000 + test)
}

/// Whether the full counts are asked for, which take their time.
fn is_soak() -> bool {
    std::env::var_os("TOLLBOOK_SOAK").is_some_and(|value| value == "1")
}
