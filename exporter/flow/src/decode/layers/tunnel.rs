//! VXLAN (RFC 7348) and Geneve (RFC 8926) headers, and the packets inside them.

use super::ethernet::{TYPE_ETHERNET, TYPE_IPV4, TYPE_IPV6, TYPE_RAW};
use super::next::{End, Next};
use crate::decode::bytes::{from, u16_be};
use crate::flow::{Ethernet, Flow, Ip, L4, Layer, Tunnel};

/// Bytes of a VXLAN header, and of a Geneve header without options.
const LEN: usize = 8;
/// UDP port of VXLAN (IANA).
const PORT_VXLAN: u16 = 4789;
/// UDP port of Geneve (IANA).
const PORT_GENEVE: u16 = 6081;

/// The tunnel protocol, by its number in `flow.Tunnel.Protocol`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::decode) enum Kind {
    /// VXLAN.
    Vxlan = 1,
    /// Geneve.
    Geneve = 2,
}

/// Decodes a tunnel: the outer network and transport layers move to `flow.tunnel`, and the inner packet's layers replace
/// them. A truncated tunnel header leaves the outer packet as it is.
pub(in crate::decode) fn decode(kind: Kind, payload: &[u8], flow: &mut Flow) {
    let Some((vni, inner)) = header(kind, payload) else { return };
    let Some(outer) = flow.ip else { return };
    flow.tunnel = Some(Tunnel { protocol: kind as u8, vni, ip: outer, l4: flow.l4 });
    flow.ethernet = None;
    flow.vlan = None;
    flow.ip = None;
    flow.l4 = L4::None;
    // Hubble's summary does not name the outer tunnel's header, but names inner ones.
    flow.last_layer = Layer::None;
    let mut end = super::decode(inner, flow);
    while let End::Udp(payload) = end
        // As in Hubble, an inner tunnel is recognized by its port, and its packet replaces layer by layer.
        && let Some(nested) = by_port(&flow.l4)
        && let Some((vni, inner)) = header(nested, payload)
    {
        let saved = Saved::of(flow);
        if nested == kind
            && let Some(tunnel) = &mut flow.tunnel
        {
            tunnel.vni = vni;
        }
        flow.last_layer = match nested {
            Kind::Vxlan => Layer::Vxlan,
            Kind::Geneve => Layer::Geneve,
        };
        end = super::decode(inner, flow);
        if let End::Broken = end {
            saved.restore(flow);
        }
    }
}

/// The layers before a header that may be another tunnel's.
struct Saved {
    tunnel: Option<Tunnel>,
    ethernet: Option<Ethernet>,
    vlan: Option<u16>,
    ip: Option<Ip>,
    l4: L4,
}

impl Saved {
    const fn of(flow: &Flow) -> Self {
        Self { tunnel: flow.tunnel, ethernet: flow.ethernet, vlan: flow.vlan, ip: flow.ip, l4: flow.l4 }
    }

    /// Restores the layers if no packet decoded behind the header: the port was another protocol's. If only the inner
    /// packet's end is invalid, its addresses must not get the outer packet's ports.
    #[cold]
    fn restore(self, flow: &mut Flow) {
        if matches!(flow.last_layer, Layer::Ipv4 | Layer::Ipv6) {
            flow.l4 = L4::None;
            return;
        }
        let Self { tunnel, ethernet, vlan, ip, l4 } = self;
        (flow.tunnel, flow.ethernet, flow.vlan, flow.ip, flow.l4) = (tunnel, ethernet, vlan, ip, l4);
        flow.last_layer = Layer::L4;
    }
}

/// Returns the virtual network id and what follows the header.
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
                TYPE_IPV4 | TYPE_RAW => Next::Ipv4(inner),
                TYPE_IPV6 => Next::Ipv6(inner),
                _ => Next::WHOLE,
            }
        }
    };
    Some((vni, next))
}

/// Returns the tunnel of an inner packet's ports. The destination port decides; the source port only if Hubble's packet
/// library knows no protocol of the destination port.
fn by_port(l4: &L4) -> Option<Kind> {
    let L4::Udp { source_port, destination_port } = *l4 else { return None };
    let kind = |port| match port {
        PORT_VXLAN => Some(Kind::Vxlan),
        PORT_GENEVE => Some(Kind::Geneve),
        _ => None,
    };
    match destination_port {
        // DNS, DHCP, NTP, DHCPv6, RMCP, AGUE, APSP, RADIUS.
        53 | 67 | 68 | 123 | 546 | 547 | 623 | 666 | 1000 | 1812
        // GTPv2, GTP-U, EtherNet/IP, BFD, Diameter, SIP, sFlow.
        | 2123 | 2152 | 2222 | 44818 | 3784 | 3868 | 5060 | 5082 | 5083 | 6343 => None,
        _ => kind(destination_port).or_else(|| kind(source_port)),
    }
}
