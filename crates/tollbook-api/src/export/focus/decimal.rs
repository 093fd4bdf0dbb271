//! Decimal numbers as FOCUS has them: plain digits with a point, also in whole numbers, which its readers
//! would take for another type otherwise.

/// `value / 10^decimals`.
pub fn digits(value: i128, decimals: usize) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", value.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = all.split_at(all.len() - decimals);
    match fraction.trim_end_matches('0') {
        "" => format!("{sign}{whole}.0"),
        fraction => format!("{sign}{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_on_their_side_of_the_point() {
        for (value, decimals, shown) in [
            (0, 0, "0.0"),
            (0, 12, "0.0"),
            (41_530, 0, "41530.0"),
            (250_000, 12, "0.00000025"),
            (-1, 12, "-0.000000000001"),
            (1_500_000_000_000, 12, "1.5"),
            (i128::MAX, 18, "170141183460469231731.687303715884105727"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728.0"),
        ] {
            assert_eq!(digits(value, decimals), shown);
        }
    }
}
