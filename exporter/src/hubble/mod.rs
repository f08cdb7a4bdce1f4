//! Hubble's API in both directions: our records as its messages and back; what a client of it needs, be it the command
//! line or a source.

pub mod address;
pub mod client;
pub mod decode;
pub mod encode;
pub mod json;
pub mod mask;
pub mod print;
mod raw;
mod tls;

/// Hubble's name for its service in gRPC's health protocol.
pub const HEALTH_SERVICE: &str = "hubble.server.Observer";

/// Labels of the reserved identities from 1 on (Cilium pkg/identity/numericidentity.go).
const RESERVED: [&str; 10] = [
    "reserved:host",
    "reserved:world",
    "reserved:unmanaged",
    "reserved:health",
    "reserved:init",
    "reserved:remote-node",
    "reserved:kube-apiserver",
    "reserved:ingress",
    "reserved:world-ipv4",
    "reserved:world-ipv6",
];

/// The label that every Cilium gives a reserved identity, 1 to 10; none for others.
pub fn reserved_label(identity: u32) -> Option<&'static str> {
    let index = usize::try_from(identity).ok()?.checked_sub(1)?;
    RESERVED.get(index).copied()
}
