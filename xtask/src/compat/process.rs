//! Processes: those that are waited for, for so long at most, and those that are talked to.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Runs a command to its end and gives what it printed.
///
/// # Errors
/// It cannot be started, takes longer, or fails: then with what it said.
pub fn bounded(command: &mut Command, limit: Duration) -> Result<String, String> {
    let name = format!("{:?}", command.get_program());
    let said = |error: &dyn std::fmt::Display| format!("{name}: {error}");
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().map_err(|error| said(&error))?;
    let (out, err) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| said(&error))? {
            break status;
        }
        if since.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return Err(said(&format!("it takes longer than {} s", limit.as_secs())));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    let told = if err.trim().is_empty() { &out } else { &err };
    if status.success() { Ok(out) } else { Err(said(&format!("{status}\n{}", told.trim_end()))) }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read until an error is all there is to tell.
        let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A process that is talked to line by line; it ends with its owner.
pub struct Running {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Result<Running, String> {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(|error| format!("{:?}: {error}", command.get_program()))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else { return Err("no pipes".to_owned()) };
        Ok(Running { child, input, output: BufReader::new(output) })
    }

    /// The next line that it prints.
    pub fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(text)?;
        if line.is_empty() { Err("a program ended early".to_owned()) } else { Ok(line) }
    }

    /// Sends an empty line, and gives the line that it answers.
    pub fn ask(&mut self) -> Result<String, String> {
        self.input.write_all(b"\n").map_err(text)?;
        self.line()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An error as text.
pub fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
