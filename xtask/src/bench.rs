//! `cargo xtask bench`: the programs of `bench/`, which has its own lock file and build profile.

use std::process::Command;

/// Runs all benchmarks, or the named one. What they print goes to standard output.
pub fn run(args: &[String]) -> Result<(), String> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(["run", "--release", "--quiet", "--"])
        .args(args)
        .current_dir(crate::root().join("bench"))
        .status()
        .map_err(|error| format!("cargo: {error}"))?;
    if status.success() { Ok(()) } else { Err("the benchmark failed".to_owned()) }
}
