//! Converts Hubble's protobuf to our record, as far as filters read it.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::flow::{Direction, End, EventType, Flow, Ip, L4, TcpFlags, Verdict};
use eyepiece_flow::l7::{Dns, Http, L7, L7Kind, L7Record};
use eyepiece_flow::metadata::{EndMetadata, Metadata, Service, Workload};
use eyepiece_flow::record::Observed;
use eyepiece_hubble::proto::flow as proto;
use prost::Message;

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

fn byte(number: i64) -> u8 {
    u8::try_from(number).expect("a number of one byte")
}

fn port(number: u32) -> u16 {
    u16::try_from(number).expect("a port")
}

/// A flow.
pub fn flow(from: &proto::Flow) -> Observed {
    let event_type = from.event_type.map_or_else(EventType::default, |kind| EventType {
        kind: byte(kind.r#type.into()),
        subtype: byte(kind.sub_type.into()),
    });
    let mut flow = Flow::empty(event_type);
    if !from.uuid.is_empty() {
        let digits = from.uuid.replace('-', "");
        flow.uuid = u128::from_str_radix(&digits, 16).expect("a UUID").to_be_bytes();
    }
    flow.verdict = VERDICTS[usize::try_from(from.verdict).expect("a verdict")];
    flow.drop_reason = from.drop_reason_desc.cast_unsigned();
    flow.direction = match from.traffic_direction {
        1 => Direction::Ingress,
        2 => Direction::Egress,
        _ => Direction::Unknown,
    };
    flow.is_reply = from.is_reply;
    flow.ip_trace_id = from.ip_trace_id.as_ref().map_or(0, |id| id.trace_id);
    if let Some(ip) = &from.ip {
        flow.encrypted = ip.encrypted;
        flow.no_source_address = ip.source.is_empty();
        flow.no_destination_address = ip.destination.is_empty();
        let version = match ip.ip_version {
            1 => 4,
            2 => 6,
            _ => 0,
        };
        let address = |text: &str| if text.is_empty() { "::".parse() } else { text.parse() }.expect("an address");
        flow.ip = Some(Ip {
            source: address(&ip.source),
            source_translated: (!ip.source_xlated.is_empty()).then(|| address(&ip.source_xlated)),
            destination: address(&ip.destination),
            version,
        });
    }
    flow.l4 = l4(from.l4.as_ref().and_then(|l4| l4.protocol.as_ref()));
    let interface = from.interface.clone().unwrap_or_default();
    flow.ifindex = interface.index;
    flow.l7 = from.l7.as_ref().map(|l7| Box::new(self::l7(l7)));
    let trace = from.trace_context.as_ref().and_then(|context| context.parent.as_ref());
    let mut metadata = Metadata {
        node_name: from.node_name.clone(),
        node_labels: from.node_labels.clone(),
        source_names: from.source_names.clone(),
        destination_names: from.destination_names.clone(),
        source_service: from.source_service.as_ref().map(service),
        destination_service: from.destination_service.as_ref().map(service),
        interface_name: interface.name,
        trace_id: trace.map(|parent| parent.trace_id.clone()).unwrap_or_default(),
        encoded: from.encode_to_vec().into(),
        ..Metadata::default()
    };
    (flow.source, metadata.source) = end(from.source.as_ref());
    (flow.destination, metadata.destination) = end(from.destination.as_ref());
    flow.metadata = Some(Box::new(metadata));
    Observed::Flow(flow)
}

fn end(from: Option<&proto::Endpoint>) -> (End, EndMetadata) {
    let from = from.cloned().unwrap_or_default();
    let workloads = from.workloads.into_iter().map(|one| Workload { name: one.name, kind: one.kind }).collect();
    (
        End { identity: from.identity, ..End::default() },
        EndMetadata {
            cluster_name: from.cluster_name,
            namespace: from.namespace,
            pod_name: from.pod_name,
            labels: from.labels,
            workloads,
        },
    )
}

fn service(from: &proto::Service) -> Service {
    Service { name: from.name.clone(), namespace: from.namespace.clone() }
}

fn l4(from: Option<&proto::layer4::Protocol>) -> L4 {
    use proto::layer4::Protocol;
    match from {
        None => L4::None,
        Some(Protocol::Tcp(tcp)) => L4::Tcp {
            source_port: port(tcp.source_port),
            destination_port: port(tcp.destination_port),
            flags: TcpFlags(tcp.flags.as_ref().map_or(0, flags)),
        },
        Some(Protocol::Udp(udp)) => {
            L4::Udp { source_port: port(udp.source_port), destination_port: port(udp.destination_port) }
        }
        Some(Protocol::Sctp(sctp)) => L4::Sctp {
            source_port: port(sctp.source_port),
            destination_port: port(sctp.destination_port),
            chunk_type: None,
        },
        Some(Protocol::IcmPv4(_)) => L4::Icmp4 { kind: 0, code: 0 },
        Some(Protocol::IcmPv6(_)) => L4::Icmp6 { kind: 0, code: 0 },
        Some(Protocol::Vrrp(_)) => L4::Vrrp { kind: 0, vrid: 0, priority: 0 },
        Some(Protocol::Igmp(_)) => L4::Igmp { kind: 0, group: [0; 4] },
    }
}

fn flags(from: &proto::TcpFlags) -> u16 {
    let set = [from.fin, from.syn, from.rst, from.psh, from.ack, from.urg, from.ece, from.cwr, from.ns];
    set.iter().enumerate().fold(0, |bits, (at, &set)| bits | u16::from(set) << at)
}

fn l7(from: &proto::Layer7) -> L7 {
    use proto::layer7::Record;
    let record = match &from.record {
        Some(Record::Dns(dns)) => L7Record::Dns(Dns { query: dns.query.clone(), ..Dns::default() }),
        Some(Record::Http(http)) => L7Record::Http(Http {
            code: http.code,
            method: http.method.clone(),
            url: http.url.clone(),
            protocol: http.protocol.clone(),
            headers: http.headers.iter().map(|header| (header.key.clone(), header.value.clone())).collect(),
        }),
        _ => L7Record::None,
    };
    L7 { kind: L7Kind::Unknown, record, ..L7::default() }
}

/// A notification of the agent, of which its kind counts.
#[allow(dead_code, reason = "the vectors are flows alone")]
pub fn agent_event(from: &proto::AgentEvent) -> Observed {
    use AgentEventKind as Kind;
    let kinds = [
        Kind::AgentStarted,
        Kind::PolicyUpdated,
        Kind::PolicyDeleted,
        Kind::EndpointRegenerateSuccess,
        Kind::EndpointRegenerateFailure,
        Kind::EndpointCreated,
        Kind::EndpointDeleted,
        Kind::IpcacheUpserted,
        Kind::IpcacheDeleted,
        Kind::ServiceUpserted,
        Kind::ServiceDeleted,
    ];
    let kind = kinds.into_iter().find(|kind| *kind as i32 == from.r#type).unwrap_or_default();
    let notification = Notification::Unknown { kind: 0, notification: String::new() };
    Observed::Agent(Box::new(AgentEvent { time: 1, uuid: [0; 16], kind, notification }))
}

/// A message of the datapath, of which its kind counts.
#[allow(dead_code, reason = "the vectors are flows alone")]
pub fn debug_event(from: &proto::DebugEvent) -> Observed {
    let kind = byte(from.r#type.into());
    let source = End::default();
    Observed::Debug(Box::new(DebugEvent {
        time: 1,
        uuid: [0; 16],
        cpu: 0,
        kind,
        source,
        hash: 0,
        arg1: 0,
        arg2: 0,
        arg3: 0,
    }))
}
