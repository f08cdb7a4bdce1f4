//! Writes OTLP's log records and their attributes in protobuf's wire format.

pub(super) use eyepiece_hubble::wire::{varint, varint_len};

/// Tag of a length-delimited field below 16.
pub(super) const fn tag_bytes(field: u8) -> u8 {
    field << 3 | 2
}

/// Tag of a varint field below 16.
pub(super) const fn tag_varint(field: u8) -> u8 {
    field << 3
}

/// Tag of a 64-bit field below 16.
pub(super) const fn tag_fixed64(field: u8) -> u8 {
    field << 3 | 1
}

/// Appends a length-delimited field.
pub(super) fn bytes(out: &mut Vec<u8>, field: u8, value: &[u8]) {
    out.push(tag_bytes(field));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Bytes of a length-delimited field of this many bytes.
pub(super) const fn bytes_len(value: usize) -> usize {
    1 + varint_len(value as u64) + value
}

/// Appends the head of a `LogRecord`: time of the event and of its receipt (ns since the Unix epoch), severity number and
/// text, body, and event name.
#[inline]
pub(super) fn record(
    out: &mut Vec<u8>,
    (time, observed): (u64, u64),
    (number, severity): (u8, &str),
    body: &str,
    event: &str,
) {
    out.push(tag_fixed64(1));
    out.extend_from_slice(&time.to_le_bytes());
    out.push(tag_fixed64(11));
    out.extend_from_slice(&observed.to_le_bytes());
    out.extend_from_slice(&[tag_varint(2), number]);
    bytes(out, 3, severity.as_bytes());
    out.push(tag_bytes(5));
    varint(out, bytes_len(body.len()) as u64);
    bytes(out, 1, body.as_bytes());
    bytes(out, 12, event.as_bytes());
}

/// Field number of `LogRecord.attributes`, and of `Resource.attributes` 1 instead.
pub(super) const RECORD_ATTRIBUTES: u8 = 6;

// common.v1: KeyValue { key = 1, value = 2 }; AnyValue { string = 1, bool = 2, int = 3, double = 4, array = 5,
// kvlist = 6 }; ArrayValue { values = 1 }; KeyValueList { values = 1 }.
const KEY: u8 = tag_bytes(1);
const VALUE: u8 = tag_bytes(2);
const STRING: u8 = tag_bytes(1);
const BOOL: u8 = tag_varint(2);
const INT: u8 = tag_varint(3);
const ARRAY: u8 = tag_bytes(5);
const MAP: u8 = tag_bytes(6);
/// Field number of `KeyValueList.values`.
pub(super) const MAP_ATTRIBUTES: u8 = 1;

/// Opens a `KeyValue` in `field`. The caller appends the `any` bytes of its `AnyValue`.
fn key_value(out: &mut Vec<u8>, field: u8, key: &str, any: usize) {
    let length = bytes_len(key.len()) + bytes_len(any);
    if length < 0x80 {
        // All lengths take one byte, as for nearly every attribute.
        out.extend_from_slice(&[tag_bytes(field), length as u8, KEY, key.len() as u8]);
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&[VALUE, any as u8]);
        return;
    }
    out.push(tag_bytes(field));
    varint(out, length as u64);
    bytes(out, 1, key.as_bytes());
    out.push(VALUE);
    varint(out, any as u64);
}

/// Appends an attribute with a text.
pub(super) fn string(out: &mut Vec<u8>, field: u8, key: &str, value: &[u8]) {
    key_value(out, field, key, bytes_len(value.len()));
    out.push(STRING);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Appends an attribute with a number. OTLP's numbers are signed: a larger one becomes `i64::MAX`.
pub(super) fn int(out: &mut Vec<u8>, field: u8, key: &str, value: u64) {
    let value = value.min(i64::MAX as u64);
    key_value(out, field, key, 1 + varint_len(value));
    out.push(INT);
    varint(out, value);
}

/// Appends an attribute with a signed number; a negative one takes ten bytes.
pub(super) fn signed(out: &mut Vec<u8>, field: u8, key: &str, value: i64) {
    let value = value.cast_unsigned();
    key_value(out, field, key, 1 + varint_len(value));
    out.push(INT);
    varint(out, value);
}

/// Appends an attribute with a boolean.
pub(super) fn bool(out: &mut Vec<u8>, field: u8, key: &str, value: bool) {
    key_value(out, field, key, 2);
    out.extend_from_slice(&[BOOL, u8::from(value)]);
}

/// Appends an attribute with a list of short texts (each below 120 bytes).
pub(super) fn strings<'a>(out: &mut Vec<u8>, field: u8, key: &str, values: impl Iterator<Item = &'a str> + Clone) {
    let array: usize = values.clone().map(|value| bytes_len(bytes_len(value.len()))).sum();
    key_value(out, field, key, bytes_len(array));
    out.push(ARRAY);
    varint(out, array as u64);
    for value in values {
        debug_assert!(value.len() < 120, "lengths of one byte");
        out.extend_from_slice(&[tag_bytes(1), value.len() as u8 + 2, STRING, value.len() as u8]);
        out.extend_from_slice(value.as_bytes());
    }
}

/// Appends an attribute with a list of texts of any length, unless it is empty.
pub(super) fn texts<'a>(out: &mut Vec<u8>, field: u8, key: &str, values: impl Iterator<Item = &'a str> + Clone) {
    let any = |value: &str| bytes_len(value.len());
    let array: usize = values.clone().map(|value| bytes_len(any(value))).sum();
    if array == 0 {
        return;
    }
    key_value(out, field, key, bytes_len(array));
    out.push(ARRAY);
    varint(out, array as u64);
    for value in values {
        out.push(tag_bytes(1));
        varint(out, any(value) as u64);
        bytes(out, 1, value.as_bytes());
    }
}

/// Appends an attribute with a map, whose entries are attributes in the field [`MAP_ATTRIBUTES`], encoded already.
pub(super) fn map(out: &mut Vec<u8>, field: u8, key: &str, entries: &[u8]) {
    key_value(out, field, key, bytes_len(entries.len()));
    out.push(MAP);
    varint(out, entries.len() as u64);
    out.extend_from_slice(entries);
}

/// Appends an attribute of a log record unless the number is 0, which stands for "unknown" or "none".
#[inline]
pub(super) fn int_if_known(out: &mut Vec<u8>, name: &str, value: impl Into<u64>) {
    let value = value.into();
    if value != 0 {
        int(out, RECORD_ATTRIBUTES, name, value);
    }
}

/// Appends an attribute of a log record unless the text is empty.
#[inline]
pub(super) fn string_if_known(out: &mut Vec<u8>, name: &str, value: &str) {
    if !value.is_empty() {
        string(out, RECORD_ATTRIBUTES, name, value.as_bytes());
    }
}

/// Appends an attribute of a log record unless the list is empty.
pub(super) fn texts_if_known(out: &mut Vec<u8>, name: &str, values: &[String]) {
    texts(out, RECORD_ATTRIBUTES, name, values.iter().map(String::as_str));
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
    use opentelemetry_proto::tonic::logs::v1::LogRecord;
    use prost::Message as _;

    use super::{MAP_ATTRIBUTES, RECORD_ATTRIBUTES, bool, int, map, signed, string, strings, texts};

    #[test]
    fn attributes_of_every_length_decode() {
        for length in [0, 1, 50, 100, 119, 120, 121, 126, 127, 128, 129, 16_380, 16_384, 70_000] {
            let (text, key) = ("v".repeat(length), "k".repeat(length.max(1)));
            let mut out = Vec::new();
            string(&mut out, RECORD_ATTRIBUTES, &key, text.as_bytes());
            int(&mut out, RECORD_ATTRIBUTES, &key, length as u64);
            int(&mut out, RECORD_ATTRIBUTES, "max", u64::MAX);
            signed(&mut out, RECORD_ATTRIBUTES, "min", i64::MIN);
            bool(&mut out, RECORD_ATTRIBUTES, "yes", true);
            let flags = vec!["SYN"; length.min(60)];
            strings(&mut out, RECORD_ATTRIBUTES, "flags", flags.iter().copied());
            let long = [text.as_str(), "", "SYN"];
            texts(&mut out, RECORD_ATTRIBUTES, "texts", long.iter().copied());
            texts(&mut out, RECORD_ATTRIBUTES, "none", [].into_iter());
            let mut entries = Vec::new();
            string(&mut entries, MAP_ATTRIBUTES, "inner", text.as_bytes());
            map(&mut out, RECORD_ATTRIBUTES, "map", &entries);
            let record = LogRecord::decode(out.as_slice()).unwrap();
            assert_eq!(record.encode_to_vec(), out, "prost's encoding");
            let value = |value| Some(AnyValue { value: Some(value) });
            let array = |texts: &[&str]| {
                let values = texts.iter().filter_map(|&text| value(Value::StringValue(text.into()))).collect();
                value(Value::ArrayValue(ArrayValue { values }))
            };
            let inner_value = value(Value::StringValue(text.clone()));
            let inner = KeyValue { key: "inner".into(), value: inner_value, ..KeyValue::default() };
            let expected = [
                (key.clone(), value(Value::StringValue(text.clone()))),
                (key, value(Value::IntValue(length as i64))),
                ("max".into(), value(Value::IntValue(i64::MAX))),
                ("min".into(), value(Value::IntValue(i64::MIN))),
                ("yes".into(), value(Value::BoolValue(true))),
                ("flags".into(), array(&flags)),
                ("texts".into(), array(&long)),
                ("map".into(), value(Value::KvlistValue(KeyValueList { values: vec![inner] }))),
            ];
            let got: Vec<_> = record.attributes.into_iter().map(|kv| (kv.key, kv.value)).collect();
            assert_eq!(got, expected, "{length}");
        }
    }
}
