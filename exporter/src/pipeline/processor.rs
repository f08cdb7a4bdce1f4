//! The stages that an event passes, for each kind of event: decode, enrich, count, batch.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::agent_event::AgentEvent;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::decode::{EVENT_DEBUG, Pairing};
use eyepiece_flow::event::{Event, Lost, RawEvent, Totals, Undecodable};
use eyepiece_flow::flow::Flow;
use eyepiece_flow::lookup::BatchNames;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_flow::{decode, uuid};
use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::{InterfaceKind, Process};

use super::counters::{Counts, PipelineMetrics};
use super::deps::{Deps, Learn, LearnProcess};
use super::enrich;
use super::enrich::TotalsEnds;
use super::event_handlers::{EventHandlers, Next};
use super::metrics::{Aggregation, ReaderKind, Snapshot};
use super::name_wait::{Awaited, NameWait, Waiting, flow_addresses, totals_addresses};
use super::peer_names::PeerNameCache;
use crate::metadata::{LinkTables, NameSnapshot, Reader};
use crate::source::Source;
use crate::support::decode_errors::ExampleRecorder;
use crate::support::telemetry::Telemetry;

/// Flows of a batch: enough to spread the cost of sending it, few enough to stay in the cache.
const BATCH: usize = 512;
/// A batch of at least this many flows keeps its buffer. A smaller one moves to a buffer of its size, or a queue that is
/// bounded in flows would hold many times their bytes.
const WELL_FILLED: usize = BATCH / 4 * 3;
/// The longest wait for an event while flows wait for names.
const NAME_POLL: Duration = Duration::from_millis(20);
/// The first message type of Cilium's agent and its proxies, whose messages have any size.
const FIRST_OF_AGENT: u8 = 128;

/// The fate of a flow that was enriched.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It was counted, and sinks want it.
    Push,
    /// It was counted, or an event handler stopped it.
    Done,
    /// It waits for a name.
    Wait(Awaited),
}

/// The state of the pipeline. Owned by its thread.
pub(super) struct Pipeline {
    names: Reader,
    peer_names: PeerNameCache,
    name_wait: NameWait,
    learn: Learn,
    learn_process: LearnProcess,
    aggregation: Aggregation,
    event_handlers: EventHandlers,
    /// Flows of one snapshot of names: the batch is sent before the next snapshot is loaded.
    batch: Vec<Observed>,
    counts: Counts,
    metrics: PipelineMetrics,
    telemetry: Telemetry,
    examples: ExampleRecorder,
    random: fastrand::Rng,
    now: fn() -> u64,
    /// When the events of this read arrived, ns since the Unix epoch.
    arrival: u64,
    producer: Producer,
    pairing: Pairing,
}

impl Pipeline {
    pub(super) fn new(deps: Deps) -> (Box<dyn Source>, Self) {
        let pipeline = Self {
            metrics: PipelineMetrics::new(&deps.telemetry, deps.source_kind),
            examples: deps.telemetry.examples().recorder(),
            names: deps.names,
            aggregation: deps.aggregation.with_symbols(deps.symbols.clone()),
            peer_names: PeerNameCache::new(deps.symbols, &deps.telemetry),
            name_wait: NameWait::default(),
            arrival: 0,
            learn: deps.learn,
            learn_process: deps.learn_process,
            event_handlers: EventHandlers::new(deps.event_handlers, deps.sinks, &deps.telemetry),
            telemetry: deps.telemetry,
            batch: Vec::with_capacity(BATCH),
            counts: Counts::default(),
            random: fastrand::Rng::new(),
            now: deps.now,
            producer: deps.producer,
            pairing: Pairing::default(),
        };
        (deps.source, pipeline)
    }

    /// Processes the source's pending events, waiting at most `wait` for the first. Returns their number.
    pub(super) fn read(&mut self, source: &mut dyn Source, wait: Duration) -> io::Result<usize> {
        self.begin();
        let wait = if self.name_wait.is_idle() { wait } else { self.handle_named(wait) };
        let mut is_first = true;
        let result = source.read(wait, &mut |event| {
            if std::mem::take(&mut is_first) {
                self.begin();
            }
            self.handle(event);
        });
        if result.is_err() {
            // Events before an error are sent and counted as well.
            self.handle_waiting();
        }
        self.send_batch();
        self.publish_counters();
        result
    }

    /// Loads names and time. Before each wait, and after it: it may have been a long one.
    fn begin(&mut self) {
        self.send_batch();
        self.refresh_names();
        self.arrival = (self.now)();
        self.aggregation.arrive(self.arrival);
    }

    /// Processes what waits for a name, and sends it.
    pub(super) fn finish(&mut self) {
        self.handle_waiting();
        self.send_batch();
        self.publish_counters();
    }

    pub(super) fn snapshot(&mut self, reader: ReaderKind, now: u64) -> Snapshot {
        self.aggregation.note_read(reader, now);
        self.aggregation.snapshot(now)
    }

    /// Removes series that are idle at this time (ns since the Unix epoch), and cached names that have no user left.
    pub(super) fn expire(&mut self, now: u64) {
        self.aggregation.expire(now);
        self.peer_names.expire();
        self.name_wait.expire(self.names.snapshot());
        self.publish_series();
    }

    #[inline]
    fn handle(&mut self, event: &Event<'_>) {
        match event {
            Event::Raw(raw) => self.raw(raw),
            Event::Totals(totals) => self.totals(totals),
            Event::Lost(lost) => self.lost(lost),
            Event::Process(process) => self.take_process(process),
            // Decoded like the source's events, but not received from it.
            Event::Notification(raw) => self.decode_slow_path(raw),
            Event::Observed(handover) => {
                if let Some(observed) = handover.take() {
                    self.observed(*observed);
                }
            }
            Event::Undecodable(Undecodable { reason, time, data }) => {
                self.counts.received += 1;
                self.failed(reason, *time, data);
            }
        }
    }

    #[inline]
    fn raw(&mut self, raw: &RawEvent<'_>) {
        self.counts.received += 1;
        if self.event_handlers.on_monitor_event(raw) == Next::Stop {
            return;
        }
        match raw.data.first() {
            Some(&EVENT_DEBUG | &(FIRST_OF_AGENT..)) => self.decode_slow_path(raw),
            _ => {
                let mut decoded = decode::decode_flow_from(raw, self.producer);
                let fate = match &mut decoded {
                    // The flow is enriched in place: moving it copies it, which is a good part of its cost.
                    Ok(flow) => self.flow(flow),
                    Err(error) => return self.failed(error.reason(), raw.time, raw.data),
                };
                let awaited = match fate {
                    Fate::Push => None,
                    Fate::Wait(awaited) => Some(awaited),
                    Fate::Done => return,
                };
                let Ok(flow) = decoded else { return };
                match awaited {
                    None => self.push(Observed::Flow(flow)),
                    Some(awaited) => self.wait(awaited, flow),
                }
            }
        }
    }

    /// Decodes messages that are not sent for each packet. May allocate.
    #[cold]
    fn decode_slow_path(&mut self, raw: &RawEvent<'_>) {
        match decode::decode(raw, self.producer, &mut self.pairing) {
            Ok(Observed::Flow(flow)) => self.handle_slow_path_flow(flow),
            Ok(Observed::Agent(event)) => self.agent(event),
            Ok(Observed::Debug(mut event)) => {
                enrich::debug(&mut event, self.names.snapshot());
                self.debug(event);
            }
            Ok(Observed::Lost(lost)) => self.lost(&lost),
            Err(error) => self.failed(error.reason(), raw.time, raw.data),
        }
    }

    fn handle_slow_path_flow(&mut self, mut flow: Flow) {
        match self.flow(&mut flow) {
            Fate::Push => self.push(Observed::Flow(flow)),
            Fate::Done => {}
            Fate::Wait(awaited) => self.wait(awaited, flow),
        }
    }

    /// Processes an event that another Hubble observed. Its fields are kept as they are.
    #[cold]
    fn observed(&mut self, observed: Observed) {
        match observed {
            Observed::Flow(mut flow) => {
                self.counts.received += 1;
                self.counts.parsed += 1;
                self.peer_names.name(&mut flow);
                if self.event_handlers.on_flow(&mut flow) == Next::Stop {
                    return;
                }
                self.aggregation.count(&flow, InterfaceKind::Other);
                if self.event_handlers.has_sinks() {
                    // Old servers send no uuid.
                    if flow.uuid == [0; 16] {
                        flow.uuid = uuid::random(&mut self.random);
                    }
                    self.push(Observed::Flow(flow));
                }
            }
            Observed::Agent(event) => {
                self.counts.received += 1;
                self.agent(event);
            }
            Observed::Debug(event) => {
                self.counts.received += 1;
                self.debug(event);
            }
            Observed::Lost(lost) => self.lost(&lost),
        }
    }

    fn agent(&mut self, mut event: Box<AgentEvent>) {
        self.counts.agent += 1;
        event.uuid = uuid::random(&mut self.random);
        self.push(Observed::Agent(event));
    }

    fn debug(&mut self, mut event: Box<DebugEvent>) {
        self.counts.debug += 1;
        event.uuid = uuid::random(&mut self.random);
        self.push(Observed::Debug(event));
    }

    fn failed(&mut self, reason: &'static str, time: u64, data: &[u8]) {
        self.counts.failed(reason);
        self.examples.record(reason, time, data);
    }

    /// Enriches and counts a flow.
    #[inline]
    fn flow(&mut self, flow: &mut Flow) -> Fate {
        let names = self.names.snapshot();
        if flow.sock.is_some() && !enrich::socket(flow, names) {
            // Hubble skips flows of sockets with an unknown control group as well.
            self.counts.unknown_cgroup += 1;
            return Fate::Done;
        }
        self.counts.parsed += 1;
        let enriched = enrich::enrich(flow, names);
        if enriched.is_new_address
            && let (Some(traffic), Some(ip)) = (&flow.traffic, &flow.ip)
        {
            (self.learn)(traffic.ifindex, ip.source, flow.time);
            self.name_wait.add_address(ip.source, flow.source.endpoint, names, self.arrival);
        }
        let is_ours = flow.traffic.is_some() || flow.kernel_drop.is_some();
        // Without such a provider no endpoint has a name, and none waits.
        if names.names_endpoints() && (enriched.has_unnamed_endpoint || is_ours && self.name_wait.has_new_addresses()) {
            let ends = [&flow.source, &flow.destination];
            if let Some(awaited) = self.name_wait.must_wait(ends, flow_addresses(flow), names, self.arrival) {
                return Fate::Wait(awaited);
            }
        }
        if self.count(flow) { Fate::Push } else { Fate::Done }
    }

    #[cold]
    fn wait(&mut self, awaited: Awaited, flow: Flow) {
        self.name_wait.push(awaited, Waiting::Flow(Box::new(flow)));
    }

    /// Processes what has waited and is named now. Returns how long to wait for the next event.
    #[cold]
    fn handle_named(&mut self, wait: Duration) -> Duration {
        while let Some((awaited, waiting)) = self.name_wait.take_ready(self.names.snapshot(), self.arrival) {
            self.handle_late(awaited, waiting);
        }
        self.name_wait.expire_addresses(self.arrival);
        if self.name_wait.has_waiting() { wait.min(NAME_POLL) } else { wait }
    }

    /// Processes all that waits, named or not.
    #[cold]
    fn handle_waiting(&mut self) {
        while let Some((awaited, waiting)) = self.name_wait.take_first() {
            self.handle_late(awaited, waiting);
        }
    }

    fn handle_late(&mut self, awaited: Awaited, waiting: Waiting) {
        let names = self.names.snapshot();
        match waiting {
            Waiting::Flow(mut flow) => {
                enrich::rename(&mut flow, awaited.senders(), names);
                if self.count(&mut flow) {
                    self.push(Observed::Flow(*flow));
                }
            }
            Waiting::Totals(totals, mut ends) => {
                enrich::rename_totals(&totals, &mut ends, awaited.senders(), names);
                self.count_totals(&totals, &ends);
            }
        }
    }

    /// Counts an enriched flow. Returns whether a sink wants it. Inlined into the path of each flow, as late ones are rare.
    #[inline(always)]
    fn count(&mut self, flow: &mut Flow) -> bool {
        let names = self.names.snapshot();
        for reason in enrich::unnamed(flow, names).into_iter().flatten() {
            self.counts.unnamed[reason as usize] += 1;
        }
        if self.event_handlers.on_flow(flow) == Next::Stop {
            return false;
        }
        let ingress = ingress_kind(names.links(), flow.traffic.map_or(0, |traffic| traffic.ingress_ifindex));
        self.aggregation.count(flow, ingress);
        if !self.event_handlers.has_sinks() {
            return false;
        }
        flow.uuid = uuid::random(&mut self.random);
        true
    }

    #[inline]
    fn push(&mut self, observed: Observed) {
        if !self.event_handlers.has_sinks() || self.event_handlers.on_event(&observed) == Next::Stop {
            return;
        }
        self.batch.push(observed);
        if self.batch.len() >= BATCH {
            self.send_batch();
        }
    }

    /// Takes a process, so that its name holds for the events of its connections, which follow.
    #[cold]
    fn take_process(&mut self, process: &Process) {
        (self.learn_process)(process);
        self.send_batch();
        self.refresh_names();
    }

    fn refresh_names(&mut self) {
        self.aggregation.set_names(self.names.refresh());
    }

    fn totals(&mut self, totals: &Totals) {
        let names = self.names.snapshot();
        let (ends, has_unnamed_endpoint) = enrich::ends(totals, names);
        if names.names_endpoints() && (has_unnamed_endpoint || self.name_wait.has_new_addresses()) {
            let of_totals = [&ends.source, &ends.destination];
            if let Some(awaited) = self.name_wait.must_wait(of_totals, totals_addresses(totals), names, self.arrival) {
                return self.name_wait.push(awaited, Waiting::Totals(*totals, ends));
            }
        }
        self.count_totals(totals, &ends);
    }

    fn count_totals(&mut self, totals: &Totals, ends: &TotalsEnds) {
        let ingress = ingress_kind(self.names.snapshot().links(), totals.traffic.ingress_ifindex);
        self.aggregation.count_totals(totals, (&ends.source, &ends.destination), ends.direction, ingress);
    }

    fn lost(&mut self, lost: &Lost) {
        self.counts.lost(lost);
        self.aggregation.count_lost(lost);
        self.push(Observed::Lost(*lost));
    }

    fn publish_series(&self) {
        for occupancy in self.aggregation.occupancy() {
            let name = [(attribute::EYEPIECE_METRIC_NAME, occupancy.kind.schema().name)];
            self.telemetry.gauge(metric::EYEPIECE_SERIES_ACTIVE.name, &name).set(occupancy.series as u64);
            self.telemetry.counter(metric::EYEPIECE_SERIES_OVERFLOWED.name, &name).set(occupancy.overflowed);
            self.telemetry.counter(metric::EYEPIECE_SERIES_EXPIRED.name, &name).set(occupancy.expired);
        }
    }

    fn send_batch(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let entries = if self.batch.len() < WELL_FILLED {
            self.batch.drain(..).collect()
        } else {
            std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH))
        };
        let snapshot: Arc<NameSnapshot> = Arc::clone(self.names.snapshot());
        let names: Arc<dyn BatchNames> = match self.peer_names.take_used() {
            Some(peers) => Arc::new(peers.over(snapshot)),
            None => snapshot,
        };
        self.event_handlers.send(&Batch::with_names(entries, names));
    }

    fn publish_counters(&mut self) {
        self.examples.publish();
        self.event_handlers.publish_counters();
        self.metrics.publish(&mut self.counts);
    }
}

/// The kind of the interface that packets came in by. Index 0 stands for none.
#[inline]
fn ingress_kind(links: &LinkTables, ifindex: u32) -> InterfaceKind {
    if ifindex == 0 { InterfaceKind::Other } else { links.interface(ifindex).kind }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wait_tests;
