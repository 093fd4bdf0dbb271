//! `tollbook key …`

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key; its text is shown this once
    Create(KeyCreateArgs),
    /// List the keys
    List,
    /// End a key, at once and for good
    Revoke(KeyIdArgs),
    /// Give a key another text; the old one is of no use from then on
    Rotate(KeyIdArgs),
}

#[derive(Args, Debug)]
pub struct KeyCreateArgs {
    /// What people call it
    pub name: String,
    /// What it may do: admin, member, gateway, ingest, viewer; several joined by +
    #[arg(long, value_name = "ROLES", default_value = "gateway+ingest")]
    pub role: String,
    /// Every call of this key belongs to this project
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// … is for this customer
    #[arg(long, value_name = "NAME")]
    pub customer: Option<String>,
    /// … is this user's; a member's key needs it
    #[arg(long, value_name = "ID")]
    pub user: Option<String>,
    /// … is this agent's
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// … has this tag; may be repeated
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub tags: Vec<String>,
    /// Ends by itself at this instant
    #[arg(long, value_name = "INSTANT")]
    pub expires: Option<String>,
}

#[derive(Args, Debug)]
pub struct KeyIdArgs {
    /// The key's id, key_…
    pub id: String,
}
