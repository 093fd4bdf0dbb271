//! The short way through a usage object of OpenAI's kind that is nothing but whole numbers.
//!
//! It reads the same figures as the long way through a [`Value`](crate::value::Value), without a
//! tree. Whatever is not plain sailing is left to the long way: any other value, a name that the
//! table does not know where it might matter, names that may be the same.

use crate::json_push::{past_spaces, quote_or_escape, word_length};
use crate::names::place;
use crate::openai::CHAT;
use crate::shape::{Field, Figures, PATH_STEPS};
use crate::value::PLAIN_DIGITS;

/// Reads the object, if all of it is plain.
pub(crate) fn read(text: &str) -> Option<Box<Figures>> {
    let inner = text.strip_prefix('{')?;
    let mut plain = Plain { text: inner, figures: None };
    let (end, _) = plain.object(0, &mut [""; PATH_STEPS], 0)?;
    let figures = plain.figures.filter(|_| end == inner.len())?;
    let marked = figures.get(Field::Input).or(figures.get(Field::Output)).is_some();
    marked.then_some(figures)
}

struct Plain<'a> {
    text: &'a str,
    figures: Option<Box<Figures>>,
}

impl<'a> Plain<'a> {
    /// The first byte from here that is no space, and where it stands.
    #[inline(always)]
    fn next(&self, mut at: usize) -> Option<(usize, u8)> {
        loop {
            let byte = *self.text.as_bytes().get(at)?;
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some((at, byte));
            }
            at = past_spaces(self.text.as_bytes(), at + 1);
        }
    }

    /// Past the object that `at` is inside of, and whether the table knows a name in it.
    fn object(
        &mut self,
        mut at: usize,
        steps: &mut [&'a str; PATH_STEPS],
        depth: usize,
    ) -> Option<(usize, bool)> {
        let mut seen = 0_u128;
        let mut known = false;
        loop {
            let (name, after) = self.name(at)?;
            let bit = 1 << place(name.len(), *name.as_bytes().first()?, *name.as_bytes().last()?);
            if seen & bit != 0 {
                return None;
            }
            seen |= bit;
            steps[depth] = name;
            let row = CHAT.rows.find(&steps[..=depth]);
            let (start, byte) = self.next(after)?;
            let end = match byte {
                b'0'..=b'9' => {
                    let (quantity, end) = self.number(start)?;
                    match row {
                        Some((path, field)) => {
                            let figures = self.figures.get_or_insert_with(|| Box::new(Figures::empty(&CHAT)));
                            figures.take(path, field, Ok(quantity));
                        }
                        None if depth == 0 => return None,
                        None => {}
                    }
                    known |= row.is_some();
                    end
                }
                b'{' if row.is_none() && depth + 1 < PATH_STEPS => {
                    // An object in which nothing is known may be a bill.
                    let (end, _) = self.object(start + 1, steps, depth + 1).filter(|(_, known)| *known)?;
                    known = true;
                    end
                }
                _ => return None,
            };
            let (end, byte) = self.next(end)?;
            match byte {
                b',' => at = end + 1,
                b'}' => return Some((end + 1, known)),
                _ => return None,
            }
        }
    }

    /// The name of a member, and past its colon.
    #[inline(always)]
    fn name(&self, at: usize) -> Option<(&'a str, usize)> {
        let (start, _) = self.next(at).filter(|(_, byte)| *byte == b'"')?;
        let end = quote_or_escape(self.text.as_bytes(), start + 1)?;
        let name = self.text.get(start + 1..end)?;
        let (colon, _) = self.next(end + 1).filter(|(_, byte)| *byte == b':')?;
        (self.text.as_bytes()[end] == b'"').then_some((name, colon + 1))
    }

    /// A number that is surely a quantity, and past it.
    #[inline(always)]
    fn number(&self, at: usize) -> Option<(u64, usize)> {
        let word = self.text.as_bytes().get(at..)?;
        let length = word_length(word);
        if length > PLAIN_DIGITS {
            return None;
        }
        let mut sum = 0;
        for byte in &word[..length] {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            sum = sum * 10 + u64::from(digit);
        }
        Some((sum, at + length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    /// Figures of both ways: the short one may give up, and never differ.
    fn check(text: &str, plain: bool) {
        let short = read(text);
        assert_eq!(short.is_some(), plain, "{text}");
        let Some(short) = short else { return };
        let value = Value::parse_text(text, &mut Vec::new()).unwrap();
        let long = Figures::read(&value, &CHAT).unwrap();
        assert_eq!(format!("{short:?}"), format!("{long:?}"), "{text}");
    }

    #[test]
    fn plain_objects_read_as_the_long_way_does() {
        let openai = r#"{"prompt_tokens":1250,"completion_tokens":150,"total_tokens":1400,
            "prompt_tokens_details":{"cached_tokens":1024,"audio_tokens":0},
            "completion_tokens_details":{"reasoning_tokens":7,"audio_tokens":0,
            "accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;
        let deep =
            r#"{"completion_tokens":1,"prompt_tokens_details":{"cached_tokens_details":{"audio_tokens":2}}}"#;
        let alias = r#"{"prompt_tokens":9,"cached_tokens":3,"prompt_tokens_details":{"cached_tokens":8}}"#;
        for text in [openai, deep, alias, "{ \"prompt_tokens\" : 007 }"] {
            check(text, true);
        }
    }

    #[test]
    fn what_is_not_plain_is_left_alone() {
        for text in [
            "{}",
            "{\"prompt_tokens\":}",
            "{\"prompt_tokens\":1",
            "{\"prompt_tokens\":1}x",
            "{\"prompt_tokens\":1,}",
            "{\"prompt_tokens\":1.0}",
            "{\"prompt_tokens\":1e3}",
            "{\"prompt_tokens\":-1}",
            "{\"prompt_tokens\":\"1\"}",
            "{\"prompt_tokens\":null}",
            "{\"prompt_tokens\":{}}",
            "{\"prompt_tokens\":{\"cached_tokens\":1}}",
            "{\"prompt_tokens\":1000000000000000}",
            "{\"prompt\\u005ftokens\":1}",
            "{\"prompt_tokens\":1,\"prompt_tokens\":2}",
            "{\"prompt_tokens\":1,\"cost_in_usd_ticks\":2}",
            "{\"prompt_tokens\":1,\"cost\":{\"total_cost\":2}}",
            "{\"prompt_tokens\":1,\"prompt_audio_seconds\":2}",
            "{\"prompt_tokens\":1,\"service_tier\":\"flex\"}",
            "{\"prompt_tokens\":1,\"iterations\":[]}",
            "{\"total_tokens\":1}",
            "{\"input_tokens\":1}",
        ] {
            check(text, false);
        }
    }
}
