//! Combinations of values that many calls share, stored once each and named by small integers.
//!
//! What is known of a call is split where the parts vary apart: on whose account (`who`), for what
//! work (`what`), what kind of call (`kind`), how it was priced (`deal`). Each combination is a row
//! of JSON with the hash of that JSON, which finds it when it is written and proves it when it is
//! read. Rows are only ever added. This module must never know how calls are laid out.

use crate::fault::Db;
use crate::quick::QuickMap;
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use tollbook_store::StoreError;
use tollbook_types::{CardId, CostBasis, Digest, Evidence, FreeReason, Status, json_mentions};

macro_rules! classes {
    ($($(#[$doc:meta])* $variant:ident $table:literal;)*) => {
        /// What a combination is of; each class has its own table and its own numbers.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Class {
            $($(#[$doc])* $variant,)*
        }

        impl Class {
            pub(crate) const ALL: &'static [Class] = &[$(Class::$variant,)*];

            pub(crate) const fn table(self) -> &'static str {
                match self { $(Class::$variant => $table,)* }
            }

            pub(crate) const fn create_sql(self) -> &'static str {
                match self { $(Class::$variant => concat!(
                    "CREATE TABLE ", $table, " (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, body TEXT NOT NULL) STRICT;",
                    "CREATE INDEX ", $table, "_by_hash ON ", $table, " (hash);"),)* }
            }

            const fn find_sql(self) -> &'static str {
                match self { $(Class::$variant =>
                    concat!("SELECT id, body FROM ", $table, " WHERE hash = ?1"),)* }
            }

            const fn insert_sql(self) -> &'static str {
                match self { $(Class::$variant =>
                    concat!("INSERT INTO ", $table, " (hash, body) VALUES (?1, ?2)"),)* }
            }

            const fn update_sql(self) -> &'static str {
                match self { $(Class::$variant =>
                    concat!("UPDATE ", $table, " SET hash = ?2, body = ?3 WHERE id = ?1"),)* }
            }

            const fn page_sql(self) -> &'static str {
                match self { $(Class::$variant =>
                    concat!("SELECT id, hash, body FROM ", $table, " WHERE id >= ?1 AND id < ?2"),)* }
            }
        }
    };
}

classes! {
    /// [`Who`].
    Who "term_who";
    /// [`What`].
    What "term_what";
    /// [`Call`].
    Call "term_call";
    /// [`Kind`].
    Kind "term_kind";
    /// [`Deal`].
    Deal "term_deal";
    /// [`Model`].
    Model "term_model";
    /// [`Project`].
    Project "term_project";
    /// [`Tags`].
    Tags "term_tags";
    /// [`Template`].
    Template "term_template";
}

/// A combination that has a table.
pub(crate) trait Term: Serialize + DeserializeOwned {
    const CLASS: Class;
}

macro_rules! term {
    ($name:ident) => {
        impl Term for $name {
            const CLASS: Class = Class::$name;
        }
    };
}

/// On whose account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Who {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}
term!(Who);

/// For what work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct What {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
}
term!(What);

/// The part of a kind that reports split by; `model` is that of a leg.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Call {
    pub source: String,
    pub provider: String,
    pub model: String,
    pub status: Status,
    pub evidence: Evidence,
}
term!(Call);

/// A provider's model.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Model {
    pub provider: String,
    pub model: String,
}
term!(Model);

/// A project, or none.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Project {
    pub project: Option<String>,
}
term!(Project);

/// The names of one leg.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LegNames {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// Where the provider's bill was read, and which of its parts there are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BillNames {
    pub field: String,
    pub input: bool,
    pub output: bool,
}

/// Everything about an event that is neither a quantity nor a name of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kind {
    #[serde(flatten)]
    pub call: Call,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_model: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<FreeReason>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub conditions: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inconsistent: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimator: Option<String>,
    /// Absent when there is no usage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legs: Option<Vec<LegNames>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillNames>,
}
term!(Kind);

/// How a call was priced, but for the amounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deal {
    pub basis: CostBasis,
    /// Which amounts there are: `1` or `0` each, in the order in which they are packed.
    pub amounts: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cards: Vec<Option<CardId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_id: Option<String>,
}
term!(Deal);

/// A set of tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Tags(pub BTreeMap<String, String>);
term!(Tags);

/// A raw usage text without its numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Template(pub String);
term!(Template);

/// A combination by its number, with the hash that stands for its content in checksums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Named {
    pub id: i64,
    pub hash: i64,
}

fn hash_of(body: &str) -> i64 {
    Digest::of(body.as_bytes()).short().cast_signed()
}

/// Finds or adds combinations: the writer's side. What it remembers is only true while every
/// transaction that added something is committed; after a rollback it must be cleared.
#[derive(Debug)]
pub(crate) struct Interner {
    /// By class: the bytes that tell combinations apart, to their numbers.
    known: Vec<QuickMap<Box<[u8]>, Named>>,
    counts: Vec<Option<u64>>,
    /// Nothing is added: what is not there is damage.
    pub read_only: bool,
}

/// Combinations of one class that are remembered; beyond it memory starts afresh.
const REMEMBERED_MAX: usize = 200_000;

impl Default for Interner {
    fn default() -> Interner {
        let known = Class::ALL.iter().map(|_| QuickMap::default()).collect();
        Interner { known, counts: vec![None; Class::ALL.len()], read_only: false }
    }
}

impl Interner {
    pub(crate) fn clear(&mut self) {
        *self = Interner { read_only: self.read_only, ..Interner::default() };
    }

    /// The number of a combination. `frame` tells it apart from all others of its class, `term`
    /// builds it when it is not remembered.
    pub(crate) fn intern<T: Term>(
        &mut self,
        connection: &Connection,
        frame: &[u8],
        term: impl FnOnce() -> T,
    ) -> Result<Named, StoreError> {
        let known = &mut self.known[T::CLASS as usize];
        if let Some(named) = known.get(frame) {
            return Ok(*named);
        }
        let body = serde_json::to_string(&term()).map_err(|e| StoreError::Invalid(e.to_string()))?;
        let (named, added) = find_or_add(connection, T::CLASS, &body, self.read_only)?;
        if known.len() >= REMEMBERED_MAX {
            known.clear();
        }
        known.insert(frame.into(), named);
        if let (true, Some(count)) = (added, &mut self.counts[T::CLASS as usize]) {
            *count += 1;
        }
        Ok(named)
    }

    /// As [`Interner::intern`] while the class has fewer than `most` combinations, else only what
    /// is there already.
    pub(crate) fn intern_bounded<T: Term>(
        &mut self,
        connection: &Connection,
        frame: &[u8],
        most: u64,
        term: impl FnOnce() -> T,
    ) -> Result<Option<Named>, StoreError> {
        if let Some(named) = self.known[T::CLASS as usize].get(frame) {
            return Ok(Some(*named));
        }
        let at = T::CLASS as usize;
        let count = match self.counts[at] {
            Some(count) => count,
            None => {
                let sql = match T::CLASS {
                    Class::Tags => "SELECT count(*) FROM term_tags",
                    _ => "SELECT count(*) FROM term_template",
                };
                let count: i64 = connection.query_row(sql, [], |row| row.get(0)).db()?;
                *self.counts[at].insert(count.unsigned_abs())
            }
        };
        if count < most {
            return self.intern(connection, frame, term).map(Some);
        }
        let body = serde_json::to_string(&term()).map_err(|e| StoreError::Invalid(e.to_string()))?;
        find(connection, T::CLASS, &body, hash_of(&body))
    }
}

fn find_or_add(
    connection: &Connection,
    class: Class,
    body: &str,
    read_only: bool,
) -> Result<(Named, bool), StoreError> {
    let hash = hash_of(body);
    if let Some(named) = find(connection, class, body, hash)? {
        return Ok((named, false));
    }
    if read_only {
        return Err(StoreError::Corrupt(format!("{} lacks {body}", class.table())));
    }
    let mut insert = connection.prepare_cached(class.insert_sql()).db()?;
    let id = insert.insert(params![hash, body]).db()?;
    Ok((Named { id, hash }, true))
}

fn find(connection: &Connection, class: Class, body: &str, hash: i64) -> Result<Option<Named>, StoreError> {
    let mut find = connection.prepare_cached(class.find_sql()).db()?;
    let mut rows = find.query([hash]).db()?;
    while let Some(row) = rows.next().db()? {
        if row.get_ref(1).db()?.as_str().is_ok_and(|found| found == body) {
            let id = row.get(0).db()?;
            return Ok(Some(Named { id, hash }));
        }
    }
    Ok(None)
}

/// What stands for a combination that was emptied. No combination's JSON is this.
const EMPTIED: &str = "null";

/// Every combination of a class with its number.
pub(crate) fn all<T: Term>(connection: &Connection) -> Result<Vec<(i64, T)>, StoreError> {
    let mut found = Vec::new();
    let mut page = connection.prepare_cached(T::CLASS.page_sql()).db()?;
    let mut rows = page.query([i64::MIN, i64::MAX]).db()?;
    while let Some(row) = rows.next().db()? {
        let id: i64 = row.get(0).db()?;
        let wrong = || StoreError::Corrupt(format!("{} {id} is damaged", T::CLASS.table()));
        let body = row.get_ref(2).db()?.as_str().map_err(|_| wrong())?;
        if body != EMPTIED {
            found.push((id, serde_json::from_str(body).map_err(|_| wrong())?));
        }
    }
    Ok(found)
}

/// The numbers of a class's combinations that mention a name.
pub(crate) fn mentioning(connection: &Connection, class: Class, name: &str) -> Result<Vec<i64>, StoreError> {
    let mut found = Vec::new();
    let mut page = connection.prepare_cached(class.page_sql()).db()?;
    let mut rows = page.query([i64::MIN, i64::MAX]).db()?;
    while let Some(row) = rows.next().db()? {
        let body = row.get_ref(2).db()?.as_str().unwrap_or(EMPTIED);
        if json_mentions(name, body) {
            found.push(row.get(0).db()?);
        }
    }
    Ok(found)
}

/// Empties combinations that nothing refers to. Their rows stay: a number that is given again would
/// be taken for what it stood for before, by readers that remember it.
pub(crate) fn empty(connection: &Connection, class: Class, ids: &HashSet<i64>) -> Result<(), StoreError> {
    let mut update = connection.prepare_cached(class.update_sql()).db()?;
    for id in ids {
        update.execute(params![id, hash_of(EMPTIED), EMPTIED]).db()?;
    }
    Ok(())
}

/// A combination as it was read, with its hash.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub hash: i64,
    pub value: T,
}

/// Combinations by number, read in pages as they are asked for: a reader's side.
#[derive(Debug)]
pub(crate) struct Shelf<T> {
    loaded: Vec<Option<Arc<Loaded<T>>>>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf { loaded: Vec::new() }
    }
}

const PAGE: i64 = 512;
/// Combinations of one class that a reader keeps in memory.
const SHELF_MAX: usize = 400_000;

impl<T: Term> Shelf<T> {
    pub(crate) fn get(&mut self, connection: &Connection, id: i64) -> Result<Arc<Loaded<T>>, StoreError> {
        let missing = || StoreError::Corrupt(format!("{} has no row {id}", T::CLASS.table()));
        let at = usize::try_from(id).map_err(|_| missing())?;
        if let Some(Some(found)) = self.loaded.get(at) {
            return Ok(Arc::clone(found));
        }
        self.load(connection, id)?;
        self.loaded.get(at).and_then(Option::clone).ok_or_else(missing)
    }

    fn load(&mut self, connection: &Connection, id: i64) -> Result<(), StoreError> {
        if self.loaded.len() > SHELF_MAX {
            self.loaded = Vec::new();
        }
        let first = id - id % PAGE;
        let mut page = connection.prepare_cached(T::CLASS.page_sql()).db()?;
        let mut rows = page.query([first, first.saturating_add(PAGE)]).db()?;
        while let Some(row) = rows.next().db()? {
            let (found, hash): (i64, i64) = (row.get(0).db()?, row.get(1).db()?);
            let wrong = || StoreError::Corrupt(format!("{} {found} is damaged", T::CLASS.table()));
            let body = row.get_ref(2).db()?.as_str().map_err(|_| wrong())?;
            let value = if hash_of(body) == hash { serde_json::from_str(body).ok() } else { None };
            // A damaged row that nobody asked for is not this caller's trouble.
            let Some(value) = value else {
                if found == id {
                    return Err(wrong());
                }
                continue;
            };
            let at = usize::try_from(found).map_err(|_| wrong())?;
            if self.loaded.len() <= at {
                self.loaded.resize_with(at + 1, || None);
            }
            self.loaded[at] = Some(Arc::new(Loaded { hash, value }));
        }
        Ok(())
    }
}

/// All shelves of one connection.
#[derive(Debug, Default)]
pub(crate) struct Shelves {
    pub who: Shelf<Who>,
    pub what: Shelf<What>,
    pub call: Shelf<Call>,
    pub kind: Shelf<Kind>,
    pub deal: Shelf<Deal>,
    pub model: Shelf<Model>,
    pub project: Shelf<Project>,
    pub tags: Shelf<Tags>,
    pub template: Shelf<Template>,
}

impl Shelves {
    pub(crate) fn clear(&mut self) {
        *self = Shelves::default();
    }
}

/// Builds the bytes that tell a combination apart.
#[derive(Debug, Default)]
pub(crate) struct Frame(pub Vec<u8>);

impl Frame {
    pub(crate) fn start(&mut self) -> &mut Frame {
        self.0.clear();
        self
    }

    pub(crate) fn text(&mut self, value: &str) -> &mut Frame {
        self.0.extend_from_slice(&(value.len() as u32 + 1).to_le_bytes());
        self.0.extend_from_slice(value.as_bytes());
        self
    }

    pub(crate) fn maybe(&mut self, value: Option<&str>) -> &mut Frame {
        match value {
            Some(value) => self.text(value),
            None => {
                self.0.extend_from_slice(&[0; 4]);
                self
            }
        }
    }

    pub(crate) fn byte(&mut self, value: u8) -> &mut Frame {
        self.0.push(value);
        self
    }
}

/// Whether every combination of every class is what its hash says.
pub(crate) fn check_all(connection: &Connection, problems: &mut Vec<String>) -> Result<(), StoreError> {
    for class in Class::ALL {
        let mut page = connection.prepare_cached(class.page_sql()).db()?;
        let mut rows = page.query([i64::MIN, i64::MAX]).db()?;
        while let Some(row) = rows.next().db()? {
            let (id, hash): (i64, i64) = (row.get(0).db()?, row.get(1).db()?);
            let body = row.get_ref(2).db()?;
            if !body.as_str().is_ok_and(|body| hash_of(body) == hash) {
                problems.push(format!("{} {id} is damaged", class.table()));
            }
        }
    }
    Ok(())
}
