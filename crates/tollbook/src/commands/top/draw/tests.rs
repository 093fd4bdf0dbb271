//! What is drawn, as text.

use super::*;
use crate::commands::top::feed::{Figures, News};
use crate::commands::top::state::{Key, Wants};
use crate::commands::top::streams::Stream;
use crate::config::NamedZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

/// Names that would do something to a terminal that obeyed them.
const HOSTILE: [&str; 4] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "a\u{202e}b\r\n\tc",
    "模型名称模型名称模型名称模型名称",
    "\u{9b}31m\u{200b}x",
];

fn sums(key: &str, cost: &str) -> Sums {
    Sums {
        key: Some(key.to_owned()),
        calls: 1_234,
        errors: 2,
        input_tokens: 5_200_000,
        output_tokens: 310_000,
        total_tokens: 5_510_000,
        cost_usd: cost.parse().ok(),
        latency_ms_avg: Some(1_310),
        ..Sums::default()
    }
}

fn figures(wants: Wants) -> Figures {
    let call = |n: usize| {
        json!({"id": format!("call-{n}"), "occurred_at": "2026-11-23T10:00:01Z", "model": HOSTILE[n % 4],
               "user": "ann", "status": "ok", "latency_ms": 900, "cost_usd": "0.0123", "error": null,
               "usage": {"input_tokens": 1200, "output_tokens": 300}})
    };
    let budget = |name: &str, used: i128| Standing {
        name: name.to_owned(),
        at_limit: "block".to_owned(),
        used: used * 1_000_000_000_000,
        limit: 10_000_000_000_000,
        is_usd: true,
        resets_at: "2026-11-24T00:00:00Z".parse().ok(),
    };
    let second = "2026-11-23T10:00:02Z".parse::<tollbook_types::Timestamp>().unwrap().as_second();
    let named = HOSTILE.iter().map(|name| sums(name, "1.5"));
    Figures {
        second,
        wants,
        total: sums("", "12.5"),
        today: sums("", "4.1"),
        last_hour: sums("", "0.9"),
        month: sums("", "40"),
        month_passed: (1, 2),
        series: (0..24).map(|n| sums("", &format!("{n}"))).collect(),
        rows: named.chain([sums("gpt-5.5", "7"), sums("free", "")]).collect(),
        days: vec![(0, sums("", "1")), (83, sums("", "4"))],
        first_day: 83,
        budgets: vec![budget(HOSTILE[0], 12), budget("team ops", 4)],
        calls: (0..40).map(call).collect(),
    }
}

fn drawn(view: char, size: (u16, u16), then: impl FnOnce(&mut State)) -> Vec<String> {
    let mut state = State::new(NamedZone::default(), true);
    state.press(Key::Char(view));
    state.hear(News::Figures(Box::new(figures(state.wants()))));
    let stream = Stream { model: HOSTILE[1].to_owned(), output_tokens_estimate: 1_250, ..Stream::default() };
    state.hear(News::Streams(vec![stream]));
    then(&mut state);
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| all(frame, &state)).unwrap();
    let buffer = terminal.backend().buffer();
    let row = |y: u16| -> String { (0..size.0).map(|x| buffer[(x, y)].symbol()).collect() };
    (0..size.1).map(row).collect()
}

#[test]
fn every_view_fits_and_says_what_it_is_about() {
    let cases: [(char, &[&str]); 5] = [
        (
            '1',
            &[
                "120 % SPENT $12.00 of $10.00 · 13 h",
                "$0.9000/h",
                "at this pace $80.00",
                "1 running",
                "▁",
                "$0.0123",
            ],
        ),
        ('2', &["gpt-5.5", "cost↓", "$7.00", "1,234"]),
        ('3', &["user", "gpt-5.5"]),
        ('4', &["10:00:01", "$0.0123"]),
        ('5', &["Mon ░░", "Sun", "up to $4.00"]),
    ];
    for (view, wanted) in cases {
        for size in [(60, 16), (120, 40), (40, 8), (300, 60)] {
            let lines = drawn(view, size, |_| {});
            let text = lines.join("\n");
            let is_small = size == (40, 8);
            for words in wanted.iter().filter(|_| !is_small) {
                assert!(text.contains(words), "{view} {size:?} lacks {words:?}:\n{text}");
            }
            assert!(text.contains("$12.50"), "{view} {size:?}\n{text}");
            assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{view} {size:?}");
            assert!(!text.contains(['\u{202e}', '\u{200b}']), "{view} {size:?}");
            // A wide character takes two cells, of which the second is empty.
            assert!(lines.iter().all(|line| columns(line) <= usize::from(size.0) * 2));
        }
    }
}

#[test]
fn a_call_opens_and_help_and_filters_are_seen() {
    let open = drawn('4', (80, 24), |state| {
        state.press(Key::Enter);
    })
    .join("\n");
    assert!(open.contains("call-0") && open.contains("latency ms") && !open.contains("\nerror "), "{open}");
    let help = drawn('1', (60, 16), |state| {
        state.press(Key::Char('?'));
    })
    .join("\n");
    assert!(help.contains("sort by cost, name, tokens"), "{help}");
    let typing = drawn('1', (60, 16), |state| {
        for c in "/user=\u{1b}x".chars() {
            state.press(Key::Char(c));
        }
    });
    assert!(typing[15].starts_with("filter: user=␛x"), "{}", typing[15]);
    let failed = drawn('1', (60, 16), |state| state.hear(News::Problem("it is gone\u{7}".to_owned())));
    assert!(failed[15].starts_with("! it is gone␇"), "{}", failed[15]);
    let tiny = drawn('1', (20, 3), |_| {}).join("");
    assert!(tiny.contains("40 columns and 8"), "{tiny}");
}

#[test]
fn the_chosen_row_stays_in_sight() {
    let lines = drawn('4', (60, 16), |state| {
        for _ in 0..39 {
            state.press(Key::Down);
        }
    });
    assert_eq!(lines.iter().filter(|line| line.contains("10:00:01")).count(), 12);
}
