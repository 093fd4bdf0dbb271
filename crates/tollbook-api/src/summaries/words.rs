//! A summary in words. Amounts are rounded to cents here, where people read them; what programs read
//! is exact.

use crate::wire::SummaryView;
use serde_json::json;
use tollbook_ledger::alerts::{Alert, Every, Summary, Top, TopRow, Used};
use tollbook_notify::Message;
use tollbook_store::Zone;
use tollbook_types::Money;

/// A name that is shown, in characters.
const NAME_CHARS_MAX: usize = 80;
/// What stands where an amount would be of which nothing is known.
const UNPRICED: &str = "unpriced";
const PICOS_PER_CENT: u128 = 10_000_000_000;

/// It in one line.
pub fn title(summary: &Summary, zone: &Zone) -> String {
    let Summary { every, from, used, before, .. } = summary;
    let date = zone.to_datetime(*from).date();
    let period = match every {
        Every::Day => date.to_string(),
        Every::Week => format!("Week from {date}"),
        Every::Month => date.strftime("%Y-%m").to_string(),
    };
    let changed = change_of_cost(used, before);
    let change = changed.map_or_else(String::new, |change| format!(" ({change})"));
    format!("{period}: {}{change}, {}", cost(used), calls(used.calls, used.unpriced_calls))
}

/// What a channel is told of it.
pub fn message_of(alert: &Alert, summary: &Summary) -> Message {
    let every = summary.every.name();
    let mut data = serde_json::to_value(SummaryView::of(summary)).unwrap_or_default();
    data["id"] = json!(alert.id);
    Message {
        id: alert.id.clone(),
        kind: format!("summary.{every}"),
        at: alert.at,
        title: alert.summary.clone(),
        text: text(summary),
        data,
    }
}

/// It in some lines.
fn text(summary: &Summary) -> String {
    let Summary { every, used, before, .. } = summary;
    let line = |name: &str, now: String, then: String, change: Option<String>| {
        let change = change.map(|change| format!(", {change}")).unwrap_or_default();
        format!("{name}: {now} (the {} before: {then}{change})", every.name())
    };
    let count = |name: &str, now: u64, then: u64| {
        line(name, grouped(now), grouped(then), change(i128::from(now), i128::from(then)))
    };
    let mut lines = vec![
        count("Requests", used.calls, before.calls),
        count("Tokens", used.tokens, before.tokens),
        line("Cost", cost(used), cost(before), change_of_cost(used, before)),
        count("Users", used.users, before.users),
    ];
    if used.errors > 0 || before.errors > 0 {
        lines.push(count("Failed", used.errors, before.errors));
    }
    if used.unpriced_calls > 0 {
        lines.push(format!(
            "Without a price or of unknown usage, and in no sum: {} calls",
            grouped(used.unpriced_calls)
        ));
    }
    for top in &summary.top {
        lines.push(String::new());
        lines.extend(ranking(top, used.cost));
    }
    lines.push(format!("\nDays of {}.", summary.zone));
    lines.join("\n")
}

fn ranking(top: &Top, total: Money) -> Vec<String> {
    let share = |cost: Money| match tenths(cost.picos(), total.picos()) {
        Some(share) => format!("{} ({share} %)", dollars(cost)),
        None => dollars(cost),
    };
    let row = |(place, row): (usize, &TopRow)| {
        let TopRow { value, cost, unpriced_calls, .. } = row;
        let name = value.as_deref().map_or_else(|| "(none)".to_owned(), shown);
        let amount = if is_unpriced(*cost, *unpriced_calls) { UNPRICED.to_owned() } else { share(*cost) };
        format!("{}. {name}: {amount}, {}", place + 1, calls(row.calls, *unpriced_calls))
    };
    let mut lines = vec![format!("Dearest by {}:", shown(&top.by))];
    lines.extend(top.rows.iter().enumerate().map(row));
    if top.others > 0 {
        lines.push(format!("{} others: {}", grouped(top.others), share(top.others_cost)));
    }
    lines
}

/// What was used cost; nothing that has no price is told as free.
fn cost(used: &Used) -> String {
    if is_unpriced(used.cost, used.unpriced_calls) { UNPRICED.to_owned() } else { dollars(used.cost) }
}

/// By how much it has changed, where there is an amount.
fn change_of_cost(used: &Used, before: &Used) -> Option<String> {
    let is_known = !is_unpriced(used.cost, used.unpriced_calls);
    change(used.cost.picos(), before.cost.picos()).filter(|_| is_known)
}

fn is_unpriced(cost: Money, unpriced_calls: u64) -> bool {
    unpriced_calls > 0 && cost == Money::ZERO
}

/// So many calls, and how many of them are in no sum.
fn calls(all: u64, unpriced: u64) -> String {
    match unpriced {
        0 => format!("{} calls", grouped(all)),
        unpriced if unpriced == all => format!("{} calls, all without a price", grouped(all)),
        unpriced => format!("{} calls, {} without a price", grouped(all), grouped(unpriced)),
    }
}

/// A name that came with calls, on one line and not too long.
fn shown(name: &str) -> String {
    let cut = name.chars().count() > NAME_CHARS_MAX;
    let name = name.chars().take(NAME_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c });
    name.chain(cut.then_some('…')).collect()
}

/// By how much it has changed, in percent; `None` where there was nothing.
fn change(now: i128, then: i128) -> Option<String> {
    let text = tenths(now.checked_sub(then)?, then)?;
    Some(if text.starts_with('-') { format!("{text} %") } else { format!("+{text} %") })
}

/// A part of a whole in percent, to a tenth; `None` of nothing.
fn tenths(part: i128, whole: i128) -> Option<String> {
    let tenths = part.checked_mul(1_000)?.checked_div(whole).filter(|_| whole > 0)?;
    let sign = if tenths < 0 { "-" } else { "" };
    Some(format!("{sign}{}.{}", tenths.unsigned_abs() / 10, tenths.unsigned_abs() % 10))
}

/// An amount to the cent; a smaller one in full.
fn dollars(amount: Money) -> String {
    let picos = amount.picos().unsigned_abs();
    if picos < PICOS_PER_CENT {
        return format!("{amount} USD");
    }
    let cents = (picos + PICOS_PER_CENT / 2) / PICOS_PER_CENT;
    let sign = if amount.is_negative() { "-" } else { "" };
    let whole = u64::try_from(cents / 100).map_or_else(|_| (cents / 100).to_string(), grouped);
    format!("{sign}{whole}.{:02} USD", cents % 100)
}

/// A number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_changes_are_short() {
        for (usd, text) in [
            ("0", "0 USD"),
            ("0.0012", "0.0012 USD"),
            ("0.01", "0.01 USD"),
            ("0.0149", "0.01 USD"),
            ("0.995", "1.00 USD"),
            ("12345.678", "12,345.68 USD"),
            ("-1234.5", "-1,234.50 USD"),
        ] {
            assert_eq!(dollars(usd.parse().unwrap()), text);
        }
        for (now, then, text) in [
            (15, 10, Some("+50.0 %")),
            (10, 10, Some("+0.0 %")),
            (0, 10, Some("-100.0 %")),
            (995, 1_000, Some("-0.5 %")),
            (5, 0, None),
            (5, -10, None),
            (i128::MAX, 1, None),
        ] {
            assert_eq!(change(now, then).as_deref(), text, "{now} {then}");
        }
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn a_summary_is_some_lines_whatever_names_come_with_calls() {
        let row = |value: Option<&str>, cost: &str, unpriced_calls: u64| TopRow {
            value: value.map(str::to_owned),
            calls: 2,
            unpriced_calls,
            tokens: 10,
            cost: cost.parse().unwrap(),
        };
        let summary = Summary {
            every: Every::Week,
            from: "2026-11-15T23:00:00Z".parse().unwrap(),
            to: "2026-11-22T23:00:00Z".parse().unwrap(),
            zone: "Europe/Berlin".to_owned(),
            used: Used {
                calls: 6,
                errors: 1,
                unpriced_calls: 1,
                tokens: 1_500,
                cost: "3".parse().unwrap(),
                users: 2,
            },
            before: Used { calls: 3, cost: "4".parse().unwrap(), ..Used::default() },
            top: vec![Top {
                by: "user".to_owned(),
                rows: vec![
                    row(Some("a\nb"), "2", 0),
                    row(None, "0.5", 1),
                    row(Some(&"x".repeat(300)), "0.25", 0),
                    row(Some("house"), "0", 2),
                ],
                others: 12,
                others_cost: "0.25".parse().unwrap(),
            }],
        };
        assert_eq!(
            title(&summary, &Zone::get("Europe/Berlin").unwrap()),
            "Week from 2026-11-16: 3.00 USD (-25.0 %), 6 calls, 1 without a price"
        );
        let long = format!("3. {}…: 0.25 USD (8.3 %), 2 calls", "x".repeat(80));
        assert_eq!(
            text(&summary).lines().collect::<Vec<_>>(),
            [
                "Requests: 6 (the week before: 3, +100.0 %)",
                "Tokens: 1,500 (the week before: 0)",
                "Cost: 3.00 USD (the week before: 4.00 USD, -25.0 %)",
                "Users: 2 (the week before: 0)",
                "Failed: 1 (the week before: 0)",
                "Without a price or of unknown usage, and in no sum: 1 calls",
                "",
                "Dearest by user:",
                "1. a b: 2.00 USD (66.6 %), 2 calls",
                "2. (none): 0.50 USD (16.6 %), 2 calls, 1 without a price",
                &long,
                "4. house: unpriced, 2 calls, all without a price",
                "12 others: 0.25 USD (8.3 %)",
                "",
                "Days of Europe/Berlin.",
            ]
        );
        let used = Used { calls: 6, unpriced_calls: 6, ..Used::default() };
        let nothing = Summary { used, ..summary };
        let title = title(&nothing, &Zone::get("Europe/Berlin").unwrap());
        assert_eq!(title, "Week from 2026-11-16: unpriced, 6 calls, all without a price");
    }
}
