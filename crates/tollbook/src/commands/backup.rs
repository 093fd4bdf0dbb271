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
    let dir = open::dir(config)?;
    let key = open::store_key(&dir)?;
    let key_file = match (&key, args.plain) {
        (Some(_), true) => {
            tollbook_sqlite::convert(&dir.store(), key.as_ref(), &args.file, None)?;
            None
        }
        _ => {
            store.backup(&args.file)?;
            dir.write_key_beside(&args.file)?
        }
    };
    let position = open::inspect(&args.file, key.filter(|_| !args.plain))?;
    let bytes = std::fs::metadata(&args.file).map_or(0, |meta| meta.len());
    if out.json {
        out.json(
            &json!({"file": args.file, "bytes": bytes, "applied": position.applied, "key_file": key_file}),
        )?;
    } else {
        out.line(&format!(
            "{}: everything up to journal record {}, {bytes} bytes",
            args.file.display(),
            position.applied
        ))?;
    }
    if let Some(key_file) = key_file {
        out.note(&format!("keep {} with it: it takes both, and the key, to open it", key_file.display()));
    }
    Ok(Exit::Ok)
}
