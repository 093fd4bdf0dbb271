//! `tollbook limit …`

use clap::{ArgGroup, Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum LimitCommand {
    /// Make a rate limit, or change the one with its name; says in words what it will do
    Set(LimitSetArgs),
    /// List the rate limits
    List,
    /// Take a rate limit away
    Remove(LimitNameArgs),
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("what").required(true).multiple(true).args(["requests", "tokens", "concurrent", "identical"])))]
pub struct LimitSetArgs {
    /// Whose calls: all, or KEY=VALUE,… such as tag.team=ops
    pub scope: String,
    /// Requests a minute
    #[arg(long, value_name = "N")]
    pub requests: Option<u64>,
    /// Tokens a minute, in and out
    #[arg(long, value_name = "N")]
    pub tokens: Option<u64>,
    /// Calls at once
    #[arg(long, value_name = "N")]
    pub concurrent: Option<u64>,
    /// Requests a minute that are the same to the byte: with --each session, a loop breaker
    #[arg(long, value_name = "N")]
    pub identical: Option<u64>,
    /// Each value of this has the limit for itself: user, session, agent, tag.KEY, …
    #[arg(long, value_name = "KEY")]
    pub each: Option<String>,
    /// What people call it [default: the scope]
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
}

#[derive(Args, Debug)]
pub struct LimitNameArgs {
    /// The rate limit's name or id
    pub limit: String,
}
