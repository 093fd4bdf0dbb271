//! Tables that fit the width there is: numbers to the right, amounts with their points in line,
//! and where it is too narrow the least important columns go.

use crate::out::number::{count, decimals, dollars_padded, short_count};
use crate::out::text::{columns, visible};
use comfy_table::{
    Attribute, Cell as View, CellAlignment, ColumnConstraint, ContentArrangement, Row, Table as Frame,
};
use tollbook_types::Money;

/// Columns taken by the frame: each column costs its borders and the spaces around it.
const FRAME_PER_COLUMN: usize = 2;
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
}

impl Column {
    /// A column of text.
    pub fn text(title: &str) -> Column {
        Column { title: title.to_owned(), is_number: false, is_whole: false, expendable: 0 }
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
        let texts = |cells: &[Cell]| self.texts(cells, &kept, is_short);
        let mut frame = Frame::new();
        frame.load_style(comfy_table::presets::NOTHING);
        frame.set_content_arrangement(ContentArrangement::Dynamic);
        frame.set_width(u16::try_from(width).unwrap_or(u16::MAX));
        if is_bold {
            frame.enforce_styling();
        } else {
            frame.force_no_tty();
        }
        let titles = kept.iter().map(|at| self.columns[*at].title.clone()).collect();
        let strong = |view: View| if is_bold { view.add_attribute(Attribute::Bold) } else { view };
        let line_of = |texts: Vec<String>, is_strong: bool| {
            let cells = texts.into_iter().zip(&kept).map(|(text, at)| {
                let alignment = match self.columns[*at].is_number {
                    true => CellAlignment::Right,
                    false => CellAlignment::Left,
                };
                let view = View::new(text).set_alignment(alignment);
                if is_strong { strong(view) } else { view }
            });
            Row::from(cells.collect::<Vec<View>>())
        };
        frame.set_header(line_of(titles, true));
        for row in &self.rows {
            frame.add_row(line_of(texts(row), false));
        }
        if let Some(total) = &self.total {
            frame.add_row(line_of(texts(total), true));
        }
        for (nth, at) in kept.iter().enumerate() {
            if self.columns[*at].is_whole || self.columns[*at].is_number {
                if let Some(column) = frame.column_mut(nth) {
                    column.set_constraint(ColumnConstraint::ContentWidth);
                }
            }
        }
        frame.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    /// The columns that fit, and whether counts have to be short.
    fn fit(&self, width: usize) -> (Vec<usize>, bool) {
        let mut kept: Vec<usize> = (0..self.columns.len()).collect();
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
        let width_of = |nth: usize, at: usize| {
            let widest =
                rows.iter().filter_map(|row| row.get(nth)).map(|text| columns(text)).max().unwrap_or(0);
            let is_rigid = self.columns[at].is_number || self.columns[at].is_whole;
            let widest = if is_rigid { widest } else { widest.min(TEXT_WIDTH_MIN) };
            widest.max(columns(&self.columns[at].title)) + FRAME_PER_COLUMN
        };
        kept.iter().enumerate().map(|(nth, at)| width_of(nth, *at)).sum()
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
        assert_eq!(lines[0], " Model  Calls         In      Cost");
        assert_eq!(lines[1], " gpt-4o 1,234  5,000,000    $0.125");
        assert_eq!(lines[2], " a␛b        1          2  unpriced");
        assert_eq!(lines[3], " Total  1,235  5,000,002   $12.000");
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
