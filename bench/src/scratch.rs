//! A directory for a run, which is removed when it ends.

use std::path::{Path, PathBuf};

/// A directory that goes with this value.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    kept: bool,
}

impl Scratch {
    /// A new directory below `parent`.
    pub fn new(parent: &Path) -> Result<Scratch, String> {
        let path = parent.join(format!("tollbook-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch { path, kept: false })
    }

    /// A directory that stays.
    pub fn kept(path: &Path) -> Result<Scratch, String> {
        std::fs::create_dir_all(path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Scratch { path: path.to_owned(), kept: true })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An empty directory in it.
    pub fn fresh(&self, name: &str) -> Result<PathBuf, String> {
        let path = self.path.join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    /// Refuses when fewer bytes are free.
    pub fn need(&self, bytes: u64) -> Result<(), String> {
        let free = rustix::fs::statvfs(&self.path).map_err(|error| error.to_string())?;
        let free = free.f_bavail * free.f_frsize;
        if free < bytes {
            return Err(format!(
                "{:.1} GB are needed in {}, {:.1} are free; --dir names another place, --calls fewer calls",
                bytes as f64 / 1e9,
                self.path.display(),
                free as f64 / 1e9
            ));
        }
        Ok(())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// The bytes of all files below a directory.
pub fn bytes_below(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => bytes_below(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}
