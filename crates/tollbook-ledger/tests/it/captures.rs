//! Captured words go with their person and with their time, and come in behind neither.

use crate::rig::{Rig, event, with};
use std::sync::Arc;
use tollbook_ledger::{By, ErasureOrder, Ledger, Retention};
use tollbook_sqlite::SqliteCaptures;
use tollbook_store::Zone;
use tollbook_types::{Capture, Captured, Event};

fn capture(id: &str, at: &str, user: Option<&str>, project: Option<&str>) -> Capture {
    let asked = Captured { text: format!("asked in {id}"), is_cut: false };
    let (user, project) = (user.map(str::to_owned), project.map(str::to_owned));
    Capture { id: id.to_owned(), at: at.parse().unwrap(), user, project, prompt: Some(asked), answer: None }
}

fn call(id: &str, user: &str, response: &str) -> Event {
    with(event(id, 10, 10), |event| {
        event.attribution.user = Some(user.to_owned());
        event.provider_response_id = Some(response.to_owned());
    })
}

/// The clock of the rig stands at 2026-09-21T14:13:20Z.
const BEFORE: &str = "2026-09-21T10:00:00Z";
const AFTER: &str = "2026-09-21T15:00:00Z";

fn open(rig: &Rig) -> Ledger {
    let ledger = rig.open();
    let place = SqliteCaptures::open(&rig.data().captures(), None).unwrap();
    ledger.keep_captures(Arc::new(place)).unwrap();
    ledger
}

fn left<'a>(ledger: &Ledger, ids: &[&'a str]) -> Vec<&'a str> {
    let place = ledger.captures().unwrap();
    ids.iter().copied().filter(|id| place.get(id).unwrap().is_some()).collect()
}

fn erase(ledger: &Ledger, user: &str, project: Option<&str>) {
    let project = project.map(str::to_owned);
    ledger.erase(&By::local(), &ErasureOrder { user: user.into(), project, reason: "asked".into() }).unwrap();
}

#[test]
fn words_go_with_their_person() {
    let rig = Rig::new();
    let ledger = open(&rig);
    // Told of without a user first, and with one by another source: the words know of none.
    let joined = [
        with(call("j", "ann", "r-1"), |event| event.attribution.user = None),
        with(call("other", "ann", "r-1"), |event| event.source = "otel".into()),
    ];
    ledger.submit(joined.to_vec()).unwrap();
    let ids = ["web", "lab", "later", "bob", "j", "none"];
    let all = [
        capture("web", BEFORE, Some("ann"), Some("web")),
        capture("lab", BEFORE, Some("ann"), Some("lab")),
        capture("later", AFTER, Some("ann"), Some("web")),
        capture("bob", BEFORE, Some("bob"), Some("web")),
        capture("j", BEFORE, None, None),
        capture("none", BEFORE, None, None),
    ];
    ledger.capture(all.to_vec()).unwrap();
    assert_eq!(left(&ledger, &ids), ids);
    erase(&ledger, "ann", Some("lab"));
    assert_eq!(left(&ledger, &ids), ["web", "later", "bob", "j", "none"]);
    erase(&ledger, "ann", None);
    assert_eq!(left(&ledger, &ids), ["later", "bob", "none"]);
    // What waited meanwhile comes in behind the erasure.
    ledger.capture(all.to_vec()).unwrap();
    assert_eq!(left(&ledger, &ids), ["later", "bob", "j", "none"]);
    ledger.close().unwrap();

    // A file of before, as from a copy of the disk, is cleared at the next start.
    let place = SqliteCaptures::open(&rig.data().captures(), None).unwrap();
    tollbook_store::Captures::put(&place, &all).unwrap();
    drop(place);
    let ledger = open(&rig);
    assert_eq!(left(&ledger, &ids), ["later", "bob", "j", "none"]);
    assert!(ledger.keep_captures(ledger.captures().unwrap().clone()).is_err(), "there is one place");
}

#[test]
fn words_go_with_their_time_and_no_later_than_their_calls() {
    let ids = ["today", "yesterday", "week"];
    let cases: [(Option<u32>, Option<u32>, &[&str]); 4] = [
        (None, None, &ids),
        (Some(7), None, &["today", "yesterday"]),
        (Some(7), Some(1), &["today"]),
        (Some(1), Some(7), &["today"]),
    ];
    for (capture_days, entries_days, expected) in cases {
        let rig = Rig::new();
        let ledger = open(&rig);
        let days = ["2026-09-21T00:00:00Z", "2026-09-20T23:59:59Z", "2026-09-14T23:59:59Z"];
        let captures = ids.iter().zip(days).map(|(id, at)| capture(id, at, None, None));
        ledger.capture(captures.collect()).unwrap();
        let retention = Retention { entries_days, raw_days: None, capture_days, zone: Zone::UTC };
        let done = ledger.retain(&By::local(), &retention).unwrap();
        assert_eq!(left(&ledger, &ids), expected, "{capture_days:?} {entries_days:?}");
        assert_eq!(done.captures as usize, ids.len() - expected.len());
        assert_eq!(rig.verify(), Vec::<String>::new());
    }
}
