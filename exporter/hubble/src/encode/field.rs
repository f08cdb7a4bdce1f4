//! Protobuf fields of the forms that several messages have.

use eyepiece_flow::agent_event::Timestamp;

use crate::wire::{VARINT, bytes, key, message, number, signed, varint};

/// Appends a `google.protobuf.Timestamp`; `at` in ns since the Unix epoch.
#[inline]
pub(super) fn time(out: &mut Vec<u8>, field: u32, at: u64) {
    let (seconds, nanos) = (at / 1_000_000_000, at % 1_000_000_000);
    timestamp(out, field, Timestamp { seconds: seconds.cast_signed(), nanos: nanos as u32 });
}

pub(super) fn timestamp(out: &mut Vec<u8>, field: u32, at: Timestamp) {
    message(out, field, |out| {
        signed(out, 1, at.seconds);
        number(out, 2, at.nanos.into());
    });
}

/// Appends a wrapped number (`google.protobuf.UInt32Value` …), also for 0.
pub(super) fn wrapped(out: &mut Vec<u8>, field: u32, value: u64) {
    message(out, field, |out| number(out, 1, value));
}

/// Appends an enum; nothing for 0.
#[inline]
pub(super) fn open_enum(out: &mut Vec<u8>, field: u32, value: u8) {
    if value < 0x80 && value != 0 {
        key(out, field, VARINT);
        out.push(value);
    } else if value != 0 {
        key(out, field, VARINT);
        varint(out, value.into());
    }
}

/// Appends a text of ASCII bytes.
#[inline]
pub(super) fn ascii(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    bytes(out, field, value);
}
