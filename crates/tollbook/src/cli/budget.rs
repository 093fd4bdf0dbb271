//! `tollbook budget …`

use super::CallIdArgs;
use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum BudgetCommand {
    /// Make a budget, or change the one with its name; says in words what it will do
    Set(BudgetSetArgs),
    /// List the budgets and where they stand
    List(BudgetListArgs),
    /// Every limit that applies to a call or a key: where it is defined, what is spent, held, left
    Explain(BudgetExplainArgs),
    /// Raise a limit for a while
    Raise(BudgetRaiseArgs),
    /// Take a budget away
    Remove(BudgetNameArgs),
}

#[derive(Args, Debug, Default)]
#[command(group(ArgGroup::new("effect").args(["block", "warn_only", "throttle", "downgrade"])))]
pub struct BudgetSetArgs {
    /// Whose calls: all, or KEY=VALUE,… such as tag.team=ops
    pub scope: String,
    /// How much in which time: 200/month, "5M tokens/day", "1000 calls/24h", 50/total
    #[arg(value_name = "AMOUNT/WINDOW")]
    pub amount: String,
    /// What people call it [default: made of scope and window]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// Each value of this has the limit for itself: user, session, agent, tag.KEY, …
    #[arg(long, value_name = "KEY")]
    pub each: Option<String>,
    /// Refuse calls that do not fit; so it is unless said
    #[arg(long)]
    pub block: bool,
    /// Stop nothing
    #[arg(long)]
    pub warn_only: bool,
    /// Space calls out as the limit nears
    #[arg(long)]
    pub throttle: bool,
    /// Use another model as the limit nears: FROM=TO, or TO where the scope names the model
    #[arg(long, value_name = "MODEL", value_delimiter = ',')]
    pub downgrade: Vec<String>,
    /// Count calls in flight as the most they can cost: the limit is never passed
    #[arg(long)]
    pub strict: bool,
    /// Let a call that does not fit go with as many tokens out as do; needs --strict
    #[arg(long)]
    pub fit: bool,
    /// The zone of the calendar [default: that of the server]
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// The day on which weeks begin [default: monday]
    #[arg(long, value_name = "DAY")]
    pub first_day: Option<String>,
    /// The day on which months begin [default: 1]
    #[arg(long, value_name = "N")]
    pub reset_day: Option<u8>,
    /// Percentages at which it is told [default: 80,90,100]
    #[arg(long, value_name = "PERCENT", value_delimiter = ',')]
    pub warn: Option<Vec<u32>>,
    /// Channels that are told
    #[arg(long, value_name = "CHANNEL", value_delimiter = ',')]
    pub notify: Vec<String>,
}

#[derive(Args, Debug)]
pub struct BudgetListArgs {
    /// Exit with 3 where nothing is left of one
    #[arg(long)]
    pub check: bool,
}

#[derive(Args, Debug)]
pub struct BudgetExplainArgs {
    #[command(flatten)]
    pub of: CallIdArgs,
    /// Exit with 3 where nothing is left of one
    #[arg(long)]
    pub check: bool,
}

#[derive(Args, Debug)]
pub struct BudgetRaiseArgs {
    #[command(flatten)]
    pub budget: BudgetNameArgs,
    /// By how much: dollars, or tokens or calls where the limit is in those
    pub by: String,
    /// Until this instant
    #[arg(long, value_name = "INSTANT")]
    pub until: String,
    /// Why, for those who read it later
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Args, Debug)]
pub struct BudgetNameArgs {
    /// The budget's name or id
    pub budget: String,
}
