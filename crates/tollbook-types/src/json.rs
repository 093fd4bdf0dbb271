//! Strict JSON for what strangers send: no duplicate members, no deep nesting.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};
use std::cell::Cell;
use std::fmt;

/// Parses one JSON text. A member that stands twice in an object is refused, as is nesting beyond
/// [`crate::limits::JSON_DEPTH_MAX`]. The error names line and column.
///
/// ```
/// use tollbook_types::json;
/// assert!(json::parse(br#"{"a":1,"a":2}"#).is_err());
/// assert!(json::parse(br#"{"a":1}"#).is_ok());
/// ```
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    parse_within(bytes, usize::MAX)
}

/// Parses one JSON text into a value that takes at most about so many bytes beside its texts: a small
/// text can hold very many values.
pub fn parse_within(bytes: &[u8], bytes_max: usize) -> Result<Value, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0, left: &Cell::new(bytes_max) }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// What a text held that is one value, or an array of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Items<T> {
    /// Anything but an array.
    One(T),
    /// An array.
    Many(Vec<T>),
    /// An array of more than there may be.
    TooMany,
}

/// Parses a text that is one value or an array of at most `max`, and hands each over as soon as it is
/// read: only one is held at a time, which takes at most about `bytes_max` as in [`parse_within`].
///
/// ```
/// use tollbook_types::json::{Items, parse_items};
/// let read = |text: &str| parse_items(text.as_bytes(), 2, 1_000, |value| value.as_u64()).unwrap();
/// assert_eq!(read("1"), Items::One(Some(1)));
/// assert_eq!(read("[1,null]"), Items::Many(vec![Some(1), None]));
/// assert_eq!(read("[1,2,3]"), Items::TooMany);
/// ```
pub fn parse_items<T>(
    bytes: &[u8],
    max: usize,
    bytes_max: usize,
    mut give: impl FnMut(Value) -> T,
) -> Result<Items<T>, serde_json::Error> {
    if bytes.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return parse_within(bytes, bytes_max).map(|value| Items::One(give(value)));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let is_full = Cell::new(false);
    let each = Each { max, bytes_max, is_full: &is_full, give };
    let items = deserializer.deserialize_seq(each).and_then(|items| deserializer.end().map(|()| items));
    if is_full.get() {
        return Ok(Items::TooMany);
    }
    items.map(Items::Many)
}

/// Reads the items of an array.
struct Each<'a, F> {
    max: usize,
    bytes_max: usize,
    /// Set where it ends for having too many items, which no error's text has to tell.
    is_full: &'a Cell<bool>,
    give: F,
}

impl<'de, T, F: FnMut(Value) -> T> Visitor<'de> for Each<'_, F> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut items = Vec::new();
        while let Some(value) =
            seq.next_element_seed(Strict { depth: 1, left: &Cell::new(self.bytes_max) })?
        {
            if items.len() == self.max {
                self.is_full.set(true);
                return Err(A::Error::custom("too many items"));
            }
            items.push((self.give)(value));
        }
        Ok(items)
    }
}

/// A canonical text of a value: members sorted, null members left out, no white space.
pub fn canonical(value: &Value) -> String {
    fn strip(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let kept = map.iter().filter(|(_, v)| !v.is_null());
                let mut sorted: Vec<_> = kept.collect();
                sorted.sort_by_key(|(key, _)| *key);
                Value::Object(sorted.into_iter().map(|(k, v)| (k.clone(), strip(v))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(strip).collect()),
            other => other.clone(),
        }
    }
    strip(value).to_string()
}

/// What a value takes where it stands.
const VALUE_BYTES: usize = size_of::<Value>();
/// What an object takes for its first members, however few: a node of the tree they are kept in.
const OBJECT_BYTES: usize = 11 * (size_of::<String>() + VALUE_BYTES);

#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    /// Bytes that values may still take.
    left: &'a Cell<usize>,
}

impl Strict<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= crate::limits::JSON_DEPTH_MAX {
            return Err(E::custom("nested too deeply"));
        }
        self.take(VALUE_BYTES)?;
        Ok(Strict { depth: self.depth + 1, ..self })
    }

    fn take<E: Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(bytes).ok_or_else(|| E::custom("too many values"))?;
        self.left.set(left);
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self.deeper()?)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            if object.is_empty() {
                self.take(OBJECT_BYTES)?;
            }
            match object.entry(key) {
                Entry::Vacant(place) => place.insert(map.next_value_seed(self.deeper()?)?),
                Entry::Occupied(place) => {
                    return Err(A::Error::custom(format_args!("duplicate member {:?}", place.key())));
                }
            };
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_strangers_send() {
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        let bad: &[&str] =
            &["", "{", "{\"a\":1,\"\\u0061\":2}", "[1,]", "NaN", "1e400", "\u{feff}{}", "{} {}", &deep];
        for text in bad {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
        assert!(parse(format!("{}1{}", "[".repeat(64), "]".repeat(64)).as_bytes()).is_ok());
    }

    #[test]
    fn small_texts_of_many_values_are_refused() {
        let many = |text: &str| format!("[{}{text}]", format!("{text},").repeat(9_999));
        for (text, bytes_max, is_good) in [
            (many("1"), 330_000, true),
            (many("1"), 300_000, false),
            (many("{}"), 330_000, true),
            (many(r#"{"":1}"#), 1_000_000, false),
            (format!("[\"{}\"]", "x".repeat(100_000)), 100, true),
        ] {
            let read = parse_within(text.as_bytes(), bytes_max);
            assert_eq!(read.is_ok(), is_good, "{} {bytes_max}", &text[..8]);
        }
        // As items none takes much.
        let items = parse_items(many(r#"{"":1}"#).as_bytes(), 10_000, 1_000, drop);
        assert!(matches!(items, Ok(Items::Many(items)) if items.len() == 10_000));
    }

    #[test]
    fn items_are_as_strict_as_a_whole() {
        let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        for (text, is_good) in [
            (" [ 1 , 2 ] ", true),
            ("[]", true),
            ("7", true),
            (&deep(64), true),
            (&deep(65), false),
            ("", false),
            ("[1,]", false),
            ("[1 2]", false),
            ("[1] x", false),
            ("[1", false),
            (r#"[{"a":1,"a":2}]"#, false),
        ] {
            assert_eq!(parse_items(text.as_bytes(), 9, usize::MAX, drop).is_ok(), is_good, "{text}");
            assert_eq!(parse(text.as_bytes()).is_ok(), is_good, "{text}");
        }
    }

    #[test]
    fn canonical_text_is_sorted_and_without_nulls() {
        let value = parse(br#"{"b":null,"a":[{"d":1,"c":null}]}"#).unwrap();
        assert_eq!(canonical(&value), r#"{"a":[{"d":1}]}"#);
    }
}
