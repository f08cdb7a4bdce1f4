//! Decodes `AgentEvent`, `DebugEvent` and `LostEvent`.

use eyepiece_flow::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress, Timestamp};
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::event::{Lost, LostSource};

use super::flow;
use super::number::{nanoseconds, narrow};
use crate::proto::flow as proto;
use crate::proto::flow::agent_event::Notification as ProtoNotification;

/// Converts a loss of another Hubble server; `time` is the response's, ns since the Unix epoch.
pub fn lost(event: &proto::LostEvent, time: u64) -> Lost {
    Lost {
        source: match event.source {
            1 => LostSource::KernelBuffer,
            3 => LostSource::HubbleRing,
            // Without a source, they were lost on the way.
            _ => LostSource::ObserverQueue,
        },
        cpu: event.cpu.and_then(|cpu| cpu.try_into().ok()),
        count: event.num_events_lost,
        time: event.last.map_or(time, nanoseconds),
    }
}

/// Converts a debug event; `time` is the response's. Its text is omitted, since the numbers have its content.
pub fn debug(event: &proto::DebugEvent, time: u64) -> DebugEvent {
    DebugEvent {
        time,
        uuid: [0; 16],
        cpu: event.cpu.map_or(0, narrow),
        kind: narrow(event.r#type),
        source: flow::end(event.source.as_ref()),
        hash: event.hash.unwrap_or(0),
        arg1: event.arg1.unwrap_or(0),
        arg2: event.arg2.unwrap_or(0),
        arg3: event.arg3.unwrap_or(0),
    }
}

/// Converts an event of the agent; `time` is the response's.
pub fn agent(event: proto::AgentEvent, time: u64) -> AgentEvent {
    let kind = kind(event.r#type);
    AgentEvent { time, uuid: [0; 16], kind, notification: event.notification.map_or_else(unknown, notification) }
}

const fn kind(number: i32) -> AgentEventKind {
    match number {
        2 => AgentEventKind::AgentStarted,
        3 => AgentEventKind::PolicyUpdated,
        4 => AgentEventKind::PolicyDeleted,
        5 => AgentEventKind::EndpointRegenerateSuccess,
        6 => AgentEventKind::EndpointRegenerateFailure,
        7 => AgentEventKind::EndpointCreated,
        8 => AgentEventKind::EndpointDeleted,
        9 => AgentEventKind::IpcacheUpserted,
        10 => AgentEventKind::IpcacheDeleted,
        11 => AgentEventKind::ServiceUpserted,
        12 => AgentEventKind::ServiceDeleted,
        _ => AgentEventKind::Unknown,
    }
}

pub(super) const fn unknown() -> Notification {
    Notification::Unknown { kind: 0, notification: String::new() }
}

fn notification(notification: ProtoNotification) -> Notification {
    match notification {
        ProtoNotification::Unknown(event) => {
            Notification::Unknown { kind: event.r#type.parse().unwrap_or(0), notification: event.notification }
        }
        ProtoNotification::AgentStart(event) => {
            let nanos = |nanos| u32::try_from(nanos).ok().filter(|&nanos| nanos < 1_000_000_000);
            let stamp =
                |time: prost_types::Timestamp| Some(Timestamp { seconds: time.seconds, nanos: nanos(time.nanos)? });
            Notification::AgentStart { time: event.time.and_then(stamp) }
        }
        ProtoNotification::PolicyUpdate(event) => {
            let proto::PolicyUpdateNotification { labels, revision, rule_count } = event;
            Notification::Policy { labels, revision, rule_count }
        }
        ProtoNotification::EndpointRegenerate(event) => {
            let proto::EndpointRegenNotification { id, labels, error } = event;
            let (pod_name, namespace, interface) = (String::new(), String::new(), String::new());
            Notification::Endpoint { id, labels, error, pod_name, namespace, interface }
        }
        ProtoNotification::EndpointUpdate(event) => {
            let proto::EndpointUpdateNotification { id, labels, error, pod_name, namespace } = event;
            Notification::Endpoint { id, labels, error, pod_name, namespace, interface: String::new() }
        }
        ProtoNotification::IpcacheUpdate(event) => {
            let proto::IpCacheNotification {
                cidr,
                identity,
                old_identity,
                host_ip,
                old_host_ip,
                encrypt_key,
                namespace,
                pod_name,
            } = event;
            Notification::Ipcache {
                cidr,
                identity,
                old_identity,
                host_ip,
                old_host_ip,
                encrypt_key,
                namespace,
                pod_name,
            }
        }
        ProtoNotification::ServiceUpsert(event) => service(event),
        ProtoNotification::ServiceDelete(event) => Notification::ServiceDelete { id: event.id },
    }
}

fn service(event: proto::ServiceUpsertNotification) -> Notification {
    let address = |address: proto::ServiceUpsertNotificationAddr| ServiceAddress { ip: address.ip, port: address.port };
    Notification::ServiceUpsert {
        id: event.id,
        frontend: event.frontend_address.map(address).unwrap_or_default(),
        backends: event.backend_addresses.into_iter().map(address).collect(),
        kind: event.r#type,
        traffic_policy: event.traffic_policy,
        ext_traffic_policy: event.ext_traffic_policy,
        int_traffic_policy: event.int_traffic_policy,
        name: event.name,
        namespace: event.namespace,
    }
}
