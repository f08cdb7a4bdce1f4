//! Protobuf's wire format: appends fields, and iterates over the fields of encoded messages.

use std::fmt;

/// Wire type of numbers, booleans and enums.
pub const VARINT: u32 = 0;
/// Wire type of 64-bit numbers of fixed length.
pub const FIXED64: u32 = 1;
/// Wire type of texts, bytes and messages.
pub const BYTES: u32 = 2;
/// Wire type of 32-bit numbers of fixed length.
pub const FIXED32: u32 = 5;

/// Returns the bytes of a varint: 1 to 10.
pub const fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Appends a number as a varint.
#[inline]
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a field's key: its number and wire type.
#[inline]
pub fn key(out: &mut Vec<u8>, field: u32, wire_type: u32) {
    let key = field << 3 | wire_type;
    // Field numbers are constants at every call: one of these branches remains.
    if key < 0x80 {
        out.push(key as u8);
    } else if key < 0x4000 {
        out.extend_from_slice(&[key as u8 | 0x80, (key >> 7) as u8]);
    } else {
        varint(out, key.into());
    }
}

/// Appends an unsigned number; nothing for 0, as in proto3.
#[inline]
pub fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        key(out, field, VARINT);
        varint(out, value);
    }
}

/// Appends a signed number or an enum; nothing for 0. A negative one takes ten bytes.
#[inline]
pub fn signed(out: &mut Vec<u8>, field: u32, value: i64) {
    number(out, field, value.cast_unsigned());
}

/// Appends a boolean; nothing for false.
#[inline]
pub fn boolean(out: &mut Vec<u8>, field: u32, value: bool) {
    number(out, field, u64::from(value));
}

/// Appends bytes or an encoded message, even if empty.
#[inline]
pub fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends a text; nothing for an empty one.
#[inline]
pub fn text(out: &mut Vec<u8>, field: u32, value: &str) {
    if !value.is_empty() {
        bytes(out, field, value.as_bytes());
    }
}

/// Appends a list of texts, including empty ones.
pub fn texts(out: &mut Vec<u8>, field: u32, values: &[String]) {
    for value in values {
        bytes(out, field, value.as_bytes());
    }
}

/// Appends a message with the content that `body` writes, even if empty.
#[inline]
pub fn message(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    nested::<1>(out, field, body);
}

/// As [`message`], for messages of usually 128 bytes or more: the content is then not moved.
#[inline]
pub fn long_message(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    nested::<2>(out, field, body);
}

/// Appends the text that `write` writes; nothing if it is empty.
#[inline]
pub fn written(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Text<'_>)) {
    let start = out.len();
    message(out, field, |out| write(&mut Text(out)));
    if out.last() == Some(&0) && out.len() == start + key_len(field) + 1 {
        out.truncate(start);
    }
}

const fn key_len(field: u32) -> usize {
    varint_len((field as u64) << 3)
}

#[inline]
fn nested<const LENGTH: usize>(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    key(out, field, BYTES);
    out.extend_from_slice(&[0; LENGTH]);
    let start = out.len();
    body(out);
    let length = out.len() - start;
    if LENGTH == 1 && length < 0x80 {
        out[start - 1] = length as u8;
    } else if LENGTH == 2 && (0x80..0x4000).contains(&length) {
        out[start - 2] = length as u8 | 0x80;
        out[start - 1] = (length >> 7) as u8;
    } else {
        let mut prefix = Vec::with_capacity(10);
        varint(&mut prefix, length as u64);
        out.splice(start - LENGTH..start, prefix);
    }
}

/// A writer that appends text to bytes.
#[derive(Debug)]
pub struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    #[inline]
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// One field of an encoded message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its number.
    pub number: u32,
    /// Its wire type.
    pub wire_type: u32,
    /// Start of its value, after key and length.
    pub value: usize,
    /// Start of the next field.
    pub end: usize,
}

/// Returns the field at the start of `encoded`; offsets count from there. Returns `None` at the end and for invalid bytes:
/// truncated ones, or a group, which proto3 does not have.
pub fn field(encoded: &[u8]) -> Option<Field> {
    let (key, at) = take_varint(encoded, 0)?;
    let key = u32::try_from(key).ok()?;
    let (number, wire_type) = (key >> 3, key & 7);
    let (value, length) = match wire_type {
        VARINT => (at, take_varint(encoded, at)?.1 - at),
        FIXED64 => (at, 8),
        FIXED32 => (at, 4),
        BYTES => {
            let (length, at) = take_varint(encoded, at)?;
            (at, usize::try_from(length).ok()?)
        }
        _ => return None,
    };
    let end = value.checked_add(length).filter(|&end| end <= encoded.len())?;
    (number != 0).then_some(Field { number, wire_type, value, end })
}

/// Iterates over fields and their values, up to the end or to invalid bytes. Offsets count from the start of each field.
pub fn fields(mut encoded: &[u8]) -> impl Iterator<Item = (Field, &[u8])> {
    std::iter::from_fn(move || {
        let field = field(encoded)?;
        let value = &encoded[field.value..field.end];
        encoded = &encoded[field.end..];
        Some((field, value))
    })
}

/// Reads a varint; returns it with the offset of the next byte.
fn take_varint(encoded: &[u8], mut at: usize) -> Option<(u64, usize)> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = *encoded.get(at)?;
        at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use prost::Message as _;

    use super::{BYTES, Field, VARINT, field, long_message, message, number, texts, varint, varint_len, written};
    use crate::proto::flow::Policy;

    #[test]
    fn varint_has_expected_bytes() {
        for (value, expected) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 1]),
            (u64::MAX, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            varint(&mut out, value);
            assert_eq!((out.as_slice(), out.len()), (expected, varint_len(value)), "{value}");
        }
    }

    #[test]
    fn messages_of_every_length_decode() {
        for length in [0, 1, 100, 126, 127, 128, 129, 16_380, 16_383, 16_384, 70_000] {
            let content = vec![7; length];
            let mut expected = vec![9, 3 << 3 | 2];
            varint(&mut expected, length as u64);
            expected.extend_from_slice(&content);
            let (mut short, mut long) = (vec![9], vec![9]);
            message(&mut short, 3, |out| out.extend_from_slice(&content));
            long_message(&mut long, 3, |out| out.extend_from_slice(&content));
            assert_eq!((&short, &long), (&expected, &expected), "{length}");
            let value = expected.len() - 1 - length;
            assert_eq!(field(&expected[1..]), Some(Field { number: 3, wire_type: BYTES, value, end: value + length }));
            assert!(field(&expected[1..expected.len() - 1]).is_none(), "{length}, cut short");
        }
    }

    #[test]
    fn fields_equal_those_of_prost() {
        let policy = Policy {
            name: "a".repeat(200),
            labels: vec!["x".into(), String::new()],
            revision: u64::MAX,
            kind: "k".into(),
            ..Policy::default()
        };
        let mut out = Vec::new();
        written(&mut out, 1, |out| out.write_str(&policy.name).unwrap());
        written(&mut out, 2, |_| ());
        texts(&mut out, 3, &policy.labels);
        number(&mut out, 4, policy.revision);
        written(&mut out, 5, |out| out.write_char('k').unwrap());
        assert_eq!(out, policy.encode_to_vec());
    }

    #[test]
    fn invalid_field_is_none() {
        for (bytes, expected) in [
            (&[][..], None),
            (&[0x08], None),
            (&[0x00, 0x00], None),
            (&[0x0b, 0x0c], None),
            (&[0x08, 0xff], None),
            (&[0x0a, 0x02, 0x00], None),
            (&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], None),
            (&[0xff; 11], None),
            (&[0x08, 0x96, 0x01, 0x00], Some(Field { number: 1, wire_type: VARINT, value: 1, end: 3 })),
        ] {
            assert_eq!(field(bytes), expected, "{bytes:02x?}");
        }
    }
}
