//! Our own agent notifications about endpoints and addresses, in Cilium's JSON.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::rfc3339::civil;
use serde::Serialize;

use crate::metadata::provider::Entity;

/// An agent notification, with the numbers and texts of Cilium's (`pkg/monitor/api`).
///
/// An endpoint has the additional field `interface`, and a changed one also its pod; Cilium's clients show or ignore
/// them. Names and labels are those of the entity in flows: a container's or unit's stand in the fields of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The agent has started: all hooks are attached.
    Started {
        /// Time of the start, ns since the Unix epoch.
        time: u64,
    },
    /// A new endpoint.
    EndpointCreated(Endpoint),
    /// An endpoint's name or labels became known or are others: for Cilium its programs were built with these labels.
    EndpointChanged(Endpoint),
    /// A removed endpoint, with its last names.
    EndpointDeleted(Endpoint),
    /// An address has a new endpoint, or its endpoint another name or identity.
    AddressUpserted(Address),
    /// An address without endpoint, with its last names.
    AddressDeleted(Address),
}

/// An endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: u16,
    /// Name of its interface on the host.
    pub interface: Arc<str>,
    /// The entity that names it.
    pub entity: Option<Arc<Entity>>,
}

/// An address of an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// The entity that names the endpoint.
    pub entity: Option<Arc<Entity>>,
    /// The previous security identity, if the address had an endpoint before.
    pub old_identity: Option<u32>,
    /// The address of this machine.
    pub host: Option<IpAddr>,
}

#[derive(Serialize)]
struct TimeJson {
    time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct EndpointJson<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    id: u16,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: &'a Vec<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pod_name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    interface: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct AddressJson<'a> {
    cidr: String,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host_ip: Option<IpAddr>,
    encrypt_key: u8,
    #[serde(skip_serializing_if = "str::is_empty")]
    namespace: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    pod_name: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(number: &u16) -> bool {
    *number == 0
}

impl Notification {
    /// The number of its type, `AgentNotify.Type`.
    pub const fn kind(&self) -> u32 {
        match self {
            Self::Started { .. } => 2,
            Self::EndpointChanged(_) => 3,
            Self::EndpointCreated(_) => 7,
            Self::EndpointDeleted(_) => 8,
            Self::AddressUpserted(_) => 9,
            Self::AddressDeleted(_) => 10,
        }
    }

    /// Its JSON, `AgentNotify.Text`.
    ///
    /// # Errors
    /// Never for these types.
    pub fn text(&self) -> serde_json::Result<String> {
        let none = Entity::default();
        match self {
            Self::Started { time } => serde_json::to_string(&TimeJson { time: rfc3339(*time) }),
            Self::EndpointCreated(endpoint) | Self::EndpointChanged(endpoint) | Self::EndpointDeleted(endpoint) => {
                let entity = endpoint.entity.as_deref().unwrap_or(&none);
                serde_json::to_string(&EndpointJson {
                    id: endpoint.id,
                    labels: &entity.metadata.labels,
                    pod_name: &entity.pod_name,
                    namespace: &entity.metadata.namespace,
                    interface: &endpoint.interface,
                })
            }
            Self::AddressUpserted(address) | Self::AddressDeleted(address) => {
                let Address { address, entity, old_identity, host } = address;
                let entity = entity.as_deref().unwrap_or(&none);
                let bits = if address.is_ipv4() { 32 } else { 128 };
                serde_json::to_string(&AddressJson {
                    cidr: format!("{address}/{bits}"),
                    id: entity.identity,
                    old_id: *old_identity,
                    host_ip: *host,
                    encrypt_key: 0,
                    namespace: &entity.metadata.namespace,
                    pod_name: &entity.pod_name,
                })
            }
        }
    }
}

/// RFC 3339 in UTC without trailing zeros, like Go's `time.RFC3339Nano`; `time` in ns since the Unix epoch.
fn rfc3339(time: u64) -> String {
    // A u64 of nanoseconds ends in the year 2554.
    let civil = civil((time / 1_000_000_000).cast_signed(), (time % 1_000_000_000) as u32);
    format!("{}Z", civil.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;

    use eyepiece_flow::metadata::EndMetadata;

    use super::{Address, Endpoint, Notification, rfc3339};
    use crate::metadata::provider::Entity;

    #[test]
    fn notifications_have_cilium_json() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let (namespace, pod_name) = ("shop".to_owned(), "web-1".to_owned());
        let labels = vec!["container:image=web".to_owned(), "container:name=\"web\"".to_owned()];
        let metadata = EndMetadata { namespace, pod_name, labels, ..EndMetadata::default() };
        let entity = Some(Arc::new(Entity { identity: 77, ..Entity::of(metadata) }));
        let named = Endpoint { id: 7, interface: "veth0".into(), entity: entity.clone() };
        let unnamed = Endpoint { id: 65_535, interface: "veth0".into(), entity: None };
        let address = |address, old_identity| Address { address, entity: None, old_identity, host: None };
        let named_text = "{\"id\":7,\"labels\":[\"container:image=web\",\"container:name=\\\"web\\\"\"],\
                          \"pod-name\":\"web-1\",\"namespace\":\"shop\",\"interface\":\"veth0\"}";
        for (notification, kind, text) in [
            (Notification::Started { time: 1_700_000_000_123_456_000 }, 2, r#"{"time":"2023-11-14T22:13:20.123456Z"}"#),
            (Notification::EndpointCreated(unnamed), 7, r#"{"id":65535,"interface":"veth0"}"#),
            (Notification::EndpointCreated(named.clone()), 7, named_text),
            (Notification::EndpointChanged(named.clone()), 3, named_text),
            (Notification::EndpointDeleted(named), 8, named_text),
            (Notification::EndpointDeleted(Endpoint::default()), 8, "{}"),
            (
                Notification::AddressUpserted(address(ip("10.1.1.2"), None)),
                9,
                r#"{"cidr":"10.1.1.2/32","id":0,"encrypt-key":0}"#,
            ),
            (
                Notification::AddressUpserted(Address {
                    entity,
                    host: Some(ip("192.0.2.1")),
                    ..address(ip("fd00::2"), Some(0))
                }),
                9,
                "{\"cidr\":\"fd00::2/128\",\"id\":77,\"old-id\":0,\"host-ip\":\"192.0.2.1\",\"encrypt-key\":0,\
                 \"namespace\":\"shop\",\"pod-name\":\"web-1\"}",
            ),
            (
                Notification::AddressDeleted(address(ip("fd00::2"), None)),
                10,
                r#"{"cidr":"fd00::2/128","id":0,"encrypt-key":0}"#,
            ),
        ] {
            assert_eq!((notification.kind(), notification.text().unwrap().as_str()), (kind, text));
        }
    }

    #[test]
    fn times_are_rfc3339() {
        // Seconds by `date -u -d TIME +%s`.
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (0, 1, "1970-01-01T00:00:00.000000001Z"),
            (951_782_399, 500_000_000, "2000-02-28T23:59:59.5Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (951_868_800, 0, "2000-03-01T00:00:00Z"),
            (1_709_164_800, 0, "2024-02-29T00:00:00Z"),
            (1_735_689_599, 999_999_999, "2024-12-31T23:59:59.999999999Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds * 1_000_000_000 + nanoseconds), text);
        }
    }
}
