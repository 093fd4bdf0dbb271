//! Ratios of counts, as decimal text: no floating point number is ever made of them.

use crate::money::{Money, divide_half_even};
use serde::{Serialize, Serializer};
use std::fmt;

/// Picodollars' decimals less a ratio's: what brings millionths to the form that [`Money`] writes.
const PICOS_PER_MILLIONTH: i128 = 1_000_000;

/// One count by another, in whole millionths, rounded half to even.
///
/// ```
/// use tollbook_types::Ratio;
/// assert_eq!(Ratio::of(2, 3).unwrap().to_string(), "0.666667");
/// assert_eq!(Ratio::of(1, 0), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(i128);

impl Ratio {
    /// `part / whole`; `None` when `whole` is 0.
    pub fn of(part: u64, whole: u64) -> Option<Ratio> {
        // Fits: a count has 64 bits, a million 20.
        let (millionths, _) = divide_half_even(i128::from(part) * 1_000_000, i128::from(whole))?;
        Some(Ratio(millionths))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Money::from_picos(self.0.saturating_mul(PICOS_PER_MILLIONTH)).fmt(f)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_round_half_to_even_at_six_places() {
        let cases: &[(u64, u64, Option<&str>)] = &[
            (0, 5, Some("0")),
            (5, 5, Some("1")),
            (1, 3, Some("0.333333")),
            (2, 3, Some("0.666667")),
            (1, 2_000_000, Some("0")),
            (3, 2_000_000, Some("0.000002")),
            (5, 2_000_000, Some("0.000002")),
            (7, 2, Some("3.5")),
            (u64::MAX, 1, Some("18446744073709551615")),
            (1, u64::MAX, Some("0")),
            (0, 0, None),
        ];
        for (part, whole, text) in cases {
            let found = Ratio::of(*part, *whole).map(|ratio| ratio.to_string());
            assert_eq!(found.as_deref(), *text, "{part} / {whole}");
        }
    }
}
