//! Counts flows, totals and losses into series, and tells what they are.

use std::collections::HashSet;
use std::time::Duration;

use eyepiece_flow::event::{Lost, LostSource, Totals};
use eyepiece_flow::flow::{End, Flow};
use eyepiece_flow::interner::Symbol;
use eyepiece_flow::node_dedup::{EndKind, once_per_node};
use eyepiece_wire::{Hook, InterfaceKind};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::context::{Context, Identifier, Value};
use super::detail::{Carrier, FlowDetail};
use super::observed::{self, Labels, Observed};
use super::series::{Slot, Table};
use super::snapshot::{EndLabel, Identity, InUse, Metric, MetricKind, Occupancy, Point, Snapshot};
use super::view::{Member, Members, SeriesKey, Tables, View};

/// Series of a metric where nothing else is set: the limit that OpenTelemetry's SDKs have.
pub const MAX_SERIES: usize = 2000;
/// How long a series may be idle where nothing else is set.
const IDLE_EXPIRY: Duration = Duration::from_secs(15 * 60);
/// Keys of flows that are remembered, per series of the cap: a series is met with some verdicts, flags and observation
/// points. More than these cost a slow count, not a wrong one.
const PLANS_PER_SERIES: usize = 4;
/// Bounds of what is remembered: a small cap should not be slow, a huge one not take the memory (80 bytes each).
const PLANS: std::ops::RangeInclusive<usize> = 1024..=65_536;

/// How a metric names the ends of its flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contexts {
    /// The source.
    pub source: Context,
    /// The destination.
    pub destination: Context,
}

/// Contexts per metric, as Hubble sets them per handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricContexts {
    /// Of `hubble.drop`.
    pub drop: Contexts,
    /// Of `hubble.flows_processed`.
    pub flows: Contexts,
    /// Of `hubble.tcp_flags`.
    pub tcp: Contexts,
    /// Of `hubble.flow.io` and `hubble.flow.packets`.
    pub io: Contexts,
}

impl MetricContexts {
    /// The same contexts everywhere, but none for the source in `hubble.flows_processed`, as is usual with Hubble.
    pub fn usual(source: &Context, destination: &Context) -> Self {
        let both = Contexts { source: source.clone(), destination: destination.clone() };
        let flows = Contexts { source: Context::absent(), destination: destination.clone() };
        Self { drop: both.clone(), flows, tcp: both.clone(), io: both }
    }
}

impl Default for MetricContexts {
    fn default() -> Self {
        let name = Context::of(&[Identifier::Name]);
        Self::usual(&name, &name)
    }
}

/// Settings of the aggregation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// How ends are named.
    pub contexts: MetricContexts,
    /// Series a metric may have beside its overflow series.
    pub max_series: usize,
    /// A series that did not grow for so long is removed; zero = never.
    pub idle_expiry: Duration,
    /// What `hubble.flow.io` and `hubble.flow.packets` tell apart beside the ends.
    pub flow_detail: FlowDetail,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            contexts: MetricContexts::default(),
            max_series: MAX_SERIES,
            idle_expiry: IDLE_EXPIRY,
            flow_detail: FlowDetail::Ends,
        }
    }
}

/// The one aggregation. Times are ns since the Unix epoch and always come from the caller.
///
/// Series begin and age by when their events arrive: an event's own time is its source's, and may be long ago (another
/// Hubble's ring) or in the future (another machine's clock).
#[derive(Debug)]
pub struct Aggregation {
    config: Config,
    views: Vec<View>,
    tables: Tables,
    lost: [Option<Slot>; LOST_SOURCES.len()],
    in_use: InUse,
}

/// What series name by numbers whose texts somebody else keeps.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Names of ends.
    pub symbols: HashSet<Symbol>,
    /// Interfaces: index and generation.
    pub interfaces: HashSet<(u32, u32)>,
}

/// Fixed and few: these series neither overflow nor expire.
const LOST_SOURCES: [LostSource; 3] = [LostSource::KernelBuffer, LostSource::ObserverQueue, LostSource::HubbleRing];

impl Aggregation {
    /// An aggregation without series, begun at `start`.
    pub fn new(config: Config, start: u64) -> Self {
        let table = || Table::new(config.max_series);
        let interfaces = Table::new(config.max_series);
        let generations = HashMap::default();
        let tables =
            Tables { now: start, drop: table(), flows: table(), tcp: table(), io: table(), interfaces, generations };
        let views = views(&config);
        Self { config, views, tables, lost: [None; LOST_SOURCES.len()], in_use: InUse::default() }
    }

    /// Sets the time at which what is counted from here on arrives: once a read, for a clock costs more than a count.
    pub fn arrive(&mut self, now: u64) {
        self.tables.now = now;
    }

    /// Counts a flow. `ingress` is the kind of the interface with its traffic's `ingress_ifindex`; what it is does not
    /// matter where the flow has no traffic.
    #[inline]
    pub fn count(&mut self, flow: &Flow, ingress: InterfaceKind) {
        let mut observed = Observed::of(flow);
        let here = match (&flow.traffic, &flow.ip) {
            (Some(traffic), Some(_)) => {
                once_per_node(traffic, EndKind::from(&flow.source), EndKind::from(&flow.destination), ingress)
            }
            // Packets without addresses are in the interfaces' totals alone.
            _ => (0, 0),
        };
        if self.config.flow_detail != FlowDetail::Ends && here != (0, 0) {
            observed.carrier = self.config.flow_detail.of_flow(flow);
        }
        for view in &mut self.views {
            view.count(&mut self.tables, flow, observed, here);
        }
    }

    /// Counts packets that no event carried. `source` and `destination` are what is known of their ends, `ingress` as
    /// in [`Aggregation::count`].
    pub fn count_totals(&mut self, totals: &Totals, source: &End, destination: &End, ingress: InterfaceKind) {
        let traffic = &totals.traffic;
        self.count_untracked(traffic.ifindex, traffic.hook, traffic.packets, traffic.bytes);
        let Some(addresses) = totals.addresses else { return };
        let here = once_per_node(traffic, source.into(), destination.into(), ingress);
        if here != (0, 0) {
            let carrier = self.config.flow_detail.of_totals(&totals.transport);
            for view in &self.views {
                view.count_io(&mut self.tables, (source, destination), addresses, carrier, here);
            }
        }
    }

    /// Counts packets that the kernel saw at an interface and could not track.
    pub fn count_untracked(&mut self, ifindex: u32, hook: Hook, packets: u64, bytes: u64) {
        // A drop is no passage, and nothing makes no series.
        if hook != Hook::Drop && packets | bytes != 0 {
            let labels = self.tables.interface(ifindex, hook.is_ingress());
            let Tables { now, interfaces, .. } = &mut self.tables;
            let slot = interfaces.place(labels, *now);
            interfaces.add(slot, packets, bytes, *now);
        }
    }

    /// Counts a loss: as Hubble does, a notice of the kernel's buffer once, of other sources each event.
    pub fn count_lost(&mut self, lost: &Lost) {
        let count = if lost.source == LostSource::KernelBuffer { 1 } else { lost.count };
        for (source, slot) in LOST_SOURCES.into_iter().zip(&mut self.lost) {
            if source == lost.source {
                let start = self.tables.now;
                let slot = slot.get_or_insert(Slot { first: 0, second: 0, last: start, start });
                slot.first = slot.first.saturating_add(count);
            }
        }
    }

    /// Removes the series that have been idle; to be called every now and then.
    pub fn expire(&mut self, now: u64) {
        let idle = u64::try_from(self.config.idle_expiry.as_nanos()).unwrap_or(u64::MAX);
        if idle == 0 {
            return;
        }
        let Some(before) = now.checked_sub(idle) else { return };
        let Tables { drop, flows, tcp, io, interfaces, .. } = &mut self.tables;
        let mut gone = interfaces.expire(before);
        for table in [drop, flows, tcp, io] {
            gone |= table.expire(before);
        }
        if gone {
            // Their slots may be given to others, and what overflowed may find a place now.
            self.views.iter_mut().for_each(View::forget);
        }
    }

    /// What the series say now; none where a snapshot is in use, which may say more.
    pub fn said(&self) -> Option<Said> {
        if self.in_use.is_shared() {
            return None;
        }
        let Tables { drop, flows, tcp, io, interfaces, .. } = &self.tables;
        let mut said = Said::default();
        for (key, _) in [drop, flows, tcp, io].into_iter().flat_map(Table::iter) {
            let (source, destination) = key.values();
            let symbols = [source, destination].into_iter().filter_map(|value| match value {
                Value::Symbol(symbol) => Some(symbol),
                _ => None,
            });
            said.symbols.extend(symbols);
        }
        said.interfaces.extend(interfaces.iter().filter_map(|(key, _)| match observed::interface_of(key) {
            Labels::Interface { ifindex, generation, .. } => Some((ifindex, generation)),
            _ => None,
        }));
        Some(said)
    }

    /// Takes in the generations of interfaces, by index; those that are left out have 0. An index that was given to
    /// another interface has series of its own from then on.
    pub fn set_generations(&mut self, generations: &HashMap<u32, u32, RandomState>) {
        if self.tables.generations != *generations {
            self.tables.generations.clone_from(generations);
            self.forget_ways();
        }
    }

    /// Forgets ways to series that were found by numbers of names: after some of those have been let go.
    pub fn forget_ways(&mut self) {
        self.views.iter_mut().for_each(View::forget);
    }

    /// How full the tables are.
    pub fn occupancy(&self) -> [Occupancy; 5] {
        let Tables { drop, flows, tcp, io, interfaces, .. } = &self.tables;
        [
            occupancy(MetricKind::Drop, drop),
            occupancy(MetricKind::FlowsProcessed, flows),
            occupancy(MetricKind::TcpFlags, tcp),
            occupancy(MetricKind::FlowIo, io),
            occupancy(MetricKind::InterfaceIo, interfaces),
        ]
    }

    /// All series now.
    pub fn snapshot(&self, now: u64) -> Snapshot {
        use MetricKind::{Drop, FlowIo, FlowPackets, FlowsProcessed, InterfaceIo, InterfacePackets, TcpFlags};
        let contexts = &self.config.contexts;
        let Tables { drop, flows, tcp, io, .. } = &self.tables;
        let first: fn(&Slot) -> u64 = |slot| slot.first;
        let second: fn(&Slot) -> u64 = |slot| slot.second;
        let ends: fn(u64) -> Labels = |labels| Labels::Ends(Carrier::of(labels));
        let mut metrics = vec![
            metric(Drop, &contexts.drop, drop, first, observed::drop_of),
            metric(FlowsProcessed, &contexts.flows, flows, first, observed::flow_of),
            metric(TcpFlags, &contexts.tcp, tcp, first, observed::tcp_of),
            metric(FlowIo, &contexts.io, io, second, ends),
            metric(FlowPackets, &contexts.io, io, first, ends),
            self.interface_metric(InterfaceIo, second),
            self.interface_metric(InterfacePackets, first),
            self.lost_metric(),
        ];
        metrics.retain(|metric| !metric.points.is_empty());
        Snapshot { time: now, metrics, in_use: self.in_use.clone() }
    }

    fn interface_metric(&self, kind: MetricKind, value: fn(&Slot) -> u64) -> Metric {
        let points = points(&self.tables.interfaces, value, |key| without_ends(observed::interface_of(key)));
        Metric { kind, source: EndLabel::Absent, destination: EndLabel::Absent, points }
    }

    fn lost_metric(&self) -> Metric {
        let points = LOST_SOURCES.into_iter().zip(&self.lost).filter_map(|(source, slot)| {
            slot.map(|slot| Point {
                start: slot.start,
                value: slot.first,
                identity: without_ends(Labels::Lost(source)),
            })
        });
        let points = points.collect();
        Metric { kind: MetricKind::LostEvents, source: EndLabel::Absent, destination: EndLabel::Absent, points }
    }
}

fn metric(
    kind: MetricKind,
    contexts: &Contexts,
    table: &Table<SeriesKey>,
    value: fn(&Slot) -> u64,
    labels: fn(u64) -> Labels,
) -> Metric {
    let points = points(table, value, |key| {
        let (source, destination) = key.values();
        Identity::Series { source, destination, labels: labels(key.labels) }
    });
    Metric { kind, source: end_label(&contexts.source), destination: end_label(&contexts.destination), points }
}

fn points<K: Copy + Eq + std::hash::Hash>(
    table: &Table<K>,
    value: fn(&Slot) -> u64,
    identity: impl Fn(K) -> Identity,
) -> Vec<Point> {
    let point = |slot: Slot, identity| Point { start: slot.start, value: value(&slot), identity };
    let overflow = table.overflow().map(|slot| point(slot, Identity::Overflow));
    table.iter().map(|(key, slot)| point(slot, identity(key))).chain(overflow).collect()
}

fn without_ends(labels: Labels) -> Identity {
    Identity::Series { source: Value::None, destination: Value::None, labels }
}

fn end_label(context: &Context) -> EndLabel {
    match context {
        context if context.is_absent() => EndLabel::Absent,
        context if context.is_address() => EndLabel::Address,
        _ => EndLabel::Name,
    }
}

fn occupancy<K: Copy + Eq + std::hash::Hash>(kind: MetricKind, table: &Table<K>) -> Occupancy {
    let (overflowed, expired) = table.history();
    Occupancy { kind, series: table.len(), overflowed, expired }
}

/// As few views as the contexts allow: each costs a look-up per flow.
fn views(config: &Config) -> Vec<View> {
    type Join = fn(&mut Members, Member);
    let contexts = &config.contexts;
    let joins: [(&Contexts, Join); 4] = [
        (&contexts.drop, |members, member| members.drop = Some(member)),
        (&contexts.flows, |members, member| members.flows = Some(member)),
        (&contexts.tcp, |members, member| members.tcp = Some(member)),
        (&contexts.io, |members, member| members.io = Some(member)),
    ];
    let mut joins = joins;
    // Those with both ends first: the others may fit in with them.
    joins.sort_by_key(|(contexts, _)| {
        u8::from(contexts.source.is_absent()) + u8::from(contexts.destination.is_absent())
    });
    let capacity = config.max_series.saturating_mul(PLANS_PER_SERIES).clamp(*PLANS.start(), *PLANS.end());
    let mut views: Vec<View> = Vec::new();
    for (Contexts { source, destination }, join) in joins {
        let found = views.iter_mut().find_map(|view| view.member(source, destination).map(|member| (view, member)));
        if let Some((view, member)) = found {
            join(&mut view.members, member);
            continue;
        }
        let mut view = View::new(source.clone(), destination.clone(), capacity);
        if let Some(member) = view.member(source, destination) {
            join(&mut view.members, member);
        }
        views.push(view);
    }
    if let Some(view) = views.first_mut() {
        view.members.interfaces = true;
    }
    views
}

#[cfg(test)]
mod tests;
