//! Tables of rows as people export them: a JSON array, JSON Lines, one JSON object with its rows
//! under `data`, or CSV. Rows come one by one, in bounded memory, whatever the file's size.
//!
//! This must never know what a row means.

use super::lines::{Line, Lines};
use super::problem::{Problem, code};
use serde_json::{Map, Value};
use tollbook_types::json;
use tollbook_types::limits::LINE_BYTES_MAX;

/// A row by its number, counted from 1.
pub(crate) type Give<'g> = dyn FnMut(u64, Result<Map<String, Value>, Problem>) + 'g;

/// Columns of a CSV file.
const COLUMNS_MAX: usize = 1_024;

/// Cuts a file into rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    number: u64,
    form: Form,
}

#[derive(Debug, Default)]
enum Form {
    #[default]
    Undecided,
    Lines(Lines),
    Objects(Objects),
    Csv(Csv),
}

impl Rows {
    pub fn push(&mut self, bytes: &[u8], give: &mut Give<'_>) {
        let mut rest = bytes;
        if matches!(self.form, Form::Undecided) {
            rest = rest.trim_ascii_start();
            rest = rest.strip_prefix(b"\xef\xbb\xbf").unwrap_or(rest);
            self.form = match rest.first() {
                None => return,
                Some(b'{') => Form::Lines(Lines::new()),
                Some(b'[') => Form::Objects(Objects::default()),
                Some(_) => Form::Csv(Csv::default()),
            };
        }
        let number = &mut self.number;
        match &mut self.form {
            Form::Undecided => {}
            Form::Lines(lines) => {
                let mut spread = None;
                lines.push(rest, &mut |line| row_of_line(&line, number, &mut spread, give));
                if spread.is_some() {
                    lines.finish(&mut |line| row_of_line(&line, number, &mut spread, give));
                }
                if let Some(objects) = spread {
                    self.form = Form::Objects(objects);
                }
            }
            Form::Objects(objects) => objects.push(rest, number, give),
            Form::Csv(csv) => csv.push(rest, number, give),
        }
    }

    pub fn finish(&mut self, give: &mut Give<'_>) {
        let number = &mut self.number;
        match &mut std::mem::take(&mut self.form) {
            Form::Undecided => {}
            Form::Lines(lines) => {
                let mut spread = None;
                lines.finish(&mut |line| row_of_line(&line, number, &mut spread, give));
                if let Some(mut objects) = spread {
                    objects.finish(number, give);
                }
            }
            Form::Objects(objects) => objects.finish(number, give),
            Form::Csv(csv) => csv.finish(number, give),
        }
        self.number = 0;
    }
}

/// A line that is a row; when the first one only begins an object, the object is spread over lines.
fn row_of_line(line: &Line<'_>, number: &mut u64, spread: &mut Option<Objects>, give: &mut Give<'_>) {
    let Some(bytes) = line.bytes else {
        *number += 1;
        return give(*number, Err(too_long()));
    };
    if let Some(objects) = spread {
        objects.push(bytes, number, give);
        return objects.push(if line.ended { b"\n" } else { b"" }, number, give);
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return;
    }
    match json::parse(bytes) {
        Err(error) if error.is_eof() && *number == 0 && line.ended => {
            let mut objects = Objects::default();
            objects.push(bytes, number, give);
            objects.push(b"\n", number, give);
            *spread = Some(objects);
        }
        parsed => give_rows(parsed, bytes, number, give),
    }
}

fn give_rows(parsed: Result<Value, serde_json::Error>, bytes: &[u8], number: &mut u64, give: &mut Give<'_>) {
    let wrong = || Err(Problem::new(code::FIELD_INVALID, "a row is an object"));
    let mut members = match parsed {
        Ok(Value::Object(members)) => members,
        other => {
            *number += 1;
            return give(
                *number,
                other.map_or_else(|error| Err(Problem::of_json(&error, bytes)), |_| wrong()),
            );
        }
    };
    let Some(Value::Array(rows)) =
        (!members.contains_key("request_id")).then(|| members.remove("data")).flatten()
    else {
        *number += 1;
        return give(*number, Ok(members));
    };
    for row in rows {
        *number += 1;
        match row {
            Value::Object(members) => give(*number, Ok(members)),
            _ => give(*number, wrong()),
        }
    }
}

fn too_long() -> Problem {
    Problem::new(code::LINE_TOO_LONG, format!("longer than {LINE_BYTES_MAX} bytes"))
}

/// Finds whole objects in an array, or one after the other.
#[derive(Debug, Default)]
struct Objects {
    held: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    too_long: bool,
    /// Something else than objects has been told of.
    told: bool,
}

impl Objects {
    fn push(&mut self, bytes: &[u8], number: &mut u64, give: &mut Give<'_>) {
        for byte in bytes {
            if self.depth == 0 && *byte != b'{' {
                let between = byte.is_ascii_whitespace() || matches!(byte, b'[' | b']' | b',');
                if !between && !self.told {
                    self.told = true;
                    *number += 1;
                    give(
                        *number,
                        Err(Problem::new(code::JSON_INVALID, "something else than objects stands here")),
                    );
                }
                continue;
            }
            if !self.too_long {
                self.held.push(*byte);
                self.too_long = self.held.len() > LINE_BYTES_MAX;
            }
            if self.step(*byte) {
                self.give_held(number, give);
            }
        }
    }

    /// Takes note of a byte; true when it ends an object.
    fn step(&mut self, byte: u8) -> bool {
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                _ => {}
            }
            return false;
        }
        match byte {
            b'"' => self.in_text = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth -= 1,
            _ => {}
        }
        self.depth == 0
    }

    fn give_held(&mut self, number: &mut u64, give: &mut Give<'_>) {
        let held = std::mem::take(&mut self.held);
        self.told = false;
        if std::mem::take(&mut self.too_long) {
            *number += 1;
            return give(*number, Err(too_long()));
        }
        give_rows(json::parse(&held), &held, number, give);
    }

    fn finish(&mut self, number: &mut u64, give: &mut Give<'_>) {
        if self.depth > 0 {
            *number += 1;
            give(*number, Err(Problem::new(code::JSON_INVALID, "the text ends inside of an object")));
        }
    }
}

/// Reads comma-separated values; every value is a text, an empty one is absent.
#[derive(Debug, Default)]
struct Csv {
    header: Option<Vec<String>>,
    record: Vec<Vec<u8>>,
    value: Vec<u8>,
    bytes: usize,
    quoted: bool,
    /// A quote inside of a quoted value: its end, or half of an escaped quote.
    quote: bool,
}

impl Csv {
    fn push(&mut self, bytes: &[u8], number: &mut u64, give: &mut Give<'_>) {
        for byte in bytes {
            self.bytes += 1;
            match byte {
                b'"' if self.quoted && self.quote => {
                    self.quote = false;
                    self.keep(b'"');
                }
                b'"' if self.quoted => self.quote = true,
                b'"' if self.value.is_empty() => self.quoted = true,
                b',' if !self.quoted || self.quote => self.end_value(),
                b'\n' if !self.quoted || self.quote => self.end_record(number, give),
                b'\r' if !self.quoted || self.quote => {}
                _ => self.keep(*byte),
            }
        }
    }

    fn keep(&mut self, byte: u8) {
        if self.bytes <= LINE_BYTES_MAX {
            self.value.push(byte);
        }
    }

    fn end_value(&mut self) {
        let value = std::mem::take(&mut self.value);
        if self.record.len() < COLUMNS_MAX {
            self.record.push(value);
        }
        (self.quoted, self.quote) = (false, false);
    }

    fn end_record(&mut self, number: &mut u64, give: &mut Give<'_>) {
        self.end_value();
        let record = std::mem::take(&mut self.record);
        let bytes = std::mem::take(&mut self.bytes);
        if record.len() == 1 && record[0].is_empty() {
            return;
        }
        let texts: Result<Vec<String>, _> = record.into_iter().map(String::from_utf8).collect();
        let Some(header) = &self.header else {
            self.header = Some(texts.unwrap_or_default());
            return;
        };
        *number += 1;
        let row = match texts {
            _ if bytes > LINE_BYTES_MAX => Err(too_long()),
            Err(_) => Err(Problem::new(code::NOT_UTF8, "a value is not UTF-8")),
            Ok(values) if values.len() != header.len() => {
                let detail = format!("{} values under {} columns", values.len(), header.len());
                Err(Problem::new(code::FIELD_INVALID, detail))
            }
            Ok(values) => Ok(header
                .iter()
                .zip(values)
                .filter(|(_, value)| !value.is_empty())
                .map(|(name, value)| (name.clone(), Value::String(value)))
                .collect()),
        };
        give(*number, row);
    }

    fn finish(&mut self, number: &mut u64, give: &mut Give<'_>) {
        if self.quoted && !self.quote {
            *number += 1;
            return give(*number, Err(Problem::new(code::FIELD_INVALID, "the text ends inside of quotes")));
        }
        if self.bytes > 0 {
            self.end_record(number, give);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &str, piece: usize) -> Vec<(u64, Result<String, &'static str>)> {
        let mut found = Vec::new();
        let mut rows = Rows::default();
        let mut give = |number, row: Result<Map<String, Value>, Problem>| {
            let row =
                row.map(|members| json::canonical(&Value::Object(members))).map_err(|problem| problem.code);
            found.push((number, row));
        };
        for part in text.as_bytes().chunks(piece) {
            rows.push(part, &mut give);
        }
        rows.finish(&mut give);
        found
    }

    #[test]
    fn every_form_gives_the_same_rows() {
        let forms = [
            r#"[{"request_id":"a","x":"}\"{"},{"request_id":"b","x":"1"}]"#,
            "{\"request_id\":\"a\",\"x\":\"}\\\"{\"}\n{\"request_id\":\"b\",\"x\":\"1\"}\n",
            "{\n \"data\": [\n {\"request_id\":\"a\",\"x\":\"}\\\"{\"},\n {\"request_id\":\"b\",\"x\":\"1\"}],\n \"total\":2}",
            "{\"data\":[{\"request_id\":\"a\",\"x\":\"}\\\"{\"},{\"request_id\":\"b\",\"x\":\"1\"}],\"total\":2}",
            "\u{feff}request_id,x,y\r\na,\"}\"\"{\",\r\nb,1,\"\"\r\n",
        ];
        let expected = [
            (1, Ok(r#"{"request_id":"a","x":"}\"{"}"#.to_owned())),
            (2, Ok(r#"{"request_id":"b","x":"1"}"#.to_owned())),
        ];
        for form in forms {
            assert_eq!(rows(form, 1_000), expected, "{form}");
            // A byte order mark is only looked for at the start of the first piece.
            for piece in 3..form.len() {
                assert_eq!(rows(form, piece), expected, "{form} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn bad_rows_do_not_hide_good_ones() {
        let found = rows("{\"request_id\":\"a\"}\n{bad\n[1]\n{\"request_id\":\"b\"}", 7);
        let codes: Vec<_> =
            found.iter().map(|(number, row)| (*number, row.as_ref().err().copied())).collect();
        assert_eq!(
            codes,
            [(1, None), (2, Some(code::JSON_INVALID)), (3, Some(code::FIELD_INVALID)), (4, None)]
        );
        assert_eq!(rows("[{\"request_id\":", 4)[0].1, Err(code::JSON_INVALID));
        assert_eq!(rows("a,b\n1\n\"x", 4).len(), 2);
        assert!(rows("", 1).is_empty() && rows("[]", 1).is_empty() && rows("a,b\n", 1).is_empty());
    }
}
