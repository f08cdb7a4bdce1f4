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
    /// No further layer to decode.
    End(End<'a>),
}

/// Why the chain of layers ends.
#[derive(Clone, Copy)]
pub(super) enum End<'a> {
    /// UDP came last: what it carries, at least a byte.
    Udp(&'a [u8]),
    /// No byte is left, or none that is looked into: data, an unknown protocol, a fragment.
    Whole,
    /// A header is cut short or odd.
    Broken,
}

impl<'a> Next<'a> {
    /// The end of a packet in which nothing more is looked into.
    const WHOLE: Self = Self::End(End::Whole);
    /// The end at an odd header.
    const BROKEN: Self = Self::End(End::Broken);

    /// The end before a header that is longer than the bytes that are left: a layer that carries nothing is whole.
    #[cold]
    const fn cut(data: &[u8]) -> Self {
        if data.is_empty() { Self::WHOLE } else { Self::BROKEN }
    }
}

/// Decodes as far as it goes.
pub(super) fn decode<'a>(mut next: Next<'a>, flow: &mut Flow) -> End<'a> {
    loop {
        next = match next {
            Next::Ethernet(data) => ethernet::decode(data, flow),
            Next::Ipv4(data) => ip::decode_v4(data, flow),
            Next::Ipv6(data) => ip::decode_v6(data, flow),
            Next::Transport(protocol, data) => transport::decode(protocol, data, flow),
            Next::End(end) => return end,
        };
    }
}
