//! Frames by hand: every layer is a function from its payload to its bytes, checksums included.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// EtherType of IPv4.
pub const IPV4: u16 = 0x0800;
/// EtherType of ARP.
pub const ARP: u16 = 0x0806;
/// EtherType of IPv6.
pub const IPV6: u16 = 0x86dd;
/// EtherType of a VLAN tag, IEEE 802.1Q.
pub const VLAN: u16 = 0x8100;
/// EtherType of an outer VLAN tag, IEEE 802.1ad.
pub const VLAN_OUTER: u16 = 0x88a8;
/// An EtherType that IEEE 802 leaves to experiments: no stack knows it.
pub const EXPERIMENT: u16 = 0x88b5;

/// IP protocol numbers, IANA.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// ICMPv6.
    pub const ICMP6: u8 = 58;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// TCP flag bits, RFC 9293.
pub mod flags {
    /// FIN.
    pub const FIN: u8 = 0x01;
    /// SYN.
    pub const SYN: u8 = 0x02;
    /// RST.
    pub const RST: u8 = 0x04;
    /// PSH.
    pub const PSH: u8 = 0x08;
    /// ACK.
    pub const ACK: u8 = 0x10;
}

/// Source and destination, of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Source.
    pub source: IpAddr,
    /// Destination.
    pub destination: IpAddr,
}

/// An Ethernet frame; `tags` are (EtherType of the tag, VLAN id), outermost first.
pub fn ethernet(destination: [u8; 6], source: [u8; 6], tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = [destination, source].concat();
    for (tag, id) in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend(id.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Fields of an IPv4 header beyond addresses and protocol.
#[derive(Clone, Debug)]
pub struct Ipv4Header {
    /// Time to live.
    pub ttl: u8,
    /// Options, a multiple of 4 bytes.
    pub options: Vec<u8>,
    /// Identification, which the fragments of a packet share.
    pub id: u16,
    /// Offset of the fragment in units of 8 bytes, and whether more follow.
    pub fragment: (u16, bool),
}

impl Default for Ipv4Header {
    fn default() -> Self {
        Self { ttl: 64, options: Vec::new(), id: 0, fragment: (0, false) }
    }
}

/// An IPv4 packet.
pub fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8, header: &Ipv4Header, payload: &[u8]) -> Vec<u8> {
    let words = 5 + header.options.len() / 4;
    let total = words * 4 + payload.len();
    let mut packet = vec![0x40 | low8(words), 0];
    packet.extend(low16(total).to_be_bytes());
    packet.extend(header.id.to_be_bytes());
    packet.extend((header.fragment.0 | u16::from(header.fragment.1) << 13).to_be_bytes());
    packet.extend([header.ttl, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(&header.options);
    let sum = checksum(&[&packet]).to_be_bytes();
    packet[10..12].copy_from_slice(&sum);
    packet.extend(payload);
    packet
}

/// An IPv6 packet; `next` is the protocol of the payload's first header.
pub fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, hop_limit: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(low16(payload.len()).to_be_bytes());
    packet.extend([next, hop_limit]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

/// An IPv6 options header (hop-by-hop or destination) of 8 bytes, all padding (RFC 8200 §4.2), before a payload.
pub fn options6(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[next, 0, 1, 4, 0, 0, 0, 0], payload].concat()
}

/// An IPv6 fragment header before a piece of the payload; the offset is in units of 8 bytes.
pub fn fragment6(next: u8, id: u32, offset: u16, more: bool, piece: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((offset << 3 | u16::from(more)).to_be_bytes());
    header.extend(id.to_be_bytes());
    header.extend(piece);
    header
}

/// A packet with plain IP header of the addresses' family.
pub fn ip(pair: Pair, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (pair.source, pair.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            ipv4(source, destination, protocol, &Ipv4Header::default(), payload)
        }
        (source, destination) => ipv6(wide(source), wide(destination), protocol, 64, payload),
    }
}

/// EtherType of the family.
pub const fn ethertype(pair: Pair) -> u16 {
    if pair.source.is_ipv4() { IPV4 } else { IPV6 }
}

/// A UDP datagram.
pub fn udp(pair: Pair, ports: (u16, u16), payload: &[u8]) -> Vec<u8> {
    let mut datagram = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    datagram.extend(low16(8 + payload.len()).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    // A sum of zero is sent as all ones: zero means "no checksum", RFC 768.
    let sum = match transport_checksum(pair, protocol::UDP, &datagram) {
        0 => 0xffff,
        sum => sum,
    };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// A TCP segment without options.
pub fn tcp(pair: Pair, ports: (u16, u16), flags: u8, numbers: (u32, u32), payload: &[u8]) -> Vec<u8> {
    let mut segment = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    segment.extend(numbers.0.to_be_bytes());
    segment.extend(numbers.1.to_be_bytes());
    segment.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    let sum = transport_checksum(pair, protocol::TCP, &segment).to_be_bytes();
    segment[16..18].copy_from_slice(&sum);
    segment
}

/// An echo request of the family's ICMP.
pub fn echo(pair: Pair, id: u16, sequence: u16, payload: &[u8]) -> Vec<u8> {
    let v4 = pair.source.is_ipv4();
    let mut message = vec![if v4 { 8 } else { 128 }, 0, 0, 0];
    message.extend(id.to_be_bytes());
    message.extend(sequence.to_be_bytes());
    message.extend(payload);
    let sum = if v4 { checksum(&[&message]) } else { transport_checksum(pair, protocol::ICMP6, &message) };
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// An SCTP packet with one chunk that has no value; CRC32c over all, RFC 9260.
pub fn sctp(ports: (u16, u16), tag: u32, chunk_type: u8) -> Vec<u8> {
    let mut packet = [ports.0.to_be_bytes(), ports.1.to_be_bytes()].concat();
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    packet.extend([chunk_type, 0, 0, 4]);
    let sum = crc32c(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&sum);
    packet
}

/// An IGMPv2 membership report, RFC 2236.
pub fn igmp(group: Ipv4Addr) -> Vec<u8> {
    let mut message = vec![0x16, 0, 0, 0];
    message.extend(group.octets());
    let sum = checksum(&[&message]).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

/// An ARP request, RFC 826.
pub fn arp(mac: [u8; 6], source: Ipv4Addr, wanted: Ipv4Addr) -> Vec<u8> {
    let mut request = vec![0, 1, 8, 0, 6, 4, 0, 1];
    request.extend(mac);
    request.extend(source.octets());
    request.extend([0; 6]);
    request.extend(wanted.octets());
    request
}

/// The internet checksum (RFC 1071) of pieces that each but the last have an even length.
pub fn checksum(pieces: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in pieces.iter().flat_map(|piece| piece.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !low16(sum as usize)
}

fn transport_checksum(pair: Pair, protocol: u8, segment: &[u8]) -> u16 {
    let ends = match (pair.source, pair.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => [source.octets(), destination.octets()].concat(),
        (source, destination) => [wide(source).octets(), wide(destination).octets()].concat(),
    };
    let mut tail = low16(segment.len()).to_be_bytes().to_vec();
    tail.extend([0, protocol]);
    checksum(&[&ends, &tail, segment])
}

const fn wide(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

fn crc32c(bytes: &[u8]) -> u32 {
    // Castagnoli's polynomial, reflected.
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

fn low16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

fn low8(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::{checksum, crc32c, udp};

    #[test]
    fn checksums_match_rfcs() {
        // RFC 1071 §3: the sum of these words is ddf2.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0xff]]), 0x00ff);
        // RFC 3720 §B.4: 32 bytes of zeros.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn datagram_with_pseudo_header_sums_zero() {
        let pair = super::Pair { source: [10, 1, 1, 2].into(), destination: [10, 1, 2, 2].into() };
        let datagram = udp(pair, (1, 2), b"odd");
        assert_eq!(checksum(&[&[10, 1, 1, 2, 10, 1, 2, 2, 0, 11, 0, 17], &datagram]), 0);
    }
}
