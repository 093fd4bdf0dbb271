//! `[[budgets]]`: budgets that stand in the configuration.

use super::file::Reader;
use std::collections::BTreeMap;
use tollbook_budget::BudgetForm;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of one budget.
pub const KEYS: &[&str] = &[
    "name",
    "match",
    "each",
    "limit_usd",
    "limit_tokens",
    "limit_calls",
    "window",
    "minutes",
    "first_day",
    "reset_day",
    "time_zone",
    "at_limit",
    "downgrade",
    "warn_at",
    "mode",
    "fit_max_tokens",
    "notify",
];

/// Reads one budget. What its members mean is looked at when it is put in force.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> BudgetForm {
    let mut form = BudgetForm::default();
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "name" => form.name = reader.text(found).unwrap_or_default(),
            "match" => form.matches = texts(reader, found),
            "each" => form.each = reader.text(found),
            "limit_usd" => form.limit_usd = reader.text(found),
            "limit_tokens" => form.limit_tokens = reader.whole(found),
            "limit_calls" => form.limit_calls = reader.whole(found),
            "window" => form.window = reader.text(found).unwrap_or_default(),
            "minutes" => form.minutes = small(reader, found),
            "first_day" => form.first_day = reader.text(found),
            "reset_day" => form.reset_day = small(reader, found),
            "time_zone" => form.time_zone = reader.text(found),
            "at_limit" => form.at_limit = reader.text(found),
            "downgrade" => form.downgrade = texts(reader, found),
            "warn_at" => {
                form.warn_at =
                    Some(list(reader, found).into_iter().filter_map(|n| small(reader, n)).collect());
            }
            "mode" => form.mode = reader.text(found),
            "fit_max_tokens" => form.fit_max_tokens = reader.truth(found),
            "notify" => {
                form.notify = list(reader, found).into_iter().filter_map(|text| reader.text(text)).collect();
            }
            other => reader.unknown_key("budgets", other, key.span()),
        }
    }
    form
}

pub(super) fn texts(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>) -> BTreeMap<String, String> {
    let DeValue::Table(table) = found.get_ref() else {
        reader.problem(found.span(), "it must be a table of texts, such as { \"tag.team\" = \"ops\" }");
        return BTreeMap::new();
    };
    let pairs =
        table.iter().filter_map(|(key, value)| Some((key.get_ref().to_string(), reader.text(value)?)));
    pairs.collect()
}

pub(super) fn list<'t, 'i>(
    reader: &mut Reader<'_>,
    found: &'t Spanned<DeValue<'i>>,
) -> Vec<&'t Spanned<DeValue<'i>>> {
    match found.get_ref() {
        DeValue::Array(items) => items.iter().collect(),
        _ => {
            reader.problem(found.span(), "it must be a list in brackets");
            Vec::new()
        }
    }
}

pub(super) fn small<N: TryFrom<u64>>(reader: &mut Reader<'_>, found: &Spanned<DeValue<'_>>) -> Option<N> {
    let number = reader.whole(found)?;
    let small = N::try_from(number).ok();
    if small.is_none() {
        reader.problem(found.span(), "it is too large");
    }
    small
}
