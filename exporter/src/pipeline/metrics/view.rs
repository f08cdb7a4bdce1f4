//! The fast path from a flow to its series: one look-up finds all series in the metrics with the same contexts.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_config::ContextLabel;
use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{Direction, End, Flow};
use eyepiece_flow::interner::{Lease, Symbol, Symbols};
use eyepiece_flow::lookup::FlowEnd;
use eyepiece_wire::Hook;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::end_view::{EndView, addresses};
use super::ends::{ContextLabels, PackedEnds, Projection, Value};
use super::labels::{PackedLabels, interface_labels};
use super::metric_contexts::{Contexts, EndContexts};
use super::series::{NONE, SeriesLeases, Table};
use crate::metadata::{LinkTables, NameSnapshot, WantedTexts};

/// Key of a series in a metric with contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesKey {
    ends: PackedEnds,
    pub(super) labels: u64,
}

impl SeriesKey {
    /// The values of source and destination, and the further labels.
    pub(super) fn values(self) -> ([Value; 2], ContextLabels) {
        self.ends.unpack()
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
    pub(super) names: Arc<NameSnapshot>,
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
        interfaces.place(key, *now, || [interface_name(names.links(), ifindex), None, None, None])
    }
}

/// Returns the present name of an interface.
pub(super) fn interface_name(links: &LinkTables, ifindex: u32) -> Option<Arc<Lease>> {
    links.name(links.interface(ifindex).name).map(Arc::clone)
}

/// Returns the names that a key refers to. The series owns those that a flow carried, as nothing else does; it follows
/// those of a snapshot.
fn key_names(symbols: &Symbols, key: SeriesKey, is_carried: bool) -> SeriesLeases {
    let ([source, destination], labels) = key.values();
    let of_value = |value| if let Value::Symbol(symbol) = value { symbol } else { Symbol::EMPTY };
    [of_value(source), of_value(destination), labels.source, labels.destination].map(|symbol| {
        let is_held = symbol != Symbol::EMPTY;
        is_held.then(|| if is_carried { symbols.hold(symbol) } else { symbols.follow(symbol) })?.map(Arc::new)
    })
}

/// Returns the slot of a key's series in one of the tables.
fn place(table: &mut Table<SeriesKey>, symbols: &Symbols, key: SeriesKey, is_carried: bool, now: u64) -> u32 {
    table.place(key, now, || key_names(symbols, key, is_carried))
}

/// The metrics of a view.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Members {
    pub(super) drop: Option<Projection>,
    pub(super) flows: Option<Projection>,
    pub(super) tcp: Option<Projection>,
    pub(super) io: Option<Projection>,
    /// Whether this view counts the interfaces' metrics, which have no contexts: one view does.
    pub(super) interfaces: bool,
}

impl Members {
    /// Returns whether a flow counts in one of the metrics.
    #[inline]
    fn count(&self, labels: PackedLabels, has_traffic: bool) -> bool {
        self.flows.is_some()
            || self.drop.is_some() && labels.is_drop()
            || self.tcp.is_some() && labels.has_tcp_flags()
            || self.io.is_some() && has_traffic
    }
}

/// Metrics with the same contexts; some have no label for an end, or no further labels.
#[derive(Debug)]
pub(super) struct View {
    contexts: Contexts,
    source: EndView,
    destination: EndView,
    /// Whether keys may have labels or addresses.
    is_wide: bool,
    pub(super) members: Members,
    plans: HashMap<PlanKey, Plan, RandomState>,
    /// Limit of `plans`, which grows with its keys and never shrinks. Reserved at once, its few entries would be far apart
    /// and miss the cache (4 ns per flow).
    capacity: usize,
}

impl View {
    pub(super) fn new(contexts: Contexts, wanted: &WantedTexts, capacity: usize) -> Self {
        let (source, destination) =
            (EndView::new(&contexts, FlowEnd::Source, wanted), EndView::new(&contexts, FlowEnd::Destination, wanted));
        Self {
            is_wide: !contexts.labels.is_empty() || source.may_be_address() || destination.may_be_address(),
            contexts,
            source,
            destination,
            members: Members::default(),
            plans: HashMap::default(),
            capacity,
        }
    }

    /// Returns the labels of a metric with these contexts. `None` if this view cannot count it.
    pub(super) fn member(&self, contexts: &Contexts) -> Option<Projection> {
        let own = &self.contexts;
        let fits = |metric: &EndContexts, own: &EndContexts| metric.is_absent() || metric == own;
        let fits = fits(&contexts.source, &own.source)
            && fits(&contexts.destination, &own.destination)
            && (contexts.labels.is_empty() || contexts.labels == own.labels);
        fits.then(|| Projection {
            values: [!contexts.source.is_absent(), !contexts.destination.is_absent()],
            labels: !contexts.labels.is_empty(),
            addresses: [FlowEnd::Source, FlowEnd::Destination].map(|end| contexts.labels.has_address(end)),
        })
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
        if !self.members.count(labels, packets | bytes != 0) {
            return;
        }
        if flow.metadata.is_some() {
            return self.count_carried(tables, flow, labels, (packets, bytes));
        }
        let ends = [&flow.source, &flow.destination];
        let ends = if self.is_wide {
            self.ends(&tables.names, ends, flow.direction, addresses(flow))
        } else {
            self.narrow_ends(&tables.names, ends, flow.direction)
        };
        self.add(tables, flow, PlanKey { ends, labels }, false, (packets, bytes));
    }

    /// Counts a flow that carries its entities.
    #[cold]
    fn count_carried(&mut self, tables: &mut Tables, flow: &Flow, labels: PackedLabels, counts: (u64, u64)) {
        // The texts live until the flow is counted.
        let (ends, _leases) = self.carried_ends(&tables.symbols, flow);
        self.add(tables, flow, PlanKey { ends, labels }, true, counts);
    }

    /// Adds a flow to the series of its key.
    #[inline]
    fn add(&mut self, tables: &mut Tables, flow: &Flow, key: PlanKey, is_carried: bool, (packets, bytes): (u64, u64)) {
        let now = tables.now;
        let plan = match self.plans.get(&key) {
            Some(plan) => *plan,
            None => self.plan(tables, key, is_carried),
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
        if packets | bytes != 0
            && let Some(io) = self.members.io
        {
            let slot = if plan.io == NONE { self.io(tables, key, io, is_carried) } else { plan.io };
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
        ends: [&End; 2],
        direction: Direction,
        addresses: [&IpAddr; 2],
        carrier: u32,
        (packets, bytes): (u64, u64),
    ) {
        if let Some(member) = self.members.io {
            let ends = self.ends(&tables.names, ends, direction, addresses.map(Some)).project(member);
            let key = SeriesKey { ends, labels: carrier.into() };
            let slot = place(&mut tables.io, &tables.symbols, key, false, tables.now);
            tables.io.add(slot, packets, bytes, tables.now);
        }
    }

    /// Clears the cached slots; to be called after series were removed.
    pub(super) fn clear_plans(&mut self) {
        self.plans.clear();
    }

    #[inline]
    fn ends(
        &self,
        names: &NameSnapshot,
        ends: [&End; 2],
        direction: Direction,
        addresses: [Option<&IpAddr>; 2],
    ) -> PackedEnds {
        let source = self.source.pack(ends[0], direction, addresses[0], names);
        let destination = self.destination.pack(ends[1], direction, addresses[1], names);
        PackedEnds::new([source, destination], self.direction(direction), self.is_wide)
    }

    /// The ends, if keys have neither labels nor addresses.
    #[inline]
    fn narrow_ends(&self, names: &NameSnapshot, [source, destination]: [&End; 2], direction: Direction) -> PackedEnds {
        PackedEnds::narrow([
            self.source.value(source, direction, names),
            self.destination.value(destination, direction, names),
        ])
    }

    /// The ends of a flow that carries their entities, and what keeps their texts alive.
    #[cold]
    fn carried_ends(&self, symbols: &Symbols, flow: &Flow) -> (PackedEnds, [[Option<Lease>; 2]; 2]) {
        let [from, to] = addresses(flow);
        let (source, of_source) = self.source.pack_carried(FlowEnd::Source, flow, from, symbols);
        let (destination, of_destination) = self.destination.pack_carried(FlowEnd::Destination, flow, to, symbols);
        let ends = PackedEnds::new([source, destination], self.direction(flow.direction), self.is_wide);
        (ends, [of_source, of_destination])
    }

    #[inline]
    fn direction(&self, direction: Direction) -> Option<Direction> {
        self.contexts.labels.has(ContextLabel::TrafficDirection).then_some(direction)
    }

    /// Finds the series of a key that is not cached.
    #[cold]
    fn plan(&mut self, tables: &mut Tables, key: PlanKey, is_carried: bool) -> Plan {
        let Members { drop, flows, tcp, .. } = self.members;
        let PlanKey { ends, labels: packed } = key;
        let now = tables.now;
        let mut plan = Plan { drop: NONE, flows: NONE, tcp: [NONE; 3], io: NONE, interface: NONE };
        if let Some(member) = flows {
            let ends = ends.project(member);
            let key = SeriesKey { ends, labels: packed.flow_labels() };
            plan.flows = place(&mut tables.flows, &tables.symbols, key, is_carried, now);
        }
        if let (Some(member), Some(labels)) = (drop, packed.drop_labels()) {
            let key = SeriesKey { ends: ends.project(member), labels };
            plan.drop = place(&mut tables.drop, &tables.symbols, key, is_carried, now);
        }
        if let Some(member) = tcp {
            let ends = ends.project(member);
            for (slot, labels) in plan.tcp.iter_mut().zip(packed.tcp_labels()) {
                let key = SeriesKey { ends, labels };
                *slot = place(&mut tables.tcp, &tables.symbols, key, is_carried, now);
            }
        }
        self.remember(key, plan);
        plan
    }

    #[cold]
    fn io(&mut self, tables: &mut Tables, key: PlanKey, member: Projection, is_carried: bool) -> u32 {
        let labels = key.labels.carrier.into();
        let of_series = SeriesKey { ends: key.ends.project(member), labels };
        let slot = place(&mut tables.io, &tables.symbols, of_series, is_carried, tables.now);
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
