//! `tollbook config check|print`

use crate::cli::{ConfigCommand, GlobalArgs};
use crate::config::{Config, Origin, value};
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::{prices, serve};
use serde_json::json;

pub fn run(command: ConfigCommand, flags: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let config = Config::load(flags)?;
    match command {
        ConfigCommand::Check => check(&config, out),
        ConfigCommand::Print => print(&config, out),
    }
}

fn check(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let parts = [prices::base(config).map(drop), serve::check(config)];
    let mut failures = parts.into_iter().filter_map(Result::err);
    if let Some(mut failure) = failures.next() {
        failures.for_each(|more| failure.errors.extend(more.errors));
        return Err(failure);
    }
    let file = config.file.as_ref().map(|path| path.display().to_string());
    if out.json {
        out.json(&json!({"ok": true, "file": file}))?;
    } else {
        out.line(&format!(
            "{}: ok",
            file.unwrap_or_else(|| "no configuration file, defaults are in force".to_owned())
        ))?;
    }
    Ok(Exit::Ok)
}

/// The configuration as a file would say it, each value with where it comes from.
fn print(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let quoted = |text: &str| json!(text).to_string();
    let data_dir = config.data_dir.value.display().to_string();
    let segment_mib = config.segment_bytes.value / (1024 * 1024);
    let durability = value::durability_name(config.durability.value);
    let (entries_days, raw_days) = (config.entries_days.value, config.raw_days.value);
    let days = |name: &str, days: Option<u32>| match days {
        Some(days) => format!("{name} = {days}"),
        None => format!("# {name} = 0 (kept for ever)"),
    };
    let listen = config.listen.value.to_string();
    let open_metrics = config.open_metrics.value;
    let rows: [(&str, String, &Origin); 8] = [
        ("[server]", format!("data_dir = {}", quoted(&data_dir)), &config.data_dir.origin),
        ("", format!("time_zone = {}", quoted(&config.time_zone.value.name)), &config.time_zone.origin),
        ("[store]", format!("durability = {}", quoted(durability)), &config.durability.origin),
        ("[journal]", format!("segment_mib = {segment_mib}"), &config.segment_bytes.origin),
        ("[retention]", days("entries_days", entries_days), &config.entries_days.origin),
        ("", days("raw_days", raw_days), &config.raw_days.origin),
        ("[server]", format!("listen = {}", quoted(&listen)), &config.listen.origin),
        ("", format!("open_metrics = {open_metrics}"), &config.open_metrics.origin),
    ];
    if out.json {
        let prices =
            config.prices.iter().map(|file| json!({"file": file.value, "from": file.origin.to_string()}));
        let from = |nth: usize| rows[nth].2.to_string();
        out.json(&json!({
            "file": config.file,
            "server": {"listen": listen, "data_dir": data_dir, "time_zone": config.time_zone.value.name,
                       "open_metrics": open_metrics},
            "gateway": {"upstreams": config.gateway.upstreams.keys().collect::<Vec<_>>()},
            "store": {"durability": durability},
            "journal": {"segment_mib": segment_mib},
            "retention": {"entries_days": entries_days, "raw_days": raw_days},
            "prices": prices.collect::<Vec<_>>(),
            "from": {"server.data_dir": from(0), "server.time_zone": from(1), "store.durability": from(2),
                     "journal.segment_mib": from(3), "retention.entries_days": from(4), "retention.raw_days": from(5),
                     "server.listen": from(6), "server.open_metrics": from(7)},
        }))?;
        return Ok(Exit::Ok);
    }
    for (section, line, origin) in &rows {
        if !section.is_empty() {
            out.line(section)?;
        }
        out.line(&format!("{line:<40} # {origin}"))?;
    }
    for file in &config.prices {
        out.line("[[prices]]")?;
        let line = format!("file = {}", quoted(&file.value.display().to_string()));
        out.line(&format!("{line:<40} # {}", file.origin))?;
    }
    Ok(Exit::Ok)
}
