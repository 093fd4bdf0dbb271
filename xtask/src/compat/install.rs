//! The SDKs, installed under the target directory with the versions that `compat/` pins.

use super::process::{bounded, text};
use super::{Program, With};
use crate::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// An installation that takes longer counts as impossible.
const INSTALL_TIME: Duration = Duration::from_secs(150);

/// What pins the packages of each kind of program.
const PYTHON: &str = "compat/requirements.txt";
const OTEL: &str = "compat/otel.txt";
const TRACELOOP: &str = "compat/traceloop.txt";

/// Interpreters that may be new enough for what needs 3.12.
const NEW_PYTHONS: [&str; 4] = ["python3", "python3.12", "python3.13", "python3.14"];

/// What programs are run with. Each kind is installed when the first program needs it.
pub struct Tools {
    place: PathBuf,
    installed: Vec<(With, Result<PathBuf, String>)>,
    /// The lines that pin versions, as `name==version`.
    pins: Vec<(With, String)>,
}

impl Tools {
    /// Nothing is installed yet; what will be, goes below this directory.
    pub fn new(place: &Path) -> Tools {
        Tools { place: place.to_owned(), installed: Vec::new(), pins: pins() }
    }

    /// What runs the program.
    pub fn command(&mut self, program: &Program) -> Result<PathBuf, String> {
        let with = program.with;
        if let Some((_, known)) = self.installed.iter().find(|(known, _)| *known == with) {
            return known.clone();
        }
        let tool = match with {
            With::Plain => Ok("python3".into()),
            With::Node => install_node(&self.place),
            With::Python => install_venv(&self.place.join("venv"), PYTHON),
            With::Otel => install_venv(&self.place.join("otel-venv"), OTEL),
            With::Traceloop => install_venv(&self.place.join("traceloop-venv"), TRACELOOP),
        };
        self.installed.push((with, tool.clone()));
        tool
    }

    /// The name and the version of the program's package.
    pub fn version(&self, program: &Program) -> String {
        let pin = |(with, pin): &(With, String)| {
            let (name, version) = pin.split_once("==")?;
            (*with == program.with && name == program.package).then(|| format!("{name} {version}"))
        };
        self.pins.iter().find_map(pin).unwrap_or_else(|| program.package.to_owned())
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

fn pins() -> Vec<(With, String)> {
    let read = |name: &str| std::fs::read_to_string(root().join(name)).unwrap_or_default();
    let python = [(With::Python, PYTHON), (With::Otel, OTEL), (With::Traceloop, TRACELOOP)];
    let python = python.into_iter().flat_map(|(with, file)| {
        let lines: Vec<_> = read(file).lines().map(|line| (with, line.to_owned())).collect();
        lines
    });
    let package: serde_json::Value = serde_json::from_str(&read("compat/package.json")).unwrap_or_default();
    let node = package["dependencies"].as_object().into_iter().flatten();
    let node =
        node.map(|(name, version)| (With::Node, format!("{name}=={}", version.as_str().unwrap_or_default())));
    python.chain(node).collect()
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

/// The interpreter with a mail server, in an environment of its own.
pub fn mail_server(place: &Path) -> Result<PathBuf, String> {
    install_venv(&place.join("smtp-venv"), "compat/smtp.txt")
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
