//! Lifetime of names in batches and series, and events that precede a source's error.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent, TrafficDelta};
use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow, Ip, Verdict};
use eyepiece_flow::interner::{Symbol, Symbols};
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::metric;
use eyepiece_tests::payload::Packet;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind, Process};

use super::{Deps, Pipeline};
use crate::metadata::provider::{Change, ChangeReceiver as _, Entity, Key, Provider, Target};
use crate::metadata::registry::Registry;
use crate::metadata::{InterfaceInfo, LinkTables, Publisher, WantedTexts};
use crate::pipeline::Sink;
use crate::pipeline::metrics::{Aggregation, Config};
use crate::source::{Source, Waker};
use crate::support::telemetry::Telemetry;

/// Later than any series of these tests stays.
const LATER: u64 = u64::MAX;

/// A sink that keeps its batches, as one with an unreachable receiver.
#[derive(Clone, Default)]
pub(super) struct Stuck(pub(super) Arc<Mutex<Vec<Batch>>>);

impl Sink for Stuck {
    fn send(&mut self, batch: Batch) {
        self.0.lock().unwrap().push(batch);
    }
}

/// Delivers a loss, and then fails.
struct FailingSource(Waker);

impl Source for FailingSource {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        sink(&Event::Lost(Lost { source: LostSource::KernelBuffer, cpu: None, count: 5, time: 1 }));
        Err(io::ErrorKind::Other.into())
    }

    fn waker(&self) -> Waker {
        self.0.clone()
    }
}

/// Delivers a flow of a process's socket, the process, and the flow again.
struct ProcessSource(Waker);

impl Source for ProcessSource {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        let data = Packet::new("192.0.2.1:40000", "203.0.113.9:443", 6, 2).trace(11, (0, 0), (0, 0), 0);
        let traffic = TrafficDelta { process: 5, ..sample::traffic(Hook::ToNetwork, (2, 0), (1, 60)) };
        let flow = Event::Raw(RawEvent { time: 1, cpu: 0, data: &data, traffic: Some(traffic), kernel_drop: None });
        sink(&flow);
        sink(&Event::Process(Process { id: 5, ..Process::default() }));
        sink(&flow);
        Ok(2)
    }

    fn waker(&self) -> Waker {
        self.0.clone()
    }
}

fn pipeline(publisher: &Publisher, symbols: &Symbols, sinks: Vec<Box<dyn Sink>>) -> (Box<dyn Source>, Pipeline) {
    build(Box::new(FailingSource(Waker::new().unwrap())), publisher, symbols, sinks, || 0)
}

/// A pipeline with this source and clock.
pub(super) fn build(
    source: Box<dyn Source>,
    publisher: &Publisher,
    symbols: &Symbols,
    sinks: Vec<Box<dyn Sink>>,
    now: fn() -> u64,
) -> (Box<dyn Source>, Pipeline) {
    Pipeline::new(Deps {
        source,
        producer: Producer::default(),
        source_kind: "test",
        names: publisher.reader(),
        symbols: symbols.clone(),
        learn: Box::new(|_, _, _| {}),
        learn_process: Box::new(|_| {}),
        aggregation: Aggregation::new(Config::default(), 0),
        event_handlers: Vec::new(),
        sinks,
        telemetry: Telemetry::default(),
        now,
    })
}

/// Publishes endpoints by interface.
fn publish(publisher: &Publisher, symbols: &Symbols, names: &[(u32, &str)]) {
    let mut links = LinkTables::new(symbols);
    for &(ifindex, name) in names {
        let info = InterfaceInfo { name: links.intern(name), kind: InterfaceKind::Endpoint, endpoint: ifindex as u16 };
        links.add_interface(ifindex, info);
    }
    publisher.publish(links);
}

/// Counts a packet of the endpoint with this interface and sends it to the sinks. Returns the endpoint's name.
fn pass(pipeline: &mut Pipeline, ifindex: u32, time: u64) -> Symbol {
    let names = Arc::clone(pipeline.names.refresh());
    let links = names.links();
    pipeline.aggregation.set_names(&names);
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
    (flow.time, flow.verdict, flow.ifindex) = (time, Verdict::Forwarded, ifindex);
    flow.source.name = links.endpoint_name(ifindex as u16);
    flow.source.endpoint = ifindex as u16;
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    flow.ip = Some(Ip { source, source_translated: None, destination, version: 4 });
    flow.traffic = Some(sample::traffic(Hook::FromEndpoint, (ifindex, 0), (1, 64)));
    let name = flow.source.name;
    pipeline.aggregation.count(&flow, InterfaceKind::Other);
    pipeline.batch.push(Observed::Flow(flow));
    pipeline.send_batch();
    name
}

/// Replaces all that the pipeline holds by a snapshot without interfaces.
fn forget(pipeline: &mut Pipeline, publisher: &Publisher, symbols: &Symbols) {
    publish(publisher, symbols, &[]);
    pipeline.aggregation.set_names(pipeline.names.refresh());
}

#[test]
fn name_lives_until_last_use() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let (_, mut pipeline) = pipeline(&publisher, &symbols, vec![Box::new(stuck.clone())]);
    publish(&publisher, &symbols, &[(7, "veth7")]);
    let name = pass(&mut pipeline, 7, 100);
    forget(&mut pipeline, &publisher, &symbols);
    let is_known = || &*symbols.text(name) == "veth7";
    {
        let batches = stuck.0.lock().unwrap();
        let (names, flow) = (batches[0].names().unwrap(), batches[0][0].flow().unwrap());
        assert_eq!(names.end(&flow.source).map(|text| &**text), Some("veth7"));
        assert_eq!(names.interface(7).map(|(text, _)| &**text), Some("veth7"));
    }
    pipeline.aggregation.expire(LATER);
    assert!(is_known(), "a batch holds it");
    stuck.0.lock().unwrap().clear();
    assert!(!is_known());

    publish(&publisher, &symbols, &[(7, "veth7")]);
    let name = pass(&mut pipeline, 7, 100);
    forget(&mut pipeline, &publisher, &symbols);
    stuck.0.lock().unwrap().clear();
    let is_known = || &*symbols.text(name) == "veth7";
    assert!(is_known(), "a series holds it");
    let snapshot = pipeline.aggregation.snapshot(200);
    pipeline.aggregation.expire(LATER);
    assert!(is_known(), "a metric snapshot holds it");
    drop(snapshot);
    assert!(!is_known());
}

#[test]
fn batch_keeps_only_its_names() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let (_, mut pipeline) = pipeline(&publisher, &symbols, vec![Box::new(stuck.clone())]);
    publish(&publisher, &symbols, &[(7, "veth7")]);
    let name = pass(&mut pipeline, 7, 100);
    let before = symbols.count();
    for number in 0..500_u32 {
        publish(&publisher, &symbols, &[(8, &format!("churn{number}"))]);
        pipeline.names.refresh();
    }
    assert_eq!((&*symbols.text(name), symbols.count()), ("veth7", before + 1), "and that of the interface");
    stuck.0.lock().unwrap().clear();
    pipeline.aggregation.expire(LATER);
    pipeline.aggregation.set_names(pipeline.names.refresh());
    assert_eq!((&*symbols.text(name), symbols.count()), ("", before));
}

#[test]
fn events_before_error_are_counted() {
    let stuck = Stuck::default();
    let (mut source, mut pipeline) =
        pipeline(&Publisher::default(), &Symbols::default(), vec![Box::new(stuck.clone())]);
    assert!(pipeline.read(&mut *source, Duration::ZERO).is_err());
    assert_eq!(stuck.0.lock().unwrap().iter().map(|batch| batch.len()).sum::<usize>(), 1);
    let samples = pipeline.telemetry.samples();
    let lost = samples.iter().filter(|sample| sample.key.name == metric::EYEPIECE_EVENTS_LOST.name);
    assert_eq!(lost.map(|sample| sample.value).sum::<u64>(), 5);
}

#[test]
fn process_names_flows_that_follow() {
    let (symbols, stuck) = (Symbols::default(), Stuck::default());
    let publisher = Publisher::new(LinkTables::new(&symbols));
    let registry = Registry::new(symbols.clone(), publisher.clone(), WantedTexts::default());
    let (_, mut pipeline) = pipeline(&publisher, &symbols, vec![Box::new(stuck.clone())]);
    pipeline.learn_process = Box::new(move |process| {
        let target = Target::Entity(Arc::new(Entity { name: "curl".to_owned(), ..Entity::default() }));
        registry.apply(Provider::Process, vec![Change::Set(Key::Process(process.id), target)]);
        registry.publish();
    });
    pipeline.read(&mut ProcessSource(Waker::new().unwrap()), Duration::ZERO).unwrap();
    let batches = stuck.0.lock().unwrap();
    let names: Vec<_> = batches
        .iter()
        .flat_map(|batch| batch.iter().filter_map(|entry| batch.names()?.end(&entry.flow()?.source)))
        .map(|name| &**name)
        .collect();
    assert_eq!(names, ["world", "curl"], "each by the names of its time");
}
