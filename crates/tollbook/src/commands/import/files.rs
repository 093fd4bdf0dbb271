//! Which files an import reads, and reading them in pieces with a progress bar.

use crate::cli::ImportFormat;
use crate::config::{self, env};
use crate::failure::Failure;
use crate::out::Out;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is read at once.
const PIECE_BYTES: usize = 256 * 1024;
/// Folders are walked no deeper than this.
const DEPTH_MAX: usize = 16;

/// Something to read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl Input {
    /// The name that problems are reported under.
    pub fn name(&self) -> String {
        match self {
            Input::Stdin => "stdin".to_owned(),
            Input::File(path) => path.display().to_string(),
        }
    }

    fn bytes(&self) -> Option<u64> {
        match self {
            Input::Stdin => None,
            Input::File(path) => {
                std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|meta| meta.len())
            }
        }
    }
}

/// The files that paths stand for, in a fixed order.
pub fn find(format: ImportFormat, paths: &[PathBuf]) -> Result<Vec<Input>, Failure> {
    let folders: &[&str] = match format {
        ImportFormat::ClaudeCode => &["projects"],
        ImportFormat::Codex => &["sessions", "archived_sessions"],
        _ => &[],
    };
    let mut inputs = Vec::new();
    let given = if paths.is_empty() { default_roots(format)? } else { paths.to_vec() };
    for path in &given {
        if path.as_os_str() == "-" {
            inputs.push(Input::Stdin);
            continue;
        }
        let meta = std::fs::metadata(path)
            .map_err(|error| Failure::new(format!("{}: {}", path.display(), config::reason(&error))))?;
        if !meta.is_dir() {
            inputs.push(Input::File(path.clone()));
            continue;
        }
        if folders.is_empty() {
            return Err(
                Failure::new(format!("{} is a directory", path.display())).hint("name the files in it")
            );
        }
        let mut found = Vec::new();
        let inside: Vec<PathBuf> =
            folders.iter().map(|folder| path.join(folder)).filter(|path| path.is_dir()).collect();
        for root in if inside.is_empty() { vec![path.clone()] } else { inside } {
            walk(&root, 0, &mut found)?;
        }
        found.sort();
        inputs.extend(found.into_iter().map(Input::File));
    }
    if inputs.is_empty() {
        let places: Vec<String> = given.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::new(format!("there are no logs in {}", places.join(", ")))
            .hint("name a file or directory"));
    }
    Ok(inputs)
}

/// Where agents keep their logs.
fn default_roots(format: ImportFormat) -> Result<Vec<PathBuf>, Failure> {
    let home = env::get(env::HOME).map(PathBuf::from);
    let set = match format {
        ImportFormat::ClaudeCode => env::get(env::CLAUDE_CONFIG_DIR),
        ImportFormat::Codex => env::get(env::CODEX_HOME),
        _ => return Err(Failure::usage("name at least one file; - is stdin")),
    };
    let set = set.map(|value| {
        let text = value.to_string_lossy().into_owned();
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(PathBuf::from).collect::<Vec<_>>()
    });
    let roots = set.unwrap_or_else(|| {
        let folders: &[&str] = match format {
            ImportFormat::ClaudeCode => &[".config/claude", ".claude"],
            _ => &[".codex"],
        };
        let all = home.iter().flat_map(|home| folders.iter().map(|folder| home.join(folder)));
        all.filter(|path| path.is_dir()).collect()
    });
    if roots.is_empty() {
        return Err(Failure::new("there are no logs in the usual place").hint("name a file or directory"));
    }
    Ok(roots)
}

fn walk(dir: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::new(format!("{}: {}", dir.display(), config::reason(&error)));
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let (path, kind) = (entry.path(), entry.file_type().map_err(failed)?);
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(&path, depth + 1, found)?;
        } else if !kind.is_dir() && path.extension().is_some_and(|end| end == "jsonl") {
            found.push(path);
        }
    }
    Ok(())
}

/// Shows how far the reading has come, on a terminal only.
pub struct Progress(ProgressBar);

impl Progress {
    /// For these inputs.
    pub fn new(inputs: &[Input], out: &Out) -> Progress {
        if !out.has_watcher() {
            return Progress(ProgressBar::hidden());
        }
        let sizes: Option<Vec<u64>> = inputs.iter().map(Input::bytes).collect();
        let (bar, template) = match sizes {
            Some(sizes) => (ProgressBar::new(sizes.iter().sum()), "{wide_bar} {bytes}/{total_bytes} {msg}"),
            None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Progress(bar)
    }

    /// Says how many calls were read.
    pub fn calls(&self, calls: u64) {
        self.0.set_message(format!("{calls} calls"));
    }

    /// Takes the bar off the screen while something else is printed.
    pub fn pause<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.0.is_hidden() { print() } else { self.0.suspend(print) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Reads an input piece by piece. A read that fails ends this input and is returned in words.
pub fn read_pieces(
    input: &Input,
    progress: &Progress,
    mut each: impl FnMut(&[u8]) -> Result<(), Failure>,
) -> Result<Result<(), String>, Failure> {
    let mut reader: Box<dyn Read> = match input {
        Input::Stdin => Box::new(std::io::stdin().lock()),
        Input::File(path) => match File::open(path) {
            Ok(file) => Box::new(file),
            Err(error) => return Ok(Err(config::reason(&error))),
        },
    };
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match reader.read(&mut piece) {
            Ok(0) => return Ok(Ok(())),
            Ok(count) => {
                progress.0.inc(count as u64);
                each(&piece[..count])?;
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Ok(Err(config::reason(&error))),
        }
    }
}
