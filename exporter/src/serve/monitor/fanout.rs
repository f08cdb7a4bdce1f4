//! From the pipeline's thread to all listeners: each event is encoded once, and handed out by chunks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use eyepiece_flow::event::{Event, Lost, RawEvent};
use eyepiece_flow::gob::encode::payload;
use eyepiece_flow::gob::{EVENT_SAMPLE, Payload, RECORD_LOST};
use eyepiece_semconv::{Metric, attribute, metric};

use super::budget::Budget;
use super::chunk::{Chunk, Pool};
use super::queue::{Missed, Numbers, Queue};
use crate::support::telemetry::{Number, Telemetry};

/// Listeners at the same time. A node has a handful of monitor clients; each may hold [`super::queue::QUEUE_BYTES`], and
/// all of them [`super::budget::TOTAL`].
pub const LISTENERS_MAX: usize = 32;

/// Events that are only counted, at once, while no queue has room: few, for whoever makes room meanwhile misses them.
const BLIND: u32 = 64;

/// Ends the wait of the thread that reads the source.
pub type Wake = Box<dyn Fn() + Send + Sync>;

struct Shared {
    /// Grows with every change of `queues`.
    generation: AtomicU64,
    /// By slot.
    queues: Mutex<[Option<Arc<Queue>>; LISTENERS_MAX]>,
    /// Ends the wait of the thread that publishes; there is none before there is a source.
    wake: OnceLock<Wake>,
    telemetry: Telemetry,
    budget: Budget,
    listeners: Number,
    lost: Number,
}

/// Who listens; cloning shares it.
#[derive(Clone)]
pub struct Fanout(Arc<Shared>);

impl Fanout {
    /// Nobody listens yet.
    pub fn new(telemetry: &Telemetry) -> Self {
        let reason = [(attribute::EYEPIECE_REASON, "listener_queue_full")];
        Self(Arc::new(Shared {
            generation: AtomicU64::new(0),
            queues: Mutex::default(),
            wake: OnceLock::new(),
            budget: Budget::default(),
            listeners: telemetry.gauge(metric::EYEPIECE_MONITOR_LISTENERS.name, &[]),
            lost: telemetry.counter(metric::EYEPIECE_MONITOR_LOST.name, &reason),
            telemetry: telemetry.clone(),
        }))
    }

    /// The side of the thread that reads a source, and what ends that thread's wait. There is one for a fan-out.
    pub fn publisher(&self, wake: Wake) -> Publisher {
        // A second publisher would have the first's: its listeners hear of events a wait later.
        self.0.wake.get_or_init(|| wake);
        Publisher::idle(self.clone())
    }

    fn queues(&self) -> MutexGuard<'_, [Option<Arc<Queue>>; LISTENERS_MAX]> {
        self.0.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener with a queue of `capacity` payloads, where there is such a bound; `None` if [`LISTENERS_MAX`]
    /// listen already.
    pub(super) fn add(&self, capacity: Option<usize>) -> Option<Seat> {
        let shared = &self.0;
        let mut queues = self.queues();
        let slot = queues.iter().position(Option::is_none)?;
        let name = queue_name(slot);
        let queue = [(attribute::EYEPIECE_QUEUE_NAME, name.as_str())];
        let numbers = Numbers {
            depth: shared.telemetry.gauge(metric::EYEPIECE_QUEUE_DEPTH.name, &queue),
            lost: shared.telemetry.counter(metric::EYEPIECE_MONITOR_LISTENER_LOST.name, &queue),
            lost_total: shared.lost.clone(),
        };
        if let Some(payloads) = capacity {
            shared.telemetry.gauge(metric::EYEPIECE_QUEUE_CAPACITY.name, &queue).set(payloads as u64);
        }
        let queue = Arc::new(Queue::new(capacity, shared.budget.clone(), numbers));
        queues[slot] = Some(Arc::clone(&queue));
        self.changed(&*queues);
        Some(Seat { queue, slot, fanout: self.clone() })
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

/// A listener's place; dropping it gives it up.
pub(super) struct Seat {
    pub(super) queue: Arc<Queue>,
    pub(super) slot: usize,
    fanout: Fanout,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.queue.close();
        let mut queues = self.fanout.queues();
        queues[self.slot] = None;
        // Under the lock: the next one in this slot registers the same names.
        let name = queue_name(self.slot);
        let forget = |metric: &Metric| {
            self.fanout.0.telemetry.remove(metric.name, &[(attribute::EYEPIECE_QUEUE_NAME, &name)]);
        };
        forget(&metric::EYEPIECE_QUEUE_DEPTH);
        forget(&metric::EYEPIECE_QUEUE_CAPACITY);
        // The slot's next listener continues a sum: one that began again would fall. There are no more than slots.
        if self.queue.lost() == 0 {
            forget(&metric::EYEPIECE_MONITOR_LISTENER_LOST);
        }
        self.fanout.changed(&*queues);
    }
}

/// The publishing side, owned by the thread that reads.
pub struct Publisher {
    fanout: Fanout,
    generation: u64,
    queues: Vec<Arc<Queue>>,
    chunk: Chunk,
    pool: Pool,
    /// Events that nobody has room for: they are not even encoded.
    missed: Missed,
    /// How many more go the same way before it is looked again.
    blind: u32,
}

impl Publisher {
    fn idle(fanout: Fanout) -> Self {
        let (queues, chunk, pool) = Default::default();
        Self { fanout, generation: 0, queues, chunk, pool, missed: Missed::default(), blind: 0 }
    }

    /// Takes note of who came and went: one atomic load where nobody did. Once a read.
    pub fn refresh(&mut self) {
        let generation = self.fanout.0.generation.load(Ordering::Acquire);
        if generation == self.generation {
            return;
        }
        self.generation = generation;
        self.queues.clear();
        self.queues.extend(self.fanout.queues().iter().flatten().cloned());
        if self.queues.is_empty() {
            // Nobody listens: nothing is held for anybody.
            (self.chunk, self.pool) = Default::default();
        }
        self.look();
    }

    /// Whether nobody listens.
    pub const fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// Encodes one event for all listeners. Call it only while somebody listens.
    #[inline]
    pub fn publish(&mut self, event: &Event<'_>) {
        if self.blind > 0 {
            return self.skip(event);
        }
        match event {
            Event::Raw(raw) | Event::Notification(raw) => self.raw(raw),
            Event::Lost(lost) => self.lost(lost),
            // Of our own datapath alone, or of another Hubble, which does not pass on payloads: no monitor client knows
            // them.
            Event::Totals(_) | Event::Observed(_) | Event::Undecodable(_) => return,
        }
        if self.chunk.is_full() {
            self.hand_out();
        }
    }

    /// Counts an event that nobody has room for.
    #[inline]
    fn skip(&mut self, event: &Event<'_>) {
        let (events, missed) = match event {
            Event::Raw(_) | Event::Notification(_) => (1, 1),
            Event::Lost(lost) => (0, lost.count),
            Event::Totals(_) | Event::Observed(_) | Event::Undecodable(_) => return,
        };
        self.missed.events += events;
        self.missed.missed = self.missed.missed.saturating_add(missed);
        self.blind -= 1;
        if self.blind == 0 {
            self.tell_missed();
            self.look();
        }
    }

    /// Whether there is nobody who has room.
    fn look(&mut self) {
        self.blind = if self.queues.iter().all(|queue| queue.is_full()) { BLIND } else { 0 };
    }

    fn tell_missed(&mut self) {
        let missed = std::mem::take(&mut self.missed);
        if missed != Missed::default() {
            for queue in &self.queues {
                queue.miss(missed);
            }
        }
    }

    #[inline]
    fn raw(&mut self, raw: &RawEvent<'_>) {
        let message = Payload { data: raw.data, cpu: i64::from(raw.cpu), lost: 0, kind: EVENT_SAMPLE };
        self.chunk.push(|out| payload(out, &message));
    }

    fn lost(&mut self, lost: &Lost) {
        self.chunk.push_loss(lost.count, |out| record_lost(out, lost.cpu, lost.count));
    }

    /// Hands out what was collected, and wakes who sleeps. Once a read.
    pub fn flush(&mut self) {
        self.hand_out();
        for queue in &self.queues {
            queue.announce();
        }
    }

    fn hand_out(&mut self) {
        self.tell_missed();
        if !self.chunk.is_empty() {
            let chunk = self.chunk.take(&mut self.pool);
            for queue in &self.queues {
                queue.offer(&chunk);
            }
        }
        self.look();
    }
}

/// Appends the payload that tells a client of losses.
pub fn record_lost(out: &mut Vec<u8>, cpu: Option<u16>, count: u64) {
    payload(out, &Payload { data: &[], cpu: i64::from(cpu.unwrap_or(0)), lost: count, kind: RECORD_LOST });
}
