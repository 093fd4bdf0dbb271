//! The library that stands between a process and its system, and makes the system misbehave.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Where the library of `tollbook-faultfs` is, for `LD_PRELOAD`. It is built beside the test that asks, by
/// the test's own profile, the first time that it asks.
///
/// # Errors
/// It does not build; the error says what cargo said.
pub fn library() -> io::Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(library) = &*built {
        return Ok(library.clone());
    }
    // …/target/release/deps/it-0123: the profile's directory is two up.
    let test = std::env::current_exe()?;
    let profile = test.parent().and_then(Path::parent).ok_or(io::ErrorKind::NotFound)?;
    let target = profile.parent().ok_or(io::ErrorKind::NotFound)?;
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--package", "tollbook-faultfs", "--target-dir"]);
    cargo.arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let output = cargo.output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(built.insert(profile.join("libtollbook_faultfs.so")).clone())
}
