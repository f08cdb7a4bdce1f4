//! The layers of a packet, one after the other, each written into the flow as it decodes.

mod ethernet;
mod ip;
mod transport;
pub(super) mod tunnel;

use crate::flow::Flow;

/// What comes behind a layer. Every step consumes bytes, so the chain ends.
#[derive(Clone, Copy)]
pub(super) enum Next<'a> {
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    /// An IPv4 packet.
    Ipv4(&'a [u8]),
    /// An IPv6 packet.
    Ipv6(&'a [u8]),
    /// The payload of an IP packet, and its protocol number.
    Transport(u8, &'a [u8]),
    /// What UDP carries.
    UdpPayload(&'a [u8]),
    /// Nothing that is looked into: data, an unknown protocol, a fragment, or a header that is cut short or odd.
    End,
}

/// Decodes as far as it goes; the result is what UDP carries, where UDP came last and carries something.
pub(super) fn decode<'a>(mut next: Next<'a>, flow: &mut Flow) -> Option<&'a [u8]> {
    loop {
        next = match next {
            Next::Ethernet(data) => ethernet::decode(data, flow),
            Next::Ipv4(data) => ip::decode_v4(data, flow),
            Next::Ipv6(data) => ip::decode_v6(data, flow),
            Next::Transport(protocol, data) => transport::decode(protocol, data, flow),
            Next::UdpPayload(data) => return (!data.is_empty()).then_some(data),
            Next::End => return None,
        };
    }
}
