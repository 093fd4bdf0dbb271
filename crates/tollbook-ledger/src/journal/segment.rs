//! One file of the journal: preallocated, appended to, read back.
//!
//! The file has its full size from the start, so appending changes no metadata, one `fdatasync`
//! makes a group durable, and a disk that fills up later cannot refuse it. Behind the last record
//! stand zero bytes.

use super::record::Line;
use crate::cipher::lines::LineReader;
use crate::error::{LedgerError, at};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollbook_types::Seq;

/// Space kept free at the end of a segment, for the record that says what could not be recorded.
pub const RESERVE_BYTES: u64 = 4 * 1024;

/// The file name of the segment whose first record is `first`.
pub fn file_name(first: Seq) -> String {
    format!("{first:020}.jsonl")
}

/// The first record's number, if the file name is a segment's.
pub fn first_of(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() == 20).then(|| digits.parse().ok()).flatten()
}

/// Makes a file of `bytes` zero bytes that really has its blocks, and makes it durable.
pub fn preallocate(path: &Path, bytes: u64) -> Result<(), LedgerError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).map_err(at(path))?;
    let allocated = rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes);
    let result = match allocated {
        Ok(()) => Ok(()),
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => fill_with_zeros(&file, bytes),
        Err(error) => Err(std::io::Error::from(error)),
    };
    result.and_then(|()| file.sync_all()).map_err(|error| {
        // A half-made file must not be taken for a segment.
        let _ = std::fs::remove_file(path);
        at(path)(error)
    })
}

fn fill_with_zeros(mut file: &File, bytes: u64) -> std::io::Result<()> {
    let zeros = vec![0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all(&zeros[..part])?;
        left -= part as u64;
    }
    Ok(())
}

/// Calls `block` with the bytes of a file from offset `from` on, piece by piece, each with its offset. What was
/// allocated and never written is left out: it is zeros, and reading it would fill the page cache with
/// large pages, into which each small append then takes three times as long (ext4).
fn read_written(
    file: &File,
    from: u64,
    mut block: impl FnMut(u64, &[u8]) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 256 * 1024];
    let mut at = from;
    while let Some((start, end)) = next_written(file, at)? {
        at = start;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(usize::MAX).min(bytes.len());
            let count = file.read_at(&mut bytes[..left], at)?;
            if count == 0 {
                return Ok(());
            }
            block(at, &bytes[..count])?;
            at += count as u64;
        }
    }
    Ok(())
}

/// The first stretch from `from` on that was ever written, as the file system knows it; one that knows nothing
/// says all of it.
fn next_written(file: &File, from: u64) -> std::io::Result<Option<(u64, u64)>> {
    use rustix::fs::{SeekFrom, seek};
    use rustix::io::Errno;
    match seek(file, SeekFrom::Data(from)) {
        Ok(start) => Ok(Some((start, seek(file, SeekFrom::Hole(start))?))),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
            let size = file.metadata()?.len();
            Ok((from < size).then_some((from, size)))
        }
        Err(error) => Err(error.into()),
    }
}

/// The segment that is being appended to.
#[derive(Debug)]
pub struct Active {
    /// The file.
    pub file: File,
    /// The same file, opened once more for who syncs it meanwhile: an error of the disk is told once
    /// to each opening, and both must know.
    pub for_sync: Arc<File>,
    /// Its path.
    pub path: PathBuf,
    /// Where the next record goes.
    pub offset: u64,
    /// Its size.
    pub size: u64,
}

impl Active {
    /// Opens a segment to append at `offset`; what stands behind it is cleared.
    pub fn open(path: PathBuf, offset: u64) -> Result<Active, LedgerError> {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        let size = file.metadata().map_err(at(&path))?.len();
        let for_sync = Arc::new(OpenOptions::new().write(true).open(&path).map_err(at(&path))?);
        let mut active = Active { file, for_sync, path, offset, size };
        active.clear_tail()?;
        Ok(active)
    }

    /// Opens a segment that was just preallocated and holds nothing yet.
    pub fn fresh(path: PathBuf) -> Result<Active, LedgerError> {
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(at(&path))?;
        let size = file.metadata().map_err(at(&path))?.len();
        let for_sync = Arc::new(OpenOptions::new().write(true).open(&path).map_err(at(&path))?);
        Ok(Active { file, for_sync, path, offset: 0, size })
    }

    /// Whether so many more bytes fit, with the reserve left free or not.
    pub fn has_room(&self, bytes: u64, use_reserve: bool) -> bool {
        let reserve = if use_reserve { 0 } else { RESERVE_BYTES };
        self.offset + bytes + reserve <= self.size
    }

    /// Bytes left, without the reserve.
    pub fn room_bytes(&self) -> u64 {
        self.size.saturating_sub(self.offset + RESERVE_BYTES)
    }

    /// Writes bytes at the end. They survive the process from here on, not yet the power.
    pub fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    fn clear_tail(&mut self) -> Result<(), LedgerError> {
        let mut cleared = false;
        let clear = |position, block: &[u8]| {
            if block.iter().any(|byte| *byte != 0) {
                self.file.write_all_at(&vec![0; block.len()], position)?;
                cleared = true;
            }
            Ok(())
        };
        read_written(&self.file, self.offset, clear).map_err(at(&self.path))?;
        if cleared {
            self.file.sync_data().map_err(at(&self.path))?;
        }
        Ok(())
    }
}

/// A stretch of bytes that is no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// The first byte.
    pub from: u64,
    /// The byte after the last.
    pub to: u64,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        write!(f, "journal {name}: bytes {} to {} are not a valid record", self.from, self.to)
    }
}

/// What a segment holds.
#[derive(Debug)]
pub struct Contents {
    bytes: Vec<u8>,
    path: PathBuf,
}

impl Contents {
    /// Reads what a segment holds into memory: at most the segment's size.
    pub fn read(path: &Path) -> Result<Contents, LedgerError> {
        let file = File::open(path).map_err(at(path))?;
        let mut bytes: Vec<u8> = Vec::new();
        // Zeros are kept only when content follows: those behind the last record are not content.
        let keep = |position, block: &[u8]| {
            if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
                bytes.resize(usize::try_from(position).map_err(std::io::Error::other)?, 0);
                bytes.extend_from_slice(&block[..=last]);
            }
            Ok(())
        };
        read_written(&file, 0, keep).map_err(at(path))?;
        Ok(Contents { bytes, path: path.to_owned() })
    }

    /// Calls `record` for each valid record with the offset behind it, in file order. Returns every
    /// stretch that is no record, and the offset behind the last valid one: a stretch that begins
    /// there is a torn end.
    pub fn walk<E>(
        &self,
        reader: &mut LineReader,
        mut record: impl FnMut(Line<'_>, u64) -> Result<(), E>,
    ) -> Result<(Vec<Damage>, u64), E> {
        let mut damage: Vec<Damage> = Vec::new();
        let mut at = 0;
        let mut valid_end = 0;
        let mut bad_from = None;
        while at < self.bytes.len() {
            let rest = &self.bytes[at..];
            let line_end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
            match reader.read(&rest[..line_end]) {
                Some(line) => {
                    if let Some(from) = bad_from.take() {
                        damage.push(self.damage(from, at));
                    }
                    at = (at + line_end + 1).min(self.bytes.len());
                    valid_end = at as u64;
                    record(line, valid_end)?;
                }
                None => {
                    bad_from.get_or_insert(at);
                    // A lost line end joins two records: look for another start inside the line.
                    let inside = reader.next_start(&rest[..line_end]);
                    at += inside.unwrap_or(line_end + 1);
                }
            }
        }
        if let Some(from) = bad_from {
            damage.push(self.damage(from, self.bytes.len()));
        }
        Ok((damage, valid_end))
    }

    fn damage(&self, from: usize, to: usize) -> Damage {
        Damage { path: self.path.clone(), from: from as u64, to: to as u64 }
    }
}
