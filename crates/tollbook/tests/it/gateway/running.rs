//! A server that runs in a directory of its own, with upstreams that are one stand-in.

use crate::program::Place;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tollbook_testkit::tls::{Authority, Relay};
use tollbook_testkit::upstream::Upstream;
use tollbook_testkit::{Answer, Call, Caller};

/// How long a server has to start and to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// The key that the gateway shows to a provider.
pub const PROVIDER_KEY: &str = "sk-canary-of-the-provider";

/// How a server is started.
pub struct Setup {
    /// Lines of `[gateway]`.
    pub gateway: String,
    /// Lines of `[store]`.
    pub store: String,
    /// Environment variables.
    pub environment: Vec<(String, String)>,
    /// Where providers are, if not at the stand-in.
    pub base_url: Option<String>,
    /// Who vouches for the server, where its callers are to speak TLS.
    pub tls: Option<Authority>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            gateway: String::new(),
            store: String::new(),
            environment: vec![("PROVIDER_KEY".to_owned(), PROVIDER_KEY.to_owned())],
            base_url: None,
            tls: None,
        }
    }
}

impl Setup {
    /// With these lines in `[gateway]`.
    pub fn gateway(lines: &str) -> Setup {
        Setup { gateway: lines.to_owned(), ..Setup::default() }
    }
}

/// A server, and what it stands between.
pub struct Running {
    pub place: Place,
    pub upstream: Upstream,
    pub address: SocketAddr,
    /// A key with the roles gateway and ingest, and the admin's.
    pub key: String,
    pub admin: String,
    /// Speaks TLS for callers that cannot.
    relay: Option<Relay>,
    setup: Setup,
    child: Child,
    starts: u32,
}

impl Running {
    pub fn start() -> Running {
        Running::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Running {
        let (place, upstream) = (Place::new(), Upstream::start().unwrap());
        let mut config = format!("[gateway]\n{}\n[store]\n{}\n", setup.gateway, setup.store);
        let base_url = setup.base_url.clone().unwrap_or_else(|| upstream.url());
        for name in ["openai", "anthropic", "google"] {
            let _ = write!(
                config,
                "[gateway.upstreams.{name}]\nbase_url = \"{base_url}\"\napi_key = {{ env = \"PROVIDER_KEY\" }}\n"
            );
        }
        let _ = write!(config, "[gateway.upstreams.ollama]\nbase_url = \"{base_url}\"\n");
        if let Some(authority) = &setup.tls {
            let identity = authority.certify().unwrap();
            place.file("cert.pem", identity.certificate);
            place.file("key.pem", identity.key);
            config.push_str("[server]\ntls_cert = \"cert.pem\"\ntls_key = \"key.pem\"\n");
        }
        place.file("tollbook.toml", config);
        let (child, told) = spawn(&place, &setup, 1);
        let key = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let (key, admin) = (key("key"), key("admin_key"));
        assert!(key.starts_with("tb_") && admin.starts_with("tb_"), "{told}");
        let (address, relay) = address(&told, &setup);
        let running = Running { address, place, upstream, key, admin, relay, setup, child, starts: 1 };
        running.ready();
        running
    }

    /// Starts it again in the same directory, at another port.
    pub fn restart(&mut self) {
        self.starts += 1;
        let (child, told) = spawn(&self.place, &self.setup, self.starts);
        assert!(told["key"].is_null() && told["admin_key"].is_null(), "keys are shown once: {told}");
        self.child = child;
        (self.address, self.relay) = address(&told, &self.setup);
        self.ready();
    }

    /// The number of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `KILL`.
    pub fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(std::process::Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Asks it to end and waits until it has.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(since.elapsed() < PATIENCE, "the server does not end\n{}", self.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it well.
    pub fn end(&mut self) {
        let status = self.terminate();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    pub fn caller(&self) -> Caller {
        Caller::new(self.address)
    }

    /// One call with the key, over a connection of its own.
    pub fn call(&self, call: Call) -> Answer {
        self.caller().call(&call.bearer(&self.key)).unwrap()
    }

    /// What `/readyz` says.
    pub fn ready(&self) -> (u16, Value) {
        let answer = self.caller().call(&Call::get("/readyz")).unwrap();
        (answer.status, answer.json())
    }

    /// Everything that it said on stderr, in all its lives.
    pub fn log(&self) -> String {
        let read = |nth| std::fs::read_to_string(log_file(&self.place, nth)).unwrap_or_default();
        (1..=self.starts).map(read).collect()
    }

    /// Every call in the books by its id. The server must have ended.
    pub fn books(&self) -> HashMap<String, Value> {
        let lines = self.place.run(&["export", "--format", "jsonl"]).ok().json_lines();
        let count = lines.len();
        let by_id: HashMap<String, Value> =
            lines.into_iter().map(|call| (call["id"].as_str().unwrap().to_owned(), call)).collect();
        assert_eq!(by_id.len(), count, "an id is there twice");
        by_id
    }

    /// Sums over all calls.
    pub fn total(&self) -> Value {
        self.place.json(&["usage", "--all"])["total"].clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The id that a call has in the books.
pub fn call_id(answer: &Answer) -> String {
    answer.header("x-tollbook-call-id").unwrap_or_default().to_owned()
}

/// A short chat.
pub fn chat(stream: bool) -> Call {
    let mut body =
        serde_json::json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]});
    if stream {
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    Call::post("/openai/v1/chat/completions", &body)
}

fn spawn(place: &Place, setup: &Setup, nth: u32) -> (Child, Value) {
    let mut command = place.process(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    for (name, value) in &setup.environment {
        command.env(name, value);
    }
    let log = std::fs::File::create(log_file(place, nth)).unwrap();
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut told = String::new();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut told).unwrap();
    // What else it prints must not stop it.
    std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    let log = || std::fs::read_to_string(log_file(place, nth)).unwrap_or_default();
    let told = serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told:?}\n{}", log()));
    (child, told)
}

fn log_file(place: &Place, nth: u32) -> PathBuf {
    place.path().join(format!("log-{nth}"))
}

/// Where its callers go, and what speaks TLS for them.
fn address(told: &Value, setup: &Setup) -> (SocketAddr, Option<Relay>) {
    let url = told["url"].as_str().unwrap();
    let scheme = if setup.tls.is_some() { "https://" } else { "http://" };
    let address = url.strip_prefix(scheme).unwrap().parse().unwrap();
    let relay = setup.tls.as_ref().map(|authority| Relay::into_tls(authority, address).unwrap());
    (relay.as_ref().map_or(address, |relay| relay.address), relay)
}
