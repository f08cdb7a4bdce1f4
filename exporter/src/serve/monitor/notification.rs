//! Our own agent notifications about endpoints and addresses, in Cilium's JSON.

use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::rfc3339::civil;
use serde::Serialize;

/// An agent notification, with the numbers and texts of Cilium's (`pkg/monitor/api`). An endpoint has an additional
/// field `interface`, which Cilium's clients show or ignore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The agent has started: all hooks are attached.
    Started {
        /// Time of the start, ns since the Unix epoch.
        time: u64,
    },
    /// A new endpoint.
    EndpointCreated {
        /// Its id.
        endpoint: u16,
        /// Name of its interface on the host.
        interface: Arc<str>,
    },
    /// A removed endpoint.
    EndpointDeleted {
        /// Its id.
        endpoint: u16,
        /// The last name of its interface.
        interface: Arc<str>,
    },
    /// An address has a new owner.
    AddressUpserted {
        /// The address.
        address: IpAddr,
        /// The security identity of the address; 0 if unknown.
        identity: u32,
        /// The previous identity, if the address had an owner.
        old_identity: Option<u32>,
    },
    /// An address without owner.
    AddressDeleted {
        /// The address.
        address: IpAddr,
        /// The previous security identity of the address.
        identity: u32,
    },
}

#[derive(Serialize)]
struct Time {
    time: String,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    id: u16,
    #[serde(skip_serializing_if = "str::is_empty")]
    interface: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Address {
    cidr: String,
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_id: Option<u32>,
    encrypt_key: u8,
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
            Self::EndpointCreated { .. } => 7,
            Self::EndpointDeleted { .. } => 8,
            Self::AddressUpserted { .. } => 9,
            Self::AddressDeleted { .. } => 10,
        }
    }

    /// Its JSON, `AgentNotify.Text`.
    ///
    /// # Errors
    /// Never for these types.
    pub fn text(&self) -> serde_json::Result<String> {
        match *self {
            Self::Started { time } => serde_json::to_string(&Time { time: rfc3339(time) }),
            Self::EndpointCreated { endpoint: id, ref interface }
            | Self::EndpointDeleted { endpoint: id, ref interface } => {
                serde_json::to_string(&Endpoint { id, interface })
            }
            Self::AddressUpserted { address, identity, old_identity } => {
                serde_json::to_string(&Address::of(address, identity, old_identity))
            }
            Self::AddressDeleted { address, identity } => serde_json::to_string(&Address::of(address, identity, None)),
        }
    }
}

impl Address {
    fn of(address: IpAddr, id: u32, old_id: Option<u32>) -> Self {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        Self { cidr: format!("{address}/{bits}"), id, old_id, encrypt_key: 0 }
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

    use super::{Notification, rfc3339};

    #[test]
    fn notifications_have_cilium_json() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        for (notification, kind, text) in [
            (Notification::Started { time: 1_700_000_000_123_456_000 }, 2, r#"{"time":"2023-11-14T22:13:20.123456Z"}"#),
            (
                Notification::EndpointCreated { endpoint: 65_535, interface: "veth0".into() },
                7,
                r#"{"id":65535,"interface":"veth0"}"#,
            ),
            (Notification::EndpointDeleted { endpoint: 0, interface: "".into() }, 8, "{}"),
            (
                Notification::AddressUpserted { address: ip("10.1.1.2"), identity: 0, old_identity: None },
                9,
                r#"{"cidr":"10.1.1.2/32","id":0,"encrypt-key":0}"#,
            ),
            (
                Notification::AddressUpserted { address: ip("fd00::2"), identity: 7, old_identity: Some(0) },
                9,
                r#"{"cidr":"fd00::2/128","id":7,"old-id":0,"encrypt-key":0}"#,
            ),
            (
                Notification::AddressDeleted { address: ip("fd00::2"), identity: 7 },
                10,
                r#"{"cidr":"fd00::2/128","id":7,"encrypt-key":0}"#,
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
