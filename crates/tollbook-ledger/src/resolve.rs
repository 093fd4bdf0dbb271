//! What each record of the journal means, decided in journal order: entry, duplicate, conflict,
//! joined, stale. Replay decides the same, since it sees the same records over the same store.

use crate::error::LedgerError;
use crate::journal::record::{Body, ControlBody, GapBody, SealBody};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tollbook_store::{Control, Gap, Join, Op, Seal, State, Store, StoredCall};
use tollbook_types::{
    Adjustment, Content, Digest, Entry, Event, Identity, OpenCall, ResponseKey, Seq, Usage, limits,
};

/// A record on its way from the journal into the store.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its position.
    pub seq: Seq,
    /// Its digest.
    pub digest: Digest,
    /// What it says.
    pub body: RecordBody,
}

/// What a record says.
#[derive(Clone, Debug)]
pub enum RecordBody {
    /// A rated event.
    Event(Arc<Entry>),
    /// A later state.
    Adjust(Arc<Adjustment>),
    /// A call let go.
    Open(Arc<OpenCall>),
    /// A document.
    Control(ControlBody),
    /// Calls unrecorded.
    Gap(GapBody),
    /// Totals of a stretch that may go.
    Seal(SealBody),
}

impl RecordBody {
    /// The body of a parsed journal record; `None` for a segment's head.
    pub fn of(body: Body) -> Option<RecordBody> {
        Some(match body {
            Body::Segment(_) => return None,
            Body::Event(entry) => RecordBody::Event(Arc::new(*entry)),
            Body::Adjust(adjustment) => RecordBody::Adjust(Arc::new(*adjustment)),
            Body::Open(call) => RecordBody::Open(Arc::new(*call)),
            Body::Control(control) => RecordBody::Control(control),
            Body::Gap(gap) => RecordBody::Gap(gap),
            Body::Seal(seal) => RecordBody::Seal(seal),
        })
    }
}

/// What became of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A new entry.
    Accepted {
        /// Its position.
        seq: Seq,
        /// The entry.
        entry: Arc<Entry>,
    },
    /// The same event was recorded before.
    Duplicate {
        /// The entry that is kept.
        entry: Seq,
    },
    /// Something else was recorded under the same identity; that is kept.
    Conflict {
        /// The entry that is kept.
        entry: Seq,
    },
    /// Another source reported the same call before; the entry may have gained from it.
    Joined {
        /// The entry that is kept.
        entry: Seq,
        /// Whether it was adjusted.
        adjusted: bool,
    },
    /// An adjustment, control, open call, gap or seal was applied.
    Applied {
        /// Its position.
        seq: Seq,
    },
    /// An adjustment or control does not follow the version that is there.
    Stale {
        /// The version that is there.
        current: u32,
    },
    /// The run has adjusted this entry already.
    AlreadyInRun,
    /// It occurred before what the retention has dropped: not recorded.
    BeforeCutoff,
}

/// Decides a group of records. Returns what the store shall change and what became of each record.
pub fn resolve(store: &dyn Store, records: &[Record]) -> Result<(Vec<Op>, Vec<Outcome>), LedgerError> {
    let mut resolver = Resolver::load(store, records)?;
    let outcomes = records.iter().map(|record| resolver.decide(record)).collect::<Result<_, _>>()?;
    Ok((resolver.ops, outcomes))
}

struct Resolver<'a> {
    store: &'a dyn Store,
    ops: Vec<Op>,
    identities: HashMap<Digest, (Seq, Content)>,
    responses: HashMap<Digest, (Seq, String)>,
    calls: HashMap<Seq, StoredCall>,
    /// Entries of this very group, which the store does not have yet.
    fresh: HashMap<Seq, (Digest, Arc<Entry>)>,
    controls: HashMap<String, u32>,
    /// Calls that are open, when the group lets any go.
    open: HashSet<Digest>,
}

impl<'a> Resolver<'a> {
    /// Asks the store once for everything that the group's events refer to.
    fn load(store: &'a dyn Store, records: &[Record]) -> Result<Resolver<'a>, LedgerError> {
        let mut identities: Vec<Identity> = Vec::new();
        let mut responses: Vec<ResponseKey> = Vec::new();
        for record in records {
            match &record.body {
                RecordBody::Event(entry) => {
                    identities.push(entry.event.identity());
                    responses.extend(entry.event.response_key());
                }
                RecordBody::Open(call) => identities.push(open_identity(call)),
                _ => {}
            }
        }
        let lets_go = records.iter().any(|record| matches!(record.body, RecordBody::Open(_)));
        let open = if lets_go { store.open_calls()? } else { Vec::new() };
        let open = open.iter().map(|(_, call)| open_identity(call).digest()).collect();
        let known = store.find(&identities)?;
        let known_responses = store.find_responses(&responses)?;
        let identities = identities.iter().zip(known);
        let responses = responses.iter().zip(known_responses);
        Ok(Resolver {
            store,
            ops: Vec::with_capacity(records.len()),
            identities: identities
                .filter_map(|(identity, known)| known.map(|k| (identity.digest(), (k.entry, k.content))))
                .collect(),
            responses: responses.filter_map(|(key, known)| known.map(|k| (key.digest(), k))).collect(),
            calls: HashMap::new(),
            fresh: HashMap::new(),
            controls: HashMap::new(),
            open,
        })
    }

    fn decide(&mut self, record: &Record) -> Result<Outcome, LedgerError> {
        let seq = record.seq;
        match &record.body {
            RecordBody::Event(entry) => self.event(seq, record.digest, entry),
            RecordBody::Adjust(adjustment) => self.adjust(seq, record.digest, adjustment),
            RecordBody::Open(call) => {
                let name = open_identity(call).digest();
                if let Some((entry, _)) = self.identities.get(&name) {
                    return Ok(Outcome::Duplicate { entry: *entry });
                }
                if !self.open.insert(name) {
                    return Ok(Outcome::Stale { current: 0 });
                }
                self.ops.push(Op::Open { seq, call: call.clone() });
                Ok(Outcome::Applied { seq })
            }
            RecordBody::Control(control) => self.control(seq, control),
            RecordBody::Gap(gap) => {
                let GapBody { from, to, calls, reason } = gap.clone();
                self.ops.push(Op::Gap(Gap { seq, from, to, calls, reason }));
                Ok(Outcome::Applied { seq })
            }
            RecordBody::Seal(seal) => {
                self.ops.push(Op::Seal(seal_of(seal)));
                Ok(Outcome::Applied { seq })
            }
        }
    }

    fn event(&mut self, seq: Seq, digest: Digest, entry: &Arc<Entry>) -> Result<Outcome, LedgerError> {
        let event = &entry.event;
        let identity = event.identity();
        let name = identity.digest();
        if let Some((kept, content)) = self.identities.get(&name) {
            let same = *content == event.content;
            return Ok(if same {
                Outcome::Duplicate { entry: *kept }
            } else {
                Outcome::Conflict { entry: *kept }
            });
        }
        self.identities.insert(name, (seq, event.content));
        self.open.remove(&name);
        if let Some(key) = event.response_key().map(|key| key.digest()) {
            match self.responses.get(&key) {
                // Only other sources report the same call again; a source's own ids tell its calls apart.
                Some((kept, source)) if *source != event.source => {
                    let kept = *kept;
                    self.identities.insert(name, (kept, event.content));
                    let join = Join { seq, identity, content: event.content, entry: kept };
                    self.ops.push(Op::Join(join));
                    let adjusted = self.join(seq, digest, kept, entry)?;
                    return Ok(Outcome::Joined { entry: kept, adjusted });
                }
                Some(_) => {}
                None => {
                    self.responses.insert(key, (seq, event.source.clone()));
                }
            }
        }
        self.fresh.insert(seq, (digest, entry.clone()));
        self.ops.push(Op::Entry { seq, digest, entry: entry.clone() });
        Ok(Outcome::Accepted { seq, entry: entry.clone() })
    }

    /// Lets an entry gain from a further report of the same call. Returns whether it was adjusted.
    fn join(&mut self, seq: Seq, digest: Digest, kept: Seq, report: &Entry) -> Result<bool, LedgerError> {
        let Some(current) = self.call(kept)?.map(StoredCall::corrected) else { return Ok(false) };
        let Some(gained) = joined_state(&current, report) else { return Ok(false) };
        let reason = if gained.evidence > current.evidence {
            format!("{} reported it with better evidence", report.event.source)
        } else {
            format!("{} reported it too", report.event.source)
        };
        let adjustment = Arc::new(adjustment_to(kept, gained, reason, None, report.recorded_at));
        self.push_adjustment(seq, digest, adjustment);
        Ok(true)
    }

    fn adjust(
        &mut self,
        seq: Seq,
        digest: Digest,
        adjustment: &Arc<Adjustment>,
    ) -> Result<Outcome, LedgerError> {
        let Some(call) = self.call(adjustment.entry)? else { return Ok(Outcome::Stale { current: 0 }) };
        if let Some(run) = &adjustment.run
            && call.adjustments.iter().any(|(_, _, done)| done.run.as_ref() == Some(run))
        {
            return Ok(Outcome::AlreadyInRun);
        }
        let current = call.version();
        if adjustment.version != current + 1 {
            return Ok(Outcome::Stale { current });
        }
        self.push_adjustment(seq, digest, adjustment.clone());
        Ok(Outcome::Applied { seq })
    }

    fn push_adjustment(&mut self, seq: Seq, digest: Digest, adjustment: Arc<Adjustment>) {
        if let Some(call) = self.calls.get_mut(&adjustment.entry) {
            call.adjustments.push((seq, digest, (*adjustment).clone()));
        }
        self.ops.push(Op::Adjust { seq, digest, adjustment });
    }

    fn control(&mut self, seq: Seq, control: &ControlBody) -> Result<Outcome, LedgerError> {
        let current = match self.controls.get(&control.key) {
            Some(version) => *version,
            None => self.store.control(&control.key)?.map_or(0, |found| found.version),
        };
        if control.version != current + 1 {
            return Ok(Outcome::Stale { current });
        }
        self.controls.insert(control.key.clone(), control.version);
        let ControlBody { key, version, body, at } = control.clone();
        self.ops.push(Op::Control(Control { seq, key, version, body, at }));
        Ok(Outcome::Applied { seq })
    }

    /// The call as it will be once everything decided so far is applied; `None` if there is none.
    fn call(&mut self, seq: Seq) -> Result<Option<&StoredCall>, LedgerError> {
        if !self.calls.contains_key(&seq) {
            let call = match self.fresh.get(&seq) {
                Some((digest, entry)) => Some(StoredCall {
                    seq,
                    digest: *digest,
                    entry: (**entry).clone(),
                    adjustments: Vec::new(),
                    joined: Vec::new(),
                }),
                None => self.store.call(seq)?,
            };
            self.calls.extend(call.map(|call| (seq, call)));
        }
        Ok(self.calls.get(&seq))
    }
}

/// The identity that an open call's ending will carry.
pub fn open_identity(call: &OpenCall) -> Identity {
    Identity { project: call.attribution.project.clone(), source: call.source.clone(), id: call.id.clone() }
}

/// An adjustment that leads to `state`, whose version it takes one further.
pub fn adjustment_to(
    entry: Seq,
    state: State,
    reason: String,
    run: Option<String>,
    at: tollbook_types::Timestamp,
) -> Adjustment {
    Adjustment {
        entry,
        version: state.version + 1,
        run,
        at,
        reason,
        usage: state.usage,
        evidence: state.evidence,
        free: state.free,
        provider_cost: state.provider_cost,
        conditions: state.conditions,
        attribution: state.attribution,
        flags: state.flags,
        inconsistent: state.inconsistent,
        raw_usage: state.raw_usage,
        estimator: state.estimator,
        rating: state.rating,
    }
}

/// The state that `current` becomes by a further report of the call, or `None` if nothing changes:
/// better evidence replaces usage and rating, absent attribution is filled, a usage that differs
/// without better evidence is flagged.
fn joined_state(current: &State, report: &Entry) -> Option<State> {
    let event: &Event = &report.event;
    let mut state = current.clone();
    let mut changed = state.attribution.fill_from(&event.attribution);
    let says_something = event.usage.is_some() || event.provider_cost.is_some();
    if event.evidence > current.evidence && says_something {
        state.usage.clone_from(&event.usage);
        state.evidence = event.evidence;
        state.free = event.free;
        state.provider_cost.clone_from(&event.provider_cost);
        state.conditions.clone_from(&event.conditions);
        state.inconsistent = event.inconsistent;
        state.raw_usage.clone_from(&event.raw_usage);
        state.estimator.clone_from(&event.estimator);
        state.rating = report.rating.clone();
        state.flags.clone_from(&event.flags);
        changed = true;
    } else if event.usage.is_some()
        && event.usage.as_ref().map(Usage::total) != current.usage.as_ref().map(Usage::total)
    {
        let flag = format!("usage_differs: {}", event.source);
        if !state.flags.contains(&flag) && state.flags.len() < limits::FLAGS_MAX {
            state.flags.push(flag);
            changed = true;
        }
    }
    changed.then_some(state)
}

fn seal_of(body: &SealBody) -> Seal {
    Seal {
        first: body.first,
        last: body.last,
        entries: body.entries,
        cost_picos: body.cost.picos(),
        digest_sum: body.digest_sum,
        adjustments: body.adjustments,
        adjustment_digest_sum: body.adjustment_digest_sum,
    }
}
