//! Packets from a seed, built from the inside: every layer that Hubble decodes, in the others that may stand around it.

use eyepiece_tests::notification::{ethernet, geneve, ipv4, ipv6, tag, tcp, udp_ports, vxlan};

/// Tunnels' ports, those of protocols that the packet library knows, and others.
const PORTS: [u16; 20] =
    [4789, 4789, 6081, 6081, 8472, 53, 123, 666, 1000, 1812, 2123, 2152, 2222, 3868, 5060, 5083, 44818, 80, 0, 65535];

/// A tunnel's kind.
#[derive(Clone, Copy)]
pub(crate) enum Tunnel {
    Vxlan,
    Geneve,
}

/// Random packets, one after the other.
pub(crate) struct Packets(fastrand::Rng);

impl Packets {
    pub(crate) fn new(random: fastrand::Rng) -> Self {
        Self(random)
    }

    /// A packet, with or without an Ethernet header, and whether it is IPv6. A tunnel's is that tunnel's, mostly.
    pub(crate) fn packet(&mut self, is_l3: bool, tunnel: Option<Tunnel>) -> (Vec<u8>, bool) {
        let is_ipv6 = self.0.bool();
        let tunnel = tunnel.filter(|_| self.0.u8(..16) != 0);
        let network = if let Some(tunnel) = tunnel {
            let payload = self.tunnel(tunnel, 2);
            let datagram = udp_ports(self.port(), 8472, &payload);
            if is_ipv6 { self.v6(17, &datagram) } else { self.v4(17, &datagram) }
        } else {
            self.network(is_ipv6, 2)
        };
        (if is_l3 { network } else { self.link(is_ipv6, &network) }, is_ipv6)
    }

    fn port(&mut self) -> u16 {
        if self.0.u8(..4) == 0 { self.0.u16(..) } else { self.0.choice(PORTS).unwrap_or(0) }
    }

    fn bytes(&mut self, below: usize) -> Vec<u8> {
        (0..self.0.usize(..below)).map(|_| self.0.u8(..)).collect()
    }

    /// A frame around a packet.
    fn link(&mut self, is_ipv6: bool, packet: &[u8]) -> Vec<u8> {
        let ethertype = if is_ipv6 { 0x86dd } else { 0x0800 };
        let mut frame = match self.0.u8(..24) {
            0 => ethernet(0x8100, &tag(self.0.u16(..4096), ethertype, packet)),
            1 => ethernet(0x88a8, &tag(5, 0x8100, &tag(6, ethertype, packet))),
            2 => ethernet(0x6558, &ethernet(ethertype, packet)),
            3 => ethernet(self.0.u16(..), packet),
            4 => ethernet(0x0806, &[0; 28]),
            5 if !is_ipv6 => ethernet(0xffff, packet),
            _ => ethernet(ethertype, packet),
        };
        frame[0] = 2 | self.0.u8(..) << 2;
        frame[5] = self.0.u8(..);
        frame[11] = self.0.u8(..);
        frame
    }

    /// A packet that may have others inside of it.
    fn network(&mut self, is_ipv6: bool, depth: u8) -> Vec<u8> {
        let (protocol, payload) = self.transport(is_ipv6, depth);
        if is_ipv6 { self.v6(protocol, &payload) } else { self.v4(protocol, &payload) }
    }

    fn v4(&mut self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let mut packet = match self.0.u8(..12) {
            0 => {
                // An end of options, and one of two bytes and a value.
                let options = [&[7, 4, 0, 0, 1, 1, 0, 0][..], payload].concat();
                let mut packet = ipv4(protocol, &options);
                packet[0] = 0x47;
                packet
            }
            _ => ipv4(protocol, payload),
        };
        match self.0.u8(..16) {
            0 => packet[6] = 0x20,
            1 => packet[7] = self.0.u8(..),
            2 => packet[2..4].fill(0),
            _ => {}
        }
        self.0.fill(&mut packet[12..20]);
        packet
    }

    fn v6(&mut self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        let (mut protocol, mut payload) = (protocol, payload.to_vec());
        for _ in 0..self.0.u8(..12).saturating_sub(9) {
            let kind = self.0.choice([0, 0, 0, 43, 44, 51, 60, 135, 139, 140]).unwrap_or(0);
            let units = self.0.u8(..3);
            let mut header = match kind {
                44 => vec![protocol, 0, 0, self.0.u8(..2), 0, 0, 0, 1],
                51 => vec![0; (usize::from(units) + 2) * 4],
                _ => vec![0; (usize::from(units) + 1) * 8],
            };
            header[0] = protocol;
            if kind != 44 {
                header[1] = units;
            }
            if kind == 0 {
                // A router alert or a jumbogram's length, then padding; or padding alone.
                let padding = match self.0.u8(..4) {
                    0 => {
                        header[2..6].copy_from_slice(&[5, 2, 0, 0]);
                        6
                    }
                    1 if units > 0 => {
                        header[2..8].copy_from_slice(&[0xc2, 4, 0, 1, 0, 0]);
                        8
                    }
                    _ => 2,
                };
                let rest = header.len() - padding;
                header[padding..padding + 2].copy_from_slice(&[1, rest as u8 - 2]);
            }
            header.extend(payload);
            (protocol, payload) = (kind, header);
        }
        let mut packet = ipv6(protocol, &payload);
        match self.0.u8(..16) {
            0 => packet[5] = packet[5].wrapping_sub(self.0.u8(..33)),
            1 => packet[4..6].fill(0),
            _ => {}
        }
        self.0.fill(&mut packet[8..40]);
        if self.0.u8(..24) == 0 {
            packet[8..20].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        }
        packet
    }

    fn transport(&mut self, is_ipv6: bool, depth: u8) -> (u8, Vec<u8>) {
        let (source, destination) = (self.port(), self.port());
        let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        match self.0.u8(..20) {
            0..4 => {
                let mut segment = tcp(self.0.u16(..0x200));
                segment[..4].copy_from_slice(&ports);
                (6, segment)
            }
            4..10 => {
                let payload = match destination {
                    4789 if depth > 0 && self.0.u8(..4) != 0 => self.tunnel(Tunnel::Vxlan, depth - 1),
                    6081 if depth > 0 && self.0.u8(..4) != 0 => self.tunnel(Tunnel::Geneve, depth - 1),
                    _ => self.bytes(60),
                };
                (17, udp_ports(source, destination, &payload))
            }
            10 | 11 => (if is_ipv6 { 58 } else { 1 }, self.control()),
            12 | 13 => (132, [ports.as_slice(), &[0; 8], &self.bytes(3)].concat()),
            14 | 15 => {
                let kind = self.0.choice([0x11, 0x12, 0x16, 0x17, 0x22, 0x30]).unwrap_or(0);
                (2, [&[kind, 0, 0, 0, 224, 0, 0, self.0.u8(..)][..], &self.bytes(4)].concat())
            }
            16 => (112, [&[0x21, 5, self.0.u8(..), 1, 0, 1, 0, 0, 10, 0, 0, 9][..], &self.bytes(9)].concat()),
            17 if depth > 0 => {
                let is_ipv6 = self.0.bool();
                (if is_ipv6 { 41 } else { 4 }, self.network(is_ipv6, depth - 1))
            }
            _ => (self.0.u8(..), self.bytes(40)),
        }
    }

    /// A control message of either family.
    fn control(&mut self) -> Vec<u8> {
        let mut message = vec![0; 8];
        message[0] = self.0.choice([0, 1, 2, 3, 4, 5, 8, 11, 12, 128, 129, 133, 134, 135, 136, 137, 143]).unwrap_or(0);
        message[1] = self.0.u8(..8);
        message
    }

    /// A tunnel's header and what it carries.
    fn tunnel(&mut self, tunnel: Tunnel, depth: u8) -> Vec<u8> {
        let is_ipv6 = self.0.bool();
        let packet = self.network(is_ipv6, depth);
        let vni = self.0.u32(..1 << 24);
        match (tunnel, self.0.bool()) {
            (Tunnel::Vxlan, _) => vxlan(vni, &self.link(is_ipv6, &packet)),
            (Tunnel::Geneve, true) => geneve(vni, self.options(), if is_ipv6 { 0x86dd } else { 0x0800 }, &packet),
            (Tunnel::Geneve, false) => geneve(vni, self.options(), 0x6558, &self.link(is_ipv6, &packet)),
        }
    }

    /// Words of Geneve options: each word, all zero, is one option.
    fn options(&mut self) -> u8 {
        self.0.choice([0, 0, 1, 2, 5]).unwrap_or(0)
    }
}
