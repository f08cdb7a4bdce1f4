//! Converts totals of the kernel's tables into totals for the pipeline.

use eyepiece_flow::event::{Totals, TrafficDelta, Transport};
use eyepiece_flow::protocol;
use eyepiece_wire::{AnsweredBy, Connection, Hook, SweepTotals};

use super::criteria::Criteria;
use super::key::ConnectionKey;

/// Adds what a removed entry still held; no program adds to it any more.
pub(super) fn remainder<K: ConnectionKey>(totals: &mut Vec<Totals>, key: &K, entry: &Connection, criteria: &Criteria) {
    let answered_by = match AnsweredBy::from_u8(entry.answered_by) {
        _ if criteria.is_mistaken(key, entry) => AnsweredBy::Tunnel,
        // Never answered: its packets ended at this machine.
        AnsweredBy::Unknown => AnsweredBy::Local,
        known => known,
    };
    for (index, half) in entry.half.iter().enumerate() {
        let taken = SweepTotals {
            packets: half.packets,
            bytes: half.bytes,
            held_packets: half.held_packets,
            held_bytes: half.held_bytes,
            ingress_ifindex: half.ingress_ifindex,
            hook: u32::from(half.hook),
        };
        push(totals, (key, &EntryOwner::of(entry)), index, answered_by, &taken);
    }
}

/// The fields that totals have of an entry beside its counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryOwner {
    /// The half that opened the connection.
    origin: u8,
    /// Control group and process of its socket here.
    cgroup: u64,
    process: u64,
}

impl EntryOwner {
    pub(super) const fn of(entry: &Connection) -> Self {
        let Connection { origin, cgroup, process, .. } = *entry;
        Self { origin, cgroup, process }
    }
}

/// Adds totals of a half of an entry.
pub(super) fn push<K: ConnectionKey>(
    totals: &mut Vec<Totals>,
    (key, owner): (&K, &EntryOwner),
    index: usize,
    answered_by: AnsweredBy,
    taken: &SweepTotals,
) {
    if taken.packets == 0 && taken.held_packets == 0 {
        return;
    }
    let Some(hook) = taken.hook.checked_sub(1).and_then(|hook| Hook::from_u8(hook as u8)) else { return };
    let traffic = traffic(hook, key.ifindex(), taken.ingress_ifindex, answered_by, taken);
    let EntryOwner { origin, cgroup, process } = *owner;
    let traffic = TrafficDelta { cgroup, process, ..traffic };
    let transport = transport(key.protocol(), key.ports(), index, origin);
    totals.push(Totals { traffic, addresses: key.addresses(index), transport });
}

/// Protocol and ports of a half's packets; half 0 goes from the first port of a key to the second.
pub(super) fn transport(protocol: u8, ports: [u16; 2], half: usize, origin: u8) -> Transport {
    // Other protocols have the echo identifier there, or type and code.
    let has_ports = matches!(protocol, protocol::TCP | protocol::UDP | protocol::SCTP);
    let [low, high] = if has_ports { ports.map(u16::from_be) } else { [0, 0] };
    let ports = if half == 0 { (low, high) } else { (high, low) };
    Transport { protocol, ports, is_reply: half != usize::from(origin & 1) }
}

pub(super) const fn traffic(
    hook: Hook,
    ifindex: u32,
    ingress_ifindex: u32,
    answered_by: AnsweredBy,
    taken: &SweepTotals,
) -> TrafficDelta {
    TrafficDelta {
        answered_by,
        packets: taken.packets,
        bytes: taken.bytes,
        held_packets: taken.held_packets,
        held_bytes: taken.held_bytes,
        ..TrafficDelta::none(hook, ifindex, ingress_ifindex)
    }
}
