//! Limits of a log record's attributes, by OpenTelemetry's specification. They are applied to the encoded record, so that
//! encoding without limits costs nothing for them.

use eyepiece_hubble::wire::{bytes, field, message, number};
use tracing::warn;

use super::wire::{MAP_ATTRIBUTES, RECORD_ATTRIBUTES};

/// The limits of each record; `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Attributes of a record. Further ones are dropped, and counted in the record.
    pub count: Option<u32>,
    /// Characters of a text, of a list's texts and of a map's texts each. Longer ones are cut.
    pub value_length: Option<u32>,
}

/// Field number of `LogRecord.dropped_attributes_count`.
const DROPPED_ATTRIBUTES_COUNT: u32 = 7;
/// Field number of `LogRecord.attributes`.
const ATTRIBUTES: u32 = RECORD_ATTRIBUTES as u32;
/// Field number of `KeyValueList.values`.
const ENTRIES: u32 = MAP_ATTRIBUTES as u32;

// Field numbers of common.v1: of KeyValue, of AnyValue, of ArrayValue.
const VALUE: u32 = 2;
const STRING: u32 = 1;
const ARRAY: u32 = 5;
const MAP: u32 = 6;
const ELEMENTS: u32 = 1;

/// Bytes of the buffer that remain after a larger record: more than an ordinary record has.
const BUFFER: usize = 64 * 1024;

/// Applies limits to records, with a shared buffer.
#[derive(Debug)]
pub(super) struct Limiter {
    limits: AttributeLimits,
    buffer: Vec<u8>,
    is_logged: bool,
}

impl Limiter {
    /// Returns `None` if nothing is limited.
    pub(super) fn new(limits: AttributeLimits) -> Option<Self> {
        let is_limited = limits != AttributeLimits::default();
        is_limited.then(|| Self { limits, buffer: Vec::new(), is_logged: false })
    }

    /// Replaces an encoded `LogRecord` by the limited one. The first attributes are kept, in their order.
    pub(super) fn apply(&mut self, record: &mut Vec<u8>) {
        let AttributeLimits { count, value_length } = self.limits;
        let (mut kept, mut dropped) = (0_u32, 0_u64);
        for part in parts(record) {
            if part.number != ATTRIBUTES {
                self.buffer.extend_from_slice(part.whole);
                continue;
            }
            if count == Some(kept) {
                dropped += 1;
                continue;
            }
            kept += 1;
            match value_length {
                Some(length) => {
                    message(&mut self.buffer, ATTRIBUTES, |out| key_value(part.value, length as usize, out));
                }
                None => self.buffer.extend_from_slice(part.whole),
            }
        }
        number(&mut self.buffer, DROPPED_ATTRIBUTES_COUNT, dropped);
        if dropped > 0 && !std::mem::replace(&mut self.is_logged, true) {
            warn!("log records have more attributes than otlp.logs.attribute_count_limit: further ones are dropped");
        }
        std::mem::swap(record, &mut self.buffer);
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER);
    }
}

/// A field of an encoded message.
struct Part<'a> {
    number: u32,
    value: &'a [u8],
    /// The value with key and length.
    whole: &'a [u8],
}

/// The fields of a message of ours.
fn parts(mut encoded: &[u8]) -> impl Iterator<Item = Part<'_>> {
    std::iter::from_fn(move || {
        let field = field(encoded)?;
        let (whole, rest) = encoded.split_at(field.end);
        encoded = rest;
        Some(Part { number: field.number, value: &whole[field.value..], whole })
    })
}

/// Appends the content of a `KeyValue` with its texts cut.
fn key_value(encoded: &[u8], length: usize, out: &mut Vec<u8>) {
    for part in parts(encoded) {
        match part.number {
            VALUE => message(out, VALUE, |out| any_value(part.value, length, out)),
            _ => out.extend_from_slice(part.whole),
        }
    }
}

/// Appends the content of an `AnyValue` with its texts cut.
fn any_value(encoded: &[u8], length: usize, out: &mut Vec<u8>) {
    for part in parts(encoded) {
        match part.number {
            STRING => bytes(out, STRING, cut(part.value, length)),
            ARRAY => message(out, ARRAY, |out| {
                for element in parts(part.value) {
                    message(out, ELEMENTS, |out| any_value(element.value, length, out));
                }
            }),
            MAP => message(out, MAP, |out| {
                for entry in parts(part.value) {
                    message(out, ENTRIES, |out| key_value(entry.value, length, out));
                }
            }),
            _ => out.extend_from_slice(part.whole),
        }
    }
}

/// The first characters of a text in UTF-8.
fn cut(text: &[u8], length: usize) -> &[u8] {
    if text.len() <= length {
        return text;
    }
    // Every byte but 10xxxxxx starts a character.
    let mut starts = text.iter().enumerate().filter(|(_, byte)| *byte & 0b1100_0000 != 0b1000_0000);
    starts.nth(length).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use prost::Message as _;

    use super::super::wire::{self, MAP_ATTRIBUTES, RECORD_ATTRIBUTES};
    use super::{AttributeLimits, Limiter, cut};

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, length, expected) in [
            ("", 0, ""),
            ("abc", 0, ""),
            ("abc", 2, "ab"),
            ("abc", 3, "abc"),
            ("abc", 9, "abc"),
            ("aéb", 1, "a"),
            ("aéb", 2, "aé"),
            ("aéb", 3, "aéb"),
            ("ééé", 3, "ééé"),
            ("日本語", 1, "日"),
            ("😀😀", 1, "😀"),
        ] {
            assert_eq!(std::str::from_utf8(cut(text.as_bytes(), length)), Ok(expected), "{text:?} {length}");
        }
    }

    /// A record with attributes of all types: a text, a number, a boolean, a list and a map with a list.
    fn encoded(texts: [&str; 4]) -> Vec<u8> {
        let ([text, first, second, inner], mut out) = (texts, Vec::new());
        wire::record(&mut out, (1, 2), (9, "INFO"), "a long body", "a.long.event");
        wire::string(&mut out, RECORD_ATTRIBUTES, "a.long.name", text.as_bytes());
        wire::int(&mut out, RECORD_ATTRIBUTES, "number", 123_456);
        wire::bool(&mut out, RECORD_ATTRIBUTES, "truth", true);
        wire::bytes(&mut out, 9, &[7; 16]);
        wire::texts(&mut out, RECORD_ATTRIBUTES, "list", [first, second].into_iter());
        let mut entries = Vec::new();
        wire::string(&mut entries, MAP_ATTRIBUTES, "inner.text", inner.as_bytes());
        wire::texts(&mut entries, MAP_ATTRIBUTES, "inner.list", [inner].into_iter());
        wire::map(&mut out, RECORD_ATTRIBUTES, "map", &entries);
        out
    }

    #[test]
    fn records_keep_first_attributes() {
        let long = "é".repeat(200);
        let given = ["value", "", long.as_str(), "日本語"];
        for (count, value_length, texts, kept) in [
            (None, Some(300), given, 5),
            (None, Some(200), given, 5),
            (None, Some(2), ["va", "", "éé", "日本"], 5),
            (None, Some(0), [""; 4], 5),
            (Some(5), None, given, 5),
            (Some(6), Some(4), ["valu", "", "éééé", "日本語"], 5),
            (Some(4), None, given, 4),
            (Some(1), Some(1), ["v", "", "é", "日"], 1),
            (Some(0), None, given, 0),
        ] {
            let mut limiter = Limiter::new(AttributeLimits { count, value_length }).unwrap();
            let mut expected = LogRecord::decode(encoded(texts).as_slice()).unwrap();
            expected.attributes.truncate(kept);
            expected.dropped_attributes_count = 5 - kept as u32;
            // The second time with buffers that were used before.
            for _ in 0..2 {
                let mut record = encoded(given);
                limiter.apply(&mut record);
                assert_eq!(LogRecord::decode(record.as_slice()), Ok(expected.clone()), "{count:?} {value_length:?}");
            }
        }
        assert!(Limiter::new(AttributeLimits::default()).is_none());
    }

    #[test]
    fn buffer_of_large_record_is_freed() {
        let mut limiter = Limiter::new(AttributeLimits { count: None, value_length: Some(5) }).unwrap();
        let mut record = encoded([&"x".repeat(3 << 20), "", "", ""]);
        limiter.apply(&mut record);
        assert!(record.len() < 300 && limiter.buffer.capacity() <= super::BUFFER, "{}", record.len());
    }
}
