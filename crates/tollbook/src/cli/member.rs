//! `tollbook member …` and `tollbook audit`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum MemberCommand {
    /// Add somebody who may sign in
    Add(MemberAddArgs),
    /// List the members
    List,
    /// Make a sign-in link, good once, for 15 minutes
    Link(MemberIdArgs),
    /// Remove a member; their sessions end at once
    Remove(MemberIdArgs),
}

#[derive(Args, Debug)]
pub struct MemberAddArgs {
    /// What people call them
    pub name: String,
    /// What they may do: admin, viewer, member
    #[arg(long, value_name = "ROLE", default_value = "viewer")]
    pub role: String,
    /// The user that they are; the role member needs it
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// They see this project only
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
}

#[derive(Args, Debug)]
pub struct MemberIdArgs {
    /// The member's id, mem_…
    pub id: String,
}

#[derive(Args, Debug)]
pub struct AuditArgs {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// From this day or instant on
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day, or up to this instant
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// The zone of the days
    #[arg(long, value_name = "ZONE")]
    pub tz: Option<String>,
    /// By whom: an id, or key, member, local
    #[arg(long, value_name = "WHO")]
    pub actor: Option<String>,
}
