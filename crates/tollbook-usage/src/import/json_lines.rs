//! Files with one event a line, whatever the line's own format is.

use super::lines::{Line, Lines};
use super::problem::Problem;
use super::{Context, FileReader, Import, Progress, each_line};
use tollbook_types::Event;

/// Reads one line.
pub type ParseLine = fn(&[u8], &Context<'_>) -> Result<Event, Vec<Problem>>;

/// A reader of JSON Lines: `JsonLines::new(ctx, native::parse_event)`.
#[derive(Debug)]
pub struct JsonLines<'a> {
    ctx: Context<'a>,
    parse: ParseLine,
    lines: Lines,
    progress: Progress,
    events: Vec<Event>,
}

impl<'a> JsonLines<'a> {
    /// A reader of lines that `parse` understands.
    pub fn new(ctx: Context<'a>, parse: ParseLine) -> JsonLines<'a> {
        JsonLines { ctx, parse, lines: Lines::new(), progress: Progress::default(), events: Vec::new() }
    }

    fn line(&mut self, line: &Line<'_>) {
        let Some(bytes) = self.progress.take(line) else { return };
        match (self.parse)(bytes, &self.ctx) {
            Ok(event) => {
                self.progress.counts.usages += 1;
                self.events.push(event);
            }
            Err(problems) => self.progress.bad(problems),
        }
    }
}

impl FileReader for JsonLines<'_> {
    fn open(&mut self, file: &str) {
        self.progress.start(file);
        self.lines = Lines::new();
    }

    fn push(&mut self, bytes: &[u8]) {
        each_line(self, |reader| &mut reader.lines, Some(bytes), Self::line);
    }

    fn close(&mut self) {
        each_line(self, |reader| &mut reader.lines, None, Self::line);
    }

    fn drain(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn finish(self) -> Import {
        self.progress.import(self.events)
    }
}
