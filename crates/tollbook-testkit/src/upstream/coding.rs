//! Compressed bodies, piece by piece: what is written of one piece can be read before the next.

use super::Coding;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::{self, Write};

/// These bytes in this coding.
pub fn encoded(coding: Coding, bytes: &[u8]) -> io::Result<Vec<u8>> {
    Encoder::new(coding)?.push(bytes, true)
}

/// Compresses pieces so that each can be read when it came.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Brotli { begun: bool },
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding) -> io::Result<Encoder> {
        Ok(match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::default())),
            Coding::Deflate => Encoder::Deflate(ZlibEncoder::new(Vec::new(), Compression::default())),
            Coding::Brotli => Encoder::Brotli { begun: false },
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3)?),
        })
    }

    pub(super) fn name(coding: Coding) -> &'static str {
        match coding {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The bytes of this piece, flushed; those of the stream's end as well when it is the last.
    pub(super) fn push(&mut self, piece: &[u8], last: bool) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => {
                encoder.write_all(piece)?;
                if last {
                    encoder.try_finish()?
                } else {
                    encoder.flush()?
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Encoder::Deflate(encoder) => {
                encoder.write_all(piece)?;
                if last {
                    encoder.try_finish()?
                } else {
                    encoder.flush()?
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
            Encoder::Brotli { begun } => Ok(stored_brotli(piece, begun, last)),
            Encoder::Zstd(encoder) => {
                encoder.write_all(piece)?;
                if last {
                    encoder.do_finish()?
                } else {
                    encoder.flush()?
                }
                Ok(std::mem::take(encoder.get_mut()))
            }
        }
    }
}

/// Uncompressed meta-blocks (RFC 7932, 9.2). The first byte carries the window's size as well, so
/// an empty meta-block that skips no bytes brings the stream to a byte's border before the data.
fn stored_brotli(piece: &[u8], begun: &mut bool, last: bool) -> Vec<u8> {
    let mut out = Vec::new();
    if !*begun {
        // WBITS 0 (16 bits), then ISLAST 0, MNIBBLES 3 (no data), reserved 0, MSKIPBYTES 0: 0b0_0110_0.
        out.push(0b0000_1100);
        *begun = true;
    }
    for block in piece.chunks(1 << 16) {
        // ISLAST 0, MNIBBLES 0 (four nibbles), MLEN - 1 in 16 bits, ISUNCOMPRESSED 1, padding.
        let header = (u32::try_from(block.len() - 1).unwrap_or(0) << 3) | (1 << 19);
        out.extend_from_slice(&header.to_le_bytes()[..3]);
        out.extend_from_slice(block);
    }
    if last {
        // ISLAST 1, ISLASTEMPTY 1.
        out.push(0b11);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_coding_can_be_read_again() {
        let pieces: [&[u8]; 4] = [b"data: one\n\n", b"", &[7; 70_000], b"data: [DONE]\n\n"];
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Zstd] {
            let mut encoder = Encoder::new(coding).unwrap();
            let mut coded = Vec::new();
            for (nth, piece) in pieces.iter().enumerate() {
                coded.extend(encoder.push(piece, nth + 1 == pieces.len()).unwrap());
            }
            let mut plain = Vec::new();
            let read = match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut plain),
                Coding::Deflate => flate2::read::ZlibDecoder::new(&coded[..]).read_to_end(&mut plain),
                _ => zstd::stream::read::Decoder::new(&coded[..]).unwrap().read_to_end(&mut plain),
            };
            read.unwrap();
            assert_eq!(plain, pieces.concat(), "{coding:?}");
        }
    }

    #[test]
    fn stored_brotli_can_be_read_again() {
        let pieces: [&[u8]; 4] = [b"data: one\n\n", b"", &[7; 70_000], b"data: [DONE]\n\n"];
        let mut encoder = Encoder::new(Coding::Brotli).unwrap();
        let mut coded = Vec::new();
        for (nth, piece) in pieces.iter().enumerate() {
            coded.extend(encoder.push(piece, nth + 1 == pieces.len()).unwrap());
        }
        let mut plain = Vec::new();
        brotli_decompressor::Decompressor::new(&coded[..], 4096).read_to_end(&mut plain).unwrap();
        assert_eq!(plain, pieces.concat());
    }
}
