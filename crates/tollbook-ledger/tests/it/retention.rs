//! What is past its time goes, and nothing else; an unattended run believes no clock blindly.

use crate::rig::{Rig, event, with};
use serde_json::json;
use tollbook_ledger::{By, Retained, Retention};
use tollbook_store::{EventStore, Zone};
use tollbook_types::Event;

/// The clock of the rig stands at 2026-09-21T14:13:20Z.
fn told(id: &str, occurred: &str) -> Event {
    with(event(id, 10, 10), |event| {
        event.occurred_at = occurred.parse().unwrap();
        event.raw_usage = Some("{\"prompt_tokens\":10}".into());
        event.attribution.metadata = Some(json!({"note": id}));
    })
}

fn keeping(entries_days: Option<u32>, raw_days: Option<u32>) -> Retention {
    Retention { entries_days, raw_days, capture_days: None, zone: Zone::UTC }
}

/// Ids that are left, with a star where raw usage and metadata are left too.
fn left(rig: &Rig, ids: &[&str]) -> Vec<String> {
    let found = ids.iter().filter_map(|id| rig.store.calls_by_id(id).unwrap().pop().map(|call| (id, call)));
    let star = |call: &tollbook_store::StoredCall| {
        let event = &call.entry.event;
        assert_eq!(event.raw_usage.is_some(), event.attribution.metadata.is_some());
        if event.raw_usage.is_some() { "*" } else { "" }
    };
    found.map(|(id, call)| format!("{id}{}", star(&call))).collect()
}

const CALLS: [(&str, &str); 4] = [
    ("today", "2026-09-21T00:00:00Z"),
    ("yesterday", "2026-09-20T23:59:59Z"),
    ("week", "2026-09-15T00:00:00Z"),
    ("older", "2026-09-14T23:59:59Z"),
];

#[test]
fn what_is_past_its_time_goes() {
    let ids = CALLS.map(|(id, _)| id);
    let cases: [(Option<u32>, Option<u32>, &[&str]); 5] = [
        (None, None, &["today*", "yesterday*", "week*", "older*"]),
        (Some(7), None, &["today*", "yesterday*", "week*"]),
        (None, Some(7), &["today*", "yesterday*", "week*", "older"]),
        (Some(7), Some(1), &["today*", "yesterday", "week"]),
        (Some(1), Some(7), &["today*"]),
    ];
    for (entries, raw, expected) in cases {
        let rig = Rig::new();
        let ledger = rig.open();
        ledger.submit(CALLS.map(|(id, at)| told(id, at)).to_vec()).unwrap();
        let retention = keeping(entries, raw);
        let done = ledger.retain(&By::local(), &retention).unwrap();
        assert_eq!(left(&rig, &ids), expected, "{entries:?} {raw:?}");
        assert_eq!((done.purged.is_some(), done.stripped.is_some()), (entries.is_some(), raw.is_some()));
        assert_eq!(rig.verify(), Vec::<String>::new());
        let again = ledger.retain(&By::local(), &retention).unwrap();
        assert_eq!(again.purged.map_or(0, |purged| purged.calls), 0);
        assert_eq!(again.stripped.map_or(0, |stripped| stripped.calls), 0);
        ledger.close().unwrap();
        drop(rig.open());
        assert_eq!(left(&rig, &ids), expected, "after a start: {entries:?} {raw:?}");
        assert_eq!(rig.verify(), Vec::<String>::new());
    }
}

#[test]
fn unattended_runs_wait_for_a_person_where_the_clock_may_be_wrong() {
    let rig = Rig::new();
    let ledger = rig.open();
    ledger.submit(CALLS.map(|(id, at)| told(id, at)).to_vec()).unwrap();
    let retention = keeping(Some(7), Some(7));
    let (done, doubt) = ledger.retain_unattended(&retention).unwrap();
    assert_eq!((done.purged.unwrap().calls, doubt), (1, None));
    rig.clock.advance_seconds(365 * 86_400);
    let (done, doubt) = ledger.retain_unattended(&retention).unwrap();
    assert!(done == Retained::default() && doubt.unwrap().contains("stepped"));
    ledger.close().unwrap();
    // A start after the step sees a long silence.
    let ledger = rig.open();
    let (done, doubt) = ledger.retain_unattended(&retention).unwrap();
    assert!(done == Retained::default() && doubt.unwrap().contains("more than a week"));
    assert_eq!(ledger.retain(&By::local(), &retention).unwrap().purged.unwrap().calls, 3);
    assert_eq!(ledger.retain_unattended(&retention).unwrap().1, None, "a person has said that it is right");
}

#[test]
fn days_that_make_no_sense_are_refused() {
    let rig = Rig::new();
    let ledger = rig.open();
    for days in [0, u32::MAX] {
        assert!(ledger.retain(&By::local(), &keeping(Some(days), None)).is_err(), "{days}");
        assert!(ledger.retain(&By::local(), &keeping(None, Some(days))).is_err(), "{days}");
    }
}
