//! What stands before the mock: nothing, nginx, Tollbook.

use super::load::Caller;
use super::mock::{INPUT_TOKENS, OUTPUT_TOKENS};
use super::process::Process;
use crate::run::Run;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The admin key of servers under test; callers show it.
const KEY: &str = "tb_bench-0123456789abcdefghijklmnop";
/// How long a server has to start, and to end.
const PATIENCE: Duration = Duration::from_secs(40);

/// A server under test, and how it is called.
pub struct Server {
    pub name: &'static str,
    pub caller: Caller,
    /// Nothing where the mock is called directly.
    pub process: Option<Process>,
    /// The ledger, where it keeps one.
    pub books: Option<PathBuf>,
}

impl Server {
    /// The mock itself.
    pub fn direct(mock: SocketAddr) -> Server {
        let caller = Caller {
            address: mock,
            path: "/v1/chat/completions",
            key: KEY.to_owned(),
            headers: String::new(),
        };
        Server { name: "direct", caller, process: None, books: None }
    }

    /// nginx with a worker a core and kept connections to the mock.
    pub fn nginx(run: &Run, mock: SocketAddr) -> Result<Server, String> {
        let dir = run.scratch.fresh("nginx")?;
        let (port, cores) = (free_port()?, std::thread::available_parallelism().map_or(1, usize::from));
        let at = dir.display();
        let temp: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {at}/{name};\n"))
            .concat();
        let config = format!(
            "daemon off;\nworker_processes {cores};\npid {at}/pid;\nerror_log {at}/error.log crit;\n\
             worker_rlimit_nofile 16384;\nevents {{ worker_connections 4096; }}\n\
             http {{\naccess_log off;\ntcp_nodelay on;\nkeepalive_requests 1000000000;\nkeepalive_timeout 300s;\n{temp}\
             upstream mock {{ server {mock}; keepalive 256; keepalive_requests 1000000000; keepalive_timeout 300s; }}\n\
             server {{ listen 127.0.0.1:{port} backlog=4096;\nlocation / {{ proxy_pass http://mock; proxy_http_version 1.1;\n\
             proxy_set_header Connection \"\"; proxy_buffering off; proxy_read_timeout 300s; }} }}\n}}\n"
        );
        let file = dir.join("nginx.conf");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&file).arg("-p").arg(&dir);
        let process = Process::start("nginx", &mut command, &dir.join("log"))?;
        let caller = Caller {
            address: loopback(port),
            path: "/v1/chat/completions",
            key: KEY.to_owned(),
            headers: String::new(),
        };
        await_port("nginx (Debian's package)", caller.address)?;
        Ok(Server { name: "nginx", caller, process: Some(process), books: None })
    }

    /// Tollbook as it is shipped, everything on, with more lines in its configuration.
    pub fn tollbook(
        run: &Run,
        program: &Path,
        name: &'static str,
        durability: &str,
        mock: SocketAddr,
        more: &str,
    ) -> Result<Server, String> {
        let dir = run.scratch.fresh(name)?;
        let (port, books) = (free_port()?, dir.join("data"));
        let config = format!(
            "[server]\nlisten = \"127.0.0.1:{port}\"\ndata_dir = {books:?}\n[store]\ndurability = \"{durability}\"\n\
             [gateway.upstreams.openai]\nbase_url = \"http://{mock}\"\napi_key = {{ env = \"MOCK_KEY\" }}\n{more}"
        );
        let file = dir.join("tollbook.toml");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(&file).current_dir(&dir);
        command.env("TOLLBOOK_ADMIN_KEY", KEY).env("MOCK_KEY", "sk-mock");
        let process = Process::start(name, &mut command, &dir.join("log"))?;
        let caller = Caller {
            address: loopback(port),
            path: "/openai/v1/chat/completions",
            key: KEY.to_owned(),
            headers: String::new(),
        };
        await_port(name, caller.address).map_err(|error| {
            format!("{error}\n{}", std::fs::read_to_string(dir.join("log")).unwrap_or_default())
        })?;
        Ok(Server { name, caller, process: Some(process), books: Some(file) })
    }

    /// Processor time so far, in microseconds; none where there is no server.
    pub fn cpu_micros(&self) -> f64 {
        self.process.as_ref().map_or(0.0, Process::cpu_micros)
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> f64 {
        self.process.as_ref().map_or(0.0, Process::resident_kib)
    }

    /// Ends it. A server with books must have every call in them, exactly.
    pub fn end(self, program: &Path, served: u64) -> Result<(), String> {
        let name = self.name;
        let Some(total) = self.total(program)? else { return Ok(()) };
        let expected = (served, served * INPUT_TOKENS, served * OUTPUT_TOKENS);
        let number = |name: &str| total[name].as_u64().unwrap_or(u64::MAX);
        let found = (number("calls"), number("input_tokens"), number("output_tokens"));
        let cost = total["cost_usd"].as_str().unwrap_or_default();
        if found != expected || cost.is_empty() || total["unpriced_calls"] != 0 {
            return Err(format!("{name}: served {expected:?}, in the books {found:?}: {total}"));
        }
        crate::figure::say(&format!("  {name}: {served} calls served, {served} in the books, {cost} USD"));
        Ok(())
    }

    /// Ends it and gives the sums of its books, if it keeps any.
    pub fn total(self, program: &Path) -> Result<Option<serde_json::Value>, String> {
        if let Some(process) = self.process {
            process.end(PATIENCE)?;
        }
        let Some(config) = self.books else { return Ok(None) };
        let output = Command::new(program)
            .args(["usage", "--all", "--json", "--config"])
            .arg(config)
            .output()
            .map_err(|error| error.to_string())?;
        let told: serde_json::Value = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("{error}: {}", String::from_utf8_lossy(&output.stderr)))?;
        Ok(Some(told["total"].clone()))
    }
}

/// The program to measure: built here as it is shipped, unless `TOLLBOOK_PROGRAM` names one.
pub fn program() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("TOLLBOOK_PROGRAM") {
        return Ok(named.into());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--profile", "dist", "--quiet", "--package", "tollbook"])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if !built.success() {
        return Err("the program does not build".to_owned());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("dist").join("tollbook"))
}

/// A port that was free a moment ago.
pub fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map(|address| address.port()).map_err(|error| error.to_string())
}

/// A port of this machine.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Waits until something listens there.
pub fn await_port(name: &str, address: SocketAddr) -> Result<(), String> {
    let since = Instant::now();
    while TcpStream::connect(address).is_err() {
        if since.elapsed() > PATIENCE {
            return Err(format!("{name} does not listen on {address}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
