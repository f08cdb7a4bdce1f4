//! Agent notifications of our own: what happened to endpoints and addresses, in Cilium's JSON.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;

/// What is told. Numbers and texts are those of Cilium's agent notifications (`pkg/monitor/api`); beside an endpoint's id
/// stands `interface`, which Cilium's clients show or pass over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// We have started: everything is attached.
    Started {
        /// When, ns since the Unix epoch.
        time: u64,
    },
    /// There is a new endpoint.
    EndpointCreated {
        /// Its id.
        endpoint: u16,
        /// Name of its interface on the host.
        interface: Arc<str>,
    },
    /// An endpoint is gone.
    EndpointDeleted {
        /// Its id.
        endpoint: u16,
        /// The last name of its interface.
        interface: Arc<str>,
    },
    /// It became known whose an address is, or whose it is now.
    AddressUpserted {
        /// The address.
        address: IpAddr,
        /// The security identity behind it; 0 where none is known.
        identity: u32,
        /// The identity that was behind it before, where somebody was.
        old_identity: Option<u32>,
    },
    /// Nobody has an address any more.
    AddressDeleted {
        /// The address.
        address: IpAddr,
        /// The security identity that was behind it.
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
    /// Its number, `AgentNotify.Type`.
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
    /// None that these structs can have.
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

/// RFC 3339 in UTC with nanoseconds, without zeros at the end, as Go's `time.RFC3339Nano` writes it.
fn rfc3339(time: u64) -> String {
    let (seconds, nanoseconds) = (time / 1_000_000_000, time % 1_000_000_000);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = format!(".{nanoseconds:09}");
    let fraction = fraction.trim_end_matches('0').trim_end_matches('.');
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of a number of days since 1970-01-01. Counts from 0000-03-01, so that a leap day ends its year.
const fn civil(days: u64) -> (u64, u64, u64) {
    const ERA: u64 = 146_097;
    let days = days + 719_468;
    let (era, day) = (days / ERA, days % ERA);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on, 153 days in every five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let is_next_year = month >= 10;
    let month = if is_next_year { month - 9 } else { month + 3 };
    (era * 400 + year + is_next_year as u64, month, day)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Notification, rfc3339};

    #[test]
    fn texts() {
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
    fn times() {
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
