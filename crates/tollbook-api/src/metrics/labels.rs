//! Labels that callers choose: only so many values of each are told apart, the rest is `other`.
//!
//! Whoever stores the figures pays for every value that a label ever had, and a caller can make up
//! as many models and projects as they like.

use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands for all further values.
pub const OTHER: &str = "other";

/// The values of one label.
#[derive(Debug)]
pub struct Label {
    known: BTreeSet<Arc<str>>,
    max: usize,
    other: Arc<str>,
    /// How often a value was not told apart.
    pub overflow: u64,
}

impl Label {
    /// A label of at most so many values, beside `other`.
    pub fn new(max: usize) -> Label {
        Label { known: BTreeSet::new(), max, other: OTHER.into(), overflow: 0 }
    }

    /// The value as it is shown.
    pub fn value(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        if self.known.len() >= self.max {
            self.overflow = self.overflow.saturating_add(1);
            return self.other.clone();
        }
        let value: Arc<str> = value.into();
        self.known.insert(value.clone());
        value
    }

    /// What stands for all further values.
    pub fn other(&mut self) -> Arc<str> {
        self.overflow = self.overflow.saturating_add(1);
        self.other.clone()
    }
}
