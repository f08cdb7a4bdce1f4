//! Decoding an L3/L4 payload allocates nothing, nor does its gob: counted by the allocator of this test program.

#[path = "parser/payloads.rs"]
mod payloads;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

use eyepiece::event::RawEvent;
use eyepiece::gob::encode::{PAYLOAD_DESCRIPTOR, payload};
use eyepiece::gob::{EVENT_SAMPLE, Payload, PayloadDecoder};
use eyepiece::parser::parse;

thread_local! {
    /// Of this thread alone: the test harness allocates in others.
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System.alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations that a call makes.
fn count<T>(call: impl FnOnce() -> T) -> usize {
    let before = ALLOCATIONS.get();
    black_box(call());
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(count(|| Box::new(1)), 1);
}

#[test]
fn parsing_does_not_allocate() {
    for (name, payload) in payloads::usual() {
        // Cut at every length: errors and half packets too.
        for length in 0..=payload.len() {
            let data = &payload[..length];
            let event = RawEvent { time: 1, cpu: 2, data, meter: None, kernel_drop: None };
            assert_eq!(count(|| parse(black_box(&event))), 0, "{name}, {length} bytes");
        }
    }
}

#[test]
fn gob_does_not_allocate_behind_the_first_message() {
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
