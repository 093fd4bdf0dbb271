//! `tollbook channel …`: where alerts go.

use super::holder::{self, Holder, answer};
use crate::cli::ChannelCommand;
use crate::client::encoded;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::table::{Cell, Column, Table};
use crate::serve::configured_channels;
use crate::wire::{ChannelTestView, ChannelView};
use serde_json::{Value, json};
use tollbook_api::Channels;

const PATH: &str = "/api/v1/channels";

pub fn run(command: &ChannelCommand, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        ChannelCommand::List => list(config, out),
        ChannelCommand::Test(args) => test(&args.channel, config, out),
    }
}

fn list(config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let channels: Vec<ChannelView> = holder::with(config, out, |holder| match holder {
        Holder::Books(ledger) => {
            let channels = Channels::load(ledger, &configured_channels(config)?)?;
            let view = |known: &tollbook_api::Known| ChannelView::of(&known.channel, known.is_configured);
            Ok(channels.list().iter().map(|known| view(known)).collect())
        }
        Holder::Server(client) => {
            answer(client.ask("GET", PATH, None)?.map(|mut page: Value| page["data"].take()))
        }
    })?;
    if out.json {
        out.json(&json!({"data": channels, "has_more": false, "next_cursor": null}))?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(vec![
        Column::text("Name"),
        Column::text("Kind"),
        Column::text("Target").expendable(2),
        Column::text("Source").expendable(1),
    ]);
    for channel in &channels {
        table.row(vec![
            Cell::Text(channel.name.clone()),
            Cell::Text(channel.kind.clone()),
            Cell::text(channel.target.as_deref()),
            Cell::Text(channel.source.clone()),
        ]);
    }
    for line in table.lines(out.width(), out.is_bold()) {
        out.line(&line)?;
    }
    if channels.is_empty() {
        out.note("no channels yet; [[channels]] in the configuration or POST /api/v1/channels makes one");
    }
    Ok(Exit::Ok)
}

fn test(name: &str, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let sent: ChannelTestView = holder::with(config, out, |holder| match holder {
        Holder::Books(_) => Err(Failure::new("no server runs on these books, and it is what sends messages")
            .hint("start `tollbook serve`, then test the channel")),
        Holder::Server(client) => {
            answer(client.ask("POST", &format!("{PATH}/{}/test", encoded(name)), None)?)
        }
    })?;
    if out.json {
        out.json(&sent)?;
    }
    match sent.error {
        None => {
            out.note("the channel took it");
            Ok(Exit::Ok)
        }
        Some(why) => Err(Failure::new(format!("the channel did not take it: {why}"))),
    }
}
