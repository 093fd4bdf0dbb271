//! The one row of `meta`: how far the store has come, and whose it is.

use crate::fault::Db;
use crate::row::instant;
use crate::sealed::checksum;
use rusqlite::{Connection, OptionalExtension, params};
use tollbook_store::{Position, StoreError, Zone};
use tollbook_types::Seq;

/// What `meta` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub ledger_id: String,
    pub applied: i64,
    /// The position up to which the rollups count.
    pub rolled: i64,
    pub entries: i64,
    /// Microseconds.
    pub cutoff: Option<i64>,
    /// The zone of the `days` rollup; see [`zone_name`].
    pub time_zone: String,
}

impl Meta {
    pub(crate) fn load(connection: &Connection) -> Result<Option<Meta>, StoreError> {
        let sql = "SELECT ledger_id, applied, rolled, entries, cutoff, time_zone, sum FROM meta WHERE id = 1";
        let mut statement = connection.prepare_cached(sql).db()?;
        let found = statement.query_row([], |row| {
            let meta = Meta {
                ledger_id: row.get(0)?,
                applied: row.get(1)?,
                rolled: row.get(2)?,
                entries: row.get(3)?,
                cutoff: row.get(4)?,
                time_zone: row.get(5)?,
            };
            Ok((meta, row.get::<_, i64>(6)?))
        });
        match found.optional().db()? {
            None => Ok(None),
            Some((meta, sum)) if sum == meta.sum() => Ok(Some(meta)),
            Some(_) => Err(StoreError::Corrupt("the store's position is damaged".to_owned())),
        }
    }

    /// As [`Meta::load`] of a store that was made.
    pub(crate) fn of(connection: &Connection) -> Result<Meta, StoreError> {
        let missing = || StoreError::Corrupt("the store's position is missing".to_owned());
        Meta::load(connection)?.ok_or_else(missing)
    }

    pub(crate) fn save(&self, connection: &Connection) -> Result<(), StoreError> {
        let sql =
            "INSERT OR REPLACE INTO meta (id, ledger_id, applied, rolled, entries, cutoff, time_zone, sum)
            VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let Meta { ledger_id, applied, rolled, entries, cutoff, time_zone } = self;
        let values = params![ledger_id, applied, rolled, entries, cutoff, time_zone, self.sum()];
        connection.prepare_cached(sql).db()?.execute(values).db()?;
        Ok(())
    }

    fn sum(&self) -> i64 {
        let cutoff = self.cutoff.map_or_else(Vec::new, |cutoff| cutoff.to_le_bytes().to_vec());
        checksum(&[
            self.ledger_id.as_bytes(),
            &self.applied.to_le_bytes(),
            &self.rolled.to_le_bytes(),
            &self.entries.to_le_bytes(),
            &cutoff,
            self.time_zone.as_bytes(),
        ])
    }

    pub(crate) fn position(&self) -> Result<Position, StoreError> {
        let applied = Seq::try_from(self.applied)
            .map_err(|_| StoreError::Corrupt("the store's position is negative".to_owned()))?;
        let cutoff = self.cutoff.map(instant).transpose()?;
        Ok(Position { applied, ledger_id: self.ledger_id.clone(), cutoff })
    }
}

/// A name by which [`zone_of`] finds the zone again.
pub(crate) fn zone_name(zone: &Zone) -> Result<String, StoreError> {
    if let Some(name) = zone.iana_name() {
        return Ok(name.to_owned());
    }
    match zone.to_fixed_offset() {
        Ok(offset) => Ok(format!("offset:{}", offset.seconds())),
        Err(_) => Err(StoreError::Invalid("the store's time zone needs an IANA name".to_owned())),
    }
}

/// The zone of a name.
pub(crate) fn zone_of(name: &str) -> Result<Zone, StoreError> {
    let wrong = || StoreError::Invalid(format!("the store's time zone {name:?} is not known here"));
    match name.strip_prefix("offset:") {
        Some(seconds) => {
            let seconds = seconds.parse().map_err(|_| wrong())?;
            Ok(Zone::fixed(jiff::tz::Offset::from_seconds(seconds).map_err(|_| wrong())?))
        }
        None => Zone::get(name).map_err(|_| wrong()),
    }
}
