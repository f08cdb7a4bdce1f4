//! The kernel's counters by interface and by namespace: their growth, and the removal of those whose subject is gone.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use eyepiece_flow::event::{Totals, Transport};
use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::{AnsweredBy, DropKey, Hook, SweepTotals, Untracked, UntrackedKey};

use super::super::kernel_names::KernelNames;
use super::super::presence::Presence;
use super::super::sys::{self, BatchReader, Plain};
use super::totals::traffic;
use crate::support::telemetry::{Number, Telemetry};

/// A value that only grows, with one instance per CPU in the kernel.
trait Sum: Plain + Default {
    fn plus(self, other: Self) -> Self;
    fn since(self, before: Self) -> Self;
}

impl Sum for u64 {
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    fn since(self, before: Self) -> Self {
        self.saturating_sub(before)
    }
}

impl Sum for Untracked {
    fn plus(self, other: Self) -> Self {
        Self { packets: self.packets.plus(other.packets), bytes: self.bytes.plus(other.bytes) }
    }

    fn since(self, before: Self) -> Self {
        Self { packets: self.packets.since(before.packets), bytes: self.bytes.since(before.bytes) }
    }
}

fn sum<V: Sum>(values: &[V]) -> V {
    values.iter().fold(V::default(), |sum, value| sum.plus(*value))
}

/// One map, and the values that were already reported.
struct CounterMap<K, V> {
    map: OwnedFd,
    reader: BatchReader<K, V>,
    reported: HashMap<K, V>,
    /// A value for each CPU.
    values: Vec<V>,
}

impl<K: Plain + Default + Eq + Hash, V: Sum> CounterMap<K, V> {
    fn new(map: OwnedFd, cpus: usize) -> Self {
        Self { map, reader: BatchReader::new(cpus), reported: HashMap::new(), values: vec![V::default(); cpus] }
    }

    /// Calls `each` with the growth of every entry.
    fn read(&mut self, mut each: impl FnMut(&K, V)) -> io::Result<()> {
        let reported = &mut self.reported;
        self.reader.read(self.map.as_fd(), |key, values| {
            let now = sum(values);
            let before = reported.insert(*key, now).unwrap_or_default();
            each(key, now.since(before));
        })
    }

    /// Removes entries whose subject is gone, and calls `each` with their growth since the last read.
    ///
    /// The kernel reads and deletes an entry in one step, and the subject's id cannot be reused meanwhile: nothing is
    /// lost. The next round finds an entry that a program makes again.
    fn remove_gone(
        &mut self,
        presence: &Presence,
        now: Instant,
        subject: impl Fn(&K) -> u32,
        mut each: impl FnMut(&K, V),
    ) -> io::Result<()> {
        let gone: Vec<K> = self.reported.keys().filter(|key| presence.is_gone(subject(key), now)).copied().collect();
        for key in gone {
            let take = || sys::take_per_cpu(self.map.as_fd(), &key, &mut self.values);
            let Some(taken) = presence.if_gone(subject(&key), now, take) else { continue };
            let is_there = taken?;
            let before = self.reported.remove(&key).unwrap_or_default();
            each(&key, if is_there { sum(&self.values).since(before) } else { V::default() });
        }
        Ok(())
    }
}

/// Handles that the counter maps work with.
pub(super) struct Deps {
    pub(super) untracked: OwnedFd,
    pub(super) drops: OwnedFd,
    pub(super) interfaces: Presence,
    pub(super) namespaces: Presence,
    pub(super) names: KernelNames,
    pub(super) telemetry: Telemetry,
}

/// `EP_UNTRACKED` and `EP_DROPS`.
pub(super) struct CounterMaps {
    untracked: CounterMap<UntrackedKey, Untracked>,
    drops: CounterMap<DropKey, u64>,
    interfaces: Presence,
    namespaces: Presence,
    names: KernelNames,
    telemetry: Telemetry,
    packets: Number,
    bytes: Number,
}

impl CounterMaps {
    pub(super) fn new(deps: Deps, cpus: usize) -> Self {
        let Deps { untracked, drops, interfaces, namespaces, names, telemetry } = deps;
        Self {
            untracked: CounterMap::new(untracked, cpus),
            drops: CounterMap::new(drops, cpus),
            interfaces,
            namespaces,
            names,
            packets: telemetry.counter(metric::EYEPIECE_DATAPATH_UNTRACKED_PACKETS.name, &[]),
            bytes: telemetry.counter(metric::EYEPIECE_DATAPATH_UNTRACKED_BYTES.name, &[]),
            telemetry,
        }
    }

    /// Reports growth since the last round; removes entries whose subject is gone.
    pub(super) fn round(&mut self, now: Instant, totals: &mut Vec<Totals>) -> io::Result<()> {
        let Self { untracked, drops, interfaces, namespaces, names, telemetry, packets, bytes } = self;
        let mut report = |key: &UntrackedKey, grown: Untracked| {
            // A read between the kernel's two additions gets one of them now, the other in the next round.
            let has_grown = grown.packets > 0 || grown.bytes > 0;
            let Some(hook) = Hook::from_u8(key.hook as u8).filter(|_| has_grown) else { return };
            packets.add(grown.packets);
            bytes.add(grown.bytes);
            let taken = SweepTotals { packets: grown.packets, bytes: grown.bytes, ..SweepTotals::default() };
            let traffic = traffic(hook, key.ifindex, 0, AnsweredBy::Unknown, &taken);
            totals.push(Totals { traffic, addresses: None, transport: Transport::default() });
        };
        untracked.read(&mut report)?;
        untracked.remove_gone(interfaces, now, |key| key.ifindex, report)?;

        let count = |key: &DropKey, grown: u64| {
            if grown > 0 {
                with_attributes(names, key, |attributes| {
                    telemetry.counter(metric::EYEPIECE_DATAPATH_DROPS.name, attributes).add(grown);
                });
            }
        };
        drops.read(count)?;
        drops.remove_gone(
            namespaces,
            now,
            |key| key.netns,
            |key, grown| {
                count(key, grown);
                with_attributes(names, key, |attributes| {
                    telemetry.retire(metric::EYEPIECE_DATAPATH_DROPS.name, attributes, now);
                });
            },
        )
    }
}

fn with_attributes(names: &KernelNames, key: &DropKey, then: impl FnOnce(&[(&'static str, &str)])) {
    let (reason, netns) = (names.reason(key.reason), key.netns.to_string());
    then(&[(attribute::HUBBLE_DROP_REASON, &reason), (attribute::HUBBLE_DROP_NETNS, &netns)]);
}
