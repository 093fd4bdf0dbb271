//! `cargo xtask fuzz`: each target of `fuzz/` for a while. Coverage needs a nightly compiler; with
//! a stable one the targets still run, blindly, and that is said.

use crate::say;
use std::path::Path;
use std::process::Command;

/// Runs each fuzz target for `args[0]` seconds (60), or only the one named in `args[1]`.
pub fn run(args: &[String]) -> Result<(), String> {
    let seconds: u32 = match args.first() {
        Some(text) => text.parse().map_err(|_| format!("{text:?} is no number of seconds"))?,
        None => 60,
    };
    let only = args.get(1).map(String::as_str);
    let fuzz = crate::root().join("fuzz");
    let nightly = Command::new("rustup")
        .args(["run", "nightly", "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if !nightly {
        say("no nightly compiler: the targets run without coverage, which finds far less");
    }
    for target in targets(&fuzz)?.iter().filter(|name| only.is_none_or(|only| only == *name)) {
        say(&format!("fuzzing {target} for {seconds} s"));
        let corpus = fuzz.join("corpus").join(target);
        std::fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        let mut command = Command::new("cargo");
        let flags = if nightly {
            command.arg("+nightly");
            "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
             -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
             -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
             --cfg fuzzing -Cdebug-assertions"
        } else {
            "--cfg fuzzing -Cdebug-assertions"
        };
        command
            // Naming the target keeps the flags away from build scripts.
            .args(["run", "--release", "--quiet", "--target", &host()?, "--bin", target, "--"])
            .arg(&corpus)
            // What is well formed, to begin with.
            .args(Some(fuzz.join("seeds").join(target)).filter(|seeds| seeds.is_dir()))
            .args([&format!("-max_total_time={seconds}"), "-rss_limit_mb=1024", "-verbosity=0"])
            .arg("-print_final_stats=1")
            .env("RUSTFLAGS", flags)
            .env_remove("CARGO_TARGET_DIR")
            .current_dir(&fuzz);
        let status = command.status().map_err(|error| format!("cargo: {error}"))?;
        if !status.success() {
            return Err(format!("{target} did not build, or found something: the input is then in fuzz/"));
        }
    }
    Ok(())
}

/// This machine's target triple.
fn host() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output().map_err(|error| format!("rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc does not name its host".to_owned())
}

/// The targets: one file each.
fn targets(fuzz: &Path) -> Result<Vec<String>, String> {
    let dir = fuzz.join("targets");
    let entries = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.path().file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}
