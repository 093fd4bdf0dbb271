//! Bars: the same figures as the table, as lengths. Lengths are integers; the amounts beside them
//! are exact.

use crate::out::number::{decimals, dollars_padded};
use crate::out::text::{columns, cut, pad, visible};
use tollbook_types::Money;

/// Parts of a full block, by eighths.
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
/// A bar is not drawn shorter than this, at its longest.
const BAR_MIN: usize = 8;

/// One bar: its label and amount; `None` where there is none.
pub type Bar = (String, Option<Money>);

/// The lines of a bar chart.
pub fn bars(bars: &[Bar], width: usize) -> Vec<String> {
    let places = bars.iter().filter_map(|(_, amount)| *amount).map(decimals).max().unwrap_or(2);
    let figures: Vec<String> = bars
        .iter()
        .map(|(_, amount)| {
            amount.map_or_else(|| "unpriced".to_owned(), |amount| dollars_padded(amount, places))
        })
        .collect();
    let figure_width = figures.iter().map(|figure| columns(figure)).max().unwrap_or(0);
    let label_max = width.saturating_sub(figure_width + BAR_MIN + 2);
    let labels: Vec<String> = bars.iter().map(|(label, _)| cut(&visible(label), label_max)).collect();
    let label_width = labels.iter().map(|label| columns(label)).max().unwrap_or(0);
    let bar_width = width.saturating_sub(label_width + figure_width + 2).max(1);
    let longest = bars.iter().filter_map(|(_, amount)| *amount).max().unwrap_or(Money::ZERO);
    labels
        .iter()
        .zip(bars)
        .zip(&figures)
        .map(|((label, (_, amount)), figure)| {
            let bar = bar(amount.unwrap_or(Money::ZERO), longest, bar_width);
            let space = " ".repeat(figure_width.saturating_sub(columns(figure)));
            format!("{} {} {space}{figure}", pad(label, label_width), pad(&bar, bar_width))
        })
        .collect()
}

/// A bar of `amount` where `longest` takes all of `width`. Anything above nothing shows.
fn bar(amount: Money, longest: Money, width: usize) -> String {
    let (part, whole) = (amount.picos().max(0), longest.picos());
    if part == 0 || whole <= 0 {
        return String::new();
    }
    let eighths = i128::try_from(width).unwrap_or(0) * 8;
    // Amounts past 10^34 picodollars do not occur; a saturated bar would only be too short.
    let length = usize::try_from(part.saturating_mul(eighths) / whole).unwrap_or(0).clamp(1, width * 8);
    format!("{}{}", "█".repeat(length / 8), EIGHTHS[length % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_in_proportion() {
        let money = |text: &str| Some(text.parse::<Money>().unwrap());
        let lines = bars(
            &[
                ("a".into(), money("8")),
                ("bb".into(), money("1")),
                ("c".into(), None),
                ("d".into(), money("0.01")),
            ],
            20,
        );
        assert_eq!(
            lines,
            ["a  ████████    $8.00", "bb █           $1.00", "c           unpriced", "d  ▏           $0.01"]
        );
        assert!(bars(&[], 80).is_empty());
    }
}
