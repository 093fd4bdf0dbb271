//! Every environment variable that the program reads. Nothing else reads the environment.

use std::ffi::OsString;

/// Path of the configuration file; `--config` counts before it.
pub const CONFIG: &str = "TOLLBOOK_CONFIG";
/// The data directory; as `[server] data_dir`.
pub const DATA_DIR: &str = "TOLLBOOK_DATA_DIR";
/// The time zone of days, weeks and months; as `[server] time_zone`.
pub const TIME_ZONE: &str = "TOLLBOOK_TIME_ZONE";
/// What "recorded" survives; as `[store] durability`.
pub const DURABILITY: &str = "TOLLBOOK_DURABILITY";
/// Size of a journal segment in MiB; as `[journal] segment_mib`.
pub const SEGMENT_MIB: &str = "TOLLBOOK_SEGMENT_MIB";
/// Days for which calls are kept; as `[retention] entries_days`.
pub const RETENTION_ENTRIES_DAYS: &str = "TOLLBOOK_RETENTION_ENTRIES_DAYS";
/// Days for which raw usage and metadata are kept; as `[retention] raw_days`.
pub const RETENTION_RAW_DAYS: &str = "TOLLBOOK_RETENTION_RAW_DAYS";
/// Where the server listens; as `[server] listen`.
pub const LISTEN: &str = "TOLLBOOK_LISTEN";
/// The admin key of the server. Where it is set, none is made.
pub const ADMIN_KEY: &str = "TOLLBOOK_ADMIN_KEY";
/// Whether `/metrics` needs no key; as `[server] open_metrics`.
pub const OPEN_METRICS: &str = "TOLLBOOK_OPEN_METRICS";
/// What the server logs: a level, or levels by part (`info`, `tollbook_gateway=debug`).
pub const LOG: &str = "TOLLBOOK_LOG";
/// What opens books that are encrypted at rest.
pub const ENCRYPTION_KEY: &str = "TOLLBOOK_ENCRYPTION_KEY";
/// What is to open them from now on, for `tollbook rekey` alone.
pub const NEW_ENCRYPTION_KEY: &str = "TOLLBOOK_NEW_ENCRYPTION_KEY";
/// When set to anything, no colours are used.
pub const NO_COLOR: &str = "NO_COLOR";
/// The width of the output in columns, where it is no terminal.
pub const COLUMNS: &str = "COLUMNS";
/// Where Claude Code keeps its logs (several directories are separated by commas).
pub const CLAUDE_CONFIG_DIR: &str = "CLAUDE_CONFIG_DIR";
/// Where Codex keeps its logs.
pub const CODEX_HOME: &str = "CODEX_HOME";
/// The user's home directory, for the defaults of the two before.
pub const HOME: &str = "HOME";

/// Every variable, for the reference page and its test.
#[cfg(test)]
pub const ALL: &[&str] = &[
    CONFIG,
    DATA_DIR,
    TIME_ZONE,
    DURABILITY,
    SEGMENT_MIB,
    RETENTION_ENTRIES_DAYS,
    RETENTION_RAW_DAYS,
    LISTEN,
    ADMIN_KEY,
    OPEN_METRICS,
    LOG,
    ENCRYPTION_KEY,
    NEW_ENCRYPTION_KEY,
    NO_COLOR,
    COLUMNS,
    CLAUDE_CONFIG_DIR,
    CODEX_HOME,
    HOME,
];

/// A variable's value; an empty one counts as not set.
pub fn get(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_variable_is_documented() {
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/config.md");
        let text = std::fs::read_to_string(page).unwrap();
        for name in super::ALL {
            assert!(text.contains(&format!("`{name}`")), "{name} is not in docs/reference/config.md");
        }
    }
}
