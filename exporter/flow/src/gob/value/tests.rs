//! Values of Go's bytes, of ours, and of any bytes.

use proptest::prelude::*;

use super::*;
use crate::gob::encode::agent_notify;

fn message(out: &mut Vec<u8>, body: &[&[u8]]) {
    let body = body.concat();
    out.push(u8::try_from(body.len()).expect("short"));
    out.extend(body);
}

/// A structure of type 64 with one field `x` of type `id` and the bytes `value` after its delta.
fn field(descriptors: &[&[u8]], id: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for descriptor in descriptors {
        message(&mut bytes, &[descriptor]);
    }
    let id: &[u8] = if id < 64 { &[id * 2] } else { &[0xff, id * 2] };
    message(&mut bytes, &[&[0x7f, 3, 2, 1, 1, 1, b'x', 1], id, &[0, 0, 0]]);
    message(&mut bytes, &[&[0xff, 0x80, 1], value, &[0]]);
    bytes
}

#[track_caller]
fn reads(bytes: &[u8], expected: &Value) {
    let (found, used) = value(bytes).expect("gob");
    assert_eq!(used, bytes.len());
    assert_eq!(found.as_struct().and_then(|found| found.get("x")), Some(expected));
}

#[track_caller]
fn fails(bytes: &[u8], expected: &Fault) {
    assert_eq!(&value(bytes).expect_err("no gob").fault, expected);
}

/// Types 65 to 69: a slice of uint, an array of two strings, a map of string to bytes, an opaque one, a slice of itself.
const SLICE: &[u8] = &[0xff, 129, 2, 2, 6, 0, 0];
const ARRAY: &[u8] = &[0xff, 131, 1, 2, 12, 1, 4, 0, 0];
const MAP: &[u8] = &[0xff, 133, 4, 2, 12, 1, 10, 0, 0];
const OPAQUE: &[u8] = &[0xff, 135, 6, 0, 0];
const NESTED: &[u8] = &[0xff, 137, 2, 2, 0xff, 138, 0, 0];

#[test]
fn value_of_each_form_is_read() {
    let text = |text: &str| Value::Text(text.to_owned());
    reads(&field(&[], 1, &[1]), &Value::Bool(true));
    reads(&field(&[], 2, &[3]), &Value::Int(-2));
    reads(&field(&[], 3, &[0xfe, 1, 44]), &Value::Uint(300));
    reads(&field(&[], 4, &[0xfe, 0x31, 0x40]), &Value::Float(17.0));
    reads(&field(&[], 5, &[2, 0, 255]), &Value::Bytes(vec![0, 255]));
    reads(&field(&[], 6, b"\x02hi"), &text("hi"));
    reads(&field(&[], 6, b"\x01\xff"), &text("\u{fffd}"));
    reads(&field(&[], 7, &[0xfe, 0xf0, 0x3f, 0]), &Value::List(vec![Value::Float(1.0), Value::Float(0.0)]));
    reads(&field(&[], 8, b"\x03int\x04\x02\x00\x06"), &Value::Int(3));
    reads(&field(&[], 8, b"\x00"), &Value::Nil);
    reads(&field(&[SLICE], 65, &[2, 0, 9]), &Value::List(vec![Value::Uint(0), Value::Uint(9)]));
    reads(&field(&[ARRAY], 66, b"\x02\x01a\x00"), &Value::List(vec![text("a"), text("")]));
    reads(&field(&[MAP], 67, b"\x01\x01k\x01v"), &Value::Map(vec![(text("k"), Value::Bytes(b"v".to_vec()))]));
    reads(&field(&[OPAQUE], 68, b"\x02ab"), &Value::Binary(b"ab".to_vec()));
    reads(&field(&[NESTED], 69, &[1, 0]), &Value::List(vec![Value::List(Vec::new())]));
}

#[test]
fn value_need_not_be_a_structure() {
    assert_eq!(value(b"\x05\x0c\x00\x02hi"), Ok((Value::Text("hi".to_owned()), 6)));
    fails(b"\x05\x0c\x01\x02hi", &Fault::Byte { value: 1, wanted: "the zero before a value that is not a structure" });
}

#[test]
fn type_lists_missing_fields() {
    let mut bytes = field(&[], 6, b"\x02hi");
    bytes.truncate(bytes.len() - 8);
    message(&mut bytes, &[&[0xff, 0x80, 0]]);
    let (found, _) = value(&bytes).expect("gob");
    let found = found.as_struct().expect("a structure");
    assert!(found.get("x").is_none() && found.has("x") && !found.has("y"));
    assert_eq!(found.iter().count(), 0);
}

#[test]
fn padding_may_follow() {
    let mut bytes = Vec::new();
    agent_notify(&mut bytes, 3, "{}");
    let length = bytes.len();
    bytes.extend([0xaa; 7]);
    assert_eq!(value(&bytes).expect("gob").1, length);
}

#[test]
fn invalid_value_is_rejected() {
    fails(&[], &Fault::UnexpectedEnd);
    fails(&[5, 12, 0], &Fault::Count { count: 5, left: 2 });
    fails(&field(&[], 1, &[2]), &Fault::Byte { value: 2, wanted: "a bool" });
    fails(&field(&[], 6, &[9, b'x']), &Fault::Count { count: 9, left: 2 });
    fails(&field(&[SLICE], 65, &[0xfc, 255, 255, 255, 255]), &Fault::Count { count: 0xffff_ffff, left: 1 });
    fails(&field(&[MAP], 67, &[1]), &Fault::Count { count: 1, left: 1 });
    fails(&field(&[ARRAY], 66, &[1, 0]), &Fault::ArrayLength { count: 1, length: 2 });
    fails(&field(&[], 8, b"\x01T\xff\x9b\x03"), &Fault::Interface { id: 78 });
    fails(&field(&[], 70, &[1]), &Fault::UnknownType { id: 70 });
    fails(&field(&[NESTED], 69, &[1; 60]), &Fault::Depth { limit: 32 });
}

#[test]
fn too_many_parts_are_rejected() {
    let mut bytes = Vec::new();
    message(&mut bytes, &[SLICE]);
    bytes.extend([0xfd, 2, 0, 7, 0xff, 130, 0, 0xfd, 2, 0, 0]);
    bytes.resize(bytes.len() + 0x2_0000, 1);
    fails(&bytes, &Fault::Values { limit: 65_536 });
}

#[test]
fn truncated_value_is_an_error() {
    let mut bytes = Vec::new();
    agent_notify(&mut bytes, 3, r#"{"id":7}"#);
    for end in 0..bytes.len() {
        assert!(value(&bytes[..end]).is_err(), "{end} of {} bytes", bytes.len());
    }
}

proptest! {
    #[test]
    fn encoded_agent_event_is_decoded(kind: u32, text: String) {
        let mut bytes = Vec::new();
        agent_notify(&mut bytes, kind, &text);
        let (found, used) = value(&bytes).expect("gob");
        let found = found.as_struct().expect("a structure");
        prop_assert_eq!(used, bytes.len());
        prop_assert_eq!(found.get("Type").map_or(Some(0), Value::as_uint), Some(u64::from(kind)));
        prop_assert_eq!(found.get("Text").map_or(Some(""), Value::as_text), Some(text.as_str()));
    }

    #[test]
    fn any_bytes_give_value_or_error(
        noise in prop::collection::vec(any::<u8>(), 0..100),
        place in any::<prop::sample::Index>(),
        form in 0usize..6,
    ) {
        let mut bytes = match form {
            0 => field(&[SLICE], 65, &[2, 0, 9]),
            1 => field(&[ARRAY], 66, b"\x02\x01a\x00"),
            2 => field(&[MAP], 67, b"\x01\x01k\x01v"),
            3 => field(&[NESTED], 69, &[1, 0]),
            4 => field(&[], 8, b"\x03int\x04\x02\x00\x06"),
            _ => Vec::new(),
        };
        let from = place.index(bytes.len() + 1);
        let until = (from + noise.len() / 2).min(bytes.len());
        bytes.splice(from..until, noise);
        if let Ok((_, used)) = value(&bytes) {
            prop_assert!(used <= bytes.len());
        }
    }
}
