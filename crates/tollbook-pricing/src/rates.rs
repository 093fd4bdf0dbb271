//! Rates by meter, and the units that prices are written in.

use std::collections::BTreeMap;
use tollbook_types::{Meter, Money};

/// The dearest token price that passes without `confirm = true`, in picodollars per million.
pub(crate) const PICOS_UNCONFIRMED_MAX: i64 = 10_000 * 1_000_000_000_000;

/// The number of units that a price of this meter pays for: a million tokens or characters, an
/// hour (in milliseconds), a thousand of anything else.
pub const fn unit(meter: Meter) -> u64 {
    match meter {
        Meter::Citation | Meter::Characters => 1_000_000,
        Meter::AudioMs | Meter::VideoMs => 3_600_000,
        meter if meter.is_token() => 1_000_000,
        _ => 1_000,
    }
}

/// The word for a meter's price in a price text. It is the meter's name, but for durations, which
/// are priced by the hour.
pub const fn key(meter: Meter) -> &'static str {
    match meter {
        Meter::AudioMs => "audio_hour",
        Meter::VideoMs => "video_hour",
        meter => meter.name(),
    }
}

/// The meter that a price text's word stands for.
pub fn meter_of(key_text: &str) -> Option<Meter> {
    Meter::ALL.iter().copied().find(|meter| key(*meter) == key_text)
}

/// Picodollars for [`unit`] units of each meter.
pub type Rates = BTreeMap<Meter, i64>;

/// Reads a price: decimal US dollars, not negative.
pub(crate) fn parse_price(text: &str) -> Result<i64, String> {
    let money: Money = text.parse().map_err(|error| format!("{error}: a price is written like \"2.50\""))?;
    if money.is_negative() {
        return Err("a price cannot be negative".to_owned());
    }
    i64::try_from(money.picos()).map_err(|_| "price too large".to_owned())
}

/// A price as decimal text.
pub fn price_text(picos: i64) -> String {
    Money::from_picos(i128::from(picos)).to_string()
}

/// `picos` times a factor in trillionths, rounded half to even; `None` when it does not fit.
pub(crate) fn scale(picos: i64, factor: u64) -> Option<i64> {
    let (amount, _) = tollbook_types::charge(factor, i128::from(picos), 1_000_000_000_000)?;
    i64::try_from(amount.picos()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_meter_has_a_word_and_a_unit() {
        for meter in Meter::ALL {
            assert_eq!(meter_of(key(*meter)), Some(*meter));
            assert!(unit(*meter) > 0);
        }
        assert_eq!(meter_of("inputs"), None);
    }

    #[test]
    fn prices_are_exact_and_never_negative() {
        assert_eq!(parse_price("0.003625"), Ok(3_625_000_000));
        assert!(parse_price("-1").is_err());
        assert!(parse_price("1e-3").is_err());
        assert!(parse_price("99999999999").is_err());
        assert_eq!(scale(3, 1_100_000_000_000), Some(3));
        assert_eq!(scale(2_000_000, 1_100_000_000_000), Some(2_200_000));
    }
}
