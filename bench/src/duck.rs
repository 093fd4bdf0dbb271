//! DuckDB over the same calls, through its Python package: beside the store, for scale.

use crate::books::text;
use crate::figure::{put, say};
use crate::large::{Large, SEED};
use crate::run::Run;
use crate::workload::Workload;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use tollbook_pricing::{Book, rate};
use tollbook_types::Usage;

/// The package's version.
const PACKAGE: &str = "duckdb==2.0.0";

/// A running DuckDB.
pub struct Duck {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Duck {
    /// Loads the calls of the large store. `None`, said loudly, where it cannot be had.
    pub fn start(run: &Run, large: &Large) -> Result<Option<Duck>, String> {
        let python = match python() {
            Ok(python) => python,
            Err(why) => {
                put(&format!("\nSKIPPED: DuckDB beside the queries: {why}"));
                return Ok(None);
            }
        };
        let dir = run.scratch.fresh("duck")?;
        let (calls, database) = (dir.join("calls.csv"), dir.join("calls.duckdb"));
        say("writing the calls for DuckDB");
        write_calls(run, crate::large::calls(&large.books)?, &calls)?;
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("duckdb.py");
        let mut child = Command::new(python)
            .arg(script)
            .args([&calls, &database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let input = child.stdin.take().ok_or("no pipe")?;
        let output = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut duck = Duck { child, input, output };
        let ready = duck.line()?;
        let _ = std::fs::remove_file(&calls);
        let words: Vec<&str> = ready.split_whitespace().collect();
        let ["ready", version, rows, seconds, bytes] = words[..] else {
            return Err(format!("DuckDB said {ready:?}"));
        };
        let each = bytes.parse::<f64>().unwrap_or(0.0) / rows.parse::<f64>().unwrap_or(1.0);
        put(&format!(
            "\nDuckDB {version}: {rows} calls loaded in {seconds} s, {each:.0} bytes a call (20 columns, no raw usage)"
        ));
        Ok(Some(duck))
    }

    /// Milliseconds, groups, cost.
    pub fn ask(&mut self, sql: &str) -> Result<(f64, u64, Option<i128>), String> {
        self.input
            .write_all(format!("{sql}\n").as_bytes())
            .and_then(|()| self.input.flush())
            .map_err(text)?;
        let line = self.line()?;
        let mut words = line.split_whitespace();
        let mut next = || words.next().ok_or_else(|| format!("DuckDB said {line:?}"));
        let millis = next()?.parse().map_err(text)?;
        let groups = next()?.parse().map_err(text)?;
        Ok((millis, groups, next()?.parse().ok()))
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = String::new();
        match self.output.read_line(&mut line).map_err(text)? {
            0 => Err("DuckDB ended".to_owned()),
            _ => Ok(line),
        }
    }
}

impl Drop for Duck {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A Python that has the package: made once beside the program.
fn python() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(text)?;
    let venv = program.with_file_name("bench-venv");
    let python = venv.join("bin/python");
    let run = |command: &mut Command, what: &str| -> Result<(), String> {
        let output = command.output().map_err(|error| format!("{what}: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr);
        Err(format!("{what} failed: {}", words.lines().last().unwrap_or("no message")))
    };
    if run(Command::new(&python).args(["-I", "-c", "import duckdb"]), "import duckdb").is_ok() {
        return Ok(python);
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv), "python3 -m venv")?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", PACKAGE]), "pip install duckdb")?;
    Ok(python)
}

/// The calls of the large store once more, from the same seed.
fn write_calls(run: &Run, calls: u64, path: &Path) -> Result<(), String> {
    let book = Book::embedded();
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(path).map_err(text)?);
    let mut work = Workload::new(SEED, run.calls);
    for _ in 0..calls {
        let event = work.call();
        let who = &event.attribution;
        let total = event.usage.as_ref().map(Usage::total).unwrap_or_default();
        let cost = rate(&book, &event).rating.cost.map_or_else(String::new, |cost| cost.picos().to_string());
        fn or_none(value: &Option<String>) -> &str {
            value.as_deref().unwrap_or_default()
        }
        let tag = |name: &str| who.tags.get(name).map_or("", String::as_str);
        writeln!(
            out,
            "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}",
            event.id,
            event.occurred_at,
            event.source,
            event.provider,
            event.model,
            event.status.name(),
            event.evidence.name(),
            or_none(&who.project),
            or_none(&who.customer),
            or_none(&who.user),
            or_none(&who.agent),
            or_none(&who.operation),
            or_none(&who.session),
            or_none(&who.key),
            tag("team"),
            tag("feature"),
            total.input_tokens(),
            total.output_tokens(),
            cost,
            event.latency_ms.unwrap_or(0),
        )
        .map_err(text)?;
    }
    out.flush().map_err(text)
}
