//! From a provider's part of the book to its price text; the reverse of [`crate::parse_provider`].

use crate::model::{Alias, Bound, DAYS, Model, Price, Provider, Surcharge, Window};
use crate::rates::{Rates, key, price_text};
use crate::rule::Rule;
use std::fmt::Write as _;

/// Writes a provider's prices as a text that reads back as the same prices.
pub fn write_provider(provider: &Provider) -> String {
    let mut out = String::new();
    line(&mut out, "provider", &quoted(&provider.id));
    line(&mut out, "source", &quoted(&provider.source));
    line(&mut out, "checked", &quoted(&provider.checked));
    for (word, texts) in
        [("pages", &provider.pages), ("fallback", &provider.fallback), ("strip", &provider.strip)]
    {
        if !texts.is_empty() {
            line(&mut out, word, &list(texts.iter().map(String::as_str)));
        }
    }
    if !provider.fees.is_empty() {
        out.push_str("\n[fees]\n");
        rates(&mut out, &provider.fees);
    }
    for model in &provider.models {
        write_model(&mut out, model);
    }
    for alias in &provider.aliases {
        write_alias(&mut out, alias);
    }
    for surcharge in &provider.surcharges {
        write_surcharge(&mut out, surcharge);
    }
    out
}

fn write_model(out: &mut String, model: &Model) {
    out.push_str("\n[[model]]\n");
    line(out, "id", &quoted(&model.id));
    if !model.is_only_id() {
        write_rules(out, &model.rules);
    }
    if let Some(tokens) = model.context_window {
        line(out, "context_window", &tokens.to_string());
    }
    if model.retired {
        line(out, "retired", "true");
    }
    if let Some(note) = &model.note {
        line(out, "note", &quoted(note));
    }
    for price in &model.prices {
        out.push_str("[[model.price]]\n");
        write_price(out, price);
    }
}

fn write_rules(out: &mut String, rules: &[Rule]) {
    for word in ["exact", "prefix", "suffix", "contains", "regex"] {
        let single = rules.iter().filter(|rule| rule.tests.len() == 1);
        let texts: Vec<&str> = single
            .map(|rule| rule.tests[0].parts())
            .filter(|(kind, _)| *kind == word)
            .map(|(_, t)| t)
            .collect();
        match texts.as_slice() {
            [] => {}
            [one] => line(out, word, &quoted(one)),
            many => line(out, word, &list(many.iter().copied())),
        }
    }
    if rules.iter().any(|rule| rule.tests.len() == 1 && rule.tests[0].parts().0 == "any") {
        line(out, "prefix", "\"*\"");
    }
    let compound: Vec<String> = rules.iter().filter(|rule| rule.tests.len() > 1).map(compound_rule).collect();
    if !compound.is_empty() {
        line(out, "all", &format!("[{}]", compound.join(", ")));
    }
}

fn compound_rule(rule: &Rule) -> String {
    let tests: Vec<String> = rule
        .tests
        .iter()
        .map(|test| {
            let (word, text) = test.parts();
            format!("{word} = {}", quoted(text))
        })
        .collect();
    format!("{{ {} }}", tests.join(", "))
}

fn write_price(out: &mut String, price: &Price) {
    write_dates(out, price.from.as_ref(), price.to.as_ref());
    if !price.when.is_empty() {
        line(out, "when", &conditions(&price.when));
    }
    if !price.daily.is_empty() {
        let windows: Vec<String> = price.daily.iter().map(window_text).collect();
        line(out, "daily", &list(windows.iter().map(String::as_str)));
    }
    if let Some(mask) = price.days {
        line(
            out,
            "days",
            &list(DAYS.iter().enumerate().filter(|(day, _)| mask & (1 << day) != 0).map(|(_, d)| *d)),
        );
    }
    rates(out, &price.rates);
    if price.marginal {
        line(out, "marginal", "true");
    }
    if !price.tiers.is_empty() {
        let tiers: Vec<String> = price
            .tiers
            .iter()
            .map(|tier| {
                let start = match tier.starts_at % 10 {
                    1 => format!("above = {}", tier.starts_at - 1),
                    _ => format!("at_or_above = {}", tier.starts_at),
                };
                let rates =
                    tier.rates.iter().map(|(m, p)| format!("{} = {}", key(*m), quoted(&price_text(*p))));
                let parts: Vec<String> = std::iter::once(start).chain(rates).collect();
                format!("    {{ {} }},\n", parts.join(", "))
            })
            .collect();
        line(out, "tiers", &format!("[\n{}]", tiers.concat()));
    }
    for (word, text) in [("source", &price.source), ("checked", &price.checked)] {
        if let Some(text) = text {
            line(out, word, &quoted(text));
        }
    }
    let confirmed = price.rates.values().chain(price.tiers.iter().flat_map(|tier| tier.rates.values()));
    if confirmed.into_iter().any(|picos| *picos > crate::rates::PICOS_UNCONFIRMED_MAX) {
        line(out, "confirm", "true");
    }
}

fn write_alias(out: &mut String, alias: &Alias) {
    out.push_str("\n[[alias]]\n");
    line(out, "name", &quoted(&alias.name));
    line(out, "model", &quoted(&alias.model));
    write_dates(out, alias.from.as_ref(), alias.to.as_ref());
}

fn write_surcharge(out: &mut String, surcharge: &Surcharge) {
    out.push_str("\n[[surcharge]]\n");
    line(out, "when", &conditions(&surcharge.when));
    write_rules(out, &surcharge.rules);
    let factor = tollbook_types::Money::from_picos(i128::from(surcharge.factor)).to_string();
    line(out, "factor", &quoted(&factor));
    write_dates(out, surcharge.from.as_ref(), surcharge.to.as_ref());
}

fn write_dates(out: &mut String, from: Option<&Bound>, to: Option<&Bound>) {
    for (word, bound) in [("from", from), ("to", to)] {
        if let Some(bound) = bound {
            line(out, word, &quoted(&bound.text));
        }
    }
}

fn rates(out: &mut String, rates: &Rates) {
    for (meter, picos) in rates {
        line(out, key(*meter), &quoted(&price_text(*picos)));
    }
}

fn conditions(when: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        when.iter().map(|(name, value)| format!("{} = {}", bare(name), quoted(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// A part of the day as text.
pub(crate) fn window_text(window: &Window) -> String {
    let clock = |second: u32| match second % 60 {
        0 => format!("{:02}:{:02}", second / 3_600, second / 60 % 60),
        rest => format!("{:02}:{:02}:{rest:02}", second / 3_600, second / 60 % 60),
    };
    format!("{}-{}", clock(window.from), clock(window.to))
}

fn line(out: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{key} = {value}");
}

fn list<'t>(texts: impl Iterator<Item = &'t str>) -> String {
    let quoted: Vec<String> = texts.map(quoted).collect();
    let joined = quoted.join(", ");
    if joined.len() < 90 { format!("[{joined}]") } else { format!("[\n    {},\n]", quoted.join(",\n    ")) }
}

/// A TOML key: quoted where it must be.
fn bare(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { quoted(name) }
}

/// A TOML string: literal where that is shorter to read.
fn quoted(text: &str) -> String {
    let plain = !text.chars().any(|c| c.is_control() || c == '\u{7f}');
    if plain && !text.contains(['"', '\\']) {
        return format!("\"{text}\"");
    }
    if plain && !text.contains('\'') {
        return format!("'{text}'");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() || c == '\u{7f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
