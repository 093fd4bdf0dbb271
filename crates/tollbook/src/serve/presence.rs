//! `server.json` in the data directory: how other commands find the running server and may talk to it.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The file's name.
pub const FILE: &str = "server.json";

/// What it says. The token is an admin key that is valid while the server runs.
#[derive(Clone, Serialize, Deserialize)]
pub struct Told {
    /// The server's own address, `http://127.0.0.1:4680`.
    pub url: String,
    /// An admin key.
    pub token: String,
    /// The server's process.
    pub pid: u32,
}

/// The file while the server runs; it goes with this value.
pub struct Presence(PathBuf);

impl Presence {
    /// Writes the file, readable by the owner alone from its first byte on.
    pub fn announce(data_dir: &Path, told: &Told) -> Result<Presence, Failure> {
        let path = data_dir.join(FILE);
        let unfinished = data_dir.join("server.json.unfinished");
        let failed = |error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
        let _ = std::fs::remove_file(&unfinished);
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(failed)?;
        let text = serde_json::to_vec(told)?;
        file.write_all(&text).map_err(failed)?;
        std::fs::rename(&unfinished, &path).map_err(failed)?;
        Ok(Presence(path))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // A file that stays behind is harmless: nobody answers there, and its token is no longer known.
        let _ = std::fs::remove_file(&self.0);
    }
}
