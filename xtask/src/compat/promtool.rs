//! Prometheus's own linter, over what the server shows after some calls and over the rules for alerts.

use super::process::{bounded, text};
use super::stand::{Place, Stand};
use super::{PROGRAMS, Program, With};
use crate::root;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The Debian package that has it.
const PACKAGE: &str = "prometheus";
const INSTALL_TIME: Duration = Duration::from_secs(150);
const CHECK_TIME: Duration = Duration::from_secs(30);

/// The linter that is installed, or is unpacked from Debian's package below this directory.
pub fn find(place: &Path) -> Result<PathBuf, String> {
    let installed = PathBuf::from("promtool");
    if bounded(Command::new(&installed).arg("--version"), CHECK_TIME).is_ok() {
        return Ok(installed);
    }
    let unpacked = place.join("promtool");
    let promtool = unpacked.join("usr/bin/promtool");
    if !promtool.exists() {
        std::fs::create_dir_all(&unpacked).map_err(text)?;
        bounded(Command::new("apt-get").args(["download", PACKAGE]).current_dir(&unpacked), INSTALL_TIME)?;
        let unpack = "dpkg --extract ./*.deb . && rm ./*.deb";
        bounded(Command::new("sh").args(["-c", unpack]).current_dir(&unpacked), INSTALL_TIME)?;
    }
    Ok(promtool)
}

/// Checks both.
pub fn check(promtool: &Path, place: &Place) -> Result<String, String> {
    let program: &Program =
        PROGRAMS.iter().find(|program| program.with == With::Plain).ok_or("no program")?;
    let stand = Stand::start(place)?;
    stand.run(program, Path::new("python3"), true)?;
    let scraped = place.root.join("metrics.txt");
    let figures = stand.metrics()?;
    std::fs::write(&scraped, &figures).map_err(text)?;
    let mut command = Command::new("sh");
    command.args(["-c", "\"$0\" check metrics < \"$1\""]).arg(promtool).arg(&scraped);
    bounded(&mut command, CHECK_TIME)?;
    let rules = root().join("docs/grafana/alerts.yml");
    bounded(Command::new(promtool).args(["check", "rules"]).arg(rules), CHECK_TIME)?;
    let families = figures.lines().filter(|line| line.starts_with("# TYPE ")).count();
    Ok(format!("{families} figures and the rules for alerts"))
}
