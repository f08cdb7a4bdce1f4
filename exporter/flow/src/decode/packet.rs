//! Decodes a captured packet and, if the datapath marked it as a tunnel's, the packet inside.

use super::header::flag;
use super::layers::tunnel::Kind;
use super::layers::{self, End, Next};
use crate::flow::Flow;

/// Flags of a packet with an Ethernet header and no tunnel.
pub(super) const ETHERNET: u8 = 0;

/// Fills in the layers of a packet. The flags are those of traces and drops: they mark tunnels, and the family on devices
/// without an Ethernet header; on others the ethertype decides.
pub(super) fn decode(packet: &[u8], flags: u8, flow: &mut Flow) {
    let first = if flags & flag::L3_DEVICE == 0 {
        Next::Ethernet(packet)
    } else if flags & flag::IPV6 == 0 {
        Next::Ipv4(packet)
    } else {
        Next::Ipv6(packet)
    };
    let end = layers::decode(first, flow);
    if flags & (flag::VXLAN | flag::GENEVE) != 0
        && let End::Udp(payload) = end
    {
        let kind = if flags & flag::VXLAN == 0 { Kind::Geneve } else { Kind::Vxlan };
        layers::tunnel::decode(kind, payload, flow);
    }
}
