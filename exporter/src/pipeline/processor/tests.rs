//! Lifetime of names of removed interfaces, and events that precede a source's error.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::event::{Event, Lost, LostSource, TrafficDelta};
use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow, Ip, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::metric;
use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

use super::{Deps, Pipeline};
use crate::metadata::{InterfaceInfo, Publisher, Tables};
use crate::pipeline::Sink;
use crate::pipeline::metrics::{Aggregation, Config, Identity, MetricKind, Value};
use crate::source::{Source, Waker};
use crate::support::telemetry::Telemetry;

/// Rounds after which a name without a user is dropped.
const ROUNDS: usize = 3;
/// Later than any series of these tests stays.
const LATER: u64 = u64::MAX;

/// A sink that keeps its batches, as one with an unreachable receiver.
#[derive(Clone, Default)]
struct Stuck(Arc<Mutex<Vec<Batch>>>);

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

fn pipeline(publisher: &Publisher, sinks: Vec<Box<dyn Sink>>) -> (Box<dyn Source>, Pipeline) {
    Pipeline::new(Deps {
        source: Box::new(FailingSource(Waker::new().unwrap())),
        producer: Producer::default(),
        source_kind: "test",
        tables: publisher.reader(),
        symbols: Symbols::default(),
        learn: Box::new(|_, _, _| {}),
        aggregation: Aggregation::new(Config::default(), 0),
        hooks: Vec::new(),
        sinks,
        telemetry: Telemetry::default(),
        now: || 0,
    })
}

/// Publishes endpoints by interface.
fn publish(publisher: &Publisher, symbols: &Symbols, names: &[(u32, &str)]) {
    let mut tables = Tables::new(symbols);
    for &(ifindex, name) in names {
        let (lease, kind) = (Arc::new(symbols.lease(name)), InterfaceKind::Endpoint);
        tables.add_interface(ifindex, InterfaceInfo { name: lease.symbol(), kind, endpoint: ifindex as u16 });
        tables.hold(ifindex, lease);
    }
    publisher.publish(tables);
}

/// Counts a packet of the endpoint with this interface and sends it to the sinks.
fn pass(pipeline: &mut Pipeline, ifindex: u32, time: u64) {
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
    (flow.time, flow.verdict, flow.ifindex) = (time, Verdict::Forwarded, ifindex);
    flow.source.name = pipeline.tables.refresh().endpoint_name(ifindex as u16);
    flow.source.endpoint = ifindex as u16;
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    flow.ip = Some(Ip { source, source_translated: None, destination, version: 4 });
    flow.traffic = Some(TrafficDelta {
        hook: Hook::FromEndpoint,
        mark: AnsweredBy::Unknown,
        ifindex,
        ingress_ifindex: 0,
        packets: 1,
        bytes: 64,
        held_packets: 0,
        held_bytes: 0,
        cgroup: 0,
    });
    pipeline.aggregation.count(&flow, InterfaceKind::Other);
    pipeline.batch.push(Observed::Flow(flow));
    pipeline.send_batch();
}

fn release(pipeline: &mut Pipeline) {
    pipeline.tables.refresh();
    (0..ROUNDS).for_each(|_| pipeline.release_names());
}

#[test]
fn name_lives_until_last_use() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let (_, mut pipeline) = pipeline(&publisher, vec![Box::new(stuck.clone())]);
    publish(&publisher, &symbols, &[(7, "veth7")]);
    pass(&mut pipeline, 7, 100);
    let name = pipeline.tables.tables().endpoint_name(7);
    publish(&publisher, &symbols, &[]);
    let known = || (symbols.text(name).to_string(), publisher.retired_name(7).map(|text| text.to_string()));
    let (here, gone) = (("veth7".to_owned(), Some("veth7".to_owned())), (String::new(), None));

    release(&mut pipeline);
    assert_eq!(known(), here, "a series and a batch have it");
    stuck.0.lock().unwrap().clear();
    release(&mut pipeline);
    assert_eq!(known(), here, "a series has it");
    let snapshot = pipeline.aggregation.snapshot(200);
    pipeline.aggregation.expire(LATER);
    release(&mut pipeline);
    assert_eq!(known(), here, "a snapshot has it");
    drop(snapshot);
    release(&mut pipeline);
    assert_eq!(known(), gone);
}

#[test]
fn batch_keeps_only_its_names() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let (_, mut pipeline) = pipeline(&publisher, vec![Box::new(stuck.clone())]);
    publish(&publisher, &symbols, &[(7, "veth7")]);
    pass(&mut pipeline, 7, 100);
    let before = symbols.count();
    for number in 0..500_u32 {
        publish(&publisher, &symbols, &[(8, &format!("churn{number}"))]);
        pipeline.tables.refresh();
    }
    pipeline.aggregation.expire(LATER);
    release(&mut pipeline);
    let name = stuck.0.lock().unwrap()[0][0].flow().unwrap().source.name;
    assert_eq!((&*symbols.text(name), symbols.count()), ("veth7", before + 1), "and that of the interface");
    stuck.0.lock().unwrap().clear();
    release(&mut pipeline);
    assert_eq!((&*symbols.text(name), symbols.count()), ("", before));
}

#[test]
fn reused_symbol_counts_for_new_name() {
    let (symbols, publisher) = (Symbols::default(), Publisher::default());
    let (_, mut pipeline) = pipeline(&publisher, Vec::new());
    publish(&publisher, &symbols, &[(7, "old")]);
    pass(&mut pipeline, 7, 100);
    let old = pipeline.tables.tables().endpoint_name(7);
    publish(&publisher, &symbols, &[]);
    pipeline.aggregation.expire(LATER);
    release(&mut pipeline);
    // All other numbers have been used.
    symbols.rewind(old);
    publish(&publisher, &symbols, &[(7, "new")]);
    pass(&mut pipeline, 7, LATER);
    assert_eq!(pipeline.tables.tables().endpoint_name(7), old);
    let snapshot = pipeline.aggregation.snapshot(LATER);
    let metric = snapshot.metrics.iter().find(|metric| metric.kind == MetricKind::FlowPackets).unwrap();
    let [point] = &metric.points[..] else { panic!("{metric:?}") };
    let Identity::Series { source: Value::Symbol(symbol), .. } = point.identity else { panic!("{point:?}") };
    assert_eq!((point.value, &*symbols.text(symbol)), (1, "new"));
}

#[test]
fn events_before_error_are_counted() {
    let stuck = Stuck::default();
    let (mut source, mut pipeline) = pipeline(&Publisher::default(), vec![Box::new(stuck.clone())]);
    assert!(pipeline.read(&mut *source, Duration::ZERO).is_err());
    assert_eq!(stuck.0.lock().unwrap().iter().map(|batch| batch.len()).sum::<usize>(), 1);
    let samples = pipeline.telemetry.samples();
    let lost = samples.iter().filter(|sample| sample.key.name == metric::EYEPIECE_EVENTS_LOST.name);
    assert_eq!(lost.map(|sample| sample.value).sum::<u64>(), 5);
}
