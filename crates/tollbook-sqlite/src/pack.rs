//! Compact bytes: variable-length integers, texts that are mostly identifiers, and reading them
//! back without ever trusting them. This module must never know what the bytes stand for.

use tollbook_store::StoreError;

/// Appends to a byte vector.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    pub(crate) bytes: Vec<u8>,
}

impl Packer {
    /// Seven bits a byte, lowest first.
    pub(crate) fn uint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Zigzag: small magnitudes are short.
    pub(crate) fn int(&mut self, value: i128) {
        let mut rest = ((value << 1) ^ (value >> 127)) as u128;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    /// A length and the bytes.
    pub(crate) fn blob(&mut self, value: &[u8]) {
        self.uint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// A text, in the shortest of four forms; see [`Unpacker::text`].
    pub(crate) fn text(&mut self, value: &str) {
        if let Some(uuid) = uuid_bytes(value) {
            self.uint(FORM_UUID);
            self.bytes.extend_from_slice(&uuid);
            return;
        }
        let bytes = value.as_bytes();
        let length = (bytes.len() as u64) << 2;
        let prefix = bytes.iter().position(|b| *b == b'_' || *b == b'-').map_or(0, |at| at + 1);
        let tail = &bytes[prefix..];
        if prefix < 16
            && tail.len() >= 8
            && tail.len().is_multiple_of(2)
            && tail.iter().all(|b| hex_value(*b).is_some())
        {
            self.uint(length | FORM_HEX);
            self.bytes.push(prefix as u8);
            self.bytes.extend_from_slice(&bytes[..prefix]);
            for pair in tail.chunks_exact(2) {
                let (high, low) = (hex_value(pair[0]).unwrap_or(0), hex_value(pair[1]).unwrap_or(0));
                self.bytes.push(high << 4 | low);
            }
        } else if bytes.len() >= 4 && bytes.iter().all(|b| six_bits(*b).is_some()) {
            self.uint(length | FORM_SIX_BITS);
            self.six_bits(bytes);
        } else {
            self.uint(length | FORM_PLAIN);
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn six_bits(&mut self, bytes: &[u8]) {
        let (mut held, mut count) = (0_u32, 0);
        for byte in bytes {
            held = held << 6 | u32::from(six_bits(*byte).unwrap_or(0));
            count += 6;
            if count >= 8 {
                count -= 8;
                self.bytes.push((held >> count) as u8);
                held &= (1 << count) - 1;
            }
        }
        if count > 0 {
            self.bytes.push((held << (8 - count)) as u8);
        }
    }
}

const FORM_PLAIN: u64 = 0;
const FORM_UUID: u64 = 1;
const FORM_SIX_BITS: u64 = 2;
const FORM_HEX: u64 = 3;
const ALPHABET: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// By byte: its place in the alphabet, or 255.
const PLACES: [u8; 256] = {
    let mut places = [255; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(place) = place(byte as u8) {
            places[byte] = place;
        }
        byte += 1;
    }
    places
};

/// The place of a byte in an alphabet that is in ASCII order.
pub(crate) fn six_bits(byte: u8) -> Option<u8> {
    Some(PLACES[usize::from(byte)]).filter(|place| *place != 255)
}

const fn place(byte: u8) -> Option<u8> {
    match byte {
        b'-' => Some(0),
        b'0'..=b'9' => Some(byte - b'0' + 1),
        b'A'..=b'Z' => Some(byte - b'A' + 11),
        b'_' => Some(37),
        b'a'..=b'z' => Some(byte - b'a' + 38),
        _ => None,
    }
}

const fn hex_value(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

/// The bytes of a UUID in its canonical form (lower case, hyphens), and only of that form.
pub(crate) fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    if [8, 13, 18, 23].iter().any(|at| bytes[*at] != b'-') {
        return None;
    }
    /// Where the pairs of digits stand.
    const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    let mut uuid = [0; 16];
    let mut wrong = 0;
    for (byte, at) in uuid.iter_mut().zip(PAIRS) {
        let [high, low] = [bytes[at], bytes[at + 1]].map(|digit| DIGITS[usize::from(digit)]);
        wrong |= high | low;
        *byte = high << 4 | low & 15;
    }
    (wrong < 16).then_some(uuid)
}

/// By byte: the value of a lower-case hexadecimal digit, or 255.
const DIGITS: [u8; 256] = {
    let mut digits = [255; 256];
    let mut byte = 0;
    while byte < 256 {
        if let Some(value) = hex_value(byte as u8) {
            digits[byte] = value;
        }
        byte += 1;
    }
    digits
};

/// The canonical form of a UUID.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(36);
    for (at, byte) in uuid.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(HEX[usize::from(byte >> 4)]));
        text.push(char::from(HEX[usize::from(byte & 15)]));
    }
    text
}

/// Reads what a [`Packer`] wrote; anything else is [`StoreError::Corrupt`].
#[derive(Debug)]
pub(crate) struct Unpacker<'a> {
    rest: &'a [u8],
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        Unpacker { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], StoreError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StoreError> {
        let (first, rest) = self.rest.split_first().ok_or_else(damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    pub(crate) fn sixteen(&mut self) -> Result<[u8; 16], StoreError> {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(self.take(16)?);
        Ok(bytes)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, StoreError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(damaged());
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    pub(crate) fn int(&mut self) -> Result<i128, StoreError> {
        let mut value = 0_u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if shift == 126 && part > 3 {
                return Err(damaged());
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok((value >> 1) as i128 ^ -((value & 1) as i128));
            }
        }
        Err(damaged())
    }

    pub(crate) fn blob(&mut self) -> Result<&'a [u8], StoreError> {
        let length = usize::try_from(self.uint()?).map_err(|_| damaged())?;
        self.take(length)
    }

    /// A text: its length in characters and its form, then plain UTF-8, the 16 bytes of a UUID,
    /// six bits a character, or a short prefix with pairs of hexadecimal digits.
    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        let head = self.uint()?;
        let length = usize::try_from(head >> 2).map_err(|_| damaged())?;
        match head & 3 {
            FORM_UUID => Ok(uuid_text(&self.sixteen()?)),
            FORM_SIX_BITS => self.six_bits(length),
            FORM_HEX => self.hex(length),
            _ => Ok(std::str::from_utf8(self.take(length)?).map_err(|_| damaged())?.to_owned()),
        }
    }

    fn six_bits(&mut self, length: usize) -> Result<String, StoreError> {
        let packed = self.take(length.checked_mul(6).ok_or_else(damaged)?.div_ceil(8))?;
        let mut text = String::with_capacity(length);
        let (mut held, mut count) = (0_u32, 0);
        let mut bytes = packed.iter();
        for _ in 0..length {
            if count < 6 {
                held = held << 8 | u32::from(*bytes.next().ok_or_else(damaged)?);
                count += 8;
            }
            count -= 6;
            text.push(char::from(ALPHABET[(held >> count) as usize & 63]));
            held &= (1 << count) - 1;
        }
        Ok(text)
    }

    fn hex(&mut self, length: usize) -> Result<String, StoreError> {
        let prefix = usize::from(self.byte()?);
        let tail = length.checked_sub(prefix).ok_or_else(damaged)?;
        let mut text = std::str::from_utf8(self.take(prefix)?).map_err(|_| damaged())?.to_owned();
        for byte in self.take(tail / 2)? {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        Ok(text)
    }
}

/// The error for bytes that no [`Packer`] wrote.
pub(crate) fn damaged() -> StoreError {
    StoreError::Corrupt("a packed value does not decode".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_come_back(unsigned: u64, signed: i128) {
            let mut packer = Packer::default();
            packer.uint(unsigned);
            packer.int(signed);
            let mut unpacker = Unpacker::new(&packer.bytes);
            prop_assert_eq!(unpacker.uint().unwrap(), unsigned);
            prop_assert_eq!(unpacker.int().unwrap(), signed);
            prop_assert!(unpacker.is_empty());
        }

        #[test]
        fn texts_come_back(text in "(\\PC{0,40}|[-_a-zA-Z0-9]{0,60}|[a-z]{0,5}_[0-9a-f]{0,50}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})") {
            let mut packer = Packer::default();
            packer.text(&text);
            let mut unpacker = Unpacker::new(&packer.bytes);
            prop_assert_eq!(unpacker.text().unwrap(), text);
            prop_assert!(unpacker.is_empty());
        }

        #[test]
        fn damage_is_an_error_not_a_panic(bytes: Vec<u8>) {
            let _ = Unpacker::new(&bytes).text();
            let _ = Unpacker::new(&bytes).int();
            let _ = Unpacker::new(&bytes).uint();
            let _ = Unpacker::new(&bytes).blob();
        }
    }
}
