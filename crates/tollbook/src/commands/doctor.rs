//! `tollbook doctor`: checks of the set-up, and what to do about what is wrong.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::text::visible;
use crate::{open, prices};
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tollbook_ledger::{LedgerError, journal};
use tollbook_store::EventStore;
use tollbook_types::{Clock, TimeRange, Timestamp, limits};

/// Prices that nobody has compared with their source for longer deserve a look.
const PRICES_AGE_DAYS_MAX: i64 = 90;

/// One check.
struct Check {
    name: &'static str,
    /// What was found.
    found: String,
    /// What to do, where something is wrong.
    fix: Option<String>,
}

pub fn run(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let now = SystemClock.now();
    let mut checks = vec![configuration(config), zone(config, now)];
    checks.extend(data_dir(config));
    checks.push(disk(config));
    checks.extend(store(config, now));
    checks.push(journal_check(config));
    checks.push(book(config, now));
    let is_well = checks.iter().all(|check| check.fix.is_none());
    if out.json {
        let data = checks.iter().map(|check| {
            json!({"check": check.name, "ok": check.fix.is_none(), "found": check.found, "fix": check.fix})
        });
        out.json(&json!({"ok": is_well, "checks": data.collect::<Vec<_>>()}))?;
    } else {
        for check in &checks {
            let sign = if check.fix.is_none() { "✔" } else { "✖" };
            out.line(&visible(&format!("{sign} {:<15} {}", check.name, check.found)))?;
            if let Some(fix) = &check.fix {
                out.line(&visible(&format!("  {:<15} fix: {fix}", "")))?;
            }
        }
    }
    Ok(if is_well { Exit::Ok } else { Exit::Error })
}

fn ok(name: &'static str, found: impl Into<String>) -> Check {
    Check { name, found: found.into(), fix: None }
}

fn bad(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Check {
    Check { name, found: found.into(), fix: Some(fix.into()) }
}

fn configuration(config: &Config) -> Check {
    let file = config.file.as_ref().map(|path| path.display().to_string());
    ok("configuration", file.unwrap_or_else(|| "no file: defaults are in force".to_owned()))
}

fn zone(config: &Config, now: Timestamp) -> Check {
    let zone = &config.time_zone.value;
    let (version, local) =
        (jiff::tz::db().available().count(), zone.zone.to_datetime(now).strftime("%Y-%m-%d %H:%M"));
    ok("time zone", format!("{}, where it is {local}; {version} zones known", zone.name))
}

fn data_dir(config: &Config) -> Vec<Check> {
    let path = &config.data_dir.value;
    let Ok(meta) = std::fs::metadata(path) else {
        return vec![ok(
            "data directory",
            format!("{} is not there yet; the first import makes it", path.display()),
        )];
    };
    let mode = meta.permissions().mode() & 0o777;
    let found = format!("{}, mode {mode:o}", path.display());
    let modes = match mode & 0o077 {
        0 => ok("data directory", found),
        _ => bad(
            "data directory",
            format!("{found}: others can look into it"),
            format!("chmod 700 {}", path.display()),
        ),
    };
    let owner = match open::lock(config) {
        Ok(_) => ok("writer", "none at the moment"),
        Err(LedgerError::Locked { pid, .. }) => ok("writer", format!("process {pid}")),
        Err(error) => bad("writer", error.to_string(), format!("make {} writable for you", path.display())),
    };
    vec![modes, owner]
}

fn disk(config: &Config) -> Check {
    let path = &config.data_dir.value;
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    match rustix::fs::statvfs(there) {
        Err(error) => bad("disk", error.to_string(), "see that the data directory's file system is there"),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let wanted = config.segment_bytes.value.saturating_mul(4);
            let found = format!("{} MiB free", free >> 20);
            match free >= wanted {
                true => ok("disk", found),
                false => {
                    bad("disk", found, format!("free at least {} MiB: four journal segments", wanted >> 20))
                }
            }
        }
    }
}

fn store(config: &Config, now: Timestamp) -> Vec<Check> {
    let dir = match open::dir(config) {
        Ok(dir) => dir,
        Err(failure) => return vec![bad("store", failure.to_string(), failure.hints.join("; "))],
    };
    if !dir.store().exists() {
        return vec![ok("store", "none yet")];
    }
    let store = match open::reading(&dir) {
        Ok(store) => store,
        Err(error) => return vec![bad("store", error.to_string(), "tollbook restore BACKUP")],
    };
    let position = match store.position() {
        Ok(position) => position,
        Err(error) => return vec![bad("store", error.to_string(), "tollbook restore BACKUP")],
    };
    let extent = store.extent(TimeRange::ALL).ok().flatten();
    let found = match &extent {
        Some((first, last, calls)) => {
            format!("{calls} calls from {first} to {last}, record {}", position.applied)
        }
        None => format!("no calls yet, record {}", position.applied),
    };
    let mode = std::fs::metadata(dir.store()).map_or(0, |meta| meta.permissions().mode() & 0o777);
    let modes = match mode & 0o077 {
        0 => ok("store", found),
        _ => bad(
            "store",
            format!("{found}; mode {mode:o}: others can read it"),
            format!("chmod 600 {}", dir.store().display()),
        ),
    };
    let ahead = extent.is_some_and(|(_, last, _)| last.as_second() > now.as_second() + 3_600);
    let clock = match ahead {
        true => {
            bad("clock", format!("it is {now}, and there are calls from later"), "set the machine's clock")
        }
        false => ok("clock", format!("it is {now}")),
    };
    vec![modes, clock]
}

fn journal_check(config: &Config) -> Check {
    let dir = match open::dir(config) {
        Ok(dir) => dir,
        Err(failure) => return bad("journal", failure.to_string(), failure.hints.join("; ")),
    };
    match journal::read(&dir.journal(), |_| Ok::<(), LedgerError>(())) {
        Err(error) => bad("journal", error.to_string(), "tollbook verify"),
        Ok(survey) if !survey.damage.is_empty() || !survey.missing.is_empty() => bad(
            "journal",
            format!("{} damaged places", survey.damage.len() + survey.missing.len()),
            "tollbook verify",
        ),
        Ok(survey) => match (survey.first, survey.last) {
            (Some(first), Some(last)) => {
                ok("journal", format!("records {first} to {last}, kept {} days", limits::SEGMENT_AGE_DAYS))
            }
            _ => ok("journal", "no records yet"),
        },
    }
}

fn book(config: &Config, now: Timestamp) -> Check {
    let book = match prices::base(config) {
        Ok(book) => book,
        Err(failure) => return bad("prices", failure.to_string(), "tollbook price check"),
    };
    let models: usize = book.providers().iter().map(|provider| provider.models.len()).sum();
    let newest = book.providers().iter().map(|provider| provider.checked.clone()).max().unwrap_or_default();
    let found = format!("{models} models of {} providers, checked up to {newest}", book.providers().len());
    let checked: Option<Timestamp> = format!("{newest}T00:00:00Z").parse().ok();
    let age_days = checked.map(|checked| (now.as_second() - checked.as_second()) / 86_400);
    match age_days {
        Some(days) if days > PRICES_AGE_DAYS_MAX => bad(
            "prices",
            format!("{found}: {days} days ago"),
            "tollbook price import FEED, or a newer tollbook",
        ),
        _ => ok("prices", found),
    }
}
