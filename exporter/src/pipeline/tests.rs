//! Names of what is gone: how long they can be looked up. And what becomes of events that came before an error.

use std::sync::{Arc, Mutex};

use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::decode::Pairing;
use eyepiece_flow::event::TrafficDelta;
use eyepiece_flow::flow::{EVENT_TRACE, EventType, Flow, Ip, Verdict};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::{Batch, Observed};
use eyepiece_semconv::metric;
use eyepiece_wire::{AnsweredBy, Hook, InterfaceKind};

use super::hooks::Hooks;
use super::{BATCH, Counts, Ends, Numbers, Outstanding, Sink, Work};
use crate::metadata::{InterfaceInfo, Publisher, Tables};
use crate::pipeline::metrics::{Aggregation, Config, Identity, MetricKind, Value};
use crate::support::telemetry::Telemetry;

/// Rounds after which a name is let go that nobody says.
const ROUNDS: usize = 3;
/// Later than any series of these tests stays.
const LATER: u64 = u64::MAX;

/// A sink that does not come to an end with what it gets, as one whose receiver is away.
#[derive(Clone, Default)]
struct Stuck(Arc<Mutex<Vec<Batch>>>);

impl Sink for Stuck {
    fn send(&mut self, batch: Batch) {
        self.0.lock().unwrap().push(batch);
    }
}

fn work(publisher: &Publisher, sink: Stuck) -> Work {
    let telemetry = Telemetry::default();
    Work {
        tables: publisher.reader(),
        ends: Ends::new(Symbols::default(), &telemetry),
        learn: Box::new(|_, _, _| {}),
        aggregation: Aggregation::new(Config::default(), 0),
        hooks: Hooks::new(Vec::new(), vec![Box::new(sink)], &telemetry),
        batch: Vec::with_capacity(BATCH),
        outstanding: Outstanding::default(),
        counts: Counts::default(),
        numbers: Numbers::new(&telemetry, "test"),
        examples: telemetry.examples().keeper(),
        telemetry,
        random: fastrand::Rng::new(),
        now: || 0,
        producer: Producer::default(),
        pairing: Pairing::default(),
    }
}

/// Endpoints by interface.
fn publish(publisher: &Publisher, symbols: &Symbols, names: &[(u32, &str)]) {
    let mut tables = Tables::new(symbols);
    for &(ifindex, name) in names {
        let (lease, kind) = (Arc::new(symbols.lease(name)), InterfaceKind::Endpoint);
        tables.add_interface(ifindex, InterfaceInfo { name: lease.symbol(), kind, endpoint: ifindex as u16 });
        tables.hold(ifindex, lease);
    }
    publisher.publish(tables);
}

/// Counts a packet of the endpoint with this interface, and hands it to the sinks.
fn pass(work: &mut Work, ifindex: u32, time: u64) {
    let mut flow = Flow::empty(EventType { kind: EVENT_TRACE, subtype: 5 });
    (flow.time, flow.verdict, flow.ifindex) = (time, Verdict::Forwarded, ifindex);
    flow.source.name = work.tables.refresh().endpoint_name(ifindex as u16);
    flow.source.endpoint = ifindex as u16;
    let (source, destination) = ([10, 0, 0, 1].into(), [10, 0, 0, 2].into());
    flow.ip = Some(Ip { source, source_translated: None, destination, version: 4 });
    let (hook, mark) = (Hook::FromEndpoint, AnsweredBy::Unknown);
    flow.traffic = Some(TrafficDelta {
        hook,
        mark,
        ifindex,
        ingress_ifindex: 0,
        packets: 1,
        bytes: 64,
        held_packets: 0,
        held_bytes: 0,
    });
    work.aggregation.count(&flow, InterfaceKind::Other);
    work.batch.push(Observed::Flow(flow));
    work.hand_over();
}

fn release(work: &mut Work) {
    work.tables.refresh();
    (0..ROUNDS).for_each(|_| work.release_names());
}

#[test]
fn a_name_is_let_go_when_neither_series_nor_batches_say_it() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let mut work = work(&publisher, stuck.clone());
    publish(&publisher, &symbols, &[(7, "veth7")]);
    pass(&mut work, 7, 100);
    let name = work.tables.tables().endpoint_name(7);
    publish(&publisher, &symbols, &[]);
    let known = || (symbols.text(name).to_string(), publisher.retired_name(7).map(|text| text.to_string()));
    let (here, gone) = (("veth7".to_owned(), Some("veth7".to_owned())), (String::new(), None));

    release(&mut work);
    assert_eq!(known(), here, "a series and a batch have it");
    stuck.0.lock().unwrap().clear();
    release(&mut work);
    assert_eq!(known(), here, "a series has it");
    let snapshot = work.aggregation.snapshot(200);
    work.aggregation.expire(LATER);
    release(&mut work);
    assert_eq!(known(), here, "a snapshot has it");
    drop(snapshot);
    release(&mut work);
    assert_eq!(known(), gone);
}

#[test]
fn a_batch_keeps_its_names_without_any_series_and_no_others() {
    let (symbols, publisher, stuck) = (Symbols::default(), Publisher::default(), Stuck::default());
    let mut work = work(&publisher, stuck.clone());
    publish(&publisher, &symbols, &[(7, "veth7")]);
    pass(&mut work, 7, 100);
    let before = symbols.count();
    // As many as a receiver that is away for long may miss.
    for number in 0..500_u32 {
        publish(&publisher, &symbols, &[(8, &format!("churn{number}"))]);
        work.tables.refresh();
    }
    work.aggregation.expire(LATER);
    release(&mut work);
    let said = stuck.0.lock().unwrap()[0][0].flow().unwrap().source.name;
    assert_eq!((&*symbols.text(said), symbols.count()), ("veth7", before + 1), "and the one that is there");
    stuck.0.lock().unwrap().clear();
    release(&mut work);
    assert_eq!((&*symbols.text(said), symbols.count()), ("", before));
}

#[test]
fn a_number_that_is_used_again_counts_for_its_new_name() {
    let (symbols, publisher) = (Symbols::default(), Publisher::default());
    let mut work = work(&publisher, Stuck::default());
    work.hooks = Hooks::new(Vec::new(), Vec::new(), &work.telemetry);
    publish(&publisher, &symbols, &[(7, "old")]);
    pass(&mut work, 7, 100);
    let old = work.tables.tables().endpoint_name(7);
    publish(&publisher, &symbols, &[]);
    work.aggregation.expire(LATER);
    release(&mut work);
    // All other numbers have had their turn.
    symbols.rewind(old);
    publish(&publisher, &symbols, &[(7, "new")]);
    pass(&mut work, 7, LATER);
    assert_eq!(work.tables.tables().endpoint_name(7), old);
    let snapshot = work.aggregation.snapshot(LATER);
    let metric = snapshot.metrics.iter().find(|metric| metric.kind == MetricKind::FlowPackets).unwrap();
    let [point] = &metric.points[..] else { panic!("{metric:?}") };
    let Identity::Series { source: Value::Symbol(symbol), .. } = point.identity else { panic!("{point:?}") };
    assert_eq!((point.value, &*symbols.text(symbol)), (1, "new"));
}

/// Delivers news of a loss, and then fails.
struct Fails(crate::source::Waker);

impl crate::source::Source for Fails {
    fn start(&mut self) -> std::io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(
        &mut self,
        _: std::time::Duration,
        sink: &mut dyn FnMut(&eyepiece_flow::event::Event<'_>),
    ) -> std::io::Result<usize> {
        let lost = eyepiece_flow::event::Lost {
            source: eyepiece_flow::event::LostSource::KernelBuffer,
            cpu: None,
            count: 5,
            time: 1,
        };
        sink(&eyepiece_flow::event::Event::Lost(lost));
        Err(std::io::ErrorKind::Other.into())
    }

    fn waker(&self) -> crate::source::Waker {
        self.0.clone()
    }
}

#[test]
fn what_came_before_an_error_is_handed_over_and_counted() {
    let stuck = Stuck::default();
    let mut work = work(&Publisher::default(), stuck.clone());
    let mut source = Fails(crate::source::Waker::new().unwrap());
    assert!(work.read(&mut source, std::time::Duration::ZERO).is_err());
    assert_eq!(stuck.0.lock().unwrap().iter().map(|batch| batch.len()).sum::<usize>(), 1);
    let samples = work.telemetry.samples();
    let lost = samples.iter().filter(|sample| sample.key.name == metric::EYEPIECE_EVENTS_LOST.name);
    assert_eq!(lost.map(|sample| sample.value).sum::<u64>(), 5);
}
