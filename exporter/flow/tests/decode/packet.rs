//! Packets behind a notification: every layer, odd and cut ones, tunnels.

use eyepiece_flow::flow::{Arp, Flow, L4, Layer, TcpFlags};

use crate::{decode_flow, summary};
use eyepiece_tests::notification::{
    drop, ethernet, geneve, ipv4, ipv6, padded, tag, tcp, trace, udp, udp_ports, vxlan,
};

const SYN: L4 = L4::Tcp { source_port: 1000, destination_port: 80, flags: TcpFlags(TcpFlags::SYN) };
const DNS: L4 = L4::Udp { source_port: 1000, destination_port: 53 };
const VXLAN: u8 = 4;
const GENEVE: u8 = 8;

/// The flow of a trace with flags.
fn decode(flags: u8, packet: &[u8]) -> Flow {
    decode_flow(&padded(trace(1).set(27, &[flags]).packet(packet))).expect("a good header")
}

fn tcp4() -> Vec<u8> {
    ethernet(0x0800, &ipv4(6, &tcp(2)))
}

#[test]
fn transport_layers_of_both_families() {
    let sctp = |chunk: &[u8]| [&[3, 232, 0, 80][..], &[0; 8], chunk].concat();
    let ports = (1000, 80);
    for (protocol, payload, expected, text) in [
        (6, tcp(2), SYN, "TCP Flags: SYN"),
        (17, udp(b""), DNS, "UDP"),
        (132, sctp(&[]), L4::Sctp { source_port: ports.0, destination_port: ports.1, chunk_type: None }, "SCTP"),
        (132, sctp(&[14]), L4::Sctp { source_port: ports.0, destination_port: ports.1, chunk_type: Some(14) }, "SCTP"),
        (1, vec![8, 0, 0, 0, 0, 0, 0, 0], L4::Icmp4 { kind: 8, code: 0 }, "ICMPv4 EchoRequest"),
        (58, vec![135, 0, 0, 0], L4::Icmp6 { kind: 135, code: 0 }, "ICMPv6 NeighborSolicitation"),
        (
            2,
            vec![0x16, 0, 0, 0, 224, 0, 0, 9],
            L4::Igmp { kind: 0x16, group: [224, 0, 0, 9] },
            "IGMP IGMPv2 Membership Report",
        ),
        (
            112,
            vec![0x21, 5, 100, 1, 0, 1, 0, 0],
            L4::Vrrp { kind: 1, vrid: 5, priority: 100 },
            "VRRP VRRPv2 Advertisement",
        ),
    ] {
        for (packet, layer) in [
            (ethernet(0x0800, &ipv4(protocol, &payload)), Layer::Ipv4),
            (ethernet(0x86dd, &ipv6(protocol, &payload)), Layer::Ipv6),
        ] {
            let flow = decode(0, &packet);
            assert_eq!((flow.l4, flow.last_layer, summary(&flow)), (expected, Layer::L4, text.to_owned()));
            let flow = decode(0, &packet[..packet.len() - payload.len()]);
            assert_eq!((flow.l4, flow.last_layer), (L4::None, layer), "protocol {protocol} without a byte");
        }
    }
}

#[test]
fn link_layer_packets_have_no_ip() {
    for (ethertype, payload) in [
        (0x0806, vec![0; 28]),
        (0x0100, vec![0xaa; 60]),
        (0x88cc, vec![]),
        (0x0800, vec![0x45; 19]),
        (0x86dd, vec![0x60; 39]),
        // An IPv4 header of less than 20 bytes.
        (0x0800, vec![0x44; 40]),
    ] {
        let flow = decode(0, &ethernet(ethertype, &payload));
        assert_eq!((flow.ip, flow.l4, flow.last_layer), (None, L4::None, Layer::Ethernet), "{ethertype:#x}");
        assert_eq!(flow.ethernet.map(|header| header.source), Some([2, 0, 0, 0, 0, 1]));
    }
    for length in [0, 1, 13] {
        let flow = decode(0, &tcp4()[..length]);
        assert_eq!((flow.ethernet, flow.last_layer, summary(&flow)), (None, Layer::None, String::new()));
    }
}

#[test]
fn arp_shows_both_addresses() {
    let arp = |operation: u8| {
        let mut packet = vec![0, 1, 8, 0, 6, 4, 0, operation];
        packet.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
        packet
    };
    let expected =
        |operation| Layer::Arp(Arp { operation, sender: [10, 0, 0, 1].into(), target: [10, 0, 0, 2].into() });
    for (packet, layer) in [
        (ethernet(0x0806, &arp(1)), expected(1)),
        (ethernet(0x0806, &arp(2)), expected(2)),
        // Padded to the least frame, and behind a VLAN tag.
        (ethernet(0x0806, &[arp(1), vec![0; 18]].concat()), expected(1)),
        (ethernet(0x8100, &tag(7, 0x0806, &arp(1))), expected(1)),
        (ethernet(0x0806, &arp(1)[..27]), Layer::Ethernet),
    ] {
        let flow = decode(0, &packet);
        assert_eq!((flow.ip, flow.l4, flow.last_layer), (None, L4::None, layer));
        // Hubble's words.
        assert_eq!(summary(&flow), "Ethernet");
    }
}

#[test]
fn outer_two_vlan_tags_are_read() {
    let ip = ipv4(6, &tcp(2));
    for (packet, vlan, expected) in [
        (tcp4(), None, SYN),
        (ethernet(0x8100, &tag(5, 0x0800, &ip)), Some(5), SYN),
        (ethernet(0x88a8, &tag(4095, 0x8100, &tag(6, 0x0800, &ip))), Some(4095), SYN),
        (ethernet(0x8100, &tag(0, 0x86dd, &ipv6(17, &udp(b"")))), Some(0), DNS),
        // Three tags: the innermost is not looked into.
        (ethernet(0x8100, &tag(1, 0x8100, &tag(2, 0x8100, &tag(3, 0x0800, &ip)))), Some(1), L4::None),
        (ethernet(0x8100, &tag(7, 0x0806, &[0; 28])), Some(7), L4::None),
        (ethernet(0x8100, &[0, 1, 8]), None, L4::None),
    ] {
        let flow = decode(0, &packet);
        assert_eq!((flow.vlan, flow.l4), (vlan, expected));
    }
}

#[test]
fn ipv4_options_lengths_and_fragments() {
    let with = |at: usize, bytes: &[u8]| {
        let mut packet = ipv4(6, &tcp(2));
        packet[at..at + bytes.len()].copy_from_slice(bytes);
        packet
    };
    let mut options = ipv4(6, &[&[1; 40][..], &tcp(2)].concat());
    options[0] = 0x4f;
    for (packet, expected) in [
        (options, SYN),
        // No length: as long as the data.
        (with(2, &[0, 0]), SYN),
        // Longer than what was captured.
        (with(2, &[5, 220]), SYN),
        // Ends inside TCP's header, and inside its own.
        (with(2, &[0, 39]), L4::None),
        (with(2, &[0, 40]), SYN),
        (with(2, &[0, 19]), L4::None),
        // Options beyond the data.
        (with(0, &[0x4f]), L4::None),
        // Don't fragment, the reserved bit; more fragments; an offset.
        (with(6, &[0xc0, 0]), SYN),
        (with(6, &[0x20, 0]), L4::None),
        (with(6, &[0x00, 1]), L4::None),
    ] {
        let flow = decode(0, &ethernet(0x0800, &packet));
        let layer = if expected == SYN { Layer::L4 } else { Layer::Ipv4 };
        assert_eq!((flow.l4, flow.last_layer, flow.ip.map(|ip| ip.version)), (expected, layer, Some(4)));
    }
}

#[test]
fn ipv6_extension_headers() {
    let extension = |next: u8, length: u8, bytes: usize| [&[next, length][..], &vec![0; bytes - 2]].concat();
    let behind = |header: Vec<u8>| [header, tcp(2)].concat();
    for (next, payload, expected) in [
        (0, behind(extension(6, 0, 8)), SYN),
        (43, behind(extension(6, 2, 24)), SYN),
        (60, behind(extension(6, 0, 8)), SYN),
        (51, behind(extension(6, 4, 24)), SYN),
        (135, behind(extension(6, 0, 8)), SYN),
        (139, behind(extension(6, 0, 8)), SYN),
        (140, behind(extension(6, 0, 8)), SYN),
        (0, [extension(43, 0, 8), extension(60, 0, 8), behind(extension(6, 0, 8))].concat(), SYN),
        // An atomic fragment is whole; first and later fragments are not.
        (44, behind(vec![6, 0, 0, 0, 0, 0, 0, 1]), SYN),
        (44, behind(vec![6, 0, 0, 1, 0, 0, 0, 1]), L4::None),
        (44, behind(vec![6, 0, 0, 8, 0, 0, 0, 1]), L4::None),
        // No next header, ESP, a header longer than the data, one that is cut.
        (59, behind(vec![]), L4::None),
        (50, behind(vec![]), L4::None),
        (0, behind(extension(6, 200, 8)), L4::None),
        (60, vec![6], L4::None),
        (44, vec![6, 0, 0], L4::None),
    ] {
        let flow = decode(0, &ethernet(0x86dd, &ipv6(next, &payload)));
        assert_eq!(flow.l4, expected, "{next} {payload:?}");
        assert_eq!(flow.ip.map(|ip| ip.version), Some(6));
    }
    // The length counts from the end of a hop-by-hop header on, as in Hubble.
    for (protocol, payload, expected) in [
        (2, [0x16, 0, 0, 0, 224, 0, 0, 9].as_slice(), L4::Igmp { kind: 0x16, group: [224, 0, 0, 9] }),
        (
            132,
            &[3, 232, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 14],
            L4::Sctp { source_port: 1000, destination_port: 80, chunk_type: Some(14) },
        ),
    ] {
        let mut packet = ipv6(0, &[&extension(protocol, 0, 8), payload].concat());
        packet[5] -= 8;
        assert_eq!(decode(0, &ethernet(0x86dd, &packet)).l4, expected, "{protocol}");
    }
    let mut jumbo = ipv6(6, &tcp(2));
    jumbo[4..6].fill(0);
    assert_eq!(decode(0, &ethernet(0x86dd, &jumbo)).l4, SYN);
}

#[test]
fn mapped_addresses_in_ipv6_are_ipv4() {
    let mut packet = ipv6(6, &tcp(2));
    packet[8..24].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1]);
    let ip = decode(0, &ethernet(0x86dd, &packet)).ip.unwrap();
    assert_eq!((ip.source.to_string().as_str(), ip.version), ("192.0.2.1", 6));
}

#[test]
fn devices_without_ethernet_follow_flag() {
    for (flags, packet, version) in [(2, ipv4(6, &tcp(2)), 4), (3, ipv6(6, &tcp(2)), 6)] {
        let flow = decode(flags, &packet);
        assert_eq!((flow.ethernet, flow.ip.map(|ip| ip.version), flow.l4), (None, Some(version), SYN));
    }
}

#[test]
fn ip_in_ip_gives_inner_packet() {
    for (packet, version, expected) in [
        (ipv4(4, &ipv4(6, &tcp(2))), 4, SYN),
        (ipv4(41, &ipv6(6, &tcp(2))), 6, SYN),
        (ipv4(4, &[0x45; 10]), 4, L4::None),
    ] {
        let flow = decode(0, &ethernet(0x0800, &packet));
        assert_eq!((flow.ip.map(|ip| ip.version), flow.l4), (Some(version), expected));
    }
}

#[test]
fn odd_transport_headers() {
    let mut offset = tcp(2);
    offset[12] = 0xf0;
    assert_eq!(decode(0, &ethernet(0x0800, &ipv4(6, &offset))).l4, SYN, "options beyond the data");
    assert_eq!(decode(0, &ethernet(0x0800, &ipv4(112, &[0x22; 20]))).l4, L4::None, "VRRP of another type");
    assert_eq!(decode(0, &ethernet(0x0800, &ipv4(89, &[0; 20]))).last_layer, Layer::Ipv4, "OSPF");
}

#[test]
fn padding_is_no_packet_data() {
    // 7 bytes of IGMP and garbage behind them.
    let flow = decode(0, &ethernet(0x0800, &ipv4(2, &[0x16, 0, 0, 0, 224, 0, 0])));
    assert_eq!(flow.l4, L4::None);
}

#[test]
fn tunnels_need_flag_and_payload() {
    let inner = ethernet(0x86dd, &ipv6(17, &udp(b"")));
    let outer = |payload: &[u8]| ethernet(0x0800, &ipv4(17, &udp_ports(9, 8472, payload)));
    let ports = L4::Udp { source_port: 9, destination_port: 8472 };
    for (flags, packet, tunnel, l4) in [
        (0, outer(&vxlan(7, &inner)), None, ports),
        (VXLAN, outer(&vxlan(7, &inner)), Some((1, 7)), DNS),
        (GENEVE, outer(&geneve(8, 0, 0x6558, &inner)), Some((2, 8)), DNS),
        (GENEVE, outer(&geneve(0xff_ffff, 63, 0x6558, &inner)), Some((2, 0xff_ffff)), DNS),
        (GENEVE, outer(&geneve(8, 2, 0x86dd, &ipv6(17, &udp(b"")))), Some((2, 8)), DNS),
        (GENEVE, outer(&geneve(8, 2, 0x0800, &ipv4(6, &tcp(2)))), Some((2, 8)), SYN),
        (VXLAN | GENEVE, outer(&vxlan(7, &inner)), Some((1, 7)), DNS),
        // Nothing behind the outer header, a tunnel header that is cut short, another protocol.
        (VXLAN, outer(&[]), None, ports),
        (VXLAN, outer(&[8; 7]), None, ports),
        (GENEVE, outer(&geneve(8, 2, 0x0800, &[])[..15]), None, ports),
        (VXLAN, tcp4(), None, SYN),
        // The tunnel's header alone, and an invalid inner packet.
        (VXLAN, outer(&vxlan(7, &[])), Some((1, 7)), L4::None),
        (GENEVE, outer(&geneve(8, 0, 0x1234, &inner)), Some((2, 8)), L4::None),
    ] {
        let flow = decode(flags, &packet);
        assert_eq!((flow.tunnel.map(|tunnel| (tunnel.protocol, tunnel.vni)), flow.l4), (tunnel, l4), "{flags}");
        if let Some(tunnel) = flow.tunnel {
            assert_eq!((tunnel.l4, tunnel.ip.version), (ports, 4));
        }
        // A drop decodes the same packet alike.
        let drop = decode_flow(&padded(drop(2).set(36, &[flags]).packet(&packet))).unwrap();
        assert_eq!((drop.tunnel, drop.ip, drop.l4, drop.last_layer), (flow.tunnel, flow.ip, flow.l4, flow.last_layer));
    }
}

#[test]
fn fields_missing_inside_tunnel_are_unset() {
    let inner = geneve(8, 0, 0x1234, &[0; 20]);
    let tagged = ethernet(0x8100, &tag(5, 0x0800, &ipv4(17, &udp_ports(9, 6081, &inner))));
    let flow = decode(GENEVE, &tagged);
    assert_eq!((flow.ethernet, flow.vlan, flow.ip, flow.l4), (None, None, None, L4::None));
    assert_eq!((flow.last_layer, summary(&flow)), (Layer::None, String::new()));
}

/// A frame in VXLAN 1 in a frame, with a UDP payload.
fn nested(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let inner = ethernet(0x0800, &ipv4(17, &udp_ports(source, destination, payload)));
    ethernet(0x0800, &ipv4(17, &udp_ports(9, 8472, &vxlan(1, &inner))))
}

#[test]
fn nested_tunnels_give_innermost_id() {
    let in_geneve = geneve(3, 0, 0x1234, &[0]);
    for (packet, vni, l4, text) in [
        (nested(9, 4789, &vxlan(2, &tcp4())), 2, SYN, "TCP Flags: SYN"),
        (nested(4789, 9, &vxlan(2, &tcp4())), 2, SYN, "TCP Flags: SYN"),
        (nested(9, 9, &vxlan(2, &tcp4())), 1, L4::Udp { source_port: 9, destination_port: 9 }, "UDP"),
        // Another kind inside does not change the id.
        (nested(9, 6081, &in_geneve), 1, L4::Udp { source_port: 9, destination_port: 6081 }, "Geneve"),
        (nested(9, 6081, &in_geneve[..8]), 1, L4::Udp { source_port: 9, destination_port: 6081 }, "Geneve"),
        // The header alone, and a frame of a type that nothing is known of.
        (nested(9, 4789, &vxlan(2, &[])), 2, L4::Udp { source_port: 9, destination_port: 4789 }, "VXLAN"),
        (
            nested(9, 4789, &vxlan(2, &ethernet(0x1234, b"data"))),
            2,
            L4::Udp { source_port: 9, destination_port: 4789 },
            "Ethernet",
        ),
    ] {
        let flow = decode(VXLAN, &packet);
        assert_eq!(flow.tunnel.map(|tunnel| (tunnel.protocol, tunnel.vni)), Some((1, vni)));
        assert_eq!((flow.l4, summary(&flow).as_str()), (l4, text));
        assert_eq!(flow.tunnel.map(|tunnel| tunnel.l4.ports()), Some(Some((9, 8472))));
    }
}

#[test]
fn known_destination_port_is_no_tunnel() {
    let garbage = vxlan(2, &ethernet(0x1234, b"data"));
    for destination in [53, 123, 666, 1000, 2123, 2222, 3868, 5082, 5083, 6343, 44818] {
        for source in [4789, 6081] {
            let flow = decode(VXLAN, &nested(source, destination, &garbage));
            let expected = L4::Udp { source_port: source, destination_port: destination };
            assert_eq!((flow.l4, summary(&flow).as_str()), (expected, "UDP"), "{destination}");
            assert_eq!(flow.tunnel.map(|tunnel| tunnel.vni), Some(1), "{destination}");
            assert_eq!(flow.ethernet.map(|header| header.source), Some([2, 0, 0, 0, 0, 1]));
        }
    }
}

#[test]
fn broken_inner_tunnel_leaves_found_layers() {
    let other = |ethertype, payload: &[u8]| [&[6; 12][..], &u16::to_be_bytes(ethertype), payload].concat();
    let tagged = other(0x8100, &tag(9, 0x0800, &[0x45; 3]));
    for payload in [
        vec![8; 7],
        vxlan(2, &[6; 13]),
        vxlan(2, &other(0x0800, &[0x45; 19])),
        vxlan(2, &other(0x0800, &[0x44; 40])),
        vxlan(2, &other(0x86dd, &[0x60; 39])),
        vxlan(2, &other(0x8100, &[0, 1, 8])),
        vxlan(2, &tagged),
    ] {
        let found = decode(VXLAN, &nested(9, 9, &payload));
        let flow = decode(VXLAN, &nested(9, 4789, &payload));
        assert_eq!(flow.l4, L4::Udp { source_port: 9, destination_port: 4789 }, "{payload:x?}");
        assert_eq!((flow.tunnel, flow.ethernet, flow.vlan), (found.tunnel, found.ethernet, found.vlan), "{payload:x?}");
        assert_eq!((flow.ip, flow.last_layer), (found.ip, Layer::L4), "{payload:x?}");
    }
    // Addresses behind the header are a packet's, and have no ports but its own.
    let flow = decode(VXLAN, &nested(9, 4789, &vxlan(2, &ethernet(0x86dd, &ipv6(6, &tcp(2)[..19])))));
    assert_eq!((flow.ip.map(|ip| ip.version), flow.l4, flow.last_layer), (Some(6), L4::None, Layer::Ipv6));
    assert_eq!(flow.tunnel.map(|tunnel| tunnel.vni), Some(2));
}
