//! What clients send to a ledger: new calls, the same again, the same id with other content, and
//! reports of one call from several sources.

use tollbook_store::conformance::Workload;
use tollbook_types::{Digest, Entry};

/// A seeded stream of rated events, without end.
#[derive(Clone, Debug)]
pub struct Traffic {
    work: Workload,
    sent: Vec<Entry>,
}

impl Traffic {
    /// The traffic of a seed.
    pub fn new(seed: u64) -> Traffic {
        Traffic { work: Workload::new(seed), sent: Vec::new() }
    }

    /// With calls that cost millions of dollars.
    pub fn with_huge_costs(self) -> Traffic {
        Traffic { work: self.work.with_huge_costs(), sent: self.sent }
    }

    /// An event that was sent before.
    fn earlier(&mut self) -> Entry {
        let at = self.work.random().below(self.sent.len() as u64) as usize;
        self.sent[at].clone()
    }
}

impl Iterator for Traffic {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let fresh = self.work.entry();
        let kind = if self.sent.is_empty() { 0 } else { self.work.random().below(100) };
        let entry = match kind {
            0..70 => fresh,
            // Sent again: recorded later, otherwise the same.
            70..82 => Entry { recorded_at: fresh.recorded_at, ..self.earlier() },
            // Another call under the same identity.
            82..88 => {
                let earlier = self.earlier().event;
                let mut other = fresh;
                other.event.attribution.project = earlier.attribution.project;
                (other.event.source, other.event.id) = (earlier.source, earlier.id);
                other.event.content = Digest::of(other.recorded_at.to_string().as_bytes());
                other
            }
            // The same call as another source saw it.
            _ => {
                let earlier = self.earlier().event;
                let mut other = fresh;
                other.event.attribution.project = earlier.attribution.project;
                (other.event.provider, other.event.model) = (earlier.provider, earlier.model);
                other.event.occurred_at = earlier.occurred_at;
                other.event.provider_response_id = earlier.provider_response_id;
                other
            }
        };
        self.sent.push(entry.clone());
        Some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LedgerModel, Verdict};

    #[test]
    fn equal_seeds_give_equal_traffic() {
        let some = |seed| Traffic::new(seed).take(300).collect::<Vec<_>>();
        assert_eq!(some(1), some(1));
        assert_ne!(some(1), some(2));
    }

    #[test]
    fn traffic_brings_every_verdict_and_resent_traffic_changes_nothing() {
        let mut model = LedgerModel::new();
        let traffic: Vec<Entry> = Traffic::new(3).with_huge_costs().take(2_000).collect();
        let verdicts: Vec<Verdict> = traffic.iter().map(|entry| model.submit(entry)).collect();
        let count = |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|verdict| wanted(verdict)).count();
        assert!(count(|v| matches!(v, Verdict::Accepted { .. })) > 1_000);
        assert!(count(|v| matches!(v, Verdict::Duplicate { .. })) > 100);
        assert!(count(|v| matches!(v, Verdict::Conflict { .. })) > 50);
        assert!(count(|v| matches!(v, Verdict::Joined { .. })) > 50);
        let totals = model.totals();
        assert_eq!(totals.calls as usize, count(|v| matches!(v, Verdict::Accepted { .. })));
        assert_ne!(totals.billed, totals.corrected);
        for entry in &traffic {
            let verdict = model.submit(entry);
            assert!(matches!(verdict, Verdict::Duplicate { .. } | Verdict::Conflict { .. }), "{verdict:?}");
        }
        assert_eq!(model.totals(), totals);
        let by_source = |source: &str| model.totals_where(|entry, _| entry.event.source == source).calls;
        let sources: std::collections::BTreeSet<_> =
            model.entries().map(|entry| entry.event.source.clone()).collect();
        assert_eq!(sources.iter().map(|source| by_source(source)).sum::<u64>(), totals.calls);
    }
}
