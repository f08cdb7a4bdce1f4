//! A step of the chain of layers.

/// What comes behind a layer. Every step consumes bytes, so the chain ends.
#[derive(Clone, Copy)]
pub(in crate::decode) enum Next<'a> {
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
pub(in crate::decode) enum End<'a> {
    /// UDP came last: what it carries, at least a byte.
    Udp(&'a [u8]),
    /// No byte is left, or none that is looked into: data, an unknown protocol, a fragment.
    Whole,
    /// A header is cut short or odd.
    Broken,
}

impl<'a> Next<'a> {
    /// The end of a packet in which nothing more is looked into.
    pub(super) const WHOLE: Self = Self::End(End::Whole);
    /// The end at an odd header.
    pub(super) const BROKEN: Self = Self::End(End::Broken);

    /// The end before a header that is longer than the bytes that are left: a layer that carries nothing is whole.
    #[cold]
    pub(super) const fn cut(data: &[u8]) -> Self {
        if data.is_empty() { Self::WHOLE } else { Self::BROKEN }
    }
}
