//! `cargo xtask compat`: programs with the providers' own SDKs, run twice: against a stand-in for the
//! providers, and through the server, with only base URL and key changed. They must see the same, the
//! stand-in must get the same, and every call must be in the books, once, with what it used. Some are
//! watched and tell of their calls over OTLP, both times: a call that the gateway saw, too, is one entry.
//!
//! Beside them, the API is asked whatever its own document allows (`openapi`), and Prometheus's linter
//! looks at what the server shows of itself, the validator of FOCUS at what it
//! exports, a mail server at its letters, and a browser at the dashboard.
//!
//! What cannot be installed is skipped, and said so.

mod books;
mod dashboard;
mod focus;
mod install;
pub mod openapi;
mod process;
mod promtool;
mod smtp;
mod stand;

use crate::{cargo, say};
use install::Tools;
use stand::{Place, Stand};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// A program under `compat/`.
struct Program {
    file: &'static str,
    /// What it runs with.
    with: With,
    /// The package whose version is shown.
    package: &'static str,
    /// The upstream that its refusals are asked of.
    upstream: &'static str,
    /// What an unknown key, a key that may not call models and a provider without a key are to it.
    refusals: [&'static str; 3],
    /// Whether it tells of its calls over OTLP, too.
    tells: bool,
}

/// What programs run with: each is installed apart from the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum With {
    /// Nothing but Python.
    Plain,
    Python,
    Node,
    /// Python with OpenTelemetry's and OpenInference's instrumentation.
    Otel,
    /// Python with Traceloop's SDK.
    Traceloop,
}

const OPENAI: [&str; 3] = ["AuthenticationError", "PermissionDeniedError", "InternalServerError"];
const ANTHROPIC: [&str; 3] = ["AuthenticationError", "PermissionDeniedError", "ServiceUnavailableError"];

/// The row that runs only where it is asked for.
const ENCRYPTION: &str = "encryption at rest";

/// A program that only calls.
const fn calls(
    file: &'static str,
    with: With,
    package: &'static str,
    upstream: &'static str,
    refusals: [&'static str; 3],
) -> Program {
    Program { file, with, package, upstream, refusals, tells: false }
}

/// A program that calls OpenAI, and is watched by what this package brings.
const fn tells(file: &'static str, with: With, package: &'static str) -> Program {
    Program { file, with, package, upstream: "openai", refusals: OPENAI, tells: true }
}

const PROGRAMS: &[Program] = &[
    calls("openai_sdk.py", With::Python, "openai", "openai", OPENAI),
    calls("anthropic_sdk.py", With::Python, "anthropic", "anthropic", ANTHROPIC),
    calls(
        "google_sdk.py",
        With::Python,
        "google-genai",
        "google",
        ["ClientError", "ClientError", "ServerError"],
    ),
    calls("ollama_sdk.py", With::Python, "ollama", "ollama", ["ResponseError", "ResponseError", ""]),
    calls("openai_sdk.mjs", With::Node, "openai", "openai", OPENAI),
    calls("anthropic_sdk.mjs", With::Node, "@anthropic-ai/sdk", "anthropic", ANTHROPIC),
    calls(
        "agents.py",
        With::Plain,
        "plain HTTP",
        "openai",
        ["invalid_api_key", "key_not_allowed", "not_configured"],
    ),
    tells("otel_openai_v2.py", With::Otel, "opentelemetry-instrumentation-openai-v2"),
    tells("otel_openinference.py", With::Otel, "openinference-instrumentation-openai"),
    tells("otel_layers.py", With::Otel, "opentelemetry-instrumentation-openai-v2"),
    tells("otel_traceloop.py", With::Traceloop, "traceloop-sdk"),
    tells("otel_ai_sdk.mjs", With::Node, "ai"),
];

/// Runs every program whose SDK can be installed, and shows a table; or only the rows whose names have one
/// of these words in them.
pub fn run(only: &[String]) -> Result<(), String> {
    cargo(&["build", "--release", "--package", "tollbook"], &[])?;
    cargo(&["build", "--release", "--package", "tollbook-testkit", "--example", "upstream"], &[])?;
    let place = Place::new()?;
    let mut table = Table { only: only.to_vec(), rows: Vec::new(), failed: 0, since: Instant::now() };
    let mut tools = Tools::new(&place.root);
    for program in PROGRAMS {
        let version = tools.version(program);
        table.row(
            program.file,
            &version,
            || tools.command(program),
            |command| check(program, &command, &place),
        );
    }
    table.row(
        "/openapi.json",
        "schemathesis",
        || install::schemathesis(&place.root),
        |tool| openapi::check(&tool, &place, openapi::EXAMPLES),
    );
    table.row("/metrics", "promtool", || promtool::find(&place.root), |tool| promtool::check(&tool, &place));
    table.row(
        "focus",
        "focus-validator",
        || install::focus_validator(&place.root),
        |python| focus::check(&python, &place),
    );
    table.row(
        "e-mail",
        "aiosmtpd",
        || install::mail_server(&place.root),
        |python| smtp::check(&python, &place),
    );
    table.row(
        "web/",
        "chromium, axe, tsc",
        || dashboard::install(&place.root),
        |tools| dashboard::check(&tools, &place),
    );
    // It compiles everything anew, and OpenSSL.
    let is_asked = only.iter().any(|word| ENCRYPTION.contains(word.as_str()));
    let asked = || match is_asked {
        true => install::builds_openssl(),
        false => Err("takes a quarter of an hour; `cargo xtask compat encryption`".to_owned()),
    };
    table.row(ENCRYPTION, "SQLCipher", asked, |_| encrypted());
    table.show()
}

/// What came of each check.
struct Table {
    only: Vec<String>,
    rows: Vec<String>,
    failed: u32,
    /// When the last row ended: what a row installs counts as its own.
    since: Instant,
}

impl Table {
    /// Checks with a tool, or says loudly why there is none.
    fn row(
        &mut self,
        name: &str,
        version: &str,
        install: impl FnOnce() -> Result<PathBuf, String>,
        check: impl FnOnce(PathBuf) -> Result<String, String>,
    ) {
        if !self.only.is_empty() && !self.only.iter().any(|word| name.contains(word.as_str())) {
            return;
        }
        let outcome = match install().map(check) {
            Err(why) => format!("SKIPPED: {why}"),
            Ok(Ok(seen)) => format!("ok: {seen}"),
            Ok(Err(error)) => {
                self.failed += 1;
                say(&format!("{name}: {error}\n"));
                "FAILED".to_owned()
            }
        };
        let took_s = self.since.elapsed().as_secs();
        self.since = Instant::now();
        self.rows.push(format!("{name:<22} {version:<44} {took_s:>4} s  {outcome}"));
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
    if program.tells {
        books::told(&mut stand)?;
    }
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
