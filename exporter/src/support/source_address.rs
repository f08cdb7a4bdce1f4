//! The address by which this machine sends to others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Documentation addresses (RFC 5737, RFC 3849), to look up the kernel's route to the outside; nothing is sent.
const OUTSIDE: [IpAddr; 2] =
    [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];
/// Any port but 0 (discard, RFC 863).
const PORT: u16 = 9;

/// Returns the source address of packets to the outside, of one family; `None` without a route.
pub fn source_address(is_ipv4: bool) -> Option<IpAddr> {
    let any: IpAddr = if is_ipv4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((OUTSIDE[usize::from(!is_ipv4)], PORT)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip)).then_some(ip)
}

/// Returns whether an address is one of a single link: several links may have it.
pub const fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::is_link_local;

    #[test]
    fn link_local_addresses_are_recognized() {
        for (address, expected) in [("10.0.0.1", false), ("169.254.1.1", true), ("fe80::1", true), ("fd00::1", false)] {
            assert_eq!(is_link_local(address.parse().unwrap()), expected, "{address}");
        }
    }
}
