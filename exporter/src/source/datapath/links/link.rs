//! An interface's state, and the events of its changes.

use eyepiece_wire::{Interface, InterfaceKind, Tunnel};

use super::classify::Role;

/// An interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub ifindex: u32,
    /// Distinguishes interfaces that had the same index one after the other; 0 for an index's first.
    pub generation: u32,
    /// Name.
    pub name: String,
    /// Its role for counting.
    pub role: Role,
    /// Endpoint id while it is an endpoint; 0 for all others, and if all ids are in use.
    pub endpoint: u16,
    /// A bridge all of whose ports (at least one) are endpoints: its packets come from an endpoint.
    pub endpoint_bridge: bool,
    /// Link-layer address; `None` unless it has six bytes.
    pub mac: Option<[u8; 6]>,
    /// Largest packet, bytes, without link-layer header.
    pub mtu: u32,
    /// Packets have no link-layer header.
    pub l3_device: bool,
    /// The other side of a pair.
    pub peer: Option<PeerRef>,
    /// Index of the bridge, bond … that it is a port of.
    pub master: Option<u32>,
    /// `IFLA_INFO_KIND`; `None` for physical devices and loopback.
    pub kind: Option<String>,
    /// Outer packets, if it is a tunnel device.
    pub tunnels: Vec<Tunnel>,
}

/// The other side of a veth or netkit pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerRef {
    /// Its index, in its own namespace.
    pub ifindex: u32,
    /// Whether it lives in another namespace.
    pub elsewhere: bool,
    /// Id of its namespace in ours; `None` if it is in ours, or has no id.
    pub netns: Option<i32>,
    /// Inode of its namespace; `None` until found.
    pub inode: Option<u32>,
}

/// A change of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// New, or present when the watcher started.
    Appeared(Link),
    /// A field of [`Link`] changed.
    Changed(Link),
    /// It was deleted, or left this namespace; programs on it are gone as well.
    Gone {
        /// Index.
        ifindex: u32,
        /// Its last name.
        name: String,
    },
    /// All interfaces have been sent: after the start, and after the kernel dropped notifications. Between two of these
    /// an interface can go and come again unnoticed; a consumer with state by interface may compare it now.
    Synced,
}

impl Link {
    /// The value of `EP_INTERFACES`.
    pub const fn wire(&self) -> Interface {
        Interface { endpoint: self.endpoint, kind: self.wire_kind() as u8, pad: 0 }
    }

    /// Its kind in the once-per-node rule.
    pub const fn wire_kind(&self) -> InterfaceKind {
        match self.role {
            Role::Endpoint => InterfaceKind::Endpoint,
            Role::Uplink => InterfaceKind::Uplink,
            Role::Ignored(_) if self.endpoint_bridge => InterfaceKind::EndpointBridge,
            Role::Ignored(_) => InterfaceKind::Other,
        }
    }
}
