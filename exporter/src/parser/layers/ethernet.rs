//! Ethernet II and the VLAN tags behind it.

use super::Next;
use crate::flow::{Ethernet, Flow, Layer};
use crate::parser::bytes::{array, from, u16_be};

/// Ethernet header: two addresses and the ethertype.
const LEN: usize = 14;
/// VLAN tag behind an ethertype that announces it: 3 bits priority, 1 bit DEI, 12 bits id; then the next ethertype.
const TAG_LEN: usize = 4;
/// Tags that are looked through: 802.1ad has two.
const MAX_TAGS: usize = 2;

/// IPv4 (IEEE 802 numbers).
pub(super) const TYPE_IPV4: u16 = 0x0800;
/// IPv6.
pub(super) const TYPE_IPV6: u16 = 0x86dd;
/// Transparent Ethernet bridging: a frame inside, which takes the outer one's place, as in Hubble.
pub(super) const TYPE_ETHERNET: u16 = 0x6558;
/// Reserved (RFC 1701); IPv4 to Hubble's packet library.
pub(super) const TYPE_RAW: u16 = 0xffff;
/// 802.1Q, 802.1ad, and what came before 802.1ad.
const TYPES_VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];

/// Decodes a frame's header. ARP, LLC and unknown ethertypes end it.
pub(super) fn decode<'a>(data: &'a [u8], flow: &mut Flow) -> Next<'a> {
    let Some(header) = data.first_chunk::<LEN>() else { return Next::cut(data) };
    flow.ethernet = Some(Ethernet { destination: array(header, 0), source: array(header, 6) });
    flow.last_layer = Layer::Ethernet;
    let payload = from(data, LEN);
    match u16_be(header, 12) {
        TYPE_IPV4 => Next::Ipv4(payload),
        TYPE_IPV6 => Next::Ipv6(payload),
        ethertype => rarer(ethertype, payload, flow),
    }
}

/// The rarer ethertypes: looks through VLAN tags; the outermost id is the flow's.
#[cold]
fn rarer<'a>(mut ethertype: u16, mut data: &'a [u8], flow: &mut Flow) -> Next<'a> {
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
        _ => Next::WHOLE,
    }
}
