//! What a command ends with when it does not end well: what happened, what to do, the exit code.

use std::fmt;
use std::process::ExitCode;
use tollbook_ledger::LedgerError;
use tollbook_store::StoreError;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Ok,
    /// Something went wrong, or some input was refused.
    Error,
    /// The command line makes no sense.
    Usage,
    /// Nothing is left of a budget.
    Exceeded,
    /// The books do not agree with themselves.
    Differs,
    /// The configuration is wrong.
    Config,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Ok => 0,
            Exit::Error => 1,
            Exit::Usage => 2,
            Exit::Exceeded => 3,
            Exit::Differs => 4,
            Exit::Config => 78,
        })
    }
}

/// Why a command failed. Making one has no side effect; it is printed once, at the end.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened, one line each.
    pub errors: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
    /// True when the reader of the output has gone: nothing is printed.
    pub is_quiet: bool,
}

impl Failure {
    /// Something went wrong.
    pub fn new(error: impl Into<String>) -> Failure {
        Failure { exit: Exit::Error, errors: vec![error.into()], hints: Vec::new(), is_quiet: false }
    }

    /// The command line makes no sense.
    pub fn usage(error: impl Into<String>) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::new(error) }
    }

    /// The configuration is wrong, in all these ways.
    pub fn config(errors: Vec<String>) -> Failure {
        Failure { exit: Exit::Config, errors, hints: Vec::new(), is_quiet: false }
    }

    /// The same, as a fault of the configuration.
    fn misconfigured(self) -> Failure {
        Failure { exit: Exit::Config, ..self }
    }

    /// The reader of the output has gone.
    pub fn reader_gone() -> Failure {
        Failure { exit: Exit::Ok, errors: Vec::new(), hints: Vec::new(), is_quiet: true }
    }

    /// With advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.errors.join("; "))
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error {
            LedgerError::Locked { pid, .. } => failure.hint(format!(
                "wait for process {pid} to end, or choose another --data-dir; reading works beside it"
            )),
            LedgerError::Encrypted(_) => failure
                .misconfigured()
                .hint("set TOLLBOOK_ENCRYPTION_KEY to what these books were encrypted with"),
            LedgerError::WrongKey(_) => {
                failure.misconfigured().hint("TOLLBOOK_ENCRYPTION_KEY is not what these books were encrypted with")
            }
            LedgerError::NotEncrypted(_) => failure.misconfigured().hint(
                "to encrypt them: `tollbook backup FILE` without TOLLBOOK_ENCRYPTION_KEY, then with it \
                 `tollbook restore FILE` into another --data-dir; the other way: `tollbook backup --plain FILE`",
            ),
            LedgerError::KeyFile(_) => failure
                .misconfigured()
                .hint("put the `.key` file beside any backup of these books in its place, as encryption.json"),
            LedgerError::StoreDown(_) => {
                failure.hint("run `tollbook doctor`, then send the same again: nothing counts twice")
            }
            LedgerError::Fatal(_) => failure.hint("run the same command again: nothing counts twice"),
            LedgerError::Store(error) => Failure::from(error),
            _ => failure,
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let failure = Failure::new(error.to_string());
        match error {
            StoreError::Corrupt(_) => {
                failure.hint("run `tollbook verify`; `tollbook restore BACKUP` puts a backup in place")
            }
            StoreError::Full(_) => {
                failure.hint("free some space and run the same again: nothing counts twice")
            }
            StoreError::RangeTooLarge { .. } | StoreError::TooManyRows { .. } | StoreError::TooLong => {
                failure.hint("choose a shorter range, the store's own time zone, or fewer dimensions")
            }
            StoreError::Busy(_) => failure.hint("try again in a moment"),
            _ => failure,
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Failure {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Failure::reader_gone(),
            _ => Failure::new(format!("writing the output failed: {error}")),
        }
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Failure {
        if error.io_error_kind() == Some(std::io::ErrorKind::BrokenPipe) {
            return Failure::reader_gone();
        }
        Failure::new(error.to_string())
    }
}
