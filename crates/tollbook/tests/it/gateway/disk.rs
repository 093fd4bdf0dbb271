//! A full disk: calls go on, what is not recorded is counted and said, and recording comes back.

use super::running::{Running, Setup, chat};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tollbook_testkit::{Call, preload};

#[test]
fn on_a_full_disk_calls_go_on_and_what_is_not_recorded_is_counted() {
    let control = tempfile::tempdir().unwrap();
    let full = control.path().join("full");
    let mut setup = Setup::default();
    let mut set = |name: &str, value: PathBuf| {
        setup.environment.push((name.to_owned(), value.display().to_string()));
    };
    set("LD_PRELOAD", preload::library().unwrap());
    set("FAULTFS_FULL", full.clone());
    // What the server does in its own directory is watched; the log is not.
    let root = tempfile::tempdir().unwrap();
    let data = root.path().canonicalize().unwrap().join("data");
    set("FAULTFS_DIR", data.clone());
    set("TOLLBOOK_DATA_DIR", data.clone());
    let mut running = Running::with(setup);
    let mut caller = running.caller();
    let good = chat(false).bearer(&running.key);
    let mut call = || {
        let answer = caller.call(&good).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    call();
    assert_eq!(running.ready().0, 200);
    std::fs::write(&full, "").unwrap();
    // The journal has room for a while, and then none.
    let since = Instant::now();
    while running.ready().0 == 200 {
        (0..50).for_each(|_| call());
        assert!(since.elapsed() < Duration::from_secs(120), "it never says so: {}", running.ready().1);
    }
    (0..50).for_each(|_| call());
    let (status, told) = running.ready();
    assert_eq!((status, &told["records"]), (503, &false.into()), "{told}");
    assert!(told["unrecorded"]["calls"].as_u64() >= Some(50), "{told}");
    let event = serde_json::json!({"id": "told", "provider": "openai", "model": "gpt-4o-mini",
        "usage": {"input_tokens": 1, "output_tokens": 1}});
    let tell = || running.call(Call::post("/api/v1/events", &event));
    let refused = tell();
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (503, &"storage_full".into()),
        "{}",
        refused.text()
    );
    assert!(refused.header("retry-after").is_some());
    std::fs::remove_file(&full).unwrap();
    let since = Instant::now();
    while running.ready().0 != 200 {
        assert!(since.elapsed() < Duration::from_secs(5), "it does not recover: {}", running.ready().1);
        std::thread::sleep(Duration::from_millis(50));
    }
    (0..20).for_each(|_| call());
    // What is small may have found room in the journal: it counts once, then as now.
    let told = tell().json();
    assert_eq!(
        told["accepted"].as_u64().zip(told["duplicates"].as_u64()).map(|(new, old)| new + old),
        Some(1),
        "{told}"
    );
    let told = running.ready().1;
    let unrecorded = told["unrecorded"]["calls"].as_u64().unwrap();
    running.end();
    let total = running.place.json(&["usage", "--all", "--data-dir", &data.display().to_string()]);
    let booked = total["total"]["calls"].as_u64().unwrap();
    println!("{} served, {booked} booked, {unrecorded} counted as not recorded", running.upstream.count());
    assert_eq!(booked + unrecorded, running.upstream.count() as u64 + 1, "{told}");
}
