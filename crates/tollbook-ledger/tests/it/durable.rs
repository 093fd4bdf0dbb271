//! Waiting for the fsync alone, and what the ledger says of itself.

use crate::rig::{Rig, event};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tollbook_ledger::{Health, Ledger, LedgerError, Status, StoreFault};
use tollbook_store::EventStore;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

#[test]
fn a_durable_record_is_told_of_to_threads_and_tasks() {
    let rig = Rig::new();
    let ledger = rig.open();
    for number in 0..40 {
        let durable = ledger.record_durable(event(&format!("call-{number}"), 1, 1)).unwrap();
        let seq = durable.seq();
        match number % 3 {
            0 => assert_eq!(durable.wait().unwrap(), seq),
            1 => assert_eq!(block_on(durable).unwrap(), seq),
            _ => drop(durable),
        }
        let status = ledger.status();
        assert!(status.recorded >= seq && (status.durable >= seq || number % 3 == 2), "{status:?}");
    }
    ledger.close().unwrap();
    assert_eq!(
        (rig.store.extent(tollbook_types::TimeRange::ALL).unwrap().unwrap().2, rig.verify()),
        (40, vec![])
    );
}

#[test]
fn many_wait_for_one_sync_each_for_its_own_record() {
    let rig = Rig::new();
    let ledger = rig.open();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0..50 {
                    let durable = ledger.record_durable(event(&format!("{thread}-{number}"), 1, 1)).unwrap();
                    let seq = durable.wait().unwrap();
                    assert!(ledger.status().durable >= seq);
                }
            });
        }
    });
}

#[test]
fn the_status_adds_up() {
    let rig = Rig::new();
    let ledger = rig.open();
    let status = ledger.status();
    assert_eq!(
        (&status.health, status.recorded, status.applied, status.last_applied_at),
        (&Health::Ok, 0, 0, None)
    );
    assert!(status.has_spare && status.has_room() && !status.is_behind);
    let before = status.room_bytes;
    for number in 0..30 {
        ledger.record(event(&format!("call-{number}"), 1, 1)).unwrap();
    }
    ledger.count_unrecorded("no room");
    ledger.count_unrecorded("no room");
    let status = ledger.status();
    assert!(status.recorded >= 30 && status.room_bytes < before);
    assert_eq!((status.unrecorded_calls, status.unrecorded_pending), (2, 2));
    // The next record brings the gap with it.
    ledger.record(event("after", 1, 1)).unwrap();
    ledger.flush().unwrap();
    let status = ledger.status();
    assert_eq!((status.unrecorded_calls, status.unrecorded_pending, status.waiting), (2, 0, 0));
    assert_eq!((status.lag(), status.last_applied_at.is_some()), (0, true));
    assert_eq!(status.durable, status.recorded);
}

/// Records without waiting, lets `follow` happen, and asks for what is in the store then.
fn check_visible(what: &str, follow: impl FnOnce(&Ledger, u64)) {
    let rig = Rig::new();
    let ledger = rig.open();
    let seq = ledger.record(event("nobody waits", 1, 1)).unwrap();
    follow(&ledger, seq);
    assert!(rig.applied() >= seq, "{what}");
    assert!(ledger.status().durable >= seq, "{what}");
    ledger.close().unwrap();
    assert_eq!(rig.verify(), Vec::<String>::new(), "{what}");
}

#[test]
fn what_nobody_waits_for_becomes_visible_by_itself_and_at_once_for_a_reason() {
    let until = |ledger: &Ledger, seq: u64, of: fn(&Status) -> u64| {
        let since = Instant::now();
        while of(&ledger.status()) < seq {
            assert!(since.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    check_visible("by itself", |ledger, seq| until(ledger, seq, |status| status.applied));
    check_visible("for a flush", |ledger, _| ledger.flush().unwrap());
    check_visible("for a flush of what is synced", |ledger, seq| {
        until(ledger, seq, |status| status.durable);
        ledger.flush().unwrap();
    });
    check_visible("with what somebody waits for", |ledger, _| {
        ledger.submit(vec![event("somebody waits", 1, 1)]).unwrap();
    });
    check_visible("after a sync in a hurry", |ledger, _| {
        let durable = ledger.record_durable(event("in a hurry", 1, 1)).unwrap();
        let seq = durable.wait().unwrap();
        until(ledger, seq, |status| status.applied);
    });
}

#[test]
fn calls_that_passed_last_are_counted_at_the_end() {
    let rig = Rig::new();
    let ledger = rig.open();
    for _ in 0..3 {
        ledger.count_unrecorded("no room");
    }
    ledger.close().unwrap();
    let counted: Vec<u64> = rig.store.gaps().unwrap().iter().map(|gap| gap.calls).collect();
    assert_eq!((counted, rig.verify()), (vec![3], vec![]));
}

#[test]
fn only_what_has_no_room_may_pass_unrecorded() {
    let path = std::path::PathBuf::from("journal");
    let cases = [
        (LedgerError::JournalFull(path), true),
        (LedgerError::Fatal("x".to_owned()), false),
        (LedgerError::StoreDown(StoreFault { reason: "x".to_owned(), is_disk_full: true }), false),
        (LedgerError::TooLarge { bytes: 2, max: 1 }, false),
    ];
    for (error, expected) in cases {
        assert_eq!(error.is_no_room(), expected, "{error}");
    }
}
