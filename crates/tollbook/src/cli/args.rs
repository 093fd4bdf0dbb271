//! Options that several commands share.

use clap::{Args, ValueEnum};

/// Which stretch of time.
#[derive(Args, Clone, Debug, Default)]
pub struct RangeArgs {
    /// The last N days, today included [default: 7]
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "since", "until"])]
    pub days: Option<u32>,
    /// All time
    #[arg(long, conflicts_with_all = ["since", "until"])]
    pub all: bool,
    /// From this day or instant on
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day, or up to this instant
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// The zone of the days, such as Europe/Berlin [default: [server] time_zone]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
}

/// Which calls.
#[derive(Args, Clone, Debug, Default)]
pub struct FilterArgs {
    /// Only where KEY is VALUE (or is not: KEY!=VALUE; nothing after = is "absent"); may be repeated
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// Only this user's; as -f user=ID
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// Only this operation; as -f operation=NAME
    #[arg(long, value_name = "NAME")]
    pub operation: Option<String>,
}

/// Which state of the books.
#[derive(Args, Clone, Debug, Default)]
pub struct ViewArgs {
    /// With all corrections, or as it was first recorded
    #[arg(long = "as", value_enum, default_value_t, value_name = "VIEW")]
    pub view: ViewKind,
    /// With the corrections made up to this instant
    #[arg(long, value_name = "INSTANT", conflicts_with = "view")]
    pub as_of: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ViewKind {
    #[default]
    Corrected,
    Billed,
}

/// Which call.
#[derive(Args, Clone, Debug)]
pub struct CallIdArgs {
    /// The call's id, as its producer gave it
    pub id: String,
    /// The call's project, where several calls have the id
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// The call's source, where several calls have the id
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}
