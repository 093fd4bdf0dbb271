//! Amounts in SQL: an INTEGER of picodollars while it fits 64 bits, else a BLOB of 16 bytes, and
//! `sum_i128`, which adds both exactly (SQLite's own `sum` fails past $9.2 million).

use rusqlite::functions::{Aggregate, Context, FunctionFlags};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Error};
use tollbook_types::Digest;

/// An amount as a column value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SqlAmount(pub i128);

impl ToSql for SqlAmount {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match i64::try_from(self.0) {
            Ok(small) => ToSqlOutput::from(small),
            Err(_) => ToSqlOutput::from(self.0.to_be_bytes().to_vec()),
        })
    }
}

impl FromSql for SqlAmount {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<SqlAmount> {
        match value {
            ValueRef::Integer(small) => Ok(SqlAmount(i128::from(small))),
            ValueRef::Blob(bytes) => {
                let bytes: [u8; 16] = bytes.try_into().map_err(|_| FromSqlError::InvalidType)?;
                Ok(SqlAmount(i128::from_be_bytes(bytes)))
            }
            _ => Err(FromSqlError::InvalidType),
        }
    }
}

struct SumI128;

impl Aggregate<i128, SqlAmount> for SumI128 {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<i128> {
        Ok(0)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut i128) -> rusqlite::Result<()> {
        if let Some(SqlAmount(amount)) = context.get(0)? {
            *sum = sum.checked_add(amount).ok_or_else(too_large)?;
        }
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<i128>) -> rusqlite::Result<SqlAmount> {
        Ok(SqlAmount(sum.unwrap_or(0)))
    }
}

struct SumDigests;

impl Aggregate<u64, i64> for SumDigests {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<u64> {
        Ok(0)
    }

    fn step(&self, context: &mut Context<'_>, sum: &mut u64) -> rusqlite::Result<()> {
        *sum = sum.wrapping_add(Digest(context.get(0)?).short());
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, sum: Option<u64>) -> rusqlite::Result<i64> {
        Ok(sum.unwrap_or(0).cast_signed())
    }
}

fn too_large() -> Error {
    Error::UserFunctionError("a sum of amounts does not fit 128 bits".into())
}

/// Adds `sum_i128`, and `sum_digests` (the wrapping sum of short digests), to a connection.
pub(crate) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_aggregate_function("sum_i128", 1, flags, SumI128)?;
    connection.create_aggregate_function("sum_digests", 1, flags, SumDigests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_pass_the_bounds_of_64_bits() {
        let connection = Connection::open_in_memory().unwrap();
        register(&connection).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        let amounts = [i128::from(i64::MAX), i128::from(i64::MAX), 1 << 100, -5];
        for amount in amounts {
            connection.execute("INSERT INTO t VALUES (?1)", [SqlAmount(amount)]).unwrap();
        }
        connection.execute("INSERT INTO t VALUES (NULL)", []).unwrap();
        let SqlAmount(sum) = connection.query_row("SELECT sum_i128(a) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(sum, amounts.iter().sum::<i128>());
    }
}
