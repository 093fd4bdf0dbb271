//! What the tests share.

use tollbook_usage::{End, Reader, Reading, Request, ResponseHead};

/// One answer to be read.
pub struct Answer {
    pub request: Request,
    pub status: u16,
    pub content_type: Option<String>,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn new(
        provider: &str,
        path: &str,
        model: &str,
        content_type: &str,
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        Answer {
            request: Request::new(provider, "POST", path, Some(model), None),
            status: 200,
            content_type: Some(content_type.to_owned()),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    pub fn json(provider: &str, path: &str, body: &str) -> Answer {
        Answer::new(provider, path, "m", "application/json", body)
    }

    pub fn sse(provider: &str, path: &str, body: &str) -> Answer {
        Answer::new(provider, path, "m", "text/event-stream", body)
    }

    pub fn read(&self) -> Reading {
        self.read_chunks(std::iter::once(self.body.as_slice()), End::Complete)
    }

    pub fn read_cut(&self, at: usize) -> Reading {
        self.read_chunks(std::iter::once(&self.body[..at]), End::Cut)
    }

    pub fn read_chunks<'a>(&self, chunks: impl Iterator<Item = &'a [u8]>, end: End) -> Reading {
        let head = ResponseHead {
            status: self.status,
            content_type: self.content_type.as_deref(),
            headers: &self.headers,
        };
        let mut reader = Reader::new(&self.request, &head);
        for chunk in chunks {
            reader.push(chunk);
        }
        reader.finish(end)
    }
}

/// An AWS event-stream frame.
pub fn frame(name: &str, payload: &[u8]) -> Vec<u8> {
    let mut headers = Vec::new();
    for (key, value) in
        [(":event-type", name), (":content-type", "application/json"), (":message-type", "event")]
    {
        headers.push(u8::try_from(key.len()).unwrap());
        headers.extend_from_slice(key.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(16 + headers.len() + payload.len()).unwrap();
    let mut out = total.to_be_bytes().to_vec();
    out.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out.extend_from_slice(&headers);
    out.extend_from_slice(payload);
    out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
    out
}
