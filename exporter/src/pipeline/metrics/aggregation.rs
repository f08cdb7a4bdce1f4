//! Counts flows, totals and losses into series.

use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::FlowDetail;
use eyepiece_flow::event::{Lost, LostSource, Totals};
use eyepiece_flow::flow::{Direction, End, Flow};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::node_dedup::{EndKind, once_per_node};
use eyepiece_wire::{Hook, InterfaceKind};

use super::detail::{TransportDetail, flow_word, totals_word};
use super::handlers::Handlers;
use super::l7_metrics::{L7Context, L7Metrics};
use super::labels::{self, Labels, PackedLabels};
use super::metric_contexts::Contexts;
use super::packet_metrics::{PacketMetric, PacketSelector};
use super::points::{metric, points, without_contexts, without_ends};
use super::series::{SeriesLeases, Slot, Table};
use super::series_key::SeriesKey;
use super::snapshot::{Metric, MetricKind, Occupancy, Point, PointNames, ReaderKind, Snapshot};
use super::view::{Tables, View, ViewMetric, interface_name};
use crate::metadata::{NameSnapshot, WantedTexts};

/// Default limit of a metric's series: that of OpenTelemetry's SDKs.
pub const MAX_SERIES: usize = 2000;
/// Default time after which an idle series is removed.
const IDLE_EXPIRY: Duration = Duration::from_secs(15 * 60);
/// Default time after which an idle series is removed whose names are gone: that of Hubble.
pub const GONE_EXPIRY: Duration = Duration::from_secs(60);
/// Cached keys of flows for each series of the limit: a series has flows with some verdicts, flags and observation points.
/// Further keys take the slow path.
const PLANS_PER_SERIES: usize = 4;
/// Bounds of the cached keys: a small limit must not be slow, and a huge one not take the memory (100 bytes each).
const PLANS: std::ops::RangeInclusive<usize> = 1024..=65_536;

/// Settings of the aggregation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The handlers in use.
    pub handlers: Handlers,
    /// Series of a metric beside its overflow series.
    pub max_series: usize,
    /// A series that has not grown for this long is removed. Zero stands for never.
    pub idle_expiry: Duration,
    /// The same for one that has a name or interface which is gone.
    pub gone_expiry: Duration,
    /// The labels of `hubble.flow.io` and `hubble.flow.packets` beside the ends.
    pub flow_detail: FlowDetail,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handlers: Handlers::default(),
            max_series: MAX_SERIES,
            idle_expiry: IDLE_EXPIRY,
            gone_expiry: GONE_EXPIRY,
            flow_detail: FlowDetail::Ends,
        }
    }
}

/// The aggregation of flows into series. Owned by the pipeline. Times are ns since the Unix epoch and come from the caller.
///
/// Start and age of series depend on the arrival of events. An event's own time may be long ago (another Hubble's ring)
/// or in the future (another machine's clock).
///
/// A series holds the names that its key refers to, until it expires.
#[derive(Debug)]
pub struct Aggregation {
    config: Config,
    views: Vec<View>,
    tables: Tables,
    l7: L7Metrics,
    lost: [Option<Slot>; LOST_SOURCES.len()],
    /// By [`ReaderKind`], ns since the Unix epoch; `None` before the first read.
    last_reads: [Option<u64>; 2],
}

/// Fixed series, which neither overflow nor expire. As in Hubble, those of its agent are there from the start, and that of
/// the ring once something was lost.
const LOST_SOURCES: [LostSource; 3] = [LostSource::KernelBuffer, LostSource::ObserverQueue, LostSource::HubbleRing];

impl Aggregation {
    /// Creates an aggregation without series that starts at `start`.
    pub fn new(config: Config, start: u64) -> Self {
        let table = || Table::new(config.max_series);
        let interfaces = Table::new(config.max_series);
        let (symbols, names) = (Symbols::default(), Arc::default());
        let (drop, flows, tcp, io) = (table(), table(), table(), table());
        let selector = PacketSelector::new(&config.handlers);
        let packets = PacketMetric::ALL.map(|_| table());
        let tables = Tables { symbols, names, now: start, drop, flows, tcp, io, interfaces, selector, packets };
        let wanted = config.handlers.wanted_texts();
        let l7 = L7Metrics::new(&config.handlers, &wanted, config.max_series);
        let views = views(&config, &wanted);
        let lost = LOST_SOURCES.map(|source| {
            (source != LostSource::HubbleRing).then_some(Slot { first: 0, second: 0, last: start, start })
        });
        Self { config, views, tables, l7, lost, last_reads: [None; 2] }
    }

    /// Sets the table that has the names of ends.
    #[must_use]
    pub fn with_symbols(mut self, symbols: Symbols) -> Self {
        self.tables.symbols = symbols;
        self
    }

    /// Sets the arrival time of the following events. Called once for each read, since reading a clock costs more than a count.
    pub fn arrive(&mut self, now: u64) {
        self.tables.now = now;
    }

    /// Counts a flow. `ingress` is the kind of the interface `ingress_ifindex` of its traffic; unused without traffic.
    #[inline]
    pub fn count(&mut self, flow: &Flow, ingress: InterfaceKind) {
        let mut labels = PackedLabels::of(flow);
        let here = match (&flow.traffic, &flow.ip) {
            (Some(traffic), Some(_)) => {
                once_per_node(traffic, EndKind::from(&flow.source), EndKind::from(&flow.destination), ingress)
            }
            // Packets without addresses only count for interfaces.
            _ => (0, 0),
        };
        if self.config.flow_detail != FlowDetail::Ends && here != (0, 0) {
            labels.carrier = flow_word(self.config.flow_detail, flow);
        }
        let selected = self.tables.selector.select(flow, &self.tables.names);
        for view in &mut self.views {
            view.count(&mut self.tables, flow, labels, here, selected);
        }
        if let Some(l7) = &flow.l7 {
            let Tables { symbols, names, now, .. } = &self.tables;
            self.l7.count(flow, l7, L7Context { symbols, names, now: *now });
        }
    }

    /// Counts packets without an event. `ingress` is as in [`Aggregation::count`].
    pub fn count_totals(
        &mut self,
        totals: &Totals,
        (source, destination): (&End, &End),
        direction: Direction,
        ingress: InterfaceKind,
    ) {
        let traffic = &totals.traffic;
        self.count_untracked(traffic.ifindex, traffic.hook, traffic.packets, traffic.bytes);
        let Some((from, to)) = &totals.addresses else { return };
        let here = once_per_node(traffic, source.into(), destination.into(), ingress);
        if here != (0, 0) {
            let carrier = totals_word(self.config.flow_detail, &totals.transport);
            for view in &self.views {
                view.count_io(&mut self.tables, [source, destination], direction, [from, to], carrier, here);
            }
        }
    }

    /// Counts packets of an interface that the kernel could not track.
    pub fn count_untracked(&mut self, ifindex: u32, hook: Hook, packets: u64, bytes: u64) {
        // A dropped packet does not pass, and zero creates no series.
        if hook != Hook::Drop && packets | bytes != 0 {
            let slot = self.tables.place_interface(ifindex, hook.is_ingress());
            let Tables { now, interfaces, .. } = &mut self.tables;
            interfaces.add(slot, packets, bytes, *now);
        }
    }

    /// Counts a loss as Hubble does: a loss of the kernel's buffer as one, other losses by their events.
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

    /// Notes that a reader gets the snapshot of now.
    pub fn note_read(&mut self, reader: ReaderKind, now: u64) {
        self.last_reads[reader as usize] = Some(now);
    }

    /// Removes idle series that an export at intervals has read since they last grew, and series of what is gone that any
    /// scrape has read as well; to be called periodically.
    pub fn expire(&mut self, now: u64) {
        let Config { idle_expiry, gone_expiry, .. } = self.config;
        if idle_expiry.is_zero() {
            return;
        }
        let before = |time: Duration| now.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        // Before its first read, which may never come, nothing waits for a reader.
        let [exported, scraped] = self.last_reads.map(|read| read.unwrap_or(u64::MAX));
        // A reader that has stopped must not keep all series.
        let idle = before(idle_expiry).min(exported.max(before(idle_expiry.saturating_mul(2))));
        let gone = before(gone_expiry.min(idle_expiry)).min(exported).min(scraped).max(idle);
        let Tables { names, drop, flows, tcp, io, interfaces, packets, .. } = &mut self.tables;
        let links = names.links();
        let mut has_expired = interfaces.expire(idle, gone, |key, _| {
            labels::interface_id(key).is_none_or(|(ifindex, generation)| {
                !links.has_interface(ifindex) || links.generation(ifindex) != generation
            })
        });
        let is_gone = |_, names: &SeriesLeases| names.iter().flatten().any(|name| name.is_gone());
        for table in [drop, flows, tcp, io] {
            has_expired |= table.expire(idle, gone, is_gone);
        }
        for table in packets.iter_mut().chain(self.l7.tables_mut()) {
            table.expire(idle, gone, is_gone);
        }
        if has_expired {
            // Their slots are reused, and keys of the overflow may get a slot.
            self.views.iter_mut().for_each(View::clear_plans);
        }
    }

    /// Sets the names that the following events refer to. A reused index has series of its own from then on, and a renamed
    /// interface its new name; that of a removed one stays with its series.
    pub fn set_names(&mut self, names: &Arc<NameSnapshot>) {
        if Arc::ptr_eq(&self.tables.names, names) {
            return;
        }
        let before = std::mem::replace(&mut self.tables.names, Arc::clone(names));
        let (before, links) = (before.links(), names.links());
        if Arc::ptr_eq(before, links) {
            return;
        }
        if before.generations() != links.generations() {
            self.views.iter_mut().for_each(View::clear_plans);
        }
        self.tables.interfaces.update_names(|key, [name, ..]| {
            if let Some((ifindex, generation)) = labels::interface_id(key)
                && links.generation(ifindex) == generation
                && let Some(present) = interface_name(links, ifindex)
            {
                *name = Some(present);
            }
        });
    }

    /// Returns how full the tables of the metrics in use are.
    pub fn occupancy(&self) -> Vec<Occupancy> {
        let Tables { interfaces, .. } = &self.tables;
        let of_flows = self.tables().map(|(kind, table)| occupancy(kind, table));
        of_flows.chain([occupancy(MetricKind::InterfaceIo, interfaces)]).collect()
    }

    /// The tables of the metrics in use, but those of interfaces.
    fn tables(&self) -> impl Iterator<Item = (MetricKind, &Table<SeriesKey>)> {
        let Tables { drop, flows, tcp, io, packets, .. } = &self.tables;
        let Handlers { drop: of_drop, flow, tcp: of_tcp, .. } = &self.config.handlers;
        let counters = [
            (MetricKind::Drop, drop, of_drop.is_some()),
            (MetricKind::FlowsProcessed, flows, flow.is_some()),
            (MetricKind::TcpFlags, tcp, of_tcp.is_some()),
            (MetricKind::FlowIo, io, true),
        ];
        let of_packets = PacketMetric::ALL.into_iter().zip(packets);
        let of_packets =
            of_packets.map(|(metric, table)| (metric.kind(), table, metric.contexts(&self.config.handlers).is_some()));
        let in_use = counters.into_iter().chain(of_packets).filter(|(.., is_in_use)| *is_in_use);
        in_use.map(|(kind, table, _)| (kind, table)).chain(self.l7.tables())
    }

    /// Returns all series. The pipeline copies them between two reads, in which the kernel's buffer holds the events: the
    /// bench `series` compares both times for 100,000 series.
    pub fn snapshot(&self, now: u64) -> Snapshot {
        type Unpack = fn(u64) -> Labels;
        use MetricKind::{Drop, FlowIo, FlowPackets, FlowsProcessed, InterfaceIo, InterfacePackets, TcpFlags};
        let handlers = &self.config.handlers;
        let Tables { drop, flows, tcp, io, packets, .. } = &self.tables;
        let first: fn(u32, &Slot) -> u64 = |_, slot| slot.first;
        let second: fn(u32, &Slot) -> u64 = |_, slot| slot.second;
        let ends: fn(u64) -> Labels = |labels| Labels::Ends(TransportDetail::of(labels));
        let counters: [(_, _, _, Unpack); 3] = [
            (Drop, &handlers.drop, drop, labels::drop_of),
            (FlowsProcessed, &handlers.flow, flows, labels::flow_of),
            (TcpFlags, &handlers.tcp, tcp, labels::tcp_of),
        ];
        let counters = counters
            .into_iter()
            .filter_map(|(kind, contexts, table, labels)| Some(metric(kind, contexts.as_ref()?, table, first, labels)));
        let of_packets = PacketMetric::ALL.into_iter().zip(packets).filter_map(|(packet_metric, table)| {
            let contexts = packet_metric.contexts(handlers)?;
            Some(metric(packet_metric.kind(), contexts, table, first, |labels| packet_metric.unpack(labels)))
        });
        let mut metrics: Vec<_> = counters.chain(of_packets).chain(self.l7.sums()).collect();
        metrics.extend([
            metric(FlowIo, &handlers.flow_io, io, second, ends),
            metric(FlowPackets, &handlers.flow_io, io, first, ends),
            self.interface_metric(InterfaceIo, second),
            self.interface_metric(InterfacePackets, first),
            self.lost_metric(),
        ]);
        metrics.retain(|metric| !metric.points.is_empty());
        let durations = self.l7.durations().filter(|metric| !metric.points.is_empty());
        Snapshot { time: now, metrics, durations, names: self.names() }
    }

    /// The names that series refer to.
    fn names(&self) -> PointNames {
        let ends = self.tables().flat_map(|(_, table)| table.leases().map(Arc::clone));
        let interfaces = self.tables.interfaces.names().filter_map(|(key, [name, ..])| {
            let (id, name) = (labels::interface_id(key), name.as_ref());
            id.zip(name.map(Arc::clone))
        });
        PointNames { ends: ends.collect(), interfaces: interfaces.collect() }
    }

    fn interface_metric(&self, kind: MetricKind, value: fn(u32, &Slot) -> u64) -> Metric {
        let points = points(&self.tables.interfaces, value, |key| without_ends(labels::interface_of(key)));
        without_contexts(kind, points)
    }

    fn lost_metric(&self) -> Metric {
        let points = LOST_SOURCES.into_iter().zip(&self.lost).filter_map(|(source, slot)| {
            slot.map(|slot| Point {
                start: slot.start,
                value: slot.first,
                identity: without_ends(Labels::Lost(source)),
            })
        });
        without_contexts(MetricKind::LostEvents, points.collect())
    }
}

fn occupancy<K: Copy + Eq + std::hash::Hash>(kind: MetricKind, table: &Table<K>) -> Occupancy {
    let (overflowed, expired) = table.history();
    Occupancy { kind, series: table.len(), overflowed, expired }
}

/// Builds as few views as the contexts allow: each costs a look-up for each flow.
fn views(config: &Config, wanted: &WantedTexts) -> Vec<View> {
    let handlers = &config.handlers;
    let counters = [
        (ViewMetric::Drop, handlers.drop.as_ref()),
        (ViewMetric::Flows, handlers.flow.as_ref()),
        (ViewMetric::Tcp, handlers.tcp.as_ref()),
        (ViewMetric::Io, Some(&handlers.flow_io)),
    ];
    let of_packets = PacketMetric::ALL.map(|metric| (ViewMetric::Packets(metric), metric.contexts(handlers)));
    let all = counters.into_iter().chain(of_packets);
    let mut metrics: Vec<(ViewMetric, &Contexts)> =
        all.filter_map(|(metric, contexts)| Some((metric, contexts?))).collect();
    // Those with all labels first: the others may join their views.
    metrics.sort_by_key(|(_, Contexts { source, destination, labels })| {
        u8::from(source.is_absent()) + u8::from(destination.is_absent()) + u8::from(labels.is_empty())
    });
    let capacity = config.max_series.saturating_mul(PLANS_PER_SERIES).clamp(*PLANS.start(), *PLANS.end());
    let mut views: Vec<View> = Vec::new();
    for (metric, contexts) in metrics {
        let found = views.iter_mut().find_map(|view| view.member(contexts).map(|member| (view, member)));
        if let Some((view, member)) = found {
            view.members.add(metric, member);
            continue;
        }
        let mut view = View::new(contexts.clone(), wanted, capacity);
        if let Some(member) = view.member(contexts) {
            view.members.add(metric, member);
        }
        views.push(view);
    }
    // Each flow is looked up there, by its handlers' metrics already if there is one of all flows.
    let place = views.iter().position(|view| view.members.flows.is_some()).unwrap_or(0);
    if let Some(view) = views.get_mut(place) {
        view.members.interfaces = true;
    }
    views
}

#[cfg(test)]
mod tests;
