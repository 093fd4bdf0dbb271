//! Tables that fit the width there is: numbers to the right, amounts with their points in line,
//! and where it is too narrow the least important columns go.

use crate::out::number::{count, decimals, dollars_padded, short_count};
use crate::out::text::{chop, columns, visible};
use tollbook_types::Money;

/// What stands between two columns.
const GAP: &str = "  ";
/// Text columns are not pressed below this before another column goes.
const TEXT_WIDTH_MIN: usize = 12;

/// What stands in a cell.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Any text; it is made safe.
    Text(String),
    /// A count; shortened where it is narrow.
    Count(u64),
    /// An exact amount.
    Amount(Money),
    /// A word where a number would be, such as `unpriced`.
    Word(&'static str),
    /// Nothing.
    Empty,
}

impl Cell {
    /// A text that may be absent.
    pub fn text(text: Option<&str>) -> Cell {
        text.map_or(Cell::Word("–"), |text| Cell::Text(text.to_owned()))
    }
}

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    title: String,
    is_number: bool,
    /// Never folded, so that it can be copied.
    is_whole: bool,
    /// 0 stays for ever; the highest goes first.
    expendable: u8,
    /// Left out whatever the width.
    is_absent: bool,
}

impl Column {
    /// A column of text.
    pub fn text(title: &str) -> Column {
        Column { title: title.to_owned(), is_number: false, is_whole: false, expendable: 0, is_absent: false }
    }

    /// A column of numbers.
    pub fn number(title: &str) -> Column {
        Column { is_number: true, ..Column::text(title) }
    }

    /// Is never folded over two lines.
    pub fn whole(mut self) -> Column {
        self.is_whole = true;
        self
    }

    /// May go where it is narrow: the highest rank first.
    pub fn expendable(mut self, rank: u8) -> Column {
        self.expendable = rank;
        self
    }

    /// Is there only if it says something.
    pub fn only_if(mut self, says_something: bool) -> Column {
        self.is_absent = !says_something;
        self
    }
}

/// A table.
#[derive(Clone, Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    total: Option<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: Vec<Column>) -> Table {
        Table { columns, rows: Vec::new(), total: None }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// Sets the last row, under a rule.
    pub fn total(&mut self, cells: Vec<Cell>) {
        self.total = Some(cells);
    }

    /// The lines of the table.
    pub fn lines(&self, width: usize, is_bold: bool) -> Vec<String> {
        let (kept, is_short) = self.fit(width);
        let titles: Vec<String> = kept.iter().map(|at| self.columns[*at].title.clone()).collect();
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| self.texts(row, &kept, is_short)).collect();
        let total = self.total.as_ref().map(|row| self.texts(row, &kept, is_short));
        let widths = self.widths(&kept, std::iter::once(&titles).chain(&rows).chain(&total), width);
        let mut lines = self.folded(&titles, &kept, &widths, is_bold);
        for row in &rows {
            lines.extend(self.folded(row, &kept, &widths, false));
        }
        if let Some(total) = &total {
            lines.extend(self.folded(total, &kept, &widths, is_bold));
        }
        lines
    }

    /// The columns that fit, and whether counts have to be short.
    fn fit(&self, width: usize) -> (Vec<usize>, bool) {
        let mut kept: Vec<usize> =
            (0..self.columns.len()).filter(|at| !self.columns[*at].is_absent).collect();
        for is_short in [false, true] {
            if self.needed(&kept, is_short) <= width {
                return (kept, is_short);
            }
        }
        loop {
            let least = kept.iter().copied().max_by_key(|at| self.columns[*at].expendable);
            match least.filter(|at| self.columns[*at].expendable > 0) {
                Some(at) => kept.retain(|other| *other != at),
                None => return (kept, true),
            }
            if self.needed(&kept, true) <= width {
                return (kept, true);
            }
        }
    }

    /// The width that columns need; text may be folded, but not below a minimum.
    fn needed(&self, kept: &[usize], is_short: bool) -> usize {
        let rows: Vec<Vec<String>> =
            self.rows.iter().chain(&self.total).map(|row| self.texts(row, kept, is_short)).collect();
        let widths = kept.iter().enumerate().map(|(nth, at)| {
            let column = &self.columns[*at];
            let widest = widest(rows.iter(), nth);
            let widest =
                if column.is_number || column.is_whole { widest } else { widest.min(TEXT_WIDTH_MIN) };
            widest.max(columns(&column.title))
        });
        widths.sum::<usize>() + GAP.len() * kept.len().saturating_sub(1)
    }

    /// The width of each column: what it needs, and where that is too much, the widest text gives.
    fn widths<'r>(
        &self,
        kept: &[usize],
        rows: impl Iterator<Item = &'r Vec<String>> + Clone,
        width: usize,
    ) -> Vec<usize> {
        let mut widths: Vec<usize> = (0..kept.len()).map(|nth| widest(rows.clone(), nth)).collect();
        let room = width.saturating_sub(GAP.len() * kept.len().saturating_sub(1));
        let gives = |nth: &usize| !self.columns[kept[*nth]].is_number && !self.columns[kept[*nth]].is_whole;
        while widths.iter().sum::<usize>() > room {
            let widest = (0..kept.len()).filter(gives).max_by_key(|nth| widths[*nth]);
            match widest.filter(|nth| widths[*nth] > 1) {
                Some(nth) => widths[nth] -= 1,
                None => break,
            }
        }
        widths
    }

    /// A row as one line or more, its cells folded to their columns.
    fn folded(&self, texts: &[String], kept: &[usize], widths: &[usize], is_bold: bool) -> Vec<String> {
        let cells: Vec<Vec<String>> =
            texts.iter().zip(widths).map(|(text, width)| chop(text, *width)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        let line = |at: usize| {
            let parts: Vec<String> = cells
                .iter()
                .zip(kept.iter().zip(widths))
                .map(|(cell, (column, width))| {
                    let text = cell.get(at).map_or("", String::as_str);
                    let space = " ".repeat(width.saturating_sub(columns(text)));
                    if self.columns[*column].is_number {
                        format!("{space}{text}")
                    } else {
                        format!("{text}{space}")
                    }
                })
                .collect();
            let line = parts.join(GAP).trim_end().to_owned();
            if is_bold { format!("\u{1b}[1m{line}\u{1b}[0m") } else { line }
        };
        (0..height).map(line).collect()
    }

    fn texts(&self, cells: &[Cell], kept: &[usize], is_short: bool) -> Vec<String> {
        kept.iter()
            .map(|at| match cells.get(*at).unwrap_or(&Cell::Empty) {
                Cell::Text(text) => visible(text).into_owned(),
                Cell::Count(n) if is_short => short_count(*n),
                Cell::Count(n) => count(*n),
                Cell::Amount(amount) => dollars_padded(*amount, self.places(*at)),
                Cell::Word(word) => (*word).to_owned(),
                Cell::Empty => String::new(),
            })
            .collect()
    }

    /// The digits after the point in a column of amounts.
    fn places(&self, at: usize) -> usize {
        let amounts = self.rows.iter().chain(&self.total).filter_map(|row| match row.get(at) {
            Some(Cell::Amount(amount)) => Some(decimals(*amount)),
            _ => None,
        });
        amounts.max().unwrap_or(2)
    }
}

/// The widest text in a column.
fn widest<'r>(rows: impl Iterator<Item = &'r Vec<String>>, nth: usize) -> usize {
    rows.filter_map(|row| row.get(nth)).map(|text| columns(text)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(vec![
            Column::text("Model"),
            Column::number("Calls").expendable(1),
            Column::number("In").expendable(2),
            Column::number("Cost"),
        ]);
        let money = |text: &str| Cell::Amount(text.parse().unwrap());
        table.row(vec![
            Cell::Text("gpt-4o".into()),
            Cell::Count(1_234),
            Cell::Count(5_000_000),
            money("0.125"),
        ]);
        table.row(vec![
            Cell::Text("a\u{1b}b".into()),
            Cell::Count(1),
            Cell::Count(2),
            Cell::Word("unpriced"),
        ]);
        table.total(vec![
            Cell::Text("Total".into()),
            Cell::Count(1_235),
            Cell::Count(5_000_002),
            money("12"),
        ]);
        table
    }

    #[test]
    fn amounts_stand_in_line_and_numbers_to_the_right() {
        let lines = table().lines(80, false);
        assert_eq!(lines[0], "Model   Calls         In      Cost");
        assert_eq!(lines[1], "gpt-4o  1,234  5,000,000    $0.125");
        assert_eq!(lines[2], "a␛b         1          2  unpriced");
        assert_eq!(lines[3], "Total   1,235  5,000,002   $12.000");
    }

    #[test]
    fn every_line_fits_and_the_cost_stays() {
        for width in [24, 30, 40, 60, 80] {
            let lines = table().lines(width, false);
            assert!(lines.iter().all(|line| columns(line) <= width), "{width}: {lines:?}");
            assert!(lines[0].contains("Cost"), "{width}");
        }
    }
}
