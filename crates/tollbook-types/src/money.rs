//! Money as a checked integer of picodollars (1e-12 USD), and the one place where a charge rounds.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// Picodollars in one dollar.
const PICOS_PER_USD: i128 = 1_000_000_000_000;
/// Decimal places that a picodollar amount can have in dollars.
const DECIMALS: i64 = 12;
/// The longest amount text that is read; longer is refused before any work.
const TEXT_BYTES_MAX: usize = 128;

/// An amount of US dollars, exact to the picodollar.
///
/// The amount never passes through a floating point number: it is read from decimal text, kept as
/// an `i128` and written as decimal text. There is no unchecked arithmetic.
///
/// ```
/// use tollbook_types::Money;
/// let cost: Money = "0.00230225".parse().unwrap();
/// assert_eq!(cost.picos(), 2_302_250_000);
/// assert_eq!(cost.to_string(), "0.00230225");
/// assert_eq!(Money::from_picos(-1_500_000_000_000).to_string(), "-1.5");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i128);

/// Why a text is not an amount of money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// The text is not a plain decimal number.
    #[error("not a decimal amount")]
    NotDecimal,
    /// More than twelve decimal places would be needed.
    #[error("more than 12 decimal places")]
    TooPrecise,
    /// The amount does not fit.
    #[error("amount too large")]
    TooLarge,
}

impl Money {
    /// No money.
    pub const ZERO: Money = Money(0);

    /// An amount from picodollars.
    pub const fn from_picos(picos: i128) -> Money {
        Money(picos)
    }

    /// The amount in picodollars.
    pub const fn picos(self) -> i128 {
        self.0
    }

    /// The sum, or `None` on overflow.
    pub fn checked_add(self, other: Money) -> Option<Money> {
        self.0.checked_add(other.0).map(Money)
    }

    /// The difference, or `None` on overflow.
    pub fn checked_sub(self, other: Money) -> Option<Money> {
        self.0.checked_sub(other.0).map(Money)
    }

    /// The sum of all, or `None` on overflow.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Money>) -> Option<Money> {
        amounts.into_iter().try_fold(Money::ZERO, Money::checked_add)
    }

    /// What `many` units cost where `units` of them cost this, rounded half to even to the
    /// picodollar: an average, for reports. No charge is made with it.
    ///
    /// `None` without units, or on overflow.
    ///
    /// ```
    /// use tollbook_types::Money;
    /// assert_eq!(Money::from_picos(5).per(1, 2), Some(Money::from_picos(2)));
    /// assert_eq!(Money::from_picos(5).per(1_000, 0), None);
    /// ```
    pub fn per(self, many: u64, units: u64) -> Option<Money> {
        let product = self.0.checked_mul(i128::from(many))?;
        divide_half_even(product, i128::from(units)).map(|(amount, _)| Money(amount))
    }

    /// Whether the amount is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Reads the decimal text of a bill that somebody else computed, such as a provider's `cost`
    /// member: an exponent is allowed and digits past the picodollar are rounded half to even.
    ///
    /// ```
    /// use tollbook_types::Money;
    /// assert_eq!(Money::parse_rounding("7.125e-06").unwrap().to_string(), "0.000007125");
    /// assert_eq!(Money::parse_rounding("0.0000000000025").unwrap().picos(), 2);
    /// ```
    pub fn parse_rounding(text: &str) -> Result<Money, MoneyError> {
        let decimal = Decimal::parse(text, true)?;
        decimal.to_picos(true)
    }
}

/// What `quantity` units cost at `picos` per `per` units, and whether the amount had to be rounded
/// (half to even, to the picodollar). This is the only division in the product that makes a charge.
///
/// `None` when the amount overflows or `per` is 0.
///
/// ```
/// use tollbook_types::{Money, charge};
/// assert_eq!(charge(4_153, 250_000, 1), Some((Money::from_picos(1_038_250_000), false)));
/// assert_eq!(charge(1, 1, 2), Some((Money::ZERO, true)));
/// assert_eq!(charge(3, 1, 2), Some((Money::from_picos(2), true)));
/// ```
pub fn charge(quantity: u64, picos: i128, per: u64) -> Option<(Money, bool)> {
    let product = i128::from(quantity).checked_mul(picos)?;
    let (amount, rounded) = divide_half_even(product, i128::from(per))?;
    Some((Money(amount), rounded))
}

/// `numerator / denominator` rounded half to even, and whether anything was rounded away.
pub(crate) fn divide_half_even(numerator: i128, denominator: i128) -> Option<(i128, bool)> {
    if denominator <= 0 {
        return None;
    }
    let quotient = numerator.div_euclid(denominator);
    let remainder = numerator.rem_euclid(denominator);
    let twice = remainder.checked_mul(2)?;
    let up = twice > denominator || (twice == denominator && quotient % 2 != 0);
    Some((if up { quotient.checked_add(1)? } else { quotient }, remainder != 0))
}

/// The longest amount text: a sign, 27 digits, the point and twelve decimals.
const WRITTEN_BYTES_MAX: usize = 48;

/// An amount as decimal text, without trailing zeros.
struct Written {
    bytes: [u8; WRITTEN_BYTES_MAX],
    len: usize,
}

impl Written {
    fn of(money: Money) -> Written {
        let magnitude = money.0.unsigned_abs();
        let unit = PICOS_PER_USD.unsigned_abs();
        // The fraction with a one in front keeps its leading zeros.
        let fraction = (magnitude % unit + unit) as u64;
        let mut written = Written { bytes: [0; WRITTEN_BYTES_MAX], len: 0 };
        if money.0 < 0 {
            written.push(b"-");
        }
        written.push(itoa::Buffer::new().format(magnitude / unit).as_bytes());
        let mut buffer = itoa::Buffer::new();
        let decimals = buffer.format(fraction)[1..].trim_end_matches('0');
        if !decimals.is_empty() {
            written.push(b".");
            written.push(decimals.as_bytes());
        }
        written
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(Written::of(*self).text())
    }
}

impl FromStr for Money {
    type Err = MoneyError;

    /// Reads an exact amount: digits, at most one point, an optional minus, at most twelve
    /// decimal places and no exponent.
    fn from_str(text: &str) -> Result<Money, MoneyError> {
        Decimal::parse(text, false)?.to_picos(false)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Written::of(*self).text())
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Money, D::Error> {
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = Money;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal amount in a string, such as \"0.0025\"")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Money, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Decimal text taken apart: `digits` × 10^`exponent`, before it becomes picodollars.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn parse(text: &str, exponent_allowed: bool) -> Result<Decimal, MoneyError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(MoneyError::TooLarge);
        }
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) if exponent_allowed => {
                let exponent = &rest[at + 1..];
                let plain = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(MoneyError::NotDecimal);
                }
                let value = exponent.parse::<i64>().map_err(|_| MoneyError::TooLarge)?;
                (&rest[..at], value)
            }
            Some(_) => return Err(MoneyError::NotDecimal),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let plain = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let has_point = mantissa.contains('.');
        if whole.is_empty() || !plain(whole) || !plain(fraction) || (has_point && fraction.is_empty()) {
            return Err(MoneyError::NotDecimal);
        }
        let digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|b| b - b'0').collect();
        let exponent = exponent.checked_sub(fraction.len() as i64).ok_or(MoneyError::TooLarge)?;
        Ok(Decimal { negative, digits, exponent })
    }

    fn to_picos(&self, rounding: bool) -> Result<Money, MoneyError> {
        let significant: &[u8] = match self.digits.iter().position(|d| *d != 0) {
            None => return Ok(Money::ZERO),
            Some(first) => &self.digits[first..],
        };
        // Scaled to picodollars, the value is `significant` followed by `shift` zeros (or cut by it).
        let shift = self.exponent.saturating_add(DECIMALS);
        let magnitude = if shift >= 0 {
            if shift > 40 {
                return Err(MoneyError::TooLarge);
            }
            append_digits(significant.iter().copied().chain(std::iter::repeat_n(0, shift as usize)))?
        } else {
            let dropped = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
            let kept_len = significant.len().saturating_sub(dropped);
            let (kept, cut) = significant.split_at(kept_len);
            let exact = cut.iter().all(|d| *d == 0);
            if !exact && !rounding {
                return Err(MoneyError::TooPrecise);
            }
            let value = append_digits(kept.iter().copied())?;
            // Leading zeros of the cut part count: 0.04 picos is far below a half.
            let at_half = cut.len() == dropped;
            let first = cut.first().copied().unwrap_or(0);
            let rest = cut.iter().skip(1).any(|d| *d != 0);
            let up = at_half && (first > 5 || (first == 5 && (rest || value % 2 == 1)));
            value + i128::from(up)
        };
        Ok(Money(if self.negative { -magnitude } else { magnitude }))
    }
}

fn append_digits(digits: impl Iterator<Item = u8>) -> Result<i128, MoneyError> {
    digits
        .into_iter()
        .try_fold(0_i128, |value, digit| value.checked_mul(10)?.checked_add(i128::from(digit)))
        .filter(|value| *value < i128::MAX)
        .ok_or(MoneyError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use num_bigint::BigInt;
    use num_rational::BigRational;
    use proptest::prelude::*;

    #[test]
    fn reads_exact_amounts_and_refuses_the_rest() {
        let cases: &[(&str, Result<i128, MoneyError>)] = &[
            ("0", Ok(0)),
            ("-0", Ok(0)),
            ("1", Ok(1_000_000_000_000)),
            ("0.000000000001", Ok(1)),
            ("-0.25", Ok(-250_000_000_000)),
            ("0.0000000000010", Ok(1)),
            ("0.0000000000001", Err(MoneyError::TooPrecise)),
            ("1e-3", Err(MoneyError::NotDecimal)),
            ("", Err(MoneyError::NotDecimal)),
            (".5", Err(MoneyError::NotDecimal)),
            ("5.", Err(MoneyError::NotDecimal)),
            ("+1", Err(MoneyError::NotDecimal)),
            ("1 ", Err(MoneyError::NotDecimal)),
            ("NaN", Err(MoneyError::NotDecimal)),
            ("١", Err(MoneyError::NotDecimal)),
            ("999999999999999999999999999999", Err(MoneyError::TooLarge)),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Money>().map(Money::picos), *expected, "{text:?}");
        }
    }

    #[test]
    fn rounds_a_reported_bill_half_to_even() {
        let cases: &[(&str, i128)] = &[
            ("1e-7", 100_000),
            ("1E+2", 100_000_000_000_000),
            ("0.0000000000005", 0),
            ("0.0000000000015", 2),
            ("0.00000000000050001", 1),
            ("0.00000000000005", 0),
            ("-0.0000000000015", -2),
            ("0.12345678901234567890123456789012345", 123_456_789_012),
            ("1e-400", 0),
        ];
        for (text, picos) in cases {
            assert_eq!(Money::parse_rounding(text).map(Money::picos), Ok(*picos), "{text}");
        }
        for bad in ["1e", "e1", "1e1e1", "0x1", "Infinity", "1e999999999999999999999"] {
            assert!(Money::parse_rounding(bad).is_err(), "{bad}");
        }
    }

    /// The oracle: arbitrary precision, written without looking at the code above.
    fn oracle_charge(quantity: u64, picos: i128, per: u64) -> BigInt {
        let exact = BigRational::new(BigInt::from(quantity) * BigInt::from(picos), BigInt::from(per));
        let floor = exact.floor().to_integer();
        let half = BigRational::new(BigInt::from(1), BigInt::from(2));
        let rest = exact - BigRational::from_integer(floor.clone());
        let two = BigInt::from(2);
        if rest > half || (rest == half && (&floor % &two) != BigInt::from(0)) { floor + 1 } else { floor }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_000_000, failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn charges_equal_a_big_rational_oracle(
            quantity in prop_oneof![0_u64..100_000, any::<u64>()],
            picos in prop_oneof![0_i128..100_000_000, -1_000_000_000_000_000_i128..1_000_000_000_000_000_i128],
            per in prop_oneof![Just(1_u64), Just(2), Just(3), Just(1_000), Just(3_600_000), Just(1_000_000), 1_u64..10_000],
        ) {
            let (amount, rounded) = charge(quantity, picos, per).unwrap();
            prop_assert_eq!(BigInt::from(amount.picos()), oracle_charge(quantity, picos, per));
            let product = BigInt::from(quantity) * BigInt::from(picos);
            prop_assert_eq!(rounded, (product % BigInt::from(per)) != BigInt::from(0));
        }
    }

    #[test]
    fn writes_amounts_in_full() {
        let cases: &[(i128, &str)] = &[
            (0, "0"),
            (1, "0.000000000001"),
            (-1_500_000_000_000, "-1.5"),
            (100_000_000_000_000, "100"),
            (1_000_000_000_010, "1.00000000001"),
            (i128::MAX, "170141183460469231731687303.715884105727"),
            (i128::MIN, "-170141183460469231731687303.715884105728"),
        ];
        for (picos, text) in cases {
            assert_eq!(Money::from_picos(*picos).to_string(), *text);
            assert_eq!(serde_json::to_string(&Money::from_picos(*picos)).unwrap(), format!("\"{text}\""));
        }
        assert_eq!(format!("{:>6}", Money::from_picos(500_000_000_000)), "   0.5");
    }

    proptest! {
        #[test]
        fn text_and_amount_are_each_other_s_inverse(picos in any::<i64>()) {
            let money = Money::from_picos(i128::from(picos));
            prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
            prop_assert_eq!(Money::parse_rounding(&money.to_string()), Ok(money));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Money>();
            let _ = Money::parse_rounding(&text);
        }
    }
}
