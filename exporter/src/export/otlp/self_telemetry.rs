//! Exports own metrics as OTLP: OpenTelemetry's SDK collects them, and [`metrics_sender`] sends them as it does the flows'
//! metrics.
//!
//! The exporter of opentelemetry-otlp is not between them: it returns no partial success, and the SDK's `Sum` has private
//! fields, so that [`StartTimes`] needs the message. With it, each request was decoded and encoded again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use eyepiece_semconv::{Instrument as Kinds, Metric, attribute};
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};
use tokio::task::spawn_blocking;
use tracing::warn;

use super::delivery::Transport;
use super::metrics_sender;
use super::metrics_sender::{Due, MetricsSender};
use super::resource::Resource;
use super::start_times::StartTimes;
use super::typed;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Kind, SERIES_MAX, Sample, Telemetry};

/// Exports every `interval` and once more at the stop. Returns by the deadline even if the receiver is unreachable. Needs
/// a tokio runtime.
pub async fn run<T: Transport>(
    telemetry: Telemetry,
    resource: &Resource,
    sender: MetricsSender<T>,
    interval: Duration,
    stop: Stop,
) {
    let collector = Arc::new(Mutex::new(Collector::new(telemetry, resource)));
    let produce = || {
        let collector = Arc::clone(&collector);
        let collect = move || collector.lock().unwrap_or_else(PoisonError::into_inner).due();
        async { spawn_blocking(collect).await.unwrap_or_default() }
    };
    metrics_sender::run(sender, interval, produce, stop).await;
}

/// Collects the registry's numbers by the SDK.
struct Collector {
    telemetry: Telemetry,
    reader: Reader,
    meter: Meter,
    /// Names that have an instrument.
    known: BTreeSet<&'static str>,
    starts: StartTimes,
    /// Dropped, it shuts the reader down.
    _provider: SdkMeterProvider,
}

impl Collector {
    fn new(telemetry: Telemetry, resource: &Resource) -> Self {
        let reader = Reader::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .with_resource(resource.sdk())
            // Room for all series of the registry, and for the shared one.
            .with_view(|_: &Instrument| Stream::builder().with_cardinality_limit(SERIES_MAX + 1).build().ok())
            .build();
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION"));
        let meter = provider.meter_with_scope(scope.build());
        Self { telemetry, reader, meter, known: BTreeSet::new(), starts: StartTimes::default(), _provider: provider }
    }

    /// The request of now.
    fn due(&mut self) -> Due {
        register(&self.telemetry, &self.meter, &mut self.known);
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            warn!("cannot collect own metrics: {error}");
        }
        let mut request = ExportMetricsServiceRequest::from(&metrics);
        self.starts.settle(&mut request);
        Due { requests: vec![(&request).into()], too_large: 0 }
    }
}

/// The SDK's reader on demand, shared with the provider.
#[derive(Clone, Debug, Default)]
struct Reader(Arc<ManualReader>);

impl MetricReader for Reader {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

/// Creates instruments for names that have none yet.
fn register(telemetry: &Telemetry, meter: &Meter, known: &mut BTreeSet<&'static str>) {
    for sample in telemetry.samples() {
        let name = sample.key.name;
        if !known.insert(name) {
            continue;
        }
        let metric = Metric::find(name);
        let (unit, description) = metric.map_or(("", ""), |metric| (metric.unit, metric.description));
        let telemetry = telemetry.clone();
        // Instruments live as long as their provider, without their handles.
        match (metric.map(|metric| metric.instrument), sample.kind) {
            (Some(Kinds::UpDownCounter), _) => {
                let builder = meter.i64_observable_up_down_counter(name).with_unit(unit).with_description(description);
                builder.with_callback(move |observer| observe(&telemetry, name, observer, signed)).build();
            }
            (Some(Kinds::Counter), _) | (None, Kind::Counter) => {
                let builder = meter.u64_observable_counter(name).with_unit(unit).with_description(description);
                builder.with_callback(move |observer| observe(&telemetry, name, observer, |value| value)).build();
            }
            (Some(Kinds::Gauge | Kinds::Histogram) | None, _) => {
                let builder = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
                builder.with_callback(move |observer| observe(&telemetry, name, observer, |value| value)).build();
            }
        }
    }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn observe<M>(telemetry: &Telemetry, name: &str, observer: &dyn AsyncInstrument<M>, convert: impl Fn(u64) -> M) {
    for sample in telemetry.samples() {
        if sample.key.name == name {
            observer.observe(convert(sample.value), &attributes(&sample));
        }
    }
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&'static str, String)| match typed::number(key, value) {
        Some(number) => KeyValue::new(*key, number),
        None if *key == attribute::OTEL_METRIC_OVERFLOW => KeyValue::new(*key, true),
        None => KeyValue::new(*key, value.clone()),
    };
    // An attribute without a value is left out: the hook of kfree_skb has no interface.
    sample.key.attributes.iter().filter(|(_, value)| !value.is_empty()).map(attribute).collect()
}
