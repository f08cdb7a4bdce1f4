//! Labels of Hubble's metrics, packed into words: keys of series have no text.

use eyepiece_flow::event::LostSource;
use eyepiece_flow::flow::{
    Direction, EVENT_CAPTURE, EVENT_DROP, EVENT_L7, EVENT_POLICY_VERDICT, EVENT_TRACE, Flow, L4, TcpFlags, Verdict,
};
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::l7::L7Record;
use eyepiece_flow::names::policy_match_text;
use eyepiece_wire::Hook;

use super::detail::TransportDetail;

/// Texts of the `protocol` label, by their number in keys.
const PROTOCOLS: [&str; 13] = [
    "Unknown flow",
    "Unknown L4",
    "TCP",
    "UDP",
    "SCTP",
    "ICMPv4",
    "ICMPv6",
    "VRRP",
    "IGMP",
    "Unknown L7",
    "DNS",
    "HTTP",
    "Kafka",
];
const UNKNOWN_L7: u8 = 9;

/// Verdicts by their numbers.
const VERDICTS: [Verdict; 8] = [
    Verdict::Unknown,
    Verdict::Forwarded,
    Verdict::Dropped,
    Verdict::Error,
    Verdict::Audit,
    Verdict::Redirected,
    Verdict::Traced,
    Verdict::Translated,
];

/// The flags of `hubble.tcp_flags`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TcpFlag {
    /// FIN.
    Fin = 0,
    /// SYN without ACK.
    Syn = 1,
    /// SYN with ACK.
    SynAck = 2,
    /// RST.
    Rst = 3,
}

impl TcpFlag {
    const ALL: [Self; 4] = [Self::Fin, Self::Syn, Self::SynAck, Self::Rst];

    /// Hubble's text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "FIN",
            Self::Syn => "SYN",
            Self::SynAck => "SYN-ACK",
            Self::Rst => "RST",
        }
    }
}

/// The reason of a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DropReason {
    /// Cilium's code.
    Cilium(u32),
    /// The kernel's `skb_drop_reason`.
    Kernel(u32),
}

/// Direction of packets at an interface of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IoDirection {
    /// Into the machine's stack: an endpoint's packets are received at its interface.
    Receive,
    /// Out of the machine's stack.
    Transmit,
}

impl IoDirection {
    /// The value of `network.io.direction`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Transmit => "transmit",
        }
    }
}

/// The labels of a metric's series, beside those of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Labels {
    /// `hubble.drop`.
    Drop {
        /// The reason.
        reason: DropReason,
        /// Text of the `protocol` label.
        protocol: &'static str,
    },
    /// `hubble.flows_processed`.
    Flow {
        /// Text of the `protocol` label.
        protocol: &'static str,
        /// Monitor message type.
        kind: u8,
        /// Observation point of a trace, else 0.
        subtype: u8,
        /// The flow's verdict.
        verdict: Verdict,
    },
    /// `hubble.tcp_flags`.
    Tcp {
        /// The flag.
        flag: TcpFlag,
        /// The packet's IP version; may be other than 4 or 6.
        version: u8,
    },
    /// `hubble.flow.io` and `hubble.flow.packets`; empty without [`super::FlowDetail`].
    Ends(TransportDetail),
    /// `hubble.interface.io` and `hubble.interface.packets`.
    Interface {
        /// Interface index.
        ifindex: u32,
        /// Distinguishes interfaces that reused the index.
        generation: u32,
        /// The direction.
        direction: IoDirection,
    },
    /// `hubble.lost_events`.
    Lost(LostSource),
    /// `hubble.icmp`.
    Icmp {
        /// The message's type.
        kind: u8,
        /// Its code.
        code: u8,
        /// IP version, 4 or 6.
        version: u8,
    },
    /// `hubble.port_distribution`.
    Port {
        /// Text of the `protocol` label.
        protocol: &'static str,
        /// The destination's port; 0 if the protocol has none.
        port: u16,
    },
    /// `hubble.policy_verdicts`.
    Policy {
        /// The part of a policy that decided.
        matched: PolicyMatch,
        /// The flow's direction.
        direction: Direction,
        /// The verdict.
        verdict: Verdict,
    },
    /// `hubble.flows_to_world`.
    World {
        /// Text of the `protocol` label.
        protocol: &'static str,
        /// The flow's verdict.
        verdict: Verdict,
        /// The destination's port, if it is a label; `Some(None)` if the protocol has none.
        port: Option<Option<u16>>,
    },
    /// `hubble.sctp_chunk_types`.
    Sctp {
        /// Number of the chunk's type in Hubble's `flow.SCTPChunkType`.
        chunk: i32,
        /// The packet's IP version.
        version: u8,
    },
    /// Metrics of layer 7: the values of all labels, joined to one text.
    Joined(Symbol),
}

/// The part of a policy that decided on a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PolicyMatch {
    /// Of a packet: the match type's number.
    Packet(u8),
    /// Of a record of layer 7: the number of its protocol.
    Record(u8),
}

impl PolicyMatch {
    /// Hubble's text: `l3-l4`, `l7/dns` …
    pub fn text(self) -> &'static str {
        match self {
            Self::Packet(number) => policy_match_text(number).unwrap_or("unknown"),
            Self::Record(number) => match protocol_text(number) {
                "DNS" => "l7/dns",
                "HTTP" => "l7/http",
                _ => "l7/",
            },
        }
    }
}

/// The labels of all series of a flow, in three words.
///
/// `flow` has, from low to high: message type, subtype, protocol, verdict (8 bits each); TCP flags (a bit each); IP version
/// (8 bits); a bit each for a kernel's reason, ingress, an interface. `number` is the reason of a drop, else the
/// interface's index. `carrier` is defined in [`super::detail`]; 0 if the flow's packets do not count here. Unused bits
/// are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedLabels {
    pub(super) flow: u64,
    pub(super) number: u32,
    pub(super) carrier: u32,
}

const FLOW_BITS: u64 = 0xffff_ffff;
const PROTOCOL_SHIFT: u32 = 16;
const FLAGS_SHIFT: u32 = 32;
const VERSION_SHIFT: u32 = 40;
const KERNEL_SHIFT: u32 = 48;
const INGRESS_SHIFT: u32 = 49;
const INTERFACE_SHIFT: u32 = 50;
/// Bits of [`PackedLabels::flow`] from here on are free.
pub(super) const FREE_SHIFT: u32 = 51;

const fn byte(word: u64, shift: u32) -> u8 {
    // Truncation is intended.
    (word >> shift) as u8
}

impl PackedLabels {
    #[inline]
    pub(super) fn of(flow: &Flow) -> Self {
        let kind = flow.event_type.kind;
        let subtype = if kind == EVENT_TRACE { flow.event_type.subtype } else { 0 };
        let mut labels = Self {
            flow: u64::from_le_bytes([kind, subtype, protocol(flow), flow.verdict as u8, 0, 0, 0, 0]),
            number: 0,
            carrier: 0,
        };
        if flow.verdict == Verdict::Dropped {
            labels.dropped(flow);
            return labels;
        }
        if matches!(flow.verdict, Verdict::Forwarded | Verdict::Redirected) {
            labels.tcp(flow);
        }
        if let Some(traffic) = &flow.traffic
            && traffic.hook != Hook::Drop
        {
            labels.number = traffic.ifindex;
            labels.flow |= 1 << INTERFACE_SHIFT | u64::from(traffic.hook.is_ingress()) << INGRESS_SHIFT;
        }
        labels
    }

    fn dropped(&mut self, flow: &Flow) {
        self.number = flow.kernel_drop.map_or(flow.drop_reason, |drop| drop.reason);
        self.flow |= u64::from(flow.kernel_drop.is_some()) << KERNEL_SHIFT;
    }

    #[inline]
    fn tcp(&mut self, flow: &Flow) {
        let Some(ip) = &flow.ip else { return };
        // Without branches, as transports and flags vary.
        let flags = if let L4::Tcp { flags, .. } = flow.l4 { flags } else { TcpFlags(0) };
        let ack = flags.has(TcpFlags::ACK);
        let syn = flags.has(TcpFlags::SYN);
        let bits = u64::from(flags.has(TcpFlags::FIN)) << TcpFlag::Fin as u8
            | u64::from(syn & !ack) << TcpFlag::Syn as u8
            | u64::from(syn & ack) << TcpFlag::SynAck as u8
            | u64::from(flags.has(TcpFlags::RST)) << TcpFlag::Rst as u8;
        let version = if bits == 0 { 0 } else { u64::from(ip.version) };
        self.flow |= bits << FLAGS_SHIFT | version << VERSION_SHIFT;
    }

    /// Labels in `hubble.flows_processed`.
    pub(super) const fn flow_labels(self) -> u64 {
        self.flow & FLOW_BITS
    }

    /// Labels in `hubble.drop`. `None` if the flow is no drop.
    pub(super) const fn drop_labels(self) -> Option<u64> {
        if !self.is_drop() {
            return None;
        }
        let kernel = self.flow >> KERNEL_SHIFT & 1;
        let protocol = byte(self.flow, PROTOCOL_SHIFT) as u64;
        Some(self.number as u64 | protocol << 32 | kernel << 40)
    }

    /// Returns whether the flow is a drop.
    pub(super) const fn is_drop(self) -> bool {
        byte(self.flow, 24) == Verdict::Dropped as u8
    }

    /// Returns whether the flow counts in `hubble.tcp_flags`.
    pub(super) const fn has_tcp_flags(self) -> bool {
        byte(self.flow, FLAGS_SHIFT) != 0
    }

    /// Returns whether flows of this key passed one interface in one direction.
    pub(super) const fn names_interface(self) -> bool {
        self.flow >> INTERFACE_SHIFT & 1 == 1
    }

    /// Labels in `hubble.tcp_flags`, for each flag.
    pub(super) fn tcp_labels(self) -> impl Iterator<Item = u64> {
        let (flags, version) = (byte(self.flow, FLAGS_SHIFT), byte(self.flow, VERSION_SHIFT));
        let set = TcpFlag::ALL.into_iter().filter(move |&flag| flags & (1 << flag as u8) != 0);
        set.map(move |flag| u64::from(flag as u8) | u64::from(version) << 8)
    }
}

/// The number of a flow's `protocol` label.
#[inline]
pub(super) fn protocol(flow: &Flow) -> u8 {
    match flow.event_type.kind {
        EVENT_DROP | EVENT_CAPTURE | EVENT_TRACE | EVENT_POLICY_VERDICT => l4_protocol(&flow.l4),
        EVENT_L7 => l7_protocol(flow),
        _ => 0,
    }
}

#[cold]
fn l7_protocol(flow: &Flow) -> u8 {
    match flow.l7.as_ref().map(|l7| &l7.record) {
        Some(L7Record::Dns(_)) => UNKNOWN_L7 + 1,
        Some(L7Record::Http(_)) => UNKNOWN_L7 + 2,
        Some(L7Record::Kafka(_)) => UNKNOWN_L7 + 3,
        Some(L7Record::Generic(_) | L7Record::None) | None => UNKNOWN_L7,
    }
}

/// The number of a transport in `protocol` labels.
#[inline]
pub(super) const fn l4_protocol(l4: &L4) -> u8 {
    match l4 {
        L4::None => 1,
        L4::Tcp { .. } => 2,
        L4::Udp { .. } => 3,
        L4::Sctp { .. } => 4,
        L4::Icmp4 { .. } => 5,
        L4::Icmp6 { .. } => 6,
        L4::Vrrp { .. } => 7,
        L4::Igmp { .. } => 8,
    }
}

/// The verdict of a number.
pub(super) fn verdict(number: u8) -> Verdict {
    VERDICTS.get(usize::from(number)).copied().unwrap_or_default()
}

/// The text of a number from [`protocol`] or [`l4_protocol`].
pub(super) fn protocol_text(number: u8) -> &'static str {
    PROTOCOLS.get(usize::from(number)).copied().unwrap_or_default()
}

/// Unpacks [`PackedLabels::flow_labels`].
pub(super) fn flow_of(labels: u64) -> Labels {
    Labels::Flow {
        protocol: protocol_text(byte(labels, PROTOCOL_SHIFT)),
        kind: byte(labels, 0),
        subtype: byte(labels, 8),
        verdict: verdict(byte(labels, 24)),
    }
}

/// Unpacks [`PackedLabels::drop_labels`].
pub(super) fn drop_of(labels: u64) -> Labels {
    // Truncation is intended.
    let code = labels as u32;
    let reason = if byte(labels, 40) == 0 { DropReason::Cilium(code) } else { DropReason::Kernel(code) };
    Labels::Drop { reason, protocol: protocol_text(byte(labels, 32)) }
}

/// Unpacks an item of [`PackedLabels::tcp_labels`].
pub(super) fn tcp_of(labels: u64) -> Labels {
    let flag = TcpFlag::ALL[usize::from(byte(labels, 0) & 3)];
    Labels::Tcp { flag, version: byte(labels, 8) }
}

/// The key of an interface's series: direction, 32 bits of index, and the low bits of the generation.
pub(super) const fn interface_labels(ifindex: u32, generation: u32, ingress: bool) -> u64 {
    (generation as u64) << 33 | (ifindex as u64) << 1 | ingress as u64
}

/// Unpacks [`interface_labels`].
pub(super) const fn interface_of(labels: u64) -> Labels {
    let direction = if labels & 1 == 1 { IoDirection::Receive } else { IoDirection::Transmit };
    // Truncation is intended: 32 bits above the lowest.
    Labels::Interface { ifindex: (labels >> 1) as u32, generation: (labels >> 33) as u32, direction }
}

/// Index and generation of an interface's key.
pub(super) const fn interface_id(labels: u64) -> Option<(u32, u32)> {
    match interface_of(labels) {
        Labels::Interface { ifindex, generation, .. } => Some((ifindex, generation)),
        _ => None,
    }
}

/// Text of the `type` label: Hubble `pkg/hubble/metrics/flow`.
pub(super) const fn type_name(kind: u8) -> &'static str {
    match kind {
        EVENT_DROP => "Drop",
        EVENT_CAPTURE => "Capture",
        EVENT_TRACE => "Trace",
        EVENT_POLICY_VERDICT => "PolicyVerdict",
        EVENT_L7 => "L7",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests;
