//! The record of a flow: plain data without serialisation, which each sink converts.
//!
//! Field meanings follow Hubble's `flow.Flow`; its open enums are numbers here.

mod layer;

use std::net::IpAddr;

pub use layer::{Arp, Layer};

pub use crate::endpoint::{End, FlowEnd};

use crate::cilium_release::Release;
use crate::l7::L7;
use crate::metadata::{EndMetadata, Metadata};
use crate::traffic_delta::{KernelDrop, TrafficDelta};

/// One flow: a decoded event of a packet, a socket or a proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Time of the event, ns since the Unix epoch.
    pub time: u64,
    /// RFC 9562 version 4, set by the pipeline; all zero until then.
    pub uuid: [u8; 16],
    /// The fate of the packet.
    pub verdict: Verdict,
    /// The monitor message's type and subtype.
    pub event_type: EventType,
    /// The CPU that it happened on.
    pub cpu: u16,
    /// Endpoint id in the datapath's event; 0 = none. The direction depends on it.
    pub datapath_endpoint: u16,
    /// Cilium's drop reason; 0 = none or unknown.
    pub drop_reason: u32,
    /// The kernel's drop reason, from our own datapath.
    pub kernel_drop: Option<KernelDrop>,
    /// The source line that decided the drop.
    pub file: Option<FileInfo>,
    /// Link layer addresses.
    pub ethernet: Option<Ethernet>,
    /// Outermost VLAN id, if the packet has a tag.
    pub vlan: Option<u16>,
    /// Network layer.
    pub ip: Option<Ip>,
    /// Transport layer.
    pub l4: L4,
    /// The innermost tunnel that was decoded; `ip` and `l4` are then the inner packet's.
    pub tunnel: Option<Tunnel>,
    /// Source.
    pub source: End,
    /// Destination.
    pub destination: End,
    /// Direction, seen from the endpoint of the event.
    pub direction: Direction,
    /// The packet goes from the answering side to the side that opened the connection; `None` if unknown.
    pub is_reply: Option<bool>,
    /// Observation point in the datapath; traces only.
    pub observation_point: Option<u8>,
    /// The state of connection tracking, without the encryption bit; traces only.
    pub trace_reason: Option<u8>,
    /// The packet was or will be encrypted; traces only.
    pub encrypted: bool,
    /// Interface index; 0 = unknown.
    pub ifindex: u32,
    /// Port of the proxy that the packet goes to or comes from; 0 = none.
    pub proxy_port: u32,
    /// Capture point; captures only.
    pub capture_point: Option<u8>,
    /// Policy verdicts: match type.
    pub policy_match: u8,
    /// Policy verdicts: authentication type.
    pub auth_type: u8,
    /// The trace has the address before translation, even if equal to the packet's. The direction depends on it.
    pub original_ip: bool,
    /// IP trace id; 0 = none.
    pub ip_trace_id: u64,
    /// The last layer that was decoded; Hubble's summary names it.
    pub last_layer: Layer,
    /// Packets and bytes; our own datapath only.
    pub traffic: Option<TrafficDelta>,
    /// `ip.source` is a placeholder, since the event has no source address: access-log records, and socket events until
    /// enriched.
    pub no_source_address: bool,
    /// The same for `ip.destination`.
    pub no_destination_address: bool,
    /// Rule id of a recorder's capture; 0 = none.
    pub recorder_rule: u16,
    /// Layer 7; access-log records only.
    pub l7: Option<Box<L7>>,
    /// Socket translation; socket events only.
    pub sock: Option<Sock>,
    /// Pods, services and more, if known.
    pub metadata: Option<Box<Metadata>>,
}

/// Content of a socket event beside its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sock {
    /// Before or after translation, and the direction.
    pub point: TranslationPoint,
    /// The kernel's cookie of the socket; 0 = none.
    pub cookie: u64,
    /// Id of its process's control group.
    pub cgroup: u64,
}

/// Hubble's `flow.SocketTranslationPoint`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranslationPoint {
    /// Not known.
    #[default]
    Unknown,
    /// Before translation, from the socket.
    PreForward,
    /// After translation, from the socket.
    PostForward,
    /// Before translation, to the socket.
    PreReverse,
    /// After translation, to the socket.
    PostReverse,
    /// A number without a name.
    Other(u8),
}

impl TranslationPoint {
    /// The point of a number; the datapath and protobuf number alike.
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Unknown,
            1 => Self::PreForward,
            2 => Self::PostForward,
            3 => Self::PreReverse,
            4 => Self::PostReverse,
            other => Self::Other(other),
        }
    }

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::PreForward => 1,
            Self::PostForward => 2,
            Self::PreReverse => 3,
            Self::PostReverse => 4,
            Self::Other(number) => number,
        }
    }

    /// The protobuf enum's name.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => Some("SOCK_XLATE_POINT_UNKNOWN"),
            Self::PreForward => Some("SOCK_XLATE_POINT_PRE_DIRECTION_FWD"),
            Self::PostForward => Some("SOCK_XLATE_POINT_POST_DIRECTION_FWD"),
            Self::PreReverse => Some("SOCK_XLATE_POINT_PRE_DIRECTION_REV"),
            Self::PostReverse => Some("SOCK_XLATE_POINT_POST_DIRECTION_REV"),
            Self::Other(_) => None,
        }
    }

    /// The name that Cilium's monitor prints.
    pub const fn text(self) -> Option<&'static str> {
        match self {
            Self::PreForward => Some("pre-xlate-fwd"),
            Self::PostForward => Some("post-xlate-fwd"),
            Self::PreReverse => Some("pre-xlate-rev"),
            Self::PostReverse => Some("post-xlate-rev"),
            Self::Unknown | Self::Other(_) => None,
        }
    }

    /// Returns whether the socket is the destination.
    pub const fn is_reverse(self) -> bool {
        matches!(self, Self::PreReverse | Self::PostReverse)
    }
}

/// Hubble's `flow.Verdict`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Forwarded.
    Forwarded = 1,
    /// Dropped.
    Dropped = 2,
    /// An error at L7.
    Error = 3,
    /// Forwarded in audit mode, but denied by policy.
    Audit = 4,
    /// Sent to a proxy.
    Redirected = 5,
    /// A socket's address before translation.
    Traced = 6,
    /// A socket's address after translation.
    Translated = 7,
}

impl Verdict {
    /// The protobuf enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "VERDICT_UNKNOWN",
            Self::Forwarded => "FORWARDED",
            Self::Dropped => "DROPPED",
            Self::Error => "ERROR",
            Self::Audit => "AUDIT",
            Self::Redirected => "REDIRECTED",
            Self::Traced => "TRACED",
            Self::Translated => "TRANSLATED",
        }
    }
}

/// A monitor message's type and subtype, as in `data[0]` and `data[1]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct EventType {
    /// 1 drop, 3 capture, 4 trace, 5 policy verdict, 6 recorder capture, 7 socket, 129 access log.
    pub kind: u8,
    /// Drop reason, capture point, observation point …
    pub subtype: u8,
}

/// Monitor message type: drop.
pub const EVENT_DROP: u8 = 1;
/// Monitor message type: debug capture.
pub const EVENT_CAPTURE: u8 = 3;
/// Monitor message type: trace.
pub const EVENT_TRACE: u8 = 4;
/// Monitor message type: policy verdict.
pub const EVENT_POLICY_VERDICT: u8 = 5;
/// Monitor message type: recorder capture.
pub const EVENT_RECORDER_CAPTURE: u8 = 6;
/// Monitor message type: socket translation.
pub const EVENT_SOCK: u8 = 7;
/// Monitor message type: access log.
pub const EVENT_L7: u8 = 129;

/// The source line that decided a drop: Cilium's file id and line, or 240 + the kernel's subsystem and its reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileInfo {
    /// File id.
    pub id: u8,
    /// Line.
    pub line: u16,
    /// The release that numbers the files.
    pub release: Release,
}

/// Ethernet header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ethernet {
    /// Source address.
    pub source: [u8; 6],
    /// Destination address.
    pub destination: [u8; 6],
}

/// IPv4 or IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ip {
    /// Source, before translation if the datapath reported it.
    pub source: IpAddr,
    /// The header's source, if it differs from `source`.
    pub source_translated: Option<IpAddr>,
    /// Destination.
    pub destination: IpAddr,
    /// 4 or 6: of the packet, independent of the form of the addresses.
    pub version: u8,
}

/// Transport header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum L4 {
    /// None, not decoded, or another protocol.
    #[default]
    None,
    /// TCP.
    Tcp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// Flag bits: see [`TcpFlags`].
        flags: TcpFlags,
    },
    /// UDP.
    Udp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
    },
    /// SCTP.
    Sctp {
        /// Source port.
        source_port: u16,
        /// Destination port.
        destination_port: u16,
        /// Type of the first chunk as on the wire, if there is a chunk.
        chunk_type: Option<u8>,
    },
    /// ICMP.
    Icmp4 {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// ICMPv6.
    Icmp6 {
        /// Type.
        kind: u8,
        /// Code.
        code: u8,
    },
    /// VRRP version 2.
    Vrrp {
        /// Type.
        kind: u8,
        /// Virtual router id.
        vrid: u8,
        /// Priority.
        priority: u8,
    },
    /// IGMP.
    Igmp {
        /// Type.
        kind: u8,
        /// Group address.
        group: [u8; 4],
    },
}

impl L4 {
    /// Source and destination port of TCP, UDP and SCTP.
    pub const fn ports(&self) -> Option<(u16, u16)> {
        match *self {
            Self::Tcp { source_port, destination_port, .. }
            | Self::Udp { source_port, destination_port }
            | Self::Sctp { source_port, destination_port, .. } => Some((source_port, destination_port)),
            _ => None,
        }
    }

    /// The name in Hubble's `protocol` label; `Unknown L4` for none.
    pub const fn protocol_name(&self) -> &'static str {
        match self {
            Self::None => "Unknown L4",
            Self::Tcp { .. } => "TCP",
            Self::Udp { .. } => "UDP",
            Self::Sctp { .. } => "SCTP",
            Self::Icmp4 { .. } => "ICMPv4",
            Self::Icmp6 { .. } => "ICMPv6",
            Self::Vrrp { .. } => "VRRP",
            Self::Igmp { .. } => "IGMP",
        }
    }
}

/// TCP flag bits, RFC 9293 and RFC 3168 order; bit 8 is the former NS (RFC 3540).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// FIN.
    pub const FIN: u16 = 0x01;
    /// SYN.
    pub const SYN: u16 = 0x02;
    /// RST.
    pub const RST: u16 = 0x04;
    /// PSH.
    pub const PSH: u16 = 0x08;
    /// ACK.
    pub const ACK: u16 = 0x10;
    /// URG.
    pub const URG: u16 = 0x20;
    /// ECE.
    pub const ECE: u16 = 0x40;
    /// CWR.
    pub const CWR: u16 = 0x80;
    /// NS.
    pub const NS: u16 = 0x100;

    /// Returns whether any of these bits is set.
    pub const fn has(self, bits: u16) -> bool {
        self.0 & bits != 0
    }
}

/// A tunnel header that was decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunnel {
    /// 1 VXLAN, 2 Geneve, as `flow.Tunnel.Protocol`.
    pub protocol: u8,
    /// Virtual network id, 24 bits.
    pub vni: u32,
    /// Outer network layer.
    pub ip: Ip,
    /// Outer transport layer.
    pub l4: L4,
}

/// Hubble's `flow.TrafficDirection`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Not known.
    #[default]
    Unknown = 0,
    /// Into the endpoint.
    Ingress = 1,
    /// Out of the endpoint.
    Egress = 2,
}

impl Direction {
    /// The protobuf enum's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "TRAFFIC_DIRECTION_UNKNOWN",
            Self::Ingress => "INGRESS",
            Self::Egress => "EGRESS",
        }
    }

    /// The value of the label `traffic_direction` in Hubble's metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }
}

impl Flow {
    /// An empty flow of an event type.
    pub const fn empty(event_type: EventType) -> Self {
        Self {
            time: 0,
            uuid: [0; 16],
            verdict: Verdict::Unknown,
            event_type,
            cpu: 0,
            datapath_endpoint: 0,
            drop_reason: 0,
            kernel_drop: None,
            file: None,
            ethernet: None,
            vlan: None,
            ip: None,
            l4: L4::None,
            tunnel: None,
            source: End::UNKNOWN,
            destination: End::UNKNOWN,
            direction: Direction::Unknown,
            is_reply: None,
            observation_point: None,
            trace_reason: None,
            encrypted: false,
            ifindex: 0,
            proxy_port: 0,
            capture_point: None,
            policy_match: 0,
            auth_type: 0,
            original_ip: false,
            ip_trace_id: 0,
            last_layer: Layer::None,
            traffic: None,
            no_source_address: false,
            no_destination_address: false,
            recorder_rule: 0,
            l7: None,
            sock: None,
            metadata: None,
        }
    }

    /// The source or the destination.
    pub fn end(&self, end: FlowEnd) -> &End {
        end.of(&self.source, &self.destination)
    }

    /// The labels that an access-log record has of an end; empty for other flows.
    pub fn record_labels(&self, end: FlowEnd) -> &[String] {
        self.l7.as_deref().map_or(&[], |l7| end.of(&l7.source_labels, &l7.destination_labels))
    }

    /// Metadata of source and destination.
    pub fn end_metadata(&self) -> Option<(&EndMetadata, &EndMetadata)> {
        self.metadata.as_ref().map(|metadata| (&metadata.source, &metadata.destination))
    }
}
