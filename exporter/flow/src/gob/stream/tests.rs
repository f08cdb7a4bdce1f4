//! Streams of Go's bytes, of ours, and of any bytes.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use crate::gob::{EVENT_SAMPLE, RECORD_LOST};

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex")).collect()
}

fn stream(messages: &str) -> Vec<u8> {
    let mut stream = PAYLOAD_DESCRIPTOR.to_vec();
    stream.extend(hex(messages));
    stream
}

fn one(bytes: &[u8]) -> Result<Option<(Payload<'_>, usize)>, GobError> {
    PayloadDecoder::default().decode(bytes)
}

#[track_caller]
fn fails(bytes: &[u8], offset: usize, fault: Fault) {
    assert_eq!(one(bytes), Err(GobError { offset, fault }));
}

#[test]
fn payloads_of_go_are_read() {
    for (bytes, expected) in [
        ("0aff80010304 00ff 03 12 00", Payload { data: &[4, 0, 255], cpu: 0, lost: 0, kind: EVENT_SAMPLE }),
        ("0cff80010304 00ff 0106 0212 00", Payload { data: &[4, 0, 255], cpu: 3, lost: 0, kind: EVENT_SAMPLE }),
        ("0bff80 020a 01fe012c 0104 00", Payload { data: &[], cpu: 5, lost: 300, kind: RECORD_LOST }),
        ("03ff8000", Payload::default()),
    ] {
        let bytes = stream(bytes);
        assert_eq!(one(&bytes), Ok(Some((expected, bytes.len()))), "{bytes:x?}");
    }
}

#[test]
fn other_type_ids_are_read() {
    let mut bytes = hex("38ff81 03 010107 5061796c6f6164 01ff8200 0104");
    bytes.extend(&PAYLOAD_DESCRIPTOR[19..]);
    bytes.extend(hex("0aff82 0103 0400ff 0312 00"));
    let (payload, used) = one(&bytes).expect("gob").expect("whole");
    assert_eq!((payload.data, payload.kind, used), (&[4, 0, 255][..], EVENT_SAMPLE, bytes.len()));
}

#[test]
fn payload_is_read_byte_by_byte() {
    let bytes = stream("0cff80010304 00ff 0106 0212 00 0bff80 020a 01fe012c 0104 00");
    let mut decoder = PayloadDecoder::default();
    let (mut start, mut found) = (0, Vec::new());
    for end in 0..=bytes.len() {
        let given = &bytes[start..end];
        match decoder.decode(given).expect("gob") {
            Some((payload, used)) => {
                found.push((payload.cpu, end));
                start += used;
            }
            None => {
                assert!(decoder.needed() > given.len() && start + decoder.needed() <= bytes.len() + 1);
                assert!(decoder.needed() <= decoder.longest());
            }
        }
    }
    assert_eq!(found, [(3, PAYLOAD_DESCRIPTOR.len() + 13), (5, bytes.len())]);
}

#[test]
fn unknown_fields_are_skipped() {
    // Types: 68 slice of string, 69 map of string to float, 74 array of two uint, 71 opaque, 65 a structure of a string.
    let mut bytes = Vec::new();
    descriptor(&mut bytes, 68, &[&[2, 1, 2], &int(68), &[0, 1, 12, 0, 0]]);
    descriptor(&mut bytes, 69, &[&[4, 1, 2], &int(69), &[0, 1, 12, 1, 8, 0, 0]]);
    descriptor(&mut bytes, 74, &[&[1, 1, 2], &int(74), &[0, 1, 6, 1, 4, 0, 0]]);
    descriptor(&mut bytes, 71, &[&[5, 1, 2], &int(71), &[0, 0, 0]]);
    descriptor(&mut bytes, 65, &[&[3, 2, 1, 1, 1, b'x', 1, 12, 0, 0, 0]]);
    let fields: [(&str, i64); 10] = [
        ("Type", 2),
        ("Names", 68),
        ("Weights", 69),
        ("Data", 5),
        ("Pair", 74),
        ("When", 71),
        ("Lost", 3),
        ("Inner", 65),
        ("Point", 7),
        ("CPU", 2),
    ];
    let mut list = vec![3, 2, fields.len() as u8];
    for (name, id) in fields {
        list.extend([1, name.len() as u8]);
        list.extend(name.as_bytes());
        list.push(1);
        list.extend(int(id));
        list.push(0);
    }
    list.extend([0, 0]);
    descriptor(&mut bytes, 70, &[&list]);
    let mut value = int(70);
    value.extend([1, 18]); // Type 9
    value.extend([1, 2, 1, b'a', 0]); // two names
    value.extend([1, 1, 1, b'k', 0xfe, 0xf0, 0x3f]); // 1.0
    value.extend([1, 2, 7, 8]); // Data
    value.extend([1, 2, 1, 2]); // Pair
    value.extend([1, 3, 1, 2, 3]); // When
    value.extend([1, 9]); // Lost
    value.extend([1, 1, 1, b'y', 0]); // Inner
    value.extend([1, 0xfe, 0xf0, 0x3f, 0]); // Point
    value.extend([1, 10, 0]); // CPU 5
    bytes.push(value.len() as u8);
    bytes.extend(&value);
    let whole = bytes.len();
    assert_eq!(one(&bytes), Ok(Some((Payload { data: &[7, 8], cpu: 5, lost: 9, kind: 9 }, whole))));
    for end in 0..whole {
        assert_eq!(one(&bytes[..end]), Ok(None), "{end} of {whole} bytes");
    }
}

fn int(number: i64) -> Vec<u8> {
    let number = (number << 1) ^ (number >> 63);
    match u8::try_from(number) {
        Ok(byte) if byte < 128 => vec![byte],
        Ok(byte) => vec![0xff, byte],
        Err(_) => vec![0xfe, (number >> 8) as u8, number as u8],
    }
}

fn descriptor(out: &mut Vec<u8>, id: i64, parts: &[&[u8]]) {
    let body: Vec<u8> = int(-id).into_iter().chain(parts.concat()).collect();
    out.push(body.len() as u8);
    out.extend(body);
}

#[test]
fn invalid_stream_is_rejected() {
    let at = PAYLOAD_DESCRIPTOR.len();
    let limit = Limits::default().message;
    fails(&[0], 0, Fault::MessageLength { length: 0, limit });
    fails(&hex("fd200000"), 0, Fault::MessageLength { length: 0x20_0000, limit });
    fails(&hex("f8ffffffffffffffff"), 0, Fault::MessageLength { length: u64::MAX, limit });
    fails(&hex("f0"), 0, Fault::Number { bytes: 16 });
    fails(&hex("03ff8000"), 3, Fault::UnknownType { id: 64 });
    fails(&stream("0aff80 01 7f 0400ff 0312 00"), at + 4, Fault::Count { count: 127, left: 6 });
    fails(&stream("05ff80 05 12 00"), at + 3, Fault::UnknownField { id: 64, delta: 5 });
    fails(&stream("06ff80 04 12 00 00"), at + 6, Fault::TrailingBytes { bytes: 1 });
    fails(&stream("04ff80 04 12"), at + 5, Fault::UnexpectedEnd);
    fails(&stream(&hex_of(PAYLOAD_DESCRIPTOR)), at + 2, Fault::Duplicate { id: 64 });
    // A predefined type, an unknown form, two forms at once, and a list with too large a count.
    fails(&hex("0407 0300 00"), 2, Fault::Descriptor { id: 4 });
    fails(&hex("057f 0801 0000"), 3, Fault::Descriptor { id: 64 });
    fails(&hex("067f 0300 0100 00"), 5, Fault::Descriptor { id: 64 });
    fails(&hex("077f 0302 7f00 0000"), 4, Fault::Count { count: 127, left: 3 });
}

fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn other_structures_are_rejected() {
    let mut bytes = Vec::new();
    descriptor(&mut bytes, 64, &[&[3, 2, 1, 1, 1, b'x', 1, 12, 0, 0, 0]]);
    let at = bytes.len() + 3;
    bytes.extend(hex("03ff8000"));
    fails(&bytes, at, Fault::NoPayload { id: 64 });
    let mut bytes = Vec::new();
    descriptor(&mut bytes, 64, &[&[3, 2, 1, 1, 4], b"Data", &[1, 12, 0, 0, 0]]);
    let at = bytes.len() + 3;
    bytes.extend(hex("03ff8000"));
    fails(&bytes, at, Fault::FieldType { field: "Data", id: 6 });
}

#[test]
fn too_many_descriptors_are_rejected() {
    let mut bytes = Vec::new();
    let id = |number: i64| 64 + number;
    for number in 0..64 {
        descriptor(&mut bytes, id(number), &[&[2, 2, 12, 0, 0]]);
    }
    assert_eq!(one(&bytes), Ok(None));
    let at = bytes.len();
    descriptor(&mut bytes, id(64), &[&[2, 2, 12, 0, 0]]);
    fails(&bytes, at + 3, Fault::Descriptors { what: "number", limit: 64 });
}

#[test]
fn recursive_type_is_bounded_by_depth() {
    // Type 65 = a slice of itself, in a field beside the data.
    let mut bytes = Vec::new();
    descriptor(&mut bytes, 65, &[&[2, 2], &int(65), &[0, 0]]);
    descriptor(&mut bytes, 64, &[&[3, 2, 2, 1, 4], b"Data", &[1, 10, 0, 1, 1, b'x', 1], &int(65), &[0, 0, 0]]);
    let mut value = int(64);
    value.push(2);
    value.extend([1; 40]);
    bytes.push(value.len() as u8);
    bytes.extend(value);
    let error = one(&bytes).expect_err("too deep");
    assert_eq!(error.fault, Fault::Depth { limit: 32 });
}

fn payloads() -> impl Strategy<Value = (Vec<u8>, i64, u64, i64)> {
    let number = prop_oneof![Just(0i64), -200i64..200, any::<i64>()];
    let lost = prop_oneof![Just(0u64), 0u64..300, any::<u64>()];
    (prop::collection::vec(any::<u8>(), 0..400), number.clone(), lost, number)
}

proptest! {
    #[test]
    fn encoded_payloads_are_decoded(payloads in prop::collection::vec(payloads(), 1..20), cut in 0usize..100_000) {
        let mut bytes = PAYLOAD_DESCRIPTOR.to_vec();
        let mut ends = Vec::new();
        for (data, cpu, lost, kind) in &payloads {
            payload(&mut bytes, &Payload { data, cpu: *cpu, lost: *lost, kind: *kind });
            ends.push(bytes.len());
        }
        let mut decoder = PayloadDecoder::default();
        let mut start = 0;
        for ((data, cpu, lost, kind), end) in payloads.iter().zip(&ends) {
            let part: Range<usize> = start..start + cut % (end - start);
            prop_assert_eq!(decoder.decode(&bytes[part]), Ok(None));
            let expected = Payload { data, cpu: *cpu, lost: *lost, kind: *kind };
            prop_assert_eq!(decoder.decode(&bytes[start..]), Ok(Some((expected, end - start))));
            start = *end;
        }
        prop_assert_eq!(start, bytes.len());
    }

    #[test]
    fn any_stream_gives_payloads_or_error(
        noise in prop::collection::vec(any::<u8>(), 0..300),
        place in any::<prop::sample::Index>(),
        keep in any::<bool>(),
    ) {
        let mut bytes = stream("0cff80010304 00ff 0106 0212 00 0bff80 020a 01fe012c 0104 00");
        let from = if keep { place.index(bytes.len()) } else { 0 };
        let until = (from + noise.len()).min(bytes.len());
        bytes.splice(from..until, noise);
        let mut decoder = PayloadDecoder::default();
        let mut start = 0;
        while let Ok(Some((_, used))) = decoder.decode(&bytes[start..]) {
            prop_assert!(used > 0 && start + used <= bytes.len());
            start += used;
        }
        prop_assert!(decoder.needed() <= decoder.longest().max(bytes.len() + 1));
    }
}
