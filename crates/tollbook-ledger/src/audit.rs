//! The audit log: who did what to what, when, and from where. A record is a document that is written
//! once, named by its instant, so that the log reads in order.
//!
//! An act on documents stands in one append with its record, the record first: whatever is cut off by
//! a crash, no act is without its record. Another act is recorded durably before it is done. A record
//! never holds a secret nor a person's name: what is told of an act are ids, roles and counts, so that
//! no erasure has to change the log.

use crate::error::LedgerError;
use crate::journal::record::SealBody;
use crate::keys::new_id;
use crate::ledger::Ledger;
use crate::members::ID_START as MEMBER_START;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use tollbook_store::Store;
use tollbook_types::{Key, TimeRange, Timestamp};

/// The key of whoever may read the data directory, which the server makes for itself.
const LOCAL_KEY: &str = "key_local";
/// Where the documents are.
const DOCUMENTS: &str = "audit/";
/// What a record's id begins with.
const ID_START: &str = "aud_";
/// In the place of an instant: behind every id.
const ID_END: &str = "aud_~";
/// The instant's part of an id, in hexadecimal digits of milliseconds: a UUID of version 7 begins so.
const MILLIS_DIGITS: usize = 12;
/// Documents that are read at once.
const STEP: usize = 500;
/// Records that one page looks at; where few of them match, the cursor leads on.
const LOOKED_AT_MAX: usize = 10_000;

/// What kind of actor somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Whoever has a key.
    Key,
    /// A person who signed in.
    Member,
    /// Whoever may use the data directory: the command line.
    Local,
    /// Nobody at the time: what the server does by itself, as it is set up to or because an erasure asks for it.
    Server,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// What kind.
    pub kind: ActorKind,
    /// The key's or member's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

impl Actor {
    /// Whoever acts with this key, or as it.
    pub fn of(key: &Key) -> Actor {
        let kind = match key.id.as_str() {
            LOCAL_KEY => return By::local().actor,
            id if id.starts_with(MEMBER_START) => ActorKind::Member,
            _ => ActorKind::Key,
        };
        Actor { kind, id: Some(key.id.clone()) }
    }

    /// A member.
    pub(crate) fn member(id: &str) -> Actor {
        Actor { kind: ActorKind::Member, id: Some(id.to_owned()) }
    }

    /// Whether it is meant by this word: its id or its kind.
    fn is(&self, word: &str) -> bool {
        let kind = match self.kind {
            ActorKind::Key => "key",
            ActorKind::Member => "member",
            ActorKind::Local => "local",
            ActorKind::Server => "server",
        };
        kind == word || self.id.as_deref() == Some(word)
    }
}

/// By whom an act is done, and by which request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// The request's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The address it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

impl By {
    /// Whoever may use the data directory itself.
    pub fn local() -> By {
        By { actor: Actor { kind: ActorKind::Local, id: None }, request_id: None, from: None }
    }

    /// The server, by itself.
    pub fn server() -> By {
        By { actor: Actor { kind: ActorKind::Server, id: None }, request_id: None, from: None }
    }
}

/// What an act is done to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `key`, `member`, `call`, …
    pub kind: String,
    /// Which one.
    pub id: String,
}

/// An act that is about to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// What: `key.create`, `calls.purge`, …
    pub act: String,
    /// On what, where that has a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// What else is worth knowing. Never a secret, nor what a call said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub told: BTreeMap<String, Value>,
}

impl Act {
    /// An act with this name, `thing.verb`.
    pub fn new(act: &str) -> Act {
        Act { act: act.to_owned(), target: None, told: BTreeMap::new() }
    }

    /// … on this thing.
    #[must_use]
    pub fn on(mut self, kind: &str, id: impl Into<String>) -> Act {
        self.target = Some(Target { kind: kind.to_owned(), id: id.into() });
        self
    }

    /// … of which this is worth knowing, too.
    #[must_use]
    pub fn told(mut self, name: &str, value: impl Into<Value>) -> Act {
        self.told.insert(name.to_owned(), value.into());
        self
    }
}

/// A record of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// `aud_` and a time-ordered unique number.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// By whom.
    #[serde(flatten)]
    pub by: By,
    /// What.
    #[serde(flatten)]
    pub act: Act,
}

/// A page of the audit log, latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// The id that the next page starts behind; `None` when there is no more.
    pub next: Option<String>,
}

/// Which records are asked for.
#[derive(Clone, Debug)]
pub struct AuditQuery {
    /// Their instants.
    pub range: TimeRange,
    /// The actor's id or kind.
    pub actor: Option<String>,
    /// Only those before this id.
    pub before: Option<String>,
    /// How many.
    pub limit: usize,
}

/// Reads a page of the audit log.
pub fn audit_page(store: &dyn Store, query: &AuditQuery) -> Result<AuditPage, LedgerError> {
    let from = name(&query.range.from.map_or_else(|| ID_START.to_owned(), id_start));
    let end = name(&query.range.to.map_or_else(|| ID_END.to_owned(), id_end));
    let mut before = query.before.as_ref().map_or_else(|| end.clone(), |id| name(id).min(end.clone()));
    let (mut page, mut looked_at) = (AuditPage::default(), 0);
    loop {
        let found = store.controls_before(DOCUMENTS, &before, STEP)?;
        let is_last = found.len() < STEP;
        for control in found {
            if control.key < from {
                return Ok(page);
            }
            let body = control.body.as_deref().unwrap_or_default();
            if page.records.len() == query.limit || looked_at == LOOKED_AT_MAX {
                // The last one that was looked at: the next page starts behind it.
                page.next = before.strip_prefix(DOCUMENTS).map(str::to_owned);
                return Ok(page);
            }
            let record: AuditRecord = serde_json::from_str(body).map_err(|error| {
                LedgerError::Invalid(format!("the document {} cannot be read: {error}", control.key))
            })?;
            looked_at += 1;
            before = control.key;
            if query.range.contains(record.at)
                && query.actor.as_deref().is_none_or(|word| record.by.actor.is(word))
            {
                page.records.push(record);
            }
        }
        if is_last {
            return Ok(page);
        }
    }
}

impl Ledger {
    /// Records an act that is about to be done. On return the record is durable; where this fails,
    /// the act must not be done.
    pub fn audit(&self, by: &By, act: Act) -> Result<(), LedgerError> {
        self.write_documents(by, act, Vec::new())
    }

    /// Writes new versions of documents (`None` deletes one) together with the record of the act that
    /// they are, and waits until all are visible.
    pub fn write_documents(
        &self,
        by: &By,
        act: Act,
        documents: Vec<(String, Option<String>)>,
    ) -> Result<(), LedgerError> {
        self.write_sealed(by, act, documents, Vec::new())
    }

    /// As [`Ledger::write_documents`], with seals in the same append.
    pub(crate) fn write_sealed(
        &self,
        by: &By,
        act: Act,
        documents: Vec<(String, Option<String>)>,
        seals: Vec<SealBody>,
    ) -> Result<(), LedgerError> {
        let at = self.shared().clock.now();
        let record = AuditRecord { id: new_id(ID_START, at)?, at, by: by.clone(), act };
        let body = serde_json::to_string(&record).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        let name = name(&record.id);
        let mut all = vec![(name.clone(), Some(body))];
        all.extend(documents);
        self.control_all(all, seals)?;
        // It has no second version: that this one is there need not be remembered.
        self.shared().lock().controls.remove(&name);
        Ok(())
    }
}

fn name(id: &str) -> String {
    format!("{DOCUMENTS}{id}")
}

fn millis(at: Timestamp) -> u64 {
    u64::try_from(at.as_millisecond()).unwrap_or(0)
}

/// No record at or behind this instant has a lower id.
fn id_start(at: Timestamp) -> String {
    format!("{ID_START}{:0width$x}", millis(at), width = MILLIS_DIGITS)
}

/// No record before this instant has this id or a higher one.
fn id_end(at: Timestamp) -> String {
    // The instant may lie within a millisecond, whose records are then looked at one by one.
    format!("{ID_START}{:0width$x}", millis(at).saturating_add(1), width = MILLIS_DIGITS)
}
