//! Encodes payloads and agent events for Go's decoder. Only the output's growth allocates.

use super::payload::Payload;

/// The descriptor of `Payload`, type id 64, as Go 1.26 writes it: precedes a connection's first message.
pub const PAYLOAD_DESCRIPTOR: &[u8] =
    b"\x37\x7f\x03\x01\x01\x07Payload\x01\xff\x80\x00\x01\x04\x01\x04Data\x01\x0a\x00\x01\x03CPU\x01\x04\x00\
      \x01\x04Lost\x01\x06\x00\x01\x04Type\x01\x04\x00\x00\x00";

/// The type id 64, which precedes a payload's value.
const PAYLOAD_ID: [u8; 2] = [0xff, 0x80];

/// The descriptor of `AgentNotify{Type uint32, Text string}`, type id 66.
const AGENT_DESCRIPTOR: &[u8] =
    b"\x2b\xff\x83\x03\x01\x01\x0bAgentNotify\x01\xff\x84\x00\x01\x02\x01\x04Type\x01\x06\x00\x01\x04Text\x01\x0c\x00\
      \x00\x00";

/// The type id 66, which precedes an agent event's value.
const AGENT_ID: [u8; 2] = [0xff, 0x84];

/// Bytes of the longest number.
const NUMBER: usize = 9;

/// Appends one complete message: length, type id, and the fields that are not zero.
///
/// The caller writes [`PAYLOAD_DESCRIPTOR`] before a stream's first message only: Go rejects a second one.
#[inline]
pub fn payload(out: &mut Vec<u8>, payload: &Payload<'_>) {
    match frame(payload) {
        Some(frame) => framed(out, payload.data, &frame),
        None => general(out, payload),
    }
}

/// The bytes before and after the data of an event, each in a register. Bytes that are written one by one and then
/// copied by words stall the processor, which costs as much as copying the data.
struct Frame {
    head: Register,
    tail: Register,
}

/// Returns the frame of a usual payload: data below 64 KiB, a CPU of 16 bits, a small type, no losses.
#[inline]
fn frame(payload: &Payload<'_>) -> Option<Frame> {
    let usual = u16::try_from(payload.data.len()).is_ok_and(|length| length > 0)
        && u16::try_from(payload.cpu).is_ok()
        && (1..64).contains(&payload.kind)
        && payload.lost == 0;
    if !usual {
        return None;
    }
    let (mut head, mut tail) = (Register::default(), Register::default());
    if payload.cpu != 0 {
        tail.byte(1);
        tail.uint(int(payload.cpu));
    }
    tail.byte(if payload.cpu == 0 { 3 } else { 2 });
    tail.uint(int(payload.kind));
    tail.byte(0);
    let length = payload.data.len() as u64;
    // The length counts type id, field delta and length of the data, but not itself.
    head.uint(PAYLOAD_ID.len() as u64 + 1 + size(length) as u64 + length + u64::from(tail.length));
    head.byte(PAYLOAD_ID[0]);
    head.byte(PAYLOAD_ID[1]);
    head.byte(1);
    head.uint(length);
    Some(Frame { head, tail })
}

#[inline]
fn framed(out: &mut Vec<u8>, data: &[u8], frame: &Frame) {
    out.reserve(data.len() + 2 * size_of::<u128>());
    frame.head.write(out);
    out.extend_from_slice(data);
    frame.tail.write(out);
}

/// Up to 16 bytes in a register, the first one in the lowest bits.
#[derive(Clone, Copy, Default)]
struct Register {
    bytes: u128,
    length: u32,
}

impl Register {
    #[inline]
    const fn byte(&mut self, byte: u8) {
        self.bytes |= (byte as u128) << (8 * self.length);
        self.length += 1;
    }

    /// As [`Short::uint`].
    #[inline]
    const fn uint(&mut self, number: u64) {
        if number < 128 {
            return self.byte(number as u8);
        }
        let count = digits(number);
        // 1 to 8.
        self.byte((count as u8).wrapping_neg());
        // Big-endian, the first byte lowest.
        self.bytes |= ((number.swap_bytes() >> (64 - 8 * count)) as u128) << (8 * self.length);
        self.length += count as u32;
    }

    /// Appends all 16 bytes and truncates the excess.
    #[inline]
    fn write(self, out: &mut Vec<u8>) {
        let end = out.len() + self.length as usize;
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.truncate(end);
    }
}

/// Appends any payload.
#[inline(never)]
fn general(out: &mut Vec<u8>, payload: &Payload<'_>) {
    let data = payload.data;
    // The fields after the data come first, since the length depends on them: three numbers with deltas, and the end.
    let mut tail = Short::<{ 3 * (1 + NUMBER) + 1 }>::new();
    let mut last = u8::from(!data.is_empty());
    for (field, number) in [(2, int(payload.cpu)), (3, payload.lost), (4, int(payload.kind))] {
        if number != 0 {
            tail.byte(field - last);
            tail.uint(number);
            last = field;
        }
    }
    tail.byte(0);

    let delta = usize::from(!data.is_empty());
    let length = PAYLOAD_ID.len() + delta * (1 + size(data.len() as u64)) + data.len() + tail.length;
    // The length, the type id, a delta and the data's length.
    let mut head = Short::<{ NUMBER + 2 + 1 + NUMBER }>::new();
    head.uint(length as u64);
    head.two(PAYLOAD_ID);
    if !data.is_empty() {
        head.byte(1);
        head.uint(data.len() as u64);
    }
    out.reserve(NUMBER + length);
    out.extend_from_slice(head.written());
    out.extend_from_slice(data);
    out.extend_from_slice(tail.written());
}

/// Appends the descriptor and the value of an agent event, which follow the type byte 130.
///
/// `kind` is Cilium's number of the event, `text` its JSON.
pub fn agent_notify(out: &mut Vec<u8>, kind: u32, text: &str) {
    let mut body = Short::<{ 2 + 1 + NUMBER + 1 + NUMBER }>::new();
    body.two(AGENT_ID);
    if kind != 0 {
        body.byte(1);
        body.uint(u64::from(kind));
    }
    if !text.is_empty() {
        body.byte(if kind == 0 { 2 } else { 1 });
        body.uint(text.len() as u64);
    }
    let mut length = Short::<NUMBER>::new();
    length.uint((body.length + text.len() + 1) as u64);
    out.reserve(AGENT_DESCRIPTOR.len() + length.length + body.length + text.len() + 1);
    out.extend_from_slice(AGENT_DESCRIPTOR);
    out.extend_from_slice(length.written());
    out.extend_from_slice(body.written());
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// Converts a signed number to an unsigned one: the sign becomes the lowest bit, a negative one is complemented.
const fn int(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// Returns the encoded bytes of an unsigned number.
const fn size(number: u64) -> usize {
    if number < 128 { 1 } else { 1 + digits(number) }
}

/// Returns the bytes of a number without leading zeros; 1 to 8.
const fn digits(number: u64) -> usize {
    8 - (number | 1).leading_zeros() as usize / 8
}

/// A few bytes on the stack; `N` has room for the longest numbers.
struct Short<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

impl<const N: usize> Short<N> {
    #[inline]
    const fn new() -> Self {
        Self { bytes: [0; N], length: 0 }
    }

    #[inline]
    const fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    #[inline]
    const fn two(&mut self, [first, second]: [u8; 2]) {
        self.byte(first);
        self.byte(second);
    }

    /// Appends a number: one byte below 128, else the negated count of its big-endian bytes and those.
    #[inline]
    fn uint(&mut self, number: u64) {
        if number < 128 {
            return self.byte(number as u8);
        }
        let count = digits(number);
        // 1 to 8.
        self.byte((count as u8).wrapping_neg());
        // Always 8 bytes, for which there is room: those after the number are overwritten or not used.
        let shifted = (number << (64 - 8 * count)).to_be_bytes();
        self.bytes[self.length..self.length + 8].copy_from_slice(&shifted);
        self.length += count;
    }

    #[inline]
    fn written(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests;
