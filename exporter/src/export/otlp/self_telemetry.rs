//! Exports own metrics as OTLP, by OpenTelemetry's SDK and exporter over our client.
//!
//! The SDK collects, its exporter encodes, and `Bridge` is the exporter's HTTP client. The exporter reads some
//! `OTEL_EXPORTER_OTLP_*` variables itself (headers, compression); the bridge ignores these, since our client has its own
//! endpoint, headers, authorities and client certificate. `StartTimes` gives each sum a start time of its own.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use eyepiece_semconv::{Instrument as Kinds, Metric, attribute};
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, MetricExporter, Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::metrics::{Instrument, PeriodicReader, SdkMeterProvider, Stream, Temporality};
use prost::Message as _;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use super::delivery::Transport;
use super::metrics_sender::{MetricsRequest, MetricsSender, NO_ANSWER};
use super::resource::Resource;
use super::start_times::StartTimes;
use super::typed;
use crate::support::shutdown;
use crate::support::shutdown::Stop;
use crate::support::telemetry::{Kind, SERIES_MAX, Sample, Telemetry};

/// Interval of the search for new numbers, which get an instrument then.
const REFRESH: Duration = Duration::from_secs(5);
/// Time beyond the deadline in which the SDK learns that the last request was given up.
const GRACE: Duration = Duration::from_millis(100);

/// Exports every `interval` and at the stop; returns by the deadline whatever the receiver does. Needs a tokio runtime.
pub async fn run<T: Transport>(
    telemetry: Telemetry,
    resource: &Resource,
    sender: MetricsSender<T>,
    interval: Duration,
    mut stop: Stop,
) {
    let bridge =
        Bridge { sender: sender.clone(), stop: stop.clone(), runtime: Handle::current(), starts: Mutex::default() };
    let exporter = match exporter(bridge) {
        Ok(exporter) => exporter,
        Err(error) => {
            warn!("cannot export own metrics: {error}");
            return;
        }
    };
    let reader = PeriodicReader::builder(exporter).with_interval(interval).build();
    let provider = SdkMeterProvider::builder()
        .with_reader(reader)
        .with_resource(resource.sdk())
        // Room for all series of the registry, and for the shared one.
        .with_view(|_: &Instrument| Stream::builder().with_cardinality_limit(SERIES_MAX + 1).build().ok())
        .build();
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME")).with_version(env!("CARGO_PKG_VERSION")).build();
    let meter = provider.meter_with_scope(scope);
    let mut known = BTreeSet::new();
    let deadline = loop {
        register(&telemetry, &meter, &mut known);
        tokio::select! {
            deadline = shutdown::requested(&mut stop) => break deadline,
            () = sleep(REFRESH.min(interval)) => {}
        }
    };
    // Numbers that were registered since the last search.
    register(&telemetry, &meter, &mut known);
    if let Err(error) = shut_down(provider, deadline).await {
        // The SDK drops an exporter's message; the sender has the receiver's.
        let why = sender.error().unwrap_or(error);
        warn!("cannot deliver the last values of own metrics: {why}");
    }
}

/// Shuts the SDK down. It blocks while the export needs this runtime, so a thread does it, left at the deadline.
async fn shut_down(provider: SdkMeterProvider, deadline: Instant) -> Result<(), String> {
    let (sender, receiver) = oneshot::channel();
    let left = deadline.saturating_duration_since(Instant::now());
    let thread = std::thread::Builder::new().name("telemetry-end".into()).spawn(move || {
        // The receiver is dropped after the deadline.
        sender.send(provider.shutdown_with_timeout(left)).unwrap_or_default();
    });
    thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    match timeout_at(deadline + GRACE, receiver).await {
        Ok(Ok(ended)) => ended.map_err(|error| error.to_string()),
        Ok(Err(_)) | Err(_) => Err(NO_ANSWER.to_owned()),
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

/// The HTTP client of the SDK's exporter: sends the request's body by our client.
struct Bridge<T> {
    sender: MetricsSender<T>,
    stop: Stop,
    runtime: Handle,
    starts: Mutex<StartTimes>,
}

impl<T> std::fmt::Debug for Bridge<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl<T: Transport> HttpClient for Bridge<T> {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let mut request = ExportMetricsServiceRequest::decode(decompressed(request)?)?;
        self.starts.lock().unwrap_or_else(PoisonError::into_inner).settle(&mut request);
        let request = MetricsRequest::from(&request);
        let sent = deliver(self.sender.clone(), request, self.stop.clone());
        // The SDK polls us on a thread without a runtime.
        self.runtime.spawn(sent).await??;
        Ok(http::Response::new(Bytes::new()))
    }
}

/// Sends a request once. After a stop, sends it until the receiver accepts it or the deadline passes.
async fn deliver<T: Transport>(
    sender: MetricsSender<T>,
    request: MetricsRequest,
    mut stop: Stop,
) -> Result<(), String> {
    let deadline = tokio::select! {
        biased;
        deadline = shutdown::requested(&mut stop) => deadline,
        sent = sender.send(&request) => return sent,
    };
    sender.send_last(vec![request], deadline).await
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

/// The SDK's exporter over our client. The endpoint is never used: the bridge only takes the body.
fn exporter<T: Transport>(bridge: Bridge<T>) -> Result<MetricExporter, ExporterBuildError> {
    MetricExporter::builder()
        .with_http()
        .with_http_client(bridge)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://bridge.invalid/")
        .with_temporality(Temporality::Cumulative)
        .build()
}
