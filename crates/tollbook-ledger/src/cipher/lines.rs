//! Lines of records as they stand in a file: plain, or each of them sealed.
//!
//! ```json
//! {"v":2,"s":"nonce, encrypted line and tag as base64"}
//! ```
//!
//! What is inside is the line as it is without encryption, checksum and all. A sealed line holds
//! neither a line end nor a zero byte, so that torn ends and damage look as they do without.

use super::{Cipher, DataKey, random};
use crate::error::{LedgerError, at};
use crate::journal::record::{self, FRAME_BYTES_MAX, Kind, Line};
use data_encoding::BASE64;
use ring::aead::{AES_256_GCM, NONCE_LEN};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use tollbook_types::record::BodyHash;
use tollbook_types::{Digest, Seq};

const START: &[u8; 12] = b"{\"v\":2,\"s\":\"";
const END: &[u8] = b"\"}";
/// The part of a nonce that a writer draws; the rest it counts.
const DRAWN_BYTES: usize = NONCE_LEN - 4;

/// Writes lines.
#[derive(Debug, Default)]
pub struct LineWriter(Option<Sealer>);

#[derive(Debug)]
struct Sealer {
    cipher: Cipher,
    /// Drawn for each opening of a file, so that a number that is given again after a crash is
    /// never sealed under the same nonce.
    drawn: [u8; DRAWN_BYTES],
    count: u32,
    scratch: Vec<u8>,
}

impl LineWriter {
    /// For the file at this path, with the key of its directory if that has one.
    pub fn new(key: Option<&DataKey>, path: &Path) -> Result<LineWriter, LedgerError> {
        let Some(key) = key else { return Ok(LineWriter(None)) };
        let mut drawn = [0; DRAWN_BYTES];
        random(&mut drawn)?;
        let cipher = key.for_file(&name_of(path))?;
        Ok(LineWriter(Some(Sealer { cipher, drawn, count: 0, scratch: Vec::new() })))
    }

    /// The most bytes that a line with a body of this size takes.
    pub fn bytes_max(&self, body: u64) -> u64 {
        let plain = body + FRAME_BYTES_MAX as u64;
        match &self.0 {
            None => plain,
            Some(_) => {
                let sealed = plain + (NONCE_LEN + AES_256_GCM.tag_len()) as u64;
                sealed.div_ceil(3) * 4 + (START.len() + END.len() + 1) as u64
            }
        }
    }

    /// Appends a line, with its line end, to `out`. Returns the record's digest.
    pub fn write(
        &mut self,
        out: &mut Vec<u8>,
        kind: Kind,
        seq: Seq,
        body: &[u8],
        hash: BodyHash,
    ) -> Result<Digest, LedgerError> {
        let Some(sealer) = &mut self.0 else {
            return Ok(record::write_hashed(out, kind, seq, body, hash));
        };
        let nonce = sealer.nonce()?;
        let Sealer { cipher, scratch, .. } = sealer;
        scratch.clear();
        scratch.extend_from_slice(&nonce);
        let digest = record::write_hashed(scratch, kind, seq, body, hash);
        scratch.pop();
        cipher.seal(nonce, scratch, NONCE_LEN)?;
        out.extend_from_slice(START);
        let from = out.len();
        out.resize(from + BASE64.encode_len(scratch.len()), 0);
        BASE64.encode_mut(scratch, &mut out[from..]);
        out.extend_from_slice(END);
        out.push(b'\n');
        Ok(digest)
    }
}

impl Sealer {
    fn nonce(&mut self) -> Result<[u8; NONCE_LEN], LedgerError> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..DRAWN_BYTES].copy_from_slice(&self.drawn);
        nonce[DRAWN_BYTES..].copy_from_slice(&self.count.to_be_bytes());
        self.count = self.count.wrapping_add(1);
        if self.count == 0 {
            random(&mut self.drawn)?;
        }
        Ok(nonce)
    }
}

/// Reads lines.
#[derive(Debug)]
pub struct LineReader {
    cipher: Option<Cipher>,
    scratch: Vec<u8>,
}

impl LineReader {
    /// For the file at this path, with the key of its directory if that has one.
    pub fn new(key: Option<&DataKey>, path: &Path) -> Result<LineReader, LedgerError> {
        let cipher = key.map(|key| key.for_file(&name_of(path))).transpose()?;
        Ok(LineReader { cipher, scratch: Vec::new() })
    }

    /// Reads a line (without its line end). `None` unless every byte is as it was written.
    pub fn read<'a>(&'a mut self, line: &'a [u8]) -> Option<Line<'a>> {
        let Some(cipher) = &self.cipher else { return record::read(line) };
        let text = line.strip_prefix(START.as_slice())?.strip_suffix(END)?;
        self.scratch.resize(BASE64.decode_len(text.len()).ok()?, 0);
        let bytes = BASE64.decode_mut(text, &mut self.scratch).ok()?;
        let (nonce, sealed) = self.scratch.get_mut(..bytes)?.split_first_chunk_mut::<NONCE_LEN>()?;
        record::read(cipher.open(*nonce, sealed)?)
    }

    /// Where, after the first byte, a line could begin: reading goes on there after damage.
    pub fn next_start(&self, bytes: &[u8]) -> Option<usize> {
        record::next_start(bytes, if self.cipher.is_some() { START } else { record::START })
    }
}

/// Whether a file begins with a sealed line.
pub fn is_sealed(path: &Path) -> Result<bool, LedgerError> {
    let mut start = [0; START.len()];
    match File::open(path).and_then(|mut file| file.read_exact(&mut start)) {
        Ok(()) => Ok(start == *START),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(at(path)(error)),
    }
}

/// A file is known by its name alone: its directory may be moved.
fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_line_reads_back_and_tells_nothing() {
        let key = DataKey::random().unwrap();
        let path = Path::new("dir/1.jsonl");
        let mut writer = LineWriter::new(Some(&key), path).unwrap();
        for bytes in [0, 1, 2, 3, 100, 10_000] {
            let body = format!("\"{}\"", "a".repeat(bytes));
            let write = |writer: &mut LineWriter| {
                let (mut out, hash) = (Vec::new(), BodyHash::of(body.as_bytes()));
                writer.write(&mut out, Kind::Gap, 7, body.as_bytes(), hash).unwrap();
                out
            };
            let (one, two) = (write(&mut writer), write(&mut writer));
            assert_ne!(one, two, "no two lines are alike, even of the same record");
            assert!(one.len() as u64 <= writer.bytes_max(body.len() as u64), "{} bytes", one.len());
            assert!(one.ends_with(b"\n") && !one[..one.len() - 1].iter().any(|b| *b == b'\n' || *b == 0));
            let line = &one[..one.len() - 1];
            let mut plain = Vec::new();
            record::write_hashed(&mut plain, Kind::Gap, 7, body.as_bytes(), BodyHash::of(body.as_bytes()));
            // Eight bytes at a time: fewer could come up in the sealed text by chance.
            let told = plain.windows(8).find(|part| memchr::memmem::find(line, part).is_some());
            assert_eq!(told, None, "no part of what was sealed shows");
            let read = |key: Option<&DataKey>, path: &str, line: &[u8]| {
                let mut reader = LineReader::new(key, Path::new(path)).unwrap();
                reader.read(line).map(|line| (line.seq, line.body.to_vec()))
            };
            let whole = Some((7, body.clone().into_bytes()));
            assert_eq!(read(Some(&key), "elsewhere/1.jsonl", line), whole, "the directory may be moved");
            assert_eq!(read(Some(&key), "dir/2.jsonl", line), None, "not to another file");
            assert_eq!(read(Some(&DataKey::random().unwrap()), "dir/1.jsonl", line), None);
            assert_eq!(read(None, "dir/1.jsonl", line), None);
        }
    }

    #[test]
    fn any_flipped_bit_shows() {
        let key = DataKey::random().unwrap();
        let path = Path::new("1.jsonl");
        let mut line = Vec::new();
        let mut writer = LineWriter::new(Some(&key), path).unwrap();
        writer.write(&mut line, Kind::Gap, 7, b"{}", BodyHash::of(b"{}")).unwrap();
        line.pop();
        let mut reader = LineReader::new(Some(&key), path).unwrap();
        assert!(reader.read(&line).is_some());
        for bit in 0..line.len() * 8 {
            let mut damaged = line.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(reader.read(&damaged), None, "bit {bit}");
        }
    }
}
