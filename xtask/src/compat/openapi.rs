//! The API against its own document: schemathesis makes requests of every operation in it, sensible ones
//! and others, and each answer must be one that the document allows, and no failure of the server.

use super::install;
use super::process::{bounded, text};
use super::stand::{ADMIN_KEY, Place, serve};
use crate::{cargo, say};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Examples of each operation, unless said otherwise.
pub const EXAMPLES: u32 = 200;
/// What one example may take, beside what it takes to begin.
const EXAMPLE_TIME: Duration = Duration::from_secs(3);
const BEGIN_TIME: Duration = Duration::from_secs(60);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance";
/// No provider is asked.
const NO_UPSTREAM: &str = "http://127.0.0.1:9";

/// `cargo xtask openapi [EXAMPLES]`: this alone, with so many examples of each operation.
pub fn run(args: &[String]) -> Result<(), String> {
    let examples = args.first().map_or(Ok(EXAMPLES), |count| count.parse().map_err(text))?;
    cargo(&["build", "--release", "--package", "tollbook"], &[])?;
    let place = Place::new()?;
    let tool = install::schemathesis(&place.root)?;
    say(&check(&tool, &place, examples)?);
    Ok(())
}

/// Makes so many requests of each operation of a server of its own, and says how many were made in all.
pub fn check(tool: &Path, place: &Place, examples: u32) -> Result<String, String> {
    let server = serve(place, "openapi", NO_UPSTREAM, "")?;
    let at: PathBuf = place.root.join("openapi-run");
    std::fs::create_dir_all(&at).map_err(text)?;
    let mut command = Command::new(tool);
    command.current_dir(&at).args(["run", &format!("{}/openapi.json", server.url)]);
    command.args(["--header", &format!("authorization: Bearer {ADMIN_KEY}"), "--checks", CHECKS]);
    command.args(["--max-examples", &examples.to_string(), "--seed", "1", "--generation-database", "none"]);
    command.args(["--suppress-health-check", "all", "--request-timeout", "10"]);
    // With keys of its own beside ours it would only ever see that two came.
    command.args(["--generation-with-security-parameters", "false"]);
    // A socket is no request with an answer.
    command.args(["--exclude-path", "/api/v1/live", "--no-color", "--warnings", "off"]);
    let said = bounded(&mut command, BEGIN_TIME + EXAMPLE_TIME * examples)?;
    let cases = said.lines().find(|line| line.contains(" generated, ")).unwrap_or_default().trim();
    if cases.is_empty() { Err(said) } else { Ok(cases.to_owned()) }
}
