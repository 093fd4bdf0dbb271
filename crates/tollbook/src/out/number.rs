//! Numbers for people. Amounts are exact: every digit that there is, no rounding.

use tollbook_types::Money;

/// A count with its thousands apart: `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count in at most five characters: `999`, `1.2k`, `35.1M`. What is cut off is not rounded.
pub fn short_count(n: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    match UNITS.iter().find(|(unit, _)| n >= *unit) {
        None => n.to_string(),
        Some((unit, name)) if n / unit >= 100 => format!("{}{name}", n / unit),
        Some((unit, name)) => format!("{}.{}{name}", n / unit, n % unit / (unit / 10)),
    }
}

/// An amount with its sign before the dollar: `$0.002302`, `-$1.5`.
pub fn dollars(amount: Money) -> String {
    dollars_padded(amount, 0)
}

/// An amount for a glance: two places from a dollar on, four below, the last one rounded. What is there
/// never reads as nothing.
pub fn brief_dollars(amount: Money) -> String {
    const DOLLAR: u128 = 1_000_000_000_000;
    let picos = amount.picos().unsigned_abs();
    let (unit, places) = if picos >= DOLLAR { (DOLLAR / 100, 2) } else { (DOLLAR / 10_000, 4) };
    let sign = if amount.picos() < 0 { "-" } else { "" };
    let rounded = (picos + unit / 2) / unit;
    match (picos, rounded) {
        (0, _) => "$0.00".to_owned(),
        (_, 0) => format!("{sign}<$0.0001"),
        _ => {
            let one = DOLLAR / unit;
            let whole = u64::try_from(rounded / one).unwrap_or(u64::MAX);
            format!("{sign}${}.{:0places$}", count(whole), rounded % one)
        }
    }
}

/// The rate of a line in words: `$0.25 per 1,000,000`.
pub fn rate_words(picos: i64, per: u64) -> String {
    format!("{} per {}", dollars(Money::from_picos(i128::from(picos))), count(per))
}

/// The digits after the point that an amount needs, at least two.
pub fn decimals(amount: Money) -> usize {
    amount.to_string().split_once('.').map_or(0, |(_, fraction)| fraction.len()).max(2)
}

/// An amount with at least `places` digits after the point, so that amounts stand in line.
pub fn dollars_padded(amount: Money, places: usize) -> String {
    let text = amount.to_string();
    let (sign, plain) = match text.strip_prefix('-') {
        Some(plain) => ("-", plain),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = plain.split_once('.').unwrap_or((plain, ""));
    let whole = whole.parse::<u64>().map_or_else(|_| whole.to_owned(), count);
    let places = places.max(fraction.len());
    match places {
        0 => format!("{sign}${whole}"),
        _ => format!("{sign}${whole}.{fraction:0<places$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable_and_exact() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(short_count(999), "999");
        assert_eq!(short_count(1_250), "1.2k");
        assert_eq!(short_count(35_190_000), "35.1M");
        assert_eq!(short_count(135_190_000), "135M");
        assert_eq!(short_count(u64::MAX), "18446P");
        let money = |text: &str| text.parse::<Money>().unwrap();
        assert_eq!(dollars(money("0.00230225")), "$0.00230225");
        assert_eq!(dollars(money("-1234.5")), "-$1,234.5");
        assert_eq!(dollars_padded(money("12"), 4), "$12.0000");
        assert_eq!(dollars_padded(money("0.123456"), 4), "$0.123456");
        let brief = ["0", "4.125", "-1234.5678", "0.0123449", "0.999999", "0.00004", "0.00005", "123456789"];
        let brief = brief.map(|text| brief_dollars(money(text)));
        let wanted =
            ["$0.00", "$4.13", "-$1,234.57", "$0.0123", "$1.0000", "<$0.0001", "$0.0001", "$123,456,789.00"];
        assert_eq!(brief, wanted);
        assert_eq!((decimals(money("3")), decimals(money("0.125"))), (2, 3));
    }
}
