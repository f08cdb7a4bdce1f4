//! Own metrics by OpenTelemetry's conventions for SDKs, with scripted receivers, on tokio's paused clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::delivery::Transport;
use eyepiece::export::otlp::logs;
use eyepiece::export::otlp::logs::LogsConfig;
use eyepiece::export::otlp::metrics_sender;
use eyepiece::export::otlp::metrics_sender::{MetricsRequest, MetricsRequests, MetricsSender};
use eyepiece::export::otlp::retry::Outcome;
use eyepiece::export::otlp::sdk_metrics::ExporterIdentity;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::{Key, Telemetry};
use eyepiece_config::{Protocol, Signal};
use eyepiece_flow::lookup::NoLookup;
use tokio::time::Instant;

use crate::support::{batch, config, resource, settings};

/// Gives these answers one after another, then none.
#[derive(Clone)]
struct Answers(Arc<Mutex<VecDeque<Outcome>>>);

impl Answers {
    fn new(outcomes: impl IntoIterator<Item = Outcome>) -> Self {
        Self(Arc::new(Mutex::new(outcomes.into_iter().collect())))
    }
}

impl Transport for Answers {
    async fn send(&self, _: Bytes) -> Outcome {
        let outcome = self.0.lock().unwrap().pop_front();
        match outcome {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    fn identity(&self) -> ExporterIdentity {
        ExporterIdentity { protocol: Protocol::HttpProtobuf, server: Some(("c".to_owned(), 4318)) }
    }
}

fn partial(rejected: u64) -> Outcome {
    Outcome::Partial { rejected, message: String::new() }
}

fn retry(error_type: &'static str) -> Outcome {
    Outcome::Retry { delay: None, message: String::new(), error_type: error_type.into() }
}

/// The numbers, and of histograms how many durations there are: by name, error and what else has no place in `common`.
fn counted(telemetry: &Telemetry, common: &[(&str, &str)]) -> BTreeMap<String, u64> {
    let text = |key: &Key| {
        let others = key.attributes.iter().filter(|(name, value)| !common.contains(&(*name, value.as_str())));
        let others = others.map(|(_, value)| format!(" {value}"));
        key.name.strip_prefix("otel.sdk.").map(|name| format!("{name}{}", others.collect::<String>()))
    };
    let numbers = telemetry.samples().into_iter().filter_map(|sample| Some((text(&sample.key)?, sample.value)));
    let durations = telemetry.durations().into_iter();
    let durations = durations.filter_map(|sample| Some((text(&sample.key)?, sample.durations.count())));
    numbers.chain(durations).collect()
}

fn expected(rows: &[(&str, u64)]) -> BTreeMap<String, u64> {
    rows.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
}

#[tokio::test(start_paused = true)]
async fn log_records_are_counted_by_conventions() {
    let refused = Outcome::Refused { message: String::new(), error_type: "400".into() };
    let answers = [Outcome::Accepted, partial(3), retry("503"), Outcome::Accepted, refused, retry("timeout")];
    let (telemetry, transport) = (Telemetry::default(), Answers::new(answers));
    let config = LogsConfig { capacity: 50, in_flight: 1, ..config() };
    let (sink, exporter) = logs::build(&config, &resource(), Arc::new(NoLookup), transport, &telemetry);
    let (stop, stopped) = shutdown::channel();
    let task = tokio::spawn(exporter.run(stopped));
    assert_eq!(sink.try_send(batch(0..60)), 50);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let common = [
        ("otel.component.type", "otlp_http_log_exporter"),
        ("otel.component.name", "otlp_http_log_exporter/0"),
        ("server.address", "c"),
        ("server.port", "4318"),
        ("otel.component.type", "batching_log_processor"),
        ("otel.component.name", "batching_log_processor/0"),
    ];
    assert_eq!(counted(&telemetry, &common)["exporter.log.inflight"], 10, "one request has no answer");
    stop.send_replace(Some(Instant::now() + Duration::from_secs(1)));
    task.await.unwrap();
    assert_eq!(sink.try_send(batch(0..2)), 0);
    let all = [
        ("log.created", 62),
        ("processor.log.queue.size", 0),
        ("processor.log.queue.capacity", 50),
        ("processor.log.processed", 50),
        ("processor.log.processed queue_full", 10),
        ("processor.log.processed too_large", 0),
        ("processor.log.processed already_shutdown", 2),
        ("exporter.log.inflight", 0),
        ("exporter.log.exported", 27),
        ("exporter.log.exported rejected", 3),
        ("exporter.log.exported 400", 10),
        ("exporter.log.exported timeout", 10),
        ("exporter.operation.duration", 2),
        ("exporter.operation.duration rejected", 1),
        ("exporter.operation.duration 400", 1),
        ("exporter.operation.duration timeout", 1),
    ];
    assert_eq!(counted(&telemetry, &common), expected(&all));
}

#[tokio::test(start_paused = true)]
async fn data_points_are_counted_by_conventions() {
    let answers = [Outcome::Accepted, retry("503"), partial(4), partial(0)];
    let (telemetry, transport) = (Telemetry::default(), Answers::new(answers));
    let (stop, stopped) = shutdown::channel();
    let sender = MetricsSender::new(transport, &telemetry);
    let produce = |_| {
        let requests = [10, 0].map(|data_points| MetricsRequest { body: Bytes::from_static(b"x"), data_points });
        std::future::ready(MetricsRequests { requests: requests.into(), ..MetricsRequests::default() })
    };
    let task = tokio::spawn(metrics_sender::run(sender, Duration::from_secs(10), produce, stopped));
    tokio::time::sleep(Duration::from_secs(35)).await;
    stop.send_replace(Some(Instant::now() + Duration::from_secs(1)));
    task.await.unwrap();
    let common = [
        ("otel.component.type", "otlp_http_metric_exporter"),
        ("otel.component.name", "otlp_http_metric_exporter/0"),
        ("server.address", "c"),
        ("server.port", "4318"),
        ("otel.component.type", "periodic_metric_reader"),
        ("otel.component.name", "periodic_metric_reader/0"),
    ];
    let all = [
        ("metric_reader.collection.duration", 4),
        ("exporter.metric_data_point.inflight", 0),
        ("exporter.metric_data_point.exported", 26),
        ("exporter.metric_data_point.exported rejected", 4),
        ("exporter.metric_data_point.exported 503", 10),
        ("exporter.operation.duration", 2),
        ("exporter.operation.duration rejected", 1),
        ("exporter.operation.duration 503", 1),
    ];
    assert_eq!(counted(&telemetry, &common), expected(&all));
}

#[tokio::test]
async fn client_names_its_server() {
    for (endpoint, protocol, address, port) in [
        ("http://c.example:4317", Protocol::Grpc, "c.example", 4317),
        ("http://[::1]:4318", Protocol::HttpProtobuf, "::1", 4318),
        ("http://10.0.0.1", Protocol::Grpc, "10.0.0.1", 80),
    ] {
        let client = Client::new(&settings(endpoint.to_owned(), protocol), Signal::Logs).unwrap();
        let server = Some((address.to_owned(), port));
        assert_eq!(client.identity(), ExporterIdentity { protocol, server }, "{endpoint}");
    }
}
