//! Raw usage texts taken apart: the same members come back call after call and only the numbers
//! differ, so the text with its numbers cut out (the template) is stored once, the numbers per call.
//!
//! The cut is purely textual and restores every byte, whatever the text is. This module must
//! never know what the members mean.

use crate::pack::{Packer, Unpacker, damaged};
use tollbook_store::StoreError;

/// Stands for a number without leading zeros.
const PLAIN: u8 = 1;
/// Stands for digits that start with zeros, whose count is stored too.
const PADDED: u8 = 2;
/// Digits that surely fit 64 bits.
const DIGITS_MAX: usize = 19;
/// A longer text is not worth taking apart.
const TEMPLATE_BYTES_MAX: usize = 4_096;

/// Appends the template of a text to `template` and its numbers to `numbers`; the template is
/// UTF-8. False, and nothing done, when the text cannot be taken apart.
pub(crate) fn cut(text: &str, template: &mut Vec<u8>, numbers: &mut Packer) -> bool {
    let bytes = text.as_bytes();
    let marked = bytes.iter().fold(false, |found, byte| found | (*byte == PLAIN) | (*byte == PADDED));
    if bytes.len() > TEMPLATE_BYTES_MAX || marked {
        return false;
    }
    let (mut at, mut copied) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'"' {
            at = after_string(bytes, at + 1);
            continue;
        }
        if !byte.is_ascii_digit() {
            at += 1;
            continue;
        }
        template.extend_from_slice(&bytes[copied..at]);
        let (start, mut value) = (at, 0_u64);
        while let Some(digit) = bytes.get(at).filter(|byte| byte.is_ascii_digit()) {
            // Too many digits wrap and are not used.
            value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            at += 1;
        }
        copied = at;
        let length = at - start;
        if length > DIGITS_MAX {
            template.extend_from_slice(&bytes[start..at]);
        } else if bytes[start] == b'0' && length > 1 {
            template.push(PADDED);
            numbers.uint(length as u64);
            numbers.uint(value);
        } else {
            template.push(PLAIN);
            numbers.uint(value);
        }
    }
    template.extend_from_slice(&bytes[copied..]);
    true
}

/// The first place after a string, which goes on at a place; what is escaped in it cannot end it.
fn after_string(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

/// The text again.
pub(crate) fn fill(template: &str, numbers: &mut Unpacker<'_>) -> Result<String, StoreError> {
    let mut text = String::with_capacity(template.len() + 16);
    for part in template.split_inclusive([char::from(PLAIN), char::from(PADDED)]) {
        let bytes = part.as_bytes();
        match bytes.last() {
            Some(&PLAIN) => {
                text.push_str(&part[..part.len() - 1]);
                text.push_str(&numbers.uint()?.to_string());
            }
            Some(&PADDED) => {
                text.push_str(&part[..part.len() - 1]);
                let length = usize::try_from(numbers.uint()?).map_err(|_| damaged())?;
                if length > DIGITS_MAX {
                    return Err(damaged());
                }
                let digits = numbers.uint()?;
                text.push_str(&format!("{digits:0length$}"));
            }
            _ => text.push_str(part),
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(text: &str) -> Option<String> {
        let mut numbers = Packer::default();
        let mut template = Vec::new();
        if !cut(text, &mut template, &mut numbers) {
            return None;
        }
        let template = String::from_utf8(template).unwrap();
        let mut unpacker = Unpacker::new(&numbers.bytes);
        let back = fill(&template, &mut unpacker).unwrap();
        assert_eq!(back, text);
        assert!(unpacker.is_empty());
        Some(template)
    }

    #[test]
    fn the_same_members_have_one_template() {
        let one =
            round_trip(r#"{"prompt_tokens":12,"cost":0.00050,"t1":"x 7 \" 8","big":123456789012345678901}"#);
        let two =
            round_trip(r#"{"prompt_tokens":3456,"cost":1.07,"t1":"x 7 \" 8","big":123456789012345678901}"#);
        assert!(one.is_some() && two.is_some());
        assert_eq!(round_trip("{\"a\":1}"), round_trip("{\"a\":99}"));
        assert_eq!(round_trip("\u{1}"), None);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(\\PC{0,60}|[0-9.eE+\\-\"\\\\,:{} \n]{0,60})") {
            round_trip(&text);
        }
    }
}
