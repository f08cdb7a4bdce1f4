//! Tables of the labels of Hubble's metrics.

use std::net::IpAddr;

use eyepiece_flow::event::KernelDrop;
use eyepiece_flow::flow::{EventType, Flow, Ip, L4, TcpFlags, Verdict};

use super::{
    DropReason, IoDirection, Labels, PackedLabels, TcpFlag, drop_of, flow_of, interface_labels, interface_of, tcp_of,
    type_name,
};

const TCP: L4 = tcp(TcpFlags::ACK);

const fn tcp(flags: u16) -> L4 {
    L4::Tcp { source_port: 1, destination_port: 2, flags: TcpFlags(flags) }
}

fn flow(kind: u8, subtype: u8, verdict: Verdict, l4: L4) -> Flow {
    let mut flow = Flow::empty(EventType { kind, subtype });
    (flow.verdict, flow.l4) = (verdict, l4);
    flow
}

fn ip(version: u8) -> Ip {
    let address: IpAddr = [10, 0, 0, 1].into();
    Ip { source: address, source_translated: None, destination: address, version }
}

#[test]
fn flows_processed_has_hubble_labels() {
    let udp = L4::Udp { source_port: 1, destination_port: 2 };
    let sctp = L4::Sctp { source_port: 1, destination_port: 2, chunk_type: None };
    let (icmp4, icmp6) = (L4::Icmp4 { kind: 8, code: 0 }, L4::Icmp6 { kind: 128, code: 0 });
    let vrrp = L4::Vrrp { kind: 1, vrid: 2, priority: 3 };
    let igmp = L4::Igmp { kind: 0x16, group: [224, 0, 0, 1] };
    let table = [
        // message type, subtype, verdict, transport, protocol, subtype kept
        (4, 0, Verdict::Forwarded, TCP, "TCP", 0),
        (4, 11, Verdict::Forwarded, udp, "UDP", 11),
        (4, 255, Verdict::Unknown, sctp, "SCTP", 255),
        (1, 130, Verdict::Dropped, icmp4, "ICMPv4", 0),
        (3, 4, Verdict::Error, icmp6, "ICMPv6", 0),
        (5, 9, Verdict::Audit, vrrp, "VRRP", 0),
        (5, 9, Verdict::Redirected, igmp, "IGMP", 0),
        (4, 5, Verdict::Traced, L4::None, "Unknown L4", 5),
        (129, 3, Verdict::Forwarded, TCP, "Unknown L7", 0),
        (7, 3, Verdict::Translated, TCP, "Unknown flow", 0),
        (0, 3, Verdict::Forwarded, TCP, "Unknown flow", 0),
    ];
    for (kind, subtype, verdict, l4, protocol, kept) in table {
        let labels = PackedLabels::of(&flow(kind, subtype, verdict, l4)).flow_labels();
        assert_eq!(flow_of(labels), Labels::Flow { protocol, kind, subtype: kept, verdict }, "type {kind}");
    }
}

#[test]
fn protocols_have_names_of_flow() {
    for l4 in [TCP, L4::None, L4::Icmp6 { kind: 1, code: 1 }, L4::Vrrp { kind: 1, vrid: 2, priority: 3 }] {
        let labels = flow_of(PackedLabels::of(&flow(4, 0, Verdict::Forwarded, l4)).flow_labels());
        assert!(matches!(labels, Labels::Flow { protocol, .. } if protocol == l4.protocol_name()), "{l4:?}");
    }
}

#[test]
fn drops_have_cilium_or_kernel_reason() {
    let kernel = |reason| Some(KernelDrop { reason, location: 1, netns: 2 });
    let table = [
        // verdict, Cilium's reason, the kernel's, expected
        (Verdict::Dropped, 133, None, Some(DropReason::Cilium(133))),
        (Verdict::Dropped, 0, None, Some(DropReason::Cilium(0))),
        (Verdict::Dropped, u32::MAX, None, Some(DropReason::Cilium(u32::MAX))),
        (Verdict::Dropped, 133, kernel(9), Some(DropReason::Kernel(9))),
        (Verdict::Dropped, 0, kernel(0), Some(DropReason::Kernel(0))),
        (Verdict::Dropped, 0, kernel(u32::MAX), Some(DropReason::Kernel(u32::MAX))),
        (Verdict::Forwarded, 133, kernel(9), None),
        (Verdict::Audit, 133, None, None),
        (Verdict::Error, 0, kernel(9), None),
        (Verdict::Unknown, 133, None, None),
    ];
    for (verdict, code, kernel_drop, expected) in table {
        let mut flow = flow(1, 0, verdict, TCP);
        (flow.drop_reason, flow.kernel_drop) = (code, kernel_drop);
        let observed = PackedLabels::of(&flow);
        let expected = expected.map(|reason| Labels::Drop { reason, protocol: "TCP" });
        assert_eq!(observed.drop_labels().map(drop_of), expected, "{flow:?}");
        if expected.is_none() {
            assert_eq!(observed.number, 0, "unused bits");
        }
    }
}

#[test]
fn tcp_flags_count_forwarded_flows() {
    use TcpFlag::{Fin, Rst, Syn, SynAck};
    use Verdict::{Audit, Dropped, Error, Forwarded, Redirected, Translated, Unknown};
    const SYN: u16 = TcpFlags::SYN;
    const ACK: u16 = TcpFlags::ACK;
    const FIN: u16 = TcpFlags::FIN;
    const RST: u16 = TcpFlags::RST;
    let table: [(Verdict, Option<u8>, L4, &[TcpFlag]); 18] = [
        (Forwarded, Some(4), tcp(SYN), &[Syn]),
        (Forwarded, Some(6), tcp(SYN | ACK), &[SynAck]),
        (Redirected, Some(4), tcp(FIN | ACK), &[Fin]),
        (Forwarded, Some(4), tcp(RST), &[Rst]),
        (Forwarded, Some(4), tcp(RST | ACK), &[Rst]),
        (Forwarded, Some(4), tcp(FIN | SYN | RST), &[Fin, Syn, Rst]),
        (Forwarded, Some(4), tcp(0x1ff), &[Fin, SynAck, Rst]),
        (Forwarded, Some(4), tcp(ACK), &[]),
        (Forwarded, Some(4), tcp(0), &[]),
        (Forwarded, Some(4), tcp(TcpFlags::PSH | TcpFlags::URG | TcpFlags::ECE | TcpFlags::CWR | TcpFlags::NS), &[]),
        (Forwarded, Some(0), tcp(SYN), &[Syn]),
        (Forwarded, None, tcp(SYN), &[]),
        (Forwarded, Some(4), L4::Udp { source_port: 2, destination_port: 2 }, &[]),
        (Dropped, Some(4), tcp(SYN), &[]),
        (Audit, Some(4), tcp(SYN), &[]),
        (Error, Some(4), tcp(SYN), &[]),
        (Translated, Some(4), tcp(SYN), &[]),
        (Unknown, Some(4), tcp(SYN), &[]),
    ];
    for (verdict, version, l4, flags) in table {
        let mut flow = flow(4, 0, verdict, l4);
        flow.ip = version.map(ip);
        let labels: Vec<Labels> = PackedLabels::of(&flow).tcp_labels().map(tcp_of).collect();
        let expected: Vec<Labels> =
            flags.iter().map(|&flag| Labels::Tcp { flag, version: version.unwrap_or_default() }).collect();
        assert_eq!(labels, expected, "{verdict:?} {version:?} {l4:?}");
    }
}

#[test]
fn equally_counted_packets_share_key() {
    let mut one = flow(4, 0, Verdict::Forwarded, tcp(TcpFlags::ACK));
    let mut other = flow(4, 0, Verdict::Forwarded, tcp(TcpFlags::ACK | TcpFlags::PSH));
    (one.ip, other.ip) = (Some(ip(4)), None);
    other.drop_reason = 5;
    assert_eq!(PackedLabels::of(&one), PackedLabels::of(&other));
}

#[test]
fn interface_labels_round_trip() {
    for (ifindex, generation) in [(0, 0), (1, 0), (u32::MAX, 0), (0, 1), (u32::MAX, u32::MAX >> 1)] {
        for (ingress, direction) in [(true, IoDirection::Receive), (false, IoDirection::Transmit)] {
            let labels = Labels::Interface { ifindex, generation, direction };
            assert_eq!(interface_of(interface_labels(ifindex, generation, ingress)), labels);
        }
    }
}

#[test]
fn types_have_hubble_names() {
    for (kind, name) in
        [(1, "Drop"), (3, "Capture"), (4, "Trace"), (5, "PolicyVerdict"), (129, "L7"), (7, "Unknown"), (0, "Unknown")]
    {
        assert_eq!(type_name(kind), name);
    }
}
