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
    /// Id of the control group of this machine's socket, in its own network namespace: the sender's or the receiver's, see
    /// [`TrafficDelta::source_cgroup`]; 0 = unknown.
    pub cgroup: u64,
    /// Id of the process that opened that socket ([`eyepiece_wire::process_id`]); 0 = unknown.
    pub process: u64,
}

impl TrafficDelta {
    /// Nothing yet of a hook at an interface, of packets that came in by another.
    pub const fn none(hook: Hook, ifindex: u32, ingress_ifindex: u32) -> Self {
        Self {
            hook,
            answered_by: AnsweredBy::Unknown,
            ifindex,
            ingress_ifindex,
            packets: 0,
            bytes: 0,
            held_packets: 0,
            held_bytes: 0,
            cgroup: 0,
            process: 0,
        }
    }

    /// Id of the control group of the sending socket; 0 = unknown.
    pub const fn source_cgroup(&self) -> u64 {
        if self.is_sent_here() { self.cgroup } else { 0 }
    }

    /// Id of the control group of the receiving socket; 0 = unknown.
    pub const fn destination_cgroup(&self) -> u64 {
        if self.is_sent_here() { 0 } else { self.cgroup }
    }

    /// Returns whether the socket is the sender's, and not the receiver's.
    pub const fn is_sent_here(&self) -> bool {
        match self.hook {
            Hook::ToEndpoint | Hook::ToNetwork => true,
            Hook::FromEndpoint | Hook::FromNetwork => false,
            Hook::Drop => self.ingress_ifindex == 0,
        }
    }
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

/// One packet; tests set what they look at.
#[cfg(test)]
pub(crate) const SAMPLE: TrafficDelta =
    TrafficDelta { packets: 1, bytes: 60, ..TrafficDelta::none(Hook::FromEndpoint, 2, 0) };

#[cfg(test)]
mod tests {
    use super::{Hook, SAMPLE, TrafficDelta};

    #[test]
    fn cgroup_is_of_the_end_here() {
        for (hook, ingress_ifindex, expected) in [
            (Hook::ToNetwork, 0, (7, 0)),
            (Hook::ToEndpoint, 0, (7, 0)),
            (Hook::FromNetwork, 2, (0, 7)),
            (Hook::FromEndpoint, 2, (0, 7)),
            (Hook::Drop, 0, (7, 0)),
            (Hook::Drop, 2, (0, 7)),
        ] {
            let traffic = TrafficDelta { hook, ingress_ifindex, cgroup: 7, ..SAMPLE };
            assert_eq!((traffic.source_cgroup(), traffic.destination_cgroup()), expected, "{hook:?} {ingress_ifindex}");
        }
    }
}
