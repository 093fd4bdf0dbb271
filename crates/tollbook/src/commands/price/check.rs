//! `tollbook price check`: whether price files are sound.

use crate::config::Config;
use crate::failure::{Exit, Failure};
use crate::out::Out;
use crate::out::text::visible;
use crate::prices;
use serde_json::json;
use std::path::Path;
use tollbook_pricing::parse_provider;

pub fn run(file: Option<&Path>, config: &Config, out: &mut Out) -> Result<Exit, Failure> {
    let problems = match file {
        Some(path) => check_file(path, config)?,
        None => match prices::base(config) {
            Ok(book) => prices::words(&book.check()),
            Err(failure) => failure.errors,
        },
    };
    if out.json {
        out.json(&json!({"ok": problems.is_empty(), "problems": problems}))?;
    } else {
        for problem in &problems {
            out.line(&visible(problem))?;
        }
        if problems.is_empty() {
            out.line("ok")?;
        }
    }
    Ok(if problems.is_empty() { Exit::Ok } else { Exit::Error })
}

/// A user's own file, or a provider's price text: the latter names its provider first.
fn check_file(path: &Path, config: &Config) -> Result<Vec<String>, Failure> {
    let text = prices::read_text(path).map_err(Failure::new)?;
    let name = path.display().to_string();
    let is_provider =
        text.lines().any(|line| line.trim_start().starts_with("provider =") || line.starts_with("[[model]]"))
            && !text.lines().any(|line| line.trim_start().starts_with("[[price]]"));
    if is_provider {
        return Ok(parse_provider(&name, &text)
            .err()
            .map_or(Vec::new(), |problems| prices::words(&problems)));
    }
    let book = prices::imported_book(config)?;
    Ok(prices::own_file(&book, path).err().unwrap_or_default())
}
