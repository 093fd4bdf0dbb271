//! `cargo xtask compat`: programs with the providers' own SDKs, run twice: before a stand-in for the
//! providers, and with only base URL and key changed. They must see the same, and every call of the
//! second run must be in the books with what the stand-in said it used.

use crate::{cargo, root, say};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// What is installed, with its version: others come when somebody has looked at them.
const PYTHON: &[&str] = &["openai==3.54.0", "anthropic==2.12.0", "google-genai==3.4.0"];
const NODE: &[&str] = &["openai@6.49.0", "@anthropic-ai/sdk@1.12.0"];
/// Programs: whether they are Python, and what a refused key looks like to them.
const PROGRAMS: &[(&str, bool, &str)] = &[
    (
        "openai_sdk.py",
        true,
        r#"{"case": "refused", "code": "invalid_api_key", "has_id": true, "status": 401}"#,
    ),
    ("anthropic_sdk.py", true, r#"{"case": "refused", "status": 401, "type": "authentication_error"}"#),
    ("google_sdk.py", true, r#"{"case": "refused", "named": "UNAUTHENTICATED", "status": 401}"#),
    (
        "node_sdks.mjs",
        false,
        r#"{"case":"refused","name":"AuthenticationError","status":401,"code":"invalid_api_key"}"#,
    ),
];

/// Runs all programs that can be installed.
pub fn run() -> Result<(), String> {
    cargo(&["build", "--release", "--package", "tollbook"], &[])?;
    cargo(&["build", "--release", "--package", "tollbook-testkit", "--example", "upstream"], &[])?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let place = target.join("compat");
    std::fs::create_dir_all(place.join("node")).map_err(text)?;
    let (python, node) = (install_python(&place), install_node(&place.join("node")));
    for skipped in [&python, &node].into_iter().filter_map(|installed| installed.as_ref().err()) {
        say(&format!("SKIPPED: {skipped}"));
    }
    let mut bench = Bench::start(&target.join("release"), &place)?;
    let mut programs = 0;
    for (name, is_python, refused) in PROGRAMS {
        let Ok(command) = (if *is_python { &python } else { &node }) else { continue };
        bench.compare(command, name, refused)?;
        programs += 1;
    }
    let calls = bench.check_books()?;
    say(&format!("{programs} programs saw no difference; {calls} calls are in the books, to the token"));
    Ok(())
}

fn install_python(place: &Path) -> Result<PathBuf, String> {
    let python = place.join("venv/bin/python");
    if !python.exists() {
        quiet(Command::new("python3").args(["-m", "venv"]).arg(place.join("venv")))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    quiet(Command::new(&python).args(pip).args(PYTHON))?;
    Ok(python)
}

fn install_node(place: &Path) -> Result<PathBuf, String> {
    let npm = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"];
    quiet(Command::new("npm").args(npm).args(NODE).current_dir(place))?;
    Ok("node".into())
}

/// Runs something that says nothing when all is well.
fn quiet(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
}

/// The stand-in and the server before it.
struct Bench {
    place: PathBuf,
    data: PathBuf,
    tollbook: PathBuf,
    upstream: Started,
    server: Started,
    upstream_url: String,
    server_url: String,
    key: String,
    /// Calls that the stand-in got without a server between, by their numbers.
    direct: Vec<u64>,
}

impl Bench {
    fn start(programs: &Path, place: &Path) -> Result<Bench, String> {
        let mut upstream = Started::new(&mut Command::new(programs.join("examples/upstream")))?;
        let upstream_url = upstream.line()?.trim().to_owned();
        let (data, tollbook) = (place.join("data"), programs.join("tollbook"));
        let _ = std::fs::remove_dir_all(&data);
        let upstreams: String = ["openai", "anthropic", "google"]
            .iter()
            .map(|name| {
                let key = "api_key = { env = \"COMPAT_PROVIDER_KEY\" }";
                format!("[gateway.upstreams.{name}]\nbase_url = \"{upstream_url}\"\n{key}\n")
            })
            .collect();
        let config = place.join("tollbook.toml");
        std::fs::write(&config, upstreams).map_err(text)?;
        let mut command = Command::new(&tollbook);
        command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--config"]).arg(&config);
        command.arg("--data-dir").arg(&data).env("COMPAT_PROVIDER_KEY", "sk-of-the-provider");
        let mut server = Started::new(&mut command)?;
        let told: Value = serde_json::from_str(&server.line()?).map_err(text)?;
        let member = |name: &str| told[name].as_str().map(str::to_owned).ok_or(format!("no {name}: {told}"));
        let (server_url, key) = (member("url")?, member("key")?);
        let place = place.to_owned();
        Ok(Bench {
            place,
            data,
            tollbook,
            upstream,
            server,
            upstream_url,
            server_url,
            key,
            direct: Vec::new(),
        })
    }

    /// The same program without and with the server.
    fn compare(&mut self, program: &Path, name: &str, refused: &str) -> Result<(), String> {
        let before = self.served()?.len();
        let plain = self.program(program, name, None, &self.upstream_url, "sk-of-the-provider")?;
        let after = self.served()?.len();
        self.direct.extend((before..after).map(|nth| nth as u64));
        let through = self.program(program, name, None, &self.server_url, &self.key)?;
        if plain != through {
            return Err(format!("{name} sees a difference.\nwithout:\n{plain}\nwith:\n{through}"));
        }
        let seen = self.program(program, name, Some("refused"), &self.server_url, &self.key)?;
        if seen.trim_end() != refused {
            return Err(format!("{name} sees a refused key as {seen}, not as {refused}"));
        }
        say(&format!("{name}: {} cases, no difference", through.lines().count()));
        Ok(())
    }

    fn program(
        &self,
        program: &Path,
        name: &str,
        arg: Option<&str>,
        url: &str,
        key: &str,
    ) -> Result<String, String> {
        let through = url == self.server_url;
        let base = |upstream: &str| if through { format!("{url}/{upstream}") } else { url.to_owned() };
        // Modules are looked for beside the program.
        let script = self.place.join("node").join(name);
        std::fs::copy(root().join("xtask/compat").join(name), &script).map_err(text)?;
        let output = Command::new(program)
            .arg(&script)
            .args(arg)
            .env("OPENAI_BASE_URL", format!("{}/v1", base("openai")))
            .env("OPENAI_API_KEY", key)
            .env("ANTHROPIC_BASE_URL", base("anthropic"))
            .env("ANTHROPIC_API_KEY", key)
            .env("GOOGLE_GEMINI_BASE_URL", base("google"))
            .env("GEMINI_API_KEY", key)
            .output()
            .map_err(text)?;
        if !output.status.success() {
            return Err(format!("{name} at {url}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        String::from_utf8(output.stdout).map_err(text)
    }

    /// What the stand-in served so far.
    fn served(&mut self) -> Result<Vec<Value>, String> {
        self.upstream.input.write_all(b"\n").map_err(text)?;
        serde_json::from_str(&self.upstream.line()?).map_err(text)
    }

    /// Ends the server; every call that came through it is in the books, once.
    fn check_books(mut self) -> Result<usize, String> {
        let sums = |list: &[Value], input: &str, output: &str| {
            let mut sums: Vec<(u64, u64)> = list
                .iter()
                .map(|one| (one[input].as_u64().unwrap_or(0), one[output].as_u64().unwrap_or(0)))
                .collect();
            sums.sort_unstable();
            sums
        };
        let served = self.served()?;
        let through = served.iter().filter(|call| !self.direct.iter().any(|nth| call["nth"] == *nth));
        let through: Vec<Value> = through.map(|call| call["tokens"].clone()).collect();
        // A caller that left early is read on: give its upstream a moment.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let pid = self.server.child.id();
        quiet(Command::new("sh").args(["-c", &format!("kill -TERM {pid}")]))?;
        let status = self.server.child.wait().map_err(text)?;
        if !status.success() {
            return Err(format!("the server ended: {status}"));
        }
        let mut export = Command::new(&self.tollbook);
        export.args(["export", "--format", "jsonl", "--data-dir"]).arg(&self.data);
        let exported = export.output().map_err(text)?;
        let booked: Result<Vec<Value>, _> = String::from_utf8_lossy(&exported.stdout)
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).map(|call| call["usage"].clone()))
            .collect();
        let booked = sums(&booked.map_err(text)?, "input_tokens", "output_tokens");
        let expected = sums(&through, "input", "output");
        if booked != expected {
            return Err(format!("served: {expected:?}\nin the books: {booked:?}"));
        }
        Ok(booked.len())
    }
}

/// A process with its standard streams; it ends with its owner.
struct Started {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Started {
    fn new(command: &mut Command) -> Result<Started, String> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("no pipes".to_owned()) };
        Ok(Started { child, input, output: BufReader::new(output) })
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(text)?;
        if line.is_empty() { Err("a program ended early".to_owned()) } else { Ok(line) }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
