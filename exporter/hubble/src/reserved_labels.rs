//! Labels of reserved identities.

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

/// Returns the label of a reserved identity, 1 to 10, in every release of Cilium.
pub fn reserved_label(identity: u32) -> Option<&'static str> {
    let index = usize::try_from(identity).ok()?.checked_sub(1)?;
    RESERVED.get(index).copied()
}
