//! A usage as it is told: totals that include their parts, as providers report them, and the
//! disjoint meters under `meters`.

use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value};
use tollbook_types::Meters;
use tollbook_usage::import::usage_json;

/// Quantities with their public names.
#[derive(Clone, Debug)]
pub struct QuantitiesView(pub Meters);

impl Serialize for QuantitiesView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        usage_json(&self.0).serialize(serializer)
    }
}

/// The members of a usage that count tokens.
pub fn token_members(meters: &Meters) -> Map<String, Value> {
    let mut members = usage_json(meters);
    members.retain(|name, _| name.ends_with("_tokens"));
    members
}
