//! Frames of every kind that a link can carry, by the hundred thousand, each counted by kind.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::{RATE, frames};
use crate::Count;
use crate::frame::{self, Ipv4Header, Pair, flags, protocol};
use crate::lab::{Family, Host};

/// A stream of frames of all kinds; [`mixed`] begins.
#[derive(Debug)]
pub struct Mixed<'a> {
    from: &'a Host,
    to: &'a Host,
    total: u64,
    rate: u64,
    flows: u16,
}

/// The sent frames, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// All of it; bytes are the frames', VLAN tags included.
    pub total: Count,
    /// By kind: `udp4`, `vlan`, `fragment6-rest` …
    pub kinds: BTreeMap<&'static str, Count>,
}

/// Frames of all kinds from one host towards another: 1000 of them, in turn.
///
/// The receiving stack answers what asks for an answer (RST, port unreachable, ARP): count one direction.
pub const fn mixed<'a>(from: &'a Host, to: &'a Host) -> Mixed<'a> {
    Mixed { from, to, total: 1000, rate: RATE, flows: 4 }
}

impl Mixed<'_> {
    /// Sets the number of frames.
    pub const fn total(mut self, total: u64) -> Self {
        self.total = total;
        self
    }

    /// Frames a second; 0: as fast as it goes.
    pub const fn rate(mut self, rate: u64) -> Self {
        self.rate = rate;
        self
    }

    /// Sets the number of source ports of each kind.
    pub const fn flows(mut self, flows: u16) -> Self {
        self.flows = flows;
        self
    }

    /// Sends them.
    pub fn run(self) -> Result<Sent> {
        let set: Vec<(&'static str, Vec<u8>)> = (0..self.flows).flat_map(|flow| self.kinds(20000 + flow)).collect();
        let total = usize::try_from(self.total)?;
        let packets = set.iter().cycle().take(total).map(|(_, frame)| frame.as_slice());
        frames(self.from)?.send(packets, self.rate)?;
        let mut sent = Sent::default();
        for (kind, frame) in set.iter().cycle().take(total) {
            sent.total.add(frame.len());
            sent.kinds.entry(kind).or_default().add(frame.len());
        }
        Ok(sent)
    }

    /// One frame of each kind, with this source port.
    fn kinds(&self, port: u16) -> Vec<(&'static str, Vec<u8>)> {
        let mut set = self.transports(port);
        set.extend(self.fragments(port));
        set.extend(self.odd(port));
        set
    }

    fn transports(&self, port: u16) -> Vec<(&'static str, Vec<u8>)> {
        let (four, six) = (self.pair(Family::V4), self.pair(Family::V6));
        let ports = (port, 9);
        let tcp = |pair| frame::tcp(pair, ports, flags::ACK | flags::PSH, (1, 1), &[0; 100]);
        let udp = |pair| frame::udp(pair, ports, &[0; 33]);
        vec![
            ("udp4", self.plain(four, protocol::UDP, &udp(four))),
            ("udp6", self.plain(six, protocol::UDP, &udp(six))),
            ("tcp4", self.plain(four, protocol::TCP, &tcp(four))),
            ("tcp6", self.plain(six, protocol::TCP, &tcp(six))),
            ("icmp4", self.plain(four, protocol::ICMP, &frame::echo(four, port, 1, &[0; 56]))),
            ("icmp6", self.plain(six, protocol::ICMP6, &frame::echo(six, port, 1, &[0; 56]))),
            ("sctp4", self.plain(four, protocol::SCTP, &frame::sctp(ports, 0, 1))),
            ("sctp6", self.plain(six, protocol::SCTP, &frame::sctp(ports, 0, 1))),
        ]
    }

    fn fragments(&self, port: u16) -> Vec<(&'static str, Vec<u8>)> {
        let (four, six) = (self.pair(Family::V4), self.pair(Family::V6));
        let whole4 = frame::udp(four, (port, 9), &[0; 120]);
        let whole6 = frame::udp(six, (port, 9), &[0; 120]);
        // 8 UDP header + 56 payload in the first piece: 64 bytes, 8 units.
        let piece4 = |fragment, piece: &[u8]| {
            let header = Ipv4Header { id: port, fragment, ..Ipv4Header::default() };
            self.link(&[], frame::IPV4, &frame::ipv4(self.from.v4, self.to.v4, protocol::UDP, &header, piece))
        };
        let piece6 = |offset, more, piece: &[u8]| {
            self.plain(six, protocol::FRAGMENT, &frame::fragment6(protocol::UDP, port.into(), offset, more, piece))
        };
        vec![
            ("fragment4-first", piece4((0, true), &whole4[..64])),
            ("fragment4-rest", piece4((8, false), &whole4[64..])),
            ("fragment6-first", piece6(0, true, &whole6[..64])),
            ("fragment6-rest", piece6(8, false, &whole6[64..])),
        ]
    }

    fn odd(&self, port: u16) -> Vec<(&'static str, Vec<u8>)> {
        let (four, six) = (self.pair(Family::V4), self.pair(Family::V6));
        let udp4 = frame::udp(four, (port, 9), &[0; 20]);
        let udp6 = frame::udp(six, (port, 9), &[0; 20]);
        // Eight no-operations: the longest header that parsers forget is one with any options.
        let header = Ipv4Header { options: vec![1; 8], ..Ipv4Header::default() };
        let options4 = frame::ipv4(self.from.v4, self.to.v4, protocol::UDP, &header, &udp4);
        let extensions = frame::options6(protocol::DESTINATION, &frame::options6(protocol::UDP, &udp6));
        let group = Ipv4Addr::new(239, 1, 2, 3);
        let report = frame::ipv4(
            self.from.v4,
            group,
            protocol::IGMP,
            &Ipv4Header { ttl: 1, ..Ipv4Header::default() },
            &frame::igmp(group),
        );
        let to_group = [0x01, 0x00, 0x5e, 1, 2, 3];
        let request = frame::arp(self.from.mac, self.from.v4, self.from.gateway4);
        vec![
            ("options4", self.link(&[], frame::IPV4, &options4)),
            ("extensions6", self.plain(six, protocol::HOP_BY_HOP, &extensions)),
            ("vlan", self.link(&[(frame::VLAN, 100)], frame::IPV4, &frame::ip(four, protocol::UDP, &udp4))),
            (
                "vlan-twice",
                self.link(
                    &[(frame::VLAN_OUTER, 200), (frame::VLAN, 100)],
                    frame::IPV6,
                    &frame::ip(six, protocol::UDP, &udp6),
                ),
            ),
            ("igmp", frame::ethernet(to_group, self.from.mac, &[], frame::IPV4, &report)),
            ("arp", frame::ethernet([0xff; 6], self.from.mac, &[], frame::ARP, &request)),
            ("experiment", self.link(&[], frame::EXPERIMENT, &[0x65; 46])),
        ]
    }

    const fn pair(&self, family: Family) -> Pair {
        Pair { source: self.from.address(family), destination: self.to.address(family) }
    }

    fn plain(&self, pair: Pair, protocol: u8, payload: &[u8]) -> Vec<u8> {
        self.link(&[], frame::ethertype(pair), &frame::ip(pair, protocol, payload))
    }

    fn link(&self, tags: &[(u16, u16)], ethertype: u16, payload: &[u8]) -> Vec<u8> {
        frame::ethernet(next_hop(self.from, self.to), self.from.mac, tags, ethertype, payload)
    }
}

/// Hosts on one bridge reach each other without the node.
fn next_hop(from: &Host, to: &Host) -> [u8; 6] {
    if from.gateway_mac == to.gateway_mac { to.mac } else { from.gateway_mac }
}

/// Sends one small datagram on each of so many connections (source and destination ports in order), to closed ports.
///
/// Used to overflow tables.
pub fn connections(from: &Host, to: &Host, number: u32, rate: u64) -> Result<Count> {
    /// Frames that are built at once.
    const CHUNK: u32 = 4096;
    /// Source ports in use; the destination port counts the rounds.
    const PORTS: u32 = 50_000;
    let socket = frames(from)?;
    let pair = Pair { source: from.v4.into(), destination: to.v4.into() };
    let build = |index: u32| {
        let ports = (u16::try_from(10_000 + index % PORTS)?, u16::try_from(1 + index / PORTS)?);
        let packet = frame::ip(pair, protocol::UDP, &frame::udp(pair, ports, &[0; 18]));
        anyhow::Ok(frame::ethernet(next_hop(from, to), from.mac, &[], frame::IPV4, &packet))
    };
    let mut count = Count::default();
    for start in (0..number).step_by(CHUNK as usize) {
        let chunk: Vec<Vec<u8>> = (start..number.min(start + CHUNK)).map(build).collect::<Result<_>>()?;
        socket.send(chunk.iter().map(Vec::as_slice), rate)?;
        chunk.iter().for_each(|frame| count.add(frame.len()));
    }
    Ok(count)
}
