//! The project's own chores. `cargo xtask` without a word lists them.

mod bench;
mod compat;
mod fuzz;
mod prices;
#[cfg(test)]
mod tidy;

use std::io::Write;
use std::process::{Command, ExitCode};

const USAGE: &str = "\
cargo xtask COMMAND

  test              format, lints, tidiness and every test: what CI runs
  soak              the kill, power and corruption tests with their full counts
  compat [WORD…]    run the providers' SDKs without and with the server between, and compare;
                    only what has one of these words in its name
  openapi [EXAMPLES] ask the API whatever its document allows, so often for each operation (200)
  prices FACTS.csv  make prices/*.toml anew from a table of price facts
  fuzz [SECONDS]    run each fuzz target for so long (60)
  bench [NAME]      measure, as ratios within one run
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let rest = args.get(1..).unwrap_or_default();
    let done = match args.first().map(String::as_str) {
        Some("test") => test(),
        Some("soak") => soak(),
        Some("compat") => compat::run(rest),
        Some("openapi") => compat::openapi::run(rest),
        Some("prices") => prices::run(rest),
        Some("fuzz") => fuzz::run(rest),
        Some("bench") => bench::run(rest),
        _ => {
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn test() -> Result<(), String> {
    cargo(&["fmt", "--all", "--check"], &[])?;
    cargo(&["clippy", "--release", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"], &[])?;
    cargo(&["test", "--release", "--workspace"], &[])
}

/// The same tests with the counts of a long run.
fn soak() -> Result<(), String> {
    cargo(&["test", "--release", "--workspace", "--", "--nocapture", "soak_"], &[("TOLLBOOK_SOAK", "1")])
}

/// Runs cargo in the workspace's root and shows the command first.
pub fn cargo(args: &[&str], env: &[(&str, &str)]) -> Result<(), String> {
    say(&format!("$ cargo {}", args.join(" ")));
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(args).envs(env.iter().copied()).current_dir(root());
    let status = command.status().map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("cargo {} failed", args[0])) }
}

/// Says something to whoever runs a chore.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// The workspace's root.
pub fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Into::into).unwrap_or_default()
}
