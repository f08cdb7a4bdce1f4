//! The bounded queue of flows and events between the pipeline, or the registry of entities, and the exporter's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use eyepiece_config::LogEvents;
use eyepiece_flow::lookup::BatchNames;
use eyepiece_flow::record::{Batch, Observed};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use super::counters::ExportCounters;
use crate::metadata::entity_events::event::EntityEvent;
use crate::support::telemetry::Number;

/// Capacity in records: about a third of a second at 200,000 records/s, longer than a collector's garbage collection. A
/// full queue takes 20 to 26 MiB, depending on the flows of a batch (`tests/allocation/pipeline.rs` measures it): less than
/// half of the 64 MiB of the program.
pub const DEFAULT_CAPACITY: usize = 65_536;

/// The pipeline's end of the queue. Cloning shares the queue.
#[derive(Clone, Debug)]
pub struct LogSink {
    shared: Arc<QueueState>,
    sender: mpsc::UnboundedSender<Item>,
}

/// The first exported records of a batch or of a list of entity events; the rest found no room.
#[derive(Debug)]
pub struct Item {
    content: Content,
    records: usize,
    kinds: LogEvents,
}

#[derive(Debug)]
enum Content {
    Batch(Batch),
    Entities(Vec<EntityEvent>),
}

/// An item of the queue that becomes a log record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Record<'a> {
    /// A flow, an event or a loss.
    Observed(&'a Observed),
    /// An entity that is there or gone.
    Entity(&'a EntityEvent),
}

impl Record<'_> {
    /// When it happened, ns since the Unix epoch.
    pub const fn time(&self) -> u64 {
        match self {
            Self::Observed(observed) => observed.time(),
            Self::Entity(event) => event.time,
        }
    }
}

impl Item {
    /// Number of records.
    pub const fn records(&self) -> usize {
        self.records
    }

    /// The names that its flows refer to.
    pub const fn names(&self) -> Option<&Arc<dyn BatchNames>> {
        match &self.content {
            Content::Batch(batch) => batch.names(),
            Content::Entities(_) => None,
        }
    }

    /// The records in order.
    pub fn entries(&self) -> impl Iterator<Item = Record<'_>> {
        let (observed, entities): (&[Observed], &[EntityEvent]) = match &self.content {
            Content::Batch(batch) => (batch, &[]),
            Content::Entities(events) => (&[], events),
        };
        let observed = observed.iter().filter(|&observed| includes(self.kinds, observed)).map(Record::Observed);
        observed.chain(entities.iter().map(Record::Entity)).take(self.records)
    }
}

#[derive(Debug)]
struct QueueState {
    kinds: LogEvents,
    /// In records. The channel itself is unbounded.
    capacity: usize,
    depth: AtomicUsize,
    /// Queued records that wake the reader early.
    enough: usize,
    reached: Notify,
    /// The reader ended for another reason than a shutdown.
    broken: AtomicBool,
    gauge: Number,
    counters: ExportCounters,
}

/// Returns whether an observation is of these kinds.
const fn includes(kinds: LogEvents, observed: &Observed) -> bool {
    match observed {
        Observed::Flow(_) => kinds.flow,
        Observed::Agent(_) => kinds.agent,
        Observed::Lost(_) => kinds.lost,
        Observed::Debug(_) => kinds.debug,
    }
}

/// Creates a queue of `capacity` records of these kinds, whose reader wakes early for `enough` of them.
pub fn channel(capacity: usize, enough: usize, kinds: LogEvents, counters: ExportCounters) -> (LogSink, Queue) {
    let (sender, receiver) = mpsc::unbounded_channel();
    counters.queue_capacity.set(capacity as u64);
    let shared = Arc::new(QueueState {
        kinds,
        capacity,
        depth: AtomicUsize::new(0),
        // A queue that is smaller than a request must not wait for one.
        enough: enough.min(capacity / 2).max(1),
        reached: Notify::new(),
        broken: AtomicBool::new(false),
        gauge: counters.queue_depth.clone(),
        counters,
    });
    (LogSink { shared: Arc::clone(&shared), sender }, Queue { shared, receiver })
}

impl LogSink {
    /// Queues flows and events, and never waits. Counts records that find no room. Returns the number of queued records.
    pub fn try_send(&self, batch: Batch) -> usize {
        let offered = batch.iter().filter(|&observed| includes(self.shared.kinds, observed)).count();
        self.send(offered, Content::Batch(batch))
    }

    /// Queues entity events likewise, whatever the kinds are.
    pub fn send_entities(&self, events: Vec<EntityEvent>) -> usize {
        self.send(events.len(), Content::Entities(events))
    }

    fn send(&self, offered: usize, content: Content) -> usize {
        let shared = &*self.shared;
        if offered == 0 {
            return 0;
        }
        shared.counters.created.add(offered as u64);
        let mut taken = 0;
        let reserved = shared.depth.fetch_update(Ordering::AcqRel, Ordering::Acquire, |depth| {
            taken = offered.min(shared.capacity.saturating_sub(depth));
            (taken > 0).then_some(depth + taken)
        });
        shared.counters.queue_full.add((offered - taken) as u64);
        let Ok(before) = reserved else { return 0 };
        shared.counters.taken.add(taken as u64);
        if self.sender.send(Item { content, records: taken, kinds: shared.kinds }).is_err() {
            shared.release(taken);
            shared.count_unread(taken);
            return 0;
        }
        let now = before + taken;
        shared.gauge.set(now as u64);
        if before < shared.enough && now >= shared.enough {
            shared.reached.notify_one();
        }
        taken
    }

    /// Number of queued records.
    pub fn depth(&self) -> usize {
        self.shared.depth.load(Ordering::Acquire)
    }
}

impl QueueState {
    fn release(&self, records: usize) {
        let before = self.depth.fetch_sub(records, Ordering::AcqRel);
        self.gauge.set(before.saturating_sub(records) as u64);
    }

    fn count_unread(&self, records: usize) {
        if self.broken.load(Ordering::Acquire) {
            self.counters.closed.add(records as u64);
        } else {
            self.counters.add_already_shutdown(records as u64);
        }
    }
}

/// The reader's end. Dropping it closes the queue and counts the rest.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<QueueState>,
    receiver: mpsc::UnboundedReceiver<Item>,
}

impl Queue {
    /// Waits for the next records. Returns `None` if all sinks are dropped.
    pub async fn next(&mut self) -> Option<Item> {
        let item = self.receiver.recv().await?;
        self.shared.release(item.records);
        Some(item)
    }

    /// Returns the next records, if there are any.
    pub fn try_next(&mut self) -> Option<Item> {
        let item = self.receiver.try_recv().ok()?;
        self.shared.release(item.records);
        Some(item)
    }

    /// Waits at most `delay` for a full request. Waking for every batch would cost more than encoding the batch.
    pub async fn gather(&self, delay: Duration) {
        let enough = async {
            while self.shared.depth.load(Ordering::Acquire) < self.shared.enough {
                self.shared.reached.notified().await;
            }
        };
        // A timeout is no error.
        timeout(delay, enough).await.unwrap_or_default();
    }

    /// Closes the queue for new records; queued ones can still be read.
    pub fn close(&mut self) {
        self.receiver.close();
    }

    /// Counts unread records as `closed` from now on, not as `shutdown`.
    pub fn set_broken(&self) {
        self.shared.broken.store(true, Ordering::Release);
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.close();
        while let Some(item) = self.try_next() {
            self.shared.count_unread(item.records);
        }
    }
}

#[cfg(test)]
mod tests {
    use eyepiece_config::Signal;
    use eyepiece_flow::event::{Lost, LostSource};
    use eyepiece_flow::flow::{EventType, Flow};
    use eyepiece_flow::record::{Batch, Observed};

    use super::{Arc, EntityEvent, LogEvents, Record, channel, includes};
    use crate::export::otlp::counters::ExportCounters;
    use crate::metadata::entity_events::event::ReportedEntity;
    use crate::support::telemetry::Telemetry;

    fn batch(records: usize) -> Batch {
        Batch::new(vec![Observed::Flow(Flow::empty(EventType::default())); records])
    }

    #[test]
    fn full_queue_counts_dropped_records() {
        const N: usize = 8;
        for capacity in [0, 1, N - 1, N, N + 1, N * 8] {
            for records in [0, 1, N - 1, N, N + 1, N * 8] {
                let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
                let (sink, mut queue) = channel(capacity, 4, LogEvents::default(), counters.clone());
                let (mut taken, offered) = (0, records * 3);
                for _ in 0..3 {
                    taken += sink.try_send(batch(records));
                }
                assert_eq!(taken, offered.min(capacity), "{capacity} {records}");
                assert_eq!(counters.queue_full.get() as usize, offered - taken);
                assert_eq!(counters.queue_depth.get() as usize, taken);
                assert_eq!(counters.queue_capacity.get() as usize, capacity);
                let first = queue.try_next().map_or(0, |item| item.entries().count());
                assert_eq!(first, records.min(capacity));
                assert_eq!(sink.depth(), taken - first);
                drop(queue);
                assert_eq!(counters.shutdown.get() as usize, taken - first);
                assert_eq!((sink.try_send(batch(1)), sink.depth()), (0, 0));
                assert_eq!(counters.shutdown.get() as usize, taken - first + usize::from(capacity > 0));
            }
        }
    }

    #[test]
    fn broken_reader_counts_closed() {
        let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
        let (sink, queue) = channel(10, 4, LogEvents::default(), counters.clone());
        sink.try_send(batch(3));
        queue.set_broken();
        drop(queue);
        sink.try_send(batch(2));
        assert_eq!((counters.closed.get(), counters.shutdown.get(), counters.queue_full.get()), (5, 0, 0));
    }

    #[test]
    fn other_kinds_take_no_room() {
        let flow = || Observed::Flow(Flow::empty(EventType::default()));
        let lost = || Observed::Lost(Lost { source: LostSource::KernelBuffer, cpu: None, count: 1, time: 7 });
        let batch = Batch::new(vec![lost(), flow(), lost(), flow(), flow(), lost()]);
        for (flows, capacity, taken, full) in [(true, 9, 6, 0), (false, 9, 3, 0), (false, 2, 2, 1), (true, 4, 4, 2)] {
            let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
            let kinds = LogEvents { flow: flows, ..LogEvents::default() };
            let (sink, mut queue) = channel(capacity, 4, kinds, counters.clone());
            assert_eq!(sink.try_send(Batch::clone(&batch)), taken);
            assert_eq!((sink.depth(), counters.queue_full.get()), (taken, full));
            let item = queue.try_next().unwrap();
            let expected = batch.iter().filter(|&observed| includes(kinds, observed)).take(taken);
            let expected: Vec<_> = expected.map(Record::Observed).collect();
            assert_eq!((item.records(), item.entries().collect::<Vec<_>>()), (taken, expected));
            assert_eq!(sink.depth(), 0);
        }
        let nothing = LogEvents { flow: false, agent: false, lost: false, debug: false, entity: true };
        let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
        let (sink, mut queue) = channel(9, 4, nothing, counters);
        assert_eq!(sink.try_send(batch), 0);
        assert!(queue.try_next().is_none());
    }

    #[test]
    fn entity_events_share_queue_and_counters() {
        let kind = eyepiece_semconv::entity::ALL.first().unwrap();
        let entity = Arc::new(ReportedEntity { kind, id: Vec::new(), description: Vec::new() });
        let events = |count| vec![EntityEvent { time: 5, report_interval: None, entity: Arc::clone(&entity) }; count];
        let counters = ExportCounters::new(&Telemetry::default(), Signal::Logs);
        let (sink, mut queue) = channel(5, 4, LogEvents::default(), counters.clone());
        assert_eq!(sink.send_entities(Vec::new()), 0);
        assert_eq!([sink.send_entities(events(2)), sink.try_send(batch(1)), sink.send_entities(events(4))], [2, 1, 2]);
        assert_eq!((sink.depth(), counters.queue_full.get(), counters.taken.get()), (5, 2, 5));
        for expected in [2, 1, 2] {
            let item = queue.try_next().unwrap();
            assert_eq!((item.records(), item.entries().count()), (expected, expected));
            assert!(item.entries().all(|record| record.time() == 5 || matches!(record, Record::Observed(_))));
        }
        sink.send_entities(events(3));
        drop(queue);
        assert_eq!((sink.depth(), counters.shutdown.get()), (0, 3));
    }
}
