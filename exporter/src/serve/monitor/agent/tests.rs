//! Subscribers and listeners, and when the source starts and stops.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};

use eyepiece_flow::event::{Event, RawEvent};

use super::{Agent, ListenError, SourceSwitch};
use crate::serve::monitor::fanout::Fanout;
use crate::serve::monitor::limits::MAX_LISTENERS;
use crate::serve::monitor::queue::Queue;
use crate::support::telemetry::{Kind, Telemetry};

#[derive(Clone, Default)]
struct Recorder {
    calls: Arc<Mutex<Vec<&'static str>>>,
    fails: bool,
}

impl Recorder {
    fn agent(&self, telemetry: &Telemetry) -> Agent {
        Agent::new(self.clone(), Fanout::new(telemetry))
    }

    fn calls(&self) -> Vec<&'static str> {
        self.calls.lock().unwrap().clone()
    }
}

impl SourceSwitch for Recorder {
    fn start(&self) -> io::Result<()> {
        self.calls.lock().unwrap().push("start");
        if self.fails { Err(io::Error::other("no")) } else { Ok(()) }
    }

    fn stop(&self) {
        self.calls.lock().unwrap().push("stop");
    }
}

#[test]
fn first_subscriber_starts_last_stops() {
    let recorder = Recorder::default();
    let agent = recorder.agent(&Telemetry::default());
    let first = agent.subscribe().unwrap();
    let second = agent.listen(Some(1)).unwrap();
    drop(first);
    assert_eq!(recorder.calls(), ["start"]);
    drop(second);
    assert_eq!(recorder.calls(), ["start", "stop"]);
    for _ in 0..1000 {
        drop(agent.listen(Some(1)).unwrap());
    }
    assert_eq!((recorder.calls().len(), agent.subscribers()), (2 + 2000, 0));
}

#[test]
fn failed_start_leaves_no_subscriber() {
    let recorder = Recorder { fails: true, ..Recorder::default() };
    let telemetry = Telemetry::default();
    let agent = recorder.agent(&telemetry);
    let before = telemetry.samples();
    assert!(agent.subscribe().is_err());
    assert!(matches!(agent.listen(Some(1)), Err(ListenError::Start { .. })));
    assert_eq!(agent.subscribers(), 0);
    assert_eq!(recorder.calls(), ["start", "start"]);
    assert_eq!(telemetry.samples(), before);
}

#[test]
fn listeners_are_bounded_without_stale_metrics() {
    let telemetry = Telemetry::default();
    let agent = Recorder::default().agent(&telemetry);
    let before = telemetry.samples();
    let mut listeners: Vec<_> = (0..MAX_LISTENERS).map(|_| agent.listen(Some(7)).unwrap()).collect();
    assert!(matches!(agent.listen(Some(7)), Err(ListenError::Full)));
    assert_eq!((agent.subscribers(), telemetry.samples().len()), (MAX_LISTENERS, before.len() + 3 * MAX_LISTENERS));
    drop(listeners.remove(3));
    let again = agent.listen(Some(7)).unwrap();
    assert_eq!(again.slot(), 3);
    drop((listeners, again));
    assert_eq!((agent.subscribers(), telemetry.samples()), (0, before));
}

fn event(data: &[u8]) -> Event<'_> {
    Event::Raw(RawEvent { time: 1, cpu: 1, data, traffic: None, kernel_drop: None })
}

#[test]
fn unread_burst_stays_within_bounds() {
    const EVENTS: usize = 100_000;
    // A trace of a packet that is cut at 128 bytes; read one by one, and as from a busy ring.
    let data = [0x55; size_of::<eyepiece_wire::TraceNotify>() + 128];
    for (read, capacity, kept) in
        [(1, None, EVENTS), (4096, None, EVENTS), (1, Some(2048), 2048), (4096, Some(2048), 2048)]
    {
        let telemetry = Telemetry::default();
        let fanout = Fanout::new(&telemetry);
        let listener = Agent::new(Recorder::default(), fanout.clone()).listen(capacity).unwrap();
        let mut publisher = fanout.publisher(Box::new(|| {}));
        publisher.refresh();
        for number in 1..=EVENTS {
            publisher.publish(&event(&data));
            if number % read == 0 {
                publisher.flush();
            }
        }
        publisher.flush();
        println!("{read} {capacity:?}: {} bytes", listener.slot.queue.memory());
        let lost = listener.slot.queue.lost();
        assert_eq!((listener.waiting(), lost), (kept, (EVENTS - kept) as u64), "{read} {capacity:?}");
    }
}

/// Listeners join, lose events and leave in random order; slots are reused.
#[test]
fn sums_never_fall_when_listeners_leave() {
    let mut random = fastrand::Rng::with_seed(1);
    let telemetry = Telemetry::default();
    let fanout = Fanout::new(&telemetry);
    let agent = Agent::new(Recorder::default(), fanout.clone());
    let mut publisher = fanout.publisher(Box::new(|| {}));
    let (mut listeners, mut largest) = (Vec::new(), BTreeMap::new());
    for step in 0..2000 {
        match random.u8(..3) {
            0 => listeners.extend(agent.listen(Some(random.usize(..4))).ok()),
            1 if !listeners.is_empty() => drop(listeners.swap_remove(random.usize(..listeners.len()))),
            _ => {
                publisher.refresh();
                if !publisher.is_idle() {
                    (0..random.u8(..8)).for_each(|_| publisher.publish(&event(&[1])));
                    publisher.flush();
                }
            }
        }
        for sample in telemetry.samples().into_iter().filter(|sample| sample.kind == Kind::Counter) {
            let before = largest.insert(sample.key.clone(), sample.value).unwrap_or_default();
            assert!(before <= sample.value, "step {step}: {before} before {sample:?}");
        }
    }
    let sum = |name| largest.iter().filter(|(key, _)| key.name == name).map(|(_, value)| value).sum::<u64>();
    let (of_slots, of_all) = (sum("eyepiece.monitor.listener.lost"), sum("eyepiece.monitor.lost"));
    assert!(of_all > 1000 && of_slots == of_all, "{of_slots} of {of_all}");
}

/// Checks the queue when the last subscription ends.
struct QueueCheck(Arc<Mutex<Option<Arc<Queue>>>>);

impl SourceSwitch for QueueCheck {
    fn start(&self) -> io::Result<()> {
        Ok(())
    }

    fn stop(&self) {
        let queue = self.0.lock().unwrap().take().unwrap();
        assert_eq!(queue.waiting(), 0, "the queue is freed first");
    }
}

#[test]
fn queue_is_freed_before_source_stops() {
    let fanout = Fanout::new(&Telemetry::default());
    let seen = Arc::<Mutex<Option<Arc<Queue>>>>::default();
    let agent = Agent::new(QueueCheck(Arc::clone(&seen)), fanout.clone());
    let listener = agent.listen(Some(10)).unwrap();
    let mut publisher = fanout.publisher(Box::new(|| {}));
    publisher.refresh();
    publisher.publish(&event(&[1; 100]));
    publisher.flush();
    assert_eq!(listener.waiting(), 1);
    *seen.lock().unwrap() = Some(Arc::clone(&listener.slot.queue));
    drop(listener);
    assert!(seen.lock().unwrap().is_none(), "the queue was checked");
}
