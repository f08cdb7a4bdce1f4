//! Transport and port of `hubble.flow.io` and `hubble.flow.packets`, packed into a word of the key.

use eyepiece_config::{FlowDetail, Naming};
use eyepiece_flow::event::Transport;
use eyepiece_flow::flow::{Flow, L4};
use eyepiece_flow::protocol;

/// Names of transports by their number in the word: in OpenTelemetry's convention, and in Hubble's `protocol` label.
const TRANSPORTS: [(&str, &str); 8] = [
    ("", ""),
    ("tcp", "TCP"),
    ("udp", "UDP"),
    ("sctp", "SCTP"),
    ("icmp", "ICMPv4"),
    ("icmpv6", "ICMPv6"),
    ("vrrp", "VRRP"),
    ("igmp", "IGMP"),
];

/// Set if the port is the source's.
const OF_SOURCE: u32 = 1 << 8;
const PORT_SHIFT: u32 = 16;

/// The server's port of a flow, in both directions. The client's port is new for each connection and would make a new
/// series each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Port {
    /// The source's port, of replies.
    Source(u16),
    /// The destination's port, of all others, also with an unknown direction.
    Destination(u16),
}

/// The unpacked word of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TransportDetail {
    transport: u8,
    /// `None` if the transport has no ports, or if they do not split series.
    pub port: Option<Port>,
}

impl TransportDetail {
    /// The transport's name. Empty if it is unknown, or if it does not split series.
    pub fn transport(self, naming: Naming) -> &'static str {
        let (convention, hubble) = TRANSPORTS.get(usize::from(self.transport)).copied().unwrap_or_default();
        match naming {
            Naming::Semconv => convention,
            Naming::Hubble => hubble,
        }
    }

    /// Unpacks the word of a key.
    pub(super) const fn of(labels: u64) -> Self {
        // Truncation is intended.
        let (transport, port) = (labels as u8, (labels >> PORT_SHIFT) as u16);
        let port = match port {
            0 => None,
            port if labels & OF_SOURCE as u64 != 0 => Some(Port::Source(port)),
            port => Some(Port::Destination(port)),
        };
        Self { transport, port }
    }
}

/// Returns the word of a flow's key.
pub(super) fn flow_word(detail: FlowDetail, flow: &Flow) -> u32 {
    let transport = match flow.l4 {
        L4::None => 0,
        L4::Tcp { .. } => 1,
        L4::Udp { .. } => 2,
        L4::Sctp { .. } => 3,
        L4::Icmp4 { .. } => 4,
        L4::Icmp6 { .. } => 5,
        L4::Vrrp { .. } => 6,
        L4::Igmp { .. } => 7,
    };
    word(detail, transport, flow.l4.ports().unwrap_or_default(), flow.is_reply == Some(true))
}

/// Returns the word of the key of packets without an event.
pub(super) const fn totals_word(detail: FlowDetail, transport: &Transport) -> u32 {
    let number = match transport.protocol {
        protocol::TCP => 1,
        protocol::UDP => 2,
        protocol::SCTP => 3,
        protocol::ICMP => 4,
        protocol::ICMPV6 => 5,
        protocol::VRRP => 6,
        protocol::IGMP => 7,
        _ => 0,
    };
    word(detail, number, transport.ports, transport.is_reply)
}

const fn word(detail: FlowDetail, transport: u32, (source, destination): (u16, u16), is_reply: bool) -> u32 {
    let port = if is_reply { source } else { destination };
    match detail {
        FlowDetail::Ends => 0,
        FlowDetail::Port if port != 0 => transport | if is_reply { OF_SOURCE } else { 0 } | (port as u32) << PORT_SHIFT,
        FlowDetail::Transport | FlowDetail::Port => transport,
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_flow::event::Transport;
    use eyepiece_flow::flow::{EventType, Flow, L4, TcpFlags};

    use super::{FlowDetail, Naming, Port, TransportDetail, flow_word, totals_word};

    #[test]
    fn flow_and_totals_share_word() {
        use FlowDetail::{Ends, Port as WithPort, Transport as Only};
        let (source_port, destination_port) = (40_000, 443);
        let tcp = L4::Tcp { source_port, destination_port, flags: TcpFlags(0) };
        let udp = L4::Udp { source_port, destination_port };
        let sctp = L4::Sctp { source_port, destination_port, chunk_type: None };
        let ports = (source_port, destination_port);
        let (to, from) = (Some(Port::Destination(443)), Some(Port::Source(40_000)));
        #[rustfmt::skip]
        let table = [
            // detail, layer 4, protocol, ports, reply, names, port
            (Ends, tcp, 6, ports, false, ("", ""), None),
            (Only, tcp, 6, ports, false, ("tcp", "TCP"), None),
            (Only, udp, 17, ports, true, ("udp", "UDP"), None),
            (WithPort, tcp, 6, ports, false, ("tcp", "TCP"), to),
            (WithPort, tcp, 6, ports, true, ("tcp", "TCP"), from),
            (WithPort, udp, 17, ports, false, ("udp", "UDP"), to),
            (WithPort, sctp, 132, ports, true, ("sctp", "SCTP"), from),
            (WithPort, L4::Udp { source_port: 0, destination_port: 0 }, 17, (0, 0), false, ("udp", "UDP"), None),
            (WithPort, L4::Icmp4 { kind: 8, code: 0 }, 1, (0, 0), false, ("icmp", "ICMPv4"), None),
            (WithPort, L4::Icmp6 { kind: 128, code: 0 }, 58, (0, 0), true, ("icmpv6", "ICMPv6"), None),
            (WithPort, L4::Vrrp { kind: 1, vrid: 2, priority: 3 }, 112, (0, 0), false, ("vrrp", "VRRP"), None),
            (WithPort, L4::Igmp { kind: 22, group: [224, 0, 0, 1] }, 2, (0, 0), false, ("igmp", "IGMP"), None),
            (WithPort, L4::None, 47, (0, 0), false, ("", ""), None),
        ];
        for (detail, l4, protocol, ports, is_reply, (convention, hubble), port) in table {
            let mut flow = Flow::empty(EventType::default());
            (flow.l4, flow.is_reply) = (l4, Some(is_reply));
            let word = flow_word(detail, &flow);
            assert_eq!(word, totals_word(detail, &Transport { protocol, ports, is_reply }), "{detail:?} {l4:?}");
            let carrier = TransportDetail::of(u64::from(word));
            assert_eq!((carrier.transport(Naming::Semconv), carrier.transport(Naming::Hubble)), (convention, hubble));
            assert_eq!(carrier.port, port, "{detail:?} {l4:?}");
        }
    }

    #[test]
    fn unknown_direction_has_destination_port() {
        let mut flow = Flow::empty(EventType::default());
        flow.l4 = L4::Udp { source_port: 53, destination_port: 40_000 };
        let carrier = TransportDetail::of(u64::from(flow_word(FlowDetail::Port, &flow)));
        assert_eq!((flow.is_reply, carrier.port), (None, Some(Port::Destination(40_000))));
    }
}
