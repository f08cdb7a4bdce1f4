//! What is told about interfaces: the current state of one, and what happened to it.

use eyepiece_wire::{Interface, InterfaceKind, Tunnel};

use super::classify::Role;

/// An interface of this namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Index.
    pub ifindex: u32,
    /// Another number where another interface may have had the index before; else 0.
    pub generation: u32,
    /// Name.
    pub name: String,
    /// What it is to us.
    pub role: Role,
    /// Endpoint id, for as long as it stays an endpoint; 0 for all others, and where all ids are in use.
    pub endpoint: u16,
    /// A bridge that has ports, all of them endpoints: what comes in by it comes from an endpoint.
    pub endpoint_bridge: bool,
    /// Link layer address, where it has six bytes.
    pub mac: Option<[u8; 6]>,
    /// Largest packet, bytes, without link layer header.
    pub mtu: u32,
    /// Packets have no link layer header.
    pub l3_device: bool,
    /// The other side of a pair.
    pub peer: Option<PeerRef>,
    /// Index of the bridge, bond … that it is a port of.
    pub master: Option<u32>,
    /// `IFLA_INFO_KIND`; none for physical devices and loopback.
    pub kind: Option<String>,
    /// How its outer packets look, where it is a tunnel's.
    pub tunnels: Vec<Tunnel>,
}

/// The other side of a veth or netkit pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerRef {
    /// Its index, in its own namespace.
    pub ifindex: u32,
    /// Whether it lives in another namespace.
    pub elsewhere: bool,
    /// Id of its namespace in ours; none where it is here, or has no id.
    pub netns: Option<i32>,
    /// Inode of its namespace; none until it was found.
    pub inode: Option<u32>,
}

/// What happened to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// It is new, or was there when the watcher started.
    Appeared(Link),
    /// Something that [`Link`] says is different now.
    Changed(Link),
    /// It was deleted, or left this namespace; programs on it are gone as well.
    Gone {
        /// Index.
        ifindex: u32,
        /// Its last name.
        name: String,
    },
    /// All interfaces have been told: after the start, and after messages of the kernel were lost. Whoever keeps
    /// state by interface may compare it now: an interface can have gone and come again between two of these.
    Synced,
}

impl Link {
    /// What the kernel programs are to know of it: the value of `EP_INTERFACES`.
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
