//! Request bodies: bounded as they come, and as they are once decoded.

use crate::code::Code;
use crate::problem::Problem;
use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use std::io::Read;

/// A body, both as it comes and decoded, in bytes.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How many times its own size a body may become. What is small anyway may become [`SLACK_BYTES`] more.
const RATIO_MAX: usize = 100;
const SLACK_BYTES: usize = 64 * 1024;
/// No frame may ask for a window above this power of two: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// `gzip`
    Gzip,
    /// `zstd`
    Zstd,
}

impl Encoding {
    /// The encoding that the headers tell.
    pub fn of(headers: &HeaderMap) -> Result<Encoding, Problem> {
        let mut told = headers.get_all(header::CONTENT_ENCODING).iter();
        let name = match (told.next(), told.next()) {
            (None, _) => return Ok(Encoding::Identity),
            (Some(name), None) => name.to_str().unwrap_or_default().trim().to_ascii_lowercase(),
            _ => String::new(),
        };
        match name.as_str() {
            "identity" => Ok(Encoding::Identity),
            "gzip" | "x-gzip" => Ok(Encoding::Gzip),
            "zstd" => Ok(Encoding::Zstd),
            _ => {
                Err(Problem::new(Code::UnsupportedEncoding, "content-encoding is gzip, zstd or absent, once"))
            }
        }
    }
}

/// Reads a body, which must be whole and within the bound.
pub async fn read(headers: &HeaderMap, mut body: Body) -> Result<Vec<u8>, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced: usize = announced.and_then(|text| text.parse().ok()).unwrap_or(0);
    if announced > BODY_BYTES_MAX {
        return Err(too_large());
    }
    // What is announced is not there yet: room is made as it comes.
    let mut bytes = Vec::with_capacity(announced.min(SLACK_BYTES));
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(Code::BodyIncomplete, "the request's body did not come to its end"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// The body as text would be read from it. What came encoded is given up.
pub fn decode(encoding: Encoding, bytes: Vec<u8>) -> Result<Vec<u8>, Problem> {
    let broken = |_| Problem::new(Code::EncodingInvalid, "the body is not what its content-encoding says");
    let reader: Box<dyn Read + '_> = match encoding {
        Encoding::Identity => return Ok(bytes),
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes.as_slice()).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            Box::new(decoder)
        }
    };
    let max = BODY_BYTES_MAX.min(bytes.len().saturating_mul(RATIO_MAX).saturating_add(SLACK_BYTES));
    let mut text = Vec::new();
    // One byte more than may be tells the two cases apart.
    reader.take(max as u64 + 1).read_to_end(&mut text).map_err(broken)?;
    if text.len() > max {
        return Err(too_large());
    }
    Ok(text)
}

fn too_large() -> Problem {
    let detail = format!(
        "a body has at most {BODY_BYTES_MAX} bytes, decoded too, and grows at most {RATIO_MAX} times by decoding"
    );
    Problem::new(Code::BodyTooLarge, detail)
}
