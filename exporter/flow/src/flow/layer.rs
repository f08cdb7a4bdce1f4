//! The last layer of a packet that was decoded, with the content of ARP packets.

use std::fmt;
use std::net::Ipv4Addr;

/// The last layer of a packet that was decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// Nothing was decoded.
    #[default]
    None,
    /// Link layer only.
    Ethernet,
    /// ARP of IPv4 over Ethernet. Hubble does not decode it and shows it as Ethernet.
    Arp(Arp),
    /// IPv4 without a known transport layer.
    Ipv4,
    /// IPv6 without a known transport layer.
    Ipv6,
    /// A VXLAN header inside of another tunnel, without a known packet behind it.
    Vxlan,
    /// A Geneve header inside of another tunnel, without a known packet behind it.
    Geneve,
    /// The transport layer, in `Flow::l4`.
    L4,
}

/// An ARP packet of IPv4 (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arp {
    /// The operation: 1 request, 2 reply.
    pub operation: u16,
    /// The sender's address.
    pub sender: Ipv4Addr,
    /// The address that a request asks for, or that a reply goes to.
    pub target: Ipv4Addr,
}

impl fmt::Display for Arp {
    /// Writes the operation and both addresses: `ARP: 10.0.0.1 asks for 10.0.0.2`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, sender, target } = self;
        match operation {
            // RFC 5227: an announcement is a request or a reply of an address for itself.
            1 | 2 if sender == target => write!(f, "ARP: {sender} announces itself"),
            1 => write!(f, "ARP: {sender} asks for {target}"),
            2 => write!(f, "ARP: {sender} answers {target}"),
            operation => write!(f, "ARP operation {operation}: {sender} to {target}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Arp;

    #[test]
    fn arp_text_names_both_addresses() {
        for (operation, target, expected) in [
            (1, [10, 0, 0, 2], "ARP: 10.0.0.1 asks for 10.0.0.2"),
            (2, [10, 0, 0, 2], "ARP: 10.0.0.1 answers 10.0.0.2"),
            (1, [10, 0, 0, 1], "ARP: 10.0.0.1 announces itself"),
            (2, [10, 0, 0, 1], "ARP: 10.0.0.1 announces itself"),
            (8, [10, 0, 0, 2], "ARP operation 8: 10.0.0.1 to 10.0.0.2"),
        ] {
            let arp = Arp { operation, sender: [10, 0, 0, 1].into(), target: target.into() };
            assert_eq!(arp.to_string(), expected);
        }
    }
}
