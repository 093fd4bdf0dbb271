//! Damage at rest: a flipped bit or a cut is healed, harmless or reported, never silently believed.

use crate::books::{self, Sight, call, document};
use crate::disk::{Files, Random, lay_out};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use tempfile::TempDir;
use tollbook_ledger::{Durability, Settlement};
use tollbook_store::EventStore;
use tollbook_types::{Meter, Meters};

/// Longer than any of this takes: then it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A data directory as a process leaves it, with what it shows when undamaged.
struct Specimen {
    name: &'static str,
    files: Files,
    sight: Sight,
}

/// Directories in three states: ended in order, killed with much in the write-ahead log, and killed
/// with a log that is partly in the database already.
fn specimens() -> Vec<Specimen> {
    let sync_after: [(&str, &[u64]); 3] =
        [("closed", &[19]), ("killed", &[]), ("killed after a checkpoint", &[6, 13])];
    let make = |(name, sync_after): (&'static str, &[u64])| {
        let place = TempDir::new().unwrap();
        let books = books::open(place.path(), Durability::Full).unwrap();
        for group in 0..20_u64 {
            let ids = (0..30).map(|n| format!("{group}-{n}"));
            books.ledger.submit(ids.map(|id| call(&id)).collect()).unwrap();
            let key = format!("note/{}", group % 7);
            books.ledger.control(&key, Some(document(&key, 1))).unwrap();
            let seq = books.store.calls_by_id(&format!("{group}-7")).unwrap()[0].seq;
            let usage = Settlement::Usage(Meters::from_pairs([(Meter::Input, group)]));
            books.ledger.settle(seq, &usage, "a test").unwrap();
            if sync_after.contains(&group) {
                books.store.sync().unwrap();
            }
        }
        let sight = books::look(&books.store).unwrap();
        if name == "closed" {
            books.ledger.close().unwrap();
            drop(books.store);
            return Specimen { name, files: take(place.path()), sight };
        }
        Specimen { name, files: take(place.path()), sight }
    };
    sync_after.into_iter().map(make).collect()
}

/// The files that count, with their paths in the directory.
fn take(dir: &Path) -> Files {
    let mut files = Files::new();
    for dir in [dir.to_owned(), dir.join("journal")] {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let counts = name.ends_with(".jsonl") || name == "store.db" || name == "store.db-wal";
            if counts {
                files.insert(path.clone(), std::fs::read(&path).unwrap());
            }
        }
    }
    let root = dir;
    files.into_iter().map(|(path, bytes)| (path.strip_prefix(root).unwrap().to_owned(), bytes)).collect()
}

/// Damages one file in one place. Returns what was done, in words.
fn damage(files: &mut Files, random: &mut Random) -> String {
    let kinds = ["journal/", "store.db-wal", "store.db"];
    let names: Vec<PathBuf> = loop {
        let kind = kinds[random.below(3) as usize];
        let fits = |path: &&PathBuf| {
            let path = path.to_string_lossy();
            if kind.ends_with('/') { path.starts_with(kind) } else { path == kind }
        };
        let names: Vec<PathBuf> = files
            .iter()
            .filter(|(_, bytes)| !bytes.is_empty())
            .map(|(path, _)| path)
            .filter(fits)
            .cloned()
            .collect();
        if !names.is_empty() {
            break names;
        }
    };
    let name = &names[random.below(names.len() as u64) as usize];
    let bytes = files.get_mut(name).unwrap();
    // Mostly where there is something: the preallocated rest of a segment is long and empty.
    let content = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64;
    let reach = if random.chance(90) { content } else { bytes.len() as u64 };
    let at = random.below(reach.max(1)) as usize;
    let what = match random.below(10) {
        0 | 1 => {
            bytes.truncate(at);
            "cut"
        }
        2 => {
            let end = (at / 512 * 512 + 512).min(bytes.len());
            bytes[at / 512 * 512..end].fill(0);
            "sector zeroed"
        }
        _ => {
            bytes[at] ^= 1 << random.below(8);
            "bit flipped"
        }
    };
    format!("{}, {what} at {at} of {content}", name.display())
}

#[derive(Debug, PartialEq)]
enum Verdict {
    /// Everything shows as before, and nothing is said.
    Unharmed,
    /// Where it was said first.
    Reported(&'static str),
    /// Something differs and nobody says so.
    Silent,
}

/// Opens damaged books and asks everything.
fn judge(dir: &Path, sight: &Sight) -> Verdict {
    let Ok(books) = books::open(dir, Durability::Full) else { return Verdict::Reported("open") };
    let seen = books::look(&books.store);
    let notes = !books.report.notes.is_empty();
    let problems = !books::problems(&books).is_empty();
    match seen {
        _ if notes => Verdict::Reported("notes"),
        Ok(seen) if problems && seen != *sight => Verdict::Reported("verify, after other answers"),
        _ if problems => Verdict::Reported("verify"),
        Err(_) => Verdict::Reported("query"),
        Ok(seen) if seen == *sight => Verdict::Unharmed,
        Ok(_) => Verdict::Silent,
    }
}

#[test]
fn soak_damage_is_healed_or_reported_and_never_believed() {
    let count = if crate::is_soak() { 1_000 } else { 100 };
    let specimens = specimens();
    // A panic of the writer's thread does not come here by itself.
    let panics = &*Box::leak(Box::new(AtomicUsize::new(0)));
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        panics.fetch_add(1, Ordering::Relaxed);
        hook(info);
    }));
    let mut random = crate::random(19);
    let mut tally: BTreeMap<String, u32> = BTreeMap::new();
    let mut bad = Vec::new();
    for number in 0..count {
        let specimen = &specimens[number % specimens.len()];
        let mut files = specimen.files.clone();
        let what = format!("{number}: {}: {}", specimen.name, damage(&mut files, &mut random));
        let place = TempDir::new().unwrap();
        lay_out(&files, Path::new(""), place.path());
        let verdict = std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            let (dir, sight) = (place.path(), &specimen.sight);
            scope.spawn(move || {
                let verdict = std::panic::catch_unwind(AssertUnwindSafe(|| judge(dir, sight)));
                let _ = sender.send(verdict);
            });
            match receiver.recv_timeout(PATIENCE) {
                Ok(verdict) => verdict,
                // There is no ending a thread that hangs.
                Err(_) => {
                    println!("hangs: {what}");
                    std::process::abort();
                }
            }
        });
        match verdict {
            Ok(Verdict::Silent) => bad.push(format!("silently different: {what}")),
            Ok(verdict) => *tally.entry(format!("{verdict:?}")).or_default() += 1,
            Err(_) => bad.push(format!("panicked: {what}")),
        }
    }
    println!("{count} damages: {tally:?}");
    assert_eq!(panics.load(Ordering::Relaxed), 0);
    assert!(bad.is_empty(), "{bad:#?}");
}
