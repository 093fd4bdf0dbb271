//! Problems in price texts: where, what, and what was probably meant.

use std::fmt;

/// One problem in a price text. All problems of a text are reported at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The text's name, such as `my-prices.toml`.
    pub file: String,
    /// The line, from 1; 0 where no single place is to blame.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            return write!(f, "{}: {}", self.file, self.message);
        }
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// The one of `known` that `word` was probably meant to be.
pub(crate) fn did_you_mean<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let distance = strsim::osa_distance(&lower, candidate);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.filter(|(distance, candidate)| *distance <= 1 + candidate.chars().count() / 3)
        .map(|(_, known)| known)
}
