//! Taking a person out of the store, and raw usage out of old calls.
//!
//! Entries and adjustments are written anew, one by one; what they hold then is under a digest of its
//! own in `altered`, beside the digest of their record. Rollup rows of whole days move to the
//! pseudonym as they are, also those of days whose entries were purged; the day in which the erasure
//! falls is made anew. What an erasure makes of a call is decided by [`tollbook_store::erased_call`];
//! this module must never decide that itself.

use crate::calls;
use crate::fault::Db;
use crate::fold::day_span;
use crate::identity::{Index, put_new_identity};
use crate::meta::zone_of;
use crate::pack::Packer;
use crate::pending::Pending;
use crate::rollup::{Cell, Cells, Rollup, with_coarser};
use crate::row::{RawRow, micros, row_columns, seq_of, seq_value};
use crate::sealed;
use crate::sums::Sums;
use crate::sweep::stored_cell;
use crate::template;
use crate::terms::{self, Class, Named, What, Who};
use crate::touched::{Touched, each_row};
use crate::writer::Writer;
use rusqlite::{Connection, params};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use tollbook_store::{IdentityRef, StoreError, StoredCall, entry_digest, erased_call, stripped_call};
use tollbook_types::{Attribution, Eraser, Erasure, OpenCall, Seq, Timestamp};

/// Accounts of the person: their numbers, with the person's name.
pub(crate) type Accounts = HashMap<i64, String>;

impl Writer {
    /// Takes a person out, within the transaction of a batch that ends at `through`. Returns the
    /// accounts that named them: once the touched rows are made anew, they are to be forgotten.
    pub(crate) fn erase(
        &mut self,
        seq: Seq,
        erasure: &Erasure,
        through: i64,
        pending: &mut Pending,
        touched: &mut Touched,
    ) -> Result<Accounts, StoreError> {
        if sealed::has_erasure(&self.connection, &erasure.id)? {
            return Ok(Accounts::new());
        }
        self.roll_all(through, pending)?;
        let accounts = self.accounts_of(erasure)?;
        for seq in self.entries_of(erasure, &accounts)? {
            self.erase_entry(seq, erasure, touched)?;
        }
        self.erase_opens(erasure)?;
        self.move_days(erasure, &accounts)?;
        sealed::put_erasure(&self.connection, seq, erasure)?;
        Ok(accounts)
    }

    /// The accounts that name the person.
    fn accounts_of(&self, erasure: &Erasure) -> Result<Accounts, StoreError> {
        let mut accounts = Accounts::new();
        // An instant that every erasure covers: whose account it is does not hang on time.
        let always = Timestamp::MIN;
        for (id, who) in terms::all::<Who>(&self.connection)? {
            let account =
                Attribution { project: who.project, user: who.user.clone(), ..Attribution::default() };
            if erasure.covers(&self.meta.ledger_id, &account, always) {
                accounts.insert(id, who.user.unwrap_or_default());
            }
        }
        Ok(accounts)
    }

    /// The entries that are on the accounts, or came there by an adjustment.
    fn entries_of(&self, erasure: &Erasure, accounts: &Accounts) -> Result<BTreeSet<Seq>, StoreError> {
        let before = micros(erasure.before);
        let mut found = BTreeSet::new();
        let mut statement = self.connection.prepare("SELECT seq, who FROM entries WHERE at < ?1").db()?;
        let mut rows = statement.query([before]).db()?;
        while let Some(row) = rows.next().db()? {
            if accounts.contains_key(&row.get(1).db()?) {
                found.insert(seq_of(row.get(0).db()?)?);
            }
        }
        let sql = "SELECT DISTINCT body ->> '$.attribution.user' FROM adjustments WHERE occurred < ?1";
        let users =
            sealed::collect(&self.connection, sql, [before], |row| row.get::<_, Option<String>>(0).db())?;
        let of_person = |user: &String| Erasure::subject(&self.meta.ledger_id, user) == erasure.subject;
        for user in users.into_iter().flatten().filter(of_person) {
            let sql = "SELECT DISTINCT entry FROM adjustments
                WHERE occurred < ?1 AND body ->> '$.attribution.user' = ?2";
            let entries = sealed::collect(&self.connection, sql, params![before, user], |row| {
                seq_of(row.get(0).db()?)
            })?;
            found.extend(entries);
        }
        Ok(found)
    }

    fn erase_entry(&mut self, seq: Seq, erasure: &Erasure, touched: &mut Touched) -> Result<(), StoreError> {
        let call = calls::call(&self.connection, &mut self.shelves, seq)?;
        let erased = call.as_ref().and_then(|call| erased_call(erasure, &self.meta.ledger_id, call));
        let (Some(call), Some(erased)) = (call, erased) else { return Ok(()) };
        let day = day_span(micros(call.entry.event.occurred_at), &zone_of(&self.meta.time_zone)?)?;
        if !self.moves(erasure, day) {
            for call in [&call, &erased] {
                touched.call(self, &call.entry.event, &call.corrected())?;
            }
        }
        self.put_altered(&call, &erased)
    }

    /// Whether the rows of a day move as they are. On the day in which an erasure falls there may be
    /// calls that it is not of; where entries were purged, nobody can tell them apart any more.
    fn moves(&self, erasure: &Erasure, day: (i64, i64)) -> bool {
        day.1 <= micros(erasure.before) || !self.is_kept(day.0)
    }

    /// Puts another form of a call in its place.
    fn put_altered(&mut self, before: &StoredCall, after: &StoredCall) -> Result<(), StoreError> {
        let Writer { connection, folder, shelves, .. } = self;
        let seq = seq_value(after.seq)?;
        let row = folder.encoder.row(connection, &mut folder.interner, &after.entry)?;
        let sql = "UPDATE entries SET who = ?2, what = ?3, id = ?4, body = ?5 WHERE seq = ?1";
        let values = params![seq, row.who.id, row.what.id, row.id, row.body];
        connection.prepare_cached(sql).db()?.execute(values).db()?;
        folder.encoder.recycle(row.body);
        if before.entry.event.id != after.entry.event.id {
            Index::Identities.drop(connection, &before.entry.event.id, seq)?;
            let identity = IdentityRef::from(&after.entry.event);
            let mut putting = Index::Identities.putting(connection)?;
            put_new_identity(connection, &mut putting, shelves, &identity, after.seq)?;
        }
        if before.entry != after.entry {
            sealed::put_altered(connection, seq, entry_digest(after.seq, &after.entry))?;
        }
        for ((seq, _, was), (_, _, is)) in before.adjustments.iter().zip(&after.adjustments) {
            if was != is {
                sealed::replace_adjustment(connection, *seq, is)?;
            }
        }
        if before.joined != after.joined {
            for (mut join, (identity, _)) in
                sealed::joins_of(connection, after.seq)?.into_iter().zip(&after.joined)
            {
                let seq = seq_value(join.seq)?;
                Index::Identities.drop(connection, &join.identity.id, seq)?;
                let mut putting = Index::Identities.putting(connection)?;
                put_new_identity(connection, &mut putting, shelves, &identity.into(), join.seq)?;
                join.identity = identity.clone();
                sealed::replace_join(connection, &join)?;
            }
        }
        Ok(())
    }

    /// Drops raw usage and metadata of at most `most` calls that occurred before an instant. Returns
    /// how many had any.
    pub(crate) fn strip(&mut self, before: Timestamp, most: usize) -> Result<u64, StoreError> {
        self.transact(|writer| {
            let mut found = Vec::new();
            each_row(&writer.connection, i64::MIN, micros(before), |row| {
                if found.len() < most && has_raw(&writer.connection, row)? {
                    found.push(row.seq);
                }
                Ok(())
            })?;
            let mut stripped = 0;
            for seq in found {
                let call = calls::call(&writer.connection, &mut writer.shelves, seq)?;
                if let Some((call, bare)) = call.and_then(|call| Some((stripped_call(&call)?, call))) {
                    writer.put_altered(&bare, &call)?;
                    stripped += 1;
                }
            }
            Ok(stripped)
        })
    }

    fn erase_opens(&mut self, erasure: &Erasure) -> Result<(), StoreError> {
        let mut changed = false;
        for (seq, call) in sealed::sound_opens(&self.connection)? {
            if erasure.covers(&self.meta.ledger_id, &call.attribution, call.occurred_at) {
                let name = call.attribution.user.clone().unwrap_or_default();
                let mut erased: OpenCall = call;
                Eraser::new(erasure, &name).open_call(&mut erased);
                sealed::take_open(&self.connection, seq_value(seq)?)?;
                sealed::put_open(&self.connection, seq, &erased)?;
                changed = true;
            }
        }
        if changed { self.load_opens() } else { Ok(()) }
    }

    /// Moves the rollup rows of whole days to the pseudonym.
    fn move_days(&mut self, erasure: &Erasure, accounts: &Accounts) -> Result<(), StoreError> {
        let mut whats: HashMap<(i64, i64), Named> = HashMap::new();
        let mut works: BTreeSet<Cell> = BTreeSet::new();
        for rollup in [Rollup::Days, Rollup::BilledDays] {
            let mut moved = Cells::default();
            for (cell, sums) in self.rows_of(rollup, erasure, accounts)? {
                let [who, what, call] = cell.by;
                let name = accounts.get(&who.id).cloned().unwrap_or_default();
                let (new_who, new_what) = self.renamed(erasure, &name, who, what, &mut whats)?;
                let to = Cell { by: [new_who, new_what, call], ..cell };
                if rollup == Rollup::Days && new_what.id != what.id {
                    for what in [what, new_what] {
                        let by = [what, call, Named::default()];
                        works.insert(Cell { rollup: Rollup::DayWorks, at: cell.at, by });
                    }
                }
                if rollup == Rollup::Days {
                    let by = [who, Named::default(), Named::default()];
                    let account = Cell { rollup: Rollup::DayAccounts, at: cell.at, by };
                    self.rollups.replace(&self.connection, account, None)?;
                }
                self.rollups.replace(&self.connection, cell, None)?;
                moved.entry(to).or_default().add(&sums)?;
            }
            let mut moved = with_coarser(moved)?;
            // The work is what it was; where its names change, it is summed up anew below.
            moved.retain(|cell, _| cell.rollup != Rollup::DayWorks);
            self.rollups.merge(&self.connection, moved)?;
        }
        works.into_iter().try_for_each(|cell| self.sum_up_work(cell))
    }

    /// The rows of the accounts, of days that move.
    fn rows_of(
        &mut self,
        rollup: Rollup,
        erasure: &Erasure,
        accounts: &Accounts,
    ) -> Result<Vec<(Cell, Sums)>, StoreError> {
        let zone = zone_of(&self.meta.time_zone)?;
        let Writer { connection, shelves, .. } = self;
        let mut found = Vec::new();
        let mut statement = connection.prepare_cached(rollup.between_sql()).db()?;
        let mut rows = statement.query([i64::MIN, i64::MAX]).db()?;
        while let Some(row) = rows.next().db()? {
            if accounts.contains_key(&row.get(2).db()?) {
                found.push(stored_cell(connection, shelves, row, rollup.shape())?);
            }
        }
        drop(rows);
        drop(statement);
        let mut kept = Vec::with_capacity(found.len());
        for (cell, sums) in found {
            if self.moves(erasure, cell.span(&zone)?) {
                kept.push((cell, sums));
            }
        }
        Ok(kept)
    }

    /// The combinations that stand in the place of these two.
    fn renamed(
        &mut self,
        erasure: &Erasure,
        name: &str,
        who: Named,
        what: Named,
        known: &mut HashMap<(i64, i64), Named>,
    ) -> Result<(Named, Named), StoreError> {
        if let (Some(new_who), Some(new_what)) = (known.get(&(who.id, 0)), known.get(&(who.id, what.id))) {
            return Ok((*new_who, *new_what));
        }
        let Writer { connection, folder, shelves, .. } = self;
        let mut account = Attribution::default();
        let (of, work) = (shelves.who.get(connection, who.id)?, shelves.what.get(connection, what.id)?);
        let Who { project, customer, user, key } = of.value.clone();
        let What { agent, agent_name, operation } = work.value.clone();
        (account.project, account.customer, account.user, account.key) = (project, customer, user, key);
        (account.agent, account.agent_name, account.operation) = (agent, agent_name, operation);
        Eraser::new(erasure, name).attribution(&mut account);
        let new_who = folder.encoder.who(connection, &mut folder.interner, &account)?;
        let new_what = folder.encoder.what(connection, &mut folder.interner, &account)?;
        known.extend([((who.id, 0), new_who), ((who.id, what.id), new_what)]);
        Ok((new_who, new_what))
    }

    /// Sums up one row of work from the rows of its day.
    fn sum_up_work(&mut self, cell: Cell) -> Result<(), StoreError> {
        let Writer { connection, shelves, .. } = self;
        let mut sums: Option<Sums> = None;
        {
            let mut statement = connection.prepare_cached(Rollup::Days.between_sql()).db()?;
            let mut rows = statement.query([cell.at, cell.at.saturating_add(1)]).db()?;
            while let Some(row) = rows.next().db()? {
                let work = [row.get::<_, i64>(3).db()?, row.get::<_, i64>(4).db()?];
                if work == [cell.by[0].id, cell.by[1].id] {
                    let (_, more) = stored_cell(connection, shelves, row, Rollup::Days.shape())?;
                    sums.get_or_insert_default().add(&more)?;
                }
            }
        }
        self.rollups.replace(&self.connection, cell, sums.as_ref())
    }

    /// Empties the combinations that name the person and that nothing refers to any more. Their
    /// numbers are never given to others: readers remember what they stood for.
    pub(crate) fn forget(&mut self, accounts: &Accounts) -> Result<(), StoreError> {
        if accounts.is_empty() {
            return Ok(());
        }
        let mut whats: HashSet<i64> = HashSet::new();
        let (mut tags, mut templates): (BTreeMap<_, i64>, HashMap<String, i64>) = Default::default();
        for name in accounts.values().collect::<BTreeSet<_>>() {
            whats.extend(terms::mentioning(&self.connection, Class::What, name)?);
            for id in terms::mentioning(&self.connection, Class::Tags, name)? {
                tags.insert(self.shelves.tags.get(&self.connection, id)?.value.0.clone(), id);
            }
            for id in terms::mentioning(&self.connection, Class::Template, name)? {
                templates.insert(self.shelves.template.get(&self.connection, id)?.value.0.clone(), id);
            }
        }
        let mut whos: HashSet<i64> = accounts.keys().copied().collect();
        if !tags.is_empty() || !templates.is_empty() {
            self.keep_used(&mut tags, &mut templates)?;
        }
        for table in ["entries", "days", "billed_days", "day_accounts"] {
            drop_used(&self.connection, &format!("SELECT who FROM {table}"), &mut whos)?;
        }
        for table in ["entries", "days", "billed_days", "day_works"] {
            drop_used(&self.connection, &format!("SELECT what FROM {table}"), &mut whats)?;
        }
        let gone = [
            (Class::Who, whos),
            (Class::What, whats),
            (Class::Tags, tags.into_values().collect()),
            (Class::Template, templates.into_values().collect()),
        ];
        for (class, ids) in gone {
            terms::empty(&self.connection, class, &ids)?;
        }
        // What is remembered of combinations is partly gone.
        self.folder.clear();
        self.shelves.clear();
        Ok(())
    }

    /// Takes out the sets of tags and the templates that an entry still has.
    fn keep_used(
        &mut self,
        tags: &mut BTreeMap<BTreeMap<String, String>, i64>,
        templates: &mut HashMap<String, i64>,
    ) -> Result<(), StoreError> {
        let Writer { connection, shelves, .. } = self;
        let sql = concat!("SELECT ", row_columns!(), " FROM entries e");
        let mut statement = connection.prepare(sql).db()?;
        let mut rows = statement.query([]).db()?;
        let (mut frame, mut numbers): (Vec<u8>, Packer) = Default::default();
        while let Some(row) = rows.next().db()? {
            let event = RawRow::read(row)?.entry(connection, shelves)?.event;
            tags.remove(&event.attribution.tags);
            let raw = event.raw_usage.as_deref();
            frame.clear();
            numbers.bytes.clear();
            if raw.is_some_and(|raw| template::cut(raw, &mut frame, &mut numbers)) {
                templates.remove(&*String::from_utf8_lossy(&frame));
            }
        }
        Ok(())
    }
}

/// Takes out the numbers that a statement gives.
fn drop_used(connection: &Connection, sql: &str, ids: &mut HashSet<i64>) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare(sql).db()?;
    let mut rows = statement.query([]).db()?;
    while let Some(row) = rows.next().db()? {
        ids.remove(&row.get(0).db()?);
    }
    Ok(())
}

/// Whether a row, or an adjustment of it, has raw usage or metadata.
fn has_raw(connection: &Connection, row: &RawRow<'_>) -> Result<bool, StoreError> {
    if row.version == 0 || row.has_raw_or_metadata()? {
        return row.has_raw_or_metadata();
    }
    let sql = "SELECT 1 FROM adjustments WHERE entry = ?1
        AND coalesce(body ->> '$.raw_usage', body ->> '$.attribution.metadata') IS NOT NULL";
    connection.prepare_cached(sql).db()?.exists([seq_value(row.seq)?]).db()
}
