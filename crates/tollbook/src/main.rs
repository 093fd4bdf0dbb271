//! `tollbook`: configuration, command line and output around the engine.
//!
//! A command reads options and configuration, asks or feeds the books, and prints: data on stdout,
//! talk on stderr. What a figure means is decided in the crates below; nothing is computed here.

mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod failure;
mod filter;
mod open;
mod out;
mod prices;
mod quantities;
mod select;
mod serve;
mod source;

use clap::Parser;
use cli::Cli;
use config::Config;
use failure::{Exit, Failure};
use out::Out;
use std::process::ExitCode;
use tollbook_api::wire;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors: they go to stdout with exit code 0.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let mut out = Out::new(cli.global.json, cli.global.quiet);
    let result = run(&cli, &mut out).and_then(|exit| out.flush().map(|()| exit));
    match result {
        Ok(exit) => exit.into(),
        Err(failure) => {
            out.failure(&failure);
            failure.exit.into()
        }
    }
}

fn run(cli: &Cli, out: &mut Out) -> Result<Exit, Failure> {
    // These work whatever the configuration is.
    match &cli.command {
        cli::Command::Completions { shell } => return commands::completions::run(*shell, out),
        cli::Command::Config(command) => return commands::config::run(*command, &cli.global, out),
        cli::Command::Statusline(args) => return commands::statusline::run(args, &cli.global, out),
        _ => {}
    }
    let config = Config::load(&cli.global)?;
    commands::run(&cli.command, &config, out)
}
