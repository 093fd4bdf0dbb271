//! A small JSON reader for captured objects: numbers stay text, so that no count passes through
//! a floating point number.
//!
//! It reads what the push tokenizer captured, which is bounded. It must never know a dialect.

use crate::json_push::{past_spaces, quote_or_escape, word_length};
use std::borrow::Cow;
use tollbook_types::limits::{JSON_DEPTH_MAX, QUANTITY_MAX};

/// Digits that always make a quantity.
pub(crate) const PLAIN_DIGITS: usize = 15;
const _: () = assert!(QUANTITY_MAX == 10_u64.pow(PLAIN_DIGITS as u32), "fifteen nines are a quantity");

/// Members of one object that are compared for duplicates.
const DUPLICATE_CHECK_MAX: usize = 256;

/// Members of a usual object.
const MEMBERS: usize = 6;

/// A JSON value; numbers as they stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Null,
    Bool(bool),
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Value<'a>>),
    Object(Vec<(Cow<'a, str>, Value<'a>)>),
}

/// Why a figure is not a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Negative,
    Fractional,
    TooLarge,
    NotANumber,
}

impl Damage {
    pub fn name(self) -> &'static str {
        match self {
            Damage::Negative => "negative",
            Damage::Fractional => "not a whole number",
            Damage::TooLarge => "too large",
            Damage::NotANumber => "not a number",
        }
    }
}

impl<'a> Value<'a> {
    /// Reads one value; `duplicates` receives the names of members that stand twice.
    pub fn parse(bytes: &'a [u8], duplicates: &mut Vec<String>) -> Option<Value<'a>> {
        Value::parse_text(std::str::from_utf8(bytes).ok()?, duplicates)
    }

    /// As [`Value::parse`], of what is known to be text.
    pub fn parse_text(text: &'a str, duplicates: &mut Vec<String>) -> Option<Value<'a>> {
        let mut reader = Text { text, at: 0, duplicates };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    /// A member of an object, unless absent or null.
    pub fn at(&self, name: &str) -> Option<&Value<'a>> {
        self.member(name).filter(|member| !matches!(member, Value::Null))
    }

    /// A member of an object; the last one where a name stands twice.
    pub fn member(&self, name: &str) -> Option<&Value<'a>> {
        match self {
            Value::Object(members) => {
                members.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// Whether any member is a text.
    pub fn has_text(&self) -> bool {
        match self {
            Value::Object(members) => members.iter().any(|(_, member)| matches!(member, Value::Text(_))),
            _ => false,
        }
    }

    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items, if it is a list.
    pub fn list(&self) -> &[Value<'a>] {
        match self {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The quantity, if it is a whole number that can be one.
    pub fn quantity(&self) -> Result<u64, Damage> {
        match self {
            Value::Number(text) => quantity(text),
            _ => Err(Damage::NotANumber),
        }
    }

    /// A number of seconds as milliseconds, rounded half up.
    pub fn millis(&self) -> Result<u64, Damage> {
        match self {
            Value::Number(text) => millis(text),
            _ => Err(Damage::NotANumber),
        }
    }
}

/// A whole number; `12.0` is one too.
pub(crate) fn quantity(text: &str) -> Result<u64, Damage> {
    if text.len() <= PLAIN_DIGITS && !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text.bytes().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')));
    }
    if text.starts_with('-') {
        return if text.trim_start_matches(['-', '0', '.']).is_empty() {
            Ok(0)
        } else {
            Err(Damage::Negative)
        };
    }
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        let exponent = whole.bytes().any(|byte| byte.is_ascii_digit());
        return Err(if exponent { Damage::Fractional } else { Damage::NotANumber });
    }
    if !fraction.bytes().all(|byte| byte == b'0') {
        return Err(Damage::Fractional);
    }
    match whole.parse::<u64>() {
        Ok(quantity) if quantity <= QUANTITY_MAX => Ok(quantity),
        _ => Err(Damage::TooLarge),
    }
}

pub(crate) fn millis(text: &str) -> Result<u64, Damage> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole = quantity(whole)?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Damage::NotANumber);
    }
    let digit = |at: usize| u64::from(fraction.as_bytes().get(at).map_or(0, |byte| byte - b'0'));
    let thousandths = digit(0) * 100 + digit(1) * 10 + digit(2) + u64::from(digit(3) >= 5);
    Ok(whole.saturating_mul(1_000).saturating_add(thousandths))
}

/// The text of a captured JSON string; other scalars as they stand; `null` is none.
pub(crate) fn scalar_text(captured: &[u8]) -> Option<Cow<'_, str>> {
    if let [b'"', inner @ .., b'"'] = captured
        && memchr::memchr2(b'"', b'\\', inner).is_none()
    {
        return std::str::from_utf8(inner).ok().filter(|text| !text.is_empty()).map(Cow::Borrowed);
    }
    let text = match Value::parse(captured, &mut Vec::new())? {
        Value::Text(text) => text,
        Value::Number(text) => Cow::Borrowed(text),
        Value::Bool(flag) => Cow::Borrowed(if flag { "true" } else { "false" }),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}

struct Text<'a, 'd> {
    text: &'a str,
    at: usize,
    duplicates: &'d mut Vec<String>,
}

impl<'a> Text<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline(always)]
    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at = past_spaces(self.text.as_bytes(), self.at + 1);
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        if depth > JSON_DEPTH_MAX {
            return None;
        }
        self.space();
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.items(depth),
            b'"' => self.string().map(Value::Text),
            _ => self.scalar(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        if self.eat(b'}') {
            return Some(Value::Object(Vec::new()));
        }
        let mut members: Vec<(Cow<'a, str>, Value<'a>)> = Vec::with_capacity(MEMBERS);
        loop {
            self.space();
            if self.peek()? != b'"' {
                return None;
            }
            let key = self.string()?;
            if !self.eat(b':') {
                return None;
            }
            let value = self.value(depth + 1)?;
            if members.iter().take(DUPLICATE_CHECK_MAX).any(|(known, _)| *known == key)
                && self.duplicates.len() < 4
            {
                self.duplicates.push(key.to_string());
            }
            members.push((key, value));
            if self.eat(b'}') {
                return Some(Value::Object(members));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn items(&mut self, depth: usize) -> Option<Value<'a>> {
        self.at += 1;
        let mut items = Vec::new();
        if self.eat(b']') {
            return Some(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.eat(b']') {
                return Some(Value::List(items));
            }
            if !self.eat(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut here = quote_or_escape(bytes, start + 1)?;
        if bytes[here] == b'"' {
            self.at = here + 1;
            return Some(Cow::Borrowed(&self.text[start + 1..here]));
        }
        while bytes[here] != b'"' {
            here = quote_or_escape(bytes, here + 2)?;
        }
        self.at = here + 1;
        serde_json::from_str::<String>(&self.text[start..here + 1]).ok().map(Cow::Owned)
    }

    fn scalar(&mut self) -> Option<Value<'a>> {
        let rest = &self.text[self.at..];
        let length = word_length(rest.as_bytes());
        let word = &rest[..length];
        self.at += length;
        if word.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Some(Value::Number(word));
        }
        match word {
            "" => None,
            "null" => Some(Value::Null),
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => Some(Value::Number(word)),
        }
    }
}
