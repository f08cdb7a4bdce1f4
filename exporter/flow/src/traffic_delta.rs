//! The datapath's additions to an event: packets and bytes since the last report, and the kernel's drop reason.

use eyepiece_wire::{AnsweredBy, Hook};

/// Packets and bytes that a hook of our own datapath counted since its last report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrafficDelta {
    /// The hook that counted.
    pub hook: Hook,
    /// The side that answers on the connection; set at uplinks.
    pub answered_by: AnsweredBy,
    /// The interface of the hook.
    pub ifindex: u32,
    /// The interface that the packets came in by; 0 = sent by this machine.
    pub ingress_ifindex: u32,
    /// Segments since the last report.
    pub packets: u64,
    /// Bytes on the wire since the last report.
    pub bytes: u64,
    /// Segments reported under [`AnsweredBy::Unknown`] before, now released.
    pub held_packets: u64,
    /// Bytes of `held_packets`.
    pub held_bytes: u64,
}

/// The kernel's description of a drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelDrop {
    /// `enum skb_drop_reason`; the upper 16 bits are the subsystem.
    pub reason: u32,
    /// The kernel address where the packet was freed.
    pub location: u64,
    /// Inode of the network namespace.
    pub netns: u32,
}
