//! Erasing a person: gone from everywhere, also out of backups and after kills, and no sum changes.

use crate::books::{self, Books, call};
use crate::rig::{event, with};
use crate::worker::Worker;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tollbook_ledger::{
    By, DataDir, Durability, Erased, ErasureOrder, LedgerError, NewKey, Outcome, Settlement, journal,
};
use tollbook_store::{ControlStore, Dimension, EventStore, Filter, Interval, UsageQuery, View, Zone};
use tollbook_types::{Attribution, Digest, Event, Meter, Meters, OpenCall, Role, TimeRange};

/// Stands nowhere by chance, in large or small letters.
const NAME: &str = "Canary-Alice";

fn order(user: &str, project: Option<&str>) -> ErasureOrder {
    ErasureOrder { user: user.into(), project: project.map(str::to_owned), reason: "asked to".into() }
}

fn erase(books: &Books, user: &str) -> Erased {
    let erased = books.ledger.erase(&By::local(), &order(user, None)).unwrap();
    assert!(erased.is_scrubbed && erased.notes.is_empty(), "{erased:?}");
    erased
}

/// A call that names the person wherever a caller may.
fn named(id: &str) -> Event {
    with(event(id, 1_000, 500), |event| {
        event.provider_response_id = Some(format!("chatcmpl-{}", Digest::of(id.as_bytes())));
        event.raw_usage = Some(format!("{{\"prompt_tokens\":1000,\"user\":\"{NAME}\"}}"));
        event.error = Some(format!("{NAME} was refused"));
        event.flags = vec![format!("seen: {NAME}")];
        event.attribution = serde_json::from_value(json!({
            "project": "web", "customer": NAME, "user": NAME, "agent": "bot", "agent_name": format!("{NAME}'s bot"),
            "operation": format!("for {NAME}"), "operation_id": format!("op {NAME}"), "session": format!("s {NAME}"),
            "tags": {"team": "ops", "for": NAME, NAME: "1"}, "metadata": {"name": NAME},
        }))
        .unwrap();
    })
}

fn open_call(of: Event) -> OpenCall {
    OpenCall {
        id: of.id,
        source: of.source,
        occurred_at: of.occurred_at,
        provider: of.provider,
        model: of.model,
        attribution: of.attribution,
        hold: None,
        worst_case: None,
    }
}

fn calls_of(books: &Books, user: &str, range: TimeRange) -> u64 {
    let filters = vec![Filter::is(Dimension::User, user)];
    let (interval, view, group_by) = (Interval::None, View::Corrected, Vec::new());
    let query = UsageQuery { range, interval, zone: Zone::UTC, group_by, filters, view };
    books.store.usage(&query).unwrap().total.calls
}

/// The books with a person in every corner, and others beside.
fn filled(dir: &Path) -> Books {
    let books = books::open(dir, Durability::Full).unwrap();
    let ledger = &books.ledger;
    let others: Vec<Event> = (0..300).map(|n| call(&format!("other-{n}"))).collect();
    ledger.submit(others).unwrap();
    let mine: Vec<Event> = (0..40).map(|n| named(&format!("{NAME} {n}"))).collect();
    let outcomes = ledger.submit(mine.clone()).unwrap();
    let Some(Outcome::Accepted { seq, .. }) = outcomes.first() else { panic!("{outcomes:?}") };
    let usage = Settlement::Usage(Meters::from_pairs([(Meter::Input, 7)]));
    ledger.settle(*seq, &usage, &format!("{NAME} said so")).unwrap();
    // A further report, whose id names the person; and one that brings the person to a call.
    let report =
        with(mine[1].clone(), |event| (event.source, event.id) = ("otlp".into(), format!("span {NAME}")));
    let nobodys = with(event("nobodys", 10, 10), |event| event.provider_response_id = Some("r-1".into()));
    let whose = with(nobodys.clone(), |event| {
        event.source = "otlp".into();
        event.attribution.user = Some(NAME.into());
        event.attribution.session = Some(format!("{NAME} talks"));
    });
    let outcomes = ledger.submit(vec![report, nobodys, whose]).unwrap();
    assert!(matches!(outcomes[2], Outcome::Joined { adjusted: true, .. }), "{outcomes:?}");
    ledger.open_call(open_call(named("in-flight"))).unwrap();
    let binding = Attribution { user: Some(NAME.into()), ..Attribution::default() };
    let key = NewKey { name: format!("{NAME}'s key"), roles: vec![Role::Gateway], binding, expires_at: None };
    ledger.create_key(&By::local(), key).unwrap();
    ledger.flush().unwrap();
    books
}

/// Sums that an erasure must leave alone.
fn sums(books: &Books) -> String {
    let by = |dimensions: Vec<Dimension>| {
        let mut rows = books::usage(&books.store, dimensions).unwrap().rows;
        rows.sort_by(|a, b| (a.bucket, &a.keys).cmp(&(b.bucket, &b.keys)));
        rows
    };
    format!("{:?}", [by(vec![]), by(vec![Dimension::Model, Dimension::Project]), by(vec![Dimension::Status])])
}

/// Seals and removes every closed segment, as if it were old.
fn trim(books: &Books) {
    books.ledger.flush().unwrap();
    let segments = journal::segments(books.data.journal()).unwrap();
    for pair in segments.windows(2) {
        books.ledger.seal_and_remove(pair[0].0, pair[1].0 - 1, &pair[0].1).unwrap();
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// The files below a directory that name the person.
fn naming(dir: &Path) -> Vec<PathBuf> {
    let name = NAME.to_lowercase();
    let has = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap().to_ascii_lowercase();
        memchr::memmem::find(&bytes, name.as_bytes()).is_some()
    };
    files(dir).into_iter().filter(has).collect()
}

/// Limits that name the person; their ids.
fn limits(books: &Books) -> (String, String) {
    let form =
        json!({"name": format!("for {NAME}"), "match": {"user": NAME}, "limit_usd": "5", "window": "total"});
    let zone = ("UTC".to_owned(), Zone::UTC);
    let budget =
        books.ledger.create_budget(&By::local(), serde_json::from_value(form).unwrap(), &zone).unwrap();
    let form = json!({"name": "r", "match": {"user": NAME}, "requests_per_minute": 5});
    let rate = books.ledger.create_rate_limit(&By::local(), serde_json::from_value(form).unwrap()).unwrap();
    (budget.id.clone(), rate.id.clone())
}

#[test]
fn a_person_goes_from_every_file_and_no_sum_changes() {
    let place = TempDir::new().unwrap();
    let books = filled(place.path());
    // Where files are encrypted, nobody is named in them anyway.
    assert_eq!(naming(place.path()).is_empty(), tollbook_sqlite::CAN_ENCRYPT);
    let before = sums(&books);
    let (budget, rate) = limits(&books);
    let spent = |books: &Books| books.ledger.standings(&budget)[0].sums;
    let spent_before = spent(&books);
    assert!(spent_before.spent > 0);
    let erased = erase(&books, NAME);
    assert_eq!((erased.calls, erased.keys), (41, 1));
    assert_eq!(sums(&books), before);
    // The limits of the person go on under the pseudonym.
    assert_eq!(spent(&books), spent_before);
    let form = books.ledger.budget(&budget).unwrap().form.clone();
    assert_eq!((&form.name, &form.matches["user"]), (&erased.erasure.pseudonym, &erased.erasure.pseudonym));
    assert_eq!(books.ledger.rate_limit(&rate).unwrap().form.matches["user"], erased.erasure.pseudonym);
    assert_eq!(calls_of(&books, NAME, TimeRange::ALL), 0);
    let keys = books.ledger.keys();
    let key = keys.list().next().unwrap();
    assert!(key.revoked_at.is_some() && key.binding.user == Some(erased.erasure.pseudonym.clone()));
    assert_eq!(books::problems(&books), Vec::<String>::new());
    // The call in flight ends, and what was told before is told again.
    books.ledger.record(named("in-flight")).unwrap();
    let again = books.ledger.submit(vec![named(&format!("{NAME} 0")), named("late")]).unwrap();
    assert!(matches!(again[..], [Outcome::Duplicate { .. }, Outcome::Accepted { .. }]), "{again:?}");
    assert_eq!(calls_of(&books, &erased.erasure.pseudonym, TimeRange::ALL), 43);
    assert!(books.store.open_calls().unwrap().is_empty());
    assert_eq!(books::problems(&books), Vec::<String>::new());
    books.ledger.erase(&By::local(), &order("somebody", None)).unwrap();
    trim(&books);
    assert_eq!(books::problems(&books), Vec::<String>::new());
    let data = books.data.clone();
    books.ledger.close().unwrap();
    assert_eq!(naming(place.path()), Vec::<PathBuf>::new());
    assert!(std::fs::read_to_string(data.erasures()).unwrap().lines().count() == 2);
    let books = books::open(place.path(), Durability::Full).unwrap();
    assert_eq!(books::problems(&books), Vec::<String>::new());
    books.store.rebuild().unwrap();
    assert_eq!(calls_of(&books, &erased.erasure.pseudonym, TimeRange::ALL), 43);
}

#[test]
fn what_occurs_later_and_elsewhere_keeps_its_name() {
    let place = TempDir::new().unwrap();
    let books = books::open(place.path(), Durability::Full).unwrap();
    let at = |id: &str, project: &str, occurred: &str| {
        with(named(id), |event| {
            event.attribution.project = Some(project.into());
            event.occurred_at = occurred.parse().unwrap();
        })
    };
    // The clock stands at 2026-09-21; some clocks go ahead of it.
    let early = at("early", "web", "2026-09-01T00:00:00Z");
    let ahead = at("ahead", "web", "2026-09-29T00:00:00Z");
    let other = at("other", "lab", "2026-09-01T00:00:00Z");
    books.ledger.submit(vec![early, ahead, other]).unwrap();
    let erased = books.ledger.erase(&By::local(), &order(NAME, Some("web"))).unwrap();
    assert_eq!((erased.calls, calls_of(&books, NAME, TimeRange::ALL)), (2, 1));
    assert!(erased.erasure.before > "2026-09-29T00:00:00Z".parse().unwrap());
    let later = at("later", "web", "2026-09-30T00:00:00Z");
    let late = at("late", "web", "2026-08-01T00:00:00Z");
    books.ledger.submit(vec![later, late]).unwrap();
    assert_eq!(calls_of(&books, &erased.erasure.pseudonym, TimeRange::ALL), 3);
    assert_eq!(calls_of(&books, NAME, TimeRange::ALL), 2);
    // Once more: what came since, under another pseudonym.
    let again = books.ledger.erase(&By::local(), &order(NAME, None)).unwrap();
    assert_eq!((again.calls, calls_of(&books, NAME, TimeRange::ALL)), (2, 0));
    assert_ne!(again.erasure.pseudonym, erased.erasure.pseudonym);
    let nothing = books.ledger.erase(&By::local(), &order(NAME, None)).unwrap();
    assert_eq!((nothing.calls, books.ledger.erasures_of(NAME).len()), (0, 3));
    assert_eq!(books::problems(&books), Vec::<String>::new());
    for (what, wrong) in [
        ("nobody", order("", None)),
        ("a pseudonym", order(&erased.erasure.pseudonym, None)),
        ("a long name", order(&"x".repeat(257), None)),
        ("no reason", ErasureOrder { reason: String::new(), ..order("a", None) }),
    ] {
        assert!(matches!(books.ledger.erase(&By::local(), &wrong), Err(LedgerError::Invalid(_))), "{what}");
    }
}

/// Makes books with a backup, erases, and brings the backup back as `restore` says; the person stays
/// erased.
fn check_restore(what: &str, restore: impl FnOnce(&DataDir, &Path)) {
    let place = TempDir::new().unwrap();
    let dir = place.path().join("data");
    let books = filled(&dir);
    books.ledger.flush().unwrap();
    let backup = place.path().join("backup.db");
    books.store.backup(&backup).unwrap();
    let (erased, data) = (erase(&books, NAME), books.data.clone());
    books.ledger.close().unwrap();
    // The call in flight is over once the process is.
    let books = books::open(&dir, Durability::Full).unwrap();
    let before = sums(&books);
    books.ledger.close().unwrap();
    drop(books.store);
    restore(&data, &backup);
    let books = books::open(&dir, Durability::Full).unwrap();
    assert_eq!(calls_of(&books, NAME, TimeRange::ALL), 0, "{what}");
    assert_eq!(sums(&books), before, "{what}");
    assert!(calls_of(&books, &erased.erasure.pseudonym, TimeRange::ALL) >= 41, "{what}");
    assert!(books.ledger.keys().list().all(|key| key.revoked_at.is_some()), "{what}");
    let stored = books.store.controls("key/").unwrap();
    assert!(!format!("{stored:?}").contains(NAME), "{what}");
    assert_eq!(books.store.audit().unwrap().problems, Vec::<String>::new(), "{what}");
    let problems = books::problems(&books);
    assert!(problems.iter().all(|problem| problem.contains("are not sealed")), "{what}: {problems:?}");
    books.ledger.flush().unwrap();
    trim(&books);
    books.ledger.close().unwrap();
    let left = naming(&dir);
    assert!(left.iter().all(|path| path.to_string_lossy().contains("store.replaced")), "{what}: {left:?}");
}

#[test]
fn a_restore_brings_nobody_back() {
    let replace = |data: &DataDir, backup: &Path| {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{suffix}", data.store().display()));
        }
        std::fs::copy(backup, data.store()).unwrap();
    };
    check_restore("a backup of before, and the journal", replace);
    check_restore("a backup of before, and no journal", |data, backup| {
        replace(data, backup);
        std::fs::remove_dir_all(data.journal()).unwrap();
    });
    check_restore("the journal alone", |data, _| {
        let lock = data.lock().unwrap();
        let (ledger_id, _) = tollbook_ledger::restore_from_journal(&lock, data).unwrap();
        let how = tollbook_sqlite::Options::creating(Zone::UTC, ledger_id);
        let how = tollbook_sqlite::Options { key: crate::books::store_key(data), ..how };
        drop(tollbook_sqlite::SqliteStore::open(&data.store(), how).unwrap());
    });
    check_restore("the journal, and half a file of erasures", |data, backup| {
        replace(data, backup);
        let whole = std::fs::read(data.erasures()).unwrap();
        std::fs::write(data.erasures(), &whole[..whole.len() / 2]).unwrap();
    });
    check_restore("the store alone remembers", |data, _| std::fs::remove_file(data.erasures()).unwrap());
}

#[test]
fn soak_kills_leave_no_erasure_half_done() {
    let rounds = if crate::is_soak() { 60 } else { 8 };
    let place = TempDir::new().unwrap();
    let mut random = crate::random(31);
    let mut erasures = 0;
    for round in 0..rounds {
        let dir = place.path().join(format!("data-{}", round / 4));
        let acks = place.path().join(format!("acks-{}", round / 4));
        let heard = std::fs::read_to_string(&acks).unwrap_or_default().lines().count();
        let mut running = Worker::new("erase", &dir, &acks).set("WORKER_ROUND", format!("r{round}")).start();
        running.wait_for(&acks, heard + 1);
        std::thread::sleep(Duration::from_micros(random.below(600_000)));
        running.kill();
        let books = books::open(&dir, Durability::Full).unwrap();
        assert_eq!(books::problems(&books), Vec::<String>::new(), "round {round}");
        let known = books.ledger.erasures();
        for line in std::fs::read_to_string(&acks).unwrap().lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["erased", user, id] => {
                    erasures += 1;
                    let Some(found) = known.iter().find(|known| known.id == id) else {
                        panic!("round {round}: {id} is lost")
                    };
                    let range = TimeRange { from: None, to: Some(found.before) };
                    assert_eq!(calls_of(&books, user, range), 0, "round {round}: {user}");
                }
                ["event", id, seq] => {
                    let told = call(id);
                    let stored = books.store.call(seq.parse().unwrap()).unwrap().unwrap();
                    let event = stored.entry.event;
                    assert_eq!((&event.id, &event.usage), (&told.id, &told.usage), "round {round}: {id}");
                }
                _ => {}
            }
        }
        let calls = books::every_call(&books.store).unwrap().len() as u64;
        assert_eq!(books::usage(&books.store, Vec::new()).unwrap().total.calls, calls);
    }
    assert!(erasures > 0);
    println!("{rounds} kills, {erasures} looks at an erasure that was acknowledged");
}
