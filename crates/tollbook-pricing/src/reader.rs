//! Reading a price text member by member, so that every problem is found and placed.

use crate::problem::{Problem, did_you_mean};
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A table of the text.
pub(crate) type Table<'t> = DeTable<'t>;

/// Reads one text and gathers its problems.
pub(crate) struct Reader<'t> {
    file: &'t str,
    text: &'t str,
    /// What was found so far.
    pub problems: Vec<Problem>,
}

impl<'t> Reader<'t> {
    /// A reader of `text`, which problems will name as `file`.
    pub fn new(file: &'t str, text: &'t str) -> Reader<'t> {
        Reader { file, text, problems: Vec::new() }
    }

    /// The text's tables; on broken TOML the problems say where.
    pub fn parse(&mut self) -> Table<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.problem(error.span().unwrap_or(0..0), error.message().to_owned());
        }
        table.into_inner()
    }

    /// Notes a problem at a place.
    pub fn problem(&mut self, span: Range<usize>, message: String) {
        let (line, column) = self.place(span.start);
        self.problems.push(Problem { file: self.file.to_owned(), line, column, message });
    }

    /// Line and column of a byte, from 1.
    fn place(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// `file:line` of a byte.
    pub fn origin(&self, offset: usize) -> String {
        format!("{}:{}", self.file, self.place(offset).0)
    }

    /// Notes every member that is not one of `known`.
    pub fn known(&mut self, table: &Table<'_>, known: &[&str]) {
        for name in table.keys() {
            let word: &str = name.get_ref();
            if known.contains(&word) {
                continue;
            }
            let guess = did_you_mean(word, known.iter().copied());
            let hint = guess.map_or_else(String::new, |near| format!(", did you mean `{near}`?"));
            self.problem(name.span(), format!("unknown key `{word}`{hint}"));
        }
    }

    /// A text member.
    pub fn text<'v>(&mut self, table: &'v Table<'_>, key: &str) -> Option<(&'v str, Range<usize>)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text, value.span())),
            other => {
                let found = other.type_str();
                self.problem(value.span(), format!("`{key}` must be a text in quotes, not {found}"));
                None
            }
        }
    }

    /// An owned text member.
    pub fn string(&mut self, table: &Table<'_>, key: &str) -> Option<String> {
        self.text(table, key).map(|(text, _)| text.to_owned())
    }

    /// A date or instant: as text or as TOML's own type.
    pub fn instant_text(&mut self, table: &Table<'_>, key: &str) -> Option<(String, Range<usize>)> {
        let value = table.get(key)?;
        match value.get_ref() {
            DeValue::String(text) => Some((text.to_string(), value.span())),
            DeValue::Datetime(instant) => Some((instant.to_string(), value.span())),
            other => {
                let found = other.type_str();
                self.problem(value.span(), format!("`{key}` must be a date, not {found}"));
                None
            }
        }
    }

    /// One text or a list of texts.
    pub fn texts<'v>(&mut self, table: &'v Table<'_>, key: &str) -> Vec<(&'v str, Range<usize>)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let mut texts = Vec::new();
        let mut take = |reader: &mut Self, item: &'v Spanned<DeValue<'_>>| match item.get_ref() {
            DeValue::String(text) => texts.push((&**text, item.span())),
            other => {
                let found = other.type_str();
                reader.problem(item.span(), format!("`{key}` must hold texts in quotes, not {found}"));
            }
        };
        match value.get_ref() {
            DeValue::Array(items) => items.iter().for_each(|item| take(self, item)),
            _ => take(self, value),
        }
        texts
    }

    /// A whole number.
    pub fn number(&mut self, table: &Table<'_>, key: &str) -> Option<u64> {
        let value = table.get(key)?;
        let number = value
            .get_ref()
            .as_integer()
            .filter(|integer| integer.radix() == 10)
            .and_then(|integer| integer.as_str().replace('_', "").parse().ok());
        if number.is_none() {
            self.problem(value.span(), format!("`{key}` must be a whole number"));
        }
        number
    }

    /// A yes or no; absent is no.
    pub fn flag(&mut self, table: &Table<'_>, key: &str) -> bool {
        let Some(value) = table.get(key) else { return false };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.problem(value.span(), format!("`{key}` must be true or false"));
            false
        })
    }

    /// A table member.
    pub fn table<'v, 'i>(
        &mut self,
        table: &'v Table<'i>,
        key: &str,
    ) -> Option<(&'v Table<'i>, Range<usize>)> {
        let value = table.get(key)?;
        let inner = value.get_ref().as_table();
        if inner.is_none() {
            self.problem(value.span(), format!("`{key}` must be a table"));
        }
        inner.map(|inner| (inner, value.span()))
    }

    /// A list of tables.
    pub fn tables<'v, 'i>(&mut self, table: &'v Table<'i>, key: &str) -> Vec<(&'v Table<'i>, Range<usize>)> {
        let Some(value) = table.get(key) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            self.problem(value.span(), format!("`{key}` must be a list of tables: write [[{key}]]"));
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_table() {
                Some(inner) => tables.push((inner, item.span())),
                None => self.problem(item.span(), format!("`{key}` must hold tables")),
            }
        }
        tables
    }
}
