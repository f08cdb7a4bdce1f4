//! Events of event handlers and sinks, and panics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use eyepiece_flow::event::RawEvent;
use eyepiece_flow::flow::{EventType, Flow};
use eyepiece_flow::record::{Batch, Observed};

use super::{EventHandler, EventHandlers, Next, Sink};
use crate::support::telemetry::Telemetry;

#[derive(Default)]
struct Seen([AtomicU64; 3]);

/// Stops events of one time and panics at another.
struct Guard {
    seen: Arc<Seen>,
    stop: u64,
    panic: u64,
}

impl Guard {
    fn decide(&self, kind: usize, time: u64) -> Next {
        self.seen.0[kind].fetch_add(1, Ordering::Relaxed);
        assert_ne!(time, self.panic, "a panic of the test");
        if time == self.stop { Next::Stop } else { Next::Continue }
    }
}

impl EventHandler for Guard {
    fn name(&self) -> &'static str {
        "guard"
    }

    fn on_monitor_event(&mut self, event: &RawEvent<'_>) -> Next {
        self.decide(0, event.time)
    }

    fn on_flow(&mut self, flow: &mut Flow) -> Next {
        flow.proxy_port += 1;
        self.decide(1, flow.time)
    }

    fn on_event(&mut self, observed: &Observed) -> Next {
        self.decide(2, observed.time())
    }
}

struct Taker(Arc<AtomicU64>, bool);

impl Sink for Taker {
    fn send(&mut self, batch: Batch) {
        assert!(!self.1, "a panic of the test");
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
    }
}

fn raw(time: u64) -> RawEvent<'static> {
    RawEvent { time, cpu: 0, data: &[], traffic: None, kernel_drop: None }
}

fn flow(time: u64) -> Flow {
    Flow { time, ..Flow::empty(EventType::default()) }
}

fn value(telemetry: &Telemetry, name: &str) -> u64 {
    telemetry.samples().iter().filter(|sample| sample.key.name == name).map(|sample| sample.value).sum()
}

#[test]
fn stopped_event_ends_panic_removes_handler() {
    let telemetry = Telemetry::default();
    let seen: [Arc<Seen>; 2] = Default::default();
    let handlers: Vec<Box<dyn EventHandler>> = vec![
        Box::new(Guard { seen: Arc::clone(&seen[0]), stop: 1, panic: 3 }),
        Box::new(Guard { seen: Arc::clone(&seen[1]), stop: 2, panic: u64::MAX }),
    ];
    let mut handlers = EventHandlers::new(handlers, Vec::new(), &telemetry);
    let mut all = |time| {
        let mut flow = flow(time);
        let next = [handlers.on_monitor_event(&raw(time)), handlers.on_flow(&mut flow)];
        let proxy_port = flow.proxy_port;
        (next, handlers.on_event(&Observed::Flow(flow)), proxy_port)
    };
    assert_eq!(all(0), ([Next::Continue; 2], Next::Continue, 2));
    assert_eq!(all(1), ([Next::Stop; 2], Next::Stop, 1), "stopped by the first, the second does not see it");
    assert_eq!(all(2), ([Next::Stop; 2], Next::Stop, 2));
    assert_eq!(all(3), ([Next::Continue; 2], Next::Continue, 1), "the first panics and is gone");
    assert_eq!(all(1), ([Next::Continue; 2], Next::Continue, 1));
    let count = |seen: &Seen| seen.0.each_ref().map(|count| count.load(Ordering::Relaxed));
    assert_eq!((count(&seen[0]), count(&seen[1])), ([4, 3, 3], [4, 4, 4]));
    handlers.publish_counters();
    assert_eq!(value(&telemetry, "eyepiece.events.skipped"), 6);
    assert_eq!(value(&telemetry, "eyepiece.pipeline.failed"), 1);
}

#[test]
fn panicking_sink_leaves_others_unchanged() {
    let telemetry = Telemetry::default();
    let counts: [Arc<AtomicU64>; 3] = Default::default();
    let sinks = counts.iter().zip([false, true, false]);
    let sinks = sinks.map(|(count, fails)| Box::new(Taker(Arc::clone(count), fails)) as Box<dyn Sink>).collect();
    let mut handlers = EventHandlers::new(Vec::new(), sinks, &telemetry);
    for _ in 0..2 {
        handlers.send(&Batch::new(vec![Observed::Flow(flow(1)), Observed::Flow(flow(2))]));
    }
    assert_eq!(counts.each_ref().map(|count| count.load(Ordering::Relaxed)), [4, 0, 4]);
    assert_eq!(value(&telemetry, "eyepiece.pipeline.failed"), 1);
}
