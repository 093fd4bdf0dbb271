//! Formats in which several lines, and several files, speak of one call: they are read to the end
//! before anything is recorded.

use super::files::{Input, Progress, read_pieces};
use super::sink::{Item, Sink, Told};
use crate::cli::ImportFormat;
use crate::failure::Failure;
use crate::out::Out;
use std::rc::Rc;
use tollbook_types::{Event, limits};
use tollbook_usage::import::{Context, FileReader, Import, claude_code, codex, litellm};

pub fn read(
    format: ImportFormat,
    inputs: &[Input],
    ctx: Context<'_>,
    sink: &mut Sink,
    out: &mut Out,
) -> Result<(), Failure> {
    match format {
        ImportFormat::ClaudeCode => read_with(claude_code::ClaudeCode::with(ctx), inputs, sink, out),
        ImportFormat::Codex => read_with(codex::Codex::with(ctx), inputs, sink, out),
        _ => read_with(litellm::LiteLlm::with(ctx), inputs, sink, out),
    }
}

fn read_with(
    mut reader: impl FileReader,
    inputs: &[Input],
    sink: &mut Sink,
    out: &mut Out,
) -> Result<(), Failure> {
    sink.grows_entries();
    let progress = Progress::new(inputs, out);
    let logs: Rc<str> = "logs".into();
    for input in inputs {
        let name = input.name();
        reader.open(&name);
        let result = read_pieces(input, &progress, |piece| {
            reader.push(piece);
            let ready = reader.drain();
            progress.pause(|| record(ready, &logs, sink, out))
        })?;
        if let Err(problem) = result {
            sink.unreadable(&name, &problem, out);
        }
        reader.close();
        let ready = reader.drain();
        progress.pause(|| record(ready, &logs, sink, out))?;
    }
    let Import { events, problems, counts } = reader.finish();
    progress.pause(|| {
        record(events, &logs, sink, out)?;
        // Lines whose text was not kept are counted all the same.
        let untold = counts.bad.saturating_sub(problems.len() as u64);
        for located in problems {
            let told = Told::Refused { id: None, problems: vec![located.problem] };
            let item = Item { file: located.file.into(), line: Some(located.line), told };
            sink.take(vec![item], out)?;
        }
        sink.untold(untold, out);
        sink.log_counts(&counts);
        Ok(())
    })
}

fn record(events: Vec<Event>, file: &Rc<str>, sink: &mut Sink, out: &mut Out) -> Result<(), Failure> {
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let batch = events.by_ref().take(limits::BATCH_EVENTS_MAX);
        let items =
            batch.map(|event| Item { file: file.clone(), line: None, told: Told::Event(Box::new(event)) });
        sink.take(items.collect(), out)?;
    }
    Ok(())
}
