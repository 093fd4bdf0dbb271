//! The lines as a Parquet file: a row group at a time is held in memory, column by column.
//!
//! Instants are microseconds in UTC, counts unsigned 64 bits, money `DECIMAL(38,12)` in 16 bytes,
//! so that a picodollar is one unit; what is absent is null.

use super::Failed;
use super::table::{COLUMNS, Cell, Column, Kind};
use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use std::io::Write;
use std::sync::Arc;

/// Rows of a row group.
const GROUP_ROWS: usize = 65_536;
/// A row group ends earlier where its texts come to this.
const GROUP_BYTES: usize = 32 << 20;
/// Digits of an amount, and how many of them are after the point.
const MONEY_DIGITS: i32 = 38;
const MONEY_DECIMALS: i32 = 12;
const MONEY_BYTES: i32 = 16;
/// The first amount, in picodollars, with more digits than that.
const MONEY_END_PICOS: u128 = 10_u128.pow(MONEY_DIGITS.unsigned_abs());

/// A Parquet file in the making.
pub struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Held>,
    rows: usize,
    rows_max: usize,
}

/// What is held of one column of the row group.
struct Held {
    column: Column,
    /// For each row whether it has a value; empty for a column that always has one.
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Int(Vec<i64>),
    /// All values in one buffer, and where each ends.
    Bytes {
        bytes: Vec<u8>,
        ends: Vec<usize>,
    },
}

impl<W: Write + Send> Table<W> {
    /// A file with no rows yet.
    pub fn new(to: W) -> Result<Table<W>, Failed> {
        Table::with_rows_max(to, GROUP_ROWS)
    }

    fn with_rows_max(to: W, rows_max: usize) -> Result<Table<W>, Failed> {
        let file = SerializedFileWriter::new(to, schema().map_err(failure)?, Arc::new(properties()));
        let columns = COLUMNS.iter().map(|column| Held::new(*column)).collect();
        Ok(Table { file: file.map_err(failure)?, columns, rows: 0, rows_max })
    }

    /// Adds a row.
    pub fn push(&mut self, cells: &[Cell]) -> Result<(), Failed> {
        self.columns.iter_mut().zip(cells).try_for_each(|(held, cell)| held.push(cell))?;
        self.rows += 1;
        let bytes: usize = self.columns.iter().map(Held::bytes).sum();
        if self.rows >= self.rows_max || bytes >= GROUP_BYTES {
            self.end_group().map_err(failure)?;
        }
        Ok(())
    }

    /// Writes what is left, and the file's end.
    pub fn finish(mut self) -> Result<(), Failed> {
        if self.rows > 0 {
            self.end_group().map_err(failure)?;
        }
        self.file.close().map(drop).map_err(failure)
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        self.rows = 0;
        let mut group = self.file.next_row_group()?;
        for held in &mut self.columns {
            let Some(mut writer) = group.next_column()? else {
                return Err(ParquetError::General(format!("no column for {}", held.column.name)));
            };
            held.write(&mut writer)?;
            writer.close()?;
        }
        group.close().map(drop)
    }
}

impl Held {
    fn new(column: Column) -> Held {
        let values = match column.kind {
            Kind::Count | Kind::Instant => Values::Int(Vec::new()),
            Kind::Text | Kind::Money => Values::Bytes { bytes: Vec::new(), ends: Vec::new() },
        };
        Held { column, levels: Vec::new(), values }
    }

    /// The bytes of texts and amounts.
    fn bytes(&self) -> usize {
        match &self.values {
            Values::Int(_) => 0,
            Values::Bytes { bytes, .. } => bytes.len(),
        }
    }

    fn push(&mut self, cell: &Cell) -> Result<(), Failed> {
        let Column { name, kind, is_required } = self.column;
        if !is_required {
            self.levels.push(i16::from(*cell != Cell::Absent));
        }
        match (kind, cell, &mut self.values) {
            (_, Cell::Absent, _) if !is_required => {}
            (Kind::Count, Cell::Count(n), Values::Int(ints)) => ints.push(n.cast_signed()),
            (Kind::Instant, Cell::Instant(at), Values::Int(ints)) => ints.push(at.as_microsecond()),
            (Kind::Text, Cell::Text(text), Values::Bytes { bytes, ends }) => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(bytes.len());
            }
            (Kind::Money, Cell::Money(amount), Values::Bytes { bytes, ends }) => {
                if amount.picos().unsigned_abs() >= MONEY_END_PICOS {
                    return Err(Failed::Value(format!(
                        "{name} {amount} has more than {MONEY_DIGITS} digits"
                    )));
                }
                bytes.extend_from_slice(&amount.picos().to_be_bytes());
                ends.push(bytes.len());
            }
            _ => return Err(Failed::Value(format!("column {name} cannot hold {cell:?}"))),
        }
        Ok(())
    }

    /// Writes the column and forgets its values.
    fn write(&mut self, to: &mut SerializedColumnWriter) -> Result<(), ParquetError> {
        let levels = (!self.column.is_required).then_some(&self.levels[..]);
        match (&mut self.values, to.untyped()) {
            (Values::Int(ints), ColumnWriter::Int64ColumnWriter(to)) => {
                to.write_batch(ints, levels, None)?;
                ints.clear();
            }
            (Values::Bytes { bytes, ends }, ColumnWriter::ByteArrayColumnWriter(to)) => {
                let values: Vec<ByteArray> = slices(bytes, ends).collect();
                to.write_batch(&values, levels, None)?;
                ends.clear();
            }
            (Values::Bytes { bytes, ends }, ColumnWriter::FixedLenByteArrayColumnWriter(to)) => {
                let values: Vec<_> = slices(bytes, ends).map(FixedLenByteArray::from).collect();
                to.write_batch(&values, levels, None)?;
                ends.clear();
            }
            _ => return Err(ParquetError::General(format!("{} has another type", self.column.name))),
        }
        self.levels.clear();
        Ok(())
    }
}

/// The values, which share the buffer.
fn slices(bytes: &mut Vec<u8>, ends: &[usize]) -> impl Iterator<Item = ByteArray> {
    let shared = ByteArray::from(std::mem::take(bytes));
    let starts = std::iter::once(0).chain(ends.iter().copied());
    starts.zip(ends).map(move |(start, end)| shared.slice(start, end - start))
}

fn schema() -> Result<TypePtr, ParquetError> {
    let fields = COLUMNS.iter().map(field).collect::<Result<_, _>>()?;
    Type::group_type_builder("tollbook").with_fields(fields).build().map(Arc::new)
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, LogicalType::String),
        Kind::Count => (Physical::INT64, LogicalType::integer(64, false)),
        Kind::Instant => (Physical::INT64, LogicalType::timestamp(true, TimeUnit::MICROS)),
        Kind::Money => (Physical::FIXED_LEN_BYTE_ARRAY, LogicalType::decimal(MONEY_DECIMALS, MONEY_DIGITS)),
    };
    let repetition = if column.is_required { Repetition::REQUIRED } else { Repetition::OPTIONAL };
    let mut field = Type::primitive_type_builder(column.name, physical)
        .with_repetition(repetition)
        .with_logical_type(Some(logical));
    if column.kind == Kind::Money {
        field = field.with_length(MONEY_BYTES).with_precision(MONEY_DIGITS).with_scale(MONEY_DECIMALS);
    }
    field.build().map(Arc::new)
}

fn properties() -> WriterProperties {
    let common = WriterProperties::builder()
        .set_created_by(concat!("tollbook version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(true);
    // Hardly an instant comes twice.
    let instants = COLUMNS.iter().filter(|column| column.kind == Kind::Instant);
    instants
        .fold(common, |all, column| all.set_column_dictionary_enabled(ColumnPath::from(column.name), false))
        .build()
}

fn failure(error: ParquetError) -> Failed {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => Failed::Write(*error),
            Err(error) => Failed::Value(error.to_string()),
        },
        error => Failed::Value(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::{Field, RowAccessor};
    use std::fs::File;
    use tollbook_types::{Money, Timestamp};

    /// A row whose cells are all made from a number, absent where they may be and it is odd.
    fn cells(n: u64) -> Vec<Cell<'static>> {
        let cell = |column: &Column| match column.kind {
            _ if !column.is_required && n % 2 == 1 => Cell::Absent,
            Kind::Text => Cell::Text(format!("text {n}").into()),
            Kind::Count => Cell::Count(u64::MAX - n),
            Kind::Instant => Cell::Instant(Timestamp::from_microsecond(-n.cast_signed()).unwrap()),
            Kind::Money => Cell::Money(Money::from_picos(-i128::from(n))),
        };
        COLUMNS.iter().map(cell).collect()
    }

    fn place(name: &str) -> usize {
        COLUMNS.iter().position(|column| column.name == name).unwrap()
    }

    #[test]
    fn groups_are_bounded_and_every_value_comes_back() {
        let mut file: File = tempfile::tempfile().unwrap();
        let mut table = Table::with_rows_max(&mut file, 100).unwrap();
        for n in 0..250 {
            table.push(&cells(n)).unwrap();
        }
        table.finish().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(groups, [100, 100, 50]);
        for (row, n) in reader.get_row_iter(None).unwrap().zip(0_u64..) {
            let row = row.unwrap();
            assert_eq!(row.get_string(place("id")).unwrap(), &format!("text {n}"));
            assert_eq!(row.get_ulong(place("version")).unwrap(), u64::MAX - n);
            assert_eq!(row.get_timestamp_micros(place("occurred_at")).unwrap(), -n.cast_signed());
            for (name, field) in row.get_column_iter() {
                let column = COLUMNS[place(name)];
                assert_eq!(*field == Field::Null, !column.is_required && n % 2 == 1, "{name} {n}");
            }
            if n % 2 == 0 {
                let amount = row.get_decimal(place("cost_usd")).unwrap();
                assert_eq!((amount.precision(), amount.scale()), (38, 12));
                assert_eq!(amount.data(), (-i128::from(n)).to_be_bytes());
            }
        }
    }

    #[test]
    fn long_texts_end_a_group_early() {
        let mut file = tempfile::tempfile().unwrap();
        let mut table = Table::new(&mut file).unwrap();
        let mut row = cells(0);
        row[place("error")] = Cell::Text("x".repeat(GROUP_BYTES / 2).into());
        for _ in 0..3 {
            table.push(&row).unwrap();
        }
        table.finish().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!(reader.metadata().num_row_groups(), 2);
        assert_eq!(reader.metadata().file_metadata().num_rows(), 3);
    }

    #[test]
    fn a_file_without_rows_is_a_file() {
        let mut file = tempfile::tempfile().unwrap();
        Table::new(&mut file).unwrap().finish().unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert_eq!(reader.metadata().file_metadata().schema().get_fields().len(), COLUMNS.len());
    }

    #[test]
    fn amounts_have_38_digits() {
        let most = MONEY_END_PICOS.cast_signed() - 1;
        for (picos, fits) in
            [(most, true), (-most, true), (most + 1, false), (-most - 1, false), (i128::MIN, false)]
        {
            let mut row = cells(0);
            row[place("cost_usd")] = Cell::Money(Money::from_picos(picos));
            let mut table = Table::new(std::io::sink()).unwrap();
            assert_eq!(table.push(&row).is_ok(), fits, "{picos}");
        }
    }
}
