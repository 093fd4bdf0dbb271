//! The small fields of a form: what a multipart request asks for, read from its beginning.
//!
//! Files are passed over and nothing is held. A form that is not well formed has the fields found
//! so far: judging it is for the provider.

use memchr::memmem;

/// How much of a body is looked at.
pub const HEAD_BYTES: usize = 64 * 1024;
/// Longest boundary, as the format has it.
const BOUNDARY_BYTES_MAX: usize = 70;
/// Longest value of a field that is kept.
const VALUE_BYTES_MAX: usize = 256;
/// Longest head of a part.
const PART_HEAD_BYTES_MAX: usize = 4 * 1024;

/// The fields that matter to what a call is and costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    /// The model.
    pub model: Option<String>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// How many answers.
    pub n: Option<String>,
    /// Image or video size.
    pub size: Option<String>,
    /// Image quality.
    pub quality: Option<String>,
    /// Video seconds.
    pub seconds: Option<String>,
    /// The shape of a transcript.
    pub response_format: Option<String>,
    /// The end user.
    pub user: Option<String>,
}

impl Fields {
    /// The fields as the JSON body that asks for the same, for whoever reads only those.
    pub fn to_json(&self) -> Vec<u8> {
        let texts = [
            ("model", &self.model),
            ("size", &self.size),
            ("quality", &self.quality),
            ("response_format", &self.response_format),
            ("user", &self.user),
        ];
        let numbers = [("n", &self.n), ("seconds", &self.seconds)];
        let mut object = serde_json::Map::new();
        for (name, value) in texts {
            if let Some(value) = value {
                object.insert(name.to_owned(), value.as_str().into());
            }
        }
        for (name, value) in numbers {
            if let Some(number) = value.as_deref().and_then(|text| text.parse::<u64>().ok()) {
                object.insert(name.to_owned(), number.into());
            }
        }
        if self.stream {
            object.insert("stream".to_owned(), true.into());
        }
        serde_json::Value::Object(object).to_string().into_bytes()
    }

    fn set(&mut self, name: &str, value: String) {
        match name {
            "model" => self.model = Some(value),
            "stream" => self.stream = value.eq_ignore_ascii_case("true") || value == "1",
            "n" => self.n = Some(value),
            "size" => self.size = Some(value),
            "quality" => self.quality = Some(value),
            "seconds" => self.seconds = Some(value),
            "response_format" => self.response_format = Some(value),
            "user" => self.user = Some(value),
            _ => {}
        }
    }
}

/// Reads the fields at the beginning of a form; at most [`HEAD_BYTES`] are looked at. A field
/// counts once its end is there, and the last of one name counts.
pub fn fields(content_type: &str, head: &[u8]) -> Fields {
    let mut fields = Fields::default();
    let Some(boundary) = boundary(content_type) else { return fields };
    let head = &head[..head.len().min(HEAD_BYTES)];
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let find = memmem::Finder::new(&delimiter);
    let mut rest = if head.starts_with(&delimiter[2..]) {
        &head[delimiter.len() - 2..]
    } else {
        let Some(at) = find.find(head) else { return fields };
        &head[at + delimiter.len()..]
    };
    // After a delimiter, blanks and a line's end: then a part. Two hyphens: the form has ended.
    while !rest.starts_with(b"--") {
        let Some(line) = memmem::find(rest, b"\r\n") else { return fields };
        // A part without a head begins with its blank line.
        rest = &rest[line..];
        let window = &rest[..rest.len().min(PART_HEAD_BYTES_MAX)];
        let Some(blank) = memmem::find(window, b"\r\n\r\n") else { return fields };
        let name = field_name(&rest[..blank]);
        // The delimiter of an empty value begins with the blank line's own end.
        let body = &rest[blank + 2..];
        let Some(end) = find.find(body) else { return fields };
        if let (Some(name), Some(value)) = (name, body.get(2..end)) {
            let value = std::str::from_utf8(value).ok().filter(|text| text.len() <= VALUE_BYTES_MAX);
            if let Some(value) = value {
                fields.set(&name, value.to_owned());
            }
        }
        rest = &body[end + delimiter.len()..];
    }
    fields
}

/// The boundary that a content type names.
fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(parameters, "boundary")?;
    let fits = (1..=BOUNDARY_BYTES_MAX).contains(&boundary.len());
    (fits && boundary.bytes().all(|byte| (b' '..0x7f).contains(&byte))).then_some(boundary)
}

/// The field that a part's head names, unless the part is a file.
fn field_name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?;
    let disposition = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
    })?;
    let (kind, parameters) = disposition.split_once(';')?;
    let is_file = parameter(parameters, "filename").or_else(|| parameter(parameters, "filename*")).is_some();
    (kind.trim().eq_ignore_ascii_case("form-data") && !is_file).then(|| parameter(parameters, "name"))?
}

/// A parameter of a header's value: `name=value; name="value"`. Semicolons inside of quotes are
/// part of the value.
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim_matches([' ', '\t', ';']);
        let after = after.trim_start_matches([' ', '\t']);
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = tail;
    }
}

/// A quoted text behind its first quote, and what follows it.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: &str = "multipart/form-data; boundary=XyZ";

    fn form(parts: &[(&str, &str)]) -> Vec<u8> {
        let mut text = String::new();
        for (head, value) in parts {
            text += &format!("--XyZ\r\nContent-Disposition: form-data; {head}\r\n\r\n{value}\r\n");
        }
        (text + "--XyZ--\r\n").into_bytes()
    }

    fn check(content_type: &str, body: &[u8], json: &str) {
        let found = fields(content_type, body).to_json();
        assert_eq!(std::str::from_utf8(&found).unwrap(), json, "{}", String::from_utf8_lossy(body));
    }

    #[test]
    fn fields_are_read_and_files_passed_over() {
        let audio = "RIFF\r\n--XyW\r\nname=\"model\"\r\n\r\n\u{0}--XyZ";
        let body = form(&[
            ("name=\"file\"; filename=\"a.wav\"\r\nContent-Type: audio/wav", audio),
            ("name=\"model\"", "gpt-4o-transcribe"),
            ("name=\"stream\"", "True"),
            ("name=n", "2"),
            ("name=\"seconds\"", "eight"),
            ("name=\"size\"", "1024x1024"),
            ("name=\"unknown\"", "x"),
            ("name=\"user\"", ""),
        ]);
        let all = r#"{"model":"gpt-4o-transcribe","n":2,"size":"1024x1024","stream":true,"user":""}"#;
        check(KIND, &body, all);
        check("Multipart/Form-Data; charset=\"a;b\"; Boundary=\"XyZ\"", &body, all);
        check(KIND, &[b"preamble\r\n", &body[..]].concat(), all);
    }

    #[test]
    fn a_field_counts_once_its_end_is_there() {
        let body = form(&[("name=\"model\"", "whisper-1"), ("name=\"size\"", "big")]);
        let end = memmem::find(&body, b"whisper-1\r\n--XyZ").unwrap() + "whisper-1\r\n--XyZ".len();
        for cut in 0..body.len() {
            let model = (cut >= end).then(|| "whisper-1".to_owned());
            assert_eq!(fields(KIND, &body[..cut]).model, model, "cut at {cut}");
        }
        let twice = form(&[("name=\"model\"", "a"), ("name=\"model\"", "b")]);
        check(KIND, &twice, r#"{"model":"b"}"#);
    }

    #[test]
    fn what_is_no_form_has_no_fields() {
        let body = form(&[("name=\"model\"", "m")]);
        for content_type in [
            "",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=\"XyZ",
            "multipart/mixed; boundary=XyZ",
            "application/json; boundary=XyZ",
            &format!("multipart/form-data; boundary={}", "x".repeat(71)),
        ] {
            check(content_type, &body, "{}");
        }
        let long = "m".repeat(VALUE_BYTES_MAX + 1);
        for body in [
            form(&[("name=\"model\"", &long)]),
            form(&[("name=\"model\"; filename*=UTF-8''a", "m")]),
            form(&[("filename=\"name=\\\"model\\\"\"; name=\"model\"", "m")]),
            form(&[("n=\"model\"", "m")]),
            b"--XyZ--".to_vec(),
            b"--XyZ\r\n\r\nm\r\n--XyZ--".to_vec(),
            b"--XyZ\r\nContent-Disposition: form-data; name=\"model\"\r\n".repeat(400),
        ] {
            check(KIND, &body, "{}");
        }
    }
}
