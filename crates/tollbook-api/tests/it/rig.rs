//! A router over a ledger on disk, with a clock that is set by hand, and requests to it.

use crate::contract;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use tempfile::TempDir;
use tollbook_api::{Api, Courier, Options};
use tollbook_ledger::{By, DataDir, Ledger, NewKey};
use tollbook_pricing::Book;
use tollbook_sqlite::SqliteStore;
use tollbook_store::Zone;
use tollbook_testkit::ManualClock;
use tollbook_types::{Attribution, Role, Timestamp};
use tower::ServiceExt;

/// The present of every test.
pub const NOW: &str = "2026-11-22T10:31:00Z";

/// An API with a key for each role.
pub struct Rig {
    pub dir: TempDir,
    pub clock: Arc<ManualClock>,
    pub ledger: Arc<Ledger>,
    pub router: Router,
    pub keys: Keys,
    runtime: tokio::runtime::Runtime,
    courier: Mutex<Option<Courier>>,
}

/// A server that listens.
pub struct Listening {
    pub address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().map(std::thread::JoinHandle::join);
    }
}

/// Texts of keys.
pub struct Keys {
    pub admin: String,
    /// Bound to the user `ann`.
    pub member: String,
    pub gateway: String,
    pub ingest: String,
    pub viewer: String,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `status code`, the code being empty where there is none.
    pub fn verdict(&self) -> String {
        let json = self.json();
        format!("{} {}", self.status.as_u16(), json["code"].as_str().unwrap_or_default())
    }
}

/// gpt-x costs $1 in and $2 out per million tokens.
fn book() -> Arc<Book> {
    static BOOK: OnceLock<Arc<Book>> = OnceLock::new();
    let text = "provider = \"openai\"\nsource = \"a test\"\nchecked = \"2026-11-01\"\n\
        [[model]]\nid = \"gpt-x\"\n[[model.price]]\ninput = \"1\"\noutput = \"2\"\n";
    BOOK.get_or_init(|| Arc::new(Book::load(&[("openai.toml", text)]).unwrap())).clone()
}

pub fn bound(change: impl FnOnce(&mut Attribution)) -> Attribution {
    let mut binding = Attribution::default();
    change(&mut binding);
    binding
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(Options::default())
    }

    pub fn with(options: Options) -> Rig {
        let dir = TempDir::new().unwrap();
        let data = DataDir::new(dir.path().join("data"));
        let lock = data.lock().unwrap();
        let how = tollbook_sqlite::Options::creating(Zone::UTC, "ledger-1");
        let store = Arc::new(SqliteStore::open(&data.store(), how).unwrap());
        let clock = Arc::new(ManualClock::new(NOW.parse().unwrap()));
        let small = tollbook_ledger::Options { segment_bytes: 1, ..Default::default() };
        let (ledger, _) = Ledger::open(lock, data, store, book(), clock.clone(), small).unwrap();
        let ledger = Arc::new(ledger);
        let make = |role: Role, binding: Attribution| key(&ledger, &[role], binding);
        let keys = Keys {
            admin: make(Role::Admin, Attribution::default()),
            member: make(Role::Member, bound(|binding| binding.user = Some("ann".into()))),
            gateway: make(Role::Gateway, Attribution::default()),
            ingest: make(Role::Ingest, Attribution::default()),
            viewer: make(Role::Viewer, Attribution::default()),
        };
        let api = Api::new(ledger.clone(), clock.clone(), options).unwrap();
        let courier = Mutex::new(Some(api.courier()));
        let router = api.router();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Rig { dir, clock, ledger, router, keys, runtime, courier }
    }

    pub fn key(&self, roles: &[Role], binding: Attribution) -> String {
        key(&self.ledger, roles, binding)
    }

    /// What brings alerts to their channels; there is one.
    pub fn courier(&self) -> Courier {
        self.courier.lock().unwrap().take().unwrap()
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        tollbook_types::Clock::now(self.clock.as_ref())
    }

    /// Sends a request as it is. The answer is one that the document allows.
    pub fn send(&self, request: Request<Body>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.answer(request);
        contract::check(&method, &path, &answer);
        answer
    }

    fn answer(&self, request: Request<Body>) -> Answer {
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (head, body) = response.into_parts();
            let body = body.collect().await.unwrap().to_bytes().to_vec();
            Answer { status: head.status, headers: head.headers, body }
        })
    }

    /// A request with this key and JSON body.
    pub fn call(&self, method: Method, target: &str, key: &str, body: impl Into<Body>) -> Answer {
        self.send(request(method, target, key, &[("content-type", "application/json")], body))
    }

    pub fn get(&self, target: &str, key: &str) -> Answer {
        self.call(Method::GET, target, key, Body::empty())
    }

    /// Serves at an address of its own, until what is returned is dropped.
    pub fn listen(&self) -> Listening {
        let (told, address) = std::sync::mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let service = self.router.clone().into_make_service_with_connect_info::<SocketAddr>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                told.send(listener.local_addr().unwrap()).unwrap();
                tokio::select! {
                    served = axum::serve(listener, service) => served.unwrap(),
                    _ = stopped => {}
                }
            });
        });
        Listening { address: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// Sends events with the ingest key.
    pub fn ingest(&self, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, "/api/v1/events", &self.keys.ingest, body)
    }
}

fn key(ledger: &Ledger, roles: &[Role], binding: Attribution) -> String {
    let new = NewKey { name: "a test".into(), roles: roles.to_vec(), binding, expires_at: None };
    ledger.create_key(&By::local(), new).unwrap().1
}

/// A request from this machine; without a key where `key` is empty.
pub fn request(
    method: Method,
    target: &str,
    key: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(target);
    if !key.is_empty() {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(body.into()).unwrap();
    let peer: SocketAddr = "127.0.0.1:9".parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    request
}

/// An event of 1,000 tokens in and 100 out, which costs $0.0012, with further members.
pub fn event(id: &str, more: &str) -> String {
    format!(
        r#"{{"id":"{id}","occurred_at":"2026-11-22T10:30:00Z","provider":"openai","model":"gpt-x","usage":{{"input_tokens":1000,"output_tokens":100}}{more}}}"#
    )
}
