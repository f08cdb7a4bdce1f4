//! Encoded bytes against those of Go.

use super::*;
use crate::gob::{EVENT_SAMPLE, RECORD_LOST, Value, value};

fn encoded(payload: Payload<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    super::payload(&mut out, &payload);
    out
}

#[test]
fn payload_equals_that_of_go() {
    let data: &[u8] = &[4, 0, 255];
    for (payload, bytes) in [
        (Payload { data, cpu: 0, lost: 0, kind: EVENT_SAMPLE }, &b"\x0a\xff\x80\x01\x03\x04\x00\xff\x03\x12\x00"[..]),
        (
            Payload { data, cpu: 3, lost: 0, kind: EVENT_SAMPLE },
            b"\x0c\xff\x80\x01\x03\x04\x00\xff\x01\x06\x02\x12\x00",
        ),
        (
            Payload { data: &[], cpu: 5, lost: 300, kind: RECORD_LOST },
            b"\x0b\xff\x80\x02\x0a\x01\xfe\x01\x2c\x01\x04\x00",
        ),
        (Payload::default(), b"\x03\xff\x80\x00"),
    ] {
        assert_eq!(encoded(payload), bytes, "{payload:?}");
    }
    assert_eq!(PAYLOAD_DESCRIPTOR.len(), 56);
}

#[test]
fn number_is_encoded_in_fewest_bytes() {
    for (lost, bytes) in [
        (1, &[1u8][..]),
        (127, &[127]),
        (128, &[0xff, 128]),
        (255, &[0xff, 255]),
        (256, &[0xfe, 1, 0]),
        (1 << 16, &[0xfd, 1, 0, 0]),
        (1 << 55, &[0xf9, 0x80, 0, 0, 0, 0, 0, 0]),
        (u64::MAX, &[0xf8, 255, 255, 255, 255, 255, 255, 255, 255]),
    ] {
        let mut expected = vec![4 + bytes.len() as u8, 0xff, 0x80, 3];
        expected.extend(bytes);
        expected.push(0);
        assert_eq!(encoded(Payload { lost, ..Payload::default() }), expected);
    }
}

#[test]
fn usual_payload_equals_general_encoding() {
    let data = vec![7; 70_000];
    let lengths = [1, 2, 108, 119, 120, 127, 128, 184, 247, 248, 255, 256, 9000, 65_535, 65_536, 70_000];
    for data in lengths.map(|length| &data[..length]) {
        for cpu in [-1, 0, 1, 63, 64, 127, 128, 32_767, 32_768, 65_535, 65_536] {
            for kind in [0, 1, EVENT_SAMPLE, 63, 64, 100] {
                let payload = Payload { data, cpu, lost: 0, kind };
                let mut general = Vec::new();
                super::general(&mut general, &payload);
                let (is_usual, length) = (frame(&payload).is_some(), data.len());
                assert_eq!(is_usual, length < 65_536 && (0..65_536).contains(&cpu) && (1..64).contains(&kind));
                assert!(encoded(payload) == general, "{length} bytes, CPU {cpu}, kind {kind}");
            }
        }
    }
}

#[test]
fn longest_payload_has_room() {
    let longest = encoded(Payload { data: &[7; 70_000], cpu: i64::MIN, lost: u64::MAX, kind: i64::MAX });
    // 4 bytes of length, 2 of the type id, a delta and a number for each field, and the end.
    assert_eq!(longest.len(), 4 + 2 + (1 + 4 + 70_000) + 3 * 10 + 1);
}

#[test]
fn payload_that_fits_allocates_nothing() {
    let mut out = Vec::with_capacity(4096);
    let start = out.as_ptr();
    for _ in 0..10 {
        payload(&mut out, &Payload { data: &[9; 184], cpu: 1, lost: 0, kind: EVENT_SAMPLE });
    }
    assert_eq!((out.as_ptr(), out.capacity()), (start, 4096));
}

#[test]
fn agent_event_equals_that_of_go() {
    let text = r#"{"time":"2026-01-02T03:04:05Z"}"#;
    let mut out = Vec::new();
    agent_notify(&mut out, 2, text);
    let mut expected =
        b"\x2b\xff\x83\x03\x01\x01\x0bAgentNotify\x01\xff\x84\x00\x01\x02\x01\x04Type\x01\x06\x00".to_vec();
    expected.extend(b"\x01\x04Text\x01\x0c\x00\x00\x00");
    expected.extend(b"\x26\xff\x84\x01\x02\x01\x1f");
    expected.extend(text.as_bytes());
    expected.push(0);
    assert_eq!(out, expected);
}

#[test]
fn agent_event_may_lack_fields() {
    for (kind, text) in [(0, ""), (0, "x"), (7, ""), (u32::MAX, "{}")] {
        let mut out = Vec::new();
        agent_notify(&mut out, kind, text);
        let (found, used) = value(&out).expect("gob");
        let found = found.as_struct().expect("a structure");
        assert_eq!(used, out.len());
        assert_eq!(found.get("Type").and_then(Value::as_uint).unwrap_or(0), u64::from(kind));
        assert_eq!(found.get("Text").and_then(Value::as_text).unwrap_or_default(), text);
    }
}
