//! `tollbook channel …` and `tollbook alerts`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    /// List the channels and where they lead
    List,
    /// Send a test message, by the running server
    Test(ChannelNameArgs),
}

#[derive(Args, Debug)]
pub struct ChannelNameArgs {
    /// The channel's name
    pub channel: String,
}

#[derive(Args, Debug)]
pub struct AlertsArgs {
    /// At most so many
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    pub limit: usize,
    /// Only those that still hold
    #[arg(long)]
    pub firing: bool,
    /// Note that somebody has seen to this one
    #[arg(long, value_name = "ID", conflicts_with_all = ["firing", "limit"])]
    pub ack: Option<String>,
}
