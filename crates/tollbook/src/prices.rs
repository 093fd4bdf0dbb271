//! The price book in force: what is part of the program, what was imported into the data
//! directory, the user's own files, and what was set over the API, in this order.

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::open;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollbook_ledger::{own_prices, with_own_prices};
use tollbook_pricing::{Book, Import, NoMatch, Problem, Query};
use tollbook_types::{Conditions, PROVIDERS, Timestamp, canonical_provider};

/// The largest price file that is read.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The book that is in force, with what the books themselves hold.
pub fn book(config: &Config) -> Result<Arc<Book>, Failure> {
    let base = base(config)?;
    let dir = open::dir(config)?;
    if !dir.store().exists() {
        return Ok(base);
    }
    // What is left out was told by whoever writes the books.
    let (book, _) = with_own_prices(&base, &own_prices(&open::reading(&dir)?)?);
    Ok(book)
}

/// The book that is in force but for what the books themselves hold.
pub fn base(config: &Config) -> Result<Arc<Book>, Failure> {
    let imported = with_imported(Book::embedded(), &imported_dir(config))?;
    with_own(imported, config)
}

/// Where imported prices are kept.
fn imported_dir(config: &Config) -> PathBuf {
    config.data_dir.value.join("prices")
}

/// The program's book with what was imported: without the user's own prices.
pub fn imported_book(config: &Config) -> Result<Arc<Book>, Failure> {
    with_imported(Book::embedded(), &imported_dir(config))
}

/// A book with the user's own files.
pub fn with_own(mut book: Arc<Book>, config: &Config) -> Result<Arc<Book>, Failure> {
    let mut problems = Vec::new();
    for file in &config.prices {
        match own_file(&book, &file.value) {
            Ok(more) => book = Arc::new(more),
            Err(found) => problems.extend(found),
        }
    }
    if problems.is_empty() { Ok(book) } else { Err(Failure::config(problems)) }
}

/// A book with one file of the user's.
pub fn own_file(book: &Book, path: &Path) -> Result<Book, Vec<String>> {
    let text = read_text(path).map_err(|problem| vec![problem])?;
    book.with_override_file(&path.display().to_string(), &text).map_err(|problems| words(&problems))
}

/// Problems in words.
pub fn words(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// A price file's text.
pub fn read_text(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map(|meta| meta.len());
    if size.as_ref().is_ok_and(|size| *size > FILE_BYTES_MAX) {
        return Err(format!("{}: larger than {FILE_BYTES_MAX} bytes", path.display()));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{}: {}", path.display(), config::reason(&error)))
}

fn with_imported(book: Arc<Book>, dir: &Path) -> Result<Arc<Book>, Failure> {
    let files = imported_files(dir)?;
    if files.is_empty() {
        return Ok(book);
    }
    let mut texts = Vec::new();
    for path in &files {
        texts.push((path.display().to_string(), read_text(path).map_err(Failure::new)?));
    }
    let texts: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    match book.with_texts(&texts) {
        Ok(book) => Ok(Arc::new(book)),
        Err(problems) => {
            let mut failure = Failure::new("imported prices cannot be read");
            failure.errors.extend(words(&problems));
            Err(failure.hint(format!("take the files out of {} and import the feed again", dir.display())))
        }
    }
}

/// Imported texts in the order in which they were imported: their names begin with a number.
fn imported_files(dir: &Path) -> Result<Vec<PathBuf>, Failure> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::new(format!("{}: {}", dir.display(), config::reason(&error)))),
    };
    let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "toml")).collect();
    files.sort();
    Ok(files)
}

/// Keeps what was imported: one more file for each provider. Each is whole or not there.
pub fn keep(config: &Config, import: &Import) -> Result<(), Failure> {
    let dir = imported_dir(config);
    let failed = |path: &Path, error: std::io::Error| Failure::new(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(&dir).map_err(|error| failed(&dir, error))?;
    let mut number = imported_files(&dir)?.len();
    for (name, text) in &import.texts {
        number += 1;
        let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let path = dir.join(format!("{number:06}-{plain}.toml"));
        let unfinished = path.with_extension("unfinished");
        let written = std::fs::File::create(&unfinished)
            .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&unfinished, &path));
        written.map_err(|error| failed(&path, error))?;
    }
    Ok(tollbook_ledger::journal::sync_dir(&dir)?)
}

/// The provider that a model's price is looked up at, where none is named: the first in the list of
/// providers that has a price of its own for it. Further ones are named too.
pub fn provider_of(
    book: &Book,
    named: Option<&str>,
    model: &str,
    at: Timestamp,
    conditions: &Conditions,
) -> (String, Vec<String>) {
    if let Some(named) = named {
        return (canonical_provider(named), Vec::new());
    }
    if let Some((provider, rest)) = model.split_once('/')
        && PROVIDERS.contains(&provider)
        && !rest.is_empty()
    {
        return (provider.to_owned(), Vec::new());
    }
    let rank = |id: &str| PROVIDERS.iter().position(|known| *known == id).unwrap_or(PROVIDERS.len());
    let mut found: BTreeMap<(usize, &str), ()> = BTreeMap::new();
    for provider in book.providers() {
        let query = Query { provider: &provider.id, model, request_model: None, at, conditions };
        let own = format!("{}/", provider.id);
        // A price borrowed from another provider, or for any model at all, tells nothing of whose it is.
        if book.card(&query, 0).is_ok_and(|card| {
            let id = &card.card.price_id;
            (id.starts_with(&own) || id.starts_with("own:")) && !id.contains("/*")
        }) {
            found.insert((rank(&provider.id), &provider.id), ());
        }
    }
    let mut ids = found.into_keys().map(|(_, id)| id.to_owned());
    (ids.next().unwrap_or_default(), ids.collect())
}

/// That a model has no price, and what to do.
pub fn no_match(missing: &NoMatch, model: &str) -> Failure {
    Failure::new(missing.to_string()).hint(format!("`tollbook price match {model}` shows what comes near"))
}
