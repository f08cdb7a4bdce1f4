//! The pipeline as a whole: no allocation on an event's way, and what a full queue of log records keeps.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eyepiece::export::otlp::counters::ExportCounters;
use eyepiece::export::otlp::queue;
use eyepiece::export::otlp::queue::DEFAULT_CAPACITY;
use eyepiece::metadata::{InterfaceInfo, LinkTables, Publisher};
use eyepiece::pipeline;
use eyepiece::pipeline::metrics::{Aggregation, Config, ReaderKind};
use eyepiece::pipeline::{Deps, Handle, Sink};
use eyepiece::source::{Source, Waker};
use eyepiece::support::telemetry::Telemetry;
use eyepiece_config::{LogEvents, Signal};
use eyepiece_flow::cilium_release::Producer;
use eyepiece_flow::event::{Event, RawEvent, TrafficDelta};
use eyepiece_flow::interner::Symbols;
use eyepiece_tests::notification;
use eyepiece_tests::sample;
use eyepiece_wire::{Hook, InterfaceKind};

use crate::counting;

/// Bytes that may be kept for a record that waits, whatever batch it came in: a flow of 392 in room for a third more,
/// and its share of the batch's own and of its place in the queue.
const BYTES_OF_A_RECORD: i64 = 530;
/// The bytes of a full queue.
const BYTES_OF_A_FULL_QUEUE: i64 = 65_536 * BYTES_OF_A_RECORD;

/// Gives the same events at each read, `reads` times, and counts the allocations of handing over the last ones.
struct Repeated {
    payloads: Vec<(&'static str, Vec<u8>)>,
    reads: usize,
    done: Arc<AtomicUsize>,
    allocations: Arc<AtomicUsize>,
    waker: Waker,
}

fn traffic(ifindex: u32) -> TrafficDelta {
    sample::traffic(Hook::FromEndpoint, (ifindex, 0), (1, 64))
}

impl Source for Repeated {
    fn start(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&mut self) {}

    fn read(&mut self, timeout: Duration, sink: &mut dyn FnMut(&Event<'_>)) -> io::Result<usize> {
        if self.done.load(Ordering::Acquire) == self.reads {
            std::thread::sleep(timeout.min(Duration::from_millis(1)));
            return Ok(0);
        }
        let before = counting::operations();
        for (number, (_, payload)) in self.payloads.iter().enumerate() {
            let (time, traffic) = (1000, Some(traffic(number as u32 % 3 + 1)));
            sink(&Event::Raw(RawEvent { time, cpu: 0, data: payload, traffic, kernel_drop: None }));
        }
        self.allocations.store(counting::operations() - before, Ordering::Release);
        self.done.fetch_add(1, Ordering::AcqRel);
        Ok(self.payloads.len())
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }
}

/// Interfaces 1 to 3 are endpoints with names.
fn publisher(symbols: &Symbols) -> Publisher {
    let mut links = LinkTables::new(symbols);
    for ifindex in 1..=3_u16 {
        let name = links.intern(&format!("veth{ifindex}"));
        links.add_interface(
            u32::from(ifindex),
            InterfaceInfo { name, kind: InterfaceKind::Endpoint, endpoint: ifindex },
        );
    }
    let publisher = Publisher::default();
    publisher.publish(links);
    publisher
}

/// Runs a pipeline with `reads` times the given events; returns the allocations of the last time.
fn pass(payloads: Vec<(&'static str, Vec<u8>)>, reads: usize, sinks: Vec<Box<dyn Sink>>) -> (Handle, usize) {
    let (done, allocations) = (Arc::default(), Arc::default());
    let (counted, last) = (Arc::clone(&done), Arc::clone(&allocations));
    let source = Repeated { payloads, reads, done, allocations, waker: Waker::new().expect("a descriptor") };
    let symbols = Symbols::default();
    let (handle, _) = pipeline::spawn(Deps {
        source: Box::new(source),
        producer: Producer::default(),
        source_kind: "test",
        names: publisher(&symbols).reader(),
        symbols: symbols.clone(),
        learn: Box::new(|_, _, _| {}),
        learn_process: Box::new(|_| {}),
        aggregation: Aggregation::new(Config::default(), 0),
        event_handlers: Vec::new(),
        sinks,
        telemetry: Telemetry::default(),
        now: || 2000,
    })
    .expect("a thread");
    while counted.load(Ordering::Acquire) < reads {
        std::thread::yield_now();
    }
    // What the last read gave has been handed over when the next command is answered.
    handle.snapshot(ReaderKind::Interval).expect("it runs");
    (handle, last.load(Ordering::Acquire))
}

#[test]
fn event_on_hot_path_allocates_nothing() {
    let payloads: Vec<_> = notification::usual();
    assert!(payloads.len() > 5, "{} payloads", payloads.len());
    // The first times make the series.
    let (handle, allocations) = pass(payloads, 3, Vec::new());
    let snapshot = handle.snapshot(ReaderKind::Interval).expect("it runs");
    assert!(snapshot.metrics.iter().any(|metric| metric.points.len() > 2), "{snapshot:?}");
    assert_eq!(allocations, 0);
}

#[test]
fn full_queue_is_bounded_in_bytes() {
    // Counts the bytes of all threads.
    eyepiece_tests::own_process!();
    let payload = notification::usual().swap_remove(0);
    // One at a time, a few, the fewest that keep the room they were gathered in, and a full batch.
    for flows in [1, 10, 384, 512] {
        let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
        let before = counting::held_by_all();
        let (sink, queue) = queue::channel(DEFAULT_CAPACITY, 2048, LogEvents::default(), counters.clone());
        let reads = DEFAULT_CAPACITY / flows + 1;
        let (handle, _) = pass(vec![payload.clone(); flows], reads, vec![Box::new(sink.clone())]);
        let kept = counting::held_by_all() - before;
        let refused = (reads * flows - DEFAULT_CAPACITY) as u64;
        assert_eq!((sink.depth(), counters.queue_full.get()), (DEFAULT_CAPACITY, refused), "{flows} at once");
        let each = kept / i64::try_from(DEFAULT_CAPACITY).expect("it fits");
        println!("{flows} at once: {kept} bytes, {each} for a flow of {}", size_of::<eyepiece_flow::flow::Flow>());
        assert!(
            each <= BYTES_OF_A_RECORD && kept <= BYTES_OF_A_FULL_QUEUE,
            "{flows} at once: {kept} bytes, {each} each"
        );
        drop((handle, queue));
    }
}
