//! What each record of the journal means, decided in journal order: entry, duplicate, conflict,
//! joined, stale. Replay decides the same, since it sees the same records over the same store.

use crate::demo;
use crate::error::LedgerError;
use crate::journal::record::{Body, ControlBody, GapBody, SealBody};
use std::borrow::Cow;
use std::collections::hash_map::Entry as MapEntry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tollbook_store::{Control, Gap, IdentityRef, Join, Op, ResponseRef, Seal, State, Store, StoredCall};
use tollbook_types::{
    Adjustment, Content, DEMO_SOURCE, Digest, Entry, Erasure, Event, Identity, OpenCall, Seq, limits,
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
    /// A person who was erased.
    Erase(Arc<Erasure>),
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
            Body::Erase(erasure) => RecordBody::Erase(Arc::new(*erasure)),
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

/// The calls that are open in the store, by the frames of their identities: what is in flight, kept
/// by who writes, so that no group has to read it.
#[derive(Debug)]
pub struct OpenCalls(HashSet<Box<[u8]>>);

impl OpenCalls {
    /// Those that the store has now.
    pub fn load(store: &dyn Store) -> Result<OpenCalls, LedgerError> {
        let open = store.open_calls()?;
        Ok(OpenCalls(open.iter().map(|(_, call)| frame(&call.into())).collect()))
    }

    fn has(&self, identity: &IdentityRef<'_>) -> bool {
        !self.0.is_empty() && self.0.contains(&frame(identity))
    }

    /// Follows a group once the store has it.
    pub fn follow(&mut self, changes: OpenChanges) {
        for closed in changes.closed {
            self.0.remove(&closed);
        }
        self.0.extend(changes.opened);
    }
}

fn frame(identity: &IdentityRef<'_>) -> Box<[u8]> {
    let mut frame = Vec::new();
    identity.frame(&mut frame);
    frame.into()
}

/// What a group does to the calls that are open.
#[derive(Debug, Default)]
pub struct OpenChanges {
    opened: Vec<Box<[u8]>>,
    closed: Vec<Box<[u8]>>,
}

/// What was decided of a group of records.
#[derive(Debug)]
pub struct Decided {
    /// What the store shall change.
    pub ops: Vec<Op>,
    /// What became of each record.
    pub outcomes: Vec<Outcome>,
    /// What the calls that are open become once the store has it.
    pub open: OpenChanges,
    /// The calls that it adjusts, and some that it could have, as they are after it.
    pub adjusted: HashMap<Seq, StoredCall>,
}

/// Decides a group of records.
pub fn resolve(store: &dyn Store, open: &OpenCalls, records: &[Record]) -> Result<Decided, LedgerError> {
    let mut resolver = Resolver::load(store, open, records)?;
    let outcomes = records.iter().map(|record| resolver.decide(record)).collect::<Result<_, _>>()?;
    let Resolver { mut ops, opened, closed, calls: adjusted, .. } = resolver;
    let mut changes = OpenChanges { opened: Vec::with_capacity(opened.len()), closed };
    // Last, since what ended within the group never was open for anybody else.
    let mut opened: Vec<(IdentityRef<'_>, (Seq, &Arc<OpenCall>))> = opened.into_iter().collect();
    opened.sort_unstable_by_key(|(_, (seq, _))| *seq);
    for (identity, (seq, call)) in opened {
        changes.opened.push(frame(&identity));
        ops.push(Op::Open { seq, call: call.clone() });
    }
    Ok(Decided { ops, outcomes, open: changes, adjusted })
}

struct Resolver<'a> {
    store: &'a dyn Store,
    ops: Vec<Op>,
    identities: HashMap<IdentityRef<'a>, (Seq, Content)>,
    responses: HashMap<ResponseRef<'a>, (Seq, Cow<'a, str>)>,
    calls: HashMap<Seq, StoredCall>,
    controls: HashMap<String, u32>,
    /// Calls that are open in the store, but for `closed`.
    open: &'a OpenCalls,
    closed: Vec<Box<[u8]>>,
    /// Calls that this group lets go and does not end.
    opened: HashMap<IdentityRef<'a>, (Seq, &'a Arc<OpenCall>)>,
    /// Demo calls before this are taken out by this group.
    demo_gone: Option<Seq>,
}

impl<'a> Resolver<'a> {
    /// Asks the store once for everything that the group's events refer to.
    fn load(
        store: &'a dyn Store,
        open: &'a OpenCalls,
        records: &'a [Record],
    ) -> Result<Resolver<'a>, LedgerError> {
        let mut identities: Vec<IdentityRef<'a>> = Vec::with_capacity(records.len());
        let mut responses: Vec<ResponseRef<'a>> = Vec::with_capacity(records.len());
        let mut opening = HashSet::new();
        for record in records {
            match &record.body {
                RecordBody::Event(entry) => {
                    let identity = IdentityRef::from(&entry.event);
                    // An identity that is open is no entry yet; one that is opened here is asked for once.
                    if !opening.contains(&identity) && !open.has(&identity) {
                        identities.push(identity);
                    }
                    responses.extend(ResponseRef::of(&entry.event));
                }
                RecordBody::Open(call) => {
                    let identity = IdentityRef::from(&**call);
                    if opening.insert(identity) {
                        identities.push(identity);
                    }
                }
                _ => {}
            }
        }
        let mut resolver = Resolver {
            store,
            ops: Vec::with_capacity(records.len()),
            identities: HashMap::with_capacity(identities.len()),
            responses: HashMap::with_capacity(responses.len()),
            calls: HashMap::new(),
            controls: HashMap::new(),
            open,
            closed: Vec::new(),
            opened: HashMap::new(),
            demo_gone: None,
        };
        let known = identities.iter().zip(store.find(&identities)?);
        let known = known.filter_map(|(identity, known)| known.map(|k| (*identity, (k.entry, k.content))));
        resolver.identities.extend(known);
        let known = responses.iter().zip(store.find_responses(&responses)?);
        let known = known.filter_map(|(key, known)| known.map(|(seq, source)| (*key, (seq, source.into()))));
        resolver.responses.extend(known);
        Ok(resolver)
    }

    fn decide(&mut self, record: &'a Record) -> Result<Outcome, LedgerError> {
        let seq = record.seq;
        match &record.body {
            RecordBody::Event(entry) => self.event(seq, record.digest, entry),
            RecordBody::Adjust(adjustment) => self.adjust(seq, record.digest, adjustment),
            RecordBody::Open(call) => Ok(self.open(seq, call)),
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
            RecordBody::Erase(erasure) => {
                self.ops.push(Op::Erase { seq, erasure: erasure.clone() });
                Ok(Outcome::Applied { seq })
            }
        }
    }

    fn open(&mut self, seq: Seq, call: &'a Arc<OpenCall>) -> Outcome {
        let identity = IdentityRef::from(&**call);
        if let Some((entry, _)) = self.identities.get(&identity) {
            return Outcome::Duplicate { entry: *entry };
        }
        if self.opened.contains_key(&identity) || self.open.has(&identity) {
            return Outcome::Stale { current: 0 };
        }
        self.opened.insert(identity, (seq, call));
        Outcome::Applied { seq }
    }

    /// A new identity ends the open call that has it.
    fn close(&mut self, identity: &IdentityRef<'a>) {
        if self.opened.remove(identity).is_none() && !self.open.0.is_empty() {
            let frame = frame(identity);
            if self.open.0.contains(&frame) {
                self.closed.push(frame);
            }
        }
    }

    fn event(&mut self, seq: Seq, digest: Digest, entry: &'a Arc<Entry>) -> Result<Outcome, LedgerError> {
        let event = &entry.event;
        let identity = IdentityRef::from(event);
        match self.identities.entry(identity) {
            MapEntry::Occupied(known) => {
                let (entry, content) = *known.get();
                let same = content == event.content;
                return Ok(if same { Outcome::Duplicate { entry } } else { Outcome::Conflict { entry } });
            }
            MapEntry::Vacant(place) => place.insert((seq, event.content)),
        };
        self.close(&identity);
        if let Some(key) = ResponseRef::of(event) {
            match self.responses.get(&key) {
                // Only other sources report the same call again; a source's own ids tell its calls apart.
                Some((kept, source)) if *source != event.source => {
                    let kept = *kept;
                    self.identities.insert(identity, (kept, event.content));
                    let (identity, content) = (identity.to_identity(), event.content);
                    self.ops.push(Op::Join(Join { seq, identity, content, entry: kept }));
                    let adjusted = self.join(seq, digest, kept, entry)?;
                    return Ok(Outcome::Joined { entry: kept, adjusted });
                }
                Some(_) => {}
                None => {
                    self.responses.insert(key, (seq, event.source.as_str().into()));
                }
            }
        }
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
        let takes_demo = demo::takes_out(&key, body.as_deref());
        self.ops.push(Op::Control(Control { seq, key, version, body, at }));
        if takes_demo {
            self.ops.push(Op::Drop { seq, source: DEMO_SOURCE.to_owned() });
            self.demo_gone = Some(seq);
        }
        Ok(Outcome::Applied { seq })
    }

    /// The call as it will be once everything decided so far is applied; `None` if there is none.
    fn call(&mut self, seq: Seq) -> Result<Option<&StoredCall>, LedgerError> {
        if !self.calls.contains_key(&seq) {
            // An entry of this very group the store does not have yet.
            let fresh = self.ops.iter().find_map(|op| match op {
                Op::Entry { seq: found, digest, entry } if *found == seq => Some((*digest, entry)),
                _ => None,
            });
            let call = match fresh {
                Some((digest, entry)) => Some(StoredCall {
                    seq,
                    digest,
                    entry: Entry::clone(entry),
                    adjustments: Vec::new(),
                    joined: Vec::new(),
                }),
                None => self.store.call(seq)?,
            };
            self.calls.extend(call.map(|call| (seq, call)));
        }
        let is_gone = |call: &&StoredCall| call.entry.event.is_demo() && self.demo_gone > Some(seq);
        Ok(self.calls.get(&seq).filter(|call| !is_gone(call)))
    }
}

/// The identity that an open call's ending will carry.
pub fn open_identity(call: &OpenCall) -> Identity {
    IdentityRef::from(call).to_identity()
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
/// better evidence replaces usage and rating, absent attribution is filled, a usage that contradicts
/// it without better evidence is flagged.
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
    } else if let Some(told) = &event.usage
        && current.usage.as_ref().is_none_or(|known| known.total().contradicts(&told.total()))
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tollbook_store::{Batch, EventStore, MemoryStore};

    fn open(id: &str) -> RecordBody {
        let call = json!({
            "id": id, "source": "gateway", "occurred_at": "2026-11-22T10:00:00Z",
            "provider": "openai", "model": "gpt-4o",
        });
        RecordBody::Open(Arc::new(serde_json::from_value(call).unwrap()))
    }

    fn event(id: &str, source: &str, response: Option<&str>) -> RecordBody {
        let mut event = json!({
            "id": id, "source": source, "occurred_at": "2026-11-22T10:00:01Z", "provider": "openai",
            "model": "gpt-4o", "status": "ok", "evidence": "unknown",
            "content": Digest::of(id.as_bytes()).to_string(),
        });
        if let Some(response) = response {
            event["provider_response_id"] = Value::from(response);
        }
        let entry = json!({
            "event": event, "rating": { "basis": "unknown_usage" }, "recorded_at": "2026-11-22T10:00:02Z",
        });
        RecordBody::Event(Arc::new(serde_json::from_value(entry).unwrap()))
    }

    /// Applies groups one after the other; says how many changes each is, and the ids that are open
    /// after the last, which the store must agree with.
    fn check(groups: Vec<Vec<RecordBody>>, changes: &[usize], still_open: &[&str]) {
        let store = MemoryStore::default();
        let mut open = OpenCalls::load(&store).unwrap();
        let (mut seq, mut counts) = (0, Vec::new());
        for group in groups {
            let record = |body| {
                seq += 1;
                Record { seq, digest: Digest::of(&seq.to_le_bytes()), body }
            };
            let records: Vec<Record> = group.into_iter().map(record).collect();
            let decided = resolve(&store, &open, &records).unwrap();
            assert_eq!(decided.outcomes.len(), records.len());
            counts.push(decided.ops.len());
            store.append(&Batch { ops: decided.ops, through: seq }).unwrap();
            open.follow(decided.open);
        }
        assert_eq!(counts, changes);
        let stored = store.open_calls().unwrap();
        assert_eq!(stored.iter().map(|(_, call)| call.id.as_str()).collect::<Vec<_>>(), still_open);
        assert_eq!(OpenCalls::load(&store).unwrap().0, open.0);
    }

    #[test]
    fn calls_in_flight_are_known_without_asking_and_short_ones_cost_no_change() {
        let end = |id| event(id, "gateway", None);
        check(vec![vec![open("a"), end("a")]], &[1], &[]);
        check(vec![vec![open("a")], vec![end("a")]], &[1, 1], &[]);
        check(vec![vec![open("b"), open("a"), end("b")]], &[2], &["a"]);
        // Opened twice: the second is stale, in its group and after it.
        check(vec![vec![open("a"), open("a")], vec![open("a")]], &[1, 0], &["a"]);
        // What has ended does not open again, and its id says so in the same group.
        check(vec![vec![open("a"), end("a"), open("a")], vec![open("a")]], &[1, 0], &[]);
        // An end that comes again is known: from its group, and from the store.
        check(vec![vec![open("a"), end("a"), end("a")], vec![end("a")]], &[1, 0], &[]);
        check(vec![vec![open("a")], vec![end("a"), end("a")], vec![end("a"), open("a")]], &[1, 1, 0], &[]);
        // The same id from another source ends nothing.
        check(vec![vec![open("a"), event("a", "api", None)]], &[2], &["a"]);
        // An end that is joined to another source's report is an end.
        let (first, joined) = (event("x", "api", Some("r")), event("a", "gateway", Some("r")));
        check(vec![vec![first.clone(), open("a"), joined.clone()]], &[2], &[]);
        check(vec![vec![first, open("a")], vec![joined]], &[2, 1], &[]);
    }
}
