//! Notifications of Cilium's agent (message type 130): a gob value of its `AgentNotify`, with JSON inside.

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::RecordError;
use crate::agent_event::{AgentEvent, AgentEventKind, Notification, ServiceAddress};
use crate::cilium_release::{Producer, Release};
use crate::event::RawEvent;
use crate::gob;
use crate::gob::Value;
use crate::rfc3339::rfc3339;

/// Decodes a notification.
///
/// # Errors
/// The bytes are not gob, or the text of a known kind is not its JSON.
pub(super) fn decode(event: &RawEvent<'_>, producer: Producer) -> Result<AgentEvent, RecordError> {
    let (value, _) = gob::value(event.data.get(1..).unwrap_or_default())?;
    let fields = value.as_struct().ok_or(RecordError::Field { field: "AgentNotify", wanted: "a structure" })?;
    let kind = match fields.get("Type") {
        None => 0,
        Some(kind) => kind.as_uint().ok_or(RecordError::Field { field: "Type", wanted: "an unsigned number" })?,
    };
    let text = match fields.get("Text") {
        None => "",
        Some(text) => Value::as_text(text).ok_or(RecordError::Field { field: "Text", wanted: "a text" })?,
    };
    // It has 32 bits in Go; a wider one is unknown.
    let kind = u32::try_from(kind).unwrap_or(u32::MAX);
    let (kind, notification) = match service(kind, text, producer) {
        Some(service) => service,
        None => notification(kind, text)?,
    };
    Ok(AgentEvent { time: event.time, uuid: [0; 16], kind, notification })
}

/// Decodes all notifications but services. The numbers are the monitor's (Cilium `pkg/monitor/api`,
/// `AgentNotification`), not protobuf's.
fn notification(number: u32, text: &str) -> Result<(AgentEventKind, Notification), RecordError> {
    use AgentEventKind as Kind;
    Ok(match number {
        2 => (Kind::AgentStarted, json::<Start>(text)?.into()),
        3 => (Kind::EndpointRegenerateSuccess, json::<Endpoint>(text)?.into()),
        4 => (Kind::EndpointRegenerateFailure, json::<Endpoint>(text)?.into()),
        5 => (Kind::PolicyUpdated, json::<Policy>(text)?.into()),
        6 => (Kind::PolicyDeleted, json::<Policy>(text)?.into()),
        7 => (Kind::EndpointCreated, json::<Endpoint>(text)?.into()),
        8 => (Kind::EndpointDeleted, json::<Endpoint>(text)?.into()),
        9 => (Kind::IpcacheUpserted, json::<Ipcache>(text)?.into()),
        10 => (Kind::IpcacheDeleted, json::<Ipcache>(text)?.into()),
        kind => (Kind::Unknown, Notification::Unknown { kind, notification: text.to_owned() }),
    })
}

/// Decodes a service notification, which agents up to 1.18 send.
///
/// Other agents may use the same numbers differently: returns `None` for newer producers, or if the JSON is not a
/// service's. Of an unknown producer it must have fields that only services have; a deleted service has none.
fn service(number: u32, text: &str, producer: Producer) -> Option<(AgentEventKind, Notification)> {
    if producer.is_release_known && producer.release > Release::V1_18 {
        return None;
    }
    match number {
        11 => Some((AgentEventKind::ServiceUpserted, json::<Service>(text).ok()?.into())),
        12 if producer.is_release_known => {
            Some((AgentEventKind::ServiceDeleted, json::<DeletedService>(text).ok()?.into()))
        }
        _ => None,
    }
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, RecordError> {
    serde_json::from_str(text).map_err(|error| RecordError::Json { line: error.line(), column: error.column() })
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Start {
    time: String,
}

impl From<Start> for Notification {
    fn from(start: Start) -> Self {
        Self::AgentStart { time: rfc3339(&start.time) }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Endpoint {
    id: u64,
    labels: Option<Vec<String>>,
    error: String,
    pod_name: String,
    namespace: String,
    /// Only in eyepiece's own notifications.
    interface: String,
}

impl From<Endpoint> for Notification {
    fn from(endpoint: Endpoint) -> Self {
        let Endpoint { id, labels, error, pod_name, namespace, interface } = endpoint;
        Self::Endpoint { id, labels: labels.unwrap_or_default(), error, pod_name, namespace, interface }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Policy {
    labels: Option<Vec<String>>,
    revision: u64,
    rule_count: i64,
}

impl From<Policy> for Notification {
    fn from(policy: Policy) -> Self {
        let Policy { labels, revision, rule_count } = policy;
        Self::Policy { labels: labels.unwrap_or_default(), revision, rule_count }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Ipcache {
    cidr: String,
    id: u32,
    old_id: Option<u32>,
    host_ip: Option<String>,
    old_host_ip: Option<String>,
    encrypt_key: u32,
    namespace: String,
    pod_name: String,
}

impl From<Ipcache> for Notification {
    fn from(change: Ipcache) -> Self {
        let Ipcache { cidr, id, old_id, host_ip, old_host_ip, encrypt_key, namespace, pod_name } = change;
        Self::Ipcache {
            cidr,
            identity: id,
            old_identity: old_id,
            host_ip: host_ip.unwrap_or_default(),
            old_host_ip: old_host_ip.unwrap_or_default(),
            encrypt_key,
            namespace,
            pod_name,
        }
    }
}

/// An upserted service. Fields that every agent sends are required.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Service {
    id: u32,
    frontend_address: Address,
    #[serde(deserialize_with = "Option::deserialize")]
    backend_addresses: Option<Vec<Address>>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    traffic_policy: String,
    #[serde(default)]
    ext_traffic_policy: String,
    #[serde(default)]
    int_traffic_policy: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
}

/// A deleted service: an id alone. Endpoints and identities have other fields beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeletedService {
    id: u32,
}

impl From<DeletedService> for Notification {
    fn from(service: DeletedService) -> Self {
        Self::ServiceDelete { id: service.id }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Address {
    ip: Option<String>,
    port: u32,
}

impl From<Address> for ServiceAddress {
    fn from(address: Address) -> Self {
        Self { ip: address.ip.unwrap_or_default(), port: address.port }
    }
}

impl From<Service> for Notification {
    fn from(service: Service) -> Self {
        // Hubble sets the old field for all traffic to the policy for external traffic.
        let traffic_policy =
            if service.traffic_policy.is_empty() { service.ext_traffic_policy.clone() } else { service.traffic_policy };
        Self::ServiceUpsert {
            id: service.id,
            frontend: service.frontend_address.into(),
            backends: service.backend_addresses.unwrap_or_default().into_iter().map(Into::into).collect(),
            kind: service.kind,
            traffic_policy,
            ext_traffic_policy: service.ext_traffic_policy,
            int_traffic_policy: service.int_traffic_policy,
            name: service.name,
            namespace: service.namespace,
        }
    }
}

#[cfg(test)]
mod tests;
