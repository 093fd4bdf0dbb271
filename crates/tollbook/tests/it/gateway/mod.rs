//! The real server before a stand-in for the providers: what was served is in the books.

#![allow(clippy::print_stdout, reason = "tests say what they saw")]

mod alerts;
mod budgets;
mod calls;
mod capture;
mod clock;
mod crash;
mod disk;
mod doors;
mod exact;
mod faults;
mod hostile;
mod live;
mod prices;
mod rates;
pub mod running;
mod secrets;
mod shutdown;
mod tls;
mod upkeep;

/// Whether tests run with their full counts.
pub fn is_soak() -> bool {
    std::env::var_os("TOLLBOOK_SOAK").is_some()
}

/// A seed that differs from one round to the next, and not from one run to the next.
pub fn mixed(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^= mixed >> 31;
    mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
}
