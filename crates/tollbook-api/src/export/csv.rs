//! Lines of CSV (RFC 4180) that no spreadsheet runs: a text that it would take for a formula gets an
//! apostrophe in front.

use super::Failed;
use super::table::Cell;
use csv::{Terminator, Writer, WriterBuilder};
use std::borrow::Cow;
use std::io::Write;

/// Lines in the making.
pub struct Lines<W: Write>(Writer<W>);

impl<W: Write> Lines<W> {
    /// The line of names, and none yet below it.
    pub fn new(to: W, names: impl Iterator<Item = &'static str>) -> Result<Lines<W>, Failed> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(to);
        writer.write_record(names).map_err(failure)?;
        Ok(Lines(writer))
    }

    /// Adds a line.
    pub fn push(&mut self, cells: &[Cell]) -> Result<(), Failed> {
        cells.iter().try_for_each(|cell| self.0.write_field(&*shown(cell)).map_err(failure))?;
        self.0.write_record(None::<&[u8]>).map_err(failure)
    }

    /// Writes what is left.
    pub fn finish(mut self) -> Result<(), Failed> {
        Ok(self.0.flush()?)
    }
}

fn failure(error: csv::Error) -> Failed {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => Failed::Write(error),
        other => Failed::Value(format!("{other:?}")),
    }
}

fn shown<'a>(cell: &'a Cell) -> Cow<'a, str> {
    match cell {
        Cell::Absent => Cow::Borrowed(""),
        Cell::Text(text) => safe(text),
        Cell::Count(n) => Cow::Owned(n.to_string()),
        Cell::Instant(at) => Cow::Owned(at.to_string()),
        Cell::Money(amount) => Cow::Owned(amount.to_string()),
        Cell::Decimal(digits) => Cow::Borrowed(digits),
    }
}

/// A cell that no spreadsheet takes for a formula.
fn safe(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@' | '\t' | '\r') => Cow::Owned(format!("'{text}")),
        _ => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"] {
            assert!(safe(text).starts_with('\''), "{text:?}");
        }
        assert_eq!(safe("gpt-4o"), "gpt-4o");
        assert_eq!(safe(""), "");
    }
}
