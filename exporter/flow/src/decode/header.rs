//! The common header of traces, drops, captures and policy verdicts (Cilium `bpf/lib/common.h`, `NOTIFY_CAPTURE_HDR`).

use super::bytes::{clip, from, u16_le};
use super::error::{HeaderError, Message};
use crate::flow::EventType;

/// Offset of the version byte.
pub(super) const VERSION: usize = 14;

/// Bits of the flags in traces and drops (Cilium `bpf/lib/notify.h`, `cls_flags`).
pub(super) mod flag {
    /// The packet is IPv6.
    pub(in crate::decode) const IPV6: u8 = 1;
    /// The packet has no Ethernet header.
    pub(in crate::decode) const L3_DEVICE: u8 = 2;
    /// The packet's UDP payload is VXLAN.
    pub(in crate::decode) const VXLAN: u8 = 4;
    /// The packet's UDP payload is Geneve.
    pub(in crate::decode) const GENEVE: u8 = 8;
}

/// Returns type and subtype of a payload; 0 for missing bytes.
pub(super) fn event_type(data: &[u8]) -> EventType {
    match *data {
        [kind, subtype, ..] => EventType { kind, subtype },
        [kind] => EventType { kind, subtype: 0 },
        [] => EventType::default(),
    }
}

/// Returns the first `N` bytes.
///
/// # Errors
/// There are fewer.
#[inline(always)]
pub(super) fn take<const N: usize>(data: &[u8], message: Message) -> Result<&[u8; N], HeaderError> {
    data.first_chunk().ok_or(HeaderError::Incomplete { message, needed: N, have: data.len() })
}

/// Returns the endpoint id; 0 = none.
#[inline(always)]
pub(super) const fn source<const N: usize>(header: &[u8; N]) -> u16 {
    u16_le(header, 2)
}

/// Returns the length of the captured packet; the kernel's padding may follow it.
#[inline(always)]
pub(super) const fn captured<const N: usize>(header: &[u8; N]) -> usize {
    u16_le(header, 12) as usize
}

/// Returns the captured packet after a notification header of `length` bytes.
#[inline(always)]
pub(super) fn packet<'a, const N: usize>(data: &'a [u8], length: usize, header: &[u8; N]) -> &'a [u8] {
    clip(from(data, length), captured(header))
}
