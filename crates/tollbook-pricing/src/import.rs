//! Importing public price feeds: what is new, what changed, and the price texts that say so.

use crate::book::Book;
use crate::model::{Model, Provider};
use crate::write::write_provider;
use std::collections::BTreeMap;
use tollbook_types::Money;

/// What an import found.
#[derive(Clone, Debug, Default)]
pub struct Import {
    /// Price texts to add to a book, each with its name; only what is new or changed.
    pub texts: Vec<(String, String)>,
    /// Models that the book does not have, as `provider/model`.
    pub new: Vec<String>,
    /// Models whose prices differ from the book's.
    pub changed: Vec<Change>,
    /// Models whose prices are the same.
    pub unchanged: usize,
    /// What was left out, and why.
    pub skipped: Vec<(String, String)>,
}

/// A model whose prices differ from the book's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `provider/model`.
    pub model: String,
    /// What differs, in words.
    pub what: String,
}

/// Gathers changed models by provider and makes texts of them.
#[derive(Default)]
pub(crate) struct Gathered {
    pub import: Import,
    providers: BTreeMap<String, Provider>,
}

impl Gathered {
    /// Adds a model's new state.
    pub fn add(&mut self, provider: &str, source: &str, checked: &str, model: Model) {
        let entry = self.providers.entry(provider.to_owned()).or_insert_with(|| Provider {
            id: provider.to_owned(),
            source: source.to_owned(),
            checked: checked.to_owned(),
            ..Provider::default()
        });
        match entry.models.iter_mut().find(|known| known.id == model.id) {
            Some(known) => *known = model,
            None => entry.models.push(model),
        }
    }

    /// The import, with its texts.
    pub fn finish(mut self) -> Import {
        let texts = self.providers.values().map(|p| (format!("imported {}", p.id), write_provider(p)));
        self.import.texts = texts.collect();
        self.import
    }
}

impl Import {
    /// The book with what was imported.
    pub fn apply(&self, book: &Book) -> Result<Book, Vec<crate::Problem>> {
        let texts: Vec<(&str, &str)> =
            self.texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        book.with_texts(&texts)
    }
}

/// A feed's number as its own text: `1e-07`, or the same in quotes.
pub(crate) fn decimal_text(raw: &str) -> Option<&str> {
    let text = raw.trim().trim_matches('"');
    text.starts_with(|c: char| c.is_ascii_digit()).then_some(text)
}

/// Decimal text times a power of ten, in picodollars; digits past them are rounded half to even.
pub(crate) fn shifted(text: &str, power: i64) -> Option<i64> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent: i64 = exponent.parse().ok()?;
    let money = Money::parse_rounding(&format!("{mantissa}e{}", exponent.checked_add(power)?)).ok()?;
    i64::try_from(money.picos()).ok().filter(|picos| *picos >= 0)
}

/// What differs between two states of a model, in words.
pub(crate) fn difference(old: &Model, new: &Model) -> String {
    let show = |model: &Model| {
        let plain = model.prices.iter().rev().find(|price| price.is_plain());
        let rates = plain.map(|price| {
            let rates = price
                .rates
                .iter()
                .map(|(m, p)| format!("{} {}", crate::rates::key(*m), crate::price_text(*p)));
            rates.collect::<Vec<_>>().join(", ")
        });
        format!("{} prices, last: {}", model.prices.len(), rates.unwrap_or_default())
    };
    let (before, after) = (show(old), show(new));
    if before == after {
        format!("{before}; dates or circumstances differ")
    } else {
        format!("{before} -> {after}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn feeds_numbers_are_read_as_text() {
        assert_eq!(shifted("1e-07", 6), Some(100_000_000_000));
        assert_eq!(shifted("2.5e-06", 6), Some(2_500_000_000_000));
        assert_eq!(shifted("0.0000025", 6), Some(2_500_000_000_000));
        assert_eq!(shifted("8.333333333333334e-08", 6), Some(83_333_333_333));
        assert_eq!(shifted("0", 6), Some(0));
        assert_eq!(shifted("-1", 6), None);
        assert_eq!(shifted("1e9999999999999999999", 6), None);
        assert_eq!(shifted("1e30", 6), None);
        assert_eq!(decimal_text("\"0.25\""), Some("0.25"));
        assert_eq!(decimal_text("null"), None);
    }
}
