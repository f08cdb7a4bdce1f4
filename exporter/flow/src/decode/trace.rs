//! Trace notifications (message type 4): Cilium `bpf/lib/trace.h`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::bytes::{array, u16_le, u32_le};
use super::error::{Fault, HeaderError, Message};
use super::header::{self, flag};
use super::packet;
use crate::cilium_release::Release;
use crate::flow::{Flow, Verdict};

/// Bytes of the header of version 0, without original address.
const V0_LEN: usize = 32;
/// Bytes of the header of version 1 (Cilium 1.15 to 1.18, and our own datapath).
const V1_LEN: usize = 48;
/// Bytes of the header of version 2 (from Cilium 1.19), with an IP trace id at the end.
const V2_LEN: usize = 56;

/// Bit of the reason byte: the packet was or will be encrypted.
const ENCRYPTED: u8 = 0x80;
/// Observation point at which the destination id is a proxy's port.
const TO_PROXY: u8 = 1;

/// Trace reason: the packet goes to the side that opened the connection.
pub(super) const REASON_REPLY: u8 = 2;
/// Trace reason: no connection tracking.
pub(super) const REASON_UNKNOWN: u8 = 5;
/// Trace reason: SRv6 encapsulation.
const REASON_SRV6_ENCAP: u8 = 6;
/// Trace reason: SRv6 decapsulation.
const REASON_SRV6_DECAP: u8 = 7;
/// Trace reason: encapsulation of encrypted packets. Sent by Cilium 1.16 and 1.17; without a meaning from 1.19 on.
const REASON_ENCRYPT_OVERLAY: u8 = 8;

/// Fills a flow from a trace.
///
/// # Errors
/// The header is incomplete, or the version is above 2.
pub(super) fn decode(data: &[u8], release: Release, flow: &mut Flow) -> Result<(), HeaderError> {
    let head = header::take::<V0_LEN>(data, Message::Trace)?;
    let version = head[header::VERSION];
    let flags = head[27];
    let (length, original) = match version {
        0 => (V0_LEN, None),
        1 => (V1_LEN, original_ip(header::take::<V1_LEN>(data, Message::Trace)?, flags)),
        2 => {
            let head = header::take::<V2_LEN>(data, Message::Trace)?;
            flow.ip_trace_id = u64::from_le_bytes(array(head, 48));
            (V2_LEN, original_ip(head, flags))
        }
        value => {
            let (fault, offset) = (Fault::Version, header::VERSION);
            return Err(HeaderError::Invalid { message: Message::Trace, fault, offset, value });
        }
    };
    let reason = head[26] & !ENCRYPTED;
    flow.verdict = Verdict::Forwarded;
    flow.datapath_endpoint = header::source(head);
    flow.source.identity = u32_le(head, 16);
    flow.destination.identity = u32_le(head, 20);
    flow.observation_point = Some(flow.event_type.subtype);
    if flow.event_type.subtype == TO_PROXY {
        flow.proxy_port = u32::from(u16_le(head, 24));
    }
    flow.trace_reason = Some(reason);
    flow.encrypted = head[26] & ENCRYPTED != 0;
    flow.is_reply = is_reply(reason, release);
    flow.ifindex = u32_le(head, 28);
    packet::decode(header::packet(data, length, head), flags, flow);
    if let Some(original) = original {
        flow.original_ip = true;
        translate(flow, original);
    }
    Ok(())
}

/// Returns whether a packet is a reply, if the reason implies it.
fn is_reply(reason: u8, release: Release) -> Option<bool> {
    match reason {
        REASON_ENCRYPT_OVERLAY if release <= Release::V1_18 => None,
        REASON_UNKNOWN | REASON_SRV6_ENCAP | REASON_SRV6_DECAP => None,
        _ => Some(reason == REASON_REPLY),
    }
}

/// Returns the address before translation, of the family in the header's flag. IPv4-mapped ones stay IPv6, as in
/// Hubble.
fn original_ip<const N: usize>(head: &[u8; N], flags: u8) -> Option<IpAddr> {
    let address = if flags & flag::IPV6 == 0 {
        IpAddr::V4(Ipv4Addr::from(array::<N, 4>(head, 32)))
    } else {
        IpAddr::V6(Ipv6Addr::from(array::<N, 16>(head, 32)))
    };
    (!address.is_unspecified()).then_some(address)
}

/// Replaces the source by the address before translation, if they differ.
fn translate(flow: &mut Flow, original: IpAddr) {
    if let Some(ip) = &mut flow.ip
        && ip.source != original
    {
        ip.source_translated = Some(ip.source);
        ip.source = original;
    }
}
