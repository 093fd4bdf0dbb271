//! One file per command.

mod alerts;
mod audit;
mod backfill;
mod backup;
mod budget;
mod call;
mod calls;
mod channel;
pub mod completions;
pub mod config;
mod demo;
mod doctor;
mod explain;
mod export;
mod holder;
mod import;
mod key;
mod limit;
mod logs;
mod member;
mod person;
mod price;
mod rebuild;
mod rekey;
mod rerate;
mod restore;
mod retain;
mod settle;
mod stats;
pub mod statusline;
mod top;
mod usage;
mod verify;

use crate::cli::Command;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;

/// Runs a command.
pub fn run(command: &Command, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        Command::Serve(args) => crate::serve::run(args, config, out),
        Command::Import(args) => import::run(args, config, out),
        Command::Usage(args) => usage::run(args, config, out),
        Command::Calls(args) => calls::run(args, config, out),
        Command::Call(args) => call::run(args, config, out),
        Command::Explain(args) => explain::run(args, config, out),
        Command::Price(command) => price::run(command, config, out),
        Command::Rerate(args) => rerate::run(args, config, out),
        Command::Settle(args) => settle::run(args, config, out),
        Command::Backfill(args) => backfill::run(args, config, out),
        Command::Export(args) => export::run(args, config, out),
        Command::Logs(args) => logs::run(args, config, out),
        Command::Verify => verify::run(config, out),
        Command::Rebuild => rebuild::run(config, out),
        Command::Backup(args) => backup::run(args, config, out),
        Command::Restore(args) => restore::run(args, config, out),
        Command::Rekey => rekey::run(config, out),
        Command::Retain(args) => retain::run(args, config, out),
        Command::Key(command) => key::run(command, config, out),
        Command::Budget(command) => budget::run(command, config, out),
        Command::Limit(command) => limit::run(command, config, out),
        Command::Channel(command) => channel::run(command, config, out),
        Command::Alerts(args) => alerts::run(args, config, out),
        Command::Held(args) => person::held(args, config, out),
        Command::Erase(args) => person::erase(args, config, out),
        Command::Member(command) => member::run(command, config, out),
        Command::Audit(args) => audit::run(args, config, out),
        Command::Demo(args) => demo::run(args, config, out),
        Command::Top => top::run(config, out),
        Command::Doctor => doctor::run(config, out),
        // Answered before the configuration is read.
        Command::Config(_) | Command::Completions { .. } | Command::Statusline(_) => Ok(Exit::Ok),
    }
}
