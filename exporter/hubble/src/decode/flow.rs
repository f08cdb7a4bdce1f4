//! Decodes `flow.Flow`.

use eyepiece_flow::flow::{
    Direction, EVENT_L7, EVENT_SOCK, End, EventType, FileInfo, Flow, Sock, TranslationPoint, Verdict,
};
use eyepiece_flow::metadata::{Emitter, EndMetadata, Metadata, Service, Workload};

use super::number::{nanoseconds, narrow, narrow_some};
use super::{l7, layers};
use crate::proto::flow as proto;

/// Converts a flow; `encoded` are its bytes, empty if they are not to be kept.
///
/// Numbers that do not fit and invalid addresses are omitted.
pub fn flow(mut message: proto::Flow, encoded: Box<[u8]>) -> Flow {
    let event = message.event_type.unwrap_or_default();
    let mut flow = Flow::empty(EventType { kind: narrow(event.r#type), subtype: narrow(event.sub_type) });
    if message.event_type.is_none() {
        // Flows without an event type have this coarser one.
        flow.event_type.kind = match message.r#type() {
            proto::FlowType::L7 => EVENT_L7,
            proto::FlowType::Sock => EVENT_SOCK,
            proto::FlowType::UnknownType | proto::FlowType::L3L4 => 0,
        };
    }
    flow.time = message.time.map_or(0, nanoseconds);
    flow.uuid = uuid(&message.uuid).unwrap_or_default();
    flow.verdict = verdict(message.verdict);
    // The older field has the same number.
    flow.drop_reason = narrow_some(message.drop_reason_desc).unwrap_or(message.drop_reason);
    layers::write(&message, &mut flow);
    (flow.source, flow.destination) = (end(message.source.as_ref()), end(message.destination.as_ref()));
    flow.direction = match message.traffic_direction {
        1 => Direction::Ingress,
        2 => Direction::Egress,
        _ => Direction::Unknown,
    };
    flow.is_reply = message.is_reply.or(message.reply.then_some(true));
    flow.observation_point = narrow_some(message.trace_observation_point).map(observation_point);
    flow.trace_reason = narrow_some(message.trace_reason).map(trace_reason);
    flow.ifindex = message.interface.as_ref().map_or(0, |interface| interface.index);
    flow.proxy_port = message.proxy_port;
    flow.capture_point = narrow_some(message.debug_capture_point);
    flow.policy_match = narrow(message.policy_match_type);
    flow.auth_type = narrow(message.auth_type);
    flow.ip_trace_id = message.ip_trace_id.map_or(0, |id| id.trace_id);
    flow.file = message.file.as_ref().map(|file| FileInfo { line: narrow(file.line), ..FileInfo::default() });
    let (point, cookie, cgroup) = (message.sock_xlate_point, message.socket_cookie, message.cgroup_id);
    if flow.event_type.kind == EVENT_SOCK || (point, cookie, cgroup) != (0, 0, 0) {
        let point = TranslationPoint::from_number(narrow(point));
        flow.sock = Some(Sock { point, cookie, cgroup });
    }
    let parent = message.trace_context.take().and_then(|context| context.parent);
    let trace_id = parent.map_or_else(String::new, |parent| parent.trace_id);
    flow.l7 = message.l7.take().map(|layer| Box::new(l7::l7(layer, &trace_id)));
    flow.metadata = Some(Box::new(metadata(message, trace_id, encoded)));
    flow
}

fn metadata(message: proto::Flow, trace_id: String, encoded: Box<[u8]>) -> Metadata {
    let emitter = message.emitter.unwrap_or_default();
    Metadata {
        node_name: message.node_name,
        node_labels: message.node_labels,
        emitter: Emitter { name: emitter.name, version: emitter.version },
        source: end_metadata(message.source),
        destination: end_metadata(message.destination),
        source_names: message.source_names,
        destination_names: message.destination_names,
        source_service: message.source_service.map(service),
        destination_service: message.destination_service.map(service),
        interface_name: message.interface.map_or_else(String::new, |interface| interface.name),
        trace_id,
        summary: message.summary,
        file_name: message.file.map_or_else(String::new, |file| file.name),
        encoded,
    }
}

/// Parses a UUID, with or without hyphens.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let mut digits = text.bytes().filter(|&byte| byte != b'-');
    let mut uuid = [0; 16];
    for byte in &mut uuid {
        let mut digit = || char::from(digits.next()?).to_digit(16);
        *byte = (digit()? << 4 | digit()?) as u8;
    }
    digits.next().is_none().then_some(uuid)
}

const fn verdict(number: i32) -> Verdict {
    match number {
        1 => Verdict::Forwarded,
        2 => Verdict::Dropped,
        3 => Verdict::Error,
        4 => Verdict::Audit,
        5 => Verdict::Redirected,
        6 => Verdict::Traced,
        7 => Verdict::Translated,
        _ => Verdict::Unknown,
    }
}

/// Returns the datapath's number of an observation point, in which 0 is to-endpoint.
const fn observation_point(number: u8) -> u8 {
    if number == 101 { 0 } else { number }
}

/// Returns the datapath's number of a trace reason, in which 0 is new.
const fn trace_reason(number: u8) -> u8 {
    if number <= 5 { number.saturating_sub(1) } else { number }
}

pub(super) fn end(endpoint: Option<&proto::Endpoint>) -> End {
    let Some(endpoint) = endpoint else { return End::default() };
    End { endpoint: narrow(endpoint.id), identity: endpoint.identity, ..End::default() }
}

fn end_metadata(endpoint: Option<proto::Endpoint>) -> EndMetadata {
    let proto::Endpoint { id: _, identity: _, cluster_name, namespace, labels, pod_name, workloads } =
        endpoint.unwrap_or_default();
    let workload = |workload: proto::Workload| Workload { name: workload.name, kind: workload.kind };
    let workloads = workloads.into_iter().map(workload).collect();
    EndMetadata { cluster_name, namespace, pod_name, labels, workloads }
}

fn service(service: proto::Service) -> Service {
    Service { name: service.name, namespace: service.namespace }
}
