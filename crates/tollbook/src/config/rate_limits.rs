//! `[[rate_limits]]`: rate limits that stand in the configuration.

use super::budgets::texts;
use super::file::Reader;
use tollbook_budget::RateLimitForm;
use toml::de::DeTable;

/// The keys of one rate limit.
pub const KEYS: &[&str] = RateLimitForm::MEMBERS;

/// Reads one rate limit. What its members mean is looked at when it is put in force.
pub fn read(reader: &mut Reader<'_>, table: &DeTable<'_>) -> RateLimitForm {
    let mut form = RateLimitForm::default();
    for (key, found) in table {
        match key.get_ref().as_ref() {
            "name" => form.name = reader.text(found).unwrap_or_default(),
            "match" => form.matches = texts(reader, found),
            "each" => form.each = reader.text(found),
            "requests_per_minute" => form.requests_per_minute = reader.whole(found),
            "tokens_per_minute" => form.tokens_per_minute = reader.whole(found),
            "concurrent_calls" => form.concurrent_calls = reader.whole(found),
            "identical_per_minute" => form.identical_per_minute = reader.whole(found),
            other => reader.unknown_key("rate_limits", other, key.span()),
        }
    }
    form
}
