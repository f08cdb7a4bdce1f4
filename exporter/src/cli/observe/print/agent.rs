//! Prints events of the agent.

use std::fmt::Write as _;

use eyepiece_hubble::proto::flow::agent_event::Notification;
use eyepiece_hubble::proto::flow::{
    AgentEvent, AgentEventType, IpCacheNotification, ServiceUpsertNotification, ServiceUpsertNotificationAddr,
};
use eyepiece_hubble::proto::observer::GetAgentEventsResponse;
use eyepiece_hubble::terminal::{joined, safe};

use super::form::{PrintConfig, PrintedRow, header};
use super::names::enum_name;
use super::time::TimeFormat;

/// The texts of a message.
pub(super) struct Row {
    time: String,
    node: Option<String>,
    kind: String,
    metadata: String,
}

impl Row {
    pub(super) fn new(response: &GetAgentEventsResponse, config: &PrintConfig) -> Self {
        let none = AgentEvent::default();
        let event = response.agent_event.as_ref().unwrap_or(&none);
        Self {
            time: config.time.text(response.time.as_ref()),
            node: config.node_name.then(|| safe(&response.node_name).into_owned()),
            kind: enum_name!(AgentEventType, event.r#type).into_owned(),
            metadata: metadata(event, config.time).unwrap_or_else(|| "UNKNOWN".to_owned()),
        }
    }
}

impl PrintedRow for Row {
    fn header(&self) -> Vec<String> {
        if self.node.is_some() {
            header(&["TIMESTAMP", "NODE", "TYPE", "DETAILS"])
        } else {
            header(&["TIMESTAMP", "TYPE", "DETAILS"])
        }
    }

    fn cells(&self) -> Vec<String> {
        std::iter::once(&self.time).chain(&self.node).chain([&self.kind, &self.metadata]).cloned().collect()
    }

    fn dict(&self, out: &mut String) {
        let _ = writeln!(out, "  TIMESTAMP: {}", self.time);
        if let Some(node) = &self.node {
            let _ = writeln!(out, "       NODE: {node}");
        }
        let _ = writeln!(out, "       TYPE: {}\n    DETAILS: {}", self.kind, self.metadata);
    }

    fn compact(&self, out: &mut String) {
        out.push_str(&self.time);
        if let Some(node) = &self.node {
            let _ = write!(out, " [{node}]");
        }
        let _ = writeln!(out, ": {} ({})", self.kind, self.metadata);
    }
}

/// The notification's fields; `None` if the notification does not belong to the type.
fn metadata(event: &AgentEvent, format: TimeFormat) -> Option<String> {
    use AgentEventType::{
        AgentEventUnknown, AgentStarted, EndpointCreated, EndpointDeleted, EndpointRegenerateFailure,
        EndpointRegenerateSuccess, IpcacheDeleted, IpcacheUpserted, PolicyDeleted, PolicyUpdated, ServiceDeleted,
        ServiceUpserted,
    };
    let kind = AgentEventType::try_from(event.r#type).ok()?;
    Some(match (kind, event.notification.as_ref()?) {
        (AgentEventUnknown, Notification::Unknown(unknown)) => {
            format!("type: {}, notification: {}", safe(&unknown.r#type), safe(&unknown.notification))
        }
        (AgentStarted, Notification::AgentStart(start)) => format!("start time: {}", format.text(start.time.as_ref())),
        (PolicyUpdated | PolicyDeleted, Notification::PolicyUpdate(policy)) => {
            let labels = joined(&policy.labels, ",");
            format!("labels: [{labels}], revision: {}, count: {}", policy.revision, policy.rule_count)
        }
        (EndpointRegenerateSuccess | EndpointRegenerateFailure, Notification::EndpointRegenerate(endpoint)) => {
            let text = format!("id: {}, labels: [{}]", endpoint.id, joined(&endpoint.labels, ","));
            with(text, &[("error", &endpoint.error)])
        }
        (EndpointCreated | EndpointDeleted, Notification::EndpointUpdate(endpoint)) => {
            let text = format!("id: {}", endpoint.id);
            with(text, &[("namespace", &endpoint.namespace), ("pod name", &endpoint.pod_name)])
        }
        (IpcacheUpserted | IpcacheDeleted, Notification::IpcacheUpdate(entry)) => ipcache(entry),
        (ServiceUpserted, Notification::ServiceUpsert(service)) => upserted(service),
        (ServiceDeleted, Notification::ServiceDelete(service)) => format!("id: {}", service.id),
        _ => return None,
    })
}

/// Appends the fields that are not empty.
fn with(mut text: String, further: &[(&str, &str)]) -> String {
    for (name, value) in further.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(text, ", {name}: {}", safe(value));
    }
    text
}

fn ipcache(entry: &IpCacheNotification) -> String {
    let mut text = format!("cidr: {}, identity: {}", safe(&entry.cidr), entry.identity);
    if let Some(old) = entry.old_identity {
        let _ = write!(text, ", old identity: {old}");
    }
    text = with(text, &[("host ip", &entry.host_ip), ("old host ip", &entry.old_host_ip)]);
    let _ = write!(text, ", encrypt key: {}", entry.encrypt_key);
    text
}

fn upserted(service: &ServiceUpsertNotification) -> String {
    let mut text = format!("id: {}", service.id);
    if let Some(frontend) = &service.frontend_address {
        let _ = write!(text, ", frontend: {}", address(frontend));
    }
    if !service.backend_addresses.is_empty() {
        let backends: Vec<_> = service.backend_addresses.iter().map(address).collect();
        let _ = write!(text, ", backends: [{}]", backends.join(","));
    }
    let further = [
        ("type", service.r#type.as_str()),
        ("traffic policy", &service.traffic_policy),
        ("namespace", &service.namespace),
        ("name", &service.name),
    ];
    with(text, &further)
}

fn address(of: &ServiceUpsertNotificationAddr) -> String {
    let ip = safe(&of.ip);
    if ip.contains(':') { format!("[{ip}]:{}", of.port) } else { format!("{ip}:{}", of.port) }
}
