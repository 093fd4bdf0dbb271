//! Other gateways, as their packages are published, before the same upstream.
//!
//! They keep no books here: LiteLLM's need a database engine that is fetched at run time, Portkey's
//! gateway has none. What cannot be installed is said and left out.

use super::load::{Caller, Pace};
use super::mock::{Kind, Mock};
use super::process::Process;
use super::servers::{self, Server, await_port, free_port, loopback};
use super::{Load, Target, load};
use crate::figure::{Aim, Table, say};
use crate::run::Run;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const LITELLM: &str = "litellm[proxy]==1.106.2";
const PORTKEY: &str = "@portkey-ai/gateway@1.15.2";
const INSTALL_TIME: Duration = Duration::from_secs(300);
const TIME: Duration = Duration::from_secs(4);
const CONNECTIONS: u32 = 16;

/// Processor time of a call, ours over theirs.
pub fn measure(run: &Run, table: &mut Table) -> Result<(), String> {
    let (mock, program) = (Mock::start(load::epoch())?, servers::program()?);
    let ours = Target::new(Server::tollbook(run, &program, "beside", "full", mock.address, "")?);
    let mut targets = vec![ours];
    for (name, start) in [("LiteLLM", litellm as Starter), ("Portkey", portkey)] {
        match start(run, &mock) {
            Ok(server) => targets.push(Target::new(server)),
            Err(error) => say(&format!("SKIPPED {name}: {error}")),
        }
    }
    let load = Load { kind: Kind::Json, connections: CONNECTIONS, pace: Pace::Closed, time: TIME };
    super::in_turns(run, &mock, &mut targets, &[load])?;
    let (first, others) = targets.split_at(1);
    let ours = &first[0].cells[0].cpu_micros;
    for target in others {
        let share = if target.server.name == "LiteLLM" { 200.0 } else { 30.0 };
        let theirs = &target.cells[0].cpu_micros;
        let resident = target.server.resident_kib() / 1_024.0;
        table.add(
            &format!("gateway: processor time of a call, {} over ours", target.server.name),
            Aim::AtLeast { bar: share, goal: share },
            " ×",
            &theirs.over(ours),
            &ours.text(1, " µs"),
            &format!("{}, {resident:.0} MiB resident", theirs.text(0, " µs")),
        );
    }
    super::end(targets, &program)
}

type Starter = fn(&Run, &Mock) -> Result<Server, String>;

fn litellm(run: &Run, mock: &Mock) -> Result<Server, String> {
    let place = installed("litellm")?;
    let (venv, port) = (place.join("venv"), free_port()?);
    if !venv.join("bin/litellm").exists() {
        install(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        install(Command::new(venv.join("bin/pip")).args(["install", "--quiet", LITELLM]))?;
    }
    let dir = run.scratch.fresh("litellm")?;
    let config = format!(
        "model_list:\n  - model_name: gpt-4o-mini\n    litellm_params:\n      model: openai/gpt-4o-mini\n\
         \x20     api_base: http://{}/v1\n      api_key: sk-mock\n",
        mock.address
    );
    let file = dir.join("config.yaml");
    std::fs::write(&file, config).map_err(|error| error.to_string())?;
    let mut command = Command::new(venv.join("bin/litellm"));
    command.arg("--config").arg(&file).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    command.env("LITELLM_LOG", "ERROR").env("LITELLM_LOCAL_MODEL_COST_MAP", "True").current_dir(&dir);
    started("LiteLLM", &mut command, &dir, port, String::new())
}

fn portkey(run: &Run, mock: &Mock) -> Result<Server, String> {
    let (place, port) = (installed("portkey")?, free_port()?);
    let program = place.join("node_modules/@portkey-ai/gateway/build/start-server.js");
    if !program.exists() {
        let mut npm = Command::new("npm");
        install(
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", PORTKEY]).current_dir(&place),
        )?;
    }
    let dir = run.scratch.fresh("portkey")?;
    let mut command = Command::new("node");
    command.arg(&program).args([&format!("--port={port}"), "--headless"]).current_dir(&dir);
    command.env("TRUSTED_CUSTOM_HOSTS", "127.0.0.1,localhost");
    let headers =
        format!("x-portkey-provider: openai\r\nx-portkey-custom-host: http://{}/v1\r\n", mock.address);
    started("Portkey", &mut command, &dir, port, headers)
}

fn started(
    name: &'static str,
    command: &mut Command,
    dir: &Path,
    port: u16,
    headers: String,
) -> Result<Server, String> {
    let process = Process::start(name, command, &dir.join("log"))?;
    let caller =
        Caller { address: loopback(port), path: "/v1/chat/completions", key: "sk-mock".to_owned(), headers };
    await_port(name, caller.address)?;
    Ok(Server { name, caller, process: Some(process), books: None })
}

/// Where packages stay between runs.
fn installed(name: &str) -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(name);
    std::fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    Ok(place)
}

fn install(command: &mut Command) -> Result<(), String> {
    say(&format!("  installing: {command:?}"));
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let since = Instant::now();
    loop {
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("cannot be installed: {status}")),
            None if since.elapsed() > INSTALL_TIME => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("not installed within {INSTALL_TIME:?}"));
            }
            None => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}
