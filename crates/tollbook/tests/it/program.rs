//! Running the program in a directory that is thrown away.

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Variables that would reach into the test from outside.
const OUTSIDE: &[&str] = &[
    "TOLLBOOK_CONFIG",
    "TOLLBOOK_DATA_DIR",
    "TOLLBOOK_TIME_ZONE",
    "TOLLBOOK_DURABILITY",
    "TOLLBOOK_RETENTION_DAYS",
    "TOLLBOOK_ENCRYPTION_KEY",
    "TOLLBOOK_NEW_ENCRYPTION_KEY",
    "NO_COLOR",
    "COLUMNS",
    "CLAUDE_CONFIG_DIR",
    "CODEX_HOME",
];

/// The program in its own directory.
pub struct Place(TempDir);

/// What a run came to.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Place {
    /// A new directory.
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// A directory with the examples in its books.
    pub fn with_examples() -> Place {
        let place = Place::new();
        place.run(&["import", "jsonl", &example("events.jsonl")]).ok();
        place.run(&["import", "responses", &example("responses.jsonl")]).ok();
        place
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// A command, not run yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        clean(&mut |name, value| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        });
        command.current_dir(self.path()).args(args);
        command
    }

    /// A process of the standard library, for tests that kill it.
    pub fn process(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(binary());
        clean(&mut |name, value| {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        });
        command.current_dir(self.path()).args(args);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Runs with --json and reads the answer.
    pub fn json(&self, args: &[&str]) -> Value {
        let mut all = args.to_vec();
        all.push("--json");
        serde_json::from_str(&self.run(&all).ok().out).unwrap()
    }
}

/// Runs a command.
pub fn ran(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Ran {
    /// It went well.
    pub fn ok(self) -> Ran {
        self.code(0)
    }

    /// It ended with this code.
    #[track_caller]
    pub fn code(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Every line of the output as JSON.
    pub fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn binary() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tollbook"))
}

fn clean(set: &mut dyn FnMut(&str, Option<&str>)) {
    for name in OUTSIDE {
        set(name, None);
    }
    // Journal segments are preallocated: small ones keep the disk free.
    set("TOLLBOOK_SEGMENT_MIB", Some("3"));
}

/// The path of an example.
pub fn example(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name).display().to_string()
}
