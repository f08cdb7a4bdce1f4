//! Hubble's one-line summary of a flow, and its names of ICMP types.

mod l7;
mod quote;

use std::fmt;

use crate::flow::{Flow, L4, Layer, TcpFlags};

/// The order in which Hubble lists TCP flags.
const TCP_FLAGS: [(u16, &str); 9] = [
    (TcpFlags::SYN, "SYN"),
    (TcpFlags::ACK, "ACK"),
    (TcpFlags::RST, "RST"),
    (TcpFlags::FIN, "FIN"),
    (TcpFlags::PSH, "PSH"),
    (TcpFlags::URG, "URG"),
    (TcpFlags::ECE, "ECE"),
    (TcpFlags::CWR, "CWR"),
    (TcpFlags::NS, "NS"),
];

/// Writes the summary of a flow, or nothing if no layer was decoded.
///
/// # Errors
/// The writer fails.
pub fn write(flow: &Flow, out: &mut impl fmt::Write) -> fmt::Result {
    if let Some(l7) = &flow.l7 {
        return l7::write(l7, out);
    }
    if flow.sock.is_some() {
        return out.write_str(match flow.l4 {
            L4::Tcp { .. } => "TCP",
            L4::Udp { .. } => "UDP",
            _ => "Unknown",
        });
    }
    match flow.last_layer {
        Layer::None => Ok(()),
        Layer::Ethernet | Layer::Arp(_) => out.write_str("Ethernet"),
        Layer::Ipv4 => out.write_str("IPv4"),
        Layer::Ipv6 => out.write_str("IPv6"),
        Layer::Vxlan => out.write_str("VXLAN"),
        Layer::Geneve => out.write_str("Geneve"),
        Layer::L4 => write_l4(&flow.l4, out),
    }
}

fn write_l4(l4: &L4, out: &mut impl fmt::Write) -> fmt::Result {
    match *l4 {
        L4::None => Ok(()),
        L4::Tcp { flags, .. } => {
            out.write_str("TCP Flags: ")?;
            write_tcp_flags(flags, out)
        }
        L4::Udp { .. } => out.write_str("UDP"),
        L4::Sctp { .. } => out.write_str("SCTP"),
        L4::Icmp4 { kind, code } => {
            out.write_str("ICMPv4 ")?;
            write_icmp4(kind, code, out)
        }
        L4::Icmp6 { kind, code } => {
            out.write_str("ICMPv6 ")?;
            write_icmp6(kind, code, out)
        }
        L4::Vrrp { .. } => out.write_str("VRRP VRRPv2 Advertisement"),
        L4::Igmp { kind, .. } => {
            out.write_str("IGMP ")?;
            out.write_str(igmp_name(kind))
        }
    }
}

/// Writes flag names, separated by commas.
///
/// # Errors
/// The writer fails.
pub fn write_tcp_flags(flags: TcpFlags, out: &mut impl fmt::Write) -> fmt::Result {
    let mut separator = "";
    for (bit, name) in TCP_FLAGS {
        if flags.has(bit) {
            out.write_str(separator)?;
            out.write_str(name)?;
            separator = ", ";
        }
    }
    Ok(())
}

/// Writes the name of an ICMP type and code, as in summaries and in the `type` label of Hubble's metrics.
///
/// # Errors
/// The writer fails.
pub fn write_icmp4(kind: u8, code: u8, out: &mut impl fmt::Write) -> fmt::Result {
    write_icmp(icmp4_name(kind), kind, code, out)
}

/// Writes the name of an ICMPv6 type and code, as [`write_icmp4`].
///
/// # Errors
/// The writer fails.
pub fn write_icmp6(kind: u8, code: u8, out: &mut impl fmt::Write) -> fmt::Result {
    write_icmp(icmp6_name(kind), kind, code, out)
}

/// Writes the type alone at code 0 if its codes have no names.
fn write_icmp(name: Option<IcmpName>, kind: u8, code: u8, out: &mut impl fmt::Write) -> fmt::Result {
    let Some((name, codes)) = name else { return write!(out, "{kind}({code})") };
    match codes.get(usize::from(code)) {
        Some(code) => write!(out, "{name}({code})"),
        None if codes.is_empty() && code == 0 => out.write_str(name),
        None => write!(out, "{name}(Code: {code})"),
    }
}

/// The name of a type, and those of its codes from 0 on.
type IcmpName = (&'static str, &'static [&'static str]);

/// RFC 792, 950, 1256 and the codes of RFC 1122 and 1812.
const fn icmp4_name(kind: u8) -> Option<IcmpName> {
    Some(match kind {
        0 => ("EchoReply", &[]),
        3 => (
            "DestinationUnreachable",
            &[
                "Net",
                "Host",
                "Protocol",
                "Port",
                "FragmentationNeeded",
                "SourceRoutingFailed",
                "NetUnknown",
                "HostUnknown",
                "SourceIsolated",
                "NetAdminProhibited",
                "HostAdminProhibited",
                "NetTOS",
                "HostTOS",
                "CommAdminProhibited",
                "HostPrecedence",
                "PrecedenceCutoff",
            ],
        ),
        4 => ("SourceQuench", &[]),
        5 => ("Redirect", &["Net", "Host", "TOS+Net", "TOS+Host"]),
        8 => ("EchoRequest", &[]),
        9 => ("RouterAdvertisement", &[]),
        10 => ("RouterSolicitation", &[]),
        11 => ("TimeExceeded", &["TTLExceeded", "FragmentReassemblyTimeExceeded"]),
        12 => ("ParameterProblem", &["PointerIndicatesError", "MissingOption", "BadLength"]),
        13 => ("TimestampRequest", &[]),
        14 => ("TimestampReply", &[]),
        15 => ("InfoRequest", &[]),
        16 => ("InfoReply", &[]),
        17 => ("AddressMaskRequest", &[]),
        18 => ("AddressMaskReply", &[]),
        _ => return None,
    })
}

/// RFC 4443 and 4861.
const fn icmp6_name(kind: u8) -> Option<IcmpName> {
    Some(match kind {
        1 => (
            "DestinationUnreachable",
            &[
                "NoRouteToDst",
                "AdminProhibited",
                "BeyondScopeOfSrc",
                "AddressUnreachable",
                "PortUnreachable",
                "SrcAddressFailedPolicy",
                "RejectRouteToDst",
            ],
        ),
        2 => ("PacketTooBig", &[]),
        3 => ("TimeExceeded", &["HopLimitExceeded", "FragmentReassemblyTimeExceeded"]),
        4 => ("ParameterProblem", &["ErroneousHeaderField", "UnrecognizedNextHeader", "UnrecognizedIPv6Option"]),
        128 => ("EchoRequest", &[]),
        129 => ("EchoReply", &[]),
        133 => ("RouterSolicitation", &[]),
        134 => ("RouterAdvertisement", &[]),
        135 => ("NeighborSolicitation", &[]),
        136 => ("NeighborAdvertisement", &[]),
        137 => ("Redirect", &[]),
        _ => return None,
    })
}

/// RFC 1112, 2236 and 3376; empty for other types.
const fn igmp_name(kind: u8) -> &'static str {
    match kind {
        0x11 => "IGMP Membership Query",
        0x12 => "IGMPv1 Membership Report",
        0x16 => "IGMPv2 Membership Report",
        0x17 => "Leave Group",
        0x22 => "IGMPv3 Membership Report",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::flow::{EventType, Flow, L4, Layer, TcpFlags};

    fn text(last_layer: Layer, l4: L4) -> String {
        let mut out = String::new();
        let flow = Flow { last_layer, l4, ..Flow::empty(EventType::default()) };
        write(&flow, &mut out).unwrap();
        out
    }

    #[test]
    fn summary_names_last_layer() {
        for (layer, expected) in [
            (Layer::None, ""),
            (Layer::Ethernet, "Ethernet"),
            (Layer::Ipv4, "IPv4"),
            (Layer::Ipv6, "IPv6"),
            (Layer::Vxlan, "VXLAN"),
            (Layer::Geneve, "Geneve"),
            (Layer::L4, ""),
        ] {
            assert_eq!(text(layer, L4::None), expected);
        }
    }

    #[test]
    fn tcp_flags_have_hubbles_order() {
        for (flags, expected) in [
            (0, "TCP Flags: "),
            (TcpFlags::SYN, "TCP Flags: SYN"),
            (TcpFlags::SYN | TcpFlags::ACK, "TCP Flags: SYN, ACK"),
            (0x1ff, "TCP Flags: SYN, ACK, RST, FIN, PSH, URG, ECE, CWR, NS"),
        ] {
            let l4 = L4::Tcp { source_port: 1, destination_port: 2, flags: TcpFlags(flags) };
            assert_eq!(text(Layer::L4, l4), expected);
        }
    }

    #[test]
    fn icmp_types_and_codes_have_names() {
        for (kind, code, icmp4, icmp6) in [
            (0, 0, "ICMPv4 EchoReply", "ICMPv6 0(0)"),
            (0, 8, "ICMPv4 EchoReply(Code: 8)", "ICMPv6 0(8)"),
            (1, 6, "ICMPv4 1(6)", "ICMPv6 DestinationUnreachable(RejectRouteToDst)"),
            (3, 0, "ICMPv4 DestinationUnreachable(Net)", "ICMPv6 TimeExceeded(HopLimitExceeded)"),
            (3, 15, "ICMPv4 DestinationUnreachable(PrecedenceCutoff)", "ICMPv6 TimeExceeded(Code: 15)"),
            (3, 16, "ICMPv4 DestinationUnreachable(Code: 16)", "ICMPv6 TimeExceeded(Code: 16)"),
            (128, 0, "ICMPv4 128(0)", "ICMPv6 EchoRequest"),
            (255, 255, "ICMPv4 255(255)", "ICMPv6 255(255)"),
        ] {
            assert_eq!(text(Layer::L4, L4::Icmp4 { kind, code }), icmp4);
            assert_eq!(text(Layer::L4, L4::Icmp6 { kind, code }), icmp6);
        }
    }

    #[test]
    fn other_protocols_have_summaries() {
        let (source_port, destination_port) = (1, 2);
        for (l4, expected) in [
            (L4::Udp { source_port, destination_port }, "UDP"),
            (L4::Sctp { source_port, destination_port, chunk_type: Some(1) }, "SCTP"),
            (L4::Vrrp { kind: 1, vrid: 2, priority: 3 }, "VRRP VRRPv2 Advertisement"),
            (L4::Igmp { kind: 0x16, group: [224, 0, 0, 1] }, "IGMP IGMPv2 Membership Report"),
            (L4::Igmp { kind: 0x30, group: [224, 0, 0, 1] }, "IGMP "),
        ] {
            assert_eq!(text(Layer::L4, l4), expected);
        }
    }
}
