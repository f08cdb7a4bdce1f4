//! Names of the registry. Generated: edit `registry/*.yaml`, then
//! `EYEPIECE_REGENERATE=1 cargo test -p eyepiece-semconv`.

/// Attribute names.
pub mod attribute {
    /// Address of the receiver.
    pub const DESTINATION_ADDRESS: &str = "destination.address";
    /// Port of the receiver.
    pub const DESTINATION_PORT: &str = "destination.port";
    /// Class of an error.
    pub const ERROR_TYPE: &str = "error.type";
    /// CPU whose buffer or counter is meant.
    pub const EYEPIECE_CPU: &str = "eyepiece.cpu";
    /// Which kernel hook.
    pub const EYEPIECE_HOOK_NAME: &str = "eyepiece.hook.name";
    /// Name of the metric that series belong to.
    pub const EYEPIECE_METRIC_NAME: &str = "eyepiece.metric.name";
    /// How an attempt ended.
    pub const EYEPIECE_OUTCOME: &str = "eyepiece.outcome";
    /// Which bounded queue.
    pub const EYEPIECE_QUEUE_NAME: &str = "eyepiece.queue.name";
    /// Why something was lost, refused or not counted.
    pub const EYEPIECE_REASON: &str = "eyepiece.reason";
    /// OpenTelemetry signal.
    pub const EYEPIECE_SIGNAL: &str = "eyepiece.signal";
    /// Kind of the event source.
    pub const EYEPIECE_SOURCE_KIND: &str = "eyepiece.source.kind";
    /// CPU architecture of the host.
    pub const HOST_ARCH: &str = "host.arch";
    /// Id of the host.
    pub const HOST_ID: &str = "host.id";
    /// Name of the host.
    pub const HOST_NAME: &str = "host.name";
    /// Authentication that the policy asked for.
    pub const HUBBLE_AUTH_TYPE: &str = "hubble.auth.type";
    /// Where in the datapath a capture was taken.
    pub const HUBBLE_CAPTURE_POINT: &str = "hubble.capture_point";
    /// CPU on which the event happened.
    pub const HUBBLE_CPU: &str = "hubble.cpu";
    /// Id of the local endpoint that the packet is for.
    pub const HUBBLE_DESTINATION_ENDPOINT_ID: &str = "hubble.destination.endpoint.id";
    /// Security identity of the destination.
    pub const HUBBLE_DESTINATION_IDENTITY: &str = "hubble.destination.identity";
    /// Who the packet is for, by the configured context.
    ///
    /// See `hubble.source.name`.
    pub const HUBBLE_DESTINATION_NAME: &str = "hubble.destination.name";
    /// Source file of the datapath in which the drop was decided.
    pub const HUBBLE_DROP_FILE: &str = "hubble.drop.file";
    /// Line in `hubble.drop.file`.
    pub const HUBBLE_DROP_LINE: &str = "hubble.drop.line";
    /// Symbol and offset in the kernel where the packet was freed.
    pub const HUBBLE_DROP_LOCATION: &str = "hubble.drop.location";
    /// Inode of the network namespace in which the packet was dropped.
    pub const HUBBLE_DROP_NETNS: &str = "hubble.drop.netns";
    /// Why the packet was dropped.
    ///
    /// The kernel's own name for drops that the kernel decided, else the name in Hubble's `flow.DropReason`.
    pub const HUBBLE_DROP_REASON: &str = "hubble.drop.reason";
    /// Whether the packet was or will be encrypted.
    pub const HUBBLE_ENCRYPTED: &str = "hubble.encrypted";
    /// Destination link layer address.
    pub const HUBBLE_ETHERNET_DESTINATION: &str = "hubble.ethernet.destination";
    /// Source link layer address.
    pub const HUBBLE_ETHERNET_SOURCE: &str = "hubble.ethernet.source";
    /// Name of a trace's observation point, else empty or a number.
    pub const HUBBLE_EVENT_SUBTYPE: &str = "hubble.event.subtype";
    /// Kind of the datapath event.
    pub const HUBBLE_EVENT_TYPE: &str = "hubble.event.type";
    /// Bytes on the wire since the last event of this direction of the connection.
    pub const HUBBLE_FLOW_BYTES: &str = "hubble.flow.bytes";
    /// Segments since the last event of this direction of the connection.
    pub const HUBBLE_FLOW_PACKETS: &str = "hubble.flow.packets";
    /// Code of the ICMP or ICMPv6 message.
    pub const HUBBLE_ICMP_CODE: &str = "hubble.icmp.code";
    /// Type of the ICMP or ICMPv6 message.
    pub const HUBBLE_ICMP_TYPE: &str = "hubble.icmp.type";
    /// Group address of the IGMP message.
    pub const HUBBLE_IGMP_GROUP: &str = "hubble.igmp.group";
    /// Type of the IGMP message.
    pub const HUBBLE_IGMP_TYPE: &str = "hubble.igmp.type";
    /// Index of the interface on which the packet was seen.
    pub const HUBBLE_INTERFACE_INDEX: &str = "hubble.interface.index";
    /// Trace id that the datapath took from the IP header.
    pub const HUBBLE_IP_TRACE_ID: &str = "hubble.ip_trace_id";
    /// Whether the packet goes from the answering side to the opening side; absent where nobody knows.
    pub const HUBBLE_IS_REPLY: &str = "hubble.is_reply";
    /// How many events were lost.
    pub const HUBBLE_LOST_COUNT: &str = "hubble.lost.count";
    /// Which buffer lost events, as Hubble names it in lower case.
    pub const HUBBLE_LOST_SOURCE: &str = "hubble.lost.source";
    /// Name of the node that saw the flow, with the cluster's name before it where there is one.
    pub const HUBBLE_NODE_NAME: &str = "hubble.node.name";
    /// Where in the datapath a trace was taken.
    pub const HUBBLE_OBSERVATION_POINT: &str = "hubble.observation_point";
    /// Which part of a policy decided, in lower case.
    pub const HUBBLE_POLICY_MATCH_TYPE: &str = "hubble.policy.match_type";
    /// Protocol as Hubble's metrics name it.
    pub const HUBBLE_PROTOCOL: &str = "hubble.protocol";
    /// Port of the proxy that the packet goes to or comes from.
    pub const HUBBLE_PROXY_PORT: &str = "hubble.proxy.port";
    /// Type of the first SCTP chunk.
    pub const HUBBLE_SCTP_CHUNK_TYPE: &str = "hubble.sctp.chunk_type";
    /// Source address in the packet's header, where `source.address` is the one before translation.
    pub const HUBBLE_SOURCE_ADDRESS_TRANSLATED: &str = "hubble.source.address_translated";
    /// Id of the local endpoint that sent the packet.
    pub const HUBBLE_SOURCE_ENDPOINT_ID: &str = "hubble.source.endpoint.id";
    /// Security identity of the source.
    pub const HUBBLE_SOURCE_IDENTITY: &str = "hubble.source.identity";
    /// Who sent the packet, by the configured context.
    ///
    /// The endpoint's interface name, `host` for this machine's own addresses, `world` for the rest, until a provider of metadata knows more.
    pub const HUBBLE_SOURCE_NAME: &str = "hubble.source.name";
    /// The flow in a few words, as Hubble's summary field.
    pub const HUBBLE_SUMMARY: &str = "hubble.summary";
    /// One TCP flag, as Hubble's metrics name it.
    pub const HUBBLE_TCP_FLAG: &str = "hubble.tcp.flag";
    /// All TCP flags of the packet.
    pub const HUBBLE_TCP_FLAGS: &str = "hubble.tcp.flags";
    /// What connection tracking said of the packet.
    pub const HUBBLE_TRACE_REASON: &str = "hubble.trace_reason";
    /// Direction seen from the endpoint that the event belongs to.
    pub const HUBBLE_TRAFFIC_DIRECTION: &str = "hubble.traffic_direction";
    /// Outer destination address.
    pub const HUBBLE_TUNNEL_DESTINATION_ADDRESS: &str = "hubble.tunnel.destination.address";
    /// Protocol of the tunnel that was looked into.
    pub const HUBBLE_TUNNEL_PROTOCOL: &str = "hubble.tunnel.protocol";
    /// Outer source address.
    pub const HUBBLE_TUNNEL_SOURCE_ADDRESS: &str = "hubble.tunnel.source.address";
    /// Virtual network id of the tunnel.
    pub const HUBBLE_TUNNEL_VNI: &str = "hubble.tunnel.vni";
    /// What became of the packet, by the name in Hubble's `flow.Verdict`.
    pub const HUBBLE_VERDICT: &str = "hubble.verdict";
    /// Id of the outermost VLAN tag.
    pub const HUBBLE_VLAN_ID: &str = "hubble.vlan.id";
    /// Priority in the VRRP message.
    pub const HUBBLE_VRRP_PRIORITY: &str = "hubble.vrrp.priority";
    /// Type of the VRRP message.
    pub const HUBBLE_VRRP_TYPE: &str = "hubble.vrrp.type";
    /// Virtual router id of the VRRP message.
    pub const HUBBLE_VRRP_VRID: &str = "hubble.vrrp.vrid";
    /// Id of the record, the same in a replay.
    pub const LOG_RECORD_UID: &str = "log.record.uid";
    /// Name of the interface on which the packet was seen.
    pub const NETWORK_INTERFACE_NAME: &str = "network.interface.name";
    /// Direction on the interface, `receive` or `transmit`.
    pub const NETWORK_IO_DIRECTION: &str = "network.io.direction";
    /// Transport protocol, in lower case.
    pub const NETWORK_TRANSPORT: &str = "network.transport";
    /// Network layer, `ipv4` or `ipv6`.
    pub const NETWORK_TYPE: &str = "network.type";
    /// Operating system.
    pub const OS_TYPE: &str = "os.type";
    /// Set on the series that takes what the limit of series left out.
    pub const OTEL_METRIC_OVERFLOW: &str = "otel.metric.overflow";
    /// Id of this instance of the service.
    pub const SERVICE_INSTANCE_ID: &str = "service.instance.id";
    /// Name of the service.
    pub const SERVICE_NAME: &str = "service.name";
    /// Namespace of the service.
    pub const SERVICE_NAMESPACE: &str = "service.namespace";
    /// Version of the service.
    pub const SERVICE_VERSION: &str = "service.version";
    /// Address of the sender.
    pub const SOURCE_ADDRESS: &str = "source.address";
    /// Port of the sender.
    pub const SOURCE_PORT: &str = "source.port";
}

/// Metrics.
pub mod metric {
    use super::attribute;
    use crate::{Instrument, Metric};

    /// Entries that the connection table can hold.
    pub const EYEPIECE_DATAPATH_CONNECTION_CAPACITY: Metric = Metric {
        name: "eyepiece.datapath.connection.capacity",
        unit: "{connection}",
        description: "Entries that the connection table can hold.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::NETWORK_TYPE,
        ],
    };
    /// Entries in the connection table.
    pub const EYEPIECE_DATAPATH_CONNECTION_COUNT: Metric = Metric {
        name: "eyepiece.datapath.connection.count",
        unit: "{connection}",
        description: "Entries in the connection table.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::NETWORK_TYPE,
        ],
    };
    /// Packets that the kernel dropped, by the kernel's own count.
    pub const EYEPIECE_DATAPATH_DROPS: Metric = Metric {
        name: "eyepiece.datapath.drops",
        unit: "{packet}",
        description: "Packets that the kernel dropped, by the kernel's own count.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_DROP_REASON,
            attribute::HUBBLE_DROP_NETNS,
        ],
    };
    /// Frees of packets that are not counted as drops.
    pub const EYEPIECE_DATAPATH_IGNORED: Metric = Metric {
        name: "eyepiece.datapath.ignored",
        unit: "{packet}",
        description: "Frees of packets that are not counted as drops.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Records that found no room in the kernel's buffer.
    pub const EYEPIECE_DATAPATH_LOST: Metric = Metric {
        name: "eyepiece.datapath.lost",
        unit: "{event}",
        description: "Records that found no room in the kernel's buffer.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Records that the kernel programs wanted to write.
    pub const EYEPIECE_DATAPATH_OFFERED: Metric = Metric {
        name: "eyepiece.datapath.offered",
        unit: "{event}",
        description: "Records that the kernel programs wanted to write.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// Bytes that passed an interface before its hooks were attached.
    pub const EYEPIECE_DATAPATH_UNSEEN_BYTES: Metric = Metric {
        name: "eyepiece.datapath.unseen.bytes",
        unit: "By",
        description: "Bytes that passed an interface before its hooks were attached.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
        ],
    };
    /// Packets that passed an interface before its hooks were attached.
    pub const EYEPIECE_DATAPATH_UNSEEN_PACKETS: Metric = Metric {
        name: "eyepiece.datapath.unseen.packets",
        unit: "{packet}",
        description: "Packets that passed an interface before its hooks were attached.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
        ],
    };
    /// Bytes that the connection table could not hold.
    pub const EYEPIECE_DATAPATH_UNTRACKED_BYTES: Metric = Metric {
        name: "eyepiece.datapath.untracked.bytes",
        unit: "By",
        description: "Bytes that the connection table could not hold.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
        ],
    };
    /// Packets that the connection table could not hold.
    pub const EYEPIECE_DATAPATH_UNTRACKED_PACKETS: Metric = Metric {
        name: "eyepiece.datapath.untracked.packets",
        unit: "{packet}",
        description: "Packets that the connection table could not hold.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
        ],
    };
    /// Events that were lost on the way from the kernel to the pipeline.
    pub const EYEPIECE_EVENTS_LOST: Metric = Metric {
        name: "eyepiece.events.lost",
        unit: "{event}",
        description: "Events that were lost on the way from the kernel to the pipeline.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_REASON,
            attribute::EYEPIECE_CPU,
        ],
    };
    /// Events that a source delivered.
    pub const EYEPIECE_EVENTS_RECEIVED: Metric = Metric {
        name: "eyepiece.events.received",
        unit: "{event}",
        description: "Events that a source delivered.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_SOURCE_KIND,
        ],
    };
    /// Events that make no flow, by reason.
    pub const EYEPIECE_EVENTS_SKIPPED: Metric = Metric {
        name: "eyepiece.events.skipped",
        unit: "{event}",
        description: "Events that make no flow, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Bytes of encoded requests, before compression.
    pub const EYEPIECE_EXPORT_IO: Metric = Metric {
        name: "eyepiece.export.io",
        unit: "By",
        description: "Bytes of encoded requests, before compression.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_SIGNAL,
        ],
    };
    /// Records that the receiver acknowledged, or that were given up.
    pub const EYEPIECE_EXPORT_RECORDS: Metric = Metric {
        name: "eyepiece.export.records",
        unit: "{record}",
        description: "Records that the receiver acknowledged, or that were given up.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_SIGNAL,
            attribute::EYEPIECE_OUTCOME,
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Requests to the receiver.
    pub const EYEPIECE_EXPORT_REQUESTS: Metric = Metric {
        name: "eyepiece.export.requests",
        unit: "{request}",
        description: "Requests to the receiver.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_SIGNAL,
            attribute::EYEPIECE_OUTCOME,
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Events that could not be decoded.
    pub const EYEPIECE_FLOWS_FAILED: Metric = Metric {
        name: "eyepiece.flows.failed",
        unit: "{event}",
        description: "Events that could not be decoded.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Events that became flows.
    pub const EYEPIECE_FLOWS_PARSED: Metric = Metric {
        name: "eyepiece.flows.parsed",
        unit: "{flow}",
        description: "Events that became flows.",
        instrument: Instrument::Counter,
        attributes: &[
        ],
    };
    /// 1 where a hook is attached, 0 where it could not be.
    pub const EYEPIECE_HOOK_ATTACHED: Metric = Metric {
        name: "eyepiece.hook.attached",
        unit: "{hook}",
        description: "1 where a hook is attached, 0 where it could not be.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::EYEPIECE_HOOK_NAME,
            attribute::NETWORK_INTERFACE_NAME,
        ],
    };
    /// What went wrong while interfaces were watched, by reason.
    pub const EYEPIECE_INTERFACES_INCIDENTS: Metric = Metric {
        name: "eyepiece.interfaces.incidents",
        unit: "{event}",
        description: "What went wrong while interfaces were watched, by reason.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_REASON,
        ],
    };
    /// Entries that a queue can hold.
    pub const EYEPIECE_QUEUE_CAPACITY: Metric = Metric {
        name: "eyepiece.queue.capacity",
        unit: "{record}",
        description: "Entries that a queue can hold.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::EYEPIECE_QUEUE_NAME,
        ],
    };
    /// Entries that wait in a queue.
    pub const EYEPIECE_QUEUE_DEPTH: Metric = Metric {
        name: "eyepiece.queue.depth",
        unit: "{record}",
        description: "Entries that wait in a queue.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::EYEPIECE_QUEUE_NAME,
        ],
    };
    /// Live series of a metric.
    pub const EYEPIECE_SERIES_COUNT: Metric = Metric {
        name: "eyepiece.series.count",
        unit: "{series}",
        description: "Live series of a metric.",
        instrument: Instrument::Gauge,
        attributes: &[
            attribute::EYEPIECE_METRIC_NAME,
        ],
    };
    /// Series that were removed because they were idle.
    pub const EYEPIECE_SERIES_EXPIRED: Metric = Metric {
        name: "eyepiece.series.expired",
        unit: "{series}",
        description: "Series that were removed because they were idle.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_METRIC_NAME,
        ],
    };
    /// Measurements that went to the overflow series.
    pub const EYEPIECE_SERIES_OVERFLOWED: Metric = Metric {
        name: "eyepiece.series.overflowed",
        unit: "{record}",
        description: "Measurements that went to the overflow series.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::EYEPIECE_METRIC_NAME,
        ],
    };
    /// Time since the start.
    pub const EYEPIECE_UPTIME: Metric = Metric {
        name: "eyepiece.uptime",
        unit: "s",
        description: "Time since the start.",
        instrument: Instrument::Gauge,
        attributes: &[
        ],
    };
    /// Flows that were dropped.
    pub const HUBBLE_DROP: Metric = Metric {
        name: "hubble.drop",
        unit: "{flow}",
        description: "Flows that were dropped.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_DROP_REASON,
            attribute::HUBBLE_PROTOCOL,
            attribute::HUBBLE_SOURCE_NAME,
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Bytes from source to destination, each packet counted once per node.
    pub const HUBBLE_FLOW_IO: Metric = Metric {
        name: "hubble.flow.io",
        unit: "By",
        description: "Bytes from source to destination, each packet counted once per node.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_SOURCE_NAME,
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Packets from source to destination, each counted once per node.
    pub const HUBBLE_FLOW_PACKETS: Metric = Metric {
        name: "hubble.flow.packets",
        unit: "{packet}",
        description: "Packets from source to destination, each counted once per node.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_SOURCE_NAME,
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Flows that were seen.
    pub const HUBBLE_FLOWS_PROCESSED: Metric = Metric {
        name: "hubble.flows_processed",
        unit: "{flow}",
        description: "Flows that were seen.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_PROTOCOL,
            attribute::HUBBLE_EVENT_TYPE,
            attribute::HUBBLE_EVENT_SUBTYPE,
            attribute::HUBBLE_VERDICT,
            attribute::HUBBLE_SOURCE_NAME,
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Bytes that passed an interface.
    pub const HUBBLE_INTERFACE_IO: Metric = Metric {
        name: "hubble.interface.io",
        unit: "By",
        description: "Bytes that passed an interface.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Packets that passed an interface.
    pub const HUBBLE_INTERFACE_PACKETS: Metric = Metric {
        name: "hubble.interface.packets",
        unit: "{packet}",
        description: "Packets that passed an interface.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::NETWORK_INTERFACE_NAME,
            attribute::NETWORK_IO_DIRECTION,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };
    /// Events that were lost before they became flows.
    pub const HUBBLE_LOST_EVENTS: Metric = Metric {
        name: "hubble.lost_events",
        unit: "{event}",
        description: "Events that were lost before they became flows.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_LOST_SOURCE,
        ],
    };
    /// Flows that carried a TCP flag.
    pub const HUBBLE_TCP_FLAGS: Metric = Metric {
        name: "hubble.tcp_flags",
        unit: "{flow}",
        description: "Flows that carried a TCP flag.",
        instrument: Instrument::Counter,
        attributes: &[
            attribute::HUBBLE_TCP_FLAG,
            attribute::NETWORK_TYPE,
            attribute::HUBBLE_SOURCE_NAME,
            attribute::HUBBLE_DESTINATION_NAME,
            attribute::OTEL_METRIC_OVERFLOW,
        ],
    };

    /// All of them, ordered by name.
    pub const ALL: &[Metric] = &[
        EYEPIECE_DATAPATH_CONNECTION_CAPACITY,
        EYEPIECE_DATAPATH_CONNECTION_COUNT,
        EYEPIECE_DATAPATH_DROPS,
        EYEPIECE_DATAPATH_IGNORED,
        EYEPIECE_DATAPATH_LOST,
        EYEPIECE_DATAPATH_OFFERED,
        EYEPIECE_DATAPATH_UNSEEN_BYTES,
        EYEPIECE_DATAPATH_UNSEEN_PACKETS,
        EYEPIECE_DATAPATH_UNTRACKED_BYTES,
        EYEPIECE_DATAPATH_UNTRACKED_PACKETS,
        EYEPIECE_EVENTS_LOST,
        EYEPIECE_EVENTS_RECEIVED,
        EYEPIECE_EVENTS_SKIPPED,
        EYEPIECE_EXPORT_IO,
        EYEPIECE_EXPORT_RECORDS,
        EYEPIECE_EXPORT_REQUESTS,
        EYEPIECE_FLOWS_FAILED,
        EYEPIECE_FLOWS_PARSED,
        EYEPIECE_HOOK_ATTACHED,
        EYEPIECE_INTERFACES_INCIDENTS,
        EYEPIECE_QUEUE_CAPACITY,
        EYEPIECE_QUEUE_DEPTH,
        EYEPIECE_SERIES_COUNT,
        EYEPIECE_SERIES_EXPIRED,
        EYEPIECE_SERIES_OVERFLOWED,
        EYEPIECE_UPTIME,
        HUBBLE_DROP,
        HUBBLE_FLOW_IO,
        HUBBLE_FLOW_PACKETS,
        HUBBLE_FLOWS_PROCESSED,
        HUBBLE_INTERFACE_IO,
        HUBBLE_INTERFACE_PACKETS,
        HUBBLE_LOST_EVENTS,
        HUBBLE_TCP_FLAGS,
    ];
}

/// Event names.
pub mod event {
    /// A network flow, as the datapath saw one packet of it.
    ///
    /// The timestamp is the kernel's, the severity follows the verdict.
    pub const HUBBLE_FLOW: &str = "hubble.flow";
    /// Events were lost before they became flows.
    pub const HUBBLE_LOST: &str = "hubble.lost";
}

/// The label of Hubble's metrics that carries the same as an attribute.
pub fn hubble_label(name: &str) -> Option<&'static str> {
    Some(match name {
        attribute::HUBBLE_DESTINATION_NAME => "destination",
        attribute::HUBBLE_DROP_NETNS => "netns",
        attribute::HUBBLE_DROP_REASON => "reason",
        attribute::HUBBLE_EVENT_SUBTYPE => "subtype",
        attribute::HUBBLE_EVENT_TYPE => "type",
        attribute::HUBBLE_LOST_SOURCE => "source",
        attribute::HUBBLE_POLICY_MATCH_TYPE => "match",
        attribute::HUBBLE_PROTOCOL => "protocol",
        attribute::HUBBLE_SOURCE_NAME => "source",
        attribute::HUBBLE_TCP_FLAG => "flag",
        attribute::HUBBLE_TRAFFIC_DIRECTION => "traffic_direction",
        attribute::HUBBLE_VERDICT => "verdict",
        attribute::NETWORK_INTERFACE_NAME => "interface",
        attribute::NETWORK_IO_DIRECTION => "direction",
        attribute::NETWORK_TYPE => "family",
        _ => return None,
    })
}
