//! What a program stands before: two stand-ins for the providers, one of them behind the server.

use super::Program;
use super::process::{Running, bounded, text};
use crate::root;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What a program may take; none needs a tenth of it.
const PROGRAM_TIME: Duration = Duration::from_secs(60);
/// A refusal that takes longer was retried or waited for.
const REFUSAL_S: u64 = 3;
/// The key that the providers know.
const PROVIDER_KEY: &str = "sk-of-the-provider";
/// The admin's key of every server here: it is in no list, so that nothing can end it.
pub const ADMIN_KEY: &str = "the-admin-key-of-this-stand";
const UPSTREAMS: [&str; 4] = ["openai", "anthropic", "google", "ollama"];
/// Where SDKs and the server look for providers' keys.
const KEY_NAMES: [&str; 4] = ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY"];
/// One price for everything that these serve, so that costs follow from quantities.
const PRICE: &str = "model = \"*\"\ninput = \"2.00\"\noutput = \"8.00\"\ncache_read = \"0.50\"\n";

/// Where everything is.
pub struct Place {
    /// What is installed and written goes here.
    pub root: PathBuf,
    tollbook: PathBuf,
    upstream: PathBuf,
}

impl Place {
    /// Beside this program, which cargo built into the same directory.
    pub fn new() -> Result<Place, String> {
        let exe = std::env::current_exe().map_err(text)?;
        let built = exe.parent().ok_or("no directory of programs")?;
        let root = built.parent().ok_or("no target directory")?.join("compat");
        std::fs::create_dir_all(&root).map_err(text)?;
        Ok(Place { root, tollbook: built.join("tollbook"), upstream: built.join("examples/upstream") })
    }

    /// The program, as nobody has configured it.
    pub fn tollbook(&self) -> Command {
        let mut command = Command::new(&self.tollbook);
        let ours = std::env::vars_os().map(|(name, _)| name);
        for name in ours.filter(|name| name.to_string_lossy().starts_with("TOLLBOOK_")) {
            command.env_remove(name);
        }
        command
    }
}

/// A running server.
pub struct Server {
    config: PathBuf,
    /// Where it is.
    pub url: String,
    key: String,
    _process: Running,
}

/// The stand-ins and the servers of one program.
pub struct Stand {
    tollbook: PathBuf,
    programs: PathBuf,
    direct: Provider,
    behind: Provider,
    server: Server,
    /// A server without keys of providers.
    bare: Server,
}

/// A running stand-in for the providers.
struct Provider {
    url: String,
    process: Running,
}

impl Provider {
    fn start(place: &Place) -> Result<Provider, String> {
        let mut process = Running::start(&mut Command::new(&place.upstream))?;
        Ok(Provider { url: process.line()?.trim().to_owned(), process })
    }

    fn served(&mut self) -> Result<Vec<Value>, String> {
        serde_json::from_str(&self.process.ask()?).map_err(text)
    }
}

impl Stand {
    /// Starts everything anew.
    pub fn start(place: &Place) -> Result<Stand, String> {
        let (direct, behind) = (Provider::start(place)?, Provider::start(place)?);
        let server = serve(place, "server", &behind.url, "api_key = { env = \"COMPAT_PROVIDER_KEY\" }\n")?;
        let bare = serve(place, "bare", &behind.url, "")?;
        // Node looks for modules beside the program, so all programs go there.
        let programs = place.root.join("node");
        std::fs::create_dir_all(&programs).map_err(text)?;
        for file in std::fs::read_dir(root().join("compat")).map_err(text)? {
            let path = file.map_err(text)?.path();
            if path.extension().is_some_and(|kind| kind == "py" || kind == "mjs") {
                std::fs::copy(&path, programs.join(path.file_name().unwrap_or_default())).map_err(text)?;
            }
        }
        Ok(Stand { tollbook: place.tollbook.clone(), programs, direct, behind, server, bare })
    }

    /// Runs the program: against the provider itself, or through the server with the server's key.
    pub fn run(&self, program: &Program, command: &Path, through: bool) -> Result<String, String> {
        let base = |name: &str| match through {
            true => format!("{}/{name}", self.server.url),
            false => self.direct.url.clone(),
        };
        let key = if through { &self.server.key } else { PROVIDER_KEY };
        let mut started = self.command(program, command);
        started.envs(KEY_NAMES[..3].iter().map(|name| (*name, key)));
        started.env("OPENAI_BASE_URL", format!("{}/v1", base("openai")));
        started.env("ANTHROPIC_BASE_URL", base("anthropic"));
        started.env("GOOGLE_GEMINI_BASE_URL", base("google"));
        started.env("OLLAMA_HOST", base("ollama")).env("COMPAT_KEY", key);
        // What it tells of calls that go to the provider itself comes into books of its own.
        let told = if through { &self.server } else { &self.bare };
        started.env("OTEL_EXPORTER_OTLP_ENDPOINT", &told.url).env("OTEL_SERVICE_NAME", "compat");
        started.env("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{}", told.key));
        started.env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        bounded(&mut started, PROGRAM_TIME)
    }

    fn command(&self, program: &Program, command: &Path) -> Command {
        let mut started = Command::new(command);
        started.arg(self.programs.join(program.file));
        for name in KEY_NAMES {
            started.env_remove(name);
        }
        started
    }

    /// What came to the stand-in itself and to the one behind the server.
    pub fn served(&mut self) -> Result<(Vec<Value>, Vec<Value>), String> {
        Ok((self.direct.served()?, self.behind.served()?))
    }

    /// The calls in the books, in the order in which they began.
    pub fn calls(&self) -> Result<Vec<Value>, String> {
        self.calls_of(&self.server)
    }

    /// The calls in the books that know what was told of them only.
    pub fn told(&self) -> Result<Vec<Value>, String> {
        self.calls_of(&self.bare)
    }

    fn calls_of(&self, server: &Server) -> Result<Vec<Value>, String> {
        let list = self.ask(server, &["calls", "--all", "--limit", "1000"])?;
        let mut calls = list["data"].as_array().cloned().ok_or("no calls")?;
        calls.reverse();
        Ok(calls)
    }

    /// Runs the command line beside the server, and reads what it prints, if anything.
    fn tollbook(&self, args: &[&str]) -> Result<Value, String> {
        self.ask(&self.server, args)
    }

    fn ask(&self, server: &Server, args: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(&self.tollbook);
        command.args(args).arg("--json").arg("--config").arg(&server.config);
        let printed = bounded(&mut command, PROGRAM_TIME)?;
        if printed.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&printed).map_err(text) }
    }

    /// What the server shows of itself.
    pub fn metrics(&self) -> Result<String, String> {
        let viewer = self.tollbook(&["key", "create", "metrics", "--role", "viewer"])?;
        let key = viewer["key"].as_str().ok_or("no key")?;
        let address = self.server.url.strip_prefix("http://").ok_or("no address")?;
        let mut stream = TcpStream::connect(address).map_err(text)?;
        let request = format!("GET /metrics HTTP/1.0\r\nauthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(text)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(text)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(format!("no figures: {answer}")),
        }
    }

    /// Refusals come at once, as errors that the SDK knows, reach no provider and no book.
    pub fn refuses(&mut self, program: &Program, command: &Path) -> Result<(), String> {
        let (_, before) = self.served()?;
        let booked = self.calls()?.len();
        let revoked = self.tollbook(&["key", "create", "gone"])?;
        let member = |key: &Value, name: &str| key[name].as_str().unwrap_or_default().to_owned();
        self.tollbook(&["key", "revoke", &member(&revoked, "id")])?;
        let viewer = self.tollbook(&["key", "create", "reader", "--role", "viewer"])?;
        let [unknown, not_allowed, no_provider] = program.refusals;
        let cases = [
            ("unknown", "tb_nobody-has-this-key".to_owned(), &self.server, unknown, 401),
            ("revoked", member(&revoked, "key"), &self.server, unknown, 401),
            ("viewer", member(&viewer, "key"), &self.server, not_allowed, 403),
            ("no provider key", self.bare.key.clone(), &self.bare, no_provider, 503),
        ];
        // A provider that wants no key lacks none.
        let cases: Vec<_> = cases.into_iter().filter(|(.., error, _)| !error.is_empty()).collect();
        let mut started = self.command(program, command);
        started.env("OPENAI_BASE_URL", "").env("ANTHROPIC_BASE_URL", "").env("COMPAT_KEY", "");
        for (name, key, server, ..) in &cases {
            started.args([*name, &format!("{}/{}", server.url, program.upstream), key]);
        }
        let seen = bounded(&mut started, PROGRAM_TIME)?;
        let lines: Vec<&str> = seen.lines().collect();
        if lines.len() != cases.len() {
            return Err(format!("{} refusals for {}: {seen}", lines.len(), cases.len()));
        }
        for ((name, _, _, error, status), line) in cases.iter().zip(lines) {
            let line: Value = serde_json::from_str(line).map_err(text)?;
            let is_quick = line["seconds"].as_u64().is_some_and(|seconds| seconds < REFUSAL_S);
            let is_told = line["error"] == *error && line["status"] == *status && line["has_id"] != false;
            if line["case"] != *name || !is_quick || !is_told {
                return Err(format!("{name}: {error} with {status} was due, not {line}"));
            }
        }
        let (_, after) = self.served()?;
        if after.len() != before.len() || self.calls()?.len() != booked {
            return Err("a refused call reached the provider or the books".to_owned());
        }
        Ok(())
    }
}

/// A server of its own, with its own books.
pub fn serve(place: &Place, name: &str, upstream: &str, more: &str) -> Result<Server, String> {
    serve_in(place, name, upstream, more, &[])
}

/// The same, with more of an environment.
pub fn serve_in(
    place: &Place,
    name: &str,
    upstream: &str,
    more: &str,
    environment: &[(&str, &Path)],
) -> Result<Server, String> {
    let data = place.root.join(name);
    let _ = std::fs::remove_dir_all(&data);
    let config = place.root.join(format!("{name}.toml"));
    let start = format!(
        "[server]\ndata_dir = {:?}\nlisten = \"127.0.0.1:0\"\n[[prices]]\nfile = \"prices.toml\"\n",
        data.display().to_string()
    );
    let upstreams = UPSTREAMS.map(|name| {
        let more = if name == "ollama" { "" } else { more };
        format!("[gateway.upstreams.{name}]\nbase_url = \"{upstream}\"\n{more}")
    });
    let prices = UPSTREAMS.map(|name| format!("[[price]]\nprovider = \"{name}\"\n{PRICE}"));
    std::fs::write(place.root.join("prices.toml"), prices.concat()).map_err(text)?;
    std::fs::write(&config, start + &upstreams.concat()).map_err(text)?;
    let mut command = Command::new(&place.tollbook);
    command.args(["serve", "--json", "--config"]).arg(&config);
    for name in KEY_NAMES {
        command.env_remove(name);
    }
    command
        .env("COMPAT_PROVIDER_KEY", PROVIDER_KEY)
        .env("TOLLBOOK_LOG", "warn")
        .env("TOLLBOOK_ADMIN_KEY", ADMIN_KEY)
        .envs(environment.iter().copied());
    let mut process = Running::start(&mut command)?;
    let told: Value = serde_json::from_str(&process.line()?).map_err(text)?;
    let member = |name: &str| told[name].as_str().map(str::to_owned).ok_or(format!("no {name}: {told}"));
    Ok(Server { config, url: member("url")?, key: member("key")?, _process: process })
}
