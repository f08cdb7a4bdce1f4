//! VXLAN (RFC 7348) and Geneve (RFC 8926) headers, and the packets inside them.

use super::Next;
use super::ethernet::{TYPE_ETHERNET, TYPE_IPV4, TYPE_IPV6};
use crate::flow::{Flow, L4, Layer, Tunnel};
use crate::parser::bytes::{from, u16_be};

/// VXLAN header, and Geneve header without options.
const LEN: usize = 8;
/// UDP port of VXLAN (IANA).
const PORT_VXLAN: u16 = 4789;
/// UDP port of Geneve (IANA).
const PORT_GENEVE: u16 = 6081;

/// Which header the UDP payload begins with; the number is `flow.Tunnel.Protocol`'s.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::parser) enum Kind {
    /// VXLAN.
    Vxlan = 1,
    /// Geneve.
    Geneve = 2,
}

/// Looks into a tunnel: the outer network and transport layers move to `flow.tunnel`, the inner packet's take their
/// place, and what it lacks stays unset. A tunnel header that is cut short leaves the outer packet as it is.
pub(in crate::parser) fn decode(kind: Kind, payload: &[u8], flow: &mut Flow) {
    let Some((vni, inner)) = header(kind, payload) else { return };
    let Some(outer) = flow.ip else { return };
    flow.tunnel = Some(Tunnel { protocol: kind as u8, vni, ip: outer, l4: flow.l4 });
    flow.ethernet = None;
    flow.vlan = None;
    flow.ip = None;
    flow.l4 = L4::None;
    // Hubble's summary does not name the outer tunnel's header, but it names those inside.
    flow.last_layer = Layer::None;
    let mut next = inner;
    while let Some(payload) = super::decode(next, flow) {
        // As in Hubble, a tunnel inside is known by its port, and its packet replaces layer by layer.
        let Some(nested) = by_port(&flow.l4) else { return };
        let Some((vni, inner)) = header(nested, payload) else { return };
        if nested == kind
            && let Some(tunnel) = &mut flow.tunnel
        {
            tunnel.vni = vni;
        }
        flow.last_layer = match nested {
            Kind::Vxlan => Layer::Vxlan,
            Kind::Geneve => Layer::Geneve,
        };
        next = inner;
    }
}

/// The virtual network id, and what the tunnel carries.
fn header(kind: Kind, data: &[u8]) -> Option<(u32, Next<'_>)> {
    let header = data.first_chunk::<LEN>()?;
    let vni = u32::from_be_bytes([0, header[4], header[5], header[6]]);
    let next = match kind {
        Kind::Vxlan => Next::Ethernet(from(data, LEN)),
        Kind::Geneve => {
            let options = usize::from(header[0] & 0x3f) * 4;
            let inner = data.get(LEN + options..)?;
            match u16_be(header, 2) {
                TYPE_ETHERNET => Next::Ethernet(inner),
                TYPE_IPV4 => Next::Ipv4(inner),
                TYPE_IPV6 => Next::Ipv6(inner),
                _ => Next::End,
            }
        }
    };
    Some((vni, next))
}

/// The tunnel that an inner packet's ports stand for. The destination port decides; where it belongs to no protocol
/// that is known by its port, the source port does.
fn by_port(l4: &L4) -> Option<Kind> {
    let (source, destination) = l4.ports()?;
    let kind = |port| match port {
        PORT_VXLAN => Some(Kind::Vxlan),
        PORT_GENEVE => Some(Kind::Geneve),
        _ => None,
    };
    match destination {
        // DNS, DHCP, NTP, DHCPv6, RMCP, RADIUS, GTP-U, BFD, SIP, sFlow.
        53 | 67 | 68 | 123 | 546 | 547 | 623 | 1812 | 2152 | 3784 | 5060 | 6343 => None,
        _ => kind(destination).or_else(|| kind(source)),
    }
}
