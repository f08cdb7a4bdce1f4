//! Metrics of exports by OpenTelemetry's conventions for SDKs, `otel.sdk.*`; those of [`counters`](super::counters) stand
//! beside them.

use std::time::Duration;

use eyepiece_config::{Protocol, Signal};
use eyepiece_semconv::{attribute, metric};
use tokio::time::Instant;

use super::counters::ExportCounters;
use super::retry::ErrorType;
use crate::support::telemetry::{Kind, Number, Telemetry};

/// Type and name of the queue of log records, which the conventions call a processor.
const PROCESSOR: [(&str, &str); 2] = [
    (attribute::OTEL_COMPONENT_TYPE, "batching_log_processor"),
    (attribute::OTEL_COMPONENT_NAME, "batching_log_processor/0"),
];

/// Names of what collects metrics, by whose they are.
pub(super) const FLOW_READER: &str = "periodic_metric_reader/0";
pub(super) const OWN_READER: &str = "periodic_metric_reader/1";

/// The exporter as metrics describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExporterIdentity {
    /// Its protocol.
    pub protocol: Protocol,
    /// Host and port of its receiver, if known.
    pub server: Option<(String, u16)>,
}

impl Default for ExporterIdentity {
    fn default() -> Self {
        Self { protocol: Protocol::Grpc, server: None }
    }
}

/// Exports the numbers of the queue of log records by the conventions as well.
pub(super) fn share_processor(telemetry: &Telemetry, counters: &ExportCounters) {
    let processed = |error: Option<&str>, number| {
        let error = error.map(|error| (attribute::ERROR_TYPE, error));
        let attributes: Vec<_> = PROCESSOR.into_iter().chain(error).collect();
        telemetry.share(Kind::Counter, metric::OTEL_SDK_PROCESSOR_LOG_PROCESSED.name, &attributes, number);
    };
    processed(None, &counters.passed);
    processed(Some("queue_full"), &counters.queue_full);
    processed(Some("too_large"), &counters.too_large);
    processed(Some("already_shutdown"), &counters.already_shutdown);
    telemetry.share(Kind::Counter, metric::OTEL_SDK_LOG_CREATED.name, &[], &counters.created);
    let gauge = |name, number| telemetry.share(Kind::Gauge, name, &PROCESSOR, number);
    gauge(metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_SIZE.name, &counters.queue_depth);
    gauge(metric::OTEL_SDK_PROCESSOR_LOG_QUEUE_CAPACITY.name, &counters.queue_capacity);
}

/// Adds the duration of collecting metrics.
pub(super) fn observe_collection(telemetry: &Telemetry, reader: &'static str, duration: Duration) {
    let component =
        [(attribute::OTEL_COMPONENT_TYPE, "periodic_metric_reader"), (attribute::OTEL_COMPONENT_NAME, reader)];
    telemetry.observe(metric::OTEL_SDK_METRIC_READER_COLLECTION_DURATION.name, &component, duration);
}

/// The metrics of one signal's exporter.
#[derive(Clone, Debug)]
pub(super) struct ExporterMetrics {
    telemetry: Telemetry,
    /// Component and server.
    attributes: Vec<(&'static str, String)>,
    /// Name of the counter of ended exports.
    exported: &'static str,
    inflight: Number,
}

impl ExporterMetrics {
    pub(super) fn new(telemetry: &Telemetry, signal: Signal, identity: &ExporterIdentity) -> Self {
        let (component, inflight, exported) = match signal {
            Signal::Logs => (
                ["otlp_grpc_log_exporter", "otlp_http_log_exporter"],
                metric::OTEL_SDK_EXPORTER_LOG_INFLIGHT.name,
                metric::OTEL_SDK_EXPORTER_LOG_EXPORTED.name,
            ),
            Signal::Metrics => (
                ["otlp_grpc_metric_exporter", "otlp_http_metric_exporter"],
                metric::OTEL_SDK_EXPORTER_METRIC_DATA_POINT_INFLIGHT.name,
                metric::OTEL_SDK_EXPORTER_METRIC_DATA_POINT_EXPORTED.name,
            ),
        };
        let component = component[usize::from(identity.protocol != Protocol::Grpc)];
        let mut attributes = vec![
            (attribute::OTEL_COMPONENT_TYPE, component.to_owned()),
            (attribute::OTEL_COMPONENT_NAME, format!("{component}/0")),
        ];
        if let Some((address, port)) = &identity.server {
            attributes.push((attribute::SERVER_ADDRESS, address.clone()));
            attributes.push((attribute::SERVER_PORT, port.to_string()));
        }
        let inflight = telemetry.gauge(inflight, &with_error(&attributes, None));
        telemetry.counter(exported, &with_error(&attributes, None));
        Self { telemetry: telemetry.clone(), attributes, exported, inflight }
    }

    /// Begins an export of records or data points; of none, nothing is counted.
    pub(super) fn begin(&self, items: u64) -> Operation<'_> {
        self.inflight.add(items);
        let error = Some(ErrorType::Borrowed("cancelled"));
        Operation { exporter: self, items, begun: Instant::now(), rejected: 0, error }
    }

    fn add_exported(&self, error: Option<&str>, items: u64) {
        if items > 0 {
            self.telemetry.counter(self.exported, &with_error(&self.attributes, error)).add(items);
        }
    }
}

fn with_error<'a>(attributes: &'a [(&'static str, String)], error: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let error = error.map(|error| (attribute::ERROR_TYPE, error));
    attributes.iter().map(|(name, value)| (*name, value.as_str())).chain(error).collect()
}

/// An export with all of its attempts. It ends when it is dropped, by its last attempt's outcome.
#[derive(Debug)]
pub(super) struct Operation<'a> {
    exporter: &'a ExporterMetrics,
    items: u64,
    begun: Instant,
    rejected: u64,
    error: Option<ErrorType>,
}

impl Operation<'_> {
    /// The receiver accepted all but `rejected` items.
    pub(super) fn accepted(&mut self, rejected: u64) {
        (self.error, self.rejected) = (None, rejected);
    }

    /// An attempt failed; the last one for all that is known.
    pub(super) fn failed(&mut self, error: ErrorType) {
        self.error = Some(error);
    }
}

impl Drop for Operation<'_> {
    fn drop(&mut self) {
        let Self { exporter, items, begun, rejected, error } = self;
        if *items == 0 {
            return;
        }
        exporter.inflight.sub(*items);
        let error = match error.as_deref() {
            Some(error) => {
                exporter.add_exported(Some(error), *items);
                Some(error)
            }
            None => {
                exporter.add_exported(None, *items - *rejected);
                exporter.add_exported(Some("rejected"), *rejected);
                (*rejected > 0).then_some("rejected")
            }
        };
        let attributes = with_error(&exporter.attributes, error);
        exporter.telemetry.observe(metric::OTEL_SDK_EXPORTER_OPERATION_DURATION.name, &attributes, begun.elapsed());
    }
}
