//! The writer: one batch, one transaction.

use crate::connection::begin_writing;
use crate::erase::Accounts;
use crate::fault::Db;
use crate::fold::{Folder, Place};
use crate::identity::{Index, find, put_new_identity, put_response, with_row};
use crate::meta::{Meta, zone_of};
use crate::pending::Pending;
use crate::quick::QuickMap;
use crate::rollup::RollupCache;
use crate::row::{micros, seq_value};
use crate::sealed;
use crate::terms::Shelves;
use crate::touched::Touched;
use rusqlite::{Connection, params};
use tollbook_store::{Batch, Control, IdentityRef, Op, State, StoreError, entry_digest};
use tollbook_types::{Adjustment, Digest, OpenCall, Seq};

/// The connection that writes, and what it remembers.
#[derive(Debug)]
pub(crate) struct Writer {
    pub connection: Connection,
    pub folder: Folder,
    pub shelves: Shelves,
    pub rollups: RollupCache,
    /// What the rollups do not count yet; absent after a failure, until it is read again.
    pub pending: Option<Pending>,
    held_back_max: usize,
    pub meta: Meta,
    opens: Opens,
}

/// The open calls that the store has: where they stand, by the frames of their identities.
#[derive(Debug, Default)]
struct Opens {
    known: QuickMap<Box<[u8]>, i64>,
    frame: Vec<u8>,
}

impl Opens {
    /// Adds one. False when it is there already.
    fn add(&mut self, identity: &IdentityRef<'_>, seq: i64) -> bool {
        identity.frame(&mut self.frame);
        let is_new = !self.known.contains_key(&self.frame[..]);
        if is_new {
            self.known.insert(self.frame.as_slice().into(), seq);
        }
        is_new
    }

    /// Ends the open call that has an identity.
    fn close(&mut self, connection: &Connection, identity: &IdentityRef<'_>) -> Result<(), StoreError> {
        if self.known.is_empty() {
            return Ok(());
        }
        identity.frame(&mut self.frame);
        match self.known.remove(&self.frame[..]) {
            Some(seq) => sealed::take_open(connection, seq),
            None => Ok(()),
        }
    }
}

impl Writer {
    /// Takes over a connection to a store that is there and of the present format.
    pub(crate) fn new(connection: Connection, held_back_max: usize) -> Result<Writer, StoreError> {
        begin_writing(&connection)?;
        let meta = Meta::of(&connection)?;
        let folder = Folder::new(zone_of(&meta.time_zone)?);
        let (shelves, rollups) = (Shelves::default(), RollupCache::default());
        let (pending, opens) = (None, Opens::default());
        let mut writer = Writer { connection, folder, shelves, rollups, pending, held_back_max, meta, opens };
        writer.load_opens()?;
        Ok(writer)
    }

    pub(crate) fn load_opens(&mut self) -> Result<(), StoreError> {
        self.opens.known.clear();
        for (seq, call) in sealed::sound_opens(&self.connection)? {
            self.opens.add(&(&call).into(), seq_value(seq)?);
        }
        Ok(())
    }

    /// Runs some work in a transaction. When it fails, everything is as it was.
    pub(crate) fn transact<T>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.connection.prepare_cached("BEGIN IMMEDIATE").db()?.execute([]).db()?;
        let done = work(self).and_then(|answer| {
            self.meta.save(&self.connection)?;
            self.connection.prepare_cached("COMMIT").db()?.execute([]).db()?;
            Ok(answer)
        });
        if done.is_err() {
            self.roll_back();
        }
        done
    }

    fn roll_back(&mut self) {
        if !self.connection.is_autocommit() {
            // If even this fails, the next transaction cannot begin and says so.
            let _ = self.connection.execute_batch("ROLLBACK");
        }
        self.folder.clear();
        self.shelves.clear();
        self.rollups.clear();
        if let Ok(meta) = Meta::of(&self.connection) {
            self.meta = meta;
        }
        // Without them, closing an open call would be forgotten: better none is taken for closed.
        if self.load_opens().is_err() {
            self.opens.known.clear();
        }
    }

    pub(crate) fn append(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let through = seq_value(batch.through)?;
        if through <= self.meta.applied {
            let why = format!("position {through} is not above {}", self.meta.applied);
            return Err(StoreError::Invalid(why));
        }
        let mut pending = self.take_pending()?;
        self.transact(|writer| {
            let (mut touched, mut erased) = (Touched::default(), Accounts::new());
            let is_entry = |op: &Op| matches!(op, Op::Entry { .. });
            for ops in batch.ops.chunk_by(|a, b| is_entry(a) && is_entry(b)) {
                ops.iter().try_for_each(|op| writer.check_position(op, batch.through))?;
                match ops {
                    [Op::Entry { .. }, ..] => writer.enter(ops, &mut pending)?,
                    [Op::Erase { seq, erasure }] => {
                        let gone = writer.erase(*seq, erasure, through, &mut pending, &mut touched)?;
                        erased.extend(gone);
                    }
                    [Op::Drop { source, .. }] => {
                        writer.drop_source(source, through, &mut pending, &mut touched)?;
                    }
                    others => others.iter().try_for_each(|op| writer.apply(op, &mut touched))?,
                }
            }
            writer.meta.applied = through;
            if pending.is_due(writer.held_back_max) || !touched.is_empty() {
                writer.roll(&mut pending)?;
            }
            touched.recompute(writer)?;
            writer.forget(&erased)
        })?;
        self.pending = Some(pending);
        Ok(())
    }

    fn check_position(&self, op: &Op, through: Seq) -> Result<(), StoreError> {
        let seq = match op {
            Op::Entry { seq, .. }
            | Op::Adjust { seq, .. }
            | Op::Open { seq, .. }
            | Op::Erase { seq, .. }
            | Op::Drop { seq, .. } => *seq,
            Op::Join(join) => join.seq,
            Op::Control(control) => control.seq,
            Op::Gap(gap) => gap.seq,
            Op::Seal(_) => return Ok(()),
        };
        if seq_value(seq)? <= self.meta.applied || seq > through {
            let why = format!("{seq} is not in {}..={through}", self.meta.applied + 1);
            return Err(StoreError::Invalid(why));
        }
        Ok(())
    }

    /// Applies anything but an entry.
    fn apply(&mut self, op: &Op, touched: &mut Touched) -> Result<(), StoreError> {
        match op {
            // By `enter`, in runs, by `erase` and by `drop_source`.
            Op::Entry { .. } | Op::Erase { .. } | Op::Drop { .. } => Ok(()),
            Op::Join(join) => {
                if with_row(&self.connection, seq_value(join.entry)?, |_| Ok(()))?.is_none() {
                    return Err(no_entry(join.entry));
                }
                let identity = IdentityRef::from(&join.identity);
                self.opens.close(&self.connection, &identity)?;
                let mut putting = Index::Identities.putting(&self.connection)?;
                put_new_identity(&self.connection, &mut putting, &mut self.shelves, &identity, join.seq)?;
                sealed::put_join(&self.connection, join)
            }
            Op::Adjust { seq, digest, adjustment } => self.adjust(*seq, *digest, adjustment, touched),
            Op::Open { seq, call } => self.open(*seq, call),
            Op::Control(control) => self.control(control),
            Op::Gap(gap) => sealed::put_gap(&self.connection, gap),
            Op::Seal(seal) => sealed::put_seal(&self.connection, seal),
        }
    }

    /// Enters a run of entries.
    fn enter(&mut self, ops: &[Op], pending: &mut Pending) -> Result<(), StoreError> {
        let Writer { connection, folder, shelves, meta, opens, .. } = self;
        let connection: &Connection = connection;
        let mut put_identity = Index::Identities.putting(connection)?;
        let mut put_response_id = Index::Responses.putting(connection)?;
        let sql = "INSERT INTO entries (seq, at, who, what, kind, deal, version, input_tokens, output_tokens,
            cost, id, digest, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?9, ?10, ?11, ?12)";
        let mut put_entry = connection.prepare_cached(sql).db()?;
        for op in ops {
            let Op::Entry { seq, digest, entry } = op else { continue };
            let event = &entry.event;
            let identity = IdentityRef::from(event);
            put_new_identity(connection, &mut put_identity, shelves, &identity, *seq)?;
            opens.close(connection, &identity)?;
            let row = folder.encoder.row(connection, &mut folder.interner, entry)?;
            let values = params![
                seq_value(*seq)?,
                row.at,
                row.who.id,
                row.what.id,
                row.kind.id,
                row.deal.id,
                row.input_tokens,
                row.output_tokens,
                row.cost_value(),
                row.id,
                &digest.0[..],
                row.body,
            ];
            put_entry.execute(values).db()?;
            if entry.is_erased() {
                let held = entry_digest(*seq, entry);
                if held != *digest {
                    sealed::put_altered(connection, seq_value(*seq)?, held)?;
                }
            }
            if let Some(response) = &event.provider_response_id {
                put_response(connection, &mut put_response_id, response, *seq)?;
            }
            let (place, kind) = (Place { at: row.at, who: row.who, what: row.what }, row.kind);
            folder.encoder.recycle(row.body);
            folder.fold_new(connection, place, kind, entry, &mut pending.cells)?;
            pending.entries += 1;
            pending.is_urgent |= meta.cutoff.is_some_and(|cutoff| place.at < cutoff);
            meta.entries += 1;
        }
        Ok(())
    }

    fn adjust(
        &mut self,
        seq: Seq,
        digest: Digest,
        adjustment: &Adjustment,
        touched: &mut Touched,
    ) -> Result<(), StoreError> {
        let entry = seq_value(adjustment.entry)?;
        let found = with_row(&self.connection, entry, |row| {
            Ok((row.version, row.entry(&self.connection, &mut self.shelves)?.event))
        })?;
        let Some((current, event)) = found else { return Err(no_entry(adjustment.entry)) };
        if let Some(run) = &adjustment.run {
            let sql = "SELECT 1 FROM adjustments WHERE run = ?1 AND entry = ?2";
            let made = self.connection.prepare_cached(sql).db()?.exists(params![run, entry]).db()?;
            if made {
                let why = format!("run {run:?} has adjusted entry {entry} already");
                return Err(StoreError::Invalid(why));
            }
        }
        if i64::from(adjustment.version) != current + 1 {
            let current = u32::try_from(current).unwrap_or(u32::MAX);
            let (entry, offered) = (adjustment.entry, adjustment.version);
            return Err(StoreError::Stale { entry, current, offered });
        }
        let before = self.state_of(adjustment.entry)?;
        touched.call(self, &event, &before)?;
        touched.call(self, &event, &State::of_adjustment(adjustment))?;
        sealed::put_adjustment(&self.connection, seq, digest, adjustment, micros(event.occurred_at))?;
        let sql = "UPDATE entries SET version = ?2 WHERE seq = ?1";
        self.connection.prepare_cached(sql).db()?.execute(params![entry, adjustment.version]).db()?;
        Ok(())
    }

    /// The corrected state of an entry that is there.
    fn state_of(&mut self, entry: Seq) -> Result<State, StoreError> {
        let latest = sealed::adjustment_at(&self.connection, entry, i64::MAX)?;
        if let Some((_, _, adjustment)) = latest {
            return Ok(State::of_adjustment(&adjustment));
        }
        let read = with_row(&self.connection, seq_value(entry)?, |row| {
            Ok(State::of_entry(&row.entry(&self.connection, &mut self.shelves)?))
        })?;
        read.ok_or_else(|| no_entry(entry))
    }

    fn open(&mut self, seq: Seq, call: &OpenCall) -> Result<(), StoreError> {
        let identity = IdentityRef::from(call);
        if find(&self.connection, &mut self.shelves, &identity)?.is_some() {
            return Err(StoreError::Invalid(format!("the call {:?} is known already", call.id)));
        }
        if !self.opens.add(&identity, seq_value(seq)?) {
            return Err(StoreError::Invalid(format!("the call {:?} is open already", call.id)));
        }
        sealed::put_open(&self.connection, seq, call)
    }

    fn control(&mut self, control: &Control) -> Result<(), StoreError> {
        let current = sealed::control_version(&self.connection, &control.key)?;
        if control.version != current + 1 {
            let why = format!("{:?} is at version {current}", control.key);
            return Err(StoreError::Invalid(why));
        }
        sealed::put_control(&self.connection, control)
    }

    /// Whether the entries of a time are still all there.
    pub(crate) fn is_kept(&self, at: i64) -> bool {
        self.meta.cutoff.is_none_or(|cutoff| at >= cutoff)
    }
}

fn no_entry(seq: Seq) -> StoreError {
    StoreError::Invalid(format!("there is no entry at {seq}"))
}

/// The number of rows of a statement that counts.
pub(crate) fn count(connection: &Connection, sql: &'static str) -> Result<u64, StoreError> {
    let found: Option<i64> = connection.prepare_cached(sql).db()?.query_row([], |row| row.get(0)).db()?;
    Ok(found.unwrap_or(0).unsigned_abs())
}
