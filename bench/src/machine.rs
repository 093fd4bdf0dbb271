//! What the figures were measured on.

use crate::figure::{Samples, put, timed};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Prints the machine, the load and what one durable write costs in `dir`.
pub fn print_facts(dir: &Path) {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let memory_gib = field("/proc/meminfo", "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib.div_ceil(1024 * 1024));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    put(&format!(
        "machine: {cpu}, {cores} cores, {memory_gib} GiB, Linux {}; load {}",
        kernel.trim(),
        load()
    ));
    if let Some(writes) = durable_writes(dir) {
        put(&format!("disk: append 4 KiB + fdatasync {}", writes.text(0, " µs")));
    }
    put(&format!("SQLite {}; built with fat LTO, one codegen unit", rusqlite::version()));
}

/// The load averages.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn durable_writes(dir: &Path) -> Option<Samples> {
    let path = dir.join("probe");
    let file = File::create(&path).ok()?;
    let mut samples = Samples::default();
    for nth in 0..200_u64 {
        let (took, written) =
            timed(|| file.write_all_at(&[7; 4096], nth * 4096).and_then(|()| file.sync_data()));
        written.ok()?;
        samples.add(took.as_nanos() as f64 / 1_000.0);
    }
    std::fs::remove_file(&path).ok()?;
    Some(samples)
}

/// Processor time that this process has used, in seconds.
pub fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |nth: usize| -> f64 {
        behind_name.split_whitespace().nth(nth).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

/// Resident memory in MiB.
pub fn resident_mib() -> u64 {
    let kib = field("/proc/self/status", "VmRSS");
    kib.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib / 1024)
}
