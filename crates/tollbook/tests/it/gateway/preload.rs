//! The library that stands between a server and its system, and makes the system misbehave.

use std::path::PathBuf;
use std::process::Command;

/// Where it is; it is built when it is not there.
pub fn library() -> PathBuf {
    // …/target/release/deps/it-0123: the profile's directory is two up.
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--package", "tollbook-faultfs", "--target-dir"]);
    cargo.arg(profile.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    profile.join("libtollbook_faultfs.so")
}
