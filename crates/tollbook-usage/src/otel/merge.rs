//! Several layers may trace one call and all name the provider's id for its answer: that is one event.

use std::collections::HashMap;
use tollbook_types::limits::FLAGS_MAX;
use tollbook_types::{Event, Usage};

/// One event for each identity, in the order in which they came first. The fuller usage counts, and
/// what only the other says of the account is filled in; figures that contradict each other are flagged.
pub fn merge(events: Vec<Event>) -> Vec<Event> {
    let mut places: HashMap<(Option<String>, String), usize> = HashMap::with_capacity(events.len());
    let mut merged: Vec<Event> = Vec::with_capacity(events.len());
    for event in events {
        let key = (event.attribution.project.clone(), event.id.clone());
        match places.get(&key) {
            Some(place) => join(&mut merged[*place], event),
            None => {
                places.insert(key, merged.len());
                merged.push(event);
            }
        }
    }
    merged
}

fn join(kept: &mut Event, mut other: Event) {
    if fullness(&other) > fullness(kept) {
        std::mem::swap(kept, &mut other);
    }
    kept.attribution.fill_from(&other.attribution);
    let total = |event: &Event| event.usage.as_ref().map(Usage::total).unwrap_or_default();
    let flag = format!("usage_differs: {}", other.source);
    if total(kept).contradicts(&total(&other)) && !kept.flags.contains(&flag) && kept.flags.len() < FLAGS_MAX
    {
        kept.flags.push(flag);
    }
}

/// More tokens are fuller: a layer that knows nothing of the cache leaves it out. Of as many tokens,
/// those told in more parts.
fn fullness(event: &Event) -> (u64, usize) {
    let total = event.usage.as_ref().map(Usage::total).unwrap_or_default();
    (total.total_tokens(), total.iter().count())
}
