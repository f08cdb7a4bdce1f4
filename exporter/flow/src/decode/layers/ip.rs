//! IPv4 (RFC 791) with options, and IPv6 (RFC 8200) with extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::next::Next;
use crate::decode::bytes::{array, clip, from, u16_be};
use crate::flow::{Flow, Ip, Layer};
use crate::protocol;

/// Bytes of an IPv4 header without options.
const V4_LEN: usize = 20;
/// IPv4: the more-fragments bit and the fragment offset, without don't-fragment and the reserved bit.
const V4_FRAGMENT: u16 = 0x3fff;
/// Bytes of an IPv6 header without extensions.
const V6_LEN: usize = 40;
/// IPv6 fragment header: offset and the more-fragments bit.
const V6_FRAGMENT: u16 = 0xfff9;

/// IPv6 extension header numbers (IANA).
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HOST_IDENTITY: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// Decodes an IPv4 header. A fragment, even the first, has no transport layer, as in Hubble.
pub(super) fn decode_v4<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let Some(header) = data.first_chunk::<V4_LEN>() else { return Next::cut(data) };
    let header_length = usize::from(header[0] & 0x0f) * 4;
    if header_length < V4_LEN {
        return Next::BROKEN;
    }
    flow.ip = Some(Ip {
        source: IpAddr::V4(Ipv4Addr::from(array::<V4_LEN, 4>(header, 12))),
        source_translated: None,
        destination: IpAddr::V4(Ipv4Addr::from(array::<V4_LEN, 4>(header, 16))),
        version: 4,
    });
    flow.last_layer = Layer::Ipv4;
    if u16_be(header, 6) & V4_FRAGMENT != 0 {
        return Next::WHOLE;
    }
    // 0 in packets of segmentation offload or BIG TCP: as long as the data.
    let total = match u16_be(header, 2) {
        0 => data.len(),
        total => usize::from(total),
    };
    // Empty if the total length ends inside the header: no transport layer decodes from that.
    Next::Transport(header[9], from(clip(data, total), header_length))
}

/// Decodes an IPv6 header and the extension headers behind it.
pub(super) fn decode_v6<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let Some(header) = data.first_chunk::<V6_LEN>() else { return Next::cut(data) };
    flow.ip = Some(Ip {
        // Hubble writes IPv4-mapped addresses as IPv4.
        source: IpAddr::V6(Ipv6Addr::from(array::<V6_LEN, 16>(header, 8))).to_canonical(),
        source_translated: None,
        destination: IpAddr::V6(Ipv6Addr::from(array::<V6_LEN, 16>(header, 24))).to_canonical(),
        version: 6,
    });
    flow.last_layer = Layer::Ipv6;
    let payload = from(data, V6_LEN);
    // 0: a jumbogram's length is in a hop-by-hop option, so it is as long as the data.
    let length = match u16_be(header, 4) {
        0 => payload.len(),
        length => usize::from(length),
    };
    match header[6] {
        protocol @ (protocol::TCP | protocol::UDP | protocol::ICMPV6) => {
            Next::Transport(protocol, clip(payload, length))
        }
        protocol => skip_extensions(protocol, clip(payload, length + options(protocol, payload))),
    }
}

/// Returns the length of a hop-by-hop header. As in Hubble, the packet's length counts from its end on.
fn options(protocol: u8, payload: &[u8]) -> usize {
    match payload {
        [_, units, ..] if protocol == extension::HOP_BY_HOP => (usize::from(*units) + 1) * 8,
        _ => 0,
    }
}

/// Skips extension headers. Fragments and truncated headers end the chain; ESP and "no next header" have no transport.
fn skip_extensions(mut protocol: u8, mut data: &[u8]) -> Next<'_> {
    loop {
        let Some(&[next, length]) = data.first_chunk::<2>() else { return Next::Transport(protocol, data) };
        let length = usize::from(length);
        let length = match protocol {
            extension::HOP_BY_HOP
            | extension::ROUTING
            | extension::DESTINATION
            | extension::MOBILITY
            | extension::HOST_IDENTITY
            | extension::SHIM6 => (length + 1) * 8,
            extension::AUTHENTICATION => (length + 2) * 4,
            extension::FRAGMENT => match data.first_chunk::<8>() {
                // An atomic fragment (RFC 6946) is a whole packet.
                Some(header) if u16_be(header, 2) & V6_FRAGMENT == 0 => 8,
                Some(_) => return Next::WHOLE,
                None => return Next::BROKEN,
            },
            _ => return Next::Transport(protocol, data),
        };
        let Some(rest) = data.get(length..) else { return Next::BROKEN };
        (protocol, data) = (next, rest);
    }
}
