//! Decodes link, network and transport layer, and tunnels, of a `flow.Flow`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eyepiece_flow::flow::{Ethernet, Flow, Ip, L4, Layer, TcpFlags, Tunnel};

use super::number::narrow;
use crate::proto::flow as proto;
use crate::proto::flow::layer4::Protocol;

/// Fills in the layers of a flow.
pub(super) fn write(message: &proto::Flow, flow: &mut Flow) {
    flow.ethernet = message.ethernet.as_ref().and_then(ethernet);
    if let Some(header) = &message.ip {
        flow.ip = Some(ip(header));
        flow.encrypted = header.encrypted;
        flow.no_source_address = address(&header.source).is_none();
        flow.no_destination_address = address(&header.destination).is_none();
    }
    flow.l4 = message.l4.as_ref().map_or(L4::None, l4);
    flow.tunnel = message.tunnel.as_ref().map(|tunnel| Tunnel {
        protocol: narrow(tunnel.protocol),
        vni: tunnel.vni,
        ip: tunnel.ip.as_ref().map_or_else(|| ip(&proto::Ip::default()), ip),
        l4: tunnel.l4.as_ref().map_or(L4::None, l4),
    });
    flow.last_layer = match (&flow.l4, &flow.ip, &flow.ethernet) {
        // A flow without summary has no decoded layer.
        _ if message.summary.is_empty() => Layer::None,
        (L4::None, Some(Ip { version: 6, .. }), _) => Layer::Ipv6,
        (L4::None, Some(_), _) => Layer::Ipv4,
        (L4::None, None, Some(_)) => Layer::Ethernet,
        (L4::None, None, None) => Layer::None,
        _ => Layer::L4,
    };
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse().ok()
}

/// Converts an IP header. An invalid address becomes the unspecified one of the header's family.
fn ip(header: &proto::Ip) -> Ip {
    let version = match header.ip_version {
        1 => 4,
        2 => 6,
        _ => 0,
    };
    let none = if version == 6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    let known = |text| address(text).unwrap_or(none);
    Ip {
        source: known(&header.source),
        source_translated: address(&header.source_xlated),
        destination: known(&header.destination),
        version,
    }
}

/// Converts an Ethernet header; `None` if both addresses are invalid.
fn ethernet(header: &proto::Ethernet) -> Option<Ethernet> {
    let (source, destination) = (mac(&header.source), mac(&header.destination));
    (source.is_some() || destination.is_some())
        .then(|| Ethernet { source: source.unwrap_or_default(), destination: destination.unwrap_or_default() })
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut parts = text.split(':');
    let mut mac = [0; 6];
    for byte in &mut mac {
        let part = parts.next().filter(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}

fn l4(layer: &proto::Layer4) -> L4 {
    let ports = |source: u32, destination: u32| (narrow(source), narrow(destination));
    match &layer.protocol {
        None => L4::None,
        Some(Protocol::Tcp(tcp)) => {
            let (source_port, destination_port) = ports(tcp.source_port, tcp.destination_port);
            L4::Tcp { source_port, destination_port, flags: tcp.flags.as_ref().map(flags).unwrap_or_default() }
        }
        Some(Protocol::Udp(udp)) => {
            let (source_port, destination_port) = ports(udp.source_port, udp.destination_port);
            L4::Udp { source_port, destination_port }
        }
        Some(Protocol::Sctp(sctp)) => {
            let (source_port, destination_port) = ports(sctp.source_port, sctp.destination_port);
            L4::Sctp { source_port, destination_port, chunk_type: chunk(sctp.chunk_type) }
        }
        Some(Protocol::IcmPv4(icmp)) => L4::Icmp4 { kind: narrow(icmp.r#type), code: narrow(icmp.code) },
        Some(Protocol::IcmPv6(icmp)) => L4::Icmp6 { kind: narrow(icmp.r#type), code: narrow(icmp.code) },
        Some(Protocol::Vrrp(vrrp)) => {
            L4::Vrrp { kind: narrow(vrrp.r#type), vrid: narrow(vrrp.vrid), priority: narrow(vrrp.priority) }
        }
        Some(Protocol::Igmp(igmp)) => {
            let group = igmp.group_address.parse::<Ipv4Addr>().map(|address| address.octets());
            L4::Igmp { kind: narrow(igmp.r#type), group: group.unwrap_or_default() }
        }
    }
}

/// Returns a chunk type as on the wire (RFC 9260), by its number in `flow.SCTPChunkType`.
const fn chunk(number: i32) -> Option<u8> {
    Some(match number {
        1 => 1,
        2 => 2,
        3 => 7,
        4 => 8,
        5 => 14,
        6 => 6,
        _ => return None,
    })
}

fn flags(flags: &proto::TcpFlags) -> TcpFlags {
    let proto::TcpFlags { fin, syn, rst, psh, ack, urg, ece, cwr, ns } = *flags;
    let set = [fin, syn, rst, psh, ack, urg, ece, cwr, ns].into_iter().enumerate();
    TcpFlags(set.map(|(bit, is_set)| u16::from(is_set) << bit).sum())
}
