//! `tollbook import FORMAT PATH…`: calls from files into the books.
//!
//! Files are read in pieces and recorded in batches, so memory stays bounded whatever their size.
//! Every line is answered for: recorded, known already, or refused with its place and reason.

mod files;
mod line;
mod logs;
mod sink;
mod summary;

use crate::cli::{ImportArgs, ImportFormat};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::filter;
use crate::out::Out;
use files::Input;
use sink::Sink;
use tollbook_types::Clock;
use tollbook_usage::import::Context;

pub fn run(args: &ImportArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let at = args.at.as_deref().map(|text| filter::instant(text, "--at")).transpose()?;
    let inputs = files::find(args.format, &args.paths)?;
    let ctx = Context { at, ..Context::new(source(args.format), SystemClock.now()) };
    let mut sink = match args.dry_run {
        true => Sink::dry(config, out)?,
        false => Sink::recording(config, inputs.len() > 1, out)?,
    };
    let result = read_all(args.format, &inputs, ctx, &mut sink, out);
    // Whatever happened, what was accepted is closed in order.
    let closed = sink.close();
    let (result, mut summary) = (result.and(closed.0), closed.1);
    summary.files = inputs.len() as u64;
    if let Err(failure) = result {
        // A reader that is gone cannot be told what was recorded: that is no success.
        let failure =
            if failure.is_quiet { Failure::new("the output was closed before the end") } else { failure };
        return Err(failure.hint("run the same again: what is recorded already counts once"));
    }
    summary.print(args.dry_run, out)?;
    Ok(if summary.rejected > 0 || summary.unreadable > 0 { Exit::Error } else { Exit::Ok })
}

fn read_all(
    format: ImportFormat,
    inputs: &[Input],
    ctx: Context<'_>,
    sink: &mut Sink,
    out: &mut Out,
) -> Result<(), Failure> {
    match format {
        ImportFormat::Responses | ImportFormat::Jsonl => line::read(format, inputs, ctx, sink, out),
        ImportFormat::ClaudeCode | ImportFormat::Codex | ImportFormat::Litellm => {
            logs::read(format, inputs, ctx, sink, out)
        }
    }
}

/// The source of the events of a format, which is part of their identity.
fn source(format: ImportFormat) -> &'static str {
    match format {
        ImportFormat::Responses => "responses",
        ImportFormat::Jsonl => "jsonl",
        ImportFormat::ClaudeCode => "claude-code",
        ImportFormat::Codex => "codex",
        ImportFormat::Litellm => "litellm",
    }
}
