//! The reference store, in memory.

/// The reference store, in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {}
