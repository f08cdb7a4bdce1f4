//! The metrics sender and our own telemetry: newest values after an outage, and an end within the deadline.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eyepiece::export::otlp::client::Client;
use eyepiece::export::otlp::counters::ExportCounters;
use eyepiece::export::otlp::delivery::Transport;
use eyepiece::export::otlp::metrics_sender;
use eyepiece::export::otlp::metrics_sender::{Accepted, MetricsRequest, MetricsRequests, MetricsSender};
use eyepiece::export::otlp::retry::Outcome;
use eyepiece::export::otlp::self_telemetry;
use eyepiece::support::shutdown;
use eyepiece::support::telemetry::{MAX_SERIES, Telemetry};
use eyepiece_config::{Protocol, Signal};
use eyepiece_semconv::{OTEL_SCHEMA_URL, SCHEMA_URL};
use eyepiece_tests::schema;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::http::Receiver;
use crate::support::{TIMEOUT, eventually, resource, signal_settings};

/// A receiver that stores the requests that its `outcome` accepts.
#[derive(Clone, Default)]
struct Store {
    taken: Arc<Mutex<Vec<Bytes>>>,
    attempts: Arc<AtomicUsize>,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

impl Transport for Store {
    async fn send(&self, request: Bytes) -> Outcome {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let outcome = self.outcome.lock().unwrap().clone().unwrap_or(Outcome::Accepted);
        if !matches!(outcome, Outcome::Retry { .. } | Outcome::Refused { .. }) {
            self.taken.lock().unwrap().push(request);
        }
        outcome
    }
}

fn away(delay: Option<Duration>) -> Outcome {
    Outcome::Retry { delay, message: "away".into(), error_type: "503".into() }
}

/// Requests that carry how often they were asked for; the last of each round is empty.
fn producer() -> impl FnMut(Accepted) -> std::future::Ready<MetricsRequests> {
    let mut round = 0_u8;
    move |_| {
        round += 1;
        let full = MetricsRequest { body: vec![round].into(), data_points: 10 };
        let requests = vec![full, MetricsRequest { body: Bytes::new(), data_points: 0 }];
        std::future::ready(MetricsRequests { requests, too_large: 1, dropped: 0 })
    }
}

#[tokio::test(start_paused = true)]
async fn outage_queues_no_metrics() {
    let (store, telemetry) = (Store::default(), Telemetry::default());
    let (sender, receiver) = shutdown::channel();
    let set = |outcome| *store.outcome.lock().unwrap() = outcome;
    let task = tokio::spawn({
        let (store, telemetry) = (store.clone(), telemetry.clone());
        async move {
            metrics_sender::run(MetricsSender::new(store, &telemetry), Duration::from_secs(10), producer(), receiver)
                .await;
        }
    });
    tokio::time::sleep(Duration::from_secs(25)).await;
    set(Some(away(None)));
    tokio::time::sleep(Duration::from_secs(50)).await;
    // The pause of 35 s covers three intervals.
    set(Some(away(Some(Duration::from_secs(35)))));
    tokio::time::sleep(Duration::from_secs(10)).await;
    set(None);
    tokio::time::sleep(Duration::from_secs(40)).await;
    set(Some(Outcome::Refused { message: "no".into(), error_type: "400".into() }));
    tokio::time::sleep(Duration::from_secs(10)).await;
    set(Some(Outcome::Partial { rejected: 4, message: "some".into() }));
    sender.send_replace(Some(Instant::now() + Duration::from_secs(5)));
    task.await.unwrap();
    let taken: Vec<_> = store.taken.lock().unwrap().iter().map(|body| body[0]).collect();
    // Rounds 1 and 2; 3 to 8 failed, 9 to 11 came too early, then 12; 13 was refused; the last one at the end.
    assert_eq!(taken, [1, 2, 12, 14]);
    let counters = ExportCounters::new(&telemetry, Signal::Metrics);
    assert_eq!((counters.delivered.get(), counters.rejected.get(), counters.partial_success.get()), (36, 10, 4));
    assert_eq!((counters.requests_ok.get(), counters.requests_failed.get()), (4, 7));
    // Counted in every round.
    assert_eq!(counters.too_large.get(), 11);
    assert_eq!(store.attempts.load(Ordering::Relaxed), 11);
}

/// Accepts nothing until a time on tokio's clock.
#[derive(Clone)]
struct Away {
    until: Instant,
    store: Store,
}

impl Transport for Away {
    async fn send(&self, request: Bytes) -> Outcome {
        if Instant::now() < self.until {
            self.store.attempts.fetch_add(1, Ordering::Relaxed);
            return away(None);
        }
        self.store.send(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn last_values_retry_until_deadline() {
    for (away, delivered, lost) in [(0, 10, 0), (3, 10, 0), (60, 0, 10)] {
        let (store, telemetry) = (Store::default(), Telemetry::default());
        let (sender, receiver) = shutdown::channel();
        let begun = Instant::now();
        let transport = Away { until: begun + Duration::from_secs(away), store: store.clone() };
        let deadline = begun + Duration::from_secs(5);
        sender.send_replace(Some(deadline));
        metrics_sender::run(MetricsSender::new(transport, &telemetry), Duration::from_secs(10), producer(), receiver)
            .await;
        let counters = ExportCounters::new(&telemetry, Signal::Metrics);
        assert_eq!((counters.delivered.get(), counters.shutdown.get()), (delivered, lost), "away for {away} s");
        // The newest values, asked for once: nothing changes any more.
        assert!(store.taken.lock().unwrap().iter().all(|body| body[..] == [1]));
        assert!(Instant::now() <= deadline + Duration::from_millis(2), "the deadline is kept");
        let (attempts, failed) = (store.attempts.load(Ordering::Relaxed), u64::from(lost > 0));
        assert!(attempts < 20, "no busy loop: {attempts} attempts");
        let counted = counters.requests_ok.get() + counters.requests_retried.get() + counters.requests_failed.get();
        assert_eq!((attempts as u64, counters.requests_failed.get()), (counted, failed));
    }
}

/// Accepts each request after two seconds.
#[derive(Clone)]
struct Slow;

impl Transport for Slow {
    async fn send(&self, _: Bytes) -> Outcome {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Outcome::Accepted
    }
}

#[tokio::test(start_paused = true)]
async fn request_in_flight_counts_at_stop() {
    let (sender, receiver) = shutdown::channel();
    let reported = Arc::new(Mutex::new(Vec::new()));
    let task = tokio::spawn({
        let reported = Arc::clone(&reported);
        let mut produce = producer();
        let produce = move |accepted: Accepted| {
            reported.lock().unwrap().push(accepted.clone());
            produce(accepted)
        };
        let metrics = MetricsSender::new(Slow, &Telemetry::default());
        metrics_sender::run(metrics, Duration::from_secs(10), produce, receiver)
    });
    tokio::time::sleep(Duration::from_secs(11)).await;
    sender.send_replace(Some(Instant::now() + Duration::from_secs(10)));
    task.await.unwrap();
    assert_eq!(*reported.lock().unwrap(), [vec![], vec![0, 1]]);
}

#[derive(Clone)]
struct Silent;

impl Transport for Silent {
    async fn send(&self, _: Bytes) -> Outcome {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn silent_receiver_does_not_delay_end() {
    let (sender, receiver) = shutdown::channel();
    let task = tokio::spawn(async move {
        let sender = MetricsSender::new(Silent, &Telemetry::default());
        metrics_sender::run(sender, Duration::from_secs(1), producer(), receiver).await;
    });
    tokio::time::sleep(Duration::from_secs(3)).await;
    let begun = Instant::now();
    sender.send_replace(Some(begun + Duration::from_secs(5)));
    task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(6));
}

/// Name, attributes and value of every point.
fn points(body: &[u8]) -> Vec<String> {
    let request = ExportMetricsServiceRequest::decode(body).unwrap();
    let metrics = request.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics);
    let mut points = Vec::new();
    for metric in metrics.flat_map(|scope| &scope.metrics) {
        let (kind, data) = match metric.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                let is_monotonic = !metric.name.ends_with(".inflight");
                assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (2, is_monotonic), "cumulative");
                ("sum", &sum.data_points)
            }
            Data::Gauge(gauge) => ("gauge", &gauge.data_points),
            Data::Histogram(histogram) => {
                let count = histogram.data_points.iter().map(|point| point.count).sum::<u64>();
                points.push(format!("histogram {} {} {count}", metric.name, metric.unit));
                continue;
            }
            other => panic!("{other:?}"),
        };
        for point in data {
            let Some(Value::AsInt(value)) = point.value else { panic!("{point:?}") };
            let mut attributes: Vec<_> = point
                .attributes
                .iter()
                .map(|attribute| format!("{}={:?}", attribute.key, attribute.value.as_ref().unwrap().value))
                .collect();
            // The SDK keeps them in no order.
            attributes.sort();
            points.push(format!("{kind} {} {} {attributes:?} {value}", metric.name, metric.unit));
        }
    }
    points.sort();
    points
}

/// Exports own metrics every 20 ms, until the stop.
fn export_own(telemetry: Telemetry, transport: impl Transport) -> (watch::Sender<Option<Instant>>, JoinHandle<()>) {
    let (stop, stopped) = shutdown::channel();
    let task = tokio::spawn(async move {
        let sender = MetricsSender::new(transport, &telemetry);
        self_telemetry::run(telemetry, &resource(), None, sender, Duration::from_millis(20), stopped).await;
    });
    (stop, task)
}

/// A receiver of metrics over HTTP, and a client of it.
async fn receiver() -> (Receiver, Client) {
    let receiver = Receiver::default();
    let endpoint = format!("http://{}", receiver.start().await);
    let settings = signal_settings(endpoint, Protocol::HttpProtobuf, Signal::Metrics);
    (receiver, Client::new(&settings, Signal::Metrics).unwrap())
}

#[tokio::test]
async fn our_own_numbers_arrive() {
    let ((receiver, client), telemetry) = (receiver().await, Telemetry::default());
    let drops = |netns| [("hubble.drop.reason", "159"), ("hubble.drop.netns", netns)];
    telemetry.counter("eyepiece.datapath.drops", &drops("4026531840")).add(5);
    telemetry.counter("eyepiece.datapath.drops", &drops("4026532000")).add(6);
    telemetry.gauge("eyepiece.queue.depth", &[("eyepiece.queue.name", "q")]).set(7);
    let (stop, task) = export_own(telemetry.clone(), client);
    eventually(|| receiver.seen.lock().unwrap().len() >= 2).await;
    // Registered late, but still exported.
    telemetry.counter("eyepiece.flows.parsed", &[]).add(8);
    let exported = |name: &str| {
        let seen = receiver.seen.lock().unwrap();
        points(&seen.last().unwrap().body).iter().any(|point| point.contains(name))
    };
    eventually(|| exported("eyepiece.flows.parsed")).await;
    telemetry.gauge("eyepiece.queue.depth", &[("eyepiece.queue.name", "q")]).set(9);
    stop.send_replace(Some(Instant::now() + TIMEOUT));
    task.await.unwrap();
    let seen = receiver.seen.lock().unwrap();
    let last = seen.last().unwrap();
    assert!(last.head.starts_with("POST /v1/metrics "));
    let points = points(&last.body);
    for expected in [
        "sum eyepiece.datapath.drops {packet} [\"hubble.drop.netns=Some(IntValue(4026531840))\", \"hubble.drop.reason=Some(StringValue(\\\"159\\\"))\"] 5",
        "gauge eyepiece.queue.depth {record} [\"eyepiece.queue.name=Some(StringValue(\\\"q\\\"))\"] 9",
        "sum eyepiece.flows.parsed {flow} [] 8",
    ] {
        assert!(points.iter().any(|point| point == expected), "{expected} in {points:#?}");
    }
    let duration = "histogram otel.sdk.exporter.operation.duration s ";
    assert!(points.iter().any(|point| point.starts_with(duration)), "{points:#?}");
    let request = ExportMetricsServiceRequest::decode(last.body.as_slice()).unwrap();
    // The resource of tests has an attribute of its own.
    let violations = schema::of_metrics(&request).into_iter().filter(|violation| !violation.starts_with("resource"));
    assert_eq!(violations.collect::<Vec<_>>(), [""; 0]);
    let of_resource = &request.resource_metrics[0];
    let resource = of_resource.resource.as_ref().unwrap();
    assert_eq!(resource.attributes.len(), crate::support::resource().attributes().len());
    let urls = (&*of_resource.schema_url, &*of_resource.scope_metrics[0].schema_url);
    assert_eq!(urls, (OTEL_SCHEMA_URL, SCHEMA_URL));
}

/// Start and value of the drops that were exported last.
fn exported_drops(receiver: &Receiver) -> Option<(u64, i64)> {
    let seen = receiver.seen.lock().unwrap();
    let request = ExportMetricsServiceRequest::decode(seen.last()?.body.as_slice()).unwrap();
    let mut metrics = request.resource_metrics.into_iter().flat_map(|of| of.scope_metrics).flat_map(|of| of.metrics);
    let Some(Data::Sum(sum)) = metrics.find(|metric| metric.name == "eyepiece.datapath.drops")?.data else {
        return None;
    };
    let [point] = sum.data_points.as_slice() else { return None };
    let Some(Value::AsInt(value)) = point.value else { return None };
    Some((point.start_time_unix_nano, value))
}

#[tokio::test]
async fn same_drop_key_starts_anew() {
    let ((receiver, client), telemetry) = (receiver().await, Telemetry::default());
    let (stop, task) = export_own(telemetry.clone(), client);
    // A network namespace leaves, and another one gets its inode.
    let drops = [("hubble.drop.reason", "159"), ("hubble.drop.netns", "4026532000")];
    let mut starts = Vec::new();
    for count in [90, 7] {
        telemetry.counter("eyepiece.datapath.drops", &drops).add(count);
        eventually(|| exported_drops(&receiver).is_some_and(|(_, value)| value == count as i64)).await;
        starts.push(exported_drops(&receiver).unwrap().0);
        let now = std::time::Instant::now();
        telemetry.retire("eyepiece.datapath.drops", &drops, now);
        telemetry.expire(now, Duration::ZERO);
        eventually(|| exported_drops(&receiver).is_none()).await;
    }
    stop.send_replace(Some(Instant::now() + TIMEOUT));
    task.await.unwrap();
    assert!(starts[1] > starts[0], "{starts:?}");
}

#[tokio::test]
async fn own_series_beyond_limit_are_summed() {
    let ((receiver, client), telemetry) = (receiver().await, Telemetry::default());
    for number in 0..MAX_SERIES + 3 {
        telemetry.counter("eyepiece.datapath.drops", &[("hubble.drop.netns", &number.to_string())]).add(5);
    }
    let (stop, task) = export_own(telemetry, client);
    eventually(|| !receiver.seen.lock().unwrap().is_empty()).await;
    stop.send_replace(Some(Instant::now() + TIMEOUT));
    task.await.unwrap();
    let points = points(&receiver.seen.lock().unwrap().last().unwrap().body);
    let drops: Vec<_> = points.iter().filter(|point| point.starts_with("sum eyepiece.datapath.drops ")).collect();
    let shared: Vec<_> = drops.iter().filter(|point| point.contains("overflow")).collect();
    assert_eq!(drops.len(), MAX_SERIES + 1);
    assert_eq!(shared, [&"sum eyepiece.datapath.drops {packet} [\"otel.metric.overflow=Some(BoolValue(true))\"] 15"]);
}

#[tokio::test]
async fn absent_receiver_does_not_delay_end() {
    for settings in [
        signal_settings("http://127.0.0.1:1".into(), Protocol::Grpc, Signal::Metrics),
        signal_settings("http://127.0.0.1:1".into(), Protocol::HttpProtobuf, Signal::Metrics),
    ] {
        let client = Client::new(&settings, Signal::Metrics).unwrap();
        check_end(client).await;
    }
    check_end(Silent).await;
}

async fn check_end(transport: impl Transport) {
    let telemetry = Telemetry::default();
    telemetry.counter("eyepiece.flows.parsed", &[]).add(1);
    let (stop, task) = export_own(telemetry, transport);
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send_replace(Some(Instant::now() + Duration::from_millis(300)));
    // Without the deadline the silent one would never end.
    tokio::time::timeout(TIMEOUT, task).await.unwrap().unwrap();
}
