//! A disk as it stands after the power went: built from the log of everything that was written.
//!
//! What was synced is there. Of what was not, any part may be: each sector of 512 bytes shows some
//! earlier state of its own, sizes and names are as of some moment since the last sync, and every
//! file decides for itself.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

const SECTOR: u64 = 512;
const HEADER: usize = 17;

/// A small generator (splitmix64), so that a seed names a whole run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One step of the log.
#[derive(Debug)]
pub struct Step {
    pub kind: u8,
    pub path: PathBuf,
    pub offset: u64,
    pub data: Vec<u8>,
}

/// Reads the log that the preloaded library wrote.
pub fn read_log(path: &Path) -> Vec<Step> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let mut steps = Vec::new();
    while rest.len() >= HEADER {
        let number = |range: std::ops::Range<usize>| {
            let mut whole = [0; 8];
            whole[..range.len()].copy_from_slice(&rest[range]);
            u64::from_le_bytes(whole)
        };
        let (names, size) = (number(1..5) as usize, number(13..17) as usize);
        let (kind, offset) = (rest[0], number(5..13));
        let body = &rest[HEADER..];
        // A process that was killed may leave its last step unfinished.
        if body.len() < names + size {
            break;
        }
        let path = PathBuf::from(std::str::from_utf8(&body[..names]).unwrap());
        steps.push(Step { kind, path, offset, data: body[names..names + size].to_vec() });
        rest = &body[names + size..];
    }
    steps
}

enum Change {
    Write { at: u64, data: Vec<u8> },
    Size(u64),
}

#[derive(Default)]
struct File {
    /// What is on the disk for sure.
    synced: Vec<u8>,
    /// What came after the last sync.
    unsynced: Vec<Change>,
}

enum Naming {
    Is(PathBuf, usize),
    Moved(PathBuf, PathBuf),
    Gone(PathBuf),
}

type Names = BTreeMap<PathBuf, usize>;
/// What files hold.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Naming {
    fn apply(&self, names: &mut Names) {
        match self {
            Naming::Is(path, file) => {
                names.insert(path.clone(), *file);
            }
            Naming::Moved(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Naming::Gone(path) => {
                names.remove(path);
            }
        }
    }
}

/// Files while the log is gone through.
#[derive(Default)]
pub struct Disk {
    files: Vec<File>,
    /// As the process sees the names.
    names: Names,
    /// As they are on the disk for sure.
    synced_names: Names,
    unsynced_names: Vec<Naming>,
}

impl Disk {
    /// A disk with these files on it.
    pub fn with(files: &Files) -> Disk {
        let mut disk = Disk::default();
        for (path, bytes) in files {
            disk.synced_names.insert(path.clone(), disk.files.len());
            disk.files.push(File { synced: bytes.clone(), unsynced: Vec::new() });
        }
        disk.names = disk.synced_names.clone();
        disk
    }

    /// Goes one step on.
    pub fn apply(&mut self, step: &Step) {
        let file = self.names.get(&step.path).copied();
        match (step.kind, file) {
            (b'C', _) => {
                self.files.push(File::default());
                self.rename(Naming::Is(step.path.clone(), self.files.len() - 1));
            }
            (b'R', _) => {
                let to = PathBuf::from(std::str::from_utf8(&step.data).unwrap());
                self.rename(Naming::Moved(step.path.clone(), to));
            }
            (b'U', _) => self.rename(Naming::Gone(step.path.clone())),
            (b'D', _) => self.sync_names(self.unsynced_names.len()),
            (b'W', Some(file)) => {
                let change = Change::Write { at: step.offset, data: step.data.clone() };
                self.files[file].unsynced.push(change);
            }
            (b'T', Some(file)) => self.files[file].unsynced.push(Change::Size(step.offset)),
            (b'S', Some(file)) => {
                self.files[file].sync(step.offset);
                // A file system does not sync a new file without its name.
                let concerns = |naming: &Naming| match naming {
                    Naming::Is(_, of) => *of == file,
                    Naming::Moved(_, to) => *to == step.path,
                    Naming::Gone(_) => false,
                };
                let through = self.unsynced_names.iter().rposition(concerns).map_or(0, |at| at + 1);
                self.sync_names(through);
            }
            (b'A', _) => {}
            (kind, _) => panic!("{} of a file that was never made: {}", kind as char, step.path.display()),
        }
    }

    /// Whether everything written to the file of this name is synced.
    pub fn is_synced(&self, path: &Path) -> bool {
        self.names.get(path).is_none_or(|file| self.files[*file].unsynced.is_empty())
    }

    /// The files as they are without any loss.
    pub fn whole(&self) -> Files {
        let content = |file: &usize| self.files[*file].whole();
        self.names.iter().map(|(path, file)| (path.clone(), content(file))).collect()
    }

    /// The files as they may be when the power goes now.
    pub fn after_power_loss(&self, random: &mut Random) -> Files {
        let mut names = self.synced_names.clone();
        let kept = match random.below(3) {
            0 => 0,
            1 => self.unsynced_names.len(),
            _ => random.below(self.unsynced_names.len() as u64 + 1) as usize,
        };
        self.unsynced_names[..kept].iter().for_each(|naming| naming.apply(&mut names));
        names.into_iter().map(|(path, file)| (path, self.files[file].after_power_loss(random))).collect()
    }

    fn rename(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced_names.push(naming);
    }

    fn sync_names(&mut self, through: usize) {
        for naming in self.unsynced_names.drain(..through) {
            naming.apply(&mut self.synced_names);
        }
    }
}

impl File {
    fn sync(&mut self, size: u64) {
        self.synced = self.whole();
        // Also what was preallocated without passing by the log.
        self.synced.resize(size as usize, 0);
        self.unsynced.clear();
    }

    fn whole(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        for change in &self.unsynced {
            match change {
                Change::Write { at, data } => put(&mut bytes, *at, data),
                Change::Size(size) => bytes.resize(*size as usize, 0),
            }
        }
        bytes
    }

    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        match random.below(100) {
            0..30 => self.synced.clone(),
            30..45 => self.whole(),
            _ => self.torn(random),
        }
    }

    fn torn(&self, random: &mut Random) -> Vec<u8> {
        let mut touched: HashMap<u64, u64> = HashMap::new();
        for (sector, _, _) in self.pieces() {
            *touched.entry(sector).or_default() += 1;
        }
        let mut sectors: Vec<(u64, u64)> = touched.into_iter().collect();
        sectors.sort_unstable();
        // How many of its writes each sector has seen.
        let seen = sectors.into_iter().map(|(sector, times)| (sector, random.below(times + 1)));
        let mut seen: HashMap<u64, u64> = seen.collect();
        let mut bytes = self.synced.clone();
        for change in &self.unsynced {
            match change {
                Change::Size(size) if random.chance(50) => bytes.resize(*size as usize, 0),
                Change::Size(_) => {}
                Change::Write { at, data } => {
                    for (sector, at, piece) in pieces_of(*at, data) {
                        if let Some(left) = seen.get_mut(&sector).filter(|left| **left > 0) {
                            *left -= 1;
                            put(&mut bytes, at, piece);
                        }
                    }
                }
            }
        }
        if random.chance(30) {
            // The size went to the disk before the content.
            bytes.resize(self.whole().len().max(bytes.len()), 0);
        }
        bytes
    }

    fn pieces(&self) -> impl Iterator<Item = (u64, u64, &[u8])> {
        self.unsynced.iter().flat_map(|change| match change {
            Change::Write { at, data } => pieces_of(*at, data),
            Change::Size(_) => Vec::new(),
        })
    }
}

/// A write cut at the borders of sectors: sector, offset, bytes.
fn pieces_of(at: u64, data: &[u8]) -> Vec<(u64, u64, &[u8])> {
    let mut pieces = Vec::new();
    let (mut at, mut data) = (at, data);
    while !data.is_empty() {
        let here = ((SECTOR - at % SECTOR) as usize).min(data.len());
        pieces.push((at / SECTOR, at, &data[..here]));
        at += here as u64;
        data = &data[here..];
    }
    pieces
}

fn put(bytes: &mut Vec<u8>, at: u64, data: &[u8]) {
    let (at, end) = (at as usize, at as usize + data.len());
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(data);
}

/// Puts the files into a new place: what was below `from` is then below `to`.
pub fn lay_out(files: &Files, from: &Path, to: &Path) {
    for (path, bytes) in files {
        let path = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}
