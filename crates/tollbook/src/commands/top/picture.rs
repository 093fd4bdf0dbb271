//! Figures as lengths and shades. Integers all the way.

use tollbook_types::Money;

const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SHADES: [char; 5] = ['·', '░', '▒', '▓', '█'];

/// A bar of `width` columns of which so many per cent are full; more than all is all.
pub fn bar(percent: u32, width: usize) -> String {
    let full = (usize::try_from(percent.min(100)).unwrap_or(100) * width).div_ceil(100);
    format!("{}{}", "█".repeat(full), "░".repeat(width.saturating_sub(full)))
}

/// Amounts as a line of steps, the last `width` of them; what is more than nothing shows.
pub fn spark(amounts: &[Money], width: usize) -> String {
    let shown = &amounts[amounts.len().saturating_sub(width)..];
    let most = shown.iter().copied().max().unwrap_or_default();
    shown.iter().map(|amount| STEPS[level(*amount, most, STEPS.len())]).collect()
}

/// An amount as a shade, by its place among all amounts, least first: one odd day does not make the
/// others alike.
pub fn shade(amount: Money, all: &[Money]) -> char {
    if amount.picos() <= 0 || all.is_empty() {
        return SHADES[0];
    }
    let below = all.partition_point(|other| *other < amount);
    let shades = SHADES.len() - 1;
    SHADES[1 + (below * shades / all.len()).min(shades - 1)]
}

/// Which of so many levels an amount has.
fn level(amount: Money, most: Money, levels: usize) -> usize {
    let (part, whole) = (amount.picos().max(0), most.picos());
    if whole <= 0 {
        return 0;
    }
    let top = i128::try_from(levels).unwrap_or(1) - 1;
    usize::try_from(part.saturating_mul(top) / whole).unwrap_or(0).min(levels - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_in_proportion() {
        let money = |text: &str| text.parse::<Money>().unwrap();
        assert_eq!((bar(0, 4), bar(41, 10), bar(400, 2)), ("░░░░".into(), "█████░░░░░".into(), "██".into()));
        assert_eq!(spark(&[money("0"), money("1"), money("7"), money("3.5")], 9), "▁▂█▄");
        assert_eq!(spark(&[money("5"), money("1")], 1), "█");
        assert_eq!(spark(&[], 5), "");
        assert_eq!(spark(&[Money::ZERO], 5), "▁");
        let all = ["0.01", "1", "4", "900"].map(money);
        let shades: String =
            ["0", "0.01", "1", "4", "900"].iter().map(|amount| shade(money(amount), &all)).collect();
        assert_eq!(shades, "·░▒▓█");
    }
}
