//! The lab's receivers, tested with a plain OTLP client: what was sent is what they show.

use std::time::Duration;

use anyhow::Result;
use eyepiece_tests::collector::attribute;
use eyepiece_tests::{Behaviour, Collector, Inside, Namespace, Receiver, eventually, needs_peers};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric, number_data_point,
};
use tonic::{Code, Status};

fn pair(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn two_records() -> ExportLogsServiceRequest {
    let record = |uid| LogRecord {
        event_name: "hubble.flow".to_owned(),
        time_unix_nano: 7,
        attributes: vec![pair("log.record.uid", uid)],
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record("one"), record("two")], ..ScopeLogs::default() };
    let resource = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![resource] }
}

fn one_point(value: i64) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint {
        attributes: vec![pair("reason", "NETFILTER_DROP"), pair("protocol", "UDP")],
        start_time_unix_nano: 1,
        time_unix_nano: std::time::UNIX_EPOCH.elapsed().map_or(0, |now| u64::try_from(now.as_nanos()).unwrap_or(0)),
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let sum = Sum { data_points: vec![point], aggregation_temporality: 2, is_monotonic: true };
    let metric = Metric {
        name: "hubble.drop".to_owned(),
        unit: "{flow}".to_owned(),
        data: Some(metric::Data::Sum(sum)),
        ..Metric::default()
    };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

/// Runs a client in the namespace: its sockets are opened there.
pub(crate) fn within<T: Send>(inside: &Inside, client: impl Future<Output = T> + Send) -> T {
    let build = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    inside.run(|| build().block_on(client))
}

fn send_logs(inside: &Inside, endpoint: String) -> Result<ExportLogsServiceResponse, Status> {
    within(inside, async move {
        let connected = LogsServiceClient::connect(endpoint).await;
        let mut client = connected.map_err(|error| Status::unavailable(error.to_string()))?;
        let answer = tokio::time::timeout(Duration::from_secs(1), client.export(two_records())).await;
        Ok(answer.map_err(|_| Status::deadline_exceeded("no answer"))??.into_inner())
    })
}

fn send_metrics(inside: &Inside, endpoint: String, value: i64) -> Result<()> {
    within(inside, async move {
        MetricsServiceClient::connect(endpoint).await?.export(one_point(value)).await?;
        Ok(())
    })
}

fn namespace(name: &str) -> Result<Namespace> {
    Namespace::create(&format!("ep-{}-{name}", std::process::id()))
}

#[test]
fn receiver_keeps_records_and_misbehaves() -> Result<()> {
    let home = namespace("receiver")?;
    let mut receiver = Receiver::start(&home)?;
    let send = |receiver: &Receiver| send_logs(&home, receiver.endpoint());
    for (behaviour, code, kept) in [
        (Behaviour::Accept, Code::Ok, 2),
        (Behaviour::Refuse(Code::Unavailable), Code::Unavailable, 0),
        (Behaviour::RefuseEach(1, Code::Internal), Code::Internal, 0),
        (Behaviour::RefuseEach(2, Code::Internal), Code::Ok, 2),
        (Behaviour::Throttle(Duration::from_millis(1500)), Code::ResourceExhausted, 0),
        (Behaviour::Hang, Code::DeadlineExceeded, 0),
        (Behaviour::Partial(1), Code::Ok, 1),
        (Behaviour::Partial(0), Code::Ok, 2),
        (Behaviour::Slow(Duration::from_millis(10)), Code::Ok, 2),
    ] {
        receiver.clear();
        receiver.behave(behaviour);
        let answer = send(&receiver);
        assert_eq!(answer.as_ref().map_or_else(Status::code, |_| Code::Ok), code, "{behaviour:?} {answer:?}");
        assert_eq!(receiver.logs().len(), kept, "{behaviour:?}");
        assert_eq!(receiver.look(|received| (received.requests, received.unique_logs())), (1, kept), "{behaviour:?}");
        let rejected =
            answer.ok().and_then(|answer| answer.partial_success).map_or(0, |partial| partial.rejected_log_records);
        assert_eq!(rejected > 0, behaviour == Behaviour::Partial(1), "{behaviour:?}");
        if let Behaviour::Throttle(_) = behaviour {
            // 1 s and 500,000,000 ns within RetryInfo within Any.
            let details = send(&receiver).expect_err("throttled").details().to_vec();
            let delay = [0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
            assert!(details.windows(delay.len()).any(|window| window == delay), "{details:x?}");
        }
    }
    receiver.behave(Behaviour::Accept);
    receiver.away();
    assert_eq!(send(&receiver).expect_err("away").code(), Code::Unavailable);
    receiver.back()?;
    receiver.clear();
    send(&receiver)?;
    assert_eq!(receiver.logs()[1].attributes["log.record.uid"], "two");
    assert_eq!((receiver.logs()[0].event.as_str(), receiver.logs()[0].time), ("hubble.flow", 7));
    for value in [3, 5] {
        send_metrics(&home, receiver.endpoint(), value)?;
    }
    assert_eq!(receiver.sum("hubble.drop", &[("protocol", "UDP")]), 5);
    assert_eq!(receiver.sum("hubble.drop", &[("protocol", "TCP")]), 0);
    receiver.wait(Duration::from_secs(1), "a counter", |received| {
        received.series("hubble.drop", &[]).all(|(_, point)| point.cumulative_counter && point.unit == "{flow}")
    })
}

#[test]
fn collector_shows_points_and_records() -> Result<()> {
    let [program] = &needs_peers!("otelcol");
    let home = namespace("collector")?;
    let mut collector = Collector::start(program, &home)?;
    send_logs(&home, collector.grpc())?;
    send_metrics(&home, collector.grpc(), 5)?;
    let labels = [("reason", "NETFILTER_DROP"), ("protocol", "UDP")];
    let sample = || collector.sample("hubble_drop_total", &labels).ok().flatten();
    assert_eq!(eventually(Duration::from_secs(10), "a sample", sample)?, 5.0, "{}", collector.page()?);
    assert_eq!(collector.sample("hubble_drop_total", &[("protocol", "TCP")])?, None);
    let both = || collector.records().ok().filter(|records| records.len() == 2);
    let records = eventually(Duration::from_secs(10), "two records", both)?;
    assert_eq!(records[0]["eventName"], "hubble.flow");
    assert_eq!(attribute(&records[1], "log.record.uid"), Some("two"));
    assert_eq!(collector.stop()?, 0, "{}", collector.stderr());
    Ok(())
}
