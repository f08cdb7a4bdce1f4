//! The owner loop: event → parse → enrich → count → batch. One thread; it never waits for a sink.

mod ends;
pub mod enrich;
mod foreign;
mod hooks;
pub mod metrics;
mod outstanding;

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use eyepiece_semconv::{attribute, metric};
use eyepiece_wire::InterfaceKind;

use self::ends::Ends;
use self::hooks::Hooks;
pub use self::hooks::{Hook, Next, Sink};
use eyepiece_flow::agent_event::AgentEvent;
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::debug_event::DebugEvent;
use eyepiece_flow::decode::{EVENT_DEBUG, Pairing};
use eyepiece_flow::event::{Event, Lost, RawEvent, Totals, Undecodable};
use eyepiece_flow::flow::Flow;
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_flow::{decode, uuid};

use self::outstanding::Outstanding;
use crate::metadata::{Reader, Tables};
use crate::pipeline::metrics::{Aggregation, Snapshot};
use crate::source::{Source, Waker};
use crate::support::decode_errors::Keeper;
use crate::support::telemetry::{Number, Telemetry};

/// Flows of a batch: enough to spread the cost of handing it over, few enough to stay in the cache.
const BATCH: usize = 512;
/// Flows from which on a batch is handed over in the room that it was gathered in; fewer are moved into room of their
/// size, or a queue that is bounded in flows would keep many times their bytes.
const WELL_FILLED: usize = BATCH / 4 * 3;
/// The longest wait of the loop; it is woken for commands and totals, so this bounds only how late idle series leave.
const WAIT: Duration = Duration::from_secs(1);
/// How often idle series are looked for.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(10);
/// Reasons of lost events, in the order of [`eyepiece_flow::event::LostSource`].
const LOST_SOURCES: [&str; 3] = ["kernel_buffer", "observer_queue", "hubble_ring"];
/// Message types from here on are written by the agent and its proxies, of any size.
const FIRST_OF_AGENT: u8 = 128;

/// Tells that an endpoint sends from an address that is not known to be its own.
pub type Learn = Box<dyn FnMut(u32, std::net::IpAddr, u64) + Send>;

/// What a pipeline is made of.
pub struct Parts {
    /// Where events come from.
    pub source: Box<dyn Source>,
    /// Which release of Cilium writes its payloads, where they do not tell themselves. Our own datapath writes only
    /// what every release reads alike.
    pub producer: Producer,
    /// Its name in telemetry.
    pub source_kind: &'static str,
    /// Who is who.
    pub tables: Reader,
    /// Where names of ends are kept that a flow brings along.
    pub symbols: Symbols,
    /// Where new addresses are told.
    pub learn: Learn,
    /// The series.
    pub aggregation: Aggregation,
    /// Who sees each event, and may stop it.
    pub hooks: Vec<Box<dyn Hook>>,
    /// Who gets flows.
    pub sinks: Vec<Box<dyn Sink>>,
    /// Our own counters.
    pub telemetry: Telemetry,
    /// Wall-clock time, ns since the Unix epoch.
    pub now: fn() -> u64,
}

enum Command {
    Start(Sender<io::Result<()>>),
    Stop,
    Snapshot(Sender<Snapshot>),
    Drain(Sender<()>),
}

/// A hand on a running pipeline.
#[derive(Clone, Debug)]
pub struct Handle {
    commands: Sender<Command>,
    waker: Waker,
}

/// The pipeline is gone: its source failed, or it was stopped.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the pipeline has ended")]
pub struct Ended;

impl Handle {
    fn ask<T>(&self, command: impl FnOnce(Sender<T>) -> Command) -> Result<T, Ended> {
        let (reply, answer) = channel();
        self.commands.send(command(reply)).map_err(|_| Ended)?;
        self.waker.wake();
        answer.recv().map_err(|_| Ended)
    }

    /// Starts reading.
    ///
    /// # Errors
    /// The pipeline has ended, or what the system said.
    pub fn start(&self) -> io::Result<()> {
        self.ask(Command::Start).map_err(io::Error::other)?
    }

    /// Stops reading.
    pub fn stop(&self) {
        // A pipeline that has ended does not read.
        if self.commands.send(Command::Stop).is_ok() {
            self.waker.wake();
        }
    }

    /// Ends a wait of the pipeline: for whoever drops the last handle, which it notices only when it looks.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// All series now.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn snapshot(&self) -> Result<Snapshot, Ended> {
        self.ask(Command::Snapshot)
    }

    /// Waits until everything that the source holds has been handed on.
    ///
    /// # Errors
    /// The pipeline has ended.
    pub fn drain(&self) -> Result<(), Ended> {
        self.ask(Command::Drain)
    }
}

/// Starts the thread; it ends when the last handle is gone, or with an error of its source.
///
/// # Errors
/// No thread.
pub fn spawn(parts: Parts) -> io::Result<(Handle, JoinHandle<io::Result<()>>)> {
    let (commands, inbox) = channel();
    let handle = Handle { commands, waker: parts.source.waker() };
    let thread = std::thread::Builder::new().name("pipeline".into()).spawn(move || run(parts, &inbox))?;
    Ok((handle, thread))
}

fn run(parts: Parts, inbox: &Receiver<Command>) -> io::Result<()> {
    let mut source = parts.source;
    let mut work = Work {
        numbers: Numbers::new(&parts.telemetry, parts.source_kind),
        examples: parts.telemetry.examples().keeper(),
        tables: parts.tables,
        ends: Ends::new(parts.symbols, &parts.telemetry),
        learn: parts.learn,
        aggregation: parts.aggregation,
        hooks: Hooks::new(parts.hooks, parts.sinks, &parts.telemetry),
        telemetry: parts.telemetry,
        batch: Vec::with_capacity(BATCH),
        outstanding: Outstanding::default(),
        counts: Counts::default(),
        random: fastrand::Rng::new(),
        now: parts.now,
        producer: parts.producer,
        pairing: Pairing::default(),
    };
    let mut expiry = Instant::now() + EXPIRY_INTERVAL;
    loop {
        loop {
            match inbox.try_recv() {
                Ok(command) => command.obey(&mut *source, &mut work)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    source.stop();
                    return Ok(());
                }
            }
        }
        work.read(&mut *source, WAIT)?;
        if Instant::now() >= expiry {
            expiry = Instant::now() + EXPIRY_INTERVAL;
            // What a read waited for counts as arrived when the read began.
            work.aggregation.expire((work.now)().saturating_sub(WAIT.as_nanos() as u64));
            work.release_names();
            work.tell_series();
        }
    }
}

impl Command {
    fn obey(self, source: &mut dyn Source, work: &mut Work) -> io::Result<()> {
        // Whoever asked may have given up; the answer is then nobody's.
        match self {
            Self::Start(reply) => reply.send(source.start()).unwrap_or_default(),
            Self::Stop => source.stop(),
            Self::Snapshot(reply) => reply.send(work.aggregation.snapshot((work.now)())).unwrap_or_default(),
            Self::Drain(reply) => {
                while work.read(source, Duration::ZERO)? > 0 {}
                reply.send(()).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// Counted within one read, told once behind it.
#[derive(Default)]
struct Counts {
    received: u64,
    parsed: u64,
    agent: u64,
    debug: u64,
    unknown_cgroup: u64,
    lost: [u64; LOST_SOURCES.len()],
    failed: HashMap<&'static str, u64>,
}

struct Numbers {
    received: Number,
    parsed: Number,
    agent: Number,
    debug: Number,
    unknown_cgroup: Number,
    lost: [Number; LOST_SOURCES.len()],
    failed: HashMap<&'static str, Number>,
}

impl Numbers {
    fn new(telemetry: &Telemetry, source: &str) -> Self {
        let kind = [(attribute::EYEPIECE_SOURCE_KIND, source)];
        let reason = |reason| [(attribute::EYEPIECE_REASON, reason)];
        let event = |kind| [(attribute::EYEPIECE_EVENT_KIND, kind)];
        Self {
            received: telemetry.counter(metric::EYEPIECE_EVENTS_RECEIVED.name, &kind),
            parsed: telemetry.counter(metric::EYEPIECE_FLOWS_PARSED.name, &[]),
            agent: telemetry.counter(metric::EYEPIECE_EVENTS_DECODED.name, &event("agent")),
            debug: telemetry.counter(metric::EYEPIECE_EVENTS_DECODED.name, &event("debug")),
            unknown_cgroup: telemetry.counter(metric::EYEPIECE_EVENTS_SKIPPED.name, &reason("unknown_cgroup")),
            lost: LOST_SOURCES.map(|source| telemetry.counter(metric::EYEPIECE_EVENTS_LOST.name, &reason(source))),
            failed: HashMap::new(),
        }
    }
}

struct Work {
    tables: Reader,
    ends: Ends,
    learn: Learn,
    aggregation: Aggregation,
    hooks: Hooks,
    /// Flows of one snapshot of names: it is handed over before the next one is looked for.
    batch: Vec<Observed>,
    outstanding: Outstanding,
    counts: Counts,
    numbers: Numbers,
    telemetry: Telemetry,
    examples: Keeper,
    random: fastrand::Rng,
    now: fn() -> u64,
    producer: Producer,
    pairing: Pairing,
}

impl Work {
    fn read(&mut self, source: &mut dyn Source, wait: Duration) -> io::Result<usize> {
        let before = self.tables.number();
        self.tables.refresh();
        if self.tables.number() != before {
            self.aggregation.set_generations(self.tables.tables().generations());
        }
        self.aggregation.arrive((self.now)());
        let result = source.read(wait, &mut |event| self.take(event));
        // What came before an error is handed over and counted as well.
        self.hand_over();
        self.tell();
        result
    }

    #[inline]
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Raw(raw) => self.raw(raw),
            Event::Totals(totals) => self.totals(totals),
            Event::Lost(lost) => self.lost(lost),
            // Decoded as the source's, but not received from it.
            Event::Notification(raw) => self.rare(raw),
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

    #[inline]
    fn raw(&mut self, raw: &RawEvent<'_>) {
        self.counts.received += 1;
        if self.hooks.on_monitor_event(raw) == Next::Stop {
            return;
        }
        match raw.data.first() {
            Some(&EVENT_DEBUG | &(FIRST_OF_AGENT..)) => self.rare(raw),
            _ => {
                let mut parsed = decode::parse_from(raw, self.producer);
                match &mut parsed {
                    // Looked at where it is: moving a flow copies it, which is a good part of what it costs.
                    Ok(flow) => {
                        if !self.flow(flow) {
                            return;
                        }
                    }
                    Err(error) => return self.failed(error.reason(), raw.time, raw.data),
                }
                if let Ok(flow) = parsed {
                    self.push(Observed::Flow(flow));
                }
            }
        }
    }

    /// What does not come once a packet: it may allocate.
    #[cold]
    fn rare(&mut self, raw: &RawEvent<'_>) {
        match decode::decode(raw, self.producer, &mut self.pairing) {
            Ok(Observed::Flow(mut flow)) => {
                if self.flow(&mut flow) {
                    self.push(Observed::Flow(flow));
                }
            }
            Ok(Observed::Agent(event)) => self.agent(event),
            Ok(Observed::Debug(mut event)) => {
                enrich::debug(&mut event, self.tables.tables());
                self.debug(event);
            }
            Ok(Observed::Lost(lost)) => self.lost(&lost),
            Err(error) => self.failed(error.reason(), raw.time, raw.data),
        }
    }

    fn failed(&mut self, reason: &'static str, time: u64, data: &[u8]) {
        *self.counts.failed.entry(reason).or_default() += 1;
        self.examples.keep(reason, time, data);
    }

    /// Completes and counts a flow; whether it is to be pushed.
    #[inline]
    fn flow(&mut self, flow: &mut Flow) -> bool {
        let tables = self.tables.tables();
        if flow.sock.is_some() && !enrich::socket(flow, tables) {
            // Nobody could say whose socket it was: Hubble skips these, too.
            self.counts.unknown_cgroup += 1;
            return false;
        }
        self.counts.parsed += 1;
        let is_news = enrich::enrich(flow, tables);
        if self.hooks.on_flow(flow) == Next::Stop {
            return false;
        }
        let ingress = ingress_kind(tables, flow.traffic.map_or(0, |traffic| traffic.ingress_ifindex));
        self.aggregation.count(flow, ingress);
        if is_news && let (Some(traffic), Some(ip)) = (&flow.traffic, &flow.ip) {
            (self.learn)(traffic.ifindex, ip.source, flow.time);
        }
        if !self.hooks.has_sinks() {
            return false;
        }
        flow.uuid = uuid::random(&mut self.random);
        true
    }

    #[inline]
    fn push(&mut self, observed: Observed) {
        if !self.hooks.has_sinks() || self.hooks.on_event(&observed) == Next::Stop {
            return;
        }
        self.batch.push(observed);
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
    }

    fn totals(&mut self, totals: &Totals) {
        let tables = self.tables.tables();
        let (source, destination) = enrich::ends(totals, tables);
        let ingress = ingress_kind(tables, totals.traffic.ingress_ifindex);
        self.aggregation.count_totals(totals, &source, &destination, ingress);
    }

    fn lost(&mut self, lost: &Lost) {
        // Another's number, which may be any: it stops nothing, and no sum begins anew.
        let counted = &mut self.counts.lost[lost.source as usize];
        *counted = counted.saturating_add(lost.count);
        self.aggregation.count_lost(lost);
        self.push(Observed::Lost(*lost));
    }

    /// How full the tables of series are.
    fn tell_series(&self) {
        for occupancy in self.aggregation.occupancy() {
            let name = [(attribute::EYEPIECE_METRIC_NAME, occupancy.kind.schema().name)];
            self.telemetry.gauge(metric::EYEPIECE_SERIES_COUNT.name, &name).set(occupancy.series as u64);
            self.telemetry.counter(metric::EYEPIECE_SERIES_OVERFLOWED.name, &name).set(occupancy.overflowed);
            self.telemetry.counter(metric::EYEPIECE_SERIES_EXPIRED.name, &name).set(occupancy.expired);
        }
    }

    /// Lets go of names that neither a series nor a batch can say any more.
    fn release_names(&mut self) {
        self.outstanding.prune();
        let Some(said) = self.aggregation.said() else { return };
        let outstanding = &self.outstanding;
        let mut released = self.ends.release(&said.symbols);
        released |= self.tables.release_names(|gone| {
            let of_interface = gone.interface().is_some_and(|interface| said.interfaces.contains(&interface));
            of_interface || said.symbols.contains(&gone.symbol()) || outstanding.has(gone.snapshots())
        });
        if released {
            self.aggregation.forget_ways();
        }
    }

    fn hand_over(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let batch = Batch::new(if self.batch.len() < WELL_FILLED {
            self.batch.drain(..).collect()
        } else {
            std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH))
        });
        self.outstanding.add(self.tables.number(), &batch);
        self.ends.handed_over(&batch);
        self.hooks.send(&batch);
    }

    fn tell(&mut self) {
        self.examples.show();
        self.hooks.tell();
        let counts = &mut self.counts;
        self.numbers.received.add(std::mem::take(&mut counts.received));
        self.numbers.parsed.add(std::mem::take(&mut counts.parsed));
        self.numbers.agent.add(std::mem::take(&mut counts.agent));
        self.numbers.debug.add(std::mem::take(&mut counts.debug));
        self.numbers.unknown_cgroup.add(std::mem::take(&mut counts.unknown_cgroup));
        for (number, count) in self.numbers.lost.iter().zip(std::mem::take(&mut counts.lost)) {
            number.add_told(count);
        }
        for (reason, count) in counts.failed.drain() {
            let number = self.numbers.failed.entry(reason).or_insert_with(|| {
                self.telemetry.counter(metric::EYEPIECE_FLOWS_FAILED.name, &[(attribute::EYEPIECE_REASON, reason)])
            });
            number.add(count);
        }
    }
}

/// What kind of interface packets came in by; 0 is no interface.
#[inline]
fn ingress_kind(tables: &Tables, ifindex: u32) -> InterfaceKind {
    if ifindex == 0 { InterfaceKind::Other } else { tables.interface(ifindex).kind }
}

#[cfg(test)]
mod tests;
