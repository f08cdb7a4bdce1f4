//! Flows and totals of endpoints that have just appeared, held until a provider names their endpoints.
//!
//! A container's first packets come before docker has reported its start, and reach their peer before the watcher of
//! interfaces has listed the container's address. They are processed when the name is there, or after [`PATIENCE`], in
//! the order in which they came.

use std::collections::VecDeque;
use std::net::IpAddr;

use eyepiece_flow::event::Totals;
use eyepiece_flow::flow::{End, Flow};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::enrich::TotalsEnds;
use crate::metadata::NameSnapshot;

/// How long the packets of a new endpoint wait, in ns: several times what docker needs to report a start.
const PATIENCE: u64 = 500_000_000;
/// Flows and totals that wait at a time, some 2 MiB. Further ones are processed at once, without the name.
pub(super) const MAX_WAITING: usize = 4096;
/// Addresses of new endpoints at a time. Packets to and from further ones do not wait.
const MAX_ADDRESSES: usize = 1024;
/// Those of one endpoint, which may send from any.
const MAX_ADDRESSES_OF_ENDPOINT: usize = 8;

/// A flow, or totals with their ends.
#[derive(Debug)]
pub(super) enum Waiting {
    Flow(Box<Flow>),
    Totals(Totals, TotalsEnds),
}

impl Waiting {
    fn addresses(&self) -> [Option<IpAddr>; 2] {
        match self {
            Self::Flow(flow) => flow_addresses(flow),
            Self::Totals(totals, _) => totals_addresses(totals),
        }
    }
}

/// The addresses of a flow's source and destination.
pub(super) fn flow_addresses(flow: &Flow) -> [Option<IpAddr>; 2] {
    flow.ip.as_ref().map_or([None; 2], |ip| [Some(ip.source), Some(ip.destination)])
}

/// The addresses of the source and destination of totals.
pub(super) fn totals_addresses(totals: &Totals) -> [Option<IpAddr>; 2] {
    totals.addresses.map_or([None; 2], |(source, destination)| [Some(source), Some(destination)])
}

/// The endpoints that a flow waits for, source and destination; 0 = none.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Awaited {
    /// Those of its ends.
    endpoints: [u16; 2],
    /// Those that sent from the address of an end, which is not listed yet.
    senders: [u16; 2],
}

impl Awaited {
    /// The endpoints that sent from the addresses of the ends.
    pub(super) const fn senders(&self) -> [u16; 2] {
        self.senders
    }
}

/// The queue. Owned by the pipeline.
#[derive(Debug, Default)]
pub(super) struct NameWait {
    queue: VecDeque<(Awaited, Waiting)>,
    /// When each unnamed endpoint had its first packet, ns since the Unix epoch.
    first_seen: HashMap<u16, u64, RandomState>,
    /// Addresses that new endpoints send from and that are not listed yet, each with when it was added.
    new_addresses: HashMap<IpAddr, (u16, u64), RandomState>,
}

impl NameWait {
    /// Whether nothing waits, and no address is new.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.new_addresses.is_empty()
    }

    /// Whether a flow waits.
    pub(super) fn has_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether flows may have ends with new addresses.
    #[inline]
    pub(super) fn has_new_addresses(&self) -> bool {
        !self.new_addresses.is_empty()
    }

    /// Records an unlisted address that an endpoint sends from. The time for that begins with the first such packet of the
    /// endpoint, and ends for ever: an endpoint that sends from many addresses delays only its first ones.
    #[cold]
    pub(super) fn add_address(&mut self, address: IpAddr, endpoint: u16, names: &NameSnapshot, now: u64) {
        let is_listable = !(address.is_unspecified() || address.is_multicast() || address.is_loopback());
        let of_endpoint = || self.new_addresses.values().filter(|(known, _)| *known == endpoint).count();
        let has_room = || self.new_addresses.len() < MAX_ADDRESSES && of_endpoint() < MAX_ADDRESSES_OF_ENDPOINT;
        // In this order: without a provider the packets of an endpoint with many addresses cost nothing here.
        if names.names_endpoints() && is_listable && has_room() && self.is_new(endpoint, now) {
            self.new_addresses.entry(address).or_insert((endpoint, now));
        }
    }

    /// Removes addresses that are awaited no more.
    pub(super) fn expire_addresses(&mut self, now: u64) {
        self.new_addresses.retain(|_, (_, added)| is_recent(*added, now));
    }

    /// Returns what a flow or totals with these ends and addresses must wait for, if anything. For snapshots with a provider
    /// that names endpoints.
    #[cold]
    pub(super) fn must_wait(
        &mut self,
        ends: [&End; 2],
        addresses: [Option<IpAddr>; 2],
        names: &NameSnapshot,
        now: u64,
    ) -> Option<Awaited> {
        if self.queue.len() >= MAX_WAITING {
            return None;
        }
        let mut awaited = Awaited::default();
        for (at, (end, address)) in ends.into_iter().zip(addresses).enumerate() {
            awaited.endpoints[at] = end.endpoint;
            if end.endpoint == 0 {
                let sender = address.and_then(|address| self.new_addresses.get(&address));
                awaited.senders[at] = sender.map_or(0, |(endpoint, _)| *endpoint);
            }
        }
        (!self.is_ready(&awaited, addresses, names, now)).then_some(awaited)
    }

    /// Adds a flow or totals.
    pub(super) fn push(&mut self, awaited: Awaited, waiting: Waiting) {
        self.queue.push_back((awaited, waiting));
    }

    /// Takes the first one if its ends have names, or have waited long enough.
    pub(super) fn take_ready(&mut self, names: &NameSnapshot, now: u64) -> Option<(Awaited, Waiting)> {
        let (awaited, waiting) = self.queue.front()?;
        let (awaited, addresses) = (*awaited, waiting.addresses());
        if self.is_ready(&awaited, addresses, names, now) { self.take_first() } else { None }
    }

    /// Takes the first one.
    pub(super) fn take_first(&mut self) -> Option<(Awaited, Waiting)> {
        self.queue.pop_front()
    }

    /// Removes endpoints that are gone: their numbers may be used again.
    pub(super) fn expire(&mut self, names: &NameSnapshot) {
        let is_there = |endpoint| names.links().has_endpoint(endpoint);
        self.first_seen.retain(|endpoint, _| is_there(*endpoint));
        self.new_addresses.retain(|_, (endpoint, _)| is_there(*endpoint));
    }

    fn is_ready(&mut self, awaited: &Awaited, addresses: [Option<IpAddr>; 2], names: &NameSnapshot, now: u64) -> bool {
        let mut is_ready = true;
        for (at, address) in addresses.iter().enumerate() {
            let (endpoint, sender) = (awaited.endpoints[at], awaited.senders[at]);
            let is_listed = || address.is_some_and(|address| names.links().end(&address).endpoint != 0);
            let is_unnamed = |endpoint| names.entity_of_endpoint(endpoint).is_none();
            if endpoint != 0 && is_unnamed(endpoint) {
                is_ready &= !self.is_new(endpoint, now);
            } else if sender != 0 && (is_unnamed(sender) || !is_listed()) {
                is_ready &= !self.first_seen.get(&sender).is_some_and(|first| is_recent(*first, now));
            }
        }
        is_ready
    }

    /// Whether an endpoint had its first packet less than [`PATIENCE`] ago.
    fn is_new(&mut self, endpoint: u16, now: u64) -> bool {
        is_recent(*self.first_seen.entry(endpoint).or_insert(now), now)
    }
}

/// Whether a time was less than [`PATIENCE`] ago. A clock that was set back ends the wait.
fn is_recent(time: u64, now: u64) -> bool {
    now.checked_sub(time).is_some_and(|age| age < PATIENCE)
}
