//! A usage as it is told: totals that include their parts, as providers report them, and the
//! disjoint meters under `meters`.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};
use tollbook_types::{Meters, Usage};
use tollbook_usage::import::usage_json;

/// Quantities with their public names.
#[derive(Clone, Debug)]
pub struct QuantitiesView(pub Usage);

impl Serialize for QuantitiesView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        usage_members(&self.0).serialize(serializer)
    }
}

/// The public members of a usage: the provider's own totals where it has others than the sums of
/// what it bills, and always the billed quantities under `meters`.
pub fn usage_members(usage: &Usage) -> Map<String, Value> {
    let mut members = usage_json(&usage.total());
    if usage.reported.is_empty() {
        return members;
    }
    members.retain(|name, _| name == "meters" || !name.ends_with("_tokens"));
    for (name, quantity) in &usage.reported {
        members.insert(name.clone(), Value::from(*quantity));
    }
    let total = |name: &str| usage.reported.get(name).copied().unwrap_or(0);
    members.entry("input_tokens").or_insert(Value::from(total("input_tokens")));
    members.entry("output_tokens").or_insert(Value::from(total("output_tokens")));
    let sum = total("input_tokens").saturating_add(total("output_tokens"));
    members.insert("total_tokens".to_owned(), Value::from(sum));
    members
}

/// The members of a usage that count tokens.
pub fn token_members(meters: &Meters) -> Map<String, Value> {
    let mut members = usage_json(meters);
    members.retain(|name, _| name.ends_with("_tokens"));
    members
}
