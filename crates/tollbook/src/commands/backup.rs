//! `tollbook backup FILE`: a consistent copy of the store, also while it is in use.

use crate::cli::BackupArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::open;
use crate::out::Out;
use serde_json::json;

pub fn run(args: &BackupArgs, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    if args.file.exists() {
        return Err(Failure::new(format!("{} exists already", args.file.display()))
            .hint("name a file that is not there yet: a backup replaces nothing"));
    }
    let store = open::read(config, out)?;
    store.backup(&args.file)?;
    let position = open::inspect(&args.file)?;
    let bytes = std::fs::metadata(&args.file).map_or(0, |meta| meta.len());
    if out.json {
        out.json(&json!({"file": args.file, "bytes": bytes, "applied": position.applied}))?;
    } else {
        out.line(&format!(
            "{}: everything up to journal record {}, {bytes} bytes",
            args.file.display(),
            position.applied
        ))?;
    }
    Ok(Exit::Ok)
}
