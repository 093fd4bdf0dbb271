//! What budgets promise, as tests.
#![allow(clippy::unwrap_used)] // These are tests throughout.

mod decisions;
mod forms;
mod rates;
mod rig;
mod scale;
mod simulation;
mod windows;
