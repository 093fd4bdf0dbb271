//! The SDKs, installed under the target directory with the versions that `compat/` pins.

use super::Program;
use super::process::{bounded, text};
use crate::{root, say};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// An installation that takes longer counts as impossible.
const INSTALL_TIME: Duration = Duration::from_secs(150);

/// Interpreters that may be new enough for what needs 3.12.
const NEW_PYTHONS: [&str; 4] = ["python3", "python3.12", "python3.13", "python3.14"];

/// What programs are run with, or why they cannot be.
pub struct Tools {
    python: Result<PathBuf, String>,
    node: Result<PathBuf, String>,
    /// The lines that pin versions, as `name==version`.
    pins: Vec<String>,
}

impl Tools {
    /// Installs what is not installed yet, below this directory.
    pub fn install(place: &Path) -> Tools {
        let tools = Tools { python: install_python(place), node: install_node(place), pins: pins() };
        for why in [&tools.python, &tools.node].into_iter().filter_map(|tool| tool.as_ref().err()) {
            say(&format!("SKIPPED, cannot be installed: {why}"));
        }
        tools
    }

    /// What runs the program.
    pub fn command(&self, program: &Program) -> Result<PathBuf, String> {
        if program.package.is_none() {
            return Ok("python3".into());
        }
        let tool = if is_python(program) { &self.python } else { &self.node };
        tool.clone().map_err(|_| "its SDK cannot be installed, see above".to_owned())
    }

    /// The name and the version of the program's SDK.
    pub fn version(&self, program: &Program) -> String {
        let Some(package) = program.package else { return "plain HTTP".to_owned() };
        let kind = if is_python(program) { "PyPI" } else { "npm" };
        let pin = |pin: &String| {
            let (of, pinned) = pin.split_once(' ')?;
            let (name, version) = pinned.split_once("==")?;
            (of == kind && name == package).then(|| format!("{name} {version}"))
        };
        self.pins.iter().find_map(pin).unwrap_or_else(|| package.to_owned())
    }
}

/// The one of those tools that the build of OpenSSL takes beside cargo and a C compiler, if all are there.
pub fn builds_openssl() -> Result<PathBuf, String> {
    for tool in ["make", "perl"] {
        let found = Command::new(tool).arg("--version").output();
        found.map_err(|error| format!("{tool}, which the build of OpenSSL takes: {error}"))?;
    }
    Ok("perl".into())
}

fn is_python(program: &Program) -> bool {
    program.file.ends_with(".py")
}

fn pins() -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(root().join("compat").join(name)).unwrap_or_default();
    let python = read("requirements.txt").lines().map(|line| format!("PyPI {line}")).collect::<Vec<_>>();
    let package: serde_json::Value = serde_json::from_str(&read("package.json")).unwrap_or_default();
    let node = package["dependencies"].as_object().into_iter().flatten();
    let node = node.map(|(name, version)| format!("npm {name}=={}", version.as_str().unwrap_or_default()));
    python.into_iter().chain(node).collect()
}

fn install_python(place: &Path) -> Result<PathBuf, String> {
    install_venv(&place.join("venv"), "compat/requirements.txt")
}

/// What asks every operation of the API, in an environment of its own.
pub fn schemathesis(place: &Path) -> Result<PathBuf, String> {
    let venv = place.join("openapi-venv");
    install_venv(&venv, "compat/openapi.txt")?;
    Ok(venv.join("bin/schemathesis"))
}

/// The interpreter with the validator of FOCUS, in an environment of its own.
pub fn focus_validator(place: &Path) -> Result<PathBuf, String> {
    let newest = NEW_PYTHONS.iter().find(|name| {
        let is_new = "import sys; sys.exit(sys.version_info < (3, 12))";
        bounded(python_of(name).args(["-c", is_new]), INSTALL_TIME).is_ok()
    });
    let python = newest.ok_or("it needs Python 3.12 or newer")?;
    install_venv_of(python, &place.join("focus-venv"), "compat/focus.txt")
}

/// An interpreter by name. Where pyenv stands before several, it is told which.
fn python_of(name: &str) -> Command {
    let mut command = Command::new(name);
    if let Some(version) = name.strip_prefix("python3.") {
        command.env("PYENV_VERSION", format!("3.{version}"));
    }
    command
}

/// An environment with what the file pins; gives its interpreter.
fn install_venv(venv: &Path, pins: &str) -> Result<PathBuf, String> {
    install_venv_of("python3", venv, pins)
}

fn install_venv_of(base: &str, venv: &Path, pins: &str) -> Result<PathBuf, String> {
    let wanted = root().join(pins);
    let python = venv.join("bin/python");
    once(venv, &wanted, || {
        bounded(python_of(base).args(["-m", "venv"]).arg(venv), INSTALL_TIME)?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
        let quick = ["--retries", "1", "--timeout", "10", "--requirement"];
        bounded(Command::new(&python).args(pip).args(quick).arg(&wanted), INSTALL_TIME)
    })?;
    Ok(python)
}

fn install_node(place: &Path) -> Result<PathBuf, String> {
    node(&place.join("node"), "compat")?;
    Ok("node".into())
}

/// What the lock file in a directory of the repository pins, installed into this one.
pub fn node(node: &Path, from: &str) -> Result<(), String> {
    let from = root().join(from);
    let lock = from.join("package-lock.json");
    once(node, &lock, || {
        for name in ["package.json", "package-lock.json"] {
            std::fs::copy(from.join(name), node.join(name)).map_err(text)?;
        }
        let npm = [
            "ci",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--fetch-retries",
            "1",
            "--loglevel",
            "error",
        ];
        bounded(Command::new("npm").args(npm).current_dir(node), INSTALL_TIME)
    })
}

/// Installs into an empty directory, unless what is in it was made from the same file.
fn once(place: &Path, wanted: &Path, install: impl Fn() -> Result<String, String>) -> Result<(), String> {
    let stamp = place.join("installed-from");
    let wanted = std::fs::read(wanted).map_err(text)?;
    if std::fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    let _ = std::fs::remove_dir_all(place);
    std::fs::create_dir_all(place).map_err(text)?;
    install()?;
    std::fs::write(&stamp, wanted).map_err(text)
}
