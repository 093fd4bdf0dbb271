//! Content codings undone aside, so that an answer can be metered while its bytes pass as they are.
//!
//! Memory is bounded by the codings' own windows, work by a ratio. What comes out is only for
//! reading: this must never change what is forwarded.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, Operation};

/// Decoded bytes of one answer.
pub const DECODED_BYTES_MAX: u64 = 1 << 30;
/// Decoded bytes for each encoded one, once [`RATIO_FREE_BYTES`] have come out.
pub const RATIO_MAX: u64 = 500;
/// Decoded bytes that no ratio is asked of.
pub const RATIO_FREE_BYTES: u64 = 1 << 20;
/// Zstandard's window as HTTP allows it: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// What is handed on at once.
const PIECE_BYTES: usize = 8 * 1024;

/// Why an answer cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It is not what its content coding says.
    #[error("the encoded body is damaged")]
    Corrupt,
    /// It grows beyond its bounds.
    #[error("the encoded body grows too much")]
    TooLarge,
    /// It ended before its end.
    #[error("the encoded body is cut")]
    Cut,
}

/// Undoes one content coding, in any chunking.
pub struct Decoder {
    coding: Coding,
    encoded: u64,
    decoded: u64,
    failed: Option<DecodeError>,
}

enum Coding {
    Identity,
    Gzip(Member),
    /// `deflate`, which some send with zlib's frame and some without: two bytes tell.
    Deflate(Option<u8>),
    Inflate(Box<Decompress>),
    Brotli(Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>),
    Zstd {
        decoder: ZstdDecoder<'static>,
        between_frames: bool,
    },
    /// The body has ended; what follows is not read.
    Done,
}

/// Where in a series of gzip members a body is.
enum Member {
    Inside(Box<Decompress>),
    /// A member has ended; another may begin.
    After,
}

/// What one step of a decoder did.
struct Step {
    read: usize,
    written: usize,
    /// A member, frame or the body ended.
    ended: bool,
}

impl Decoder {
    /// A decoder for a `content-encoding`; `None` for what is not known and for several codings.
    pub fn for_encoding(content_encoding: &str) -> Option<Decoder> {
        let coding = match content_encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Coding::Identity,
            "gzip" | "x-gzip" => Coding::Gzip(Member::After),
            "deflate" => Coding::Deflate(None),
            "br" => Coding::Brotli(Box::new(BrotliState::new_strict(
                StandardAlloc::default(),
                StandardAlloc::default(),
                StandardAlloc::default(),
            ))),
            "zstd" => {
                let mut decoder = ZstdDecoder::new().ok()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX)).ok()?;
                Coding::Zstd { decoder, between_frames: true }
            }
            _ => return None,
        };
        Some(Decoder { coding, encoded: 0, decoded: 0, failed: None })
    }

    /// Takes encoded bytes and hands on what they decode to, in pieces. After an error nothing
    /// more comes out.
    pub fn push(&mut self, bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.encoded = self.encoded.saturating_add(bytes.len() as u64);
        let done = self.decode(bytes, out);
        self.failed = done.err();
        done
    }

    /// Ends the body: whether it was whole.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let whole = match &self.coding {
            Coding::Identity | Coding::Done | Coding::Gzip(Member::After) => true,
            Coding::Zstd { between_frames, .. } => *between_frames,
            // A body that never began, such as that of a 204, is whole.
            _ => self.encoded == 0,
        };
        if whole { Ok(()) } else { Err(DecodeError::Cut) }
    }

    fn decode(&mut self, mut bytes: &[u8], out: &mut dyn FnMut(&[u8])) -> Result<(), DecodeError> {
        if matches!(self.coding, Coding::Identity) {
            self.count(bytes.len())?;
            out(bytes);
            return Ok(());
        }
        let mut piece = [0_u8; PIECE_BYTES];
        loop {
            if !self.begin(&mut bytes, out)? {
                return Ok(());
            }
            let step = self.step(bytes, &mut piece)?;
            bytes = &bytes[step.read..];
            if step.written > 0 {
                self.count(step.written)?;
                out(&piece[..step.written]);
            }
            if step.ended {
                self.end();
            } else if step.written < PIECE_BYTES && (bytes.is_empty() || step.read + step.written == 0) {
                // Everything was taken, and nothing waits to come out.
                return if bytes.is_empty() { Ok(()) } else { Err(DecodeError::Corrupt) };
            }
        }
    }

    fn count(&mut self, written: usize) -> Result<(), DecodeError> {
        self.decoded = self.decoded.saturating_add(written as u64);
        let allowed = self.encoded.saturating_mul(RATIO_MAX).saturating_add(RATIO_FREE_BYTES);
        if matches!(self.coding, Coding::Identity) || self.decoded <= allowed.min(DECODED_BYTES_MAX) {
            return Ok(());
        }
        Err(DecodeError::TooLarge)
    }

    /// Begins a member or a kind of deflate, if one is to begin; false when there is nothing to do.
    fn begin(&mut self, bytes: &mut &[u8], out: &mut dyn FnMut(&[u8])) -> Result<bool, DecodeError> {
        match &mut self.coding {
            Coding::Done => Ok(false),
            Coding::Gzip(Member::After) => {
                let (Some(first), started) = (bytes.first(), self.decoded > 0) else { return Ok(false) };
                match first {
                    0x1f => self.coding = Coding::Gzip(Member::Inside(Box::new(Decompress::new_gzip(15)))),
                    // Some fill up the end with zeros or worse, which everybody passes over.
                    _ if started => self.coding = Coding::Done,
                    _ => return Err(DecodeError::Corrupt),
                }
                self.begin(bytes, out)
            }
            Coding::Deflate(first) => {
                let Some((&byte, rest)) = bytes.split_first() else { return Ok(false) };
                let Some(held) = *first else {
                    *first = Some(byte);
                    *bytes = rest;
                    return self.begin(bytes, out);
                };
                let zlib = held & 0x0f == 8 && (u16::from(held) << 8 | u16::from(byte)) % 31 == 0;
                self.coding = Coding::Inflate(Box::new(Decompress::new(zlib)));
                self.decode(&[held], out)?;
                Ok(true)
            }
            Coding::Zstd { between_frames, .. } if *between_frames => {
                *between_frames = bytes.is_empty();
                Ok(!bytes.is_empty())
            }
            _ => Ok(true),
        }
    }

    fn step(&mut self, bytes: &[u8], piece: &mut [u8]) -> Result<Step, DecodeError> {
        match &mut self.coding {
            Coding::Gzip(Member::Inside(inflate)) | Coding::Inflate(inflate) => {
                let (read, written) = (inflate.total_in(), inflate.total_out());
                let status = inflate.decompress(bytes, piece, FlushDecompress::None);
                let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or_default();
                Ok(Step {
                    ended: status.map_err(|_| DecodeError::Corrupt)? == Status::StreamEnd,
                    read: moved(inflate.total_in(), read),
                    written: moved(inflate.total_out(), written),
                })
            }
            Coding::Brotli(state) => {
                let (mut left, mut read) = (bytes.len(), 0);
                let (mut room, mut written, mut total) = (piece.len(), 0, 0);
                let result = BrotliDecompressStream(
                    &mut left,
                    &mut read,
                    bytes,
                    &mut room,
                    &mut written,
                    piece,
                    &mut total,
                    state,
                );
                match result {
                    BrotliResult::ResultFailure => Err(DecodeError::Corrupt),
                    result => {
                        Ok(Step { read, written, ended: matches!(result, BrotliResult::ResultSuccess) })
                    }
                }
            }
            Coding::Zstd { decoder, .. } => {
                let status = decoder.run_on_buffers(bytes, piece).map_err(|_| DecodeError::Corrupt)?;
                let (read, written) = (status.bytes_read, status.bytes_written);
                Ok(Step { read, written, ended: status.remaining == 0 })
            }
            Coding::Identity | Coding::Deflate(_) | Coding::Gzip(Member::After) | Coding::Done => {
                Ok(Step { read: bytes.len(), written: 0, ended: false })
            }
        }
    }

    fn end(&mut self) {
        match &mut self.coding {
            Coding::Gzip(member) => *member = Member::After,
            Coding::Zstd { between_frames, .. } => *between_frames = true,
            coding => *coding = Coding::Done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn raw(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 3).unwrap()
    }

    /// One uncompressed brotli block and an empty last one, written by the format's description.
    fn brotli(bytes: &[u8]) -> Vec<u8> {
        assert!((1..=65_536).contains(&bytes.len()));
        // Window 2^16: one bit 0. Then not last (0), four nibbles (00), length - 1, uncompressed (1).
        let head = ((bytes.len() as u32 - 1) << 4) | 1 << 20;
        let mut encoded = head.to_le_bytes()[..3].to_vec();
        encoded.extend_from_slice(bytes);
        encoded.push(0b11);
        encoded
    }

    fn decode(encoding: &str, encoded: &[u8], step: usize) -> (Vec<u8>, Result<(), DecodeError>) {
        let mut decoder = Decoder::for_encoding(encoding).unwrap();
        let mut out = Vec::new();
        for piece in encoded.chunks(step) {
            if let Err(error) = decoder.push(piece, &mut |bytes| out.extend_from_slice(bytes)) {
                return (out, Err(error));
            }
        }
        let end = decoder.finish();
        (out, end)
    }

    fn check(encoding: &str, encoded: &[u8], plain: &[u8], end: Result<(), DecodeError>) {
        for step in [encoded.len().max(1), 1, 2, 7, 1_000] {
            let (out, found) = decode(encoding, encoded, step);
            assert_eq!(found, end, "{encoding} by {step}");
            assert!(out == plain, "{encoding} by {step}: {} for {} bytes", out.len(), plain.len());
        }
    }

    fn text() -> Vec<u8> {
        let mut text = Vec::new();
        for n in 0..700 {
            writeln!(text, "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n", n * n).unwrap();
        }
        text
    }

    #[test]
    fn whole_and_in_pieces_each_coding_gives_the_same() {
        let plain = text();
        let members = [gzip(&plain[..100]), gzip(b""), gzip(&plain[100..])].concat();
        let frames = [zstd(&plain[..9_000]), zstd(&plain[9_000..])].concat();
        let cases: &[(&str, Vec<u8>)] = &[
            ("identity", plain.clone()),
            ("", plain.clone()),
            ("gzip", gzip(&plain)),
            (" X-Gzip ", gzip(&plain)),
            ("gzip", members.clone()),
            ("gzip", [members, vec![0; 99]].concat()),
            ("deflate", zlib(&plain)),
            ("deflate", raw(&plain)),
            ("br", brotli(&plain)),
            ("zstd", zstd(&plain)),
            ("zstd", frames),
        ];
        for (encoding, encoded) in cases {
            check(encoding, encoded, &plain, Ok(()));
        }
        for encoding in ["gzip", "deflate", "br", "zstd", "identity"] {
            check(encoding, b"", b"", Ok(()));
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        for encoding in ["gzip, br", "gzip,gzip", "compress", "aws-chunked", "gzip;q=1", "identity, gzip"] {
            assert!(Decoder::for_encoding(encoding).is_none(), "{encoding}");
        }
    }

    #[test]
    fn a_cut_body_gives_what_came() {
        let plain = text();
        for (encoding, encoded) in [
            ("gzip", gzip(&plain)),
            ("deflate", zlib(&plain)),
            ("br", brotli(&plain)),
            ("zstd", zstd(&plain)),
        ] {
            let (out, end) = decode(encoding, &encoded[..encoded.len() - 6], 11);
            assert_eq!(end, Err(DecodeError::Cut), "{encoding}");
            assert!(plain.starts_with(&out), "{encoding}");
        }
        let (out, end) = decode("deflate", &zlib(b"x")[..1], 1);
        assert_eq!((out.len(), end), (0, Err(DecodeError::Cut)));
    }

    #[test]
    fn a_damaged_body_is_an_error_and_stays_one() {
        for encoding in ["gzip", "deflate", "br", "zstd"] {
            let mut decoder = Decoder::for_encoding(encoding).unwrap();
            let pushed = decoder.push(b"\xff\xff\xff\xff{\"usage\":1}\xff\xff", &mut |_| {});
            assert_eq!(pushed, Err(DecodeError::Corrupt), "{encoding}");
            assert_eq!(decoder.push(b"more", &mut |_| {}), Err(DecodeError::Corrupt));
            assert_eq!(decoder.finish(), Err(DecodeError::Corrupt));
        }
    }

    #[test]
    fn a_bomb_ends_at_the_ratio() {
        let zeros = vec![0_u8; 64 << 20];
        for (encoding, encoded) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            let mut decoder = Decoder::for_encoding(encoding).unwrap();
            let mut decoded = 0;
            let mut end = Ok(());
            for piece in encoded.chunks(16) {
                end = decoder.push(piece, &mut |bytes| decoded += bytes.len() as u64);
                if end.is_err() {
                    break;
                }
            }
            assert_eq!(end, Err(DecodeError::TooLarge), "{encoding}");
            assert!(decoded <= RATIO_FREE_BYTES + encoded.len() as u64 * RATIO_MAX, "{encoding}");
        }
    }
}
