//! Limits of the SDK and its exporter, for which `self_telemetry` sends own metrics by our client. Each test fails when the
//! SDK has lost the limit.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry::KeyValue;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use prost::Message as _;

/// A receiver that rejects three points of each request, and keeps the last one.
#[derive(Clone, Debug, Default)]
struct Receiver(Arc<Mutex<Bytes>>);

#[async_trait::async_trait]
impl HttpClient for Receiver {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        *self.0.lock().unwrap() = request.into_body();
        let partial_success = Some(ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "no".into() });
        Ok(http::Response::new(ExportMetricsServiceResponse { partial_success }.encode_to_vec().into()))
    }
}

/// The SDK with its own exporter.
fn provider(receiver: &Receiver) -> SdkMeterProvider {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(receiver.clone())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint("http://receiver.invalid/")
        .build()
        .unwrap();
    let reader = PeriodicReader::builder(exporter).with_interval(Duration::from_secs(3600)).build();
    SdkMeterProvider::builder().with_reader(reader).build()
}

#[test]
fn rejected_points_are_not_returned() {
    let provider = provider(&Receiver::default());
    provider.meter("test").u64_counter("events").build().add(3, &[]);
    assert!(provider.force_flush().is_ok(), "the exporter returns a partial success now");
}

#[test]
fn series_have_start_of_first() {
    let receiver = Receiver::default();
    let provider = provider(&receiver);
    let counter = provider.meter("test").u64_counter("events").build();
    counter.add(1, &[KeyValue::new("series", "first")]);
    provider.force_flush().unwrap();
    std::thread::sleep(Duration::from_millis(5));
    let begin = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    counter.add(1, &[KeyValue::new("series", "second")]);
    provider.force_flush().unwrap();
    let request = ExportMetricsServiceRequest::decode(receiver.0.lock().unwrap().clone()).unwrap();
    let Some(Data::Sum(sum)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!("no sum") };
    let starts: Vec<u64> = sum.data_points.iter().map(|point| point.start_time_unix_nano).collect();
    assert_eq!(starts.len(), 2);
    assert!(starts.iter().all(|start| *start < begin), "each series has its own start time now");
}
