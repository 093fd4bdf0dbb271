//! From a provider's price text to its part of the book.

use crate::model::{Alias, Bound, DAYS, Model, PRICES_MAX, Price, Provider, Surcharge, Tier, Window};
use crate::problem::{Problem, did_you_mean};
use crate::rates::{PICOS_UNCONFIRMED_MAX, Rates, key, meter_of, parse_price, unit};
use crate::reader::{Reader, Table};
use crate::rule::{Pattern, Rule, Test};
use std::ops::Range;
use tollbook_types::{Meter, Money, Timestamp};

const PROVIDER_KEYS: &[&str] =
    &["provider", "source", "checked", "pages", "fallback", "strip", "fees", "model", "alias", "surcharge"];
const RULE_WORDS: [&str; 5] = ["exact", "prefix", "suffix", "contains", "regex"];
const MODEL_KEYS: &[&str] = &["id", "context_window", "retired", "note", "price"];
const PRICE_KEYS: &[&str] =
    &["from", "to", "daily", "days", "when", "tiers", "marginal", "source", "checked", "confirm"];
const TIER_KEYS: &[&str] = &["above", "at_or_above"];

/// Reads one provider's price text. Every problem is reported, or none and the provider.
pub fn parse_provider(file: &str, text: &str) -> Result<Provider, Vec<Problem>> {
    let mut reader = Reader::new(file, text);
    let root = reader.parse();
    if !reader.problems.is_empty() {
        return Err(reader.problems);
    }
    reader.known(&root, PROVIDER_KEYS);
    let mut provider = Provider {
        id: reader.string(&root, "provider").unwrap_or_default(),
        source: reader.string(&root, "source").unwrap_or_default(),
        checked: reader.string(&root, "checked").unwrap_or_default(),
        pages: owned(reader.texts(&root, "pages")),
        fallback: owned(reader.texts(&root, "fallback")),
        strip: owned(reader.texts(&root, "strip")),
        ..Provider::default()
    };
    if provider.id.is_empty() {
        reader
            .problem(0..0, "`provider` is missing: the id of the provider that the prices are of".to_owned());
    }
    if let Some((table, span)) = reader.table(&root, "fees") {
        provider.fees = rates(&mut reader, table, &[], true, &span);
    }
    for (table, span) in reader.tables(&root, "model") {
        let model = model(&mut reader, table, &span);
        if provider.models.iter().any(|known| known.id == model.id) {
            reader.problem(span, format!("model `{}` stands twice", model.id));
        }
        provider.models.push(model);
    }
    for (table, span) in reader.tables(&root, "alias") {
        let alias = alias(&mut reader, table, &span);
        provider.aliases.extend(alias);
    }
    for (table, span) in reader.tables(&root, "surcharge") {
        let surcharge = surcharge(&mut reader, table, &span);
        provider.surcharges.extend(surcharge);
    }
    if reader.problems.is_empty() { Ok(provider) } else { Err(reader.problems) }
}

fn owned(texts: Vec<(&str, Range<usize>)>) -> Vec<String> {
    texts.into_iter().map(|(text, _)| text.to_owned()).collect()
}

fn model(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>) -> Model {
    let mut known = MODEL_KEYS.to_vec();
    known.extend(RULE_WORDS);
    known.push("all");
    reader.known(table, &known);
    let mut model = Model {
        id: reader.string(table, "id").unwrap_or_default().to_lowercase(),
        rules: rules(reader, table),
        context_window: reader.number(table, "context_window"),
        retired: reader.flag(table, "retired"),
        note: reader.string(table, "note"),
        prices: Vec::new(),
    };
    if model.id.is_empty() {
        reader.problem(span.clone(), "`id` is missing".to_owned());
    }
    if model.rules.is_empty() {
        model.rules.push(Rule::one(Test::Exact(model.id.clone())));
    }
    let mut spans = Vec::new();
    for (inner, inner_span) in reader.tables(table, "price") {
        model.prices.push(price(reader, inner, &[], &inner_span));
        spans.push(inner_span);
    }
    if model.prices.len() > PRICES_MAX {
        reader.problem(span.clone(), format!("more than {PRICES_MAX} prices for one model"));
    }
    overlaps(reader, &model.prices, &spans);
    model
}

/// Notes prices of one kind whose dates overlap.
pub(crate) fn overlaps(reader: &mut Reader<'_>, prices: &[Price], spans: &[Range<usize>]) {
    for (nth, later) in prices.iter().enumerate() {
        for earlier in &prices[..nth] {
            if same_kind(earlier, later) && overlap(earlier, later) {
                let since = |price: &Price| price.from.as_ref().map_or("ever".to_owned(), |b| b.text.clone());
                let message = format!(
                    "its dates overlap those of another price for the same circumstance (from {}, and from {}): \
                     give the earlier one a `to`",
                    since(earlier),
                    since(later)
                );
                reader.problem(spans.get(nth).cloned().unwrap_or(0..0), message);
            }
        }
    }
}

/// Whether two prices are for the same circumstance, dates aside.
pub(crate) fn same_kind(one: &Price, other: &Price) -> bool {
    one.when == other.when && one.daily == other.daily && one.days == other.days
}

/// Whether there is an instant that both prices cover.
pub(crate) fn overlap(one: &Price, other: &Price) -> bool {
    let before = |a: &Price, b: &Price| match (&a.to, &b.from) {
        (Some(to), Some(from)) => to.at <= from.at,
        _ => false,
    };
    !before(one, other) && !before(other, one)
}

/// The rules of a table that has rule words as members.
pub(crate) fn rules(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for word in RULE_WORDS {
        for (text, span) in reader.texts(table, word) {
            rules.extend(test(reader, word, text, &span).map(Rule::one));
        }
    }
    for (inner, span) in reader.tables(table, "all") {
        let mut words = RULE_WORDS.to_vec();
        words.push("not_regex");
        reader.known(inner, &words);
        let mut tests = Vec::new();
        for word in words {
            if let Some((text, at)) = reader.text(inner, word) {
                tests.extend(test(reader, word, text, &at));
            }
        }
        if tests.is_empty() {
            reader.problem(
                span,
                "`all` needs at least one of exact, prefix, suffix, contains, regex".to_owned(),
            );
        } else {
            rules.push(Rule { tests });
        }
    }
    rules
}

fn test(reader: &mut Reader<'_>, word: &str, text: &str, span: &Range<usize>) -> Option<Test> {
    if text.is_empty() {
        reader.problem(span.clone(), format!("an empty `{word}` would match every model: write \"*\""));
        return None;
    }
    if text == "*" && word == "prefix" {
        return Some(Test::Any);
    }
    Test::from_parts(word, text)
}

/// The rule of a user's `model`: an exact name, `*`, or a beginning that ends in `*`.
pub(crate) fn model_rule(text: &str) -> Rule {
    let lower = text.to_lowercase();
    Rule::one(match lower.strip_suffix('*') {
        Some("") => Test::Any,
        Some(prefix) => Test::Prefix(prefix.to_owned()),
        None => Test::Exact(lower),
    })
}

/// One price: dates, circumstance, rates.
pub(crate) fn price(reader: &mut Reader<'_>, table: &Table<'_>, also: &[&str], span: &Range<usize>) -> Price {
    let mut other = PRICE_KEYS.to_vec();
    other.extend(also);
    let confirmed = reader.flag(table, "confirm");
    let (from, to) = dates(reader, table, span);
    let mut price = Price {
        from,
        to,
        daily: daily(reader, table),
        days: days(reader, table),
        when: when(reader, table),
        rates: rates(reader, table, &other, confirmed, span),
        tiers: tiers(reader, table, confirmed),
        marginal: reader.flag(table, "marginal"),
        source: reader.string(table, "source"),
        checked: reader.string(table, "checked"),
    };
    price.tiers.sort_by_key(|tier| tier.starts_at);
    price
}

/// `from` and `to`; an empty range is a problem.
pub(crate) fn dates(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    span: &Range<usize>,
) -> (Option<Bound>, Option<Bound>) {
    let mut read = |key: &str| {
        let (text, at) = reader.instant_text(table, key)?;
        let bound = parse_bound(&text);
        if bound.is_none() {
            reader.problem(at, format!("`{key}` must be a date such as 2026-11-15 or an RFC 3339 instant"));
        }
        bound
    };
    let (from, to) = (read("from"), read("to"));
    if let (Some(from), Some(to)) = (&from, &to)
        && from.at >= to.at
    {
        reader.problem(span.clone(), format!("`to` ({}) is not after `from` ({})", to.text, from.text));
    }
    (from, to)
}

/// A date, which is its midnight in UTC, or an RFC 3339 instant.
pub fn parse_bound(text: &str) -> Option<Bound> {
    let at: Timestamp = if text.len() == 10 {
        format!("{text}T00:00:00Z").parse().ok()?
    } else {
        tollbook_types::parse_instant(text).ok()?
    };
    Some(Bound { at, text: text.to_owned() })
}

fn daily(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<Window> {
    let mut windows = Vec::new();
    for (text, span) in reader.texts(table, "daily") {
        match parse_window(text) {
            Some(window) => windows.push(window),
            None => reader.problem(span, "`daily` is written like \"01:00-04:00\", in UTC".to_owned()),
        }
    }
    windows
}

/// `HH:MM-HH:MM`, optionally with seconds.
pub fn parse_window(text: &str) -> Option<Window> {
    let second = |clock: &str| -> Option<u32> {
        let mut parts = clock.split(':');
        let mut next = |max: u32| -> Option<u32> {
            let part = parts.next()?;
            let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse().ok().filter(|value: &u32| digits && *value <= max)
        };
        let (hour, minute) = (next(24)?, next(59)?);
        let rest = clock.split(':').nth(2).map_or(Some(0), |_| next(59))?;
        Some(hour * 3_600 + minute * 60 + rest).filter(|total| *total <= 86_400 && clock.len() <= 8)
    };
    let (from, to) = text.split_once('-')?;
    let window = Window { from: second(from)?, to: second(to)? };
    Some(window).filter(|w| w.from != w.to)
}

fn days(reader: &mut Reader<'_>, table: &Table<'_>) -> Option<u8> {
    table.get("days")?;
    let mut mask = 0;
    for (text, span) in reader.texts(table, "days") {
        match DAYS.iter().position(|day| *day == text) {
            Some(day) => mask |= 1 << day,
            None => reader.problem(span, format!("`{text}` is not a day: {}", DAYS.join(", "))),
        }
    }
    Some(mask)
}

/// The conditions of `when`: names and values in lower case.
pub(crate) fn when(reader: &mut Reader<'_>, table: &Table<'_>) -> Vec<(String, String)> {
    let Some((inner, _)) = reader.table(table, "when") else { return Vec::new() };
    let names: Vec<String> = inner.keys().map(|name| name.get_ref().to_string()).collect();
    let mut when = Vec::new();
    for name in names {
        if let Some(value) = reader.string(inner, &name) {
            when.push((name.to_lowercase(), value.to_lowercase()));
        }
    }
    when.sort();
    when
}

fn tiers(reader: &mut Reader<'_>, table: &Table<'_>, confirmed: bool) -> Vec<Tier> {
    let mut tiers: Vec<Tier> = Vec::new();
    for (inner, span) in reader.tables(table, "tiers") {
        let above = reader.number(inner, "above").map(|tokens| tokens.saturating_add(1));
        let at = reader.number(inner, "at_or_above");
        let starts_at = match (above, at) {
            (Some(start), None) | (None, Some(start)) => start,
            _ => {
                reader.problem(span.clone(), "a tier needs either `above` or `at_or_above`".to_owned());
                continue;
            }
        };
        if tiers.iter().any(|tier| tier.starts_at == starts_at) {
            reader.problem(span.clone(), format!("two tiers start at {starts_at}"));
        }
        let rates = rates(reader, inner, TIER_KEYS, confirmed, &span);
        tiers.push(Tier { starts_at, rates });
    }
    tiers
}

/// The members that are meters; `other` are the members that may stand beside them.
fn rates(
    reader: &mut Reader<'_>,
    table: &Table<'_>,
    other: &[&str],
    confirmed: bool,
    span: &Range<usize>,
) -> Rates {
    let mut rates = Rates::new();
    for (name, value) in table {
        let word: &str = name.get_ref();
        if other.contains(&word) {
            continue;
        }
        let Some(meter) = meter_of(word) else {
            let words = Meter::ALL.iter().map(|meter| key(*meter)).chain(other.iter().copied());
            let hint =
                did_you_mean(word, words).map_or(String::new(), |near| format!(", did you mean `{near}`?"));
            reader.problem(name.span(), format!("unknown key `{word}`{hint}"));
            continue;
        };
        let Some(text) = value.get_ref().as_str() else {
            let message = format!("the price `{word}` must be decimal text in quotes, such as \"2.50\"");
            reader.problem(value.span(), message);
            continue;
        };
        match parse_price(text) {
            Ok(picos) if !confirmed && picos > PICOS_UNCONFIRMED_MAX && unit(meter) == 1_000_000 => {
                let message = format!(
                    "`{word}` is ${text} per million, above $10,000: if it is not a mistake of units, add `confirm = true`"
                );
                reader.problem(value.span(), message);
            }
            Ok(picos) => {
                rates.insert(meter, picos);
            }
            Err(message) => reader.problem(value.span(), format!("`{word}`: {message}")),
        }
    }
    if rates.is_empty() && other.iter().any(|word| TIER_KEYS.contains(word)) {
        reader.problem(span.clone(), "a tier without a rate".to_owned());
    }
    rates
}

fn alias(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>) -> Option<Alias> {
    reader.known(table, &["name", "model", "from", "to"]);
    let name = reader.string(table, "name");
    let model = reader.string(table, "model");
    let (from, to) = dates(reader, table, span);
    let (Some(name), Some(model)) = (name, model) else {
        reader.problem(span.clone(), "an alias needs `name` and `model`".to_owned());
        return None;
    };
    Some(Alias { name: name.to_lowercase(), model: model.to_lowercase(), from, to })
}

fn surcharge(reader: &mut Reader<'_>, table: &Table<'_>, span: &Range<usize>) -> Option<Surcharge> {
    let mut known = vec!["when", "factor", "from", "to", "all"];
    known.extend(RULE_WORDS);
    reader.known(table, &known);
    let when = when(reader, table);
    let rules = rules(reader, table);
    let (from, to) = dates(reader, table, span);
    let factor = reader.text(table, "factor").and_then(|(text, at)| {
        let factor = text.parse::<Money>().ok().and_then(|money| u64::try_from(money.picos()).ok());
        if factor.is_none() {
            reader.problem(at, "`factor` must be a decimal number in quotes, such as \"1.1\"".to_owned());
        }
        factor
    });
    let Some(factor) = factor else {
        reader.problem(span.clone(), "a surcharge needs a `factor`".to_owned());
        return None;
    };
    Some(Surcharge { when, rules, factor, from, to })
}

/// Notes every expression of the rules that is not one.
pub(crate) fn check_rules<'r>(rules: impl IntoIterator<Item = &'r Rule>) -> Result<(), String> {
    for rule in rules {
        for test in &rule.tests {
            if let Test::Regex(pattern) | Test::NotRegex(pattern) = test {
                Pattern::check(pattern).map_err(|error| format!("`{}`: {error}", pattern.text()))?;
            }
        }
    }
    Ok(())
}
