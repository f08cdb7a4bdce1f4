//! Constants of the packet headers that the programs look at.

/// Length of an Ethernet header.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Ethertypes in network byte order, as a little-endian machine loads them: RFC 894, 826, 8200, 802.1Q.
pub(crate) const ETH_IPV4: u16 = 0x0800_u16.to_be();
pub(crate) const ETH_IPV6: u16 = 0x86dd_u16.to_be();
pub(crate) const ETH_VLAN: u16 = 0x8100_u16.to_be();
pub(crate) const ETH_QINQ: u16 = 0x88a8_u16.to_be();
pub(crate) const ETH_QINQ_OLD: u16 = 0x9100_u16.to_be();

/// IP protocol numbers, IANA.
pub(crate) const IPPROTO_HOPOPTS: u8 = 0;
pub(crate) const IPPROTO_ICMP: u8 = 1;
pub(crate) const IPPROTO_TCP: u8 = 6;
pub(crate) const IPPROTO_UDP: u8 = 17;
pub(crate) const IPPROTO_DCCP: u8 = 33;
pub(crate) const IPPROTO_ROUTING: u8 = 43;
pub(crate) const IPPROTO_FRAGMENT: u8 = 44;
pub(crate) const IPPROTO_AH: u8 = 51;
pub(crate) const IPPROTO_ICMPV6: u8 = 58;
pub(crate) const IPPROTO_DSTOPTS: u8 = 60;
pub(crate) const IPPROTO_SCTP: u8 = 132;
pub(crate) const IPPROTO_MOBILITY: u8 = 135;
pub(crate) const IPPROTO_UDPLITE: u8 = 136;

/// TCP flag bits, RFC 9293.
pub(crate) const TCP_FIN: u8 = 0x01;
pub(crate) const TCP_SYN: u8 = 0x02;
pub(crate) const TCP_RST: u8 = 0x04;
pub(crate) const TCP_ACK: u8 = 0x10;

/// Offset and more-fragments bits of an IPv4 header's fragment field, as loaded.
pub(crate) const IPV4_FRAGMENT: u16 = 0x3fff_u16.to_be();

/// Link types with an Ethernet header: ARPHRD_ETHER and ARPHRD_LOOPBACK, include/uapi/linux/if_arp.h.
pub(crate) const ARPHRD_ETHER: u16 = 1;
pub(crate) const ARPHRD_LOOPBACK: u16 = 772;
