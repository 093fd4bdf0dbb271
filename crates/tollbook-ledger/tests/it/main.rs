//! What the ledger promises, as tests.

mod corrections;
mod outcomes;
mod rig;
