//! Checks addresses of gRPC.

use figment::value::Value;

use super::value::{Entries, Fault, each, text};
use crate::addresses::{self, Listen, Peer, PeerDomain};

/// Addresses to listen on.
pub(super) fn listens(value: &Value) -> Entries {
    let right =
        "use unix:///run/eyepiece/hubble.sock, 127.0.0.1:4245, 0.0.0.0:4244 or [::]:4244; [] or an empty text for off";
    each(value, right, |text| text.parse::<Listen>().map(drop))
}

/// Other nodes.
pub(super) fn peers(value: &Value) -> Entries {
    let right = "use name=address, such as \"b=10.0.0.2:4244\" or \"cluster/b=b.example:4244\"";
    each(value, right, |text| text.parse::<Peer>().map(drop))
}

/// Names to look up.
pub(super) fn domains(value: &Value) -> Entries {
    each(value, "use a DNS name and a port, such as \"eyepiece.kube-system.svc:4244\"", |text| {
        text.parse::<PeerDomain>().map(drop)
    })
}

/// Names without a port.
pub(super) fn hosts(value: &Value) -> Entries {
    each(value, "use a DNS name without a port, such as \"node1.example\"", |text| {
        addresses::host_name(text).map_err(|_| format!("{text:?} is no DNS name"))
    })
}

/// An address to connect to.
pub(super) fn target(value: &Value) -> Result<Value, Fault> {
    let right = "use unix:///var/run/cilium/hubble.sock, or a host and a port such as hubble-relay:4245";
    let text = text(value, right)?;
    match addresses::target(text) {
        Ok(()) => Ok(value.clone()),
        Err(wrong) => Err((format!("{text:?} {wrong}"), right.to_owned())),
    }
}
