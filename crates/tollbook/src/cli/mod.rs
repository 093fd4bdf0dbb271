//! The command line: every command and option, as types. What they do is in `commands`.

mod alert;
mod args;
mod budget;
mod key;
mod limit;
mod member;
mod person;
mod price;

pub use alert::{AlertsArgs, ChannelCommand};
pub use args::{CallIdArgs, FilterArgs, RangeArgs, ViewArgs, ViewKind};
pub use budget::{BudgetCommand, BudgetExplainArgs, BudgetRaiseArgs, BudgetSetArgs};
pub use key::{KeyCommand, KeyCreateArgs};
pub use limit::{LimitCommand, LimitSetArgs};
pub use member::{AuditArgs, MemberAddArgs, MemberCommand};
pub use person::{EraseArgs, HeldArgs};
pub use price::{CalcArgs, PriceCommand, QuantityArgs};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Keeps the books on LLM use: every call's tokens, at the exact price of that moment, on whose account.
#[derive(Debug, Parser)]
#[command(name = "tollbook", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Data goes to stdout, talk to stderr. Exit codes: 0 ok, 1 error, 2 usage, 3 budget exceeded, 4 verify failed, 78 configuration."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug, Default)]
pub struct GlobalArgs {
    /// Configuration file [default: tollbook.toml where it exists; env: TOLLBOOK_CONFIG]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Global options")]
    pub config: Option<PathBuf>,
    /// Data directory [default: tollbook-data; env: TOLLBOOK_DATA_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global options")]
    pub data_dir: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true, help_heading = "Global options")]
    pub json: bool,
    /// No talk on stderr but errors
    #[arg(long, short, global = true, help_heading = "Global options")]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway and the API until told to end
    Serve(ServeArgs),
    /// Record calls from files; a second run of the same adds nothing
    Import(ImportArgs),
    /// How much, by what, over time
    Usage(UsageArgs),
    /// List calls
    Calls(CallsArgs),
    /// One call in full
    Call(CallIdArgs),
    /// Why a call costs what it costs, line by line
    Explain(CallIdArgs),
    /// Look at prices, compute with them, bring in new ones
    #[command(subcommand)]
    Price(PriceCommand),
    /// Rate recorded calls again: shows the difference, and with --apply appends adjustments
    Rerate(RerateArgs),
    /// Say what became of a call whose usage is unknown
    Settle(SettleArgs),
    /// Give calls without usage the typical usage of calls like them
    Backfill(BackfillArgs),
    /// Write calls to a file
    Export(ExportArgs),
    /// Write daily token_usage_YYYY-MM-DD.jsonl files
    Logs(LogsArgs),
    /// Check that journal, entries and rollups agree; exit code 4 when they do not
    Verify,
    /// Compute all rollups anew from the entries
    Rebuild,
    /// Write a consistent copy of the store, also while it is in use
    Backup(BackupArgs),
    /// Put a backup in place of the store, brought up to date from the journal
    Restore(RestoreArgs),
    /// Have another key open encrypted books from now on
    #[command(
        after_help = "TOLLBOOK_ENCRYPTION_KEY is what opens them now, TOLLBOOK_NEW_ENCRYPTION_KEY what is to"
    )]
    Rekey,
    /// Drop calls that are older than the retention, and journal segments past their age
    Retain(RetainArgs),
    /// Tell everything that is held on a person, as lines of JSON
    Held(HeldArgs),
    /// Take a person out of the books: calls stand under a pseudonym then, sums stay
    Erase(EraseArgs),
    /// Put 90 days of calls that never happened into the books, to look around in; --remove takes them out
    Demo(DemoArgs),
    /// Watch what is spent, on what and by whom, in the terminal
    Top,
    /// One line for a prompt: today's spend, the session's cost, the tightest budget
    Statusline(StatuslineArgs),
    /// Check the set-up and say what to do
    Doctor,
    /// Make keys, list them, end them
    #[command(subcommand)]
    Key(KeyCommand),
    /// Set limits on what calls may use, see where they stand
    #[command(subcommand)]
    Budget(BudgetCommand),
    /// Set limits on how fast calls may come
    #[command(subcommand)]
    Limit(LimitCommand),
    /// Where alerts go: list the channels, test one
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// What was told, and whom it has reached
    Alerts(AlertsArgs),
    /// Add people who sign in, list them, make links for them
    #[command(subcommand)]
    Member(MemberCommand),
    /// Who did what: keys, members, corrections, what was taken out
    Audit(AuditArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Args, Debug)]
pub struct ServeArgs {
    /// Where to listen [default: [server] listen, 127.0.0.1:4680]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Also run a built-in provider that needs no key, at /demo/v1
    #[arg(long)]
    pub demo: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// Recorded provider responses, JSON Lines
    Responses,
    /// Tollbook's own events, JSON Lines
    Jsonl,
    /// Claude Code's session logs
    ClaudeCode,
    /// Codex's session logs
    Codex,
    /// LiteLLM's spend logs, JSON or CSV
    Litellm,
}

#[derive(Args, Debug)]
pub struct ImportArgs {
    /// What the files hold
    pub format: ImportFormat,
    /// Files, or directories for claude-code and codex (default: where those keep their logs); - is stdin
    pub paths: Vec<PathBuf>,
    /// The instant of every call, in place of the one in the file
    #[arg(long, value_name = "INSTANT")]
    pub at: Option<String>,
    /// Record nothing; with --json, print each rated call
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Every {
    Hourly,
    Daily,
    Weekly,
    Monthly,
}

#[derive(Args, Debug)]
pub struct UsageArgs {
    /// Split by time [default: daily, unless --by is given]
    pub every: Option<Every>,
    /// Split by these, separated by commas: provider, model, user, project, tag.KEY, …
    #[arg(long, value_name = "DIMENSIONS", value_delimiter = ',')]
    pub by: Vec<String>,
    #[command(flatten)]
    pub range: RangeArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    #[command(flatten)]
    pub view: ViewArgs,
    /// Draw bars instead of the table
    #[arg(long)]
    pub chart: bool,
    /// Only so many rows of each time, the dearest; the others become one
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Show percentiles of time, averages, persons and sessions instead of sums
    #[arg(long, conflicts_with = "chart")]
    pub stats: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SortBy {
    /// Latest first
    #[default]
    Time,
    /// Dearest first
    Cost,
}

#[derive(Args, Debug)]
pub struct CallsArgs {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// The order
    #[arg(long, value_enum, default_value_t)]
    pub sort: SortBy,
    #[command(flatten)]
    pub range: RangeArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// Go on printing calls as they are recorded
    #[arg(long)]
    pub follow: bool,
}

#[derive(Args, Debug)]
pub struct RerateArgs {
    /// Only calls that have no price yet
    #[arg(long)]
    pub unpriced: bool,
    /// Only calls with this value: `-f model=house-model`
    #[arg(short, long = "filter", value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// From this day or instant on
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day, or up to this instant
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// The zone of the days
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Append the adjustments; without this the difference is only shown
    #[arg(long)]
    pub apply: bool,
}

#[derive(Args, Debug)]
pub struct BackfillArgs {
    /// From this day or instant on
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day, or up to this instant
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// The zone of the days
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// Append the adjustments; without this they are only shown
    #[arg(long)]
    pub apply: bool,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["usage", "cost_usd", "none"])))]
pub struct SettleArgs {
    #[command(flatten)]
    pub call: CallIdArgs,
    /// It used this: input=N,output=N and further quantities, totals including their parts
    #[arg(long, value_name = "KEY=N,…", value_delimiter = ',')]
    pub usage: Vec<String>,
    /// It cost this
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub cost_usd: Option<String>,
    /// It cost nothing
    #[arg(long)]
    pub none: bool,
    /// Why, for those who read the books later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    Csv,
    Jsonl,
    Parquet,
    Focus,
}

#[derive(Args, Debug)]
pub struct ExportArgs {
    /// The file's format; focus is FOCUS 1.2 in CSV; parquet needs -o, and a build with the feature `parquet`
    #[arg(long, value_enum, default_value = "csv")]
    pub format: ExportFormat,
    /// Where to [default: stdout]
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub range: RangeArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
}

#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The directory for the files; those of the days in question are replaced
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    #[command(flatten)]
    pub range: RangeArgs,
    #[command(flatten)]
    pub filter: FilterArgs,
}

#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The file to write; it must not exist yet
    pub file: PathBuf,
    /// Not encrypted, although the books are
    #[arg(long)]
    pub plain: bool,
}

#[derive(Args, Debug)]
#[command(group(clap::ArgGroup::new("from").required(true).args(["file", "from_journal"])))]
pub struct RestoreArgs {
    /// The backup
    pub file: Option<PathBuf>,
    /// Make the store anew from the whole journal
    #[arg(long)]
    pub from_journal: bool,
}

#[derive(Args, Debug)]
pub struct RetainArgs {
    /// Keep the calls of so many days, today included [default: [retention] entries_days]
    #[arg(long, value_name = "N")]
    pub days: Option<u32>,
    /// Keep raw usage and metadata of so many days, today included [default: [retention] raw_days]
    #[arg(long, value_name = "N")]
    pub raw_days: Option<u32>,
}

#[derive(Args, Debug)]
pub struct StatuslineArgs {
    /// Parts between |, with {today} {session} {budget} {left} {rate} {resets} {model}; a part without its
    /// figure is left out
    #[arg(long, value_name = "TEXT", default_value = crate::commands::statusline::USUAL)]
    pub format: String,
}

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Take them out again; all others stay
    #[arg(long)]
    pub remove: bool,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Report everything that is wrong with it; exit code 78 when something is
    Check,
    /// Print what is in force, and where each value comes from
    Print,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// Every command and option, with the path that leads to it.
    fn words(command: &clap::Command, path: &str, found: &mut Vec<(String, String)>) {
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if let Some(long) = argument.get_long().filter(|long| *long != "help" && *long != "version") {
                found.push((path.to_owned(), format!("--{long}")));
            }
        }
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            let path = format!("{path} {}", below.get_name());
            found.push((path.clone(), path.trim_start().to_owned()));
            words(below, &path, found);
        }
    }

    #[test]
    fn the_command_line_is_sound_and_documented() {
        Cli::command().debug_assert();
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
        let text = std::fs::read_to_string(page).unwrap();
        let mut found = Vec::new();
        words(&Cli::command(), "", &mut found);
        let missing: Vec<_> = found.iter().filter(|(_, word)| !text.contains(&format!("`{word}"))).collect();
        assert!(missing.is_empty(), "not in docs/reference/cli.md: {missing:?}");
    }
}
