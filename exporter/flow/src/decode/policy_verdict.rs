//! Policy verdicts (message type 5): Cilium `bpf/lib/policy_log.h`.

use super::bytes::u32_le;
use super::error::{HeaderError, Message};
use super::header::{self, flag};
use super::packet;
use crate::cilium_release::Release;
use crate::flow::{Direction, Flow, Verdict};

/// Bytes of the header up to Cilium 1.18.
const OLD_LEN: usize = 32;
/// Bytes of the header from Cilium 1.19, with a cookie and padding at the end.
const NEW_LEN: usize = 40;
/// Bytes of the new header and the longest padding.
const MAX_LEN: usize = 47;

/// Bits of the flags: 1 = ingress, else egress.
const DIRECTION: u8 = 0x03;
/// Bit of the flags: the packet is IPv6.
const IPV6: u8 = 0x04;
/// Bits of the flags: match type, shifted by 3.
const MATCH: u8 = 0x38;
/// Bit of the flags: policy denies the packet, audit mode forwarded it.
const AUDITED: u8 = 0x40;
/// Bit of the flags: the packet has no Ethernet header (from Cilium 1.19).
const L3_DEVICE: u8 = 0x80;

/// Fills a flow from a policy verdict.
///
/// # Errors
/// The header is incomplete.
pub(super) fn decode(data: &[u8], release: Release, flow: &mut Flow) -> Result<(), HeaderError> {
    let head = header::take::<OLD_LEN>(data, Message::PolicyVerdict)?;
    let length = header_length(data.len(), header::captured(head), release);
    if data.len() < length {
        return Err(HeaderError::Incomplete { message: Message::PolicyVerdict, needed: length, have: data.len() });
    }
    let identity = u32_le(head, 16);
    let verdict = u32_le(head, 20).cast_signed();
    let flags = head[27];
    flow.datapath_endpoint = header::source(head);
    if flags & DIRECTION == 1 {
        flow.direction = Direction::Ingress;
        flow.source.identity = identity;
    } else {
        flow.direction = Direction::Egress;
        flow.destination.identity = identity;
    }
    if verdict < 0 {
        flow.verdict = Verdict::Dropped;
        flow.drop_reason = verdict.unsigned_abs();
    } else {
        flow.verdict = match (verdict, flags & AUDITED) {
            (0, 0) => Verdict::Forwarded,
            (0, _) => Verdict::Audit,
            _ => Verdict::Redirected,
        };
        flow.is_reply = Some(false);
    }
    flow.policy_match = (flags & MATCH) >> 3;
    flow.auth_type = head[28];
    packet::decode(header::packet(data, length, head), framing(flags), flow);
    Ok(())
}

/// Returns the header's length. Both forms have version 1, but all bytes beside packet and padding (0 to 7 bytes) are
/// the header. Damaged verdicts have the form of their producer's release. So do those shorter than the new header: an
/// old one of that length would carry at most 7 bytes of a packet.
const fn header_length(data: usize, captured: usize, release: Release) -> usize {
    match data.checked_sub(captured) {
        Some(OLD_LEN..NEW_LEN) if data >= NEW_LEN => OLD_LEN,
        Some(NEW_LEN..=MAX_LEN) => NEW_LEN,
        _ => match release {
            Release::V1_15 | Release::V1_16 | Release::V1_17 | Release::V1_18 => OLD_LEN,
            Release::V1_19 | Release::V1_20 => NEW_LEN,
        },
    }
}

/// Returns the flags in the form of traces and drops.
const fn framing(flags: u8) -> u8 {
    (if flags & IPV6 == 0 { 0 } else { flag::IPV6 }) | (if flags & L3_DEVICE == 0 { 0 } else { flag::L3_DEVICE })
}
