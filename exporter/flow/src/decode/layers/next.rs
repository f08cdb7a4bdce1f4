//! A step of the chain of layers.

/// The payload of a layer, by its type. Every step consumes bytes, so the chain ends.
#[derive(Clone, Copy)]
pub(in crate::decode) enum Next<'a> {
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    /// An IPv4 packet.
    Ipv4(&'a [u8]),
    /// An IPv6 packet.
    Ipv6(&'a [u8]),
    /// The payload of an IP packet, with its protocol number.
    Transport(u8, &'a [u8]),
    /// No further layer.
    End(End<'a>),
}

/// The end of the chain of layers.
#[derive(Clone, Copy)]
pub(in crate::decode) enum End<'a> {
    /// After UDP, with its payload of at least a byte.
    Udp(&'a [u8]),
    /// After a whole header: no bytes, data, an unknown protocol or a fragment follow.
    Whole,
    /// At a truncated or invalid header.
    Broken,
}

impl<'a> Next<'a> {
    /// The end after a whole header.
    pub(super) const WHOLE: Self = Self::End(End::Whole);
    /// The end at an invalid header.
    pub(super) const BROKEN: Self = Self::End(End::Broken);

    /// The end at a header longer than the rest of the bytes; an empty rest is the end of a whole layer.
    #[cold]
    pub(super) const fn cut(data: &[u8]) -> Self {
        if data.is_empty() { Self::WHOLE } else { Self::BROKEN }
    }
}
