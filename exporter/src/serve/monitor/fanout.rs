//! Publishes events from the pipeline's thread to all listeners: each event is encoded once, and sent in chunks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use eyepiece_flow::event::{Event, Lost, RawEvent};
use eyepiece_flow::gob::encode::payload;
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};
use eyepiece_semconv::{Metric, attribute, metric};

use super::chunk::{Chunk, ChunkPool};
use super::limits::{MAX_LISTENERS, QUEUE_POOL_BYTES};
use super::queue::{Missed, Queue, QueueMetrics};
use crate::support::byte_budget::ByteBudget;
use crate::support::lock::lock;
use crate::support::telemetry::{Number, Telemetry};

/// Events that are counted without encoding while all queues are full, until the next check for room: few, because a
/// listener that makes room meanwhile loses them.
const SKIP_EVENTS: u32 = 64;

/// Ends the wait of the thread that reads the source.
pub type Wake = Box<dyn Fn() + Send + Sync>;

struct FanoutState {
    /// Grows with every change of `queues`.
    generation: AtomicU64,
    /// Queues by slot.
    queues: Mutex<[Option<Arc<Queue>>; MAX_LISTENERS]>,
    /// Ends the wait of the publishing thread; set with the source.
    wake: OnceLock<Wake>,
    telemetry: Telemetry,
    budget: ByteBudget,
    listeners: Number,
    lost: Number,
}

/// The listeners; clones share them.
#[derive(Clone)]
pub struct Fanout(Arc<FanoutState>);

impl Fanout {
    /// Returns a fan-out without listeners.
    pub fn new(telemetry: &Telemetry) -> Self {
        let reason = [(attribute::EYEPIECE_REASON, "listener_queue_full")];
        Self(Arc::new(FanoutState {
            generation: AtomicU64::new(0),
            queues: Mutex::default(),
            wake: OnceLock::new(),
            budget: ByteBudget::new(QUEUE_POOL_BYTES),
            listeners: telemetry.gauge(metric::EYEPIECE_MONITOR_LISTENERS.name, &[]),
            lost: telemetry.counter(metric::EYEPIECE_MONITOR_LOST.name, &reason),
            telemetry: telemetry.clone(),
        }))
    }

    /// Returns the publishing side; `wake` ends the wait of its thread. A fan-out has one publisher.
    pub fn publisher(&self, wake: Wake) -> Publisher {
        // A second publisher would use the wake-up of the first: its listeners get events a wait later.
        self.0.wake.get_or_init(|| wake);
        Publisher::new(self.clone())
    }

    fn queues(&self) -> MutexGuard<'_, [Option<Arc<Queue>>; MAX_LISTENERS]> {
        lock(&self.0.queues)
    }

    /// Adds a listener with a queue of at most `capacity` payloads, if given; `None` if all slots are taken.
    pub(super) fn add(&self, capacity: Option<usize>) -> Option<ListenerSlot> {
        let shared = &self.0;
        let mut queues = self.queues();
        let number = queues.iter().position(Option::is_none)?;
        let name = queue_name(number);
        let attributes = [(attribute::EYEPIECE_QUEUE_NAME, name.as_str())];
        let metrics = QueueMetrics {
            depth: shared.telemetry.gauge(metric::EYEPIECE_QUEUE_DEPTH.name, &attributes),
            lost: shared.telemetry.counter(metric::EYEPIECE_MONITOR_LISTENER_LOST.name, &attributes),
            lost_total: shared.lost.clone(),
        };
        if let Some(payloads) = capacity {
            shared.telemetry.gauge(metric::EYEPIECE_QUEUE_CAPACITY.name, &attributes).set(payloads as u64);
        }
        let queue = Arc::new(Queue::new(capacity, &shared.budget, metrics));
        queues[number] = Some(Arc::clone(&queue));
        self.changed(&*queues);
        Some(ListenerSlot { queue, number, fanout: self.clone() })
    }

    fn changed(&self, queues: &[Option<Arc<Queue>>]) {
        self.0.listeners.set(queues.iter().flatten().count() as u64);
        self.0.generation.fetch_add(1, Ordering::Release);
        if let Some(wake) = self.0.wake.get() {
            wake();
        }
    }
}

fn queue_name(slot: usize) -> String {
    format!("monitor_listener_{slot}")
}

/// A listener's slot; free again on drop.
pub(super) struct ListenerSlot {
    pub(super) queue: Arc<Queue>,
    pub(super) number: usize,
    fanout: Fanout,
}

impl Drop for ListenerSlot {
    fn drop(&mut self) {
        self.queue.close();
        let mut queues = self.fanout.queues();
        queues[self.number] = None;
        // Under the lock: the next listener of this slot registers the same names.
        let name = queue_name(self.number);
        let remove = |metric: &Metric| {
            self.fanout.0.telemetry.remove(metric.name, &[(attribute::EYEPIECE_QUEUE_NAME, &name)]);
        };
        remove(&metric::EYEPIECE_QUEUE_DEPTH);
        remove(&metric::EYEPIECE_QUEUE_CAPACITY);
        // A sum stays for the slot's next listener, since counters must not fall. There are as many sums as slots.
        if self.queue.lost() == 0 {
            remove(&metric::EYEPIECE_MONITOR_LISTENER_LOST);
        }
        self.fanout.changed(&*queues);
    }
}

/// The publishing side, owned by the thread that reads the source.
pub struct Publisher {
    fanout: Fanout,
    generation: u64,
    queues: Vec<Arc<Queue>>,
    chunk: Chunk,
    pool: ChunkPool,
    /// Events that were skipped because all queues were full.
    missed: Missed,
    /// Events to skip before the next check for room.
    skip_left: u32,
}

impl Publisher {
    fn new(fanout: Fanout) -> Self {
        let (queues, chunk, pool) = Default::default();
        Self { fanout, generation: 0, queues, chunk, pool, missed: Missed::default(), skip_left: 0 }
    }

    /// Updates the list of queues, once per read: one atomic load if no listener joined or left.
    pub fn refresh(&mut self) {
        let generation = self.fanout.0.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        self.queues.clear();
        self.queues.extend(self.fanout.queues().iter().flatten().cloned());
        if self.queues.is_empty() {
            // Without listeners the publisher holds no memory.
            (self.chunk, self.pool) = Default::default();
        }
        self.check_room();
    }

    /// Returns whether there is no listener.
    pub const fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// Encodes one event for all listeners. Call it only while there are listeners.
    #[inline]
    pub fn publish(&mut self, event: &Event<'_>) {
        if self.skip_left > 0 {
            return self.skip(event);
        }
        match event {
            Event::Raw(raw) | Event::Notification(raw) => self.push_payload(raw),
            Event::Lost(lost) => self.push_loss(lost),
            // From our own datapath or from another Hubble, without payloads: unknown to monitor clients.
            Event::Totals(_) | Event::Process(_) | Event::Observed(_) | Event::Undecodable(_) => return,
        }
        if self.chunk.is_full() {
            self.publish_chunk();
        }
    }

    /// Counts an event while all queues are full.
    #[inline]
    fn skip(&mut self, event: &Event<'_>) {
        let (events, missed) = match event {
            Event::Raw(_) | Event::Notification(_) => (1, 1),
            Event::Lost(lost) => (0, lost.count),
            Event::Totals(_) | Event::Process(_) | Event::Observed(_) | Event::Undecodable(_) => return,
        };
        self.missed.events += events;
        self.missed.missed = self.missed.missed.saturating_add(missed);
        self.skip_left -= 1;
        if self.skip_left == 0 {
            self.report_missed();
            self.check_room();
        }
    }

    /// Starts to skip events if all queues are full.
    fn check_room(&mut self) {
        self.skip_left = if self.queues.iter().all(|queue| queue.is_full()) { SKIP_EVENTS } else { 0 };
    }

    fn report_missed(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed != Missed::default() {
            for queue in &self.queues {
                queue.miss(missed);
            }
        }
    }

    #[inline]
    fn push_payload(&mut self, raw: &RawEvent<'_>) {
        let message = Payload { data: raw.data, cpu: i64::from(raw.cpu), lost: 0, kind: EVENT_SAMPLE };
        self.chunk.push(|out| payload(out, &message));
    }

    fn push_loss(&mut self, lost: &Lost) {
        self.chunk.push_loss(lost.count, |out| record_lost(out, lost.cpu, lost.count));
    }

    /// Publishes the collected events and wakes listeners, once per read.
    pub fn flush(&mut self) {
        self.publish_chunk();
        for queue in &self.queues {
            queue.flush();
        }
    }

    fn publish_chunk(&mut self) {
        self.report_missed();
        if !self.chunk.is_empty() {
            let chunk = self.chunk.take(&mut self.pool);
            for queue in &self.queues {
                queue.offer(&chunk);
            }
        }
        self.check_room();
    }
}

/// Appends the payload that reports the loss of `count` events.
pub fn record_lost(out: &mut Vec<u8>, cpu: Option<u16>, count: u64) {
    payload(out, &Payload { data: &[], cpu: i64::from(cpu.unwrap_or(0)), lost: count, kind: RECORD_LOST });
}
