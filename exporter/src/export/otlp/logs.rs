//! Exports flows and events as OTLP log records: batches and encodes them, and keeps several requests in flight.

use std::sync::Arc;
use std::time::Duration;

use eyepiece_config::{LogEvents, Signal};
use eyepiece_flow::lookup::NameLookup;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

use super::counters::ExportCounters;
use super::delivery::{Delivery, Reporter, Transport};
use super::encode::{AttributeLimits, FlowEncoder, Pushed, RequestBuilder};
use super::queue::{self, Item, LogSink, Queue, Record};
use super::resource::Resource;
use super::sdk_metrics;
use super::sdk_metrics::ExporterMetrics;
use crate::support::backoff::BackoffRange;
use crate::support::clock::unix_now;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Largest setting for the records of a request: receivers' own batches have this size.
pub const MAX_RECORDS: usize = 8192;

/// Most bytes of an encoded request. gRPC receivers accept 4 MiB by default, and permanently refuse a longer request. The
/// rest is room for what they add.
pub const MAX_BYTES: usize = 3_584 * 1024;

/// Limits of the queue and of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogsConfig {
    /// Records that the queue holds.
    pub capacity: usize,
    /// Records of a request, 1 to [`MAX_RECORDS`].
    pub max_records: usize,
    /// Bytes of a request, up to [`MAX_BYTES`].
    pub max_bytes: usize,
    /// The longest wait of a record for others.
    pub flush_delay: Duration,
    /// Requests in flight, at least 1: one is answered while another is sent.
    pub in_flight: usize,
    /// Pauses between attempts.
    pub backoff: BackoffRange,
    /// Kinds of records to export.
    pub kinds: LogEvents,
    /// Limits of each record.
    pub attribute_limits: AttributeLimits,
}

impl Default for LogsConfig {
    fn default() -> Self {
        Self {
            capacity: queue::DEFAULT_CAPACITY,
            // About 1 MiB, within a core's share of the cache; larger requests were not cheaper per record.
            max_records: 2048,
            max_bytes: MAX_BYTES,
            flush_delay: Duration::from_millis(200),
            in_flight: 3,
            // Half to all of it: 1 s and 30 s on average.
            backoff: BackoffRange { initial: Duration::from_millis(1333), max: Duration::from_secs(40) },
            kinds: LogEvents::default(),
            attribute_limits: AttributeLimits::default(),
        }
    }
}

/// The exporter's task; see [`build`].
pub struct LogExporter<T> {
    queue: Queue,
    encoder: FlowEncoder,
    builder: RequestBuilder,
    counters: ExportCounters,
    delivery: Arc<Delivery<T>>,
    slots: Arc<Semaphore>,
    in_flight: u32,
    flush_delay: Duration,
    is_too_large_logged: bool,
}

/// Builds a sink for flows and its task, which has to [`run`](LogExporter::run).
pub fn build<T: Transport>(
    config: &LogsConfig,
    resource: &Resource,
    names: Arc<dyn NameLookup>,
    transport: T,
    telemetry: &Telemetry,
) -> (LogSink, LogExporter<T>) {
    let counters = ExportCounters::new(telemetry, Signal::Logs);
    sdk_metrics::share_processor(telemetry, &counters);
    let metrics = ExporterMetrics::new(telemetry, Signal::Logs, &transport.identity());
    let max_records = config.max_records.clamp(1, MAX_RECORDS);
    let (sink, queue) = queue::channel(config.capacity, max_records, config.kinds, counters.clone());
    let in_flight = u32::try_from(config.in_flight.clamp(1, 64)).unwrap_or(1);
    let reporter = Reporter::new(Signal::Logs, &counters, telemetry);
    let builder = RequestBuilder::new(resource, max_records, config.max_bytes.min(MAX_BYTES));
    let exporter = LogExporter {
        queue,
        encoder: FlowEncoder::new(names),
        builder: builder.with_limits(config.attribute_limits),
        delivery: Arc::new(Delivery::new(transport, config.backoff, counters.clone(), metrics, reporter)),
        counters,
        slots: Arc::new(Semaphore::new(in_flight as usize)),
        in_flight,
        flush_delay: config.flush_delay,
        is_too_large_logged: false,
    };
    (sink, exporter)
}

impl<T: Transport> LogExporter<T> {
    /// Exports until stopped or until all sinks are dropped; then drains until the deadline and counts the rest.
    pub async fn run(mut self, mut stop: Stop) {
        while let Some(first) = self.first(&mut stop).await {
            tokio::select! {
                () = self.queue.gather(self.flush_delay) => {}
                _ = shutdown::requested(&mut stop) => {}
            }
            self.export(first, &stop).await;
            // After a stop nothing is added: the drain below sends the rest of the queue.
            while stop.borrow().is_none()
                && let Some(item) = self.queue.try_next()
            {
                self.export(item, &stop).await;
            }
            self.dispatch(&stop).await;
        }
        self.drain(stop).await;
    }

    async fn first(&mut self, stop: &mut Stop) -> Option<Item> {
        tokio::select! {
            _ = shutdown::requested(stop) => None,
            item = self.queue.next() => item,
        }
    }

    /// Sends the rest until the deadline. The queue counts its remaining records when it is dropped.
    async fn drain(mut self, mut stop: Stop) {
        self.queue.close();
        while !is_past_deadline(&stop)
            && let Some(item) = self.queue.try_next()
        {
            self.export(item, &stop).await;
        }
        self.dispatch(&stop).await;
        // Requests in flight end at the deadline at the latest. Without a stop there is no deadline, as all sinks are dropped.
        let all = self.slots.acquire_many(self.in_flight);
        tokio::select! {
            _ = all => {}
            () = async {
                let deadline = shutdown::requested(&mut stop).await;
                // A moment more, so that the requests count their records first.
                tokio::time::sleep_until(deadline + Duration::from_millis(100)).await;
            } => {}
        }
    }

    /// Encodes records, and sends full requests.
    async fn export(&mut self, item: Item, stop: &Stop) {
        let observed = unix_now();
        self.encoder.enter(item.names());
        for record in item.entries() {
            let mut pushed = self.push(record, observed);
            if pushed == Pushed::Full {
                self.dispatch(stop).await;
                pushed = self.push(record, observed);
            }
            if pushed != Pushed::Added {
                self.counters.too_large.add(1);
                if !std::mem::replace(&mut self.is_too_large_logged, true) {
                    warn!("a log record is larger than a request may be: such records are counted and dropped");
                }
            }
        }
    }

    fn push(&mut self, record: Record<'_>, observed: u64) -> Pushed {
        match record {
            Record::Observed(each) => self.builder.push_observed(&mut self.encoder, each, observed),
            Record::Entity(event) => self.builder.push_entity(event, observed),
        }
    }

    /// Sends the request once a slot is free, unless it is empty.
    async fn dispatch(&mut self, stop: &Stop) {
        let Some(request) = self.builder.finish() else { return };
        self.encoder.refresh();
        let slot = tokio::select! {
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
            () = shutdown::deadline_passed(stop.clone()) => None,
        };
        let Some(slot) = slot else {
            self.counters.add_already_shutdown(request.records as u64);
            return;
        };
        let (delivery, stop) = (Arc::clone(&self.delivery), stop.clone());
        tokio::spawn(async move {
            delivery.deliver(request.body, request.records, stop).await;
            drop(slot);
        });
        // Encoding the next request takes long enough to let this one be written first.
        tokio::task::yield_now().await;
    }
}

impl<T> Drop for LogExporter<T> {
    fn drop(&mut self) {
        self.counters.add_already_shutdown(self.builder.records() as u64);
    }
}

fn is_past_deadline(stop: &Stop) -> bool {
    stop.borrow().is_some_and(|deadline| Instant::now() >= deadline)
}
