//! `tollbook completions SHELL`

use crate::cli::Cli;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use clap::CommandFactory;
use clap_complete::{Shell, generate};
use std::io::Write;

pub fn run(shell: Shell, out: &mut Out) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    generate(shell, &mut Cli::command(), "tollbook", &mut script);
    out.data().write_all(&script)?;
    Ok(Exit::Ok)
}
