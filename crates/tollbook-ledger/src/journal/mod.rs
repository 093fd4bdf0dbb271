//! The journal: segments of checksummed JSON Lines, written before anything else is.
//!
//! Numbers only go up. A record that fails its checksum is skipped and reported; it never hides the
//! valid ones behind it. One spare segment is always preallocated, so that recording goes on for a
//! while on a disk that has filled up. The journal must never know what a record means.

pub mod record;
pub mod segment;

use crate::cipher::DataKey;
use crate::cipher::lines::{LineReader, LineWriter};
use crate::error::{LedgerError, at};
use record::{Kind, Line, SegmentHead};
use segment::{Active, Contents, Damage};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollbook_types::record::BodyHash;
use tollbook_types::{Digest, Seq, Timestamp, limits};

/// What a buffer for staged records keeps of its size once they are written.
const STAGED_BYTES_KEPT: usize = 512 * 1024;

/// Where a journal is, and the key that opens it if it has one.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
    key: Option<DataKey>,
}

impl Place {
    /// The journal in a directory.
    pub fn new(dir: impl Into<PathBuf>, key: Option<DataKey>) -> Place {
        Place { dir: dir.into(), key }
    }

    fn reader(&self, path: &Path) -> Result<LineReader, LedgerError> {
        LineReader::new(self.key.as_ref(), path)
    }
}

impl AsRef<Path> for Place {
    fn as_ref(&self) -> &Path {
        &self.dir
    }
}

/// What was found when a journal was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// The oldest record's number, if there is any record.
    pub first: Option<Seq>,
    /// The newest record's number.
    pub last: Option<Seq>,
    /// The ledger that the segments belong to.
    pub ledger: Option<String>,
    /// Stretches that are no records, the torn end of the newest segment excepted.
    pub damage: Vec<Damage>,
    /// Where the newest segment's last valid record ends.
    pub newest_end: u64,
    /// Bytes of an unfinished write at the very end, which nobody was told of.
    pub torn_bytes: u64,
    /// Numbers that should be there and are not, as inclusive ranges.
    pub missing: Vec<(Seq, Seq)>,
    /// Ranges that an earlier start already found lost, and only the store has.
    pub known_lost: Vec<(Seq, Seq)>,
    /// Ranges that an earlier start found torn before the store had them. Not among `missing`.
    pub holes: Vec<(Seq, Seq)>,
}

/// An appendable journal. Appends must be serialised by its owner.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    key: Option<DataKey>,
    /// Writes the lines of the open segment.
    lines: LineWriter,
    ledger: String,
    segment_bytes: u64,
    active: Option<Active>,
    next: Seq,
    /// Lines that have numbers and are not written yet.
    staged: Vec<u8>,
    /// The number of the first of them.
    unwritten: Seq,
    has_spare: bool,
    /// When there was no room for another segment.
    full_at: Option<Instant>,
}

/// How long the disk is not asked again for a segment after it had no room: each time costs much.
const FULL_RETRY: Duration = Duration::from_secs(1);

impl Journal {
    /// Opens the journal in `place` to append after everything that is there and after `applied`,
    /// the store's position. Valid records are kept; only bytes behind the last one are cleared.
    pub fn open(
        place: &Place,
        ledger: &str,
        segment_bytes: u64,
        survey: &Survey,
        applied: Seq,
        now: Timestamp,
    ) -> Result<Journal, LedgerError> {
        let dir = &place.dir;
        std::fs::create_dir_all(dir).map_err(at(dir))?;
        let longest = LineWriter::new(place.key.as_ref(), dir)?.bytes_max(limits::RECORD_BYTES_MAX as u64);
        let segment_bytes = segment_bytes.max(2 * segment::RESERVE_BYTES + longest);
        let next = survey.last.unwrap_or(0).max(applied) + 1;
        let mut journal = Journal {
            dir: dir.to_owned(),
            key: place.key.clone(),
            lines: LineWriter::default(),
            ledger: ledger.to_owned(),
            segment_bytes,
            active: None,
            next,
            staged: Vec::new(),
            unwritten: next,
            has_spare: false,
            full_at: None,
        };
        let store_is_ahead = survey.last.is_some_and(|last| last < applied);
        // What the store had was synced before. Behind it, the power may have taken some records of
        // a group and left later ones: that is said once, in the head of a new segment.
        let holes: Vec<(Seq, Seq)> =
            survey.missing.iter().filter(|(from, _)| *from > applied).copied().collect();
        let newest = segments(dir)?.pop();
        match newest {
            Some((_, path)) if !store_is_ahead && holes.is_empty() => {
                if survey.newest_end == 0 {
                    // Not even its head is there: begin it again.
                    std::fs::remove_file(&path).map_err(at(&path))?;
                } else {
                    journal.lines = LineWriter::new(place.key.as_ref(), &path)?;
                    journal.active = Some(Active::open(path, survey.newest_end)?);
                }
            }
            _ => {}
        }
        let lost_from = store_is_ahead.then(|| survey.last.unwrap_or(0) + 1);
        if journal.active.is_none() {
            journal.begin_segment(now, lost_from, holes)?;
        }
        journal.keep_a_spare();
        Ok(journal)
    }

    /// The number that the next record will get.
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Bytes for records that are left in the open segment.
    pub fn room_bytes(&self) -> u64 {
        self.active.as_ref().map_or(0, Active::room_bytes)
    }

    /// Whether a whole further segment is preallocated.
    pub fn has_spare(&self) -> bool {
        self.has_spare
    }

    /// Gives a record its number and its digest and puts it behind those that wait for
    /// [`Journal::commit`]. Where another segment is begun for it, those are written first.
    pub fn stage(
        &mut self,
        kind: Kind,
        body: &[u8],
        hash: BodyHash,
        now: Timestamp,
    ) -> Result<(Seq, Digest), LedgerError> {
        if body.len() > limits::RECORD_BYTES_MAX {
            return Err(LedgerError::TooLarge { bytes: body.len(), max: limits::RECORD_BYTES_MAX });
        }
        self.make_room(body.len() as u64, kind == Kind::Gap, now)?;
        let seq = self.next;
        let digest = self.lines.write(&mut self.staged, kind, seq, body, hash)?;
        self.next = seq + 1;
        Ok((seq, digest))
    }

    /// Sees to it that a body of so many bytes fits behind what is staged, in another segment if need
    /// be. Room is kept at the end of each segment for the record that says what could not be recorded.
    pub fn make_room(&mut self, bytes: u64, use_reserve: bool, now: Timestamp) -> Result<(), LedgerError> {
        let needed = self.staged.len() as u64 + self.lines.bytes_max(bytes);
        if self.active.as_ref().is_some_and(|active| active.has_room(needed, use_reserve)) {
            return Ok(());
        }
        self.commit()?;
        if self.full_at.is_some_and(|at| at.elapsed() < FULL_RETRY) {
            return Err(LedgerError::JournalFull(self.dir.clone()));
        }
        let begun = self.begin_segment(now, None, Vec::new());
        let is_full = matches!(begun, Err(LedgerError::JournalFull(_)));
        self.full_at = is_full.then(Instant::now);
        begun
    }

    /// Writes what is staged, in one write. On return it survives the end of the process; if it
    /// fails, nothing of it is recorded.
    pub fn commit(&mut self) -> Result<(), LedgerError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let Some(active) = self.active.as_mut() else {
            return Err(LedgerError::JournalFull(self.dir.clone()));
        };
        active.append(&self.staged).map_err(|error| match is_full(&error) {
            true => LedgerError::JournalFull(self.dir.clone()),
            false => LedgerError::Fatal(error.to_string()),
        })?;
        self.staged.clear();
        self.staged.shrink_to(STAGED_BYTES_KEPT);
        self.unwritten = self.next;
        Ok(())
    }

    /// Forgets what is staged, whose numbers go to others.
    pub fn unstage(&mut self) {
        self.staged.clear();
        self.next = self.unwritten;
    }

    /// Begins another segment, unless the open one has no record yet.
    pub fn rotate(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        self.commit()?;
        let fresh = self.dir.join(segment::file_name(self.next));
        if self.active.as_ref().is_some_and(|active| active.path == fresh) {
            return Ok(());
        }
        self.begin_segment(now, None, Vec::new())
    }

    /// A handle whose `sync_data` makes everything appended so far durable, without holding the journal.
    pub fn sync_handle(&self) -> Result<Arc<std::fs::File>, LedgerError> {
        match &self.active {
            Some(active) => Ok(active.for_sync.clone()),
            None => Err(LedgerError::JournalFull(self.dir.clone())),
        }
    }

    /// Closed segments, oldest first: number of the first record, number of the last, path.
    pub fn closed(&self) -> Result<Vec<(Seq, Seq, PathBuf)>, LedgerError> {
        let all = segments(&self.dir)?;
        let follow = all.iter().skip(1).map(|(first, _)| *first);
        Ok(all.iter().zip(follow).map(|((first, path), next)| (*first, next - 1, path.clone())).collect())
    }

    fn begin_segment(
        &mut self,
        now: Timestamp,
        lost_from: Option<Seq>,
        holes: Vec<(Seq, Seq)>,
    ) -> Result<(), LedgerError> {
        if let Some(active) = &self.active {
            // What is in the old segment must not be overtaken by the new one.
            active.file.sync_data().map_err(|error| LedgerError::Fatal(error.to_string()))?;
        }
        let path = self.dir.join(segment::file_name(self.next));
        let spare = self.spare();
        if !spare.exists() {
            segment::preallocate(&spare, self.segment_bytes).map_err(|error| match error {
                LedgerError::Io { source, .. } if is_full(&source) => {
                    LedgerError::JournalFull(self.dir.clone())
                }
                other => other,
            })?;
        }
        std::fs::rename(&spare, &path).map_err(at(&path))?;
        self.has_spare = false;
        sync_dir(&self.dir)?;
        let mut active = Active::fresh(path.clone())?;
        let head = SegmentHead { ledger: self.ledger.clone(), created_at: now, lost_from, holes };
        let body = serde_json::to_vec(&head).map_err(|error| LedgerError::Invalid(error.to_string()))?;
        let mut line = Vec::new();
        let mut lines = LineWriter::new(self.key.as_ref(), &path)?;
        lines.write(&mut line, Kind::Segment, self.next, &body, BodyHash::of(&body))?;
        active.append(&line).map_err(at(&path))?;
        active.file.sync_data().map_err(|error| LedgerError::Fatal(error.to_string()))?;
        self.active = Some(active);
        self.lines = lines;
        self.keep_a_spare();
        Ok(())
    }

    /// Makes the spare if it is not there. Failing is no error yet: it is tried again at each change
    /// of segment, and only then decides.
    fn keep_a_spare(&mut self) {
        let spare = self.spare();
        let is_there = std::fs::metadata(&spare).is_ok_and(|found| found.len() == self.segment_bytes);
        let unfinished = self.dir.join("spare.unfinished");
        self.has_spare = is_there
            || (segment::preallocate(&unfinished, self.segment_bytes).is_ok()
                && std::fs::rename(&unfinished, &spare).is_ok());
    }

    fn spare(&self) -> PathBuf {
        self.dir.join("spare")
    }
}

/// The segments in a directory, oldest first. A directory that is not there has none.
pub fn segments(dir: impl AsRef<Path>) -> Result<Vec<(Seq, PathBuf)>, LedgerError> {
    let dir = dir.as_ref();
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(at(dir))?;
        if let Some(first) = entry.file_name().to_str().and_then(segment::first_of) {
            found.push((first, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Reads all records, in order, and says what the whole journal looks like.
pub fn read<E: From<LedgerError>>(
    place: &Place,
    each: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<Survey, E> {
    read_segments(place, &segments(place)?, each)
}

/// Reads the records from number `from` on, in order, and only the segments that can have any (the
/// newest one always). What is said of the journal is true of those; `first` is the oldest of all.
pub fn read_tail<E: From<LedgerError>>(
    place: &Place,
    from: Seq,
    mut each: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<Survey, E> {
    let all = segments(place)?;
    let oldest = all.first().map(|(first, _)| *first);
    let skipped = all.iter().skip(1).take_while(|(first, _)| *first <= from).count();
    let mut survey =
        read_segments(place, &all[skipped..], |line| if line.seq >= from { each(line) } else { Ok(()) })?;
    if skipped > 0 {
        survey.first = oldest;
    }
    Ok(survey)
}

fn read_segments<E: From<LedgerError>>(
    place: &Place,
    segments: &[(Seq, PathBuf)],
    mut each: impl FnMut(Line<'_>) -> Result<(), E>,
) -> Result<Survey, E> {
    let mut survey = Survey::default();
    let Some((oldest, _)) = segments.first() else { return Ok(survey) };
    // The number that comes next if nothing is missing.
    let mut next = *oldest;
    for (index, (_, path)) in segments.iter().enumerate() {
        let contents = Contents::read(path)?;
        let mut head_seen = false;
        let (mut damage, end) = contents.walk(&mut place.reader(path)?, |line, _| {
            if line.kind == Kind::Segment {
                head_seen = true;
                return note_head(&mut survey, &mut next, line).map_err(E::from);
            }
            if next < line.seq {
                survey.missing.push((next, line.seq - 1));
            }
            next = next.max(line.seq + 1);
            each(line)
        })?;
        survey.newest_end = end;
        if index + 1 == segments.len()
            && let Some(tail) = damage.pop_if(|last| last.from >= end)
        {
            survey.torn_bytes = tail.to - tail.from;
        }
        if !head_seen && end > 0 {
            damage.insert(0, Damage { path: path.clone(), from: 0, to: 0 });
        }
        damage.dedup();
        survey.damage.append(&mut damage);
    }
    let Survey { missing, holes, .. } = &mut survey;
    missing.retain(|range| !holes.contains(range));
    survey.last = (next > 1).then(|| next - 1);
    survey.first = survey.last.map(|_| *oldest);
    Ok(survey)
}

fn note_head(survey: &mut Survey, next: &mut Seq, line: Line<'_>) -> Result<(), LedgerError> {
    let head: SegmentHead =
        serde_json::from_slice(line.body).map_err(|error| LedgerError::Invalid(error.to_string()))?;
    if let Some(lost_from) = head.lost_from {
        survey.known_lost.push((lost_from, line.seq - 1));
    } else if *next < line.seq {
        survey.missing.push((*next, line.seq - 1));
    }
    survey.holes.extend(head.holes);
    *next = line.seq.max(*next);
    match &survey.ledger {
        Some(known) if *known != head.ledger => {
            Err(LedgerError::Foreign { journal: head.ledger, store: known.clone() })
        }
        _ => {
            survey.ledger = Some(head.ledger);
            Ok(())
        }
    }
}

/// The number of the newest valid record, read from the end of the newest segment without reading
/// the rest. `None` when nothing can be said that cheaply; then [`read`] says it.
pub fn newest(place: &Place) -> Result<Option<Seq>, LedgerError> {
    let Some((_, path)) = segments(place)?.pop() else { return Ok(None) };
    let file = std::fs::File::open(&path).map_err(at(&path))?;
    let size = file.metadata().map_err(at(&path))?.len();
    let is_zero = |block: u64| -> Result<bool, LedgerError> {
        let mut bytes = vec![0; TAIL_BLOCK];
        let count = file.read_at(&mut bytes, block * TAIL_BLOCK as u64).map_err(at(&path))?;
        Ok(bytes[..count].iter().all(|byte| *byte == 0))
    };
    // Records never hold a zero byte, so the blocks are content first and zeros after.
    let (mut low, mut high) = (0, size.div_ceil(TAIL_BLOCK as u64));
    while low < high {
        let middle = low + (high - low) / 2;
        if is_zero(middle)? { high = middle } else { low = middle + 1 }
    }
    let end = low * TAIL_BLOCK as u64;
    let from = end.saturating_sub(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(end - from).unwrap_or(0)];
    let count = file.read_at(&mut bytes, from).map_err(at(&path))?;
    bytes.truncate(count);
    let mut reader = place.reader(&path)?;
    let mut lines = bytes.split(|byte| *byte == b'\n').rev();
    Ok(lines
        .find_map(|line| reader.read(line).filter(|line| line.kind != Kind::Segment).map(|line| line.seq)))
}

/// What [`newest`] reads at once to find the end of the content.
const TAIL_BLOCK: usize = 4 * 1024;
/// What [`newest`] looks for the last record in.
const TAIL_BYTES: u64 = 256 * 1024;

/// Makes a directory's names durable.
pub fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    std::fs::File::open(dir).and_then(|handle| handle.sync_all()).map_err(at(dir))
}

/// Whether an I/O error says that there is no room.
pub fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    /// Runs a test with a journal as it is and with one that is sealed.
    fn both(test: impl Fn(&Place)) {
        for key in [None, Some(DataKey::random().unwrap())] {
            let dir = TempDir::new().unwrap();
            test(&Place::new(dir.path(), key));
        }
    }

    fn look(place: &Place) -> Survey {
        read(place, |_| Ok::<(), LedgerError>(())).unwrap()
    }

    fn append(journal: &mut Journal, body: &[u8]) -> Seq {
        let (seq, _) = journal.stage(Kind::Gap, body, BodyHash::of(body), now()).unwrap();
        journal.commit().unwrap();
        seq
    }

    fn journal_of(place: &Place, records: u64) {
        let mut journal = Journal::open(place, "l", 1, &look(place), 0, now()).unwrap();
        for n in 0..records {
            append(&mut journal, format!("{{\"n\":\"{n}{}\"}}", "x".repeat(40_000)).as_bytes());
        }
    }

    #[test]
    fn numbers_go_on_over_segments_and_starts() {
        both(|place| {
            assert_eq!(look(place), Survey::default());
            for start in 0..3 {
                journal_of(place, 40);
                let survey = look(place);
                assert_eq!((survey.first, survey.last), (Some(1), Some(40 * (start + 1))));
                assert_eq!((&survey.missing[..], &survey.damage[..]), (&[][..], &[][..]));
                assert_eq!(newest(place).unwrap(), survey.last);
            }
            assert!(segments(place).unwrap().len() > 3);
            let mut seen = Vec::new();
            let tail = read_tail(place, 100, |line| {
                seen.push(line.seq);
                Ok::<(), LedgerError>(())
            });
            assert_eq!(seen, (100..=120).collect::<Vec<_>>());
            assert_eq!((tail.unwrap().first, seen.len()), (Some(1), 21));
        });
    }

    #[test]
    fn what_is_not_committed_is_not_there_and_its_numbers_go_to_others() {
        both(|place| {
            let mut journal = Journal::open(place, "l", 1, &look(place), 0, now()).unwrap();
            let stage = |journal: &mut Journal, body: &[u8]| {
                journal.stage(Kind::Gap, body, BodyHash::of(body), now()).unwrap().0
            };
            assert_eq!((stage(&mut journal, b"{}"), stage(&mut journal, b"[]")), (1, 2));
            assert_eq!(look(place).last, None);
            journal.commit().unwrap();
            assert_eq!((stage(&mut journal, b"{}"), journal.next()), (3, 4));
            journal.unstage();
            assert_eq!((journal.next(), look(place).last), (3, Some(2)));
            // A change of segment writes what is staged before it.
            let large = format!("\"{}\"", "x".repeat(600_000));
            assert_eq!(
                (stage(&mut journal, large.as_bytes()), stage(&mut journal, large.as_bytes())),
                (3, 4)
            );
            assert_eq!(look(place).last, Some(3));
            journal.unstage();
            assert_eq!(append(&mut journal, b"{}"), 4);
            let survey = look(place);
            assert_eq!((survey.last, survey.missing, survey.damage), (Some(4), vec![], vec![]));
        });
    }

    #[test]
    fn a_damaged_record_hides_none_behind_it_and_is_named() {
        both(|place| {
            journal_of(place, 5);
            let path = segments(place).unwrap().remove(0).1;
            let good = std::fs::read(&path).unwrap();
            let ends: Vec<usize> = memchr::memchr_iter(b'\n', &good).collect();
            // Inside record 2, at the end of record 2, and the head itself.
            for (at, missing) in [(ends[1] + 100, vec![(2, 2)]), (ends[2], vec![(2, 2)]), (10, vec![])] {
                let mut damaged = good.clone();
                damaged[at] ^= 4;
                std::fs::write(&path, &damaged).unwrap();
                let survey = look(place);
                assert_eq!(survey.last, Some(5), "at {at}");
                assert_eq!(survey.missing, missing, "at {at}");
                assert!(!survey.damage.is_empty(), "at {at}");
            }
        });
    }

    #[test]
    fn only_bytes_behind_the_last_valid_record_are_cut() {
        both(|place| {
            journal_of(place, 3);
            let path = segments(place).unwrap().remove(0).1;
            let mut torn = std::fs::read(&path).unwrap();
            let end = memchr::memrchr(b'\n', &torn).unwrap();
            torn[end + 1..end + 11].copy_from_slice(b"{\"v\":1,\"se");
            std::fs::write(&path, &torn).unwrap();
            assert_eq!((look(place).torn_bytes, look(place).last), (10, Some(3)));
            journal_of(place, 1);
            let survey = look(place);
            assert_eq!((survey.torn_bytes, survey.last, survey.damage.len()), (0, Some(4), 0));
        });
    }

    #[test]
    fn a_record_torn_before_the_store_had_it_is_no_lasting_problem() {
        both(|place| {
            journal_of(place, 5);
            let path = segments(place).unwrap().remove(0).1;
            let mut bytes = std::fs::read(&path).unwrap();
            let third = memchr::memchr_iter(b'\n', &bytes).nth(2).unwrap();
            bytes[third + 100] ^= 4;
            std::fs::write(&path, &bytes).unwrap();
            for (applied, missing, holes) in
                [(5, vec![(3, 3)], vec![]), (3, vec![(3, 3)], vec![]), (2, vec![], vec![(3, 3)])]
            {
                Journal::open(place, "l", 1, &look(place), applied, now()).unwrap();
                let survey = look(place);
                assert_eq!((survey.missing, survey.holes, survey.last), (missing, holes, Some(5)));
            }
        });
    }

    #[test]
    fn a_store_that_is_ahead_is_passed_and_noted() {
        both(|place| {
            journal_of(place, 3);
            let mut journal = Journal::open(place, "l", 1, &look(place), 10, now()).unwrap();
            assert_eq!(append(&mut journal, b"{}"), 11);
            drop(journal);
            let survey = look(place);
            assert_eq!((survey.known_lost, survey.missing, survey.last), (vec![(4, 10)], vec![], Some(11)));
        });
    }
}
