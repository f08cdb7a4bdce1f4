//! Decoding an L3/L4 payload allocates nothing, nor does its gob: counted by the allocator of this test program.

use std::hint::black_box;

use eyepiece_flow::decode::decode_flow;
use eyepiece_flow::event::RawEvent;
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, PayloadDecoder};
use eyepiece_tests::notification;

use crate::counting;

/// Allocations that a call makes.
fn count<T>(call: impl FnOnce() -> T) -> usize {
    let before = counting::allocations();
    black_box(call());
    counting::allocations() - before
}

#[test]
fn parsing_does_not_allocate() {
    for (name, payload) in notification::usual() {
        // Cut at every length: errors and half packets too.
        for length in 0..=payload.len() {
            let data = &payload[..length];
            let event = RawEvent { time: 1, cpu: 2, data, traffic: None, kernel_drop: None };
            assert_eq!(count(|| decode_flow(black_box(&event))), 0, "{name}, {length} bytes");
        }
    }
}

#[test]
fn gob_allocates_for_first_message_only() {
    let mut stream = PAYLOAD_DESCRIPTOR.to_vec();
    let mut decoder = PayloadDecoder::default();
    payload(&mut stream, &Payload::default());
    assert!(count(|| decoder.decode(&stream).is_ok()) > 0, "the descriptor is kept");
    for length in 0..2000 {
        let data = vec![7; length];
        let one = Payload { data: &data, cpu: 300, lost: 0, kind: EVENT_SAMPLE };
        // Its data, and what an event's gob has around it at most.
        stream = Vec::with_capacity(length + 64);
        assert_eq!(count(|| payload(&mut stream, black_box(&one))), 0, "{length} bytes");
        let mut found = None;
        assert_eq!(count(|| found = decoder.decode(black_box(&stream)).ok().flatten()), 0, "{length} bytes");
        assert_eq!(found, Some((one, stream.len())));
    }
}
