//! Numbers of protocols inside IP packets (IANA's protocol numbers).

/// ICMP for IPv4.
pub const ICMP: u8 = 1;
/// IGMP.
pub const IGMP: u8 = 2;
/// An IPv4 packet.
pub const IPV4: u8 = 4;
/// TCP.
pub const TCP: u8 = 6;
/// UDP.
pub const UDP: u8 = 17;
/// DCCP.
pub const DCCP: u8 = 33;
/// An IPv6 packet.
pub const IPV6: u8 = 41;
/// GRE and the tunnels on top of it.
pub const GRE: u8 = 47;
/// ESP of IPsec.
pub const ESP: u8 = 50;
/// ICMP for IPv6.
pub const ICMPV6: u8 = 58;
/// IPv4 within IP, with the same packets as [`IPV4`].
pub const IPIP: u8 = 94;
/// VRRP.
pub const VRRP: u8 = 112;
/// SCTP.
pub const SCTP: u8 = 132;
/// UDP-Lite.
pub const UDPLITE: u8 = 136;
