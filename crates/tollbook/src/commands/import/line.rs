//! Formats with one call a line: each line is answered for on its own.

use super::files::{Input, Progress, read_pieces};
use super::sink::{Item, Sink, Told};
use crate::cli::ImportFormat;
use crate::failure::Failure;
use crate::out::Out;
use serde::Deserialize;
use std::borrow::Cow;
use std::rc::Rc;
use tollbook_types::{Event, limits};
use tollbook_usage::import::lines::{Line, Lines};
use tollbook_usage::import::{Context, Problem, code, native, recorded};

/// Reads one line.
type Parse = fn(&[u8], &Context<'_>) -> Result<Event, Vec<Problem>>;
/// A refused line is looked at for its id only up to this size.
const ID_LOOKED_FOR_BYTES: usize = 1024 * 1024;

pub fn read(
    format: ImportFormat,
    inputs: &[Input],
    ctx: Context<'_>,
    sink: &mut Sink,
    out: &mut Out,
) -> Result<(), Failure> {
    let parse: Parse = match format {
        ImportFormat::Responses => recorded::parse_line,
        _ => native::parse_event,
    };
    let progress = Progress::new(inputs, out);
    for input in inputs {
        let file: Rc<str> = input.name().into();
        let mut lines = Lines::new();
        let mut items: Vec<Item> = Vec::new();
        let result = read_pieces(input, &progress, |piece| {
            lines.push(piece, &mut |line| items.extend(item(&line, &file, parse, &ctx)));
            take_whole_batches(&mut items, sink, &progress, out)
        })?;
        if let Err(problem) = result {
            sink.unreadable(&file, &problem, out);
        }
        lines.finish(&mut |line| items.extend(item(&line, &file, parse, &ctx)));
        progress.pause(|| sink.take(items, out))?;
    }
    Ok(())
}

/// Hands over what fills whole batches; the rest waits for company.
fn take_whole_batches(
    items: &mut Vec<Item>,
    sink: &mut Sink,
    progress: &Progress,
    out: &mut Out,
) -> Result<(), Failure> {
    while items.len() >= limits::BATCH_EVENTS_MAX {
        let rest = items.split_off(limits::BATCH_EVENTS_MAX);
        let batch = std::mem::replace(items, rest);
        progress.pause(|| sink.take(batch, out))?;
        progress.calls(sink.read_so_far());
    }
    Ok(())
}

/// What a line says; an empty one says nothing.
fn item(line: &Line<'_>, file: &Rc<str>, parse: Parse, ctx: &Context<'_>) -> Option<Item> {
    let told = match line.bytes {
        None => {
            let detail = format!("longer than {} bytes; it was not read", limits::LINE_BYTES_MAX);
            Told::Refused { id: None, problems: vec![Problem::new(code::LINE_TOO_LONG, detail)] }
        }
        Some(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => return None,
        Some(bytes) => match parse(bytes, ctx) {
            Ok(event) => Told::Event(Box::new(event)),
            Err(problems) => Told::Refused { id: id_of(bytes), problems },
        },
    };
    Some(Item { file: file.clone(), line: Some(line.number), told })
}

/// The id in a line that was refused, if it can be read at all.
fn id_of(bytes: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct WithId<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    if bytes.len() > ID_LOOKED_FOR_BYTES {
        return None;
    }
    let found: WithId<'_> = serde_json::from_slice(bytes).ok()?;
    Some(found.id.chars().take(limits::ID_BYTES_MAX).collect())
}
