//! JSON numbers with exactly the digits of an amount: nothing passes through a float.

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use tollbook_store::Measures;
use tollbook_types::{Money, charge};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// A decimal number, as its digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number(String);

impl From<Money> for Number {
    fn from(amount: Money) -> Number {
        Number(amount.to_string())
    }
}

impl Number {
    /// `amount × times ÷ by`, rounded half to even at the twelfth place; 0 where there is nothing to
    /// divide by.
    pub fn share(amount: Money, times: u64, by: u64) -> Number {
        let share = charge(times, amount.picos(), by).map_or(Money::ZERO, |(share, _)| share);
        Number::from(share)
    }

    /// `count ÷ by`, likewise.
    pub fn ratio(count: u64, by: u64) -> Number {
        const ONE: i128 = 1_000_000_000_000;
        let whole = charge(count, ONE, by).map_or(Money::ZERO, |(ratio, _)| ratio);
        Number::from(whole)
    }

    /// Milliseconds as seconds.
    pub fn seconds(ms: u64) -> Number {
        Number(format!("{}.{:03}", ms / 1_000, ms % 1_000))
    }

    /// What a set of calls costs.
    pub fn cost(sums: &Measures) -> Number {
        Number::from(sums.cost)
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.0.clone()).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

impl PartialSchema for Number {
    fn schema() -> RefOr<Schema> {
        let about = "An amount, exact: a number with at most twelve places.";
        ObjectBuilder::new().schema_type(Type::Number).description(Some(about)).into()
    }
}

impl ToSchema for Number {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_exactly_their_digits() {
        let usd = |text: &str| text.parse::<Money>().unwrap();
        for (number, text) in [
            (Number::from(usd("0.002302")), "0.002302"),
            (Number::from(usd("12345678901234567.123456789012")), "12345678901234567.123456789012"),
            (Number::share(usd("1"), 24, 168), "0.142857142857"),
            (Number::share(usd("1"), 1, 0), "0"),
            (Number::ratio(1, 3), "0.333333333333"),
            (Number::ratio(7, 0), "0"),
            (Number::seconds(2_340), "2.340"),
        ] {
            assert_eq!(serde_json::to_string(&number).unwrap(), text);
        }
    }
}
