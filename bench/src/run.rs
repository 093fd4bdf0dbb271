//! What a run was asked to do.

use crate::scratch::Scratch;
use std::path::PathBuf;

/// The settings of a run.
pub struct Run {
    /// Calls in the large store.
    pub calls: u64,
    /// Rounds of each measurement.
    pub rounds: usize,
    /// Where data goes while the run lasts.
    pub scratch: Scratch,
    /// A large store to use again, which is made when absent and kept.
    pub data: Option<PathBuf>,
}
