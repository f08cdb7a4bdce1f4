//! Ethernet II and the VLAN tags behind it.

use super::next::Next;
use crate::decode::bytes::{array, from, u16_be};
use crate::flow::{Arp, Ethernet, Flow, Layer};

/// Bytes of an Ethernet header: two addresses and the ethertype.
const LEN: usize = 14;
/// Bytes of a VLAN tag after its ethertype: 3 bits priority, 1 bit DEI, 12 bits id; then the next ethertype.
const TAG_LEN: usize = 4;
/// VLAN tags that are decoded: 802.1ad has two.
const MAX_TAGS: usize = 2;

/// IPv4 (IEEE 802 numbers).
pub(super) const TYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub(super) const TYPE_IPV6: u16 = 0x86dd;
/// ARP.
const TYPE_ARP: u16 = 0x0806;
/// First bytes of an ARP packet of IPv4 over Ethernet: types, and lengths of addresses (RFC 826).
const ARP_IPV4: [u8; 6] = [0, 1, 8, 0, 6, 4];
/// Bytes of an ARP packet of IPv4 over Ethernet.
const ARP_LEN: usize = 28;
/// Transparent Ethernet bridging: an inner frame, which replaces the outer one, as in Hubble.
pub(super) const TYPE_ETHERNET: u16 = 0x6558;
/// Reserved (RFC 1701); Hubble's packet library decodes it as IPv4.
pub(super) const TYPE_RAW: u16 = 0xffff;
/// 802.1Q, 802.1ad, and the predecessor of 802.1ad.
const TYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Decodes a frame's header. LLC, ARP and unknown ethertypes end the chain.
pub(super) fn decode<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let Some(header) = data.first_chunk::<LEN>() else { return Next::cut(data) };
    flow.ethernet = Some(Ethernet { destination: array(header, 0), source: array(header, 6) });
    flow.last_layer = Layer::Ethernet;
    let payload = from(data, LEN);
    match u16_be(header, 12) {
        TYPE_IPV4 => Next::Ipv4(payload),
        TYPE_IPV6 => Next::Ipv6(payload),
        ethertype => decode_rare(ethertype, payload, flow),
    }
}

/// Decodes other ethertypes and VLAN tags; the flow has the outermost VLAN id.
#[cold]
fn decode_rare<'a>(mut ethertype: u16, mut data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    for _ in 0..MAX_TAGS {
        if !TYPES_VLAN.contains(&ethertype) {
            break;
        }
        let Some(tag) = data.first_chunk::<TAG_LEN>() else { return Next::cut(data) };
        flow.vlan.get_or_insert(u16_be(tag, 0) & 0x0fff);
        ethertype = u16_be(tag, 2);
        data = from(data, TAG_LEN);
    }
    match ethertype {
        TYPE_IPV4 | TYPE_RAW => Next::Ipv4(data),
        TYPE_IPV6 => Next::Ipv6(data),
        TYPE_ETHERNET => Next::Ethernet(data),
        TYPE_ARP => arp(data, flow),
        _ => Next::WHOLE,
    }
}

/// Decodes ARP of IPv4. Truncated ARP, or ARP of other addresses, is left as a frame.
fn arp<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    if let Some(packet) = data.first_chunk::<ARP_LEN>()
        && packet.starts_with(&ARP_IPV4)
    {
        let [sender, target]: [[u8; 4]; 2] = [array(packet, 14), array(packet, 24)];
        let operation = u16_be(packet, 6);
        flow.last_layer = Layer::Arp(Arp { operation, sender: sender.into(), target: target.into() });
    }
    Next::WHOLE
}
