//! What an import came to.

use crate::failure::Failure;
use crate::out::Out;
use crate::out::number::{count, dollars};
use tollbook_types::{CostBasis, Event, Evidence, Money, Rating};
use tollbook_usage::import::Counts;

/// The counts of an import. Sums are of accepted calls.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub files: u64,
    /// Calls that were told, or could not be read.
    pub read: u64,
    pub accepted: u64,
    pub duplicates: u64,
    /// Known by another source already.
    pub joined: u64,
    /// Recorded before with less usage than the log has now.
    pub grown: u64,
    pub rejected: u64,
    /// Of the rejected: another content under a known id.
    pub conflicts: u64,
    /// Files that could not be read to their end.
    pub unreadable: u64,
    pub unpriced: u64,
    pub unknown: u64,
    pub estimated: u64,
    pub tokens: u64,
    pub cost: Money,
    /// What the log readers left out.
    pub log_counts: Counts,
}

impl Summary {
    /// Counts a new call.
    pub fn accept(&mut self, event: &Event, rating: &Rating) {
        self.accepted += 1;
        self.unpriced += u64::from(matches!(rating.basis, CostBasis::Unpriced | CostBasis::Inconsistent));
        self.unknown += u64::from(rating.basis == CostBasis::UnknownUsage);
        self.estimated += u64::from(matches!(event.evidence, Evidence::Estimated | Evidence::Partial));
        self.tokens = self.tokens.saturating_add(tokens(event));
        let sum = rating.cost.and_then(|cost| self.cost.checked_add(cost));
        self.cost = sum.unwrap_or(self.cost);
    }

    /// Prints the counts: on stdout, or beside JSON on stderr.
    pub fn print(&self, is_dry_run: bool, out: &mut Out) -> Result<(), Failure> {
        let files =
            if self.files == 1 { "1 file".to_owned() } else { format!("{} files", count(self.files)) };
        let mut rows = vec![
            ("read", format!("{} from {files}", count(self.read))),
            (if is_dry_run { "new" } else { "accepted" }, count(self.accepted)),
            ("duplicates", count(self.duplicates)),
        ];
        let mut row = |n: u64, name: &'static str, what: &str| {
            if n > 0 {
                rows.push((name, format!("{}{what}", count(n))));
            }
        };
        row(self.joined, "joined", " to calls that another source had reported");
        row(self.grown, "grown", " had more usage than when they were recorded: adjusted");
        row(self.log_counts.synthetic, "left out", " messages that no model made");
        row(self.log_counts.partial, "unfinished", " lines still being written");
        rows.push(("rejected", count(self.rejected)));
        let mut row = |n: u64, name: &'static str, what: &str| {
            if n > 0 {
                rows.push((name, format!("{}{what}", count(n))));
            }
        };
        row(self.conflicts, "", " of them under an id that says something else already");
        row(self.unreadable, "unreadable", " files");
        rows.push(("unpriced", count(self.unpriced)));
        let mut row = |n: u64, name: &'static str, what: &str| {
            if n > 0 {
                rows.push((name, format!("{}{what}", count(n))));
            }
        };
        row(self.unknown, "unknown", " of unknown usage: no cost");
        row(self.estimated, "estimated", "");
        rows.push(("tokens", count(self.tokens)));
        rows.push(("cost", dollars(self.cost)));
        for (name, text) in rows {
            let line = format!("{name:<11} {text}");
            if out.json { out.note(&line) } else { out.line(&line)? }
        }
        Ok(())
    }
}

/// All tokens of an event, 0 when it reports none.
pub fn tokens(event: &Event) -> u64 {
    event.usage.as_ref().map_or(0, |usage| usage.total().total_tokens())
}
