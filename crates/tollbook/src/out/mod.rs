//! Output: data on stdout, talk on stderr. Nothing else in the program writes to either.

pub mod chart;
pub mod number;
pub mod table;
pub mod text;

use crate::config::env;
use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write};
use text::visible;

/// The width of output that goes to no terminal.
const WIDTH_PIPED: usize = 80;
/// Tables are not laid out narrower than this.
const WIDTH_MIN: usize = 40;

/// The program's two outputs, and how they are to look.
pub struct Out {
    // Not locked for good: a thread that panics says so on stderr.
    stdout: BufWriter<Stdout>,
    stderr: Stderr,
    /// JSON was asked for.
    pub json: bool,
    quiet: bool,
    width: usize,
    is_bold: bool,
    is_talk_coloured: bool,
    is_talk_to_terminal: bool,
}

impl Out {
    /// Takes both outputs.
    pub fn new(json: bool, quiet: bool) -> Out {
        let colours = env::get(env::NO_COLOR).is_none();
        let (stdout, stderr) = (io::stdout(), io::stderr());
        let is_talk_to_terminal = stderr.is_terminal();
        Out {
            json,
            quiet,
            width: width(stdout.is_terminal()),
            is_bold: colours && stdout.is_terminal(),
            is_talk_coloured: colours && is_talk_to_terminal,
            is_talk_to_terminal,
            stdout: BufWriter::new(stdout),
            stderr,
        }
    }

    /// Columns that a line may take.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether headings may be bold.
    pub fn is_bold(&self) -> bool {
        self.is_bold
    }

    /// Whether somebody watches stderr, so that a progress bar makes sense.
    pub fn has_watcher(&self) -> bool {
        self.is_talk_to_terminal && !self.quiet
    }

    /// One line of data. The text must be safe for a terminal.
    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stdout, "{text}")?)
    }

    /// One JSON text on a line of its own.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.stdout, value)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// One JSON text, laid out for people where stdout is a terminal.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        if !self.is_bold {
            return self.json_line(value);
        }
        serde_json::to_writer_pretty(&mut self.stdout, value)?;
        Ok(self.stdout.write_all(b"\n")?)
    }

    /// Where data of another form goes.
    pub fn data(&mut self) -> &mut impl Write {
        &mut self.stdout
    }

    /// Hands what was printed so far to the reader.
    pub fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }

    /// One line of talk. Talk that cannot be printed is lost.
    pub fn note(&mut self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.stderr, "{text}");
        }
    }

    /// A complaint that does not end the command. It is printed however quiet.
    pub fn complain(&mut self, text: &str) {
        let _ = writeln!(self.stderr, "{}", visible(text));
    }

    /// Everything that a failure says.
    pub fn failure(&mut self, failure: &Failure) {
        let _ = self.stdout.flush();
        if failure.is_quiet {
            return;
        }
        let (error, hint) = match self.is_talk_coloured {
            true => ("\u{1b}[1;31merror:\u{1b}[0m", "\u{1b}[1;36mhint:\u{1b}[0m"),
            false => ("error:", "hint:"),
        };
        for text in &failure.errors {
            let _ = writeln!(self.stderr, "{error} {}", visible(text));
        }
        for text in &failure.hints {
            let _ = writeln!(self.stderr, "{hint} {}", visible(text));
        }
    }
}

fn width(is_terminal: bool) -> usize {
    let told = || env::get(env::COLUMNS)?.to_str()?.parse().ok();
    let seen = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    let width = if is_terminal { seen().or_else(told) } else { told() };
    width.unwrap_or(WIDTH_PIPED).max(WIDTH_MIN)
}
