//! `cargo xtask compat`: programs with the providers' own SDKs, run twice: against a stand-in for the
//! providers, and through the server, with only base URL and key changed. They must see the same, the
//! stand-in must get the same, and every call must be in the books, once, with what it used.
//!
//! Beside them, the API is asked whatever its own document allows (`openapi`), and Prometheus's linter
//! looks at what the server shows of itself, the validator of FOCUS at what it
//! exports, and a browser at the dashboard.
//!
//! What cannot be installed is skipped, and said so.

mod books;
mod dashboard;
mod focus;
mod install;
pub mod openapi;
mod process;
mod promtool;
mod stand;

use crate::{cargo, say};
use install::Tools;
use stand::{Place, Stand};
use std::path::{Path, PathBuf};

/// A program under `compat/`.
struct Program {
    file: &'static str,
    /// The package whose version is shown; none for plain HTTP.
    package: Option<&'static str>,
    /// The upstream that its refusals are asked of.
    upstream: &'static str,
    /// What an unknown key, a key that may not call models and a provider without a key are to it.
    refusals: [&'static str; 3],
}

const OPENAI: [&str; 3] = ["AuthenticationError", "PermissionDeniedError", "InternalServerError"];
const ANTHROPIC: [&str; 3] = ["AuthenticationError", "PermissionDeniedError", "ServiceUnavailableError"];

const PROGRAMS: &[Program] = &[
    Program { file: "openai_sdk.py", package: Some("openai"), upstream: "openai", refusals: OPENAI },
    Program {
        file: "anthropic_sdk.py",
        package: Some("anthropic"),
        upstream: "anthropic",
        refusals: ANTHROPIC,
    },
    Program {
        file: "google_sdk.py",
        package: Some("google-genai"),
        upstream: "google",
        refusals: ["ClientError", "ClientError", "ServerError"],
    },
    Program {
        file: "ollama_sdk.py",
        package: Some("ollama"),
        upstream: "ollama",
        refusals: ["ResponseError", "ResponseError", ""],
    },
    Program { file: "openai_sdk.mjs", package: Some("openai"), upstream: "openai", refusals: OPENAI },
    Program {
        file: "anthropic_sdk.mjs",
        package: Some("@anthropic-ai/sdk"),
        upstream: "anthropic",
        refusals: ANTHROPIC,
    },
    Program {
        file: "agents.py",
        package: None,
        upstream: "openai",
        refusals: ["invalid_api_key", "key_not_allowed", "not_configured"],
    },
];

/// Runs every program whose SDK can be installed, and shows a table.
pub fn run() -> Result<(), String> {
    cargo(&["build", "--release", "--package", "tollbook"], &[])?;
    cargo(&["build", "--release", "--package", "tollbook-testkit", "--example", "upstream"], &[])?;
    let place = Place::new()?;
    let tools = Tools::install(&place.root);
    let mut table = Table::default();
    for program in PROGRAMS {
        let version = tools.version(program);
        table.row(program.file, &version, tools.command(program), |command| check(program, &command, &place));
    }
    let schemathesis = install::schemathesis(&place.root);
    table.row("/openapi.json", "schemathesis", schemathesis, |tool| {
        openapi::check(&tool, &place, openapi::EXAMPLES)
    });
    table.row("/metrics", "promtool", promtool::find(&place.root), |tool| promtool::check(&tool, &place));
    let validator = install::focus_validator(&place.root);
    table.row("export", "focus-validator", validator, |python| focus::check(&python, &place));
    let browser = dashboard::install(&place.root);
    table.row("web/", "chromium, axe, tsc", browser, |tools| dashboard::check(&tools, &place));
    table.row("encryption at rest", "SQLCipher", install::builds_openssl(), |_| encrypted());
    table.show()
}

/// What came of each check.
#[derive(Default)]
struct Table {
    rows: Vec<String>,
    failed: u32,
}

impl Table {
    /// Checks with a tool, or says loudly why there is none.
    fn row(
        &mut self,
        name: &str,
        version: &str,
        tool: Result<PathBuf, String>,
        check: impl FnOnce(PathBuf) -> Result<String, String>,
    ) {
        let outcome = match tool.map(check) {
            Err(why) => format!("SKIPPED, cannot be installed: {why}"),
            Ok(Ok(seen)) => format!("ok: {seen}"),
            Ok(Err(error)) => {
                self.failed += 1;
                say(&format!("{name}: {error}\n"));
                "FAILED".to_owned()
            }
        };
        self.rows.push(format!("{name:<22} {version:<44} {outcome}"));
    }

    fn show(&self) -> Result<(), String> {
        say(&self.rows.join("\n"));
        if self.failed == 0 { Ok(()) } else { Err(format!("{} rows of the table failed", self.failed)) }
    }
}

/// The tests of what writes files, in a build that encrypts them: the suite of the back end, the
/// ledger's kills, power losses and flipped bits, and what the program does with a key.
fn encrypted() -> Result<String, String> {
    let feature = ["--features", "sqlcipher", "--release"];
    cargo(&[&["test", "-p", "tollbook-sqlite"][..], &feature[..]].concat(), &[])?;
    cargo(&[&["test", "-p", "tollbook-ledger"][..], &feature[..]].concat(), &[])?;
    cargo(
        &[&["test", "-p", "tollbook"][..], &feature[..], &["--test", "it", "encryption"][..]].concat(),
        &[],
    )?;
    Ok("the suites of store and ledger, and the program".to_owned())
}

/// One program on stands of its own: numbers begin anew, so answers are the same to the last token.
fn check(program: &Program, command: &Path, place: &Place) -> Result<String, String> {
    let mut stand = Stand::start(place)?;
    let plain = stand.run(program, command, false)?;
    let through = stand.run(program, command, true)?;
    if plain != through {
        let (plain, through) = first_difference(&plain, &through);
        return Err(format!("it sees a difference\nwithout: {plain}\nwith:    {through}"));
    }
    let calls = books::check(&mut stand, &through)?;
    stand.refuses(program, command)?;
    Ok(format!("{} cases, {calls} calls in the books", through.lines().count()))
}

fn first_difference<'a>(one: &'a str, other: &'a str) -> (&'a str, &'a str) {
    let (mut ones, mut others) = (one.lines(), other.lines());
    loop {
        match (ones.next(), others.next()) {
            (Some(one), Some(other)) if one == other => {}
            (one, other) => return (one.unwrap_or("nothing"), other.unwrap_or("nothing")),
        }
    }
}
