//! The fast path from a flow to its series: one look-up finds all series in the metrics with the same contexts.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{Direction, End, Flow};
use eyepiece_flow::interner::{Lease, Symbols};
use eyepiece_flow::lookup::FlowEnd;
use eyepiece_wire::Hook;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::ends::{PackedEnds, Projection};
use super::ends_view::EndsView;
use super::labels::{PackedLabels, interface_labels};
use super::metric_contexts::{Contexts, EndContexts};
use super::packet_metrics::{PacketMetric, PacketMetrics, PacketSelector};
use super::series::{NONE, Table};
use super::series_key::{SeriesKey, place};
use crate::metadata::{LinkTables, NameSnapshot, WantedTexts};

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
    pub(super) selector: PacketSelector,
    /// In the order of [`PacketMetric::ALL`].
    pub(super) packets: [Table<SeriesKey>; PacketMetric::ALL.len()],
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
        interfaces.place(key, *now, || [interface_name(names.links(), ifindex), None, None, None, None])
    }
}

/// Returns the present name of an interface.
pub(super) fn interface_name(links: &LinkTables, ifindex: u32) -> Option<Arc<Lease>> {
    links.name(links.interface(ifindex).name).map(Arc::clone)
}

/// A metric that views count.
#[derive(Clone, Copy, Debug)]
pub(super) enum ViewMetric {
    Drop,
    Flows,
    Tcp,
    Io,
    Packets(PacketMetric),
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
    /// In the order of [`PacketMetric::ALL`].
    pub(super) packets: [Option<Projection>; PacketMetric::ALL.len()],
    /// Those of `packets` that are `Some`.
    pub(super) packet_metrics: PacketMetrics,
}

impl Members {
    /// Adds a metric with its labels.
    pub(super) fn add(&mut self, metric: ViewMetric, member: Projection) {
        match metric {
            ViewMetric::Drop => self.drop = Some(member),
            ViewMetric::Flows => self.flows = Some(member),
            ViewMetric::Tcp => self.tcp = Some(member),
            ViewMetric::Io => self.io = Some(member),
            ViewMetric::Packets(metric) => {
                self.packets[metric as usize] = Some(member);
                self.packet_metrics.add(metric);
            }
        }
    }

    /// Returns whether a flow counts in one of the metrics.
    #[inline]
    fn count(&self, labels: PackedLabels, has_traffic: bool) -> bool {
        self.flows.is_some()
            || self.interfaces
            || self.drop.is_some() && labels.is_drop()
            || self.tcp.is_some() && labels.has_tcp_flags()
            || self.io.is_some() && has_traffic
    }
}

/// Metrics with the same contexts; some have no label for an end, or no further labels.
#[derive(Debug)]
pub(super) struct View {
    ends: EndsView,
    pub(super) members: Members,
    plans: HashMap<PlanKey, Plan, RandomState>,
    /// Limit of `plans`, which grows with its keys and never shrinks. Reserved at once, its few entries would be far apart
    /// and miss the cache (4 ns per flow).
    capacity: usize,
}

impl View {
    pub(super) fn new(contexts: Contexts, wanted: &WantedTexts, capacity: usize) -> Self {
        let ends = EndsView::new(contexts, wanted);
        Self { ends, members: Members::default(), plans: HashMap::default(), capacity }
    }

    /// Returns the labels of a metric with these contexts. `None` if this view cannot count it.
    pub(super) fn member(&self, contexts: &Contexts) -> Option<Projection> {
        let own = self.ends.contexts();
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

    /// Counts a flow, its packets and bytes for `hubble.flow.io`, and in these of the packets' metrics.
    #[inline]
    pub(super) fn count(
        &mut self,
        tables: &mut Tables,
        flow: &Flow,
        labels: PackedLabels,
        (packets, bytes): (u64, u64),
        selected: PacketMetrics,
    ) {
        let selected = selected.both(self.members.packet_metrics);
        if !self.members.count(labels, packets | bytes != 0) && selected.is_empty() {
            return;
        }
        if flow.metadata.is_some() {
            return self.count_carried(tables, flow, labels, (packets, bytes), selected);
        }
        let key = PlanKey { ends: self.ends.of_flow(&tables.names, flow), labels };
        self.count_key::<false>(tables, flow, key, (packets, bytes), selected);
    }

    /// Counts a flow that carries its entities.
    #[cold]
    fn count_carried(
        &mut self,
        tables: &mut Tables,
        flow: &Flow,
        labels: PackedLabels,
        counts: (u64, u64),
        selected: PacketMetrics,
    ) {
        // The texts live until the flow is counted.
        let (ends, _leases) = self.ends.of_carried(&tables.symbols, &tables.names, flow);
        self.count_key::<true>(tables, flow, PlanKey { ends, labels }, counts, selected);
    }

    /// The parameter, whether the flow carries its entities, makes two functions of it, each inlined at its only call.
    #[inline]
    fn count_key<const IS_CARRIED: bool>(
        &mut self,
        tables: &mut Tables,
        flow: &Flow,
        key: PlanKey,
        counts: (u64, u64),
        selected: PacketMetrics,
    ) {
        if self.members.count(key.labels, counts != (0, 0)) {
            self.add::<IS_CARRIED>(tables, flow, key, counts);
        }
        if !selected.is_empty() {
            self.count_packets(tables, flow, key.ends, IS_CARRIED, selected);
        }
    }

    /// Counts a flow in metrics that few flows count in. They have look-ups of their own: in the key of a plan, their labels
    /// would make many plans of one.
    fn count_packets(
        &self,
        tables: &mut Tables,
        flow: &Flow,
        ends: PackedEnds,
        is_carried: bool,
        selected: PacketMetrics,
    ) {
        let Tables { packets, selector, symbols, now, .. } = tables;
        for ((metric, member), table) in PacketMetric::ALL.into_iter().zip(self.members.packets).zip(packets) {
            if let Some(member) = member.filter(|_| selected.has(metric)) {
                let key = SeriesKey { ends: ends.project(member), labels: selector.labels(metric, flow) };
                let slot = place(table, symbols, key, is_carried, *now);
                table.add(slot, 1, 0, *now);
            }
        }
    }

    /// Adds a flow to the series of its key.
    #[inline]
    fn add<const IS_CARRIED: bool>(
        &mut self,
        tables: &mut Tables,
        flow: &Flow,
        key: PlanKey,
        (packets, bytes): (u64, u64),
    ) {
        let now = tables.now;
        let plan = match self.plans.get(&key) {
            Some(plan) => *plan,
            None => self.plan(tables, key, IS_CARRIED),
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
            let slot = if plan.io == NONE { self.io(tables, key, io, IS_CARRIED) } else { plan.io };
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
            let ends = self.ends.of_totals(&tables.names, ends, direction, addresses).project(member);
            let key = SeriesKey { ends, labels: carrier.into() };
            let slot = place(&mut tables.io, &tables.symbols, key, false, tables.now);
            tables.io.add(slot, packets, bytes, tables.now);
        }
    }

    /// Clears the cached slots; to be called after series were removed.
    pub(super) fn clear_plans(&mut self) {
        self.plans.clear();
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
