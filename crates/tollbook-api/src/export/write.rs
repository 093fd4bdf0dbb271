//! Calls written out in a format, one page of them in memory at a time.

#[cfg(feature = "parquet")]
use super::parquet::Table;
use super::table::{COLUMNS, each_row};
use super::{csv, focus};
use crate::wire::CallView;
use std::io::{self, Write};
use tollbook_store::{CallsOrder, CallsQuery, Filter, Store, StoreError, StoredCall};
use tollbook_types::TimeRange;

/// Calls read at once.
const PAGE_CALLS: usize = 1_000;

/// What calls are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A table with a line for each leg.
    Csv,
    /// A call a line, as `GET /api/v1/calls/{id}` shows it.
    JsonLines,
    /// The table of CSV, with types. Only where the feature `parquet` is built in.
    Parquet,
    /// The FinOps open cost and usage specification, 1.2.
    Focus,
}

impl Format {
    /// Every format, by its name.
    pub const WORDS: [(&'static str, Format); 4] = [
        ("csv", Format::Csv),
        ("jsonl", Format::JsonLines),
        ("parquet", Format::Parquet),
        ("focus", Format::Focus),
    ];

    /// Whether this build has it.
    pub fn is_built(self) -> bool {
        self != Format::Parquet || cfg!(feature = "parquet")
    }
}

/// Which calls are written out. They are as corrected, each leg that passes the filters.
pub struct Calls<'a> {
    /// The books.
    pub store: &'a dyn Store,
    /// By when they occurred.
    pub range: TimeRange,
    /// By what they are.
    pub filters: &'a [Filter],
}

/// Why an export ends early.
#[derive(Debug)]
pub enum Failed {
    /// The store failed.
    Store(StoreError),
    /// What is written to failed.
    Write(io::Error),
    /// A value does not fit into the format, or the build has no such format.
    Value(String),
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Failed {
        Failed::Store(error)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Failed {
        Failed::Write(error)
    }
}

/// Writes calls in a format and gives their number: in the order of recording, for [`Format::Focus`]
/// the last day first.
///
/// # Errors
/// What was written until then is not whole.
pub fn write(format: Format, calls: &Calls<'_>, to: &mut (dyn Write + Send)) -> Result<u64, Failed> {
    match format {
        Format::Csv => {
            let mut lines = csv::Lines::new(to, COLUMNS.iter().map(|column| column.name))?;
            let number = each_call(calls, CallsOrder::Recorded, |call| {
                each_row(call, calls.filters, |cells| lines.push(cells))
            })?;
            lines.finish()?;
            Ok(number)
        }
        Format::JsonLines => each_call(calls, CallsOrder::Recorded, |call| {
            serde_json::to_writer(&mut *to, &CallView::of(call)).map_err(io::Error::from)?;
            Ok(to.write_all(b"\n")?)
        }),
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let mut table = Table::new(to)?;
            let number = each_call(calls, CallsOrder::Recorded, |call| {
                each_row(call, calls.filters, |cells| table.push(cells))
            })?;
            table.finish()?;
            Ok(number)
        }
        #[cfg(not(feature = "parquet"))]
        Format::Parquet => Err(Failed::Value("this build has no Parquet".to_owned())),
        Format::Focus => {
            let mut sheet = focus::Sheet::new(calls.store, to)?;
            let number = each_call(calls, CallsOrder::Newest, |call| sheet.add(call, calls.filters))?;
            sheet.finish()?;
            Ok(number)
        }
    }
}

/// Gives every call, in this order, and their number.
pub fn each_call<E: From<StoreError>>(
    calls: &Calls<'_>,
    order: CallsOrder,
    mut each: impl FnMut(&StoredCall) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut number, mut after) = (0, None);
    loop {
        let filters = calls.filters.to_vec();
        let query = CallsQuery { range: calls.range, filters, order, after, limit: PAGE_CALLS };
        let page = calls.store.calls(&query)?;
        number += page.calls.len() as u64;
        page.calls.iter().try_for_each(&mut each)?;
        after = page.next;
        if after.is_none() {
            return Ok(number);
        }
    }
}
