//! The payload of an IP packet: transport protocols, control messages, and IP packets inside.

use super::next::{End, Next};
use crate::decode::bytes::{array, clip, from, u16_be};
use crate::flow::{Flow, L4, Layer, TcpFlags};
use crate::protocol;

/// Bytes of a TCP header without options (RFC 9293).
const TCP_LEN: usize = 20;
/// Bytes of a UDP header (RFC 768).
const UDP_LEN: usize = 8;
/// Bytes of the SCTP common header (RFC 9260); the first chunk's type is the next byte.
const SCTP_LEN: usize = 12;
/// Bytes of an ICMP header (RFC 792).
const ICMP4_LEN: usize = 8;
/// Bytes of an ICMPv6 header (RFC 4443).
const ICMP6_LEN: usize = 4;
/// Bytes of a VRRP version 2 header (RFC 3768), without addresses.
const VRRP_LEN: usize = 8;
/// The only type of VRRP version 2.
const VRRP_ADVERTISEMENT: u8 = 1;
/// Bytes of an IGMP header (RFC 2236).
const IGMP_LEN: usize = 8;

/// Decodes an IP packet's payload. An inner IP packet replaces the outer one, as in Hubble.
pub(super) fn decode<'a>(protocol: u8, data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let l4 = match protocol {
        protocol::TCP => tcp(data),
        protocol::UDP => return udp(data, flow),
        protocol::ICMP => data.first_chunk::<ICMP4_LEN>().map(|h| L4::Icmp4 { kind: h[0], code: h[1] }),
        protocol::ICMPV6 => data.first_chunk::<ICMP6_LEN>().map(|h| L4::Icmp6 { kind: h[0], code: h[1] }),
        protocol::SCTP => sctp(data),
        protocol::IGMP => data.first_chunk::<IGMP_LEN>().map(|h| L4::Igmp { kind: h[0], group: array(h, 4) }),
        protocol::VRRP => vrrp(data),
        protocol::IPV4 | protocol::IPIP => return Next::Ipv4(data),
        protocol::IPV6 => return Next::Ipv6(data),
        _ => return Next::WHOLE,
    };
    let Some(l4) = l4 else { return Next::cut(data) };
    flow.l4 = l4;
    flow.last_layer = Layer::L4;
    Next::WHOLE
}

fn tcp(data: &[u8]) -> Option<L4> {
    let header = data.first_chunk::<TCP_LEN>()?;
    Some(L4::Tcp {
        source_port: u16_be(header, 0),
        destination_port: u16_be(header, 2),
        flags: TcpFlags(u16_be(header, 12) & 0x01ff),
    })
}

fn udp<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let Some(header) = data.first_chunk::<UDP_LEN>() else { return Next::cut(data) };
    flow.l4 = L4::Udp { source_port: u16_be(header, 0), destination_port: u16_be(header, 2) };
    flow.last_layer = Layer::L4;
    let payload = match usize::from(u16_be(header, 4)) {
        // A length that ends inside the header is invalid, but 0 is a jumbogram's (RFC 2675).
        0 => from(data, UDP_LEN),
        length => from(clip(data, length), UDP_LEN),
    };
    Next::End(if payload.is_empty() { End::Whole } else { End::Udp(payload) })
}

fn sctp(data: &[u8]) -> Option<L4> {
    let header = data.first_chunk::<SCTP_LEN>()?;
    Some(L4::Sctp {
        source_port: u16_be(header, 0),
        destination_port: u16_be(header, 2),
        chunk_type: data.get(SCTP_LEN).copied(),
    })
}

fn vrrp(data: &[u8]) -> Option<L4> {
    let header = data.first_chunk::<VRRP_LEN>()?;
    let kind = header[0] & 0x0f;
    (kind == VRRP_ADVERTISEMENT).then_some(L4::Vrrp { kind, vrid: header[1], priority: header[2] })
}
