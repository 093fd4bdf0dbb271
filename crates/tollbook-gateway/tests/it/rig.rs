//! A gateway with a ledger on disk, and a stand-in for its providers.

use crate::client::{Client, Reply};
use http_body_util::BodyExt;
use secrecy::SecretString;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tollbook_gateway::refusal::Refusal;
use tollbook_gateway::upstream::{ProviderKey, Upstream};
use tollbook_gateway::{
    Admission, Admitted, Ask, Compat, Control, ControlAnswer, Counters, Inbound, Limits, Open, Options,
    Server, Timeouts, upstream,
};
use tollbook_ledger::{By, DataDir, Ledger, NewKey};
use tollbook_pricing::Book;
use tollbook_sqlite::SqliteStore;
use tollbook_store::{CallsOrder, CallsQuery, Store, StoredCall};
use tollbook_testkit::ManualClock;
use tollbook_testkit::upstream::Upstream as StandIn;
use tollbook_types::{Attribution, Entry, Role, TimeRange};

/// What the gateway pays with; no caller may ever see it, and no caller's key may get this far.
pub const PROVIDER_KEY: &str = "sk-the-providers-own";
/// What a chat model is asked.
pub const CHAT: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}"#;

/// The same, streamed, with its usage asked for.
pub const STREAM: &str = r#"{"model":"gpt-4o-mini","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}"#;

/// A gateway with a ledger on disk, and a stand-in for its providers.
pub struct Rig {
    /// The name of the upstream that stands first.
    pub first: String,
    pub upstream: StandIn,
    pub ledger: Arc<Ledger>,
    pub key: String,
    _dir: TempDir,
    pub server: Mutex<Option<Server>>,
    pub address: SocketAddr,
    pub counters: Arc<Counters>,
}

/// What makes the parts around the gateway panic, when it is a model or in a path.
pub const PANICS: &str = "panics";

struct Careless;

impl Admission for Careless {
    fn admit(&self, ask: &Ask<'_>) -> Result<Admitted, Refusal> {
        assert_ne!(ask.model, Some(PANICS), "a fault of the budgets");
        Open.admit(ask)
    }

    fn pass(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        Open.pass(ask)
    }

    fn ended(&self, call_id: &str) {
        Open.ended(call_id);
    }

    fn release(&self, call_id: &str) {
        Open.release(call_id);
    }
}

struct Echo;

impl Control for Echo {
    fn call(&self, request: http::Request<Inbound>, _peer: SocketAddr) -> ControlAnswer {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            assert!(!path.contains(PANICS), "a fault of the control plane");
            let body = http_body_util::Full::new(bytes::Bytes::from(format!("control {path}")));
            http::Response::new(body.map_err(|never| match never {}).boxed_unsync())
        })
    }
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Rig {
        let upstream = StandIn::start().unwrap();
        let dir = TempDir::new().unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        let data = DataDir::new(dir.path().join("data"));
        let lock = data.lock().unwrap();
        let zone = tollbook_sqlite::Options::creating(jiff::tz::TimeZone::UTC, "ledger-1".to_owned());
        let store = Arc::new(SqliteStore::open(&data.store(), zone).unwrap());
        let (ledger, _) = Ledger::open(
            lock,
            data,
            store,
            Book::embedded(),
            clock.clone(),
            tollbook_ledger::Options { segment_bytes: 1 << 20, ..Default::default() },
        )
        .unwrap();
        let ledger = Arc::new(ledger);
        let key = make_key(&ledger, Role::Gateway, Attribution::default());
        let mut options = options(&upstream);
        change(&mut options);
        let first = options.upstreams[0].name.clone();
        let server =
            Server::start(options, ledger.clone(), Arc::new(Careless), Arc::new(Echo), clock).unwrap();
        let (address, counters) = (server.address(), server.counters());
        Rig { first, upstream, ledger, key, _dir: dir, server: Mutex::new(Some(server)), address, counters }
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// One call with the key where OpenAI's SDK puts it.
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let bearer = format!("Bearer {}", self.key);
        let mut all = vec![("authorization", bearer.as_str()), ("content-type", "application/json")];
        all.extend_from_slice(headers);
        let mut client = self.client();
        client.request("POST", path, &all, body.as_bytes());
        client.reply()
    }

    /// Ends the gateway in order.
    pub fn shutdown(&self, grace: Duration) {
        if let Some(server) = self.server.lock().unwrap().take() {
            server.shutdown(grace);
        }
    }

    /// Everything that is recorded, in its order, once so many entries are.
    pub fn entries(&self, at_least: usize) -> Vec<Entry> {
        let until = Instant::now() + Duration::from_secs(10);
        loop {
            self.ledger.flush().unwrap();
            let found = stored(self.ledger.store().as_ref());
            if found.len() >= at_least || Instant::now() > until {
                return found.into_iter().map(|call| call.entry).collect();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The one entry that there is.
    pub fn entry(&self) -> Entry {
        let mut entries = self.entries(1);
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    /// Calls that have not ended.
    pub fn open_calls(&self) -> usize {
        self.ledger.flush().unwrap();
        self.ledger.store().open_calls().unwrap().len()
    }
}

pub fn stored(store: &dyn Store) -> Vec<StoredCall> {
    let mut query = CallsQuery {
        range: TimeRange::ALL,
        filters: Vec::new(),
        order: CallsOrder::Recorded,
        after: None,
        limit: 500,
    };
    let mut all = Vec::new();
    loop {
        let page = store.calls(&query).unwrap();
        all.extend(page.calls);
        query.after = page.next;
        if query.after.is_none() {
            return all;
        }
    }
}

pub fn make_key(ledger: &Ledger, role: Role, binding: Attribution) -> String {
    let new = NewKey { name: "test".to_owned(), roles: vec![role], binding, expires_at: None };
    ledger.create_key(&By::local(), new).unwrap().1
}

fn options(stand_in: &StandIn) -> Options {
    let mut upstreams = upstream::built_in(&|_| None);
    for upstream in &mut upstreams {
        upstream.base_url = stand_in.url();
        upstream.key = ProviderKey::Secret(SecretString::from(PROVIDER_KEY));
    }
    upstreams.retain(|upstream: &Upstream| {
        ["openai", "anthropic", "google", "vertex", "ollama", "mistral"].contains(&upstream.name.as_str())
    });
    Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        threads: 2,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        upstreams,
        compat: Compat::default(),
        durability_strict: false,
        cache: None,
        tls: None,
        budget_status: 402,
        capture: None,
    }
}
