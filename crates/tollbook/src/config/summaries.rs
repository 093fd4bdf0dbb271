//! `[[summaries]]`: what people are told of each day, week or month.

use super::budgets::{list, small};
use super::file::Reader;
use tollbook_api::SummaryForm;
use toml::de::DeTable;

/// The keys of one summary.
pub const KEYS: &[&str] = &["every", "hour", "by", "notify"];

/// Reads one summary. What its members mean is looked at with all others.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> SummaryForm {
    let mut form = SummaryForm::default();
    for (key, found) in table {
        let mut texts = || -> Vec<String> {
            list(reader, found).into_iter().filter_map(|text| reader.text(text)).collect()
        };
        match key.get_ref().as_ref() {
            "every" => form.every = reader.text(found).unwrap_or_default(),
            "hour" => form.hour = small(reader, found),
            "by" => form.by = Some(texts()),
            "notify" => form.notify = texts(),
            other => reader.unknown_key("summaries", other, key.span()),
        }
    }
    form
}
