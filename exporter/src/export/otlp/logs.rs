//! Exports flows and events as OTLP log records: gathers, encodes, and keeps several requests in flight.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use eyepiece_flow::interner::Symbols;
use eyepiece_flow::lookup::NameLookup;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::Instant;
use tracing::warn;

use super::config::Signal;
use super::delivery::{Counters, Delivery, Reporter, Transport};
use super::encode::{FlowEncoder, Pushed, RequestBuilder};
use super::queue::{self, Item, LogSink, Queue};
use super::resource::Resource;
use super::retry::Backoff;
use super::wanted::Wanted;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::Telemetry;

/// Most records of a request that a setting may ask for: receivers' own batches are of this size.
pub const MAX_RECORDS: usize = 8192;

/// Most bytes of an encoded request. gRPC receivers take 4 MiB unless told otherwise, and refuse a longer one for
/// good; the rest is room for what they add.
pub const MAX_BYTES: usize = 3_584 * 1024;

/// How flows become requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Records that may wait.
    pub capacity: usize,
    /// Records of a request, 1 to [`MAX_RECORDS`].
    pub max_records: usize,
    /// Bytes of a request, up to [`MAX_BYTES`].
    pub max_bytes: usize,
    /// How long a record waits for others.
    pub flush_delay: Duration,
    /// Requests under way at once, at least 1: one is answered while another is sent.
    pub in_flight: usize,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// Kinds of records.
    pub wanted: Wanted,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            capacity: queue::DEFAULT_CAPACITY,
            // About 1 MiB, and well within a core's cache share; larger ones were not cheaper per record.
            max_records: 2048,
            max_bytes: MAX_BYTES,
            flush_delay: Duration::from_millis(200),
            in_flight: 3,
            backoff: Backoff::default(),
            wanted: Wanted::default(),
        }
    }
}

/// The task that exports; see [`build`].
pub struct LogExporter<T> {
    queue: Queue,
    encoder: FlowEncoder,
    builder: RequestBuilder,
    counters: Counters,
    delivery: Arc<Delivery<T>>,
    slots: Arc<Semaphore>,
    in_flight: u32,
    flush_delay: Duration,
    too_large_told: bool,
}

/// A sink for flows, and the task behind it, which has to [`run`](LogExporter::run).
pub fn build<T: Transport>(
    options: &Options,
    resource: &Resource,
    symbols: Symbols,
    names: Arc<dyn NameLookup>,
    transport: T,
    telemetry: &Telemetry,
) -> (LogSink, LogExporter<T>) {
    let counters = Counters::new(telemetry, Signal::Logs);
    let max_records = options.max_records.clamp(1, MAX_RECORDS);
    let (sink, queue) = queue::channel(options.capacity, max_records, options.wanted, counters.clone());
    let in_flight = u32::try_from(options.in_flight.clamp(1, 64)).unwrap_or(1);
    let reporter = Reporter::new(Signal::Logs, &counters, telemetry);
    let exporter = LogExporter {
        queue,
        encoder: FlowEncoder::new(symbols, names),
        builder: RequestBuilder::new(resource, max_records, options.max_bytes.min(MAX_BYTES)),
        delivery: Arc::new(Delivery::new(transport, options.backoff, counters.clone(), reporter)),
        counters,
        slots: Arc::new(Semaphore::new(in_flight as usize)),
        in_flight,
        flush_delay: options.flush_delay,
        too_large_told: false,
    };
    (sink, exporter)
}

impl<T: Transport> LogExporter<T> {
    /// Exports until told to stop, or until all sinks are gone; then drains until the deadline and counts the rest.
    pub async fn run(mut self, mut stop: Stop) {
        while let Some(first) = self.first(&mut stop).await {
            tokio::select! {
                () = self.queue.gather(self.flush_delay) => {}
                _ = shutdown::requested(&mut stop) => {}
            }
            self.export(first, &stop).await;
            // Whoever asks us to stop no longer sends: the rest of the queue belongs to the drain below.
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

    /// Sends what is left while there is time. What is then left in the queue counts itself when it is dropped.
    async fn drain(mut self, mut stop: Stop) {
        self.queue.close();
        while !past(&stop)
            && let Some(item) = self.queue.try_next()
        {
            self.export(item, &stop).await;
        }
        self.dispatch(&stop).await;
        // Requests under way end by themselves, at the deadline at the latest; without a sink left there is none.
        let all = self.slots.acquire_many(self.in_flight);
        tokio::select! {
            _ = all => {}
            () = async {
                let deadline = shutdown::requested(&mut stop).await;
                // A moment more, so that they count themselves first.
                tokio::time::sleep_until(deadline + Duration::from_millis(100)).await;
            } => {}
        }
    }

    /// Encodes flows and events, and sends requests that are full.
    async fn export(&mut self, item: Item, stop: &Stop) {
        let observed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let observed = u64::try_from(observed.as_nanos()).unwrap_or(u64::MAX);
        for each in item.observed() {
            let mut pushed = self.builder.push_observed(&mut self.encoder, each, observed);
            if pushed == Pushed::Full {
                self.dispatch(stop).await;
                pushed = self.builder.push_observed(&mut self.encoder, each, observed);
            }
            if pushed != Pushed::Added {
                self.counters.too_large.add(1);
                if !std::mem::replace(&mut self.too_large_told, true) {
                    warn!("a log record is larger than a request may be: such records are counted, not sent");
                }
            }
        }
    }

    /// Sends the request, once a slot is free; nothing where it is empty.
    async fn dispatch(&mut self, stop: &Stop) {
        let Some(request) = self.builder.finish() else { return };
        self.encoder.refresh();
        let slot = tokio::select! {
            slot = Arc::clone(&self.slots).acquire_owned() => slot.ok(),
            () = shutdown::deadline_passed(stop.clone()) => None,
        };
        let Some(slot) = slot else {
            self.counters.shutdown.add(request.records as u64);
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
        self.counters.shutdown.add(self.builder.records() as u64);
    }
}

fn past(stop: &Stop) -> bool {
    stop.borrow().is_some_and(|deadline| Instant::now() >= deadline)
}

/// Runs a task on a thread and a small runtime of its own, so that encoding never delays a health check; the
/// receiver gets its result.
///
/// # Errors
/// The system has no thread or no event queue left.
pub fn spawn_thread<F>(
    name: &str,
    task: impl FnOnce() -> F + Send + 'static,
) -> io::Result<oneshot::Receiver<F::Output>>
where
    F: Future<Output: Send + 'static>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let output = runtime.block_on(task());
        // Look-ups of names that hang must not hold up the end.
        runtime.shutdown_background();
        // Nobody may be waiting any more.
        sender.send(output).unwrap_or_default();
    })?;
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::spawn_thread;

    #[tokio::test]
    async fn a_thread_of_its_own_tells_its_result() {
        let name = || std::thread::current().name().map(str::to_owned);
        let result = spawn_thread("otlp-logs", move || async move { tokio::spawn(async move { name() }).await });
        assert_eq!(result.unwrap().await.unwrap().unwrap().as_deref(), Some("otlp-logs"));
    }
}
