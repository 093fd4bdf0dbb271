//! What is wrong with the books themselves.

use super::Words;
use tollbook_types::Timestamp;

/// A gap is over once nothing was left out for so long.
const QUIET_SECONDS: i64 = 3_600;

/// How the books are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Why the store fails, if it does.
    pub store_fault: Option<String>,
    /// Calls that passed without a record since the start.
    pub unrecorded_calls: u64,
    /// Whether the clock is off by more than the time that has passed.
    pub has_clock_stepped: bool,
}

/// Calls that passed without a record.
#[derive(Debug, Default)]
pub(super) struct Gap {
    calls: u64,
    grew: Option<Timestamp>,
}

/// A fault that holds now: its name, and what is wrong in words.
pub(super) type Fault = (&'static str, String);

impl Gap {
    /// What is wrong now.
    pub fn faults(&mut self, books: &Books, now: Timestamp) -> Vec<Fault> {
        if books.unrecorded_calls > self.calls {
            (self.calls, self.grew) = (books.unrecorded_calls, Some(now));
        }
        let mut faults = Vec::new();
        if let Some(why) = &books.store_fault {
            faults.push(("store", format!("the store fails: {why}")));
        }
        if self.grew.is_some_and(|grew| now.as_second() - grew.as_second() < QUIET_SECONDS) {
            faults.push(("gap", format!("{} calls passed unrecorded since the start", self.calls)));
        }
        if books.has_clock_stepped {
            faults.push(("clock", "the clock has stepped by more than an hour".to_owned()));
        }
        faults
    }
}

pub(super) fn words(name: &str, detail: &str) -> Words {
    Words {
        threshold: name.to_owned(),
        summary: format!("The books: {detail}"),
        measured: "1".to_owned(),
        limit: "0".to_owned(),
        unit: "faults",
    }
}
