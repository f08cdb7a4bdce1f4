//! Flows and totals of new endpoints wait for names.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use eyepiece_flow::event::{Event, Totals, Transport};
use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::Observed;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind};

use super::Pipeline;
use super::tests::{Stuck, build};
use crate::metadata::provider::{Change, ChangeReceiver as _, Condition, Entity, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::metadata::{InterfaceInfo, LinkTables, Publisher, WantedTexts};
use crate::source::{Source, Waker};

/// Two endpoints, and their network namespaces.
const ENDPOINTS: [(u16, u32); 2] = [(7, 4707), (8, 4708)];

thread_local! {
    /// The clock of this test's thread, in ms.
    static NOW: Cell<u64> = const { Cell::new(1_000) };
}

/// A source without events, which keeps the longest wait that the pipeline allowed.
struct Silent {
    waker: Waker,
    wait: Duration,
    is_broken: bool,
}

impl Source for Silent {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, wait: Duration, _: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        self.wait = wait;
        if self.is_broken { Err(io::ErrorKind::Other.into()) } else { Ok(0) }
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

struct Bench {
    symbols: Symbols,
    publisher: Publisher,
    registry: Arc<Registry>,
    source: Silent,
    pipeline: Pipeline,
    stuck: Stuck,
}

impl Bench {
    fn new(condition: Condition) -> Self {
        // Tests may share a thread.
        NOW.set(1_000);
        let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
        let registry = Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default());
        let silent = || Silent { waker: Waker::new().unwrap(), wait: Duration::ZERO, is_broken: false };
        let clock = || NOW.get() * 1_000_000;
        let (_, pipeline) = build(Box::new(silent()), &publisher, &symbols, vec![Box::new(stuck.clone())], clock);
        let mut bench = Self { symbols, publisher, registry, source: silent(), pipeline, stuck };
        bench.links(&ENDPOINTS);
        bench.registry.report(Provider::Docker, condition, 0);
        bench.read();
        bench
    }

    /// Publishes endpoints, each with the address 10.0.0.ENDPOINT.
    fn links(&self, endpoints: &[(u16, u32)]) {
        self.links_with(endpoints, endpoints);
    }

    /// Publishes endpoints, of which some have their address.
    fn links_with(&self, endpoints: &[(u16, u32)], listed: &[(u16, u32)]) {
        let mut links = LinkTables::new(&self.symbols);
        for &(endpoint, inode) in endpoints {
            let (name, kind) = (links.intern(&format!("veth{endpoint}")), InterfaceKind::Endpoint);
            links.add_interface(endpoint.into(), InterfaceInfo { name, kind, endpoint });
            links.add_namespace(inode, endpoint);
        }
        for &(endpoint, _) in listed {
            links.add_endpoint_address([10, 0, 0, endpoint as u8].into(), endpoint, false);
        }
        self.publisher.publish(links);
    }

    /// Lets the pipeline read, after the registry has published.
    fn read(&mut self) {
        self.registry.publish();
        self.pipeline.read(&mut self.source, Duration::from_secs(1)).unwrap();
    }

    fn name(&self, (_, inode): (u16, u32), name: &str) {
        let entity = Target::Entity(Arc::new(Entity { name: name.to_owned(), ..Entity::default() }));
        self.registry.apply(Provider::Docker, vec![Change::Set(Key::Namespace(inode), entity)]);
    }

    /// A packet that an endpoint sends to the world.
    fn send(&mut self, (endpoint, _): (u16, u32)) {
        self.pass(5, endpoint, [10, 0, 0, endpoint as u8], [192, 0, 2, 1]);
    }

    /// A packet of an endpoint that reaches another one.
    fn deliver(&mut self, (from, _): (u16, u32), (to, _): (u16, u32)) {
        self.pass(0, to, [10, 0, 0, from as u8], [10, 0, 0, to as u8]);
    }

    /// A packet at an observation point of an endpoint.
    fn pass(&mut self, point: u8, endpoint: u16, source: [u8; 4], destination: [u8; 4]) {
        let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: point });
        (flow.verdict, flow.datapath_endpoint, flow.observation_point) = (Verdict::Forwarded, endpoint, Some(point));
        flow.time = NOW.get() * 1_000_000;
        flow.ip = Some(sample::ip(source, destination));
        let hook = if point == 0 { Hook::ToEndpoint } else { Hook::FromEndpoint };
        flow.traffic = Some(sample::traffic(hook, (endpoint.into(), 0), (1, 64)));
        self.pipeline.handle_slow_path_flow(flow);
    }

    /// Packets of an endpoint that no event carried.
    fn add_totals(&mut self, (endpoint, _): (u16, u32)) {
        self.pipeline.totals(&Totals {
            traffic: sample::traffic(Hook::FromEndpoint, (endpoint.into(), 0), (1, 64)),
            addresses: Some(([10, 0, 0, endpoint as u8].into(), [192, 0, 2, 1].into())),
            transport: Transport::default(),
        });
    }

    /// Packets that were counted.
    fn counted(&self) -> u64 {
        let snapshot = self.pipeline.aggregation.snapshot(0);
        snapshot.metrics.iter().flat_map(|metric| &metric.points).map(|point| point.value).sum()
    }

    /// The names of the sources that sinks have received.
    fn take(&mut self) -> Vec<String> {
        self.pipeline.send_batch();
        let batches = std::mem::take(&mut *self.stuck.0.lock().unwrap());
        let names = batches.iter().flat_map(|batch| {
            let name = |observed: &Observed| {
                let source = observed.flow()?.source;
                batch.names()?.end(&source).map(ToString::to_string)
            };
            batch.iter().map(move |observed| name(observed).unwrap_or_default())
        });
        names.collect()
    }
}

#[test]
fn new_endpoint_waits_for_name() {
    let mut bench = Bench::new(Condition::Current);
    let [web, job] = ENDPOINTS;
    bench.name(web, "web");
    bench.read();
    bench.send(job);
    bench.send(web);
    bench.read();
    assert_eq!((bench.take(), bench.source.wait), (vec!["web".to_owned()], super::NAME_POLL));
    bench.name(job, "job");
    bench.read();
    assert_eq!((bench.take(), bench.source.wait), (vec!["job".to_owned()], Duration::from_secs(1)));
    bench.send(job);
    assert_eq!(bench.take(), ["job"]);
}

#[test]
fn packet_at_peer_waits_for_sender() {
    let mut bench = Bench::new(Condition::Current);
    let [web, job] = ENDPOINTS;
    bench.name(web, "web");
    bench.links_with(&ENDPOINTS, &[web]);
    bench.read();
    bench.send(job);
    bench.deliver(job, web);
    bench.name(job, "job");
    bench.read();
    assert_eq!(bench.take(), ["job"]);
    // Named, but its address is not listed yet.
    bench.deliver(job, web);
    bench.read();
    assert_eq!(bench.take(), <[&str; 0]>::default());
    bench.links(&ENDPOINTS);
    bench.read();
    assert_eq!(bench.take(), ["job", "job"]);
}

#[test]
fn unlisted_address_delays_once() {
    let mut bench = Bench::new(Condition::Current);
    let [web, job] = ENDPOINTS;
    bench.name(web, "web");
    bench.name(job, "job");
    bench.links_with(&ENDPOINTS, &[web]);
    bench.read();
    bench.send(job);
    bench.deliver(job, web);
    for (time, expected) in [(1_499, vec!["job"]), (1_500, vec!["world"])] {
        NOW.set(time);
        bench.read();
        assert_eq!(bench.take(), expected, "{time}");
    }
    bench.send(job);
    bench.deliver(job, web);
    assert_eq!(bench.take(), ["job", "world"]);
}

#[test]
fn former_owner_of_address_names_nothing() {
    let mut bench = Bench::new(Condition::Current);
    let [_, job] = ENDPOINTS;
    let address = Key::Address([10, 0, 0, 8].into());
    let entity = |name: &str| Target::Entity(Arc::new(Entity { name: name.to_owned(), ..Entity::default() }));
    bench.registry.apply(Provider::Docker, vec![Change::Set(address.clone(), entity("former"))]);
    bench.read();
    bench.send(job);
    // The address goes on to the next one, while the packet waits.
    bench.links(&[ENDPOINTS[0]]);
    bench.registry.apply(Provider::Docker, vec![Change::Set(address, entity("next"))]);
    NOW.set(1_500);
    bench.read();
    assert_eq!(bench.take(), [""]);
}

#[test]
fn unnamed_endpoint_waits_once() {
    let mut bench = Bench::new(Condition::Current);
    let [_, job] = ENDPOINTS;
    bench.send(job);
    for (time, expected) in [(1_499, vec![]), (1_500, vec!["veth8".to_owned()])] {
        NOW.set(time);
        bench.read();
        assert_eq!(bench.take(), expected, "{time}");
    }
    bench.send(job);
    assert_eq!(bench.take(), ["veth8"]);
}

#[test]
fn clock_set_back_ends_wait() {
    let mut bench = Bench::new(Condition::Current);
    bench.send(ENDPOINTS[0]);
    NOW.set(999);
    bench.read();
    assert_eq!(bench.take(), ["veth7"]);
}

#[test]
fn nothing_waits_without_provider() {
    let mut bench = Bench::new(Condition::Connecting(None));
    bench.send(ENDPOINTS[0]);
    assert_eq!(bench.take(), ["veth7"]);
}

#[test]
fn totals_wait_for_names() {
    let mut bench = Bench::new(Condition::Current);
    bench.add_totals(ENDPOINTS[0]);
    assert_eq!(bench.counted(), 0);
    bench.name(ENDPOINTS[0], "web");
    bench.read();
    assert!(bench.counted() > 0);
}

#[test]
fn full_queue_lets_flows_pass() {
    let mut bench = Bench::new(Condition::Current);
    for _ in 0..=crate::pipeline::name_wait::MAX_WAITING {
        bench.send(ENDPOINTS[0]);
    }
    assert_eq!(bench.take().len(), 1);
}

#[test]
fn end_processes_what_waits() {
    for is_broken in [false, true] {
        let mut bench = Bench::new(Condition::Current);
        bench.send(ENDPOINTS[0]);
        bench.source.is_broken = is_broken;
        if is_broken {
            bench.pipeline.read(&mut bench.source, Duration::ZERO).unwrap_err();
        } else {
            bench.pipeline.finish();
        }
        assert_eq!(bench.take(), ["veth7"], "{is_broken}");
    }
}
