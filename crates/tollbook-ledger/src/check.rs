//! `verify`: the books agree with themselves.
//!
//! The journal's range is read record by record and compared with the entries and adjustments that
//! the store has in that range, by digest; every event in the journal is an entry, or it is known
//! why not. Seals are compared with the store for the ranges whose segments have gone. The store
//! compares its own rows, records and rollups.

use crate::demo;
use crate::dir::DataDir;
use crate::erase::{Kept, erased_entry, erased_open};
use crate::error::LedgerError;
use crate::journal::record::{Body, Line};
use crate::journal::{self, Survey};
use crate::resolve::open_identity;
use crate::retain::seals_in_force;
use std::collections::{BTreeMap, HashSet};
use tollbook_store::{RangeSum, Store, same_figures};
use tollbook_types::{Digest, Erasures, Identity, Seq, Timestamp};

/// At most so many problems are listed one by one.
const LISTED_MAX: usize = 50;

/// What `verify` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// The oldest record that the journal still has.
    pub first: Option<Seq>,
    /// The newest record that was compared.
    pub last: Option<Seq>,
    /// Records compared.
    pub records: u64,
    /// Entries in the store.
    pub entries: u64,
    /// Adjustments in the store.
    pub adjustments: u64,
    /// Rollup rows compared with a fold over the entries.
    pub rollup_rows: u64,
    /// Seals compared.
    pub seals: u64,
    /// Calls that passed unrecorded, by the gaps.
    pub unrecorded_calls: u64,
    /// What differs, in words; empty when all is well.
    pub problems: Vec<String>,
    /// What is worth knowing and no contradiction.
    pub notes: Vec<String>,
}

/// Compares the journal, the store and the store's rollups. Changes nothing.
pub fn verify(dir: &DataDir, store: &dyn Store) -> Result<Verification, LedgerError> {
    let position = store.position()?;
    let mut found = Verification::default();
    let audit = store.audit()?;
    found.entries = audit.entries;
    found.adjustments = audit.adjustments;
    found.rollup_rows = audit.rollup_rows;
    let mut problems = Problems(audit.problems);

    let erasures = compare_erasures(dir, store, &position.ledger_id, &mut problems)?;
    let demo_since = demo::since(store)?;
    let mut comparison = Comparison::new(store, position.applied, position.cutoff, demo_since, erasures);
    let survey = journal::read(&dir.journal(), |line| comparison.record(line, &mut problems))?;
    comparison.finish(&survey, &mut problems)?;
    found.records = comparison.records;
    found.first = survey.first;
    found.last = survey.last.map(|last| last.min(position.applied));

    compare_survey(&survey, position.applied, &position.ledger_id, &mut problems, &mut found.notes);
    found.seals = compare_seals(store, &survey, &mut problems)?;
    found.unrecorded_calls = store.gaps()?.iter().map(|gap| gap.calls).sum();
    found.problems = problems.0;
    Ok(found)
}

struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: String) {
        match self.0.len() {
            n if n < LISTED_MAX => self.0.push(problem),
            n if n == LISTED_MAX => self.0.push("there is more; only the first are listed".to_owned()),
            _ => {}
        }
    }
}

/// Positions whose digests are held at once.
const WINDOW: u64 = 65_536;
/// Positions remembered that only the store has; among them may be ranges known to be lost.
const ONLY_STORED_MAX: usize = 1_000_000;

/// The journal's records beside the store's digests, in step.
struct Comparison<'a> {
    store: &'a dyn Store,
    applied: Seq,
    cutoff: Option<Timestamp>,
    /// Demo calls before this were taken out.
    demo_since: Seq,
    /// What the store has up to `window_end` and the journal has not shown yet.
    digests: BTreeMap<Seq, Digest>,
    /// Entries among them that hold less than their records say.
    altered: HashSet<Seq>,
    erasures: Erasures,
    window_end: Seq,
    /// Positions that the store has and the journal has not.
    only_stored: Vec<Seq>,
    records: u64,
    /// Events without an entry of their own; looked up in groups.
    unexplained: Vec<(Seq, Identity)>,
}

impl<'a> Comparison<'a> {
    fn new(
        store: &'a dyn Store,
        applied: Seq,
        cutoff: Option<Timestamp>,
        demo_since: Seq,
        erasures: Erasures,
    ) -> Comparison<'a> {
        Comparison {
            store,
            applied,
            cutoff,
            demo_since,
            digests: BTreeMap::new(),
            altered: HashSet::new(),
            erasures,
            window_end: 0,
            only_stored: Vec::new(),
            records: 0,
            unexplained: Vec::new(),
        }
    }

    /// Makes sure that the digest at `seq` is held, if the store has one. Positions go up.
    fn advance(&mut self, seq: Seq) -> Result<(), LedgerError> {
        while seq > self.window_end {
            let from = if self.records == 0 { seq } else { self.window_end + 1 };
            self.close_window();
            self.window_end = (from + WINDOW - 1).min(self.applied);
            self.digests = self.store.digests(from, self.window_end)?.into_iter().collect();
            self.altered = self.store.altered(from, self.window_end)?.into_iter().collect();
        }
        Ok(())
    }

    fn close_window(&mut self) {
        let room = ONLY_STORED_MAX - self.only_stored.len().min(ONLY_STORED_MAX);
        self.only_stored.extend(self.digests.keys().take(room));
        self.digests.clear();
    }

    fn record(&mut self, line: Line<'_>, problems: &mut Problems) -> Result<(), LedgerError> {
        if line.seq > self.applied {
            return Ok(());
        }
        self.advance(line.seq)?;
        self.records += 1;
        if let Some(stored) = self.digests.remove(&line.seq) {
            if stored != line.digest {
                problems
                    .add(format!("record {}: the journal and the store hold different content", line.seq));
            } else if self.altered.contains(&line.seq) && !self.agrees(line)? {
                problems.add(format!("record {}: more than may be erased differs in the store", line.seq));
            }
            return Ok(());
        }
        let Ok(body) = line.parse() else {
            problems.add(format!("record {}: its form is unknown here", line.seq));
            return Ok(());
        };
        match body {
            // The demo that it was of has been taken out.
            Body::Event(entry) if entry.event.is_demo() && line.seq < self.demo_since => {}
            Body::Event(entry) if self.cutoff.is_some_and(|cutoff| entry.event.occurred_at < cutoff) => {}
            Body::Event(entry) => {
                let erased = erased_entry(&self.erasures, &entry);
                self.unexplained.push((line.seq, erased.unwrap_or(*entry).event.identity()));
            }
            Body::Open(call) => {
                let open = self.store.open_calls()?;
                if !open.iter().any(|(seq, _)| *seq == line.seq) {
                    let erased = erased_open(&self.erasures, &call);
                    self.unexplained.push((line.seq, open_identity(&erased.unwrap_or(*call))));
                }
            }
            Body::Adjust(adjustment) => {
                let known = self.store.call(adjustment.entry)?;
                let behind = known.as_ref().is_some_and(|call| {
                    call.version() >= adjustment.version
                        || call
                            .adjustments
                            .iter()
                            .any(|(_, _, done)| done.run.is_some() && done.run == adjustment.run)
                });
                if known.is_some() && !behind {
                    problems.add(format!("record {}: an adjustment is not in the store", line.seq));
                }
            }
            Body::Control(control) => {
                let version = self.store.control(&control.key)?.map_or(0, |stored| stored.version);
                if version < control.version {
                    problems.add(format!("record {}: {} is not in the store", line.seq, control.key));
                }
            }
            Body::Gap(_) => {
                if !self.store.gaps()?.iter().any(|gap| gap.seq == line.seq) {
                    problems.add(format!("record {}: a gap is not in the store", line.seq));
                }
            }
            Body::Erase(erasure) => {
                if self.store.erasures()?.iter().all(|applied| applied.id != erasure.id) {
                    problems.add(format!("record {}: {} was not applied to the store", line.seq, erasure.id));
                }
            }
            Body::Seal(_) | Body::Segment(_) => {}
        }
        if self.unexplained.len() >= 1_000 {
            self.explain(problems)?;
        }
        Ok(())
    }

    /// Whether an entry that was altered still says what its record says, but for what may go. What
    /// it holds is under a digest of its own, which the store's audit checks.
    fn agrees(&self, line: Line<'_>) -> Result<bool, LedgerError> {
        let (Ok(Body::Event(told)), Some(call)) = (line.parse(), self.store.call(line.seq)?) else {
            return Ok(false);
        };
        Ok(same_figures(&told, &call.entry))
    }

    /// An event without an entry is a duplicate or conflict of an older one, or joined to one.
    fn explain(&mut self, problems: &mut Problems) -> Result<(), LedgerError> {
        let waiting = std::mem::take(&mut self.unexplained);
        let asked: Vec<_> = waiting.iter().map(|(_, identity)| identity.into()).collect();
        for ((seq, identity), known) in waiting.iter().zip(self.store.find(&asked)?) {
            if known.is_none() {
                problems.add(format!(
                    "record {seq}: event {:?} is in the journal and not in the store",
                    identity.id
                ));
            }
        }
        Ok(())
    }

    fn finish(&mut self, survey: &Survey, problems: &mut Problems) -> Result<(), LedgerError> {
        self.explain(problems)?;
        let is_lost = |seq: Seq| survey.known_lost.iter().any(|(from, to)| (*from..=*to).contains(&seq));
        let end = survey.last.unwrap_or(0);
        self.close_window();
        for seq in self.only_stored.iter().filter(|seq| **seq <= end && !is_lost(**seq)) {
            problems.add(format!("record {seq}: it is in the store and not in the journal"));
        }
        Ok(())
    }
}

/// What was erased for ever stands in the file and was applied to the store.
fn compare_erasures(
    dir: &DataDir,
    store: &dyn Store,
    ledger_id: &str,
    problems: &mut Problems,
) -> Result<Erasures, LedgerError> {
    let Kept { erasures: kept, damage } = Kept::read(dir)?;
    damage.into_iter().for_each(|damage| problems.add(damage));
    let applied = store.erasures()?;
    for erasure in &kept {
        if applied.iter().all(|applied| applied.id != erasure.id) {
            problems.add(format!("{} was not applied to the store; the next start does it", erasure.id));
        }
    }
    for erasure in &applied {
        if kept.iter().all(|kept| kept.id != erasure.id) {
            problems.add(format!(
                "{} is not in {}; the next start writes it",
                erasure.id,
                dir.erasures().display()
            ));
        }
    }
    let mut erasures = Erasures::new(ledger_id);
    kept.into_iter().for_each(|erasure| erasures.add(erasure));
    Ok(erasures)
}

fn compare_survey(
    survey: &Survey,
    applied: Seq,
    ledger_id: &str,
    problems: &mut Problems,
    notes: &mut Vec<String>,
) {
    if let Some(journal) = survey.ledger.as_ref().filter(|journal| *journal != ledger_id) {
        problems.add(format!("the journal belongs to ledger {journal}, the store to {ledger_id}"));
    }
    for (from, to) in &survey.missing {
        problems.add(format!("journal records {from} to {to} are missing"));
    }
    for damage in &survey.damage {
        if !survey.missing.is_empty() {
            problems.add(damage.to_string());
        } else if survey.holes.is_empty() {
            notes.push(format!("{damage}; no record is missing for it"));
        } else {
            notes.push(damage.to_string());
        }
    }
    for (from, to) in &survey.known_lost {
        notes.push(format!(
            "journal records {from} to {to} were lost earlier; the store alone vouches for them"
        ));
    }
    for (from, to) in &survey.holes {
        notes.push(format!(
            "journal records {from} to {to} were torn before the store had them, and an earlier start said so"
        ));
    }
    let last = survey.last.unwrap_or(0);
    if last < applied {
        problems.add(format!("the journal ends at record {last}, the store has records up to {applied}"));
    }
    if survey.torn_bytes > 0 {
        notes.push(format!(
            "{} bytes of an unfinished write stand at the journal's end; nobody was told that it was recorded",
            survey.torn_bytes
        ));
    }
}

fn compare_seals(store: &dyn Store, survey: &Survey, problems: &mut Problems) -> Result<u64, LedgerError> {
    let seals = seals_in_force(store)?;
    let mut sealed_to: Seq = 0;
    for seal in &seals {
        if seal.first > sealed_to + 1 {
            problems.add(format!(
                "records {} to {} are neither sealed nor in the journal",
                sealed_to + 1,
                seal.first - 1
            ));
        }
        sealed_to = sealed_to.max(seal.last);
        let expected = RangeSum {
            entries: seal.entries,
            cost_picos: seal.cost_picos,
            digest_sum: seal.digest_sum,
            adjustments: seal.adjustments,
            adjustment_digest_sum: seal.adjustment_digest_sum,
        };
        let actual = store.range_sum(seal.first, seal.last)?;
        if actual != expected {
            problems.add(format!(
                "records {} to {}: sealed with {} entries and {} adjustments, the store has {} and {}, or other content",
                seal.first, seal.last, seal.entries, seal.adjustments, actual.entries, actual.adjustments
            ));
        }
    }
    if let Some(first) = survey.first.filter(|first| *first > sealed_to + 1) {
        problems.add(format!(
            "the journal starts at record {first}, but records {} to {} are not sealed",
            sealed_to + 1,
            first - 1
        ));
    }
    Ok(seals.len() as u64)
}
