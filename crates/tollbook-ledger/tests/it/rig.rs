//! A ledger on the reference store, with a clock that is set by hand.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;
use tollbook_ledger::{DataDir, Ledger, LedgerError, OpenReport, Options};
use tollbook_pricing::Book;
use tollbook_store::{EventStore, MemoryStore};
use tollbook_types::{Clock, Content, Event, Evidence, Meter, Meters, Timestamp, Usage};

/// The smallest segment that the journal makes.
pub const SMALL: u64 = 1;

pub struct HandClock(AtomicI64);

impl HandClock {
    pub fn advance_seconds(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::Relaxed)).unwrap()
    }
}

pub struct Rig {
    pub dir: TempDir,
    pub store: Arc<MemoryStore>,
    pub clock: Arc<HandClock>,
    pub book: Arc<Book>,
}

/// gpt-x costs $1 in and $2 out per million tokens.
pub fn book(text: &str) -> Arc<Book> {
    let head = "provider = \"openai\"\nsource = \"a test\"\nchecked = \"2026-11-01\"\n";
    let text = format!("{head}{text}");
    Arc::new(Book::load(&[("openai.toml", &text)]).unwrap())
}

pub fn plain_book() -> Arc<Book> {
    static BOOK: OnceLock<Arc<Book>> = OnceLock::new();
    let text = "[[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"1\"\noutput = \"2\"\n";
    BOOK.get_or_init(|| book(text)).clone()
}

impl Rig {
    pub fn new() -> Rig {
        Rig {
            dir: TempDir::new().unwrap(),
            store: Arc::new(MemoryStore::new("ledger-1")),
            clock: Arc::new(HandClock(AtomicI64::new(1_790_000_000_000_000))),
            book: plain_book(),
        }
    }

    pub fn data(&self) -> DataDir {
        DataDir::new(self.dir.path().join("data"))
    }

    pub fn try_open(&self) -> Result<(Ledger, OpenReport), LedgerError> {
        let lock = self.data().lock()?;
        let options = Options { segment_bytes: SMALL, ..Options::default() };
        Ledger::open(lock, self.data(), self.store.clone(), self.book.clone(), self.clock.clone(), options)
    }

    pub fn open(&self) -> Ledger {
        self.try_open().unwrap().0
    }

    pub fn verify(&self) -> Vec<String> {
        tollbook_ledger::verify(&self.data(), self.store.as_ref()).unwrap().problems
    }

    pub fn applied(&self) -> u64 {
        self.store.position().unwrap().applied
    }
}

pub fn event(id: &str, input: u64, output: u64) -> Event {
    let mut event = Event {
        provider: "openai".to_owned(),
        model: "gpt-x".to_owned(),
        usage: Some(Usage::one(Meters::from_pairs([(Meter::Input, input), (Meter::Output, output)]))),
        evidence: Evidence::ProviderUsage,
        ..Event::new(id.to_owned(), "api".to_owned(), "2026-09-21T10:00:00Z".parse().unwrap())
    };
    sign(&mut event);
    event
}

/// Gives the event the digest of what it says.
pub fn sign(event: &mut Event) {
    event.content = Content::default();
    event.content = Content::of(&serde_json::to_vec(event).unwrap());
}

pub fn with(mut event: Event, change: impl FnOnce(&mut Event)) -> Event {
    change(&mut event);
    sign(&mut event);
    event
}
