//! `[[alerts]]`: rules over the calls and the books.

use super::budgets::{list, small};
use super::file::Reader;
use tollbook_budget::rules::RuleForm;
use toml::de::DeTable;

/// The keys of one rule.
pub const KEYS: &[&str] = &["kind", "enabled", "percent", "minutes", "calls", "times", "by", "notify"];

/// Reads one rule. What its members mean is looked at with all others.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> RuleForm {
    let mut form = RuleForm::default();
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "kind" => form.kind = reader.text(found).unwrap_or_default(),
            "enabled" => form.enabled = reader.truth(found),
            "percent" => form.percent = small(reader, found),
            "minutes" => form.minutes = small(reader, found),
            "calls" => form.calls = small(reader, found),
            "times" => form.times = small(reader, found),
            "by" | "notify" => {
                let texts = list(reader, found).into_iter().filter_map(|text| reader.text(text)).collect();
                *(if key.get_ref() == "by" { &mut form.by } else { &mut form.notify }) = texts;
            }
            other => reader.unknown_key("alerts", other, key.span()),
        }
    }
    form
}
