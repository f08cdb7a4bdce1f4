//! The pipeline with a scripted source: every kind of event arrives at the sink in its order, and is counted once.

use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use eyepiece::metadata::provider::{ChangeReceiver as _, Entity, Key, Provider, Target};
use eyepiece::metadata::registry::Registry;
use eyepiece::metadata::{LinkTables, Publisher, WantedTexts};
use eyepiece::pipeline;
use eyepiece::pipeline::metrics::{Aggregation, Config, ReaderKind};
use eyepiece::pipeline::{Deps, Sink};
use eyepiece::serve::monitor::fanout::Fanout;
use eyepiece::serve::monitor::notification::{Endpoint, Notification};
use eyepiece::serve::monitor::notifier::notifier;
use eyepiece::serve::monitor::tap::Tap;
use eyepiece::source::cilium_monitor::{STABLE_AFTER, STALL};
use eyepiece::source::{Source, Waker, cilium_monitor};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_flow::cilium_release::Release;
use eyepiece_flow::event::{Event, Lost, LostSource, RawEvent};
use eyepiece_flow::gob::encode::{PAYLOAD_DESCRIPTOR, agent_notify, payload};
use eyepiece_flow::gob::{Payload, RECORD_LOST};
use eyepiece_flow::interner::Symbols;
use eyepiece_flow::record::{Batch, Observed};

/// Hands over its payloads and a loss between them, once it is started.
struct Script {
    payloads: Vec<Vec<u8>>,
    started: bool,
    waker: Waker,
}

const LOST: Lost = Lost { source: LostSource::KernelBuffer, cpu: Some(3), count: 7, time: 5 };

impl Source for Script {
    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        Ok(())
    }

    fn stop(&mut self) {
        self.started = false;
    }

    fn read(&mut self, _: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        if !self.started {
            return Ok(0);
        }
        let payloads = std::mem::take(&mut self.payloads);
        for data in &payloads {
            if data.is_empty() {
                sink(&Event::Lost(LOST));
            } else {
                sink(&Event::Raw(RawEvent { time: 1, cpu: 2, data, traffic: None, kernel_drop: None }));
            }
        }
        Ok(payloads.len())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

#[derive(Clone, Default)]
struct Collect(Arc<Mutex<Vec<Observed>>>);

impl Sink for Collect {
    fn send(&mut self, batch: Batch) {
        self.0.lock().expect("no thread has panicked").extend(batch.iter().cloned());
    }
}

fn agent() -> Vec<u8> {
    let mut data = vec![130];
    agent_notify(&mut data, 2, r#"{"time":"2024-05-06T07:08:09Z"}"#);
    data
}

fn socket(cgroup: u64) -> Vec<u8> {
    // The form of 1.18: the producer's release decides.
    let mut data = vec![7, 1, 10, 0, 0, 2];
    data.resize(18, 0);
    data.extend(443_u16.to_le_bytes());
    data.extend(5_u64.to_le_bytes());
    data.extend(cgroup.to_le_bytes());
    data.extend([1, 0]);
    data
}

fn trace() -> Vec<u8> {
    let mut data = vec![0; 48];
    (data[0], data[1], data[14]) = (4, 5, 1);
    data
}

fn debug() -> Vec<u8> {
    let mut data = vec![2, 40];
    data.resize(20, 1);
    data
}

fn parts(source: Box<dyn Source>, telemetry: &Telemetry, sink: &Collect) -> Deps {
    let publisher = Publisher::new(LinkTables::new(&Symbols::default()));
    let registry = Registry::new(Symbols::default(), publisher.clone(), WantedTexts::default());
    let entity = Entity { addresses: [Some(IpAddr::from([10, 0, 0, 1])), None], ..Entity::default() };
    registry.replace(Provider::File, vec![(Key::ControlGroup(9001), Target::Entity(Arc::new(entity)))]);
    registry.publish();
    Deps {
        source,
        producer: Release::V1_18.into(),
        source_kind: "script",
        names: publisher.reader(),
        symbols: Symbols::default(),
        learn: Box::new(|_, _, _| ()),
        learn_process: Box::new(|_| {}),
        aggregation: Aggregation::new(Config::default(), 0),
        event_handlers: Vec::new(),
        sinks: vec![Box::new(sink.clone())],
        telemetry: telemetry.clone(),
        now: || 1,
    }
}

#[test]
fn everything_arrives_in_its_order() {
    let payloads =
        vec![trace(), agent(), Vec::new(), debug(), socket(9001), socket(9002), vec![99], vec![130, 1], trace()];
    let source = Script { payloads, started: false, waker: Waker::new().unwrap() };
    let telemetry = Telemetry::default();
    let sink = Collect::default();
    let parts = parts(Box::new(source), &telemetry, &sink);
    let (handle, thread) = pipeline::spawn(parts).unwrap();
    handle.start().unwrap();
    handle.drain().unwrap();
    drop(handle);
    thread.join().unwrap().unwrap();
    let observed = sink.0.lock().unwrap();
    let kinds: Vec<_> = observed
        .iter()
        .map(|observed| match observed {
            Observed::Flow(flow) => format!("flow {}", flow.event_type.kind),
            Observed::Agent(event) => event.kind.name().to_owned(),
            Observed::Debug(event) => format!("debug {}", event.kind),
            Observed::Lost(lost) => format!("lost {}", lost.count),
        })
        .collect();
    assert_eq!(kinds, ["flow 4", "AGENT_STARTED", "lost 7", "debug 40", "flow 7", "flow 4"]);
    let Some(flow) = observed[4].flow() else { panic!() };
    assert_eq!(flow.ip.unwrap().source, IpAddr::from([10, 0, 0, 1]));
    let ids: Vec<_> = observed
        .iter()
        .filter_map(|observed| match observed {
            Observed::Flow(flow) => Some(flow.uuid),
            Observed::Agent(event) => Some(event.uuid),
            Observed::Debug(event) => Some(event.uuid),
            Observed::Lost(_) => None,
        })
        .collect();
    assert!(ids.iter().all(|id| id[6] >> 4 == 4 && id[8] >> 6 == 2), "{ids:x?}");
    let number = |name: &'static str, attributes: &[(&'static str, &str)]| telemetry.counter(name, attributes).get();
    let kind = "eyepiece.event.kind";
    let reason = "eyepiece.reason";
    assert_eq!(number("eyepiece.events.received", &[("eyepiece.source.kind", "script")]), 8);
    assert_eq!(number("eyepiece.flows.parsed", &[]), 3);
    assert_eq!(number("eyepiece.events.decoded", &[(kind, "agent")]), 1);
    assert_eq!(number("eyepiece.events.decoded", &[(kind, "debug")]), 1);
    assert_eq!(number("eyepiece.events.skipped", &[(reason, "unknown_cgroup")]), 1);
    assert_eq!(number("eyepiece.flows.failed", &[(reason, "unknown_type")]), 1);
    assert_eq!(number("eyepiece.flows.failed", &[(reason, "gob_length")]), 1);
    assert_eq!(number("eyepiece.events.lost", &[(reason, "kernel_buffer")]), 7);
}

#[test]
fn series_begin_when_events_arrive() {
    // Long after the events' own time, as those of another Hubble's ring.
    const NOW: u64 = 3_600_000_000_000;
    let payloads = vec![trace(), Vec::new()];
    let source = Script { payloads, started: false, waker: Waker::new().unwrap() };
    let parts = parts(Box::new(source), &Telemetry::default(), &Collect::default());
    let (handle, thread) = pipeline::spawn(Deps { now: || NOW, ..parts }).unwrap();
    handle.start().unwrap();
    handle.drain().unwrap();
    let snapshot = handle.snapshot(ReaderKind::Interval).unwrap();
    let starts: Vec<_> = snapshot.metrics.iter().flat_map(|metric| &metric.points).map(|point| point.start).collect();
    // The flow; the series of losses begin with the aggregation.
    assert_eq!(starts, [NOW, 0, 0]);
    drop(handle);
    thread.join().unwrap().unwrap();
}

#[test]
fn own_notifications_are_no_source_events() {
    let payloads = vec![trace(), debug(), Vec::new(), socket(9001), socket(9002), vec![99], trace()];
    let source = Script { payloads, started: false, waker: Waker::new().unwrap() };
    let (telemetry, sink) = (Telemetry::default(), Collect::default());
    let (notifier, inbox) = notifier(&telemetry, || 3);
    let tap = Tap::new(Box::new(source), &Fanout::new(&telemetry), inbox);
    let (handle, thread) = pipeline::spawn(parts(Box::new(tap), &telemetry, &sink)).unwrap();
    handle.start().unwrap();
    (1..=5).for_each(|id| notifier.send(Notification::EndpointCreated(Endpoint { id, ..Endpoint::default() })));
    handle.drain().unwrap();
    drop(handle);
    thread.join().unwrap().unwrap();
    let sum = |name| -> u64 {
        let samples = telemetry.samples().into_iter().filter(|sample| sample.key.name == name);
        samples.map(|sample| sample.value).sum()
    };
    let agent = telemetry.counter("eyepiece.events.decoded", &[("eyepiece.event.kind", "agent")]).get();
    let became = sum("eyepiece.flows.parsed")
        + sum("eyepiece.events.decoded")
        + sum("eyepiece.events.skipped")
        + sum("eyepiece.flows.failed");
    assert_eq!((sum("eyepiece.events.received"), agent), (6, 5));
    assert_eq!(became, sum("eyepiece.events.received") + agent);
    let observed = sink.0.lock().unwrap();
    assert_eq!(observed.iter().filter(|one| matches!(one, Observed::Agent(event) if event.time == 3)).count(), 5);
}

/// An agent may send any number: two of the largest in one read, and then another one.
#[test]
fn implausible_losses_never_reset_counter() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("m.sock");
    let server = UnixListener::bind(&socket).unwrap();
    let (telemetry, sink) = (Telemetry::default(), Collect::default());
    let config = cilium_monitor::Config { socket, stall: STALL, stable_after: STABLE_AFTER };
    let (source, _controls) = cilium_monitor::build(config, &telemetry).unwrap();
    let (handle, thread) = pipeline::spawn(parts(Box::new(source), &telemetry, &sink)).unwrap();
    handle.start().unwrap();
    let (mut stream, _) = server.accept().unwrap();
    let mut lie = Vec::new();
    payload(&mut lie, &Payload { data: &[], cpu: 1, lost: u64::MAX, kind: RECORD_LOST });
    let lost = telemetry.counter("eyepiece.events.lost", &[("eyepiece.reason", "kernel_buffer")]);
    for (lies, seen) in [(2, 2), (1, 3)] {
        let head = if seen == 2 { PAYLOAD_DESCRIPTOR } else { &[] };
        stream.write_all(&[head, &lie.repeat(lies)].concat()).unwrap();
        while sink.0.lock().unwrap().len() < seen {
            handle.drain().expect("the pipeline goes on");
        }
        handle.drain().unwrap();
        assert_eq!(lost.get(), u64::MAX, "after {seen}");
    }
    drop(handle);
    thread.join().unwrap().unwrap();
    assert!(sink.0.lock().unwrap().iter().all(|one| matches!(one, Observed::Lost(lost) if lost.count == u64::MAX)));
}
