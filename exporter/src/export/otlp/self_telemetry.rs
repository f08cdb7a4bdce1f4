//! Exports own metrics as OTLP: OpenTelemetry's SDK collects them, its exporter encodes them, and [`metrics_sender`] sends
//! them as it does the flows' metrics.
//!
//! The exporter does not send them itself: it returns no partial success, and all series of the SDK's `Sum` have one start
//! time, in a private field. `tests/export/sdk_limits.rs` shows both. So `StartTimes` reads the encoded message, to which
//! own histograms are added: the SDK cannot observe any. The exporter takes some `OTEL_EXPORTER_OTLP_*` variables from the
//! environment (headers, compression), which have no effect: only the request's body is used.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use bytes::Bytes;
use eyepiece_semconv::{Instrument as Kinds, Metric, SCHEMA_URL, attribute};
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Instrument, InstrumentKind, ManualReader, Pipeline, SdkMeterProvider, Stream, Temporality,
};
use prost::Message as _;
use tracing::warn;

use super::delivery::Transport;
use super::deltas;
use super::deltas::Deltas;
use super::metrics;
use super::metrics_sender;
use super::metrics_sender::{Accepted, MetricsRequests, MetricsSender};
use super::resource::Resource;
use super::sdk_metrics::OWN_READER;
use super::start_times::StartTimes;
use super::typed;
use crate::export::own_durations;
use crate::support::clock::unix_now;
use crate::support::lock::lock;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Kind, MAX_SERIES, Sample, Telemetry};

/// Exports every `interval` and once more at the stop, sums as `deltas` if given. Returns by the deadline even if the
/// receiver is unreachable. Needs a tokio runtime.
pub async fn run<T: Transport>(
    telemetry: Telemetry,
    resource: &Resource,
    deltas: Option<Deltas>,
    sender: MetricsSender<T>,
    interval: Duration,
    stop: Stop,
) {
    let collector = match Collector::new(telemetry, resource, deltas) {
        Ok(collector) => Arc::new(tokio::sync::Mutex::new(collector)),
        Err(error) => {
            warn!(signal = "metrics", "cannot create the exporter of our own metrics, which are not sent: {error}");
            return;
        }
    };
    let produce = |accepted: Accepted| {
        let collector = Arc::clone(&collector);
        async move { collector.lock().await.requests(&accepted).await }
    };
    metrics_sender::run(sender.with_reader(OWN_READER), interval, produce, stop).await;
}

/// Collects the registry's numbers by the SDK.
struct Collector {
    telemetry: Telemetry,
    reader: Reader,
    meter: Meter,
    exporter: MetricExporter,
    body: Body,
    /// Names that have an instrument.
    known: BTreeSet<&'static str>,
    starts: StartTimes,
    deltas: Option<Deltas>,
    /// Dropped, it shuts the reader down.
    _provider: SdkMeterProvider,
}

impl Collector {
    fn new(telemetry: Telemetry, resource: &Resource, deltas: Option<Deltas>) -> Result<Self, ExporterBuildError> {
        let reader = Reader::default();
        let provider = SdkMeterProvider::builder()
            .with_reader(reader.clone())
            .with_resource(resource.sdk())
            // Room for all series of the registry, and for the shared one.
            .with_view(|_: &Instrument| Stream::builder().with_cardinality_limit(MAX_SERIES + 1).build().ok())
            .build();
        let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url(SCHEMA_URL);
        let meter = provider.meter_with_scope(scope.build());
        let body = Body::default();
        let (known, starts) = (BTreeSet::new(), StartTimes::default());
        let exporter = exporter(body.clone())?;
        Ok(Self { telemetry, reader, meter, exporter, body, known, starts, deltas, _provider: provider })
    }

    /// The request of now.
    async fn requests(&mut self, accepted: &[usize]) -> MetricsRequests {
        if let Some(deltas) = &mut self.deltas {
            deltas.accept(accepted);
        }
        register(&self.telemetry, &self.meter, &mut self.known);
        let mut metrics = ResourceMetrics::default();
        if let Err(error) = self.reader.collect(&mut metrics) {
            warn!("cannot collect our own metrics: {error}");
        }
        let encoded = self.exporter.export(&metrics).await.map_err(|error| error.to_string());
        let decoded = encoded.and_then(|()| self.body.take().map_err(|error| error.to_string()));
        match decoded {
            Ok(mut request) => {
                self.starts.settle(&mut request);
                add_durations(&self.telemetry, &mut request);
                deltas::requests(self.deltas.as_mut(), vec![request])
            }
            Err(error) => {
                warn!("cannot encode our own metrics: {error}");
                MetricsRequests::default()
            }
        }
    }
}

/// The exporter's HTTP client: keeps the body of the last request.
#[derive(Clone, Debug, Default)]
struct Body(Arc<Mutex<Bytes>>);

impl Body {
    fn take(&self) -> Result<ExportMetricsServiceRequest, prost::DecodeError> {
        ExportMetricsServiceRequest::decode(std::mem::take(&mut *lock(&self.0)))
    }
}

#[async_trait::async_trait]
impl HttpClient for Body {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        *lock(&self.0) = decompressed(request)?;
        Ok(http::Response::new(Bytes::new()))
    }
}

/// Returns the body without the exporter's compression; our client compresses by our own settings.
fn decompressed(request: http::Request<Bytes>) -> Result<Bytes, HttpError> {
    let encoding = request.headers().get(http::header::CONTENT_ENCODING).cloned();
    let body = request.into_body();
    match encoding.as_ref().map(http::HeaderValue::as_bytes) {
        None => Ok(body),
        Some(b"gzip") => {
            let mut plain = Vec::new();
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut plain)?;
            Ok(plain.into())
        }
        Some(other) => Err(format!("unknown content encoding {:?}", String::from_utf8_lossy(other)).into()),
    }
}

/// The SDK's exporter. The endpoint is never used.
fn exporter(body: Body) -> Result<MetricExporter, ExporterBuildError> {
    MetricExporter::builder()
        .with_http()
        .with_http_client(body)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://body.invalid/")
        .with_temporality(Temporality::Cumulative)
        .build()
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

/// Adds own histograms to a request.
fn add_durations(telemetry: &Telemetry, request: &mut ExportMetricsServiceRequest) {
    let durations = own_durations::resolve(telemetry);
    let encoded = metrics::encode(&durations, unix_now(), &Default::default(), usize::MAX);
    let encoded = encoded.requests.into_iter().flat_map(|request| request.resource_metrics);
    let mut scopes = request.resource_metrics.iter_mut().flat_map(|resource| &mut resource.scope_metrics);
    if let Some(scope) = scopes.next() {
        let scopes = encoded.flat_map(|resource| resource.scope_metrics);
        scope.metrics.extend(scopes.flat_map(|scope| scope.metrics));
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
