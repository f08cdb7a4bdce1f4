//! The fast path from a flow to its series: one look-up finds all series in the metrics with the same contexts.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{End, Flow};
use eyepiece_flow::interner::{Lease, Symbols};
use eyepiece_flow::lookup::{FlowEnd, NoLookup, end_entity};
use eyepiece_wire::Hook;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::context::{Context, Packed, Value};
use super::labels::{FREE_SHIFT, PackedLabels, interface_labels};
use super::series::{NONE, SeriesLeases, Table};
use crate::metadata::{Snapshot, Tables as Links};

/// The packed ends of a flow in a metric's contexts. The tags use bits that labels leave free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedEnds {
    source_high: u64,
    source_low: u64,
    destination_high: u64,
    destination_low: u64,
    tags: u64,
}

impl PackedEnds {
    #[inline]
    fn new(source: Packed, destination: Packed) -> Self {
        Self {
            source_high: source.high,
            source_low: source.low,
            destination_high: destination.high,
            destination_low: destination.low,
            tags: u64::from(source.tag | destination.tag << 3) << FREE_SHIFT,
        }
    }

    /// Removes the ends that a metric has no label for.
    fn project(self, members: Member) -> Self {
        let (source, destination) = self.packed();
        Self::new(
            if members.source { source } else { Packed::NONE },
            if members.destination { destination } else { Packed::NONE },
        )
    }

    fn packed(self) -> (Packed, Packed) {
        let tag = |shift: u32| (self.tags >> (FREE_SHIFT + shift)) as u8 & 7;
        (
            Packed { tag: tag(0), high: self.source_high, low: self.source_low },
            Packed { tag: tag(3), high: self.destination_high, low: self.destination_low },
        )
    }

    #[inline]
    fn hash<H: Hasher>(self, labels: u64, state: &mut H) {
        // Word by word: a derived hash of arrays includes their lengths.
        state.write_u64(self.source_high);
        state.write_u64(self.source_low);
        state.write_u64(self.destination_high);
        state.write_u64(self.destination_low);
        state.write_u64(self.tags | labels);
    }
}

/// Key of a series in a metric with contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesKey {
    ends: PackedEnds,
    pub(super) labels: u64,
}

impl SeriesKey {
    /// Source, destination.
    pub(super) fn values(self) -> (Value, Value) {
        let (source, destination) = self.ends.packed();
        (source.value(), destination.value())
    }
}

impl Hash for SeriesKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(self.labels, state);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PlanKey {
    ends: PackedEnds,
    labels: PackedLabels,
}

impl Hash for PlanKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ends.hash(self.labels.flow, state);
        state.write_u64(u64::from(self.labels.number) | u64::from(self.labels.carrier) << 32);
    }
}

/// Slots of the flows of one key; [`NONE`] for metrics that do not count them.
#[derive(Clone, Copy, Debug)]
struct Plan {
    drop: u32,
    flows: u32,
    tcp: [u32; 3],
    /// Set by the first packet that counts here.
    io: u32,
    interface: u32,
}

/// The series of all metrics but `hubble.lost_events`.
#[derive(Debug)]
pub(super) struct Tables {
    /// Has the names of ends, which new series hold.
    pub(super) symbols: Symbols,
    /// The names that the events refer to.
    pub(super) names: Arc<Snapshot>,
    /// Arrival time of the current events, ns since the Unix epoch.
    pub(super) now: u64,
    pub(super) drop: Table<SeriesKey>,
    pub(super) flows: Table<SeriesKey>,
    pub(super) tcp: Table<SeriesKey>,
    /// Packets and bytes.
    pub(super) io: Table<SeriesKey>,
    /// Packets and bytes.
    pub(super) interfaces: Table<u64>,
}

impl Tables {
    /// Returns the key of an interface's series.
    pub(super) fn interface(&self, ifindex: u32, ingress: bool) -> u64 {
        interface_labels(ifindex, self.names.links().generation(ifindex), ingress)
    }

    /// Returns the slot of an interface's series.
    pub(super) fn place_interface(&mut self, ifindex: u32, ingress: bool) -> u32 {
        let key = self.interface(ifindex, ingress);
        let Self { names, interfaces, now, .. } = self;
        interfaces.place(key, *now, || [interface_name(names.links(), ifindex), None])
    }
}

/// Returns the present name of an interface.
pub(super) fn interface_name(links: &Links, ifindex: u32) -> Option<Arc<Lease>> {
    links.name(links.interface(ifindex).name).map(Arc::clone)
}

/// Returns the names of a key's ends.
fn end_names(symbols: &Symbols, key: SeriesKey) -> SeriesLeases {
    let (source, destination) = key.values();
    [source, destination].map(|value| match value {
        Value::Symbol(symbol) => symbols.hold(symbol).map(Arc::new),
        _ => None,
    })
}

/// Returns the slot of a key's series in one of the tables.
fn place(table: &mut Table<SeriesKey>, symbols: &Symbols, key: SeriesKey, now: u64) -> u32 {
    table.place(key, now, || end_names(symbols, key))
}

/// The ends that a metric has labels for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) source: bool,
    pub(super) destination: bool,
}

/// The metrics of a view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Members {
    pub(super) drop: Option<Member>,
    pub(super) flows: Option<Member>,
    pub(super) tcp: Option<Member>,
    pub(super) io: Option<Member>,
    /// Whether this view counts the interfaces' metrics, which have no contexts: one view does.
    pub(super) interfaces: bool,
}

/// Metrics with the same contexts; some have no label for an end.
#[derive(Debug)]
pub(super) struct View {
    source: Context,
    destination: Context,
    pub(super) members: Members,
    plans: HashMap<PlanKey, Plan, RandomState>,
    /// Limit of `plans`, which grows with its keys and never shrinks. Reserved at once, its few entries would be far apart
    /// and miss the cache (4 ns per flow).
    capacity: usize,
}

impl View {
    pub(super) fn new(source: Context, destination: Context, capacity: usize) -> Self {
        Self { source, destination, members: Members::default(), plans: HashMap::default(), capacity }
    }

    /// Returns the labels of a metric with these contexts. `None` if this view cannot count it.
    pub(super) fn member(&self, source: &Context, destination: &Context) -> Option<Member> {
        let fits = (source.is_absent() || *source == self.source)
            && (destination.is_absent() || *destination == self.destination);
        fits.then(|| Member { source: !source.is_absent(), destination: !destination.is_absent() })
    }

    /// Counts a flow, and its packets and bytes for `hubble.flow.io`.
    #[inline]
    pub(super) fn count(
        &mut self,
        tables: &mut Tables,
        flow: &Flow,
        labels: PackedLabels,
        (packets, bytes): (u64, u64),
    ) {
        let addresses = flow.ip.as_ref().map(|ip| (&ip.source, &ip.destination));
        // The texts live until the flow is counted.
        let (ends, _leases) = match flow.metadata {
            None => (self.ends(&tables.names, (&flow.source, &flow.destination), addresses), None),
            Some(_) => {
                let (ends, leases) = self.carried_ends(&tables.symbols, flow, addresses);
                (ends, Some(leases))
            }
        };
        let key = PlanKey { ends, labels };
        let now = tables.now;
        let plan = match self.plans.get(&key) {
            Some(plan) => *plan,
            None => self.plan(tables, key),
        };
        tables.flows.add(plan.flows, 1, 0, now);
        if plan.drop != NONE {
            tables.drop.add(plan.drop, 1, 0, now);
        }
        if plan.tcp[0] != NONE {
            for slot in plan.tcp {
                tables.tcp.add(slot, 1, 0, now);
            }
        }
        if packets | bytes != 0 {
            let slot = if plan.io == NONE { self.io(tables, key) } else { plan.io };
            tables.io.add(slot, packets, bytes, now);
        }
        if let Some(traffic) = &flow.traffic
            && self.members.interfaces
            && traffic.packets | traffic.bytes != 0
            && traffic.hook != Hook::Drop
        {
            let slot = if plan.interface == NONE { self.interface(tables, key, traffic) } else { plan.interface };
            // Held packets were counted at the interface when they were first reported.
            tables.interfaces.add(slot, traffic.packets, traffic.bytes, now);
        }
    }

    /// Counts packets and bytes without a flow.
    pub(super) fn count_io(
        &self,
        tables: &mut Tables,
        ends: (&End, &End),
        addresses: (IpAddr, IpAddr),
        carrier: u32,
        (packets, bytes): (u64, u64),
    ) {
        if let Some(member) = self.members.io {
            let ends = self.ends(&tables.names, ends, Some((&addresses.0, &addresses.1))).project(member);
            let key = SeriesKey { ends, labels: carrier.into() };
            let slot = place(&mut tables.io, &tables.symbols, key, tables.now);
            tables.io.add(slot, packets, bytes, tables.now);
        }
    }

    /// Clears the cached slots; to be called after series were removed.
    pub(super) fn clear_plans(&mut self) {
        self.plans.clear();
    }

    #[inline]
    fn ends(&self, names: &Snapshot, ends: (&End, &End), addresses: Option<(&IpAddr, &IpAddr)>) -> PackedEnds {
        let (from, to) = addresses.unzip();
        let pack =
            |context: &Context, end: &End, address| context.packed(end, address, names.context_names(end.entity));
        PackedEnds::new(pack(&self.source, ends.0, from), pack(&self.destination, ends.1, to))
    }

    /// The ends of a flow that carries their entities, and what keeps their texts alive.
    #[cold]
    fn carried_ends(
        &self,
        symbols: &Symbols,
        flow: &Flow,
        addresses: Option<(&IpAddr, &IpAddr)>,
    ) -> (PackedEnds, [Option<Lease>; 2]) {
        let (from, to) = addresses.unzip();
        let pack = |context: &Context, end: &End, which, address| match end_entity(flow, which, &NoLookup) {
            Some(entity) => context.packed_carried(end, address, &entity, symbols),
            None => (Packed::NONE, None),
        };
        let (source, of_source) = pack(&self.source, &flow.source, FlowEnd::Source, from);
        let (destination, of_destination) = pack(&self.destination, &flow.destination, FlowEnd::Destination, to);
        (PackedEnds::new(source, destination), [of_source, of_destination])
    }

    /// Finds the series of a key that is not cached.
    #[cold]
    fn plan(&mut self, tables: &mut Tables, key: PlanKey) -> Plan {
        let Members { drop, flows, tcp, .. } = self.members;
        let PlanKey { ends, labels: packed } = key;
        let now = tables.now;
        let mut plan = Plan { drop: NONE, flows: NONE, tcp: [NONE; 3], io: NONE, interface: NONE };
        if let Some(member) = flows {
            let ends = ends.project(member);
            let key = SeriesKey { ends, labels: packed.flow_labels() };
            plan.flows = place(&mut tables.flows, &tables.symbols, key, now);
        }
        if let (Some(member), Some(labels)) = (drop, packed.drop_labels()) {
            let key = SeriesKey { ends: ends.project(member), labels };
            plan.drop = place(&mut tables.drop, &tables.symbols, key, now);
        }
        if let Some(member) = tcp {
            let ends = ends.project(member);
            for (slot, labels) in plan.tcp.iter_mut().zip(packed.tcp_labels()) {
                *slot = place(&mut tables.tcp, &tables.symbols, SeriesKey { ends, labels }, now);
            }
        }
        self.remember(key, plan);
        plan
    }

    #[cold]
    fn io(&mut self, tables: &mut Tables, key: PlanKey) -> u32 {
        let Some(member) = self.members.io else { return NONE };
        let labels = key.labels.carrier.into();
        let of_series = SeriesKey { ends: key.ends.project(member), labels };
        let slot = place(&mut tables.io, &tables.symbols, of_series, tables.now);
        if let Some(plan) = self.plans.get_mut(&key) {
            plan.io = slot;
        }
        slot
    }

    #[cold]
    fn interface(&mut self, tables: &mut Tables, key: PlanKey, traffic: &TrafficDelta) -> u32 {
        let slot = tables.place_interface(traffic.ifindex, traffic.hook.is_ingress());
        // Keys of drops have no interface: the next drop may be at another one.
        if key.labels.names_interface()
            && let Some(plan) = self.plans.get_mut(&key)
        {
            plan.interface = slot;
        }
        slot
    }

    fn remember(&mut self, key: PlanKey, plan: Plan) {
        // Clearing costs each live key one slow count, and needs no bookkeeping of live keys.
        if self.plans.len() >= self.capacity {
            self.plans.clear();
        }
        self.plans.insert(key, plan);
    }
}
