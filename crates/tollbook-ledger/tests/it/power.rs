//! Power loss, tried at many moments of a recorded run: what was acknowledged is there afterwards.

use crate::books::{self, Promises};
use crate::disk::{Disk, Files, Random, Step, lay_out, read_log};
use crate::worker::Worker;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tollbook_ledger::Durability;

/// A run of a busy worker, with everything that it wrote.
struct Recording {
    place: TempDir,
    /// What it found, and what had been promised before.
    found: Files,
    promised: Promises,
    steps: Vec<Step>,
}

fn record(durability: &str, calls: u64) -> Recording {
    record_from("r", durability, calls, Files::new(), Promises::default())
}

/// The same over files that are there, whose paths are relative.
fn record_from(round: &str, durability: &str, calls: u64, found: Files, promised: Promises) -> Recording {
    let place = TempDir::new().unwrap();
    let root = place.path().canonicalize().unwrap();
    let (dir, acks, log) = (root.join("data"), root.join("acks"), root.join("log"));
    lay_out(&found, Path::new(""), &dir);
    Worker::new("busy", &dir, &acks)
        .under_watch(&dir)
        .set("FAULTFS_LOG", &log)
        .set("FAULTFS_ACKS", &acks)
        .set("WORKER_DURABILITY", durability)
        .set("WORKER_ROUND", round)
        .set("WORKER_CALLS", calls.to_string())
        .run();
    let steps = read_log(&log);
    std::fs::remove_file(&log).unwrap();
    let found = found.into_iter().map(|(path, bytes)| (dir.join(path), bytes)).collect();
    Recording { place, found, promised, steps }
}

/// What stands on the disk at one moment, and what had been promised by then.
struct Moment {
    step: usize,
    files: Files,
    promises: Promises,
}

impl Recording {
    fn dir(&self) -> PathBuf {
        self.place.path().canonicalize().unwrap().join("data")
    }

    /// How many segments of the journal were let go, so that only the store has their records.
    fn segments_gone(&self) -> usize {
        let is_gone = |step: &&Step| step.kind == b'U' && step.path.extension().is_some_and(|e| e == "jsonl");
        self.steps.iter().filter(is_gone).count()
    }

    /// Moments from the first acknowledgement on (over files that are there: from the start on);
    /// half of them right behind one.
    fn moments(&self, count: usize, random: &mut Random) -> BTreeSet<usize> {
        let acks: Vec<usize> = (0..self.steps.len()).filter(|at| self.steps[*at].kind == b'A').collect();
        assert!(acks.len() > count, "too little was acknowledged");
        let first = if self.found.is_empty() { acks[0] + 1 } else { 0 };
        let mut moments = BTreeSet::new();
        while moments.len() < count {
            let behind_ack = acks[random.below(acks.len() as u64) as usize] + 1;
            // Also early, where few acknowledgements are.
            let reach =
                if random.chance(30) { acks[acks.len() / 50].max(first + 1) } else { self.steps.len() };
            let anywhere = first + random.below((reach - first) as u64) as usize;
            moments.insert(if random.chance(50) { behind_ack } else { anywhere });
        }
        moments
    }

    /// Goes through the log and hands out each moment as `at` makes it.
    fn visit(
        &self,
        moments: &BTreeSet<usize>,
        mut files: impl FnMut(&Disk) -> Option<Files>,
        mut visit: impl FnMut(Moment),
    ) {
        let (mut disk, mut promises) = (Disk::with(&self.found), self.promised.clone());
        for at in 0..=self.steps.len() {
            if moments.contains(&at)
                && let Some(files) = files(&disk)
            {
                visit(Moment { step: at, files, promises: promises.clone() });
            }
            let Some(step) = self.steps.get(at) else { break };
            disk.apply(step);
            if step.kind == b'A' {
                let line = std::str::from_utf8(&step.data).unwrap();
                promises.hear(line.trim_end());
            }
        }
    }
}

/// What is found when what is left is opened.
struct Aftermath {
    /// What is wrong.
    faults: Vec<String>,
    /// Things that opening told.
    notes: usize,
}

fn aftermath(from: &Path, moment: &Moment, durability: Durability) -> Aftermath {
    let place = TempDir::new().unwrap();
    lay_out(&moment.files, from, place.path());
    let books = match books::open(place.path(), durability) {
        Ok(books) => books,
        Err(error) => {
            return Aftermath { faults: vec![format!("lost: it does not open: {error}")], notes: 0 };
        }
    };
    let mut faults = books::faults(&books, &moment.promises);
    books::still_records(&books);
    faults.extend(books::problems(&books).into_iter().map(|problem| format!("verify: {problem}")));
    Aftermath { faults, notes: books.report.notes.len() }
}

fn without_shared_memory(mut files: Files) -> Files {
    files.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    files
}

#[test]
fn soak_power_loss_takes_nothing_that_was_acknowledged() {
    let count = if crate::is_soak() { 200 } else { 40 };
    let recording = record("full", 1_200);
    assert!(recording.segments_gone() > 0, "the store was never alone");
    let mut random = crate::random(7);
    let moments = recording.moments(count, &mut random);
    let (mut bad, mut promised, mut holes) = (Vec::new(), 0, 0);
    recording.visit(
        &moments,
        |disk| Some(without_shared_memory(disk.after_power_loss(&mut random))),
        |moment| {
            promised += moment.promises.count();
            let aftermath = aftermath(&recording.dir(), &moment, Durability::Full);
            holes += usize::from(aftermath.notes > 0);
            for fault in aftermath.faults {
                bad.push(format!("step {}: {fault}", moment.step));
            }
        },
    );
    let steps = recording.steps.len();
    println!("{count} losses of power in {steps} steps, {holes} left holes, {promised} promises looked for");
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn soak_power_loss_again_while_the_books_recover_takes_nothing_either() {
    let (lives, count) = if crate::is_soak() { (8, 25) } else { (2, 6) };
    let first = record("full", 200);
    let mut random = crate::random(23);
    let mut remains = Vec::new();
    first.visit(
        &first.moments(lives, &mut random),
        |disk| Some(without_shared_memory(disk.after_power_loss(&mut random))),
        |moment| remains.push(moment),
    );
    let (mut bad, mut replays) = (Vec::new(), 0);
    for (life, remains) in remains.into_iter().enumerate() {
        let dir = first.dir();
        let relative = |path: PathBuf| path.strip_prefix(&dir).unwrap().to_owned();
        let found = remains.files.into_iter().map(|(path, bytes)| (relative(path), bytes)).collect();
        let second = record_from("s", "full", 40, found, remains.promises);
        second.visit(
            &second.moments(count, &mut random),
            |disk| Some(without_shared_memory(disk.after_power_loss(&mut random))),
            |moment| {
                replays += 1;
                for fault in aftermath(&second.dir(), &moment, Durability::Full).faults {
                    bad.push(format!(
                        "life {life} from step {}, step {}: {fault}",
                        remains.step, moment.step
                    ));
                }
            },
        );
    }
    println!("{replays} second losses of power");
    assert!(bad.is_empty(), "{bad:#?}");
}

#[test]
fn without_fsync_the_same_power_loss_takes_acknowledged_calls() {
    let recording = record("process", 300);
    let mut random = crate::random(11);
    let moments = recording.moments(20, &mut random);
    let mut with_loss = 0;
    recording.visit(
        &moments,
        |disk| Some(without_shared_memory(disk.after_power_loss(&mut random))),
        |moment| {
            let faults = aftermath(&recording.dir(), &moment, Durability::Process).faults;
            with_loss += usize::from(faults.iter().any(|fault| fault.starts_with("lost")));
        },
    );
    println!("{with_loss} of {} moments lose something", moments.len());
    assert!(with_loss > 0, "a test that cannot fail shows nothing");
}

#[test]
fn soak_a_write_ahead_log_that_is_gone_takes_nothing() {
    let count = if crate::is_soak() { 100 } else { 12 };
    let recording = record("full", 1_200);
    assert!(recording.segments_gone() > 0, "the store was never alone");
    let mut random = crate::random(13);
    let store = recording.dir().join("store.db");
    let moments = recording.moments(count * 2, &mut random);
    let (mut bad, mut tried) = (Vec::new(), 0);
    recording.visit(
        &moments,
        |disk| {
            // The database as of its last checkpoint, and nothing of what came after.
            let mut files = disk.is_synced(&store).then(|| without_shared_memory(disk.whole()))?;
            files.remove(&recording.dir().join("store.db-wal"));
            Some(files)
        },
        |moment| {
            tried += 1;
            for fault in aftermath(&recording.dir(), &moment, Durability::Full).faults {
                bad.push(format!("step {}: {fault}", moment.step));
            }
        },
    );
    println!("{tried} deleted logs, {} segments let go", recording.segments_gone());
    assert!(tried >= count / 2, "{tried}");
    assert!(bad.is_empty(), "{bad:#?}");
}
