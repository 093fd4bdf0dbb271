//! The process that is watched, broken and killed: this test binary once more, told by its
//! environment what to do.

use crate::books::{self, Books, call, document};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tollbook_ledger::{By, Durability, ErasureOrder, LedgerError, Outcome, Settlement, journal};
use tollbook_store::EventStore;
use tollbook_testkit::preload;
use tollbook_types::{Meter, Meters};

const ROLE: &str = "TOLLBOOK_WORKER";
/// A worker that hangs is ended after this, and the test fails.
const PATIENCE: Duration = Duration::from_secs(120);

/// A worker that is to be started.
pub struct Worker {
    command: Command,
}

impl Worker {
    /// A worker for the data directory `dir`, which writes its acknowledgements to `acks`.
    pub fn new(role: &str, dir: &Path, acks: &Path) -> Worker {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "worker::worker_process", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env("WORKER_DIR", dir).env("WORKER_ACKS", acks);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0);
        Worker { command }
    }

    pub fn set(mut self, name: &str, value: impl Into<OsString>) -> Worker {
        self.command.env(name, value.into());
        self
    }

    /// With the library that watches or breaks the writing below `dir`.
    pub fn under_watch(self, dir: &Path) -> Worker {
        self.set("LD_PRELOAD", preload::library().unwrap()).set("FAULTFS_DIR", dir)
    }

    pub fn start(mut self) -> Running {
        Running(self.command.spawn().unwrap())
    }

    /// Runs it to its end, which must be a good one.
    pub fn run(self) {
        let mut running = self.start();
        let since = Instant::now();
        let status = loop {
            match running.0.try_wait().unwrap() {
                Some(status) => break status,
                None if since.elapsed() > PATIENCE => panic!("the worker hangs"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert!(status.success(), "the worker failed: {}", running.last_words());
    }
}

/// A worker that was started. It ends with its owner.
pub struct Running(Child);

impl Running {
    /// Ends it as a power button would end it, had the disk a battery.
    pub fn kill(mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the worker ended by itself: {}", self.last_words());
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Waits until the file of acknowledgements has this many lines.
    pub fn wait_for(&mut self, acks: &Path, lines: usize) {
        let since = Instant::now();
        while std::fs::read_to_string(acks).unwrap_or_default().lines().count() < lines {
            assert!(self.0.try_wait().unwrap().is_none(), "the worker ended: {}", self.last_words());
            assert!(since.elapsed() < PATIENCE, "the worker hangs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn last_words(&mut self) -> String {
        let mut words = String::new();
        if let Some(mut pipe) = self.0.stderr.take() {
            let _ = std::io::Read::read_to_string(&mut pipe, &mut words);
        }
        words
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test of its own: what the worker does when other tests start it.
#[test]
fn worker_process() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let mut job = Job::from_env();
    match role.as_str() {
        "busy" => job.be_busy(),
        "open_call" => job.let_one_call_go(),
        "full" => job.meet_a_full_disk(),
        "erase" => job.erase_persons(),
        "eio" => job.meet_a_failed_sync(),
        role => panic!("no such role: {role}"),
    }
}

struct Job {
    books: Books,
    acks: File,
    round: String,
    calls: u64,
}

impl Job {
    fn from_env() -> Job {
        let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
        let durability = match std::env::var("WORKER_DURABILITY").as_deref() {
            Ok("process") => Durability::Process,
            _ => Durability::Full,
        };
        let acks = OpenOptions::new().create(true).append(true).open(path("WORKER_ACKS")).unwrap();
        Job {
            books: books::open(&path("WORKER_DIR"), durability).unwrap(),
            acks,
            round: std::env::var("WORKER_ROUND").unwrap_or_default(),
            calls: std::env::var("WORKER_CALLS").map_or(u64::MAX, |calls| calls.parse().unwrap()),
        }
    }

    /// Tells the world, in one write: half a line is no acknowledgement.
    fn acknowledge(&self, line: &str) {
        let mut acks = &self.acks;
        assert_eq!(acks.write(format!("{line}\n").as_bytes()).unwrap(), line.len() + 1);
    }

    fn acknowledge_events(&self, ids: &[String], outcomes: &[Outcome]) {
        for (id, outcome) in ids.iter().zip(outcomes) {
            match outcome {
                Outcome::Accepted { seq, .. } => self.acknowledge(&format!("event {id} {seq}")),
                Outcome::Duplicate { entry } => self.acknowledge(&format!("event {id} {entry}")),
                outcome => panic!("{id}: {outcome:?}"),
            }
        }
    }

    /// Three threads send events, some of them twice; one writes documents, one corrects, one
    /// tidies up, one records without waiting, as a gateway does.
    fn be_busy(&mut self) {
        let (job, done) = (&*self, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let senders: Vec<_> = (0..3).map(|thread| scope.spawn(move || job.send(thread))).collect();
            scope.spawn(move || job.write_documents(done));
            scope.spawn(move || job.correct(done));
            scope.spawn(move || job.record_like_a_gateway(done));
            scope.spawn(move || job.tidy_up(done));
            let failed = senders.into_iter().filter_map(|sender| sender.join().err()).count();
            done.store(true, Ordering::Relaxed);
            assert_eq!(failed, 0);
        });
    }

    fn send(&self, thread: u64) {
        let mut sent = 0;
        while sent < self.calls {
            let count = 1 + (sent * 7 + thread) % 5;
            let mut ids: Vec<String> =
                (sent..sent + count).map(|n| format!("{}-{thread}-{n}", self.round)).collect();
            if sent % 11 == 3 {
                // Sent again, because the answer might have been lost.
                ids.push(format!("{}-{thread}-{}", self.round, sent / 2));
            }
            let outcomes = self.books.ledger.submit(ids.iter().map(|id| call(id)).collect()).unwrap();
            self.acknowledge_events(&ids, &outcomes);
            sent += count;
        }
    }

    fn write_documents(&self, done: &AtomicBool) {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            let key = format!("note/{}-{}", self.round, number % 4);
            let next = number / 4 + 1;
            let version = self.books.ledger.control(&key, Some(document(&key, next))).unwrap();
            assert_eq!(version, next);
            self.acknowledge(&format!("control {key} {version}"));
            number += 1;
        }
    }

    fn correct(&self, done: &AtomicBool) {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(3));
            let id = format!("{}-0-{number}", self.round);
            let found = self.books.store.calls_by_id(&id).unwrap();
            let Some(stored) = found.first() else { continue };
            let usage = Settlement::Usage(Meters::from_pairs([(Meter::Input, number)]));
            let state = self.books.ledger.settle(stored.seq, &usage, "a test").unwrap();
            self.acknowledge(&format!("adjust {} {}", stored.seq, state.version));
            number += 1;
        }
    }

    /// Makes the store durable now and then, and lets go of segments that are full.
    fn tidy_up(&self, done: &AtomicBool) {
        let mut is_last = false;
        while !is_last {
            std::thread::sleep(Duration::from_millis(40));
            is_last = done.load(Ordering::Relaxed);
            self.books.store.sync().unwrap();
            let segments = journal::segments(self.books.data.journal()).unwrap();
            for pair in segments.windows(2) {
                let [(first, path), (next, _)] = pair else { continue };
                self.books.ledger.flush().unwrap();
                self.books.ledger.seal_and_remove(*first, next - 1, path).unwrap();
            }
        }
    }

    fn record_like_a_gateway(&self, done: &AtomicBool) {
        let mut number = 0;
        while !done.load(Ordering::Relaxed) {
            self.books.ledger.record(call(&format!("{}-gateway-{number}", self.round))).unwrap();
            number += 1;
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    /// One call goes to its provider and does not come back; many short ones do.
    fn let_one_call_go(&mut self) {
        let long = call("long");
        let open = tollbook_types::OpenCall {
            id: long.id,
            source: long.source,
            occurred_at: long.occurred_at,
            provider: long.provider,
            model: long.model,
            attribution: long.attribution,
            hold: None,
            worst_case: None,
        };
        for number in 0..5_000 {
            self.books.ledger.record(call(&format!("short-{number}"))).unwrap();
        }
        self.books.ledger.open_call(open).unwrap();
        for number in 5_000..10_000 {
            self.books.ledger.record(call(&format!("short-{number}"))).unwrap();
        }
        self.acknowledge("recorded");
        std::thread::sleep(PATIENCE);
    }

    /// Persons are erased one after the other while calls of theirs come in.
    fn erase_persons(&mut self) {
        let job = &*self;
        std::thread::scope(|scope| {
            let sender = scope.spawn(move || job.send(0));
            for person in 0..23 {
                let (user, reason) = (format!("user-{person}"), format!("{} asked", job.round));
                let order = ErasureOrder { user, project: None, reason };
                let erased = job.books.ledger.erase(&By::local(), &order).unwrap();
                job.acknowledge(&format!("erased {} {}", order.user, erased.erasure.id));
            }
            sender.join().unwrap();
        });
    }

    /// The disk fills up, stays full until the preallocated journal is used up, and has room again.
    fn meet_a_full_disk(&mut self) {
        let control = PathBuf::from(std::env::var_os("FAULTFS_FULL").unwrap());
        let (ledger, store) = (&self.books.ledger, &self.books.store);
        let mut number = 0;
        let mut submit = || {
            let id = format!("sent-{number}");
            number += 1;
            ledger.submit(vec![call(&id)]).map(|outcomes| self.acknowledge_events(&[id], &outcomes))
        };
        for _ in 0..200 {
            submit().unwrap();
        }
        std::fs::write(&control, b"").unwrap();
        let refused = (0..100_000).find_map(|_| submit().err());
        assert!(
            matches!(refused, Some(LedgerError::StoreDown(_) | LedgerError::JournalFull(_))),
            "{refused:?}"
        );
        let refused = submit().unwrap_err();
        assert!(matches!(refused, LedgerError::StoreDown(_)), "{refused}");
        // Reading goes on.
        assert!(books::usage(store, Vec::new()).unwrap().total.calls >= 200);
        let mut recorded = 0;
        let full = loop {
            let id = format!("gateway-{recorded}");
            match ledger.record(call(&id)) {
                Ok(seq) => self.acknowledge(&format!("event {id} {seq}")),
                Err(error) => break error,
            }
            recorded += 1;
        };
        assert!(matches!(full, LedgerError::JournalFull(_)), "{full}");
        assert!(recorded >= 500, "only {recorded} records fitted");
        let mut passed = 1;
        ledger.count_unrecorded("the disk is full");
        for again in 0..300 {
            match ledger.record(call(&format!("pressed-{again}"))) {
                Ok(seq) => self.acknowledge(&format!("event pressed-{again} {seq}")),
                Err(LedgerError::JournalFull(_)) => {
                    ledger.count_unrecorded("the disk is full");
                    passed += 1;
                }
                Err(error) => panic!("{error}"),
            }
        }
        std::fs::remove_file(&control).unwrap();
        let since = Instant::now();
        while let Err(error) = submit() {
            assert!(since.elapsed() < Duration::from_secs(5), "{error}");
            std::thread::sleep(Duration::from_millis(20));
        }
        let took = since.elapsed().as_millis();
        let counted: u64 = store.gaps().unwrap().iter().map(|gap| gap.calls).sum();
        assert_eq!(counted, passed);
        let summary = format!("recorded {recorded} passed {passed} back after {took} ms");
        std::fs::write(control.with_extension("summary"), summary).unwrap();
    }

    /// One fsync fails: from then on nothing is acknowledged, however often it is asked.
    fn meet_a_failed_sync(&mut self) {
        let control = PathBuf::from(std::env::var_os("FAULTFS_EIO").unwrap());
        let ledger = &self.books.ledger;
        for number in 0..50 {
            let id = format!("sent-{number}");
            let outcomes = ledger.submit(vec![call(&id)]).unwrap();
            self.acknowledge_events(&[id], &outcomes);
        }
        std::fs::write(&control, b"").unwrap();
        for number in 0..200 {
            let refused = ledger.submit(vec![call(&format!("late-{number}"))]).unwrap_err();
            assert!(matches!(refused, LedgerError::Fatal(_)), "{refused}");
            let refused = ledger.control("note/late", Some(document("note/late", 1))).unwrap_err();
            assert!(matches!(refused, LedgerError::Fatal(_)), "{refused}");
            let refused = ledger.record(call(&format!("gateway-{number}"))).unwrap_err();
            assert!(matches!(refused, LedgerError::Fatal(_)), "{refused}");
        }
        assert!(matches!(ledger.health(), tollbook_ledger::Health::Fatal(_)));
        assert!(!control.exists(), "the fsync that was to fail never came");
    }
}
